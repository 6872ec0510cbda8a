"""Receptive fields: the pixels that a unit can see. Slide "Patches maximally activate a neuron".

    size'  = size + d (k - 1) jump              k: kernel, s: stride, p: padding, d: dilation of the next layer
    start' = start + (d (k - 1) / 2 - p) jump   size: of the field, jump: from a unit's field to the next unit's,
    jump'  = jump s                             start: the middle of the first unit's field, all in pixels; a pixel: 1, 1, 0

Where branches meet, the hull of their fields. A matrix after a map, and an average over all of it, is a kernel as large as the
map. The formula knows no borders: fields hang over the edges of the picture, and where a stride leaves pixels over or a window
hangs over the edge of a map, parts of them are seen by no unit. `first` and `last` are exact there too: the taps of every unit,
those in the padding left out, are followed back to the picture.

Source of the recursion: any layer is a window on the one before it; checked by changing pixels (tests/test_receptive_field.py).
"""
import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from . import ops
from .images import MAX_SIZE
from .errors import SettingError, ShapeError
from .nn import Add, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Dropout, GroupNorm, Linear, Network
from .ops.op import pair, window_output_size

POINTWISE = (ops.relu, ops.leaky_relu, ops.sigmoid, ops.tanh, ops.local_response_norm)
WHOLE = (ops.global_avg_pool2d, ops.flatten)


@dataclass(frozen=True)
class Axis:
    """The fields along one axis: `size`, `jump`, `start` of the formula; `first` and `last` pixel of each unit, exact, (n,).

    A unit that sees nothing but padding has -1 for its last pixel.
    """
    size: float
    jump: float
    start: float
    first: np.ndarray
    last: np.ndarray


@dataclass(frozen=True)
class ReceptiveField:
    """The fields of one layer's units, `rows` and `columns` apart."""
    rows: Axis
    columns: Axis
    picture: tuple              # (height, width) that the fields are for

    def box(self, row=0, column=0):
        """Return (top, left, bottom, right) of the pixels that the unit sees, as in picture[top:bottom, left:right].

        (0, 0, 0, 0) for a unit that sees nothing but padding. Raises ShapeError where there is no unit.
        """
        height, width = len(self.rows.first), len(self.columns.first)
        if any(isinstance(i, bool) or not isinstance(i, Integral) or not 0 <= i < n for i, n in ((row, height), (column, width))):
            raise ShapeError(f"receptive field: there is no unit at row {row!r}, column {column!r} of a map of {height}x{width}")
        if self.rows.last[row] < 0 or self.columns.last[column] < 0:
            return 0, 0, 0, 0
        return (int(self.rows.first[row]), int(self.columns.first[column]),
                int(self.rows.last[row]) + 1, int(self.columns.last[column]) + 1)


def receptive_fields(net, size=None):
    """Return a dict layer -> ReceptiveField for pictures of `size`, an int or (height, width); default what the network takes.

    That it takes pictures of that size is not looked into. Raises SettingError for a layer that is no window on the one before.
    """
    if not isinstance(net, Network):
        raise SettingError(f"receptive_fields: net is a {type(net).__name__}, expected a Network")
    size = pair("receptive_fields", "size", net.preprocessing.size if size is None else size, 1)
    if max(size) > MAX_SIZE:
        raise SettingError(f"receptive_fields: size is {size}, expected at most {MAX_SIZE} pixels a side")
    found = {"data": ReceptiveField(*(Axis(1, 1, 0, np.arange(n), np.arange(n)) for n in size), size)}
    for name, (layer, inputs) in net.layers.items():
        seen = [(found[source].rows, found[source].columns) for source in inputs]
        if isinstance(layer, (Concat, Add)):
            if len({tuple(len(axis.first) for axis in axes) for axes in seen}) > 1:
                raise ShapeError(f"receptive_fields: layer {name!r} of {net.architecture} joins maps of different sizes")
            found[name] = ReceptiveField(*(_hull(axes) for axes in zip(*seen)), size)
        else:
            windows = _windows(net, name, layer, tuple(len(axis.first) for axis in seen[0]))
            found[name] = ReceptiveField(*(_through(axis, *window) for axis, window in zip(seen[0], windows)), size)
    return found


def _through(axis, taps, reach, step, offset):
    """Return the Axis after a layer. taps (units, k): what each unit reads, -1 in the padding; the rest is for the formula."""
    inside = taps >= 0
    first = np.where(inside, axis.first[taps], np.iinfo(np.int64).max).min(axis=1)
    last = np.where(inside, axis.last[taps], -1).max(axis=1)
    return Axis(axis.size + reach * axis.jump, axis.jump * step, axis.start + offset * axis.jump, first, last)


