"""MATLAB files against scipy's reader, the networks of MatConvNet in them, and what strangers could put there instead."""
import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from foreign_weights import FOLDER, weights
from minicnn.errors import WeightsError
from minicnn.formats import mat5, matconvnet
from minicnn.formats.source import Source, Stored

NAMES = ["matconvnet.mat", "matconvnet_old.mat"]
MEAN = (123.5, 116.75, 103.25)


def source(data, budget=64_000_000):
    return Source(io.BytesIO(data), "a.mat", budget)


def golden(name):
    return (FOLDER / name).read_bytes()


def saved(compressed=False, **variables):
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=compressed, long_field_names=True)
    return file.getvalue()


def cells(*values):
    row = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        row[0, i] = value
    return row


# --- MATLAB files by hand, in both byte orders ----------------------------------------------------------------------
def element(kind, data, order="<"):
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind, shape, *parts, name=b"", flags=0, order="<"):
    head = (element(6, struct.pack(order + "II", flags | kind, 0), order)
            + element(5, struct.pack(f"{order}{len(shape)}i", *shape), order) + element(1, name, order))
    return element(14, head + b"".join(parts), order)


def opaque(name):
    """An object: flags and names only, no sizes."""
    return element(14, element(6, struct.pack("<II", 17, 0)) + element(1, name) + element(1, b"MCOS") + element(1, b"class"))


def fields(*names, length=8, order="<"):
    size = struct.pack(order + "I", length)
    small = struct.pack(order + "I", 4 << 16 | 5) + size
    return small + element(1, b"".join(n.ljust(length, b"\0") for n in names), order)


def file(*elements, order="<", text=b"MATLAB 5.0 MAT-file"):
    return text.ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI") + b"".join(elements)


def compressed(packed):
    return struct.pack("<II", 15, len(packed)) + packed


# --- networks -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_goldens(name):
    found = matconvnet.read(source(golden(name)))
    assert (found.format, found.certainty, list(found.layouts)) == ("matconvnet", "open", ["hwio", "whio"])
    assert list(found.layers) == ["conv1", "conv2", "conv3", "fc"]
    for layer, (weight, bias) in weights().items():
        read = {key: array.read() for key, array in found.layers[layer].items()}
        assert list(read) == ["weight", "bias"] and read["weight"].dtype == read["bias"].dtype == np.float32
        assert np.array_equal(read["weight"], weight.reshape(10, 20, 4, 4) if layer == "fc" else weight)
        assert np.array_equal(read["bias"], bias)
        assert [found.layers[layer][key].shape for key in read] == [array.shape for array in read.values()]
    for layout in found.layouts.values():
        assert layout.preprocessing == {"channel_order": "RGB", "scale": 1.0, "mean": MEAN, "std": (1.0, 1.0, 1.0)}
        assert (layout.map_axes, layout.rotated) == ("CHW", False)
    assert [layout.width_first for layout in found.layouts.values()] == [False, True]
    assert found.left_out == (["loss (softmaxloss)"] if name == NAMES[0] else [])


def test_recognises():
    for data in (*map(golden, NAMES), file(), file(order=">"), file(text=b"MATLAB 7.3 MAT-file"),
                 struct.pack("<5i", 0, 1, 1, 0, 2) + b"x\0" + bytes(8), struct.pack(">5i", 1000, 1, 1, 0, 2) + b"x\0"):
        assert matconvnet.recognises(source(data))
    for data in (b"", b"MATLAB 5.0", b"PK\3\4" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(600), b'{"layers": []}', bytes(300),
                 struct.pack("<5i", 0, 1, 1, 0, 2) + b"\1\0", struct.pack("<5i", 0, 1, 1, 0, 2**31 - 1) + b"x\0"):
        assert not matconvnet.recognises(source(data))


def layer(**settings):
    return {"type": "conv", "name": "a", **settings}


