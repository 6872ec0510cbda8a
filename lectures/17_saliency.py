"""Saliency maps: which pixels sway the score of the class."""
import numpy as np

import minicnn
from minicnn.images import gaussian_blur
from minicnn.visualize.saliency import saliency_map

from .common import IMAGES, Check, panels, predict_class, short

TITLE = "Finding salient map of an object"
FORMULA = "w = ∂S_c / ∂x,   M(i, j) = max over the channels of |w(c, i, j)|,   S_c the score before the softmax"
LOOK_FOR = """One backward pass, no box and no mask ever seen in training: and still the bright pixels gather on the object.
Smoothed a little, the map is good enough to start a segmentation (the next slides hand it to GrabCut)."""
# what a person would point at: top, left, bottom, right in the 224x224 crop
PHOTOGRAPHS = {"chelsea.jpg": (45, 30, 224, 224), "coffee.jpg": (20, 40, 140, 185), "grace_hopper.jpg": (110, 70, 215, 165),
               "camera.jpg": (15, 10, 224, 175)}


def compute(full):
    net = minicnn.load("squeezenet1_1")
    results = []
    for name, box in PHOTOGRAPHS.items():
        x = net.preprocess(IMAGES / name)
        winner = predict_class(net, x)
        results.append({"picture": net.deprocess(x), "map": saliency_map(net, x, winner), "box": box,
                        "class": short(net.classes[winner])})
    return {"photographs": results}


def draw(result):
    figure, axes = panels(3, len(result["photographs"]), width=2.9, height=3.0)
    for column, shown in zip(axes.T, result["photographs"]):
        column[0].imshow(shown["picture"])
        column[0].set_title(f"“{shown['class']}”")
        column[1].imshow(shown["map"], cmap="gray", vmax=np.percentile(shown["map"], 99.5))
        column[2].imshow(shown["picture"].mean(axis=2), cmap="gray")
        smooth = gaussian_blur(shown["map"], 5)
        column[2].imshow(smooth, cmap="inferno", alpha=0.65, vmax=np.percentile(smooth, 99.5))
    axes[1, 0].set_ylabel("saliency map")
    axes[2, 0].set_ylabel("smoothed, over the picture")
    return {"saliency": figure}


def check(result):
    ratios, peaks = [], []
    for shown in result["photographs"]:
        top, left, bottom, right = shown["box"]
        inside = np.zeros(shown["map"].shape, bool)
        inside[top:bottom, left:right] = True
        ratios.append(shown["map"][inside].mean() / shown["map"][~inside].mean())
        smooth = gaussian_blur(shown["map"], 5)
        peaks.append(inside[np.unravel_index(smooth.argmax(), smooth.shape)])
    return [Check("photographs whose most salient spot lies on the object", sum(peaks), at_least=len(peaks)),
            Check("mean saliency on the object / elsewhere, least of the photographs", min(ratios), at_least=1.2)]
