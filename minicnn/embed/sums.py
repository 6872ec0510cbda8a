"""Sums whose last digits are always the same: numpy's depend on where in memory an array happens to lie."""
import numba
import numpy as np

from ..jit import jit


def ordered_sum(values):
    """Return the sum of the numbers (N,), or of each column (N, C), in float64 and from the first to the last."""
    sums = np.empty(1 if values.ndim == 1 else values.shape[1])
    sums_cpu(values.reshape(len(values), -1), sums)
    return float(sums[0]) if values.ndim == 1 else sums


def _sums_cpu(values, sums):
    """Parallel over columns."""
    for c in numba.prange(values.shape[1]):
        total = 0.
        for i in range(len(values)):
            total += values[i, c]
        sums[c] = total


sums_cpu = jit(_sums_cpu)
