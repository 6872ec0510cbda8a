"""The graph in an ONNX file: its nodes, its constants, and the numbers of its tensors. See onnx.py for the format."""
import math
import reprlib

from ..errors import WeightsError
from . import protobuf
from .source import Stored, bfloat16, checked_shape

GRAPH = {"node": 1, "initializer": 5}
NODE = {"input": 1, "output": 2, "name": 3, "op_type": 4, "attribute": 5}
ATTRIBUTE = {"name": 1, "f": 2, "i": 3, "t": 5, "ints": 8}
TENSOR = {"dims": 1, "data_type": 2, "segment": 3, "float_data": 4, "int32_data": 5, "int64_data": 7, "name": 8, "raw_data": 9,
          "double_data": 10, "external_data": 13, "data_location": 14}
FLOAT, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 7, 10, 11, 16
RAW = {FLOAT: "<f4", FLOAT16: "<f2", DOUBLE: "<f8", BFLOAT16: "<u2"}
MAX_NODES = 20_000          # and as many initializers
MAX_STEPS = 16              # of these nodes that are followed from a layer to its weights
FOLLOWED = ("Identity", "Transpose", "Reshape")


class NoLayer(Exception):
    """A node that has the type of a layer, but no weights that could be read as a layer's."""


class Graph:
    """The nodes of a graph, who makes and who reads each tensor, and the tensors that are constants."""

    def __init__(self, part):
        fields = protobuf.collect(part, GRAPH)
        if max(len(fields["node"]), len(fields["initializer"])) > MAX_NODES:
            raise WeightsError(f"it has {len(fields['node'])} nodes and {len(fields['initializer'])} initializers; expected at "
                               f"most {MAX_NODES}")
        self.initializers = {}              # name: a Part, looked into when a layer asks for it
        for tensor in protobuf.parts(fields["initializer"]):
            name = protobuf.text(protobuf.collect(tensor, {"name": TENSOR["name"]})["name"])
            if name in self.initializers:
                raise WeightsError(f"two of its tensors are named {reprlib.repr(name)}; it is damaged")
            self.initializers[name] = tensor
        self.nodes = [_node(node, index) for index, node in enumerate(protobuf.parts(fields["node"]))]
        self.makers = {name: node for node in self.nodes for name in node["outputs"]}
        self.readers, self.biases = {}, set()           # biases: the nodes "Add" that are part of a layer
        for node in self.nodes:
            for name in node["inputs"]:
                self.readers.setdefault(name, []).append(node)

    def attribute(self, node, name):
        """Return the values of an attribute, {"i": [], "f": [], ...} if the node has none of that name."""
        for part in protobuf.parts(node["attributes"]):
            fields = protobuf.collect(part, ATTRIBUTE)
            if protobuf.text(fields["name"]) == name:
                return fields
        return {key: [] for key in ATTRIBUTE}

    def follow(self, name):
        """Return (name of a constant, its tensor's Part, the nodes between it and tensor `name`), or None."""
        passed = []
        for _ in range(MAX_STEPS):
            node = self.makers.get(name)
            if name in self.initializers:
                return name, self.initializers[name], passed
            if node and node["op"] == "Constant":
                value = protobuf.parts(self.attribute(node, "value")["t"])
                return (name, value[-1], passed) if value else None
            if not node or node["op"] not in FOLLOWED or not node["inputs"]:
                return None
            passed.insert(0, node)
            name = node["inputs"][0]
        return None

    def has_weights(self, name):
        """Return whether a tensor is a constant of several floating-point numbers."""
        found = self.follow(name)
        if not found:
            return False
        fields = protobuf.collect(found[1], TENSOR)
        return protobuf.integer(fields["data_type"]) in RAW and math.prod(_dims(fields)) > 1

    def weights(self, node, i):
        """Return the Stored of a node's input number i."""
        if len(node["inputs"]) <= i:
            raise NoLayer(f"it has {len(node['inputs'])} inputs")
        stored = self.constant(node["inputs"][i])
        if stored is None:
            raise NoLayer(f"{reprlib.repr(node['inputs'][i])} is computed or comes from outside, expected a constant")
        return stored

    def constant(self, name):
        """Return the Stored of a constant, None for other tensors."""
        found = self.follow(name)
        if not found:
            return None
        origin, part, passed = found
        stored = _floats(origin, part)
        for node in passed:
            if node["op"] == "Transpose":
                axes = protobuf.integers(self.attribute(node, "perm")["ints"], 8) or list(range(len(stored.shape)))[::-1]
                if sorted(axes) != list(range(len(stored.shape))):
                    raise WeightsError(f"node {reprlib.repr(node['label'])} transposes {stored.shape} by {axes}; it is damaged")
                stored = stored.transpose(*axes)
            elif node["op"] == "Reshape":
                stored = stored.reshape(*self._new_shape(node, stored.shape))
        return stored

    def _new_shape(self, node, shape):
        """Return the shape that a Reshape gives: 0 keeps a size, -1 stands for what is left."""
        new = protobuf.integers(self.attribute(node, "shape")["ints"], 8)           # before version 5
        if not new and len(node["inputs"]) == 2:
            found = self.follow(node["inputs"][1])
            if not found or found[2]:
                raise NoLayer("the shape of its weights is computed")
            new = _integers(found[1])
        new = [shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(new)]
        known = math.prod(size for size in new if size != -1)
        return checked_shape([math.prod(shape) // max(1, known) if size == -1 else size for size in new])

    def map_axes(self, node):
        """Return "HWC" if a matrix reads a map whose channels were moved to the end, else "CHW"."""
        for _ in range(MAX_STEPS):
            node = self.makers.get(node["inputs"][0]) if node["inputs"] else None
            if not node or node["op"] not in (*FOLLOWED, "Flatten", "Squeeze", "Dropout"):
                break
            if node["op"] == "Transpose":
                return "HWC" if protobuf.integers(self.attribute(node, "perm")["ints"], 8) == [0, 2, 3, 1] else "CHW"
        return "CHW"


def _node(part, index):
    fields = protobuf.collect(part, NODE)
    name, op = protobuf.text(fields["name"]), protobuf.text(fields["op_type"])
    return {"index": index, "op": op, "name": name, "label": name or f"{op}_{index}", "inputs": protobuf.texts(fields["input"]),
            "outputs": protobuf.texts(fields["output"]), "attributes": fields["attribute"]}


# --- tensors --------------------------------------------------------------------------------------------------------
def _dims(fields):
    return checked_shape(protobuf.integers(fields["dims"], 8))


def _floats(name, part):
    """Return the Stored of a TensorProto of floating-point numbers."""
    fields = protobuf.collect(part, TENSOR)
    shape, kind, name = _dims(fields), protobuf.integer(fields["data_type"]), reprlib.repr(name)
    if fields["external_data"] or protobuf.integer(fields["data_location"]):
        raise WeightsError(f"the numbers of tensor {name} are in another file; save the model as one file, with "
                           "save_as_external_data=False")
    if kind not in RAW:
        raise NoLayer(f"weights of data type {kind}, expected {FLOAT}, {FLOAT16}, {DOUBLE} or {BFLOAT16}: floating point")
    if fields["segment"]:
        raise WeightsError(f"tensor {name} is cut into segments; save the model again, each tensor in one piece")
    typed = fields[{FLOAT: "float_data", DOUBLE: "double_data"}.get(kind, "int32_data")]
    if fields["raw_data"] and typed:
        raise WeightsError(f"tensor {name} has its numbers twice, raw and typed; it is damaged")
    try:
        if kind in (FLOAT, DOUBLE):
            return protobuf.array(fields["raw_data"][-1:] or typed, shape, RAW[kind])
        bits = protobuf.array_of_varints(typed, shape) if typed else protobuf.array(fields["raw_data"][-1:], shape, "<u2")
    except WeightsError as error:
        raise WeightsError(f"tensor {name}: {error}") from None
    return bfloat16(bits) if kind == BFLOAT16 else Stored(shape, "<f2", lambda: bits.read().view("<f2"))


def _integers(part):
    """Return the numbers of a TensorProto of int64, a shape."""
    fields = protobuf.collect(part, TENSOR)
    if protobuf.integer(fields["data_type"]) != INT64 or math.prod(_dims(fields)) > 8:
        raise WeightsError(f"the shape at byte {part.start} is no row of up to 8 integers; it is damaged")
    if fields["raw_data"]:
        return protobuf.array(fields["raw_data"][-1:], _dims(fields), "<i8").read().ravel().tolist()
    return protobuf.integers(fields["int64_data"], 8)
