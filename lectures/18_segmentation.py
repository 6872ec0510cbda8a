"""From the saliency map to the object: seeds by quantiles, then GrabCut."""
import itertools

import numpy as np

import minicnn
from minicnn.loop import take
from minicnn.visualize.grabcut import cut_out, grabcut_steps
from minicnn.visualize.saliency import saliency_map, seeds_of

from .common import IMAGES, Check, panels, predict_class, short
from .composites import GROUNDS, composites

TITLE = "Finding salient map of an object: use grabcut for segmentation"
FORMULA = r"""seeds: object where $M$ is above its 95 % quantile, background where it is below its 30 % quantile, unknown
    between
energy: $E(a) = \sum_n D(a_n, z_n) + \gamma \sum_{m, n \text{ neighbours}} [a_m \ne a_n] \,
    \frac{\exp(-\beta \, \lVert z_m - z_n \rVert^2)}{\text{distance}(m, n)}$
colours: $D(a, z) = \underset{k}{\min} \, \left( -\log\, \pi_k + \tfrac{1}{2} \, \log\, \det\, \Sigma_k
    + \tfrac{1}{2} \, (z - \mu_k)^\top \, \Sigma_k^{-1} \, (z - \mu_k) \right)$, $\; k$: a Gaussian of side $a$
repeat: fit the Gaussians to the colours of each side, then find the $a$ of least $E$, a minimum cut"""
LOOK_FOR = """Nobody said where the object is: the few sure pixels (second row, red: object, blue: background) come from one
backward pass. GrabCut fits the colours of both sides and cuts where it is cheapest, along edges. What the network looks at is
what is cut out: of the officer the uniform with its tie, for that is the class; of the cup the coffee. Second figure: objects
that were cut out by hand and put before a painting, so that the right answer is known; the number is the part of both masks that
they share. The astronaut before a busy sky is where it fails: seeds that lie on the sky stay there."""
CODE = {"minicnn/visualize/saliency.py": "seeds_of", "minicnn/visualize/grabcut.py": "grabcut_steps _neighbours _fitted _costs",
        "minicnn/visualize/max_flow.py": "min_cut"}
TRY = r"""Set $\gamma$ to 0, then to 1000 (`gamma` of `grabcut_steps`). What does the object's outline become, and why?

Which of the two steps, fitting the colours or cutting, could let the energy rise? Why does neither?

The cat is cut out by its face. Would more generous seeds, `high=85`, bring the whole cat, and what else?

Give each side a single Gaussian, `components=1`. Which of the photographs suffers?"""
PHOTOGRAPHS = ("camera.jpg", "grace_hopper.jpg", "coffee.jpg", "chelsea.jpg")
CUTS = 6


def compute(full):
    net, results, tests = minicnn.load("squeezenet1_1"), [], []
    for name in PHOTOGRAPHS:
        results.append(segmented(net, IMAGES / name))
    for name, picture, mask in itertools.islice(composites(), 0, None, 1 if full else len(GROUNDS)):
        shown = segmented(net, picture)
        height, width = shown["mask"].shape
        top, left = (mask.shape[0] - height) // 2, (mask.shape[1] - width) // 2         # the network takes the middle
        right = mask[top:top + height, left:left + width]
        tests.append({**shown, "name": name, "iou": (right & shown["mask"]).sum() / (right | shown["mask"]).sum()})
    return {"photographs": results, "composites": tests}


def segmented(net, image):
    """Return what the figure shows of an image: the crop, its seeds, the object, the energy after each cut, the class."""
    x = net.preprocess(image)
    winner, picture = predict_class(net, x), net.deprocess(x)
    seeds = seeds_of(saliency_map(net, x, winner))
    states = list(take(CUTS, grabcut_steps(picture, seeds)))
    return {"picture": picture, "seeds": seeds, "mask": states[-1].mask, "class": short(net.classes[winner]),
            "energies": [state.energy for state in states]}


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
    return {"segmentation": figure, "composites": draw_composites(result["composites"])}


def draw_composites(tests):
    """Draw each composite over what was cut out of it, with what found and right object share."""
    columns = min(len(tests), 5)
    figure, axes = panels(2 * -(-len(tests) // columns), columns, width=2.4, height=2.5)
    for k, shown in enumerate(tests):
        upper, lower = (axes[2 * (k // columns) + row, k % columns] for row in (0, 1))
        upper.imshow(shown["picture"])
        lower.imshow(cut_out(shown["picture"], shown["mask"]))
        lower.set_title(f"{shown['iou']:.2f}")
    return figure


def check(result):
    everything = result["photographs"] + result["composites"]
    rises = max(max(np.diff(shown["energies"])) for shown in everything)
    return [Check("mean over the composites: what found and right object share / what they cover together",
                  float(np.mean([shown["iou"] for shown in result["composites"]])), at_least=0.7),
            Check("largest rise of the energy from one cut to the next", float(rises), at_most=0.0),
            Check("part of a photograph that is cut out, least and most of the photographs (1 = from 3 % to 70 %)",
                  float(all(0.03 <= shown["mask"].mean() <= 0.7 for shown in result["photographs"])), at_least=1)]
