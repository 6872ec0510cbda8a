"""Files of torch.save in both serialisations, read without torch; what they must not make the reader do."""
import io
import itertools
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from foreign_weights import FOLDER, SHAPES, weights
from test_format_numpy import _ARRAY, _LAUGHS, MANY, arrays_read, assert_bounded, assert_same, filled, named

from minicnn import formats
from minicnn.errors import WeightsError
from minicnn.formats import numpy_pickle, numpy_weights, torch_file
from minicnn.formats.source import Source, Stored

GOLDENS = {"torch.pth": "torch", "torch_legacy.pth": "torch, legacy", "torch_checkpoint.pth": "torch"}
REBUILD = "torch._utils._rebuild_tensor_v2"
DTYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
          "Bool": "?"}


def source(data):
    return Source(io.BytesIO(data), "x")


def read(data):
    with formats.guarded("x"):
        return torch_file.read(source(data))


# --- a writer of torch's files ---------------------------------------------------------------------------------------
def plain(value):
    """The instructions that make plain data."""
    return pickle.dumps(value, 2)[2:-1].replace(b"q\0", b"")


def storage(key="0", count=6, kind="Float", device="cpu", view=b""):
    return b"(" + plain("storage") + named(f"torch.{kind}Storage") + plain(key) + plain(device) + plain(count) + view + b"tQ"


def tensor(shape=(2, 3), stride=(3, 1), offset=0, of=None, function=REBUILD):
    """A call of the function that makes a tensor of a storage."""
    return named(function) + b"(" + (storage() if of is None else of) + plain(offset) + plain(shape) + plain(stride) + \
        plain(False) + named("collections.OrderedDict") + b")RtR"


def state_dict(**tensors):
    """The dict of tensors; "__" stands for a dot."""
    return b"}(" + b"".join(plain(name.replace("__", ".")) + value for name, value in tensors.items()) + b"u"


NUMBERS = np.arange(6, dtype=np.float32)


