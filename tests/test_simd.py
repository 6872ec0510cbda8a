"""Vectors: compiled and in plain Python, every function does the same."""
import numba
import numpy as np
import pytest

from minicnn.ops.gemm import DOTS, ROWS, dots, multiply
from minicnn.simd import (LANES, choose, gather2, load, load_within, store, store_within, total, transpose, unzip2, unzip4, widen,
                          zip2, zip4)

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(*shape, dtype=np.float32):
    return np.random.RandomState(0).standard_normal(shape).astype(dtype)


def both(function, *arrays):
    """Run a function of arrays as it is and compiled, on copies; return what each left in the arrays."""
    plain, compiled = [a.copy() for a in arrays], [a.copy() for a in arrays]
    function(*plain)
    numba.njit(function)(*compiled)
    return plain, compiled


def same(function, *arrays):
    plain, compiled = both(function, *arrays)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(plain, compiled))
    assert any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(plain, arrays)), "nothing was written"
    return plain


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_parts_of_vectors_at_both_ends(dtype):
    """Every place and every end: what is not in 0..end-1 is filled, and not written."""
    def work(x, out):
        for end in range(3 * LANES + 1):
            for first in range(-LANES - 1, 3 * LANES + 2):
                store(out, (end, first + LANES + 1, 0), load_within(x, (1, first), end, 7))
                store_within(out, (end, first + LANES + 1, LANES + max(first, 0)), load(x, 0, 3), LANES + end)
    x = (100 * numbers(2, 3 * LANES)).astype(dtype)
    out, = same(work, x, np.zeros((3 * LANES + 1, 4 * LANES + 3, 6 * LANES), dtype))[1:]
    end, first = 2 * LANES - 3, 2 * LANES - 5               # two numbers are left
    assert out[end, first + LANES + 1, :3].tolist() == [*x[1, first:end], 7]
    assert out[end, 0, 0] == 7 and np.array_equal(out[2 * LANES, LANES + 1, :LANES], x[1, :LANES])


