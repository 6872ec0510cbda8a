"""Ops that only move numbers: reshape, flatten, permute and indexing.

    y = the same numbers at other places;   dL/dx = dL/dy put back to where its number came from

An index may take a number twice (integer arrays): what comes back to it adds. Any shape and dtype. Data movement: the
NumPy expression is the definition and the CPU's kernel. On a GPU one kernel takes numbers from where they lie, another puts
them there: number (i, j, ...) of an array lies at first + i steps[0] + j steps[1] + ... in the memory of another.
Names as torch's; getitem is x[index].
"""
import math
from numbers import Integral

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import DeviceArray, cuda_jit, gpu_function, small, threads_for, to_device, zeros
from ..errors import ShapeError
from ..tensor import Tensor
from .op import Op, shape_of


def reshape_forward_ref(x, shape):
    return x.reshape(shape)


def permute_forward_ref(x, dims):
    return np.ascontiguousarray(x.transpose(dims)) if dims else x


def getitem_forward_ref(x, index):
    return np.array(x[index], order="C")        # a copy of its own, although a slice could be a view


def getitem_backward_ref(dout, index, x_shape):
    """Put dL/dy back; `add.at` and not `dx[index] += dout`, which would count a repeated index once."""
    dx = np.zeros(x_shape, dout.dtype)
    np.add.at(dx, index, dout)
    return dx


def getitem_backward_cpu(dout, index, x_shape):
    """Bound by memory; add.at is slow and only integer arrays can repeat an index, so slices are simply assigned."""
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, np.ndarray) and i.dtype != bool for i in items):
        return getitem_backward_ref(dout, index, x_shape)
    dx = np.zeros(x_shape, dout.dtype)
    dx[index] = dout
    return dx


@gpu_function
def _place(i, first, steps, sizes):
    """Return where number i, in reading order, of an array of such sizes lies."""
    at = first
    for axis in range(len(sizes) - 1, -1, -1):
        at += i % sizes[axis] * steps[axis]
        i //= sizes[axis]
    return at


@cuda_jit("T1 n l1 l1 T1")
def gather_kernel(x, first, steps, sizes, out):
    """A thread a number of out, which it looks up in x."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[_place(i, first, steps, sizes)]


@cuda_jit("T1 n l1 l1 T1")
def put_kernel(x, first, steps, sizes, out):
    """A thread a number of x, which has its own place in out."""
    i = cuda.grid(1)
    if i < len(x):
        out[_place(i, first, steps, sizes)] = x[i]


@cuda_jit("T1 l1 T1")
def take_kernel(x, places, out):
    """A thread a number of out: x[places[i]]."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[places[i]]


@cuda_jit("T1 l1 l1 l1 T1")
def add_at_kernel(x, places, starts, order, out):
    """A thread a place of out, which adds up the numbers that belong there, in reading order: no race, the same sum each time."""
    i = cuda.grid(1)
    if i < len(places):
        total = x[order[starts[i]]]
        for k in range(starts[i] + 1, starts[i + 1]):
            total += x[order[k]]
        out[places[i]] = total


def steps_of(shape):
    """Return how far apart neighbours along each axis of a C-contiguous array lie."""
    return tuple(math.prod(shape[axis + 1:]) for axis in range(len(shape)))


def gathered(x, first, steps, sizes):
    """Return the numbers of a DeviceArray that lie so, as an array of such sizes."""
    out = DeviceArray(sizes, x.dtype)
    gather_kernel.launch(*threads_for(out.size), x, first, small(*steps, 0), small(*sizes, 1), out)
    return out


def put(x, first, steps, out):
    """Put the numbers of x where they lie so in `out`."""
    put_kernel.launch(*threads_for(x.size), x, first, small(*steps, 0), small(*x.shape, 1), out)


def expanded(x, shape):
    """Return x stretched to a shape that it broadcasts to."""
    if x.shape == tuple(shape):
        return x
    steps = [0 if n == 1 else step for n, step in zip(x.shape, steps_of(x.shape))]
    return gathered(x, 0, (*[0] * (len(shape) - x.ndim), *steps), shape)


def add_at(x, places, size):
    """Return (size,) numbers: at each place the sum of the numbers of x that belong there; `places` a NumPy array like x."""
    order = np.argsort(places, axis=None, kind="stable")
    unique, starts = np.unique(places.reshape(-1)[order], return_index=True)
    out = zeros((size,), x.dtype)
    index = [to_device(array.astype(np.int64)) for array in (unique, np.append(starts, places.size), order)]
    add_at_kernel.launch(*threads_for(len(unique)), x, *index, out)
    return out


def permute_forward_cuda(x, dims):
    moved = [d for d in dims if x.shape[d] != 1]
    if moved == sorted(moved):                              # the same numbers in the same order, and nobody writes to them
        return x.reshape([x.shape[d] for d in dims])
    steps = steps_of(x.shape)
    return gathered(x, 0, [steps[d] for d in dims], [x.shape[d] for d in dims])


def _where(index, shape):
    """Return (first, steps, sizes) of x[index] for ints, slices, None and Ellipsis: NumPy says where its view begins."""
    memory = np.lib.stride_tricks.as_strided(np.empty(1, np.int8), shape, steps_of(shape))     # never read
    items = index if isinstance(index, tuple) else (index,)
    view = memory[items if any(i is Ellipsis for i in items) else (*items, Ellipsis)]           # so it is no single number
    return view.ctypes.data - memory.ctypes.data, view.strides, view.shape