def zipped(program, storages=None, method=zipfile.ZIP_STORED, others=None, prefix="archive/"):
    """Return the archive of a program and its storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(prefix + "data.pkl", b"\x80\2" + program + b".")
        for name, data in (others or {}).items():
            archive.writestr(prefix + name, data)
        for key, data in ({"0": NUMBERS} if storages is None else storages).items():
            archive.writestr(f"{prefix}data/{key}", data if isinstance(data, bytes) else data.tobytes())
    return file.getvalue()


def legacy(program, storages=None, version=1001, little=True, keys=None, counts=None):
    """Return the same in the older serialisation."""
    storages = {"0": NUMBERS} if storages is None else storages
    return torch_file.MAGIC + pickle.dumps(version, 2) + pickle.dumps({"protocol_version": 1001, "little_endian": little}, 2) + \
        b"\x80\2" + program + b"." + pickle.dumps(list(storages) if keys is None else keys, 2) + \
        b"".join(struct.pack("<q", (counts or {}).get(key, len(data))) + data.tobytes() for key, data in storages.items())


BOTH = pytest.mark.parametrize("write", [zipped, legacy])


def the_one(data):
    found = read(data)
    assert list(found.layers) == ["a"] and list(found.layers["a"]) == ["weight"]
    with formats.guarded("x", formats._LATER):
        return found.layers["a"]["weight"].read()


# --- good files -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name):
    with formats.opened(FOLDER / name) as found:
        assert (found.format, found.certainty, list(found.layouts)) == (GOLDENS[name], "likely", ["rgb", "bgr"])
        assert found.left_out == []
        assert found.layouts["rgb"].preprocessing["mean"] == (0.485, 0.456, 0.406) and not found.layouts["bgr"].preprocessing
        assert list(found.layers) == list(SHAPES)
        for layer, pair in weights().items():
            assert list(found.layers[layer]) == ["weight", "bias"]
            for key, array in zip(("weight", "bias"), pair):
                stored = found.layers[layer][key]
                half = layer == "fc" and name == "torch_checkpoint.pth"
                assert stored.read().dtype == stored.dtype == (np.float16 if half else np.float32)
                assert stored.read().shape == stored.shape and np.array_equal(stored.read(), array)


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens_cut_short(name):
    data = (FOLDER / name).read_bytes()
    for length in [*range(0, 3000, 17), *range(3000, len(data), 4999), len(data) - 22, len(data) - 3, len(data) - 1]:
        with pytest.raises(WeightsError):
            arrays_read(read(data[:length]).layers)


def test_recognises():
    others = [b"", b"PK\3\4", b"PK\3\4" + bytes(100), torch_file.MAGIC[:-1], pickle.dumps({}, 2), pickle.dumps(1, 2)]
    others += [path.read_bytes() for path in FOLDER.iterdir() if path.is_file() and path.name not in GOLDENS]
    for data in others:
        assert not torch_file.recognises(source(data))
    files = [(FOLDER / name).read_bytes() for name in GOLDENS]
    files += [zipped(state_dict(a__weight=tensor())), legacy(state_dict(a__weight=tensor())),
              zipped(state_dict(a__weight=tensor()), others={f"{k}.npy": b"" for k in range(100)})]
    for data in files:
        assert torch_file.recognises(source(data)) and not numpy_weights.recognises(source(data))


@BOTH
@pytest.mark.parametrize("kind", DTYPES)
def test_every_dtype(write, kind):
    numbers = np.arange(6).astype(DTYPES[kind])
    program = state_dict(a__weight=tensor(of=storage(kind=kind)), b__weight=tensor(of=storage("1")))
    found = read(write(program, {"0": numbers, "1": NUMBERS}))
    if numbers.dtype.kind == "f":
        assert_same(found.layers["a"]["weight"].read(), numbers.reshape(2, 3))
    else:
        assert found.left_out == ["a.weight"] and list(found.layers) == ["b"]


@BOTH
def test_bfloat16(write):
    exact = np.array([0, 1, -2.5, 1e30, np.inf, -0.0], np.float32)
    upper = (exact.view(np.uint32) >> 16).astype(np.uint16)
    array = the_one(write(state_dict(a__weight=tensor(of=storage(kind="BFloat16"))), {"0": upper}))
    expected = (upper.astype(np.uint32) << 16).view(np.float32).reshape(2, 3)
    assert array.dtype == np.float32 and np.array_equal(array.view(np.uint32), expected.view(np.uint32))


def test_big_endian():
    program = state_dict(a__weight=tensor())
    for data in (zipped(program, {"0": NUMBERS.astype(">f4")}, others={"byteorder": b"big"}),
                 zipped(program, {"0": NUMBERS}, others={"byteorder": b"little"}), zipped(program, {"0": NUMBERS}),
                 zipped(program, {"0": NUMBERS}, others={"byteorder": b"big" * 1000}),
                 legacy(program, {"0": NUMBERS.astype(">f4")}, little=False)):
        assert the_one(data).tolist() == [[0, 1, 2], [3, 4, 5]]


@BOTH
def test_views_of_a_storage(write):
    numbers = np.arange(24, dtype=np.float32)
    for shape, stride, offset in (((2, 3, 4), (12, 4, 1), 0), ((4, 3, 2), (1, 4, 12), 0), ((3,), (4,), 2),
                                  ((), (), 23), ((1,), (99,), 5),
                                  ((0, 3), (3, 1), 0), ((0,), (1,), 24), ((2, 3), (0, 1), 4),
                                  ((2, 2), (1, 1), 20),
                                  ((3,), (0,), 7)):
        array = the_one(write(state_dict(a__weight=tensor(shape, stride, offset, storage(count=24))), {"0": numbers}))
        assert array.shape == shape
        for index in itertools.product(*map(range, shape)):
            assert array[index] == numbers[offset + sum(i * step for i, step in zip(index, stride))]


@BOTH
def test_two_tensors_of_one_storage(write):
    data = write(state_dict(a__weight=tensor((3,), (1,)), a__bias=tensor((3,), (1,), 3)))
    assert_same(arrays_read(read(data).layers), {"a": {"weight": NUMBERS[:3], "bias": NUMBERS[3:]}})


def test_spellings():
    old = named("torch._utils._rebuild_tensor") + b"(" + storage() + plain(0) + plain((2, 3)) + plain((3, 1)) + b"tR"
    size = named("torch.Size") + b"(" + plain((2, 3)) + b"tR"
    sized = named(REBUILD) + b"(" + storage() + plain(0) + size + plain((3, 1)) + plain(True) + plain(None) + b"tR"
    parameter = named("torch._utils._rebuild_parameter") + b"(" + tensor() + \
        plain(True) + named("collections.OrderedDict") + b")RtR"
    viewed = tensor(of=storage(view=plain(None)))
    elsewhere = tensor(of=storage(device="cuda:0"))
    for made in (old, sized, parameter, viewed, elsewhere, tensor()):
        name = plain("a.weight")
        ordered = named("collections.OrderedDict")
        for program in (b"}" + name + made + b"s", ordered + b")R(" + name + made + b"u",
                        ordered + b"(](](" + name + made + b"eetR",             # as Python 2 wrote it
                        ordered + b")R(" + name + made + b"u}" + plain("_metadata") + ordered + b")Rsb"):
            for write in (zipped, legacy):
                assert the_one(write(program)).tolist() == [[0, 1, 2], [3, 4, 5]]


def nested(key, inside, **others):
    return b"}(" + plain(key) + inside + b"".join(plain(name) + value for name, value in others.items()) + b"u"


def test_checkpoints():
    inside = state_dict(module__a__weight=tensor())
    for key in ("state_dict", "model_state_dict", "model", "net", "weights", "params"):
        assert the_one(zipped(nested(key, inside))).shape == (2, 3)
        others = {"epoch": plain(3), "best_acc1": tensor((), ()), "optimizer": nested(
            "state", plain({0: 1})), "arch": plain("vgg16")}
        assert the_one(legacy(nested(key, inside, **others))).shape == (2, 3)
    assert the_one(zipped(nested("state_dict", state_dict(module__model__a__weight=tensor())))).shape == (2, 3)
    # A layer may have such a name itself.
    assert list(read(zipped(state_dict(model__weight=tensor(), model__0__weight=tensor()))).layers) == ["model", "model.0"]


@pytest.mark.parametrize("program, says", [
    (plain(5), "x: it holds a int without named tensors"), (plain({}), "x: it holds a dict without named tensors"),
    (plain({"a": 1}), "x: it holds a dict without named tensors"), (b"]" + tensor() + b"a", "x: it holds a list without"),
    (b"}I1\n" + tensor() + b"s", "x: it holds a dict without named tensors"), (tensor(), "x: it holds a Stored without named"),
    (nested("state_dict", plain({})), "x: it holds a dict without named"),
    (state_dict(a__weight=tensor(), a_weight=tensor()), "x: 'a_weight' is the second weight of 'a'"),
    (b"}" + plain("a\n.weight") + tensor() + b"s", "x: an array is named 'a\\n.weight'")])
def test_no_state_dict(program, says):
    for write in (zipped, legacy):
        with pytest.raises(WeightsError) as caught:
            read(write(program, None if b"storage" in program else {}))
        assert str(caught.value).startswith(says)


def test_caffe_numbers_in_torch_names():
    """Johnson's VGG counts the flattening as classifier.0."""
    def names(*classifier, first=(6, 1, 3, 3)):
        shapes = {"features.0": first, **{f"classifier.{k}": (6, 1) for k in classifier}}
        of = storage(count=54)
        return zipped(b"}(" + b"".join(plain(f"{n}.weight") + tensor(s, tuple(np.cumprod((1, *s[:0:-1]))[::-1].tolist()), 0, of)
                                       for n, s in shapes.items()) + b"u", {"0": np.zeros(54, np.float32)})
    assert list(read(names(1, 4, 6)).layouts) == ["bgr", "rgb"]
    for data in (names(0, 3, 6), names(1, 4), names(1, 6), names(1, 4, 6, first=(6, 1, 1, 1))):
        assert list(read(data).layouts) == ["rgb", "bgr"]
    biases = state_dict(features__0__bias=tensor(), classifier__1__bias=tensor(), classifier__4__bias=tensor(),
                        classifier__6__bias=tensor())
    assert list(read(zipped(biases)).layouts) == ["rgb", "bgr"]


