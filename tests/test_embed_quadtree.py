"""The quadtree: what each cell says of its points, both ways to build it, points on borders and on top of each other."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from minicnn.embed import QuadTree
from minicnn.embed.barnes_hut import cells_used
from minicnn.embed.quadtree import LEVELS, morton_order, square_around
from minicnn.errors import SettingError, ShapeError, UnknownNameError

RNG = np.random.default_rng(0)
CLUMPS = np.concatenate([RNG.normal(c, 0.01, (40, 2)) for c in ((0, 0), (5, 1), (5, 1.05))])
SETS = {
    "cloud": RNG.normal(size=(200, 2)),
    "clumps": CLUMPS,
    "one point": np.array([[3., -2]]),
    "two points": np.array([[0., 0], [1, 1]]),
    "identical": np.full((7, 2), 0.3),
    "duplicates": np.repeat(RNG.normal(size=(20, 2)), 3, axis=0),
    "on a line": np.stack([np.linspace(-1, 2, 50), np.zeros(50)], axis=1),
    "on a slope": np.linspace(0, 1, 64)[:, None] * [1, 1],
    "a grid, on the borders of cells": np.stack(np.meshgrid(np.arange(9.), np.arange(9.)), axis=2).reshape(-1, 2),
    "nearly identical": 0.7 + 1e-12 * RNG.normal(size=(10, 2)),
    "nearly identical, and one far": np.vstack([0.7 + 1e-12 * RNG.normal(size=(10, 2)), [[100, 50]]]),
    "tiny": 1e-30 * RNG.normal(size=(30, 2)),
    "huge": 1e30 * RNG.normal(size=(30, 2)),
    "float32": RNG.normal(size=(100, 2)).astype(np.float32),
}


def check_cell(tree, node, low, width):
    """A cell's figures agree with its points, with the square it should be, and with its quarters; return its points."""
    inside = tree.points_in(node)
    digits = np.finfo(tree.points.dtype).eps
    slack = 8 * digits * (tree.square[2] + np.abs(tree.points).max())
    assert len(inside) == tree.count[node] > 0
    np.testing.assert_allclose(tree.corner[node], low, rtol=1e-6, atol=slack)
    assert tree.width[node] == pytest.approx(width, rel=1e-6)
    assert (tree.points[inside] >= low - slack).all() and (tree.points[inside] <= low + width + slack).all()
    np.testing.assert_allclose(tree.center_of_mass[node], tree.points[inside].mean(axis=0, dtype=float), rtol=1e-5, atol=slack)
    quarters = [(c, low + width / 2 * np.array([q & 1, q >> 1])) for q, c in enumerate(tree.child[node]) if c >= 0]
    if quarters:
        assert tree.count[node] > tree.leaf_size
        below = [j for c, corner in quarters for j in check_cell(tree, c, corner, width / 2)]
        assert below == inside.tolist() and all(tree.level[c] == tree.level[node] + 1 for c, _ in quarters)
    else:
        assert tree.count[node] <= tree.leaf_size or tree.level[node] == LEVELS
    return inside.tolist()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("leaf_size", [1, 4])
def test_both_ways_to_build_give_the_same_true_tree(name, leaf_size):
    points = SETS[name]
    before = points.copy()
    trees = [QuadTree(points, leaf_size, build) for build in ("morton", "insert")]
    for tree in trees:
        everything = check_cell(tree, 0, tree.square[:2].astype(float), float(tree.square[2]))
        assert sorted(everything) == list(range(len(points))) and len(tree.count) == len(set(tree.child[tree.child >= 0])) + 1
    if points.dtype == np.float64:
        assert str(trees[0]) == str(trees[1])
    assert len(trees[0].count) == len(trees[1].count) and np.array_equal(points, before)


def test_a_tree_drawn_by_hand(capsys):
    """Five points in a square of side 8: three quarters, of which the upper right is divided once more."""
    QuadTree([[0, 0], [8, 0], [4.5, 4.5], [7, 5], [8, 8]]).print_tree()
    assert capsys.readouterr().out.splitlines() == [
        "5 points, centre of mass (5.5, 3.5), side 8",
        "  1 point, centre of mass (0, 0), side 4",
        "  1 point, centre of mass (8, 0), side 4",
        "  3 points, centre of mass (6.5, 5.83), side 4",
        "    1 point, centre of mass (4.5, 4.5), side 2",
        "    1 point, centre of mass (7, 5), side 2",
        "    1 point, centre of mass (8, 8), side 2"]


def test_quarters_are_lower_left_lower_right_upper_left_upper_right():
    tree = QuadTree([[0, 0], [4, 0], [0, 4], [4, 4]])
    assert [tree.points_in(c).tolist() for c in tree.child[0]] == [[0], [1], [2], [3]]
    assert tree.corner[tree.child[0]].tolist() == [[0, 0], [2, 0], [0, 2], [2, 2]]
    assert morton_order(np.array([[4., 4], [0, 4], [4, 0], [0, 0]])).tolist() == [3, 2, 1, 0]


