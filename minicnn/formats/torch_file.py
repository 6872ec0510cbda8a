"""What torch.save writes (.pth, .pt), in both of its serialisations, read without torch and without running what is inside.

    zip (since 1.6)     a ZIP archive: NAME/data.pkl, a pickle in which each tensor points to a storage by its number, and
                        NAME/data/0, NAME/data/1, ...: the bytes of the storages; NAME/byteorder says "little" or "big"
    legacy              five pickles: a magic number, the version 1001, facts on the machine, the object, the storages' keys;
                        then the storages in the order of the keys, each as a 64-bit count and its bytes

A tensor is a call: _rebuild_tensor_v2(storage, offset, size, stride, ...), counted in elements. Filters are (out, in / groups,
height, width), matrices (out, in), and a map is flattened in the order channel, height, width: the axes of minicnn.
"""
import math

import numpy as np

from ..errors import WeightsError
from . import zip_archive
from .found import TORCHVISION, Found, Layout
from .numpy_pickle import NAMES, shape_of
from .pickles import Machine, checked_key, plain, shown
from .source import Stored, bfloat16
from .state_dict import layers_of_state_dict

MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")      # a pickle of the number 0x1950a86a20f9469cfc6c
_DTYPES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4", "Short": "i2",
           "Char": "i1", "Byte": "u1", "Bool": "b1"}
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights", "params")      # where checkpoints keep the weights


def recognises(source):
    """Return whether torch.save wrote the file."""
    if zip_archive.is_zip(source):
        tail = source.read(max(0, source.size - 100_000), min(100_000, source.size))
        return b"/data.pkl" in tail or b"/data.pkl" in source.read(0, min(source.size, 300))
    return source.read(0, min(source.size, len(MAGIC))) == MAGIC


def read(source):
    """Return the layers of a state dict, also of one inside a checkpoint, as a Found."""
    value, kind = (_read_zip(source), "torch") if zip_archive.is_zip(source) else (_read_legacy(source), "torch, legacy")
    layers, left_out = layers_of_state_dict(_state_dict(value))
    # Johnson's VGG (vgg16-00b39a1b) holds Caffe's numbers and counts the flattening as layer 0 of the classifier.
    shapes = {name: arrays["weight"].shape for name, arrays in layers.items() if "weight" in arrays}
    caffe = len(shapes.get("classifier.1", ())) == 2 and "classifier.4" in shapes and "classifier.6" in shapes \
        and shapes.get("features.0", ())[2:] == (3, 3)
    layouts = {"rgb": Layout(preprocessing=TORCHVISION), "bgr": Layout()}
    return Found(kind, layers, dict(reversed(layouts.items())) if caffe else layouts, "likely", left_out)


def _state_dict(value):
    """Return {name: Stored} of a state dict, or of the one that a checkpoint holds beside other things."""
    if isinstance(value, dict):
        value = next((value[key] for key in _NESTED if isinstance(value.get(key), dict)), value)
    tensors = {k: v for k, v in value.items() if isinstance(v, Stored)} if isinstance(value, dict) else {}
    if not tensors or not all(isinstance(k, str) for k in tensors):
        raise WeightsError(f"it holds a {type(value).__name__} without named tensors; save model.state_dict() with torch.save")
    return tensors


# --- the two serialisations -----------------------------------------------------------------------------------------
def _read_zip(source):
    members = zip_archive.members(source)
    if any(name.endswith("/constants.pkl") for name in members):
        raise WeightsError("it is a TorchScript archive, a program with its weights; open it with torch.jit.load and "
                           "save its state_dict() with torch.save")
    programs = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(programs) != 1 or members[programs[0]].deflated:
        raise WeightsError(f"it has {len(programs)} members named data.pkl; expected one, stored plainly, as torch.save "
                           "writes it")
    prefix, storages = programs[0][:-len("data.pkl")], {}
    value = Machine(source, members[programs[0]].offset, _NAMES, lambda key: _storage(key, storages)).load()
    order = members.get(prefix + "byteorder")
    big = order is not None and order.size <= 16 and order.packed_size <= 100 and zip_archive.unpacked(source, order) == b"big"
    for storage in storages.values():
        member = members.get(f"{prefix}data/{storage.key}")
        if member is None or member.deflated or member.size < storage.count * storage.dtype.itemsize:
            raise WeightsError(f"the numbers of storage {storage.key[:40]!r}, {storage.count} of {storage.dtype}, are missing "
                               "or too few; it is damaged, get it again")
        storage.place(member.offset, big)
    return plain(value, source)


