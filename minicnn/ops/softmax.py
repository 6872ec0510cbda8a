"""Softmax: scores become probabilities, positive and of sum 1 along an axis.

    p_i = exp(x_i) / sum_j exp(x_j)
    dL/dx_i = p_i (dL/dp_i - sum_j p_j dL/dp_j)        since dp_j/dx_i = p_j ((i = j) - p_i)

The maximum is subtracted first: the same p, since it cancels, and no overflow. A score of -inf gets p = 0 and
gradient 0; a line of nothing but -inf, or one with +inf, gives NaN, as in torch.
Shapes: any. float32 or float64. Slide "score for class c (before Softmax)": pictures of a class start from x and not
from p, which also grows by making the other scores small (Simonyan et al. 2014). Names as torch.nn.functional.softmax.
"""
import math

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import THREADS, DeviceArray, cuda_jit, larger
from ..errors import ShapeError
from .op import Op, shape_of
from .reductions import block_largest, block_total


def softmax_forward_ref(x):
    """The definition, on lines: x (A, n, B), one softmax along the middle axis for each a, b."""
    out = np.empty_like(x)
    A, n, B = x.shape
    for a in range(A):
        for b in range(B):
            top = max(x[a, i, b] for i in range(n))
            total = 0.0
            for i in range(n):
                total += np.exp(x[a, i, b] - top)
            for i in range(n):
                out[a, i, b] = np.exp(x[a, i, b] - top) / total
    return out


def softmax_backward_ref(dout, p):
    """The definition: p_i (dL/dp_i - sum_j p_j dL/dp_j)."""
    dx = np.empty_like(p)
    A, n, B = p.shape
    for a in range(A):
        for b in range(B):
            total = 0.0
            for j in range(n):
                total += p[a, j, b] * dout[a, j, b]
            for i in range(n):
                dx[a, i, b] = p[a, i, b] * (dout[a, i, b] - total)
    return dx


def softmax_forward_cpu(x):         # a thousand scores an image: NumPy is fast enough
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward_cpu(dout, p):
    return p * (dout - (p * dout).sum(axis=1, keepdims=True))


@cuda_jit("T3 T3")
def softmax_forward_kernel(x, out):
    """A block a line: its threads take numbers in turn, and each writes its own."""
    (_, n, B), t = x.shape, cuda.threadIdx.x
    a, b = cuda.blockIdx.x // B, cuda.blockIdx.x % B
    top, total = x[a, 0, b], 0.0
    for i in range(t, n, THREADS):
        top = larger(top, x[a, i, b])
    top = block_largest(top)
    for i in range(t, n, THREADS):
        out[a, i, b] = math.exp(x[a, i, b] - top)
        total += out[a, i, b]
    total = block_total(total)
    for i in range(t, n, THREADS):
        out[a, i, b] = out[a, i, b] / total


@cuda_jit("T3 T3 T3")
def softmax_backward_kernel(dout, p, dx):
    """A block a line: its threads take numbers in turn, and each writes its own."""
    (_, n, B), t, total = p.shape, cuda.threadIdx.x, 0.0
    a, b = cuda.blockIdx.x // B, cuda.blockIdx.x % B
    for j in range(t, n, THREADS):
        total += p[a, j, b] * dout[a, j, b]
    total = block_total(total)
    for i in range(t, n, THREADS):
        dx[a, i, b] = p[a, i, b] * (dout[a, i, b] - total)


def line_by_line(kernel):
    """Return the function that runs a kernel with a block for each line (a, b) of arrays (A, n, B); the last one is made."""
    def run(*args):
        (A, _, B), out = args[0].shape, DeviceArray(args[0].shape, args[0].dtype)
        kernel.launch(A * B, THREADS, *args, out)
        return out
    return run


KERNELS = {
    "ref": {"forward": softmax_forward_ref, "backward": softmax_backward_ref},
    "cpu": {"forward": softmax_forward_cpu, "backward": softmax_backward_cpu},
    "cuda": {"forward": line_by_line(softmax_forward_kernel), "backward": line_by_line(softmax_backward_kernel)},
}


class Softmax(Op):
    @staticmethod
    def forward(ctx, x, dim):
        with np.errstate(invalid="ignore"):                         # inf - inf: the NaN says it
            ctx.p = pick(KERNELS)["forward"](as_lines(x, dim))
        return ctx.p.reshape(x.shape)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout.reshape(ctx.p.shape), ctx.p).reshape(dout.shape),)


def as_lines(x, dim):
    """Return `x` as a view (A, n, B) whose middle axis is `dim`."""
    return x.reshape(math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1:]))


def checked_dim(op, x, dim):
    """Return axis `dim` of x counted from the front; raise ShapeError unless it exists and is not empty."""
    shape = tuple(shape_of(x))
    if not isinstance(dim, (int, np.integer)) or not -len(shape) <= dim < len(shape):
        raise ShapeError(f"{op}: dim {dim} does not exist in a tensor of shape {shape}")
    if shape[dim] < 1:
        raise ShapeError(f"{op}: axis {dim} of x of shape {shape} is empty, expected at least one score")
    return int(dim) % len(shape)


def softmax(x, dim):
    """Return exp(x) / sum of exp(x) along axis `dim`: Tensor like x."""
    return Softmax.apply(x, dim=checked_dim("softmax", x, dim))
