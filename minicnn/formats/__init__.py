"""Readers of foreign weight formats, one file each: `opened(path)` recognises a file by its content and reads its headers.

A reader has two functions: `recognises(source)`, a look at the first and last bytes, and `read(source)`, which returns a
`Found`: the layers by name with their arrays, in our order of axes, and how the numbers are meant.
"""
import struct
import zlib
from contextlib import contextmanager

from ..errors import WeightsError, unknown_name
from . import caffe, convnetjs, keras, matconvnet, numpy_weights, onnx, safetensors, source as sources, torch_file

# The order matters little: no file is recognised by two of them, which a test holds.
READERS = {"torch": torch_file, "numpy": numpy_weights, "keras": keras, "matconvnet": matconvnet, "safetensors": safetensors,
           "convnetjs": convnetjs, "onnx": onnx, "caffe": caffe}
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "ZIP"}
_STUMBLES = (struct.error, ValueError, LookupError, TypeError, ArithmeticError, RecursionError, zlib.error, EOFError,
             AttributeError, OSError)
_LATER = (OSError, UnicodeError, zlib.error, EOFError)         # while numbers are read; anything else is an error of ours


@contextmanager
def opened(path, format="auto", budget=64_000_000):
    """Give the Found of the file at `path`; its arrays can be read until the block ends.

    `format` is a name in READERS, or "auto". `budget`: how many bytes may be unpacked into memory where a format leaves
    no other way. Raises WeightsError.
    """
    if format != "auto" and format not in READERS:
        raise unknown_name("weight format", format, ["auto", *READERS])
    with sources.opened(path, budget) as source:
        with guarded(source.name):
            name = recognise(source) if format == "auto" else format
        with guarded(f"{source.name}, read as {name}"):
            found = READERS[name].read(source)
            if not found.layers:
                raise WeightsError(f"it is {found.format}, but holds no weights; expected layers with weights")
        with guarded(f"{source.name} ({found.format})", _LATER):
            yield found


def recognise(source):
    """Return the name of the reader for a Source. Raises WeightsError if none knows it."""
    if source.size == 0:
        raise WeightsError("it is empty; get the file again")
    for name, reader in READERS.items():
        if reader.recognises(source):
            return name
    start = source.read(0, min(8, source.size))
    if start.lower().startswith((b"<!doctyp", b"<html")):
        raise WeightsError("it is a page of the web, not what the page offers; download the weights file itself")
    if source.size >= 40 and source.read(0, 24) == b"version https://git-lfs.":
        raise WeightsError("it is only a pointer of Git LFS to a file; get that with `git lfs pull`")
    for magic, packer in _PACKED.items():
        if start.startswith(magic):
            raise WeightsError(f"it is packed with {packer}, and is cut short or not itself a weights file; "
                               "unpack it and give what is in it, or get it again")
    if caffe.recognises_mean(source):
        raise WeightsError("it is a mean picture of Caffe's, not weights; give it as --mean, beside the .caffemodel")
    raise WeightsError(f"its content is of no known format ({start!r}...); "
                       f"expected one of {', '.join(READERS)}")


@contextmanager
def guarded(what, stumbles=_STUMBLES):
    """Turn whatever a reader stumbles over in damaged bytes into a WeightsError that begins with `what`."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{what}: {error}") from None
    except stumbles as error:
        raise WeightsError(f"{what}: it is damaged or cut short ({type(error).__name__}: {str(error)[:200]}); "
                           "get the file again") from None
