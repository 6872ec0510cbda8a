"""The reader of pickles: plain data from every protocol, and nothing that a stranger could make it do; .npy and .npz files."""
import builtins
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from foreign_weights import FOLDER, flattened_hwc, weights
from minicnn import formats
from minicnn.errors import WeightsError
from minicnn.formats import numpy_pickle, numpy_weights, pickles, safetensors, torch_file
from minicnn.formats.source import Source, Stored

GOLDENS = {"numpy.npz": "NumPy .npz", "numpy_compressed.npz": "NumPy .npz", "numpy.npy": "NumPy .npy",
           "numpy_python2.npy": "NumPy .npy", "pickle.pkl": "pickle of NumPy arrays"}
DATA = {"conv1": [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.zeros(0, np.float32)],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">i4"),
        "half": np.ones(2, np.float16), "flags": np.array([True, False]), "zero_d": np.array(5.0),
        "scalar": np.float32(1.5), "plain": (1, -2.5, 10**30, True, None, "text \u00e9", b"bytes\xff", 1j.real, [])}
LARGE = {"a": np.arange(600, dtype=np.float32).reshape(20, 30), "b": np.asfortranarray(np.arange(2000.0).reshape(4, 500)),
         "c": np.arange(6000, dtype=np.int16).reshape(10, 20, 30).transpose(2, 0, 1)}


def source(data):
    return Source(io.BytesIO(data), "x")


def arrays_read(value):
    """Return the value with the numbers of every Stored."""
    if isinstance(value, Stored):
        array = value.read()
        assert array.shape == value.shape and array.dtype == value.dtype
        return array
    if isinstance(value, dict):
        return {key: arrays_read(item) for key, item in value.items()}
    return type(value)([arrays_read(item) for item in value]) if isinstance(value, (list, tuple)) else value


def unpickled(data, offset=0):
    """Return what the pickle in some bytes holds, arrays and all."""
    with formats.guarded("x"):
        value = numpy_pickle.unpickle(source(data), offset)
    with formats.guarded("x", formats._LATER):
        return arrays_read(value)


def read(data):
    """Return the Found of some bytes."""
    with formats.guarded("x"):
        return numpy_weights.read(source(data))


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


# --- good pickles ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_every_protocol(tmp_path, protocol, core):
    data = pickle.dumps(DATA, protocol)
    if protocol < 4:            # later protocols write the length of a name before it
        data = data.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
    assert_same(unpickled(data), DATA)
    assert_same(unpickled(b"before" + data + b"after", 6), DATA)
    (tmp_path / "a.pkl").write_bytes(data)
    if protocol > 1:
        with formats.opened(tmp_path / "a.pkl") as found:
            assert found.format == "pickle of NumPy arrays" and list(found.layers) == ["conv1"]
            assert found.left_out == list(DATA)[1:]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_long_arrays_stay_in_the_file(protocol):
    data = pickle.dumps(LARGE, protocol)
    assert_same(unpickled(data), LARGE)
    held = numpy_pickle.unpickle(source(data))
    assert all(isinstance(array, Stored) for array in held.values())


def test_the_older_name_of_numpy_core_in_protocol_4():
    data = pickle.dumps(np.arange(4.0), 4)
    for new, old in ((b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray"),):
        changed = data.replace(new, old) if new in data else data.replace(old, new)
    # The frame is a byte shorter or longer now.
    size = struct.unpack("<Q", changed[3:11])[0] + len(changed) - len(data)
    changed = changed[:3] + struct.pack("<Q", size) + changed[11:]
    assert changed != data and np.array_equal(unpickled(changed), np.arange(4.0))


@pytest.mark.parametrize("text", ["S'conv1'\n", "U\x05conv1"], ids=["protocol 0", "protocol 2"])
def test_python_2_wrote_text_and_bytes_alike(text):
    raw = np.array([1.5, -2.0, 200.0], "<f4").tobytes()
    quoted = "".join(f"\\x{b:02x}" for b in raw)
    data = ("(dp0\n" + text + "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\nt"
            "cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + quoted + "'\ntbs.")
    value = unpickled(data.encode("latin1"))
    assert list(value) == ["conv1"] and value["conv1"].tolist() == [1.5, -2.0, 200.0]


def test_an_array_named_twice_is_one_array():
    array = np.zeros(3)
    value = numpy_pickle.unpickle(source(pickle.dumps([array, array])))
    assert value[0] is value[1] and value[0].read().flags.writeable


# --- programs that an ordinary unpickler would run -------------------------------------------------------------------
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
                                (open, (str(mark), "w")), (os.mkdir, (str(mark),)), (getattr, (os, "mkdir"))):
        if function is getattr:
            arguments = np, "save"
            where = [lambda x: Calls(getattr, "text", "format")]
        else:
            where = [lambda x: x, lambda x: {"conv1": [np.zeros(2), x]}, lambda x: {(1, x): 2}]
        for place in where:
            data = pickle.dumps(place(Calls(function, *arguments)), protocol)
            with pytest.raises(WeightsError, match=rf"asks for .*({function.__name__}|getattr)") as caught:
                unpickled(data)
            assert not mark.exists() and caught.value.__suppress_context__
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(mark)), protocol))
    assert mark.exists()            # so the pickles do work, elsewhere


