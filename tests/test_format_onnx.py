"""ONNX files: the layers of a graph in the spellings of several writers, and damaged graphs refused."""
import io
import struct

import numpy as np
import pytest
from foreign_weights import FOLDER, weights
from test_format_caffe import OTHERS, field, varint
from test_format_numpy import fair_seconds

from minicnn.errors import WeightsError
from minicnn.formats import caffe, onnx, onnx_graph, protobuf
from minicnn.formats.source import Source, opened

GOLDENS = ["onnx.onnx", "onnx_float_data.onnx"]
FILTERS = np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3)
MATRIX, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.5, -2], np.float32)
DATA_TYPES = {"f4": 1, "f2": 10, "f8": 11, "i8": 7, "i1": 3}


# --- a writer of graphs ---------------------------------------------------------------------------------------------
def tensor_fields(array, data=None, kind=None):
    """A TensorProto without its name; `data` and `kind`: its numbers and their type if not the usual ones."""
    return (b"".join(field(1, n) for n in array.shape) + field(2, kind or DATA_TYPES[array.dtype.str[1:]]) +
            (field(9, np.ascontiguousarray(array)) if data is None else data))


def tensor(name, array, data=None, kind=None):
    return field(5, tensor_fields(array, data, kind) + field(8, name))


def node(op, inputs, outputs, *attributes, name=""):
    return field(1, b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(3, name) +
                 field(4, op) + b"".join(field(5, a) for a in attributes))


def attribute(name, value):
    """An AttributeProto with an int, a float, a list of ints or a tensor's bytes."""
    if isinstance(value, float):
        return field(1, name) + b"\x15" + struct.pack("<f", value)
    if isinstance(value, list):
        return field(1, name) + b"".join(field(8, i) for i in value)
    return field(1, name) + field(5 if isinstance(value, bytes) else 3, value)


def source(*fields):
    return Source(io.BytesIO(field(1, 7) + field(2, "tests") + field(7, b"".join(fields)) + field(8, field(2, 13))), "a.onnx")


def read(*fields):
    return onnx.read(source(*fields))


def assert_layer(found, name, **arrays):
    assert list(found.layers[name]) == list(arrays)
    for key, expected in arrays.items():
        array = found.layers[name][key].read()
        assert array.shape == found.layers[name][key].shape == expected.shape and np.array_equal(array, expected)


CONV = node("Conv", ["x", "conv1.weight", "conv1.bias"], ["y"]) + tensor("conv1.weight", FILTERS) + tensor("conv1.bias", BIAS)


# --- good files -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name):
    with opened(FOLDER / name) as file:
        assert onnx.recognises(file) and not caffe.recognises(file) and not caffe.recognises_mean(file)
        found = onnx.read(file)
        assert list(found.layers) == list(weights()) and found.left_out == []
        for layer_name, (weight, bias) in weights().items():
            assert_layer(found, layer_name, weight=weight, bias=bias)
            assert found.layers[layer_name]["weight"].dtype == np.float32
    assert found.format == "onnx" and found.certainty == "likely" and list(found.layouts) == ["rgb", "bgr"]
    assert found.layouts["bgr"].preprocessing == {} and found.layouts["rgb"].preprocessing["std"] == (0.229, 0.224, 0.225)
    assert {layout.map_axes for layout in found.layouts.values()} == {"CHW"}


def test_other_files_are_not_recognised():
    caffe_files = ("caffe.caffemodel", "caffe_v1.caffemodel", "mean.binaryproto")
    for data in (*OTHERS, *((FOLDER / name).read_bytes() for name in caffe_files)):
        assert not onnx.recognises(Source(io.BytesIO(data), "a"))
    assert not onnx.recognises(Source(io.BytesIO(field(1, 7)), "a"))
    assert not onnx.recognises(Source(io.BytesIO(field(7, CONV)), "a"))


@pytest.mark.parametrize("kind, data", [
    (1, field(4, FILTERS)), (1, b"".join(b"\x25" + struct.pack("<f", x) for x in FILTERS.ravel())),
    (11, field(9, FILTERS.astype("<f8"))), (11, field(10, FILTERS.astype("<f8"))),
    (10, field(9, FILTERS.astype("<f2"))),
    (10, field(5, b"".join(map(varint, FILTERS.astype("<f2").view("<u2").ravel().tolist())))),
    (16, field(9, (FILTERS.view(np.uint32) >> 16).astype("<u2"))),
    (16, field(5, b"".join(map(varint, (FILTERS.view(np.uint32) >> 16).ravel().tolist()))))])
def test_spellings_of_a_tensor(kind, data):
    assert_layer(read(node("Conv", ["x", "a.weight"], ["y"]), tensor("a.weight", FILTERS, data, kind)), "a", weight=FILTERS)


