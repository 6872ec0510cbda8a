"""Reading pickles without trusting them: a machine that can build dicts, lists, tuples, texts and numbers, and nothing else.

A pickle is a program for a small stack machine, and an ordinary unpickler runs whatever function the program names:
loading a file from a stranger is running a stranger's code. This machine differs in these places:

- it knows only the instructions that plain data needs; those that make instances of classes are not in its table;
- of all functions, only those in `names` exist, and each stands for one of ours;
- the instruction that hands an object its state works for our own stand-ins alone (they have a `set_state`);
- keys of dicts are short to hash, so that no file can make a dict slow;
- the program may have MAX_PROGRAM bytes and make MAX_THINGS, and whatever one instruction makes is small: a pickle can name a
  thing again and again for two bytes. Long strings, which are the numbers of arrays, do not count: they are not read, a
  `Span` notes where in the file they stand.
"""
import pickle
import reprlib
import struct
from dataclasses import dataclass

import numpy as np

from ..errors import WeightsError

MAX_PROGRAM = 200_000       # an object in memory takes up to 100 times the instruction that makes it
LONG = 1024                 # bytes from which on a string stays in the file
MAX_DEPTH, MAX_THINGS = 50, 15_000

_INSTRUCTIONS = """
    PROTO STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE SHORT_BINBYTES
    EMPTY_DICT EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    GLOBAL STACK_GLOBAL REDUCE
""".split()


@dataclass(frozen=True)
class Span:
    """A long string that is still in the file; `utf8`: it is text of characters below 256, one for each byte."""
    offset: int
    size: int
    utf8: bool = False


_PLAIN = (str, bytes, bool, int, float, complex, type(None), np.number, np.bool_, Span)


class _Program:
    """The bytes of a pickle as the machine reads them, one instruction after the other."""

    def __init__(self, source, offset, used, most):
        self.source, self.offset, self.used, self.most = source, offset, used, most

    def _count(self, size):
        self.used += size
        if self.used > self.most:
            raise WeightsError(f"its pickle has more than {self.most} bytes of instructions, which no such file needs; "
                               "save it with protocol 2 or later")

    def read(self, size):
        self._count(size)
        self.offset += size
        return self.source.read(self.offset - size, size)

    def readline(self):
        parts = []
        while not parts or not parts[-1].endswith(b"\n"):
            part = self.source.read(self.offset, max(1, min(256, self.source.size - self.offset)))
            part = part[:part.find(b"\n") + 1] or part
            self._count(len(part))
            self.offset += len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size):
        """Pass over a long string; return where it stands."""
        if size > self.source.size - self.offset:
            raise WeightsError(f"a string of {size} bytes begins at byte {self.offset}, but the file ends at "
                               f"{self.source.size}; it is cut short or damaged")
        self.offset += size
        return self.offset - size


