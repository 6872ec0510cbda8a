"""Numba's simulator of a GPU (NUMBA_ENABLE_CUDASIM=1), in which each thread of a kernel is a thread of Python, mended.

Python lets a thread run for 5 ms before another has its turn, and the simulator waits for its threads in a loop that never
sleeps: so each time that they wait for one another takes 5 ms. Turns of 10 microseconds make it six times as fast, and show what
went well only because turns were long:
- two threads that ask for a shared array at the same time got one each;
- a function that kernels call sees the kernel's `cuda` only until the first thread has left it.
"""
import sys
from types import FunctionType

import numpy as np
from numba.core import types
from numba.cuda.simulator import kernelapi
from numba.cuda.simulator.kernel import _get_kernel_context
from numba.np import numpy_support


class _Cuda:
    """What `cuda` is for the kernel that runs just now."""

    def __getattr__(self, name):
        return getattr(_get_kernel_context(), name)


def gpu_function(function):
    """Return a function that kernels call, which sees the `cuda` of the kernel that runs."""
    seen = {**function.__globals__, "cuda": _Cuda()}
    return FunctionType(function.__code__, seen, function.__name__, function.__defaults__, function.__closure__)


def _shared_array(self, shape, dtype):
    """Return the array that belongs to the line of the kernel which asks for it: one for all threads of the block."""
    dtype = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype
    frame = sys._getframe(1)
    return self._allocations.setdefault((frame.f_code, frame.f_lineno), np.empty(shape, dtype))


def mend():
    """Take shorter turns, and replace what is no good with them."""
    sys.setswitchinterval(1e-5)
    kernelapi.FakeCUDAShared.array = _shared_array
