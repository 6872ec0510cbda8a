"""What is computed from weights that cannot change is computed once.

A frozen network's arrays show memory of their own through a read-only window: the flag of an array could be taken back and a
change be missed, that of a window cannot (who digs the memory out from under the window does it on purpose). Whatever an op
derives from such an array (Winograd's U, packed filters) is kept for as long as the array lives. From an array that somebody
could write to, nothing is ever kept.
"""
import weakref

import numpy as np

from ..device import DeviceArray

_kept = {}          # (id of the array, what) -> (weak reference to it, value)


class _Memory(np.ndarray):
    """The memory of a frozen array, of which nobody else has a view."""


def is_frozen(array):
    """Return whether nobody can ever write to the array."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, memoryview) and isinstance(array.obj, _Memory)


def freeze(array):
    """Return the array as one that cannot change: a copy, unless it is such a one."""
    if is_frozen(array) or array.size == 0:
        return array
    memory = np.empty(array.nbytes + 64, np.uint8)
    memory = memory[-memory.ctypes.data % 64:][:array.nbytes]              # from the beginning of a cache line on
    memory.view(array.dtype).reshape(array.shape)[...] = array
    return np.frombuffer(memoryview(memory.view(_Memory)).toreadonly(), array.dtype).reshape(array.shape)


def settle(parameters, training):
    """Make weights {name: Tensor} writable for training, and freeze them else."""
    for parameter in parameters.values():
        if not training:
            parameter.data = freeze(parameter.data)
        elif not parameter.data.flags.writeable:
            parameter.data = parameter.data.copy()


def once(array, what, make):
    """Return make(array), from an earlier call with the same `what` if the array is frozen, as all of a GPU are."""
    if isinstance(array, DeviceArray):
        if what not in array.kept:
            array.kept[what] = make(array)
        return array.kept[what]
    if not is_frozen(array):
        return make(array)
    key = id(array), what
    kept = _kept.get(key)
    if kept is None or kept[0]() is not array:
        value = make(array)
        kept = _kept[key] = weakref.ref(array, lambda _: _kept.pop(key, None)), value
    return kept[1]