# --- tensors and storages that lie -----------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("arguments, says", [
    (((2, 4), (4, 1)), "x: a tensor of shape (2, 4) needs 8 numbers, its storage has 6"),
    (((2, 3), (3, 1), 1), "x: a tensor of shape (2, 3) needs 7 numbers, its storage has 6"),
    (((2, 3), (4, 1)), "x: a tensor of shape (2, 3) needs 7 numbers, its storage has 6"),
    (((0,), (1,), 7), "x: a tensor of shape (0,) needs 7 numbers, its storage has 6"),
    (((2, 3), (-3, 1), 3), "x: a tensor of shape (2, 3) with the stride (-3, 1)"),
    (((2, 3), (3, 1), -1), "x: a tensor of shape (2, 3) with the stride (3, 1)"),
    (((2, 3), (2**62, 1)), "x: a tensor of shape (2, 3) with the stride (4611686018427387904, 1)"),
    (((2, 3), (2**39, 1)), "x: a tensor of shape (2, 3) needs 549755813891 numbers, its storage has 6"),
    (((2, 3), (3, 1), 2**63), "x: a tensor of shape (2, 3) with the stride (3, 1)"),
    (((2, 3), (3,)), "x: a tensor of shape (2, 3) with the stride (3,)"), ((
        (2, 3), 3), "x: a tensor of shape (2, 3) with the stride 3"),
    (((2, 3), (3, 1.0)), "x: a tensor of shape (2, 3) with the stride (3, 1.0)"),
    (((2, 3), (3, True)), "x: a tensor of shape (2, 3) with the stride (3, True)"),
    (((2, 3), [3, 1]), "x: a tensor of shape (2, 3) with the stride <list>"),
    (((-2, 3), (3, 1)), "x: an array of shape (-2, 3)"), (((2.0, 3), (3, 1)), "x: an array of shape (2.0, 3)"),
    (("ab", (3, 1)), "x: an array of shape 'ab'"), (((2**62, 2**62), (0, 0)), "x: an array of shape (4611686018427387904, 46116"),
    (((1,) * 9, (1,) * 9), "x: an array of shape (1, 1, 1, 1, 1, 1, ...)"),
    (((10**12,), (0,)), "x: a tensor of shape (1000000000000,) is a view of 1 numbers; save tensor.contiguous()"),
    (((10**6, 10**6), (0, 0)), "x: a tensor of shape (1000000, 1000000) is a view of 1 numbers"),
    (((2**20, 6), (0, 1)), "x: a tensor of shape (1048576, 6) is a view of 6 numbers"),
    (((2, 3), (3, 1), 0, plain("text")), "x: a tensor of shape (2, 3) with the stride (3, 1); expected a storage"),
    (((2, 3), (3, 1), 0, named("torch.FloatStorage")), "x: a tensor of shape (2, 3) with the stride (3, 1); expected a storage"),
    (((2, 3), (3, 1), 0, storage("missing")), "x: "), (((2, 3), (3, 1), 0, storage(count=2**39)), "x: "),
    (((2, 3), (3, 1), 0, storage(count=-6)), "x: it points to a storage "),
    (((2, 3), (3, 1), 0, storage(count=2**40)), "x: it points to a"),
    (((2, 3), (3, 1), 0, storage(count=6.0)), "x: it points to a storage ('0', 'cpu', 6.0)"),
    (((2, 3), (3, 1), 0, storage(key=0)), "x: it points to a storage (0, 'cpu', 6)"),
    (((2, 3), (3, 1), 0, storage(kind="Complex")), "x: it asks for 'torch.ComplexStorage'")])
