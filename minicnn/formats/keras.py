"""Weights that Keras wrote, in HDF5. Two layouts of the same arrays:

Keras 1, 2 and .h5 files of Keras 3        Keras 3, .weights.h5 (older: _layer_checkpoint_dependencies for layers)

  /                 or /model_weights        /layers/conv2d/vars/0      kernel
    layer_names     ["conv1", "fc", ...]     /layers/conv2d/vars/1      bias
    backend         "tensorflow"             /layers/conv2d_1/vars/...
    conv1/                                   /block1/layers/conv2d/vars/...   a model within the model
      weight_names  ["conv1/kernel:0",
                     "conv1/bias:0"]         vars has the attribute name: the layer's own name ("conv1"), while the path
      conv1/kernel:0, conv1/bias:0           counts the layers of each class

Filters are (height, width, in, out), matrices (in, out), and maps are flattened in the order row, column, channel. Keras 1
also wrote (out, in, height, width) when Theano computed, with maps in the order channel, row, column. Theano turns filters
by 180 degrees before it multiplies; files made with it need that, whether or not their axes were put in the other order
later. The file says so only where it has the attribute backend.
"""
import os
import re
import reprlib

from ..errors import WeightsError
from . import hdf5
from .found import Found, Layout
from .source import bfloat16

_ATTRIBUTES = ("format", "layer_names", "weight_names", "backend", "name", "nb_layers")
_NOT_ROTATED = ("tensorflow", "cntk", "torch", "jax", "numpy", "openvino", "mxnet", "plaidml")
_MOMENTS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
            "running_mean": "running_mean", "running_std": "running_var"}       # Keras 1 said std, but it is the variance
_OTHER_CLASSES = ("depthwise_conv2d", "separable_conv2d", "conv2d_transpose", "embedding", "normalization",
                  "layer_normalization", "group_normalization")
_MAX_SIDE = 11                                  # of a filter, where sides and channels must be told apart


def recognises(source):
    """Say whether the file is HDF5; which kind, `read` finds out."""
    return source.size >= len(hdf5.SIGNATURE) and source.read(0, len(hdf5.SIGNATURE)) == hdf5.SIGNATURE


def read(source, box=None):
    """Return the Found of a Keras file; its arrays are read through the hdf5.Box `box`, or through one of their own."""
    path = getattr(source.file, "name", None)
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise WeightsError("it is HDF5 inside of something else; give the HDF5 file itself")
    if not recognises(source):
        raise WeightsError("it does not begin as HDF5 does; give a .h5 file")
    path = os.path.abspath(os.fsdecode(path))
    box = hdf5.Box() if box is None else box    # the arrays keep it, and its process ends with the last of them
    tree = box.describe(path, _ATTRIBUTES)
    top = tree.groups.get("", {})
    if top.get("format") == "minicnn":
        raise WeightsError("it is a weights file of minicnn already; minicnn.load reads it")

    def fetch(name):
        if name not in tree.datasets:
            raise WeightsError(f"it names an array {reprlib.repr(name)}, but holds none of that name; it is damaged")
        array = box.array(path, name, tree)
        return bfloat16(array) if array.dtype.kind == "u" else array
    for root in ("", "model_weights"):
        if "layer_names" in tree.groups.get(root, {}):
            return _read_named(tree, root, fetch)
    if any(_is_counted(name) for name in tree.datasets):
        return _read_counted(tree, fetch)
    if "nb_layers" in top:
        raise WeightsError("it was written before Keras 1.0 (nb_layers); expected layer_names, save it with a newer Keras")
    raise WeightsError("it is HDF5, but not as Keras writes it; expected the attribute layer_names or groups named vars")


