"""Occlusion: cover a photograph piece by piece and watch the probability of the right class."""
import time

import numpy as np

import minicnn
from minicnn.visualize.occlusion import occlusion, pixel_map

from .common import IMAGES, Check, panels, predict_class, short

TITLE = "Occlusion experiments"
FORMULA = r"""$\text{map}(i, j) = p_c\left( x'(i, j) \right), \qquad p_c$: probability of the right class
$x'(i, j)$: the picture $x$ with a square of zeros at $(i, j)$; zero, after the mean is subtracted, is the mean colour"""
LOOK_FOR = """The probability of the right class falls most where the square covers the part that the network goes by: the
coffee in the cup, the legs of the tripod (with those covered, another class takes over). The strongest feature map falls where
the feature that it responds to is covered, and that need not be the object: in the second photograph it is the man's head.
(Letters as in the paper's figure.)"""
CODE = {"minicnn/visualize/occlusion.py": "occlusion_steps pixel_map _filling",
        "minicnn/visualize/incremental.py": "patched_activations"}
TRY = """Give `fill="noise"` or a grey of 0 to `occlusion` (`_filling` says what there is). Does the map move, and which of
the two says more about the network?

Halve the window, `window=22`. Why do some parts of the object not matter any more?

In which places does the probability of the right class rise when they are covered? What was there?

Cover the coffee and not the cup. Which class wins then (figure (e), most probable class)?"""
# the part by which a person knows the object: top, left, bottom, right in the 224x224 crop
PHOTOGRAPHS = {"coffee.jpg": (50, 40, 130, 170), "camera.jpg": (90, 85, 224, 170)}
LAYER = "fire9/concat"


def compute(full):
    net = minicnn.load("squeezenet1_1")
    results = []
    for name, box in PHOTOGRAPHS.items():
        x = net.preprocess(IMAGES / name)
        state = occlusion(net, x, window=44, stride=6 if full else 12, layer=LAYER)
        results.append({"picture": net.deprocess(x), "box": box, "state": state, "class": predict_class(net, x),
                        "pixels": pixel_map(state, state.probability, x.shape[2:])})
    return {"photographs": results, "classes": net.classes, **(both_ways(net, x) if full else {})}


def both_ways(net, x, turns=5):
    """Return how much faster it is to compute anew only what a window changed, and how far the probabilities differ.

    Median of times taken in turn; x: network input.
    """
    times, found = {True: [], False: []}, {}
    for turn in range(turns + 1):                               # the first turn warms up
        for incremental in (True, False):
            start = time.perf_counter()
            found[incremental] = occlusion(net, x, window=44, stride=18, layer=LAYER, incremental=incremental)
            times[incremental].append(time.perf_counter() - start)
    fast, whole = (np.median(times[incremental][1:]) for incremental in (True, False))
    return {"faster": float(whole / fast), "apart": float(np.abs(found[True].probability - found[False].probability).max())}


def draw(result):
    figure, axes = panels(len(result["photographs"]), 4, width=3.5, height=3.5)
    for row, shown in zip(axes, result["photographs"]):
        state, picture = shown["state"], shown["picture"]
        row[0].imshow(picture)
        row[0].add_patch(_rectangle(6, 6, *state.window))
        row[0].set_title(f"(a) input, and the {state.window[0]}×{state.window[1]} square")
        name = short(result["classes"][shown["class"]])
        for ax, values, title in ((row[1], state.activation, f"(b) strongest map of {LAYER} ({state.channel})"),
                                  (row[2], state.probability, f"(d) probability of “{name}”")):
            ax.imshow(picture.mean(axis=2), cmap="gray")
            drawn = ax.imshow(values, extent=_extent(state), cmap="turbo", alpha=0.7, interpolation="bilinear")
            ax.set_title(title)
            figure.colorbar(drawn, ax=ax, shrink=0.75)
        _draw_best(row[3], state, result["classes"], picture)
        for ax in row[1:]:
            ax.set_xlim(0, picture.shape[1])
            ax.set_ylim(picture.shape[0], 0)
    return {"occlusion": figure}


def _extent(state):
    """Where the map lies on the picture: a value belongs to the middle of its square (the stride divides the way)."""
    top, bottom = state.tops[[0, -1]] + (state.window[0] - 1) / 2
    left, right = state.lefts[[0, -1]] + (state.window[1] - 1) / 2
    half_row, half_column = (state.tops[1] - state.tops[0]) / 2, (state.lefts[1] - state.lefts[0]) / 2
    return left - half_column, right + half_column, bottom + half_row, top - half_row


def _draw_best(ax, state, classes, picture):
    """The most probable class for each position of the square, the commonest named."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch
    found, counts = np.unique(state.best, return_counts=True)
    common = found[np.argsort(-counts)][:6]
    index = np.full(state.best.shape, len(common))
    for k, name in enumerate(common):
        index[state.best == name] = k
    colours = ["#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#cccccc"]
    ax.imshow(picture.mean(axis=2), cmap="gray")
    ax.imshow(index, extent=_extent(state), cmap=ListedColormap(colours), vmin=-0.5, vmax=6.5, interpolation="nearest",
              alpha=0.85)
    ax.set_title("(e) most probable class")
    ax.legend(handles=[Patch(color=colours[k], label=short(classes[c])) for k, c in enumerate(common)], fontsize=8,
              loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, columnspacing=1, handlelength=1)


def _rectangle(left, top, height, width):
    from matplotlib.patches import Rectangle
    return Rectangle((left, top), width, height, facecolor="#808080", edgecolor="white")


def check(result):
    checks = []
    for shown in result["photographs"]:
        name, pixels = short(result["classes"][shown["class"]]), shown["pixels"]
        top, left, bottom, right = shown["box"]
        row, column = np.unravel_index(np.nanargmin(pixels), pixels.shape)
        inside = np.zeros(pixels.shape, bool)
        inside[top:bottom, left:right] = True
        checks += [Check(f"{name}: where covering hurts most lies in the object's box (1 = yes)", float(inside[row, column]),
                         at_least=1),
                   Check(f"{name}: lowest probability / that of the whole picture",
                         np.nanmin(shown["state"].probability) / shown["state"].unoccluded, at_most=0.6),
                   Check(f"{name}: mean probability, box covered / elsewhere",
                         np.nanmean(pixels[inside]) / np.nanmean(pixels[~inside]), at_most=0.9)]
    if "faster" in result:
        checks += [Check("time, whole pictures / only what a window changed", result["faster"], at_least=1.5),
                   Check("largest difference of the probabilities, both ways", result["apart"], at_most=1e-5)]
    return checks