class Machine(pickle._Unpickler):
    """Python's own unpickler in its version written in Python, whose table of instructions can be cut down.

    `names` maps "module.name" to what stands for it here; `persistent(key)` returns what the program calls an object kept
    outside it (torch's storages); `most` is how many bytes of instructions the program may have. After `load()`, `end` is where
    in the file the pickle ended, and `used` how many bytes of instructions it had, for the next machine on the same file.
    """

    def __init__(self, source, offset, names, persistent=None, used=0, most=MAX_PROGRAM):
        self.program = _Program(source, offset, used, most)
        self.names, self.persistent = names, persistent
        super().__init__(self.program, encoding="latin1")

    @property
    def end(self):
        return self.program.offset

    @property
    def used(self):
        return self.program.used

    def load(self):
        try:
            return super().load()
        except pickle.UnpicklingError as error:
            raise WeightsError(f"its pickle is damaged ({str(error)[:200]}); get the file again") from None

    def find_class(self, module, name):
        if f"{module}.{name}" not in self.names:
            raise WeightsError(f"it asks for {reprlib.repr(f'{module}.{name}')}, which no file of plain arrays needs; do "
                               "not trust it, or have the weights saved alone (of a model of your own: its state_dict())")
        return self.names[f"{module}.{name}"]

    def persistent_load(self, key):
        if self.persistent is None:
            raise WeightsError("it asks for an object outside the pickle, which no pickle of plain arrays needs; "
                               "do not trust it")
        return self.persistent(key)

    def load_build(self):
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, type) or not hasattr(made, "set_state"):
            raise WeightsError(f"it sets the state of a {type(made).__name__}; only arrays and dtypes have one")
        made.set_state(state)

    # --- strings: short ones are read, long ones stay where they are ---
    def _string(self, layout, text):
        size, = struct.unpack(layout, self.read(struct.calcsize(layout)))
        if size < 0:
            raise WeightsError(f"a string of {size} bytes; it is damaged")
        if size >= LONG:
            self.append(Span(self.program.skip(size), size, text == "utf-8"))
        else:
            data = self.read(size)
            self.append(data if text is None else data.decode(text, "surrogatepass" if text == "utf-8" else "strict"))

    def load_binstring(self):
        self._string("<i", "latin1")         # Python 2 had one type for text and bytes

    def load_binunicode(self):
        self._string("<I", "utf-8")

    def load_binunicode8(self):
        self._string("<Q", "utf-8")

    def load_binbytes(self):
        self._string("<I", None)

    def load_binbytes8(self):
        self._string("<Q", None)

    def load_frame(self):
        self.read(8)                         # how much to read ahead: no need to

    # --- dicts ---
    def _set_items(self, made, items):
        if not isinstance(made, dict):
            raise WeightsError(f"it sets items of a {type(made).__name__}; expected a dict")
        for key, value in zip(items[::2], items[1::2]):
            made[checked_key(key)] = value

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        self._set_items(self.stack[-1], items)

    def load_dict(self):
        items = self.pop_mark()
        made = {}
        self._set_items(made, items)
        self.append(made)

    def load_other(self):
        raise WeightsError("it holds instructions that no pickle of plain arrays needs; do not trust it")

    dispatch = dict.fromkeys(range(256), load_other)
    dispatch |= {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, n)[0] for n in _INSTRUCTIONS)}
    dispatch |= {pickle.BUILD[0]: load_build, pickle.FRAME[0]: load_frame, pickle.BINPERSID[0]: pickle._Unpickler.load_binpersid,
                 pickle.BINSTRING[0]: load_binstring, pickle.BINUNICODE[0]: load_binunicode,
                 pickle.BINUNICODE8[0]: load_binunicode8, pickle.BINBYTES[0]: load_binbytes,
                 pickle.BINBYTES8[0]: load_binbytes8, pickle.BYTEARRAY8[0]: load_binbytes8,
                 pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.DICT[0]: load_dict}


def shown(value):
    """Return a few characters on a thing that a pickle made, for a message; what holds others could hold them without end."""
    short = isinstance(value, _PLAIN) or isinstance(value, tuple) and all(isinstance(part, _PLAIN) for part in value)
    return reprlib.repr(value)[:100] if short else f"<{type(value).__name__}>"


def checked_key(key):
    """Return a dict's key: text, bytes or a small number, for which nobody can prepare a slow dict."""
    if not isinstance(key, (str, bytes)) and not (type(key) is int and abs(key) < 2**31):
        raise WeightsError(f"a dict with the key {shown(key)}; expected text or a small number")
    return key


def plain(value, source):
    """Return what a machine made as plain data, with a Stored for every array; each thing once, however often it is named.

    A stand-in is asked to `finish(source, walk)`: it returns its Stored, or what `walk` makes of something inside it.
    """
    made = {}

    def walk(item, depth):
        if id(item) in made:
            return made[id(item)][1]
        if depth > MAX_DEPTH or len(made) > MAX_THINGS:
            raise WeightsError(f"it is nested more than {MAX_DEPTH} levels deep or has more than {MAX_THINGS} parts; "
                               "no weights need that")
        made[id(item)] = item, _finished(item, source, lambda inner: walk(inner, depth + 1))
        return made[id(item)][1]        # the item is kept as well: as long as it lives its id is its own
    return walk(value, 0)


def _finished(item, source, walk):
    if hasattr(item, "finish") and not isinstance(item, type):
        return item.finish(source, walk)
    if isinstance(item, dict):
        return {key: walk(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)([walk(value) for value in item])
    if not isinstance(item, _PLAIN):
        raise WeightsError(f"it holds a {type(item).__name__}; expected dicts, lists, numbers and arrays")
    return item
