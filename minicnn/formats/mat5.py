"""MATLAB's file format, version 5 (what `save` writes up to -v7): the variables of a file as plain Python values.

    byte 0      text, "MATLAB 5.0 MAT-file, ..."; 116 bytes, and 8 that do not matter here
    byte 124    version 0x0100, then the letters MI as one 16-bit number: they read "IM" if the file is little-endian
    byte 128    one element after the other, a variable each

    element     type (uint32)   size (uint32)   `size` bytes   zeros up to a multiple of 8
    small one   type (uint16) and size (uint16) as one uint32, low half first; up to 4 bytes

    matrix (14) is an element of elements:
        flags (8 bytes; the lowest is the class), sizes (int32 each), name, and then, depending on the class,
        numbers     one element, columns first; its type may be narrower than the class: small doubles travel as bytes
        char        one element of 8-, 16- or 32-bit letters
        cell        a matrix for each cell
        struct      the length that every field's name is padded to, the names, and a matrix for each field of each struct
    compressed (15): a matrix element in the format of zlib, and no zeros behind it

Matrices that lie open in the file stay there (Stored); compressed ones are unpacked into memory first. Objects, handles
of functions, sparse and complex matrices belong to no weights: they become None.
"""
import io
import math
import re
import reprlib
import zlib
from dataclasses import dataclass

import numpy as np

from ..errors import WeightsError
from .source import Source, Stored, checked_shape

MAX_ENTRIES, MAX_DEPTH, MAX_FIELDS, MAX_NAME, MAX_TEXT = 30_000, 12, 500, 128, 2**20
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_LETTERS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_COMPLEX = 0x0800
_HEAD, _CHUNK = 512, 2**18


@dataclass
class _Walk:
    """The byte order ("<" or ">") of the file that is walked through, and how much of it may still come."""
    order: str
    budget: int
    entries: int = MAX_ENTRIES
    text: int = MAX_TEXT


def version(source):
    """Return "5", "7.3" or "4" for a file that MATLAB wrote, None for any other."""
    start = source.read(0, min(source.size, 128))
    if len(start) == 128 and start.startswith((b"MATLAB 5.0", b"MATLAB 7.3")):
        return "5" if start.startswith(b"MATLAB 5.0") else "7.3"
    # Version 4 has no mark: a type of up to four decimal digits, three numbers, the length of a name, the name and a zero.
    for order in ("little", "big"):
        kind, rows, columns, imaginary, length = (int.from_bytes(start[i:i + 4], order) for i in range(0, 20, 4))
        name = start[20:20 + length] if length <= 64 else b""
        if kind < 5000 and kind % 100 < 60 and imaginary < 2 and re.fullmatch(rb"[A-Za-z]\w*\0", name):
            return "4"
    return None


def read(source, wanted):
    """Return {name: value} of a file's variables; the value of a variable that is not `wanted` is None, it is not looked at.

    A value is a Stored (numbers), a str, a list (cells, columns first), a dict (one struct), a list of dicts (several
    structs), or None for what cannot be weights.
    """
    if version(source) == "7.3":
        raise WeightsError("it is a MATLAB file of version 7.3; load it in MATLAB and save it again with the option -v7")
    if version(source) == "4":
        raise WeightsError("it is a MATLAB file of version 4, which has no cells and structs; save the network with -v7")
    mark = source.read(124, 4)
    if mark not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise WeightsError(f"bytes 124 to 128 are {mark!r}; expected version 0x0100 and the letters IM or MI")
    walk = _Walk("<" if mark[2:] == b"IM" else ">", source.budget)
    variables, at = {}, 128
    while at < source.size:
        _count(walk, 1)
        kind, data, end, at = _element(walk, source, at, source.size)
        if kind not in (_MATRIX, _COMPRESSED):
            raise WeightsError(f"a variable of type {kind}; expected {_MATRIX} (matrix) or {_COMPRESSED} (compressed)")
        name, value = (_unpacked if kind == _COMPRESSED else _variable)(walk, source, data, end, wanted)
        if name in variables:
            raise WeightsError(f"two variables are named {name!r}; expected each once")
        if name:                # objects leave a nameless matrix behind
            variables[name] = value
    return variables