def test_half_floats_longer_than_a_chunk():
    array = np.random.default_rng(0).integers(0, 0x7c00, (500, 700), np.uint16).view(np.float16)
    data = field(5, b"".join(map(varint, array.view(np.uint16).ravel().tolist())))
    assert len(data) > 3 * protobuf._CHUNK
    found = read(node("Gemm", ["x", "fc.weight"], ["y"], attribute("transB", 1)), tensor("fc.weight", array, data, 10))
    assert_layer(found, "fc", weight=array)


def test_matrices():
    constant = node("Constant", [], ["fc_w_0"], attribute("value", tensor_fields(MATRIX.T)))
    for fields in ((node("Gemm", ["x", "fc_w_0", "b"], ["y"], attribute("transB", 1)), tensor("fc_w_0", MATRIX)),
                   (node("Gemm", ["x", "fc_w_0", "b"], ["y"], attribute("alpha", 1.0)), tensor("fc_w_0", MATRIX.T)),
                   (node("MatMul", ["x", "fc_w_0"], ["y"]), node("Add", ["y", "b"], ["z"]), tensor("fc_w_0", MATRIX.T)),
                   (node("MatMul", ["x", "fc_w_0"], ["y"]), node("Add", ["b", "y"], ["z"]), constant),
                   (node("Identity", ["fc_w_0"], ["i"]), node("Gemm", ["x", "i", "b"], ["y"], attribute("transB", 1)),
                    tensor("fc_w_0", MATRIX)),
                   (node("Transpose", ["fc_w_0"], ["t"], attribute("perm", [1, 0])), tensor("fc_w_0", MATRIX),
                    node("Gemm", ["x", "t", "b"], ["y"])),
                   (node("Transpose", ["fc_w_0"], ["t"]), node("MatMul", ["x", "t"], ["y"]), node("Add", ["y", "b"], ["z"]),
                    tensor("fc_w_0", MATRIX)),
                   (node("Reshape", ["fc_w_0", "s"], ["r"]), tensor("fc_w_0", MATRIX[None, None]), tensor("s", np.array([2, -1])),
                    node("Gemm", ["x", "r", "b"], ["y"], attribute("transB", 1)))):
        for bias in (BIAS, BIAS[None]):
            found = read(*fields, tensor("b", bias))
            assert_layer(found, "fc", weight=MATRIX, bias=BIAS)
            assert found.left_out == [] and list(found.layouts) == ["bgr", "rgb"]         # "_w_0": from Caffe2


def test_a_bias_behind_a_convolution():
    conv = node("Conv", ["x", "a.weight", ""], ["y"]) + tensor("a.weight", FILTERS)
    found = read(conv, node("Add", ["y", "b"], ["z"]), tensor("b", BIAS.reshape(1, 2, 1, 1)))
    assert_layer(found, "a", weight=FILTERS, bias=BIAS)
    found = read(conv, node("Add", ["y", "b"], ["z"]), tensor("b", BIAS.reshape(1, 1, 1, 2)))
    assert_layer(found, "a", weight=FILTERS)
    assert found.left_out == ["Add_1 (Add)"]


def test_batch_normalization():
    arrays = {"weight": BIAS, "bias": BIAS + 1, "running_mean": BIAS + 2, "running_var": BIAS + 3}
    found = read(CONV, node("BatchNormalization", ["y", *(f"bn1.{key}" for key in arrays)], ["z"]),
                 *(tensor(f"bn1.{key}", array) for key, array in arrays.items()))
    assert list(found.layers) == ["conv1", "bn1"]
    assert_layer(found, "bn1", **arrays)


@pytest.mark.parametrize("weight, name", [
    ("features.0.weight", "features.0"), ("conv1/7x7_s2_w_0", "conv1/7x7_s2"), ("conv1/W", "conv1"), ("conv1_W", "conv1"),
    ("conv1_weight:0", "conv1"), ("net/conv1/Conv2D/ReadVariableOp:0", "net/conv1"), ("conv1/kernel:0", "conv1"), ("7", "7"),
    ("onnx::Conv_12", "/conv1/Conv"), (".weight", "/conv1/Conv"), ("conv1.weight", "conv1")])
def test_names(weight, name):
    assert list(read(node("Conv", ["x", weight], ["y"], name="/conv1/Conv"), tensor(weight, FILTERS)).layers) == [name]


def test_shared_weights_and_nodes_without_names():
    found = read(node("Relu", ["a"], ["b"]), CONV, node("Conv", ["y", "conv1.weight"], ["z"]))
    assert list(found.layers) == ["conv1", "Conv_2"]
    with pytest.raises(WeightsError, match="two layers are named 'n', expected"):
        read(*(node("Conv", ["x", "conv1.weight"], [f"y{i}"], name="n") for i in range(4)), tensor("conv1.weight", FILTERS))


