"""ConvNetJS networks: JSON whose volumes are lists or objects, and JSON that pretends to be one."""
import gzip
import io
import json

import numpy as np
import pytest

from foreign_weights import FOLDER, flattened_hwc, weights
from minicnn.errors import WeightsError
from minicnn.formats import convnetjs
from minicnn.formats.source import Source

NAMES = ["convnetjs.json.gz", "convnetjs_keyed.json.gz"]


def source(data, budget=64_000_000):
    data = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    return Source(io.BytesIO(data), "a.json", budget)


def golden(name):
    return gzip.decompress((FOLDER / name).read_bytes())


def volume(sx=1, sy=1, depth=2, w=(1.5, 2)):
    return {"sx": sx, "sy": sy, "depth": depth, "w": list(w) if isinstance(w, tuple) else w}


def net(kind="fc", **changes):
    layer = {"layer_type": kind, "filters": [volume(), volume(w={"1": 4, "0": 3})], "biases": volume(), **changes}
    return {"layers": [{"layer_type": "input"}, layer, {"layer_type": "softmax"}]}


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf \n\t"])
@pytest.mark.parametrize("name", NAMES)
def test_goldens(name, prefix):
    data = source(prefix + golden(name))
    assert convnetjs.recognises(data)
    found = convnetjs.read(data)
    assert (found.format, found.certainty, list(found.layouts), found.left_out) == ("convnetjs", "certain", ["convnetjs"], [])
    layout = found.layouts["convnetjs"]
    assert (layout.map_axes, layout.rotated, layout.width_first, layout.preprocessing) == ("HWC", False, False, {})
    assert list(found.layers) == ["conv1", "conv2", "conv3", "fc"]
    for layer, (weight, bias) in weights().items():
        weight = flattened_hwc(weight) if layer == "fc" else weight
        assert np.array_equal(found.layers[layer]["weight"].read(), weight)
        assert np.array_equal(found.layers[layer]["bias"].read(), bias)


def test_the_index_of_a_number():
    # 2 columns, 3 rows, 4 channels: the number at column x, row y, channel d is 100 x + 10 y + d
    w = {str(((2 * y) + x) * 4 + d): 100 * x + 10 * y + d for d in range(4) for x in range(2) for y in range(3)}
    found = convnetjs.read(source(net("conv", filters=[volume(2, 3, 4, w)], biases=volume(depth=1, w=(7,)))))
    weight = found.layers["conv1"]["weight"].read()
    assert weight.shape == (1, 4, 3, 2) and all(weight[0, d, y, x] == 100 * x + 10 * y + d for d, y, x in np.ndindex(4, 3, 2))
    assert found.layers["conv1"]["bias"].read().tolist() == [7]


def test_names_of_layers():
    layers = [net(kind)["layers"][1] for kind in ("conv", "fc", "conv", "fc", "maxout")]
    found = convnetjs.read(source({"layers": layers, "other": [1]}))
    assert list(found.layers) == ["conv1", "fc1", "conv2", "fc2"] and found.left_out == ["layers[4] (maxout)"]
    assert found.layers["fc1"]["weight"].read().tolist() == [[1.5, 2], [3, 4]]


def test_recognises():
    assert convnetjs.recognises(source(net()))
    for data in (b"", b"{", b"[1]", b'{"layers"', b'["layers", "layer_type"]', b"PK\3\4", bytes(500), b"\xff\xfe{\0",
                 b'{"layers": []}', b"{" + b" " * 5000 + b'"layers": [{"layer_type": 1}]}', b'{"layer_type": "fc"}'):
        assert not convnetjs.recognises(source(data))


def with_w(w):
    return net(filters=[volume(w=w), volume()])


HOSTILE = [
    ('it has no list "layers"', [1]), ('it has no list "layers"', {"layers": {}}), ('it has no list "layers"', {"layers": [1]}),
    ('no layer of it is a "conv" or "fc"', {"layers": []}), ('no layer of it is a "conv"', {"layers": [{"layer_type": [1]}]}),
    ("fc has the filters None", net(filters=None)), (r"fc has the filters \[\]", net(filters=[])),
    ("a filter of fc: 5; expected an object", net(filters=[5])), ("the biases of fc: None; expected", net(biases=None)),
    ("the filters of fc have different shapes", net(filters=[volume(), volume(depth=1, w=(1,))])),
    ("fc has 2 filters and 1 biases", net(biases=volume(depth=1, w=(1,)))),
    ("fc has 2 filters and 2 biases", net(biases=volume(sx=2, depth=1))),
    ("fc has filters of 2x1; expected 1x1", net(filters=[volume(sx=2, depth=1)] * 2)),
    *[("a filter of fc: sy, sx and depth are", net(filters=[volume(sx=size)])) for size in (0, -1, 1.0, True, "1", None, [])],
    ("an array of shape", net(filters=[volume(sx=10**9, sy=10**9)])),
    ("a filter of fc: w is 2 numbers; expected 1 \\* 1000000 \\* 2 numbers", net(filters=[volume(sx=10**6)])),
    ("a filter of fc: w is 1 numbers", with_w((1,))), ("a filter of fc: w is 3 numbers", with_w((1, 2, 3))),
    ("a filter of fc: w is a str", with_w("12")), ("a filter of fc: w is a NoneType", with_w(None)),
    ("a filter of fc: w is 1 numbers", with_w({"0": 1})),
    ("a filter of fc: w is 3 numbers", with_w({"0": 1, "1": 2, "length": 2})),
    ("a filter of fc: w has no number 1", with_w({"0": 1, "01": 2})),
    ("a filter of fc: w has no number 0", with_w({"1": 1, "2": 2})),
    *[(f"a filter of fc: {shown} in w; expected numbers", with_w((1, wrong)))
      for wrong, shown in ((True, "True"), ("1", "'1'"), (None, "None"), ([1], r"\[1\]"))],
    ("a filter of fc: False in w", with_w({"0": 1, "1": False})),
    ("an object of it has a name twice", json.dumps(with_w({"0": 1, "1": 2})).replace('"1"', '"0"')),
    ("a whole number of 100000 digits", json.dumps(net()).replace("1.5", "7" * 100_000)),
    ("it has 100010 objects and lists", json.dumps(net()).replace("1.5", "[]," * 99_997 + "[]", 1)),
]


@pytest.mark.parametrize("says, data", HOSTILE, ids=[f"{i}-{says[:40]}" for i, (says, _) in enumerate(HOSTILE)])
def test_hostile_files(says, data):
    with pytest.raises(WeightsError, match=f"^{says}") as caught:
        convnetjs.read(source(data))
    assert len(str(caught.value)) < 400


def test_size_of_the_text():
    data = json.dumps(net()).encode().ljust(1_000_101)
    assert convnetjs.read(source(data, budget=4040)).layers
    with pytest.raises(WeightsError, match="^it has 1000101 bytes of text; expected at most 1000100"):
        convnetjs.read(source(data, budget=4000))


@pytest.mark.parametrize("name", NAMES)
def test_cut_short(name):
    data = golden(name)
    for length in [*range(0, 300, 7), *range(300, len(data), len(data) // 30), len(data) - 1]:
        with pytest.raises((WeightsError, json.JSONDecodeError)):
            convnetjs.read(source(data[:length]))
