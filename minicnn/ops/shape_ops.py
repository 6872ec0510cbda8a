"""Ops that only move numbers: reshape, flatten, permute and indexing.

    y = the same numbers at other places;   dL/dx = dL/dy put back to where its number came from

An index may take a number twice (integer arrays): what comes back to it adds. Any shape and dtype. Data movement: the
NumPy expression is the definition, on every backend. Names as torch's; getitem is x[index].
"""
import math

import numpy as np

from ..backend import pick
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


KERNELS = {
    "ref": {"reshape": reshape_forward_ref, "permute": permute_forward_ref,
            "getitem_forward": getitem_forward_ref, "getitem_backward": getitem_backward_ref},
    "cpu": {"reshape": reshape_forward_ref, "permute": permute_forward_ref,
            "getitem_forward": getitem_forward_ref, "getitem_backward": getitem_backward_cpu},
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
    items = tuple(np.array(i) if isinstance(i, (list, np.ndarray)) else i for i in items)
    for i in items:
        if isinstance(i, Tensor) or isinstance(i, np.ndarray) and i.size and i.dtype.kind not in "iub":
            raise ShapeError(f"getitem: an index must hold whole numbers or truth values, not {i.dtype}")
    items = tuple(i.astype(np.intp) if isinstance(i, np.ndarray) and not i.size and i.dtype.kind == "f" else i
                  for i in items)                                       # the empty list is an array of floats
    try:
        return GetItem.apply(x, index=items)
    except IndexError as error:
        raise ShapeError(f"getitem: index {index!r} does not fit a tensor of shape {shape_of(x)}: {error}") from None
