"""Any photograph becomes an ostrich: box-constrained L-BFGS on the picture, as little as it takes."""
import numpy as np

import minicnn
from minicnn.fool.adversarial import lbfgs_attack
from minicnn.fool.pixels import as_pictures, pixels_of, probabilities

from .common import IMAGES, Check, panels, short

TITLE = "Can we use this to “fool” ConvNets? Intriguing properties of neural networks"
FORMULA = r"""$\underset{r}{\operatorname{argmin}} \; c \, \lVert r \rVert^2 + J(p + r, \text{ostrich}), \qquad 0 \le p + r
    \le 1, \qquad
    J$: cross-entropy with the class "ostrich"
$c$: the largest with which the network still says ostrich, found by trying
distortion: $\sqrt{\frac{1}{n} \sum_i r_i^2}, \qquad$ pixels from 0 to 1"""
LOOK_FOR = """Left the photographs, with what SqueezeNet says about them; right what it says about the same with a little added,
saved as 8-bit PNG files: ostriches, all of them. In the middle what was added, ten times as strong about grey: one or two of 255
grey levels, on average, and nothing that looks like an ostrich. It is the network's own gradient that knows the way."""
CODE = {"minicnn/fool/adversarial.py": "lbfgs_attack_steps _objective distortion"}
TRY = """What does the network say about the changed picture after a blur, a JPEG file, a photograph of the screen?

Make a photograph into a class that is near, another cat, and one that is far, an ostrich. Which takes the larger
distortion?

Does an ostrich for SqueezeNet fool another network? (The last lecture has the numbers for digits.)

Why is it the largest c that is looked for, and not the smallest?"""
OSTRICH = 9
PHOTOGRAPHS = ("chelsea.jpg", "coffee.jpg", "rocket.jpg", "astronaut.jpg")


def compute(full):
    net, fooled = minicnn.load("squeezenet1_1"), []
    for name in PHOTOGRAPHS[:None if full else 2]:
        pixels = pixels_of(net, IMAGES / name)
        before = probabilities(net, pixels)[0]
        found = lbfgs_attack(net, pixels, OSTRICH, searches=10 if full else 4, inner=40 if full else 15, confidence=0.9)
        fooled.append({"photograph": as_pictures(pixels)[0], "class": short(net.classes[before.argmax()]),
                       "before": float(before.max()), "ostrich before": float(before[OSTRICH]), "picture": found.image,
                       "confidence": found.probability, "fools": found.fools, "distortion": found.distortion,
                       "added": (found.pixels - pixels)[0]})
    return {"fooled": fooled}


def draw(result):
    fooled = result["fooled"]
    figure, axes = panels(len(fooled), 3, width=3.3, height=3.5)
    for row, one in zip(axes, fooled):
        row[0].imshow(one["photograph"])
        row[0].set_title(f"{one['class']}: {one['before']:.0%}")
        row[1].imshow((0.5 + 10 * one["added"]).clip(0, 1).transpose(1, 2, 0))
        row[1].set_title(f"added, times 10 (distortion {one['distortion']:.4f})", fontsize=10)
        row[2].imshow(one["picture"])
        row[2].set_title(f"ostrich: {one['confidence']:.0%}")
    return {"ostrich": figure}


def check(result):
    fooled = result["fooled"]
    return [Check("part of the photographs that are ostriches now, as PNG files", float(np.mean([f["fools"] for f in fooled])),
                  at_least=1),
            Check("probability of the ostrich before, largest", max(f["ostrich before"] for f in fooled), at_most=0.01),
            Check("... and after, smallest", min(f["confidence"] for f in fooled), at_least=0.9),
            Check("distortion √(Σ r² / n), largest", max(f["distortion"] for f in fooled), at_most=0.02)]
