"""Functions of one number at a time.

    exp     y = e^x             dL/dx = g y                             g = dL/dy
    log     y = ln x            g / x                                   log 0 = -inf, of a negative number NaN
    sqrt    y = x^(1/2)         g / (2 y)                               at 0 an infinity, as in torch
    abs     y = |x|             g sign(x)                               sign(0) = 0
    clip    y = x within [min, max]     g where min <= x <= max, else 0     at the bounds themselves g, as torch.clamp

Any shape, float32 or float64. NaN stays NaN. Memory is the bound and NumPy reaches it: its expression is the definition
and the CPU's kernel. On a GPU a thread computes a number. Names as torch's (clip is also torch.clamp).
"""
import math

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import cuda_jit, each
from ..errors import ShapeError
from .op import Op


def exp_forward_ref(x):
    with np.errstate(over="ignore"):
        return np.exp(x)


def exp_backward_ref(dout, out):
    return dout * out


def log_forward_ref(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def log_backward_ref(dout, x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return dout / x


def sqrt_forward_ref(x):
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def sqrt_backward_ref(dout, out):
    with np.errstate(divide="ignore", invalid="ignore"):
        return dout / (out + out)


def abs_forward_ref(x):
    return np.abs(x)


def abs_backward_ref(dout, x):
    return dout * np.sign(x)


def clip_forward_ref(x, min, max):
    return np.minimum(np.maximum(x, x.dtype.type(min)), x.dtype.type(max))      # min > max: all become max, as in torch


def clip_backward_ref(dout, x, min, max):
    return np.where((x >= min) & (x <= max), dout, np.zeros_like(dout))


_NUMPY = {"exp_forward": exp_forward_ref, "exp_backward": exp_backward_ref,
          "log_forward": log_forward_ref, "log_backward": log_backward_ref,
          "sqrt_forward": sqrt_forward_ref, "sqrt_backward": sqrt_backward_ref,
          "abs_forward": abs_forward_ref, "abs_backward": abs_backward_ref,
          "clip_forward": clip_forward_ref, "clip_backward": clip_backward_ref}


@cuda_jit("T1 T1")
def exp_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = math.exp(x[i])


@cuda_jit("T1 T1 T1")
def exp_backward_kernel(dout, out, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] * out[i]


@cuda_jit("T1 T1")
def log_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = math.log(x[i]) if x[i] > 0 else -math.inf if x[i] == 0 else math.nan


@cuda_jit("T1 T1 T1")
def log_backward_kernel(dout, x, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] / x[i]


@cuda_jit("T1 T1")
def sqrt_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = math.sqrt(x[i]) if x[i] >= 0 else math.nan


@cuda_jit("T1 T1 T1")
def sqrt_backward_kernel(dout, out, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] / (out[i] + out[i])


@cuda_jit("T1 T1")
def abs_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = math.fabs(x[i])


@cuda_jit("T1 T1 T1")
def abs_backward_kernel(dout, x, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if x[i] > 0 else -dout[i] if x[i] < 0 else dout[i] * x[i]       # a NaN stays one


@cuda_jit("T1 T T T1")
def clip_forward_kernel(x, low, high, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        value = x[i] if x[i] >= low or x[i] != x[i] else low        # a bound that is NaN makes all NaN, as with NumPy
        out[i] = value if value <= high or value != value else high


@cuda_jit("T1 T1 T T T1")
def clip_backward_kernel(dout, x, low, high, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if low <= x[i] <= high else 0


KERNELS = {
    "ref": _NUMPY,
    "cpu": dict(_NUMPY),
    "cuda": {"exp_forward": each(exp_forward_kernel), "exp_backward": each(exp_backward_kernel),
             "log_forward": each(log_forward_kernel), "log_backward": each(log_backward_kernel),
             "sqrt_forward": each(sqrt_forward_kernel), "sqrt_backward": each(sqrt_backward_kernel),
             "abs_forward": each(abs_forward_kernel), "abs_backward": each(abs_backward_kernel),
             "clip_forward": each(clip_forward_kernel), "clip_backward": each(clip_backward_kernel)},
}


class Exp(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.out = pick(KERNELS)["exp_forward"](x)
        return ctx.out

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["exp_backward"](dout, ctx.out),)


class Log(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return pick(KERNELS)["log_forward"](x)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["log_backward"](dout, ctx.x),)


class Sqrt(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.out = pick(KERNELS)["sqrt_forward"](x)
        return ctx.out

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["sqrt_backward"](dout, ctx.out),)


class Abs(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return pick(KERNELS)["abs_forward"](x)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["abs_backward"](dout, ctx.x),)


class Clip(Op):
    @staticmethod
    def forward(ctx, x, bounds):
        ctx.x, ctx.bounds = x, bounds
        return pick(KERNELS)["clip_forward"](x, *bounds)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["clip_backward"](dout, ctx.x, *ctx.bounds),)


def exp(x):
    """Return e to the power of x."""
    return Exp.apply(x)


def log(x):
    """Return the natural logarithm of x."""
    return Log.apply(x)


def sqrt(x):
    """Return the square root of x."""
    return Sqrt.apply(x)


def abs(x):
    """Return the absolute value of x."""
    return Abs.apply(x)


def clip(x, min=None, max=None):
    """Return x held between `min` and `max`, numbers; None leaves a side open."""
    if min is None and max is None:
        raise ShapeError("clip: min and max are both None, expected at least one number")
    return Clip.apply(x, bounds=(-np.inf if min is None else float(min), np.inf if max is None else float(max)))
