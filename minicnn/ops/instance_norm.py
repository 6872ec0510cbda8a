"""Instance normalisation: every plane gets mean 0 and variance 1. Reduces H, W.

    y = w[c] xhat + b[c],   xhat = (x - mu[n, c]) / sqrt(var[n, c] + eps)
    dL/dx in normalize.py, with g = w[c] dL/dy;   dL/dw[c] = sum over n, h, w of dL/dy xhat;   dL/db[c] = that of dL/dy

Also at test time, from the picture's own statistics: a picture and the same picture with another contrast and
brightness, a x + b, come out the same (up to eps), which is why style transfer works better with it.
Shapes: x (N, C, L, ...) with at least one axis after the channels, w and b (C,). float32 or float64.
Slides "Replacing batch normalization with Instance Normalization improves results", "Different normalizations" (third
cube). Source: Ulyanov et al. 2016. Names and their order as torch.nn.functional.instance_norm.
"""
import math

from ..errors import ShapeError
from .normalize import KERNELS, check_norm, check_set_size, normalize_backward, normalize_forward  # noqa: F401 (the ladder)
from .op import Op, shape_of


class InstanceNorm(Op):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        N, C = x.shape[:2]
        layout = (1, N * C, 1, math.prod(x.shape[2:]))              # a set per plane
        return normalize_forward(ctx, x, layout, eps, weight, bias)[0]

    @staticmethod
    def backward(ctx, dout):
        return normalize_backward(ctx, dout)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5):
    """Normalise each plane of `x` (N, C, H, W) by its own mean and variance: Tensor like x.

    weight and bias (C,) scale and shift the channels. running_mean, running_var and momentum stand here so that the
    order is torch's; running statistics are not supported, give weight and bias by name.
    """
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise ShapeError("instance_norm: running statistics are not supported, expected running_mean=None, "
                         "running_var=None and use_input_stats=True (give weight and bias by name)")
    check_norm("instance_norm", x, weight, bias, eps, least_ndim=3)
    check_set_size("instance_norm", x, math.prod(shape_of(x)[2:]), "the plane")
    return InstanceNorm.apply(x, weight, bias, eps=eps)
