"""Shared by batch_norm, group_norm, instance_norm and layer_norm: make every set of numbers have mean 0 and variance 1.

    xhat = (x - mu_s) / sigma_s,   mu_s = mean of set s,   var_s = mean of (x - mu_s)^2,   sigma_s = sqrt(var_s + eps)

The four norms differ only in which numbers make a set (slide "Different normalizations"). Each op lays its input out as
x (A, S, B), a view, such that set s is x[:, s, :]; m = A B numbers each.

Backward. Write g = dL/dxhat. xhat_i depends on x_j directly, through mu and through sigma:

    d mu / d x_j = 1/m        d sigma / d x_j = (x_j - mu) / (m sigma) = xhat_j / m
    d xhat_i / d x_j = ((i = j) - 1/m) / sigma - (x_i - mu) / sigma^2 xhat_j / m
                     = ((i = j) - 1/m - xhat_i xhat_j / m) / sigma
    dL/dx = (g - mean(g) - xhat mean(g xhat)) / sigma        means over the set

that is: the parts of g that would shift the set or stretch it are taken out, since xhat does not notice either. With a
scale and a shift, y = w xhat + b:  g = w dL/dy,  dL/dw = sum of dL/dy xhat,  dL/db = sum of dL/dy.

The variance is taken in two passes, mean first, with float64 sums: the shortcut mean(x^2) - mu^2 loses all its digits
when |mu| >> sigma. Source: Ioffe and Szegedy 2015; Wu and He 2018.
"""
import numba
import numpy as np
from numba import prange

from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from .op import shape_of


def normalize_statistics_ref(x):
    """The definition: mean and biased variance of each set x[:, s, :], as two float64 arrays (S,)."""
    A, S, B = x.shape
    mean, var = np.zeros(S), np.zeros(S)
    for s in range(S):
        for a in range(A):
            for b in range(B):
                mean[s] += float(x[a, s, b]) / (A * B)
        for a in range(A):
            for b in range(B):
                var[s] += (x[a, s, b] - mean[s]) ** 2 / (A * B)
    return mean, var


def normalize_forward_ref(x, mean, var, eps):
    """The definition: xhat = (x - mean) / sqrt(var + eps), set by set."""
    xhat = np.empty_like(x)
    for a, s, b in np.ndindex(x.shape):
        xhat[a, s, b] = (x[a, s, b] - mean[s]) / np.sqrt(var[s] + eps)
    return xhat


def normalize_backward_ref(dxhat, xhat, var, eps):
    """The definition: dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / sigma, the means over each set."""
    A, S, B = xhat.shape
    dx = np.empty_like(xhat)
    for s in range(S):
        shift, stretch = 0.0, 0.0
        for a in range(A):
            for b in range(B):
                shift += float(dxhat[a, s, b]) / (A * B)
                stretch += float(dxhat[a, s, b]) * float(xhat[a, s, b]) / (A * B)
        for a in range(A):
            for b in range(B):
                dx[a, s, b] = (dxhat[a, s, b] - shift - xhat[a, s, b] * stretch) / np.sqrt(var[s] + eps)
    return dx


@numba.njit(fastmath={"reassoc", "contract", "nsz"})
def _deviations(row, mean):
    """Return the sum of (x - mean) and of (x - mean)^2 over a row; `reassoc`: several numbers at once."""
    total, squares = np.float64(0), np.float64(0)
    for b in range(len(row)):
        difference = row[b] - mean
        total += difference
        squares += difference * difference
    return total, squares


@numba.njit(fastmath={"reassoc", "contract", "nsz"})
def _dot(left, right):
    """Return the sum of left and of left right over a row, in float64."""
    total, product = np.float64(0), np.float64(0)
    for b in range(len(left)):
        total += left[b]
        product += np.float64(left[b]) * right[b]
    return total, product


def normalize_statistics_cpu(x):
    """Parallel over the sets; a task writes mean[s] and var[s] of its own set, so there is no race.

    A set is summed by one task, in an order that depends on its shape alone.
    """
    A, S, B = x.shape
    mean, var = np.zeros(S), np.zeros(S)
    for s in prange(S):
        total, squares = 0.0, 0.0
        for a in range(A):
            total += _deviations(x[a, s], 0.0)[0]
        mean[s] = total / (A * B)
        for a in range(A):
            squares += _deviations(x[a, s], mean[s])[1]
        var[s] = squares / (A * B)
    return mean, var


