"""One network, many styles: all of it is shared but a scale and a shift per style. Slide "One network, many styles".

    z = gamma_s (x - mu) / sigma + beta_s          for each channel of each norm: conditional instance norm
    blends: gamma = sum_s w_s gamma_s, beta likewise, sum_s w_s = 1

A style is a few thousand numbers in this network. So a new one can be learnt with all the others left as they are, and pictures
can be painted halfway between two styles. Training is fast_style.py's. Source: V. Dumoulin, J. Shlens and M. Kudlur, ICLR 2017.
"""
import copy
from numbers import Integral

import numpy as np

from .. import nets
from ..checks import generator
from ..errors import SettingError, unknown_name
from ..nets.transform import ConditionalInstanceNorm2d
from ..visualize.checks import finite, network


def styles_of(net):
    """Return how many styles a transform network paints in."""
    return net.options.get("styles", 1)


def style_weights(net, style):
    """Return the row (1, styles) of `style`: a style's name or number, or one number for each, which are divided by their sum."""
    network("style", net)
    if net.architecture != "transform":
        raise SettingError(f"style: the network is a {net.architecture}, expected a transform network, such as five_styles")
    count = styles_of(net)
    if style is None:
        style = 0
    if isinstance(style, str):
        names = list(net.classes or ())
        if style not in names:
            raise unknown_name("style", style, names)
        style = names.index(style)
    if isinstance(style, Integral) and not isinstance(style, bool):
        if not 0 <= style < count:
            raise SettingError(f"style is {style}, expected a number from 0 to {count - 1}")
        return np.eye(count, dtype=np.float32)[[style]]
    row = finite("style", "style", style)
    if row.shape != (count,) or (row < 0).any() or not 0 < row.sum() < np.inf:
        raise SettingError(f"style is {style!r}, expected a name, a number or {count} weights, 0 or more and not all 0: one for "
                           "each style of the network")
    return (row / row.sum()).astype(np.float32)[None]


def choose_style(net, rows):
    """Tell the network what it paints in from now on, a row (N or 1, styles) of weights for each picture of a batch."""
    for layer, _ in net.layers.values():
        if isinstance(layer, ConditionalInstanceNorm2d):
            layer.style = np.asarray(rows)


def with_style(net, style):
    """Return the network with a style chosen (see `style_weights`); it shares the weights, and `net` stays as it is."""
    rows, chosen = style_weights(net, style), copy.copy(net)
    chosen.layers = {name: (copy.copy(layer) if isinstance(layer, ConditionalInstanceNorm2d) else layer, inputs)
                     for name, (layer, inputs) in net.layers.items()}
    choose_style(chosen, rows)
    return chosen


def with_new_style(net, name, rng=0):
    """Return a network with one style more, the last, which begins as the mean of the others with a little noise.

    The other weights are copies. To learn it: a StyleStep with `first` its number, and an optimiser of `style_parameters`.
    """
    network("with_new_style", net)
    if not isinstance(name, str) or name in (net.classes or ()):
        raise SettingError(f"with_new_style: name is {name!r}, expected a text that names none of the styles {net.classes}")
    if net.options.get("norm") != "conditional":
        raise SettingError(f"with_new_style: the network has the norm {net.options.get('norm')!r}, expected \"conditional\"")
    count, rng = styles_of(net), generator("with_new_style", rng)
    more = nets.build(net.architecture, None, **{**net.options, "styles": count + 1})
    for key, parameter in net.parameters().items():
        old = parameter.data
        if key in style_parameters(net):
            new = old.mean(axis=0, keepdims=True)
            old = np.concatenate([old, new + 0.01 * rng.standard_normal(new.shape).astype(new.dtype)])
        more.set_array(key, old)
    more.classes, more.provenance = [*(net.classes or map(str, range(count))), name], dict(net.provenance)
    return more


def style_parameters(net):
    """Return the scales and shifts, name -> Tensor: what differs between styles."""
    return {f"{name}/{key}": p for name, (layer, _) in net.layers.items() if isinstance(layer, ConditionalInstanceNorm2d)
            for key, p in layer.parameters.items()}
