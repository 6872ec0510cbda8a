"""What came after: the same ascent in other coordinates, waves instead of pixels, and a picture that is moved at every step."""
import numpy as np

import minicnn
from minicnn.visualize.filters import roughness
from minicnn.visualize.fourier import fourier

from .common import Check, panels, probability

TITLE = "After the lecture: feature visualization"
FORMULA = r"""$x = \operatorname{sigmoid}\left( \tfrac{1}{4} \, M \, \mathcal{F}^{-1}(\text{scale} \cdot z) \right), \qquad
    \text{scale}(f) = \frac{\sqrt{H W}}{\max(f, \, 1 / \max(H, W))}, \qquad M$: how colours mix in photographs
$\underset{z}{\operatorname{argmax}} \; \mathbb{E}_\tau \left[ S_c(\tau(x)) \right], \qquad \tau$: the picture moved, turned and
    scaled at random; by Adam"""
LOOK_FOR = """The same network and objective as in the class models. Only the coordinates are others, in which coarse is as easily
changed as fine, and colours mix as in photographs. And what is painted must please the network wherever it lies: that leaves no
room for the grain that pleases it only here. No blur, no decay, no norm; and now a person knows what it is. First row: the same
without moving the picture."""
CODE = {"minicnn/visualize/fourier.py": "frequency_scale to_picture to_picture_backward transformation fourier_steps"}
TRY = """Leave the scale out, `frequency_scale` all ones. Which waves does the ascent now prefer, and what do you see?

Move, but do not turn or zoom: `fourier(..., zoom=0, turn=0)`. Which of the three does most against the grain?

Adam moves every number of z about as far. Why does it matter then whether z are pixels or waves, although one is a linear
function of the other?

Find the class whose picture you would not recognise, and the one that looks better than in the class models."""
CLASSES = {"flamingo": 130, "hot-air balloon": 417, "goldfish": 1, "lemon": 951, "pelican": 144, "billiard table": 736,
           "black swan": 100, "ground beetle": 302}


def compute(full):
    net, rows = minicnn.load("squeezenet1_1"), {}
    for title, moves in (("kept still", {"shift": 0, "zoom": 0, "turn": 0}), ("moved", {})):
        for name in list(CLASSES)[:None if full else 3]:
            picture = fourier(net, CLASSES[name], 256 if full else 90, size=160 if full else 128, **moves)
            rows[title, name] = {"picture": picture, "roughness": float(roughness(picture.transpose(2, 0, 1)[None])[0]),
                                 "probability": probability(net, net.preprocess(picture, whole=True), CLASSES[name])}
    return {"rows": rows}


def draw(result):
    titles, names = (list(dict.fromkeys(key[i] for key in result["rows"])) for i in (0, 1))
    figure, axes = panels(len(titles), len(names), width=2.6, height=2.8)
    for row, title in zip(axes, titles):
        row[0].set_ylabel(title, fontsize=13)
        for ax, name in zip(row, names):
            ax.imshow(result["rows"][title, name]["picture"])
            ax.set_title(f"{name}: p = {result['rows'][title, name]['probability']:.2f}", fontsize=10)
    return {"fourier": figure}


def check(result):
    moved = [shown for (title, _), shown in result["rows"].items() if title == "moved"]
    still = [shown for (title, _), shown in result["rows"].items() if title == "kept still"]
    rough = [float(np.mean([shown["roughness"] for shown in some])) for some in (moved, still)]
    return [Check("probability of its class, least of the moved pictures", min(s["probability"] for s in moved), at_least=0.9),
            Check("roughness, moved / kept still", rough[0] / rough[1], at_most=0.9)]
