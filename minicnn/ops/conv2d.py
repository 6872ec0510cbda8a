"""Convolution (as networks mean it: correlation), forward; the backward kernels stand in conv2d_backward.py.

    y[n, f, i, j] = b[f] + sum_{c, k, l} w[f, c, k, l] x[n, c, i s + k d - p, j s + l d - p]

    dL/dx = the transposed filters applied to dL/dy: every output hands dL/dy w[f] back to the window that it saw
    dL/dw = sum over windows of dL/dy times the window;   dL/db[f] = sum of dL/dy[:, f]

Shapes: x (N, C, H, W), w (F, C / groups, KH, KW), b (F,), y (N, F, OH, OW) with OH = floor((H + 2p - d (KH-1) - 1) / s) + 1.
s stride, p padding with zeros, d dilation. With groups, filter f sees only the channels of its own group.
float32 or float64. Slide "Visualize the filters/kernels (raw weights)". Names as torch.nn.functional.conv2d.
"""
from numbers import Integral

import numba
import numpy as np
from numba import prange

from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from .conv2d_backward import (conv2d_backward_input_cpu, conv2d_backward_input_ref, conv2d_backward_weight_cpu,
                              conv2d_backward_weight_ref)
from .op import Op, check_ndim, pair, shape_of, window_output_size


