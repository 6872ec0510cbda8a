"""DeepDream with octaves and jitter."""
import numpy as np

import minicnn
from minicnn.art.deepdream import deepdream_steps
from minicnn.images import load_image, resize_shorter
from minicnn.loop import take

from .common import IMAGES, Check, panels

TITLE = "DeepDream: set dx = x :)"
FORMULA = """maximise ½‖a‖² of a layer's activations a:   dst.diff = dst.data
x ← x + step_size / mean|g| · g,   g = ∂(½‖a‖²)/∂x,   at a random shift of the picture, octave by octave"""
LOOK_FOR = """Any slightly detected feature is boosted and becomes more so: a feedback loop. A low layer boosts strokes and
contours; a higher one eyes, and then whole faces of fur and feathers, wherever the brush gave it the faintest excuse."""
PHOTOGRAPH = "starry_night.jpg"
LAYERS = ("fire3/concat", "fire6/concat", "fire8/concat")


def compute(full):
    net = minicnn.load("squeezenet1_1")
    picture = resize_shorter(load_image(IMAGES / PHOTOGRAPH), 400 if full else 320)
    dreams = {}
    for layer in LAYERS:
        steps = 20 if full else 15
        states = list(take(4 * steps, deepdream_steps(net, picture, layer, octaves=4, steps=steps, jitter=16, rng=0)))
        dreams[layer] = {"image": states[-1].image, "losses": np.array([s.loss for s in states]),
                         "octaves": np.array([s.octave for s in states])}
    return {"photograph": picture, "dreams": dreams}


def draw(result):
    figure, axes = panels(2, 2, width=4.6, height=4.0)
    axes[0, 0].imshow(result["photograph"])
    axes[0, 0].set_title("the picture")
    for ax, (layer, dream) in zip(axes.flat[1:], result["dreams"].items()):
        ax.imshow(dream["image"])
        ax.set_title(f"dreamt by {layer}")
    return {"deepdream": figure}


def check(result):
    growth = []
    for dream in result["dreams"].values():
        final = dream["losses"][dream["octaves"] == dream["octaves"].max()]
        first = dream["losses"][np.isfinite(dream["losses"])][0]
        growth.append(final[-1] / first)
    return [Check("½‖a‖² per activation, end of the last octave / start of the first, least of the layers", min(growth),
                  at_least=5)]