# --- layers by name: .h5 ------------------------------------------------------------------------------------------------
def _read_named(tree, root, fetch):
    records, left_out, names = {}, [], _texts(tree, root, "layer_names")
    outer = set(names)
    if len(outer) < len(names):
        raise WeightsError(f"it names a layer twice: {reprlib.repr(names)}; expected different names")
    for layer in names:
        group = _join(root, layer)
        stems = {}
        for weight in _texts(tree, group, "weight_names"):
            stem, role = _parts(weight)
            stems.setdefault(stem, []).append((role, weight))
        for stem, pairs in stems.items():
            # More than one stem: the layer is itself a model, whose layers have names of their own.
            name = layer if len(stems) == 1 else stem.rpartition("/")[2]
            if len(stems) > 1 and (name in outer or name in records or not name):
                name = _join(layer, stem)
            if name in records:
                raise WeightsError(f"it names the layer {reprlib.repr(name)} twice; expected different names")
            roles = [role for role, _ in pairs]
            if set(roles) == {None} and len(pairs) <= 2:
                roles = ["kernel", "bias"][:len(pairs)]
            if None in roles or len(set(roles)) < len(roles):
                left_out.append(f"{name[:100]} (its weights are {reprlib.repr([weight for _, weight in pairs])})")
            else:
                records[name] = {role: fetch(_join(group, weight)) for role, (_, weight) in zip(roles, pairs)}
    theano_order = _is_theano_order(records)
    layouts, certainty = _layouts(theano_order, _backend(tree, root))
    return Found("Keras .h5", _layers(records, left_out, theano_order), layouts, certainty, left_out)


def _texts(tree, path, key):
    """Return an attribute of a group that should be a list of texts."""
    if path not in tree.groups:
        raise WeightsError(f"it names a layer {reprlib.repr(path)}, but has no group of that name; it is damaged")
    texts = tree.groups[path].get(key)
    if not isinstance(texts, list) or not all(isinstance(text, str) and len(text) <= 1000 for text in texts):
        raise WeightsError(f"the attribute {key} of {reprlib.repr(path or '/')} is {reprlib.repr(texts)}; expected names")
    return texts


def _join(group, name):
    return f"{group}/{name}".strip("/")


def _parts(weight):
    """Return what stands before the role in the name of a weight, and the role: kernel, bias or one of _MOMENTS, or None.

    "conv1/kernel:0", "block1_conv1_W_1:0" (Keras 1), "vgg16/conv1/kernel" (Keras 3).
    """
    weight = re.sub(r"(:[0-9]+)?$", "", weight)
    match = (re.fullmatch(rf"(?:(.*)/)?(kernel|bias|{'|'.join(_MOMENTS)})(?:_[0-9]+)?", weight, re.DOTALL)
             or re.fullmatch(rf"(.*)_(W|b|{'|'.join(_MOMENTS)})(?:_[0-9]+)?", weight, re.DOTALL))
    if match is None:
        return weight.rpartition("/")[0], None
    return match[1] or "", {"W": "kernel", "b": "bias"}.get(match[2], match[2])


def _backend(tree, root):
    """Return the name of what computed for Keras when the file was written, or None."""
    for path in (root, ""):
        backend = tree.groups[path].get("backend")
        if backend == "theano" or backend in _NOT_ROTATED:
            return backend
    return None


def _layouts(theano_order, backend):
    """Return (layouts, certainty): "th" with filters turned as Theano has them, "tf" without; the likelier one first."""
    axes = "CHW" if theano_order else "HWC"
    layouts = {"tf": Layout(axes, rotated=False), "th": Layout(axes, rotated=True)}
    turned = theano_order if backend is None else backend == "theano"
    return dict(reversed(layouts.items())) if turned else layouts, "likely" if backend is None else "certain"


def _is_theano_order(records):
    """Say whether filters are (out, in, height, width) in this file: biases tell, or else sides and channels do."""
    by_bias, by_sides, before = 0, 0, None
    for record in records.values():
        if "kernel" not in record or len(record["kernel"].shape) != 4:
            continue
        shape = record["kernel"].shape
        if "bias" in record:
            outputs = record["bias"].shape
            by_bias += (outputs == shape[:1]) - (outputs == shape[3:])
        by_sides += (shape[2] == shape[3] <= _MAX_SIDE) - (shape[0] == shape[1] <= _MAX_SIDE)
        if before is not None:
            by_sides += (shape[1] == before[0]) - (shape[2] == before[3])
        before = shape
    return (by_bias or by_sides) > 0


