"""Barnes-Hut t-SNE: cells far enough away are taken as one mass. Slide "More on t-SNE".

The gradient of t-SNE (tsne.py) is a sum of springs, each pulling or pushing with some force:

    dC/dy_i = 4 sum_j (p_ij - q_ij) (1 + ||y_i - y_j||^2)^{-1} (y_i - y_j)  =  4 (attraction_i - repulsion_i / Z)
                      ----force----  --------------spring-------------

    attraction_i = sum_j p_ij w_ij (y_i - y_j)      with w_ij = (1 + ||y_i - y_j||^2)^{-1}; only a few p_ij are not zero
    repulsion_i  = sum_j w_ij^2 (y_i - y_j)         since q_ij = w_ij / Z,
    Z = sum_{k != l} w_kl

The repulsion comes from all N points, but that of a far cell with n points is nearly that of n points in its centre of mass:

    n w^2 (y_i - y_cell)      where  side of the cell / ||y_i - y_cell|| < theta

so log N cells or so are looked at instead of N points. A cell that holds y_i itself is never far. theta = 0 takes every point by
itself: the exact sum. (The side is the full one, as in openTSNE and scikit-learn; bhtsne compares half of it, the paper the
diagonal.)
Source: L. van der Maaten, JMLR 15, 2014.
"""
import numba
import numpy as np

from ..jit import jit
from ..simd import LANES, gather2, load, load_within, total
from .quadtree import LEVELS, QuadTree
from .sums import ordered_sum

GROUP = 32              # neighbouring points that walk through the tree together
LEAF = 16               # points of a cell that is not divided further
ROOM = 2048             # cells remembered before their forces are added up


# --- the definition ---------------------------------------------------------------------------------------------------
def cells_used(tree, y, theta=0.5):
    """Walk down from the root; return (far cells, cells of near points): rows of the QuadTree that `y` (2,) sees as they are."""
    ### BEGIN SOLUTION hw3.6
    far, near, todo = [], [], [0]
    while todo:
        node = todo.pop()
        distance = np.linalg.norm(y - tree.center_of_mass[node])
        inside = (np.abs(y - tree.corner[node] - tree.width[node] / 2) <= tree.width[node] / 2).all()
        if tree.width[node] < theta * distance and not inside:
            far.append(node)                                    # one mass
        elif tree.child[node].max() < 0:
            near.append(node)                                   # its points, one by one
        else:
            todo += [c for c in tree.child[node] if c >= 0]     # look closer
    return far, near
    ### END SOLUTION hw3.6


def repulsion_ref(tree, theta=0.5):
    """Return (repulsion (N, 2), Z) of the points of a QuadTree, point by point as above."""
    ### BEGIN SOLUTION hw3.6
    points = tree.points
    repulsion, Z = np.zeros(points.shape), 0.0
    for i, y in enumerate(points):
        far, near = cells_used(tree, y, theta)
        for node in far:
            spring = y - tree.center_of_mass[node]
            w = 1 / (1 + spring @ spring)
            repulsion[i] += tree.count[node] * w ** 2 * spring
            Z += tree.count[node] * w
        for j in (j for node in near for j in tree.points_in(node) if j != i):
            spring = y - points[j]
            w = 1 / (1 + spring @ spring)
            repulsion[i] += w ** 2 * spring
            Z += w
    return repulsion, Z
    ### END SOLUTION hw3.6


def attraction_ref(P, Y):
    """Return sum_j p_ij w_ij (y_i - y_j) (N, 2) for a sparse P, point by point."""
    ### BEGIN SOLUTION hw3.6
    attraction = np.zeros(Y.shape)
    for i in range(len(Y)):
        row = slice(P.indptr[i], P.indptr[i + 1])
        spring = Y[i] - Y[P.indices[row]]
        w = 1 / (1 + (spring ** 2).sum(axis=1))
        attraction[i] = (P.data[row] * w) @ spring
    return attraction
    ### END SOLUTION hw3.6


