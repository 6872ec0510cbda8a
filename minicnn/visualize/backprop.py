"""From a neuron back to the image. Slides "Deconv approaches" and "Guided backprop".

    1. Feed image into net.
    2. Pick a layer, set the gradient there to be all zero except for one 1 for some neuron of interest.
    3. Backprop to image: by plain backprop, by the deconvnet's rule, or by guided backprop.

The three differ only in what a ReLU passes back (ops/relu.py) and, for the deconvnet, in letting the signal through
contrast normalisation unchanged. Unpooling through the recorded switches is max_pool2d's backward pass, the transposed
filter is conv2d's. Where pooling windows overlap, contributions add up, as in the gradient.
"""
from numbers import Integral

import numpy as np

from .. import tape
from ..checks import number, one_of
from ..errors import SettingError, ShapeError
from ..tensor import Tensor
from .checks import array, finite, network, one_picture


def unit_seed(activation, unit, value=1.0):
    """Return an array like `activation` (1, K, h, w) or (1, K), zero but for the neuron `unit` = (channel, row, column).

    A channel alone means the whole map. `value` is what stands there: 1 as on the slide, or "activation" for the
    neuron's own value, which is what Zeiler and Fergus send back.
    """
    data = array("unit_seed", "the activation", activation)
    index = (0, *unit) if isinstance(unit, tuple) else (0, unit)
    whole = all(isinstance(i, Integral) and not isinstance(i, bool) for i in index)
    if not whole or len(data) != 1 or not 2 <= len(index) <= data.ndim or not all(0 <= i < n for i, n in zip(index, data.shape)):
        raise ShapeError(f"unit_seed: there is no unit {unit!r} in an activation of shape {data.shape}, of one picture; "
                         "give a tuple (channel, row, column) or a channel, counted from 0")
    if isinstance(value, str) and value != "activation":
        raise SettingError(f"unit_seed: value is {value!r}, expected a number or \"activation\"")
    ### BEGIN SOLUTION hw2.1
    seed = np.zeros_like(data)
    seed[index] = data[index] if isinstance(value, str) else number("unit_seed", "value", value)
    return seed
    ### END SOLUTION hw2.1


def strongest_unit(activation):
    """Return (channel, row, column) of the largest value of `activation` (1, K, h, w)."""
    data = np.asarray(activation)
    if data.ndim < 2 or len(data) != 1 or data.size == 0:
        raise ShapeError(f"strongest_unit: the activation has shape {data.shape}, expected (1, K, h, w) or (1, K)")
    return tuple(int(i) for i in np.unravel_index(np.argmax(data[0]), data.shape[1:]))


def backproject(net, x, layer, seed, rule="backprop"):
    """Return the signal (C, H, W) that reaches the image when `seed` is sent back from `layer` under a ReLU rule.

    seed: an array of the layer's shape, or a function that makes it from the layer's activation (Tensor). rule:
    "backprop" (the gradient), "deconvnet" or "guided". The network and x are left as they are.
    """
    network("backproject", net, layer)
    ### BEGIN SOLUTION hw2.1
    image = Tensor(one_picture("backproject", net, x), requires_grad=True)
    activation = net.activations(image, upto=layer)[layer]
    with tape.relu_rule(rule):
        activation.backward(finite("backproject", "the seed", seed(activation) if callable(seed) else seed))
    return image.grad[0]
    ### END SOLUTION hw2.1


def class_seed(activation, class_index):
    """Return the seed of a class's score at the network's `class_layer`: 1, spread evenly where the class has a map."""
    data = array("class_seed", "the activation", activation)
    if data.ndim not in (2, 4) or data.size == 0 or isinstance(class_index, tuple):
        raise ShapeError(f"class_seed: the layer has shape {data.shape} and the unit is {class_index!r}, expected scores (1, K) "
                         "or maps (1, K, h, w) and a class, counted from 0")
    places = data[0, 0].size
    return unit_seed(activation, class_index, 1.0 / places)


def objective_seed(activation, unit):
    """Return the seed of what is climbed: a unit (channel, row, column), or the mean of a channel's map, as of a class."""
    return unit_seed(activation, unit) if isinstance(unit, tuple) else class_seed(activation, unit)


def as_picture(signal, channel_order="RGB", percentile=99.5):
    """Return a signal (3, H, W) as a picture (H, W, 3) in 0..1: grey is zero, the `percentile` of magnitudes full colour."""
    signal = finite("as_picture", "the signal", signal)
    if signal.ndim != 3 or len(signal) != 3 or signal.size == 0:
        raise ShapeError(f"as_picture: the signal has shape {signal.shape}, expected (3, H, W)")
    one_of("order of channels", channel_order, ("RGB", "BGR"))
    percentile = number("as_picture", "percentile", percentile, at_least=0, at_most=100)
    top = max(np.percentile(np.abs(signal), percentile), 1e-30)
    picture = np.clip(0.5 + signal / (2 * top), 0, 1).transpose(1, 2, 0)
    return picture[..., ::-1] if channel_order == "BGR" else picture
