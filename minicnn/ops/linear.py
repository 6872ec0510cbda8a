"""Fully connected layer: every output sees every input.

    y[n, m] = b[m] + sum_d w[m, d] x[n, d]                      y = x w^T + b

    dL/dx = dL/dy w;   dL/dw = dL/dy^T x;   dL/db[m] = sum over n of dL/dy[n, m]

Shapes: x (..., D), w (M, D), b (M,), y (..., M); all leading axes together are N. float32 or float64. With one image the
work is reading w once (VGG's fc6: 411 MB), so the tiles below are laid out such that all cores read at the same time.
Names as torch.nn.functional.linear.
"""
import math

import numba
import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import THREADS, DeviceArray, cuda_jit
from ..errors import ShapeError
from ..jit import jit
from .arithmetic import KERNELS as ARITHMETIC
from .gemm_cuda import matmul_cuda, parts_of
from .op import Op, filled, shape_of
from .reductions import block_total, sum_over_cuda, sum_over_ref


def linear_forward_ref(x, w, b):
    """The definition: one output at a time, the sum of the input times a row of w."""
    out = np.empty((len(x), len(w)), x.dtype)
    for n, m in np.ndindex(out.shape):
        out[n, m] = np.sum(w[m] * x[n]) + b[m]
    return out


def linear_backward_input_ref(dout, w):
    """The definition: each output hands dL/dy times its row of w back to the input."""
    dx = np.zeros((len(dout), w.shape[1]), dout.dtype)
    for n, m in np.ndindex(dout.shape):
        dx[n] += dout[n, m] * w[m]
    return dx


def linear_backward_weight_ref(dout, x):
    """The definition: each output hands dL/dy times the input that it saw to its row of w."""
    dw = np.zeros((dout.shape[1], x.shape[1]), dout.dtype)
    for n, m in np.ndindex(dout.shape):
        dw[m] += dout[n, m] * x[n]
    return dw


@numba.njit
def _matrix_by_vector(a, v):
    """BLAS's product, in a function of its own: where there is a prange, Numba takes it apart into slow loops."""
    return np.dot(a, v)


