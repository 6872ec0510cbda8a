"""What is worked out while nobody waits: the top patches of all units, and the optimised picture of the unit that is looked at.

Slides "Patches maximally activate a neuron", "Class model visualization". Each works in a thread of its own, in short steps, and
keeps what it has found so far where the page can ask for it.
"""
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from minicnn import no_grad, ops
from minicnn.errors import MinicnnError
from minicnn.images import resize_longer
from minicnn.loop import take
from minicnn.nn import BatchNorm2d, Concat, Conv2d, Linear
from minicnn.receptive_field import is_pointwise
from minicnn.visualize.class_model import Settings, class_model_steps
from minicnn.visualize.fourier import fourier_steps
from minicnn.visualize.patches import cut_patch, merge, strongest

from .engine import fields_of, readers_of

PATCHES, TILE = 9, 112          # shown of each unit; the longer side of one, in pixels
MOST_PICTURES = 1000            # of a collection: they are kept in memory
POOLS = (ops.max_pool2d, ops.avg_pool2d, ops.global_avg_pool2d)
STEPS = 192                     # up to an optimised picture
FINISHED = 256                  # optimised pictures that are kept
GREY = Settings(STEPS, lr=1e8, progress=2, blur=0.5, decay=0.01)       # for networks of grey pictures


@dataclass(frozen=True)
class Patch:
    """What a unit sees of a picture at the place where it is strongest: `crop` (h, w, 3) uint8, its value, the picture's name."""
    crop: np.ndarray
    value: float
    name: str


class Patches:
    """The top patches of every unit of every layer: one way of each picture through the network gives those of all layers."""

    def __init__(self, net, pictures, desk):
        """pictures: an iterable of (name, picture), read one by one."""
        self.net, self.desk = net, desk
        self.seen, self.done, self.error = 0, False, ""
        self._source, self._pictures, self._found, self._fields = pictures, [], {}, {}

    def start(self):
        """Begin to look through the pictures, in a thread."""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        """Look through the pictures."""
        try:
            for (name, picture), _ in zip(self._source, range(MOST_PICTURES)):
                with self.desk.in_background(), no_grad():
                    self._look(name, self.net.preprocess(picture))
        except MinicnnError as error:
            self.error = str(error)
        self.done = True

    def _look(self, name, x):
        """Take one picture in: each layer's best so far."""
        self._pictures.append((name, self.net.deprocess(x)))
        if not self._fields:
            self._fields = fields_of(self.net, x.shape[2:])
        for layer, activation in self.net.activations(x).items():
            if activation.ndim in (2, 4):
                new = strongest(activation.data, PATCHES, [self.seen])
                self._found[layer] = merge(self._found[layer], new) if self.seen else new
        self.seen += 1

    def of(self, layer, unit):
        """Return the Patches so far of a unit, the strongest first; those to which it answers with 0 or less are left out."""
        self.net.layer(layer)
        found, patches = self._found.get(layer), []
        if found is None:
            return []
        for value, number, *place in zip(found.values[unit], found.picture[unit], found.row[unit], found.column[unit]):
            if value > 0:
                name, picture = self._pictures[number]
                crop = cut_patch(picture, self._fields[layer], *place)[0] if layer in self._fields else picture
                crop = crop if crop.size else picture           # of a unit that sees nothing but padding
                patches.append(Patch(crop if max(crop.shape) <= TILE else resize_longer(crop, TILE), float(value), name))
        return patches


@dataclass(frozen=True)
class Climb:
    """An optimised picture (H, W, 3) uint8 after `step` of STEPS steps, and the unit's answer; or why there is none."""
    step: int
    picture: np.ndarray
    activation: float
    error: str = ""