@pytest.mark.parametrize("perm, axes", [([0, 2, 3, 1], "HWC"), ([0, 3, 1, 2], "CHW"), (None, "CHW")])
def test_the_order_of_a_flattened_map(perm, axes):
    turn = node("Transpose", ["y"], ["t"], attribute("perm", perm)) if perm else node("Relu", ["y"], ["t"])
    found = read(CONV, turn, node("Reshape", ["t", "s"], ["r"]), node("Dropout", ["r"], ["d"]), tensor("s", np.array([1, -1])),
                 node("Gemm", ["d", "fc.weight"], ["e"]), tensor("fc.weight", MATRIX), node("Gemm", ["e", "m"], ["f"]),
                 tensor("m", MATRIX))
    assert [layout.map_axes for layout in found.layouts.values()] == [axes, axes]


def test_what_is_left_out_says_why():
    for broken, says in (
            (node("Conv", ["x", "w"], ["z"]), "Conv_1 (Conv: 'w' is computed or comes from outside, expected a constant)"),
            (node("Conv", ["x"], ["z"], name="c"), "c (Conv: it has 1 inputs)"),
            (node("Conv", ["x", "i8"], ["z"]), "Conv_1 (Conv: weights of data type 3"),
            (node("Conv", ["x", "m"], ["z"]), "Conv_1 (Conv: filters of shape (2, 3)"),
            (node("Conv", ["x", "conv1.weight", "m"], ["z"]), "Conv_1 (Conv: a vector of shape (2, 3), expected (2,))"),
            (node("Gemm", ["x", "conv1.weight"], ["z"]), "Gemm_1 (Gemm: a matrix of shape"),
            (node("Gemm", ["x", "m"], ["z"], attribute("transA", 1)), "Gemm_1 (Gemm: transA is set)"),
            (node("Gemm", ["x", "m"], ["z"], attribute("beta", 2.0)), "Gemm_1 (Gemm: beta is not 1)"),
            (node("MatMul", ["m", "x"], ["z"]), "MatMul_1 (MatMul: 'x' is computed"),
            (node("Identity", ["w"], ["w"]) + node("Conv", ["x", "w"], ["z"]), "Conv_2 (Conv: 'w' is computed"),
            (node("Reshape", ["m", "x"], ["r"]) + node("Gemm", ["x", "r"], ["z"]), "Gemm_2 (Gemm: the shape of its"),
            (node("ConvTranspose", ["x", "conv1.weight"], ["z"]), "ConvTranspose_1 (ConvTranspose)")):
        found = read(CONV, broken, tensor("m", MATRIX), tensor("i8", np.ones((2, 3, 1, 1), np.int8)))
        assert list(found.layers) == ["conv1"] and len(found.left_out) == 1 and found.left_out[0].startswith(says)


