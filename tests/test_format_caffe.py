"""Caffe's files, and the wire format below them: good ones give the very weights, damaged ones a WeightsError at once."""
import io
import struct
import time

import numpy as np
import pytest
from foreign_weights import FOLDER, weights

from minicnn.errors import WeightsError
from minicnn.formats import caffe, onnx, protobuf
from minicnn.formats.source import Source, opened

GOLDENS = ["caffe.caffemodel", "caffe_v1.caffemodel"]
OTHERS = [b"", b"\n", b"PK\x03\x04" + bytes(60), b"\x89HDF\r\n\x1a\n" + bytes(60), b"\x80\x02}q\x00.", b'{"layers": []}' * 9,
          b'name: "VGG"\nlayer { name: "conv1" }\n', bytes(200), b"\xff" * 200, b"\n\x03VGG", b"\n\x03VGG\x12\x00"]


# --- a writer of the wire format ------------------------------------------------------------------------------------
def varint(number):
    data = b""
    number %= 2**64
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def field(number, value):
    """A field with an int, a text, bytes, or floats as one packed row."""
    if isinstance(value, int):
        return varint(8 * number) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, np.ndarray):
        value = value.tobytes()
    return varint(8 * number + 2) + varint(len(value)) + value


def blob(array, data=None, shape=None):
    """A BlobProto; `data` and `shape`: its fields if not the usual ones."""
    return ((field(7, field(1, b"".join(map(varint, array.shape)))) if shape is None else shape) +
            (field(5, array.astype("<f4")) if data is None else data))


def layer(name, kind, *blobs, more=b""):
    return field(100, field(1, name) + field(2, kind) + b"".join(field(7, b) for b in blobs) + more)


def v1_layer(name, kind, *blobs):
    return field(2, field(2, "below") + field(4, name) + field(5, kind) + b"".join(field(6, b) for b in blobs))


def source(data):
    return Source(io.BytesIO(data), "a.caffemodel")


FILTERS = np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3)
MATRIX, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.5, -2], np.float32)
CONV = layer("conv1", "Convolution", blob(FILTERS), blob(BIAS))


# --- good files -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name):
    with opened(FOLDER / name) as file:
        assert caffe.recognises(file) and not onnx.recognises(file) and not caffe.recognises_mean(file)
        found = caffe.read(file)
        assert list(found.layers) == list(weights()) and found.left_out == ["data (Data)", "loss (SoftmaxWithLoss)"]
        for layer_name, (weight, bias) in weights().items():
            arrays = found.layers[layer_name]
            assert list(arrays) == ["weight", "bias"]
            for array, expected in ((arrays["weight"].read(), weight), (arrays["bias"].read(), bias)):
                assert array.dtype == np.float32 and array.shape == expected.shape and np.array_equal(array, expected)
    layout = found.layouts["caffe"]
    assert found.certainty == "certain" and list(found.layouts) == ["caffe"] and found.format == "caffe"
    assert layout.map_axes == "CHW" and not layout.rotated and not layout.width_first and layout.preprocessing == {}


def test_other_files_are_not_recognised():
    for data in (*OTHERS, (FOLDER / "onnx.onnx").read_bytes(), (FOLDER / "mean.binaryproto").read_bytes()):
        assert not caffe.recognises(source(data))
    for data in (*OTHERS, (FOLDER / "onnx.onnx").read_bytes(), (FOLDER / GOLDENS[0]).read_bytes()):
        assert not caffe.recognises_mean(source(data))


@pytest.mark.parametrize("data", [
    b"".join(b"\x2d" + struct.pack("<f", x) for x in FILTERS.ravel()),                  # a float to a field
    field(5, FILTERS.ravel()[:10]) + field(5, FILTERS.ravel()[10:]),                    # packed, in two pieces
    field(5, FILTERS.ravel()[:-1]) + b"\x2d" + struct.pack("<f", FILTERS.ravel()[-1]),
    field(8, FILTERS.ravel().astype("<f8"))], ids=["unpacked", "pieces", "mixed", "double"])
