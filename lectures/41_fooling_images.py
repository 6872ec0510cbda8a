"""Pictures from nothing of which the network is sure: gradient ascent on a class's probability, with and without L2."""
import numpy as np

import minicnn
from minicnn.fool.gradient import MARKS, fooling_images
from minicnn.fool.pixels import mean_colour, probabilities, through_png

from .common import Check, panels, short

TITLE = "Deep Neural Networks are Easily Fooled: gradient ascent"
FORMULA = r"""$m \leftarrow 0.9 \, m + \eta \, \frac{\partial P_c}{\partial p}, \qquad
    \eta = \frac{\min(0.3, \; 1 - P_c, \; P_c)}{\lVert \partial P_c / \partial p \rVert^2}, \qquad P_c(p)$: the softmax's
    probability
    of class $c$
$p \leftarrow \bar p + (1 - \text{decay}) \, (p + m - \bar p), \qquad$ start: the mean colour $\bar p$ and noise"""
LOOK_FOR = """Upper row: pictures of which SqueezeNet is more than 99.6 % sure, saved as PNG files. They are not quite grey:
below the same, what differs from grey ten times as strong. Traces of texture, nothing that a person would name. It works for
nearly every class that was tried (second figure: how soon). Third row: with decay, the L2 regularisation, the picture stays
nearer to grey, and the network is hardly less sure. The probability says how much more like this class than like the others a
picture is, not that it is like it."""
CODE = {"minicnn/fool/gradient.py": "fooling_steps _measured"}
TRY = """Here the probability is climbed, in the class models the score was. Which of the two pictures looks more like its
class, and why?

Show one of these pictures to a second network (`minicnn.load("alexnet")`, if you have its weights). Is it as sure?

Raise `DECAY` to 0.3. When does the network stop being sure, and does anything appear by then?

The network knows a thousand classes and no "none of these". Would a class of such pictures help, once it has been trained
on them?"""
SURE = 0.996
SHOWN = 8
DECAY = 0.03


def compute(full):
    net, size = minicnn.load("squeezenet1_1"), 224 if full else 96
    classes = np.random.default_rng(1).permutation(1000)[:200 if full else 100]
    plain = fooling_images(net, classes, 120 if full else 80, size=size)
    held = fooling_images(net, classes[:40 if full else SHOWN], 120 if full else 80, size=size, decay=DECAY)
    return {"names": [short(net.classes[c]) for c in classes], "plain": shown(net, plain, classes),
            "held": shown(net, held, classes[:len(held.pixels)]), "reached": plain.reached}


def shown(net, state, classes):
    """Return the pictures, what differs from the mean colour times 10, its strength, and how sure the network is of the files."""
    files = through_png(state.pixels)
    away = (state.pixels - mean_colour(net)).astype(float)
    return {"pictures": state.images[:SHOWN], "away": (0.5 + 10 * away[:SHOWN]).clip(0, 1).transpose(0, 2, 3, 1),
            "strength": np.sqrt((away ** 2).mean(axis=(1, 2, 3))),
            "confidence": probabilities(net, files)[np.arange(len(classes)), classes]}


def draw(result):
    figure, axes = panels(3, SHOWN, width=1.9, height=2.25)
    rows = [(result["plain"], "pictures"), (result["plain"], "away"), (result["held"], "away")]
    for row, (of, what), label in zip(axes, rows, ("", "times 10", f"decay {DECAY}, times 10")):
        row[0].set_ylabel(label)
        for k, ax in enumerate(row):
            ax.imshow(of[what][k])
            ax.set_title(f"{result['names'][k]}\n{of['confidence'][k]:.2%}", fontsize=9)
    return {"fooling_images": figure, "all": draw_all(result)}


def draw_all(result):
    """Draw how many steps the classes took to be the winner, and to be above 99 and 99.99 %."""
    figure, axes = panels(1, 1, width=7, height=4)
    ax = axes[0, 0]
    for mark, first in zip(MARKS, result["reached"]):
        steps = np.sort(first[first >= 0])
        ax.step([*steps, steps.max(initial=0) + 5], [*np.arange(1, len(steps) + 1), len(steps)], where="post",
                label="first" if mark == 0 else f"above {mark:.2%}")
    ax.set(xlabel="step", ylabel=f"classes, of {len(result['names'])}", xticks=range(0, 121, 20),
           yticks=range(0, len(result["names"]) + 1, 50), xlim=(0, 120))
    ax.spines[["left", "bottom"]].set_visible(True)
    ax.legend(frameon=False, loc="lower right")
    return figure


def check(result):
    plain, held = result["plain"], result["held"]
    return [Check(f"part of {len(plain['confidence'])} classes above {SURE:.1%}, as PNG files",
                  float((plain["confidence"] > SURE).mean()), at_least=0.95),
            Check("strength of the pictures, away from the mean colour, median (of the range)",
                  float(np.median(plain["strength"])), at_most=0.05),
            Check("with decay: strength / without",
                  float(np.median(held["strength"] / plain["strength"][:len(held["strength"])])), at_most=0.9),
            Check("with decay: mean confidence", float(held["confidence"].mean()), at_least=0.5)]
