"""Every channel's answer, and how it becomes a grey tile."""
import numpy as np

from minicnn.visualize.activations import LayerView, layer_views

from ..stepping import Marked, state
from ..tiny import bar, tiny_net


def steps(rng):
    """The layer "conv" of a picture of 6 x 6: numbers, tiles, one tile enlarged."""
    net = tiny_net()
    x = net.preprocess(bar())
    view = layer_views(net, x)["conv"]
    yield state("what two channels answer to the picture", layer_views, "Return a dict layer -> LayerView",
                {"x": x.data[0, 0], "the filters": net.layer("conv").parameters["weight"].data[:, 0], "A": view.maps},
                line="found = net.activations(x)")
    positive = np.maximum(view.maps, 0)
    yield state("what is negative is black; each channel has its own scale", LayerView,
                "shown = (max(a, 0) / max over the channel)",
                {"max(A, 0)": Marked(positive, positive == positive.max(axis=(1, 2), keepdims=True))},
                line="positive = np.maximum")
    for gamma, together, what in ((1.0, False, "grey levels 0 to 255"),
                                  (0.7, False, "to the power 0.7: what is weak is brought up"),
                                  (0.7, True, "one scale for all channels instead: the weak one stays dark")):
        yield state(what, LayerView.shown, "shown = (max(a, 0) / max over the channel)", {"tiles": view.shown(gamma, together)},
                    line="np.rint(255 *")
    yield state("the grid: tiles side by side, with a border of 40", LayerView.grid, "Return all channels as one grey picture",
                {"grid": view.grid(0.7)}, line="images.montage")
    yield state("one channel as large as the picture, to lay over it", LayerView.enlarged, "bilinear, the numbers themselves",
                {"enlarged": view.enlarged(0, (6, 6))}, line="images.resize")
