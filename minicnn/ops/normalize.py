"""Shared by batch_norm, group_norm, instance_norm and layer_norm: make every set of numbers have mean 0 and variance 1.

    xhat = (x - mu_s) / sigma_s,   mu_s = mean of set s,   var_s = mean of (x - mu_s)^2,   sigma_s = sqrt(var_s + eps)

The four norms differ only in which numbers make a set (slide "Different normalizations"). Each op lays its input out as
x (A, S, K, P), a view: P numbers make a plane, and set s is x[:, s], A K planes, m = A K P numbers. Scale and shift are per
channel, y = w[c] xhat + b[c]; with C channels, plane (a, s, k) is one of channel c = (s K + k) mod C.

Backward. Write g = dL/dxhat = w dL/dy. xhat_i depends on x_j directly, through mu and through sigma:

    d mu / d x_j = 1/m        d sigma / d x_j = (x_j - mu) / (m sigma) = xhat_j / m
    d xhat_i / d x_j = ((i = j) - 1/m) / sigma - (x_i - mu) / sigma^2 xhat_j / m
                     = ((i = j) - 1/m - xhat_i xhat_j / m) / sigma
    dL/dx = (g - mean(g) - xhat mean(g xhat)) / sigma        means over the set
    dL/dw[c] = sum of dL/dy xhat,   dL/db[c] = sum of dL/dy  over the channel's planes

that is: the parts of g that would shift the set or stretch it are taken out, since xhat does not notice either. Where mu and
var are constants (running statistics), dL/dx = g / sigma.

The variance is taken in two passes, mean first, with float64 sums: the shortcut mean(x^2) - mu^2 loses all its digits
when |mu| >> sigma. Source: Ioffe and Szegedy 2015; Wu and He 2018.
"""
import numba
import numpy as np
from numba import prange

from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from ..simd import LANES, load, load_within, total, widen
from .op import shape_of


def normalize_statistics_ref(x):
    """The definition: mean and biased variance of each set x[:, s], as two float64 arrays (S,)."""
    A, S, K, P = x.shape
    mean, var = np.zeros(S), np.zeros(S)
    for a, s, k, p in np.ndindex(x.shape):
        mean[s] += float(x[a, s, k, p]) / (A * K * P)
    for a, s, k, p in np.ndindex(x.shape):
        var[s] += (x[a, s, k, p] - mean[s]) ** 2 / (A * K * P)
    return mean, var


def normalize_forward_ref(x, mean, var, eps, weight, bias):
    """The definition: y = w xhat + b, xhat = (x - mean) / sqrt(var + eps), set by set."""
    y, K, C = np.empty_like(x), x.shape[2], len(weight)
    for a, s, k, p in np.ndindex(x.shape):
        c = (s * K + k) % C
        y[a, s, k, p] = weight[c] * (x[a, s, k, p] - mean[s]) / np.sqrt(var[s] + eps) + bias[c]
    return y


def normalize_backward_ref(dy, x, mean, var, eps, weight, through):
    """The definition: dx = (g - mean(g) - xhat mean(g xhat)) / sigma; and dL/db, dL/dw of each plane, (2, A, S, K).

    `through`: whether x reaches y through mean and var as well; if not, dx = g / sigma.
    """
    A, S, K, P = x.shape
    dx, sums = np.empty_like(x), np.zeros((2, A, S, K))
    shift, stretch, sigma = np.zeros(S), np.zeros(S), np.sqrt(var + eps)
    for a, s, k, p in np.ndindex(x.shape):
        g, xhat = weight[(s * K + k) % len(weight)] * dy[a, s, k, p], (x[a, s, k, p] - mean[s]) / sigma[s]
        sums[0, a, s, k] += dy[a, s, k, p]
        sums[1, a, s, k] += dy[a, s, k, p] * xhat
        shift[s] += through * g / (A * K * P)
        stretch[s] += through * g * xhat / (A * K * P)
    for a, s, k, p in np.ndindex(x.shape):
        g, xhat = weight[(s * K + k) % len(weight)] * dy[a, s, k, p], (x[a, s, k, p] - mean[s]) / sigma[s]
        dx[a, s, k, p] = (g - shift[s] - xhat * stretch[s]) / sigma[s]
    return dx, sums


@numba.njit
def _deviations(row, mean):
    """Return the sums of (x - mean) and of (x - mean)^2 over a plane, in float64; vectors, so that the order is fixed."""
    sums = squares = widen(load_within(row, (0,), 0))           # zeros
    whole = len(row) // LANES * LANES
    for i in range(0, whole, LANES):
        difference = widen(load(row, i)) - mean
        sums, squares = sums + difference, squares + difference * difference
    first, second = total(sums), total(squares)
    for i in range(whole, len(row)):
        first += row[i] - mean
        second += (row[i] - mean) ** 2
    return first, second


