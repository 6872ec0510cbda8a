"""dL/dw of 3 x 3 filters with a quarter of the multiplications: the chain rule, followed back through winograd.py.

There, with U = G g G^T of the filters and V = B^T d B of the patches, M[p, f, t] = sum_c U[p, f, c] V[p, c, t] at each of 36
points p, and a tile of outputs is Y = A^T M A. Every step is linear, so going back each matrix is transposed:

    dL/dM = A (dL/dY) A^T                               4 x 4 gradients of a tile t become 36
    dL/dU[p, f, c] = sum_t dL/dM[p, f, t] V[p, c, t]    a matrix product over all tiles of the batch
    dL/dg = G^T (dL/dU) G                               36 numbers of a filter become 9

The sum goes over tiles, so here a vector is LANES channels at one pixel: pictures are turned from (C, H, W) to (H, W, C), a
strip of tiles at a time. After that no number has to change its lane. Always with the points of F(4x4), whatever the forward
pass used; float32 loses a digit as it does there (4e-5 of the largest gradient, the most seen next to torch).
Shapes: x (N, C, H, W), dout (N, F, OH, OW), w (F, C, 3, 3).
"""
import math

import numba
import numpy as np
from numba import prange

from ..jit import jit
from ..simd import LANES, load, load_within, store, transpose
from .gemm import ROWS, multiply
from .winograd import WIDTH, _input_points

HEIGHT = math.lcm(ROWS, LANES)      # filters in a block of dL/dM: whole vectors, and whole rows of `multiply`
PART = 2 ** 20                      # numbers of V and dL/dM that are in use at a time, which stay in the cache


@numba.njit
def _gradient_points(y0, y1, y2, y3):
    """A y"""
    even, odd, more_even, more_odd = y0 + y2, y1 + y3, y0 + 4. * y2, 2. * y1 + 8. * y3
    return y0, even + odd, even - odd, more_even + more_odd, more_even - more_odd, y3


@numba.njit
def _taps(u0, u1, u2, u3, u4, u5):
    """G^T u"""
    a, b, c, d = u1 + u2, u2 - u1, u3 + u4, u3 - u4
    sixth = 1 / 6
    return .25 * u0 - sixth * a + .25 * sixth * c, sixth * b + .5 * sixth * d, sixth * (c - a) + u5


@numba.njit
def _strip(x, channel, top, left, tile, strip):
    """strip[q, left + j, lane] = x[channel + lane, top + q, j]: rows of LANES channels, turned. Outside of x are zeros."""
    C, H, W = x.shape
    for q in range(len(strip)):
        h = top + q
        if h < 0 or h >= H:
            strip[q] = 0
            continue
        for j in range(0, W, LANES):
            for lane in range(LANES):                   # beyond the last channel: any, nobody looks at it
                store(tile, (lane, 0), load_within(x, (min(C - 1, channel + lane), h, j), W))
            transpose(tile)
            for k in range(min(LANES, W - j)):
                store(strip, (q, left + j + k, 0), load(tile, k, 0))


@numba.njit
def _input_strip(strip, half, V, block, at, tile):
    """B^T d B for the tiles of a strip, to V (36, blocks, tiles, WIDTH)."""
    across = strip.shape[1] // 4
    for j in range(4 * across + 2):
        out = _input_points(load(strip, 0, j, 0), load(strip, 1, j, 0), load(strip, 2, j, 0), load(strip, 3, j, 0),
                            load(strip, 4, j, 0), load(strip, 5, j, 0))
        for r in range(6):
            store(half, (r, j, 0), out[r])
    for j in range(across):
        for r in range(6):
            out = _input_points(load(half, r, 4 * j, 0), load(half, r, 4 * j + 1, 0), load(half, r, 4 * j + 2, 0),
                                load(half, r, 4 * j + 3, 0), load(half, r, 4 * j + 4, 0), load(half, r, 4 * j + 5, 0))
            for s in range(6):
                store(V, (6 * r + s, block, tile + j, at), out[s])


@numba.njit
def _gradient_strip(strip, half, M, block, at, tile):
    """A (dL/dY) A^T for the tiles of a strip, to M (36, blocks, tiles, HEIGHT)."""
    across = strip.shape[1] // 4
    for j in range(4 * across):
        out = _gradient_points(load(strip, 0, j, 0), load(strip, 1, j, 0), load(strip, 2, j, 0), load(strip, 3, j, 0))
        for r in range(6):
            store(half, (r, j, 0), out[r])
    for j in range(across):
        for r in range(6):
            out = _gradient_points(load(half, r, 4 * j, 0), load(half, r, 4 * j + 1, 0), load(half, r, 4 * j + 2, 0),
                                   load(half, r, 4 * j + 3, 0))
            for s in range(6):
                store(M, (6 * r + s, block, tile + j, at), out[s])


