"""What the techniques ask of networks, pictures and units, with one clear sentence where it is not so."""
import os

import numpy as np

from ..device import to_host
from ..errors import DtypeError, SettingError, ShapeError
from ..images import MAX_SIZE
from ..nn import Network
from ..ops.op import pair
from ..tensor import as_array


def network(name, net, *layers):
    """Return the Network, which must be in eval mode and have layers of these names."""
    if not isinstance(net, Network):
        raise SettingError(f"{name}: net is a {type(net).__name__}, expected a Network; minicnn.load(\"squeezenet1_1\") is one")
    if not net.layers or any(layer.training for layer, _ in net.layers.values()):
        raise SettingError(f"{name}: {net.architecture} {'is in train mode' if net.layers else 'has no layers'}, expected a "
                           "network in eval mode, whose statistics do not change by looking; call net.eval()")
    for layer in layers:
        net.layer(layer)
    return net


def one_picture(name, net, x):
    """Return x (1, C, H, W), the input of a network, as an array of its dtype."""
    data = array(name, "x", x).astype(network(name, net).dtype, copy=False)
    if data.ndim != 4 or len(data) != 1 or data.size == 0:
        raise ShapeError(f"{name}: x has shape {data.shape}, expected one picture (1, C, H, W), as net.preprocess gives it")
    return finite(name, "x", data)


def array(name, what, value):
    """Return an array of numbers, or a Tensor's, as `as_array` makes it; what is on a GPU is copied."""
    try:
        return to_host(as_array(value))
    except DtypeError as error:
        raise DtypeError(f"{name}, {what}: {error}") from None


def finite(name, what, value):
    """Return an array of numbers that holds no NaN and no infinity."""
    found = array(name, what, value)
    if not np.isfinite(found).all():
        raise SettingError(f"{name}: {what} holds NaN or infinity, expected finite numbers; look where they come from")
    return found


def picture_size(name, net, size, least=1):
    """Return (height, width) of `size`, an int or two; None: what the network takes."""
    size = pair(name, "size", network(name, net).preprocessing.size if size is None else size, least)
    if max(size) > MAX_SIZE:
        raise SettingError(f"{name}: size is {size}, expected at most {MAX_SIZE} pixels a side")
    return size


def pictures_of(name, pictures):
    """Return an iterator over pictures; a path of one picture is not a list of them."""
    if isinstance(pictures, (str, bytes, os.PathLike)) or not hasattr(pictures, "__iter__"):
        raise SettingError(f"{name}: pictures is {pictures!r}, expected a list of them; for one picture [picture], for a folder "
                           "minicnn.visualize.collection.picture_files(folder)")
    return iter(pictures)
