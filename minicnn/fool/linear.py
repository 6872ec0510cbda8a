"""Linear classifiers are fooled as easily. Slides "linear nature" and "Conclusions".

    s = w . p + b,   p' = p + epsilon sign(w):     s' - s = epsilon ||w||_1,   and no other change of epsilon per number does more
    ||w||_1 = n mean |w|: it grows with the number n of pixels, and what a pixel may change, epsilon, need not grow at all

    logistic regression, y = -1, 1, zeta(z) = log(1 + e^z):    J = mean zeta(-y (w . p + b))
    worst within epsilon, exactly:                             J~ = mean zeta(-y (w . p + b) + epsilon ||w||_1)

So training on J~ is no weight decay: the penalty is inside, and ends where the network is sure enough.
Source: A. Karpathy, "Breaking linear classifiers on ImageNet", 2015; I. Goodfellow, J. Shlens and C. Szegedy 2015, section 5.
"""
from dataclasses import dataclass

import numpy as np

from ..checks import number
from ..errors import SettingError
from ..loop import last, take
from ..nn import Linear
from ..optim import lbfgs_steps
from ..visualize.checks import finite, network
from .pixels import per_pixel


def pixel_weights(net):
    """Return w (K, C, H, W) float64, ds/dp of a linear network's scores: softmax regression's templates."""
    network("pixel_weights", net)
    layers = [layer for layer, _ in net.layers.values() if layer.parameters]
    if len(layers) != 1 or not isinstance(layers[0], Linear) or len(net.layers) != 2:
        raise SettingError(f"pixel_weights: {net.architecture} is no linear classifier, expected one such as softmax_mnist")
    spec = net.preprocessing
    size = spec.size if isinstance(spec.size, tuple) else (spec.size, spec.size)
    w = layers[0].parameters["weight"].data.astype(float).reshape(-1, len(spec.mean), *size)
    w = w * per_pixel(net).reshape(-1, 1, 1)
    return w[:, ::-1] if spec.channel_order == "BGR" else w


def templates(w):
    """Return weights (K, C, H, W) as pictures (K, H, W) or (K, H, W, 3) in 0..1: grey is 0, bright what the class likes."""
    w = finite("templates", "the weights", w)
    shown = 0.5 + w / (2 * np.maximum(np.abs(w).max(axis=(1, 2, 3), keepdims=True), 1e-30))
    return shown[:, 0] if w.shape[1] == 1 else shown.transpose(0, 2, 3, 1)


def pushed(pixels, w, epsilon):
    """Return p + epsilon sign(w), not clipped: within epsilon nothing raises w . p more."""
    return pixels + number("pushed", "epsilon", epsilon) * np.sign(w)


def worst_changes(w, epsilon):
    """Return epsilon ||w||_1 of weights w (K, ...), (K,): the most that a score can change within epsilon per number."""
    w = finite("worst_changes", "the weights", w).astype(float)
    ### BEGIN SOLUTION hw5.6
    return number("worst_changes", "epsilon", epsilon, at_least=0) * np.abs(w).reshape(len(w), -1).sum(axis=1)
    ### END SOLUTION hw5.6


def nearest_border(scores, w):
    """Return (k (N,), epsilon (N,)): the class that the least epsilon makes a tie with the winner c, and that epsilon.

    epsilon = (s_c - s_k) / ||w_k - w_c||_1, of scores (N, K) and weights (K, ...): exact as long as nothing is clipped.
    """
    ### BEGIN SOLUTION hw5.6
    w, winner, each = w.reshape(len(w), -1), scores.argmax(axis=1), np.arange(len(scores))
    apart = np.abs(w[:, None] - w).sum(axis=2)                          # (K, K)
    gaps = (scores[each, winner][:, None] - scores) / np.maximum(apart[winner], 1e-30)
    gaps[each, winner] = np.inf
    return gaps.argmin(axis=1), gaps.min(axis=1)
    ### END SOLUTION hw5.6


@dataclass(frozen=True)
class LogisticRegression:
    """w (n,) and b, of s = w . p + b; above 0: y = 1."""
    w: np.ndarray
    b: float

    def scores(self, p):
        """Return s (N,) of p (N, n)."""
        return p @ self.w + self.b

    def loss(self, p, y, epsilon=0.0):
        """Return J~, the loss of the worst pictures within epsilon; with epsilon = 0 it is J."""
        ### BEGIN SOLUTION hw5.6
        return float(softplus(-y * self.scores(p) + epsilon * np.abs(self.w).sum()).mean())
        ### END SOLUTION hw5.6

    def worst(self, p, y, epsilon):
        """Return those worst pictures: p - epsilon y sign(w)."""
        ### BEGIN SOLUTION hw5.6
        return p - epsilon * y[:, None] * np.sign(self.w)
        ### END SOLUTION hw5.6


def softplus(z):
    """Return zeta(z) = log(1 + e^z), without overflow."""
    return np.logaddexp(0, z)


def fit_logistic_regression(p, y, *, epsilon=0.0, steps=200):
    """Return the LogisticRegression with the least J~ on pictures p (N, n) with y = -1 or 1 (N,), by L-BFGS from 0 on.

    ||w||_1 has kinks, L-BFGS wants none: so w = u - v with u, v >= 0, and ||w||_1 is the sum of both, likewise b. Where classes
    can be told apart without error, even within epsilon, there is no least J~: w grows with the steps.
    """
    p, y = finite("fit_logistic_regression", "the pictures", p).astype(float), np.asarray(y)
    epsilon = number("fit_logistic_regression", "epsilon", epsilon, at_least=0)
    if p.ndim != 2 or y.shape != (len(p),) or set(np.unique(y)) - {-1, 1}:
        raise SettingError(f"fit_logistic_regression: p has shape {p.shape} and y {y.shape}, expected (N, n) and N times -1 or 1")

    ones = np.append(p, np.ones((len(p), 1)), axis=1)               # the last weight is b
    signs = np.append(np.full(p.shape[1], epsilon), 0)              # which is not held small

    def objective(x):
        u, v = x
        z = -y * (ones @ (u - v)) + signs @ (u + v)
        pull = np.exp(z - softplus(z)) / len(p)                     # zeta'(z) / N
        slope = -(pull * y) @ ones
        return float(softplus(z).mean()), np.stack([slope, -slope]) + signs * pull.sum()
    u, v = last(take(steps, lbfgs_steps(objective, np.zeros((2, p.shape[1] + 1)), bounds=(0, None)))).x
    return LogisticRegression((u - v)[:-1], float((u - v)[-1]))