@every_dtype
def test_what_lies_outside_is_not_touched(dtype):
    """Not even read: behind the array there may be no memory. A page that may not be read stands there."""
    mmap = pytest.importorskip("mmap")
    import ctypes
    if not hasattr(mmap, "PAGESIZE") or not hasattr(ctypes.CDLL(None), "mprotect"):
        pytest.skip("no pages to protect here")
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(address + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
    x = np.frombuffer(memory, dtype, mmap.PAGESIZE // np.dtype(dtype).itemsize)
    x[-3:] = 1, 2, 3

    @numba.njit
    def work(x, out):
        store(out, (0,), load_within(x, (len(x) - 3,), len(x)))
        store_within(x, (len(x) - 3,), load(out, 0) + 1., len(x))

    out = np.full(LANES, 9, dtype)
    work(x, out)
    assert out[:4].tolist() == [1, 2, 3, 0] and x[-3:].tolist() == [2, 3, 4]


@every_dtype
def test_arithmetic_and_choice(dtype):
    def work(x, out):
        a, b = load(x, 0, 0), load(x, 1, 0)
        store(out, (0, 0), a + b)
        store(out, (1, 0), a - 2. * b)
        store(out, (2, 0), choose(a > b, a, b))
        store(out, (3, 0), choose((a > b) | (a != a), a, 0. * b))
        out[4, 0] = total(choose(a != a, b, a))
    x = numbers(2, LANES, dtype=dtype)
    x[0, 3], x[1, 4] = np.nan, np.nan
    plain, compiled = both(work, x, np.zeros((5, LANES), dtype))
    assert np.array_equal(plain[1][:4], compiled[1][:4], equal_nan=True)
    assert abs(plain[1][4, 0] - compiled[1][4, 0]) < 1e-5            # the sum of the vector, in pairs or not
    assert np.isnan(plain[1][3, 3]) and not np.isnan(plain[1][2, 3])


def test_whole_numbers():
    def work(x, out):
        store(out, (0,), load(x, 0) + 3)
        store(out, (LANES,), load(x, 0) * load(x, 1) - load(x, 2))
    same(work, np.arange(3 * LANES, dtype=np.int32), np.zeros(2 * LANES, np.int32))


@every_dtype
def test_sums_in_float64(dtype):
    """0.1 in float32 is not 0.1 in float64: widened first, the digits of the product are all there."""
    def work(x, out):
        store(out, (0,), widen(load(x, 0)) * widen(load(x, 0)))
    x, out = same(work, np.full(LANES, 0.1, dtype), np.zeros(LANES))
    assert np.array_equal(out, x.astype(np.float64) ** 2)


@every_dtype
@pytest.mark.parametrize("whole", [np.int32, np.int64])
def test_rows_from_all_over(dtype, whole):
    def work(x, rows, out):
        first, second = gather2(x, load(rows, 0))
        store(out, (0, 0), first)
        store(out, (1, 0), second)
    x, rows = numbers(50, 2, dtype=dtype), np.random.RandomState(1).permutation(50)[:LANES].astype(whole)
    out = same(work, x, rows, np.zeros((2, LANES), dtype))[2]
    assert np.array_equal(out.T, x[rows])


@every_dtype
def test_zips_and_transposition(dtype):
    def work(x, out):
        for i, pair in enumerate((unzip2(load(x, 0, 0), load(x, 1, 0)), zip2(load(x, 0, 0), load(x, 1, 0)))):
            store(out, (2 * i, 0), pair[0])
            store(out, (2 * i + 1, 0), pair[1])
        transpose(x)
    x = np.arange(LANES * LANES, dtype=dtype).reshape(LANES, LANES)
    turned, out = same(work, x, np.zeros((4, LANES), dtype))
    assert np.array_equal(turned, x.T)
    assert np.array_equal(out[:2].T.ravel(), x[:2].ravel()) and np.array_equal(out[2:].ravel(), x[:2].T.ravel())


@every_dtype
def test_zips_of_four(dtype):
    @numba.njit
    def work(x, out):
        for i, four in enumerate((unzip4(load(x, 0, 0), load(x, 1, 0), load(x, 2, 0), load(x, 3, 0)),
                                  zip4(load(x, 0, 0), load(x, 1, 0), load(x, 2, 0), load(x, 3, 0)))):
            for k in range(4):
                store(out, (4 * i + k, 0), four[k])
    x, out = np.arange(4 * LANES, dtype=dtype).reshape(4, LANES), np.zeros((8, LANES), dtype)
    work(x, out)
    assert np.array_equal(out[:4].T.ravel(), x.ravel()) and np.array_equal(out[4:].ravel(), x.T.ravel())


@every_dtype
@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize("add", [False, True])
def test_outer_products(dtype, vectors, add):
    def work(a, b, c):
        multiply(a, b, c, add)
    a, b, c = numbers(5, ROWS, dtype=dtype), numbers(5, vectors * LANES, dtype=dtype), numbers(ROWS, vectors * LANES, dtype=dtype)
    for result in both(work, a, b, c):
        assert np.abs(result[2] - (a.T @ b + add * c)).max() < 1e-5


@every_dtype
def test_dots_of_moved_rows(dtype):
    def work(a, b, offsets, sums):
        dots(a, b, offsets, sums)
    a, b = numbers(DOTS[0], 3 * LANES, dtype=dtype), numbers(5 * LANES, dtype=dtype)
    offsets = np.arange(DOTS[1]) * 2
    for *_, sums in both(work, a, b, offsets, np.ones((*DOTS, LANES), dtype)):
        expected = [[row @ b[k:k + 3 * LANES] + LANES for k in offsets] for row in a]
        assert np.abs(sums.sum(axis=2) - expected).max() < 1e-5
