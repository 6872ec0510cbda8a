"""Caffe's `.caffemodel` (weights) and `.binaryproto` (a mean picture): messages of Protocol Buffers, see protobuf.py.

The fields that matter, by number; a file of 2014 or older has the second kind of layer (VGG's, for one):

    NetParameter        100 layer: LayerParameter, repeated          2 layers: V1LayerParameter, repeated
    LayerParameter      1 name   2 type, a text                      7 blobs, repeated   117 inner product: 6 transpose
    V1LayerParameter    4 name   5 type, a number of V1_TYPES        6 blobs, repeated   1 a layer of 2013, "V0"
    BlobProto           7 shape: 1 dim, repeated                     1 num  2 channels  3 height  4 width: the older shape
                        5 data, packed floats                        8 double_data       (6, 9 the gradients)

A Convolution has the blobs (out, in / groups, height, width) and (out), an InnerProduct (out, in) and (out); in the older
shape (1, 1, out, in) and (1, 1, 1, out). Matrices read maps in the order channel, row, column. The layers of training, data
and losses, may be there too, and each network says itself what it subtracts from pictures, in the order blue, green, red.
"""
import math
import reprlib

import numpy as np

from ..errors import WeightsError
from . import protobuf
from .found import Found, Layout
from .source import checked_shape

NET = {"layer": 100, "layers": 2}
LAYER = {"name": 1, "type": 2, "blobs": 7, "inner_product": 117}
V1_LAYER = {"v0": 1, "name": 4, "type": 5, "blobs": 6}
BLOB = {"num": 1, "channels": 2, "height": 3, "width": 4, "data": 5, "shape": 7, "double_data": 8}
V1_TYPES = {1: "Accuracy", 4: "Convolution", 5: "Data", 7: "EuclideanLoss", 9: "HDF5Data", 12: "ImageData", 13: "InfogainLoss",
            14: "InnerProduct", 16: "MultinomialLogisticLoss", 21: "SoftmaxWithLoss", 24: "WindowData",
            27: "SigmoidCrossEntropyLoss", 28: "HingeLoss", 29: "MemoryData", 32: "DummyData", 37: "ContrastiveLoss",
            39: "Deconvolution"}
MAX_MEAN_SIDE = 512


def recognises(source):
    """Return whether the bytes are a caffemodel: a few plausible fields and then a layer that has a name."""
    expected = {1: protobuf.Part, 2: protobuf.Part, 3: protobuf.Part, 5: int, 6: protobuf.Part, 7: int, 8: protobuf.Part,
                100: protobuf.Part}
    try:
        for count, (number, value) in enumerate(protobuf.Part(source, 0, protobuf.ANY_END).fields()):
            if count >= 64 or number not in (*expected, 4) or not isinstance(value, expected.get(number, object)):
                return False
            if number in (1, 3) and not value.text().isprintable():
                return False
            if number in (2, 100):
                return _is_layer(value, v1=number == 2)
    except (WeightsError, UnicodeError):
        pass
    return False


def _is_layer(part, v1):
    name = type_ = None
    for count, (number, value) in enumerate(part.fields()):
        if v1 and number == 1 and isinstance(value, protobuf.Part):
            return _is_layer(value, v1=False)           # of 2013: `read` tells what to do
        if number == (4 if v1 else 1) and isinstance(value, protobuf.Part):
            name = value.text()
        if number == (5 if v1 else 2) and isinstance(value, int if v1 else protobuf.Part):
            type_ = str(value) if v1 else value.text()
        if name and type_:
            return name.isprintable() and type_.isprintable()
        if count >= 64:
            break
    return False


def read(source):
    """Return the Found of a caffemodel: its Convolution and InnerProduct layers; `left_out` names others that have
    blobs, and those of data, losses and accuracy, each with its type."""
    net = protobuf.collect(protobuf.Part(source), NET)
    if net["layer"] and net["layers"]:
        raise WeightsError("it has layers of the old and of the new kind; expected one kind, the file is damaged")
    layers, left_out = {}, []
    for part in protobuf.parts(net["layer"] or net["layers"]):
        name, kind, blobs, transposed = _layer(part, v1=bool(net["layers"]))
        if kind in ("Convolution", "InnerProduct") and blobs:
            if not name or name in layers:
                raise WeightsError((f"two layers are named {reprlib.repr(name)}" if name else f"a {kind} layer has no name") +
                                   ", expected a name of its own for each layer with weights; it is damaged")
            try:
                layers[name] = _arrays(kind, blobs, transposed)
            except WeightsError as error:
                raise WeightsError(f"layer {reprlib.repr(name)}: {error}") from None
        elif blobs or kind in ("Convolution", "InnerProduct", "Accuracy") or kind.endswith(("Data", "Loss", "WithLoss")):
            left_out.append(f"{name} ({kind})")
    if not layers:
        raise WeightsError("it has no Convolution or InnerProduct layer with weights; give a .caffemodel, which training wrote")
    return Found("caffe", layers, {"caffe": Layout()}, left_out=left_out)