@numba.njit
def _dots(dy, row, mean):
    """Return the sums of dy and of dy (x - mean) over a plane, in float64."""
    sums = products = widen(load_within(row, (0,), 0))
    whole = len(row) // LANES * LANES
    for i in range(0, whole, LANES):
        gradient = widen(load(dy, i))
        sums, products = sums + gradient, products + gradient * (widen(load(row, i)) - mean)
    first, second = total(sums), total(products)
    for i in range(whole, len(row)):
        first += dy[i]
        second += dy[i] * (row[i] - mean)
    return first, second


def normalize_statistics_cpu(x):
    """Parallel over the sets; a task writes mean[s] and var[s] of its own set, so there is no race.

    A set is summed by one task, in an order that depends on its shape alone.
    """
    A, S, K, P = x.shape
    mean, var = np.zeros(S), np.zeros(S)
    for s in prange(S):
        sums, squares = 0.0, 0.0
        for a in range(A):
            for k in range(K):
                sums += _deviations(x[a, s, k], 0.0)[0]
        mean[s] = sums / (A * K * P)
        for a in range(A):
            for k in range(K):
                squares += _deviations(x[a, s, k], mean[s])[1]
        var[s] = squares / (A * K * P)
    return mean, var


def normalize_forward_cpu(x, mean, var, eps, weight, bias):
    """Parallel over the sets; a task writes y[:, s] of its own set, so there is no race."""
    A, S, K, P = x.shape
    y = np.empty_like(x)
    for s in prange(S):
        for a in range(A):
            for k in range(K):
                c = (s * K + k) % len(weight)
                scale, shift = weight[c] / np.sqrt(var[s] + eps), np.float64(bias[c])
                for p in range(P):
                    y[a, s, k, p] = (x[a, s, k, p] - mean[s]) * scale + shift
    return y


def normalize_backward_cpu(dy, x, mean, var, eps, weight, through):
    """Parallel over the sets; a task sums over its own set and writes dx[:, s] and sums[:, :, s], so there is no race."""
    A, S, K, P = x.shape
    dx, sums = np.empty_like(x), np.empty((2, A, S, K))
    for s in prange(S):
        shift, stretch, scale = 0.0, 0.0, 1 / np.sqrt(var[s] + eps)
        for a in range(A):
            for k in range(K):
                whole, product = _dots(dy[a, s, k], x[a, s, k], mean[s])
                sums[0, a, s, k], sums[1, a, s, k] = whole, product * scale
                if through:
                    w = weight[(s * K + k) % len(weight)] / (A * K * P)
                    shift += w * whole
                    stretch += w * product * scale
        for a in range(A):
            for k in range(K):
                w = weight[(s * K + k) % len(weight)] * scale
                for p in range(P):
                    dx[a, s, k, p] = w * dy[a, s, k, p] - scale * (shift + (x[a, s, k, p] - mean[s]) * scale * stretch)
    return dx, sums


KERNELS = {
    "ref": {"statistics": normalize_statistics_ref, "forward": normalize_forward_ref,
            "backward": normalize_backward_ref},
    "cpu": {"statistics": jit(normalize_statistics_cpu), "forward": jit(normalize_forward_cpu),
            "backward": jit(normalize_backward_cpu)},
}


def normalize_forward(ctx, x, layout, eps, weight=None, bias=None, statistics=None):
    """Return (y, mean, var) of `x` laid out as (A, S, K, P); `statistics` (mean, var) replaces the sets' own.

    weight and bias are (C,), or None for 1 and 0.
    """
    kernels = pick(KERNELS)
    sets, through = x.reshape(layout), statistics is None
    mean, var = kernels["statistics"](sets) if through else statistics
    channels = next((len(given) for given in (weight, bias) if given is not None), 1)
    weight = np.ones(channels, x.dtype) if weight is None else weight
    bias = np.zeros(channels, x.dtype) if bias is None else bias
    ctx.saved = sets, mean, var, eps, weight, through
    return kernels["forward"](sets, mean, var, eps, weight, bias).reshape(x.shape), mean, var


def normalize_backward(ctx, dy):
    """Return dL/dx, dL/dweight and dL/dbias from dL/dy and what normalize_forward saved."""
    sets, *others, weight, through = ctx.saved
    dx, sums = pick(KERNELS)["backward"](dy.reshape(sets.shape), sets, *others, weight, through)
    dbias, dweight = sums.reshape(2, sums[0].size // len(weight), len(weight)).sum(axis=1).astype(dy.dtype)
    wanted = (dx.reshape(dy.shape), dweight, dbias)
    return tuple(gradient if needed else None for gradient, needed in zip(wanted, ctx.needs_grad))


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
