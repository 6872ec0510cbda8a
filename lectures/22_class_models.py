"""The picture that a class likes best: plain ascent with the norm held down, and the four settings found by Yosinski et al."""
from dataclasses import replace

import numpy as np

import minicnn
from minicnn.loop import take
from minicnn.visualize.backprop import as_picture
from minicnn.visualize.class_model import PUBLISHED, class_model_steps, random_settings, simonyan
from minicnn.visualize.filters import roughness
from minicnn.visualize.multifaceted import CENTRE_BIAS, grey_start, tv_ascent

from .common import Check, panels, probability

TITLE = "Class model visualization"
FORMULA = r"""$\underset{I}{\operatorname{argmax}} \; S_c(I) - \lambda \, \lVert I \rVert_2^2, \qquad S_c$: score for class
    $c$, before
    the softmax
Yosinski et al.: $x \leftarrow x + \eta \, \frac{\partial S_c}{\partial x}, \quad x \leftarrow (1 - \text{decay}) \, x$, then
    blur a bit, set pixels of small norm to 0, and pixels that contribute little"""
LOOK_FOR = """No photograph was used, only what the network knows: necks and beaks, round balls on a table with pockets. One
object in no one place but several, at several sizes, since the score is a mean over all places. Other classes may like it as
well: before the softmax nobody pushes them down. Left: with the norm alone, thin lines that answer well and look like nothing
much. The settings of Yosinski et al. give something to look at: sparse (1, 4) or decaying fast (2) for less of a score, blurred
between steps (3, the one of most of their figures) for as much. Colours are not natural, nothing asks for that, and contrast is
stretched about grey. Second figure: classes of the slide by setting 3. With --full two more: settings drawn at random, as the
four were found, and the centre bias of Nguyen et al., whose steps are taken about the middle: a few birds there, and around them
nothing."""
CODE = {"minicnn/visualize/class_model.py": "class_model_steps tidied simonyan Settings"}
TRY = r"""Ascend the probability instead of the score: what is the easiest way to raise it, without painting a flamingo?

Set the weight of the norm in `methods` to 0, then to `1e-2`. What becomes of the picture, and of the score?

Blur after every step, `blur_every=1` in setting 3. Which class survives, and which needs its fine lines?

A class of your own: look its number up in `minicnn.load("squeezenet1_1").classes` and put it into `CLASSES`. Can others
guess it from the picture?"""
CLASSES = {"flamingo": 130, "billiard table": 736, "pelican": 144}
CENTRED = ("flamingo", "pelican")
SLIDE = {"flamingo": 130, "pelican": 144, "hartebeest": 351, "billiard table": 736, "ground beetle": 302, "Indian cobra": 63,
         "station wagon": 436, "black swan": 100}
FASTER = 10             # this network's score is a mean over places, not a sum: so much longer steps than published


def compute(full):
    net, results = minicnn.load("squeezenet1_1"), {}
    size, steps = 128, 150 if full else 110
    for name in list(CLASSES)[:None if full else 1]:
        for title, settings in methods(steps).items():
            results[name, title] = model_of(net, CLASSES[name], settings, size)
    best = methods(250 if full else steps)["setting 3"]
    slide = {name: model_of(net, SLIDE[name], best, 160 if full else size)
             for name in (SLIDE if full else ("pelican", "billiard table"))}
    drawn = [model_of(net, CLASSES["flamingo"], faster(random_settings(k), 100), size) for k in range(8 if full else 0)]
    centred = {name: centred_of(net, CLASSES[name]) for name in (CENTRED if full else ())}
    return {"models": results, "slide": slide, "drawn": drawn, "centred": centred}


def methods(steps):
    """Return the Settings to compare, by their titles in the figure."""
    found = {"‖I‖² alone": simonyan(weight=1e-4, lr=1000.0, steps=steps)}
    return {**found, **{f"setting {number}": faster(settings, steps) for number, settings in PUBLISHED.items()}}


def faster(settings, steps):
    """Return the Settings for this network."""
    return replace(settings, steps=steps, lr=settings.lr * FASTER, progress=settings.progress * FASTER)


def model_of(net, class_index, settings, size):
    """Return the last picture of an ascent, its score, the score at the start, the class's probability and place (1: top)."""
    start, *_, end = take(settings.steps, class_model_steps(net, class_index, settings, size=size))
    x = net.preprocess(end.image, whole=True)
    return {"picture": as_picture(end.x[0], net.preprocessing.channel_order, 99.9), "score": end.activation,
            "start": start.activation, "probability": probability(net, x, class_index), "place": place(net, x, class_index),
            "roughness": float(roughness(end.x)[0])}


