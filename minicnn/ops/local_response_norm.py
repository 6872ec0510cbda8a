"""Local response normalisation: a channel is damped where its neighbour channels are strong at the same place.

    y[c] = x[c] / d[c]^beta,   d[c] = k + alpha / size * sum over the window of c of x[c']^2       at each n, h, w
    dL/dx[c] = dL/dy[c] / d[c]^beta
               - 2 alpha beta / size x[c] * sum over the c' whose window holds c of dL/dy[c'] x[c'] / d[c']^(beta + 1)

The window of c runs over the channels c - size // 2 .. c + (size - 1) // 2; channels outside 0..C-1 count as 0, and the
sum is divided by size all the same. As torch, Caffe and ONNX; the paper and TensorFlow do not divide alpha by size.
Shapes: x (N, C, L, ...) with at least one axis after the channels, y and d the same. float32 or float64.

Under relu_rule("deconvnet") the signal passes unchanged: a deconvnet runs each layer's own inverse on the signal, and
Zeiler and Fergus invert convolution, ReLU and pooling only; the damping, which turns nothing off, is not undone.
"backprop" and "guided" are gradients but for the ReLUs, so they take the true one.
AlexNet and GoogLeNet use it (slides of their filters). Source: Krizhevsky et al. 2012.
"""
import math

import numpy as np
from numba import prange

from .. import tape
from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from .op import Op, shape_of


def local_response_norm_forward_ref(x, size, alpha, beta, k):
    """The definition, on x (N, C, L); returns y and d."""
    C = x.shape[1]
    out, d = np.empty_like(x), np.empty_like(x)
    for n, c, i in np.ndindex(x.shape):
        squares = 0.0
        for other in range(max(c - size // 2, 0), min(c + (size - 1) // 2, C - 1) + 1):
            squares += x[n, other, i] ** 2
        d[n, c, i] = k + alpha / size * squares
        out[n, c, i] = x[n, c, i] / d[n, c, i] ** beta
    return out, d


def local_response_norm_backward_ref(dout, x, d, size, alpha, beta):
    """The definition: each output hands its gradient back to its own channel and to all channels of its window."""
    C = x.shape[1]
    dx = np.zeros_like(x)
    for n, c, i in np.ndindex(x.shape):
        dx[n, c, i] += dout[n, c, i] / d[n, c, i] ** beta
        for other in range(max(c - size // 2, 0), min(c + (size - 1) // 2, C - 1) + 1):
            share = dout[n, c, i] * x[n, c, i] / d[n, c, i] ** (beta + 1)
            dx[n, other, i] -= 2 * alpha * beta / size * x[n, other, i] * share
    return dx


BLOCK = 256         # places per task: a few rows of a plane, all channels, which stay in cache


def local_response_norm_forward_cpu(x, size, alpha, beta, k):
    """Parallel over (image, block of places); a task writes y and d of its own places, so there is no race."""
    N, C, L = x.shape
    blocks = (L + BLOCK - 1) // BLOCK
    out, d = np.empty_like(x), np.empty_like(x)
    for task in prange(N * blocks):
        n, begin = task // blocks, task % blocks * BLOCK
        for c in range(C):
            first, last = max(c - size // 2, 0), min(c + (size - 1) // 2, C - 1)
            for i in range(begin, min(begin + BLOCK, L)):
                squares = 0.0
                for other in range(first, last + 1):
                    squares += x[n, other, i] * x[n, other, i]
                d[n, c, i] = k + alpha / size * squares
                out[n, c, i] = x[n, c, i] * d[n, c, i] ** -beta
    return out, d


def local_response_norm_backward_cpu(dout, x, d, size, alpha, beta):
    """Parallel over (image, block of places), gathering: channel c collects from all windows that hold it.

    A task writes dx of its own places, so there is no race. The power, the dear part, is taken once per number, into a
    buffer of the task.
    """
    N, C, L = x.shape
    blocks = (L + BLOCK - 1) // BLOCK
    dx = np.empty_like(x)
    for task in prange(N * blocks):
        n, begin = task // blocks, task % blocks * BLOCK
        width = min(BLOCK, L - begin)
        direct = np.empty((C, width), x.dtype)                      # dL/dy / d^beta
        share = np.empty((C, width), x.dtype)                       # dL/dy x / d^(beta + 1)
        for c in range(C):
            for i in range(width):
                direct[c, i] = dout[n, c, begin + i] * d[n, c, begin + i] ** -beta
                share[c, i] = direct[c, i] * x[n, c, begin + i] / d[n, c, begin + i]
        for c in range(C):
            first, last = max(c - (size - 1) // 2, 0), min(c + size // 2, C - 1)
            for i in range(width):
                total = 0.0
                for other in range(first, last + 1):
                    total += share[other, i]
                dx[n, c, begin + i] = direct[c, i] - 2 * alpha * beta / size * x[n, c, begin + i] * total
    return dx


KERNELS = {
    "ref": {"forward": local_response_norm_forward_ref, "backward": local_response_norm_backward_ref},
    "cpu": {"forward": jit(local_response_norm_forward_cpu), "backward": jit(local_response_norm_backward_cpu)},
}


class LocalResponseNorm(Op):
    @staticmethod
    def forward(ctx, x, size, alpha, beta, k):
        planes = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))    # (N, C, L)
        out, d = pick(KERNELS)["forward"](planes, size, alpha, beta, k)
        ctx.settings = size, alpha, beta
        if ctx.needs_grad[0]:
            ctx.x, ctx.d = planes, d
        return out.reshape(x.shape)

    @staticmethod
    def backward(ctx, dout):
        if tape.current_relu_rule() == "deconvnet":
            return (dout,)
        dx = pick(KERNELS)["backward"](dout.reshape(ctx.x.shape), ctx.x, ctx.d, *ctx.settings)
        return (dx.reshape(dout.shape),)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divide `x` (N, C, L, ...) by (k + alpha / size * sum of squares of `size` channels)^beta: Tensor like x."""
    shape = tuple(shape_of(x))
    if len(shape) < 3:
        raise ShapeError(f"local_response_norm: x has shape {shape}, expected at least 3 axes (N, C, L, ...)")
    if int(size) != size or size < 1:
        raise ShapeError(f"local_response_norm: size is {size!r}, expected a number of channels, at least 1")
    return LocalResponseNorm.apply(x, size=int(size), alpha=float(alpha), beta=float(beta), k=float(k))
