"""Resizing of planes: nearest neighbour or bilinear.

With r = H / OH (or 1 / scale_factor where that was given) the source of output row i is
    nearest                         floor(i r), at most H - 1
    bilinear                        s = max(0, (i + 1/2) r - 1/2)           pixels are squares, s is between two centres
    bilinear, align_corners         s = i (H - 1) / (OH - 1)                pixels are points, corners stay corners
and for bilinear, with lo = floor(s), hi = min(lo + 1, H - 1), t = s - lo, the same for columns:

    y[i, j] = (1-t_i) ((1-t_j) x[lo_i, lo_j] + t_j x[lo_i, hi_j]) + t_i ((1-t_j) x[hi_i, lo_j] + t_j x[hi_i, hi_j])
    dL/dx = every output hands dL/dy back to its four pixels with the same four weights; what meets there adds

Shapes: x (N, C, H, W), y (N, C, OH, OW) with OH = floor(H scale_factor) or `size`. float32 or float64. Shrinking does not
average (no antialiasing), as in torch: it takes few of the pixels. Names and meaning as torch.nn.functional.interpolate;
nearest moves pixels only and so uses pad's kernels.
"""
import math

import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import DeviceArray, constant, cuda_jit, threads_for
from ..errors import ShapeError
from ..jit import jit
from .op import Op, check_ndim, pair, shape_of
from .pad import KERNELS as PAD
from .pad import collected


