"""The logarithm of softmax, computed without the softmax, so that a probability of 1e-300 keeps its logarithm.

    y_i = log p_i = x_i - log sum_j exp(x_j) = (x_i - t) - log sum_j exp(x_j - t),   t = max_j x_j
    dL/dx_i = dL/dy_i - p_i sum_j dL/dy_j        since dy_j/dx_i = (i = j) - p_i

A score of -inf gets y = -inf; what flows into it from above still shifts the others. A line with +inf gives NaN.
Shapes: any. float32 or float64. Mahendran and Vedaldi speak of "1000 log probabilities" but invert the scores x; they
differ from y by one constant per picture only. Names as torch.nn.functional.log_softmax.
"""
import math

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import THREADS, cuda_jit, larger
from .op import Op
from .reductions import block_largest, block_total
from .softmax import as_lines, checked_dim, line_by_line


def log_softmax_forward_ref(x):
    """The definition, on lines: x (A, n, B), along the middle axis for each a, b."""
    out = np.empty_like(x)
    A, n, B = x.shape
    for a in range(A):
        for b in range(B):
            top = max(x[a, i, b] for i in range(n))
            total = 0.0
            for i in range(n):
                total += np.exp(x[a, i, b] - top)
            for i in range(n):
                out[a, i, b] = x[a, i, b] - top - np.log(total)
    return out


def log_softmax_backward_ref(dout, out):
    """The definition: dL/dy_i - p_i sum_j dL/dy_j, with p = exp(y)."""
    dx = np.empty_like(out)
    A, n, B = out.shape
    for a in range(A):
        for b in range(B):
            total = 0.0
            for j in range(n):
                total += dout[a, j, b]
            for i in range(n):
                dx[a, i, b] = dout[a, i, b] - np.exp(out[a, i, b]) * total
    return dx


def log_softmax_forward_cpu(x):     # a thousand scores an image: NumPy is fast enough
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_softmax_backward_cpu(dout, out):
    return dout - np.exp(out) * dout.sum(axis=1, keepdims=True)


@cuda_jit("T3 T3")
def log_softmax_forward_kernel(x, out):
    """A block a line: its threads take numbers in turn, and each writes its own."""
    (_, n, B), t = x.shape, cuda.threadIdx.x
    a, b = cuda.blockIdx.x // B, cuda.blockIdx.x % B
    top, total = x[a, 0, b], 0.0
    for i in range(t, n, THREADS):
        top = larger(top, x[a, i, b])
    top = block_largest(top)
    for i in range(t, n, THREADS):
        total += math.exp(x[a, i, b] - top)
    total = math.log(block_total(total))
    for i in range(t, n, THREADS):
        out[a, i, b] = x[a, i, b] - top - total


@cuda_jit("T3 T3 T3")
def log_softmax_backward_kernel(dout, out, dx):
    """A block a line: its threads take numbers in turn, and each writes its own."""
    (_, n, B), t, total = out.shape, cuda.threadIdx.x, 0.0
    a, b = cuda.blockIdx.x // B, cuda.blockIdx.x % B
    for j in range(t, n, THREADS):
        total += dout[a, j, b]
    total = block_total(total)
    for i in range(t, n, THREADS):
        dx[a, i, b] = dout[a, i, b] - math.exp(out[a, i, b]) * total


KERNELS = {
    "ref": {"forward": log_softmax_forward_ref, "backward": log_softmax_backward_ref},
    "cpu": {"forward": log_softmax_forward_cpu, "backward": log_softmax_backward_cpu},
    "cuda": {"forward": line_by_line(log_softmax_forward_kernel), "backward": line_by_line(log_softmax_backward_kernel)},
}


class LogSoftmax(Op):
    @staticmethod
    def forward(ctx, x, dim):
        with np.errstate(invalid="ignore"):                         # inf - inf: the NaN says it
            ctx.out = pick(KERNELS)["forward"](as_lines(x, dim))
        return ctx.out.reshape(x.shape)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout.reshape(ctx.out.shape), ctx.out).reshape(dout.shape),)


def log_softmax(x, dim):
    """Return log(softmax(x, dim)), exact where the softmax would underflow: Tensor like x."""
    return LogSoftmax.apply(x, dim=checked_dim("log_softmax", x, dim))
