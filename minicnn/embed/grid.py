"""A map laid out on a rectangular grid, so that thumbnails do not overlap: each point gets a cell of its own.

    minimise   sum_i c[i, a(i)]   over all a with a(i) != a(k) for i != k;      c[i, j] = |y_i - z_j|^2

y_i is a point of the map, each axis rescaled to [0, 1], z_j the centre of cell j; row 0 is the top, where y is largest, as in
a picture. The algorithm of Jonker and Volgenant finds the minimum in O(N^3), slicing comes near it in O(N log^2 N). What
proves an assignment to be the best are its dual potentials:

    u_i + v_j <= c[i, j]    with equality at j = a(i);      v_j <= 0 with equality at columns without a row, if there are any

for then no assignment costs less than sum u + sum v, and this one costs just that. Slide "t-SNE visualization:". The slicing
is the idea of the program RasterFairy. Source: R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense
and sparse linear assignment problems", Computing 38, 1987.
"""
from dataclasses import dataclass

import numba
import numpy as np

from ..checks import number, one_of, whole_number
from ..errors import SettingError, ShapeError
from ..jit import jit
from .checks import real_numbers

AUTO_ENTRIES = 2550 * 2550          # of the cost matrix; a larger problem takes the slicing method unless told otherwise
MAX_ENTRIES = 20_000 * 20_000       # 3.2 GB
MAX_CELLS = 20_000_000
MAX_COST = 1e300                    # above this a sum of costs along a path could overflow
WINDOW, ROUNDS = 8, 3               # of the improvement after slicing: more of both is nearer to the optimum and slower


@dataclass(frozen=True)
class Assignment:
    """The cheapest assignment of rows to columns, with the potentials that prove it."""
    columns: np.ndarray     # (n,) int64: the column of each row, all different
    u: np.ndarray           # (n,) potentials of the rows
    v: np.ndarray           # (m,) potentials of the columns
    cost: float             # sum of cost[i, columns[i]]


def linear_assignment(cost):
    """Give each row of `cost` (n, m), n <= m, a column of its own so that the sum of the costs is least: an Assignment.

    Raises ShapeError for another shape and SettingError for costs that are not finite or beyond 1e300.
    """
    cost = np.require(real_numbers("linear_assignment", "cost", cost), np.float64, "CW")     # read-only would compile anew
    if cost.ndim != 2 or not 1 <= cost.shape[0] <= cost.shape[1]:
        raise ShapeError(f"linear_assignment: cost has shape {cost.shape}, expected 1 <= n <= m; transpose it if n > m")
    if max(cost.max(), -cost.min()) > MAX_COST:
        raise SettingError(f"linear_assignment: cost goes beyond {MAX_COST} in size, expected less; divide all by one number")
    columns, u, v = linear_assignment_cpu(cost)
    return Assignment(columns, u, v, float(cost[np.arange(len(cost)), columns].sum()))


def _linear_assignment_cpu(cost):
    """The phases in the paper's order, one after the other. Parallel over rows for u only; each is written by one thread.

    On the way `columns` (n,) holds the column of each row and `rows` (m,) the row of each column, -1 for none yet.
    """
    n, m = cost.shape
    columns, rows, v, u = np.full(n, -1), np.full(m, -1), np.zeros(m), np.empty(n)
    if n == m:          # with columns to spare some end without a row, and their v has to stay the largest: all begin at 0
        matches = _column_reduction(cost, columns, rows, v)
        _reduction_transfer(cost, columns, v, matches)
    free = np.flatnonzero(columns < 0)
    for _ in range(2):
        free = _augmenting_row_reduction(cost, columns, rows, v, free)
    for row in free:
        _augment(cost, columns, rows, v, row)
    for i in numba.prange(n):           # u is not kept on the way: it is what the row pays where that is least, as at its column
        at, _, _ = _two_smallest(cost[i], v)
        u[i] = cost[i, at] - v[at]
    return columns, u, v


