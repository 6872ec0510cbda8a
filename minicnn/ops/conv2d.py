"""Convolution (as networks mean it: correlation). The fast algorithms stand in im2col.py, winograd.py and winograd_weight.py, and
for a GPU in conv2d_cuda.py and winograd_cuda.py.

    y[n, f, i, j] = b[f] + sum_{c, k, l} w[f, c, k, l] x[n, c, i s + k d - p, j s + l d - p]

    dL/dx = the transposed filters applied to dL/dy: every output hands dL/dy w[f] back to the window that it saw
    dL/dw = sum over windows of dL/dy times the window;   dL/db[f] = sum of dL/dy[:, f]

Shapes: x (N, C, H, W), w (F, C / groups, KH, KW), b (F,), y (N, F, OH, OW) with OH = floor((H + 2p - d (KH-1) - 1) / s) + 1.
s stride, p padding with zeros, d dilation. With groups, filter f sees only the channels of its own group.
float32 or float64. Slide "Visualize the filters/kernels (raw weights)". Names as torch.nn.functional.conv2d.
"""
from numbers import Integral

import numpy as np
from numba import prange

from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from .conv2d_algorithm import algorithm
from .conv2d_backward import conv2d_backward_input_ref, conv2d_backward_weight_ref, weight_by_dots
from .conv2d_cuda import conv2d_backward_input_cuda, conv2d_backward_weight_cuda, conv2d_forward_cuda
from .frozen import is_frozen
from .gemm import ROWS
from .im2col import col2im, im2col, im2col_backward_input
from .op import Op, check_ndim, filled, pair, shape_of, window_output_size
from .reductions import sum_over_cuda, sum_over_ref
from .winograd import winograd
from .winograd_weight import winograd_backward_weight


def conv2d_forward_ref(x, w, b, stride, padding, dilation, groups):
    """The definition: one output at a time, the sum of a window times a filter."""
    ### BEGIN SOLUTION hw1.2
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
    ### END SOLUTION hw1.2


def conv2d_forward_np(x, w, b, stride, padding, dilation, groups):
    """The im2col trick in NumPy: all windows laid out as columns turn the convolution into one matrix product."""
    ### BEGIN SOLUTION hw1.2
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
    ### END SOLUTION hw1.2


