"""A network that fits on a slide, and a picture for it: what the walks of the techniques look into."""
import numpy as np

from minicnn.images import Preprocessing
from minicnn.nn import Conv2d, Flatten, Linear, MaxPool2d, Network, ReLU

UPRIGHT = np.array([[-1, 0, 1]] * 3, np.float32)            # answers where dark turns into bright, from left to right


def tiny_net():
    """Return a network for grey pictures of 6 x 6: two edge filters, ReLU, pooling, and scores of three classes.

    An upright edge speaks for "upright", a level one for "level"; what has none is "plain". x = pixel / 100 - 1.
    """
    net = Network("tiny", Preprocessing(size=6, resize=None, channel_order="GRAY", scale=0.01, mean=(1.0,), std=(1.0,)),
                  classes=["upright", "level", "plain"])
    net.add("conv", Conv2d(1, 2, 3))
    net.add("relu", ReLU())
    net.add("pool", MaxPool2d(2))
    net.add("flatten", Flatten())
    net.add("scores", Linear(8, 3))
    net.set_array("conv/weight", np.stack([UPRIGHT, UPRIGHT.T])[:, None])
    net.set_array("scores/weight", np.repeat(np.float32([[0.2, -0.1], [-0.1, 0.2], [0, 0]]), 4, axis=1))
    net.set_array("scores/bias", np.float32([0, 0, 1]))
    return net


def bar(contrast=1.0):
    """Return a picture (6, 6, 3) uint8: an upright bright bar, not quite even, on a dark ground; contrast: about grey, 100."""
    grey = np.array([[20, 20, 180, 220, 30, 20], [20, 30, 200, 230, 40, 20], [10, 20, 210, 250, 30, 10],
                     [20, 20, 190, 240, 20, 20], [20, 40, 170, 210, 30, 20], [10, 20, 160, 200, 20, 10]])
    return np.repeat((100 + contrast * (grey - 100)).round().astype(np.uint8)[:, :, None], 3, axis=2)


def with_classes(net, values):
    """Return the classes' names and a number for each as a text."""
    return "\n".join(f"{name:8} {value:8.4f}" for name, value in zip(net.classes, np.ravel(values)))
