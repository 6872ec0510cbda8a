"""Arrays in a GPU's memory, and kernels that run there.

    to_device(array), to_host(array)    the only two ways between the computer's memory and the GPU's
    DeviceArray                         C-contiguous; nobody writes to one but the op that makes it, so it can be shared
    cuda_jit("T1 T1 n")                 makes a kernel of the function below it, compiled at its first launch

A kernel is a function for one thread. It asks where it stands (`cuda.grid(1)`, `cuda.blockIdx.x`, `cuda.threadIdx.x`) and does
its share; thousands run at once. Its types are words: T is float32 or float64, whichever the arrays have, d float64, i int32,
l int64, b bool, each with its number of axes, and n a whole number: "T4 T4 i1 T n" are two arrays of four axes, one of int32, and
two numbers.

Memory that an array leaves is kept for the next one of about its size: asking the driver takes longer than most kernels, and
giving it back would wait for all that run. Kernels run one after the other, in the order of their launches, on the one stream
that all threads of the program share; so memory can be given on at once.

With NUMBA_ENABLE_CUDASIM=1 Numba plays the GPU in Python, one thread after the other: slow, and open to a debugger.
"""
import functools
import math
import textwrap
import threading

import numpy as np
from numba import cuda, types
from numba.core import config
from numba.core.caching import NullCache

from .errors import BackendError, ShapeError
from .jit import helper_files, stamps

SIMULATED = bool(config.ENABLE_CUDASIM)
if SIMULATED:
    from . import simulator
    simulator.mend()
THREADS = 4 if SIMULATED else 256           # of a block; a power of 2
LARGEST = 2 ** 31                           # numbers in an array: kernels count with 32 bits where it matters
MOST_BLOCKS = 65_535                        # along the second and third axis of a grid
_KINDS = {"d": types.float64, "i": types.int32, "l": types.int64, "b": types.boolean}
_unused = {}                                # bytes -> [(buffer, {(shape, type): Numba's array of it})]
_caches = []                                # of functions that remember arrays
_one_at_a_time = threading.RLock()          # the simulator runs one kernel at a time, and two threads need not compile the same


def check_gpu():
    """Raise BackendError unless kernels can run: on a GPU, or on Numba's simulator."""
    if SIMULATED:
        return
    hint = "choose backend 'cpu', or try tiny shapes on Numba's simulator: NUMBA_ENABLE_CUDASIM=1"
    if config.CUDA_PER_THREAD_DEFAULT_STREAM:
        raise BackendError("backend 'cuda': NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM is set, and kernels of different threads would "
                           "write to memory that others still read; unset it")
    try:
        found = len(cuda.list_devices())
    except Exception as error:              # whatever Numba meets: no driver, one that is too old, a GPU that hangs
        reason = textwrap.shorten(str(error), 150, placeholder=" ...") or type(error).__name__
        raise BackendError(f"backend 'cuda': Numba finds no working CUDA driver ({reason}); {hint}") from None
    if not found:
        raise BackendError(f"backend 'cuda': this computer has a CUDA driver but no GPU; {hint}")


@functools.lru_cache(maxsize=None)
def processors():
    """Return how many multiprocessors the GPU has: so many blocks of threads at least keep all of it busy."""
    return 1 if SIMULATED else cuda.get_current_device().MULTIPROCESSOR_COUNT