def winograd_weight_cpu(x, dout, padding, V, M, dU):
    """dU (36, filters, channels) += the sum of dL/dM V^T over the tiles of some images; V and M are room for these.

    Parallel over (image, LANES channels), then over (image, LANES filters), then over (point, half of the filters): tasks write
    different places of V, of M, and of dU, and a sum goes over the tiles in order.
    """
    (N, F, OH, OW), C = dout.shape, x.shape[1]
    down, across = (OH + 3) // 4, (OW + 3) // 4
    vectors = (C + LANES - 1) // LANES
    for task in prange(N * vectors):
        n, c = task // vectors, task % vectors * LANES
        tile, strip = np.empty((LANES, LANES), x.dtype), np.zeros((6, 4 * across + 2, LANES), x.dtype)
        half = np.empty((6, 4 * across + 2, LANES), x.dtype)
        for i in range(down):
            _strip(x[n], c, 4 * i - padding, padding, tile, strip)
            _input_strip(strip, half, V, c // WIDTH, c % WIDTH, (n * down + i) * across)
    vectors = (F + LANES - 1) // LANES
    for task in prange(N * vectors):
        n, f = task // vectors, task % vectors * LANES
        tile, strip = np.empty((LANES, LANES), x.dtype), np.zeros((4, 4 * across, LANES), x.dtype)
        half = np.empty((6, 4 * across, LANES), x.dtype)
        for i in range(down):
            _strip(dout[n], f, 4 * i, 0, tile, strip)
            _gradient_strip(strip, half, M, f // HEIGHT, f % HEIGHT, (n * down + i) * across)
    blocks, count = (F + ROWS - 1) // ROWS, N * down * across
    for task in prange(2 * len(dU)):
        p = task // 2
        for block in range(task % 2 * blocks // 2, (task % 2 + 1) * blocks // 2):
            f = block * ROWS
            for c in range(V.shape[1]):
                multiply(M[p, f // HEIGHT, :count, f % HEIGHT:f % HEIGHT + ROWS], V[p, c, :count],
                         dU[p, f:f + ROWS, c * WIDTH:(c + 1) * WIDTH], True)
    return dU


def winograd_taps_cpu(dU, dw):
    """dw (F, C, 3, 3) = G^T dU G. Parallel over filters; a task writes its own."""
    F, C = dw.shape[:2]
    for f in prange(F):
        half, taps = np.empty((3, 6, LANES), dw.dtype), np.empty((9, LANES), dw.dtype)
        for c in range(0, C, LANES):
            for s in range(6):
                out = _taps(load(dU, s, f, c), load(dU, 6 + s, f, c), load(dU, 12 + s, f, c), load(dU, 18 + s, f, c),
                            load(dU, 24 + s, f, c), load(dU, 30 + s, f, c))
                for k in range(3):
                    store(half, (k, s, 0), out[k])
            for k in range(3):
                out = _taps(load(half, k, 0, 0), load(half, k, 1, 0), load(half, k, 2, 0), load(half, k, 3, 0),
                            load(half, k, 4, 0), load(half, k, 5, 0))
                for l in range(3):
                    store(taps, (3 * k + l, 0), out[l])
            for lane in range(min(LANES, C - c)):
                for k in range(9):
                    dw[f, c + lane, k // 3, k % 3] = taps[k, lane]
    return dw


_products, _gradients = jit(winograd_weight_cpu), jit(winograd_taps_cpu)


def winograd_backward_weight(dout, x, w_shape, padding):
    """Return dL/dw of a convolution with 3 x 3 filters, stride 1: a part of the batch at a time, which stays in the cache."""
    ### BEGIN SOLUTION hw1.4
    (F, C), N = w_shape[:2], len(x)
    tiles = -(-dout.shape[2] // 4) * -(-dout.shape[3] // 4)
    V_blocks, M_blocks = -(-C // WIDTH), -(-F // HEIGHT)
    numbers = 36 * tiles * (V_blocks * WIDTH + M_blocks * HEIGHT)           # of an image
    parts = min(N, -(-N * numbers // PART))
    images = -(-N // parts)
    V = np.zeros((36, V_blocks, images * tiles + 1, WIDTH), x.dtype)        # + 1: powers of two share places in the cache
    M = np.zeros((36, M_blocks, images * tiles + 1, HEIGHT), x.dtype)
    dU = np.zeros((36, M_blocks * HEIGHT, V_blocks * WIDTH), x.dtype)
    for n in range(0, N, images):
        _products(x[n:n + images], dout[n:n + images], padding, V, M, dU)
    return _gradients(dU, np.empty(w_shape, x.dtype))
    ### END SOLUTION hw1.4
