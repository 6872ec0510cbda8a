"""Batch normalisation: every channel gets mean 0 and variance 1 over the batch and the plane. Reduces N, H, W.

    y = w[c] xhat + b[c],   xhat = (x - mu[c]) / sqrt(var[c] + eps)
    training:    mu, var are those of this batch, and x reaches y through them too: dL/dx in normalize.py
    evaluation:  mu, var are the running ones, constants: dL/dx = w[c] / sqrt(var[c] + eps) dL/dy

    new running mean = (1 - momentum) running mean + momentum mu[c]
    new running var  = (1 - momentum) running var  + momentum var[c] m / (m - 1),   m = numbers per channel

The biased variance (divided by m) normalises, the unbiased one (m - 1) is stored, as in torch. `momentum` is the
share of the new batch, as in torch; Caffe and Keras give that name to what is kept, 1 - momentum.

Shapes: x (N, C, ...) with any number of further axes, w, b and the running arrays (C,). float32 or float64.
Slide "Different normalizations", first cube. Source: Ioffe and Szegedy 2015. Names as torch.nn.functional.batch_norm.
"""
import math
from numbers import Real

import numpy as np

from ..device import to_host
from ..errors import ShapeError
from .normalize import KERNELS, check_norm, check_set_size, normalize_backward, normalize_forward  # noqa: F401 (the ladder)
from .op import Op, shape_of


class BatchNorm(Op):
    @staticmethod
    def forward(ctx, x, weight, bias, statistics, eps):
        N, C = x.shape[:2]
        layout = (N, C, 1, math.prod(x.shape[2:]))                  # set c is x[:, c]: a channel's planes of all images
        return normalize_forward(ctx, x, layout, eps, weight, bias, statistics)

    @staticmethod
    def backward(ctx, dout):
        return normalize_backward(ctx, dout)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5,
               return_stats=False):
    """Normalise each channel of `x` (N, C, ...) over the batch (training) or by the running statistics: Tensor like x.

    Nothing is changed in place: with `return_stats` the result is (out, new running mean, new running variance), the
    same arrays as given while not training. In training both running arrays may be None: then None comes back.
    """
    check_norm("batch_norm", x, weight, bias, eps)
    if not isinstance(momentum, Real) or not 0 <= momentum <= 1:
        raise ShapeError(f"batch_norm: momentum is {momentum!r}, expected a share from 0 to 1, that of the new batch")
    size = shape_of(x)
    given = [r for r in (running_mean, running_var) if r is not None]
    if len(given) == 1 or (not given and not training):
        raise ShapeError("batch_norm: running_mean and running_var are both needed (in training both may be None)")
    for name, array in zip(("running_mean", "running_var"), given):
        if np.shape(array) != (size[1],):
            raise ShapeError(f"batch_norm: {name} has shape {np.shape(array)}, expected ({size[1]},), as x has channels")
    if len(given) == 2 and not training and np.min(given[1], initial=0) < 0:
        raise ShapeError(f"batch_norm: running_var goes down to {np.min(given[1]):.3g}, expected variances, 0 or more")
    count = size[0] * math.prod(size[2:])                           # numbers per channel
    if training:
        check_set_size("batch_norm (training)", x, count, "batch and plane")
        statistics = None
    else:
        statistics = tuple(np.asarray(r, np.float64) for r in given)
    out, mean, var = BatchNorm.apply(x, weight, bias, statistics=statistics, eps=eps)
    if not return_stats:
        return out
    if not training or not given:
        return out, running_mean, running_var
    return (out, *_new_running(given, (to_host(mean), to_host(var) * count / (count - 1)), momentum))


def _new_running(running, batch, momentum):
    """Return (1 - momentum) running + momentum batch for the mean and the variance, in the type of the running ones."""
    return [((1 - momentum) * np.asarray(r) + momentum * b).astype(np.asarray(r).dtype) for r, b in zip(running, batch)]