def test_tensors_that_are_refused(write, arguments, says):
    with pytest.raises(WeightsError) as caught:
        read(write(state_dict(a__weight=tensor(*arguments))))
    # The message of a storage shows all but what kind it is of.
    message = str(caught.value).replace("x: it points to a storage <tuple>", "x: it points to a storage ")
    assert message.startswith(says) and len(message) < 400


def test_a_large_storage_of_which_little_is_used():
    data = zipped(state_dict(a__weight=tensor((2,), (10**6,), 0, storage(count=10**6 + 1))), {"0": bytes(4 * 10**6 + 4)})
    with pytest.raises(WeightsError, match=r"a tensor of shape \(2,\) is a view of 1000001 numbers; save tensor.contiguous"):
        read(data)
    small = zipped(state_dict(a__weight=tensor((2,), (1,), 0, storage(count=10**6 + 1))), {"0": bytes(4 * 10**6 + 4)})
    assert_bounded(lambda: the_one(small), None)


@pytest.mark.parametrize("key", [
    plain("text"), plain(("storage",)), plain(("module", 1, 2, 3, 4)), plain(5), plain([1] * 5), b"N", b")",
    b"(" + plain("storage") + named("torch.Size") + plain("0") + plain("cpu") + plain(6) + b"t",
    b"(" + plain("storage") + plain("FloatStorage") + plain("0") + plain("cpu") + plain(6) + b"t",
    b"(" + plain("other") + named("torch.FloatStorage") + plain("0") + plain("cpu") + plain(6) + b"t"])
