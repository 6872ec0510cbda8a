"""What the functions of this package ask of points and maps, with one clear sentence where it is not so."""
import numpy as np

from ..checks import number
from ..errors import DtypeError, SettingError, ShapeError

LARGEST = 1e100         # of a coordinate
WIDEST = 1e15           # of where a map starts


def as_points(name, X, columns=None):
    """Return X as a C-contiguous float array (N, D) of finite numbers; float32 stays, all else becomes float64."""
    try:
        points = np.asarray(X)
        if points.dtype.kind == "c" or np.ma.is_masked(X):
            raise TypeError
        points = np.ascontiguousarray(points, None if points.dtype == np.float32 else np.float64)
    except (TypeError, ValueError):
        raise ShapeError(f"{name}: the points are no table of real numbers without gaps; expected an array (N, D)") from None
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


def real_numbers(name, what, array):
    """Return an array of finite real numbers, or raise."""
    try:
        array = np.asarray(array)
    except ValueError:
        raise ShapeError(f"{name}: {what} has rows of different lengths, expected an array") from None
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: {what} has type {array.dtype}, expected real numbers")
    if not np.isfinite(array).all():
        raise SettingError(f"{name}: {what} holds NaN or infinite values, expected finite numbers; look where they come from")
    return array


def as_start(name, start):
    """Return where the points of a map start, as `as_points`: at least two, not all in one place, and not too far apart."""
    start = as_points(name, start)
    if len(start) < 2:
        raise ShapeError(f"{name}: the start has shape {start.shape}; one point has no neighbours, expected at least two")
    if np.abs(start).max() > WIDEST:
        raise SettingError(f"{name}: the start reaches to {np.abs(start).max():.0e}, from where nothing comes together; "
                           "divide it by one number, to 0.0001 or so")
    if not np.ptp(start, axis=0).any():
        raise SettingError(f"{name}: all points start at the same place and would never part; start them apart, at random")
    return start


def rate(name, value):
    """Return a learning rate: "auto", or a float above 0."""
    if isinstance(value, str) and value == "auto":
        return value
    return number(name, "learning_rate (or \"auto\")", value, above=0)


def momenta(name, pair):
    """Return the two momenta of a descent, at first and later, as floats."""
    try:
        first, later = pair
    except (TypeError, ValueError):
        raise SettingError(f"{name}: momentum is {pair!r}, expected two numbers, at first and later: (0.5, 0.8)") from None
    return tuple(number(name, "each of the two of momentum", value, at_least=0) for value in (first, later))
