"""DeepFool: the shortest way across the nearest border, as if the network were linear. After the lecture.

    k: a class other than the winner c,   w_k = df_k/dp - df_c/dp,   f: the scores
    nearest border: the k with the least |f_k - f_c| / ||w_k||
    r <- r + |f_k - f_c| w_k / ||w_k||^2,  until another class wins
    result: p + (1 + overshoot) r, clipped to 0..1

For a linear classifier one step is exact. Source: S. Moosavi-Dezfooli, A. Fawzi and P. Frossard, CVPR 2016, and their program
(10 classes, overshoot, 1e-4).
"""
from dataclasses import dataclass

import numpy as np

from ..checks import number, whole_number
from ..errors import SettingError
from ..loop import last, take
from ..tensor import Tensor
from .pixels import checked, count_classes, parts, probabilities, to_input


@dataclass(frozen=True)
class DeepFoolState:
    """After `step` steps: pixels (N, C, H, W), their classes (N,), and which of them have left their first class."""
    step: int
    pixels: np.ndarray
    classes: np.ndarray
    fooled: np.ndarray


def deepfool_steps(net, pixels, *, candidates=10, overshoot=0.02):
    """Yield DeepFoolStates until all the pictures have another class than at first. Raises ShapeError, SettingError."""
    pixels = checked("deepfool", net, pixels)
    candidates = min(whole_number("deepfool", "candidates", candidates, 2), count_classes(net))
    overshoot = number("deepfool", "overshoot", overshoot, at_least=0)
    if count_classes(net) < 2:
        raise SettingError(f"deepfool: {net.architecture} has one class only, expected at least two")
    p, total, step = pixels.copy(), np.zeros(pixels.shape), 0
    first = np.argsort(-probabilities(net, pixels), axis=1, kind="stable")[:, :candidates]         # (N, candidates)
    classes = first[:, 0].copy()
    while True:
        fooled = classes != first[:, 0]
        yield DeepFoolState(step, p.copy(), classes.copy(), fooled)
        if fooled.all():
            return
        on = np.flatnonzero(~fooled)                                                    # those on their way
        for part in parts(p[on], candidates):
            total[on[part]] += shortest_way(*scores_and_slopes(net, p[on[part]], first[on[part]]))
        p[on] = (pixels[on] + (1 + overshoot) * total[on]).clip(0, 1)
        classes[on], step = probabilities(net, p[on]).argmax(axis=1), step + 1


def deepfool(net, pixels, *, steps=50, **settings):
    """Return the pixels after so many steps at most; settings as in `deepfool_steps`."""
    return last(take(steps, deepfool_steps(net, pixels, **settings))).pixels


def shortest_way(scores, slopes):
    """Return r (N, C, H, W) to the nearest border, of scores (N, k) and slopes (N, k, C, H, W), the winner's first."""
    w = slopes[:, 1:] - slopes[:, :1]                                                   # (N, k - 1, C, H, W)
    gaps = np.abs(scores[:, 1:] - scores[:, :1]) + 1e-4                                 # so that the border is crossed
    lengths = np.maximum(np.sqrt((w ** 2).sum(axis=(2, 3, 4))), 1e-30)
    nearest = np.arange(len(w)), (gaps / lengths).argmin(axis=1)
    return (gaps[nearest] / lengths[nearest] ** 2).reshape(-1, 1, 1, 1) * w[nearest]


def scores_and_slopes(net, pixels, classes):
    """Return f_k (N, k) and df_k/dp (N, k, C, H, W) float64 of some classes (N, k): one pass forwards, k backwards."""
    p, each = Tensor(pixels, requires_grad=True), np.arange(len(pixels))
    scores, slopes = net(to_input(net, p)), np.zeros((*classes.shape, *pixels.shape[1:]))
    for k in range(classes.shape[1]):
        seed = np.zeros_like(scores.data)
        seed[each, classes[:, k]] = 1
        p.grad = None
        scores.backward(seed)
        slopes[:, k] = p.grad
    return scores.data[each[:, None], classes].astype(float), slopes