def _is_basic(index):
    """Whether all parts of an index are ints, slices, None or Ellipsis, so that x[index] is a view."""
    return all(i is None or i is Ellipsis or isinstance(i, (slice, Integral)) and not isinstance(i, bool)
               for i in (index if isinstance(index, tuple) else (index,)))


def getitem_forward_cuda(x, index):
    if _is_basic(index):
        return gathered(x, *_where(index, x.shape))
    places = np.arange(x.size).reshape(x.shape)[index]
    out = DeviceArray(places.shape, x.dtype)
    take_kernel.launch(*threads_for(out.size), x, to_device(places), out)
    return out


def getitem_backward_cuda(dout, index, x_shape):
    if not _is_basic(index):
        places = np.arange(math.prod(x_shape)).reshape(x_shape)[index]
        return add_at(dout, places, math.prod(x_shape)).reshape(x_shape)
    dx, (first, steps, _) = zeros(x_shape, dout.dtype), _where(index, x_shape)
    put(dout, first, steps, dx)
    return dx


KERNELS = {
    "ref": {"reshape": reshape_forward_ref, "permute": permute_forward_ref,
            "getitem_forward": getitem_forward_ref, "getitem_backward": getitem_backward_ref},
    "cpu": {"reshape": reshape_forward_ref, "permute": permute_forward_ref,
            "getitem_forward": getitem_forward_ref, "getitem_backward": getitem_backward_cpu},
    "cuda": {"reshape": reshape_forward_ref, "permute": permute_forward_cuda,
             "getitem_forward": getitem_forward_cuda, "getitem_backward": getitem_backward_cuda},
}


class Reshape(Op):
    @staticmethod
    def forward(ctx, x, shape):
        ctx.x_shape = x.shape
        return pick(KERNELS)["reshape"](x, shape)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["reshape"](dout, ctx.x_shape),)


class Permute(Op):
    @staticmethod
    def forward(ctx, x, dims):
        ctx.dims = dims
        return pick(KERNELS)["permute"](x, dims)

    @staticmethod
    def backward(ctx, dout):
        back = tuple(ctx.dims.index(i) for i in range(len(ctx.dims)))   # the inverse permutation
        return (pick(KERNELS)["permute"](dout, back),)


class GetItem(Op):
    @staticmethod
    def forward(ctx, x, index):
        ctx.index, ctx.x_shape = index, x.shape
        return pick(KERNELS)["getitem_forward"](x, index)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["getitem_backward"](dout, ctx.index, ctx.x_shape),)


def reshape(x, shape):
    """Return `x` with its numbers in reading order in another `shape`; one entry may be -1 and is worked out."""
    old, shape = shape_of(x), (shape,) if isinstance(shape, int) else tuple(int(s) for s in shape)
    rest, size = math.prod(s for s in shape if s != -1), math.prod(old)
    unknown = shape.count(-1)
    fits = size % rest == 0 if unknown == 1 and rest else size == rest and not unknown
    if not fits or any(s < -1 for s in shape):
        raise ShapeError(f"reshape: {size} numbers of shape {old} do not fit into shape {shape}")
    return Reshape.apply(x, shape=tuple(size // rest if s == -1 else s for s in shape))


def flatten(x, start_dim=1):
    """Make one axis of all axes from `start_dim` on: (N, C, H, W) becomes (N, C H W)."""
    shape = shape_of(x)
    if not -len(shape) <= start_dim < max(len(shape), 1):
        raise ShapeError(f"flatten: start_dim {start_dim} does not exist in a tensor of shape {shape}")
    start = start_dim % max(len(shape), 1)
    return Reshape.apply(x, shape=(*shape[:start], math.prod(shape[start:])))


def permute(x, dims):
    """Return `x` with its axes in the order `dims`: permute(x, (0, 2, 3, 1)) makes NHWC of NCHW."""
    ndim = len(shape_of(x))
    order = tuple(int(d) + ndim if d < 0 else int(d) for d in dims)
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"permute: dims {tuple(dims)} must name each of the {ndim} axes of x {shape_of(x)} once")
    return Permute.apply(x, dims=order)


def getitem(x, index):
    """Return x[index]: ints, slices, Ellipsis, None, integer and boolean arrays, as in NumPy. Not a view."""
    items = index if isinstance(index, tuple) else (index,)
    items = tuple(i if isinstance(i, Tensor) or _is_basic((i,)) else np.array(i) for i in items)
    for i in items:
        if isinstance(i, Tensor) or isinstance(i, np.ndarray) and i.size and i.dtype.kind not in "iub":
            raise ShapeError(f"getitem: an index must hold whole numbers or truth values, not {i.dtype}")
    items = tuple(i.astype(np.intp) if isinstance(i, np.ndarray) and not i.size and i.dtype.kind == "f" else i
                  for i in items)                                       # the empty list is an array of floats
    try:
        return GetItem.apply(x, index=items)
    except IndexError as error:
        raise ShapeError(f"getitem: index {index!r} does not fit a tensor of shape {shape_of(x)}: {error}") from None