def conv2d_forward_ref(x, w, b, stride, padding, dilation, groups):
    """The definition: one output at a time, the sum of a window times a filter."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    F, CG, KH, KW = w.shape
    OH, OW = window_output_size("conv2d", x.shape[2:], (KH, KW), stride, padding, dilation)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    out = np.empty((len(x), F, OH, OW), x.dtype)
    for n, f, i, j in np.ndindex(out.shape):
        c = f // (F // groups) * CG                             # first channel of this filter's group
        window = padded[n, c:c + CG, i * sh:i * sh + dh * (KH - 1) + 1:dh, j * sw:j * sw + dw * (KW - 1) + 1:dw]
        out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out


def conv2d_forward_np(x, w, b, stride, padding, dilation, groups):
    """The im2col trick in NumPy: all windows laid out as columns turn the convolution into one matrix product."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    N, C = x.shape[:2]
    F, CG, KH, KW = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (dh * (KH - 1) + 1, dw * (KW - 1) + 1), axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]             # (N, C, OH, OW, KH, KW)
    OH, OW = windows.shape[2:4]
    columns = windows.reshape(N, groups, CG, OH, OW, KH, KW).transpose(0, 1, 2, 5, 6, 3, 4)
    columns = columns.reshape(N, groups, CG * KH * KW, OH * OW)
    out = w.reshape(groups, F // groups, CG * KH * KW) @ columns            # (N, groups, F / groups, OH * OW)
    return out.reshape(N, F, OH, OW) + b.reshape(F, 1, 1)


TILE = 131072       # numbers in the columns of a tile: half a megabyte of float32, which stays in cache


@numba.njit
def _im2col(x, first_row, columns, kernel, stride, padding, dilation):
    """Write the windows of some output rows of one image x (C, H, W) into columns (C KH KW, rows, OW)."""
    C, H, W = x.shape
    _, rows, OW = columns.shape
    KH, KW = kernel
    for k in range(C * KH * KW):
        c, kh, kw = k // (KH * KW), k // KW % KH, k % KW
        shift = kw * dilation[1] - padding[1]                   # input column = ow * stride + shift
        begin = min(OW, max(0, (stride[1] - 1 - shift) // stride[1]))       # first ow inside the image ...
        end = max(begin, min(OW, (W - 1 - shift) // stride[1] + 1))         # ... and the first one past it
        for r in range(rows):
            h = (first_row + r) * stride[0] + kh * dilation[0] - padding[0]
            if h < 0 or h >= H:
                columns[k, r] = 0
                continue
            columns[k, r, :begin] = 0
            columns[k, r, end:] = 0
            for ow in range(begin, end):
                columns[k, r, ow] = x[c, h, ow * stride[1] + shift]


def conv2d_forward_cpu(x, w, b, stride, padding, dilation, groups):
    """im2col in tiles of a few output rows that stay in cache, times the filters with BLAS.

    Parallel over (image, group, tile); a task writes the rows of its own tile and no others, so there is no race. The
    tiles depend on the shapes alone: the same sums for any number of threads. It is fast because the columns, KH KW
    times the size of the input, never go through main memory.
    """
    N, C, H, W = x.shape
    F, CG, KH, KW = w.shape
    FG, K = F // groups, CG * KH * KW
    OH = (H + 2 * padding[0] - dilation[0] * (KH - 1) - 1) // stride[0] + 1
    OW = (W + 2 * padding[1] - dilation[1] * (KW - 1) - 1) // stride[1] + 1
    rows = max(1, min(TILE // (K * OW), (OH + 3) // 4))         # at least four tiles
    tiles = (OH + rows - 1) // rows
    filters = w.reshape(groups, FG, K)
    out = np.empty((N, F, OH, OW), x.dtype)
    for task in prange(N * groups * tiles):
        n, g, top = task // (groups * tiles), task // tiles % groups, task % tiles * rows
        height = min(rows, OH - top)
        columns = np.empty((K, height, OW), x.dtype)
        _im2col(x[n, g * CG:(g + 1) * CG], top, columns, (KH, KW), stride, padding, dilation)
        product = np.dot(filters[g], columns.reshape(K, height * OW)).reshape(FG, height, OW)
        for f in range(FG):
            for r in range(height):
                for ow in range(OW):
                    out[n, g * FG + f, top + r, ow] = product[f, r, ow] + b[g * FG + f]
    return out


KERNELS = {
    "ref": {"forward": conv2d_forward_ref,
            "backward_input": conv2d_backward_input_ref,
            "backward_weight": conv2d_backward_weight_ref},
    "cpu": {"forward": jit(conv2d_forward_cpu, blas=True),
            "backward_input": jit(conv2d_backward_input_cpu, blas=True),
            "backward_weight": jit(conv2d_backward_weight_cpu, blas=True)},
}


class Conv2d(Op):
    @staticmethod
    def forward(ctx, x, w, b, stride, padding, dilation, groups):
        ctx.geometry = stride, padding, dilation, groups
        ctx.x = x if ctx.needs_grad[1] else None        # frozen filters: the input need not be kept
        ctx.w, ctx.x_size, ctx.w_shape = w, x.shape[2:], w.shape
        bias = np.zeros(len(w), w.dtype) if b is None else b
        return pick(KERNELS)["forward"](x, w, bias, *ctx.geometry)

    @staticmethod
    def backward(ctx, dout):
        dx = dw = db = None
        if ctx.needs_grad[0]:
            dx = pick(KERNELS)["backward_input"](dout, ctx.w, ctx.x_size, *ctx.geometry)
        if ctx.needs_grad[1]:
            dw = pick(KERNELS)["backward_weight"](dout, ctx.x, ctx.w_shape, *ctx.geometry)
        if ctx.needs_grad[2]:
            db = dout.sum(axis=(0, 2, 3))
        return dx, dw, db


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Slide filters `w` (F, C/groups, KH, KW) over `x` (N, C, H, W) and add the bias `b` (F,): Tensor (N, F, OH, OW).

    stride, padding (zeros) and dilation are an int or (height, width). Raises ShapeError where the shapes do not fit.
    """
    check_ndim("conv2d", "x", x, 4, "(N, C, H, W)")
    check_ndim("conv2d", "w", w, 4, "(F, C/groups, KH, KW)")
    C, (F, CG, KH, KW) = shape_of(x)[1], shape_of(w)
    if not isinstance(groups, Integral) or groups < 1 or C % groups or F % groups:
        raise ShapeError(f"conv2d: groups={groups!r} must divide the {C} channels of x and the {F} filters of w")
    if min(shape_of(w)) < 1:
        raise ShapeError(f"conv2d: w has shape {shape_of(w)}, expected at least one filter, channel, row and column")
    if C != CG * groups:
        raise ShapeError(f"conv2d: x has {C} channels, w expects {CG * groups}"
                         + (f" ({groups} groups of {CG})" if groups > 1 else ""))
    if b is not None and shape_of(b) != (F,):
        raise ShapeError(f"conv2d: b has shape {shape_of(b)}, expected ({F},), a number per filter of w")
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    dilation = pair("conv2d", "dilation", dilation, 1)
    window_output_size("conv2d", shape_of(x)[2:], (KH, KW), stride, padding, dilation)
    return Conv2d.apply(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=int(groups))