def linear_forward_cpu(x, w, b):
    """x w^T in tiles of 256 inputs by 64 outputs with BLAS.

    Parallel over the tiles; a task writes its own tile of out, so there is no race, and each sum over d is one BLAS
    call on a tile fixed by the shapes. Fast because 64 rows of w are one contiguous piece of memory.
    """
    N, M = len(x), len(w)
    blocks = (M + 63) // 64
    out = np.empty((N, M), x.dtype)
    for task in prange((N + 255) // 256 * blocks):
        top, left = task // blocks * 256, task % blocks * 64
        if N == 1:
            out[0, left:left + 64] = _matrix_by_vector(w[left:left + 64], x[0]) + b[left:left + 64]
        else:
            product = np.dot(x[top:top + 256], w[left:left + 64].T)
            out[top:top + 256, left:left + 64] = product + b[left:left + 64]
    return out


def linear_backward_input_cpu(dout, w):
    """dL/dy w in tiles of 64 images; for few images the rows of w are dealt out as well, in up to 16 parts.

    Parallel over (tile, part); a task writes its own partial sum, so there is no race. How many parts there are depends
    on the shapes alone and they are added in order: the same sums for any number of threads. Fast because each core
    reads rows of w from end to end.
    """
    N, (M, D) = len(dout), w.shape
    parts = max(1, min(16, M // 64, 256 // max(N, 1)))          # at most 256 rows of partial sums
    height = (M + parts - 1) // parts
    partial = np.empty((parts, N, D), dout.dtype)
    for task in prange((N + 63) // 64 * parts):
        top, part = task // parts * 64, task % parts
        begin, end = part * height, min(M, (part + 1) * height)
        if N == 1:
            partial[part, 0] = np.dot(dout[0, begin:end], w[begin:end])
        else:
            partial[part, top:top + 64] = np.dot(dout[top:top + 64, begin:end].copy(), w[begin:end])
    dx = partial[0]
    for part in range(1, parts):
        dx += partial[part]
    return dx


def linear_backward_weight_cpu(dout, x):
    """dL/dy^T x in blocks of 64 rows with BLAS.

    Parallel over the blocks; a task writes its own rows of dw and sums over all images in one BLAS call: no race.
    """
    M = dout.shape[1]
    across = dout.T.copy()                                      # (M, N): the rows of a block in one piece
    dw = np.empty((M, x.shape[1]), dout.dtype)
    for block in prange((M + 63) // 64):
        dw[block * 64:block * 64 + 64] = np.dot(across[block * 64:block * 64 + 64], x)
    return dw


def linear_backward_bias_ref(dout):
    return sum_over_ref(dout, (0,))


@cuda_jit("T1 T2 T1 T1")
def linear_forward_kernel(x, w, b, out):
    """One image: a block an output, whose threads read a row of w together and add up their shares."""
    m, total = cuda.blockIdx.x, 0.0
    for d in range(cuda.threadIdx.x, w.shape[1], THREADS):
        total += w[m, d] * x[d]
    total = block_total(total)
    if cuda.threadIdx.x == 0:
        out[m] = total + b[m]


def linear_forward_cuda(x, w, b):
    """Several images: x w^T, in parts of the long sums while images are few, else the product w x^T, turned (gemm_cuda.py)."""
    (N, D), M = x.shape, len(w)
    if N == 1:
        out = DeviceArray((N, M), x.dtype)
        linear_forward_kernel.launch(M, THREADS, x, w, b, out)
        return out
    w, x = w.reshape(1, M, D), x.reshape(1, N, D)
    if parts_of(N, M, D, 1) > 1:
        return ARITHMETIC["cuda"]["add_forward"](matmul_cuda(x, w, b_turned=True).reshape(N, M), b)
    return matmul_cuda(w, x, b_turned=True, bias=b, c_turned=True).reshape(N, M)


def linear_backward_input_cuda(dout, w):
    """dL/dy w, in parts of the sums over the outputs while images are few."""
    (N, M), D = dout.shape, w.shape[1]
    return matmul_cuda(dout.reshape(1, N, M), w.reshape(1, M, D)).reshape(N, D)


def linear_backward_weight_cuda(dout, x):
    return matmul_cuda(dout.reshape(1, *dout.shape), x.reshape(1, *x.shape), a_turned=True).reshape(dout.shape[1], x.shape[1])


def linear_backward_bias_cuda(dout):
    return sum_over_cuda(dout, (0,))


KERNELS = {
    "ref": {"forward": linear_forward_ref,
            "backward_input": linear_backward_input_ref,
            "backward_weight": linear_backward_weight_ref,
            "backward_bias": linear_backward_bias_ref},
    "cpu": {"forward": jit(linear_forward_cpu, blas=True),
            "backward_input": jit(linear_backward_input_cpu, blas=True),
            "backward_weight": jit(linear_backward_weight_cpu, blas=True),
            "backward_bias": linear_backward_bias_ref},
    "cuda": {"forward": linear_forward_cuda,
             "backward_input": linear_backward_input_cuda,
             "backward_weight": linear_backward_weight_cuda,
             "backward_bias": linear_backward_bias_cuda},
}


class Linear(Op):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.w, ctx.lead = w, x.shape[:-1]
        rows = x.reshape(math.prod(ctx.lead), x.shape[-1])              # (N, D)
        ctx.x = rows if ctx.needs_grad[1] else None
        bias = filled(0, len(w), w.dtype) if b is None else b
        return pick(KERNELS)["forward"](rows, w, bias).reshape(*ctx.lead, len(w))

    @staticmethod
    def backward(ctx, dout):
        dx = dw = db = None
        dout = dout.reshape(math.prod(ctx.lead), len(ctx.w))            # (N, M)
        if ctx.needs_grad[0]:
            dx = pick(KERNELS)["backward_input"](dout, ctx.w).reshape(*ctx.lead, ctx.w.shape[1])
        if ctx.needs_grad[1]:
            dw = pick(KERNELS)["backward_weight"](dout, ctx.x)
        if ctx.needs_grad[2]:
            db = pick(KERNELS)["backward_bias"](dout)
        return dx, dw, db


def linear(x, w, b=None):
    """Return `x` (..., D) times the rows of `w` (M, D) plus the bias `b` (M,): Tensor (..., M)."""
    x_shape, w_shape = shape_of(x), shape_of(w)
    if len(w_shape) != 2:
        raise ShapeError(f"linear: w has shape {w_shape}, expected 2 axes (M, D)")
    if not x_shape or x_shape[-1] != w_shape[1]:
        raise ShapeError(f"linear: x has shape {x_shape}, w expects a last axis of {w_shape[1]}"
                         + (" (flatten the picture first)" if len(x_shape) == 4 else ""))
    if b is not None and shape_of(b) != w_shape[:1]:
        raise ShapeError(f"linear: b has shape {shape_of(b)}, expected {w_shape[:1]}, a number per row of w")
    return Linear.apply(x, w, b)
