"""What a neuron responds to, in many pictures: its top crops beside what is projected back from it."""
import numpy as np

import minicnn
from minicnn.images import gaussian_blur
from minicnn.receptive_field import receptive_fields
from minicnn.visualize.backprop import as_picture, backproject, unit_seed
from minicnn.visualize.patches import cut_patch, top_patches

from .common import Check, panels
from .tiles import SIDE, telling_units, tiles

TITLE = "Deconv net: visualizing arbitrary neurons along the way to the top"
FORMULA = r"""top crops: $\underset{x, \, i, \, j}{\operatorname{argmax}} \; A_k(x)_{ij}$ over many pictures $x$, one place
    in each; the
    value there is sent back
deconvnet: $R_i^l = (R_i^{l+1} > 0) \cdot R_i^{l+1}$
guided backpropagation: $R_i^l = (f_i^l > 0) \cdot (R_i^{l+1} > 0) \cdot R_i^{l+1}$"""
LOOK_FOR = """Each row is one channel: on the right the crops that it likes best, on the left what it saw in them. The crops
differ in everything that the channel does not care for; the projections show what they have in common: a stripe in one
direction, a corner, a round thing, a texture. Higher up (second figure) the crops are larger and differ more, and still the
projections of a row agree. (Your own pictures: --images FOLDER; the more there are, the purer are the rows.)"""
CODE = {"minicnn/visualize/patches.py": "strongest merge cut_patch", "minicnn/visualize/backprop.py": "unit_seed backproject",
        "minicnn/ops/relu.py": "relu_deconvnet_ref relu_guided_ref"}
TRY = """Cover the crops with your hand and guess from the projections alone what they show. In which rows do you succeed?

Choose a channel of your own: replace `telling_units(...)` in `compute` by `[3, 17, 40, 99]`. Are all channels about one
thing?

Zeiler and Fergus send back the neuron's own value, the slide a 1. Does the picture change, except in strength?
(`unit_seed`)

Run it on a folder of your photographs, `python -m lectures top_crops --images FOLDER`: does a channel that liked stripes
here like stripes there?"""
LAYERS = ("fire5/concat", "fire7/concat")
SHOWN, SMOOTH = 6, 0.8           # crops in a row; pixels by which projections are blurred, that grain does not hide form


def compute(full, images=None):
    net, rows = minicnn.load("squeezenet1_1"), {}
    pictures, sources = zip(*tiles(images))
    fields = receptive_fields(net, SIDE)
    for layer in LAYERS:
        found = top_patches(net, layer, pictures, top=min(64, len(pictures)))
        shown = min(SHOWN, len(pictures))
        rows[layer] = [[one_crop(net, layer, fields[layer], pictures, found, unit, k) for k in range(shown)]
                       for unit in telling_units(found, sources, shown, 8 if full else 4)]
    return {"rows": rows, "order": net.preprocessing.channel_order, "own": images is not None}


def one_crop(net, layer, field, pictures, found, unit, k):
    """Return the channel's k-th best crop and its projections, and how much of each falls outside of the crop."""
    picture, row, column = pictures[found.picture[unit, k]], found.row[unit, k], found.column[unit, k]
    crop, (top, left, bottom, right) = cut_patch(picture, field, row, column)
    result = {"unit": unit, "value": found.values[unit, k], "crop": crop}
    for rule in ("deconvnet", "guided"):
        def seed(activation):
            return unit_seed(activation, (unit, row, column), "activation")
        signal = backproject(net, net.preprocess(picture), layer, seed, rule)
        if rule == "guided":
            result["rise"] = _rises(net, layer, net.preprocess(picture), signal, (unit, row, column), slice(left, right))
            with minicnn.no_grad():
                again = net.activations(net.preprocess(picture), upto=layer)[layer].data[0, unit]
            result["wrong"] = max(abs(float(again[row, column] - result["value"])), float(again.max() - result["value"]))
        result[rule] = signal[:, top:bottom, left:right].copy()
        signal[:, top:bottom, left:right] = 0
        outside = float(np.abs(signal).max() / max(np.abs(result[rule]).max(), 1e-30))
        result["outside"] = max(result.get("outside", 0.0), outside)
    return result


def _rises(net, layer, x, signal, place, columns):
    """Return what the unit at `place` gains by a mean step of 0.1 grey levels along the signal, and with its columns mirrored."""
    def value(data):
        with minicnn.no_grad():
            return float(net.activations(data, upto=layer)[layer].data[0][place])
    step = 0.1 * signal / max(np.abs(signal).mean(), 1e-30)
    mirrored = step.copy()
    mirrored[:, :, columns] = step[:, :, columns][:, :, ::-1]
    return [value(x.data + way) - value(x.data) for way in (step, mirrored)]


def draw(result):
    return {f"{rule}_{layer.split('/')[0]}": draw_rows(result, layer, rule)
            for rule, layer in (("deconvnet", LAYERS[0]), ("guided", LAYERS[1]))}


def draw_rows(result, layer, rule):
    """Draw the rows of a layer: projections on the left, crops on the right, as in the papers."""
    rows = result["rows"][layer]
    shown = len(rows[0])
    figure, axes = panels(len(rows), 2 * shown + 1, width=1.05, height=1.12, width_ratios=[1] * shown + [0.15] + [1] * shown)
    for line, crops in zip(axes, rows):
        line[0].set_ylabel(f"channel {crops[0]['unit']}", fontsize=8)
        for k, crop in enumerate(crops):
            signal = crop[rule] if rule == "guided" else np.broadcast_to(crop[rule].mean(axis=0), crop[rule].shape)
            line[k].imshow(as_picture(gaussian_blur(signal, SMOOTH), result["order"]))
            line[shown + 1 + k].imshow(crop["crop"])
            line[shown + 1 + k].set_xlabel(f"{crop['value']:.0f}", fontsize=7, labelpad=1)
        line[shown].set_visible(False)
    axes[0, shown // 2].set_title(f"{layer}: {rule}" + (" backprop" if rule == "guided" else ""), fontsize=10)
    axes[0, shown + 1 + shown // 2].set_title("corresponding image crops", fontsize=10)
    return figure


def check(result):
    crops = [crop for rows in result["rows"].values() for row in rows for crop in row]
    checks = [Check("strongest pixel of a projection outside of its crop / inside", max(crop["outside"] for crop in crops),
                    at_most=1e-5),
              Check("largest difference of a value from that of a pass of its picture alone, and from the largest of its map",
                    max(crop["wrong"] / max(abs(crop["value"]), 1e-30) for crop in crops), at_most=1e-4),
              Check("part of the crops whose value gains more along the guided projection than along its mirror",
                    float(np.mean([own > other for own, other in (crop["rise"] for crop in crops)])), at_least=0.75)]
    return checks[:2] if result["own"] else checks          # with few pictures of other things the last need not hold
