"""Raw weights as pictures: the first layer of a trained network and untrained, and three layers as ConvNetJS draws them."""
import numpy as np

import minicnn
from minicnn.visualize.filters import colour_tiles, colourfulness, enlarge, halves, order_by_energy, roughness, scale_filters
from minicnn.images import montage, unmontage

from .common import Check, nets_at_hand, panels

TITLE = "Visualize the filters/kernels (raw weights)"
FORMULA = r"""$\text{pixel} = \frac{w - \min\,w}{\max\,w - \min\,w}$ for each filter $w$ of the first layer, of shape
    $(3, K_H, K_W)$"""
LOOK_FOR = """Trained filters come in families: edges in several directions, bars, and a colour against its opposite, as far
as 3x3 pixels can show what networks with larger filters draw as Gabor-like stripes. Untrained ones are confetti. The small
network's layers 2 and 3, a row for each filter, are drawn as its demo draws them. Trained tiles are smooth: blobs and edges in
the maps of the layer below. They do not say what a filter looks for, which depends on what those maps mean. The last figure: the
first layers of all the networks at hand. Whatever they were trained for, edges and blobs of colour; the gabor-like filters
fatigue. (With AlexNet's weights its two halves, too, which were trained on two graphics cards and share the work.)"""
CODE = {"minicnn/visualize/filters.py": "scale_filters colour_tiles roughness"}
TRY = """The formula is applied to each filter by itself. In `scale_filters` take the minimum and the maximum over all
filters instead: which filters disappear, and what does that say about their norms?

Which of the tiles of layer 3 would you call an eye or a wheel? What would you have to know about layers 1 and 2 before you
could tell?

Run `python -m tools.train_convnetjs_cifar10` for a while and draw its first layer: after how many steps do the first edges
appear, and is the roughness still falling when the accuracy has stopped rising?"""
NETWORKS = ("alexnet", "caffenet", "alexnet_torchvision", "zfnet", "vgg16", "vgg16_hed", "googlenet", "squeezenet1_1",
            "allcnn_imagenet", "allcnn_cifar10", "convnetjs_cifar10", "vgg_cifar10", "lenet_mnist")
HALVED = ("alexnet", "caffenet")


def compute(full):
    net = minicnn.load("squeezenet1_1")
    trained = net.parameters()["conv1/weight"].data                     # (64, 3, 3, 3)
    untrained = minicnn.build("squeezenet1_1", rng=0).parameters()["conv1/weight"].data
    nets = {"untrained": minicnn.build("convnetjs_cifar10", rng=0), "trained": minicnn.load("convnetjs_cifar10")}
    layers = {name: [net.parameters()[f"conv{number}/weight"].data for number in (1, 2, 3)] for name, net in nets.items()}
    return {"trained": trained[order_by_energy(trained)], "untrained": untrained, "order": net.preprocessing.channel_order,
            "layers": layers, "shown": 20 if full else 8, "first": dict(first_layers())}


def first_layers():
    """Yield (name, (filters (F, C, KH, KW) of the first layer, the strongest first, its channels' order)) of each network."""
    for name, net in nets_at_hand(NETWORKS):
        weight, order = next(iter(net.parameters().values())).data, net.preprocessing.channel_order
        if name in HALVED:
            for half, part in zip(("one half", "the other"), halves(weight)):
                yield f"{name}, {half}", (part[order_by_energy(part)], order)
        else:
            yield name, (weight[order_by_energy(weight)], order)


def draw(result):
    figure, axes = panels(1, 2, width=4.6, height=4.9)
    figure.get_layout_engine().set(wspace=0.06)
    for ax, name in zip(axes.flat, ("trained", "untrained")):
        tiles = enlarge(colour_tiles(result[name], result["order"]), 8, colour=True)
        ax.imshow(montage(tiles, columns=8, pad=4, fill=1.0), interpolation="nearest")
        ax.set_title(f"conv1 of SqueezeNet, {name}: 64 filters 3×3")
    return {"first_layer": figure, "three_layers": draw_layers(result["layers"], result["shown"]),
            "all_networks": draw_networks(result["first"])}


def draw_networks(first, most=64):
    """Draw the first layers side by side; first: name -> (filters, order of channels)."""
    columns = min(3, len(first))
    figure, axes = panels(-(-len(first) // columns), columns, width=4.0, height=4.1)
    for ax, (name, (weight, order)) in zip(axes.flat, first.items()):
        weight = weight[:most]
        factor = max(1, 64 // weight.shape[3])
        tiles = enlarge(colour_tiles(weight, order), factor, colour=True) if weight.shape[1] == 3 else \
            enlarge(scale_filters(weight)[:, 0], factor)
        side = int(np.ceil(len(tiles) ** 0.5))
        ax.imshow(montage(tiles, columns=side, pad=max(2, tiles.shape[1] // 10), fill=1.0), cmap="gray", vmin=0, vmax=1,
                  interpolation="nearest")
        grey = f", colour {100 * colourfulness(weight).mean():.0f} %" if weight.shape[1] == 3 else ""
        ax.set_title(f"{name}: {weight.shape[2]}×{weight.shape[3]}{grey}", fontsize=10)
    for ax in axes.flat[len(first):]:
        ax.set_visible(False)
    return figure


def draw_layers(layers, shown):
    """Draw `shown` filters of each layer, one per row with a tile per input channel; layers: name -> list of (F, C, KH, KW)."""
    figure, axes = panels(3, len(layers), width=6.0, height=2.1, height_ratios=(0.15, 1, 0.8))
    for column, (name, weights) in enumerate(layers.items()):
        colours = enlarge(colour_tiles(weights[0]), 8, colour=True)
        axes[0, column].imshow(montage(colours, columns=len(colours), pad=4, fill=1.0), interpolation="nearest")
        axes[0, column].set_title(f"{name}: layer 1, {len(colours)} filters in colour")
        for ax, weight, number in zip(axes[1:, column], weights[1:], (2, 3)):
            filters = enlarge(scale_filters(weight[:shown]), 8)
            rows = [montage(tiles, columns=len(tiles), pad=4, fill=1.0) for tiles in filters]
            height, width = rows[0].shape
            ax.imshow(montage(rows, columns=1, pad=6, fill=1.0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            for row in range(len(rows)):        # as on the slide: ( a tile for each input channel of a filter )
                for place, bracket in ((-12, "("), (width + 24, ")")):
                    ax.text(place, (height + 6) * row + height / 2, bracket, ha="center", va="center", fontsize=11)
            ax.set_xlim(-30, width + 42)
            ax.set_title(f"{name}: layer {number}, {len(rows)} of {len(weight)} filters of {weight.shape[1]} channels")
    return figure


def check(result):
    tiles = colour_tiles(result["trained"], result["order"])
    back = unmontage(montage(tiles, columns=8, pad=4), len(tiles), columns=8, pad=4)
    ratio = np.median(roughness(result["trained"])) / np.median(roughness(result["untrained"]))
    small = [np.median(roughness(layers[0])) for layers in (result["layers"]["trained"], result["layers"]["untrained"])]
    rough = max(np.median(roughness(weight)) for weight, _ in result["first"].values())
    return [Check("roughness of the trained filters / of untrained ones", ratio, at_most=0.8),
            Check("the same of the small network that was trained here", small[0] / small[1], at_most=0.8),
            Check("roughness of the first layer of the roughest network at hand (untrained ones: 1)", float(rough), at_most=0.8),
            Check("filters drawn that the layout gives back exactly", int(sum(np.array_equal(a, b) for a, b in zip(tiles, back))),
                  at_least=64, at_most=64)]
