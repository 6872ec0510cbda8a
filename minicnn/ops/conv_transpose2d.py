"""Transposed convolution ("deconvolution"): every pixel of x stamps its filter, times the pixel, onto the output.

    y[n, f, h s + k d - p, v s + l d - p] += w[c, f, k, l] x[n, c, h, v],   then  + b[f]

    dL/dx = conv2d(dL/dy, w);   dL/dw = conv2d's dL/dw with x and dL/dy in each other's place;   dL/db[f] = sum of dL/dy[:, f]

It is the adjoint of conv2d, <conv2d(u, w), x> = <u, conv_transpose2d(x, w)>, and so it runs on conv2d's kernels: its
forward pass is conv2d's backward pass and the other way round. Slide "Deconv net": "filter maps to the transpose of the
filter".
Shapes: x (N, C, H, W), w (C, F / groups, KH, KW), b (F,), y (N, F, OH, OW) with
OH = (H - 1) s - 2p + d (KH - 1) + 1 + output_padding. s stride, p padding (cut off the border), d dilation.
float32 or float64. Names as torch.nn.functional.conv_transpose2d.
"""
from numbers import Integral

import numpy as np

from ..backend import pick
from ..errors import ShapeError
from .arithmetic import KERNELS as ARITHMETIC
from .conv2d import KERNELS as CONV2D
from .op import Op, check_ndim, filled, pair, shape_of
from .shape_ops import KERNELS as SHAPE


def conv_transpose2d_forward_ref(x, w, out_size, stride, padding, dilation, groups):
    """The definition: stamp by stamp; stamps overlap and add, and what falls into the padding is cut off."""
    ### BEGIN SOLUTION hw1.3
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    C, FG, KH, KW = w.shape
    padded = np.zeros((len(x), groups * FG, out_size[0] + 2 * ph, out_size[1] + 2 * pw), x.dtype)
    for n, c, h, v in np.ndindex(x.shape):
        f = c // (C // groups) * FG                             # first output channel of this input's group
        for k, l in np.ndindex(KH, KW):
            padded[n, f:f + FG, h * sh + k * dh, v * sw + l * dw] += x[n, c, h, v] * w[c, :, k, l]
    return np.ascontiguousarray(padded[:, :, ph:ph + out_size[0], pw:pw + out_size[1]])
    ### END SOLUTION hw1.3


KERNELS = {
    "ref": {"forward": conv_transpose2d_forward_ref, "backward_input": CONV2D["ref"]["forward"],
            "backward_weight": CONV2D["ref"]["backward_weight"], "backward_bias": CONV2D["ref"]["backward_bias"]},
    **{backend: {"forward": CONV2D[backend]["backward_input"], "backward_input": CONV2D[backend]["forward"],
                 "backward_weight": CONV2D[backend]["backward_weight"], "backward_bias": CONV2D[backend]["backward_bias"]}
       for backend in ("cpu", "cuda")},
}


class ConvTranspose2d(Op):
    @staticmethod
    def forward(ctx, x, w, b, out_size, stride, padding, dilation, groups):
        ctx.geometry = stride, padding, dilation, groups
        ctx.x = x if ctx.needs_grad[1] else None
        ctx.w, ctx.x_size, ctx.w_shape = w, x.shape[2:], w.shape
        out = pick(KERNELS)["forward"](x, w, out_size, *ctx.geometry)
        return out if b is None else pick(ARITHMETIC)["add_forward"](out, b.reshape(-1, 1, 1))

    @staticmethod
    def backward(ctx, dout):
        dx = dw = db = None
        if ctx.needs_grad[0]:
            no_bias = filled(0, len(ctx.w), ctx.w.dtype)
            dx = pick(KERNELS)["backward_input"](dout, ctx.w, no_bias, *ctx.geometry)
            # an output padding of a stride or more leaves room for windows that no pixel of x stamped
            if dx.shape[2:] != ctx.x_size:
                dx = pick(SHAPE)["getitem_forward"](dx, (..., slice(ctx.x_size[0]), slice(ctx.x_size[1])))
        if ctx.needs_grad[1]:
            dw = pick(KERNELS)["backward_weight"](ctx.x, dout, ctx.w_shape, *ctx.geometry)
        if ctx.needs_grad[2]:
            db = pick(KERNELS)["backward_bias"](dout)
        return dx, dw, db


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Stamp filters `w` (C, F/groups, KH, KW) by `x` (N, C, H, W) and add the bias `b` (F,): Tensor (N, F, OH, OW).

    `output_padding` adds rows and columns at the far edge: which of the sizes that a strided conv2d maps to H is meant.
    """
    check_ndim("conv_transpose2d", "x", x, 4, "(N, C, H, W)")
    check_ndim("conv_transpose2d", "w", w, 4, "(C, F/groups, KH, KW)")
    C, (CW, FG, KH, KW) = shape_of(x)[1], shape_of(w)
    if C != CW:
        raise ShapeError(f"conv_transpose2d: x has {C} channels, w expects {CW}")
    if not isinstance(groups, Integral) or groups < 1 or C % groups:
        raise ShapeError(f"conv_transpose2d: groups={groups} must divide the {C} channels of x")
    if b is not None and shape_of(b) != (FG * groups,):
        raise ShapeError(f"conv_transpose2d: b has shape {shape_of(b)}, expected ({FG * groups},), "
                         "a number per output channel")
    stride, padding = pair("conv_transpose2d", "stride", stride, 1), pair("conv_transpose2d", "padding", padding, 0)
    dilation = pair("conv_transpose2d", "dilation", dilation, 1)
    extra = pair("conv_transpose2d", "output_padding", output_padding, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ShapeError(f"conv_transpose2d: output_padding {extra} must be smaller than stride {stride} "
                         f"or dilation {dilation}")
    geometry = zip(shape_of(x)[2:], (KH, KW), stride, padding, dilation, extra)
    out_size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in geometry)
    if min(out_size) < 1:
        raise ShapeError(f"conv_transpose2d: padding {padding} leaves nothing of the output of an input "
                         f"of {shape_of(x)[2]}x{shape_of(x)[3]} (it would be {out_size[0]}x{out_size[1]})")
    return ConvTranspose2d.apply(x, w, b, out_size=out_size, stride=stride, padding=padding, dilation=dilation,
                                 groups=int(groups))
