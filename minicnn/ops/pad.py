"""Padding: a border around the planes.

    y[n, c, i, j] = x[n, c, rows[i], columns[j]], or `value` where there is no such pixel (rows[i] < 0)
    dL/dx[n, c, rows[i], columns[j]] += dL/dy[n, c, i, j]           a pixel that was copied gathers from all copies

Shapes: x (N, C, H, W), y (N, C, top + H + bottom, left + W + right). Modes: "constant" puts `value`; "reflect" mirrors at
the border pixel, which is not repeated (d c b | a b c d | c b a); "replicate" repeats it (a a a | a b c d | d d d).
float32 or float64. Names and order (left, right, top, bottom) as torch.nn.functional.pad on the last two axes.
"""
from numbers import Integral

import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import DeviceArray, constant, cuda_jit, threads_for
from ..errors import ShapeError
from ..jit import jit
from .op import Op, check_ndim, shape_of


def pad_forward_ref(x, rows, columns, value):
    """The definition: look up where each pixel comes from."""
    out = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        inside = rows[i] >= 0 and columns[j] >= 0
        out[n, c, i, j] = x[n, c, rows[i], columns[j]] if inside else value
    return out


def pad_backward_ref(dout, rows, columns, x_size):
    """The definition: each gradient goes to the pixel that was copied, and what meets there adds."""
    dx = np.zeros((*dout.shape[:2], *x_size), dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        if rows[i] >= 0 and columns[j] >= 0:
            dx[n, c, rows[i], columns[j]] += dout[n, c, i, j]
    return dx


def pad_forward_cpu(x, rows, columns, value):
    """Parallel over the planes (n, c); a task writes its own plane of out, so there is no race."""
    N, C = x.shape[:2]
    out = np.empty((N, C, len(rows), len(columns)), x.dtype)
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        for i in range(len(rows)):
            for j in range(len(columns)):
                if rows[i] >= 0 and columns[j] >= 0:
                    out[n, c, i, j] = x[n, c, rows[i], columns[j]]
                else:
                    out[n, c, i, j] = value
    return out


def pad_backward_cpu(dout, rows, columns, x_size):
    """Parallel over the planes (n, c): copies stay within their plane, which one task owns, so there is no race."""
    N, C = dout.shape[:2]
    dx = np.zeros((N, C, x_size[0], x_size[1]), dout.dtype)
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        for i in range(len(rows)):
            for j in range(len(columns)):
                if rows[i] >= 0 and columns[j] >= 0:
                    dx[n, c, rows[i], columns[j]] += dout[n, c, i, j]
    return dx


@cuda_jit("T4 l1 l1 T T4")
def pad_forward_kernel(x, rows, columns, value, out):
    """A thread a number of out, which it looks up in x."""
    i, (C, OH, OW) = cuda.grid(1), out.shape[1:]
    if i < out.size:
        plane, row, column = i // (OH * OW), rows[i // OW % OH], columns[i % OW]
        inside = row >= 0 and column >= 0
        out[plane // C, plane % C, i // OW % OH, i % OW] = x[plane // C, plane % C, row, column] if inside else value


def pad_forward_cuda(x, rows, columns, value):
    out = DeviceArray((*x.shape[:2], len(rows), len(columns)), x.dtype)
    pad_forward_kernel.launch(*threads_for(out.size), x, constant(rows), constant(columns), value, out)
    return out


@cuda_jit("T4 l1 l1 T1 l1 l1 T1 T4")
def collect_kernel(dout, starts, rows, row_shares, left_starts, columns, column_shares, dx):
    """A thread a pixel of dx, which adds up what it gets from the outputs that it had a share in: no race, a fixed order.

    Pixel row h had a share in the outputs' rows rows[starts[h]:starts[h + 1]], and so have columns.
    """
    i, (C, H, W) = cuda.grid(1), dx.shape[1:]
    if i < dx.size:
        n, c, h, w = i // (C * H * W), i // (H * W) % C, i // W % H, i % W
        total = dx.dtype.type(0)
        for k in range(starts[h], starts[h + 1]):
            for l in range(left_starts[w], left_starts[w + 1]):
                total += row_shares[k] * column_shares[l] * dout[n, c, rows[k], columns[l]]
        dx[n, c, h, w] = total


def collected(dout, x_size, rows, columns):
    """Return dL/dx (N, C, *x_size) of an op in which an output is a sum of pixels times shares, for rows and columns alike.

    rows, columns: (pixels, outputs, shares), arrays of equal length: which pixel had which share in which output.
    """
    tables = []
    for size, (pixels, outputs, shares) in zip(x_size, (rows, columns)):
        order = np.argsort(pixels, kind="stable")
        starts = np.searchsorted(pixels[order], np.arange(size + 1))
        tables += [constant(starts.astype(np.int64)), constant(outputs[order].astype(np.int64)),
                   constant(shares[order].astype(dout.dtype))]
    dx = DeviceArray((*dout.shape[:2], *x_size), dout.dtype)
    collect_kernel.launch(*threads_for(dx.size), dout, *tables, dx)
    return dx


def pad_backward_cuda(dout, rows, columns, x_size):
    copies = [np.flatnonzero(sources >= 0) for sources in (rows, columns)]
    return collected(dout, x_size, *((sources[copy], copy, np.ones(len(copy)))
                                     for sources, copy in zip((rows, columns), copies)))


KERNELS = {
    "ref": {"forward": pad_forward_ref, "backward": pad_backward_ref},
    "cpu": {"forward": jit(pad_forward_cpu), "backward": jit(pad_backward_cpu)},
    "cuda": {"forward": pad_forward_cuda, "backward": pad_backward_cuda},
}


class Pad(Op):
    @staticmethod
    def forward(ctx, x, rows, columns, value):
        ctx.sources, ctx.x_size = (rows, columns), x.shape[2:]
        return pick(KERNELS)["forward"](x, rows, columns, value)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout, *ctx.sources, ctx.x_size),)


