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

import numpy as np

from ..errors import ShapeError
from .normalize import (KERNELS, affine_backward, affine_forward, check_norm, check_set_size,  # noqa: F401 (the ladder)
                        normalize_backward, normalize_forward)
from .op import Op, shape_of


class BatchNorm(Op):
    @staticmethod
    def forward(ctx, x, weight, bias, statistics, eps):
        N, C = x.shape[:2]
        ctx.training = statistics is None
        layout = (N, C, math.prod(x.shape[2:]))                     # set c is x[:, c, :]
        xhat, mean, var = normalize_forward(ctx, x, layout, eps, statistics)
        return affine_forward(ctx, xhat, weight, bias, axes=(1,)), mean, var

    @staticmethod
    def backward(ctx, dout):
        dxhat, dweight, dbias = affine_backward(ctx, dout)
        if not ctx.needs_grad[0]:
            return None, dweight, dbias
        if ctx.training:
            return normalize_backward(ctx, dxhat), dweight, dbias
        sigma = np.sqrt(ctx.var + ctx.eps).astype(dout.dtype)
        return dxhat / sigma.reshape(-1, *[1] * (dout.ndim - 2)), dweight, dbias


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5,
               return_stats=False):
    """Normalise each channel of `x` (N, C, ...) over the batch (training) or by the running statistics: Tensor like x.

    Nothing is changed in place: with `return_stats` the result is (out, new running mean, new running variance), the
    same arrays as given while not training. In training both running arrays may be None: then None comes back.
    """
    check_norm("batch_norm", x, weight, bias)
    size = shape_of(x)
    given = [r for r in (running_mean, running_var) if r is not None]
    if len(given) == 1 or (not given and not training):
        raise ShapeError("batch_norm: running_mean and running_var are both needed (in training both may be None)")
    for name, array in zip(("running_mean", "running_var"), given):
        if np.shape(array) != (size[1],):
            raise ShapeError(f"batch_norm: {name} has shape {np.shape(array)}, expected ({size[1]},), as x has channels")
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
    return (out, *_new_running(given, (mean, var * count / (count - 1)), momentum))


def _new_running(running, batch, momentum):
    """Return (1 - momentum) running + momentum batch for the mean and the variance, in the type of the running ones."""
    return [((1 - momentum) * np.asarray(r) + momentum * b).astype(np.asarray(r).dtype) for r, b in zip(running, batch)]