def net(*layers, **variables):
    return matconvnet.read(source(saved(layers=cells(*layers), **variables)))


def test_sizes_of_1_that_matlab_drops():
    draw = np.random.default_rng(0).standard_normal
    for shape in [(3, 2, 4, 5), (3, 2, 4, 1), (3, 2, 1, 1), (1, 1, 1, 1), (1, 1, 6, 1), (1, 1, 3, 5)]:
        filters, biases = draw(shape).astype(np.float32), draw(shape[3]).astype(np.float32)
        trimmed = filters
        while trimmed.ndim > 2 and trimmed.shape[-1] == 1:
            trimmed = trimmed[..., 0]
        for row_or_column in (biases[None], biases[:, None]):
            found = net(layer(weights=cells(trimmed, row_or_column))).layers["a"]
            assert np.array_equal(found["weight"].read(), filters.transpose(3, 2, 0, 1))
            assert np.array_equal(found["bias"].read(), biases)


def test_layers_without_names_biases_or_weights():
    one = np.ones((2, 2, 3, 4), np.float32)
    found = net({"type": "relu"}, {"type": "normalize", "param": np.ones((1, 4))}, {"type": "conv", "weights": cells(one)},
                layer(weights=cells(one, np.zeros((0, 0)))), {"type": "softmax"}, {"type": "loss"},
                {"type": "bnorm", "name": "bn1", "weights": cells(one, one, one)}, {"type": "convt", "weights": cells(one)},
                {"weights": cells(one)}, {"type": "data", "name": "\n"}, layer(name="b", filters=one, biases=np.zeros((0, 0))))
    assert list(found.layers) == ["layer_3", "a", "b"] and all(list(arrays) == ["weight"] for arrays in found.layers.values())
    assert found.left_out == ["layer_6 (loss)", "bn1 (bnorm)", "layer_8 (convt)", "layer_9 (without a type)", "layer_10 (data)"]


@pytest.mark.parametrize("image, mean", [
    (np.float64([1, 2, 4]), (1, 2, 4)), (np.float32([[1], [2], [4]]), (1, 2, 4)), (np.uint8([[[1, 2, 4]]]), (1, 2, 4)),
    (np.float32([[[1, 2, 4], [3, 4, 8]]]), (2, 3, 6)), (np.float32([[1, 2], [3, 2], [0, 4]]), (2,)),
    (np.zeros((0, 0)), matconvnet.VGG_RGB["mean"]), ("text", matconvnet.VGG_RGB["mean"]), (None, matconvnet.VGG_RGB["mean"])])
def test_average_images(image, mean):
    conv = layer(weights=cells(np.ones((2, 2, 3, 4), np.float32)))
    meta = {} if image is None else {"averageImage": image}
    for variables in ({"meta": {"normalization": meta}}, {"normalization": meta}):
        preprocessing = net(conv, **variables).layouts["hwio"].preprocessing
        assert preprocessing["mean"] == mean and preprocessing["std"] == (1,) * len(mean)
        assert preprocessing["channel_order"] == ("RGB" if len(mean) == 3 else "GRAY")
    assert net(conv, meta="nothing").layouts["hwio"].preprocessing["mean"] == (123.68, 116.779, 103.939)
    for bad, says in ((np.full((2, 2, 3), 1e300), "NaN or infinity in its average image"),
                      (np.ones((2, 2, 4)), r"its average image has the shape \(2, 2, 4\)"),
                      (np.full((2, 2, 3), np.nan), "NaN or infinity in its average image")):
        with pytest.raises(WeightsError, match=f"^{says}"):
            net(conv, meta={"normalization": {"averageImage": bad}})


def structs(*entries):
    names = list(entries[0])
    array = np.empty((1, len(entries)), [(name, object) for name in names])
    for i, entry in enumerate(entries):
        array[0, i] = tuple(entry[name] for name in names)
    return array