# --- the fast way -----------------------------------------------------------------------------------------------------
def barnes_hut_repulsion(Y, theta=0.5, out=None):
    """Return (repulsion (N, 2), Z) of the points Y (N, 2); into `out` if given.

    Fast, because 32 neighbours on the Morton curve walk through the tree together, and what they meet on the way, far cells and
    near points alike, is added up in vectors afterwards. A cell is far if it is far from the rectangle around all 32: so a
    little more is looked at than each alone would, and the result is a little more accurate than that of `repulsion_ref`.
    """
    tree = QuadTree(Y, leaf_size=LEAF)
    Y, repulsion = tree.points, np.empty(tree.points.shape, tree.points.dtype) if out is None else out
    points, z = Y[tree.order], np.empty(len(Y), Y.dtype)
    repulsion_cpu(points, points, tree.order, cells_of(tree), reach(tree, theta), True, repulsion, z)
    return repulsion, ordered_sum(z) - len(Y)           # w_ii = 1 was counted


def cells_of(tree):
    """Return the arrays of a QuadTree that the kernel walks through."""
    return tree.child, tree.first, tree.count, tree.level, tree.center_of_mass


def reach(tree, theta):
    """Return the square of the distance from which on a cell of each level is far: (side / theta)^2."""
    sides = tree.square[2] / 2.0 ** np.arange(LEVELS + 1)
    return ((sides / theta) ** 2 if theta > 0 else np.full(LEVELS + 1, np.inf)).astype(tree.points.dtype)


@numba.njit
def _sum_of_springs(x, y, places, masses, count):
    """Return the sums of mass w^2 (y_i - y_cell), both coordinates, and of mass w over a list of cells, LANES at a time.

    Behind the list there is room for LANES more, with mass 0.
    """
    ### BEGIN SOLUTION hw3.6
    fx = fy = z = load_within(masses, (0,), 0)     # zeros
    for k in range(0, count, LANES):
        dx, dy = x - load(places, 0, k), y - load(places, 1, k)
        w = 1 / (1 + dx * dx + dy * dy)
        mass = load(masses, k) * w
        z = z + mass
        fx = fx + mass * w * dx
        fy = fy + mass * w * dy
    return total(fx), total(fy), total(z)
    ### END SOLUTION hw3.6


@numba.njit
def _box_around(points, start, end):
    """Return (left, right, lower, upper) of the rectangle around points start..end-1."""
    left = right = points[start, 0]
    lower = upper = points[start, 1]
    for i in range(start + 1, end):
        left, right = min(left, points[i, 0]), max(right, points[i, 0])
        lower, upper = min(lower, points[i, 1]), max(upper, points[i, 1])
    return left, right, lower, upper


@numba.njit
def _distance_to_box(x, y, box):
    """Return the squared distance of a place from a rectangle left, right, lower, upper; 0 inside."""
    dx, dy = max(box[0] - x, x - box[1], x - x), max(box[2] - y, y - box[3], y - y)      # x - x: a 0 of the type of x
    return dx * dx + dy * dy


@numba.njit
def _add_up(queries, places, masses, count, sums):
    for k in range(count, count + LANES):
        places[0, k] = places[1, k] = masses[k] = 0
    for i in range(len(queries)):
        fx, fy, z = _sum_of_springs(queries[i, 0], queries[i, 1], places, masses, count)
        sums[i, 0] += fx
        sums[i, 1] += fy
        sums[i, 2] += z