def normalize_forward_cpu(x, mean, var, eps):
    """Parallel over the sets; a task writes xhat[:, s] of its own set, so there is no race."""
    A, S, B = x.shape
    xhat = np.empty_like(x)
    for s in prange(S):
        scale = 1 / np.sqrt(var[s] + eps)
        for a in range(A):
            for b in range(B):
                xhat[a, s, b] = (x[a, s, b] - mean[s]) * scale
    return xhat


def normalize_backward_cpu(dxhat, xhat, var, eps):
    """Parallel over the sets; a task sums over its own set and writes dx[:, s], so there is no race."""
    A, S, B = xhat.shape
    dx = np.empty_like(xhat)
    for s in prange(S):
        shift, stretch = 0.0, 0.0
        for a in range(A):
            total, product = _dot(dxhat[a, s], xhat[a, s])
            shift += total / (A * B)
            stretch += product / (A * B)
        scale = 1 / np.sqrt(var[s] + eps)
        for a in range(A):
            for b in range(B):
                dx[a, s, b] = (dxhat[a, s, b] - shift - xhat[a, s, b] * stretch) * scale
    return dx


KERNELS = {
    "ref": {"statistics": normalize_statistics_ref, "forward": normalize_forward_ref,
            "backward": normalize_backward_ref},
    "cpu": {"statistics": jit(normalize_statistics_cpu), "forward": jit(normalize_forward_cpu),
            "backward": jit(normalize_backward_cpu)},
}


def normalize_forward(ctx, x, layout, eps, statistics=None):
    """Return (xhat, mean, var) of `x` laid out as sets (A, S, B); `statistics` (mean, var) replaces the sets' own."""
    kernels = pick(KERNELS)
    sets = x.reshape(layout)
    mean, var = kernels["statistics"](sets) if statistics is None else statistics
    xhat = kernels["forward"](sets, mean, var, eps).reshape(x.shape)
    ctx.xhat, ctx.var, ctx.layout, ctx.eps = xhat, var, layout, eps
    return xhat, mean, var


def normalize_backward(ctx, dxhat):
    """Return dL/dx from dL/dxhat and what normalize_forward saved."""
    dx = pick(KERNELS)["backward"](dxhat.reshape(ctx.layout), ctx.xhat.reshape(ctx.layout), ctx.var, ctx.eps)
    return dx.reshape(dxhat.shape)


def affine_forward(ctx, xhat, weight, bias, axes):
    """Return weight xhat + bias, a number for each place along `axes`; both may be None."""
    ctx.weight, ctx.axes = weight, axes
    out = xhat if weight is None else xhat * _along(weight, axes, xhat.ndim)
    return out if bias is None else out + _along(bias, axes, xhat.ndim)


def affine_backward(ctx, dout):
    """Return dL/dxhat, dL/dweight and dL/dbias (None where not wanted): the sums run over all other axes."""
    others = tuple(i for i in range(dout.ndim) if i not in ctx.axes)
    dweight = np.sum(dout * ctx.xhat, axis=others) if ctx.needs_grad[1] else None
    dbias = np.sum(dout, axis=others) if ctx.needs_grad[2] else None
    dxhat = dout if ctx.weight is None else dout * _along(ctx.weight, ctx.axes, dout.ndim)
    return dxhat, dweight, dbias


def _along(values, axes, ndim):
    """Return `values` as an array of `ndim` axes that broadcasts: its own axes at `axes`, 1 elsewhere."""
    shape = [1] * ndim
    for axis, size in zip(axes, values.shape):
        shape[axis] = size
    return values.reshape(shape)


def check_norm(op, x, weight, bias, shape=None, least_ndim=2):
    """Raise ShapeError unless x has enough axes and weight and bias have `shape` (default: one number per channel)."""
    size = shape_of(x)
    if len(size) < least_ndim:
        layout = "(N, C, ...)" if least_ndim == 2 else "(N, C, L, ...)"
        raise ShapeError(f"{op}: x has shape {tuple(size)}, expected at least {least_ndim} axes {layout}")
    shape = (size[1],) if shape is None else shape
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and shape_of(given) != shape:
            raise ShapeError(f"{op}: {name} has shape {shape_of(given)}, expected {shape} for x of shape {tuple(size)}")


def check_set_size(op, x, count, axes):
    """Raise ShapeError where a set holds less than two numbers: it has no spread, xhat would always be 0."""
    if count < 2:
        raise ShapeError(f"{op}: x of shape {tuple(shape_of(x))} leaves {count} number{'s' * (count != 1)} over {axes} "
                         "to normalise, expected at least 2")