def test_points_on_a_border_belong_to_the_upper_or_right_cell_and_on_the_edge_to_the_last():
    tree = QuadTree([[0, 0], [1, 1], [2, 2]])
    assert [tree.points_in(c).tolist() if c >= 0 else [] for c in tree.child[0]] == [[0], [], [], [1, 2]]
    low, high = 1 - 2. ** -21, 1 + 2. ** -21        # the two cells of the last level on both sides of the middle
    tree = QuadTree([[0, 0], [low, low], [high, high], [2, 2]])
    assert tree.count[tree.child[0]][[0, 3]].tolist() == [2, 2]


def test_points_closer_than_the_last_level_share_a_cell():
    points = np.array([[0, 0], [1e-9, 1e-9], [1, 1]])
    tree = QuadTree(points)
    assert tree.level.max() == LEVELS and tree.count[tree.level == LEVELS].tolist() == [2]
    assert tree.width.min() == 2. ** -LEVELS
    assert QuadTree(points + [[0, 0], [2. ** -20, 0], [0, 0]]).count.tolist().count(1) == 3


def test_identical_points_make_a_chain_to_the_last_level():
    tree = QuadTree(np.zeros((5, 2)))
    assert tree.count.tolist() == [5] * (LEVELS + 1) and tree.square.tolist() == [0, 0, 1]
    assert QuadTree(np.zeros((5, 2)), leaf_size=5).count.tolist() == [5]


def test_many_close_points_need_more_rows_than_there_was_room_for():
    pairs = np.repeat(np.random.default_rng(0).random((150, 2)), 2, axis=0)
    pairs[::2] += 1e-6
    tree = QuadTree(pairs)
    assert len(tree.count) > 4 * len(pairs)
    check_cell(tree, 0, tree.square[:2], tree.square[2])


def test_the_square_around_points():
    assert square_around(np.array([[1., 5], [4, 6]])).tolist() == [1, 5, 3]
    assert square_around(np.array([[2., 2]])).tolist() == [2, 2, 1]


def test_cells_seen_as_they_are_hold_each_point_once_and_never_the_one_that_looks():
    points = CLUMPS
    tree = QuadTree(points, leaf_size=2)
    for theta in (0, 0.5, 1, 3, 100):
        for i in range(0, len(points), 7):
            far, near = cells_used(tree, points[i], theta)
            seen = [j for node in far + near for j in tree.points_in(node)]
            assert sorted(seen) == list(range(len(points)))
            assert not any(i in tree.points_in(node) for node in far)
            for node in far:
                assert tree.width[node] / np.linalg.norm(points[i] - tree.center_of_mass[node]) < theta
            assert len(far) == 0 if theta == 0 else len(far) + len(near) < len(points)


def test_the_cells_of_a_slide_are_far_by_their_full_side():
    """From the origin, the other three quarters (side 1) have their only points at distance 1.5: far from theta 2/3 on."""
    tree = QuadTree([[0, 0], [1.5, 0], [0, 1.5], [2, 2]])
    assert len(cells_used(tree, np.zeros(2), 0.66)[0]) == 1 and len(cells_used(tree, np.zeros(2), 0.67)[0]) == 3
    assert len(cells_used(tree, np.zeros(2), 0.35)[0]) == 0


def test_draw_adds_a_square_for_each_cell():
    tree, axes = QuadTree([[0, 0], [4, 0], [4.5, 4.5], [8, 8]]), Figure().add_subplot()
    tree.draw(axes)
    squares = axes.collections[0].get_paths()
    assert len(squares) == len(tree.count) and axes.get_xlim() == axes.get_ylim() == (-0.08, 8.08)
    for path, corner, width in zip(squares, tree.corner, tree.width):
        assert path.get_extents().bounds == (*corner, width, width)
    tree.draw(axes, nodes=[0], edgecolor="red")
    assert len(axes.collections[1].get_paths()) == 1 and axes.collections[1].get_edgecolor()[0][:3].tolist() == [1, 0, 0]


@pytest.mark.parametrize("call, error", [
    (lambda: QuadTree(np.zeros((3, 3))), ShapeError), (lambda: QuadTree(np.zeros((0, 2))), ShapeError),
    (lambda: QuadTree([[0, np.nan]]), SettingError), (lambda: QuadTree([[-1.7e308, 0], [1.7e308, 0]]), SettingError),
    (lambda: QuadTree([[0, 0]], leaf_size=0), SettingError), (lambda: QuadTree([[0, 0]], leaf_size=1.5), SettingError),
    (lambda: QuadTree([[0, 0]], build="mortn"), UnknownNameError)])
def test_wrong_arguments_are_refused(call, error):
    with np.errstate(over="ignore"), pytest.raises(error):
        call()
