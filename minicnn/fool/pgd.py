"""Projected gradient descent: the fast gradient sign in many small steps, kept within epsilon. After the lecture.

    p <- the nearest to  p + alpha sign(dJ/dp)  within  |p - p0| <= epsilon  and  0 <= p <= 1;  alpha = relative_step epsilon

Start: anywhere within epsilon. What withstands this withstands whatever else uses the gradient alone, as far as Madry et al. saw.
Source: A. Madry et al. 2018; step and number of steps as foolbox's.
"""
from dataclasses import dataclass

import numpy as np

from ..checks import generator, number
from ..loop import last, take
from .pixels import checked_pair, loss_gradient


@dataclass(frozen=True)
class PgdState:
    """After `step` steps: pixels (N, C, H, W), and which of them are fooled, that is no longer of their label."""
    step: int
    pixels: np.ndarray
    fooled: np.ndarray


def pgd_steps(net, pixels, labels, epsilon=2 / 255, *, relative_step=0.025, random_start=True, rng=0):
    """Yield PgdStates without end. Raises ShapeError, SettingError."""
    pixels, labels = checked_pair("pgd", net, pixels, labels)
    epsilon = number("pgd", "epsilon", epsilon, at_least=0, at_most=1)
    alpha, rng = epsilon * number("pgd", "relative_step", relative_step, above=0), generator("pgd", rng)
    ### BEGIN SOLUTION hw5.2
    low, high = (pixels - epsilon).clip(0, 1), (pixels + epsilon).clip(0, 1)
    p = (pixels + rng.uniform(-epsilon, epsilon, pixels.shape) if random_start else pixels).clip(low, high).astype(net.dtype)
    ### END SOLUTION hw5.2
    step = 0
    while True:
        _, gradient, scores = loss_gradient(net, p, labels)
        yield PgdState(step, p.copy(), scores.argmax(axis=1) != labels)
        ### BEGIN SOLUTION hw5.2
        p, step = (p + alpha * np.sign(gradient)).clip(low, high).astype(net.dtype), step + 1
        ### END SOLUTION hw5.2


def pgd(net, pixels, labels, epsilon=2 / 255, *, steps=50, **settings):
    """Return the pixels after so many steps; settings as in `pgd_steps`."""
    return last(take(steps, pgd_steps(net, pixels, labels, epsilon, **settings))).pixels
