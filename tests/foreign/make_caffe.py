"""Write caffe.caffemodel, caffe_v1.caffemodel and mean.binaryproto: `python tests/foreign/make_caffe.py`.

The protobuf library writes them from descriptions made here, with the fields of Caffe's caffe.proto that such files have.
"""
import sys
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights  # noqa: E402

FIELD = descriptor_pb2.FieldDescriptorProto
MESSAGES = {        # field: (number, type, repeated, packed); a type in quotes is a message
    "BlobShape": {"dim": (1, FIELD.TYPE_INT64, True, True)},
    "BlobProto": {"num": (1, FIELD.TYPE_INT32, False, False), "channels": (2, FIELD.TYPE_INT32, False, False),
                  "height": (3, FIELD.TYPE_INT32, False, False), "width": (4, FIELD.TYPE_INT32, False, False),
                  "data": (5, FIELD.TYPE_FLOAT, True, True), "shape": (7, "BlobShape", False, False)},
    "LayerParameter": {"name": (1, FIELD.TYPE_STRING, False, False), "type": (2, FIELD.TYPE_STRING, False, False),
                       "bottom": (3, FIELD.TYPE_STRING, True, False), "top": (4, FIELD.TYPE_STRING, True, False),
                       "blobs": (7, "BlobProto", True, False), "phase": (10, FIELD.TYPE_INT32, False, False)},
    "V1LayerParameter": {"bottom": (2, FIELD.TYPE_STRING, True, False), "top": (3, FIELD.TYPE_STRING, True, False),
                         "name": (4, FIELD.TYPE_STRING, False, False), "type": (5, FIELD.TYPE_INT32, False, False),
                         "blobs": (6, "BlobProto", True, False), "blobs_lr": (7, FIELD.TYPE_FLOAT, True, False)},
    "NetParameter": {"name": (1, FIELD.TYPE_STRING, False, False), "layers": (2, "V1LayerParameter", True, False),
                     "layer": (100, "LayerParameter", True, False)},
}
CHAIN = ("data", "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "pool3", "fc", "loss")
TYPES = {"data": ("Data", 5), "conv": ("Convolution", 4), "relu": ("ReLU", 18), "pool": ("Pooling", 17),
         "fc": ("InnerProduct", 14), "loss": ("SoftmaxWithLoss", 21)}


def messages():
    """Return {name: message class}."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated, packed) in fields.items():
            made = message.field.add(name=field, number=number, label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                made.type = kind
            if packed:
                made.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in MESSAGES}


def legacy_shape(blob, shape):
    """Give a blob the four sizes of the older files."""
    blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - len(shape)) + tuple(shape)


def network(v1):
    net = messages()["NetParameter"](name="convnetjs_cifar10")
    for below, name in zip((None, *CHAIN), CHAIN):
        layer = (net.layers if v1 else net.layer).add(name=name, type=TYPES[name.rstrip("0123456789")][v1], top=[name])
        layer.bottom.extend([below] if below else [])
        for array in weights().get(name, ()):
            blob = layer.blobs.add()
            blob.data.extend(array.ravel())
            if v1:
                legacy_shape(blob, array.shape)
            else:
                blob.shape.dim.extend(array.shape)
        if v1 and layer.blobs:
            layer.blobs_lr.extend([1, 2])
    return net.SerializeToString(deterministic=True)


def mean():
    blob = messages()["BlobProto"]()
    blob.data.extend(np.arange(60) / 4)
    legacy_shape(blob, (3, 4, 5))
    return blob.SerializeToString(deterministic=True)


if __name__ == "__main__":
    (FOLDER / "caffe.caffemodel").write_bytes(network(v1=False))
    (FOLDER / "caffe_v1.caffemodel").write_bytes(network(v1=True))
    (FOLDER / "mean.binaryproto").write_bytes(mean())
