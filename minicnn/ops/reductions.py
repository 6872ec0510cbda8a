"""Sums, means and maxima over axes.

    sum     y = sum of x over the axes `dim`        dL/dx = dL/dy handed to each of them
    mean    y = sum / how many                      dL/dy / how many
    max     y = the largest                         dL/dy to the place of the largest, 0 elsewhere

`dim` is None (all axes), an int or a tuple of ints, negative ones count from the end; with `keepdim` the axes stay, with
length 1. Ties in max: the first largest in reading order gets all, as in torch.max(x, dim), which takes one axis only;
torch.amax, which takes several, and torch.max(x) deal dL/dy out evenly instead. max returns the values alone. NaN wins.
float32 or float64. Names as torch's.
"""
import math
from numbers import Integral

import numpy as np

from ..backend import pick
from ..errors import ShapeError
from .op import Op, shape_of


def sum_forward_ref(x):
    """The definition, on rows of numbers: x (rows, count) -> (rows,)."""
    out = np.zeros(len(x), x.dtype)
    for i, j in np.ndindex(x.shape):
        out[i] += x[i, j]
    return out


def sum_backward_ref(dout, count):
    """Every number of a row had the weight 1: dout (rows,) -> (rows, count)."""
    dx = np.empty((len(dout), count), dout.dtype)
    for i, j in np.ndindex(dx.shape):
        dx[i, j] = dout[i]
    return dx


def max_forward_ref(x):
    """The definition: the first largest number of each row, and where it stands. x (rows, count)."""
    out, where = x[:, 0].copy(), np.zeros(len(x), np.int64)
    for i, j in np.ndindex(x.shape):
        if x[i, j] > out[i] or np.isnan(x[i, j]) and not np.isnan(out[i]):
            out[i], where[i] = x[i, j], j
    return out, where


def max_backward_ref(dout, where, count):
    """Only the largest counts: dout (rows,) -> (rows, count)."""
    dx = np.zeros((len(dout), count), dout.dtype)
    for i in range(len(dout)):
        dx[i, where[i]] = dout[i]
    return dx


def sum_forward_cpu(x):             # bound by memory: NumPy, whose pairwise sums are more exact, too
    return x.sum(axis=1)


def sum_backward_cpu(dout, count):
    return np.repeat(dout[:, None], count, axis=1)


def max_forward_cpu(x):
    where = x.argmax(axis=1)        # the first of equals; a NaN wins
    return x[np.arange(len(x)), where], where


def max_backward_cpu(dout, where, count):
    dx = np.zeros((len(dout), count), dout.dtype)
    dx[np.arange(len(dout)), where] = dout
    return dx


KERNELS = {
    "ref": {"sum_forward": sum_forward_ref, "sum_backward": sum_backward_ref,
            "max_forward": max_forward_ref, "max_backward": max_backward_ref},
    "cpu": {"sum_forward": sum_forward_cpu, "sum_backward": sum_backward_cpu,
            "max_forward": max_forward_cpu, "max_backward": max_backward_cpu},
}


class _Axes:
    """Which axes of a shape go and which stay, and the way to (rows, count) and back."""

    def __init__(self, op, shape, dim, keepdim):
        ndim = len(shape)
        dims = range(ndim) if dim is None else (dim,) if isinstance(dim, Integral) else tuple(dim)
        if any(not -ndim <= d < ndim for d in dims) or len({d % ndim for d in dims}) < len(dims):
            raise ShapeError(f"{op}: dim {dim} does not name different axes of a tensor of shape {shape}")
        self.gone = tuple(sorted(d % ndim for d in dims))
        self.stay = tuple(d for d in range(ndim) if d not in self.gone)
        self.moved_shape = [shape[d] for d in (*self.stay, *self.gone)]
        self.count = math.prod(shape[d] for d in self.gone)
        self.rows = math.prod(shape[d] for d in self.stay)
        self.out_shape = tuple(1 if d in self.gone else shape[d] for d in range(ndim) if keepdim or d in self.stay)

    def to_rows(self, x):
        return np.ascontiguousarray(x.transpose(self.stay + self.gone)).reshape(self.rows, self.count)

    def from_rows(self, rows):
        back = np.argsort(self.stay + self.gone)
        return np.array(rows.reshape(self.moved_shape).transpose(back), order="C")


class Sum(Op):
    @staticmethod
    def forward(ctx, x, axes):
        ctx.axes = axes
        return pick(KERNELS)["sum_forward"](axes.to_rows(x)).reshape(axes.out_shape)

    @staticmethod
    def backward(ctx, dout):
        rows = pick(KERNELS)["sum_backward"](dout.reshape(ctx.axes.rows), ctx.axes.count)
        return (ctx.axes.from_rows(rows),)


class Mean(Op):
    @staticmethod
    def forward(ctx, x, axes):
        ctx.axes = axes
        return pick(KERNELS)["sum_forward"](axes.to_rows(x)).reshape(axes.out_shape) / x.dtype.type(axes.count)

    @staticmethod
    def backward(ctx, dout):
        share = dout.reshape(ctx.axes.rows) / dout.dtype.type(ctx.axes.count)
        return (ctx.axes.from_rows(pick(KERNELS)["sum_backward"](share, ctx.axes.count)),)


class Max(Op):
    @staticmethod
    def forward(ctx, x, axes):
        ctx.axes = axes
        out, ctx.where = pick(KERNELS)["max_forward"](axes.to_rows(x))
        return out.reshape(axes.out_shape)

    @staticmethod
    def backward(ctx, dout):
        rows = pick(KERNELS)["max_backward"](dout.reshape(ctx.axes.rows), ctx.where, ctx.axes.count)
        return (ctx.axes.from_rows(rows),)


def _not_empty(op, x, axes):
    if axes.count == 0:
        raise ShapeError(f"{op}: x has shape {shape_of(x)}; there is no {op} of no numbers")
    return axes


def sum(x, dim=None, keepdim=False):
    """Return the sum of x over the axes `dim`."""
    return Sum.apply(x, axes=_Axes("sum", shape_of(x), dim, keepdim))


def mean(x, dim=None, keepdim=False):
    """Return the mean of x over the axes `dim`."""
    return Mean.apply(x, axes=_not_empty("mean", x, _Axes("mean", shape_of(x), dim, keepdim)))


def max(x, dim=None, keepdim=False):
    """Return the largest values of x over the axes `dim`."""
    return Max.apply(x, axes=_not_empty("max", x, _Axes("max", shape_of(x), dim, keepdim)))
