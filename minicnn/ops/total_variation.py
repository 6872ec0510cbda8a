"""Total variation: how much neighbouring pixels differ. As a penalty it keeps pictures smooth.

    TV(x) = sum over n, c, i, j of v^(beta / 2),   v = r^2 + d^2,   r = x[i, j+1] - x[i, j],   d = x[i+1, j] - x[i, j]
    dv^(beta/2)/dr = beta v^(beta/2 - 1) r,   and the same with d;   r adds to x[i, j+1] and takes from x[i, j]

Border: the last column has r = 0 and the last row d = 0 (the border repeats). beta = 1 is the true total variation,
which makes spikes; beta = 2 the squared differences.

Flat places: for beta < 2 the power v^(beta/2 - 1) explodes at v = 0. It is guarded: where v < 1e-5 the term is
v 1e-5^(beta/2 - 1), the parabola that meets v^(beta/2) at v = 1e-5 and is 0 on a constant picture, and the gradient is
that parabola's: 2 1e-5^(beta/2 - 1) r. Forward and backward agree. 1e-5 is a difference of 0.8 grey levels of 255. No
guard for beta >= 2.
Shapes: x (N, C, H, W), TV a number (no axes). float32 or float64; the sum runs in float64.
Slide "(+Total Variation regularization (maybe))". Source: Mahendran and Vedaldi 2014.
"""
import numpy as np
from numba import cuda, float64

from ..backend import pick
from ..device import DeviceArray, cuda_jit, each, gpu_function, threads_for
from ..errors import ShapeError
from .arithmetic import KERNELS as ARITHMETIC
from .op import Op, check_ndim
from .reductions import sum_forward_cuda

GUARD = 1e-5


def total_variation_forward_ref(x, beta):
    """The definition: one place after the other."""
    ### BEGIN SOLUTION hw4.4
    N, C, H, W = x.shape
    total = 0.0
    for n, c, i, j in np.ndindex(x.shape):
        r = float(x[n, c, i, j + 1]) - float(x[n, c, i, j]) if j + 1 < W else 0.0
        d = float(x[n, c, i + 1, j]) - float(x[n, c, i, j]) if i + 1 < H else 0.0
        v = r * r + d * d
        if beta < 2 and v < GUARD:
            total += v * GUARD ** (beta / 2 - 1)
        else:
            total += v ** (beta / 2)
    return np.float64(total)
    ### END SOLUTION hw4.4


def total_variation_backward_ref(x, beta):
    """The definition: each place hands its two slopes to the pixels that made them."""
    ### BEGIN SOLUTION hw4.4
    N, C, H, W = x.shape
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        r = float(x[n, c, i, j + 1]) - float(x[n, c, i, j]) if j + 1 < W else 0.0
        d = float(x[n, c, i + 1, j]) - float(x[n, c, i, j]) if i + 1 < H else 0.0
        v = r * r + d * d
        if beta < 2 and v < GUARD:
            slope = 2 * GUARD ** (beta / 2 - 1)
        else:
            slope = beta * v ** (beta / 2 - 1)
        if j + 1 < W:
            dx[n, c, i, j + 1] += slope * r
            dx[n, c, i, j] -= slope * r
        if i + 1 < H:
            dx[n, c, i + 1, j] += slope * d
            dx[n, c, i, j] -= slope * d
    return dx
    ### END SOLUTION hw4.4