def graph(kind="dagnn.Conv", asked=("conv1f", "conv1b")):
    """The structs of a graph with one layer."""
    rng = np.random.default_rng(1)
    params = structs({"name": "conv1f", "value": rng.standard_normal((3, 3, 2, 4)).astype("f4"), "learningRate": 1.0},
                     {"name": "conv1b", "value": rng.standard_normal((4, 1)).astype("f4"), "learningRate": 2.0})
    block = {"size": np.ones((1, 4)), "hasBias": True}
    layers = structs({"name": "conv1", "type": kind, "params": cells(*asked), "block": block},
                     {"name": "relu1", "type": "dagnn.ReLU", "params": cells(), "block": block},
                     {"name": "bn1", "type": "dagnn.BatchNorm", "params": "conv1b", "block": block},
                     {"name": "objective", "type": "dagnn.Loss", "params": cells(), "block": block})
    return {"params": params, "layers": layers, "meta": {}}


@pytest.mark.parametrize("wrapped", [False, True])
def test_graphs(wrapped):
    variables = graph()
    found = matconvnet.read(source(saved(**({"net": variables} if wrapped else variables))))
    filters, biases = variables["params"]["value"][0]
    assert list(found.layers) == ["conv1"] and found.left_out == ["bn1 (dagnn.BatchNorm)", "objective (dagnn.Loss)"]
    assert np.array_equal(found.layers["conv1"]["weight"].read(), filters.transpose(3, 2, 0, 1))
    assert np.array_equal(found.layers["conv1"]["bias"].read(), biases[:, 0])
    with pytest.raises(WeightsError, match="^the layer 'conv1' asks for 'conv2f', which is not in params"):
        matconvnet.read(source(saved(**graph(asked=["conv2f"]))))
    with pytest.raises(WeightsError, match="^an entry of params has the fields"):
        matconvnet.read(source(saved(**{**variables, "params": {"title": "conv1f"}})))
    with pytest.raises(WeightsError, match="^no layer of it is a convolution"):
        matconvnet.read(source(saved(**graph(kind="dagnn.ConvTranspose"))))


def test_networks_that_do_not_fit():
    one = np.ones((2, 2, 3, 4), np.float32)
    for says, layers in {
            "the filters of 'a' are ": [[layer()], [layer(weights=cells())], [layer(weights=cells("text"))],
                                        [layer(weights=cells(np.ones((1, 2, 3, 4, 5))))], [layer(weights=cells(one * 1j))],
                                        [layer(weights=cells(np.ones((2, 0))))], [layer(filters={"a": 1})]],
            "the biases of 'a' are ": [[layer(weights=cells(one, np.ones(3)))], [layer(weights=cells(one, np.ones((2, 2))))],
                                       [layer(filters=one, biases="text")]],
            "two layers are named 'a'": [[layer(filters=one), layer(filters=one)]],
            "layers is no cell array of structs": [["conv"], [layer(filters=one), 3.0]],
            "no layer of it is a convolution": [[], [{"type": "relu"}]]}.items():
        for case in layers:
            with pytest.raises(WeightsError, match=f"^{says}"):
                net(*case)
    with pytest.raises(WeightsError, match=r"^its variables are \['a', 'b'\]; expected those of MatConvNet"):
        matconvnet.read(source(saved(b=1.0, a=2.0)))
    with pytest.raises(WeightsError, match="^its variable net is no struct"):
        matconvnet.read(source(file(opaque(b"net"))))


