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
from numba import cuda, float64, int64

from ..backend import pick
from ..device import THREADS, DeviceArray, cuda_jit, gpu_function, larger, smaller, threads_for
from ..errors import ShapeError
from .op import Op, shape_of
from .shape_ops import KERNELS as SHAPE
from .shape_ops import permute_forward_cuda


SHORT = 32                          # numbers of a row that one thread of a GPU adds up


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


def sum_over_ref(x, axes):
    """The sum over several axes, which go: what biases and operands that were stretched get back."""
    return x.sum(axis=axes)


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


@gpu_function
def _plus(a, b):
    return a + b


def folded(combine):
    """Make what combines a number of each thread of a block, and gives the result to all of them.

    Half of the threads combine theirs with the others', then half of these, until one is left: the same order each time.
    """
    @gpu_function
    def fold(value):
        numbers, t = cuda.shared.array(THREADS, float64), cuda.threadIdx.x
        numbers[t] = value
        cuda.syncthreads()
        half = THREADS // 2
        while half > 0:
            if t < half:
                numbers[t] = combine(numbers[t], numbers[t + half])
            cuda.syncthreads()
            half //= 2
        result = numbers[0]
        cuda.syncthreads()                          # nobody begins the next fold before all have read this one
        return result
    return fold


block_total, block_largest = folded(_plus), folded(larger)


@cuda_jit("T2 d1")
def sum_short_kernel(x, out):
    """A thread a row, for short ones."""
    row, total = cuda.grid(1), 0.0
    if row < len(out):
        for j in range(x.shape[1]):
            total += x[row, j]
        out[row] = total


@cuda_jit("T3 T2")
def add_parts_kernel(parts, out):
    """A thread a number of out (rows, count): the sum over the middle axis of parts (rows, n, count), in order."""
    i, count, total = cuda.grid(1), out.shape[1], 0.0
    if i < out.size:
        for part in range(parts.shape[1]):
            total += parts[i // count, part, i % count]
        out[i // count, i % count] = total


def add_parts(parts):
    """Return the sums (rows, count) over the middle axis of a DeviceArray (rows, n, count)."""
    out = DeviceArray((len(parts), parts.shape[2]), parts.dtype)
    add_parts_kernel.launch(*threads_for(out.size), parts, out)
    return out


@cuda_jit("T2 n d2")
def sum_kernel(x, span, out):
    """Block (row, part) adds up `span` numbers of its row, neighbours by neighbouring threads; out (rows, parts) is its own."""
    row, begin = cuda.blockIdx.x, cuda.blockIdx.y * span
    total = 0.0
    for j in range(begin + cuda.threadIdx.x, smaller(begin + span, x.shape[1]), THREADS):
        total += x[row, j]
    total = block_total(total)
    if cuda.threadIdx.x == 0:
        out[row, cuda.blockIdx.y] = total


def sum_forward_cuda(x):
    """Sums in float64. Few long rows are cut in parts, so that all of the GPU has work, and the parts' sums are added up."""
    rows, count = x.shape
    if count <= SHORT:
        out = DeviceArray((rows,), np.float64)
        sum_short_kernel.launch(*threads_for(rows), x, out)
        return out.astype(x.dtype)
    parts = min(256, count // (16 * THREADS), 1024 // (rows or 1)) or 1
    span = -(-count // parts)
    out = DeviceArray((rows, parts), np.float64)
    sum_kernel.launch((rows, parts), THREADS, x, span, out)
    return (sum_forward_cuda(out) if parts > 1 else out.reshape(rows)).astype(x.dtype)


@cuda_jit("T1 n T1")
def sum_backward_kernel(dout, count, dx):
    """A thread a number of dx."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i // count]


def sum_backward_cuda(dout, count):
    dx = DeviceArray((len(dout), count), dout.dtype)
    sum_backward_kernel.launch(*threads_for(dx.size), dout, count, dx)
    return dx


def sum_over_cuda(x, axes):
    """Without moving numbers where axes side by side go; else after bringing them together at the end."""
    if len(axes) and tuple(axes) == tuple(range(axes[0], axes[0] + len(axes))):
        end = axes[0] + len(axes)
        lead, gone, rest = (math.prod(x.shape[k] for k in part) for part in (range(axes[0]), axes, range(end, x.ndim)))
        if rest > 1:
            return add_parts(x.reshape(lead, gone, rest)).reshape(x.shape[:axes[0]] + x.shape[end:])
    stay = [axis for axis in range(x.ndim) if axis not in axes]
    rows = math.prod(x.shape[a] for a in stay)
    moved = permute_forward_cuda(x, (*stay, *axes)).reshape(rows, x.size // (rows or 1))
    return sum_forward_cuda(moved).reshape([x.shape[a] for a in stay])


@gpu_function
def _beats(value, at, best, best_at):
    """Whether a number is larger than the best, or as large and nearer to the front; a NaN is larger than all."""
    if value != value or best != best:
        return value != value and (best == best or at < best_at)
    return value > best or value == best and at < best_at


@cuda_jit("T2 T1 l1")
def max_forward_kernel(x, out, where):
    """A block a row: each thread has a champion, and pairs of them fight until one is left."""
    row, t = cuda.blockIdx.x, cuda.threadIdx.x
    champions = cuda.shared.array(THREADS, x.dtype)     # (a line each: the simulator tells shared arrays by their lines)
    places = cuda.shared.array(THREADS, int64)
    at = smaller(t, x.shape[1] - 1)
    for j in range(t, x.shape[1], THREADS):
        if _beats(x[row, j], j, x[row, at], at):
            at = j
    champions[t], places[t] = x[row, at], at
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if t < half and _beats(champions[t + half], places[t + half], champions[t], places[t]):
            champions[t], places[t] = champions[t + half], places[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        out[row], where[row] = champions[0], places[0]


def max_forward_cuda(x):
    out, where = DeviceArray((len(x),), x.dtype), DeviceArray((len(x),), np.int64)
    max_forward_kernel.launch(len(x), THREADS, x, out, where)
    return out, where


@cuda_jit("T1 l1 n T1")
def max_backward_kernel(dout, where, count, dx):
    """A thread a number of dx."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i // count] if i % count == where[i // count] else 0


def max_backward_cuda(dout, where, count):
    dx = DeviceArray((len(dout), count), dout.dtype)
    max_backward_kernel.launch(*threads_for(dx.size), dout, where, count, dx)
    return dx


KERNELS = {
    "ref": {"sum_forward": sum_forward_ref, "sum_backward": sum_backward_ref, "sum_over": sum_over_ref,
            "max_forward": max_forward_ref, "max_backward": max_backward_ref},
    "cpu": {"sum_forward": sum_forward_cpu, "sum_backward": sum_backward_cpu, "sum_over": sum_over_ref,
            "max_forward": max_forward_cpu, "max_backward": max_backward_cpu},
    "cuda": {"sum_forward": sum_forward_cuda, "sum_backward": sum_backward_cuda, "sum_over": sum_over_cuda,
             "max_forward": max_forward_cuda, "max_backward": max_backward_cuda},
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
        return pick(SHAPE)["permute"](x, self.stay + self.gone).reshape(self.rows, self.count)

    def from_rows(self, rows):
        back = tuple(int(axis) for axis in np.argsort(self.stay + self.gone))
        return pick(SHAPE)["permute"](rows.reshape(self.moved_shape), back)


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
