"""Networks of MatConvNet: MATLAB files whose variables are the fields of the toolbox's struct `net`.

A chain of layers ("SimpleNN") has a cell for each layer, a struct whose fields were moved over the years, so that they
are read by name; MATLAB knows no missing field, only one that is not there:

    layers{i}.type      "conv", "relu", "pool", "lrn" (once "normalize"), "softmax", "softmaxloss", "bnorm", ...
    layers{i}.name      absent in home-made networks: "layer_3", counted from 1, then
    layers{i}.weights   {filters, biases}; the first releases had the fields .filters and .biases instead
    meta.normalization.averageImage     once normalization.averageImage; (H, W, 3), (1, 1, 3) or three numbers, RGB

A graph ("DagNN") has structs `params` (name, value) and `layers` (name, type "dagnn.Conv", params {"conv1f", "conv1b"}).

Filters are (height, width, in, out), and MATLAB drops sizes of 1 at the end: a single filter has three. Layers that a
drawing calls fully connected are convolutions as large as the map: (7, 7, 512, 4096). They stay filters here: (4096, 512, 7, 7).
The toolbox's own importer from Caffe turned the filters into this order; other importers left width before height, and no
field tells: hence two layouts.
"""
import math
import reprlib

import numpy as np

from ..errors import WeightsError
from . import mat5
from .found import VGG_RGB, Found, Layout

_MAX_AVERAGE = 3 * 512 * 512
_LISTED = ("loss", "softmaxloss", "data")       # said to be left out although they have no weights


def recognises(source):
    """Whether MATLAB wrote the file (any version: `read` says which ones it understands)."""
    return mat5.version(source) is not None


def read(source):
    """Return what a .mat file of MatConvNet holds. Raises WeightsError."""
    variables = mat5.read(source, ("net", "layers", "params", "meta", "normalization"))
    net = variables.get("net", variables)
    if not isinstance(net, dict):
        raise WeightsError("its variable net is no struct (an object of a class can be read only by that class); "
                           "in MATLAB, do net = net.saveobj() and save it again with -v7")
    if "layers" not in net:
        raise WeightsError(f"its variables are {reprlib.repr(sorted(net))}; expected those of MatConvNet, 'layers' among them")
    found = Found("matconvnet", {}, certainty="open")
    (_read_graph if "params" in net else _read_chain)(net, found)
    if not found.layers:
        raise WeightsError("no layer of it is a convolution with weights; expected a network of MatConvNet")
    preprocessing = _preprocessing(net)
    found.layouts = {"hwio": Layout(preprocessing=preprocessing),
                     "whio": Layout(width_first=True, preprocessing=preprocessing)}
    return found


def _read_chain(net, found):
    for number, layer in enumerate(_structs(net["layers"], "layers"), start=1):
        name, kind = _name(layer, number), layer.get("type")
        weights = layer.get("weights")
        if not isinstance(weights, list):
            weights = [layer[field] for field in ("filters", "biases") if field in layer]
        if kind == "conv":
            _add(found, name, weights)
        elif weights or kind in _LISTED:
            found.left_out.append(_left_out(name, kind))


def _read_graph(net, found):
    values = {}
    for parameter in _structs(net["params"], "params"):
        if not isinstance(parameter.get("name"), str) or "value" not in parameter:
            raise WeightsError(f"an entry of params has the fields {reprlib.repr(sorted(parameter))}; expected name and value")
        values[parameter["name"]] = parameter["value"]
    for number, layer in enumerate(_structs(net["layers"], "layers"), start=1):
        name, kind, names = _name(layer, number), layer.get("type"), layer.get("params")
        names = names if isinstance(names, list) else [names] if isinstance(names, str) and names else []
        absent = [n for n in names if not isinstance(n, str) or n not in values]
        if absent:
            raise WeightsError(f"the layer {reprlib.repr(name)} asks for {reprlib.repr(absent[0])}, which is not in params")
        if kind == "dagnn.Conv":
            _add(found, name, [values[n] for n in names])
        elif names or kind == "dagnn.Loss":
            found.left_out.append(_left_out(name, kind))


def _name(layer, number):
    name = layer.get("name")
    return name if isinstance(name, str) and name and name.isprintable() else f"layer_{number}"


def _left_out(name, kind):
    return f"{name[:100]} ({kind[:100] if isinstance(kind, str) and kind.isprintable() else 'without a type'})"


def _structs(value, what):
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise WeightsError(f"{what} is no cell array of structs; expected a network of MatConvNet "
                           "(an object of a class can be read only by that class)")
    return value


def _add(found, name, weights):
    """Enter the convolution whose filters are weights[0] and whose biases, where there are any, are weights[1]."""
    if name in found.layers:
        raise WeightsError(f"two layers are named {reprlib.repr(name)}; expected each once")
    shape = getattr(weights[0], "shape", None) if weights else None
    if shape is None or len(shape) > 4 or math.prod(shape) == 0:
        raise WeightsError(f"the filters of {reprlib.repr(name)} are {reprlib.repr(weights[:1])}; expected an array (height, "
                           "width, in, out) of real numbers (arrays of a GPU: vl_simplenn_move(net, 'cpu') and save again)")
    filters = weights[0].reshape(*shape, *[1] * (4 - len(shape))).transpose(3, 2, 0, 1)
    found.layers[name] = {"weight": filters}
    bias = weights[1] if len(weights) > 1 else None
    if bias is None or getattr(bias, "shape", None) == (0, 0):
        return
    if getattr(bias, "shape", None) is None or max(bias.shape) != math.prod(bias.shape) or max(bias.shape) != filters.shape[0]:
        raise WeightsError(f"the biases of {reprlib.repr(name)} are {reprlib.repr(bias)}; "
                           f"expected {filters.shape[0]}, one for each filter")
    found.layers[name]["bias"] = bias.reshape(filters.shape[0])


def _preprocessing(net):
    """Return how pictures go in: minus the average image's mean of each channel, red first as in all of MatConvNet."""
    meta = net.get("meta")
    normalization = (meta if isinstance(meta, dict) else net).get("normalization")
    average = normalization.get("averageImage") if isinstance(normalization, dict) else None
    mean = VGG_RGB["mean"]           # of files that hold no average image
    if 0 < math.prod(getattr(average, "shape", (0,))) <= _MAX_AVERAGE:
        with np.errstate(over="ignore"):
            image = average.read().astype(np.float32)
        if image.size == 3:
            image = image.reshape(1, 1, 3)
        image = image[..., None] if image.ndim == 2 else image
        if image.ndim != 3 or image.shape[2] not in (1, 3):
            raise WeightsError(f"its average image has the shape {average.shape}; expected (height, width, 3) or three numbers")
        mean = tuple(float(channel) for channel in image.mean((0, 1), dtype=np.float64))
        if not np.isfinite(mean).all():
            raise WeightsError("NaN or infinity in its average image; such a network computes nothing")
    return {"channel_order": "RGB" if len(mean) == 3 else "GRAY", "scale": 1.0, "mean": mean, "std": (1.0,) * len(mean)}
