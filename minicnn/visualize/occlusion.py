"""Occlusion experiments (Zeiler and Fergus 2013). Slide "Occlusion experiments".

    x'(i, j) = x with a window at (i, j) filled;        map(i, j) = p_c(x'(i, j))

Where covering the picture makes the probability of the right class fall, there the network looks. The slide fills with
zeros, which after the mean has been subtracted is the mean colour; the paper used grey. `fill` chooses.
"""
from dataclasses import dataclass

import numpy as np

from .. import ops, tape
from ..errors import MinicnnError, ShapeError
from ..images import gaussian_blur, pixel_range
from ..loop import last


@dataclass(frozen=True)
class OcclusionState:
    """The maps so far, each (rows, columns) over window positions, NaN (best: -1) where the window has not been yet."""
    step: int
    probability: np.ndarray     # (d) of the paper's figure: probability of the class
    activation: np.ndarray      # (b): sum of the feature map that is strongest on the unoccluded picture
    best: np.ndarray            # (e): the most probable class
    tops: np.ndarray            # top row of the window at each row of the maps
    lefts: np.ndarray           # left column of the window at each column of the maps
    window: tuple
    unoccluded: float           # the probability without a window
    channel: int                # which feature map `activation` is about


def occlusion_steps(net, x, class_index=None, *, window=32, stride=8, fill="mean", layer=None, batch=16, rng=0):
    """Slide a window of `window` pixels over `x` (1, C, H, W) and yield an OcclusionState after every `batch` positions.

    class_index: default the most probable class. fill: "mean" (0 after preprocessing), a grey value 0..255, "blur" (the
    picture itself, blurred) or "noise" (pixels drawn from `rng`). layer: whose strongest feature map is summed (default
    the last with maps). Raises ShapeError for a window larger than the picture.
    """
    data = np.asarray(x, net.dtype)
    height, width = (window, window) if isinstance(window, int) else window
    if data.ndim != 4 or len(data) != 1 or not (1 <= height <= data.shape[2] and 1 <= width <= data.shape[3]):
        raise ShapeError(f"occlusion: a window of {height}x{width} on x of shape {data.shape}; expected x (1, C, H, W) "
                         "and a window no larger than it")
    if min(stride, batch) < 1:
        raise ShapeError(f"occlusion: stride {stride} and batch {batch}, expected at least 1")
    tops, lefts = np.arange(0, data.shape[2] - height + 1, stride), np.arange(0, data.shape[3] - width + 1, stride)
    filling = _filling(net, data, fill, rng, (height, width))
    probability, maps = _look(net, data, layer)
    class_index = int(probability[0].argmax()) if class_index is None else class_index
    if not 0 <= class_index < probability.shape[1]:
        raise ShapeError(f"occlusion: there is no class {class_index}, expected 0 to {probability.shape[1] - 1}")
    channel = int(maps[0].argmax())
    shape = len(tops), len(lefts)
    found = {"probability": np.full(shape, np.nan), "activation": np.full(shape, np.nan), "best": np.full(shape, -1)}
    rest = dict(tops=tops, lefts=lefts, window=(height, width), unoccluded=float(probability[0, class_index]), channel=channel)
    yield OcclusionState(0, *(a.copy() for a in found.values()), **rest)
    positions = [(r, c) for r in range(shape[0]) for c in range(shape[1])]
    for step, start in enumerate(range(0, len(positions), batch), start=1):
        places = positions[start:start + batch]
        occluded = np.repeat(data, len(places), axis=0)
        for picture, (r, c) in zip(occluded, places):
            area = slice(tops[r], tops[r] + height), slice(lefts[c], lefts[c] + width)
            picture[:, area[0], area[1]] = filling[:, area[0], area[1]]
        probability, maps = _look(net, occluded, layer)
        for k, place in enumerate(places):
            found["probability"][place] = probability[k, class_index]
            found["activation"][place] = maps[k, channel]
            found["best"][place] = probability[k].argmax()
        yield OcclusionState(step, *(a.copy() for a in found.values()), **rest)


def occlusion(net, x, class_index=None, **settings):
    """Return the last state of `occlusion_steps`: the three maps of the paper's figure."""
    return last(occlusion_steps(net, x, class_index, **settings))


def pixel_map(state, values, size):
    """Spread a map over the pixels (H, W) = `size`: each pixel gets the mean of the windows that cover it, NaN if none."""
    total, count = np.zeros(size), np.zeros(size)
    for r, top in enumerate(state.tops):
        for c, left in enumerate(state.lefts):
            area = slice(top, top + state.window[0]), slice(left, left + state.window[1])
            total[area] += values[r, c]
            count[area] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _look(net, data, layer):
    """Return (probabilities (N, classes), sum of every feature map of the layer (N, K)) for a batch."""
    with tape.no_grad():
        activations = net.activations(data)
        scores = next(reversed(activations.values()))
        name = layer or [n for n, a in activations.items() if a.ndim == 4][-1]
        net.layer(name)
        return ops.softmax(scores, dim=1).data, activations[name].data.sum((2, 3))


def _filling(net, data, fill, rng, window):
    """Return the picture (C, H, W) that shows through the window."""
    low, high = pixel_range(net.preprocessing)
    if fill == "mean":
        return np.zeros_like(data[0])
    if fill == "blur":
        return gaussian_blur(data, max(window) / 2)[0]
    if fill == "noise":
        return np.random.default_rng(rng).uniform(low[0], high[0], data[0].shape).astype(np.float32)
    if isinstance(fill, (int, float)) and 0 <= fill <= 255:
        return np.broadcast_to(low[0] + (high - low)[0] * (fill / 255), data[0].shape).astype(np.float32)
    raise MinicnnError(f"occlusion: fill is {fill!r}, expected \"mean\", \"blur\", \"noise\" or a grey value 0..255")
