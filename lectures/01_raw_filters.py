"""Raw weights as pictures: the first layer of a trained network, the same layer untrained, and a higher layer."""
import numpy as np

import minicnn
from minicnn.visualize.filters import colour_tiles, enlarge, order_by_energy, roughness, scale_filters
from minicnn.images import montage, unmontage

from .common import Check, panels

TITLE = "Visualize the filters/kernels (raw weights)"
FORMULA = "pixel = (w − min w) / (max w − min w) for each filter of the first layer, (3, KH, KW)"
LOOK_FOR = """Trained filters come in families: edges in several directions, bars, and a colour against its opposite, as far
as 3x3 pixels can show what networks with larger filters draw as Gabor-like stripes. Untrained ones are confetti. Higher up,
weights say little by themselves: what a 3x3 patch of 16 channels means depends on what those channels mean."""


def compute(full):
    net = minicnn.load("squeezenet1_1")
    trained = net.parameters()["conv1/weight"].data                     # (64, 3, 3, 3)
    untrained = minicnn.build("squeezenet1_1", rng=0).parameters()["conv1/weight"].data
    higher = net.parameters()["fire2/expand3x3/weight"].data            # (64, 16, 3, 3)
    return {"trained": trained[order_by_energy(trained)], "untrained": untrained,
            "higher": higher[:64 if full else 10], "order": net.preprocessing.channel_order}


def draw(result):
    figure, axes = panels(1, 2, width=4.6, height=4.9)
    figure.get_layout_engine().set(wspace=0.06)
    for ax, name in zip(axes.flat, ("trained", "untrained")):
        tiles = enlarge(colour_tiles(result[name], result["order"]), 8, colour=True)
        ax.imshow(montage(tiles, columns=8, pad=4, fill=1.0), interpolation="nearest")
        ax.set_title(f"conv1 of SqueezeNet, {name}: 64 filters 3×3")
    rows = [montage(enlarge(row, 6), columns=len(row), pad=2, fill=1.0) for row in scale_filters(result["higher"])]
    higher, axes = panels(1, 1, width=6.4, height=0.5 * len(rows) + 0.4)
    axes[0, 0].imshow(montage(rows, columns=1, pad=8, fill=1.0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes[0, 0].set_title(f"fire2/expand3x3: {len(rows)} filters (rows), a tile for each of their 16 input channels")
    return {"first_layer": figure, "higher_layer": higher}


def check(result):
    tiles = colour_tiles(result["trained"], result["order"])
    back = unmontage(montage(tiles, columns=8, pad=4), len(tiles), columns=8, pad=4)
    ratio = np.median(roughness(result["trained"])) / np.median(roughness(result["untrained"]))
    return [Check("roughness of the trained filters / of untrained ones", ratio, at_most=0.8),
            Check("filters drawn that the layout gives back exactly", int(sum(np.array_equal(a, b) for a, b in zip(tiles, back))),
                  at_least=64, at_most=64)]
