"""What every function of this package asks of its arguments, with one clear sentence where it is not so."""
from numbers import Integral, Real

import numpy as np

from ..errors import SettingError, ShapeError

LARGEST = 1e100         # of a coordinate


def as_points(name, X, columns=None):
    """Return X as a C-contiguous float array (N, D) of finite numbers; float32 stays, all else becomes float64."""
    try:
        points = np.asarray(X)
        if points.dtype.kind == "c" or np.ma.is_masked(X):
            raise TypeError
        points = np.ascontiguousarray(points, None if points.dtype == np.float32 else np.float64)
    except (TypeError, ValueError):
        raise ShapeError(f"{name}: the points are no table of real numbers; expected an array (N, D), a row for each") from None
    if points.ndim != 2 or (columns is not None and points.shape[1] != columns):
        raise ShapeError(f"{name}: the points have shape {points.shape}, expected (N, {columns or 'D'}), a row for each point")
    if 0 in points.shape:
        raise ShapeError(f"{name}: an array of shape {points.shape} holds no points; expected at least one, and one column")
    bad = ~np.isfinite(points)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise SettingError(f"{name}: row {row}, column {column} is {points[row, column]}, one of {bad.sum()} such numbers; "
                           "replace them or leave the rows out")
    if float(max(points.max(), -points.min())) > LARGEST:
        raise SettingError(f"{name}: the points reach to {max(points.max(), -points.min()):.0e}, whose square is no number; "
                           "divide all by one number, which does not change the map")
    return points


def generator(name, rng):
    """Return the numpy Generator of a seed, or the one given."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise SettingError(f"{name}: the random state is {rng!r}, expected a whole number from 0, or a Generator") from None


def whole_number(name, what, value, at_least):
    """Return `value` as an int of at least so much."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise SettingError(f"{name}: {what} is {value!r}, expected a whole number, at least {at_least}")
    return int(value)


def number(name, what, value, above=None, at_least=None):
    """Return `value` as a finite float above or at least so much."""
    fits = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)
    if not fits or (above is not None and value <= above) or (at_least is not None and value < at_least):
        bound = f"above {above}" if above is not None else f"at least {at_least}" if at_least is not None else "finite"
        raise SettingError(f"{name}: {what} is {value!r}, expected a number, {bound}")
    return float(value)