def place(net, x, class_index):
    """Return the place of a class among the scores for x (1, C, H, W); 1: the highest."""
    with minicnn.no_grad():
        scores = net(x).data[0]
    return 1 + int((scores > scores[class_index]).sum())


def centred_of(net, class_index):
    """Return the picture of the published schedule with centre bias, the part of its strength in the middle, and the place."""
    image = tv_ascent(net, class_index, grey_start(net), CENTRE_BIAS)
    strength = np.abs(image - np.median(image, axis=(0, 1))).sum(axis=2)
    height, width = (n // 4 for n in strength.shape)
    return {"picture": image, "middle": strength[height:-height, width:-width].sum() / strength.sum(),
            "place": place(net, net.preprocess(image, size=image.shape[:2]), class_index)}


def draw(result):
    names, titles = (list(dict.fromkeys(key[i] for key in result["models"])) for i in (0, 1))
    figure, axes = panels(len(names), len(titles), width=2.6, height=2.8)
    for row, name in zip(axes, names):
        row[0].set_ylabel(name, fontsize=13)
        for ax, title in zip(row, titles):
            model = result["models"][name, title]
            ax.imshow(model["picture"])
            ax.set_title(f"{title}: score {model['score']:.0f}", fontsize=11)
    slide, axes = panels(-(-len(result["slide"]) // 4), min(4, len(result["slide"])), width=3.2, height=3.4)
    for ax, (name, model) in zip(axes.flat, result["slide"].items()):
        ax.imshow(model["picture"])
        ax.set_title(name)
    search = {"random_search": draw_search(result["drawn"])} if result["drawn"] else {}
    centre = {"centre_bias": draw_centred(result["centred"])} if result["centred"] else {}
    return {"class_models": figure, "slide": slide, **search, **centre}


def draw_centred(centred):
    """Draw the pictures of the centre bias."""
    figure, axes = panels(1, len(centred), width=4.0, height=4.2)
    for ax, (name, shown) in zip(axes.flat, centred.items()):
        ax.imshow(shown["picture"])
        ax.set_title(f"{name}, centre bias")
    return figure


def draw_search(drawn):
    """Draw what settings drawn at random make of one class: the way in which the four were found, by looking."""
    figure, axes = panels(2, len(drawn) // 2, width=2.6, height=2.8)
    for number, (ax, model) in enumerate(zip(axes.flat, drawn)):
        ax.imshow(model["picture"])
        ax.set_title(f"random settings {number}: {model['score']:.0f}", fontsize=10)
    return figure


def check(result):
    models = result["models"]
    alone = [model for (_, title), model in models.items() if title == "‖I‖² alone"]
    third = [model for (_, title), model in models.items() if title == "setting 3"]
    traded = [model["score"] / models[name, "‖I‖² alone"]["score"] for (name, title), model in models.items()
              if title in ("setting 1", "setting 2", "setting 4")]
    rose = [model["score"] > model["start"] for model in models.values()]
    return [Check("scores that rose, part of all runs", float(np.mean(rose)), at_least=1),
            Check("‖I‖² alone: score at the end, least of the classes", min(m["score"] for m in alone), at_least=25),
            Check("probability of the flamingo at the end of setting 3", models["flamingo", "setting 3"]["probability"],
                  at_least=0.5),
            Check("place of its class among the 1000 in a picture of setting 3, worst of the classes",
                  max(m["place"] for m in third + list(result["slide"].values())), at_most=5),
            Check("score of settings 1, 2 and 4 / of ‖I‖² alone, mean", float(np.mean(traded)), at_most=0.8),
            Check("roughness of the pictures of setting 3 / of ‖I‖² alone",
                  float(np.mean([m["roughness"] for m in third]) / np.mean([m["roughness"] for m in alone])), at_most=0.5),
            *([Check("centre bias: part of a picture's strength in its middle quarter, least of them (evenly spread: 0.25)",
                     min(m["middle"] for m in result["centred"].values()), at_least=0.4),
               Check("centre bias: place of its class, worst of the classes",
                     max(m["place"] for m in result["centred"].values()), at_most=5)] if result["centred"] else [])]
