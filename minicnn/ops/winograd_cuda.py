"""Winograd's convolution F(4x4, 3x3) on a GPU: the same points and formulas as in winograd.py, a thread for each tile.

    U[p, f, c] = (G g_fc G^T)[p]      V[p, c, t] = (B^T d_ct B)[p]      M[p, f, t] = sum_c U[p, f, c] V[p, c, t]      Y = A^T M A

for the 36 points p; M is a batch of 36 matrix products (gemm_cuda.py). Neighbouring threads have neighbouring tiles t, so that
what they write of V, and read of M, is one piece of memory. U is kept with the filters.
"""
from numba import cuda, float64

from ..device import DeviceArray, cuda_jit, gpu_function, threads_for
from .frozen import once
from .gemm_cuda import matmul_cuda


@gpu_function
def _whole_numbers(n):
    """Write 0, 1, 2, ... to n, as numbers of its type: Numba takes a 4 in a formula for float64, which GPUs are slow at."""
    for i in range(len(n)):
        n[i] = i


@gpu_function
def input_points(d0, d1, d2, d3, d4, d5, n):
    """B^T d"""
    a, b, c, e = d4 - n[4] * d2, d3 - n[4] * d1, d4 - d2, n[2] * (d3 - d1)
    return n[4] * d0 - n[5] * d2 + d4, a + b, a - b, c + e, c - e, n[4] * d1 - n[5] * d3 + d5


@gpu_function
def outputs(m0, m1, m2, m3, m4, m5, n):
    """A^T m"""
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + n[2] * d, a + n[4] * c, b + n[8] * d + m5


@gpu_function
def filter_points(g0, g1, g2):
    """G g, in float64: it is done once for a filter."""
    even, odd, middle = g0 + g2, g0 / 24 + g2 / 6, g1 / 12
    return g0 / 4, -(even + g1) / 6, -(even - g1) / 6, odd + middle, odd - middle, g2


@cuda_jit("T4 n T3")
def winograd_filters_kernel(w, turned, U):
    """A thread a filter's channel (f, c): U (36, F, C). turned: w is (C, F, 3, 3), and by 180 degrees."""
    i, (F, C) = cuda.grid(1), U.shape[1:]
    if i < F * C:
        f, c = i // C, i % C
        half = cuda.local.array((6, 3), float64)
        for l in range(3):
            if turned:
                column = filter_points(w[c, f, 2, 2 - l], w[c, f, 1, 2 - l], w[c, f, 0, 2 - l])
            else:
                column = filter_points(w[f, c, 0, l], w[f, c, 1, l], w[f, c, 2, l])
            half[0, l], half[1, l], half[2, l], half[3, l], half[4, l], half[5, l] = column
        for r in range(6):
            U[6 * r, f, c], U[6 * r + 1, f, c], U[6 * r + 2, f, c], U[6 * r + 3, f, c], U[6 * r + 4, f, c], U[6 * r + 5, f, c] = \
                filter_points(half[r, 0], half[r, 1], half[r, 2])


@cuda_jit("T4 n n n T3")
def winograd_input_kernel(x, padding, down, across, V):
    """A thread a tile of a channel (c, t): it reads a patch of 6 x 6 pixels, 0 outside of the picture. V (36, C, tiles)."""
    i, (C, T), (H, W) = cuda.grid(1), V.shape[1:], x.shape[2:]
    if i < C * T:
        c, t = i // T, i % T
        n, top, left = t // (down * across), t // across % down * 4 - padding, t % across * 4 - padding
        half, d, h = cuda.local.array((6, 6), x.dtype), cuda.local.array(6, x.dtype), cuda.local.array(6, x.dtype)
        numbers = cuda.local.array(6, x.dtype)
        _whole_numbers(numbers)
        for l in range(6):
            for k in range(6):
                d[k] = x[n, c, top + k, left + l] if 0 <= top + k < H and 0 <= left + l < W else numbers[0]
            h[0], h[1], h[2], h[3], h[4], h[5] = input_points(d[0], d[1], d[2], d[3], d[4], d[5], numbers)
            for r in range(6):
                half[r, l] = h[r]
        for r in range(6):
            V[6 * r, c, t], V[6 * r + 1, c, t], V[6 * r + 2, c, t], V[6 * r + 3, c, t], V[6 * r + 4, c, t], V[6 * r + 5, c, t] = \
                input_points(half[r, 0], half[r, 1], half[r, 2], half[r, 3], half[r, 4], half[r, 5], numbers)


@cuda_jit("T3 T1 n n T4")
def winograd_output_kernel(M, bias, down, across, out):
    """A thread a tile of a filter (f, t): it writes 4 x 4 outputs, fewer at the border. M (36, F, N down across)."""
    i, (F, T), (OH, OW) = cuda.grid(1), M.shape[1:], out.shape[2:]
    if i < F * T:
        f, t = i // T, i % T
        n, top, left = t // (down * across), t // across % down * 4, t % across * 4
        half, y, numbers = cuda.local.array((4, 6), M.dtype), cuda.local.array(4, M.dtype), cuda.local.array(9, M.dtype)
        _whole_numbers(numbers)
        shift = bias[f] if len(bias) else numbers[0]
        for s in range(6):
            half[0, s], half[1, s], half[2, s], half[3, s] = outputs(M[s, f, t], M[6 + s, f, t], M[12 + s, f, t], M[18 + s, f, t],
                                                                     M[24 + s, f, t], M[30 + s, f, t], numbers)
        for r in range(4):
            y[0], y[1], y[2], y[3] = outputs(half[r, 0], half[r, 1], half[r, 2], half[r, 3], half[r, 4], half[r, 5], numbers)
            for s in range(4):
                if top + r < OH and left + s < OW:
                    out[n, f, top + r, left + s] = y[s] + shift


def _filters(w, turned):
    """Return U of w; once, since nobody writes to arrays on the GPU."""
    F, C = w.shape[:2][::-1] if turned else w.shape[:2]
    U = DeviceArray((36, F, C), w.dtype)
    winograd_filters_kernel.launch(*threads_for(F * C), w, turned, U)
    return U


def winograd(x, w, b, padding, turned=False):
    """Return the convolution (N, F, OH, OW) of x (N, C, H, W) with 3 x 3 filters one pixel apart; turned: as dL/dx needs it."""
    ### BEGIN SOLUTION hw1.2
    U = once(w, ("winograd", turned), lambda w: _filters(w, turned))
    (N, C, H, W), F = x.shape, U.shape[1]
    out = DeviceArray((N, F, H + 2 * padding - 2, W + 2 * padding - 2), x.dtype)
    down, across = -(-out.shape[2] // 4), -(-out.shape[3] // 4)
    V = DeviceArray((36, C, N * down * across), x.dtype)
    winograd_input_kernel.launch(*threads_for(C * V.shape[2]), x, padding, down, across, V)
    M = matmul_cuda(U, V)
    bias = DeviceArray((0,), x.dtype) if b is None else b
    winograd_output_kernel.launch(*threads_for(F * V.shape[2]), M, bias, down, across, out)
    return out
    ### END SOLUTION hw1.2