def _repulsion_cpu(queries, points, order, cells, reach, own, repulsion, z):
    """Parallel over groups of 32 queries, each of which writes its own rows: repulsion[order[i]] of queries[i] from `points`.

    points: in the tree's order; z[i]: in that of the queries. own: the queries are the points, so that a cell that holds some of
    the group is never far (without it, that holds up to theta = 0.7 by itself: no place in a cell is so far from its middle).
    """
    ### BEGIN SOLUTION hw3.6
    child, first, counts, level, mass = cells
    for group in numba.prange((len(queries) + GROUP - 1) // GROUP):
        start, end = group * GROUP, min(len(queries), group * GROUP + GROUP)
        mine, box = queries[start:end], _box_around(queries, start, end)
        places, masses = np.empty((2, ROOM + LANES), points.dtype), np.empty(ROOM + LANES, points.dtype)
        sums, stack = np.zeros((end - start, 3), points.dtype), np.empty(4 * LEVELS + 4, np.int32)
        stack[0], depth, found = 0, 1, 0
        while depth > 0:
            depth -= 1
            n = stack[depth]
            shared = own and first[n] < end and first[n] + counts[n] > start
            if not shared and _distance_to_box(mass[n, 0], mass[n, 1], box) > reach[level[n]]:
                if found == ROOM:
                    _add_up(mine, places, masses, found, sums)
                    found = 0
                places[0, found], places[1, found], masses[found] = mass[n, 0], mass[n, 1], counts[n]
                found += 1
            elif child[n, 0] < 0 and child[n, 1] < 0 and child[n, 2] < 0 and child[n, 3] < 0:
                for j in range(first[n], first[n] + counts[n]):
                    if found == ROOM:
                        _add_up(mine, places, masses, found, sums)
                        found = 0
                    places[0, found], places[1, found], masses[found] = points[j, 0], points[j, 1], 1
                    found += 1
            else:
                for quarter in range(4):
                    if child[n, quarter] >= 0:
                        stack[depth] = child[n, quarter]
                        depth += 1
        _add_up(mine, places, masses, found, sums)
        for i in range(start, end):
            repulsion[order[i], 0], repulsion[order[i], 1] = sums[i - start, 0], sums[i - start, 1]
            z[i] = sums[i - start, 2]
    ### END SOLUTION hw3.6


@numba.njit
def _pull(i, row, queries, Y):
    """Return sum_j p_ij w_ij (y_i - y_j), both coordinates, over the entries of row i of P, LANES at a time."""
    ### BEGIN SOLUTION hw3.6
    indices, p, start, end = row
    x, y = queries[i, 0], queries[i, 1]
    fx = fy = load_within(p, (0,), 0)           # zeros
    for k in range(start, end, LANES):          # behind the row's end: p = 0
        x_j, y_j = gather2(Y, load_within(indices, (k,), end))
        dx, dy = x - x_j, y - y_j
        w = load_within(p, (k,), end) / (1 + dx * dx + dy * dy)
        fx = fx + w * dx
        fy = fy + w * dy
    return total(fx), total(fy)
    ### END SOLUTION hw3.6


@numba.njit
def _pull_any(i, row, queries, Y, attraction):
    """Write row i of the attraction for a map of any number of components."""
    ### BEGIN SOLUTION hw3.6
    indices, p, start, end = row
    attraction[i] = 0
    for k in range(start, end):
        square = Y.dtype.type(1)
        for c in range(Y.shape[1]):
            square += (queries[i, c] - Y[indices[k], c]) ** 2
        for c in range(Y.shape[1]):
            attraction[i, c] += p[k] / square * (queries[i, c] - Y[indices[k], c])
    ### END SOLUTION hw3.6


def _attraction_cpu(indptr, indices, p, queries, Y, attraction):
    """Parallel over blocks of 64 queries (Y itself, or new points): P is compressed, so only a row's neighbours are read."""
    for block in numba.prange((len(queries) + 63) // 64):
        for i in range(block * 64, min(len(queries), block * 64 + 64)):
            start, end = np.int64(indptr[i]), np.int64(indptr[i + 1])
            if Y.shape[1] == 2:
                attraction[i, 0], attraction[i, 1] = _pull(i, (indices, p, start, end), queries, Y)
            else:
                _pull_any(i, (indices, p, start, end), queries, Y, attraction)


repulsion_cpu, attraction_cpu = jit(_repulsion_cpu), jit(_attraction_cpu)
