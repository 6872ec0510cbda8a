"""Instance norm, the layer that made fast style work: the contrast of each plane is thrown away; and its way back."""
import numpy as np

from minicnn.ops.normalize import (normalize_backward_ref, normalize_forward_ref, normalize_means_ref, normalize_statistics_ref,
                                   normalize_sums_ref)

from ..stepping import state

EPS = 1e-5


def steps(rng):
    """One picture of two planes of 3 x 3: a set is a plane, so x is laid out as (1, 2, 1, 9)."""
    planes = rng.integers(0, 10, (2, 3, 3)).astype(float)
    x, w, b = planes.reshape(1, 2, 1, 9), np.array([2.0, 1.0]), np.array([0.0, 5.0])
    mean, var = normalize_statistics_ref(x)
    yield state("two planes, and the mean and variance of each", normalize_statistics_ref, "xhat = (x - mu_s) / sigma_s",
                {"x": planes, "mu": mean, "var": var}, line="var[s] +=")
    xhat = normalize_forward_ref(x, mean, var, EPS, np.ones(2), np.zeros(2))
    yield state("mean 0 and variance 1 in each plane", normalize_forward_ref, "xhat = (x - mu_s) / sigma_s",
                {"xhat": xhat.reshape(2, 3, 3), "its mean": xhat.mean(axis=(0, 2, 3)).round(12),
                 "its variance": xhat.var(axis=(0, 2, 3))},
                line="(x[a, s, k, p] - mean[s])")
    y = normalize_forward_ref(x, mean, var, EPS, w, b)
    yield state("then a scale and a shift that are learnt, one of each for a channel", normalize_forward_ref,
                "Scale and shift are per channel", {"w": w, "b": b, "y": y.reshape(2, 3, 3)}, line="weight[c] *")
    faded = 10 + planes / 10
    again = normalize_forward_ref(faded.reshape(x.shape), *normalize_statistics_ref(faded.reshape(x.shape)), EPS, w, b)
    yield state("a tenth of the contrast, and brighter by 10: y is the same, up to eps, so a style need not know about it",
                normalize_forward_ref, "xhat = (x - mu_s) / sigma_s", {"faded x": faded, "y": again.reshape(2, 3, 3)})
    dy = np.zeros_like(x)
    dy[0, 0, 0, 4] = 1
    sums = normalize_sums_ref(dy, x, mean, var, EPS)
    shift, stretch = means = normalize_means_ref(sums, w, 9)
    yield state("back: the parts of g = w dL/dy that would shift a plane, or stretch it", normalize_means_ref,
                "dL/dx = (g - mean(g) - xhat mean(g xhat)) / sigma",
                {"dL/dy": dy.reshape(2, 3, 3), "mean(g)": shift, "mean(g xhat)": stretch}, line="(w * sums)")
    dx = normalize_backward_ref(dy, x, mean, var, EPS, w, means)
    yield state("they are taken out, since xhat does not notice either: dL/dx adds up to 0, and so does dL/dx times xhat",
                normalize_backward_ref, "dL/dx = (g - mean(g) - xhat mean(g xhat)) / sigma",
                {"dL/dx": dx.reshape(2, 3, 3), "sum": dx.sum(axis=(0, 2, 3)).round(12),
                 "sum of dL/dx xhat": (dx * xhat).sum(axis=(0, 2, 3)).round(6)}, line="dx[a, s, k, p] =")