def interpolate_bilinear_forward_ref(x, rows, columns):
    """The definition: the weighted mean of four pixels. rows, columns: (lo, hi, t), an array each."""
    out = np.empty((*x.shape[:2], len(rows[0]), len(columns[0])), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        (top, bottom, t), (left, right, u) = (a[i] for a in rows), (a[j] for a in columns)
        above = (1 - u) * x[n, c, top, left] + u * x[n, c, top, right]
        below = (1 - u) * x[n, c, bottom, left] + u * x[n, c, bottom, right]
        out[n, c, i, j] = (1 - t) * above + t * below
    return out


def interpolate_bilinear_backward_ref(dout, rows, columns, x_size):
    """The definition: the four pixels get dL/dy with their weights (at a border two of them are the same: they add)."""
    dx = np.zeros((*dout.shape[:2], *x_size), dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        (top, bottom, t), (left, right, u) = (a[i] for a in rows), (a[j] for a in columns)
        dx[n, c, top, left] += (1 - t) * (1 - u) * dout[n, c, i, j]
        dx[n, c, top, right] += (1 - t) * u * dout[n, c, i, j]
        dx[n, c, bottom, left] += t * (1 - u) * dout[n, c, i, j]
        dx[n, c, bottom, right] += t * u * dout[n, c, i, j]
    return dx


def interpolate_bilinear_forward_cpu(x, rows, columns):
    """Parallel over the planes (n, c); a task writes its own plane of out, so there is no race."""
    N, C = x.shape[:2]
    (top, bottom, t), (left, right, u) = rows, columns
    out = np.empty((N, C, len(t), len(u)), x.dtype)
    for task in prange(N * C):
        plane = x[task // C, task % C]
        for i in range(len(t)):
            for j in range(len(u)):
                above = (1 - u[j]) * plane[top[i], left[j]] + u[j] * plane[top[i], right[j]]
                below = (1 - u[j]) * plane[bottom[i], left[j]] + u[j] * plane[bottom[i], right[j]]
                out[task // C, task % C, i, j] = (1 - t[i]) * above + t[i] * below
    return out


def interpolate_bilinear_backward_cpu(dout, rows, columns, x_size):
    """Parallel over the planes (n, c): a gradient stays within its plane, which one task owns, so there is no race."""
    N, C = dout.shape[:2]
    (top, bottom, t), (left, right, u) = rows, columns
    dx = np.zeros((N, C, x_size[0], x_size[1]), dout.dtype)
    for task in prange(N * C):
        plane = dx[task // C, task % C]
        for i in range(len(t)):
            for j in range(len(u)):
                g = dout[task // C, task % C, i, j]
                plane[top[i], left[j]] += (1 - t[i]) * (1 - u[j]) * g
                plane[top[i], right[j]] += (1 - t[i]) * u[j] * g
                plane[bottom[i], left[j]] += t[i] * (1 - u[j]) * g
                plane[bottom[i], right[j]] += t[i] * u[j] * g
    return dx


@cuda_jit("T4 l2 T1 l2 T1 T4")
def interpolate_bilinear_forward_kernel(x, rows, t, columns, u, out):
    """A thread a number of out, which reads its four pixels. rows, columns (2, size): lo and hi of each."""
    i, (C, OH, OW) = cuda.grid(1), out.shape[1:]
    if i < out.size:
        n, c, row, column = i // (C * OH * OW), i // (OH * OW) % C, i // OW % OH, i % OW
        top, bottom, left, right = rows[0, row], rows[1, row], columns[0, column], columns[1, column]
        one = x.dtype.type(1)
        above = (one - u[column]) * x[n, c, top, left] + u[column] * x[n, c, top, right]
        below = (one - u[column]) * x[n, c, bottom, left] + u[column] * x[n, c, bottom, right]
        out[n, c, row, column] = (one - t[row]) * above + t[row] * below


def interpolate_bilinear_forward_cuda(x, rows, columns):
    out = DeviceArray((*x.shape[:2], len(rows[0]), len(columns[0])), x.dtype)
    tables = [constant(table) for low, high, t in (rows, columns) for table in (np.stack([low, high]), t.astype(x.dtype))]
    interpolate_bilinear_forward_kernel.launch(*threads_for(out.size), x, *tables, out)
    return out


def interpolate_bilinear_backward_cuda(dout, rows, columns, x_size):
    return collected(dout, x_size, *((np.concatenate([low, high]), np.tile(np.arange(len(t)), 2), np.concatenate([1 - t, t]))
                                     for low, high, t in (rows, columns)))


KERNELS = {
    "ref": {"bilinear_forward": interpolate_bilinear_forward_ref, "bilinear_backward": interpolate_bilinear_backward_ref,
            "nearest_forward": PAD["ref"]["forward"], "nearest_backward": PAD["ref"]["backward"]},
    "cpu": {"bilinear_forward": jit(interpolate_bilinear_forward_cpu),
            "bilinear_backward": jit(interpolate_bilinear_backward_cpu),
            "nearest_forward": PAD["cpu"]["forward"], "nearest_backward": PAD["cpu"]["backward"]},
    "cuda": {"bilinear_forward": interpolate_bilinear_forward_cuda, "bilinear_backward": interpolate_bilinear_backward_cuda,
             "nearest_forward": PAD["cuda"]["forward"], "nearest_backward": PAD["cuda"]["backward"]},
}


class InterpolateNearest(Op):
    @staticmethod
    def forward(ctx, x, rows, columns):
        ctx.sources, ctx.x_size = (rows, columns), x.shape[2:]
        return pick(KERNELS)["nearest_forward"](x, rows, columns, 0.0)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["nearest_backward"](dout, *ctx.sources, ctx.x_size),)


class InterpolateBilinear(Op):
    @staticmethod
    def forward(ctx, x, rows, columns):
        ctx.sources, ctx.x_size = (rows, columns), x.shape[2:]
        return pick(KERNELS)["bilinear_forward"](x, rows, columns)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["bilinear_backward"](dout, *ctx.sources, ctx.x_size),)


def nearest_sources(size, out_size, ratio):
    """Return for every output place of an axis the input place that it copies."""
    if out_size in (size, 2 * size):                            # torch takes these two as exact, whatever the scale_factor
        return np.arange(out_size) // (out_size // size)
    source = (np.arange(out_size) * ratio).astype(np.float32)   # 2.9999999996 means 3, as in torch
    return np.minimum(np.floor(source).astype(np.int64), size - 1)


def bilinear_sources(size, out_size, ratio, align_corners):
    """Return for every output place of an axis the two input places that it lies between, and how near to the second."""
    at = np.arange(out_size)
    if align_corners:
        source = at * ((size - 1) / max(out_size - 1, 1))
    elif out_size == size:
        source = at.astype(np.float64)
    else:
        source = np.maximum((at + 0.5) * ratio - 0.5, 0)
    low = np.minimum(np.floor(source).astype(np.int64), size - 1)
    return low, np.minimum(low + 1, size - 1), np.clip(source - low, 0, 1)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """Resize the planes of `x` (N, C, H, W) to `size` or by `scale_factor` (one of them; a number, or one per axis).

    mode "nearest" or "bilinear"; `align_corners` is for bilinear only.
    """
    check_ndim("interpolate", "x", x, 4, "(N, C, H, W)")
    old = shape_of(x)[2:]
    if (size is None) == (scale_factor is None):
        raise ShapeError("interpolate: size and scale_factor are " + ("both" if size is not None else "neither")
                         + " given, expected one of them")
    if mode not in ("nearest", "bilinear") or (mode == "nearest" and align_corners):
        raise ShapeError(f"interpolate: mode={mode!r} with align_corners={align_corners}, expected 'nearest' (which has "
                         "no align_corners) or 'bilinear'")
    if scale_factor is None:
        new = pair("interpolate", "size", size, 1)
        ratios = [n / m for n, m in zip(old, new)]
    else:
        scales = (scale_factor,) * 2 if isinstance(scale_factor, (int, float)) else tuple(scale_factor)
        new = tuple(math.floor(n * s) for n, s in zip(old, scales))
        if len(scales) != 2 or min(scales) <= 0 or min(new) < 1:
            raise ShapeError(f"interpolate: scale_factor {scale_factor!r} makes {new} of planes of {old[0]}x{old[1]}, "
                             "expected a number or two that leave at least 1x1")
        ratios = [1 / s for s in scales]
    if min(old) < 1:
        raise ShapeError(f"interpolate: x has shape {shape_of(x)}, expected planes that are not empty")
    if mode == "nearest":
        rows, columns = (nearest_sources(*axis) for axis in zip(old, new, ratios))
        return InterpolateNearest.apply(x, rows=rows, columns=columns)
    rows, columns = (bilinear_sources(*axis, align_corners) for axis in zip(old, new, ratios))
    return InterpolateBilinear.apply(x, rows=rows, columns=columns)