def padding_sources(size, before, after, mode):
    """Return for every place of a padded axis the place of the original axis that it copies, or -1."""
    at = np.arange(-before, size + after)
    if mode == "constant":
        return np.where((at >= 0) & (at < size), at, -1)
    if mode == "replicate":
        return np.clip(at, 0, size - 1)
    return size - 1 - np.abs(size - 1 - np.abs(at))             # reflect: mirror at 0, then at size - 1


def pad(x, pad, mode="constant", value=0.0):
    """Put a border around `x` (N, C, H, W); `pad` is an int or (left, right, top, bottom), none negative.

    mode "constant" (with `value`), "reflect" (needs pad < size) or "replicate".
    """
    check_ndim("pad", "x", x, 4, "(N, C, H, W)")
    borders = (pad,) * 4 if isinstance(pad, Integral) else tuple(pad)
    if len(borders) != 4 or any(int(b) != b for b in borders):
        raise ShapeError(f"pad: pad is {pad!r}, expected an int or four (left, right, top, bottom)")
    if min(borders) < 0:
        raise ShapeError(f"pad: pad is {pad!r}, expected no negative number; to cut a border off use x[:, :, 1:-1, 1:-1]")
    if mode not in ("constant", "reflect", "replicate"):
        raise ShapeError(f"pad: mode {mode!r} is unknown; choose 'constant', 'reflect' or 'replicate'")
    (H, W), (left, right, top, bottom) = shape_of(x)[2:], (int(b) for b in borders)
    if mode == "reflect" and (max(top, bottom) >= H or max(left, right) >= W):
        raise ShapeError(f"pad: reflect needs a pad smaller than the plane; x has shape {shape_of(x)}, pad is {borders}")
    if mode == "replicate" and min(H, W) < 1:
        raise ShapeError(f"pad: x has shape {shape_of(x)}; an empty plane has no border to replicate")
    return Pad.apply(x, rows=padding_sources(H, top, bottom, mode), columns=padding_sources(W, left, right, mode),
                     value=float(value))
