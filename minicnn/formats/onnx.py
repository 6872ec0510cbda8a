"""ONNX, the exchange format that PyTorch and others export: a graph in Protocol Buffers, see protobuf.py.

The fields that matter, by number:

    ModelProto        7 graph                         1 version of the format
    GraphProto        1 node, repeated                5 initializer: TensorProto, repeated
    NodeProto         1 input, 2 output: names        3 name    4 op_type, "Conv"      5 attribute, repeated
    AttributeProto    1 name                          2 f, a float    3 i    5 t, a tensor    8 ints
    TensorProto       1 dims    2 data_type           8 name    9 raw_data: the numbers as they are in memory, or
                      4 float_data  10 double_data    5 int32_data, where the bits of half floats stand
                      7 int64_data                    13, 14 the numbers are in another file

Layers have no names of their own: nodes name the tensors that they read and write. So a layer is a node "Conv", "Gemm",
"MatMul" or "BatchNormalization" whose weights are constants, and its name is that of its weights without ".weight".
A constant is an initializer, the output of a node "Constant", or one of these behind Identity, Transpose and Reshape.
Filters are (out, in / groups, height, width), as ours. A Gemm with transB=1 has its matrix (out, in), other ones (in, out).
"""
import math
import re
import reprlib
import struct

from ..errors import WeightsError
from . import protobuf
from .found import TORCHVISION, Found, Layout
from .onnx_graph import FOLLOWED, Graph, NoLayer

KINDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}     # of ModelProto: integer or bytes
MAX_SHARED = 8              # layers may share numbers; all of them together have at most this many times the file's bytes
_ENDING = re.compile(r"([._/](weight|kernel|scale|gamma)|_(w|s|scale)_0|[._/][wW]|/(Conv2D|MatMul)/ReadVariableOp)?(:0)?$")


def recognises(source):
    """Return whether the bytes are an ONNX model: a version, then plausible fields and a graph with a node."""
    version = False
    try:
        for count, (number, value) in enumerate(protobuf.Part(source, 0, protobuf.ANY_END).fields()):
            if count >= 64 or KINDS.get(number) != (0 if isinstance(value, int) else 2):
                return False
            version = version or number == 1 and value < 1000
            if number == 7:
                first = next(value.fields(), (0, 0))
                return version and first[0] in (1, 2, 5, 10, 11, 12, 13, 15) and isinstance(first[1], protobuf.Part)
    except WeightsError:
        pass
    return False


def read(source):
    """Return the Found of a model: weight and bias of Conv, Gemm and MatMul nodes, also running_mean and running_var of
    BatchNormalization, in the nodes' order. `left_out` names other nodes that read weights, and why a layer is not there.
    Whether pictures are red, green, blue or the other way round is not in the file: both are in `layouts`."""
    model = protobuf.collect(protobuf.Part(source), {"graph": 7})
    if len(model["graph"]) != 1:
        raise WeightsError(f"it holds {len(model['graph'])} graphs, expected one; it is damaged or not an ONNX model")
    graph = Graph(protobuf.parts(model["graph"])[0])
    layers, left_out, origins, axes = {}, [], [], None
    for node in graph.nodes:
        try:
            arrays = LAYERS[node["op"]](graph, node) if node["op"] in LAYERS else None
        except NoLayer as reason:
            left_out.append(f"{node['label']} ({node['op']}: {reason})")
            continue
        if arrays:
            origins.append(graph.follow(node["inputs"][1])[0])
            layers[_layer_name(origins[-1], node, layers)] = arrays
            if node["op"] in ("Gemm", "MatMul"):
                axes = axes or graph.map_axes(node)
        elif node["op"] not in FOLLOWED and node["index"] not in graph.biases and any(map(graph.has_weights, node["inputs"])):
            left_out.append(f"{node['label']} ({node['op']})")
    if not layers:
        raise WeightsError("it has no Conv, Gemm, MatMul or BatchNormalization with weights in the file; "
                           f"left out are {reprlib.repr(left_out)}")
    numbers = sum(math.prod(array.shape) * array.dtype.itemsize for arrays in layers.values() for array in arrays.values())
    if numbers > MAX_SHARED * source.size:
        raise WeightsError(f"its layers share their numbers so often that they need {numbers} bytes of a file of {source.size}")
    return Found("onnx", layers, _layouts(origins, axes or "CHW"), "likely", left_out)


