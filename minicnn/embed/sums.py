"""Sums whose last digits are always the same.

Those of NumPy depend on where in memory an array happens to lie. A compiler that is allowed to change the order of a sum
(fastmath) takes one order in the process that compiles a kernel, and another when the kernel is loaded from the cache. So sums
that have to be fast are written as vectors here.
"""
import numba
import numpy as np

from ..jit import jit
from ..simd import LANES, load_within, total


def ordered_sum(values):
    """Return the sum of the numbers (N,), or of each column (N, C), in float64 and from the first to the last."""
    sums = np.empty(1 if values.ndim == 1 else values.shape[1])
    sums_cpu(values.reshape(len(values), -1), sums)
    return float(sums[0]) if values.ndim == 1 else sums


@numba.njit
def vector_sum(row, count):
    """Return row[0] + ... + row[count - 1], every LANES-th number in a sum of its own, those together at the end."""
    sums = load_within(row, (0,), count)
    for k in range(LANES, count, LANES):
        sums = sums + load_within(row, (k,), count)
    return total(sums)


def _sums_cpu(values, sums):
    """Parallel over columns."""
    for c in numba.prange(values.shape[1]):
        total = 0.
        for i in range(len(values)):
            total += values[i, c]
        sums[c] = total


sums_cpu = jit(_sums_cpu)
