"""Maps laid out on a grid: the assignment against SciPy and against all permutations, its proof, slicing, seams, errors."""
import itertools
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from minicnn.embed import grid
from minicnn.embed.grid import (assign_to_grid, grid_cost, grid_shape, linear_assignment, nearest_on_grid, point_grid, seams,
                                slice_into_cells)
from minicnn.errors import DtypeError, MinicnnError, SettingError, ShapeError, UnknownNameError


def clustered_map(count, clusters=8, seed=0):
    """Points in clumps of different size and density, as t-SNE leaves them."""
    rng = np.random.default_rng(seed)
    centres, spread = rng.uniform(-40, 40, (clusters, 2)), rng.uniform(2, 8, clusters)
    of = rng.choice(clusters, count, p=np.arange(1, clusters + 1) / sum(range(1, clusters + 1)))
    return centres[of] + spread[of, None] * rng.uniform(-1, 1, (count, 2))


def check_proof(cost, found, tolerance=1e-12):
    """A valid assignment with dual potentials that prove it to be the cheapest."""
    n, m = cost.shape
    scale = max(np.abs(cost).max(), 1e-300)
    assert found.columns.shape == found.u.shape == (n,) and found.v.shape == (m,) and found.columns.dtype == np.int64
    assert len(set(found.columns.tolist())) == n and found.columns.min() >= 0 and found.columns.max() < m
    slack = cost - found.u[:, None] - found.v
    assert slack.min() >= -tolerance * scale
    assert np.abs(slack[np.arange(n), found.columns]).max() <= tolerance * scale
    if n < m:
        assert found.v.max() <= 0 and np.all(found.v[np.setdiff1d(np.arange(m), found.columns)] == 0)
    assert found.cost == cost[np.arange(n), found.columns].sum()


def scipy_cost(cost):
    return cost[linear_sum_assignment(cost)].sum()