def test_persistent_ids_that_are_refused(key):
    for write in (zipped, legacy):
        with pytest.raises(WeightsError, match="x: it points to .*; expected a storage of numbers"):
            read(write(state_dict(a__weight=tensor(of=key + b"Q"))))
    with pytest.raises(WeightsError, match="x: it holds instructions that no pickle of plain arrays needs"):
        read(zipped(state_dict(a__weight=tensor(of=b"Psomething\n"))))


def test_views_of_storages_are_refused():
    with pytest.raises(WeightsError, match="x: it points to a storage"):
        read(legacy(state_dict(a__weight=tensor(of=storage(view=plain(("1", 0, 6)))))))


@BOTH
@pytest.mark.parametrize("other", [storage(count=5), storage(kind="Int"), storage(count=7)])
def test_a_storage_in_two_ways(write, other):
    with pytest.raises(WeightsError, match="x: it describes the storage '0' in two ways"):
        read(write(state_dict(a__weight=tensor(), b__weight=tensor((1,), (1,), 0, other))))


def test_storages_of_an_archive():
    program = state_dict(a__weight=tensor())
    says = "x: the numbers of storage '0', 6 of float32, are missing or too few"
    for data in (zipped(program, {}), zipped(program, {"1": NUMBERS}), zipped(program, {"0": NUMBERS[:5]}),
                 zipped(program, {"../0": NUMBERS})):
        with pytest.raises(WeightsError, match=says):
            read(data)
    up = zipped(state_dict(a__weight=tensor(of=storage("../../up"))), {"../../up": NUMBERS})
    assert the_one(up).shape == (2, 3)          # a name is a name


def test_archives_that_are_packed():
    """torch.save packs nothing, and a packed storage could unpack to any size."""
    program = state_dict(a__weight=tensor())
    with pytest.raises(WeightsError, match="x: it has 1 members named data.pkl; expected one, stored plainly"):
        read(zipped(program, method=zipfile.ZIP_DEFLATED))
    data = io.BytesIO(zipped(program, {}))
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**7))
    with pytest.raises(WeightsError, match="x: the numbers of storage '0', 6 of float32, are missing or too few"):
        read(data.getvalue())
    data = io.BytesIO(zipped(program))
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/byteorder", bytes(10**7))
    assert_bounded(lambda: the_one(data.getvalue()), None)


def test_archives_with_several_programs():
    file = io.BytesIO(zipped(state_dict(a__weight=tensor())))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    with pytest.raises(WeightsError, match="x: it has 2 members named data.pkl"):
        read(file.getvalue())
    for prefix in ("", "a/b/"):
        with pytest.raises(WeightsError, match="x: it has 0 members named data.pkl"):
            read(zipped(state_dict(a__weight=tensor()), prefix=prefix))


