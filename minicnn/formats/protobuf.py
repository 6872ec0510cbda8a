"""Protocol Buffers, the format below Caffe's and ONNX's files: its wire format, read without knowing any message.

A message is a row of fields, in any order and with nothing around it. A field is

    tag, a varint        8 * number of the field + kind
    kind 0               a varint: an integer, an enum, a bool
    kind 1               8 bytes: a double
    kind 2               a varint n and n bytes: a text, a message, or many numbers in a row ("packed")
    kind 3, 4            begin and end of a group, given up before both formats were made: refused
    kind 5               4 bytes: a float

Numbers are little-endian. A varint has 7 bits in each byte, the lowest first, and a top bit that says "one more":
300 = 0b10_0101100 is the bytes 0xac 0x02; a negative n is written as 2**64 + n, in ten bytes. A field may come several
times: the last one counts, or, if the message calls it repeated, each is one element.

Only the message's description says which number means what, and whether bytes are a text or a message. So `fields` skips
what nobody asks for by its length, and a file of 575 MB whose numbers stand in a few long fields is walked at once.
"""
import math

import numpy as np

from ..errors import WeightsError
from .source import Stored, checked_shape

MAX_FIELDS, MAX_TEXT, MAX_TEXTS = 100_000, 1000, 4_000_000      # fields and bytes of texts in a whole file
ANY_END = 2**62             # as the end of a Part: tells what a file is even if it is cut short
_CHUNK = 1 << 18


class Part:
    """The bytes `start` to `end` of a file: a message, a text or numbers, as who asks for it knows."""

    __slots__ = ("source", "start", "end", "whole", "fields_read", "text_read")

    def __init__(self, source, start=0, end=None, whole=None):
        self.source, self.start, self.end = source, start, source.size if end is None else end
        self.whole = whole or self          # the file counts what its parts read
        if whole is None:
            self.fields_read = self.text_read = 0

    @property
    def size(self):
        return self.end - self.start

    def read(self):
        """Return the bytes."""
        return self.source.read(self.start, self.size)

    def text(self):
        """Return the bytes as a text."""
        self.whole.text_read += self.size
        if self.size > MAX_TEXT or self.whole.text_read > MAX_TEXTS:
            raise WeightsError(f"a name of {self.size} bytes at byte {self.start}; expected at most {MAX_TEXT}, "
                               f"and {MAX_TEXTS} for all names")
        return str(self.read(), "utf-8")

    def fields(self):
        """Yield (number, value) for each field of this message: value is an int of kind 0, else a Part."""
        at = self.start
        while at < self.end:
            self.whole.fields_read += 1
            if self.whole.fields_read > MAX_FIELDS:
                raise WeightsError(f"it has more than {MAX_FIELDS} fields, far more than a network needs")
            head = self.source.read(at, min(20, self.end - at))         # two varints at most
            tag, used = varint(head, 0, at)
            number, kind = tag >> 3, tag & 7
            if not 1 <= number < 2**29:
                raise WeightsError(f"field number {number} at byte {at}, expected 1 to {2**29 - 1}; it is damaged")
            if kind == 0:
                value, used = varint(head, used, at)
                at += used
                yield number, value
                continue
            size, used = self._length(kind, head, used, at)
            if size > self.end - at - used:
                raise WeightsError(f"field {number} at byte {at} is said to be {size} bytes long, but {self.end - at - used} "
                                   "are left; the file is cut short or damaged, get it again")
            yield number, Part(self.source, at + used, at + used + size, self.whole)
            at += used + size

    @staticmethod
    def _length(kind, head, used, at):
        """Return (bytes of the field's contents, bytes before them)."""
        if kind == 2:
            return varint(head, used, at)
        if kind in (1, 5):
            return (8 if kind == 1 else 4), used
        if kind in (3, 4):
            raise WeightsError(f"a group at byte {at}, which no weights file has; it is damaged or of another format")
        raise WeightsError(f"a field of kind {kind} at byte {at}, expected 0, 1, 2 or 5; it is damaged or of another format")


