"""Lazy compilation with Numba: nothing is compiled at import, everything is cached on disk.

`jit(function)` is a stand-in that compiles `function` at its first call for the array types that it is called with.
The plain Python function stays reachable as `.py_func`, and with NUMBA_DISABLE_JIT=1 it is what runs, so that a
debugger can step through a kernel.

Numba's disk cache watches the file that a kernel stands in and no other, so a helper that a kernel calls stands in the
same file (plain `numba.njit`, without a cache of its own: it is compiled into the kernel).
"""
import functools
import threading
from contextlib import contextmanager

import numba
import numpy as np

# Numba's simplest threading layer aborts the process when two Python threads enter it at once. A kernel uses every
# core anyway, so kernels of different Python threads take turns.
_one_at_a_time = threading.RLock()


class jit:
    """A kernel that Numba compiles at its first call; `blas=True` for one that calls np.dot.

    A kernel with np.dot spreads fixed tiles over Numba's threads and calls BLAS once a tile, so BLAS itself is held
    to one thread: no fight over the cores, and the sums are the same for any number of threads.
    """

    def __init__(self, function, blas=False):
        functools.update_wrapper(self, function)
        self.py_func = function
        self.blas = blas
        self._compiled = None

    def __call__(self, *args):
        if self._compiled is None:
            self._compiled = _lazily_compiled(self.py_func)
        # Compiled for C-contiguous arrays only: another layout would cost a compilation of its own.
        args = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) and not a.flags.c_contiguous else a for a in args]
        try:
            with single_threaded_blas() if self.blas else _one_at_a_time:
                return self._compiled(*args)
        except SystemError as error:        # how a Ctrl-C that fell into a kernel comes out of it, wrapped once or more
            while isinstance(error, SystemError) and error.__cause__ is not None:
                error = error.__cause__
            raise error from None


def _lazily_compiled(function):
    """Return what compiles `function` at its first call; uncached where no folder for the cache can be written."""
    options = dict(parallel=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)


@functools.lru_cache(maxsize=None)
def _blas_controller():
    import scipy.linalg.cython_blas  # noqa: F401  (the BLAS behind Numba's np.dot: loaded before it is looked up)
    import threadpoolctl
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@contextmanager
def single_threaded_blas():
    """Hold every BLAS library of the process to one thread; one Python thread at a time, since the limit is for all."""
    with _one_at_a_time, _blas_controller().limit(limits=1):
        yield
