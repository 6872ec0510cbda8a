"""Shared by batch_norm, group_norm, instance_norm and layer_norm: make every set of numbers have mean 0 and variance 1.

    xhat = (x - mu_s) / sigma_s,   mu_s = mean of set s,   var_s = mean of (x - mu_s)^2,   sigma_s = sqrt(var_s + eps)

The four norms differ only in which numbers make a set (slide "Different normalizations"). Each op lays its input out as
x (A, S, K, P), a view: P numbers make a plane, and set s is x[:, s], A K planes, m = A K P numbers.

    batch norm (N, C, 1, H W)    instance norm (1, N C, 1, H W)    group norm (1, N G, C / G, H W)    layer norm (1, N, 1, C H W)

Scale and shift are per channel, y = w[c] xhat + b[c], where plane (a, s, k) is one of channel c = (s K + k) mod C. (Layer norm's
are per place; it takes xhat from here and does the rest itself.)

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
from numbers import Real

import math

import numba
import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import THREADS, DeviceArray, cuda_jit, each, threads_for
from ..errors import ShapeError
from ..jit import jit
from ..simd import LANES, load, load_within, total, widen
from .op import filled, placed, shape_of
from .reductions import block_total
from .shape_ops import KERNELS as SHAPE


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


def normalize_sums_ref(dy, x, mean, var, eps):
    """The definition: the sums of dy and of dy xhat over each plane, float64 (2, A, S, K)."""
    sums = np.zeros((2, *x.shape[:3]))
    for a, s, k, p in np.ndindex(x.shape):
        sums[0, a, s, k] += dy[a, s, k, p]
        sums[1, a, s, k] += dy[a, s, k, p] * (x[a, s, k, p] - mean[s]) / np.sqrt(var[s] + eps)
    return sums


def normalize_backward_ref(dy, x, mean, var, eps, weight, means):
    """The definition: dx = (g - shift - xhat stretch) / sigma, g = w dy; means (2, S): mean(g), mean(g xhat) of each set."""
    (shift, stretch), dx, K, C = means, np.empty_like(x), x.shape[2], len(weight)
    for a, s, k, p in np.ndindex(x.shape):
        g, sigma = weight[(s * K + k) % C] * dy[a, s, k, p], np.sqrt(var[s] + eps)
        dx[a, s, k, p] = (g - shift[s] - (x[a, s, k, p] - mean[s]) / sigma * stretch[s]) / sigma
    return dx


def normalize_means_ref(sums, weight, count):
    """shift = mean(g) and stretch = mean(g xhat) of each set of `count` numbers, (S,) each, from the sums over planes."""
    S, K = sums.shape[2:]
    w = weight[np.arange(S * K) % len(weight)].reshape(S, K)
    return (w * sums).sum(axis=(1, 3)) / count


def normalize_affine_ref(sums, channels):
    """dL/dbias and dL/dweight (channels,) from the sums over planes."""
    return sums.reshape(2, -1, channels).sum(axis=1)


@numba.njit
def _zeros(row):
    """Return LANES zeros in float64, for sums to begin with: a vector of the row's first 0 numbers."""
    return widen(load_within(row, (0,), 0))


@numba.njit
def _deviations(row, mean):
    """Return the sums of (x - mean) and of (x - mean)^2 over a plane, in float64; vectors, so that the order is fixed."""
    sums = squares = _zeros(row)
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
    sums = products = _zeros(row)
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


def normalize_sums_cpu(dy, x, mean, var, eps):
    """Parallel over the sets; a task writes sums[:, :, s] of its own set, so there is no race."""
    A, S, K, P = x.shape
    sums = np.empty((2, A, S, K))
    for s in prange(S):
        scale = 1 / np.sqrt(var[s] + eps)
        for a in range(A):
            for k in range(K):
                total_dy, product = _dots(dy[a, s, k], x[a, s, k], mean[s])
                sums[0, a, s, k], sums[1, a, s, k] = total_dy, product * scale
    return sums


def normalize_backward_cpu(dy, x, mean, var, eps, weight, means):
    """Parallel over the sets; a task writes dx[:, s] of its own set, so there is no race."""
    A, S, K, P = x.shape
    dx, shift, stretch = np.empty_like(x), means[0], means[1]
    for s in prange(S):
        scale = 1 / np.sqrt(var[s] + eps)
        for a in range(A):
            for k in range(K):
                w, constant, slope = weight[(s * K + k) % len(weight)] * scale, shift[s] * scale, stretch[s] * scale * scale
                for p in range(P):
                    dx[a, s, k, p] = w * dy[a, s, k, p] - constant - (x[a, s, k, p] - mean[s]) * slope
    return dx


