"""The regions of many pictures that a unit likes best, drawn as in the paper, and how much of a region a unit really sees."""
import numpy as np

import minicnn
from minicnn.receptive_field import receptive_fields
from minicnn.visualize.patches import draw_box, effective_field, top_patches

from .common import Check, panels
from .tiles import SIDE, telling_units, tiles

TITLE = "Patches maximally activate a neuron"
FORMULA = r"""for a unit, the pictures in which it is strongest, each with the unit's receptive field there and its value
size: $\text{size}' = \text{size} + d \, (k - 1) \, \text{jump}$
jump: $\text{jump}' = \text{jump} \cdot s$
start: $\text{start}' = \text{start} + \left( \frac{d \, (k - 1)}{2} - p \right) \text{jump}$
a layer with kernel $k$, stride $s$, padding $p$ and dilation $d$; a pixel has size 1, jump 1 and start 0"""
LOOK_FOR = """Some units of one layer. Each answers to one kind of thing, whatever picture it is in: some to parts of faces, to
round things, to texture. The box is what the unit can see at most. The second figure shows how much it does see:
the sway of each pixel over a unit in the middle, by the gradient, on average over pictures. Deep in the network hardly
anything comes from the outer parts of the box. (Your own pictures: --images FOLDER.)"""
CODE = {"minicnn/receptive_field.py": "receptive_fields _through", "minicnn/visualize/patches.py":
        "top_patches_steps merge effective_field"}
TRY = """By hand: how large is the field of a unit after three convolutions 3 × 3 of stride 1? After one 7 × 7? Which has
fewer weights? Check with `receptive_fields`.

Which of the layers doubles the jump, and what happens to the growth of the size from there on?

A unit deep in the network can see nearly the whole picture, and hardly uses its outer parts. Why does the sway fall from
the middle outwards, as it does? Think of how many ways lead from a pixel to the unit.

Look for a unit that mixes two kinds of things. How would the lecture on multifaceted features tell them apart?"""
LAYER, SHOWN = "fire7/concat", 7
DEPTHS = ("pool1", "fire3/concat", "fire5/concat", "fire7/concat", "fire9/concat")


def compute(full, images=None):
    net, rng = minicnn.load("squeezenet1_1"), np.random.default_rng(0)
    pictures, sources = zip(*tiles(images))
    field = receptive_fields(net, SIDE)[LAYER]
    found = top_patches(net, LAYER, pictures, top=min(64, len(pictures)))
    rows = []
    for unit in telling_units(found, sources, min(SHOWN, len(pictures)), 12 if full else 6):
        row = []
        for k in range(min(SHOWN, len(pictures))):
            picture, place = pictures[found.picture[unit, k]], (found.row[unit, k], found.column[unit, k])
            box, value = field.box(*place), found.values[unit, k]
            row.append({"picture": picture, "box": box, "value": value, "unit": unit,
                        "change": _change(net, picture, box, (unit, *place), value, rng)})
        rows.append(row)
    some = np.concatenate([net.preprocess(p).data for p in pictures[:16 if full else 4]])
    effective = {}
    for layer in DEPTHS:
        heat = sum(effective_field(net, layer, some, channel) for channel in range(0, 64, 8))
        effective[layer] = heat / heat.sum()                # a channel that answers to none of them adds nothing
    return {"rows": rows, "effective": effective, "fields": receptive_fields(net, SIDE)}


def _change(net, picture, box, place, value, rng):
    """Return the change of the unit's value, as a part of it, when everything outside of the box becomes noise."""
    x = net.preprocess(picture).data
    top, left, bottom, right = box
    noise = rng.uniform(-100, 100, x.shape).astype(x.dtype)
    noise[:, :, top:bottom, left:right] = x[:, :, top:bottom, left:right]
    with minicnn.no_grad():
        return abs(float(net.activations(noise, upto=LAYER)[LAYER].data[0][place]) - value) / max(abs(value), 1e-30)


def draw(result):
    rows = result["rows"]
    figure, axes = panels(len(rows), len(rows[0]), width=1.75, height=1.8)
    for line, row in zip(axes, rows):
        line[0].set_ylabel(f"unit {row[0]['unit']}")
        for ax, shown in zip(line, row):
            ax.imshow(draw_box(shown["picture"], shown["box"], shown["value"]))
    return {"patches": figure, "fields": draw_fields(result)}


def draw_fields(result):
    """Draw the sway of each pixel over a unit in the middle, and the white box of all it can see, layer by layer."""
    figure, axes = panels(1, len(DEPTHS), width=2.5, height=2.9)
    for ax, layer in zip(axes.flat, DEPTHS):
        heat, (top, left, bottom, right) = result["effective"][layer], _middle_box(result["fields"][layer])
        ax.imshow(heat, cmap="inferno", vmax=np.percentile(heat[heat > 0], 99))
        ax.add_patch(_outline(left, top, bottom - top, right - left))
        ax.set_title(f"{layer}: {bottom - top}×{right - left}")
        ax.set_xlabel(f"90 % within {_share_side(heat, 0.9)} pixels", fontsize=9)
    return figure


def _middle_box(field):
    """Return the box of the unit in the middle of the map."""
    return field.box(len(field.rows.first) // 2, len(field.columns.first) // 2)


def _share_side(heat, share):
    """Return the side of the smallest square around the middle of the heat that holds this share of it."""
    row, column = (round(float((heat.sum(axis=1 - axis) * np.arange(heat.shape[axis])).sum())) for axis in (0, 1))
    for half in range(max(heat.shape)):
        if heat[max(0, row - half):row + half + 1, max(0, column - half):column + half + 1].sum() >= share:
            return 2 * half + 1


def _outline(left, top, height, width):
    from matplotlib.patches import Rectangle
    return Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor="white", linewidth=1.5)


def check(result):
    outside = []
    for layer in DEPTHS:
        top, left, bottom, right = _middle_box(result["fields"][layer])
        outside.append(1 - result["effective"][layer][top:bottom, left:right].sum())
    top, _, bottom, _ = _middle_box(result["fields"][DEPTHS[-2]])
    deep, shallow = (_share_side(result["effective"][layer], 0.9) for layer in (DEPTHS[-2], DEPTHS[0]))
    shown = [patch for row in result["rows"] for patch in row]
    return [Check("largest change of a unit's value when all outside of its box becomes noise, as a part of it",
                  max(patch["change"] for patch in shown), at_most=1e-4),
            Check("part of the sway that comes from outside of the box, most of the layers", float(max(outside)), at_most=1e-6),
            Check(f"side of the square with 90 % of the sway, {DEPTHS[-2]}, a part of the box's",
                  deep / (bottom - top),
                  at_least=0.1, at_most=0.8),
            Check("the same square's side in the deep layer / in the first", deep / shallow, at_least=3)]
