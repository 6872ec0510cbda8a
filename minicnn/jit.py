"""Lazy compilation with Numba: nothing is compiled at import, everything is cached on disk.

`jit(function)` is a stand-in that compiles `function` at its first call for the array types that it is called with.
The plain Python function stays reachable as `.py_func`, and with NUMBA_DISABLE_JIT=1 it is what runs, so that a
debugger can step through a kernel.

A helper that a kernel calls is a plain `numba.njit` function, without a cache of its own: it is compiled into the kernel.
Numba's disk cache watches only the file that the kernel stands in; ours watches those of the helpers as well.
"""
import ctypes
import functools
import inspect
import os
import sys
import threading
from contextlib import contextmanager

import numba
import numpy as np
from numba.core.caching import FunctionCache

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
            _keep_freed_memory()
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


@functools.lru_cache(maxsize=None)
def _keep_freed_memory():
    """Let the C library keep up to 256 MB that were freed, for the next arrays, where it can be told so (glibc, Linux).

    Otherwise it gives large arrays back to the system at once, and the system clears each page of the next one: for the
    output of a ReLU that takes ten times as long as the ReLU. Who sets MALLOC_TRIM_THRESHOLD_ or the like decides instead.
    """
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
        for parameter, size in ((-1, 2 ** 28), (-3, 2 ** 25)) if mallopt else ():       # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(parameter, size)


def _lazily_compiled(function):
    """Return what compiles `function` at its first call; uncached where no folder for the cache can be written."""
    # Not "contract" (a b + c as one instruction): which products are taken would depend on whether the kernel was just compiled
    # or comes from the cache, and so would the last digits. The vectors of simd.py say it where there is one product to take.
    kernel = numba.njit(parallel=True, nogil=True, error_model="numpy", fastmath={"nsz"})(function)
    if not numba.config.DISABLE_JIT:
        try:
            kernel._cache = _Cache(function)        # what cache=True does, with our class
        except RuntimeError:
            pass
    return kernel


class _Cache(FunctionCache):
    """Numba's cache on disk, which also forgets a kernel when a file that it has helpers from has changed, or this one."""

    def load_overload(self, sig, target_context):
        kernel = super().load_overload(sig, target_context)
        if kernel is None:
            _say_once("minicnn: compiling kernels, first run only")
        return kernel

    def _index_key(self, sig, codegen):
        return *super()._index_key(sig, codegen), *stamps(helper_files(self._py_func) | {__file__})


def stamps(paths):
    """Return when the files were changed and how long they are."""
    return [(os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in sorted(paths)]


@functools.lru_cache(maxsize=None)
def _say_once(text):
    print(text, file=sys.stderr, flush=True)


def helper_files(function):
    """Return the other files of its package that are compiled into `function`: those of what it calls, and what they import."""
    package, own = function.__module__.partition(".")[0], function.__code__.co_filename
    seen, todo = set(), [function]
    while todo:
        at = todo.pop()
        if at in seen or (at.__module__ or "").partition(".")[0] != package:
            continue
        seen.add(at)
        # Of a helper's file take all (a typing rule may stand there that no name leads to), of the kernel's own what it uses.
        names = _names(at.__code__) if at.__code__.co_filename == own else at.__globals__
        values = [at.__globals__.get(name) for name in names] + [cell.cell_contents for cell in at.__closure__ or ()]
        todo += filter(inspect.isfunction, [getattr(value, "py_func", value) for value in values])
    return {at.__code__.co_filename for at in seen} - {own}


def _names(code):
    """Return the names that a function uses, with the functions inside it."""
    return set(code.co_names).union(*(_names(part) for part in code.co_consts if inspect.iscode(part)))


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
