"""A file that nobody trusts yet: every access is checked against the file's size before a byte is read or reserved.

A reader walks through the headers of a `Source` and notes where the numbers stand; each array becomes a `Stored`, which
knows its shape and dtype and reads its numbers only when asked. So a file is as good as free until its shapes have been
compared with what the network expects, however large it says that its arrays are.
"""
import math
import os
import reprlib
import struct
from contextlib import contextmanager

import numpy as np

from ..errors import WeightsError

MAX_DIMENSIONS, MAX_NUMBERS = 8, 2**40


class Source:
    """Bytes at numbered places: `read(offset, count)` returns just `count` of them or raises WeightsError.

    `budget` is how many bytes a reader may unpack into memory where a format leaves no other way (compressed parts).
    """

    def __init__(self, file, name, budget=64_000_000):
        self.file, self.name, self.budget = file, name, budget
        try:
            self.size = file.seek(0, os.SEEK_END)
        except OSError as error:            # some files of the system, as those in /proc
            raise WeightsError(f"{name!r} cannot be read at any place ({error.strerror}); copy it to a folder") from None

    def _check(self, offset, count):
        if not 0 <= offset <= offset + count <= self.size:
            raise WeightsError(f"it ends at byte {self.size}, but bytes {offset} to {offset + count} are asked for; "
                               "it is cut short or damaged")

    def read(self, offset, count):
        """Return `count` bytes from `offset` on."""
        self._check(offset, count)
        self.file.seek(offset)
        data = self.file.read(count)
        if len(data) != count:
            raise WeightsError("it became shorter while it was read; try again")
        return data

    def unpack(self, layout, offset):
        """Return the numbers that stand at `offset`, as the module struct describes them ("<IQ")."""
        return struct.unpack(layout, self.read(offset, struct.calcsize(layout)))

    def array(self, offset, shape, dtype, order="C"):
        """Return the Stored array whose numbers begin at `offset`; `order` "F": columns first."""
        shape, dtype = checked_shape(shape), np.dtype(dtype)
        self._check(offset, math.prod(shape) * dtype.itemsize)

        def read():
            numbers = np.empty(math.prod(shape), dtype)
            self.file.seek(offset)
            if self.file.readinto(numbers.view(np.uint8)) != numbers.nbytes:
                raise WeightsError("it became shorter while it was read; try again")
            return numbers.reshape(shape, order=order)
        return Stored(shape, dtype, read)


class Stored:
    """An array that is still in its file: `shape` and `dtype` are known, `read()` fetches the numbers each time anew."""

    def __init__(self, shape, dtype, read):
        self.shape, self.dtype, self.read = checked_shape(shape), np.dtype(dtype), read

    def transpose(self, *axes):
        """Return the array with its axes in another order, as ndarray.transpose does; still nothing is read."""
        return Stored([self.shape[a] for a in axes], self.dtype, lambda: self.read().transpose(axes))

    def reshape(self, *shape):
        """Return the array in another shape of as many numbers; still nothing is read."""
        if math.prod(shape) != math.prod(self.shape):
            raise WeightsError(f"an array of shape {self.shape} was expected to have the shape {shape}")
        return Stored(shape, self.dtype, lambda: self.read().reshape(shape))

    def __repr__(self):
        return f"Stored{self.shape}"


def held(array):
    """Return the Stored of an array that is in memory already."""
    return Stored(array.shape, array.dtype, lambda: array)


def bfloat16(stored):
    """Return float32 for a Stored of uint16: a bfloat16 is the upper half of a float32."""
    return Stored(stored.shape, np.float32, lambda: (stored.read().astype(np.uint32) << 16).view(np.float32))


def checked_shape(shape):
    """Return the shape as a tuple of ints; WeightsError for one that no array of weights has."""
    shape = tuple(shape) if isinstance(shape, (list, tuple, np.ndarray)) else (shape,)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in shape)
    if not whole or len(shape) > MAX_DIMENSIONS or math.prod(max(1, int(n)) for n in shape) > MAX_NUMBERS:
        raise WeightsError(f"an array of shape {reprlib.repr(shape)}; expected up to {MAX_DIMENSIONS} sizes and "
                           f"at most {MAX_NUMBERS} numbers")
    return tuple(int(n) for n in shape)


@contextmanager
def opened(path, budget=64_000_000):
    """Open the file at `path` as a Source; the errors of the system become a WeightsError."""
    path = os.fspath(path)
    if os.path.exists(path) and not os.path.isfile(path):       # a pipe would keep us waiting
        raise WeightsError(f"{path!r} is no file; give the path of a weights file")
    try:
        file = open(path, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path!r} cannot be opened ({reason}); give the path of a weights file") from None
    with file:
        yield Source(file, os.path.basename(path), budget)