@cuda_jit("T4 d1 d1")
def normalize_statistics_kernel(x, mean, var):
    """A block a set: its threads take numbers in turn, and their sums are added up."""
    (A, _, K, P), s, t = x.shape, cuda.blockIdx.x, cuda.threadIdx.x
    sums = squares = 0.0
    for a in range(A):
        for i in range(t, K * P, THREADS):
            sums += x[a, s, i // P, i % P]
    middle = block_total(sums) / (A * K * P)
    for a in range(A):
        for i in range(t, K * P, THREADS):
            squares += (x[a, s, i // P, i % P] - middle) ** 2
    spread = block_total(squares) / (A * K * P)
    if t == 0:
        mean[s], var[s] = middle, spread


def normalize_statistics_cuda(x):
    mean, var = DeviceArray((x.shape[1],), np.float64), DeviceArray((x.shape[1],), np.float64)
    normalize_statistics_kernel.launch(x.shape[1], THREADS, x, mean, var)
    return mean, var


@cuda_jit("d1 d d1")
def normalize_scale_kernel(var, eps, scale):
    """A thread a set: 1 / sigma, once for all its numbers."""
    s = cuda.grid(1)
    if s < len(scale):
        scale[s] = 1 / math.sqrt(var[s] + eps)


_scale = each(normalize_scale_kernel)


@cuda_jit("T4 d1 d1 d1 d1 T4")
def normalize_forward_kernel(x, mean, scale, weight, bias, y):
    """A thread a number."""
    i, (S, K, P) = cuda.grid(1), x.shape[1:]
    if i < x.size:
        a, s, k, p = i // (S * K * P), i // (K * P) % S, i // P % K, i % P
        c = (s * K + k) % len(weight)
        y[a, s, k, p] = (x[a, s, k, p] - mean[s]) * (weight[c] * scale[s]) + bias[c]


def normalize_forward_cuda(x, mean, var, eps, weight, bias):
    return each(normalize_forward_kernel)(x, mean, _scale(var, eps), weight, bias)


@cuda_jit("T4 T4 d1 d1 d4")
def normalize_sums_kernel(dy, x, mean, scale, sums):
    """A block a plane: its threads take numbers in turn. sums (2, A, S, K)."""
    (S, K, P), t = x.shape[1:], cuda.threadIdx.x
    a, s, k = cuda.blockIdx.x // (S * K), cuda.blockIdx.x // K % S, cuda.blockIdx.x % K
    gradients = products = 0.0
    for p in range(t, P, THREADS):
        gradients += dy[a, s, k, p]
        products += dy[a, s, k, p] * (x[a, s, k, p] - mean[s])
    gradients, products = block_total(gradients), block_total(products)
    if t == 0:
        sums[0, a, s, k], sums[1, a, s, k] = gradients, products * scale[s]


def normalize_sums_cuda(dy, x, mean, var, eps):
    sums = DeviceArray((2, *x.shape[:3]), np.float64)
    normalize_sums_kernel.launch(math.prod(x.shape[:3]), THREADS, dy, x, mean, _scale(var, eps), sums)
    return sums


@cuda_jit("d4 d1 n d2")
def normalize_means_kernel(sums, weight, count, means):
    """A thread a set and one of both means."""
    i, (A, S, K) = cuda.grid(1), sums.shape[1:]
    if i < 2 * S:
        which, s, mean = i // S, i % S, 0.0
        for a in range(A):
            for k in range(K):
                mean += weight[(s * K + k) % len(weight)] * sums[which, a, s, k]
        means[which, s] = mean / count


def normalize_means_cuda(sums, weight, count):
    means = DeviceArray((2, sums.shape[2]), np.float64)
    normalize_means_kernel.launch(*threads_for(means.size), sums, weight, count, means)
    return means


@cuda_jit("d2 d2")
def normalize_affine_kernel(sums, gradients):
    """A thread a channel and one of bias and weight; sums (2, planes)."""
    i, channels = cuda.grid(1), gradients.shape[1]
    if i < 2 * channels:
        total = 0.0
        for plane in range(i % channels, sums.shape[1], channels):
            total += sums[i // channels, plane]
        gradients[i // channels, i % channels] = total


def normalize_affine_cuda(sums, channels):
    gradients = DeviceArray((2, channels), np.float64)
    normalize_affine_kernel.launch(*threads_for(2 * channels), sums.reshape(2, -1), gradients)
    return gradients


@cuda_jit("T4 T4 d1 d1 d1 d2 T4")
def normalize_backward_kernel(dy, x, mean, scale, weight, means, dx):
    """A thread a number."""
    i, (S, K, P) = cuda.grid(1), x.shape[1:]
    if i < x.size:
        a, s, k, p = i // (S * K * P), i // (K * P) % S, i // P % K, i % P
        g, xhat = weight[(s * K + k) % len(weight)] * dy[a, s, k, p], (x[a, s, k, p] - mean[s]) * scale[s]
        dx[a, s, k, p] = (g - means[0, s] - xhat * means[1, s]) * scale[s]


def normalize_backward_cuda(dy, x, mean, var, eps, weight, means):
    return each(normalize_backward_kernel)(dy, x, mean, _scale(var, eps), weight, means)


KERNELS = {
    "ref": {"statistics": normalize_statistics_ref, "forward": normalize_forward_ref, "sums": normalize_sums_ref,
            "means": normalize_means_ref, "affine": normalize_affine_ref, "backward": normalize_backward_ref},
    "cpu": {"statistics": jit(normalize_statistics_cpu), "forward": jit(normalize_forward_cpu), "sums": jit(normalize_sums_cpu),
            "means": normalize_means_ref, "affine": normalize_affine_ref, "backward": jit(normalize_backward_cpu)},
    "cuda": {"statistics": normalize_statistics_cuda, "forward": normalize_forward_cuda, "sums": normalize_sums_cuda,
             "means": normalize_means_cuda, "affine": normalize_affine_cuda, "backward": normalize_backward_cuda},
}


def normalize_forward(ctx, x, layout, eps, weight=None, bias=None, statistics=None):
    """Return (y, mean, var) of `x` laid out as (A, S, K, P); `statistics` (mean, var) replaces the sets' own.

    weight and bias are (C,), or None for 1 and 0.
    """
    kernels, sets, eps = pick(KERNELS), x.reshape(layout), float(eps)
    mean, var = kernels["statistics"](sets) if statistics is None else (placed(s, "normalize") for s in statistics)
    channels = next((len(given) for given in (weight, bias) if given is not None), 1)
    weight = (filled(1, channels, np.float64) if weight is None else weight).astype(np.float64)
    bias = (filled(0, channels, np.float64) if bias is None else bias).astype(np.float64)
    ctx.saved, ctx.constant = (sets, mean, var, eps, weight), statistics is not None
    return kernels["forward"](sets, mean, var, eps, weight, bias).reshape(x.shape), mean, var


def normalize_backward(ctx, dy, affine=True):
    """Return dL/dx, dL/dweight and dL/dbias from dL/dy and what normalize_forward saved; None for what is not wanted.

    affine=False: there is no scale and no shift per channel, and nothing is wanted of them.
    """
    *saved, weight = ctx.saved
    wanted = ctx.needs_grad[1:] if affine else (False, False)
    sets, kernels = saved[0], pick(KERNELS)
    A, S, K, P = sets.shape
    dx, dweight, dbias, sums, shape = None, None, None, None, dy.shape
    dtype, dy = dy.dtype, dy.reshape(sets.shape)
    if not ctx.constant or any(wanted):
        sums = kernels["sums"](dy, *saved)
    if ctx.needs_grad[0]:
        means = filled(0, (2, S), np.float64) if ctx.constant else kernels["means"](sums, weight, A * K * P)
        dx = kernels["backward"](dy, *saved, weight, means).reshape(shape)
    if any(wanted):
        both = kernels["affine"](sums, len(weight)).astype(dtype)
        dbias, dweight = (pick(SHAPE)["getitem_forward"](both, which) for which in (0, 1))
    return dx, dweight if wanted[0] else None, dbias if wanted[1] else None


def check_norm(op, x, weight, bias, eps, shape=None, least_ndim=2):
    """Raise ShapeError unless x has enough axes, weight and bias have `shape` (default: one number per channel), and eps >= 0."""
    size = shape_of(x)
    if not isinstance(eps, Real) or not eps >= 0:
        raise ShapeError(f"{op}: eps is {eps!r}, expected a number, 0 or more")
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
