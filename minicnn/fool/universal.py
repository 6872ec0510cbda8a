"""One perturbation for all pictures. After the lecture: "Universal adversarial perturbations".

    v = 0;  for each picture p that keeps its class with v:  v <- v + DeepFool's r for p + v,  clipped to |v| <= xi
    over all pictures again and again, until a part 1 - delta of them is fooled

What fools one picture has much in common with what fools another: the borders of the classes lean the same way everywhere.
Source: S. Moosavi-Dezfooli, A. Fawzi, O. Fawzi and P. Frossard, CVPR 2017 (xi 10/255, delta 0.2, 10 steps of DeepFool).
"""
from dataclasses import dataclass

import numpy as np

from ..checks import generator, number, whole_number
from ..loop import last, take, until
from .deepfool import deepfool_steps
from .pixels import checked, probabilities


@dataclass(frozen=True)
class UniversalState:
    """After `step` rounds over the pictures: the perturbation (1, C, H, W) and which part of the pictures it fools."""
    step: int
    perturbation: np.ndarray
    rate: float


def universal_steps(net, pixels, xi=10 / 255, *, inner=10, overshoot=0.02, rng=0):
    """Yield UniversalStates without end; each round takes the pictures in a new order. Raises ShapeError, SettingError."""
    pixels, xi = checked("universal", net, pixels), number("universal", "xi", xi, at_least=0, at_most=1)
    inner, rng = whole_number("universal", "inner", inner, 1), generator("universal", rng)
    v, step, classes = np.zeros_like(pixels[:1]), 0, probabilities(net, pixels).argmax(axis=1)
    while True:
        yield UniversalState(step, v.copy(), fooling_rate(net, pixels, v))
        for k in rng.permutation(len(pixels)):
            moved = (pixels[k:k + 1] + v).clip(0, 1)
            steps = deepfool_steps(net, moved, overshoot=overshoot)
            if next(steps).classes[0] == classes[k]:
                crossed = last(take(inner - 1, steps))
                v = (v + crossed.pixels - moved).clip(-xi, xi).astype(net.dtype)
        step += 1


def universal(net, pixels, xi=10 / 255, *, delta=0.2, rounds=10, **settings):
    """Return the UniversalState that fools a part 1 - delta of the pictures, or the one after so many rounds."""
    delta = number("universal", "delta", delta, at_least=0, at_most=1)
    return last(until(lambda state: state.rate >= 1 - delta, take(rounds, universal_steps(net, pixels, xi, **settings))))


def fooling_rate(net, pixels, perturbation):
    """Return the part of the pictures that get another class with the perturbation than without."""
    return float((probabilities(net, (pixels + perturbation).clip(0, 1)).argmax(axis=1)
                  != probabilities(net, pixels).argmax(axis=1)).mean())
