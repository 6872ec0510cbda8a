"""The matrix product on a GPU, and all that is one in disguise: linear layers, convolutions, their gradients, Gram matrices.

    c[m, n] = bias[m] + sum over k of a[m, k] b[k, n]

The ladder, from what one would write first to what is fast. A multiply-add takes a thread one step; a number from the GPU's
memory takes hundreds, and only so many can be on their way. So what counts is how often a number is used once it is here.

    rung                    loads from the GPU's memory    loads from shared memory    for each multiply-add
    naive                   2                              -
    tiled                   2 / TILE                       2
    register-blocked        2 / TILE                       2 / EACH

naive: a thread an output. Neighbouring threads read neighbouring columns of b, one piece of memory, and all the same a.
tiled: a block makes TILE x TILE outputs. Its threads copy TILE x DEPTH numbers of a and DEPTH x TILE of b to shared memory, the
chip's own, wait for each other, and use each number TILE times.
register-blocked: the same, but a thread makes EACH x EACH outputs, whose sums stay in registers: of 2 EACH numbers from shared
memory it makes EACH^2 products. While it does, the next tiles are already on their way from the GPU's memory to registers.

Where numbers lie is said by tables, so that transposed matrices, and windows of a picture, need no copy:

    a[m, k] = a[at_m[0, m] + at_k[0, k]],   b[k, n] = b[at_k[1, k] + at_n[0, n]],   c[m, n] = c[at_m[1, m] + at_n[1, n]]

A convolution is this product with k = (channel, row, column of the filter) and n = (picture, row, column of the output): the
pixel of a window lies at the sum of what k says and what n says. So the matrix of all windows is never written down.
Sums run over k in order; the same bits each time. float32 is exact float32 (no TF32), float64 uses smaller tiles.
Source: V. Volkov and J. Demmel 2008; the ladder as in S. Boehm, "How to Optimize a CUDA Matmul Kernel", 2022.
"""
import functools
import math

import numpy as np
from numba import cuda, int32, uint32, uint64

from ..device import SIMULATED, DeviceArray, cuda_jit, gpu_function, processors, small, smaller, to_device
from .reductions import sum_over_cuda

DEPTH = 4 if SIMULATED else 8               # rows of b and columns of a in a tile
BIG, SMALL = ((8, 4), (4, 2)) if SIMULATED else ((128, 8), (64, 4))         # (TILE, EACH)
SPAN = 64 if SIMULATED else 512             # least length of a part of a sum


@cuda_jit("T2 T2 T2")
def matmul_naive_kernel(a, b, c):
    """First rung, a (M, K), b (K, N), c (M, N): a thread an output."""
    n, m = cuda.grid(2)
    if m < c.shape[0] and n < c.shape[1]:
        total = c.dtype.type(0)
        for k in range(b.shape[0]):
            total += a[m, k] * b[k, n]
        c[m, n] = total


TILE = 4 if SIMULATED else 16


@cuda_jit("T2 T2 T2")
def matmul_tiled_kernel(a, b, c):
    """Second rung: a block of TILE x TILE threads shares what it loads. All wait before tiles are read, and before the next."""
    a_tile = cuda.shared.array((TILE, TILE), a.dtype)
    b_tile = cuda.shared.array((TILE, TILE), a.dtype)
    n, m = cuda.grid(2)
    i, j, total = cuda.threadIdx.y, cuda.threadIdx.x, c.dtype.type(0)
    for k in range(0, b.shape[0], TILE):
        a_tile[i, j] = a[m, k + j] if m < c.shape[0] and k + j < b.shape[0] else a.dtype.type(0)
        b_tile[i, j] = b[k + i, n] if k + i < b.shape[0] and n < c.shape[1] else a.dtype.type(0)
        cuda.syncthreads()
        for l in range(TILE):
            total += a_tile[i, l] * b_tile[l, j]
        cuda.syncthreads()
    if m < c.shape[0] and n < c.shape[1]:
        c[m, n] = total


