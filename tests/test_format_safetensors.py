"""Files of safetensors and the names of state dicts, those that fit and those that lie."""
import io
import json
import struct

import numpy as np
import pytest

from foreign_weights import FOLDER, weights
from minicnn.errors import WeightsError
from minicnn.formats import safetensors
from minicnn.formats.source import Source, held
from minicnn.formats.state_dict import layers_of_state_dict

NAMES = ["safetensors.safetensors", "safetensors_bf16.safetensors"]


def source(data):
    return Source(io.BytesIO(data), "a.safetensors")


def file(table, data=b""):
    table = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(table)) + table + data


def entry(begin=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("name", NAMES)
def test_goldens(name):
    data = source((FOLDER / name).read_bytes())
    assert safetensors.recognises(data)
    found = safetensors.read(data)
    assert (found.format, found.certainty, list(found.layouts), found.left_out) == ("safetensors", "likely", ["rgb", "bgr"], [])
    assert found.layouts["rgb"].preprocessing["mean"] == (0.485, 0.456, 0.406) and not found.layouts["bgr"].preprocessing
    assert sorted(found.layers) == ["conv1", "conv2", "conv3", "fc"]
    for layer, pair in weights().items():
        for key, array in zip(("weight", "bias"), pair):
            read = found.layers[layer][key].read()
            assert read.dtype == found.layers[layer][key].dtype == np.float32 and np.array_equal(read, array)


def test_every_dtype():
    table, data, expected = {"__metadata__": {"format": "pt"}}, b"", {}
    for number, (kind, dtype) in enumerate({"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1"}.items()):
        array = np.arange(6).reshape(2, 3).astype(dtype)
        table[f"l{number}.weight"] = entry(len(data), len(data) + array.nbytes, (2, 3), kind)
        data, expected[f"l{number}"] = data + array.tobytes(), array
    table["odd.weight"] = entry(len(data), len(data) + 3, (2, 3), "F4")
    table["nothing.bias"] = entry(len(data) + 3, len(data) + 3, (0,), "F32")
    table["scalar.bias"] = entry(len(data) + 3, len(data) + 7, (), "F32")
    found = safetensors.read(source(file(table, data + bytes(7))))
    assert list(found.layers) == ["l0", "l1", "l2", "nothing", "scalar"]
    assert found.left_out == ["l3.weight", "l4.weight", "odd.weight"]
    for layer in ("l0", "l1", "l2"):
        assert np.array_equal(found.layers[layer]["weight"].read(), expected[layer])
        assert found.layers[layer]["weight"].dtype == expected[layer].dtype
    assert found.layers["nothing"]["bias"].shape == (0,) and found.layers["scalar"]["bias"].read() == 0


def test_recognises():
    assert safetensors.recognises(source(file({"a": entry()}))) and safetensors.recognises(source(file({})))
    for data in (b"", b"\2\0\0\0\0\0\0\0", b"PK\3\4" + bytes(30), bytes(30), b'{"a": 1}' * 9, file([1, 2]), file(b"x" * 20),
                 struct.pack("<Q", 2**40) + b'{"a"', b"\x89HDF\r\n\x1a\n" + bytes(99)):
        assert not safetensors.recognises(source(data))


TWO = {"a.weight": entry(), "b.weight": entry(8, 16)}
HOSTILE = [
    ("its table of contents has 99999999 bytes", struct.pack("<Q", 99_999_999) + b'{"a"'),
    ("its table of contents has 18446744073709551615 bytes", b"\xff" * 8 + b'{"a"'),
    ("it ends at byte 22, but bytes 8 to 408 are asked for", struct.pack("<Q", 400) + b'{"a.weight": {'),
    ("its table of contents is a list", file([1])),
    ("its table of contents has a name twice", file(b'{"a": {"dtype": 1}, "a": {}}')),
    ("its table of contents has a name twice", file(b'{"a": {"dtype": 1, "dtype": 2}}')),
    *[("the entry of 'a.weight' is ", file({"a.weight": wrong}))
      for wrong in (1, [], {}, *({"data_offsets": offsets} for offsets in (3, [1], [0, True], [0, 8.0])))],
    *[("the entry of 'a.weight' has the dtype", file({"a.weight": entry(shape=shape, dtype=kind)}, bytes(8)))
      for shape, kind in (("2", "F32"), ((2,), 1), (None, "F32"), (2, "F32"), ((2,), ["F32"]))],
    ("'b.weight' has the bytes 4 to 16", file({**TWO, "b.weight": entry(4, 16)}, bytes(16))),
    ("'b.weight' has the bytes 0 to 8", file({**TWO, "b.weight": entry(0, 8)}, bytes(16))),
    ("'b.weight' has the bytes 9 to 17", file({**TWO, "b.weight": entry(9, 17)}, bytes(17))),
    ("'a.weight' has the bytes -8 to 0", file({"a.weight": entry(-8, 0)}, bytes(8))),
    ("'b.weight' has the bytes 8 to 0", file({**TWO, "b.weight": entry(8, 0)}, bytes(16))),
    ("its arrays need 16 bytes of data, but there are 15", file(TWO, bytes(15))),
    ("its arrays need 16 bytes of data, but there are 17", file(TWO, bytes(17))),
    (f"its arrays need {10**18} bytes of data", file({"a.weight": entry(0, 10**18, (10**18 // 4,))}, bytes(8))),
    (r"'a.weight' of shape \(1,\) and F32 needs 4 bytes, given are 8", file({"a.weight": entry(shape=(1,))}, bytes(8))),
    (r"'a.weight' of shape \(2,\) and BF16 needs 4 bytes, given are 8", file({"a.weight": entry(dtype="BF16")}, bytes(8))),
    ("it ends at byte", file({"a.weight": entry(shape=(1000, 1000))}, bytes(8))),
    *[("an array of shape", file({"a.weight": entry(shape=shape)}, bytes(8)))
      for shape in ((-2, -1), (2.0,), (True, 2), ("2",), (2,) + (1,) * 8, (2**62, 2**62), (0, 2**62), (None,))],
    (r"an array is named 'a\\n.weight'", file({"a\n.weight": entry()}, bytes(8))),
    (r"an array is named '\\ud800.weight'", file({"\ud800.weight": entry()}, bytes(8))),
]


@pytest.mark.parametrize("says, data", HOSTILE, ids=[f"{i}-{says[:40]}" for i, (says, _) in enumerate(HOSTILE)])
def test_hostile_files(says, data):
    with pytest.raises(WeightsError, match=f"^{says}") as caught:
        safetensors.read(source(data))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", NAMES)
def test_cut_short(name):
    data = (FOLDER / name).read_bytes()
    for length in [*range(0, 1000, 3), *range(1000, len(data), 4999), len(data) - 1]:
        with pytest.raises(WeightsError):
            safetensors.read(source(data[:length]))


def arrays(*names, dtype=np.float32):
    return {name: held(np.full(1, number, dtype)) for number, name in enumerate(names)}


def test_names_of_state_dicts():
    layers, left_out = layers_of_state_dict({
        **arrays("features.0.weight", "features.0.bias", "conv1_weight", "conv1_bias", "bn.running_mean", "bn.running_var",
                 "bn_weight", "layer_1_running_var", "weight", ".bias", "a.weight_g", "a.b.c.weight", "mean"),
        **arrays("bn.num_batches_tracked", "q.weight", dtype=np.int64), "z.weight": None})
    assert {layer: list(found) for layer, found in layers.items()} == {
        "features.0": ["weight", "bias"], "conv1": ["weight", "bias"], "bn": ["running_mean", "running_var", "weight"],
        "layer_1": ["running_var"], "a.b.c": ["weight"]}
    assert left_out == ["weight", ".bias", "a.weight_g", "mean", "bn.num_batches_tracked", "q.weight", "z.weight"]
    assert layers["conv1"]["bias"].read() == 3
    assert layers_of_state_dict({}) == ({}, [])
    with pytest.raises(WeightsError, match="^'a_weight' is the second weight of 'a'; expected one"):
        layers_of_state_dict(arrays("a.weight", "a_weight"))


def test_prefixes():
    for prefix in ("module.", "model.", "module.model.", "model.module.module."):
        layers, left_out = layers_of_state_dict(arrays(*[prefix + name for name in ("a.weight", "b.bias", "b.count")]))
        assert list(layers) == ["a", "b"] and left_out == ["b.count"]
    assert list(layers_of_state_dict(arrays("module.a.weight", "b.weight"))[0]) == ["module.a", "b"]
