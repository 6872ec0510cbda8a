"""Reading pickles of nested dicts, lists, tuples, strings, numbers and NumPy arrays, without trusting them.

A pickle is a program for a small stack machine, and an ordinary unpickler runs whatever function the program names:
loading a file from a stranger is running a stranger's code. This one differs in three places:

- it knows only the instructions that plain data needs; those that make instances of classes are not in its table;
- of all functions, only the few that NumPy's own pickles name exist, and each stands for one of ours below;
- the instruction that hands an object its state works for arrays and dtypes alone, and checks the state first.

Pickles of Python 2 (text as latin1) and 3, all protocols; NumPy before and since its renaming of numpy.core.
"""
import io
import math
import os
import pickle
import re
import reprlib
import struct

import numpy as np

from ..errors import WeightsError

_PLAIN = (dict, list, tuple, str, bytes, bool, int, float, complex, type(None), np.number, np.bool_)
_INSTRUCTIONS = """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    GLOBAL STACK_GLOBAL REDUCE
""".split()


def read(source):
    """Return what a pickle holds; `source` is a path or the pickle's bytes.

    Raises WeightsError for a file that is missing or damaged, or holds anything but plain data and numeric arrays.
    """
    what = "the pickle" if isinstance(source, bytes) else repr(os.fspath(source))
    if not isinstance(source, bytes):
        try:
            with open(source, "rb") as file:
                source = file.read()
        except (OSError, ValueError) as error:
            raise WeightsError(f"{what} cannot be read ({error}); give the path of a pickle") from None
    try:
        value = _Unpickler(io.BytesIO(source), encoding="latin1").load()
        _check_plain(value)
        return value
    except WeightsError as error:
        raise WeightsError(f"{what} is refused: {error}") from None
    except Exception as error:          # bytes that are no pickle make the machine stumble in any way
        raise WeightsError(f"{what} is damaged, cut short or no pickle of arrays ({type(error).__name__}: {error}); "
                           "get the file again") from None


# --- what the names in a pickle stand for here ----------------------------------------------------------------------
class _Dtype:
    """A numeric dtype in the making: first its kind and size ("f4"), then its byte order."""

    def __init__(self, code, *align_and_copy):
        if not re.fullmatch("[<>=|]?(f[248]|[iu][1248]|b1)", str(code)):
            raise WeightsError(f"an array of dtype {reprlib.repr(code)}; expected numbers of 1 to 8 bytes")
        self.value = np.dtype(code)

    def set_state(self, state):
        # (version, byte order, subdtype, names, fields, ...): only a plain number has None in the middle three
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|"):
            raise WeightsError(f"a dtype with the state {reprlib.repr(state)}; expected that of a plain number")
        if any(part is not None for part in state[2:5]):
            raise WeightsError("an array of records; expected plain numbers")
        self.value = self.value.newbyteorder(state[1])


def _empty_array(kind, shape, code):
    if kind != "numpy.ndarray":
        raise WeightsError(f"an array of the class {reprlib.repr(kind)}; expected numpy.ndarray")
    return np.empty(0, np.int8)         # _set_array_state fills it


def _set_array_state(array, state):
    """Give an empty array its (version, shape, dtype, Fortran order?, bytes), after checking that they agree."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise WeightsError(f"an array with the state {reprlib.repr(state)}; "
                           "expected version, shape, dtype, order and bytes")
    shape, dtype, fortran_order, data = state[-4:]
    array.__setstate__((1, *_checked(shape, dtype, data), bool(fortran_order), _as_bytes(data)))


def _array_from_buffer(data, dtype, shape, order):
    shape, dtype = _checked(shape, dtype, data)         # protocol 5
    return np.frombuffer(_as_bytes(data), dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _number(dtype, data):
    return np.frombuffer(_as_bytes(data), _checked((), dtype, data)[1])[0]


def _checked(shape, dtype, data):
    """Return (shape, np.dtype) if `data` has just the bytes of that many numbers."""
    if not isinstance(dtype, _Dtype):
        raise WeightsError(f"an array of dtype {reprlib.repr(dtype)}; expected numbers")
    sizes = isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and n >= 0 for n in shape)
    if not sizes or math.prod(max(1, n) for n in shape) > 2**40:
        raise WeightsError(f"an array of shape {reprlib.repr(shape)}; expected a tuple of sizes")
    expected = math.prod(shape) * dtype.value.itemsize
    if not isinstance(data, (bytes, str)) or len(data) != expected:
        given = f"{len(data)} bytes" if isinstance(data, (bytes, str)) else f"a {type(data).__name__}"
        raise WeightsError(f"an array of shape {shape} and {dtype.value} needs {expected} bytes, given is {given}")
    return shape, dtype.value


def _as_bytes(data):
    return data.encode("latin1") if isinstance(data, str) else data         # Python 2 had one type for both


def _encode(text, encoding):
    if encoding not in ("latin1", "latin-1"):
        raise WeightsError(f"text in the encoding {reprlib.repr(encoding)}; expected latin1")
    return text.encode("latin1")        # how old protocols spell bytes


def _empty_bytes():
    return b""                          # how they spell it when there are none


_NAMES = {"numpy.ndarray": "numpy.ndarray", "numpy.dtype": _Dtype, "_codecs.encode": _encode,
          "__builtin__.bytes": _empty_bytes}
for _core in ("numpy.core", "numpy._core"):
    _NAMES |= {f"{_core}.multiarray._reconstruct": _empty_array, f"{_core}.multiarray.scalar": _number,
               f"{_core}.numeric._frombuffer": _array_from_buffer}


# --- the machine ----------------------------------------------------------------------------------------------------
class _Unpickler(pickle._Unpickler):
    """Python's own unpickler in its version written in Python, whose table of instructions can be cut down."""

    def find_class(self, module, name):
        if f"{module}.{name}" not in _NAMES:
            raise WeightsError(f"it asks for {module}.{name}, which no pickle of plain arrays needs; do not trust it")
        return _NAMES[f"{module}.{name}"]

    def load_build(self):
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, _Dtype):
            made.set_state(state)
        elif isinstance(made, np.ndarray) and made.shape == (0,):
            _set_array_state(made, state)
        else:
            raise WeightsError(f"it sets the state of a {type(made).__name__}; only arrays and dtypes have one")

    def load_bytes_of_protocol_5(self):
        size, = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))    # the original reserves `size` bytes before it looks whether they are there

    def load_other(self):
        raise WeightsError("it holds instructions that no pickle of plain arrays needs; do not trust it")

    dispatch = dict.fromkeys(range(256), load_other)
    dispatch |= {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, n)[0] for n in _INSTRUCTIONS)}
    dispatch |= {pickle.BUILD[0]: load_build, pickle.BYTEARRAY8[0]: load_bytes_of_protocol_5}


def _check_plain(value):
    """Raise WeightsError if anything but plain data and arrays is inside `value`, however deep."""
    seen, stack = set(), [value]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            stack += item
        elif not isinstance(item, (*_PLAIN, np.ndarray)):
            raise WeightsError(f"it holds a {type(item).__name__}; expected dicts, lists, numbers and arrays")
