"""Pickles of nested dicts, lists, tuples, strings, numbers and NumPy arrays, read by the machine of pickles.py.

An array in a pickle is a call that makes an empty one, then its state: (version, shape, dtype, Fortran order?, bytes).
A dtype is a call with its kind and size ("f4"), then its state, of which the byte order matters. An array of objects has
a list in the place of the bytes; numpy.save writes a dict as such an array of no dimension.

Pickles of Python 2 (text as latin1) and 3, all protocols; NumPy before and since its renaming of numpy.core.
"""
import codecs
import math
import re

import numpy as np

from ..errors import WeightsError
from .pickles import MAX_PROGRAM, Machine, Span, plain, shown
from .source import Stored, checked_shape

SHORT = 100             # characters of a text that becomes bytes at once
PIECE = 1 << 20         # bytes of a longer one that are read at a time


def unpickle(source, offset=0, most=MAX_PROGRAM):
    """Return what the pickle at `offset` of a Source holds, its arrays as Stored; most: see Machine. Raises WeightsError."""
    return plain(Machine(source, offset, NAMES, most=most).load(), source)


# --- what the names in a pickle stand for here ----------------------------------------------------------------------
class _Dtype:
    """A dtype in the making: first its kind and size ("f4"), then its byte order."""

    def __init__(self, code, *align_and_copy):
        if not isinstance(code, str) or not re.fullmatch("[<>=|]?(f[248]|[iu][1248]|b1|O[48]?)", code):
            raise WeightsError(f"an array of dtype {shown(code)}; expected numbers of 1 to 8 bytes")
        self.value = np.dtype("O") if "O" in code else np.dtype(code)

    def set_state(self, state):
        # (version, byte order, subdtype, names, fields, ...): only a plain number has None in the middle three
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|"):
            raise WeightsError(f"a dtype with the state {shown(state)}; expected that of a plain number")
        if any(part is not None for part in state[2:5]):
            raise WeightsError("an array of records; expected plain numbers")
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """An array in the making, which its state completes."""
    shape, dtype, data, order, axes = (), np.dtype("O"), None, "C", None         # until then: nothing

    def set_state(self, state):
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise WeightsError(f"an array with the state {shown(state)}; "
                               "expected version, shape, dtype, order and bytes")
        shape, dtype, fortran_order, data = state[-4:]
        if not isinstance(dtype, _Dtype):
            raise WeightsError(f"an array of dtype {shown(dtype)}; expected numbers")
        self.shape, self.dtype, self.data = shape_of(shape), dtype.value, data
        self.order = "F" if fortran_order else "C"

    def finish(self, source, walk):
        """Return the Stored of an array, or what an array of one object holds."""
        if self.dtype != object:
            stored = self.stored(source)
            return stored if self.axes is None else stored.transpose(*self.axes)
        if self.shape != () or not isinstance(self.data, list) or len(self.data) != 1:
            raise WeightsError(f"an array of objects of shape {self.shape}; expected numbers, or one dict")
        return walk(self.data[0])

    def stored(self, source):
        """Return the Stored of an array whose bytes are in memory or a Span of `source`."""
        expected, data = math.prod(self.shape) * self.dtype.itemsize, self.data
        size = data.size if isinstance(data, Span) else len(data) if isinstance(data, (bytes, str)) else None
        if size is None or size != expected and not (isinstance(data, Span) and data.utf8 and expected <= size <= 2 * expected):
            given = f"a {type(data).__name__}" if size is None else f"{size} bytes"
            raise WeightsError(f"an array of shape {self.shape} and {self.dtype} needs {expected} bytes, given is {given}")
        if isinstance(data, Span) and not data.utf8:
            return source.array(data.offset, self.shape, self.dtype, self.order)
        return Stored(self.shape, self.dtype, lambda: self._numbers(source, data))

    def _numbers(self, source, data):
        """Return the array whose bytes stand as such or as text, which Python 2 did not tell apart."""
        if isinstance(data, Span):
            data = _latin1(source, data, math.prod(self.shape) * self.dtype.itemsize)
        if isinstance(data, str):
            data = data.encode("latin1")
        if len(data) != math.prod(self.shape) * self.dtype.itemsize:
            raise WeightsError(f"an array of shape {self.shape} and {self.dtype} is given {len(data)} bytes; get the file again")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order=self.order).copy()


def _latin1(source, span, most):
    """Return the bytes that a long text spells, one for each letter; read in pieces, since one odd letter makes a text large."""
    decoder, data = codecs.getincrementaldecoder("utf-8")(), bytearray()
    for start in range(0, span.size, PIECE):
        count = min(PIECE, span.size - start)
        data += decoder.decode(source.read(span.offset + start, count), start + count == span.size).encode("latin1")
        if len(data) > most:
            break                           # the caller finds it too long
    return data


def shape_of(sizes):
    """Return the sizes of an array after a check."""
    if not _whole_numbers(sizes):
        raise WeightsError(f"an array of shape {shown(sizes)}; expected whole numbers")
    return checked_shape(sizes)


def _whole_numbers(value):
    return isinstance(value, tuple) and all(type(number) is int for number in value)


def _empty_array(kind, shape, code):
    if kind != "numpy.ndarray":
        raise WeightsError(f"an array of the class {shown(kind)}; expected numpy.ndarray")
    return _Array()


def _array_from_buffer(data, dtype, shape, order, axes=None):
    """Protocol 5; `order` "K": the bytes are those of the array before its axes were put in the order `axes`."""
    array = _Array()
    array.set_state((shape, dtype, order == "F", data))
    if order == "K" and axes is not None:
        if not _whole_numbers(axes) or sorted(axes) != list(range(len(array.shape))):
            raise WeightsError(f"an array of shape {array.shape} with the axes {shown(axes)}; expected each axis once")
        array.axes = axes
    return array


def _number(dtype, data):
    array = _array_from_buffer(data, dtype, (), "C")
    if array.dtype == object or isinstance(data, Span):
        raise WeightsError(f"a number of dtype {array.dtype}; expected one of 1 to 8 bytes")
    return array.stored(None).read()[()]


def _encode(text, encoding):
    """Return the bytes that old protocols spell as text; of an array, whose bytes are many, the text itself."""
    if encoding not in ("latin1", "latin-1"):
        raise WeightsError(f"text in the encoding {shown(encoding)}; expected latin1")
    return text if isinstance(text, Span) or len(text) > SHORT else text.encode("latin1")


def _empty_bytes():
    return b""                          # how they spell it when there are none


NAMES = {"numpy.ndarray": "numpy.ndarray", "numpy.dtype": _Dtype, "_codecs.encode": _encode, "__builtin__.bytes": _empty_bytes}
for _core in ("numpy.core", "numpy._core"):
    NAMES |= {f"{_core}.multiarray._reconstruct": _empty_array, f"{_core}.multiarray.scalar": _number,
              f"{_core}.numeric._frombuffer": _array_from_buffer}
