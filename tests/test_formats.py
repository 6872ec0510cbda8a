"""The reader of pickles: plain data from every protocol, and nothing that a stranger could make it do."""
import builtins
import os
import pickle
import struct

import numpy as np
import pytest

from minicnn.errors import WeightsError
from minicnn.formats import numpy_pickle

DATA = {"conv1": [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.zeros(0, np.float32)],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">i4"),
        "half": np.ones(2, np.float16), "flags": np.array([True, False]), "zero_d": np.array(5.0),
        "scalar": np.float32(1.5), "plain": (1, -2.5, 10**30, True, None, "text \u00e9", b"bytes\xff", 1j.real, [])}


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = list(a.values()), list(b.values())
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_same(one, other)
    elif isinstance(a, (np.ndarray, np.generic)):
        assert a.shape == b.shape and a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and np.array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_every_protocol(tmp_path, protocol, core):
    data = pickle.dumps(DATA, protocol)
    if protocol < 4:            # later protocols write the length of a name before it
        data = data.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
    assert_same(numpy_pickle.read(data), DATA)
    (tmp_path / "a.pkl").write_bytes(data)
    assert_same(numpy_pickle.read(tmp_path / "a.pkl"), DATA)


def test_the_older_name_of_numpy_core_in_protocol_4():
    data = pickle.dumps(np.arange(4.0), 4)
    for new, old in ((b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray"),):
        changed = data.replace(new, old) if new in data else data.replace(old, new)
    # The frame is a byte shorter or longer now.
    size = struct.unpack("<Q", changed[3:11])[0] + len(changed) - len(data)
    changed = changed[:3] + struct.pack("<Q", size) + changed[11:]
    assert changed != data and np.array_equal(numpy_pickle.read(changed), np.arange(4.0))


@pytest.mark.parametrize("text", ["S'conv1'\n", "U\x05conv1"], ids=["protocol 0", "protocol 2"])
def test_python_2_wrote_text_and_bytes_alike(text):
    raw = np.array([1.5, -2.0, 200.0], "<f4").tobytes()
    quoted = "".join(f"\\x{b:02x}" for b in raw)
    data = ("(dp0\n" + text + "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\nt"
            "cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + quoted + "'\ntbs.")
    read = numpy_pickle.read(data.encode("latin1"))
    assert list(read) == ["conv1"] and read["conv1"].tolist() == [1.5, -2.0, 200.0]


def test_an_array_named_twice_is_one_array():
    array = np.zeros(3)
    read = numpy_pickle.read(pickle.dumps([array, array]))
    assert read[0] is read[1] and read[0].flags.writeable


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_function_is_run(tmp_path, protocol):
    mark = tmp_path / "mark"
    for function, arguments in ((os.system, (f"touch {mark}",)), (builtins.eval, (f"open({str(mark)!r}, 'w')",)),
                                (open, (str(mark), "w")), (os.mkdir, (str(mark),))):
        for where in (lambda x: x, lambda x: {"conv1": [np.zeros(2), x]}, lambda x: {(1, x): 2}):
            data = pickle.dumps(where(Calls(function, *arguments)), protocol)
            with pytest.raises(WeightsError, match=rf"asks for .*({function.__name__}|getattr)") as caught:
                numpy_pickle.read(data)
            assert not mark.exists() and caught.value.__suppress_context__
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(mark)), protocol))
    assert mark.exists()            # so the pickles do work, elsewhere


