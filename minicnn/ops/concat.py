"""Concatenation: several tensors one after the other along an axis, as fire and inception modules join their branches.

    y = [x_1, x_2, ...] along `dim`;   dL/dx_k = the piece of dL/dy that came from x_k

Shapes: equal but for axis `dim`. Any dtype. Data movement: the NumPy expression is the definition. As torch.cat.
"""
import numpy as np

from ..backend import pick
from ..device import DeviceArray
from ..errors import ShapeError
from .op import Op, shape_of
from .shape_ops import gathered, put, steps_of


def concat_forward_ref(arrays, dim):
    return np.concatenate(arrays, axis=dim)


def concat_backward_ref(dout, sizes, dim):
    """Cut dL/dy where one input ended and the next began."""
    pieces = np.split(dout, np.cumsum(sizes)[:-1], axis=dim)
    return tuple(np.ascontiguousarray(piece) for piece in pieces)


def concat_forward_cuda(arrays, dim):
    """One input after the other is put to its place: shape_ops.put_kernel."""
    shape = list(arrays[0].shape)
    shape[dim] = sum(a.shape[dim] for a in arrays)
    out, steps, begin = DeviceArray(shape, arrays[0].dtype), steps_of(shape), 0
    for array in arrays:
        put(array, begin * steps[dim], steps, out)
        begin += array.shape[dim]
    return out


def concat_backward_cuda(dout, sizes, dim):
    steps, ends = steps_of(dout.shape), np.cumsum(sizes)
    return tuple(gathered(dout, (end - size) * steps[dim], steps, (*dout.shape[:dim], size, *dout.shape[dim + 1:]))
                 for end, size in zip(ends, sizes))


KERNELS = {
    "ref": {"forward": concat_forward_ref, "backward": concat_backward_ref},
    "cpu": {"forward": concat_forward_ref, "backward": concat_backward_ref},    # bound by memory: nothing to gain
    "cuda": {"forward": concat_forward_cuda, "backward": concat_backward_cuda},
}


class Concat(Op):
    @staticmethod
    def forward(ctx, *arrays, dim):
        ctx.sizes, ctx.dim = [a.shape[dim] for a in arrays], dim
        return pick(KERNELS)["forward"](arrays, dim)

    @staticmethod
    def backward(ctx, dout):
        return pick(KERNELS)["backward"](dout, ctx.sizes, ctx.dim)


def concat(tensors, dim=1):
    """Join `tensors`, a sequence, along axis `dim` (the channels by default): one Tensor.

    Raises ShapeError where another axis differs.
    """
    tensors = tuple(tensors)
    if not tensors:
        raise ShapeError("concat: no tensors given, expected at least one")
    shapes = [shape_of(t) for t in tensors]
    ndim = len(shapes[0])
    if not -ndim <= dim < ndim:
        raise ShapeError(f"concat: dim {dim} does not exist in a tensor of shape {shapes[0]}")
    rests = {(*shape[:dim % ndim], *shape[dim % ndim + 1:]) for shape in shapes}
    if len(rests) > 1 or any(len(shape) != ndim for shape in shapes):
        raise ShapeError(f"concat: shapes {', '.join(map(str, shapes))} may differ in axis {dim} only")
    return Concat.apply(*tensors, dim=dim % ndim)
