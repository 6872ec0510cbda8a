"""Group normalisation: every group of channels of every image gets mean 0 and variance 1. Reduces C/G, H, W.

    y = w[c] xhat + b[c],   xhat = (x - mu[n, g]) / sqrt(var[n, g] + eps),   channel c is in group g = c // (C / G)
    dL/dx in normalize.py, with g = w[c] dL/dy;   dL/dw[c] = sum over n, h, w of dL/dy xhat;   dL/db[c] = that of dL/dy

G = 1 is layer norm over (C, H, W), G = C is instance norm; images never mix, so the batch size does not matter.
Shapes: x (N, C, ...), w and b (C,). float32 or float64. Slide "Different normalizations", fourth cube (paper: G = 32).
Source: Wu and He 2018. Names as torch.nn.functional.group_norm.
"""
import math
from numbers import Integral

from ..errors import ShapeError
from .normalize import KERNELS, check_norm, check_set_size, normalize_backward, normalize_forward  # noqa: F401 (the ladder)
from .op import Op, shape_of


class GroupNorm(Op):
    @staticmethod
    def forward(ctx, x, weight, bias, num_groups, eps):
        N, C = x.shape[:2]
        layout = (1, N * num_groups, C // num_groups, math.prod(x.shape[2:]))       # a set per image and group
        return normalize_forward(ctx, x, layout, eps, weight, bias)[0]

    @staticmethod
    def backward(ctx, dout):
        return normalize_backward(ctx, dout)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise `num_groups` groups of channels of each image of `x` (N, C, ...): Tensor like x.

    weight and bias (C,) scale and shift the channels. Raises ShapeError where num_groups does not divide the channels.
    """
    check_norm("group_norm", x, weight, bias, eps)
    size = shape_of(x)
    if not isinstance(num_groups, Integral) or num_groups < 1 or size[1] % num_groups:
        raise ShapeError(f"group_norm: num_groups={num_groups!r} is no whole number that divides the {size[1]} channels of x")
    check_set_size("group_norm", x, size[1] // num_groups * math.prod(size[2:]), "channels of a group and plane")
    return GroupNorm.apply(x, weight, bias, num_groups=num_groups, eps=eps)
