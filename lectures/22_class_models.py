"""The picture that a class likes best: plain ascent with the norm held down, and the four settings found by Yosinski et al."""
from dataclasses import replace

import numpy as np

import minicnn
from minicnn.loop import take
from minicnn.visualize.backprop import as_picture
from minicnn.visualize.class_model import PUBLISHED, class_model_steps, random_settings, simonyan
from minicnn.visualize.filters import roughness

from .common import Check, panels, probability

TITLE = "Class model visualization"
FORMULA = """argmax over I of  S_c(I) - λ ‖I‖²,   S_c: score of class c before the softmax
x ← x + lr ∂S_c/∂x;    x ← (1 - decay) x;    blur x a bit;    pixels of small norm → 0;    pixels that contribute little → 0"""
LOOK_FOR = """No photograph was used, only what the network knows: necks and beaks, round balls on a table with pockets. One
object in no one place but several, at several sizes, since the score adds them all up. Left: with the norm alone, thin lines that
answer well and look like nothing much. The settings of Yosinski et al. trade the score for something to look at: sparse (1, 4),
decaying fast (2), blurred between steps (3, the one of most of their figures). Colours are not natural: nothing asks for that.
Second figure: classes of the slide by setting 3. With --full, settings drawn at random, as the four were found."""
CLASSES = {"flamingo": 130, "billiard table": 736, "pelican": 144, "sports car": 817}
SLIDE = {"flamingo": 130, "pelican": 144, "hartebeest": 351, "billiard table": 736, "ground beetle": 302, "Indian cobra": 63,
         "station wagon": 436, "black swan": 100}
FASTER = 10             # this network's score is a mean over places, not a sum: so much longer steps than published


def compute(full):
    net, results = minicnn.load("squeezenet1_1"), {}
    size, steps = (160, 250) if full else (128, 110)
    for name in list(CLASSES)[:None if full else 1]:
        for title, settings in methods(steps).items():
            results[name, title] = model_of(net, CLASSES[name], settings, size)
    best = methods(steps)["setting 3"]
    slide = {name: model_of(net, SLIDE[name], best, size) for name in (SLIDE if full else ("pelican", "billiard table"))}
    drawn = [model_of(net, CLASSES["flamingo"], replace(random_settings(k), steps=steps), size) for k in range(8 if full else 0)]
    return {"models": results, "slide": slide, "drawn": drawn}


def methods(steps):
    """Return the Settings to compare, by their titles in the figure."""
    found = {"‖I‖² alone": simonyan(weight=1e-4, lr=1000.0, steps=steps)}
    for number, settings in PUBLISHED.items():
        found[f"setting {number}"] = replace(settings, steps=steps, lr=settings.lr * FASTER, progress=settings.progress * FASTER)
    return found


def model_of(net, class_index, settings, size):
    """Return the last picture of an ascent, its score, the score at the start, and the class's probability."""
    start, *_, end = take(settings.steps, class_model_steps(net, class_index, settings, size=size))
    return {"picture": as_picture(end.x[0], net.preprocessing.channel_order, 99.9), "score": end.activation,
            "start": start.activation, "probability": probability(net, end.x, class_index),
            "roughness": float(roughness(end.x)[0])}


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
    return {"class_models": figure, "slide": slide, **search}


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
    rose = [model["score"] > model["start"] for model in models.values()]
    return [Check("scores that rose, part of all runs", float(np.mean(rose)), at_least=1),
            Check("‖I‖² alone: score at the end, least of the classes", min(m["score"] for m in alone), at_least=25),
            Check("probability of its class at the end of setting 3, least of the classes", min(m["probability"] for m in third),
                  at_least=0.5),
            Check("roughness of the pictures of setting 3 / of ‖I‖² alone",
                  float(np.mean([m["roughness"] for m in third]) / np.mean([m["roughness"] for m in alone])), at_most=0.5)]