def _variable(walk, source, at, end, wanted):
    name = _head(walk, source, at, end)[2]
    return name, _matrix(walk, source, at, end, 0) if name in wanted else None


def _unpacked(walk, source, at, end, wanted):
    """Return (name, value) of a compressed variable; one that is not wanted is unpacked no further than to its name."""
    head = Source(_inflate(source, at, end, _HEAD), source.name)
    kind, size = head.unpack(walk.order + "II", 0)
    if kind != _MATRIX:
        raise WeightsError(f"a compressed element of type {kind}; expected {_MATRIX} (matrix)")
    name = _head(walk, head, 8, head.size)[2]
    if name not in wanted:
        return name, None
    size += 8
    if size > walk.budget:
        raise WeightsError(f"it unpacks to more than {source.budget} bytes, more than this architecture needs (as single)")
    walk.budget -= size
    whole = Source(_inflate(source, at, end, size + 1), source.name)       # a byte more: does it end where it says?
    if whole.size != size:
        raise WeightsError(f"{name!r} unpacks to {'more' if whole.size > size else whole.size} bytes, but says that it has "
                           f"{size}; it is damaged")
    return name, _matrix(walk, whole, 8, size, 0)


def _inflate(source, at, end, limit):
    """Return a file in memory with the first `limit` bytes that are compressed at `at`; it never becomes larger than that."""
    unpacker, unpacked = zlib.decompressobj(), io.BytesIO()
    while unpacked.tell() < limit and not unpacker.eof:
        packed = unpacker.unconsumed_tail
        if not packed:
            packed = source.read(at, min(_CHUNK, end - at))
            at += len(packed)
        piece = unpacker.decompress(packed, min(_CHUNK, limit - unpacked.tell()))
        if not piece and not packed:
            raise WeightsError(f"the compressed element that ends at byte {end} is not complete; it is cut short or damaged")
        unpacked.write(piece)
    return unpacked


# --- elements -------------------------------------------------------------------------------------------------------
def _element(walk, source, at, end):
    """Return (type, where the data begin, where they end, where the next element begins)."""
    if at + 8 > end:
        raise WeightsError(f"an element of 8 bytes or more was expected at byte {at}, but {end - at} are left; "
                           "it is cut short or damaged")
    kind, size = source.unpack(walk.order + "II", at)
    data = at + 8
    if kind >> 16:                              # the small form
        kind, size, data = kind & 0xFFFF, kind >> 16, at + 4
    room = 4 if data == at + 4 else end - data
    if size > room:
        raise WeightsError(f"the element at byte {at} says that it has {size} bytes, but there is room for {room}; "
                           "it is cut short or damaged")
    padding = 0 if kind == _COMPRESSED else -(data + size - at) % 8
    return kind, data, data + size, min(data + size + padding, end)


def _expect(walk, source, at, end, kind, longest, what):
    """Return (bytes, where the next element begins) of an element that has to be of one type and short."""
    given, data, stop, after = _element(walk, source, at, end)
    if given != kind or stop - data > longest:
        raise WeightsError(f"{what} at byte {at} are of type {given} and {stop - data} bytes; "
                           f"expected type {kind} and at most {longest} bytes")
    return source.read(data, stop - data), after


def _head(walk, source, at, end):
    """Return (flags, shape, name, where the contents begin) of the matrix between two places."""
    flags, at = _expect(walk, source, at, end, 6, 8, "the flags of a matrix")
    flags = int(np.frombuffer(flags, walk.order + "u4")[0])
    shape = ()
    if flags & 0xFF != _OPAQUE:
        sizes, at = _expect(walk, source, at, end, 5, 4 * 32, "the sizes of a matrix")
        shape = checked_shape(np.frombuffer(sizes, walk.order + "i4").tolist())
    name, at = _expect(walk, source, at, end, 1, MAX_NAME, "the name of a matrix")
    return flags, shape, name.rstrip(b"\0").decode("latin1"), at