def _layer(part, v1):
    """Return (name, type, blobs, whether its matrix is transposed)."""
    fields = protobuf.collect(part, V1_LAYER if v1 else LAYER)
    if v1 and fields["v0"]:
        raise WeightsError("it is a file of 2013 (layers inside layers); convert it with Caffe's upgrade_net_proto_binary")
    name, transposed = protobuf.text(fields["name"]), False
    if v1:
        number = protobuf.integer(fields["type"])
        kind = V1_TYPES.get(number, f"type {number}")
    else:
        kind = protobuf.text(fields["type"])
        for options in protobuf.parts(fields["inner_product"]):
            transposed = bool(protobuf.integer(protobuf.collect(options, {"transpose": 6})["transpose"], transposed))
    return name, kind, protobuf.parts(fields["blobs"]), transposed


def _arrays(kind, blobs, transposed):
    if len(blobs) > 2:
        raise WeightsError(f"it is a {kind} with {len(blobs)} blobs, expected weights and perhaps a bias")
    weight, *bias = [_blob(part) for part in blobs]
    shape = weight.shape
    if kind == "Convolution" and len(shape) != 4:
        raise WeightsError(f"its filters have the shape {shape}, expected (out, in / groups, height, width)")
    if kind == "InnerProduct":
        if len(shape) == 4 and shape[:2] == (1, 1):
            weight = weight.reshape(*shape[2:])
        elif len(shape) != 2:
            raise WeightsError(f"its matrix has the shape {shape}, expected (out, in) or (1, 1, out, in)")
        weight = weight.transpose(1, 0) if transposed else weight
    arrays = {"weight": weight}
    for blob in bias:
        if math.prod(blob.shape[:-1]) != 1 or math.prod(blob.shape) != weight.shape[0]:
            raise WeightsError(f"its bias has the shape {blob.shape}, expected ({weight.shape[0]},), or ones before it")
        arrays["bias"] = blob.reshape(weight.shape[0])
    return arrays


def _blob(part):
    """Return the Stored of a BlobProto."""
    fields = protobuf.collect(part, BLOB)
    if fields["data"] and fields["double_data"]:
        raise WeightsError(f"the blob at byte {part.start} has its numbers twice, as floats and as doubles; it is damaged")
    old = [fields[name] for name in ("num", "channels", "height", "width")]
    if fields["shape"]:
        shape = protobuf.integers(protobuf.collect(protobuf.parts(fields["shape"])[-1], {"dim": 1})["dim"], 32)
    elif any(old):
        shape = [protobuf.integer(size) for size in old]
    else:
        raise WeightsError(f"the blob at byte {part.start} has no shape; it is damaged")
    if fields["double_data"]:
        return protobuf.array(fields["double_data"], shape, "<f8")
    return protobuf.array(fields["data"], shape, "<f4")


# --- mean pictures --------------------------------------------------------------------------------------------------
def recognises_mean(source):
    """Return whether the bytes are a mean picture: one blob, whose numbers are as many as its shape says."""
    try:
        for count, (number, value) in enumerate(protobuf.Part(source).fields()):
            if count >= 64 or number > 9 or isinstance(value, int) != (number < 5):
                return False
        _mean(source)
        return True
    except WeightsError:
        return False


def read_mean(source):
    """Return the mean picture of a `.binaryproto` as float32 (channels, height, width), channels blue, green, red."""
    mean = _mean(source).read().astype(np.float32, copy=False)
    if not np.isfinite(mean).all():
        raise WeightsError("the mean picture holds NaN or infinite numbers; expected values from 0 to 255, get the file again")
    return mean


def _mean(source):
    blob = _blob(protobuf.Part(source))
    shape = checked_shape(blob.shape)
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 3 or not 1 <= shape[0] <= 4 or not all(1 <= side <= MAX_MEAN_SIDE for side in shape[1:]):
        raise WeightsError(f"a mean picture of shape {blob.shape}; expected (channels, height, width), up to 4 channels and "
                           f"{MAX_MEAN_SIDE} to a side")
    return blob.reshape(*shape)
