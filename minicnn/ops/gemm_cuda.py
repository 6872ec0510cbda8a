"""The matrix product on a GPU, and all that is one in disguise: linear layers, convolutions, their gradients, Gram matrices.

    c[m, n] = bias[m] + sum over k of a[m, k] b[k, n]

The ladder, from what one would write first to what is fast. A multiply-add takes a thread one step; a number from the GPU's
memory takes hundreds, and only so many can be on their way. So what counts is how often a number is used once it is here.

    rung                    loads from the GPU's memory    loads from shared memory    for each multiply-add
    naive                   2                              -
    tiled                   2 / 16                         2
    register-blocked        2 / 128                        2 / 8

naive: a thread an output. Neighbouring threads read neighbouring columns of b, one piece of memory, and all the same a.
tiled: a block makes 16 x 16 outputs. Its threads copy 16 x 16 numbers of a and as many of b to shared memory, the chip's own,
wait for each other, and use each number 16 times.
register-blocked: a block makes 128 x 128 outputs of tiles of a and b that are DEPTH deep, and a thread 8 x 8 of them, whose sums
stay in registers: of 16 numbers from shared memory it makes 64 products. While it does, the next tiles are already on their way
from the GPU's memory to registers. For small products tiles are 64 wide, and a thread makes 4 x 4.

Where numbers lie is said by tables, so that transposed matrices, and windows of a picture, need no copy:

    a[m, k] = a[at_m[0, m] + at_k[0, k]],   b[k, n] = b[at_k[1, k] + at_n[0, n]],   c[m, n] = c[at_m[1, m] + at_n[1, n]]

A convolution is this product with k = (channel, row, column of the filter) and n = (picture, row, column of the output): the
pixel of a window lies at the sum of what k says and what n says. So the matrix of all windows is never written down.
Sums run over k in order; the same bits each time. float32 is exact float32 (no TF32), float64 uses smaller tiles.

What the compilers make of the third rung, for a step of two k: 128 multiply-adds, 20 loads from shared memory and some 25 others
(sm_90); 128 registers a thread, so that two blocks of 256 threads find room in a multiprocessor. GFLOP/s on your GPU:
`python -m tools.bench product --backend cuda --peers`. (Not measured by us yet.)
Source: V. Volkov and J. Demmel 2008; the ladder as in S. Boehm, "How to Optimize a CUDA Matmul Kernel", 2022.
"""
import math

import numpy as np
from numba import cuda, int32, uint32, uint64

from ..device import SIMULATED, DeviceArray, cuda_jit, gpu_function, kept, processors, small, smaller, to_device
from .reductions import add_parts

DEPTH = 4 if SIMULATED else 8               # rows of b and columns of a in a tile
BIG, SMALL = ((8, 4), (4, 2)) if SIMULATED else ((128, 8), (64, 4))         # (tile, each): what a block makes, a thread
SLOWER = {BIG: 1.0, SMALL: 1.78}            # instructions for a multiply-add: 1.68 in big tiles, 2.98 in small ones (sm_90)
SPAN, MANY = (64, 16) if SIMULATED else (512, 512)      # least length of a part of a sum; blocks that keep a GPU busy


@cuda_jit("T2 T2 T2")
def matmul_naive_kernel(a, b, c):
    """First rung, a (M, K), b (K, N), c (M, N): a thread an output."""
    n, m = cuda.grid(2)
    if m < c.shape[0] and n < c.shape[1]:
        total = c.dtype.type(0)
        for k in range(b.shape[0]):
            total += a[m, k] * b[k, n]
        c[m, n] = total


SIDE = 4 if SIMULATED else 16


@cuda_jit("T2 T2 T2")
def matmul_tiled_kernel(a, b, c):
    """Second rung: a block of SIDE x SIDE threads shares what it loads. All wait before tiles are read, and before the next."""
    a_tile = cuda.shared.array((SIDE, SIDE), a.dtype)
    b_tile = cuda.shared.array((SIDE, SIDE), a.dtype)
    n, m = cuda.grid(2)
    i, j, total = cuda.threadIdx.y, cuda.threadIdx.x, c.dtype.type(0)
    for k in range(0, b.shape[0], SIDE):
        a_tile[i, j] = a[m, k + j] if m < c.shape[0] and k + j < b.shape[0] else a.dtype.type(0)
        b_tile[i, j] = b[k + i, n] if k + i < b.shape[0] and n < c.shape[1] else a.dtype.type(0)
        cuda.syncthreads()
        for l in range(SIDE):
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
    size, each, across, depth, two = each, np.uint64(each), np.uint64(across), np.uint64(DEPTH), np.uint64(2)   # size: as an int

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


