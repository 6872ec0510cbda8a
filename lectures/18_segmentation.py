"""From the saliency map to the object: seeds by quantiles, then GrabCut."""
import numpy as np

import minicnn
from minicnn.loop import take
from minicnn.visualize.grabcut import cut_out, grabcut_steps
from minicnn.visualize.saliency import saliency_map, seeds_of

from .common import IMAGES, panels, predict_class, short

TITLE = "Finding salient map of an object: use grabcut for segmentation"
FORMULA = """seeds: object where M > its 95 % quantile, background where M < its 30 % quantile, unknown between
E = Σ_n D(a_n, z_n) + γ Σ_(m,n neighbours) [a_m ≠ a_n] exp(-β ‖z_m - z_n‖²) / distance;   repeat: fit the colours D, cut"""
LOOK_FOR = """Nobody said where the object is: the few sure pixels (second row, red: object, blue: background) come from one backward
pass. GrabCut fits the colours of both sides and cuts where it is cheapest, along edges. What the network looks at is what is cut
out: of the officer the uniform with its tie, for that is the class; of the cup the coffee."""
PHOTOGRAPHS = ("camera.jpg", "grace_hopper.jpg", "coffee.jpg", "chelsea.jpg")


def compute(full):
    net, results = minicnn.load("squeezenet1_1"), []
    for name in PHOTOGRAPHS:
        x = net.preprocess(IMAGES / name)
        winner, picture = predict_class(net, x), net.deprocess(x)
        seeds = seeds_of(saliency_map(net, x, winner))
        states = list(take(8 if full else 6, grabcut_steps(picture, seeds)))
        results.append({"picture": picture, "seeds": seeds, "mask": states[-1].mask, "class": short(net.classes[winner]),
                        "energies": [state.energy for state in states]})
    return {"photographs": results}


def draw(result):
    figure, axes = panels(3, len(result["photographs"]), width=2.9, height=3.0)
    for column, shown in zip(axes.T, result["photographs"]):
        column[0].imshow(shown["picture"])
        column[0].set_title(f"“{shown['class']}”")
        tint = np.array([[70, 90, 200], [220, 60, 40], [255, 255, 255]])[shown["seeds"]]
        column[1].imshow((shown["picture"].mean(axis=2, keepdims=True) * 0.45 + tint * 0.55).astype(np.uint8))
        column[2].imshow(cut_out(shown["picture"], shown["mask"]))
    axes[1, 0].set_ylabel("seeds")
    axes[2, 0].set_ylabel("cut out")
    return {"segmentation": figure}
