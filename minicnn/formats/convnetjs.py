"""Networks of ConvNetJS, Karpathy's library for the browser: the JSON text of `net.toJSON()`.

    {"layers": [{"layer_type": "input", "out_depth": 3, "out_sx": 32, "out_sy": 32},
                {"layer_type": "conv", "sx": 5, "sy": 5, "in_depth": 3, "out_depth": 16, "stride": 1, "pad": 2, ...
                 "filters": [{"sx": 5, "sy": 5, "depth": 3, "w": {"0": 0.013, "1": -0.2, ...}}, ...],
                 "biases": {"sx": 1, "sy": 1, "depth": 16, "w": {...}}},
                {"layer_type": "relu", ...}, {"layer_type": "pool", ...},
                {"layer_type": "fc", "num_inputs": 320, "out_depth": 10, "filters": [...], "biases": {...}},
                {"layer_type": "softmax", ...}]}

A volume {sx, sy, depth, w} keeps number (x, y, d) at w[((sx * y) + x) * depth + d]: rows, columns, channels. `w` is a list, or,
where JavaScript had a typed array, an object whose names are the indices. An fc layer has a volume of 1 x 1 x num_inputs for each
output, whose order is that of the map it reads: H, W, C. Layers have no names; here they are conv1, conv2, ... and fc
(fc1, fc2, ... if there are several).
"""
import json
import math
import reprlib

import numpy as np

from ..errors import WeightsError
from .found import Found, Layout
from .source import checked_shape, held

_SMALL, _MEMORY_PER_BYTE = 1_000_000, 40        # text is parsed as a whole, which costs memory
_START, _MAX_OBJECTS = 4096, 100_000


def recognises(source):
    """Whether the file is an object of JSON that soon speaks of layers with a layer_type."""
    start = source.read(0, min(source.size, _START)).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and b'"layers"' in start and b'"layer_type"' in start


def read(source):
    """Return what the JSON of a ConvNetJS network holds. Raises WeightsError."""
    limit = _SMALL + source.budget // _MEMORY_PER_BYTE
    if source.size > limit:
        raise WeightsError(f"it has {source.size} bytes of text; expected at most {limit} for this architecture")
    text = source.read(0, source.size).decode("utf-8-sig")
    objects = text.count("{") + text.count("[")
    if objects > _MAX_OBJECTS:
        raise WeightsError(f"it has {objects} objects and lists; expected at most {_MAX_OBJECTS}, one or two for each filter")
    net = json.loads(text, object_pairs_hook=_unique, parse_int=_whole)
    layers = net.get("layers") if isinstance(net, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise WeightsError('it has no list "layers" of objects; expected the text of net.toJSON()')
    kinds = [layer.get("layer_type") for layer in layers]
    found, count = Found("convnetjs", {}, {"convnetjs": Layout(map_axes="HWC")}), {"conv": 0, "fc": 0}
    for number, (kind, layer) in enumerate(zip(kinds, layers)):
        if kind in ("conv", "fc"):
            count[kind] += 1
            name = "fc" if kind == "fc" and kinds.count("fc") == 1 else f"{kind}{count[kind]}"
            found.layers[name] = _layer(name, kind, layer)
        elif "filters" in layer:
            found.left_out.append(f"layers[{number}] ({str(kind)[:100]})")
    if not found.layers:
        raise WeightsError('no layer of it is a "conv" or "fc"; expected the text of net.toJSON()')
    return found


def _unique(pairs):
    """Return the dict of an object of JSON, in which every name has to stand once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WeightsError("an object of it has a name twice; expected each once")
    return found


def _whole(digits):
    if len(digits) > 22:                # JavaScript writes larger ones as 1e+22
        raise WeightsError(f"a whole number of {len(digits)} digits; expected at most 22")
    return int(digits)


def _layer(name, kind, layer):
    """Return {"weight", "bias"} of a layer: (out, in, height, width) or (out, in)."""
    filters = layer.get("filters")
    if not isinstance(filters, list) or not filters:
        raise WeightsError(f"{name} has the filters {reprlib.repr(filters)}; expected a list of volumes")
    volumes = [_volume(volume, f"a filter of {name}") for volume in filters]
    if len({volume.shape for volume in volumes}) != 1:
        raise WeightsError(f"the filters of {name} have different shapes; expected one")
    weight, bias = np.stack(volumes), _volume(layer.get("biases"), f"the biases of {name}")
    if bias.shape != (1, 1, len(filters)):
        raise WeightsError(f"{name} has {len(filters)} filters and {bias.size} biases; expected as many")
    if kind == "fc" and weight.shape[1:3] != (1, 1):
        raise WeightsError(f"{name} has filters of {weight.shape[2]}x{weight.shape[1]}; expected 1x1 in a layer of type fc")
    weight = weight[:, 0, 0, :] if kind == "fc" else weight.transpose(0, 3, 1, 2)       # was (out, height, width, in)
    return {"weight": held(weight), "bias": held(bias[0, 0])}


def _volume(volume, what):
    """Return a volume as an array (sy, sx, depth)."""
    if not isinstance(volume, dict):
        raise WeightsError(f"{what}: {reprlib.repr(volume)}; expected an object with sx, sy, depth and w")
    shape = tuple(volume.get(size) for size in ("sy", "sx", "depth"))
    if not all(type(size) is int and size > 0 for size in shape):
        raise WeightsError(f"{what}: sy, sx and depth are {reprlib.repr(shape)}; expected whole numbers above 0")
    w, count = volume.get("w"), math.prod(checked_shape(shape))
    if not isinstance(w, (list, dict)) or len(w) != count:
        given = f"{len(w)} numbers" if isinstance(w, (list, dict)) else f"a {type(w).__name__}"
        raise WeightsError(f"{what}: w is {given}; expected {shape[0]} * {shape[1]} * {shape[2]} numbers")
    if isinstance(w, dict):
        missing = next((index for index in range(count) if str(index) not in w), None)
        if missing is not None:
            raise WeightsError(f"{what}: w has no number {missing}; expected the indices 0 to {count - 1}")
        w = [w[str(index)] for index in range(count)]
    wrong = [number for number in w if type(number) not in (int, float)]
    if wrong:
        raise WeightsError(f"{what}: {reprlib.repr(wrong[0])} in w; expected numbers (null is what JavaScript writes for NaN)")
    return np.array(w, np.float64).reshape(shape)