@kept
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

    With a batch, matrices number g lie g `steps` of a, b and c further; bias (batch M,) or None.
    """
    bias = DeviceArray((0,), a.dtype) if bias is None else bias
    M, N, K = (t.shape[1] for t in tables)
    (tile, each), blocks = size_for(M, N, batch, a.dtype)
    PRODUCTS[tile, each, a_by_k, b_by_k].launch(blocks, (tile // each) ** 2, a, b, bias, *tables, small(*steps, 1, K), c)
    return c


def size_for(M, N, batch, dtype):
    """Return (tile, each) and the blocks with which a product takes the least time, as far as can be said beforehand.

    What is beyond the end of c in a tile is computed for nothing, and fewer blocks than multiprocessors leave some idle.
    """
    def time(size):
        return max(math.prod(blocks[size]), processors()) * size[0] ** 2 * SLOWER[size]
    blocks = {size: (-(-N // size[0]), -(-M // size[0]), batch) for size in (BIG, SMALL)}
    size = min((BIG, SMALL), key=time) if dtype == np.float32 else SMALL
    return size, blocks[size]


def long_product(a, b, shape, tables, batch=1, steps=(0, 0), a_by_k=True, b_by_k=False):
    """Return c (batch, M, N) of few numbers with long sums, which are cut in parts, so that all of the GPU has work.

    The parts depend on the shapes alone, and their sums are added in order: the same bits on every GPU.
    """
    at_m, at_n, at_k = tables
    M, N, K = (t.shape[1] for t in tables)
    blocks, parts = (-(-N // SMALL[0]), -(-M // SMALL[0])), parts_of(M, N, K, batch)
    span = -(-K // parts)
    c, no_bias = DeviceArray((batch, parts, M * N), a.dtype), DeviceArray((0,), a.dtype)
    PRODUCTS[(*SMALL, a_by_k, b_by_k)].launch((*blocks, batch * parts), (SMALL[0] // SMALL[1]) ** 2, a, b, no_bias,
                                              at_m, at_n, at_k, small(*steps, M * N, parts, span), c)
    return (add_parts(c) if parts > 1 else c).reshape(shape)


def parts_of(M, N, K, batch):
    """Return in how many parts sums over k are cut: of at least SPAN terms, and until there are MANY blocks of threads."""
    return max(1, min(K // SPAN, MANY // max(1, -(-N // SMALL[0]) * -(-M // SMALL[0]) * batch)))


def matmul_cuda(a, b, a_turned=False, b_turned=False, bias=None, c_turned=False):
    """Return the products (G, M, N) of DeviceArrays a (G, M, K) and b (G, K, N); a batch of 1 is used with all of the other.

    Turned: a lies there as (K, M), b as (N, K), c shall be (N, M).
    """
    G = max(len(a), len(b)) if len(a) and len(b) else 0
    (M, K), N = a.shape[1:][::-1] if a_turned else a.shape[1:], b.shape[1 if b_turned else 2]
    tables = (table(((M, 1 if a_turned else K),), ((M, 1 if c_turned else N),)),
              table(((N, K if b_turned else 1),), ((N, M if c_turned else 1),)),
              table(((K, M if a_turned else 1),), ((K, 1 if b_turned else N),)))
    steps = M * K if len(a) > 1 else 0, K * N if len(b) > 1 else 0, M * N
    if bias is None and not c_turned and parts_of(M, N, K, G) > 1:
        return long_product(a, b, (G, M, N), tables, G, steps[:2], not a_turned, b_turned)
    c = DeviceArray((G, N, M) if c_turned else (G, M, N), a.dtype)
    return product(a, b, c, tables, bias, G, steps, not a_turned, b_turned)