SHAPES = [(1, 1), (1, 2), (1, 9), (2, 2), (2, 3), (7, 7), (30, 30), (30, 31), (30, 90), (64, 64), (150, 150), (149, 151)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_assignment_costs_what_scipys_costs(shape):
    rng = np.random.default_rng(sum(shape))
    for top in (2, 3, 10, 1000):                        # small integers: many ties, and sums that are exact
        cost = rng.integers(-top, top, shape).astype(float)
        found = linear_assignment(cost)
        assert found.cost == scipy_cost(cost) == found.u.sum() + found.v.sum()
        check_proof(cost, found, 0)
    for cost in (rng.random(shape), rng.normal(size=shape) ** 3, rng.random((shape[0], 1)) * rng.random(shape[1])):
        found = linear_assignment(cost)
        assert found.cost == pytest.approx(scipy_cost(cost), rel=1e-12, abs=1e-14)
        assert found.u.sum() + found.v.sum() == pytest.approx(found.cost, rel=1e-9, abs=1e-12)
        check_proof(cost, found)


def test_assignment_of_maps_and_of_equal_points():
    for points, shape in ((clustered_map(240), (15, 16)), (clustered_map(200), (15, 16)),
                          (np.repeat(clustered_map(40), 5, 0), (10, 20)),
                          (np.zeros((30, 2)), (5, 6)), (np.random.default_rng(1).random((256, 2)), (16, 16))):
        cost = grid_cost(points, shape)
        found = linear_assignment(cost)
        assert found.cost == pytest.approx(scipy_cost(cost), rel=1e-12)
        check_proof(cost, found)


@pytest.mark.parametrize("n, m", [(1, 3), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (2, 5), (4, 6)])
def test_assignment_is_the_best_of_all_permutations(n, m):
    rng = np.random.default_rng(10 * n + m)
    for k in range(20):
        cost = rng.integers(0, 4, (n, m)).astype(float) if k % 2 else rng.integers(-50, 50, (n, m)) / 8
        best = min(cost[np.arange(n), list(p)].sum() for p in itertools.permutations(range(m), n))
        assert linear_assignment(cost).cost == best


def hard_matrices():
    rng = np.random.default_rng(5)
    n = 40
    yield "all equal", np.full((n, n), 0.1)
    yield "all zero", np.zeros((n, n))
    yield "product", np.outer(np.arange(1, n + 1), np.arange(1, n + 1)).astype(float)
    yield "differences lost in rounding", 1 + 1e-17 * rng.random((n, n))
    yield "differences of one bit", 1 + 2.0 ** -52 * rng.integers(0, 3, (n, n))
    yield "tiny beside 1", np.where(rng.random((n, n)) < 0.5, 1e-17, 1.0)
    yield "tiny offsets", 1e-17 * rng.random((n, n)) + rng.integers(0, 2, (n, n))
    yield "tiny only", 1e-300 * rng.random((n, n))
    yield "subnormal", 5e-324 * rng.integers(0, 5, (n, n))
    yield "huge", 1e300 * rng.uniform(-1, 1, (n, n))
    yield "huge ties", 1e300 * rng.integers(-1, 2, (n, n))
    yield "huge and small", np.where(rng.random((n, n)) < 0.3, 1e300, rng.random((n, n)))
    yield "a column dear to all but one bit", np.repeat(1e16 + 2 * rng.integers(0, 2, (1, n)), n, 0) + rng.integers(0, 2, (n, n))
    yield "three rows want two columns", np.tile([0.1 + 0.2, 0.3, *[5.0] * 8], (10, 1))
    yield "long bidding war", np.where(np.arange(n) < n - 1, 1e-9 * rng.random((n, n)), 1e3)


@pytest.mark.parametrize("name, cost", list(hard_matrices()), ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("spare", [0, 1, 5])
def test_assignment_ends_where_rounding_makes_ties(name, cost, spare):
    cost = np.ascontiguousarray(cost[:len(cost) - spare])
    start = time.perf_counter()
    found = linear_assignment(cost)
    assert time.perf_counter() - start < 15             # with the compilation, if this is the first
    check_proof(cost, found, 1e-13)
    scale = np.abs(cost).max()
    assert abs(found.cost - scipy_cost(cost)) <= 1e-13 * scale * len(cost)


def bidding(cost, v):
    """Return (columns, rows still free, number of bids) of a row reduction in plain Python."""
    bids = []

    def two_smallest(costs, v):
        bids.append(1)
        assert len(bids) < 5000
        return grid._two_smallest.py_func(costs, v)

    plain, columns, rows = grid._augmenting_row_reduction.py_func, np.full(len(cost), -1), np.full(len(v), -1)
    function = type(plain)(plain.__code__, {**plain.__globals__, "_two_smallest": two_smallest})
    free = function(cost, columns, rows, v, np.arange(len(cost)))
    assert sorted(free) == np.flatnonzero(columns < 0).tolist()
    return columns, free, len(bids)


def test_row_reduction_stops_a_bidding_war():
    n = 50                  # n - 1 cheap columns for n rows: each bid lowers a v by 1e-9 only, and the way out costs 1000
    cost = np.where(np.arange(n) < n - 1, 1e-9 * np.random.default_rng(0).random((n, n)), 1e3)
    columns, free, bids = bidding(cost, np.zeros(n))
    assert 1 <= len(free) <= 5 and n < bids <= 6 * n


def test_row_reduction_knows_a_v_that_did_not_fall():
    v = np.array([1e16, 0])                             # 1e16 - 0.5 is 1e16
    columns, free, bids = bidding(np.array([[1e16, 0.5], [1e16, 0.5]]), v)
    assert columns.tolist() == [-1, 0] and free.tolist() == [0] and bids == 2 and v[0] == 1e16


def test_phases_keep_what_they_promise():
    rng = np.random.default_rng(2)
    for _ in range(20):
        n = 30
        cost = rng.integers(0, 60, (n, n)).astype(float)
        columns, rows, v = np.full(n, -1), np.full(n, -1), np.zeros(n)
        matches = grid._column_reduction(cost, columns, rows, v)
        assert np.array_equal(v, cost.min(0)) and matches.sum() == n
        before = v.copy()
        grid._reduction_transfer(cost, columns, v, matches)
        assert np.all(v <= before) and np.any(v < before)
        free = np.flatnonzero(columns < 0)
        for _ in range(2):
            count = len(free)
            free = grid._augmenting_row_reduction(cost, columns, rows, v, free)
            assert len(free) <= count
            check_partial(cost, columns, rows, v, free)
        for k, row in enumerate(free):
            grid._augment(cost, columns, rows, v, row)
            check_partial(cost, columns, rows, v, free[k + 1:])


def check_partial(cost, columns, rows, v, free):
    """Rows and columns know each other, and each row with a column pays there the least."""
    assert sorted(free) == np.flatnonzero(columns < 0).tolist()
    has = np.flatnonzero(columns >= 0)
    assert np.array_equal(rows[columns[has]], has) and np.sum(rows >= 0) == len(has)
    reduced = cost - v
    assert np.array_equal(reduced[has, columns[has]], reduced[has].min(1))


def test_plain_python_is_what_is_compiled():
    rng = np.random.default_rng(4)
    for cost in (rng.random((20, 20)), rng.random((13, 20)), rng.integers(0, 3, (20, 20)).astype(float)):
        for a, b in zip(grid.linear_assignment_cpu(cost), grid.linear_assignment_cpu.py_func(cost)):
            assert np.array_equal(a, b)
    place, cells = rng.random((60, 2)), np.argwhere(np.ones((8, 9)))[rng.permutation(72)[:60]]
    arguments = place, point_grid(cells, (8, 9)), np.arange(-2, 8, 4), np.arange(0, 9, 4), 4
    assert np.array_equal(grid.reassign_windows_cpu(*arguments), grid.reassign_windows_cpu.py_func(*arguments))


STEPPED = """
import numpy as np
from minicnn.embed.grid import assign_to_grid, linear_assignment
rng = np.random.default_rng(3)
for cost in (rng.random((40, 40)), rng.random((25, 40)), rng.integers(0, 5, (40, 40))):
    found = linear_assignment(cost)
    print(found.columns.tolist(), found.v.tolist())
points = np.random.default_rng(0).normal(size=(64, 2)) ** 3
print(assign_to_grid(points, (8, 8), "jonker_volgenant").tolist(), assign_to_grid(points, (8, 9), "slicing").tolist())
"""


def test_a_debugger_steps_through_the_same_numbers():
    results = [subprocess.run([sys.executable, "-c", STEPPED], env={**os.environ, "NUMBA_DISABLE_JIT": off}, check=True,
                              capture_output=True, text=True).stdout for off in "01"]
    assert results[0] == results[1] and len(results[0].splitlines()) == 4


def test_grid_shape():
    assert [grid_shape(n) for n in (1, 2, 3, 4, 5, 9, 10, 12)] == [(1, 1), (1, 2), (2, 2), (2, 2), (2, 3), (3, 3), (3, 4), (3, 4)]
    assert grid_shape(1797) == (42, 43) and grid_shape(100, 4) == (5, 20) and grid_shape(100, 1 / 4) == (20, 5)
    assert grid_shape(7, 1e9) == (1, 7) and grid_shape(7, 1e-9) == (7, 1)
    for count in range(1, 60):
        for aspect in (0.3, 1, 16 / 9, 5):
            rows, columns = grid_shape(count, aspect)
            off = max(columns / rows / aspect, rows * aspect / columns)
            assert rows * columns >= count > max((rows - 1) * columns, rows * (columns - 1))
            for r, c in itertools.product(range(1, count + 1), repeat=2):
                if r * c >= count > max((r - 1) * c, r * (c - 1)):
                    assert max(c / r / aspect, r * aspect / c) >= off * (1 - 1e-12)


def test_grid_cost_is_the_squared_distance_with_row_0_at_the_top():
    points = np.array([[0, 10], [4, 10], [0, -10], [1, 5.0]])
    cost = grid_cost(points, (2, 4)).reshape(4, 2, 4)
    for k, (x, y) in enumerate([(0, 1), (1, 1), (0, 0), (0.25, 0.75)]):
        for r, c in np.ndindex(2, 4):
            assert cost[k, r, c] == pytest.approx((x - (c + 0.5) / 4) ** 2 + (y - 1 + (r + 0.5) / 2) ** 2, abs=1e-15)
    assert cost[0].argmin() == 0 and cost[1].argmin() == 3 and cost[2].argmin() == 4
    assert np.allclose(grid_cost(points * 1e-9 + 5, (2, 4)).reshape(4, 2, 4), cost, atol=1e-6)
    assert np.array_equal(grid_cost(points * 2.0 ** 1020, (2, 4)).reshape(4, 2, 4), cost)        # an extent beyond 1e308
    assert np.array_equal(grid_cost(points.tolist(), [2, 4]), grid_cost(points.astype(np.float32), np.array([2, 4])))


def test_constant_axes_lie_in_the_middle():
    flat = np.array([[0, 7], [1, 7], [2, 7.0]])
    assert np.array_equal(assign_to_grid(flat, (3, 3), "jonker_volgenant"), [[1, 0], [1, 1], [1, 2]])
    assert np.array_equal(assign_to_grid(flat, (3, 3), "slicing"), [[1, 0], [1, 1], [1, 2]])
    assert np.array_equal(assign_to_grid([[3, 3]], (3, 3)), [[1, 1]])


@pytest.mark.parametrize("method", ["jonker_volgenant", "slicing"])
def test_a_map_that_is_a_grid_stays_as_it_is(method):
    cells = np.argwhere(np.ones((6, 9)))
    points = np.stack([cells[:, 1] * 3.0, -cells[:, 0] * 7.0], axis=1)          # (x, y) with row 0 at the top
    order = np.random.default_rng(0).permutation(54)
    for scale in (1, 1e-6, 1e6):
        assert np.array_equal(assign_to_grid(points[order] * scale, (6, 9), method), cells[order])
    assert np.array_equal(assign_to_grid(points, (6, 9)), cells)


def total(points, cells, shape):
    return grid_cost(points, shape)[np.arange(len(points)), cells[:, 0] * shape[1] + cells[:, 1]].sum()


MAPS = [(clustered_map(400), (20, 20)), (clustered_map(397, 5, 1), (20, 20)), (clustered_map(300, 12, 2), (13, 24)),
        (clustered_map(200), (20, 20)), (clustered_map(60), (20, 20)), (np.repeat(clustered_map(80), 5, 0), (20, 20)),
        (np.random.default_rng(0).random((400, 2)), (20, 20)), (np.zeros((30, 2)), (6, 5)), (clustered_map(40), (1, 50)),
        (clustered_map(40), (50, 1)), (clustered_map(1), (1, 1)), (clustered_map(7), (2, 4)), (clustered_map(3), (300, 200))]


@pytest.mark.parametrize("points, shape", MAPS, ids=lambda x: str(x) if isinstance(x, tuple) else f"{len(x)} points")
def test_slicing_is_near_the_optimum(points, shape):
    before = points.copy()
    cells = assign_to_grid(points, shape, "slicing")
    assert cells.shape == (len(points), 2) and cells.dtype == np.int64
    assert len(np.unique(cells, axis=0)) == len(points) and cells.min() >= 0 and np.all(cells.max(0) < shape)
    best = scipy_cost(grid_cost(points, shape))
    assert total(points, assign_to_grid(points, shape, "jonker_volgenant"), shape) == pytest.approx(best, rel=1e-12)
    assert best * (1 - 1e-12) <= total(points, cells, shape) <= 1.15 * best
    assert np.array_equal(points, before) and np.array_equal(cells, assign_to_grid(points, shape, "slicing"))


def test_windows_only_lower_the_cost_and_one_window_finds_the_optimum():
    points, shape = clustered_map(90), (9, 11)
    place = grid._in_picture("", points)
    cells = slice_into_cells(place, shape)
    now, start = point_grid(cells, shape), total(points, cells, shape)
    costs = [start]
    for top, left in ((0, 0), (-2, -2), (-2, 0), (0, -3)):
        now = grid.reassign_windows_cpu(place, now, np.arange(top, 9, 4), np.arange(left, 11, 4), 4)
        assert np.array_equal(np.sort(now[now >= 0]), np.arange(90))
        costs.append(total(points, np.argwhere(now >= 0)[np.argsort(now[now >= 0])], shape))
    assert np.all(np.diff(costs) <= 1e-12) and costs[-1] < 0.98 * costs[0]
    whole = grid.reassign_windows_cpu(place, now, np.array([0]), np.array([0]), 11)
    assert total(points, np.argwhere(whole >= 0)[np.argsort(whole[whole >= 0])], shape) == pytest.approx(
        scipy_cost(grid_cost(points, shape)), rel=1e-12)


def test_slices_keep_the_order():
    x = np.random.default_rng(0).random(37)
    cells = slice_into_cells(np.stack([np.full(37, 0.5), x], axis=1), (1, 37))      # one row: sorting
    assert np.array_equal(cells[:, 1], np.argsort(np.argsort(x)))
    cells = slice_into_cells(np.full((12, 2), 0.5), (3, 4))                         # all the same: each cell once, stable
    assert np.array_equal(cells, slice_into_cells(np.full((12, 2), 0.5), (3, 4))) and len(np.unique(cells, axis=0)) == 12
    few = np.array([[0.1, 0.1], [0.9, 0.9], [0.9, 0.12]])                           # room enough: each in the cell it lies in
    assert np.array_equal(slice_into_cells(few, (10, 10)), [[1, 1], [9, 9], [9, 1]])


def test_auto_takes_slicing_for_large_maps():
    points = clustered_map(20_000)
    start = time.perf_counter()
    cells = assign_to_grid(points)
    assert time.perf_counter() - start < 20             # 0.6 s, and the compilation
    assert len(np.unique(cells, axis=0)) == 20_000 and np.all(cells.max(0) < grid_shape(20_000))
    small = clustered_map(150)
    assert np.array_equal(assign_to_grid(small), assign_to_grid(small, grid_shape(150), "jonker_volgenant"))
    assert len(np.unique(assign_to_grid(small, (4000, 4000)), axis=0)) == 150       # a matrix of 19 GB is not made


def test_nearest_on_grid():
    points = clustered_map(100)
    points[50] = points[3]
    found = nearest_on_grid(points, (7, 9))
    assert found.shape == (7, 9) and found.dtype == np.int64
    cost = grid_cost(points, (7, 9))
    assert np.allclose(cost[found.ravel(), np.arange(63)], cost.min(0), rtol=1e-9, atol=1e-15) and 50 not in found
    corners = nearest_on_grid([[0, 0], [1, 0], [0, 1], [1, 1]], (2, 2))
    assert np.array_equal(corners, [[2, 3], [0, 1]])
    assert np.array_equal(nearest_on_grid([[5, 5]], (2, 3)), np.zeros((2, 3)))


def test_seams_are_the_distances_of_neighbours():
    rng = np.random.default_rng(0)
    points, codes = clustered_map(50), rng.normal(size=(50, 6)).astype(np.float32)
    cells = point_grid(assign_to_grid(points, (7, 8)), (7, 8))
    assert np.sum(cells < 0) == 6 and np.array_equal(np.unique(cells), np.arange(-1, 50))
    beside, below = seams(codes, cells)
    assert beside.shape == (7, 7) and below.shape == (6, 8)
    for r, c in np.ndindex(7, 8):
        for array, r2, c2 in ((beside, r, c + 1), (below, r + 1, c)):
            if r2 < 7 and c2 < 8:
                a, b = cells[r, c], cells[r2, c2]
                true = np.nan if min(a, b) < 0 else np.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(codes[a], codes[b])))
                assert array[r, c] == pytest.approx(true, rel=1e-12, nan_ok=True)
    beside, below = seams(np.array([[0], [200]], np.uint8), [[0, 1]])           # no wrap-around of small integers
    assert np.array_equal(beside, [[200]]) and below.shape == (0, 2)
    assert seams(codes, [[0], [1]])[0].shape == (2, 0) and np.isnan(seams(codes, [[-1, 2]])[0][0, 0])
    assert np.all(seams(codes, nearest_on_grid(points, (4, 4)))[0] >= 0)


