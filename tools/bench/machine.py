"""What the processor and its memory can do at most: the yardsticks next to which the table puts its numbers."""
import os
import platform
import time

import numpy as np
from numba import prange

from minicnn.jit import jit
from minicnn.ops.gemm import ROWS, multiply
from minicnn.simd import LANES

DEPTH = 256             # a and b of the product stay in the first-level cache


@jit
def _products(count, out):
    """Nothing but multiply-adds, in each thread."""
    for task in prange(len(out)):
        a, b = np.ones((DEPTH, ROWS), np.float32), np.ones((DEPTH, 2 * LANES), np.float32)
        c = np.zeros((ROWS, 2 * LANES), np.float32)
        for _ in range(count):
            multiply(a, b, c, True)
        out[task] = c[0, 0]


@jit
def _copy(x, out):
    """Nothing but moving numbers, in each thread."""
    for i in prange(len(x)):
        out[i] = x[i]


def peaks(threads, rounds=7):
    """Return (multiply-adds a second, bytes moved a second), the best of some rounds."""
    out, count, x = np.empty(threads, np.float32), 20000, np.ones(2 ** 26, np.float32)
    y = np.zeros_like(x)
    _products(1, out), _copy(x, y)
    products, copies = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        _products(count, out)
        products.append(threads * count * DEPTH * ROWS * 2 * LANES / (time.perf_counter() - start))
        start = time.perf_counter()
        _copy(x, y)
        copies.append(2 * x.nbytes / (time.perf_counter() - start))
    return max(products), max(copies)


def description(threads):
    """Return the machine in words."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    vectors = "AVX-512" if LANES == 16 else "vectors of 32 bytes"
    return (f"{name}, {os.cpu_count()} cores ({vectors}), {threads} threads, {platform.system()}, "
            f"Python {platform.python_version()}")