def test_legacy_files_that_lie():
    program = state_dict(a__weight=tensor())
    for data, says in ((legacy(program, version=1000), "x: it is torch's legacy format in version 1000"),
                       (legacy(program, version=[[]]), "x: it is torch's legacy format in version <list>"),
                       (legacy(program, keys="0"), "x: it is torch's legacy format in version"),
                       (legacy(program, keys=[0]), "x: it is torch's legacy format in version"),
                       (legacy(program, keys=["1"]), "x: it keeps 6 numbers as storage '1', which no tensor expects"),
                       (legacy(program, keys=[]), "x: a tensor of shape (2, 3) needs 6 numbers"),
                       (legacy(program, keys=["0", "0"]), "x: it ends at byte "),
                       (legacy(program, keys=["0", "0"]) + struct.pack("<q", 6), "x: it keeps 6 numbers as storage '0'"),
                       (legacy(program, counts={"0": 7}), "x: it keeps 7 numbers as storage '0'"),
                       (legacy(program, counts={"0": -1}), "x: it keeps -1 numbers as storage '0'"),
                       (legacy(program, counts={"0": 2**62}), "x: it keeps 4611686018427387904 numbers as storage '0'"),
                       (legacy(program)[:-1], "x: it ends at byte "), (legacy(program)[:-24], "x: it ends at byte ")):
        with pytest.raises(WeightsError) as caught:
            read(data)
        assert str(caught.value).startswith(says)


def test_dicts_of_pairs():
    for pairs in (b"}", plain("ab"), b"(ltR" + named("collections.OrderedDict") + b"]"):
        with pytest.raises(WeightsError):
            read(zipped(named("collections.OrderedDict") + b"(" + pairs + b"tR"))
    with pytest.raises(WeightsError, match="x: a dict with the key "):
        read(zipped(named("collections.OrderedDict") + b"(](]((I1\ntNeetR"))


# --- programs --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [
    "os.system", "builtins.eval", "__builtin__.eval", "builtins.getattr", "torch.load", "torch.storage._load_from_bytes",
    "torch.jit._script.unpackage_script_module", "torch.jit.load", "torch.hub.load", "torch.serialization.load",
    "torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type_v2", "torch.nn.modules.linear.Linear",
    "torch.FloatTensor", "__torch__.Net", "numpy.load", "collections.OrderedDict.fromkeys", "collections.defaultdict", "numpy"])
def test_names_that_are_refused(name):
    module, _, function = name.rpartition(".")
    call = b"c" + module.encode() + b"\n" + function.encode() + b"\n(" + plain("touch mark") + b"tR"
    for write in (zipped, legacy):
        for program in (call, state_dict(a__weight=tensor(), b=call), nested("state_dict", call)):
            with pytest.raises(WeightsError, match="x: it asks for '.*', which no file of plain arrays needs; do not trust it"):
                read(write(program))


def test_reducing_our_own_stand_ins():
    for program, says in ((named(REBUILD) + b"}b", "x: it sets the state of a type"),
                          (named("torch._utils._rebuild_parameter") + b"}b", "x: it sets the state of a function"),
                          (named("torch.FloatStorage") + b")R", "x: it is damaged or cut short (TypeError"),
                          (named("torch.FloatStorage"), "x: it holds a _StorageType"), (storage(), "x: it holds a _Storage;"),
                          (storage() + b"}b", "x: it sets the state of a _Storage"),
                          (tensor() + b"}b", "x: it sets the state of a _Tensor"),
                          (tensor() + b"NNs", "x: it sets items of a _Tensor"), (named(REBUILD), "x: it holds a type"),
                          (named("collections.OrderedDict"), "x: it holds a type"),
                          (named(REBUILD) + b")R", "x: it is damaged or cut short (TypeError"),
                          (named("torch.Size") + b"(" + plain("ab") + b"tR", "x: an array of shape 'ab'"),
                          (named(REBUILD) + b"(" + tensor() + plain(0) + plain((2, 3)) + plain((3, 1)) + b"tR",
                           "x: a tensor of shape")):
        for write in (zipped, legacy):
            with pytest.raises(WeightsError) as caught:
                read(write(program, None if b"storage" in program else {}))
            assert str(caught.value).startswith(says)


