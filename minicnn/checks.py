"""What a setting must be: a number, a whole number, a name, a random state; with one clear sentence where it is not so."""
import math
import reprlib
from numbers import Integral, Real

import numpy as np

from .errors import SettingError, unknown_name


def one_of(kind, name, known):
    """Return a name, a str, if it is one of those known."""
    if not isinstance(name, str) or name not in known:
        raise unknown_name(kind, name, known)
    return name


def generator(name, rng):
    """Return the numpy Generator of a seed, or the one given."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise SettingError(f"{name}: the random state is {rng!r}, expected a whole number from 0, or a Generator") from None


def whole_number(name, what, value, at_least, at_most=None):
    """Return `value` as an int of at least so much, and at most so much."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        bound = "" if at_most is None else f" and at most {at_most}"
        raise SettingError(f"{name}: {what} is {value!r}, expected a whole number, at least {at_least}{bound}")
    return int(value)


def number(name, what, value, above=None, at_least=None, at_most=None):
    """Return `value` as a finite float within the bounds that are given."""
    fits = isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    if not fits or (above is not None and value <= above) or (at_least is not None and value < at_least) or \
            (at_most is not None and value > at_most):
        bounds = [f"{word} {bound}" for word, bound in (("above", above), ("at least", at_least), ("at most", at_most))
                  if bound is not None]
        raise SettingError(f"{name}: {what} is {value!r}, expected a number, {' and '.join(bounds) or 'finite'}")
    return float(value)


def started(name, start, kind):
    """Return `start`, None or the state of an earlier run, of the dataclass `kind`."""
    if start is not None and not isinstance(start, kind):
        raise SettingError(f"{name}: start is {reprlib.repr(start)}, expected a {kind.__name__}, the state of an earlier run")
    return start


def two_numbers(name, what, pair, above):
    """Return `pair`, two finite numbers above a bound, as floats."""
    if np.shape(pair) != (2,):
        raise SettingError(f"{name}: {what} is {pair!r}, expected two numbers, at the start and at the end")
    return tuple(number(name, f"each of the two of {what}", value, above=above) for value in pair)


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:           # a whole number that no float can hold
        return False