def _read_legacy(source):
    at, used, parts, storages = 0, 0, [], {}
    for _ in range(5):
        machine = Machine(source, at, _NAMES, lambda key: _storage(key, storages), used)
        parts.append(machine.load())
        at, used = machine.end, machine.used
    _, version, facts, value, keys = parts
    if version != 1001 or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise WeightsError(f"it is torch's legacy format in version {shown(version)}; expected 1001")
    big = isinstance(facts, dict) and facts.get("little_endian") is False
    for key in keys:
        count, = source.unpack("<q", at)
        if key not in storages or storages[key].offset is not None or count != storages[key].count:
            raise WeightsError(f"it keeps {count} numbers as storage {key[:40]!r}, which no tensor expects; it is damaged")
        storages[key].place(at + 8, big)
        at += 8 + count * storages[key].dtype.itemsize
    return plain(value, source)


# --- what the names in the pickle stand for here ----------------------------------------------------------------------
class _Storage:
    """A run of `count` numbers somewhere in the file."""

    def __init__(self, kind, key, count):
        self.kind, self.key, self.count, self.offset = kind, key, count, None
        self.dtype = np.dtype(_DTYPES[kind.name])

    def place(self, offset, big_endian):
        self.offset, self.dtype = offset, self.dtype.newbyteorder(">" if big_endian else "<")


class _StorageType:
    def __init__(self, name):
        self.name = name


def _storage(key, storages):
    """Return the storage that a persistent id names: ("storage", type, key, device, count[, view])."""
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage" or not isinstance(key[1], _StorageType):
        raise WeightsError(f"it points to {shown(key)}; expected a storage of numbers")
    _, kind, name, _, count, *view = key
    if not isinstance(name, str) or type(count) is not int or not 0 <= count < 2**40 or view not in ([], [None]):
        raise WeightsError(f"it points to a storage {shown(key[2:])}; expected a key, a device and a count")
    made = storages.setdefault(name, _Storage(kind, name, count))
    if (made.kind, made.count) != (kind, count):
        raise WeightsError(f"it describes the storage {name[:40]!r} in two ways; it is damaged")
    return made


class _Tensor:
    """A view of a storage: element (i, j, ...) stands at offset + i * stride[0] + j * stride[1] + ..."""

    def __init__(self, storage, offset, shape, stride, *grad_and_hooks):
        self.storage, self.shape = storage, shape_of(shape)
        numbers = [offset, *stride] if isinstance(stride, tuple) else [None]
        if not isinstance(storage, _Storage) or len(numbers) != 1 + len(self.shape) or \
                not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
            raise WeightsError(f"a tensor of shape {self.shape} with the stride {shown(stride)}; "
                               "expected a storage, an offset and as many strides as sizes")
        self.offset, self.stride = offset, stride

    def finish(self, source, walk):
        """Return the Stored of the tensor."""
        numbers, storage = math.prod(self.shape), self.storage
        span = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride)) if numbers else 0
        if storage.offset is None or self.offset + span > storage.count:
            raise WeightsError(f"a tensor of shape {self.shape} needs {self.offset + span} numbers, its storage has "
                               f"{storage.count}; it is damaged")
        if span > numbers + 1024 or numbers > 4 * span + 1024:
            raise WeightsError(f"a tensor of shape {self.shape} is a view of {span} numbers; save tensor.contiguous()")
        flat = source.array(storage.offset + self.offset * storage.dtype.itemsize, (span,), storage.dtype)
        steps = [step * storage.dtype.itemsize for step in self.stride]
        stored = Stored(self.shape, storage.dtype,
                        lambda: np.asarray(np.lib.stride_tricks.as_strided(flat.read(), self.shape, steps), order="C"))
        return bfloat16(stored) if storage.kind.name == "BFloat16" else stored


class _OrderedDict(dict):
    """collections.OrderedDict; the notes that torch hangs on to it (`_metadata`) are not needed."""

    def __init__(self, pairs=()):
        if not isinstance(pairs, list) and pairs != ():
            raise WeightsError(f"an ordered dict of a {type(pairs).__name__}; expected pairs")
        super().__init__((checked_key(key), value) for key, value in pairs)
        if pairs:
            pairs.clear()           # a list serves one dict: many made of one list would fill the memory

    def set_state(self, state):
        """Leave the notes alone."""


def _parameter(data, requires_grad, hooks):
    return data


def _size(sizes):
    return shape_of(sizes)


_NAMES = NAMES | {"collections.OrderedDict": _OrderedDict, "torch._utils._rebuild_tensor_v2": _Tensor, "torch.Size": _size,
                  "torch._utils._rebuild_tensor": _Tensor, "torch._utils._rebuild_parameter": _parameter}
_NAMES |= {f"torch.{name}Storage": _StorageType(name) for name in _DTYPES}
