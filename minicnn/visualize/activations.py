"""What every channel of every layer answers to a picture. Slide "Visualizing Activations" (Yosinski et al. 2015).

    shown = (max(a, 0) / max over the channel) ^ gamma        per channel, so that weak ones are seen, or by one maximum

The data that a browser of activations shows: a strip of layers, the grid of a layer's channels, one unit enlarged, the classes
that the network finds. Nothing here draws.
"""
from dataclasses import dataclass

import numpy as np

from .. import images, tape
from ..errors import SettingError, ShapeError
from ..ops import softmax
from ..tensor import Tensor, as_array


@dataclass(frozen=True)
class LayerView:
    """A layer's answer to one picture: `maps` (K, h, w), the numbers themselves; a layer of scores has maps of 1 x 1."""
    layer: str
    maps: np.ndarray

    def shown(self, gamma=1.0, together=False):
        """Return the maps as pictures (K, h, w) uint8: what is negative is black, each channel's largest value white.

        gamma: below 1 brings up what is weak. together: one scale for all channels.
        """
        if not gamma > 0:
            raise SettingError(f"activations: gamma is {gamma!r}, expected a number above 0")
        positive = np.maximum(self.maps, 0)
        top = positive.max(axis=None if together else (1, 2), keepdims=True)
        return np.rint(255 * (positive / np.where(top > 0, top, 1)) ** gamma).astype(np.uint8)

    def grid(self, gamma=1.0, together=False, pad=1):
        """Return all channels as one grey picture (H, W) uint8, as nearly square as it can be."""
        tiles = self.shown(gamma, together)
        return images.montage(tiles, columns=int(np.ceil(len(tiles) ** 0.5)), pad=pad, fill=40)

    def enlarged(self, channel, size):
        """Return one channel's map (H, W) = `size`, bilinear, the numbers themselves: to lay over the picture."""
        if not 0 <= channel < len(self.maps):
            raise ShapeError(f"activations: there is no channel {channel} in layer {self.layer!r} of {len(self.maps)} channels")
        return images.resize(self.maps[channel].astype(np.float32), size, "bilinear").reshape(size)

    def strongest(self, count=9):
        """Return the channels with the largest values, the largest first."""
        return np.argsort(-self.maps.max(axis=(1, 2)), kind="stable")[:count]


def layer_views(net, x, layers=None):
    """Return a dict layer -> LayerView for the picture x (1, C, H, W); default all. Raises UnknownNameError, ShapeError."""
    x = as_array(x)
    if x.ndim != 4 or len(x) != 1:
        raise ShapeError(f"activations: x has shape {x.shape}, expected one picture (1, C, H, W)")
    for layer in layers or ():
        net.layer(layer)
    with tape.no_grad():
        found = net.activations(x)
    return {name: LayerView(name, a.data[0].reshape(a.shape[1], *(a.shape[2:] or (1, 1))))
            for name, a in found.items() if (layers is None or name in layers) and a.ndim in (2, 4)}


def top_classes(net, x, count=5):
    """Return [(class name, probability)] of the `count` most probable classes of x (1, C, H, W)."""
    with tape.no_grad():
        odds = softmax(Tensor(net(x).data[:1]), dim=1).data[0]
    names = net.classes or [f"class {k}" for k in range(len(odds))]
    return [(names[k], float(odds[k])) for k in np.argsort(-odds, kind="stable")[:count]]