# --- memory -----------------------------------------------------------------------------------------------------------
class _Memory:
    """A piece of the GPU's memory, kept for others when the last array in it is gone."""
    __slots__ = ("size", "buffer", "views")

    def __init__(self, nbytes):
        step = max(512, 2 ** max(nbytes.bit_length() - 4, 0))       # at most an eighth is wasted
        self.size = max(1, -(-nbytes // step)) * step
        try:
            self.buffer, self.views = _unused[self.size].pop()
        except (KeyError, IndexError):                              # there is none, or another thread was faster
            self.buffer, self.views = _allocated(self.size), {}

    def __del__(self):
        if hasattr(self, "views"):
            _unused.setdefault(self.size, []).append((self.buffer, self.views))


def _allocated(nbytes):
    """Return so many bytes of the GPU's memory; where there are too few, after those that are only kept were given back."""
    for attempt in range(2):
        try:
            return cuda.device_array(nbytes, np.uint8)
        except Exception as error:
            if getattr(error, "code", None) != 2:                   # CUDA_ERROR_OUT_OF_MEMORY
                raise
            if attempt:
                free, whole = cuda.current_context().get_memory_info()
                raise BackendError(f"the GPU's memory is full: asked for {nbytes / 1e6:,.1f} MB more, {free / 1e6:,.1f} of "
                                   f"{whole / 1e6:,.1f} MB are free; take smaller pictures or batches") from None
            release_memory()


def release_memory():
    """Give memory that is kept for later arrays, and tables that may be needed again, back to the GPU's driver."""
    for cache in _caches:
        cache.cache_clear()
    _unused.clear()


def kept(function):
    """Make a function of hashable arguments remember the arrays on the GPU that it returned, until `release_memory`."""
    _caches.append(functools.lru_cache(maxsize=4096)(function))
    return _caches[-1]


class DeviceArray:
    """Numbers in the GPU's memory: `shape`, `dtype`, and `kept`, what was computed from them and may be needed again."""
    __slots__ = ("shape", "dtype", "kept", "_memory")
    __array_ufunc__ = None                  # NumPy's functions refuse it

    def __init__(self, shape, dtype, memory=None):
        self.shape, self.dtype, self.kept = tuple(int(n) for n in shape), np.dtype(dtype), {}
        if self.size >= LARGEST:
            raise BackendError(f"backend 'cuda': an array of shape {self.shape} has more than {LARGEST:,} numbers; take smaller "
                               "pictures or batches")
        self._memory = _Memory(self.nbytes) if memory is None else memory

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def reshape(self, *shape):
        """Return the same numbers, in the same memory, in another shape; one entry may be -1."""
        shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        if -1 in shape:
            shape = tuple(self.size // max(1, -math.prod(shape)) if n == -1 else n for n in shape)
        if math.prod(shape) != self.size:
            raise ShapeError(f"reshape: {self.size} numbers on the GPU, of shape {self.shape}, do not fit into shape {shape}")
        return DeviceArray(shape, self.dtype, self._memory)

    def view(self, shape=None):
        """Return Numba's array of the same numbers, which kernels take."""
        key = self.shape if shape is None else shape, self.dtype
        views = self._memory.views
        if key not in views:
            if self.size:
                views[key] = self._memory.buffer[:self.nbytes].view(self.dtype).reshape(key[0])
            else:
                views[key] = cuda.device_array(key[0], self.dtype)
        return views[key]

    def __array__(self, dtype=None, copy=None):
        raise BackendError(f"an array of shape {self.shape} on the GPU was given to NumPy; copy it first: "
                           "minicnn.device.to_host(array), or a Tensor's .data")

    def __copy__(self):
        return self                         # nobody writes to it

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return to_device, (to_host(self),)

    def _refused(self, *others):
        raise BackendError(f"{self!r} is for minicnn.ops, as a Tensor; to compute with NumPy copy it: minicnn.device.to_host(a)")

    __getitem__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __radd__ = __rtruediv__ = __pow__ = __neg__ = __matmul__ = _refused

    def __repr__(self):
        return f"DeviceArray({self.dtype}, shape={self.shape})"

    # --- the little arithmetic that the tape and the ops do between kernels ---
    def __add__(self, other):
        if not isinstance(other, DeviceArray) or other.shape != self.shape or other.dtype != self.dtype:
            raise BackendError(f"{self!r} + {type(other).__name__} {getattr(other, 'shape', '')}: expected two alike on the GPU")
        return each(add_kernel)(self, other)

    def __truediv__(self, number):
        return each(divide_kernel)(self, float(number))

    def astype(self, dtype):
        """Return the numbers as another float type; itself where it has that type."""
        if self.dtype == dtype:
            return self
        out = DeviceArray(self.shape, dtype)
        (to_double_kernel if out.dtype == np.float64 else to_single_kernel).each(self, out)
        return out


def to_device(array):
    """Return a copy of a NumPy array in the GPU's memory."""
    array = np.asarray(array, order="C")
    out = DeviceArray(array.shape, array.dtype)
    if array.size:
        out.view((array.size,)).copy_to_device(array.reshape(-1))
    return out


def to_host(array):
    """Return a copy of a DeviceArray in the computer's memory, when all kernels before are done; a NumPy array as it is."""
    if not isinstance(array, DeviceArray):
        return array
    return array.view((array.size,)).copy_to_host().reshape(array.shape) if array.size else np.empty(array.shape, array.dtype)


@kept
def small(*numbers):
    """Return whole numbers as an int64 DeviceArray, from an earlier call where there was one: sizes and steps."""
    return to_device(np.array(numbers, np.int64))


def constant(array):
    """Return a short NumPy array as a DeviceArray, from an earlier call where there was an equal one: tables of an op."""
    return _constant(array.tobytes(), array.shape, array.dtype)


@kept
def _constant(numbers, shape, dtype):
    return to_device(np.frombuffer(numbers, dtype).reshape(shape))


def zeros(shape, dtype):
    """Return a DeviceArray of zeros."""
    out = DeviceArray(shape, dtype)
    fill_kernel.each(out)
    return out


# --- kernels ----------------------------------------------------------------------------------------------------------
class Kernel:
    """A function for a thread, compiled at its first launch for the type of its arrays; `py_func` is the function."""

    def __init__(self, function, words):
        functools.update_wrapper(self, function)
        self.py_func, self.words, self._compiled = function, words.split(), {}

    def signature(self, dtype):
        """Return Numba's types of the arguments, for arrays of float32 or float64."""
        kinds = {**_KINDS, "T": types.float64 if dtype == np.float64 else types.float32, "n": types.int64}
        return tuple(types.Array(kinds[w[0]], int(w[1]), "C") if len(w) == 2 else kinds[w] for w in self.words)

    def launch(self, blocks, threads, *args):
        """Run blocks (an int or two or three) of threads; a DeviceArray that should have one axis is taken as one row."""
        blocks = blocks if isinstance(blocks, tuple) else (blocks,)
        if min(blocks) == 0:
            return
        if max(blocks[1:], default=0) > MOST_BLOCKS:
            raise BackendError(f"{self.__name__}: {blocks} blocks of threads, a GPU takes {MOST_BLOCKS:,} along the second and "
                               "third axis; take smaller arrays, or fewer matrices at a time")
        dtype = next((a.dtype for word, a in zip(self.words, args) if word[0] == "T" and len(word) == 2), np.dtype(np.float32))
        given = [self._argument(word, arg, dtype) for word, arg in zip(self.words, args, strict=True)]
        with _one_at_a_time:
            if dtype not in self._compiled:
                self._compiled[dtype] = _compiled(self.py_func, self.signature(dtype))
            self._compiled[dtype][blocks, threads](*given)

    def each(self, *args):
        """Run a thread for each number of the last argument."""
        self.launch(*threads_for(args[-1].size), *args)

    def _argument(self, word, arg, dtype):
        if len(word) == 1:
            return int(arg) if word == "n" else float(arg) if word == "d" else dtype.type(arg)
        if not isinstance(arg, DeviceArray):
            raise BackendError(f"{self.__name__}: a {type(arg).__name__} in the computer's memory was given where an array on "
                               "the GPU is expected; copy it first: minicnn.device.to_device(array)")
        if word[0] == "T" and arg.dtype != dtype:
            raise BackendError(f"{self.__name__}: arrays of {dtype} and {arg.dtype} were given, expected one type")
        return arg.view((arg.size,) if word[1] == "1" else None)


def gpu_function(function):
    """Make a function that kernels call; it becomes a part of them."""
    return simulator.gpu_function(function) if SIMULATED else cuda.jit(device=True)(function)


def threads_for(count):
    """Return (blocks, threads) such that there is a thread for each of so many numbers."""
    return -(-count // THREADS), THREADS


def cuda_jit(words):
    """Make a Kernel of the function below; `words` are the types of its arguments."""
    return lambda function: Kernel(function, words)


def _compiled(function, signature):
    """Return the function compiled for the GPU, from Numba's cache on disk where it can be."""
    if SIMULATED:
        return cuda.jit(function)
    from numba.cuda import dispatcher
    dispatcher.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0       # else a warning for each small picture
    kernel = cuda.jit(function)
    try:
        kernel.enable_caching()
        kernel._cache = _cache_class(type(kernel._cache))(function)
    except RuntimeError:                    # no folder can be written
        kernel._cache = NullCache()
    kernel.compile(signature)
    return kernel


@functools.lru_cache(maxsize=None)
def _cache_class(base):
    """Return Numba's cache for kernels of the GPU, as one that watches the files of helpers as well."""
    class Cache(base):
        def _index_key(self, sig, codegen):
            return *super()._index_key(sig, codegen), *stamps(helper_files(self._py_func))
    return Cache


def each(kernel, like=0):
    """Return the function that runs a kernel with a thread a number, and makes and returns its last argument.

    That is an array of the shape and type of argument number `like`.
    """
    def run(*args):
        out = DeviceArray(args[like].shape, args[like].dtype)
        kernel.each(*args, out)
        return out
    return run


@gpu_function
def smaller(a, b):
    """Return min(a, b), which Numba 0.68 cannot compile for a GPU."""
    return a if a < b else b


@gpu_function
def larger(a, b):
    """Return max(a, b)."""
    return a if a > b else b


@cuda_jit("T1 T1 T1")
def add_kernel(a, b, out):
    """out = a + b, a thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = a[i] + b[i]


@cuda_jit("T1 T T1")
def divide_kernel(a, number, out):
    """out = a / number, a thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = a[i] / number


@cuda_jit("T1")
def fill_kernel(out):
    """out = 0, a thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = 0


@cuda_jit("T1 d1")
def to_double_kernel(x, out):
    """out = x, a thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[i]


@cuda_jit("d1 T1")
def to_single_kernel(x, out):
    """out = x, rounded; a thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[i]
