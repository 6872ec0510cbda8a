"""Weights in NumPy's own files: `vgg16_weights.npz`, `bvlc_alexnet.npy` and pickles of such dicts.

    .npy    "\\x93NUMPY", version, length of the header, the header (the text of a dict: dtype, order, shape), the numbers
    .npz    a ZIP archive of .npy files, one for each array
    .npy of a dict: an array of one object, written as a pickle after the header

Layers are "conv1_1_W" and "conv1_1_b" in an .npz, and "conv1": [weights, biases] in a dict. Both come from TensorFlow: filters
are (height, width, in, out), matrices (in, out), and the first matrix reads a map in the order height, width, channel.
"""
import io
import math
import re
import reprlib

import numpy as np

from ..errors import WeightsError
from . import numpy_pickle, torch_file, zip_archive
from .found import VGG_RGB, Found, Layout
from .source import Source, Stored, checked_shape

_MAGIC, MAX_HEADER = b"\x93NUMPY", 10_000
_HEADER = re.compile(r"\{'descr': '([<>|=][a-zA-Z]\d{0,3})', 'fortran_order': (True|False), "
                     r"'shape': \(([\dL, ]{0,200})\),? *\}\s*")
_KEYS = {"w": "weight", "weight": "weight", "weights": "weight", "kernel": "weight", "filters": "weight",
         "b": "bias", "bias": "bias", "biases": "bias"}


def recognises(source):
    """Return whether this is an .npz, an .npy or a pickle that is not torch's."""
    if torch_file.recognises(source):
        return False
    if zip_archive.is_zip(source):
        tail = source.read(max(0, source.size - 4000), min(4000, source.size))
        return b".npy" in tail
    head = source.read(0, min(source.size, 6))
    # A pickle: its protocol, then a dict, a list, a tuple, a function or a frame. Other formats begin with a size of 0x280.
    return head == _MAGIC or re.match(b"\x80[\2-\5][}\\](c\x95]", head) is not None


def read(source):
    """Return what the file holds as a Found."""
    if zip_archive.is_zip(source):
        return _read_npz(source)
    if source.read(0, 6) != _MAGIC:
        return _of_dict(numpy_pickle.unpickle(source), "pickle of NumPy arrays")
    dtype, _, shape, offset = _header(source)
    if dtype != object or shape != ():
        raise WeightsError(f"it is a single array of shape {shape} and {dtype}; expected a dict of layers, as in "
                           "bvlc_alexnet.npy")
    return _of_dict(numpy_pickle.unpickle(source, offset), "NumPy .npy")


def read_array(source):
    """Return the one array of an .npy file (ilsvrc_2012_mean.npy) as a Stored."""
    dtype, order, shape, offset = _header(source)
    if dtype.kind != "f":
        raise WeightsError(f"it is an array of {dtype}; expected float numbers")
    return source.array(offset, shape, dtype, order)


def _header(source):
    """Return (dtype, order, shape, offset of the numbers) of an .npy file."""
    if source.read(0, 6) != _MAGIC:
        raise WeightsError(f"where an .npy file is expected, there is one that begins with {source.read(0, 6)!r}")
    major, minor = source.read(6, 2)
    if major not in (1, 2, 3):
        raise WeightsError(f"it is NumPy's format in version {major}.{minor}; expected an .npy of version 1 to 3")
    layout, start = ("<H", 10) if major == 1 else ("<I", 12)
    size, = source.unpack(layout, 8)
    if size > MAX_HEADER:
        raise WeightsError(f"an array's header of {size} bytes; no array of numbers needs that")
    text = source.read(start, size).decode("latin1")
    match = _HEADER.fullmatch(text)
    if not match:
        raise WeightsError(f"an array's header says {reprlib.repr(text)}; expected dtype, order and shape of plain numbers")
    code, fortran_order, sizes = match.groups()
    if not re.fullmatch(r"[<>=|](f[248]|[iu][1248]|b1|O)", code):
        raise WeightsError(f"an array of dtype {code!r}; expected numbers of 1 to 8 bytes")
    dtype = np.dtype("O") if code.endswith("O") else np.dtype(code)
    return dtype, "F" if fortran_order == "True" else "C", _sizes(sizes), start + size


