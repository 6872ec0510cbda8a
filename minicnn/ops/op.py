"""Op, the base of every differentiable operation, and the checks of arguments that the ops share."""
from numbers import Integral
from types import SimpleNamespace

import numpy as np

from .. import tape
from ..backend import current
from ..device import DeviceArray, constant, to_device
from ..errors import BackendError, DtypeError, ShapeError
from ..tensor import Tensor, as_array
from .frozen import once


class Op:
    """One operation: `forward(ctx, *arrays, **settings)` and, right below it, `backward(ctx, dout)`.

    forward gets plain arrays (or None), leaves in `ctx` what backward needs, and returns the output array, or a tuple
    (output, extra arrays that carry no gradient). `ctx.needs_grad[i]` says whether input i wants a gradient, so that
    nothing is saved or computed in vain. backward returns dL/d(input i) for each input, None where none is wanted.
    """

    @classmethod
    def apply(cls, *inputs, **settings):
        """Run forward on the inputs' arrays and record the op if any input wants a gradient."""
        if inputs[0] is None:
            raise DtypeError(f"{cls.__name__}: the first input is None, expected a Tensor or an array")
        arrays = [None if i is None else as_array(i) for i in inputs]
        dtypes = {a.dtype for a in arrays if a is not None}
        if len(dtypes) > 1:
            given = ", ".join(f"{a.dtype} {a.shape}" for a in arrays if a is not None)
            raise DtypeError(f"{cls.__name__}: all inputs need one dtype, given are {given}; make the arrays "
                             "the same with .astype before they become Tensors")
        if current() == "cuda" and any(isinstance(i, Tensor) and i.op and isinstance(i.array, np.ndarray) for i in inputs):
            raise BackendError(f"{cls.__name__}: an input was made by an op on the CPU and the backend in use is 'cuda'; run "
                               "both in the same use(...), or give it without its history, the Tensor's .data")
        arrays = [None if a is None else placed(a, cls.__name__) for a in arrays]
        nodes = tuple(i.node if isinstance(i, Tensor) and tape.recording() else None for i in inputs)
        ctx = SimpleNamespace(needs_grad=tuple(n is not None for n in nodes))
        result = cls.forward(ctx, *arrays, **settings)
        out, *extras = result if isinstance(result, tuple) else (result,)
        node = tape.Node(cls, ctx, nodes, out.shape) if any(ctx.needs_grad) else None   # else ctx dies here
        out = Tensor(out, node=node)
        return (out, *extras) if extras else out


def placed(array, op):
    """Return the array where the backend in use computes: copied to the GPU for "cuda", a frozen one only once.

    An array that is on the GPU for another backend is refused: who leaves `use("cuda")` says with .data that it is copied.
    """
    on_gpu = isinstance(array, DeviceArray)
    if current() == "cuda":
        return array if on_gpu else constant(array) if array.size == 1 else once(array, "cuda", to_device)
    if on_gpu:
        raise BackendError(f"{op}: an input of shape {array.shape} is on the GPU and the backend in use is {current()!r}; stay "
                           "in use('cuda'), or give its copy, the Tensor's .data")
    return array


def filled(value, shape, dtype):
    """Return an array of one value where the backend in use computes."""
    array = np.full(shape, value, dtype)
    return constant(array) if current() == "cuda" else array


def shape_of(x):
    """Return the shape of a Tensor or of anything array-like."""
    return x.shape if hasattr(x, "shape") else as_array(x).shape


def check_ndim(op, name, x, ndim, layout):
    """Raise ShapeError unless `x` has `ndim` axes; `layout` says which: "(N, C, H, W)"."""
    shape = shape_of(x)
    if len(shape) != ndim:
        raise ShapeError(f"{op}: {name} has shape {tuple(shape)}, expected {ndim} axes {layout}")


def pair(op, name, value, least):
    """Return `value`, an int or two, as (int, int), each at least `least`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or any(not isinstance(v, Integral) or v < least for v in values):
        raise ShapeError(f"{op}: {name} is {value!r}, expected an int or two, each at least {least}")
    return int(values[0]), int(values[1])


def window_output_size(op, size, kernel, stride, padding, dilation=(1, 1), ceil_mode=False):
    """Return (OH, OW), how many windows fit: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    With `ceil_mode` a last window that hangs over the edge counts too, unless it would start in the padding beyond it.
    """
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
        room = n + 2 * p - d * (k - 1) - 1
        count = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise ShapeError(f"{op}: a window of {kernel[0]}x{kernel[1]} (dilation {dilation}) does not fit into an input "
                             f"of {size[0]}x{size[1]} with padding {padding[0]}x{padding[1]}")
        out.append(count)
    return tuple(out)
