"""Files of the library safetensors: a table of contents in JSON, then all numbers, little-endian, one array after the other.

    byte 0      length N of the table (uint64)
    byte 8      {"conv1.weight": {"dtype": "F32", "shape": [16, 3, 5, 5], "data_offsets": [0, 4800]}, ...,
                 "__metadata__": {"format": "pt"}}
    byte 8 + N  the numbers; offsets count from here, and leave neither gaps nor overlaps

Names are those of torch's state dicts (state_dict.py), in any order: the library sorts them, so that "features.10" stands
before "features.2". BF16 is the upper half of a float32.
"""
import json
import math
import reprlib

from ..errors import WeightsError
from .found import TORCHVISION, Found, Layout
from .source import bfloat16, checked_shape
from .state_dict import layers_of_state_dict

MAX_HEADER = 500_000                # bytes; JSON takes up to 45 times its length in memory
_LARGEST = 100_000_000              # of the library itself
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
           "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1"}


def recognises(source):
    """Whether the file begins with a length and an object of JSON with names in it."""
    if source.size < 10:
        return False
    length, start = source.unpack("<Q2s", 0)
    return 2 <= length <= _LARGEST and start in (b'{"', b"{}", b"{ ", b"{\n")


def read(source):
    """Return what a .safetensors file holds. Raises WeightsError."""
    length, = source.unpack("<Q", 0)
    if length > MAX_HEADER:
        raise WeightsError(f"its table of contents has {length} bytes; expected at most {MAX_HEADER}")
    start = 8 + length
    table = json.loads(source.read(8, length).decode("utf-8"), object_pairs_hook=_unique)
    if not isinstance(table, dict):
        raise WeightsError(f"its table of contents is a {type(table).__name__}; expected an object with names")
    table.pop("__metadata__", None)
    _check_places(table, source.size - start)
    arrays = {name: _array(source, start, name, entry) for name, entry in table.items()}
    layers, left_out = layers_of_state_dict(arrays)
    layouts = {"rgb": Layout(preprocessing=TORCHVISION), "bgr": Layout()}
    return Found("safetensors", layers, layouts, "likely", left_out)


def _unique(pairs):
    """Return the dict of an object of JSON, in which every name has to stand once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WeightsError("its table of contents has a name twice; expected each once")
    return found


def _check_places(table, room):
    """Raise WeightsError unless the arrays follow each other from the first of the `room` bytes to the last."""
    for name, entry in table.items():
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int for n in offsets):
            raise WeightsError(f"the entry of {reprlib.repr(name)} is {reprlib.repr(entry)}; "
                               "expected dtype, shape and data_offsets [begin, end]")
    last = 0
    for name, entry in sorted(table.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != last or end < begin:
            raise WeightsError(f"{reprlib.repr(name)} has the bytes {begin} to {end} of the data, the array before it ends at "
                               f"{last}; expected one after the other, without gaps or overlaps")
        last = end
    if last != room:
        raise WeightsError(f"its arrays need {last} bytes of data, but there are {room}; it is cut short or damaged")


def _array(source, start, name, entry):
    """Return the Stored of an entry; None for a dtype that holds no weights."""
    kind, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(kind, str) or not isinstance(shape, list):
        raise WeightsError(f"the entry of {reprlib.repr(name)} has the dtype {reprlib.repr(kind)} and the shape "
                           f"{reprlib.repr(shape)}; expected text and a list")
    if kind not in _DTYPES:
        return None
    begin, end = entry["data_offsets"]
    stored = source.array(start + begin, checked_shape(shape), _DTYPES[kind])
    needed = math.prod(stored.shape) * stored.dtype.itemsize
    if needed != end - begin:
        raise WeightsError(f"{reprlib.repr(name)} of shape {stored.shape} and {kind} needs {needed} bytes, "
                           f"given are {end - begin}")
    return bfloat16(stored) if kind == "BF16" else stored