def _matrix(walk, source, at, end, depth):
    """Return the value of the matrix between two places."""
    _count(walk, 1)
    if depth > MAX_DEPTH:
        raise WeightsError(f"it has more than {MAX_DEPTH} cells and structs inside each other; no network needs that")
    if at == end:
        return None                             # how a cell that was never set is written
    flags, shape, _, at = _head(walk, source, at, end)
    kind = flags & 0xFF
    if kind in (_OBJECT, _SPARSE, _FUNCTION, _OPAQUE) or flags & _COMPLEX:
        return None
    if kind == _CELL:
        return _matrices(walk, source, at, end, depth, math.prod(shape))
    if kind == _STRUCT:
        return _structs(walk, source, at, end, depth, math.prod(shape))
    if kind == _CHAR:
        return _text(walk, source, at, end, shape)
    if kind in _NUMBERS:
        return _numbers(walk, source, at, end, shape, np.dtype(_NUMBERS[kind]))
    raise WeightsError(f"a matrix of class {kind}; expected 1 to 17")


def _count(walk, more, spare=0):
    """Take `more` entries from those that may still come, of which `spare` have to be left."""
    if more + spare > walk.entries:
        raise WeightsError(f"it has more than {MAX_ENTRIES} variables, cells, structs and fields; no network needs that")
    walk.entries -= more


def _matrices(walk, source, at, end, depth, count):
    """Return a list of the `count` matrices that follow each other."""
    _count(walk, 0, spare=count)
    found = []
    for _ in range(count):
        kind, data, stop, at = _element(walk, source, at, end)
        if kind != _MATRIX:
            raise WeightsError(f"a cell or field of type {kind}; expected {_MATRIX} (matrix)")
        found.append(_matrix(walk, source, data, stop, depth + 1))
    return found


def _structs(walk, source, at, end, depth, count):
    length, at = _expect(walk, source, at, end, 5, 4, "the length of the names of fields")
    length = int(np.frombuffer(length, walk.order + "i4")[0])
    if not 1 <= length <= MAX_NAME:
        raise WeightsError(f"a struct whose fields have names of {length} letters; expected 1 to {MAX_NAME}")
    names, at = _expect(walk, source, at, end, 1, length * MAX_FIELDS, "the names of fields")
    names = [names[i:i + length].split(b"\0")[0].decode("latin1") for i in range(0, len(names), length)]
    _count(walk, count, spare=count * len(names))
    values = iter(_matrices(walk, source, at, end, depth, count * len(names)))
    structs = [{name: next(values) for name in names} for _ in range(count)]
    return structs[0] if count == 1 else structs


def _text(walk, source, at, end, shape):
    kind, data, stop, _ = _element(walk, source, at, end)
    if kind not in _LETTERS:
        raise WeightsError(f"text of type {kind}; expected {', '.join(map(str, _LETTERS))}")
    walk.text -= stop - data
    if walk.text < 0:
        return None                             # a novel, but not the names of layers
    wide = {"<": "-le", ">": "-be"}[walk.order] if kind in (4, 17, 18) else ""
    letters = source.read(data, stop - data).decode(_LETTERS[kind] + wide, errors="replace")
    rows = shape[0] if shape and 1 < shape[0] <= len(letters) else 1
    return "\n".join(letters[row::rows] for row in range(rows))            # columns first


def _numbers(walk, source, at, end, shape, dtype):
    kind, data, stop, _ = _element(walk, source, at, end)
    stored = np.dtype(walk.order + _TYPES[kind]) if kind in _TYPES else None
    if stored is None or stored.kind == "f" and stored.newbyteorder("=") != dtype:
        raise WeightsError(f"numbers of class {dtype} that are stored as type {kind}; expected whole numbers or their own type")
    if math.prod(shape) * stored.itemsize != stop - data:
        raise WeightsError(f"an array of shape {reprlib.repr(shape)} and {stored} with {stop - data} bytes; "
                           f"expected {math.prod(shape) * stored.itemsize}")
    array = source.array(data, shape, stored, order="F")
    return array if stored == dtype else Stored(shape, dtype, lambda: array.read().astype(dtype))
