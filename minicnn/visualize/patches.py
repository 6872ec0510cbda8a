"""Patches that activate a unit most. Slide "Patches maximally activate a neuron" (Girshick et al. 2014, figure 4).

    run every picture through the network; for each unit remember the N pictures, and the place in each, where it was strongest

A unit here is a channel of a layer. Of each picture only the best place counts, else one picture would fill the row. The patch is
the unit's receptive field there, cut off at the border of the picture; a white box and the value are drawn on it.

Pictures are streamed: in memory are one batch and, for each unit, its N best so far. Results of two halves of a collection are
merged into the result of the whole, so that many machines can share it (collection.py).
"""
import itertools
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import tape
from ..checks import number, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last
from ..receptive_field import ReceptiveField
from ..tensor import Tensor
from .checks import finite, network, pictures_of


@dataclass(frozen=True)
class TopPatches:
    """The N strongest answers of each of the K channels of a layer, best first; -1 and -inf where there are fewer pictures.

    values, picture (which one, counted from 0), row, column (the place on the layer's map): (K, N) each. count: pictures seen.
    """
    values: np.ndarray
    picture: np.ndarray
    row: np.ndarray
    column: np.ndarray
    count: int


def strongest(activation, top, numbers):
    """Return the TopPatches of a batch: activation (B, K, h, w) or (B, K) of the pictures of these numbers (B,)."""
    if activation.ndim not in (2, 4):
        raise ShapeError(f"top_patches: the layer has shape {activation.shape}, expected maps (B, K, h, w) or scores (B, K)")
    B, K = activation.shape[:2]
    width = activation.shape[3] if activation.ndim == 4 else 1
    places = activation.reshape(B, K, -1)
    best = places.argmax(axis=2)                                                        # (B, K), the first of equals
    values = np.take_along_axis(places, best[:, :, None], axis=2)[:, :, 0]
    picture = np.broadcast_to(np.asarray(numbers)[:, None], (B, K))
    return _best(TopPatches(*(np.ascontiguousarray(a.T) for a in (values, picture, best // width, best % width)), B), top)


def averaged(activation):
    """Return the codes (B, D) of a batch: maps (B, K, h, w) are averaged over their places, scores (B, K) stay."""
    return activation.mean(axis=(2, 3)) if activation.ndim == 4 else activation


def merge(a, b):
    """Return the TopPatches of both sets of pictures; of equal values the earlier picture comes first, in whatever order."""
    parts = [np.concatenate(pair, axis=1) for pair in zip(*((t.values, t.picture, t.row, t.column) for t in (a, b)))]
    return _best(TopPatches(*parts, a.count + b.count), max(a.values.shape[1], b.values.shape[1]))


def _best(found, top):
    """Keep the `top` strongest of each row, in order; filled up with pictures that do not exist."""
    order = np.lexsort((found.picture, -found.values), axis=1)[:, :top]
    parts = [np.take_along_axis(a, order, axis=1) for a in (found.values, found.picture, found.row, found.column)]
    room = top - order.shape[1]
    filled = [np.pad(a, ((0, 0), (0, room)), constant_values=value) for a, value in zip(parts, (-np.inf, -1, -1, -1))]
    return TopPatches(*filled, found.count)


def in_batches(net, pictures, size):
    """Yield (number of the first, inputs (B, C, H, W)) for anything that net.preprocess takes, `size` pictures at a time."""
    size, numbered = whole_number("pictures", "batch", size, 1), enumerate(pictures_of("pictures", pictures))
    while batch := list(itertools.islice(numbered, size)):
        yield batch[0][0], np.concatenate([net.preprocess(picture).data for _, picture in batch])


def top_patches_steps(net, layer, pictures, *, top=9, batch=16):
    """Yield the TopPatches of the pictures so far after every batch; `pictures`: what net.preprocess takes, one by one."""
    network("top_patches", net, layer)
    top, found = whole_number("top_patches", "top", top, 1), None
    for first, x in in_batches(net, pictures, batch):
        with tape.no_grad():
            new = strongest(net.activations(x, upto=layer)[layer].data, top, np.arange(first, first + len(x)))
        found = new if found is None else merge(found, new)
        yield found
    if found is None:
        raise SettingError("top_patches: pictures is empty, expected at least one")


def top_patches(net, layer, pictures, **settings):
    """Return the TopPatches of all the pictures; settings as in `top_patches_steps`."""
    return last(top_patches_steps(net, layer, pictures, **settings))


def cut_patch(picture, field, row, column):
    """Return (crop, box) of the unit at row, column: the pixels of `picture` (H, W, 3) that it sees, and where they lie.

    field: the layer's ReceptiveField for pictures of that size.
    """
    if not isinstance(field, ReceptiveField):
        raise SettingError(f"cut_patch: field is a {type(field).__name__}, expected a layer's: receptive_fields(net)[layer]")
    picture, (top, left, bottom, right) = np.asarray(picture), field.box(row, column)
    if np.ndim(picture) != 3 or np.shape(picture)[:2] != field.picture:
        raise ShapeError(f"cut_patch: the picture has shape {np.shape(picture)}, the field is for pictures of "
                         f"{field.picture}; give receptive_fields(net, size) the picture's size")
    return picture[top:bottom, left:right], (top, left, bottom, right)


def draw_box(picture, box, value=None):
    """Return a copy of a picture (H, W, 3) uint8 with a white box (top, left, bottom, right) and a value in its corner."""
    picture = np.asarray(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not _is_box(box, picture.shape):
        raise ShapeError(f"draw_box: the picture is {picture.dtype} {picture.shape} and the box {box!r}, expected (H, W, 3) "
                         "uint8 and (top, left, bottom, right) within it")
    drawing = Image.fromarray(picture.copy())
    draw, (top, left, bottom, right) = ImageDraw.Draw(drawing), box
    draw.rectangle((left, top, right - 1, bottom - 1), outline="white", width=max(1, picture.shape[0] // 100))
    if value is not None:
        value = number("draw_box", "value", value)
        draw.text((left + 3, top + 1), f"{value:.1f}", fill="white", font=ImageFont.load_default(max(10, picture.shape[0] // 10)),
                  stroke_width=1, stroke_fill="black")
    return np.array(drawing)


def _is_box(box, shape):
    whole = np.shape(box) == (4,) and all(isinstance(n, Integral) for n in box)
    return whole and 0 <= box[0] < box[2] <= shape[0] and 0 <= box[1] < box[3] <= shape[1]


def effective_field(net, layer, xs, channel):
    """Return how much each pixel sways a unit in the middle of `layer`, (H, W) with sum 1: |d unit / d x|, the mean over inputs.

    xs: network inputs (N, C, H, W). All 0 for a unit that none of them sways. Most of a theoretical field counts for little:
    towards its border there are fewer and fewer ways from a pixel to the unit. Source: W. Luo et al., NeurIPS 2016.
    """
    network("effective_field", net, layer)
    x = Tensor(finite("effective_field", "xs", xs).astype(net.dtype, copy=False), requires_grad=True)
    activation = net.activations(x, upto=layer)[layer]
    if activation.ndim != 4 or activation.data.size == 0:
        raise ShapeError(f"effective_field: layer {layer!r} has shape {activation.shape}, expected maps (N, K, h, w)")
    whole_number("effective_field", f"channel of layer {layer!r}", channel, 0, activation.shape[1] - 1)
    seed = np.zeros(activation.shape, activation.dtype)
    seed[:, channel, activation.shape[2] // 2, activation.shape[3] // 2] = 1
    activation.backward(seed)
    sway = np.abs(x.grad).sum(axis=(0, 1), dtype=np.float64)
    return sway / max(sway.sum(), 1e-300)