ATTACKS = {
    "INST": b"(S'touch mark'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch mark'\no.",
    "NEWOBJ": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "persistent id": b"Psomething\n.",
    "extension": b"\x82\x01.",
    "set": pickle.dumps({1, 2}, 4),
    "attribute of numpy": b"cnumpy\nload\n(S'a.npy'\ntR.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
    "state of a class": b"cnumpy\ndtype\n}S'a'\nI1\nsb.",
    "state of a function": b"cnumpy.core.multiarray\nscalar\n}S'__defaults__'\n(I1\ntsb.",
    "state of a list": b"]}S'a'\nI1\nsb.",
    "another class of array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
    "function as data": b"(lcnumpy.core.multiarray\nscalar\na.",
    "call of data": b"S'text'\n(I1\ntR.",
    "other encoding": b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
    "array without dtype": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
                           b"(I1\n(I3\ntS'f4'\nI00\nS'x'\ntb.",
    "endless length": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0fabc.",
    "long length": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0fabc.",
    "huge memo": b"\x80\x04Nr\xff\xff\xff\xff0j\xff\xff\xff\xff" + b"cos\nsystem\n.",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as caught:
        numpy_pickle.read(ATTACKS[name])
    assert list(tmp_path.iterdir()) == [] and len(str(caught.value)) < 400
    if name in ("INST", "OBJ", "NEWOBJ", "persistent id", "extension", "set"):
        assert "asks for os.system" in str(caught.value) or "it holds instructions" in str(caught.value)


def test_the_functions_of_the_reader_keep_their_defaults():
    before = numpy_pickle._number.__defaults__
    test = ATTACKS["state of a function"]
    with pytest.raises(WeightsError, match="sets the state of a function"):
        numpy_pickle.read(test)
    assert numpy_pickle._number.__defaults__ is before


@pytest.mark.parametrize("value, says", [
    (np.array([None, 1]), "'O8'"), (np.zeros(2, "i4,f4"), "'V8'"), (np.array(["a"]), "'U1'"),
    (np.array([b"a"]), "'S1'"), (np.zeros(2, complex), "'c16'"),
    (np.array(["2020"], "M8[D]"), "'M8'"), (np.dtype("f4"), "_Dtype"),
    (object(), "object|_reconstructor"), (range(3), "range"), (np.zeros(2).view(np.matrix), "matrix"),
    (np.ma.zeros(2), "numpy.ma")])
def test_only_plain_numbers(value, says):
    for protocol in (0, 2, 4, 5):
        with pytest.raises(WeightsError, match=says):
            numpy_pickle.read(pickle.dumps({"a": [value]}, protocol))


def array_state(shape, code, data, fortran=False, order="<", subdtype=None):
    """The pickle of an array with any state at all."""
    class Made:
        def __reduce__(self):
            return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, Type(), fortran, data)

    class Type:
        def __reduce__(self):
            return np.dtype, (code, False, True), (3, order, subdtype, None, None, -1, -1, 0)
    return pickle.dumps(Made(), 2)


def test_array_states():
    assert numpy_pickle.read(array_state((2, 3), "f4", bytes(24))).shape == (2, 3)
    for length in (0, 23, 25, 28, 48):
        with pytest.raises(WeightsError, match=f"needs 24 bytes, given is {length} bytes"):
            numpy_pickle.read(array_state((2, 3), "f4", bytes(length)))
    for bad in [((-1,), "f4", b""), ((2.0,), "f4", bytes(8)),
                ("2", "f4", bytes(8)), (([2],), "f4", bytes(8)), ((2**62, 4), "f4", b""),
                ((0, 2**62, 2**62), "f4", b""), ((2,), "f4", [1, 2]),
                ((2,), "f4", None), ((2,), "O", bytes(16)), ((1,), "f16", bytes(16)),
                ((2,), "f4,f4", bytes(16)), ((2,), "(2,)f4", bytes(16)), ((1,) * 40, "f4", bytes(4))]:
        with pytest.raises(WeightsError):
            numpy_pickle.read(array_state(*bad))
    with pytest.raises(WeightsError, match="records"):
        numpy_pickle.read(array_state((2,), "f4", bytes(8), subdtype=("f4", (2,))))
    with pytest.raises(WeightsError, match="state"):
        numpy_pickle.read(array_state((2,), "f4", bytes(8), order="x"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cut_short_anywhere(protocol):
    data = pickle.dumps(DATA, protocol)
    for length in range(0, len(data), 3):
        with pytest.raises(WeightsError):
            numpy_pickle.read(data[:length])


def test_damaged_anywhere():
    """Whatever a wrong byte does to the machine, the outcome is data or a WeightsError."""
    data, rng = pickle.dumps(DATA, 2), np.random.default_rng(0)
    for k in range(0, len(data)):
        try:
            numpy_pickle.read(data[:k] + bytes([rng.integers(256)]) + data[k + 1:])
        except WeightsError:
            pass


def test_deep_and_circular_data():
    deep = b"(l" * 50000 + b"a" * 49999 + b"."
    try:
        numpy_pickle.read(deep)
    except WeightsError:
        pass
    circle = []
    circle.append(circle)
    read = numpy_pickle.read(pickle.dumps(circle))
    assert read[0] is read


@pytest.mark.parametrize("data", [b"", b"\0", b"garbage", b"PK\x03\x04zip", b"\x80\x63.", b"\x80\x04."])
def test_garbage(data, tmp_path):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(WeightsError, match="a.pkl"):
        numpy_pickle.read(tmp_path / "a.pkl")


@pytest.mark.parametrize("path", ["no/such.pkl", ".", "a\0b"])
def test_unreadable_paths(path):
    with pytest.raises(WeightsError, match="cannot be read"):
        numpy_pickle.read(path)