def _layouts(origins, axes):
    rgb, bgr = Layout(axes, preprocessing=TORCHVISION), Layout(axes)
    if any(name.endswith("_w_0") for name in origins):          # a network of Caffe, which came by way of Caffe2
        return {"bgr": bgr, "rgb": rgb}
    return {"rgb": rgb, "bgr": bgr}


def _layer_name(origin, node, taken):
    short = _ENDING.sub("", origin)
    if origin.startswith("onnx::") or short in taken:           # PyTorch's "onnx::Conv_12": folded and renamed weights
        short = ""
    for name in (short, node["name"], node["label"]):
        if name and name not in taken:
            return name
    raise WeightsError(f"two layers are named {reprlib.repr(node['label'])}, expected a name of its own for each; it is damaged")


# --- nodes that are layers ------------------------------------------------------------------------------------------
def _conv(graph, node):
    weight = graph.weights(node, 1)
    if len(weight.shape) != 4:
        raise NoLayer(f"filters of shape {weight.shape}, expected four sizes")
    return _with_bias(graph, node, weight, (weight.shape[0], 1, 1))


def _gemm(graph, node):
    for name in ("alpha", "beta"):
        for value in protobuf.parts(graph.attribute(node, name)["f"]):
            if value.read() != struct.pack("<f", 1):
                raise NoLayer(f"{name} is not 1")
    if protobuf.integer(graph.attribute(node, "transA")["i"]):
        raise NoLayer("transA is set")
    weight = _matrix(graph.weights(node, 1))
    transposed = protobuf.integer(graph.attribute(node, "transB")["i"])
    return _with_bias(graph, node, weight if transposed else weight.transpose(1, 0), None)


def _matmul(graph, node):
    weight = _matrix(graph.weights(node, 1)).transpose(1, 0)
    return _with_bias(graph, {**node, "inputs": node["inputs"][:2]}, weight, weight.shape[:1])


def _batch_norm(graph, node):
    return {name: _vector(graph.weights(node, i), None)
            for i, name in enumerate(("weight", "bias", "running_mean", "running_var"), start=1)}


LAYERS = {"Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm}


def _matrix(weight):
    if len(weight.shape) != 2:
        raise NoLayer(f"a matrix of shape {weight.shape}, expected two sizes")
    return weight


def _vector(array, length):
    """Return an array of shape (n,), (1, n) or the like as (n,)."""
    count = math.prod(array.shape)
    if max(array.shape, default=1) != count or length not in (None, count):
        raise NoLayer(f"a vector of shape {array.shape}" + (f", expected ({length},)" if length else ""))
    return array.reshape(count)


def _with_bias(graph, node, weight, added_shape):
    """Return the arrays of a layer; a constant of `added_shape` that a node "Add" adds right behind it is a bias as well."""
    if node["inputs"][2:] and node["inputs"][2]:
        return {"weight": weight, "bias": _vector(graph.weights(node, 2), weight.shape[0])}
    behind = graph.readers.get(node["outputs"][0], []) if node["outputs"] else []
    if added_shape and len(behind) == 1 and behind[0]["op"] == "Add" and len(behind[0]["inputs"]) == 2:
        other = behind[0]["inputs"][behind[0]["inputs"][0] == node["outputs"][0]]
        bias = graph.constant(other)
        if bias and bias.shape[-len(added_shape):] == added_shape and math.prod(bias.shape) == weight.shape[0]:
            graph.biases.add(behind[0]["index"])
            return {"weight": weight, "bias": bias.reshape(weight.shape[0])}
    return {"weight": weight}
