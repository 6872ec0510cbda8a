"""Recompute only what a window can have changed: many pictures that differ from one within a small window each.

    a change in rows top..bottom reaches the outputs i with   i s - p <= bottom   and   i s - p + d (k - 1) >= top

Layer by layer the window grows by the kernel and shrinks by the stride; around it stands what the unchanged picture gave. Exact:
the same products are summed, only fewer of them. Once the window covers most of a map, as it does in the last layers, the rest
of the network runs on whole maps. Used by occlusion, whose windows change a fiftieth of the picture.
"""
from dataclasses import dataclass

import numpy as np

from .. import ops, tape
from ..nn import Add, Concat, Conv2d
from ..receptive_field import is_pointwise, window_of
from ..tensor import Tensor

MOST = 0.75         # of a map; a larger window is not worth the cutting out


@dataclass(frozen=True)
class Patches:
    """What stands in the windows: data (N, C, h, w); picture n's begins at row tops[n], column lefts[n] of a map."""
    data: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray


def patched_activations(net, before, patches, keep):
    """Return layer -> array (N, ...) of the layers `keep` for N pictures that differ from one within a window each.

    before: "data" -> the unchanged picture (1, C, H, W), and every layer's output for it (1, ...), as arrays. patches: the
    windows' contents. Equal to running the N whole pictures but for rounding. The network in eval mode.
    """
    values, found = {"data": patches}, {}
    with tape.no_grad():
        for name, (layer, inputs) in net.layers.items():
            given, unchanged = [values[source] for source in inputs], [before[source] for source in inputs]
            made = _patched(layer, given, unchanged, before[name].shape[2:])
            if made is None:            # on whole maps
                made = layer(*[Tensor(whole(*pair)) for pair in zip(given, unchanged)]).data
            values[name] = made
            if name in keep:
                found[name] = whole(made, before[name])
    return found


def whole(value, unchanged):
    """Return maps (N, C, H, W): `value` itself if it is an array, else the unchanged map with each patch in its place."""
    if not isinstance(value, Patches):
        return value
    maps = np.repeat(unchanged, len(value.data), axis=0)
    _put(maps, value, np.zeros_like(value.tops), np.zeros_like(value.lefts))
    return maps


def _patched(layer, given, unchanged, size):
    """Return the Patches after a layer whose maps have `size`, or None where whole maps are due."""
    if not all(isinstance(value, Patches) for value in given):
        return None
    if is_pointwise(layer):
        return Patches(layer(Tensor(given[0].data)).data, given[0].tops, given[0].lefts)
    if isinstance(layer, (Add, Concat)):
        (tops, height), (lefts, width) = (_hull(given, axis, size[axis]) for axis in (0, 1))
        grown = [Tensor(_cut(u, v, tops, lefts, height, width)) for v, u in zip(given, unchanged)]
        return Patches(layer(*grown).data, tops, lefts)
    window = window_of(layer, unchanged[0].shape[2:])
    average = getattr(layer, "op", None) is ops.avg_pool2d
    if window is None or (average and (max(window[2]) > 0 or layer.settings.get("ceil_mode"))):
        return None                     # averages over less than a window, at the border, are left to whole maps
    (tops, height), (lefts, width) = (_reached(given[0], axis, *(numbers[axis] for numbers in window)) for axis in (0, 1))
    if height * width > MOST * size[0] * size[1]:
        return None
    return Patches(_slide(layer, given[0], unchanged[0], window, (tops, lefts), (height, width)), tops, lefts)


def _reached(patches, axis, kernel, stride, padding, dilation, count):
    """Return (first (N,), how many) of the outputs along an axis that the patches can change, as many for each picture."""
    begin, reach = (patches.tops, patches.lefts)[axis], dilation * (kernel - 1)
    first = np.maximum(-(-(begin + padding - reach) // stride), 0)
    last = np.minimum((begin + patches.data.shape[2 + axis] - 1 + padding) // stride, count - 1)
    number = max(1, int((last - first).max()) + 1)
    return np.minimum(first, count - number), number


def _hull(given, axis, count):
    """Return (first (N,), how many) of the `count` places along an axis that some branch has changed, as many for each."""
    begins = [(patches.tops, patches.lefts)[axis] for patches in given]
    ends = [begin + patches.data.shape[2 + axis] for begin, patches in zip(begins, given)]
    first = np.minimum.reduce(begins)
    number = int((np.maximum.reduce(ends) - first).max())
    return np.minimum(first, count - number), number


def _slide(layer, patches, unchanged, window, corner, shape):
    """Return the layer's outputs (N, F, *shape) from `corner` on: its inputs cut out, padding and all, then no padding."""
    kernel, stride, padding, dilation, _ = window
    sides = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(shape, stride, dilation, kernel)]
    tops, lefts = (c * s - p for c, s, p in zip(corner, stride, padding))
    convolution = isinstance(layer, Conv2d)
    x = Tensor(_cut(unchanged, patches, tops, lefts, *sides, fill=0 if convolution else -np.inf))
    if convolution:
        p, settings = layer.parameters, {**layer.settings, "padding": 0}
        return ops.conv2d(x, p["weight"], p.get("bias"), **settings).data
    return layer.op(x, kernel, stride).data


def _cut(unchanged, patches, tops, lefts, height, width, fill=0):
    """Return (N, C, height, width) from row tops[n], column lefts[n] of the changed maps on; beyond the map stands `fill`."""
    H, W = unchanged.shape[2:]
    edges = [(max(0, -int(tops.min())), max(0, int(tops.max()) + height - H)),
             (max(0, -int(lefts.min())), max(0, int(lefts.max()) + width - W))]
    around = np.pad(unchanged[0], [(0, 0), *edges], constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(around, (height, width), axis=(1, 2))
    cut = np.ascontiguousarray(views[:, tops + edges[0][0], lefts + edges[1][0]].transpose(1, 0, 2, 3))
    _put(cut, patches, tops, lefts)
    return cut


def _put(maps, patches, tops, lefts):
    """Write each patch into its picture's map, which begins at row tops[n], column lefts[n]; what falls outside is dropped."""
    h, w = patches.data.shape[2:]
    for target, patch, row, column in zip(maps, patches.data, patches.tops - tops, patches.lefts - lefts):
        above, left = max(0, -row), max(0, -column)
        part = patch[:, above:max(0, maps.shape[2] - row), left:max(0, maps.shape[3] - column)]
        if part.size:
            target[:, row + above:row + above + part.shape[1], column + left:column + left + part.shape[2]] = part
