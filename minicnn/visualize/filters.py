"""Raw weights as pictures. Slide "Visualize the filters/kernels (raw weights)".

    pixel = (w - min w) / (max w - min w)        per filter, as the ConvNetJS demo draws them

A filter of the first layer, (3, KH, KW), is a small colour picture. A filter of a higher layer, (C, KH, KW), is one grey
tile per input channel, scaled over the whole filter, so that its tiles can be compared.
"""
from numbers import Integral

import numpy as np

from ..checks import one_of
from ..errors import SettingError, ShapeError
from .checks import array

SCALINGS = ("filter", "global", "symmetric")


def scale_filters(weight, scaling="filter"):
    """Return `weight` (F, C, KH, KW) moved into 0..1; same shape.

    The result is one grey tile per filter and input channel, the way to draw a higher layer.
    "filter": each filter from its own minimum to its maximum. "global": all by one minimum and maximum, so that strong
    filters look strong. "symmetric": each filter about 0 by its largest magnitude, so that grey (0.5) means weight 0.
    """
    weight = _filters("scale_filters", weight)
    one_of("scaling of filters", scaling, SCALINGS)
    axes = None if scaling == "global" else (1, 2, 3)
    low, high = weight.min(axes, keepdims=True), weight.max(axes, keepdims=True)
    if scaling == "symmetric":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    flat = high <= low
    return np.where(flat, 0.5, (weight - low) / np.where(flat, 1, high - low))


def colour_tiles(weight, channel_order="RGB", scaling="filter"):
    """Return the filters of a first layer (F, 3, KH, KW) as colour pictures (F, KH, KW, 3) in 0..1, red first."""
    if np.ndim(weight) != 4 or np.shape(weight)[1] != 3:
        raise ShapeError(f"colour_tiles: weight has shape {np.shape(weight)}, expected (F, 3, KH, KW)")
    one_of("order of channels", channel_order, ("RGB", "BGR"))
    tiles = scale_filters(weight, scaling).transpose(0, 2, 3, 1)
    return tiles[..., ::-1] if channel_order == "BGR" else tiles


def enlarge(tiles, factor, colour=False):
    """Return tiles (..., h, w), or with `colour` (..., h, w, 3), with every weight drawn as factor x factor pixels."""
    if not isinstance(factor, Integral) or not 1 <= factor <= 1000 or np.ndim(tiles) < (3 if colour else 2):
        raise SettingError(f"enlarge: factor is {factor!r} of tiles {np.shape(tiles)}, expected a whole number, 1 to 1000, and "
                           "tiles (..., h, w), in colour (..., h, w, 3)")
    for axis in (-3, -2) if colour else (-2, -1):
        tiles = np.repeat(tiles, factor, axis=axis)
    return tiles


def halves(weight, groups=2):
    """Return the filters (F, C, KH, KW) as `groups` blocks (F / groups, C, KH, KW), in their order.

    AlexNet was trained on two graphics cards that met in few layers, and to each went one half of the first layer's filters.
    They took to different things: on one card edges without colour, on the other blobs of colour.
    """
    weight = np.asarray(weight)
    if weight.ndim != 4 or not isinstance(groups, Integral) or groups < 1 or len(weight) % groups:
        raise ShapeError(f"halves: weight has shape {weight.shape}, expected (F, C, KH, KW) with F a multiple of {groups}")
    return np.split(weight, groups)


def colourfulness(weight):
    """Return how much the channels of a filter differ, per filter (F,): variance across channels / variance of all; 0 is grey."""
    w = _filters("colourfulness", weight)
    w = w - w.mean((1, 2, 3), keepdims=True)
    across = w - w.mean(axis=1, keepdims=True)
    return (across ** 2).sum((1, 2, 3)) / np.maximum((w ** 2).sum((1, 2, 3)), 1e-30)


def order_by_energy(weight):
    """Return the order of the filters from the largest sum of squared weights to the smallest."""
    return np.argsort(-(_filters("order_by_energy", weight) ** 2).sum((1, 2, 3)), kind="stable")


def roughness(weight):
    """Return how much neighbouring weights differ, per filter: mean squared difference / (2 variance).

    The mean is taken off first. Independent random weights come out near 1; smooth (learned) filters well below.
    """
    w = _filters("roughness", weight)
    if w[0, 0].size < 2:
        raise ShapeError(f"roughness: weight has shape {w.shape}; filters of one weight have no neighbours, expected larger ones")
    w = w - w.mean((2, 3), keepdims=True)
    down, right = np.diff(w, axis=2), np.diff(w, axis=3)
    n_down, n_right = down[0, 0].size, right[0, 0].size
    mean_difference = ((down ** 2).sum((1, 2, 3)) + (right ** 2).sum((1, 2, 3))) / (n_down + n_right)
    variance = (w ** 2).sum((1, 2, 3)) / (w[0, 0].size - 1)
    return mean_difference / np.maximum(2 * variance, 1e-30)


def _filters(name, weight):
    """Return filters as an array (F, C, KH, KW) of float64."""
    weight = array(name, "weight", weight).astype(np.float64)
    if weight.ndim != 4 or weight.size == 0:
        raise ShapeError(f"{name}: weight has shape {weight.shape}, expected 4 axes (F, C, KH, KW) and something in them")
    return weight
