"""What every channel of every layer answers to a picture. Slide "Visualizing Activations" (Yosinski et al. 2015).

    shown = (max(a, 0) / max over the channel) ^ gamma        per channel, so that weak ones are seen, or by one maximum

The data that a browser of activations shows: a strip of layers, the grid of a layer's channels, one unit enlarged.
Nothing here draws; the classes that the network finds: `minicnn.predict`.
"""
from dataclasses import dataclass

import numpy as np

from .. import images, tape
from ..checks import number, whole_number
from ..errors import SettingError
from .checks import network, one_picture


@dataclass(frozen=True)
class LayerView:
    """A layer's answer to one picture: `maps` (K, h, w), the numbers themselves; a layer of scores has maps of 1 x 1."""
    layer: str
    maps: np.ndarray

    def shown(self, gamma=1.0, together=False):
        """Return the maps as pictures (K, h, w) uint8: what is negative is black, each channel's largest value white.

        gamma: below 1 brings up what is weak. together: one scale for all channels.
        """
        gamma = number("activations", "gamma", gamma, above=0)
        positive = np.maximum(self.maps, 0)
        top = positive.max(axis=None if together else (1, 2), keepdims=True)
        return np.rint(255 * (positive / np.where(top > 0, top, 1)) ** gamma).astype(np.uint8)

    def grid(self, gamma=1.0, together=False, pad=1):
        """Return all channels as one grey picture (H, W) uint8, as nearly square as it can be."""
        tiles = self.shown(gamma, together)
        return images.montage(tiles, columns=int(np.ceil(len(tiles) ** 0.5)), pad=pad, fill=40)

    def enlarged(self, channel, size):
        """Return one channel's map (H, W) = `size`, bilinear, the numbers themselves: to lay over the picture."""
        whole_number("activations", f"channel of layer {self.layer!r}", channel, 0, len(self.maps) - 1)
        return images.resize(self.maps[channel].astype(np.float32), size, "bilinear")

    def strongest(self, count=9):
        """Return the channels with the largest values, the largest first."""
        return np.argsort(-self.maps.max(axis=(1, 2)), kind="stable")[:whole_number("activations", "count", count, 1)]


def layer_views(net, x, layers=None):
    """Return a dict layer -> LayerView for the picture x (1, C, H, W); default all. Raises UnknownNameError, ShapeError."""
    x = one_picture("activations", net, x)
    if layers is not None and (isinstance(layers, str) or not hasattr(layers, "__iter__")):
        raise SettingError(f"activations: layers is {layers!r}, expected a list of names; for one layer [{layers!r}]")
    layers = list(net.layers if layers is None else layers)
    network("activations", net, *layers)
    with tape.no_grad():
        found = net.activations(x)
    return {name: LayerView(name, a.data[0].reshape(a.shape[1], *(a.shape[2:] or (1, 1))))
            for name, a in found.items() if name in layers and a.ndim in (2, 4)}