def _differences(x):
    """Return r, d and v of all places; the last column of r and the last row of d are 0."""
    ### BEGIN SOLUTION hw4.4
    r, d = np.zeros_like(x), np.zeros_like(x)
    r[..., :-1] = x[..., 1:] - x[..., :-1]
    d[..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    return r, d, r * r + d * d
    ### END SOLUTION hw4.4


def total_variation_forward_cpu(x, beta):           # bound by memory: NumPy is fast enough
    ### BEGIN SOLUTION hw4.4
    v = _differences(x)[2]
    if beta < 2:
        v = v * np.maximum(v, GUARD) ** (beta / 2 - 1)          # v^(beta / 2) where the guard is silent
    elif beta > 2:
        v = v ** (beta / 2)
    return np.sum(v, dtype=np.float64)
    ### END SOLUTION hw4.4


def total_variation_backward_cpu(x, beta):
    ### BEGIN SOLUTION hw4.4
    r, d, v = _differences(x)
    if beta < 2:
        slope = np.where(v < GUARD, 2, beta) * np.maximum(v, GUARD) ** (beta / 2 - 1)
    else:
        slope = beta * v ** (beta / 2 - 1) if beta > 2 else 2
    r, d = (slope * r).astype(x.dtype, copy=False), (slope * d).astype(x.dtype, copy=False)
    dx = -(r + d)
    dx[..., 1:] += r[..., :-1]
    dx[..., 1:, :] += d[..., :-1, :]
    return dx
    ### END SOLUTION hw4.4


@gpu_function
def _slopes(x, n, c, i, j):
    """Return r, d and v of a place."""
    ### BEGIN SOLUTION hw4.4
    here = float64(x[n, c, i, j])
    r = x[n, c, i, j + 1] - here if j + 1 < x.shape[3] else 0.0
    d = x[n, c, i + 1, j] - here if i + 1 < x.shape[2] else 0.0
    return r, d, r * r + d * d
    ### END SOLUTION hw4.4


@gpu_function
def _slope(v, beta):
    """Return dv^(beta/2)/dr / r."""
    ### BEGIN SOLUTION hw4.4
    return 2 * GUARD ** (beta / 2 - 1) if beta < 2 and v < GUARD else 2.0 if beta == 2 else beta * v ** (beta / 2 - 1)
    ### END SOLUTION hw4.4


@cuda_jit("T4 d d1")
def total_variation_forward_kernel(x, beta, terms):
    """A thread a place: its term of the sum."""
    ### BEGIN SOLUTION hw4.4
    at, (C, H, W) = cuda.grid(1), x.shape[1:]
    if at < x.size:
        v = _slopes(x, at // (C * H * W), at // (H * W) % C, at // W % H, at % W)[2]
        terms[at] = v * GUARD ** (beta / 2 - 1) if beta < 2 and v < GUARD else v if beta == 2 else v ** (beta / 2)
    ### END SOLUTION hw4.4


def total_variation_forward_cuda(x, beta):
    terms = DeviceArray((1, x.size), np.float64)
    total_variation_forward_kernel.launch(*threads_for(x.size), x, beta, terms)
    return sum_forward_cuda(terms)


@cuda_jit("T4 d T4")
def total_variation_backward_kernel(x, beta, dx):
    """A thread a pixel, which collects from its own slopes, those of its left and those of its upper neighbour."""
    ### BEGIN SOLUTION hw4.4
    at, (C, H, W) = cuda.grid(1), x.shape[1:]
    if at < x.size:
        n, c, i, j = at // (C * H * W), at // (H * W) % C, at // W % H, at % W
        r, d, v = _slopes(x, n, c, i, j)
        total = -_slope(v, beta) * (r + d)
        if j > 0:
            r, d, v = _slopes(x, n, c, i, j - 1)
            total += _slope(v, beta) * r
        if i > 0:
            r, d, v = _slopes(x, n, c, i - 1, j)
            total += _slope(v, beta) * d
        dx[n, c, i, j] = total
    ### END SOLUTION hw4.4


KERNELS = {
    "ref": {"forward": total_variation_forward_ref, "backward": total_variation_backward_ref},
    "cpu": {"forward": total_variation_forward_cpu, "backward": total_variation_backward_cpu},
    "cuda": {"forward": total_variation_forward_cuda, "backward": each(total_variation_backward_kernel)},
}


class TotalVariation(Op):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.x, ctx.beta = x, beta
        return pick(KERNELS)["forward"](x, beta).astype(x.dtype).reshape(())

    @staticmethod
    def backward(ctx, dout):
        return (pick(ARITHMETIC)["mul_forward"](dout, pick(KERNELS)["backward"](ctx.x, ctx.beta)),)


def total_variation(x, beta=2.0):
    """Return the total variation of `x` (N, C, H, W), summed over all images and channels: a Tensor without axes."""
    check_ndim("total_variation", "x", x, 4, "(N, C, H, W)")
    if not beta > 0:
        raise ShapeError(f"total_variation: beta is {beta!r}, expected a power above 0")
    return TotalVariation.apply(x, beta=float(beta))
