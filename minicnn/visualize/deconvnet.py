"""Zeiler and Fergus's deconvnet written out, layer by layer. Slide "Deconv net".

    ReLU maps back to ReLU               R_below = max(R, 0)
    unpooling only modifies locations    each value goes where its maximum was: the switches
    a filter maps to its transpose       R_below = W' R, a transposed convolution, without bias

`backprop.backproject(..., rule="deconvnet")` does the same through the tape, by one changed rule. This file needs no tape: it
takes the layers one after the other from above, each with what it remembers from the way up.

Where pooling windows overlap, two of them can have their maximum at one place: then both values are added, as in the gradient.
(Unpooling that puts values down instead of adding them keeps only the last.) Contrast normalisation lets the signal through; an
average shares it out evenly.
Source: M. Zeiler and R. Fergus, ECCV 2014.
"""
import numpy as np

from .. import ops, tape
from ..errors import SettingError, ShapeError
from ..nn import Add, BatchNorm2d, Concat, Conv2d, Dropout, Linear
from ..tensor import Tensor
from .checks import finite, network, one_picture


def deconvnet(net, x, layer, seed):
    """Return the signal (C, H, W) that reaches the picture x (1, C, H, W) from `layer`, where it is `seed` of the layer's shape.

    seed may be a function of the layer's activation, as for `backproject`. Raises SettingError for a layer without a rule.
    """
    network("deconvnet", net, layer)
    data = one_picture("deconvnet", net, x)
    with tape.no_grad():
        maps = {"data": data, **{name: a.data for name, a in net.activations(data, upto=layer).items()}}
    seed = finite("deconvnet", "the seed", seed(Tensor(maps[layer])) if callable(seed) else seed)
    signals = {layer: seed.astype(net.dtype, copy=False)}
    if signals[layer].shape != maps[layer].shape:
        raise ShapeError(f"deconvnet: the seed has shape {signals[layer].shape}, layer {layer!r} {maps[layer].shape}")
    ### BEGIN SOLUTION hw2.4
    for name in reversed(list(maps)[1:]):
        if name in signals:
            step, sources = net.layers[name]
            shares = _down(step, name, signals.pop(name), [maps[source] for source in sources])
            for source, share in zip(sources, shares):
                signals[source] = signals[source] + share if source in signals else share
    return signals["data"][0]
    ### END SOLUTION hw2.4


def _down(layer, name, signal, inputs):
    """Return the signal at each of the layer's inputs."""
    x = inputs[0]
    if isinstance(layer, Conv2d):
        return [_transposed(layer, signal, x.shape[2:])]
    if isinstance(layer, Linear):
        return [signal @ layer.parameters["weight"].data]
    if isinstance(layer, BatchNorm2d):
        slope = layer.parameters["weight"].data / np.sqrt(layer.buffers["running_var"].astype(np.float64) + layer.settings["eps"])
        return [(signal.swapaxes(1, -1) * slope.astype(signal.dtype)).swapaxes(1, -1)]
    if isinstance(layer, Concat):
        return np.split(signal, np.cumsum([i.shape[1] for i in inputs])[:-1], axis=1)
    if isinstance(layer, Add):
        return [signal] * len(inputs)
    op = getattr(layer, "op", None)
    if op is ops.relu:
        ### BEGIN SOLUTION hw2.4
        return [np.maximum(signal, 0)]
        ### END SOLUTION hw2.4
    if op is ops.max_pool2d:
        return [_unpooled(signal, x, layer.settings)]
    if op in (ops.avg_pool2d, ops.global_avg_pool2d, ops.adaptive_avg_pool2d):
        return [_shared_out(layer, signal, x)]
    if op is ops.local_response_norm or isinstance(layer, Dropout):
        return [signal]
    if op in (ops.flatten, ops.reshape):
        return [signal.reshape(x.shape)]
    raise SettingError(f"deconvnet: there is no rule for layer {name!r}, {layer!r}; backproject(..., rule=\"deconvnet\") has one "
                       "for every layer that has a gradient")


def _transposed(layer, signal, size):
    """Return the signal under a convolution: each value stamps its filter; as large as the map below, `size`."""
    ### BEGIN SOLUTION hw2.4
    weight, settings = layer.parameters["weight"].data, layer.settings
    stamps = ops.conv_transpose2d(signal, weight, **settings).shape[2:]
    left_over = tuple(n - m for n, m in zip(size, stamps))          # by the stride: so many rows and columns come later
    return ops.conv_transpose2d(signal, weight, output_padding=left_over, **settings).data
    ### END SOLUTION hw2.4


def _unpooled(signal, x, settings):
    """Return the signal under max pooling: every value at the place of its window's maximum, its switch."""
    ### BEGIN SOLUTION hw2.4
    _, switches = ops.max_pool2d(x, **settings, return_indices=True)
    window = {"stride": None, "padding": 0, **{key: value for key, value in settings.items() if key != "ceil_mode"}}
    return ops.max_unpool2d(signal, switches, **window, output_size=x.shape[2:]).data
    ### END SOLUTION hw2.4


def _shared_out(layer, signal, x):
    """Return the signal under an average, which is linear: its transpose is its gradient."""
    below = Tensor(x, requires_grad=True)
    layer(below).backward(signal)
    return below.grad