def conv2d_direct_cpu(x, w, b, out, stride, padding, dilation):
    """Plain loops, compiled: the definition in the order of the memory, one row of outputs at a time.

    Parallel over (image, filter); a task writes its own map. Here for comparison (MINICNN_CONV=direct): each product is one
    multiplication for one load, so that it waits for the cache.
    """
    ### BEGIN SOLUTION hw1.2
    (N, F, OH, OW), (CG, KH, KW), (H, W) = out.shape, w.shape[1:], x.shape[2:]
    FG = F // (x.shape[1] // CG)
    for task in prange(N * F):
        n, f = task // F, task % F
        out[n, f] = b[f]
        for c in range(CG):
            for kh in range(KH):
                for i in range(OH):
                    h = i * stride[0] + kh * dilation[0] - padding[0]
                    if 0 <= h < H:
                        for kw in range(KW):
                            for j in range(OW):
                                v = j * stride[1] + kw * dilation[1] - padding[1]
                                if 0 <= v < W:
                                    out[n, f, i, j] += w[f, c, kh, kw] * x[n, f // FG * CG + c, h, v]
    return out
    ### END SOLUTION hw1.2


_direct = jit(conv2d_direct_cpu)
FEW_FILTERS = 16                # up to so many, adding up windows costs more than their products


def conv2d_forward_cpu(x, w, b, stride, padding, dilation, groups):
    """The convolution by the algorithm that suits the shapes: winograd.py, im2col.py or the loops above."""
    ### BEGIN SOLUTION hw1.2
    which = algorithm(x.shape, w.shape, is_frozen(w), stride, padding, dilation, groups)
    if which == "winograd":
        return winograd(x, w, b, padding[0])
    if which == "im2col":
        return im2col(x, w, b, stride, padding, dilation, groups)
    size = window_output_size("conv2d", x.shape[2:], w.shape[2:], stride, padding, dilation)
    return _direct(x, w, b, np.empty((len(x), len(w), *size), x.dtype), stride, padding, dilation)
    ### END SOLUTION hw1.2


def conv2d_backward_bias_ref(dout):
    ### BEGIN SOLUTION hw1.4
    return sum_over_ref(dout, (0, 2, 3))
    ### END SOLUTION hw1.4


def conv2d_backward_bias_cuda(dout):
    ### BEGIN SOLUTION hw1.4
    return sum_over_cuda(dout, (0, 2, 3))
    ### END SOLUTION hw1.4


def conv2d_backward_input_cpu(dout, w, x_size, stride, padding, dilation, groups):
    """dL/dx, which with a stride of 1 is a convolution as well: of dL/dy with filters turned by 180 degrees."""
    ### BEGIN SOLUTION hw1.3
    F, CG, KH, KW = w.shape
    few_rows = groups == 1 and CG * stride[0] * stride[1] <= 2 * ROWS          # for im2col_backward_input
    if few_rows and (F > FEW_FILTERS or stride != (1, 1)):
        return col2im(dout, w, x_size, stride, padding, dilation)
    around = dilation[0] * (KH - 1) - padding[0], dilation[1] * (KW - 1) - padding[1]
    if stride == (1, 1) and min(around) >= 0 and x_size == tuple(n + a - p for n, a, p in zip(dout.shape[2:], around, padding)):
        no_bias = np.zeros(CG * groups, w.dtype)
        turned_shape = CG * groups, F // groups, KH, KW
        if algorithm(dout.shape, turned_shape, is_frozen(w), stride, around, dilation, groups) == "winograd":
            return winograd(dout, w, no_bias, around[0], turned=True)
        return im2col(dout, w, no_bias, stride, around, dilation, groups, turned=True)
    return im2col_backward_input(dout, w, x_size, stride, padding, dilation, groups)
    ### END SOLUTION hw1.3


def conv2d_backward_weight_cpu(dout, x, w_shape, stride, padding, dilation, groups):
    """dL/dw by Winograd's algorithm (winograd_weight.py) where the forward pass of frozen filters would use it, or by dots."""
    ### BEGIN SOLUTION hw1.4
    if len(x) == 0:
        return np.zeros(w_shape, x.dtype)
    if algorithm(x.shape, w_shape, True, stride, padding, dilation, groups) == "winograd":
        return winograd_backward_weight(dout, x, w_shape, padding[0])
    return weight_by_dots(dout, x, w_shape, stride, padding, dilation, groups)
    ### END SOLUTION hw1.4


KERNELS = {
    "ref": {"forward": conv2d_forward_ref,
            "backward_input": conv2d_backward_input_ref,
            "backward_weight": conv2d_backward_weight_ref,
            "backward_bias": conv2d_backward_bias_ref},
    "cpu": {"forward": conv2d_forward_cpu,
            "backward_input": conv2d_backward_input_cpu,
            "backward_weight": conv2d_backward_weight_cpu,
            "backward_bias": conv2d_backward_bias_ref},
    "cuda": {"forward": conv2d_forward_cuda,
             "backward_input": conv2d_backward_input_cuda,
             "backward_weight": conv2d_backward_weight_cuda,
             "backward_bias": conv2d_backward_bias_cuda},
}


class Conv2d(Op):
    @staticmethod
    def forward(ctx, x, w, b, stride, padding, dilation, groups):
        ctx.geometry = stride, padding, dilation, groups
        ctx.x = x if ctx.needs_grad[1] else None        # frozen filters: the input need not be kept
        ctx.w, ctx.x_size, ctx.w_shape = w, x.shape[2:], w.shape
        bias = filled(0, len(w), w.dtype) if b is None else b
        return pick(KERNELS)["forward"](x, w, bias, *ctx.geometry)

    @staticmethod
    def backward(ctx, dout):
        dx = dw = db = None
        if ctx.needs_grad[0]:
            dx = pick(KERNELS)["backward_input"](dout, ctx.w, ctx.x_size, *ctx.geometry)
        if ctx.needs_grad[1]:
            dw = pick(KERNELS)["backward_weight"](dout, ctx.x, ctx.w_shape, *ctx.geometry)
        if ctx.needs_grad[2]:
            db = pick(KERNELS)["backward_bias"](dout)
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
    stride = tuple(min(s, n + 2 * p) for s, n, p in zip(stride, shape_of(x)[2:], padding))      # further is out of the picture
    return Conv2d.apply(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=int(groups))
