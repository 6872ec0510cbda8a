"""The repulsion of t-SNE on a grid, by Fourier transforms: for very many points. Slide "More on t-SNE" (beyond it).

All that is needed of the other points is the potential that they make together,

    phi(y) = sum_j w(y - y_j),   w(d) = 1 / (1 + ||d||^2):        repulsion_i = -grad phi(y_i) / 2,    Z = sum_i (phi(y_i) - 1)

since grad w = -2 w^2 d. The potential is smooth, so a grid whose points lie half a unit apart describes it:

    1. spread    each point gives its mass to the 6 x 6 grid points around it, as a quintic B-spline says;
    2. convolve  the masses on the grid with w, by the Fourier transform: N points or a billion, it takes as long;
    3. gather    phi and its gradient at each point, from the same 6 x 6 grid points with the same spline and its derivative.

Splines smooth; in the transform, w is divided by the square of what they take away (once for spreading, once for gathering), and
of the factor 120 that they have here so that all their numbers are whole.
The grid is doubled, so that the ends of the circle on which the transform lives do not touch.
Source: the idea is that of G. Linderman et al., "Fast interpolation-based t-SNE", Nature Methods 16, 2019 (polynomials of three
points in each unit box, four convolutions); splines and the gradient of a potential as in U. Essmann et al., "A smooth particle
mesh Ewald method", J. Chem. Phys. 103, 1995: one convolution instead of four.
"""
import numba
import numpy as np
import scipy.fft

from ..jit import jit
from .checks import as_points
from .quadtree import square_around
from .sums import ordered_sum

ORDER = 6               # grid points that a spline reaches along each axis
SPACING = 0.5           # of the grid; w changes over a distance of 1
SMALLEST, LARGEST = 32, 4096    # grid points along an axis; for a small map the grid is finer, for a huge one coarser
PARTS = 4               # of the points, each with masses of its own: fixed, so that sums do not depend on the threads


class GridRepulsion:
    """repulsion, Z = GridRepulsion()(Y): of the points Y (N, 2), through a grid; the transform of w is kept for the next call."""

    def __init__(self, spacing=SPACING):
        self.spacing, self._transforms = spacing, {}

    def __call__(self, Y, out=None):
        Y = as_points("GridRepulsion", Y, 2)
        repulsion, phi = np.empty(Y.shape, Y.dtype) if out is None else out, np.empty(len(Y), Y.dtype)
        *low, extent = square_around(Y)
        low, extent = np.array(low), float(extent)
        size, spacing = grid_of(extent, self.spacing)
        # In a tiny map w is nearly 1 everywhere: what all pairs have is taken off and added again, for the sake of digits.
        farthest = 2 * extent ** 2 if spacing < self.spacing else np.inf
        transform = self._transform(size, spacing, farthest, Y.dtype)
        masses = np.zeros((PARTS, size, size), Y.dtype)
        per_unit = Y.dtype.type(1 / spacing)
        spread_cpu(Y, low, per_unit, masses)
        gather_cpu(Y, low, per_unit, convolve(masses.sum(axis=0), transform), phi, repulsion)
        return repulsion, ordered_sum(phi) + len(Y) ** 2 / (1 + farthest) - len(Y)

    def _transform(self, size, spacing, farthest, dtype):
        if spacing != self.spacing:
            return transform_of_w(size, spacing, farthest).astype(dtype)
        if (size, dtype) not in self._transforms:
            self._transforms[size, dtype] = transform_of_w(size, spacing).astype(dtype)
        return self._transforms[size, dtype]


