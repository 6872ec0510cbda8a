"""Fooling images by gradient ascent. Slide "Deep Neural Networks are Easily Fooled": unrecognisable, and over 99.6 % sure.

    P_c(p): the softmax's probability of class c
    lr = min(early, late (1 - P_c), P_c) / ||dP_c/dp||^2       a step that should raise P_c by so much, if it were linear
    m <- momentum m + lr dP_c/dp,    p <- mean + (p + m - mean) (1 - decay),  clipped to 0..1

Start: the mean colour and noise of one grey level. Ours are the momentum, with which 50 steps do what takes some hundred without,
and the bound P_c: it is at most doubled, or the first step of a class that is one in a million leaves the range of pixels. decay
is the L2 regularisation: with it the picture stays nearer to the mean colour. Nothing asks for a picture of anything, and nothing
that looks like one comes out: what the network takes for a class reaches much farther than the pictures of it.
Source: A. Nguyen, J. Yosinski and J. Clune, CVPR 2015, and their program (early, late, decay; clipping).
"""
from dataclasses import dataclass

import numpy as np

from .. import ops
from ..checks import generator, number
from ..errors import SettingError
from ..loop import last, take
from ..tensor import Tensor
from ..visualize.checks import picture_size
from .pixels import as_pictures, count_classes, mean_colour, over_places, parts, to_input

PUBLISHED = {"early": 0.03, "late": 0.1, "momentum": 0.0, "decay": 0.0}     # or a decay of 0.03; 1,500 steps
SEEN = 0.01                             # from this probability on a class has a slope after a last ReLU as well
MARKS = (0.0, 0.99, 0.999, 0.9999)      # of `reached`: the first step as the winner, then above so much


@dataclass(frozen=True)
class FoolingState:
    """After `step` steps: pixels (N, C, H, W), one picture for each class wanted, and how sure the network is of it.

    `reached` (4, N): the first step at which the class won, and its confidence was above 0.99, 0.999, 0.9999; -1: not yet.
    """
    step: int
    pixels: np.ndarray
    confidence: np.ndarray
    wins: np.ndarray
    reached: np.ndarray

    @property
    def images(self):
        """The pictures (N, H, W, 3) uint8."""
        return as_pictures(self.pixels)


def fooling_steps(net, classes, *, early=0.3, late=1.0, momentum=0.9, decay=0.0, goal=0.9999, size=None, rng=0):
    """Yield FoolingStates of pictures for some classes, without end.

    Until a class is SEEN, the slope is that of the scores before a last ReLU, after which it may have none. goal: a
    picture of which the network is so sure rests; 1 for never. size: of the pictures, default what the network takes. Raises
    SettingError.
    """
    size, classes = picture_size("fooling", net, size), _classes(net, classes)
    early, late = (number("fooling", name, value, above=0) for name, value in (("early", early), ("late", late)))
    decay = number("fooling", "decay", decay, at_least=0, at_most=1)
    momentum = number("fooling", "momentum", momentum, at_least=0, at_most=1)
    goal = number("fooling", "goal", goal, above=0, at_most=1)
    mean, count = mean_colour(net), len(classes)
    noise = generator("fooling", rng).standard_normal((count, mean.size, *size)) / 255
    pixels, step = (mean + noise).clip(0, 1).astype(net.dtype), 0
    reached, slope = np.full((len(MARKS), count), -1), np.zeros_like(pixels)
    confidence, wins, climbed = np.zeros(count), np.zeros(count, bool), np.zeros(count)
    awake, moving = np.ones(count, bool), np.zeros_like(pixels)
    while True:
        for part in parts(pixels):
            which = np.flatnonzero(awake[part]) + part.start
            if len(which):
                climbed[which], slope[which], confidence[which], wins[which] = _measured(net, pixels[which], classes[which])
        for mark, first in zip(MARKS, reached):
            first[(first < 0) & (wins if mark == 0 else confidence > mark)] = step
        yield FoolingState(step, pixels.copy(), confidence.copy(), wins.copy(), reached.copy())
        awake = (confidence < goal) | (goal == 1)
        ### BEGIN SOLUTION hw5.4
        square = np.maximum((slope.astype(float) ** 2).reshape(count, -1).sum(axis=1), 1e-30)
        lr = (np.minimum(np.minimum(early, late * (1 - climbed)), climbed) / square).reshape(-1, 1, 1, 1).astype(net.dtype)
        moving = momentum * moving + lr * slope
        stepped = (mean + (pixels + moving - mean) * (1 - decay)).clip(0, 1).astype(net.dtype)
        ### END SOLUTION hw5.4
        pixels, step = np.where(awake.reshape(-1, 1, 1, 1), stepped, pixels), step + 1


def fooling_images(net, classes, steps=200, **settings):
    """Return the FoolingState after so many steps; settings as in `fooling_steps`."""
    return last(take(steps, fooling_steps(net, classes, **settings)))


def _measured(net, pixels, classes):
    """Return P_c (N,), dP_c/dp, the network's own confidence (N,), and whether the class wins (N,)."""
    p, each = Tensor(pixels, requires_grad=True), np.arange(len(pixels))
    acts = net.activations(to_input(net, p))
    scores, own = over_places(acts[net.class_layer]), acts[next(reversed(acts))]
    ### BEGIN SOLUTION hw5.4
    sure, below = (ops.softmax(s, dim=1)[each, classes] for s in (own, scores))
    seen = sure.data > SEEN
    chosen = sure * seen + below * ~seen
    chosen.sum().backward(retain_graph=False)
    ### END SOLUTION hw5.4
    return chosen.data, p.grad, sure.data, own.data.argmax(axis=1) == classes


def _classes(net, classes):
    """Return the classes as an array of whole numbers that the network knows."""
    found, count = np.atleast_1d(np.asarray(classes)), count_classes(net)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu" or not 0 <= found.min() <= found.max() < count:
        raise SettingError(f"fooling: classes is {classes!r}, expected some whole numbers from 0 to {count - 1}")
    return found