def varint(data, at, where):
    """Return (the varint at data[at:], the place behind it); `where` is the field's place in the file, for messages."""
    value = 0
    for i, byte in enumerate(data[at:at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if value >= 2**64:
                break
            return value, at + i + 1
    if len(data) - at < 10:
        raise WeightsError(f"a number in the field at byte {where} is cut short; the file is damaged, get it again")
    raise WeightsError(f"a number in the field at byte {where} has more than 64 bits; the file is damaged")


def signed(value):
    """Return the int64 that a varint stands for."""
    return value - 2**64 if value >= 2**63 else value


# --- the fields that a reader asks for ------------------------------------------------------------------------------
def collect(part, numbers):
    """Return {name: [values]} of a message for `numbers`, {name: field number}; other fields are skipped."""
    names, found = {number: name for name, number in numbers.items()}, {name: [] for name in numbers}
    for number, value in part.fields():
        if number in names:
            found[names[number]].append(value)
    return found


def parts(values):
    """Return the values of a field after checking that each is a Part."""
    for value in values:
        if not isinstance(value, Part):
            raise WeightsError(f"a field holds the number {value}, expected a message, a text or a row of numbers")
    return values


def texts(values):
    """Return the values of a repeated text."""
    return [part.text() for part in parts(values)]


def text(values):
    """Return the value of a text, "" if there is none."""
    return "".join(texts(values[-1:]))


def integer(values, default=0):
    """Return the value of an integer."""
    if values and isinstance(values[-1], Part):
        raise WeightsError(f"a field at byte {values[-1].start} holds bytes, expected a number")
    return signed(values[-1]) if values else default


def integers(values, limit):
    """Return the values of a repeated integer, packed or one to a field; WeightsError for more than `limit`."""
    found = []
    for value in values:
        if isinstance(value, Part):
            if value.size > 10 * limit:
                raise WeightsError(f"a row of numbers takes {value.size} bytes, expected at most {limit} numbers")
            data, at = value.read(), 0
            while at < len(data):
                number, at = varint(data, at, value.start)
                found.append(signed(number))
        else:
            found.append(signed(value))
        if len(found) > limit:
            raise WeightsError(f"more than {limit} numbers where a shape or a list of axes should stand")
    return found


def array(values, shape, dtype):
    """Return the Stored of a repeated float or double, in one packed field, in several, or one number to a field."""
    shape, dtype, values = checked_shape(shape), np.dtype(dtype), parts(values)
    size = sum(part.size for part in values)
    if size != math.prod(shape) * dtype.itemsize or any(part.size % dtype.itemsize for part in values):
        raise WeightsError(f"an array of shape {shape} and {dtype} needs {math.prod(shape) * dtype.itemsize} bytes, "
                           f"given are {size}; the file is damaged")
    if len(values) == 1:
        return values[0].source.array(values[0].start, shape, dtype)

    def read():
        numbers, at = np.empty(shape, dtype), 0
        flat = numbers.reshape(-1).view(np.uint8)
        for part in values:
            flat[at:at + part.size] = np.frombuffer(part.read(), np.uint8)
            at += part.size
        return numbers
    return Stored(shape, dtype, read)


def array_of_varints(values, shape):
    """Return the Stored, of uint16, of packed varints from 0 to 65535: three bytes each at most."""
    shape, values = checked_shape(shape), parts(values)
    count = math.prod(shape)
    if len(values) != 1 or not count <= values[0].size <= 3 * count:
        raise WeightsError(f"an array of shape {shape} in {sum(p.size for p in values)} bytes of {len(values)} fields; expected "
                           "one field of 1 to 3 bytes for each number")

    def read():
        part, numbers, filled, at = values[0], np.empty(count, np.uint16), 0, values[0].start
        while at < part.end:
            data = np.frombuffer(part.source.read(at, min(_CHUNK, part.end - at)), np.uint8)
            last = np.flatnonzero(data < 128)                       # the last byte of each varint
            first = np.append(0, last[:-1] + 1) if len(last) else last
            if not len(last) or (last - first).max() > 2 or filled + len(last) > count:
                break
            padded = np.append(data[:last[-1] + 1], np.zeros(2, np.uint8)).astype(np.uint32)
            number = sum(np.where(first + i <= last, padded[first + i] & 127, 0) << 7 * i for i in range(3))
            if number.max() > 65535:
                break
            numbers[filled:filled + len(last)] = number
            filled, at = filled + len(last), at + int(last[-1]) + 1
        if at < part.end or filled < count:
            raise WeightsError(f"the numbers at byte {part.start} are not {count} of 0 to 65535; the file is damaged")
        return numbers.reshape(shape)
    return Stored(shape, np.uint16, read)