def grid_of(extent, spacing=SPACING):
    """Return (grid points along an axis, spacing) for a map of that extent: sizes of which the Fourier transform is fast."""
    size = scipy.fft.next_fast_len(max(1, int(min(extent / spacing, LARGEST) + ORDER) // 8 + 1), real=True) * 8
    if SMALLEST <= size <= LARGEST:
        return size, spacing
    size = min(max(size, SMALLEST), LARGEST)
    return size, max(extent / (size - ORDER - 1), 1e-30)


def transform_of_w(size, spacing, farthest=np.inf):
    """Return the Fourier transform of w on the doubled grid (2 size, size + 1), over the splines' squared.

    Off w is taken what it is at the squared distance `farthest`: 1 / (1 + d) - 1 / (1 + f) = (1 - d / f) / ((1 + d) (1 / f + 1)),
    in which nothing cancels out, however small the map.
    """
    steps = np.minimum(np.arange(2 * size), 2 * size - np.arange(2 * size)) * spacing
    square = steps[:, None] ** 2 + steps ** 2
    w = (1 - square / farthest) / ((1 + square) * (1 + 1 / farthest))
    at_points = np.array(getattr(spline, "py_func", spline)(0.0))   # at the grid points; its transform is a sum of cosines
    angle = np.pi * np.arange(2 * size) / size
    smoothing = at_points @ np.cos((np.arange(ORDER) - (ORDER // 2 - 1))[:, None] * angle)
    return scipy.fft.rfft2(w).real / (smoothing[:, None] * smoothing[:size + 1]) ** 2


def convolve(masses, transform):
    """Return the masses (size, size) convolved with what has that transform; rows empty or not asked for are left out."""
    size, workers = len(masses), numba.get_num_threads()
    rows = scipy.fft.rfft(masses, 2 * size, axis=1, workers=workers)
    both = scipy.fft.fft(rows, 2 * size, axis=0, workers=workers)
    both *= transform
    rows = scipy.fft.ifft(both, axis=0, workers=workers, overwrite_x=True)[:size]
    return scipy.fft.irfft(rows, 2 * size, axis=1, workers=workers)[:, :size]


# --- kernels ----------------------------------------------------------------------------------------------------------
# Numbers as float32: with a float32 they give float32, with a float64 float64, while 2 would turn float32 into float64.
F = np.float32


@numba.njit
def spline(t):
    """Return 120 times the quintic B-spline at the 6 grid points around a place; t, 0 <= t < 1: how far behind the third."""
    a, b, c = F(1) - t, t * t, t * t * t
    d, e = b * b, b * c
    return (a * a * a * a * a,
            F(26) - F(50) * t + F(20) * b + F(20) * c - F(20) * d + F(5) * e,
            F(66) - F(60) * b + F(30) * d - F(10) * e,
            F(26) + F(50) * t + F(20) * b - F(20) * c - F(20) * d + F(10) * e,
            F(1) + F(5) * t + F(10) * b + F(10) * c + F(5) * d - F(5) * e,
            e)


@numba.njit
def spline_slope(t):
    """Return the derivative of `spline` by t."""
    a, b, c = F(1) - t, t * t, t * t * t
    d = b * b
    return (F(-5) * a * a * a * a,
            F(-50) + F(40) * t + F(60) * b - F(80) * c + F(25) * d,
            F(-120) * t + F(120) * c - F(50) * d,
            F(50) + F(40) * t - F(60) * b - F(80) * c + F(50) * d,
            F(5) + F(20) * t + F(30) * b + F(20) * c - F(25) * d,
            F(5) * d)


@numba.njit
def _place(coordinate, low, per_unit):
    """Return the first of the 6 grid points around a coordinate, and how far behind the third it lies (2 are before `low`)."""
    place = (coordinate - low) * per_unit
    first = int(place)
    return np.uint32(first), place - F(first)        # unsigned: nothing to check for negative indices


@numba.njit
def _add(row, at, weights, factor):
    row[at] += factor * weights[0]              # written out: a loop over a tuple would be slower
    row[at + 1] += factor * weights[1]
    row[at + 2] += factor * weights[2]
    row[at + 3] += factor * weights[3]
    row[at + 4] += factor * weights[4]
    row[at + 5] += factor * weights[5]


@numba.njit
def _along(row, at, weights):
    return (weights[0] * row[at] + weights[1] * row[at + 1] + weights[2] * row[at + 2]
            + weights[3] * row[at + 3] + weights[4] * row[at + 4] + weights[5] * row[at + 5])


def _spread_cpu(Y, low, per_unit, masses):
    """Parallel over four parts of the points, each with masses (4, size, size) of its own."""
    N = len(Y)
    for part in numba.prange(PARTS):
        for i in range(part * N // PARTS, (part + 1) * N // PARTS):
            column, x = _place(Y[i, 0], low[0], per_unit)
            row, y = _place(Y[i, 1], low[1], per_unit)
            along, across = spline(x), spline(y)
            for k in range(ORDER):
                _add(masses[part, row + k], column, along, across[k])


def _gather_cpu(Y, low, per_unit, potential, phi, repulsion):
    """Parallel over points: phi and -grad phi / 2 at each."""
    for i in numba.prange(len(Y)):
        column, x = _place(Y[i, 0], low[0], per_unit)
        row, y = _place(Y[i, 1], low[1], per_unit)
        along, across, slope_along, slope_across = spline(x), spline(y), spline_slope(x), spline_slope(y)
        value = slope_x = slope_y = Y.dtype.type(0)
        for k in range(ORDER):
            here = _along(potential[row + k], column, along)
            value += across[k] * here
            slope_y += slope_across[k] * here
            slope_x += across[k] * _along(potential[row + k], column, slope_along)
        phi[i] = value
        repulsion[i, 0], repulsion[i, 1] = F(-0.5) * per_unit * slope_x, F(-0.5) * per_unit * slope_y


spread_cpu, gather_cpu = jit(_spread_cpu), jit(_gather_cpu)