_ORDERED = named("collections.OrderedDict")
_PAIRS = b"](" + b"".join(b"M" + struct.pack("<H", i) + b"N\x86" for i in range(20_000)) + b"e"
_TENSOR = named(REBUILD) + b"q\0010(" + storage() + b"K\0(" + b"K\1" * 8 + b"t(" + b"K\1" * 8 + b"t\x89Ntq\x020"
WORST = {
    "one list made many dicts": (_ORDERED + b"q\0000" + _PAIRS + b"\x85q\x010(" + b"h\0h\1R" * 10_000 + b"t", None),
    "tensors": (filled(_TENSOR + b"(", b"h\1h\2R", b"t.")[2:-1], MANY),
    "tensors by name": (_TENSOR + b"}(" + b"".join(b"\x8c\4%04xh\1h\2R" % i for i in range(16_000)) + b"u", MANY),
    "sizes": (filled(named("torch.Size") + b"q\0000(" + b"K\1" * 8 + b"t\x85q\x010(", b"h\0h\1R", b"t.")[2:-1], MANY),
    "ordered dicts": (filled(_ORDERED + b"q\0000(", b"h\0)R", b"t.")[2:-1], MANY),
    "storages": (named("torch.FloatStorage") + b"q\0\x8c\7storageq\1\x8c\3cpuq\2(" +
                 b"".join(b"(h\1h\0\x8c\4%04xh\2K\1tQ" % i for i in range(10_000)) + b"t", "x: "),
    "endless to print, as a shape": (_TENSOR + b"".join(_LAUGHS) + _ORDERED + b")RI1\ng20\ns\x85p20\n0" + named(REBUILD) + b"(" +
                                     storage() + b"K\0g20\ng20\n\x89NtR", "x: an array of shape <tuple>"),
    "endless to print, as a stride": (b"".join(_LAUGHS) + _ORDERED + b")RI1\ng20\ns\x85p20\n0" + named(REBUILD) + b"(" +
                                      storage() + b"K\0K\6\x85g20\n\x89NtR", "x: a tensor of shape (6,) with the stride <tuple>"),
    "endless to print, as a key": (b"".join(_LAUGHS) + b"}" + _ORDERED + b")RI1\ng20\nsNs",
                                   "x: a dict with the key <_OrderedDict>"),
    "endless to print, as a dtype": (b"".join(_LAUGHS) + named("numpy.dtype") + b"(" + _ORDERED + b")RI1\ng20\nstR",
                                     "x: an array of dtype <_OrderedDict>"),
    "endless to print, as a storage": (b"".join(_LAUGHS) + _ORDERED + b")RI1\ng20\ns\x85Q", "x: it points to <tuple>"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_programs(name):
    program, says = WORST[name]

    def unpickled(data):
        storages = {}
        machine = torch_file.Machine(source(data), 0, torch_file._NAMES, lambda key: torch_file._storage(key, storages))
        value = machine.load()
        for place in storages.values():
            place.place(0, False)
        return torch_file.plain(value, source(data))
    assert_bounded(lambda: unpickled(b"\x80\4" + program + b"."), says)


def test_a_program_in_five_parts_has_one_limit():
    part = b"\x80\2" + b"K\1" * 45_000 + b"."
    with pytest.raises(WeightsError, match="x: its pickle has more than 200000 bytes of instructions"):
        read(torch_file.MAGIC + part * 4)
    with pytest.raises(WeightsError, match="x: it is torch's legacy format in version 1;"):
        read(torch_file.MAGIC + (part * 2) + legacy(b"N")[len(torch_file.MAGIC):])


def test_a_version_that_is_endless_to_print():
    version = b"".join(_LAUGHS) + b"g20\n"
    data = torch_file.MAGIC + b"\x80\2" + version + b"." + legacy(b"N")[len(torch_file.MAGIC) + len(pickle.dumps(1001, 2)):]
    assert_bounded(lambda: read(data), "x: x: it is torch's legacy format in version <tuple>")


def test_arrays_of_numpy_in_a_file_of_torch():
    """A checkpoint may hold some; they are no tensors of the model, but plain data all the same."""
    assert list(read(zipped(nested("state_dict", state_dict(a__weight=tensor()), best=_ARRAY + b"h\0h\1Rh\2b"))).layers) == ["a"]
    with pytest.raises(WeightsError, match="an object outside the pickle"):
        numpy_pickle.unpickle(source(b"\x80\2" + storage().replace(named("torch.FloatStorage"), b"N") + b"."))


# --- with torch itself -----------------------------------------------------------------------------------------------
def saved(torch, value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes(new):
    torch = pytest.importorskip("torch")
    rng = torch.Generator().manual_seed(0)
    base = torch.randn(4, 5, 6, 7, generator=rng)
    tensors = {"plain": base, "double": base.double(), "half": base.half(), "bfloat": base.bfloat16(),
               "turned": base.permute(2, 0, 3, 1), "part": base[1:3, :, 2:5], "last": base.to(memory_format=torch.channels_last),
               "one": base[0, 0, 0, 0], "none": base[:0], "same": base, "expanded": base[:1].expand(4, 5, 6, 7),
               "parameter": torch.nn.Parameter(base), "frozen": torch.nn.Parameter(base, requires_grad=False)}
    for value in (tensors, OrderedDict(tensors), {"state_dict": tensors, "epoch": 3, "loss": 0.25, "none": None}):
        for protocol in (2, 3, 4, 5) if new else (2,):
            renamed = {f"{k}.weight": v for k, v in value.get("state_dict", value).items()}
            whole = {**value, "state_dict": renamed} if "state_dict" in value else type(value)(renamed)
            data = saved(torch, whole, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
            assert torch_file.recognises(source(data))
            found = read(data)
            assert list(found.layers) == list(tensors)
            for name, expected in tensors.items():
                expected = expected.detach().float() if name == "bfloat" else expected.detach()
                assert_same(found.layers[name]["weight"].read(), expected.numpy())


@pytest.mark.parametrize("new", [True, False])
def test_a_whole_model_is_no_state_dict(new):
    torch = pytest.importorskip("torch")
    for model in (torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5))):
        with warnings.catch_warnings():         # that the source of the class cannot be found
            warnings.simplefilter("ignore")
            data = saved(torch, model, _use_new_zipfile_serialization=new)
        with pytest.raises(WeightsError, match="x: it asks for 'torch.nn.mod.*; do not trust it, or have the weights saved"):
            read(data)


def test_a_scripted_model():
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(1, 3)), file)
    assert torch_file.recognises(source(file.getvalue()))
    with pytest.raises(WeightsError, match="x: it is a TorchScript archive"):
        read(file.getvalue())


def test_a_scripted_model_without_torch():
    data = zipped(named("__torch__.Net") + b")\x81", others={"constants.pkl": b"N.", "code/__torch__.py": b"import os"})
    with pytest.raises(WeightsError, match="x: it is a TorchScript archive, a program with its weights; open it with torch.jit"):
        read(data)


def test_nothing_is_read_before_it_is_asked_for():
    """The headers of a large file cost nothing: its numbers may even be a hole in it."""
    class Watched(io.BytesIO):
        bytes_read = 0

        def read(self, size=-1):
            Watched.bytes_read += size
            return super().read(size)

        def readinto(self, buffer):
            Watched.bytes_read += len(memoryview(buffer).cast("B"))
            return super().readinto(buffer)

    data = zipped(state_dict(a__weight=tensor((1000, 1000), (1000, 1), 0, storage(count=10**6))), {"0": bytes(4 * 10**6)})
    found = torch_file.read(Source(Watched(data), "x"))
    assert Watched.bytes_read < 70_000 and isinstance(found.layers["a"]["weight"], Stored)
    assert found.layers["a"]["weight"].read().nbytes == 4 * 10**6 < Watched.bytes_read