def movers(tile, count):
    """Make what copies tiles with so many threads: `load` from the GPU's memory to registers, `keep` to shared memory.

    Counting without a sign, as everywhere here: below 0 an index would count from the end, and asking takes time.
    """
    tile, count, depth, loads = (np.uint64(n) for n in (tile, count, DEPTH, tile * DEPTH // count))

    @gpu_function
    def look_up(table, first, by_k, places):
        """Find where the rows (or columns) lie of which this thread loads numbers; beyond the end any."""
        for r in range(loads):
            e = uint64(cuda.threadIdx.x) + r * count
            places[r] = table[0, smaller(first + (e // depth if by_k else e % tile), uint64(table.shape[1] - 1))]

    @gpu_function
    def load(x, places, at_k, start, end, by_k, numbers):
        """Load this thread's numbers of a tile, 0 beyond the end of k."""
        for r in range(loads):
            e = uint64(cuda.threadIdx.x) + r * count
            k = start + (e % depth if by_k else e // tile)
            numbers[r] = 0
            if k < end:
                numbers[r] = x[uint32(places[r] + at_k[k])]

    @gpu_function
    def keep(numbers, by_k, half, tiles):
        """Write them to shared memory."""
        for r in range(loads):
            e = uint64(cuda.threadIdx.x) + r * count
            if by_k:
                tiles[half, e % depth, e // depth] = numbers[r]
            else:
                tiles[half, e // tile, e % tile] = numbers[r]
    return look_up, load, keep


def multiplier(each, across):
    """Make what multiplies two tiles. Thread (i, j) makes rows i each, i each + 1, ... and columns j, j + across, ... of c."""
    size, each, across, depth, two = each, np.uint64(each), np.uint64(across), np.uint64(DEPTH), np.uint64(2)

    @gpu_function
    def multiply(a_tiles, b_tiles, half, sums):
        column, row = cuda.local.array(size, a_tiles.dtype), cuda.local.array(size, a_tiles.dtype)
        top, left = uint64(cuda.threadIdx.x) // across * each, uint64(cuda.threadIdx.x) % across
        for pair in range(depth // two):            # by twos, which the compiler writes out: less counting
            for k in range(two * pair, two * pair + two):
                for i in range(each):
                    column[i] = a_tiles[half, k, top + i]
                    row[i] = b_tiles[half, k, left + across * i]
                for i in range(each):
                    for j in range(each):
                        sums[i, j] += column[i] * row[j]
    return multiply


def writer(tile, each, across):
    """Make what adds the bias and writes a thread's sums, but those beyond the end of c."""
    @gpu_function
    def write(sums, bias, batch, at_m, at_n, c):
        rows, columns = cuda.local.array(each, int32), cuda.local.array(each, int32)
        shift = cuda.local.array(each, bias.dtype)
        for i in range(each):               # first all places, so that the loops below are short enough to be written out
            m = cuda.blockIdx.y * tile + cuda.threadIdx.x // across * each + i
            n = cuda.blockIdx.x * tile + cuda.threadIdx.x % across + across * i
            rows[i] = at_m[1, m] if m < at_m.shape[1] else -1
            columns[i] = at_n[1, n] if n < at_n.shape[1] else -1
            shift[i] = 0
            if len(bias) and m < at_m.shape[1]:
                shift[i] = bias[batch * at_m.shape[1] + m]
        for i in range(each):
            for j in range(each):
                if rows[i] >= 0 and columns[j] >= 0:
                    c[rows[i] + columns[j]] = sums[i, j] + shift[i]
    return write


def register_blocked(tile, each, a_by_k, b_by_k):
    """Make the third rung. a_by_k: whether neighbours along k lie side by side in a, so that neighbouring threads load those."""
    ACROSS = tile // each                   # threads along a side of the tile
    LOADS = tile * DEPTH // ACROSS ** 2
    PITCH = tile + 4                        # of a row of a tile: numbers that neighbours write fall into different banks
    look_up, load, keep = movers(tile, ACROSS ** 2)
    multiply, write = multiplier(each, ACROSS), writer(tile, each, ACROSS)
    TILE, STEP, ONE = np.uint64(tile), np.uint64(DEPTH), np.uint64(1)

    @cuda_jit("T1 T1 T1 i2 i2 i2 l1 T1")
    def product_kernel(a, b, bias, at_m, at_n, at_k, steps, c):
        """Block (column, row, part): a tile of c. steps: of a, b and c from one matrix of a batch to the next; parts; their span.

        Two tiles of each matrix are in shared memory in turns: one is read while the other is written.
        """
        a_tiles = cuda.shared.array((2, DEPTH, PITCH), a.dtype)
        b_tiles = cuda.shared.array((2, DEPTH, PITCH), a.dtype)
        next_a, next_b = cuda.local.array(LOADS, a.dtype), cuda.local.array(LOADS, a.dtype)
        from_a, from_b = cuda.local.array(LOADS, int32), cuda.local.array(LOADS, int32)
        sums = cuda.local.array((each, each), a.dtype)
        for i in range(each):
            for j in range(each):
                sums[i, j] = 0
        batch, part = cuda.blockIdx.z // steps[3], cuda.blockIdx.z % steps[3]
        a, b, c = a[batch * steps[0]:], b[batch * steps[1]:], c[cuda.blockIdx.z * steps[2]:]
        top, left, half = uint64(cuda.blockIdx.y) * TILE, uint64(cuda.blockIdx.x) * TILE, ONE - ONE
        begin, end = uint64(part * steps[4]), uint64(smaller((part + 1) * steps[4], at_k.shape[1]))
        look_up(at_m, top, a_by_k, from_a)
        look_up(at_n, left, b_by_k, from_b)
        load(a, from_a, at_k[0], begin, end, a_by_k, next_a)
        load(b, from_b, at_k[1], begin, end, b_by_k, next_b)
        for k in range(begin, end, STEP):
            keep(next_a, a_by_k, half, a_tiles)
            keep(next_b, b_by_k, half, b_tiles)
            cuda.syncthreads()
            load(a, from_a, at_k[0], k + STEP, end, a_by_k, next_a)         # they come while the products are made
            load(b, from_b, at_k[1], k + STEP, end, b_by_k, next_b)
            multiply(a_tiles, b_tiles, half, sums)
            half = ONE - half
        write(sums, bias, batch, at_m, at_n, c)
    return product_kernel


PRODUCTS = {(*size, *by_k): register_blocked(*size, *by_k)
            for size in (BIG, SMALL) for by_k in ((True, False), (True, True), (False, False), (False, True))}


@functools.lru_cache(maxsize=512)
def table(first, second):
    """Return two rows of places, (2, count) int32, each the sums over axes of (how many, how far apart[, where it begins])."""
    return to_device(np.stack([_places(first), _places(second)]))


def _places(axes):
    at = np.zeros(1, np.int64)
    for count, step, *begin in axes:
        at = np.add.outer(at, np.arange(count) * step + (begin[0] if begin else 0)).reshape(-1)
    return at.astype(np.int32)


def product(a, b, c, tables, bias=None, batch=1, steps=(0, 0, 0), a_by_k=True, b_by_k=False):
    """Write the product to the DeviceArray c and return it; `tables` (at_m, at_n, at_k) say what lies where.

    With a batch, the k-th matrices lie k `steps` further; bias (batch M,) or None.
    """
    bias = DeviceArray((0,), a.dtype) if bias is None else bias
    M, N, K = (t.shape[1] for t in tables)
    blocks = {size: (-(-N // size[0]), -(-M // size[0]), batch) for size in (BIG, SMALL)}
    size = BIG if a.dtype == np.float32 and math.prod(blocks[BIG]) >= processors() else SMALL
    PRODUCTS[(*size, a_by_k, b_by_k)].launch(blocks[size], (size[0] // size[1]) ** 2, a, b, bias, *tables, small(*steps, 1, K), c)
    return c


def long_product(a, b, shape, tables, batch=1, steps=(0, 0), a_by_k=True, b_by_k=False):
    """Return c (batch, M, N) of few numbers with long sums, which are cut in parts, so that all of the GPU has work.

    The parts depend on the shapes and the GPU alone, and their sums are added in order.
    """
    at_m, at_n, at_k = tables
    M, N, K = (t.shape[1] for t in tables)
    blocks = -(-N // SMALL[0]), -(-M // SMALL[0])
    parts = max(1, min(K // SPAN, 4 * processors() // max(1, math.prod(blocks) * batch)))
    span = -(-K // parts)
    c, no_bias = DeviceArray((batch, parts, M * N), a.dtype), DeviceArray((0,), a.dtype)
    PRODUCTS[(*SMALL, a_by_k, b_by_k)].launch((*blocks, batch * parts), (SMALL[0] // SMALL[1]) ** 2, a, b, no_bias,
                                              at_m, at_n, at_k, small(*steps, M * N, parts, span), c)
    return (sum_over_cuda(c, (1,)) if parts > 1 else c).reshape(shape)


def matmul_cuda(a, b, a_turned=False, b_turned=False, bias=None, c_turned=False):
    """Return the products (G, M, N) of DeviceArrays a (G, M, K) and b (G, K, N); a batch of 1 is used with all of the other.

    Turned: a lies there as (K, M), b as (N, K), c shall be (N, M).
    """
    G = max(len(a), len(b))
    (M, K), N = a.shape[1:][::-1] if a_turned else a.shape[1:], b.shape[1 if b_turned else 2]
    c = DeviceArray((G, N, M) if c_turned else (G, M, N), a.dtype)
    tables = (table(((M, 1 if a_turned else K),), ((M, 1 if c_turned else N),)),
              table(((N, K if b_turned else 1),), ((N, M if c_turned else 1),)),
              table(((K, M if a_turned else 1),), ((K, 1 if b_turned else N),)))
    steps = M * K if len(a) > 1 else 0, K * N if len(b) > 1 else 0, M * N
    return product(a, b, c, tables, bias, G, steps, not a_turned, b_turned)
