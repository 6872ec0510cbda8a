"""Saliency maps: which pixels sway the score of the class."""
import numpy as np

import minicnn
from minicnn.images import gaussian_blur
from minicnn.visualize.backprop import backproject, class_seed
from minicnn.visualize.saliency import saliency_map

from .common import IMAGES, Check, panels, predict_class, short

TITLE = "Finding salient map of an object"
FORMULA = r"""$w = \frac{\partial S_c}{\partial x}, \qquad M_{ij} = \underset{k}{\max} \, |w_{kij}|$ over the three colours $k$
$S_c$: the score of the class before the softmax"""
LOOK_FOR = """One backward pass, no box and no mask ever seen in training: and still the bright pixels gather on the object. (The
faint grid comes from the strides of convolution and pooling: some pixels take part in more windows than others.) Smoothed a
little, the map is good enough to start a segmentation, for which the lecture then uses GrabCut."""
CODE = {"minicnn/visualize/saliency.py": "saliency_map", "minicnn/visualize/backprop.py": "class_seed backproject"}
TRY = """Ask for a class that is not in the photograph. Is there a salient object for it?

Take the gradient of the probability instead of the score. When the network is 99.9 % sure, how large is it?

Replace the maximum over the colours by the sum, or by the norm. Can you see the difference?

Shift the photograph by one pixel before it goes in. Does the faint grid move with it?"""
# the part that a person would point at: top, left, bottom, right in the 224x224 crop
PHOTOGRAPHS = {"chelsea.jpg": (130, 95, 215, 200),          # the cat's nose and mouth
               "coffee.jpg": (55, 45, 120, 170),            # the coffee in the cup
               "grace_hopper.jpg": (125, 85, 175, 150),     # the tie
               "camera.jpg": (15, 10, 224, 150)}            # the man, the camera, the tripod


def compute(full):
    net = minicnn.load("squeezenet1_1")
    results = []
    for name, box in PHOTOGRAPHS.items():
        x = net.preprocess(IMAGES / name)
        winner = predict_class(net, x)
        saliency = saliency_map(net, x, winner)
        results.append({"picture": net.deprocess(x), "map": saliency, "smooth": gaussian_blur(saliency, 5), "box": box,
                        "class": short(net.classes[winner]), "sway": _sway(net, x, winner, saliency)})
    return {"photographs": results}


def _sway(net, x, winner, saliency):
    """Return how much more the score moves when the 5 % most salient pixels are nudged than for as many others.

    A nudge is one grey level up or down in each channel, whichever way the score rises; measured by forward passes.
    """
    way = np.sign(backproject(net, x, net.class_layer, lambda a: class_seed(a, winner)))
    salient = saliency > np.percentile(saliency, 95)
    others = np.random.default_rng(0).permutation(salient.ravel()).reshape(salient.shape)

    def rise(mask):
        with minicnn.no_grad():
            scores = [net.activations(x.data + sign * way * mask, upto=net.class_layer)[net.class_layer].data[0, winner].mean()
                      for sign in (1, -1)]
        return float(scores[0] - scores[1])

    return rise(salient) / rise(others)


def draw(result):
    figure, axes = panels(3, len(result["photographs"]), width=2.9, height=3.0)
    for column, shown in zip(axes.T, result["photographs"]):
        column[0].imshow(shown["picture"])
        column[0].set_title(f"“{shown['class']}”")
        column[1].imshow(shown["map"], cmap="gray", vmax=np.percentile(shown["map"], 99.5))
        column[2].imshow(shown["picture"].mean(axis=2), cmap="gray")
        column[2].imshow(shown["smooth"], cmap="inferno", alpha=0.65, vmax=np.percentile(shown["smooth"], 99.5))
    axes[1, 0].set_ylabel("saliency map")
    axes[2, 0].set_ylabel("smoothed, over the picture")
    return {"saliency": figure}


def check(result):
    peaks = 0
    for shown in result["photographs"]:
        top, left, bottom, right = shown["box"]
        row, column = np.unravel_index(shown["smooth"].argmax(), shown["smooth"].shape)
        peaks += top <= row < bottom and left <= column < right
    shown = result["photographs"]
    return [Check("photographs whose most salient spot lies where a person would point", peaks, at_least=len(shown)),
            Check("the score's rise when salient pixels are nudged / when as many others are, least of the photographs",
                  min(s["sway"] for s in shown), at_least=2.5)]