@pytest.mark.parametrize("shape", [
    None, b"".join(field(i, n) for i, n in enumerate(FILTERS.shape, start=1)),
    field(7, b"".join(field(1, n) for n in FILTERS.shape))], ids=["packed shape", "old shape", "unpacked shape"])
def test_spellings_of_a_blob(data, shape):
    found = caffe.read(source(field(1, "net") + layer("conv1", "Convolution", blob(FILTERS, data, shape), blob(BIAS))))
    assert np.array_equal(found.layers["conv1"]["weight"].read(), FILTERS)
    assert np.array_equal(found.layers["conv1"]["bias"].read(), BIAS)


def test_matrices_and_their_old_shapes():
    old = blob(MATRIX, shape=field(1, 1) + field(2, 1) + field(3, 2) + field(4, 3))
    old_bias = blob(BIAS, shape=field(1, 1) + field(2, 1) + field(3, 1) + field(4, 2))
    turned = layer("fc", "InnerProduct", blob(MATRIX.T), blob(BIAS), more=field(117, field(6, 1)))
    for data in (v1_layer("fc", 14, old, old_bias), layer("fc", "InnerProduct", blob(MATRIX), blob(BIAS)), turned):
        arrays = caffe.read(source(data)).layers["fc"]
        assert np.array_equal(arrays["weight"].read(), MATRIX) and np.array_equal(arrays["bias"].read(), BIAS)
    arrays = caffe.read(source(layer("fc", "InnerProduct", blob(MATRIX)))).layers["fc"]
    assert list(arrays) == ["weight"]


def test_other_layers_are_left_out():
    data = (layer("train", "ImageData") + CONV + layer("bn1", "BatchNorm", blob(BIAS), blob(BIAS), blob(BIAS[:1])) +
            layer("relu1", "ReLU") + layer("up", "Deconvolution", blob(FILTERS)) + layer("top1", "Accuracy") +
            layer("conv2", "Convolution") + layer("loss", "EuclideanLoss"))
    found = caffe.read(source(data))
    assert list(found.layers) == ["conv1"]
    assert found.left_out == ["train (ImageData)", "bn1 (BatchNorm)", "up (Deconvolution)", "top1 (Accuracy)",
                              "conv2 (Convolution)", "loss (EuclideanLoss)"]
    data = v1_layer("up", 39, blob(FILTERS)) + v1_layer("c", 4, blob(FILTERS)) + v1_layer("x", 77, blob(BIAS))
    found = caffe.read(source(data))
    assert list(found.layers) == ["c"] and found.left_out == ["up (Deconvolution)", "x (type 77)"]


def test_a_file_as_long_as_vgg19_is_walked_at_once(tmp_path):
    """The numbers are not read: the file consists of a few headers and 575 MB that take no place on the disk."""
    with open(tmp_path / "vgg.caffemodel", "wb") as file:
        size, shape = 4 * 4096 * 25088, field(7, field(1, varint(4096) + varint(25088)))
        row = varint(8 * 5 + 2) + varint(size)
        matrix = varint(8 * 7 + 2) + varint(len(shape) + len(row) + size) + shape + row
        start = field(1, "fc6") + field(2, "InnerProduct") + matrix
        file.write(varint(8 * 100 + 2) + varint(len(start) + size) + start)
        file.truncate(file.tell() + size)
        file.seek(0, 2)
        file.write(CONV)
    began = time.monotonic()
    with opened(tmp_path / "vgg.caffemodel") as file:
        assert caffe.recognises(file)
        found = caffe.read(file)
        assert found.layers["fc6"]["weight"].shape == (4096, 25088)
        assert np.array_equal(found.layers["conv1"]["weight"].read(), FILTERS)
    assert time.monotonic() - began < 1


