"""Layer normalisation: every example gets mean 0 and variance 1. Reduces C, H, W (the axes of `normalized_shape`).

    y = w xhat + b,   xhat = (x - mu[n]) / sqrt(var[n] + eps)
    dL/dx in normalize.py, with g = w dL/dy;   dL/dw = sum over n of dL/dy xhat;   dL/db = sum over n of dL/dy

`normalized_shape` names the last axes of x, for a picture (C, H, W). As in torch, w and b have that shape: a number per
place. The norm of that name in convolutional networks has one per channel: that is group_norm with num_groups=1.
Shapes: x (..., *normalized_shape), w and b normalized_shape. float32 or float64.
Slide "Different normalizations", second cube. Source: Ba, Kiros and Hinton 2016.
Names as torch.nn.functional.layer_norm.
"""
import math
from numbers import Real

from ..backend import pick
from ..errors import ShapeError
from .arithmetic import KERNELS as ARITHMETIC
from .normalize import KERNELS, check_norm, normalize_backward, normalize_forward  # noqa: F401 (KERNELS: the ladder)
from .op import Op, shape_of
from .reductions import KERNELS as SUMS


class LayerNorm(Op):
    @staticmethod
    def forward(ctx, x, weight, bias, last, eps):
        first = x.ndim - last
        layout = (1, math.prod(x.shape[:first]), 1, math.prod(x.shape[first:]))     # a set per example
        xhat = normalize_forward(ctx, x, layout, eps)[0]
        ctx.xhat, ctx.weight, ctx.examples = xhat if ctx.needs_grad[1] else None, weight, tuple(range(first))
        out = xhat if weight is None else pick(ARITHMETIC)["mul_forward"](xhat, weight)
        return out if bias is None else pick(ARITHMETIC)["add_forward"](out, bias)

    @staticmethod
    def backward(ctx, dout):
        multiply, add_up, dweight = pick(ARITHMETIC)["mul_forward"], pick(SUMS)["sum_over"], None
        if ctx.needs_grad[1]:
            dweight = add_up(multiply(dout, ctx.xhat), ctx.examples)
        dbias = add_up(dout, ctx.examples) if ctx.needs_grad[2] else None
        dx, _, _ = normalize_backward(ctx, dout if ctx.weight is None else multiply(dout, ctx.weight), affine=False)
        return dx, dweight, dbias


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise each example of `x` over its last axes, which must be `normalized_shape`: Tensor like x.

    normalized_shape is an int or several; weight and bias, of that shape, scale and shift each place.
    """
    wanted = (normalized_shape,) if isinstance(normalized_shape, Real) else tuple(normalized_shape)
    size = tuple(shape_of(x))
    if not wanted or 0 in wanted or size[-len(wanted):] != wanted:
        raise ShapeError(f"layer_norm: x has shape {size}, expected last axes normalized_shape={wanted}")
    check_norm("layer_norm", x, weight, bias, eps, shape=wanted, least_ndim=1)
    return LayerNorm.apply(x, weight, bias, last=len(wanted), eps=eps)