INSTRUCTIONS = "x: it holds instructions that no pickle"
ATTACKS = {
    "INST": (b"(S'touch mark'\nios\nsystem\n.", INSTRUCTIONS),
    "OBJ": (b"(cos\nsystem\nS'touch mark'\no.", "x: it asks for 'os.system'"),
    "OBJ of ours": (b"(cnumpy\ndtype\nS'f4'\no.", INSTRUCTIONS),
    "NEWOBJ": (b"\x80\x02cnumpy\ndtype\n)\x81.", INSTRUCTIONS),
    "NEWOBJ_EX": (b"\x80\x04cnumpy\ndtype\n)}\x92.", INSTRUCTIONS),
    "persistent id": (b"Psomething\n.", INSTRUCTIONS),
    "binary persistent id": (b"Nq\0Q.", "x: it asks for an object outside the pickle"),
    "extension": (b"\x82\x01.", INSTRUCTIONS),
    "buffer outside": (b"\x80\x05\x97.", INSTRUCTIONS),
    "set": (pickle.dumps({1, 2}, 4), INSTRUCTIONS),
    "attribute of numpy": (b"cnumpy\nload\n(S'a.npy'\ntR.", "x: it asks for 'numpy.load'"),
    "dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.", "x: it asks for 'numpy.dtype.__init__'"),
    "name that is no text": (b"\x80\x04K\1K\2\x93.", "x: its pickle is damaged (STACK_GLOBAL requires str)"),
    "module of another case": (b"cNumPy\ndtype\n.", "x: it asks for 'NumPy.dtype'"),
    "state of a class": (b"cnumpy\ndtype\n}S'a'\nI1\nsb.", "x: it sets the state of a type"),
    "state of a function": (b"cnumpy.core.multiarray\nscalar\n}S'__defaults__'\n(I1\ntsb.",
                            "x: it sets the state of a function"),
    "state of a list": (b"]}S'a'\nI1\nsb.", "x: it sets the state of a list"),
    "items of a list": (b"]I0\nI1\ns.", "x: it sets items of a list"),
    "items of an array": (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntRI0\nI1\ns.",
                          "x: it sets items of a _Array"),
    "append to a text": (b"S'text'\nI1\na.", "x: it is damaged or cut short (AttributeError"),
    "another class of array": (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
                               "x: an array of the class <type>"),
    "function as data": (b"(lcnumpy.core.multiarray\nscalar\na.", "x: it holds a function"),
    "class as data": (b"(lcnumpy\ndtype\na.", "x: it holds a type"),
    "call of data": (b"S'text'\n(I1\ntR.", "x: it is damaged or cut short (TypeError"),
    "other encoding": (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "x: text in the encoding 'rot13'"),
    "dtype of a list": (b"cnumpy\ndtype\n(](Nettt(tR.", "x: "),
    "code of a list": (b"cnumpy\ndtype\n]\x85R.", "x: an array of dtype <list>"),
    "code in a dtype": (b"cnumpy\ndtype\n(S'f4,(__import__(\"os\"))f4'\ntR.", "x: an array of dtype"),
    "array without dtype": (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
                            b"(I1\n(I3\ntS'f4'\nI00\nS'x'\ntb.", "x: an array of dtype 'f4'; expected numbers"),
    "array without state": (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
                            "x: an array of objects of shape ()"),
    "number of objects": (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRS'12345678'\ntR.", "x: a number of dtype"),
    "number too short": (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRS'1234'\ntR.",
                         "x: an array of shape () and float64 needs 8 bytes, given is 4 bytes"),
    "endless length": (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0fabc.", "x: a string of 1152921504606846975 bytes begins"),
    "BINBYTES8 of 2**63": (b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"abc.", "x: a string of 9223372036854775808 bytes"),
    "BINUNICODE8 of 2**63": (b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"abc.", "x: a string of 9223372036854775808 bytes"),
    "BINSTRING of -1": (b"T\xff\xff\xff\xffabc.", "x: a string of -1 bytes"),
    "LONG4 of -1": (b"\x80\x02\x8b\xff\xff\xff\xff.", "x: its pickle is damaged (LONG pickle has negative byte count)"),
    "LONG4 of 2**31": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "x: its pickle has more than 200000 bytes of instructions"),
    "short string at the end": (b"U\xffabc", "x: it ends at byte 5, but bytes 2 to 257 are asked for"),
    "memo that is not there": (b"\x80\x04h\x07.", "x: its pickle is damaged (Memo value not found at index 7)"),
    "negative memo": (b"Np-1\n.", "x: it is damaged or cut short (ValueError"),
    "huge memo": (b"\x80\x04Nr\xff\xff\xff\xff0j\xff\xff\xff\xff" + b"cos\nsystem\n.", "x: it asks for 'os.system'"),
    "unknown protocol": (b"\x80\x63.", "x: it is damaged or cut short (ValueError: unsupported pickle protocol"),
    "mark without a mark": (b"\x80\x02Nt.", "x: it is damaged or cut short (IndexError"),
    "string without quotes": (b"Stext\n.", "x: its pickle is damaged (the STRING opcode argument must be quoted)"),
    "key that is a tuple": (b"}(I1\ntI2\ns.", "x: a dict with the key (1,)"),
    "key that is a truth": (b"\x80\x02}\x88Ns.", "x: a dict with the key True"),
    "key that is a large number": (b"}I2147483648\nNs.", "x: a dict with the key 2147483648"),
    "key that is not a number": (b"\x80\x02}G\x7f\xf8" + bytes(6) + b"Ns.", "x: a dict with the key nan"),
    "text of 200,001 bytes": (b"V" + b"a" * 200_000 + b"\n.", "x: its pickle has more than 200000 bytes of instructions"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, says = ATTACKS[name]
    with pytest.raises(WeightsError) as caught:
        unpickled(data)
    assert str(caught.value).startswith(says)
    assert list(tmp_path.iterdir()) == [] and len(str(caught.value)) < 400


def test_a_frame_may_say_any_size():
    for size in (0, 3, 2**63, 2**64 - 1):
        assert unpickled(b"\x80\x04\x95" + struct.pack("<Q", size) + b"K\x07.") == 7


def test_the_functions_of_the_reader_keep_their_defaults():
    before = numpy_pickle._number.__defaults__
    test, says = ATTACKS["state of a function"]
    with pytest.raises(WeightsError, match=says):
        unpickled(test)
    assert numpy_pickle._number.__defaults__ is before


@pytest.mark.parametrize("value, says", [
    (np.array([None, 1]), "'O8'|array of objects"), (np.zeros(2, "i4,f4"), "'V8'"), (np.array(["a"]), "'U1'"),
    (np.array([b"a"]), "'S1'"), (np.zeros(2, complex), "'c16'"),
    (np.array(["2020"], "M8[D]"), "'M8'"), (np.dtype("f4"), "_Dtype"),
    (object(), "object|_reconstructor"), (range(3), "range"), (np.zeros(2).view(np.matrix), "matrix"),
    (np.ma.zeros(2), "numpy.ma")])
def test_only_plain_numbers(value, says):
    for protocol in (0, 2, 4, 5):
        with pytest.raises(WeightsError, match=says):
            unpickled(pickle.dumps({"a": [value]}, protocol))


# --- states of arrays ------------------------------------------------------------------------------------------------
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
    assert unpickled(array_state((2, 3), "f4", bytes(24))).shape == (2, 3)
    for length in (0, 23, 25, 28, 48):
        with pytest.raises(WeightsError, match=f"needs 24 bytes, given is {length} bytes"):
            unpickled(array_state((2, 3), "f4", bytes(length)))
    for bad in [((-1,), "f4", b""), ((2.0,), "f4", bytes(8)),
                ("2", "f4", bytes(8)), ([2], "f4", bytes(8)), ((2**62, 4), "f4", b""),
                ((0, 2**62, 2**62), "f4", b""), ((2,), "f4", [1, 2]), ((10**12,), "f4", bytes(4000)),
                ((2,), "f4", None), ((2,), "O", bytes(16)), ((1,), "f16", bytes(16)),
                ((2,), "f4,f4", bytes(16)), ((2,), "(2,)f4", bytes(16)), ((1,) * 40, "f4", bytes(4))]:
        with pytest.raises(WeightsError):
            unpickled(array_state(*bad))
    with pytest.raises(WeightsError, match="records"):
        unpickled(array_state((2,), "f4", bytes(8), subdtype=("f4", (2,))))
    with pytest.raises(WeightsError, match="state"):
        unpickled(array_state((2,), "f4", bytes(8), order="x"))


def test_array_states_whose_bytes_stay_in_the_file():
    for size in (1999, 2001, 4000):
        with pytest.raises(WeightsError, match=f"needs 2000 bytes, given is {size} bytes"):
            unpickled(b"\x80\4" + array_state_4((500,), "f4", bytes(size)) + b".")
    # Bytes as text of Python 3 in protocol 2: their number is known when they are read.
    text = pickle.dumps(np.full(600, -1, np.int8), 2)
    assert (unpickled(text) == -1).all()
    with pytest.raises(WeightsError, match="x: an array of shape .600,. and int8 is given 1200 bytes"):
        unpickled(text.replace("\u00ff".encode(), b"ab"))
    with pytest.raises(WeightsError, match="x: it is damaged or cut short .UnicodeEncodeError"):
        unpickled(text.replace("\u00ff".encode(), "\u0100".encode()))


def array_state_4(shape, code, data):
    return pickle.dumps(Calls(np.zeros(0).__reduce__()[0], np.ndarray, (0,), b"b"), 4)[2:-1] + \
        b"(K\1" + pickle.dumps(shape, 2)[2:-1] + pickle.dumps(Calls(np.dtype, code), 2)[2:-1] + b"\x89" + \
        pickle.dumps(data, 3)[2:-1] + b"tb"


def test_axes_of_protocol_5():
    def frombuffer(axes, shape=(2, 3)):
        name = b"cnumpy.core.numeric\n_frombuffer\n"
        parts = bytes(range(6)), np.dtype("u1"), shape, "K", axes
        return name + b"(" + b"".join(pickle.dumps(part, 3)[2:-1] for part in parts) + b"tR."
    assert unpickled(frombuffer((1, 0))).tolist() == [[0, 3], [1, 4], [2, 5]]
    for axes in ((0,), (0, 0), (0, 1, 2), (0, -1), (0, 2), (1, None), "01", (0, [1])):
        with pytest.raises(WeightsError):
            unpickled(frombuffer(axes))
    with pytest.raises(WeightsError, match="x: an array of shape .2, 3. with the axes .0, 0.; expected each axis once"):
        unpickled(frombuffer((0, 0)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cut_short_anywhere(protocol):
    data = pickle.dumps(DATA, protocol)
    for length in range(0, len(data), 3):
        with pytest.raises(WeightsError):
            unpickled(data[:length])


def test_damaged_anywhere():
    """Whatever a wrong byte does to the machine, the outcome is data or a WeightsError."""
    data, rng = pickle.dumps(DATA, 2), np.random.default_rng(0)
    for k in range(0, len(data)):
        try:
            unpickled(data[:k] + bytes([rng.integers(256)]) + data[k + 1:])
        except WeightsError:
            pass


# --- programs that would take all memory or time ---------------------------------------------------------------------
def named(name):
    """The instruction that asks for a function by its name."""
    return b"c" + b"\n".join(part.encode() for part in name.rsplit(".", 1)) + b"\n"


def filled(head, unit, tail=b".", size=None):
    """A program of the largest size allowed that repeats a few bytes."""
    size = pickles.MAX_PROGRAM - 10 if size is None else size
    return b"\x80\4" + head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


_DTYPE = b"(K\3\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
_ARRAY = named("numpy.dtype") + b"\x8c\x02f4\x89\x88\x87R" + _DTYPE + b"q\x050" + named("numpy.core.multiarray._reconstruct") + \
    b"q\0000(" + named("numpy.ndarray") + b"K\0\x85C\1btq\x010(K\1K\1\x85h\5\x89C\4\0\0\0\0tq\x020"
# Two things of a few bytes that are equal, and would be endless to print, to hash or to compare.
_LAUGHS = [b"N" + b"".join(b"p%d\n(" % k + b"g%d\n" % k * 10 + b"t" for _ in range(45)) + b"p%d\n0" % k for k in (20, 21)]
_TEXT = b"V" + b"a" * 100_000 + b"\nq\x060"
MANY = "x: it is nested more than 50 levels deep or has more than 15000 parts"
WORST = {
    "marks": (filled(b"", b"("), "x: it is damaged or cut short (IndexError"),
    "empty lists": (filled(b"(", b"]", b"t."), MANY),
    "empty dicts in a list": (filled(b"](", b"}", b"e."), MANY),
    "dicts of one item": (filled(b"(", b"}K\1Ns", b"t."), MANY),
    "lists remembered": (filled(b"(", b"]\x94", b"t."), MANY),
    "memo flood": (filled(b"N", b"\x94"), None),
    "tuples in tuples": (filled(b"N", b"\x85"), MANY),
    "wide text": (filled(b"(", b"\x8c\4\xf0\x90\x80\x80", b"t."), MANY),
    "arrays": (filled(_ARRAY + b"(", b"h\0h\1Rh\2b", b"t."), MANY),
    "arrays with axes": (filled(_ARRAY + named("numpy.core.numeric._frombuffer") + b"q\0000(C\4\0\0\0\0h\5(" + b"K\1" * 8 +
                                b"t\x8c\1K(" + b"".join(b"K" + bytes([i]) for i in range(8)) + b"ttq\x010(",
                                b"h\0h\1R", b"t."), MANY),
    "one text made bytes often": (filled(_TEXT + named("_codecs.encode") + b"q\0000h\6\x8c\6latin1\x86q\x010(", b"h\0h\1R",
                                         b"t."), None),
    "one text as many arrays": (b"\x80\4" + _ARRAY + _TEXT + b"(K\1J" + struct.pack("<i", 25_000) + b"\x85h\5\x89h\6tq\x020(" +
                                b"h\0h\1Rh\2b" * 10_000 + b"t.", None),
    "keys that hash alike": (b"\x80\4}(" + b"".join(b"J" + struct.pack("<i", i << 17) + b"N" for i in range(2**14)) + b"u.",
                             None),
    "hexadecimal digits": (filled(b"I0x", b"f", b"\n."), None),
    "each thing ten times the last": (_LAUGHS[0] + b"g20\n.", None),
    "ten million marks": (b"(" * 10_000_000, "x: its pickle has more than 200000 bytes of instructions"),
    "ten million lists": (b"(" + b"]" * 10_000_000 + b"t.", "x: its pickle has more than 200000 bytes of instructions"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_programs(name):
    data, says = WORST[name]
    assert_bounded(lambda: numpy_pickle.unpickle(source(data)), says)


LAUGHS = {
    "key": (b"}g20\nNs.", "x: a dict with the key <tuple>; expected text"),
    "key of pairs": (b"(lg20\nNs.", "x: it sets items of a list"),
    "dtype": (named("numpy.dtype") + b"(g20\ntR.", "x: an array of dtype <tuple>"),
    "state of a dtype": (named("numpy.dtype") + b"(S'f4'\ntR(g20\ng21\ntb.", "x: a dtype with the state <tuple>"),
    "class of an array": (named("numpy.core.multiarray._reconstruct") + b"(g20\nNNtR.", "x: an array of the class <tuple>"),
    "state of an array": (_ARRAY + b"h\0h\1R(g20\ntb.", "x: an array with the state <tuple>"),
    "shape": (_ARRAY + b"h\0h\1R(Ng20\nh\5\x89Ntb.", "x: an array of shape <tuple>"),
    "dtype of an array": (_ARRAY + b"h\0h\1R(NNg20\n\x89Ntb.", "x: an array of dtype <tuple>"),
    "bytes": (_ARRAY + b"h\0h\1R(N)h\5\x89g20\ntb.", "x: an array of shape () and float32 needs 4 bytes, given is a tuple"),
    "axes": (_ARRAY + named("numpy.core.numeric._frombuffer") + b"(C\1xh\5K\1K\1\x86\x8c\1Kg20\ng21\n\x86tR.",
             "x: an array of shape (1, 1) with the axes <tuple>"),
    "encoding": (named("_codecs.encode") + b"(Vtext\ng20\ntR.", "x: text in the encoding <tuple>"),
    "text": (named("_codecs.encode") + b"(g20\nVlatin1\ntR.", "x: it is damaged or cut short (AttributeError"),
}


@pytest.mark.parametrize("name", LAUGHS)
def test_things_that_are_endless_to_print(name):
    program, says = LAUGHS[name]
    data = b"\x80\4" + b"".join(_LAUGHS) + program
    assert_bounded(lambda: numpy_pickle.unpickle(source(data)), says)


def fair_seconds(work):
    """Return the processor time of work(), less where the processor is slow at the moment: over 0.05 s here."""
    def yardstick():
        start, seen = time.process_time(), {}
        for i in range(300_000):
            seen[i % 1000] = i, str(i)
        return time.process_time() - start

    before, start = yardstick(), time.process_time()
    work()
    seconds = time.process_time() - start
    return seconds / max(1, (before + yardstick()) / 2 / 0.05)


def assert_bounded(read, says):
    """Hold that `read` takes less than 2 seconds and 40 MB, and raises a message that begins with `says` (None: nothing)."""
    def attempt():
        try:
            with formats.guarded("x"):
                value = read()
        except WeightsError as error:
            return str(error)
        return None if value is not None or says is None else "nothing"

    messages = []
    assert fair_seconds(lambda: messages.append(attempt())) < 2
    message = messages[0]
    assert message == says if says is None else message.startswith(says) and len(message) < 400
    tracemalloc.start()
    attempt()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_many_arrays_of_one_text_are_read_one_by_one():
    data, _ = WORST["one text as many arrays"]
    arrays = numpy_pickle.unpickle(source(data))
    assert len(arrays) == 10_000 and arrays[0].shape == arrays[-1].shape == (25_000,) and arrays[7].read().nbytes == 100_000


def test_deep_and_circular_data():
    with pytest.raises(WeightsError, match=MANY):
        unpickled(b"(l" * 50000 + b"a" * 49999 + b".")
    circle = []
    circle.append(circle)
    around = {}
    around["again"] = [around]
    array = np.empty((), object)
    array[()] = [array]
    for value in (circle, around, array):
        for protocol in (2, 4):
            with pytest.raises(WeightsError, match=MANY):
                unpickled(pickle.dumps(value, protocol))


# --- files ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"\0", b"garbage", b"PK\x03\x04zip", b"\x80\x63.", b"\x80\x04."])
def test_garbage(data, tmp_path):
    (tmp_path / "a.pkl").write_bytes(data)
    for format in ("auto", "numpy"):
        with pytest.raises(WeightsError, match="a.pkl"):
            with formats.opened(tmp_path / "a.pkl", format):
                pass


@pytest.mark.parametrize("path", ["no/such.pkl", ".", "a\0b"])
def test_unreadable_paths(path):
    with pytest.raises(WeightsError, match="is no file|cannot be opened"):
        with formats.opened(path):
            pass


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name):
    with formats.opened(FOLDER / name) as found:
        assert found.format == GOLDENS[name] and list(found.layers) == list(weights()) and found.left_out == []
        assert found.certainty == ("open" if name.endswith(".npz") else "likely")
        assert list(found.layouts) == (["rgb", "bgr"] if name.endswith(".npz") else ["bgr", "rgb"])
        assert {layout.map_axes for layout in found.layouts.values()} == {"HWC"}
        assert found.layouts["bgr"].preprocessing == {} and found.layouts["rgb"].preprocessing["channel_order"] == "RGB"
        for layer, (weight, bias) in weights().items():
            assert list(found.layers[layer]) == ["weight", "bias"]
            assert_same(arrays_read(found.layers[layer]),
                        {"weight": weight if layer != "fc" else flattened_hwc(weight), "bias": bias})


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens_cut_short(name):
    data = (FOLDER / name).read_bytes()
    for length in [*range(0, 400, 7), *range(400, len(data), 4999), len(data) - 22, len(data) - 3, len(data) - 1]:
        with pytest.raises(WeightsError):
            found = read(data[:length])
            arrays_read(found.layers)


def test_recognises():
    others = [b"", b"\x80", b"\x80\x02", b"\x80\x02\0\0\0\0\0\0{}", b"\x80\x05\0", b"\x80\x01}", b"\x93NUMP",
              b"\x89HDF\r\n\x1a\n", b"PK\3\4" + bytes(100), b"\x80\x06}q\0."]
    others += [path.read_bytes() for path in FOLDER.iterdir() if path.is_file() and path.name not in GOLDENS]
    for data in others:
        assert not numpy_weights.recognises(source(data))
    for name in GOLDENS:
        data = source((FOLDER / name).read_bytes())
        assert numpy_weights.recognises(data) and not torch_file.recognises(data) and not safetensors.recognises(data)
    for value in ({}, {"a": 1}, [1], np.zeros(3)):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert numpy_weights.recognises(source(pickle.dumps(value, protocol)))


# --- dicts ----------------------------------------------------------------------------------------------------------
def test_dicts_of_layers():
    matrix, filters, bias = np.zeros((3, 2), np.float32), np.zeros((5, 4, 3, 2), ">f8"), np.zeros(2, np.float16)
    found = read(pickle.dumps({"a": [matrix, bias], "b": (filters,), "c": {"weights": matrix, "biases": bias}, "d": {"W": matrix},
                               "e": {b"W": matrix}, "f": [matrix] * 3, "g": 5, "h": [], "i": {}, "j": {"W": 5},
                               "k": [np.zeros(2, int)], "l": "text"}, 4))
    shapes = {name: {key: array.shape for key, array in arrays.items()} for name, arrays in found.layers.items()}
    assert shapes == {"a": {"weight": (2, 3), "bias": (2,)}, "b": {"weight": (2, 3, 5, 4)},
                      "c": {"weight": (2, 3), "bias": (2,)}, "d": {"weight": (2, 3)}}
    assert found.left_out == list("efghijkl")


@pytest.mark.parametrize("value, says", [
    ([np.zeros(2)], "x: it holds a list; expected a dict of layers by name"),
    (np.zeros(2), "x: it holds a Stored; expected a dict"), ({1: [np.zeros(2)]}, "x: it holds a dict; expected"),
    ({"a": {"w": np.zeros(2), "W": np.zeros(2)}}, "x: the layer 'a' has a second weight"),
    ({"a\nb": [np.zeros(2)]}, "x: a layer is named 'a\\nb'; expected a name that can be printed"),
    ({"\ud800": [np.zeros(2)]}, "x: a layer is named '\\ud800'")])
def test_dicts_that_are_refused(value, says):
    for protocol in (2, 4):
        with pytest.raises(WeightsError) as caught:
            read(pickle.dumps(value, protocol))
        assert str(caught.value).startswith(says)


# --- .npy -----------------------------------------------------------------------------------------------------------
def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def with_header(text, data=bytes(8), version=1, size=None):
    text = text.encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size or len(text)) + text + data


HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_single_arrays(version):
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(24, dtype=">f4").reshape(2, 3, 4)),
                  np.array(2.5), np.zeros((0, 3), np.float16), np.arange(3, dtype=np.float32)):
        stored = numpy_weights.read_array(source(npy(array, version=version)))
        assert_same(stored.read(), array)
    with pytest.raises(WeightsError, match=r"x: it is a single array of shape \(3,\) and float32; expected a dict of layers"):
        read(npy(np.zeros(3, np.float32), version=version))


def test_headers_of_python_2():
    assert numpy_weights.read_array(source(with_header(HEADER.format("<f4", False, "(2L,)")))).shape == (2,)


@pytest.mark.parametrize("data, says", [
    (with_header(HEADER.format("<f4", False, "(3,)")), "x: it ends at byte "),
    (with_header(HEADER.format("<f4", False, "(1000000000000,)")), "x: it ends at byte "),
    (with_header(HEADER.format("<f4", False, "(10000000000000,)")), "x: an array of shape (10000000000000,)"),
    (with_header(HEADER.format("<f4", False, "(0, 4611686018427387904)")), "x: an array of shape (0, 4611686018427387904)"),
    (with_header(HEADER.format("<f4", False, "(" + "1, " * 30 + ")")), "x: an array of shape (1, 1, 1, 1, 1, 1"),
    (with_header(HEADER.format("<f4", False, "(-1,)")), "x: an array's header says"),
    (with_header(HEADER.format("<f4", False, "(1 2,)")), "x: it is damaged or cut short (ValueError"),
    (with_header(HEADER.format("<f4", False, "(LL,)")), "x: it is damaged or cut short (ValueError"),
    (with_header(HEADER.format("<f4", "print('!')", "(2,)")), "x: an array's header says"),
    (with_header(HEADER.format("<f4", False, "(__import__('os').mkdir('mark'),)")), "x: an array's header says"),
    (with_header("__import__('os').mkdir('mark')"), "x: an array's header says"),
    (with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"), "x: an array's header says"),
    (with_header("[" * 9000), "x: an array's header says"),
    (with_header(HEADER.format("<c8", False, "(1,)")), "x: an array of dtype '<c8'"),
    (with_header(HEADER.format("<U2", False, "(1,)")), "x: an array of dtype '<U2'"),
    (with_header(HEADER.format("|V8", False, "(1,)")), "x: an array of dtype '|V8'"),
    (with_header(HEADER.format("<i8", False, "(1,)")), "x: it is an array of int64; expected float numbers"),
    (with_header(HEADER.format("|O", False, "(1,)")), "x: it is an array of object; expected float numbers"),
    (with_header("", version=4), "x: it is NumPy's format in version 4.0"),
    (with_header("{", version=2, size=10**9), "x: an array's header of 1000000000 bytes"),
    (with_header("{", version=1, size=60_000), "x: an array's header of 60000 bytes"),
    (with_header("{", version=1, size=9_000), "x: it ends at byte "),
    (b"\x93NUMPY\1", "x: it ends at byte 7"), (b"\x93NUMPY\1\0\1", "x: it ends at byte 9"),
    (b"another text", "x: where an .npy file is expected, there is one that begins with b'anothe'")])
def test_headers_that_are_refused(data, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as caught:
        with formats.guarded("x"):
            numpy_weights.read_array(source(data))
    assert str(caught.value).startswith(says) and len(str(caught.value)) < 400 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("array", [np.array([{}, {}]), np.array([[{}]])])
def test_arrays_of_several_objects(array):
    with pytest.raises(WeightsError, match="x: it is a single array of shape"):
        read(npy(array))


def test_an_object_that_calls():
    array = np.empty((), object)
    array[()] = {"conv1": [Calls(os.mkdir, "mark")]}
    with pytest.raises(WeightsError, match=r"x: it asks for '\w+.mkdir'"):
        read(npy(array))


# --- .npz -----------------------------------------------------------------------------------------------------------
def npz(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, npy(data) if isinstance(data, np.ndarray) else data)
    return file.getvalue()


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


@pytest.mark.parametrize("method", METHODS)
def test_names_in_an_archive(method):
    filters, matrix = np.asfortranarray(np.arange(120, dtype=">f4").reshape(2, 3, 4, 5)), np.arange(6.0).reshape(2, 3)
    members = {"conv1_1_W.npy": filters, "conv1_1_b.npy": np.zeros(5, np.float16), "fc/kernel.npy": matrix,
               "fc/bias.npy": np.zeros(3), "../../up/W.npy": matrix, "/etc/W.npy": matrix, "../a_W.npy": matrix, "W.npy": matrix,
               "step.npy": matrix, "conv1_x.npy": matrix, "readme.txt": b"text", "empty_b.npy": np.zeros(0)}
    found = read(npz(members, method))
    # A name is a name: nothing is unpacked to a path.
    assert list(found.layers) == ["conv1_1", "fc", "../../up", "/etc", "empty"]
    assert found.left_out == ["../a_W", "W", "step", "conv1_x"]
    assert_same(found.layers["conv1_1"]["weight"].read(), np.asarray(filters.transpose(3, 2, 0, 1)))
    assert_same(found.layers["fc"]["weight"].read(), matrix.T)
    assert found.layers["empty"]["bias"].read().shape == (0,)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("members, says", [
    ({"a_W.npy": np.zeros(2), "a_w.npy": np.zeros(2)}, "x: the layer 'a' has a second weight"),
    ({"a\n_W.npy": np.zeros(2)}, "x: a layer is named 'a\\n'"),
    ({"a_W.npy": np.zeros(2, int)}, "x: 'a_W.npy' in it holds int64; expected float numbers"),
    ({"a_W.npy": np.array([None])}, "x: 'a_W.npy' in it holds object; expected float numbers"),
    ({"a_W.npy": np.array({"a": 1})}, "x: 'a_W.npy' in it holds object; expected float numbers"),
    ({"a_W.npy": np.zeros(2, "f4,f4")}, "x: an array's header says"),
    ({"a_W.npy": npy(np.zeros(2))[:-1]}, "x: 'a_W.npy' in it has 15 bytes of numbers, but shape (2,) of float64 needs 16"),
    ({"a_W.npy": npy(np.zeros(2)) + b"0"}, "x: 'a_W.npy' in it has 17 bytes of numbers, but shape (2,) of float64 needs 16"),
    ({"a_W.npy": with_header(HEADER.format("<f4", False, "(1000000000000,)"))}, "x: 'a_W.npy' in it has 8 bytes of numbers"),
    ({"a_W.npy": with_header("{", version=2, size=10**9)}, "x: an array's header of 1000000000 bytes"),
    ({"a_W.npy": b"a text"}, "x: where an .npy file is expected, there is one that begins with b'a text'"),
    ({"a_W.npy": b"text"}, "x: "), ({"a_W.npy": b""}, "x: ")])
def test_archives_that_are_refused(members, says, method):
    with pytest.raises(WeightsError) as caught:
        read(npz(members, method))
    assert str(caught.value).startswith(says) and len(str(caught.value)) < 400


def test_a_member_that_unpacks_past_its_shape():
    """A megabyte of zeros that says it is an array of two: nothing is unpacked beyond its place."""
    data = npz({"a_W.npy": npy(np.zeros(2)) + bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    size = len(npy(np.zeros(2)))
    record = data.index(b"PK\1\2")
    assert len(data) < 100_000
    assert_bounded(lambda: read(data), "x: x: 'a_W.npy' in it has 50000016 bytes of numbers, but shape (2,) of float64 needs 16")
    lies = data[:record + 24] + struct.pack("<I", size) + data[record + 28:]
    assert_bounded(lambda: read(lies), "x: x: 'a_W.npy' in it has 48683 bytes that unpack to 144; packing makes")
    data = npz({"a_W.npy": npy(np.zeros(2)) + bytes(20_000)}, zipfile.ZIP_DEFLATED)
    record = data.index(b"PK\1\2")
    stored = read(data[:record + 24] + struct.pack("<I", size) + data[record + 28:]).layers["a"]["weight"]
    assert_bounded(stored.read, f"x: 'a_W.npy' in it unpacks to another size than its {size} bytes")


def test_bytes_behind_the_end_of_what_is_packed():
    """Deflated data end by themselves; a gigabyte behind their end would be read for nothing."""
    data = npz({"a_W.npy": np.zeros(2)}, zipfile.ZIP_DEFLATED)
    record = data.index(b"PK\1\2")
    packed, = struct.unpack("<I", data[record + 20:record + 24])
    where = struct.unpack("<I", data[-6:-2])[0]
    longer = data[:record] + bytes(50) + data[record:record + 20] + struct.pack("<I", packed + 50) + data[record + 24:-6] \
        + struct.pack("<I", where + 50) + data[-2:]
    with pytest.raises(WeightsError, match="unpacks to another size"):
        read(longer).layers["a"]["weight"].read()


def test_a_text_of_large_letters():
    """A text with one letter of four bytes takes four bytes for each: it is never held as a text."""
    class Large:
        size = 24_000_000

        def read(self, offset, count):
            last = "\U0001F600".encode() if offset + count == self.size else b""
            return (b"\xc3\xbf" * (count // 2))[:count - len(last)] + last
    span = pickles.Span(0, Large.size, True)
    assert_bounded(lambda: numpy_pickle._latin1(Large(), span, 12_000_000), "x: it is damaged or cut short (UnicodeEncodeError")
    assert_bounded(lambda: numpy_pickle._latin1(Large(), span, 10_000_000)[:10_000_000 - 12_000_000], None)


def test_wrong_checksums():
    for method in METHODS:
        data = npz({"a_W.npy": np.arange(1000.0)}, method)
        record = data.index(b"PK\1\2")
        stored = read(data[:record + 16] + b"1234" + data[record + 20:]).layers["a"]["weight"]
        if method == zipfile.ZIP_STORED:
            assert stored.read()[5] == 5            # theirs is not looked at
        else:
            with pytest.raises(WeightsError, match="'a_W.npy' in it has another checksum than the archive says"):
                stored.read()


def test_ten_thousand_deflated_members():
    data = npz({f"a{k}_W.npy": b"\x93NUMPY\1\0" + bytes(30_000) for k in range(3000)}, zipfile.ZIP_DEFLATED)
    assert_bounded(lambda: read(data), "x: ")