def test_mean():
    with opened(FOLDER / "mean.binaryproto") as file:
        assert caffe.recognises_mean(file) and not caffe.recognises(file) and not onnx.recognises(file)
        mean = caffe.read_mean(file)
    assert mean.dtype == np.float32 and np.array_equal(mean, np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 4)
    array = np.arange(12.0).reshape(3, 2, 2)
    for data in (blob(array), blob(array[None]), blob(array, field(8, array))):
        assert caffe.recognises_mean(source(data)) and np.array_equal(caffe.read_mean(source(data)), array)
        assert caffe.read_mean(source(data)).dtype == np.float32


# --- bad files ------------------------------------------------------------------------------------------------------
def sizes(*shape):
    return field(7, field(1, b"".join(map(varint, shape))))


BAD = {
    "2013": (field(2, field(1, field(1, "conv1") + field(2, "conv"))), "it is a file of 2013"),
    "both kinds": (CONV + v1_layer("c", 4, blob(FILTERS)), "it has layers of the old and of the new kind"),
    "same name": (CONV + CONV, "two layers are named 'conv1'"),
    "no name": (layer("", "Convolution", blob(FILTERS)), "a Convolution layer has no name"),
    "no layers": (field(1, "net"), "it has no Convolution or InnerProduct"),
    "no weights": (layer("conv1", "Convolution") + layer("relu", "ReLU"), "it has no Convolution or InnerProduct"),
    "three blobs": (layer("c", "Convolution", blob(FILTERS), blob(BIAS), blob(BIAS)), "layer 'c': it is a Convolution with 3"),
    "filters of 2-D": (layer("c", "Convolution", blob(MATRIX)), "layer 'c': its filters have the shape"),
    "matrix of 4-D": (layer("c", "InnerProduct", blob(FILTERS)), "layer 'c': its matrix has the shape"),
    "bias too long": (layer("c", "Convolution", blob(FILTERS), blob(FILTERS[0, 0, 0])), "layer 'c': its bias has the shape"),
    "bias of 2-D": (layer("c", "InnerProduct", blob(np.ones((4, 1))), blob(np.ones((2, 2)))), "layer 'c': its bias has"),
    "no shape": (layer("c", "Convolution", blob(FILTERS, shape=b"")), "layer 'c': the blob at byte"),
    "no data": (layer("c", "Convolution", blob(FILTERS, data=b"")), "layer 'c': an array of shape"),
    "too few": (layer("c", "Convolution", blob(FILTERS, data=field(5, BIAS))), "layer 'c': an array of shape"),
    "odd bytes": (layer("c", "Convolution", blob(FILTERS, data=field(5, bytes(215)) + field(5, b"\0"))), "layer 'c': an array"),
    "twice": (layer("c", "Convolution", blob(FILTERS) + field(8, FILTERS.astype("<f8"))), "layer 'c': the blob at byte"),
    "negative": (layer("c", "Convolution", blob(FILTERS, shape=sizes(-1, -54, 1, 1))), "layer 'c': an array of shape"),
    "huge": (layer("c", "Convolution", blob(FILTERS, shape=sizes(2**31, 2**31, 4, 4))), "layer 'c': an array of shape"),
    "large": (layer("c", "Convolution", blob(FILTERS, shape=sizes(2**10, 2**10, 99, 99))), "layer 'c': an array of shape"),
    "overflowing": (layer("c", "Convolution", blob(FILTERS, shape=sizes(2**32 + 2, 2**32, 2**32, 27))), "layer 'c': an array"),
    "many sizes": (layer("c", "Convolution", blob(FILTERS, shape=sizes(*[1] * 33))), "layer 'c': more than 32 numbers"),
    "long row of sizes": (layer("c", "Convolution", blob(FILTERS, shape=sizes(*[1] * 400))), "layer 'c': a row of numbers"),
    "layer is a number": (CONV + field(100, 7), "a field holds the number 7"),
    "type is a text": (field(2, field(4, "c") + field(5, "Convolution")), "a field at byte"),
    "long name": (layer("c" * 1001, "Convolution", blob(FILTERS)), "a name of 1001 bytes"),
    "many names": (layer("c" * 1000, "ReLU") * 4100, "a name of 1000 bytes"),
    "group": (CONV + b"\x0b\x0c", "a group at byte"),
    "end of group": (CONV + b"\x0c", "a group at byte"),
    "kind 6": (CONV + b"\x0e", "a field of kind 6"),
    "kind 7": (CONV + b"\x0f", "a field of kind 7"),
    "field 0": (CONV + b"\x02\x00", "field number 0 at byte"),
    "field 2**29": (CONV + varint(2**32) + b"\x00", "field number 536870912 at byte"),
    "length past the end": (CONV + varint(8 * 100 + 2) + varint(5) + b"abcd", "field 100 at byte"),
    "length past its message": (field(100, varint(10) + varint(100)) + CONV, "field 1 at byte"),
    "negative length": (CONV + varint(8 * 100 + 2) + varint(-1), "field 100 at byte"),
    "longest length": (CONV + varint(8 * 100 + 2) + varint(2**63 - 1), "field 100 at byte"),
    "endless varint": (CONV + b"\x28" + b"\xff" * 11, "a number in the field at byte"),
    "65 bits": (CONV + b"\x28" + b"\xff" * 9 + b"\x02", "a number in the field at byte"),
    "half a varint": (CONV + b"\x28\xff", "a number in the field at byte"),
    "many fields": (CONV + field(5, 1) * protobuf.MAX_FIELDS, "it has more than 100000 fields"),
    "many fields below": (layer("a", "ReLU", more=field(9, b"") * 50_000) * 2 + CONV, "it has more than 100000 fields"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    data, says = BAD[name]
    began = time.monotonic()
    caffe.recognises(source(data))
    with pytest.raises(WeightsError) as caught:
        caffe.read(source(data))
    assert str(caught.value).startswith(says) and len(str(caught.value)) < 300 and time.monotonic() - began < 2


@pytest.mark.parametrize("name", GOLDENS)
def test_cut_short(name):
    """Between two layers a file may end, as far as its bytes tell; anywhere else that is an error."""
    data, complete = (FOLDER / name).read_bytes(), 0
    ends = [0] + [part.end for _, part in protobuf.Part(source(data)).fields()]
    for length in sorted({*range(1, 120), *range(4900, 5000), *(e + i for e in ends for i in (-1, 0, 1)), len(data) // 2}):
        if not 0 < length < len(data):
            continue
        assert caffe.recognises(source(data[:length])) or length < 60
        try:
            caffe.read(source(data[:length]))
            complete += 1
            assert length in ends
        except WeightsError as error:
            assert "cut short" in str(error) or length in ends and "it has no Convolution" in str(error)
    assert complete == len(ends) - 4           # not the start, the name or the data layer alone, nor the whole file


def test_refused_means():
    array = np.ones((3, 2, 2), np.float32)
    for data, says in ((blob(np.where(np.arange(12).reshape(3, 2, 2) == 5, np.nan, array)), "the mean picture holds NaN"),
                       (blob(array[:0]), "a mean picture of shape"), (blob(np.ones((5, 2, 2))), "a mean picture of shape"),
                       (blob(np.ones((1, 4097, 1))), "a mean picture of shape"), (blob(MATRIX), "a mean picture of shape"),
                       (blob(array, shape=sizes(3, 4096, 4096)), "an array of shape"), (blob(array)[:-1], "field 5 at byte"),
                       (CONV, "the blob at byte 0 has no shape")):
        with pytest.raises(WeightsError) as caught:
            caffe.read_mean(source(data))
        assert str(caught.value).startswith(says)
        assert caffe.recognises_mean(source(data)) == ("NaN" in says)
