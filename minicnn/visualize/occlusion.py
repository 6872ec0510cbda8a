"""Occlusion experiments (Zeiler and Fergus 2013). Slide "Occlusion experiments".

    x'(i, j) = x with a window at (i, j) filled;        map(i, j) = p_c(x'(i, j))

Where covering the picture makes the probability of the right class fall, there the network looks. The slide fills with
zeros, which after the mean has been subtracted is the mean colour; the paper used grey. `fill` chooses.

A window changes a small part of the early maps: only that is computed anew (visualize/incremental.py).
"""
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from .. import ops, tape
from ..checks import generator, whole_number
from ..errors import SettingError, ShapeError, unknown_name
from ..images import gaussian_blur, pixel_range
from ..loop import last
from ..ops.op import pair
from ..tensor import Tensor
from .checks import one_picture
from .incremental import Patches, patched_activations, whole


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


def occlusion_steps(net, x, class_index=None, *, window=None, stride=8, fill="mean", layer=None, batch=16,
                    incremental=True, rng=0):
    """Slide a window over `x` (1, C, H, W) and yield an OcclusionState at the start and after every `batch` positions.

    class_index: default the most probable class. window, stride: an int or (height, width); the window's default is a
    seventh of the picture's shorter side; the last window of a row or column is moved back so that it ends at the border.
    fill: "mean" (0 after preprocessing: the mean colour of a network that subtracts one), a grey value 0..255, "local" (the
    mean of what it covers), "blur" (the picture itself, blurred) or "noise" (pixels drawn from `rng`).
    layer: whose strongest feature map is summed (default the last with maps). incremental: recompute only what a window can
    have changed; False runs the whole pictures, the definition.
    """
    data = one_picture("occlusion", net, x)
    height, width = pair("occlusion", "window", max(1, min(data.shape[2:]) // 7) if window is None else window, 1)
    if height > data.shape[2] or width > data.shape[3]:
        raise ShapeError(f"occlusion: a window of {height}x{width} is larger than the picture, x {data.shape}")
    strides, batch = pair("occlusion", "stride", stride, 1), whole_number("occlusion", "batch", batch, 1)
    tops, lefts = (_positions(n, w, s) for n, w, s in zip(data.shape[2:], (height, width), strides))
    filling = _filling(net, data, fill, rng, (height, width))
    with tape.no_grad():
        before = {"data": data, **{name: a.data for name, a in net.activations(data).items()}}
    if before[next(reversed(net.layers))].ndim != 2:
        raise SettingError(f"occlusion: {net.architecture} ends in maps, not in scores of classes; give it with its head")
    layer = _with_maps(net, before, layer)
    probability, maps = _measured(net, before, layer)
    class_index = int(probability[0].argmax()) if class_index is None else class_index
    unoccluded = probability[0, whole_number("occlusion", "class_index", class_index, 0, probability.shape[1] - 1)]
    channel = int(maps[0].argmax())
    state = OcclusionState(0, np.full((len(tops), len(lefts)), np.nan), np.full((len(tops), len(lefts)), np.nan),
                           np.full((len(tops), len(lefts)), -1), tops, lefts, (height, width), float(unoccluded), channel)
    yield state
    positions = [(r, c) for r in range(len(tops)) for c in range(len(lefts))]
    for start in range(0, len(positions), batch):
        places = positions[start:start + batch]
        windows = _windows(data, filling, state, places)
        if incremental:
            found = patched_activations(net, before, windows, {layer, next(reversed(net.layers))})
        else:
            with tape.no_grad():
                found = {name: a.data for name, a in net.activations(whole(windows, data)).items()}
        state = _with_places(state, places, class_index, *_measured(net, found, layer))
        yield state


def _with_places(state, places, class_index, probability, maps):
    """Return the state with what was found at the places (row, column): probability (N, classes), maps (N, K)."""
    found = state.probability.copy(), state.activation.copy(), state.best.copy()
    for k, place in enumerate(places):
        found[0][place], found[1][place] = probability[k, class_index], maps[k, state.channel]
        found[2][place] = probability[k].argmax()
    return replace(state, step=state.step + 1, probability=found[0], activation=found[1], best=found[2])


def _positions(size, window, stride):
    """Return where windows begin along an axis: every `stride`, and a last one that ends at the border."""
    begins = np.arange(0, size - window + 1, stride)
    return begins if begins[-1] == size - window else np.append(begins, size - window)


def _windows(data, filling, state, places):
    """Return what stands in the window at each place (row, column) of the maps."""
    rows, columns = (np.array(numbers) for numbers in zip(*places))
    patches = Patches(np.empty((len(places), data.shape[1], *state.window), data.dtype), state.tops[rows], state.lefts[columns])
    for patch, top, left in zip(patches.data, patches.tops, patches.lefts):
        area = np.s_[:, top:top + state.window[0], left:left + state.window[1]]
        patch[:] = data[0][area].mean(axis=(1, 2), keepdims=True) if filling is None else filling[area]
    return patches


def occlusion(net, x, class_index=None, **settings):
    """Return the last state of `occlusion_steps`: the three maps of the paper's figure."""
    return last(occlusion_steps(net, x, class_index, **settings))


def pixel_map(state, values, size):
    """Spread a map over the pixels (H, W) = `size`: each pixel gets the mean of the windows that cover it, NaN if none."""
    size = pair("pixel_map", "size", size, 1)
    total, count = np.zeros(size), np.zeros(size)
    if np.shape(values) != (len(state.tops), len(state.lefts)):
        raise ShapeError(f"pixel_map: the map has shape {np.shape(values)}, expected {(len(state.tops), len(state.lefts))}, a "
                         "value for each window")
    for r, top in enumerate(state.tops):
        for c, left in enumerate(state.lefts):
            area = slice(top, top + state.window[0]), slice(left, left + state.window[1])
            total[area] += values[r, c]
            count[area] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _with_maps(net, activations, layer):
    """Return `layer` if it has feature maps; by default the last layer that has."""
    names = [name for name, a in activations.items() if a.ndim == 4 and name != "data"]
    if layer is not None and layer not in names:
        raise unknown_name(f"layer with feature maps in {net.architecture}", layer, names)
    return names[-1] if layer is None else layer


def _measured(net, activations, layer):
    """Return (probabilities (N, classes), sum of every feature map of the layer (N, K)) of a batch."""
    scores = activations[next(reversed(net.layers))]
    return ops.softmax(Tensor(scores), dim=1).data, activations[layer].sum((2, 3))


def _filling(net, data, fill, rng, window):
    """Return the picture (C, H, W) that shows through the window; None: the mean of what the window covers."""
    low, high = pixel_range(net.preprocessing)
    if not isinstance(fill, (str, Real)):
        raise SettingError(f"occlusion: fill is a {type(fill).__name__}, expected a name or a grey value 0..255")
    if fill == "local":
        return None
    if fill == "mean":
        return np.zeros_like(data[0])
    if fill == "blur":
        return gaussian_blur(data, max(window) / 2)[0]
    if fill == "noise":
        return generator("occlusion", rng).uniform(low[0], high[0], data[0].shape).astype(data.dtype)
    if isinstance(fill, Real) and not isinstance(fill, bool) and 0 <= fill <= 255:
        return np.broadcast_to(low[0] + (high - low)[0] * (fill / 255), data[0].shape).astype(data.dtype)
    raise SettingError(f"occlusion: fill is {fill!r}, expected \"mean\", \"local\", \"blur\", \"noise\" or a grey value 0..255")