@numba.njit
def _column_reduction(cost, columns, rows, v):
    """Set v_j to the smallest cost of column j and give j to that row if it has no column; return how many chose each row."""
    n = len(cost)
    cheapest, matches = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):                  # row by row, as the matrix lies in memory
        for j in range(n):
            if i == 0 or cost[i, j] < v[j]:
                v[j], cheapest[j] = cost[i, j], i
    for j in range(n - 1, -1, -1):
        i = cheapest[j]
        matches[i] += 1
        if columns[i] < 0:
            columns[i], rows[j] = j, i
    return matches


@numba.njit
def _reduction_transfer(cost, columns, v, matches):
    """Lower the v of each row's column by what the row would pay elsewhere, where it now pays 0: others find it less cheap."""
    for i in range(len(columns)):
        if matches[i] == 1 and len(v) > 1:          # a row that two columns chose has another one for 0
            own, second = columns[i], np.inf
            for j in range(len(v)):
                if j != own:
                    second = min(second, cost[i, j] - v[j])
            v[own] -= second


@numba.njit
def _two_smallest(costs, v):
    """Return (column of the smallest, column of the second smallest, difference) of costs - v, first ones at ties."""
    smallest, second, at, second_at = np.inf, np.inf, 0, 0
    for j in range(len(v)):
        reduced = costs[j] - v[j]
        if reduced < smallest:
            smallest, second, at, second_at = reduced, smallest, j, at
        elif reduced < second:
            second, second_at = reduced, j
    return at, second_at, second - smallest


@numba.njit
def _augmenting_row_reduction(cost, columns, rows, v, free):
    """Let each free row take its cheapest column, whose v falls until the second cheapest costs the same; return who is free.

    A row that loses its column bids at once if the v fell, else in the next phase. In exact arithmetic that ends; rounded, v
    less a tiny difference may be v itself, and two rows take a column from each other for ever, or v falls a bit at a time.
    So only a v that is less as stored has fallen, and bids are limited (long bidding wars are slower than paths). To stop is
    right at any time: whoever is free, the last phase finds a column.
    """
    still_free, count, bids_left = np.empty_like(free), 0, 4 * len(v)
    for row in free:
        while row >= 0:
            at, second_at, difference = _two_smallest(cost[row], v)
            fell = v[at] - difference < v[at]
            if fell:
                v[at] -= difference
            elif difference == 0 and rows[at] >= 0:
                at = second_at                      # costs the same, and may be free
            loser, rows[at], columns[row] = rows[at], row, at
            row = -1
            if loser >= 0:
                columns[loser] = -1
                if fell and bids_left > 0:
                    row, bids_left = loser, bids_left - 1
                else:
                    still_free[count], count = loser, count + 1
    return still_free[:count]


@numba.njit
def _augment(cost, columns, rows, v, start):
    """Find the cheapest way from a free row to a free column (Dijkstra), move every row on it one column on, and update v.

    From a row the way leads to any column for c[i, j] - v[j] - u_i >= 0, and from a column that is taken to its row for nothing.
    A column whose distance is final is closed by a distance of inf and a v of -inf: the inner loop needs no test for it, and
    runs straight through memory, which is why it is fast.
    """
    distance, final, came_from, open_v = np.full(len(v), np.inf), np.full(len(v), np.inf), np.full(len(v), start), v.copy()
    row, offset = start, 0.0            # u of the row less the length of the way to it; the u of the start shifts all alike
    while True:
        _look_from(cost[row], open_v, offset, row, distance, came_from)
        length, end = _nearest(distance, rows)
        if rows[end] < 0:
            break
        final[end], distance[end], open_v[end], row = length, np.inf, -np.inf, rows[end]
        offset = cost[row, end] - v[end] - length
    for j in range(len(v)):
        v[j] -= max(length - final[j], 0.0)         # now every step of the way has the reduced cost 0
    row = -1
    while row != start:                             # back from the end: a row leaves its column to the one before it
        row = came_from[end]
        rows[end] = row
        columns[row], end = end, columns[row]


@numba.njit
def _look_from(costs, open_v, offset, row, distance, came_from):
    """Shorten the ways that are shorter through `row`; written without a branch, so that it becomes vector instructions."""
    for j in range(len(costs)):
        through = costs[j] - open_v[j] - offset
        shorter = through < distance[j]
        distance[j] = through if shorter else distance[j]
        came_from[j] = row if shorter else came_from[j]