# --- the container --------------------------------------------------------------------------------------------------
def assert_same(ours, theirs):
    """Compare a value of mat5.read with scipy's array of the same variable."""
    if isinstance(ours, Stored):
        read = ours.read()
        assert read.dtype == ours.dtype == theirs.dtype.newbyteorder("=") and read.shape == ours.shape == theirs.shape
        assert np.array_equal(read, theirs)
    elif isinstance(ours, list) and theirs.dtype == object:
        assert len(ours) == theirs.size
        for one, other in zip(ours, theirs.ravel("F")):
            assert_same(one, other)
    elif isinstance(ours, (list, dict)):
        ours = [ours] if isinstance(ours, dict) else ours
        assert len(ours) == theirs.size
        for one, other in zip(ours, theirs.ravel("F")):
            assert tuple(one) == (other.dtype.names or ())
            for name in one:
                assert_same(one[name], other[name])
    elif isinstance(ours, str):
        assert ours == "\n".join(theirs.ravel())
    else:
        assert ours is None and (scipy.sparse.issparse(theirs) or theirs.dtype.kind == "c" or theirs.size == 0)


VARIABLES = {
    "numbers": np.random.default_rng(2).standard_normal((3, 4, 2, 5)).astype(np.float32), "double": np.arange(6.0).reshape(2, 3),
    "scalar": 5.0, "empty": np.zeros((0, 3)), "text": "some text",
    "letters": "\u00e4\u00f6\u4e2d", "rows": np.array(["abc", "de "]),
    "none": "",
    "deep": cells(cells(cells(1.0), "x"), cells()), "flags": np.array([[True, False]]),
    "grid": np.array([[1.0, "a"], ["b", np.float32(2)]], object),
    "one": {"a": 1.0, "long_name_of_a_field": {"b": {"c": "d"}}},
    "many": np.array([[(1.0, "x"), (2.0, "y")], [(3.0, "z"), (4.0, "w")]], [("p", object), ("q", object)]),
    "sparse": scipy.sparse.csc_matrix(np.eye(3)), "complex": np.ones((2, 2)) * 1j,
    **{f"kind_{kind}": np.arange(5).astype(kind)[None] for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")}}


@pytest.mark.parametrize("packed", [False, True])
def test_same_as_scipy(packed):
    data = saved(packed, **VARIABLES)
    theirs = scipy.io.loadmat(io.BytesIO(data), chars_as_strings=True)
    ours = mat5.read(source(data), VARIABLES)
    assert list(ours) == list(VARIABLES)
    for name in VARIABLES:
        assert_same(ours[name], theirs[name])
    assert mat5.read(source(data), ()) == dict.fromkeys(VARIABLES)


@pytest.mark.parametrize("order", "<>")
def test_byte_orders_and_narrow_numbers(order):
    made = {b"v9": matrix(6, (2, 2), element(9, struct.pack(order + "4d", 1, 2, 3, 4.5), order), name=b"v9", order=order)}
    for kind, code in {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I"}.items():
        name = b"v%d" % kind
        part = element(kind, struct.pack(order + "4" + code, 1, 2, 3, 100), order)
        made[name] = matrix(6 if kind % 2 else 7, (2, 2), part, name=name, order=order)
    made[b"text"] = matrix(4, (1, 3), element(4, "abc".encode("utf-16-be" if order == ">" else "utf-16-le"), order),
                           name=b"text", order=order)
    small = struct.pack(order + "IH", 2 << 16 | 4, 7) + b"\0\0"
    made[b"s"] = matrix(2, (1, 1), fields(b"x", b"y", order=order), matrix(6, (1, 1), small, order=order),
                        matrix(6, (0, 0), element(9, b"", order), order=order), name=b"s", order=order)
    data = file(*made.values(), order=order)
    theirs = scipy.io.loadmat(io.BytesIO(data), mat_dtype=True)
    ours = mat5.read(source(data), [name.decode() for name in made])
    assert [ours[f"v{kind}"].dtype for kind in (1, 2, 9)] == ["f8", "f4", "f8"] and ours["s"]["x"].read() == 7
    for name, value in ours.items():
        assert_same(value, theirs[name])


def test_what_stands_beside_weights_does_no_harm():
    function, objects = matrix(16, (1, 1), matrix(2, (1, 1), fields())), matrix(3, (1, 1), element(1, b"class"), fields())
    last = matrix(6, (1, 1), element(9, bytes(8)))
    wanted = matrix(1, (1, 5), function, objects, opaque(b"c"), element(14, b""), last, name=b"a")
    subsystem = matrix(9, (1, 8), element(2, bytes(8)))
    first, second, third, fourth, number = mat5.read(source(file(wanted, subsystem)), ["a"])["a"]
    assert (first, second, third, fourth) == (None,) * 4 and number.read() == 0
    text = matrix(4, (1, 2**20 + 2), element(2, b"a" * (2**20 + 2)), name=b"b")
    assert mat5.read(source(file(text)), ["b"]) == {"b": None}          # too long to be a name


def test_open_numbers_stay_in_the_file():
    class Counting(io.BytesIO):
        asked = 0

        def read(self, size=-1):
            self.asked += size
            return super().read(size)
    data = Counting(file(matrix(7, (1000, 1000), element(7, bytes(4_000_000)), name=b"a")))
    array = mat5.read(Source(data, "a.mat"), ["a"])["a"]
    assert array.shape == (1000, 1000) and data.asked < 1000


def test_compressed_parts_keep_to_the_budget():
    data = saved(True, a=np.zeros((100, 100), np.float32), b=np.zeros((100, 100), np.float32))
    assert all(mat5.read(source(data, 81_000), ["a", "b"]).values())
    assert mat5.read(source(data, 41_000), ["a"])["a"].shape == (100, 100)
    for budget, wanted in ((79_000, ["a", "b"]), (39_000, ["b"])):
        with pytest.raises(WeightsError, match=f"^it unpacks to more than {budget} bytes, more than this architecture needs"):
            mat5.read(source(data, budget), wanted)
    assert mat5.read(source(data, 0), []) == {"a": None, "b": None}


def number(size=8, kind=9, shape=(1, 1), cls=6):
    return matrix(cls, shape, element(kind, bytes(size)), name=b"a")


def nested(depth):
    inner = matrix(6, (0, 0), element(9, b""))
    for _ in range(depth):
        inner = matrix(1, (1, 1), inner, name=b"a")
    return inner


PACKED = zlib.compress(number(800, shape=(10, 10)))
SIZED = struct.pack("<II", 14, 2**31 - 1)
HOSTILE = [
    ("it is a MATLAB file of version 7.3", file(text=b"MATLAB 7.3 MAT-file, HDF5") + bytes(512)),
    ("it is a MATLAB file of version 4", struct.pack("<5i", 0, 1, 1, 0, 2) + b"a\0" + bytes(200)),
    ("bytes 124 to 128 are b'", file()[:-4] + b"\0\2IM"), ("bytes 124 to 128 are b'", file()[:-4] + b"\0\1XX"),
    ("a variable of type 9; expected 14", file(element(9, bytes(8)))), ("two variables are named 'a'", file(number(), number())),
    ("the element at byte 128 says that it has 2147483647 bytes", file(SIZED + bytes(64))),
    ("the element at byte 128 says that it has 9 bytes, but there is room for 4", file(struct.pack("<II", 9 << 16 | 14, 0))),
    ("an element of 8 bytes or more was expected at byte 128", file(bytes(7))),
    ("the flags of a matrix at byte 136 are of type 5", file(element(14, element(5, bytes(8))))),
    ("the sizes of a matrix at byte 152 are of type 5 and 132 bytes", file(matrix(6, (1,) * 33, name=b"a"))),
    (r"an array of shape \([0-9, .]*\); expected up to 8 sizes", file(number(shape=(1,) * 9))),
    (r"an array of shape \([0-9, .]*\); expected up to 8 sizes", file(number(shape=(2**31 - 1,) * 2))),
    (r"an array of shape \(-1, -1\)", file(number(shape=(-1, -1)))),
    ("the name of a matrix at byte 168 are of type 1 and 129 bytes", file(matrix(6, (1, 1), name=b"a" * 129))),
    (r"an array of shape \(1, 1\) and float64 with 16 bytes; expected 8", file(number(16))),
    (r"an array of shape \(3000, 3000\) and float64 with 8 bytes", file(number(shape=(3000, 3000)))),
    ("numbers of class float32 that are stored as type 9", file(number(cls=7))),
    ("numbers of class float64 that are stored as type 8", file(number(kind=8))),
    ("a matrix of class 99", file(number(cls=99))), ("text of type 9", file(number(cls=4))),
    ("it has more than 30000 variables, cells", file(number(cls=1, shape=(2**31 - 1, 1)))),
    ("it has more than 30000 variables, cells", file(matrix(2, (2**31 - 1, 1), fields(), name=b"a"))),
    ("it has more than 30000 variables, cells", file(matrix(1, (9, 1), *[matrix(2, (9000, 1), fields())] * 9, name=b"a"))),
    ("it has more than 30000 variables, cells", file(matrix(2, (90, 1), fields(*[b"f%d" % i for i in range(450)]), name=b"a"))),
    ("it has more than 30000 variables, cells", file(*[matrix(6, (0, 0), name=b"v%d" % i) for i in range(30_001)])),
    ("it has more than 12 cells and structs inside each other", file(nested(14))),
    ("a cell or field of type 9", file(number(cls=1))),
    ("a struct whose fields have names of 0 letters", file(matrix(2, (1, 1), fields(length=0), name=b"a"))),
    ("a struct whose fields have names of 2000 letters", file(matrix(2, (1, 1), fields(length=2000), name=b"a"))),
    ("the names of fields at byte", file(matrix(2, (1, 1), fields(*[b"f"] * 501), name=b"a"))),
    ("a compressed element of type 9", file(compressed(zlib.compress(element(9, bytes(80)))))),
    ("the compressed element that ends at byte", file(compressed(PACKED[:-6]))),
    ("it ends at byte 3, but", file(compressed(zlib.compress(b"abc")))),
    ("the compressed element that ends at byte", file(compressed(b"\x78\x9c" + b"\0\0\0\xff\xff" * 1000))),
    ("'a' unpacks to more bytes, but says that it has 864", file(compressed(zlib.compress(number(800, shape=(10, 10)) + b"1")))),
    ("'a' unpacks to 864 bytes, but says that it has 865",
     file(compressed(zlib.compress(struct.pack("<II", 14, 857) + number(800, shape=(10, 10))[8:])))),
]


@pytest.mark.parametrize("says, data", HOSTILE, ids=[f"{i}-{says[:40]}" for i, (says, _) in enumerate(HOSTILE)])
def test_hostile_files(says, data):
    assert matconvnet.recognises(source(data))
    with pytest.raises(WeightsError, match=f"^{says}") as caught:
        mat5.read(source(data), ["a"])
    assert len(str(caught.value)) < 400


def test_a_large_claim_costs_nothing():
    packed = zlib.compress(struct.pack("<II", 14, 2**31) + number(800, shape=(10, 10))[8:])
    with pytest.raises(WeightsError, match="^it unpacks to more than"):
        mat5.read(source(file(compressed(packed))), ["a"])
    bomb = zlib.compress(bytes(20_000_000), 9)
    with pytest.raises(WeightsError, match="^a compressed element of type 0"):
        mat5.read(source(file(compressed(bomb))), ["a"])


@pytest.mark.parametrize("name", NAMES)
def test_cut_short(name):
    data = golden(name)
    whole, at = set(), 128                  # an end between two variables leaves a file of fewer variables
    while at < len(data):
        at += 8 + struct.unpack("<I", data[at + 4:at + 8])[0]
        whole.add(at)
    for length in [*range(0, 600), *range(600, len(data), 997), *(end - 1 for end in whole), *(end + 3 for end in whole)]:
        if length < len(data) and length not in whole:
            with pytest.raises((WeightsError, zlib.error)):
                matconvnet.read(source(data[:length]))
