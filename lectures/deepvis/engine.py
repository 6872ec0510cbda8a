"""What the activations browser computes; arrays come out, and nothing here knows of the web.

A picture goes through the network once, recorded on one tape. All channels of a layer are then at hand; a unit's signals back to
the picture are three backward passes over the same tape, since a ReLU's rule acts on the way back. Slides "Visualizing
Activations", "Deconv approaches", "Guided backprop".
"""
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from minicnn import no_grad, ops, relu_rule
from minicnn.checks import one_of, whole_number
from minicnn.errors import SettingError, ShapeError
from minicnn.nn import Concat
from minicnn.receptive_field import is_pointwise, receptive_fields
from minicnn.tape import RELU_RULES
from minicnn.visualize.activations import LayerView
from minicnn.visualize.backprop import unit_seed
from minicnn.visualize.checks import network

from .drawing import MODES, signal_picture, sprite

KEPT = 6                # pictures that went through the network and are remembered, the newest


@dataclass(frozen=True)
class Recorded:
    """A picture after its way through the network: `picture` (H, W, 3) uint8 as the network sees it, and all activations."""
    number: int
    picture: np.ndarray
    x: object                   # the input, a Tensor
    activations: dict           # layer -> Tensor, all on one tape


@dataclass(frozen=True)
class Grid:
    """All channels of a layer as one grey picture: tiles of `tile` (height, width) in so many columns, 1 pixel between them."""
    picture: np.ndarray
    count: int
    columns: int
    tile: tuple


@dataclass(frozen=True)
class UnitView:
    """A unit: a channel and a place on its map, and the signals that reach the picture from there.

    map: the channel (h, w) uint8; box (top, left, bottom, right): what the unit sees; signals: rule -> picture, uint8;
    silent: the rules by which nothing reaches the picture; rank: 1 for the strongest channel of the layer.
    """
    unit: int
    name: str                   # of the class, where the channels are classes
    row: int
    column: int
    value: float
    rank: int
    map: np.ndarray
    box: tuple
    signals: dict
    silent: tuple