def _hull(axes):
    """Return the smallest fields that hold those of all branches."""
    low, high = min(a.start - (a.size - 1) / 2 for a in axes), max(a.start + (a.size - 1) / 2 for a in axes)
    return Axis(high - low + 1, axes[0].jump, (low + high) / 2, np.minimum.reduce([a.first for a in axes]),
                np.maximum.reduce([a.last for a in axes]))


def _windows(net, name, layer, size):
    """Return, for both axes, (taps (units, k), reach in units of the layer below, step, offset of the first unit's middle)."""
    try:
        window = window_of(layer, size)
    except ShapeError as error:
        raise ShapeError(f"receptive_fields: layer {name!r} of {net.architecture}: {error}") from None
    if window is not None:
        kernel, stride, padding, dilation, out = window
        return [_sliding(*numbers) for numbers in zip(size, kernel, stride, padding, dilation, out)]
    op = getattr(layer, "op", None)
    if is_pointwise(layer) or (isinstance(layer, Linear) and size == (1, 1)):
        return [(np.arange(n)[:, None], 0, 1, 0) for n in size]
    if op in WHOLE or (op is ops.adaptive_avg_pool2d and pair("", "", layer.settings["output_size"], 1) == (1, 1)):
        return [(np.arange(n)[None], n - 1, n, (n - 1) / 2) for n in size]
    if op is ops.adaptive_avg_pool2d:
        return [_shares(n, count) for n, count in zip(size, pair("", "", layer.settings["output_size"], 1))]
    if op is ops.interpolate and layer.settings.get("mode", "nearest") == "nearest":
        scales = pair("", "", layer.settings["scale_factor"], 1)
        return [(np.arange(n * f)[:, None] // f, 0, 1 / f, (1 - f) / 2 / f) for n, f in zip(size, scales)]
    if isinstance(layer, ConvTranspose2d):
        return _stamps(layer, size)
    what = " normalises over whole maps" if isinstance(layer, GroupNorm) else f", {layer!r}, is no window on the layer below"
    raise SettingError(f"receptive_fields: layer {name!r} of {net.architecture}{what}; a unit may see everything there")


def is_pointwise(layer):
    """Whether each place of the output depends on the same place of the input alone (on all its channels, it may be)."""
    return isinstance(layer, (BatchNorm2d, Dropout)) or getattr(layer, "op", None) in POINTWISE


def window_of(layer, size):
    """Return (kernel, stride, padding, dilation, output size), pairs, of a convolution or pooling on maps of `size`, or None.

    The one place that knows how these layers name their settings.
    """
    settings = layer.settings if hasattr(layer, "settings") else {}
    if isinstance(layer, Conv2d):
        kernel = layer.parameters["weight"].shape[2:]
        stride, padding, dilation = (pair("", key, settings[key], least) for key, least in (("stride", 1), ("padding", 0),
                                                                                            ("dilation", 1)))
    elif getattr(layer, "op", None) in (ops.max_pool2d, ops.avg_pool2d):
        kernel = pair("", "kernel_size", settings["kernel_size"], 1)
        stride = kernel if settings.get("stride") is None else pair("", "stride", settings["stride"], 1)
        padding, dilation = pair("", "padding", settings.get("padding", 0), 0), (1, 1)
    else:
        return None
    out = window_output_size(repr(layer), size, kernel, stride, padding, dilation, settings.get("ceil_mode", False))
    return kernel, stride, padding, dilation, out


def _sliding(n, k, stride, padding, dilation, count):
    taps = np.arange(count)[:, None] * stride - padding + dilation * np.arange(k)
    return (np.where((taps >= 0) & (taps < n), taps, -1), dilation * (k - 1), stride, dilation * (k - 1) / 2 - padding)


def _shares(n, count):
    """Windows of adaptive_avg_pool2d: from floor(i n / count) to ceil((i + 1) n / count)."""
    begin, end = np.arange(count) * n // count, -(-np.arange(1, count + 1) * n // count)
    longest = int((end - begin).max())
    taps = begin[:, None] + np.arange(longest)
    return np.where(taps < end[:, None], taps, -1), longest - 1, n / count, (n / count - 1) / 2


def _stamps(layer, size):
    """Taps of a transposed convolution: output o reads input i where o = i stride - padding + t for a t of the kernel."""
    windows = []
    for axis, n in enumerate(size):
        k = layer.parameters["weight"].shape[2 + axis]
        stride, padding, more = (pair("", key, layer.settings[key], 0)[axis] for key in ("stride", "padding", "output_padding"))
        count = (n - 1) * stride - 2 * padding + k + more
        inputs = np.arange(n)
        tap = np.arange(count)[:, None] + padding - inputs * stride             # which place of the stamp, if any
        taps = np.where((tap >= 0) & (tap < k), inputs, -1)
        windows.append((taps, math.ceil(k / stride) - 1, 1 / stride, (padding - (k - 1) / 2) / stride))
    return windows
