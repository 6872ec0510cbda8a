"""Tensor: an array, its gradient, and the op and parents that made it.

A Tensor holds a C-contiguous float32 or float64 array in `data`. Ops make new Tensors and never change old ones.
What an op makes on a GPU stays there, in `array`; `data` and `grad` are then copies, made when they are asked for.
Operators are one-line calls into minicnn.ops, imported inside the method because ops import this file.
"""
import numpy as np

from . import tape
from .device import DeviceArray, to_host
from .errors import DtypeError, TapeError


class Tensor:
    """An array on the tape: `data`, `grad` (after a backward pass), and `op` and `parents` if an op made it.

    `data`: anything that NumPy makes a numeric array of. Arrays of float64 stay so, all else becomes float32.
    """

    __slots__ = ("array", "node")
    __array_ufunc__ = None      # so that array * tensor asks Tensor.__rmul__ and not NumPy

    def __init__(self, data, requires_grad=False, node=None):
        self.array = as_array(data)
        self.node = node
        if requires_grad and node is None:
            self.node = tape.Node(None, None, (), self.shape)

    # --- the tape -------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self):
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        if self.op is not None:
            raise TapeError("requires_grad can be set on leaves only; detach() gives a leaf with the same data")
        if bool(wanted) != self.requires_grad:
            self.node = tape.Node(None, None, (), self.shape) if wanted else None

    @property
    def grad(self):
        """dL/d(self) summed over the backward passes so far, or None."""
        if self.node is None:
            return None
        self.node.grad = to_host(self.node.grad)
        return self.node.grad

    @grad.setter
    def grad(self, value):
        if self.node is None:
            raise TapeError("this tensor takes no gradient; set requires_grad=True first")
        self.node.grad = value

    @property
    def op(self):
        """The Op class that made this tensor, or None for a leaf."""
        return self.node.op if self.node else None

    @property
    def parents(self):
        """The tape nodes of the inputs of `op` (None for an input without gradient)."""
        return self.node.parents if self.node else ()

    def retain_grad(self):
        """Keep the gradient of this tensor although it is not a leaf; return self."""
        if self.node is None:
            raise TapeError("retain_grad: nothing was recorded for this tensor")
        self.node.keeps_grad = True
        return self

    def backward(self, seed=None, retain_graph=True):
        """Send `seed` (default 1 for a single number) back to the leaves; see tape.backward_steps."""
        tape.backward(self, seed, retain_graph)

    def detach(self):
        """Return a leaf with the same data and no history."""
        return Tensor(self.array)

    # --- the array ------------------------------------------------------------------------------------------------
    @property
    def data(self):
        """The array as NumPy's; of one on a GPU a copy, read-only, since writing to it would change nothing."""
        if not isinstance(self.array, DeviceArray):
            return self.array
        copy = to_host(self.array)
        copy.flags.writeable = False
        return copy

    @data.setter
    def data(self, value):
        self.array = as_array(value)

    @property
    def shape(self):
        return self.array.shape

    @property
    def ndim(self):
        return self.array.ndim

    @property
    def size(self):
        return self.array.size

    @property
    def dtype(self):
        return self.array.dtype

    def item(self):
        return self.data.item()

    def __len__(self):
        return len(self.array)

    def __bool__(self):
        return bool(self.data)      # as NumPy: an error for more than one number

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self):
        made_by = f", op={self.op.__name__}" if self.op else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(self.data, precision=4, threshold=20)}, shape={self.shape}{made_by})"

    # --- operators ------------------------------------------------------------------------------------------------
    def __add__(self, other):
        from .ops import add
        return add(self, other)

    __radd__ = __add__

    def __sub__(self, other):
        from .ops import sub
        return sub(self, other)

    def __rsub__(self, other):
        from .ops import sub
        return sub(other, self)

    def __mul__(self, other):
        from .ops import mul
        return mul(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        from .ops import div
        return div(self, other)

    def __rtruediv__(self, other):
        from .ops import div
        return div(other, self)

    def __neg__(self):
        from .ops import mul
        return mul(self, -1.0)

    def __pow__(self, exponent):
        from .ops import pow
        return pow(self, exponent)

    def __matmul__(self, other):
        from .ops import matmul
        return matmul(self, other)

    def __getitem__(self, index):
        from .ops import getitem
        return getitem(self, index)

    def sum(self, dim=None, keepdim=False):
        from .ops import sum
        return sum(self, dim, keepdim)

    def mean(self, dim=None, keepdim=False):
        from .ops import mean
        return mean(self, dim, keepdim)

    def reshape(self, *shape):
        from .ops import reshape
        return reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def permute(self, *dims):
        from .ops import permute
        return permute(self, dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims)


def as_array(data):
    """Return `data` as a C-contiguous float array: arrays of float64 as they are, every other number as float32."""
    if isinstance(data, Tensor):
        return data.array
    if isinstance(data, DeviceArray):
        if data.dtype.kind != "f":
            raise DtypeError(f"a Tensor holds float32 or float64; this is an array of {data.dtype} on the GPU")
        return data
    try:
        array = np.asarray(data)
    except ValueError:      # lists of different lengths
        raise DtypeError("a Tensor holds an array of numbers; these lists have different lengths") from None
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise DtypeError(f"a Tensor holds real numbers; this is an array of {array.dtype}")
    is_array = isinstance(data, (np.ndarray, np.generic))       # a list says nothing about precision
    dtype = np.float64 if array.dtype == np.float64 and is_array else np.float32
    if array.dtype == dtype and array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array, dtype=dtype).reshape(array.shape)    # ascontiguousarray makes 0-d into 1-d