class Engine:
    """A network, the pictures that went through it last, and questions about its units. One at a time: desk.py sees to it."""

    def __init__(self, net):
        self.net = network("deepvis", net)
        self._kept, self._count, self._fields, self._newest = OrderedDict(), 0, {}, None

    # --- pictures ---------------------------------------------------------------------------------------------------
    def record(self, image):
        """Send a picture (all that net.preprocess takes) through the network; return the Recorded, which is remembered."""
        x = self.net.preprocess(image)
        recorded = Recorded(self._count + 1, self.net.deprocess(x), x, self.net.activations(x))
        self._kept[recorded.number], self._count, self._newest = recorded, recorded.number, recorded
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return recorded

    def recorded(self, number):
        """Return the Recorded of this number. Raises SettingError if it is forgotten or never was."""
        if number not in self._kept:
            raise SettingError(f"picture {number} is not remembered, only the last {KEPT} are; choose the picture again")
        return self._kept[number]

    def known_unit(self, layer, unit):
        """Return `unit` if the layer has it. Raises SettingError, UnknownNameError."""
        return _found(self.view(self._newest, layer), unit, (0, 0))[0]

    def classes(self, recorded, top=5):
        """Return the `top` most probable classes, a list of (probability, index, name); empty for a network without scores."""
        scores, names = next(reversed(recorded.activations.values())), self.net.classes
        if scores.ndim != 2:
            return []
        with no_grad():
            odds = ops.softmax(scores, dim=1).data[0]
        return [(float(odds[k]), int(k), names[k] if names else str(k)) for k in np.argsort(-odds, kind="stable")[:top]]

    # --- layers -----------------------------------------------------------------------------------------------------
    def layers(self, recorded):
        """Return a list of (name, shape (K, h, w), whether it is one of the main layers), of those that can be shown."""
        main = main_layers(self.net)
        return [(name, self.view(recorded, name).maps.shape, name in main) for name, activation in recorded.activations.items()
                if activation.ndim in (2, 4)]

    def view(self, recorded, layer):
        """Return the LayerView of a layer: its maps (K, h, w); a vector has maps of 1 x 1."""
        self.net.layer(layer)
        activation = recorded.activations[layer]
        if activation.ndim not in (2, 4):
            raise ShapeError(f"layer {layer!r} has shape {activation.shape}, expected maps (1, K, h, w) or a vector (1, K)")
        return LayerView(layer, activation.data[0].reshape(activation.shape[1], *(activation.shape[2:] or (1, 1))))

    def grid(self, recorded, layer, columns=None, gamma=1.0, together=False):
        """Return the Grid of a layer, by default as many columns as rows; gamma and together as for `shown`."""
        tiles = shown(self.view(recorded, layer), gamma, together)
        columns = int(np.ceil(len(tiles) ** 0.5)) if columns is None else columns
        whole_number("deepvis", "columns", columns, 1, len(tiles))
        picture, tile = sprite(tiles, columns)
        return Grid(picture, len(tiles), columns, tile)

    # --- units ------------------------------------------------------------------------------------------------------
    def unit(self, recorded, layer, unit=None, place=None, *, gamma=1.0, mode="raw", whole=False):
        """Return the UnitView of a channel, by default the strongest, at a place (row, column), by default its strongest.

        whole: all of the channel is sent back, each place with its own value, instead of a 1 at the place.
        """
        view, order = self.view(recorded, layer), self.net.preprocessing.channel_order
        one_of("mode of a signal", mode, MODES)
        unit, row, column = _found(view, unit, place)
        tops, seen = view.maps.max(axis=(1, 2)), self.box(recorded, layer, row, column)
        signals = self.signals(recorded, layer, (unit,) if whole else (unit, row, column), "activation" if whole else 1.0)
        box = (0, 0, *recorded.picture.shape[:2]) if whole else seen
        pictures = {rule: signal_picture(signal, box, mode, order) for rule, signal in signals.items()}
        silent = tuple(rule for rule, signal in signals.items() if not signal.any())
        value, rank = float(view.maps[unit, row, column]), 1 + int((tops > tops[unit]).sum())
        return UnitView(unit, self.class_name(view, unit), row, column, value, rank, shown_unit(view, unit, gamma), seen,
                        pictures, silent)

    def signals(self, recorded, layer, unit, value=1.0):
        """Return a dict rule -> signal (C, H, W) at the picture, from a unit (channel, row, column) or a whole (channel,)."""
        activation, signals = recorded.activations[layer], {}
        seed = unit_seed(activation, unit[:activation.ndim - 1], value)
        for rule in RELU_RULES:
            recorded.x.grad = None
            with relu_rule(rule):
                activation.backward(seed)
            signals[rule] = recorded.x.grad[0]
        return signals

    def class_name(self, view, unit):
        """Return the name of the class that a unit stands for, "" where the layer's channels are no classes."""
        names, classes = list(self.net.layers), self.net.classes or ()
        of_classes = len(view.maps) == len(classes) and names.index(view.layer) >= names.index(self.net.class_layer)
        return classes[unit] if of_classes else ""

    def box(self, recorded, layer, row, column):
        """Return (top, left, bottom, right) of what a unit sees of the picture: all of it where that cannot be told."""
        size = recorded.picture.shape[:2]
        if size not in self._fields:
            self._fields[size] = fields_of(self.net, size)
        box = self._fields[size][layer].box(row, column) if layer in self._fields[size] else (0, 0, 0, 0)
        return box if any(box) else (0, 0, *size)


def shown(view, gamma=1.0, together=False):
    """Return the maps of a LayerView as `LayerView.shown` does; single numbers have one scale, else all would be white."""
    return view.shown(gamma, together or view.maps[0].size == 1)


def shown_unit(view, unit, gamma=1.0):
    """Return the map (h, w) uint8 of one unit, scaled by itself; a single number by its whole layer."""
    alone = view.maps[0].size > 1
    return shown(LayerView(view.layer, view.maps[unit:unit + 1]) if alone else view, gamma)[0 if alone else unit]


def _found(view, unit, place):
    """Return (channel, row, column), the strongest where they are None. Raises SettingError where there is no such unit."""
    count, height, width = view.maps.shape
    if unit is None:
        unit = int(view.strongest(1)[0])
    unit = whole_number("deepvis", f"the unit of layer {view.layer!r}", unit, 0, count - 1)
    if place is None:
        place = np.unravel_index(view.maps[unit].argmax(), (height, width))
    return unit, *(whole_number("deepvis", f"the {what} on the map of layer {view.layer!r}", n, 0, size - 1)
                   for what, n, size in zip(("row", "column"), place, (height, width)))


def fields_of(net, size):
    """Return a dict layer -> ReceptiveField for pictures of `size`; empty for a network that has a layer without windows."""
    try:
        return receptive_fields(net, size)
    except SettingError:
        return {}


def readers_of(net):
    """Return a dict layer -> list of the layers that read it."""
    readers = {name: [] for name in net.layers}
    for name, (_, inputs) in net.layers.items():
        for source in inputs:
            if source != "data":
                readers[source].append(name)
    return readers


def main_layers(net):
    """Return the layers of a short list: those before a ReLU or the like, and the branches before they are joined, left out."""
    def followed(readers):
        layer = net.layers[readers[0]][0] if len(readers) == 1 else None
        return layer is not None and (is_pointwise(layer) or isinstance(layer, Concat))
    return [name for name, readers in readers_of(net).items() if name == net.class_layer or not followed(readers)]
