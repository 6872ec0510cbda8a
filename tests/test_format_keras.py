"""The reader of Keras's HDF5 files, old and new."""
import io
import os

import h5py
import numpy as np
import pytest
from foreign_weights import FOLDER, SHAPES, flattened_hwc, weights

from minicnn.errors import WeightsError
from minicnn.formats import hdf5, keras
from minicnn.formats.found import Layout
from minicnn.formats.source import Source, opened

FILES = ("keras.h5", "keras3.weights.h5", "keras_theano.h5")
BN = ("gamma", "beta", "moving_mean", "moving_variance")


@pytest.fixture(scope="module")
def box():
    with hdf5.sandbox() as box:
        yield box


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def found(box, path):
    with opened(path) as source:
        assert keras.recognises(source)
        return keras.read(source, box)


def refused(box, path, message):
    with pytest.raises(WeightsError) as caught:
        found(box, path)
    assert str(caught.value).startswith(message), caught.value
    assert len(str(caught.value)) < 400


def shapes(found):
    return {name: {key: array.shape for key, array in layer.items()} for name, layer in found.layers.items()}


def write(path, layers, attributes=(), root="/"):
    """Write {layer: {weight name: shape}} as Keras 1 and 2 do, all numbers 1."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        group = file.require_group(root)
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group.require_group(name).attrs["weight_names"] = [key.encode() for key in arrays]
            for key, shape in arrays.items():
                group[f"{name}/{key}"] = np.ones(shape, np.float32)


def write_counted(path, layers, names=None):
    """Write {path: [shapes]} as Keras 3 does."""
    with h5py.File(path, "w") as file:
        for name, arrays in layers.items():
            group = file.create_group(f"{name}/vars")
            if names and name in names:
                group.attrs["name"] = names[name]
            for k, shape in enumerate(arrays):
                group[str(k)] = np.ones(shape, np.float32)


# --- the same weights in every kind of file -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", FILES)
def test_goldens(box, name):
    read = found(box, FOLDER / name)
    assert list(read.layers) == list(SHAPES) and read.left_out == []
    first = next(iter(read.layouts.values()))
    assert (first.map_axes, first.rotated) == (("CHW", True) if "theano" in name else ("HWC", False))
    assert read.certainty == ("likely" if "theano" in name else "certain")
    for layer, (weight, bias) in weights().items():
        if weight.ndim == 4 and first.rotated:
            weight = weight[:, :, ::-1, ::-1]
        if weight.ndim == 2 and first.map_axes == "HWC":
            weight = flattened_hwc(weight)
        stored = read.layers[layer]
        assert set(stored) == {"weight", "bias"} and stored["weight"].shape == weight.shape
        assert stored["weight"].read().tobytes() == weight.tobytes() and stored["bias"].read().tobytes() == bias.tobytes()


def test_without_a_box_the_arrays_keep_one():
    with opened(FOLDER / FILES[0]) as source:
        read = keras.read(source)
    assert read.layers["fc"]["bias"].read().tobytes() == weights()["fc"][1].tobytes()


@pytest.mark.parametrize("data", [b"", b"\x89HDF", b"PK\x03\x04" + bytes(600), bytes(512) + hdf5.SIGNATURE, b"\x93NUMPY\x01\0"])
def test_what_is_no_hdf5(data, path, box):
    path.write_bytes(data)
    with opened(path) as source:
        assert not keras.recognises(source)
        with pytest.raises(WeightsError, match="it does not begin as HDF5 does"):
            keras.read(source, box)


def test_a_file_within_another(box):
    with pytest.raises(WeightsError, match="it is HDF5 inside of something else"):
        keras.read(Source(io.BytesIO((FOLDER / FILES[0]).read_bytes()), "a.h5"), box)


# --- layers by name -----------------------------------------------------------------------------------------------------
CONV = {"c": {"c/kernel:0": (5, 5, 3, 16), "c/bias:0": (16,)}}
THEANO = {"c": {"c_W": (16, 3, 5, 5), "c_b": (16,)}}


@pytest.mark.parametrize("layers, backend, axes, rotated, certainty", [
    (CONV, None, "HWC", False, "likely"), (CONV, "tensorflow", "HWC", False, "certain"),
    (CONV, "theano", "HWC", True, "certain"), (CONV, "from elsewhere", "HWC", False, "likely"),
    (THEANO, None, "CHW", True, "likely"), (THEANO, "tensorflow", "CHW", False, "certain"),
    (THEANO, b"theano", "CHW", True, "certain")])
@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_order_and_rotation(box, path, layers, backend, axes, rotated, certainty, root):
    write(path, layers, {} if backend is None else {"backend": backend}, root)
    read = found(box, path)
    assert shapes(read) == {"c": {"weight": (16, 3, 5, 5), "bias": (16,)}} and read.certainty == certainty
    both = {"tf": Layout(axes, rotated=False), "th": Layout(axes, rotated=True)}
    assert read.layouts == both and list(read.layouts)[0] == ("th" if rotated else "tf")


@pytest.mark.parametrize("layers, theano", [
    ({"a": {"a/kernel": (3, 3, 3, 3), "a/bias": (3,)}, "b": {"b/kernel": (3, 3, 3, 8), "b/bias": (8,)}}, False),
    ({"a": {"a/kernel": (3, 3, 3, 3), "a/bias": (3,)}, "b": {"b/kernel": (8, 3, 3, 3), "b/bias": (8,)}}, True),
    ({"a": {"a/kernel": (3, 3, 64, 3), "a/bias": (3,)}}, False), ({"a": {"a/kernel": (3, 64, 3, 3), "a/bias": (3,)}}, True),
    ({"a": {"a/kernel": (3, 3, 16, 32)}, "b": {"b/kernel": (1, 1, 32, 64)}}, False),
    ({"a": {"a/kernel": (32, 16, 3, 3)}, "b": {"b/kernel": (64, 32, 1, 1)}}, True),
    ({"a": {"a/kernel": (3, 3, 3, 3)}, "b": {"b/kernel": (3, 3, 3, 3)}}, False)])
def test_the_order_of_axes_is_told_by_biases_sides_and_channels(box, path, layers, theano):
    write(path, layers)
    read = found(box, path)
    assert ("CHW" if theano else "HWC") == read.layouts["tf"].map_axes and not read.left_out
    for name, arrays in layers.items():
        shape = arrays[f"{name}/kernel"]
        assert read.layers[name]["weight"].shape == (shape if theano else (shape[3], shape[2], shape[0], shape[1]))


def test_layers_of_every_kind(box, path):
    moments = {"weight": (8,), "bias": (8,), "running_mean": (8,), "running_var": (8,)}
    write(path, {
        "input_1": {}, "block1_conv1": {"block1_conv1_W_1:0": (3, 3, 3, 8), "block1_conv1_b_1:0": (8,)},
        "grouped": {"grouped/kernel:0": (3, 3, 4, 8)}, "bn": {f"bn/{key}:0": (8,) for key in BN},
        "bn_1": {f"bn_1/{key}:0": (8,) for key in BN[2:]}, "positions": {"param_0": (3, 3, 8, 8), "param_1": (8,)},
        "old": {f"old_{key}": (8,) for key in ("gamma", "beta", "running_mean", "running_std")},
        "deep": {"deep/depthwise_kernel:0": (3, 3, 8, 1), "deep/bias:0": (8,)}, "ln": {"ln/gamma:0": (8,), "ln/beta:0": (8,)},
        "lstm": {"lstm/kernel:0": (8, 8), "lstm/recurrent_kernel:0": (8, 8), "lstm/bias:0": (8,)},
        "transposed": {"transposed/kernel:0": (3, 3, 6, 8), "transposed/bias:0": (6,)},
        "model": {"inner/a/kernel:0": (8, 4), "inner/a/bias:0": (4,), "inner/b/kernel:0": (4, 2), "bn/kernel:0": (2, 2)},
        "embedding": {"embedding/embeddings:0": (8, 3, 2)}})
    read = found(box, path)
    assert shapes(read) == {
        "block1_conv1": {"weight": (8, 3, 3, 3), "bias": (8,)}, "grouped": {"weight": (8, 4, 3, 3)}, "bn": moments,
        "bn_1": {key: (8,) for key in ("running_mean", "running_var")}, "positions": {"weight": (8, 8, 3, 3), "bias": (8,)},
        "old": moments, "a": {"weight": (4, 8), "bias": (4,)}, "b": {"weight": (2, 4)}, "model/bn": {"weight": (2, 2)}}
    assert sorted(entry.split(" (its weights are ")[0] for entry in read.left_out) == [
        "deep", "embedding", "ln", "lstm", "transposed"]


def test_long_attributes_are_split(box, path):
    write(path, CONV | {"fc": {"fc/kernel": (8, 4), "fc/bias": (4,)}})
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs.update({"layer_names0": [b"c"], "layer_names1": [b"fc"]})
        del file["fc"].attrs["weight_names"]
        file["fc"].attrs.update({"weight_names0": [b"fc/kernel"], "weight_names1": [b"fc/bias"]})
    assert shapes(found(box, path)) == {"c": {"weight": (16, 3, 5, 5), "bias": (16,)}, "fc": {"weight": (4, 8), "bias": (4,)}}


def _set(path, where, key, value):
    with h5py.File(path, "a") as file:
        file[where].attrs[key] = value


def test_names_that_do_not_fit_the_file(box, path):
    for where, key, value, message in (
            ("c", "weight_names", [b"c/kernel:0", b"c/kernel"], "it names an array 'c/c/kernel', but holds none of that name"),
            ("c", "weight_names", [b"../c/c/kernel:0"], "it names an array 'c/../c/c/kernel:0', but"),
            ("c", "weight_names", 3, "the attribute weight_names of 'c' is 3; expected names"),
            ("/", "layer_names", [b"c", b"d"], "it names a layer 'd', but has no group of that name"),
            ("/", "layer_names", [b"c", b"c"], "it names a layer twice: ['c', 'c']"),
            ("/", "layer_names", [1.0], "the attribute layer_names of '/' is [1.0]; expected names"),
            ("/", "layer_names", ["x" * 2000], "the attribute layer_names of '/' is ['xxx")):
        write(path, CONV)
        _set(path, where, key, value)
        if value == [b"c/kernel:0", b"c/kernel"]:       # the second is one more kernel: the layer goes, and nothing is fetched
            assert found(box, path).layers == {}
            _set(path, where, key, [b"c/kernel"])
        refused(box, path, message)


def test_names_that_meet(box, path):
    """A layer of a model within the model goes by its own name, unless another has it."""
    one = (2, 2)
    write(path, {"m": {"x/a/kernel": one, "y/kernel": one}, "a": {"kernel": one}, "n": {"y/kernel": one, "kernel": one}})
    assert list(found(box, path).layers) == ["m/x/a", "y", "a", "n/y", "n"]
    write(path, {"m": {"a/kernel": one, "b/kernel": one}, "a": {"kernel": one}, "m/a": {"c/kernel": one}})
    refused(box, path, "it names the layer 'm/a' twice")


# --- layers by count ----------------------------------------------------------------------------------------------------
def test_keras_3(box, path):
    layers = {f"layers/conv2d{k}": [(3, 3, 2, 2), (2,)] for k in ("_10", "", "_2", "_1")}
    write_counted(path, layers | {
        "layers/batch_normalization": [(2,)] * 4, "layers/batch_normalization_1": [(2,)] * 2,
        "layers/layer_normalization": [(2,)] * 2, "layers/depthwise_conv2d": [(3, 3, 2, 1)],
        "layers/dropout/seed_generator": [(2,)], "layers/flatten": [], "optimizer": [(2,)] * 2,
        "block/layers/conv2d": [(3, 3, 4, 8)], "dsn10": [(1, 1, 2, 1), (1,)], "dsn2": [(2, 5), (5,)]})
    read = found(box, path)
    conv = {"weight": (2, 2, 3, 3), "bias": (2,)}
    moments = {"weight": (2,), "bias": (2,), "running_mean": (2,), "running_var": (2,)}
    expected = {"block/layers/conv2d": {"weight": (8, 4, 3, 3)}, "dsn2": {"weight": (5, 2), "bias": (5,)},
                "dsn10": {"weight": (1, 2, 1, 1), "bias": (1,)}, "layers/batch_normalization": moments,
                "layers/batch_normalization_1": {key: (2,) for key in ("running_mean", "running_var")},
                "layers/conv2d": conv, "layers/conv2d_1": conv, "layers/conv2d_2": conv, "layers/conv2d_10": conv}
    assert shapes(read) == expected and list(read.layers) == list(expected)
    assert read.left_out == ["layers/depthwise_conv2d (arrays of the shapes [(3, 3, 2, 1)])",
                             "layers/layer_normalization (arrays of the shapes [(2,), (2,)])"]
    assert read.layouts == {"tf": Layout("HWC"), "channels_first": Layout("CHW")} and read.certainty == "certain"


@pytest.mark.parametrize("names, expected", [
    (("one", "two"), ["one", "two"]), (("one", "one"), ["layers/conv2d", "layers/conv2d_1"]),
    (("one",), ["layers/conv2d", "layers/conv2d_1"]), (("one", 2), ["layers/conv2d", "layers/conv2d_1"])])
def test_own_names_are_taken_where_they_tell_layers_apart(box, path, names, expected):
    layers = ["layers/conv2d", "layers/conv2d_1"]
    write_counted(path, dict.fromkeys(layers, [(3, 3, 2, 2), (2,)]), dict(zip(layers, names)))
    assert list(found(box, path).layers) == expected


def test_the_older_root(box, path):
    write_counted(path, {"_layer_checkpoint_dependencies/dense": [(3, 2), (2,)], "_layer_checkpoint_dependencies/flatten": []})
    assert shapes(found(box, path)) == {"_layer_checkpoint_dependencies/dense": {"weight": (2, 3), "bias": (2,)}}


def test_bfloat16_half_and_double(box, path):
    for dtype in ("f2", "f8", "V2"):
        with h5py.File(path, "w") as file:
            numbers = np.array([[1, -2], [0.5, 3]], np.float32)
            upper_halves = numbers.view(np.uint16)[:, 1::2].copy().view("V2")
            file["layers/dense/vars/0"] = upper_halves if dtype == "V2" else numbers.astype(dtype)
        weight = found(box, path).layers["layers/dense"]["weight"]
        assert weight.dtype == ("f4" if dtype == "V2" else dtype) and np.array_equal(weight.read(), numbers.T)


def test_arrays_of_whole_numbers_are_left_out_or_refused(box, path):
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense_1/vars/0"] = np.ones((2, 2)), np.ones((2, 2), np.int8)
    read = found(box, path)
    assert list(read.layers) == ["layers/dense"] and len(read.left_out) == 1
    write(path, CONV)
    with h5py.File(path, "a") as file:
        del file["c/c/bias:0"]
        file["c/c/bias:0"] = np.ones(16, np.int32)
    refused(box, path, "'c/c/bias:0' holds numbers of dtype <i4; expected float16, float32 or float64")


def test_a_missing_number(box, path):
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/1"] = np.ones((2, 2))
    refused(box, path, "'layers/dense/vars' has the arrays [1]; expected 0, 1, ...")


# --- other files --------------------------------------------------------------------------------------------------------
def test_hdf5_of_another_kind(box, path):
    for attributes, message in (({"format": "minicnn"}, "it is a weights file of minicnn already; minicnn.load reads it"),
                                ({"nb_layers": 3}, "it was written before Keras 1.0"), ({}, "it is HDF5, but not as Keras")):
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            file["conv1/weight"] = np.ones(3)
        refused(box, path, message)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_cut_short(box, path, name):
    data = (FOLDER / name).read_bytes()
    for length in (8, 40, 96, 500, 2000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refused(box, path, "the HDF5 library cannot read it (")


def test_a_file_that_becomes_something_else(box, path):
    path.write_bytes((FOLDER / FILES[0]).read_bytes())
    for make in (os.mkfifo, os.mkdir):
        with opened(FOLDER / FILES[0]) as real, open(path, "rb") as file:
            path.unlink()
            make(path)
            with pytest.raises(WeightsError, match="it is no longer there, or no file any more"):
                keras.read(Source(file, "a.h5"), box)
            assert keras.recognises(real)
        path.unlink() if make is os.mkfifo else path.rmdir()
        path.write_bytes((FOLDER / FILES[0]).read_bytes())
