"""Dropout: while training every number is dropped with probability p, so that no unit can rely on another.

    y = keep x / (1 - p),   keep is 1 with probability 1 - p, else 0        dL/dx = keep dL/dy / (1 - p)

"Inverted": what is kept grows by 1 / (1 - p), so that the mean stays and evaluation does nothing at all. (The paper and
old programs scale by 1 - p at test time instead.) A dropped number becomes 0 even where it was NaN.
Shapes: any. float32 or float64; the mask depends on the state of `rng` and the shape alone.
Source: Srivastava et al. 2014. Names as torch.nn.functional.dropout, plus the explicit `rng`.
"""
import numpy as np
from numba import cuda

from ..backend import pick
from ..device import cuda_jit, each
from ..errors import ShapeError
from ..tensor import Tensor
from .op import Op, placed, shape_of


def dropout_forward_ref(x, keep, p):
    """The definition; the backward pass is the same function of dL/dy."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if keep[i]:
            out[i] = x[i] / (1 - p)
    return out


def dropout_backward_ref(dout, keep, p):
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if keep[i]:
            dx[i] = dout[i] / (1 - p)
    return dx


def dropout_forward_cpu(x, keep, p):        # bound by memory: NumPy is as fast as a kernel of our own
    return np.where(keep, x / (1 - p), 0)


def dropout_backward_cpu(dout, keep, p):
    return np.where(keep, dout / (1 - p), 0)


@cuda_jit("T1 b1 T T1")
def dropout_kernel(x, keep, share, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[i] / share if keep[i] else x.dtype.type(0)


def dropout_forward_cuda(x, keep, p):           # the random numbers are those of the CPU, so that the seed says the same
    return each(dropout_kernel)(x, keep, 1 - p)


KERNELS = {
    "ref": {"forward": dropout_forward_ref, "backward": dropout_backward_ref},
    "cpu": {"forward": dropout_forward_cpu, "backward": dropout_backward_cpu},
    "cuda": {"forward": dropout_forward_cuda, "backward": dropout_forward_cuda},
}


class Dropout(Op):
    @staticmethod
    def forward(ctx, x, keep, p):
        ctx.keep, ctx.p = placed(keep, "dropout"), p    # a byte an element is all that is kept
        return pick(KERNELS)["forward"](x, ctx.keep, p)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout, ctx.keep, ctx.p),)


def dropout(x, p=0.5, training=True, rng=None):
    """Drop numbers of `x` with probability `p` and scale the rest by 1 / (1 - p): Tensor like x.

    If not training, x itself comes back.
    rng: a numpy.random.Generator, which moves on, or a seed: the same seed drops the same numbers.
    """
    if not 0 <= p < 1:
        raise ShapeError(f"dropout: p is {p!r}, expected a probability of dropping in [0, 1)")
    if not training or p == 0:
        return x if isinstance(x, Tensor) else Tensor(x)
    if rng is None:
        raise ShapeError("dropout: training needs random numbers, give rng a numpy.random.Generator or a seed")
    keep = np.random.default_rng(rng).random(shape_of(x), np.float32) >= p
    return Dropout.apply(x, keep=keep, p=float(p))
