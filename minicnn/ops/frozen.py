"""What is computed from weights that cannot change is computed once.

A frozen network's arrays are read-only. Whatever an op derives from such an array (Winograd's U, packed filters) is kept for
as long as the array lives. From an array that somebody could still write to, nothing is ever kept.
"""
import weakref

import numpy as np

_kept = {}          # (id of the array, what) -> (weak reference to it, value)


def is_frozen(array):
    """Return whether nobody can write to the array: it is read-only, and so is the one whose memory it shows."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None        # other owners of memory make no promise


def freeze(array):
    """Make an array that nobody else writes to read-only, and return it; a copy if it is part of another's memory."""
    if not is_frozen(array):
        array = array if array.base is None else array.copy()
        array.flags.writeable = False
    return array


def settle(parameters, training):
    """Make weights {name: Tensor} writable for training, and read-only else; copies, so that nobody else can write to them."""
    for parameter in parameters.values():
        if training != parameter.data.flags.writeable:
            parameter.data = parameter.data.copy() if training else freeze(parameter.data.copy())


def once(array, what, make):
    """Return make(array), from an earlier call with the same `what` if the array is frozen."""
    if not is_frozen(array):
        return make(array)
    key = id(array), what
    kept = _kept.get(key)
    if kept is None or kept[0]() is not array:
        value = make(array)
        kept = _kept[key] = weakref.ref(array, lambda _: _kept.pop(key, None)), value
    return kept[1]
