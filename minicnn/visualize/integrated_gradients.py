"""Integrated gradients and SmoothGrad: gradients at many pictures instead of one. What came after the slide "Deconv approaches".

    integrated gradients    IG_i(x) = (x_i - b_i) integral over t in 0..1 of dS_c / dx_i (b + t (x - b))
    completeness            sum_i IG_i = S_c(x) - S_c(b)
    SmoothGrad              mean over n of dS_c / dx (x + noise_n),     noise ~ N(0, sigma^2)

The gradient at the picture itself says what a nudge would do, and is zero where the score has saturated. Along the way from a
baseline b, a picture of nothing, every pixel is paid its part of what the score gained. The integral is a sum over the middles
of equal parts; the more of them, the nearer to completeness. SmoothGrad averages away what changes from pixel to pixel.
Source: M. Sundararajan, A. Taly and Q. Yan, ICML 2017; D. Smilkov et al. 2017.
"""
import numpy as np

from ..checks import generator, number, whole_number
from ..errors import ShapeError
from ..tensor import Tensor
from .backprop import class_seed
from .checks import finite, one_picture


def integrated_gradients(net, x, class_index, baseline=None, steps=64, batch=16):
    """Return IG (C, H, W) of the class's score at `net.class_layer`; baseline (1, C, H, W), default 0, the mean colour."""
    x, steps = one_picture("integrated_gradients", net, x), whole_number("integrated_gradients", "steps", steps, 1)
    baseline = finite("integrated_gradients", "the baseline", np.zeros_like(x) if baseline is None else baseline)
    if baseline.shape != x.shape:
        raise ShapeError(f"integrated_gradients: x has shape {x.shape}, the baseline {baseline.shape}, expected one shape")
    baseline = baseline.astype(net.dtype, copy=False)
    shares = (np.arange(steps) + 0.5) / steps
    points = (baseline + share * (x - baseline) for share in shares)
    return (x[0] - baseline[0]) * _mean_gradient(net, points, steps, class_index, batch)


def smooth_grad(net, x, class_index, noise=0.15, samples=25, batch=16, rng=0):
    """Return the mean gradient (C, H, W) over noisy copies of x (1, C, H, W); noise: sigma as a part of the range of x."""
    x, rng = one_picture("smooth_grad", net, x), generator("smooth_grad", rng)
    samples = whole_number("smooth_grad", "samples", samples, 1)
    sigma = number("smooth_grad", "noise", noise, at_least=0) * float(x.max() - x.min())
    points = (x + sigma * rng.standard_normal(x.shape) for _ in range(samples))
    return _mean_gradient(net, points, samples, class_index, batch)


def _mean_gradient(net, points, count, class_index, batch):
    """Return the mean over the pictures `points`, (1, C, H, W) each, of the gradient of the class's score, (C, H, W)."""
    total, batch = 0.0, whole_number("the mean gradient", "batch", batch, 1)
    for start in range(0, count, batch):
        pictures = np.concatenate([next(points) for _ in range(min(batch, count - start))]).astype(net.dtype, copy=False)
        p = Tensor(pictures, requires_grad=True)
        scores = net.activations(p, upto=net.class_layer)[net.class_layer]
        seed = class_seed(scores.data[:1], class_index)
        scores.backward(np.broadcast_to(seed, scores.shape).copy())
        total = total + p.grad.sum(axis=0, dtype=np.float64)
    return (total / count).astype(net.dtype)
