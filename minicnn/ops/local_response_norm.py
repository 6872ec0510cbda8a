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

import numba
import numpy as np
from numba import cuda, prange

from .. import tape
from ..backend import pick
from ..device import DeviceArray, cuda_jit, each, larger, smaller, threads_for
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


@numba.njit
def _damping(d, beta):
    """Return d^-beta; for 3/4, which all published networks use, by square roots: several numbers an instruction."""
    if beta == 0.75:
        root = np.sqrt(1 / d)
        return root * np.sqrt(root)
    return d ** -beta


@numba.njit
def _add_rows(rows, first, last, total):
    """total = rows[first] + ... + rows[last]"""
    total[:] = rows[first]
    for c in range(first + 1, last + 1):
        row = rows[c]
        for i in range(len(total)):
            total[i] += row[i]


def local_response_norm_forward_cpu(x, size, alpha, beta, k):
    """Parallel over (image, block of places); a task writes y and d of its own places, so there is no race.

    The squares are taken once, into a buffer of the task.
    """
    N, C, L = x.shape
    blocks = (L + BLOCK - 1) // BLOCK
    scale, one, power = x.dtype.type(alpha / size), x.dtype.type(k), x.dtype.type(beta)
    out, d = np.empty_like(x), np.empty_like(x)
    for task in prange(N * blocks):
        n, begin = task // blocks, task % blocks * BLOCK
        end = min(begin + BLOCK, L)
        squares, total = x[n, :, begin:end] * x[n, :, begin:end], np.empty(end - begin, x.dtype)
        for c in range(C):
            _add_rows(squares, max(c - size // 2, 0), min(c + (size - 1) // 2, C - 1), total)
            y, by, row = out[n, c, begin:end], d[n, c, begin:end], x[n, c, begin:end]
            for i in range(len(total)):
                by[i] = one + scale * total[i]
                y[i] = row[i] * _damping(by[i], power)
    return out, d


def local_response_norm_backward_cpu(dout, x, d, size, alpha, beta):
    """Parallel over (image, block of places), gathering: channel c collects from all windows that hold it.

    A task writes dx of its own places, so there is no race. The power, the dear part, is taken once per number, into a
    buffer of the task.
    """
    N, C, L = x.shape
    blocks = (L + BLOCK - 1) // BLOCK
    scale, power = x.dtype.type(2 * alpha * beta / size), x.dtype.type(beta)
    dx = np.empty_like(x)
    for task in prange(N * blocks):
        n, begin = task // blocks, task % blocks * BLOCK
        end = min(begin + BLOCK, L)
        share, total = np.empty((C, end - begin), x.dtype), np.empty(end - begin, x.dtype)      # dL/dy x / d^(beta + 1)
        for c in range(C):
            to, direct, by = share[c], dx[n, c, begin:end], d[n, c, begin:end]
            above, row = dout[n, c, begin:end], x[n, c, begin:end]
            for i in range(len(total)):
                direct[i] = above[i] * _damping(by[i], power)                                   # dL/dy / d^beta
                to[i] = direct[i] * row[i] / by[i]
        for c in range(C):
            _add_rows(share, max(c - (size - 1) // 2, 0), min(c + size // 2, C - 1), total)
            to, row = dx[n, c, begin:end], x[n, c, begin:end]
            for i in range(len(total)):
                to[i] -= scale * row[i] * total[i]
    return dx


@cuda_jit("T3 n T T T T3 T3")
def local_response_norm_forward_kernel(x, size, scale, beta, k, out, d):
    """A thread a number, which adds up the squares of its window anew: the neighbours' numbers come from the cache."""
    i, (C, L) = cuda.grid(1), x.shape[1:]
    if i < x.size:
        n, c, at, squares = i // (C * L), i // L % C, i % L, x.dtype.type(0)
        for other in range(larger(c - size // 2, 0), smaller(c + (size - 1) // 2, C - 1) + 1):
            squares += x[n, other, at] * x[n, other, at]
        d[n, c, at] = k + scale * squares
        out[n, c, at] = x[n, c, at] / d[n, c, at] ** beta


def local_response_norm_forward_cuda(x, size, alpha, beta, k):
    out, d = DeviceArray(x.shape, x.dtype), DeviceArray(x.shape, x.dtype)
    local_response_norm_forward_kernel.launch(*threads_for(x.size), x, size, alpha / size, beta, k, out, d)
    return out, d


@cuda_jit("T3 T3 T3 n T T T3")
def local_response_norm_backward_kernel(dout, x, d, size, scale, beta, dx):
    """A thread a number, which collects from all windows that hold it."""
    i, (C, L) = cuda.grid(1), x.shape[1:]
    if i < x.size:
        n, c, at, total = i // (C * L), i // L % C, i % L, x.dtype.type(0)
        for other in range(larger(c - (size - 1) // 2, 0), smaller(c + size // 2, C - 1) + 1):
            total += dout[n, other, at] * x[n, other, at] / (d[n, other, at] ** beta * d[n, other, at])
        dx[n, c, at] = dout[n, c, at] / d[n, c, at] ** beta - scale * x[n, c, at] * total


def local_response_norm_backward_cuda(dout, x, d, size, alpha, beta):
    return each(local_response_norm_backward_kernel)(dout, x, d, size, 2 * alpha * beta / size, beta)


KERNELS = {
    "ref": {"forward": local_response_norm_forward_ref, "backward": local_response_norm_backward_ref},
    "cpu": {"forward": jit(local_response_norm_forward_cpu), "backward": jit(local_response_norm_backward_cpu)},
    "cuda": {"forward": local_response_norm_forward_cuda, "backward": local_response_norm_backward_cuda},
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