def test_models_of_torch():
    """What PyTorch itself writes; it needs the package onnx for that, as the suite does not."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)).eval()
    file = io.BytesIO()
    try:
        torch.onnx.export(net, torch.zeros(1, 3, 8, 8), file, dynamo=False)
    except (ImportError, TypeError) as error:
        pytest.skip(f"this torch cannot export: {error}")
    found = onnx.read(Source(file, "torch.onnx"))
    for name in ("0", "3"):
        assert_layer(found, name, **{key: value.numpy() for key, value in net[int(name)].state_dict().items()})


# --- bad files ------------------------------------------------------------------------------------------------------
READS_A = node("Conv", ["x", "a"], ["y"])


def with_weight(array=FILTERS, data=None, kind=None):
    return READS_A + tensor("a", array, data, kind)


def weight_by(*through):
    return b"".join(through) + node("Gemm", ["x", "t"], ["y"]) + tensor("a", MATRIX)


LONG = np.ones((1, 1, 300, 300), np.float32)
BAD = {
    "another file": (with_weight(data=field(13, field(1, "location") + field(2, "a.data"))), "the numbers of tensor 'a' are in"),
    "data location": (with_weight(data=field(9, FILTERS) + field(14, 1)), "the numbers of tensor 'a' are in another file"),
    "segments": (with_weight(data=field(3, field(1, 0)) + field(9, FILTERS)), "tensor 'a' is cut into segments"),
    "twice": (with_weight(data=field(4, FILTERS) + field(9, FILTERS)), "tensor 'a' has its numbers twice"),
    "no data": (with_weight(data=b""), "tensor 'a': an array of shape"),
    "too few": (with_weight(data=field(9, FILTERS[1])), "tensor 'a': an array of shape"),
    "halves as floats": (with_weight(data=field(4, FILTERS), kind=10), "tensor 'a': an array of shape"),
    "halves one to a field": (with_weight(data=field(5, 1) * 54, kind=10), "tensor 'a': a field holds the number 1"),
    "too few halves": (with_weight(data=field(5, bytes(53)), kind=10), "tensor 'a': an array of shape"),
    "many sizes": (READS_A + tensor("a", np.ones((1,) * 9, np.float32)), "more than 8 numbers"),
    "negative": (READS_A + field(5, field(1, -2) * 2 + field(2, 1) + field(8, "a")), "an array of shape (-2, -2)"),
    "huge": (READS_A + field(5, field(1, 2**40) * 2 + field(2, 1) + field(8, "a")), "an array of shape (109951"),
    "same tensor": (CONV + tensor("conv1.bias", BIAS), "two of its tensors are named 'conv1.bias'"),
    "node is a number": (CONV + field(1, 3), "a field holds the number 3"),
    "no layers": (node("Relu", ["x"], ["y"]), "it has no Conv, Gemm, MatMul"),
    "axes": (weight_by(node("Transpose", ["a"], ["t"], attribute("perm", [0, 0]))), "node 'Transpose_0' transposes (2, 3)"),
    "more axes": (weight_by(node("Transpose", ["a"], ["t"], attribute("perm", [0] * 9))), "more than 8 numbers"),
    "new shape": (weight_by(node("Reshape", ["a"], ["t"], attribute("shape", [4, -1]))), "an array of shape (2, 3) was expected"),
    "shape of nothing": (weight_by(node("Reshape", ["a"], ["t"], attribute("shape", [5, 0, 0, -1]))), "an array of shape (2, 3)"),
    "shape of floats": (weight_by(node("Reshape", ["a", "a"], ["t"])), "the shape at byte"),
    "negative shape": (weight_by(node("Reshape", ["a"], ["t"], attribute("shape", [-2, -3]))), "an array of shape (-2, -3);"),
    "many nodes": (node("", [], []) * (onnx_graph.MAX_NODES + 1), "it has 20001 nodes"),
    "many tensors": (field(5, b"") * (onnx_graph.MAX_NODES + 1), "it has 0 nodes and 20001 initializers"),
    "many fields": (field(3, b"") * (protobuf.MAX_FIELDS + 1), "it has more than 100000 fields"),
    "endless walks": (field(1, field(2, "c") + field(4, "Constant") + field(5, field(1, "x")) * 2000) +
                      b"".join(node("Foo", ["c"], [f"o{i}"]) for i in range(5000)), "it has more than 100000 fields"),
    "a bomb of shares": (tensor("a", LONG) + b"".join(node("Conv", ["x", "a"], [f"y{i}"]) for i in range(20)),
                         "its layers share their numbers so often"),
    "long name": (with_weight() + node("Relu", ["x" * 1001], ["y"]), "a name of 1001 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    fields, says = BAD[name]

    def attempt():
        onnx.recognises(source(fields))
        with pytest.raises(WeightsError) as caught:
            read(fields)
        assert str(caught.value).startswith(says) and len(str(caught.value)) < 400

    assert fair_seconds(attempt) < 2


def test_damaged_halves_are_noticed_when_they_are_read():
    for numbers in (b"\x80\x80\x80\x00" + bytes(52), b"\xff" * 54, b"\xff\xff\x7f" + bytes(53), b"\x01" * 55,
                    bytes(53) + b"\x80\x80"):
        found = read(with_weight(data=field(5, numbers), kind=10))
        with pytest.raises(WeightsError, match="are not 54 of 0 to 65535"):
            found.layers["a"]["weight"].read()


def test_not_one_graph():
    for data, says in ((field(1, 7), "it holds 0 graphs"), (field(1, 7) + field(7, CONV) * 2, "it holds 2 graphs"),
                       (field(1, 7) + field(7, 5), "a field holds the number 5")):
        with pytest.raises(WeightsError) as caught:
            onnx.read(Source(io.BytesIO(data), "a"))
        assert str(caught.value).startswith(says)


@pytest.mark.parametrize("name", GOLDENS)
def test_cut_short(name):
    data = (FOLDER / name).read_bytes()
    end = len(data) - len(field(8, field(2, 13)))           # the version of the operators stands behind the graph
    for length in (*range(0, 700), *range(700, end, 4999), end - 1):
        assert onnx.recognises(Source(io.BytesIO(data[:length]), "a")) == (length > 36)
        with pytest.raises(WeightsError, match="cut short|it holds 0 graphs"):
            onnx.read(Source(io.BytesIO(data[:length]), "a"))
