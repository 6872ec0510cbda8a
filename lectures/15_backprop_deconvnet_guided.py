"""Backprop, deconvnet and guided backprop of the same neurons, side by side."""
import numpy as np

import minicnn
from minicnn.images import gaussian_blur
from minicnn.visualize.backprop import as_picture, backproject, class_seed, strongest_unit, unit_seed

from .common import IMAGES, Check, panels, short

TITLE = "Guided backprop"
FORMULA = r"""activation: $f_i^{l+1} = \operatorname{relu}(f_i^l) = \max(f_i^l, 0)$
backpropagation: $R_i^l = (f_i^l > 0) \cdot R_i^{l+1}, \qquad$ where
    $R_i^{l+1} = \frac{\partial f^\text{out}}{\partial f_i^{l+1}}$
backward 'deconvnet': $R_i^l = (R_i^{l+1} > 0) \cdot R_i^{l+1}$
guided backpropagation: $R_i^l = (f_i^l > 0) \cdot (R_i^{l+1} > 0) \cdot R_i^{l+1}$"""
LOOK_FOR = """Plain backprop is a noisy cloud around the object. The deconvnet is cleaner but smears over the picture. Guided
backprop, with both masks, draws the edges that the neuron responds to, sharp enough to recognise the animal. Low in the network
(first row, much enlarged: the neuron sees 47x47 pixels) the two hardly differ; the higher the layer, the more they do."""
CODE = {"minicnn/ops/relu.py": "relu_backprop_ref relu_deconvnet_ref relu_guided_ref Relu",
        "minicnn/visualize/backprop.py": "unit_seed backproject", "minicnn/visualize/deconvnet.py": "deconvnet _down"}
TRY = """Of the three rules only one gives the derivative of something. Of what? And what do the two others give?

Take away the first mask, then the second, in `relu_guided_ref` (run with `MINICNN_BACKEND=ref`, a small layer first): which
of the other two rules do you have now?

Seed another class than the winner's, say a dog's, in `compute`. Whose edges does guided backprop draw then, and what does
that say about it? (The lecture "which map can be believed?" goes on from there.)

Why does the deconvnet need the switches of max pooling, and plain backprop seems to do without?"""
PHOTOGRAPH = "chelsea.jpg"
RULES = ("backprop", "deconvnet", "guided")
LAYERS = ("fire4/concat", "fire9/concat", "conv10")


def compute(full):
    net = minicnn.load("squeezenet1_1")
    x = net.preprocess(IMAGES / PHOTOGRAPH)
    with minicnn.no_grad():
        activations = net.activations(x)
    winner = int(activations["pool10"].data[0].argmax())
    signals, units = {}, {}
    for layer in LAYERS:
        units[layer] = winner if layer == net.class_layer else strongest_unit(activations[layer])
        seed = class_seed(activations[layer], winner) if layer == net.class_layer else unit_seed(activations[layer], units[layer])
        for rule in RULES:
            signals[layer, rule] = backproject(net, x, layer, seed, rule)
    return {"photograph": net.deprocess(x), "signals": signals, "units": units, "order": net.preprocessing.channel_order,
            "class": short(net.classes[winner]), "slope": _slope(net, x, signals["conv10", "backprop"], winner)}


def _slope(net, x, gradient, winner):
    """Return the score's rise along the gradient by a small step of the picture / the rise that the gradient foretells."""
    step = 1e-2 * gradient / np.abs(gradient).max()

    def score(data):
        with minicnn.no_grad():
            return float(net.activations(data.astype(np.float64), upto="conv10")["conv10"].data[0, winner].mean(dtype=np.float64))

    net = net.astype(np.float64)        # in double precision: the differences are tiny
    return (score(x.data + step[None]) - score(x.data - step[None])) / (2 * float((gradient * step).sum(dtype=np.float64)))


def draw(result):
    figure, axes = panels(len(LAYERS), 4, width=3.0, height=3.15)
    for row, layer in zip(axes, LAYERS):
        view = _seen(result["signals"][layer, "guided"])
        unit = result["units"][layer]
        what = f"class “{result['class']}”" if layer == "conv10" else f"channel {unit[0]}, and what it sees"
        row[0].imshow(result["photograph"][view])
        row[0].set_title(f"{layer}: {what}", fontsize=9.5)
        for ax, rule in zip(row[1:], RULES):
            signal = result["signals"][layer, rule][:, view[0], view[1]]
            ax.imshow(as_picture(signal, result["order"]))
            ax.set_title({"backprop": "backprop", "deconvnet": "deconvnet", "guided": "guided backprop"}[rule], fontsize=9.5)
    return {"backprop_deconvnet_guided": figure}


def _seen(signal):
    """Return the two slices of the picture that the neuron's signal reaches: its receptive field."""
    reached = np.abs(signal).max(axis=0) > 0
    rows, columns = np.flatnonzero(reached.any(axis=1)), np.flatnonzero(reached.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def check(result):
    grey = gaussian_blur(result["photograph"].mean(axis=2), 1)
    edges = np.hypot(*np.gradient(grey))

    def likeness(rule):
        strength = gaussian_blur(np.abs(result["signals"]["conv10", rule]).sum(axis=0), 1)
        return float(np.corrcoef(strength.ravel(), edges.ravel())[0, 1])

    guided = likeness("guided")
    return [Check("the score's measured slope along the gradient / the gradient's own", result["slope"], 0.99, 1.01),
            Check("deconvnet: correlation of its strength with the picture's edges, below guided backprop's",
                  likeness("deconvnet"), at_least=0.12, at_most=guided - 0.1),
            Check("guided backprop: the same correlation", guided, at_least=0.25),
            Check("the same, above plain backprop's", guided - likeness("backprop"), at_least=0.15)]