class Climber:
    """The optimised picture of one unit at a time, the one that was asked for last; finished ones are kept."""

    def __init__(self, net, desk):
        self.net, self.desk = net, desk
        self._changed, self._wanted, self._climbs = threading.Condition(), None, OrderedDict()

    def start(self):
        """Begin to wait for a unit, in a thread."""
        threading.Thread(target=self.run, daemon=True).start()

    def ask(self, layer, unit):
        """Return the Climb so far of this unit, None before its first step; from now on it is the one that is worked on."""
        self.net.layer(layer)
        with self._changed:
            self.give_up(unless=(layer, unit))
            if not self._finished((layer, unit)):
                self._wanted = layer, unit
                self._changed.notify_all()
            return self._climbs.get((layer, unit))

    def give_up(self, unless=None):
        """Leave the unit that is worked on, and what was reached with it; not if it is (layer, unit) `unless`."""
        with self._changed:
            if self._wanted not in (None, unless):
                self._climbs.pop(self._wanted, None)
                self._wanted = None

    def run(self):
        """Work on what is asked for, one unit after the other."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None)
                job = self._wanted
            try:
                self._climb(job)
            except MinicnnError as error:
                self._keep(job, Climb(STEPS, np.zeros((1, 1, 3), np.uint8), 0.0, str(error)))

    def _climb(self, job):
        states = take(STEPS, climbing_steps(self.net, *job))
        while True:
            with self.desk.in_background():
                state = next(states)
            if not self._keep(job, Climb(state.step, state.image, state.activation)) or state.step == STEPS:
                return

    def _keep(self, job, climb):
        """Keep what was reached; return whether this unit is still the one that is wanted."""
        with self._changed:
            if self._wanted != job:
                return False
            self._climbs[job] = climb
            if self._finished(job):
                self._wanted = None
            while len(self._climbs) > FINISHED:
                self._climbs.popitem(last=False)
            return True

    def _finished(self, job):
        return job in self._climbs and self._climbs[job].step == STEPS


def climbing_steps(net, layer, unit):
    """Yield the states of the climb to a unit's picture: as waves for a network of colour pictures, else as pixels."""
    layer, unit = climbed(net, layer, unit)
    if len(net.preprocessing.mean) == 3:
        size = net.preprocessing.size
        shift = max(1, (size if isinstance(size, int) else min(size)) // 18)
        return fourier_steps(net, unit, layer=layer, shift=shift, rng=0)
    return class_model_steps(net, unit, GREY, layer=layer, rng=0)


def climbed(net, layer, unit):
    """Return (layer, unit), what is climbed for a unit: the filter or the weights behind it.

    Behind its ReLU and pooling, that is: many units are 0 for noise, all over their map, and have no gradient there. Low down,
    though, with less than two ReLUs on the way, the mean answer of a filter is largest for a plain colour; what is left of it by
    the next ReLU, or by pooling where there is none, likes a pattern.
    """
    below, channel = layer, unit
    while not isinstance(net.layer(below), (Conv2d, Linear, BatchNorm2d)):
        step, inputs = net.layers[below]
        if isinstance(step, Concat):
            counts = [channels_of(net, source) for source in inputs]
            branch = int(np.searchsorted(np.cumsum(counts), channel, side="right"))
            below, channel = inputs[branch], channel - sum(counts[:branch])
        elif (is_pointwise(step) or _is(step, *POOLS)) and inputs[0] != "data":
            below = inputs[0]
        else:
            return layer, unit
    rectified = [name for name in sources_of(net, below) if _is(net.layer(name), ops.relu)]
    if isinstance(net.layer(below), Linear) or len(rectified) >= 2:
        return below, channel
    above, readers = below, readers_of(net)
    while isinstance(net.layer(above), (Conv2d, BatchNorm2d)) and len(readers[above]) == 1:
        above = readers[above][0]
        if isinstance(net.layer(above), Conv2d):
            return below, channel
    return above, channel


def channels_of(net, layer):
    """Return how many channels a layer has, from the weights of the last convolution or matrix."""
    step, inputs = net.layers[layer]
    if isinstance(step, (Conv2d, Linear)):
        return step.parameters["weight"].shape[0]
    return sum(channels_of(net, source) for source in inputs) if isinstance(step, Concat) else channels_of(net, inputs[0])


def sources_of(net, layer):
    """Return the set of layers that a layer is computed from."""
    direct = set(net.layers[layer][1]) - {"data"}
    return direct.union(*(sources_of(net, source) for source in direct))


def _is(layer, *functions):
    return getattr(layer, "op", None) in functions