@numba.njit(fastmath={"nnan", "nsz"})           # there is no NaN: a minimum in vector instructions takes that for granted
def _nearest(distance, rows):
    """Return (smallest distance, its column), a free column before others: it ends the search."""
    smallest, at = np.inf, 0
    for j in range(len(distance)):
        smallest = distance[j] if distance[j] < smallest else smallest
    for j in range(len(distance)):
        if distance[j] == smallest:
            at = j
            if rows[j] < 0:
                break
    return smallest, at


linear_assignment_cpu = jit(_linear_assignment_cpu)
_assign_within_kernel = numba.njit(_linear_assignment_cpu)


def grid_shape(count, aspect=1.0):
    """Return (rows, columns) of a grid for `count` points whose columns / rows comes nearest to `aspect`, width by height.

    No row or column is empty. At ties: the fewest cells, then the fewest rows.
    """
    count = whole_number("grid_shape", "count", count, 1)
    aspect = number("grid_shape", "aspect (width / height)", aspect, above=0)
    if count > MAX_CELLS:
        raise SettingError(f"grid_shape: count is {count:,}, expected up to {MAX_CELLS:,}")
    columns = -(-count // np.arange(1, count + 1))          # as many as that number of rows asks for, and the other way round
    rows = -(-count // columns)
    best = np.lexsort((rows, rows * columns, np.maximum(columns / rows / aspect, rows / columns * aspect)))[0]
    return int(rows[best]), int(columns[best])


def grid_cost(embedding, shape):
    """Return the squared distances (N, rows * columns) from the points of a map (N, 2) to the cells' centres.

    Each axis of the map is rescaled to [0, 1] (to 0.5 if it is constant); cell (r, c) is column r * columns + c, and its
    centre lies at x = (c + 0.5) / columns, y = 1 - (r + 0.5) / rows: row 0 is the top, where y is largest.
    Raises ShapeError for a map that is not (N, 2), SettingError for NaN or for a matrix of more than 3.2 GB.
    """
    shape, place = _checked_shape("grid_cost", shape), _in_picture("grid_cost", embedding)
    if len(place) * shape[0] * shape[1] > MAX_ENTRIES:
        raise SettingError(f"grid_cost: {len(place)} points and {shape[0]} x {shape[1]} cells make a matrix of more than 3.2 GB; "
                           "use assign_to_grid(..., method=\"slicing\"), which needs none")
    down, right = ((place[:, axis, None] - (np.arange(shape[axis]) + 0.5) / shape[axis]) ** 2 for axis in (0, 1))
    return (down[:, :, None] + right[:, None, :]).reshape(len(place), -1)


def assign_to_grid(embedding, shape=None, method="auto"):
    """Give each point of a map (N, 2) a cell of its own, near to its place: int64 (N, 2) of (row, column), row 0 the top.

    shape: (rows, columns), default grid_shape(N). method: "jonker_volgenant", the least sum of squared distances in O(N^3);
    "slicing", some percent above it in O(N log^2 N); "auto", the first up to about 2,500 points. Cells stay empty where the
    map is empty. Raises ShapeError for a map that is not (N, 2) or more points than cells, SettingError for NaN, an unknown
    method or a matrix too large for Jonker-Volgenant. Slide "t-SNE visualization:".
    """
    place = _in_picture("assign_to_grid", embedding)
    shape = grid_shape(len(place)) if shape is None else _checked_shape("assign_to_grid", shape)
    cells = shape[0] * shape[1]
    if len(place) > cells:
        raise ShapeError(f"assign_to_grid: {len(place)} points, but only {cells} cells in the shape {shape}; give a larger one")
    one_of("method", method, ("auto", "jonker_volgenant", "slicing"))
    if method == "slicing" or method == "auto" and len(place) * cells > AUTO_ENTRIES:
        return _improve(place, slice_into_cells(place, shape), shape)
    return np.stack(np.divmod(linear_assignment(grid_cost(embedding, shape)).columns, shape[1]), axis=1)


def slice_into_cells(place, shape):
    """Halve the grid again and again, and deal the points out to both halves in their order along that axis: int64 (N, 2).

    place: (N, 2) of (down, right) in [0, 1]. A box of cells is halved across its longer side. The line between the halves
    divides the points too, but those that a half has no cells for go to the other, nearest to the line first. One sort halves
    all boxes of a level, so there are about log2(cells) of them. Equal points keep their order.
    """
    point = np.arange(len(place))
    low, high = np.zeros((len(place), 2), np.int64), np.tile(shape, (len(place), 1))    # of each point's box of cells
    while np.any(high - low > 1):
        axis = np.argmax(np.where(high - low > 1, (high - low) / shape, 0), axis=1)
        order = np.lexsort((place[point, axis], low[:, 0] * shape[1] + low[:, 1]))
        point, low, high, axis = point[order], low[order], high[order], axis[order]
        middle, is_before = _halves(place[point, axis], low, high, axis, shape)
        high[is_before, axis[is_before]] = middle[is_before]
        low[~is_before, axis[~is_before]] = middle[~is_before]
    return low[np.argsort(point)]


def _halves(coordinate, low, high, axis, shape):
    """Return for each point, sorted by box and coordinate, where its box is halved and whether it goes to the half before."""
    box = low[:, 0] * shape[1] + low[:, 1]
    start = np.flatnonzero(np.append(True, box[1:] != box[:-1]))            # of each box, among the points
    count = np.diff(np.append(start, len(box)))
    along, across = axis[start], 1 - axis[start]
    first, end = low[start, along], high[start, along]
    middle, width = (first + end) // 2, high[start, across] - low[start, across]
    line = np.repeat(middle / np.asarray(shape)[along], count)
    before = np.add.reduceat(coordinate < line, start, dtype=np.int64)
    before = np.clip(before, count - (end - middle) * width, (middle - first) * width)
    return np.repeat(middle, count), np.arange(len(box)) < np.repeat(start + before, count)


def _improve(place, cells, shape):
    """Assign anew within windows, which overlap by half so that points can wander: slicing alone costs 10 to 50% too much."""
    grid, half = point_grid(cells, shape), WINDOW // 2
    for _ in range(ROUNDS):
        for top, left in ((0, 0), (-half, -half), (0, -half), (-half, 0)):
            grid = reassign_windows_cpu(place, grid, np.arange(top, shape[0], WINDOW), np.arange(left, shape[1], WINDOW), WINDOW)
    return np.argwhere(grid >= 0)[np.argsort(grid[grid >= 0])]


def _reassign_windows_cpu(place, grid, tops, lefts, size):
    """Assign the points of each window of size x size cells anew, at the least cost; return the new grid.

    Windows begin at tops x lefts, which are `size` apart; what lies beyond the border is cut off. Parallel over the windows:
    each owns its cells and the points in them, and reads and writes no others.
    """
    grid = grid.copy()
    for k in numba.prange(len(tops) * len(lefts)):
        r, c = tops[k // len(lefts)], lefts[k % len(lefts)]
        _reassign(place, grid, max(r, 0), max(c, 0), grid[max(r, 0):r + size, max(c, 0):c + size])
    return grid


@numba.njit
def _reassign(place, grid, top, left, window):
    """Assign the points of one window of `grid` anew, in place; its first cell is that at top, left."""
    points = window.copy().ravel()
    points = points[points >= 0]
    cost = np.empty((len(points), window.size))
    for j in range(window.size):
        down = (top + j // window.shape[1] + 0.5) / grid.shape[0]
        right = (left + j % window.shape[1] + 0.5) / grid.shape[1]
        for i in range(len(points)):
            cost[i, j] = (place[points[i], 0] - down) ** 2 + (place[points[i], 1] - right) ** 2
    columns = _assign_within_kernel(cost)[0]
    window[:] = -1
    for i in range(len(points)):
        window[columns[i] // window.shape[1], columns[i] % window.shape[1]] = points[i]


reassign_windows_cpu = jit(_reassign_windows_cpu)


def point_grid(cells, shape):
    """Return the grid (rows, columns) of point indices for cells (N, 2) of (row, column); -1 where a cell is empty."""
    shape, cells = _checked_shape("point_grid", shape), real_numbers("point_grid", "cells", cells)
    if cells.ndim != 2 or cells.shape[1] != 2 or cells.dtype.kind not in "iu":
        raise ShapeError(f"point_grid: cells are {cells.dtype} {cells.shape}, expected whole numbers (N, 2), row and column")
    grid = np.full(shape, -1)
    if len(cells) and (cells.min() < 0 or (cells.max(axis=0) >= shape).any() or len(np.unique(cells, axis=0)) < len(cells)):
        raise SettingError(f"point_grid: expected cells of a grid {shape}, all different; one lies outside or is there twice")
    grid[tuple(cells.T)] = np.arange(len(cells))
    return grid


def nearest_on_grid(embedding, shape):
    """Give each cell the point of a map (N, 2) nearest to its centre: int64 (rows, columns) of point indices.

    Points can repeat or be left out, and those at the rim fill the empty cells beside them: the map's corners look stretched.
    Of points in the same place the first is taken. Errors as in `grid_cost`. Slide "t-SNE visualization:".
    """
    from scipy.spatial import cKDTree
    shape = _checked_shape("nearest_on_grid", shape)
    places, first = np.unique(_in_picture("nearest_on_grid", embedding), axis=0, return_index=True)
    centres = (np.moveaxis(np.indices(shape), 0, -1) + 0.5) / shape
    return first[cKDTree(places).query(centres)[1]]


def seams(codes, grid):
    """Return how far neighbouring cells are apart in truth: |code_a - code_b| (rows, columns - 1) and (rows - 1, columns).

    codes: (N, D); grid: (rows, columns) of point indices, -1 for empty. The first result is for neighbours left and right of a
    seam, the second for those above and below; NaN beside an empty cell. Raises ShapeError, or SettingError for indices of no
    point. Slide "t-SNE visualization:".
    """
    codes, grid = real_numbers("seams", "codes", codes), real_numbers("seams", "grid", grid)
    if codes.ndim != 2 or grid.ndim != 2 or grid.size == 0:
        raise ShapeError(f"seams: codes {codes.shape} and grid {grid.shape}, expected (N, D) and (rows, columns)")
    if grid.dtype.kind not in "iu" or grid.min() < -1 or grid.max() >= len(codes):
        raise SettingError(f"seams: grid has numbers that are no points, expected whole numbers from -1 to {len(codes) - 1}")

    def apart(a, b):                                # line by line: the codes of a large grid twice would not fit in memory
        distance, full = np.full(len(a), np.nan), (a >= 0) & (b >= 0)
        distance[full] = np.linalg.norm(codes[a[full]].astype(np.float64) - codes[b[full]], axis=1)
        return distance

    beside = [apart(row[:-1], row[1:]) for row in grid]
    below = [apart(above, row) for above, row in zip(grid[:-1], grid[1:])]
    return np.array(beside), np.array(below).reshape(len(grid) - 1, grid.shape[1])


def _in_picture(name, embedding):
    """Return the map as (N, 2) float64 of (down, right), each rescaled to [0, 1] or to 0.5 if all are the same."""
    points = real_numbers(name, "embedding", embedding).astype(np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ShapeError(f"{name}: embedding has shape {points.shape}, expected (N, 2) with at least one point")
    place = np.stack([-points[:, 1], points[:, 0]], axis=1) / 2         # halved, so that no extent can overflow
    place -= place.min(axis=0)
    extent = place.max(axis=0)
    return np.where(extent > 0, place / np.where(extent > 0, extent, 1), 0.5)


def _checked_shape(name, shape):
    if not isinstance(shape, (tuple, list, np.ndarray)) or len(shape) != 2:
        raise SettingError(f"{name}: shape is {shape!r}, expected (rows, columns)")
    rows, columns = (whole_number(name, f"{what} of the shape", n, 1) for what, n in zip(("rows", "columns"), shape))
    if rows * columns > MAX_CELLS:
        raise SettingError(f"{name}: the shape {shape} has {rows * columns:,} cells; expected up to {MAX_CELLS:,}")
    return rows, columns