def _sizes(text):
    return checked_shape([int(n.strip(" L")) for n in text.split(",") if n.strip()])        # Python 2 could write 3L


# --- an .npz --------------------------------------------------------------------------------------------------------
def _read_npz(source):
    arrays = {name[:-4]: _member_array(source, member) for name, member in zip_archive.members(source).items()
              if name.endswith(".npy")}
    layers, left_out = {}, []
    for name, array in arrays.items():
        layer, _, key = name.rpartition("_") if "/" not in name else name.rpartition("/")
        if not layer or key.lower() not in _KEYS:
            left_out.append(name[:100])
        else:
            _add(layers, layer, _KEYS[key.lower()], array)
    rgb, bgr = Layout("HWC", preprocessing=VGG_RGB), Layout("HWC")
    return Found("NumPy .npz", layers, {"rgb": rgb, "bgr": bgr}, "open", left_out)


def _member_array(source, member):
    """Return the Stored of a member of the archive; a deflated one is unpacked when it is read, and no further than needed."""
    if not member.deflated:
        dtype, order, shape, offset = _header(_Part(source, member))
        _check_kind(member, dtype, shape, offset)
        return source.array(member.offset + offset, shape, dtype, order)
    import zlib
    packed = source.read(member.offset, min(member.packed_size, MAX_HEADER))
    head = zlib.decompressobj(-15).decompress(packed, MAX_HEADER)
    dtype, order, shape, offset = _header(Source(io.BytesIO(head), source.name))
    _check_kind(member, dtype, shape, offset)

    def read_all():
        data = zip_archive.unpacked(source, member)
        return np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape, order=order)
    return Stored(shape, dtype, read_all)


class _Part:
    """A member of an archive as if it were a file of its own."""

    def __init__(self, source, member):
        self.source, self.member = source, member

    def read(self, offset, count):
        if offset + count > self.member.size:
            raise WeightsError(f"{self.member.name[:80]!r} in it is cut short; get the file again")
        return self.source.read(self.member.offset + offset, count)

    unpack = Source.unpack


def _check_kind(member, dtype, shape, offset):
    if dtype.kind != "f":
        raise WeightsError(f"{member.name[:80]!r} in it holds {dtype}; expected float numbers")
    if math.prod(shape) * dtype.itemsize != member.size - offset:
        raise WeightsError(f"{member.name[:80]!r} in it has {member.size - offset} bytes of numbers, but shape {shape} of "
                           f"{dtype} needs {math.prod(shape) * dtype.itemsize}; it is damaged")


def _add(layers, name, key, array):
    """Put an array under its layer; two of one kind would leave open which is meant."""
    if not name.isprintable():
        raise WeightsError(f"a layer is named {reprlib.repr(name)}; expected a name that can be printed")
    if key in layers.setdefault(name, {}):
        raise WeightsError(f"the layer {reprlib.repr(name)} has a second {key}; expected one")
    layers[name][key] = _our_axes(array)


# --- a dict ---------------------------------------------------------------------------------------------------------
def _of_dict(value, kind):
    """Return the Found of {"conv1": [weights, biases], ...}, also {"conv1": {"weights": ..., "biases": ...}}."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise WeightsError(f"it holds a {type(value).__name__}; expected a dict of layers by name, as in bvlc_alexnet.npy")
    layers, left_out = {}, []
    for name, parts in value.items():
        if isinstance(parts, (list, tuple)) and len(parts) in (1, 2):
            parts = dict(zip(("weight", "bias"), parts))
        named = [(_KEYS.get(str(k).lower()), v) for k, v in parts.items()] if isinstance(parts, dict) else []
        if not named or not all(key and isinstance(v, Stored) and v.dtype.kind == "f" for key, v in named):
            left_out.append(name[:100])
            continue
        for key, array in named:
            _add(layers, name, key, array)
    return Found(kind, layers, {"bgr": Layout("HWC"), "rgb": Layout("HWC", preprocessing=VGG_RGB)}, "likely", left_out)


def _our_axes(array):
    """(height, width, in, out) -> (out, in, height, width); (in, out) -> (out, in)."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(array.shape))
    return array.transpose(*axes) if axes else array