ERRORS = [
    (lambda: linear_assignment(np.zeros((3, 2))), ShapeError, "transpose"),
    (lambda: linear_assignment(np.zeros(3)), ShapeError, "(3,)"),
    (lambda: linear_assignment(np.zeros((0, 0))), ShapeError, "(0, 0)"),
    (lambda: linear_assignment([[1, 2], [3]]), ShapeError, "lengths"),
    (lambda: linear_assignment([[1, np.nan], [3, 4]]), SettingError, "NaN"),
    (lambda: linear_assignment([[1, np.inf], [3, 4]]), SettingError, "infinite"),
    (lambda: linear_assignment([[1, -1.5e308], [3, 4]]), SettingError, "1e+300"),
    (lambda: linear_assignment([["a", "b"], ["c", "d"]]), DtypeError, "real"),
    (lambda: grid_shape(0), SettingError, "0"),
    (lambda: grid_shape(2.5), SettingError, "2.5"),
    (lambda: grid_shape(5, 0), SettingError, "aspect"),
    (lambda: grid_shape(5, np.nan), SettingError, "aspect"),
    (lambda: grid_shape(5, "wide"), SettingError, "aspect"),
    (lambda: grid_cost(np.zeros((3, 3)), (2, 2)), ShapeError, "(3, 3)"),
    (lambda: grid_cost(np.zeros((3, 2)), 4), SettingError, "(rows, columns)"),
    (lambda: grid_cost(np.zeros((3, 2)), (2, 0)), SettingError, "columns"),
    (lambda: grid_cost(np.zeros((3, 2)), (2.0, 2)), SettingError, "rows"),
    (lambda: grid_cost(np.zeros((20_001, 2)), (142, 142)), SettingError, "slicing"),
    (lambda: assign_to_grid(np.zeros((20_001, 2)), method="jonker_volgenant"), SettingError, "slicing"),
    (lambda: assign_to_grid(np.zeros((5, 2)), (2, 2)), ShapeError, "5 points"),
    (lambda: assign_to_grid(np.zeros((5, 2)), method="best"), UnknownNameError, "best"),
    (lambda: assign_to_grid(np.zeros((5, 2)), (1, 10 ** 9)), SettingError, "1,000,000,000 cells"),
    (lambda: grid_shape(10 ** 9), SettingError, "count is 1,000,000,000"),
    (lambda: point_grid([[0, 0], [0, 0]], (2, 2)), SettingError, "there twice"),
    (lambda: point_grid([[0, 2]], (2, 2)), SettingError, "outside"),
    (lambda: point_grid([[-1, 0]], (2, 2)), SettingError, "outside"),
    (lambda: point_grid([[0., 0.]], (2, 2)), ShapeError, "whole numbers"),
    (lambda: point_grid([[0, 0, 0]], (2, 2)), ShapeError, "row and column"),
    (lambda: assign_to_grid(np.zeros((0, 2))), ShapeError, "at least one"),
    (lambda: assign_to_grid(np.zeros(4)), ShapeError, "(4,)"),
    (lambda: assign_to_grid([[0, 1], [np.nan, 2]]), SettingError, "NaN"),
    (lambda: nearest_on_grid([[0, np.inf]], (2, 2)), SettingError, "infinite"),
    (lambda: nearest_on_grid([[0, 1j]], (2, 2)), DtypeError, "complex"),
    (lambda: nearest_on_grid([[0, 1]], (2, 2, 2)), SettingError, "shape"),
    (lambda: seams(np.zeros((3, 2)), [[0, 3]]), SettingError, "to 2"),
    (lambda: seams(np.zeros((3, 2)), [[0, -2]]), SettingError, "-1"),
    (lambda: seams(np.zeros((3, 2)), [[0.0, 1.0]]), SettingError, "whole"),
    (lambda: seams(np.zeros((3, 2)), [0, 1]), ShapeError, "(2,)"),
    (lambda: seams(np.zeros(3), [[0, 1]]), ShapeError, "(3,)"),
    (lambda: seams(np.full((3, 2), np.nan), [[0, 1]]), SettingError, "NaN"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_are_ours_and_say_what_is_wrong(number):
    call, kind, word = ERRORS[number]
    with pytest.raises(MinicnnError) as caught:
        call()
    assert isinstance(caught.value, kind) and word in str(caught.value) and "\n" not in str(caught.value)


def test_inputs_are_not_changed_and_may_be_read_only():
    points, cost = clustered_map(30), np.random.default_rng(0).random((30, 30))
    before = points.copy(), cost.copy()
    for array in (points, cost):
        array.flags.writeable = False
    linear_assignment(cost), linear_assignment(cost.T), linear_assignment(cost[::2, ::-1])
    for method in ("auto", "slicing"):
        assign_to_grid(points, None, method)
    nearest_on_grid(points, (5, 5)), seams(points, np.arange(30).reshape(5, 6))
    assert np.array_equal(points, before[0]) and np.array_equal(cost, before[1])