# --- layers by count: .weights.h5 ---------------------------------------------------------------------------------------
def _is_counted(name):
    return re.fullmatch(r"(.*/)?vars/[0-9]{1,3}", name, re.DOTALL) is not None


def _read_counted(tree, fetch):
    groups = {}
    for name in filter(_is_counted, tree.datasets):
        group, _, number = name.rpartition("/")
        groups.setdefault(group, {})[int(number)] = name
    records, left_out = {}, []
    for group in sorted(groups, key=_natural):
        path = group[:-len("/vars")]
        parts = path.split("/")
        if parts[0] in ("optimizer", "_optimizer") or any(part.startswith("seed_generator") for part in parts):
            continue
        names = [groups[group][number] for number in sorted(groups[group])]
        if len(names) <= max(groups[group]):
            raise WeightsError(f"{reprlib.repr(group)} has the arrays {reprlib.repr(sorted(groups[group]))}; expected 0, 1, ...")
        roles = _roles(parts[-1], [tree.datasets[name] for name in names])
        if roles is None:
            shapes = [tree.datasets[name]["shape"] for name in names]
            left_out.append(f"{path[:100] or 'vars'} (arrays of the shapes {reprlib.repr(shapes)})")
        else:
            records[path] = {role: fetch(name) for role, name in zip(roles, names)}
    own = [tree.groups.get(f"{path}/vars", {}).get("name") for path in records]
    if all(isinstance(name, str) and name for name in own) and len(set(own)) == len(own):
        records = dict(zip(own, records.values()))
    layouts = {"tf": Layout("HWC"), "channels_first": Layout("CHW")}
    return Found("Keras 3 .weights.h5", _layers(records, left_out, False), layouts, "certain", left_out)


def _natural(path):
    """Return a key by which conv2d < conv2d_1 < conv2d_2 < conv2d_10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]{1,9})", path))]


def _roles(layer, arrays):
    """Return what the arrays of a layer are for, by their number and axes, or None."""
    kind, axes = re.sub(r"_[0-9]+$", "", layer), [len(array["shape"]) for array in arrays]
    if kind in _OTHER_CLASSES or any(array["dtype"] not in hdf5.READABLE for array in arrays):
        return None
    if axes == [1, 1, 1, 1]:
        return list(_MOMENTS)[:4]
    if axes == [1, 1] and kind == "batch_normalization":
        return list(_MOMENTS)[2:4]
    return ["kernel", "bias"][:len(axes)] if axes in ([2], [4], [2, 1], [4, 1]) else None


# --- both ---------------------------------------------------------------------------------------------------------------
def _layers(records, left_out, theano_order):
    """Return the layers with their axes in our order; those that do not fit go to left_out."""
    layers = {}
    for name, record in records.items():
        kernel, bias = record.get("kernel"), record.get("bias")
        if kernel is None and "bias" not in record:
            layer = {_MOMENTS[role]: array for role, array in record.items()}
            shapes = {array.shape for array in layer.values()}
            fits = "running_mean" in layer and len(shapes) == 1 and len(shapes.pop()) == 1
        elif kernel is None or len(kernel.shape) not in (2, 4) or set(record) - {"kernel", "bias"}:
            layer, fits = {}, False
        else:
            axes = (1, 0) if len(kernel.shape) == 2 else (0, 1, 2, 3) if theano_order else (3, 2, 0, 1)
            layer = {"weight": kernel.transpose(*axes)}
            if bias is not None:
                layer["bias"] = bias
            fits = bias is None or bias.shape == layer["weight"].shape[:1]
        if fits:
            layers[name] = layer
        else:
            shapes = {role: array.shape for role, array in record.items()}
            left_out.append(f"{name[:100]} (its weights are {reprlib.repr(shapes)})")
    return layers
