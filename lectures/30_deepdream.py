"""DeepDream with octaves and jitter: of several layers, guided by another picture, before the ReLU, and a journey into it."""
import numpy as np

import minicnn
from minicnn.art.deepdream import deepdream_steps, zoom_steps
from minicnn.images import load_image, resize_shorter
from minicnn.loop import take

from .common import IMAGES, Check, panels

TITLE = "DeepDream: set dx = x :)"
FORMULA = r"""$\underset{x}{\max} \; \tfrac{1}{2} \lVert a \rVert^2$ of a layer's activations $a$, whose gradient is
    $\frac{\partial}{\partial a} \, \tfrac{1}{2} \lVert a \rVert^2 = a$, so `dst.diff = dst.data`
$x \leftarrow x + \frac{\eta}{\operatorname{mean}\,|g|} \, g, \qquad
    g = \frac{\partial}{\partial x} \, \tfrac{1}{2} \lVert a(x) \rVert^2$ at a random shift of the picture, octave by octave"""
LOOK_FOR = """Any slightly detected feature is boosted and becomes more so: a feedback loop. A low layer boosts strokes and
contours; a higher one eyes, and then whole faces of fur and feathers, wherever the brush gave it the faintest excuse. Second
figure: two layers at once; the activations before their ReLU, so that what is negative is made more negative and nothing stays
calm; and a dream guided by another picture, of which features are taken. The animation dreams, goes a little into the picture,
and dreams on."""
CODE = {"minicnn/art/deepdream.py": "objective_L2 make_step objective_guide deepdream_steps"}
TRY = """Take the jitter out, `jitter=0` in `dream`. What appears, and where does it come from?

One octave instead of four: which sizes of eyes are gone?

Dream of the layer right before the classes, and of the very first one. At which depth does the network begin to see
animals?

Replace `objective_L2` by one that raises a single channel. How is that different from a class model?

Your own photograph: `python -m tools.paint dream PHOTO.jpg --layer fire6/concat --animation dream.gif`"""
PHOTOGRAPH, GUIDE = "starry_night.jpg", "chelsea.jpg"
LAYERS = ("fire3/concat", "fire6/concat", "fire8/concat")
OTHERS = {"fire3 and fire8, 2 : 1": dict(layer={"fire3/concat": 2, "fire8/concat": 1}),
          "fire8, before the ReLU": dict(layer="fire8/concat", pre_relu=True),
          "fire8, guided by a cat": dict(layer="fire8/concat", guide=IMAGES / GUIDE)}


def compute(full):
    net, steps = minicnn.load("squeezenet1_1"), 20 if full else 15
    picture = resize_shorter(load_image(IMAGES / PHOTOGRAPH), 400 if full else 320)
    dreams = {layer: dream(net, picture, steps, layer=layer) for layer in LAYERS}
    others = {name: dream(net, picture, steps, **settings) for name, settings in OTHERS.items()}
    zoom = zoom_steps(net, resize_shorter(picture, 240), "fire8/concat", octaves=1, steps=3, jitter=16, rng=0)
    journey = [frame for _, frame in zip(range(100 if full else 30), zoom)]
    return {"photograph": picture, "dreams": dreams, "others": others, "journey": journey}


def dream(net, picture, steps, **settings):
    """Return the last picture of a run in four octaves, and the loss and the octave of each step."""
    states = list(take(4 * steps, deepdream_steps(net, picture, octaves=4, steps=steps, jitter=16, rng=0, **settings)))
    return {"image": states[-1].image, "losses": np.array([s.loss for s in states]),
            "octaves": np.array([s.octave for s in states])}


def draw(result):
    figure, axes = panels(2, 2, width=4.6, height=4.0)
    pictures = {"the picture": result["photograph"], **{f"dreamt by {k}": v["image"] for k, v in result["dreams"].items()}}
    other, other_axes = panels(1, 3, width=4.2, height=3.8)
    for ax, (name, picture) in zip([*axes.flat, *other_axes.flat],
                                   [*pictures.items(), *((k, v["image"]) for k, v in result["others"].items())]):
        ax.imshow(picture)
        ax.set_title(name)
    return {"deepdream": figure, "others": other, "journey": result["journey"]}


def check(result):
    growth = []
    for dream in result["dreams"].values():
        final = dream["losses"][dream["octaves"] == dream["octaves"].max()]
        first = dream["losses"][np.isfinite(dream["losses"])][0]
        growth.append(final[-1] / first)
    return [Check("½‖a‖² per activation, end of the last octave / start of the first, least of the layers", min(growth),
                  at_least=5)]
