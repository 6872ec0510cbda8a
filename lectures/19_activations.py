"""What every channel of a layer answers to a picture, one of them enlarged, and the classes found."""
import numpy as np

import minicnn
from minicnn.images import unmontage
from minicnn.visualize.activations import layer_views
from minicnn.visualize.backprop import as_picture, backproject, unit_seed

from .common import IMAGES, Check, panels, short
from .maps import with_ticks

TITLE = "Visualizing Activations"
FORMULA = r"""tile: $\left( \frac{\max(A_k, 0)}{\max\,A_k} \right)^{0.7}$ for the map $A_k$ of each channel $k$
sent back: $R_i^l = (f_i^l > 0) \cdot (R_i^{l+1} > 0) \cdot R_i^{l+1}$, guided backprop, from the strongest place of one unit"""
LOOK_FOR = """Each tile is what one channel answers, where in the picture. Early tiles look like the picture, as seen through
edges and colours. Higher up most tiles are dark: a channel answers to few things, and there strongly. One that lights up on the
astronaut's face is enlarged: it was never taught faces, there is no class of that name among the thousand, but they help to find
others."""
CODE = {"minicnn/visualize/activations.py": "LayerView layer_views", "minicnn/visualize/backprop.py": "unit_seed backproject"}
TRY = """The thousand classes have no face and no person. Why is there a channel that answers to faces?

Put another photograph with a face in place of the astronaut (and its `BOX`). Is it the same channel that `on_face` finds?

Show the grids with one common maximum for all channels instead of one for each, `grid(gamma=0.7, together=True)`. What do
you see less of, and what for the first time?"""
PHOTOGRAPH, BOX = "astronaut.jpg", (20, 80, 75, 130)             # the face: top, left, bottom, right
GRIDS, LAYER = ("relu_conv1", "fire3/concat", "fire6/concat"), "fire7/concat"


def compute(full):
    net = minicnn.load("squeezenet1_1")
    x = net.preprocess(IMAGES / PHOTOGRAPH)
    views = layer_views(net, x)
    unit = on_face(views[LAYER], x.shape[2:])
    place = (unit, *(int(i) for i in np.unravel_index(views[LAYER].maps[unit].argmax(), views[LAYER].maps.shape[1:])))
    with minicnn.no_grad():
        again = net.activations(x)
    grids = {layer: views[layer].grid(gamma=0.7) for layer in GRIDS}
    wrong = max(wrongly_drawn(grids[layer], again[layer].data[0]) for layer in GRIDS)
    return {"picture": net.deprocess(x), "grids": grids, "unit": unit,
            "map": views[LAYER].enlarged(unit, x.shape[2:]), "classes": minicnn.predict(net, IMAGES / PHOTOGRAPH), "wrong": wrong,
            "signal": backproject(net, x, LAYER, unit_seed(again[LAYER], place), "guided"),
            "order": net.preprocessing.channel_order,
            "dark": {layer: float((views[layer].maps <= 0).mean()) for layer in GRIDS + (LAYER,)}}


def wrongly_drawn(grid, maps):
    """Return the largest difference, in grey levels, of a grid's tiles from the formula for the maps (K, h, w)."""
    tiles = unmontage(grid, len(maps), columns=int(np.ceil(len(maps) ** 0.5)))
    right = [255 * (np.maximum(a, 0) / max(float(a.max()), 1e-30)) ** 0.7 for a in maps]
    return float(np.abs(tiles - np.stack(right)).max())


def on_face(view, size):
    """Return the channel with the largest part of its answers within the face, of those that answer strongly."""
    top, left, bottom, right = BOX
    maps = [np.maximum(view.enlarged(k, size), 0) for k in view.strongest(100)]
    inside = [m[top:bottom, left:right].sum() / max(m.sum(), 1e-9) for m in maps]
    return int(view.strongest(100)[int(np.argmax(inside))])


def draw(result):
    figure, axes = panels(2, 4, width=3.1, height=3.3)
    axes[0, 0].imshow(result["picture"])
    for ax, (layer, grid) in zip(axes[0, 1:], result["grids"].items()):
        ax.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(f"{layer}: all channels")
    axes[1, 0].imshow(result["picture"].mean(axis=2), cmap="gray")
    axes[1, 0].imshow(result["map"], cmap="inferno", alpha=0.65)
    axes[1, 0].set_title(f"{LAYER}: channel {result['unit']}")
    axes[1, 1].imshow(as_picture(result["signal"], result["order"], 99.9))
    axes[1, 1].set_title("guided backprop from it")
    odds, _, names = zip(*result["classes"])
    draw_bars(axes[1, 2], "most probable classes, %", [short(name) for name in names], odds)
    draw_bars(axes[1, 3], "dark, % of the layer", list(result["dark"]), list(result["dark"].values()))
    return {"activations": figure}


def draw_bars(ax, title, names, parts):
    """Draw a bar for each part, with its name on it."""
    with_ticks(ax).barh(range(len(parts)), [100 * part for part in parts], color="#a9bcd9")
    ax.set_yticks([])
    for place, name in enumerate(names):
        ax.text(0, place, f" {name}", va="center")
    ax.set_ylim(len(parts) - 0.4, -0.6)
    ax.set_title(title)


def check(result):
    top, left, bottom, right = BOX
    strength = np.maximum(result["map"], 0)
    return [Check("largest difference of a tile from the formula, in grey levels, of which it has whole ones", result["wrong"],
                  at_most=0.51),
            Check("part of the channel's answers that lies on the face", float(strength[top:bottom, left:right].sum() /
                                                                               strength.sum()), at_least=0.5),
            Check("part of the layer that is dark, last shown less first", list(result["dark"].values())[-1]
                  - list(result["dark"].values())[0], at_least=0.1)]
