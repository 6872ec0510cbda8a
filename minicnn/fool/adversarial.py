"""Adversarial pictures: changed too little to be seen, and enough for the network. Slides "Intriguing properties of neural
networks" (the ostrich) and "Explaining and harnessing adversarial examples".

    fast gradient sign     p + epsilon sign(dJ/dp)                                   one step, to leave the class
    box-constrained L-BFGS       argmin over r of  c ||r||^2 + J(p + r, target),  0 <= p + r <= 1        to get to a class

p: pixels in 0..1; J: the cross-entropy with a class. Line search on c: the larger c, the less the picture changes, until the
network is no longer fooled; so c is raised tenfold while it is, lowered tenfold while it is not, then the geometric mean of both
sides is tried. The distortion of a picture of n numbers is sqrt(sum r^2 / n). What counts is the picture as an 8-bit file.
Source: C. Szegedy et al. 2014; I. Goodfellow, J. Shlens and C. Szegedy 2015.
"""
from dataclasses import dataclass

import numpy as np

from ..checks import number, whole_number
from ..errors import SettingError
from ..loop import last, take
from ..optim import lbfgs_steps
from .pixels import as_pictures, checked_pair, loss_gradient, probabilities, through_png


def fgsm(net, pixels, labels, epsilon=0.007):
    """Return the pixels (N, C, H, W) after one step of epsilon in every number, along the sign of dJ/dp; clipped to 0..1."""
    pixels, labels = checked_pair("fgsm", net, pixels, labels)
    epsilon = number("fgsm", "epsilon", epsilon, at_least=0, at_most=1)
    ### BEGIN SOLUTION hw5.1
    return (pixels + epsilon * np.sign(loss_gradient(net, pixels, labels)[1])).clip(0, 1).astype(net.dtype)
    ### END SOLUTION hw5.1


def distortion(changed, pixels):
    """Return sqrt(sum r^2 / n) of each picture, (N,): 0.01 is about 2.5 of 255 grey levels."""
    ### BEGIN SOLUTION hw5.1
    r = np.asarray(changed, dtype=float) - np.asarray(pixels, dtype=float)
    return np.sqrt((r ** 2).reshape(len(r), -1).mean(axis=1))
    ### END SOLUTION hw5.1


@dataclass(frozen=True)
class LbfgsState:
    """After `step` values of c: the picture found with the last of them."""
    step: int
    c: float
    pixels: np.ndarray              # (1, C, H, W), rounded to 8 bits
    probability: float              # of the target in it
    fools: bool
    distortion: float

    @property
    def image(self):
        """The picture (H, W, 3) uint8."""
        return as_pictures(self.pixels)[0]


def lbfgs_attack_steps(net, pixels, target, *, c=1.0, inner=20, confidence=0.5):
    """Yield an LbfgsState at the start (r = 0) and after each value of c, without end.

    pixels (1, C, H, W); target: a class. c: its first value. inner: L-BFGS steps for each c. confidence: what the target's
    probability must exceed. Raises ShapeError, SettingError.
    """
    if np.ndim(pixels) == 4 and len(pixels) != 1:
        raise SettingError(f"lbfgs_attack: there are {len(pixels)} pictures, expected one; attack one after the other")
    pixels, (target,) = checked_pair("lbfgs_attack", net, pixels, [target])
    c, inner = number("lbfgs_attack", "c", c, above=0), whole_number("lbfgs_attack", "inner", inner, 1)
    confidence = number("lbfgs_attack", "confidence", confidence, at_least=0, at_most=1)
    state, too_small, too_large, start = _state(net, pixels, pixels, target, 0, 0.0, confidence), None, None, pixels
    while True:
        yield state
        found = last(take(inner, lbfgs_steps(_objective(net, pixels, target, c), start, bounds=(0, 1)))).x
        state = _state(net, pixels, found, target, state.step + 1, c, confidence)
        ### BEGIN SOLUTION hw5.3
        if state.fools:
            too_small, start = c, found
        else:
            too_large, start = c, pixels if too_small is None else start
        c = 10 * c if too_large is None else c / 10 if too_small is None else (too_small * too_large) ** 0.5
        ### END SOLUTION hw5.3


def lbfgs_attack(net, pixels, target, *, searches=6, **settings):
    """Return the LbfgsState that fools with the least distortion after so many values of c, or the last one if none does."""
    def best_so_far(states):
        best = None
        for state in states:
            if best is None or not best.fools or (state.fools and state.distortion < best.distortion):
                best = state
            yield best
    return last(best_so_far(take(searches, lbfgs_attack_steps(net, pixels, target, **settings))))


def _objective(net, pixels, target, c):
    """Return the function of p that gives c ||p - pixels||^2 + J and its gradient.

    J is of the scores before a last ReLU: a class that the network sees nowhere has no slope after it.
    """
    def measure(x):
        ### BEGIN SOLUTION hw5.3
        x = x.astype(net.dtype)
        r = (x - pixels).astype(float)
        loss, gradient, _ = loss_gradient(net, x, np.array([target]), rectified=False)
        return c * float((r ** 2).sum()) + float(loss[0]), 2 * c * r + gradient
        ### END SOLUTION hw5.3
    return measure


def _state(net, pixels, found, target, step, c, confidence):
    """Return the LbfgsState of a picture, judged as a PNG file."""
    file = through_png(np.asarray(found, net.dtype))
    found_probabilities = probabilities(net, file)[0]
    fools = bool(found_probabilities.argmax() == target and found_probabilities[target] > confidence)
    return LbfgsState(step, c, file, float(found_probabilities[target]), fools, float(distortion(file, pixels)[0]))
