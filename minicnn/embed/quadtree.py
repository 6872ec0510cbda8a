"""The quadtree: a square is divided into four, and each again, until no cell holds more than a point. Slide "More on t-SNE".

A cell knows how many points it holds and their centre of mass, so that a far one can stand for all of them (barnes_hut.py).

Which quarter of which quarter a point lies in is said by its address: its two coordinates as whole numbers 0 ... 2^21 - 1, whose
bits tell left from right and lower from upper, level by level. Bits of both taken in turn are the Morton code. Points in the
order of their codes lie on a curve that fills one quarter before it enters the next, so each cell is a range of them: building
the tree is sorting them, quarter by quarter, and neighbours in the plane become neighbours in memory.
Source: J. Barnes and P. Hut, Nature 324, 1986; G. Morton 1966.
"""
from functools import cached_property

import numba
import numpy as np

from ..checks import one_of, whole_number
from ..errors import SettingError
from ..jit import jit
from .checks import as_points

LEVELS = 21             # 42 bits; cells of the last level hold whatever is in them


class QuadTree:
    """The quadtree of points (N, 2), as flat arrays with a row for each cell that holds a point; row 0 is the whole square.

    child (cells, 4): the rows of the lower left, lower right, upper left and upper right quarter, -1 where there is no point;
    count (cells,): points in it; center_of_mass (cells, 2); width (cells,): its side; corner (cells, 2): its lower left corner.
    level (cells,): how often the square was halved; square: (left, lower, side) of the whole.
    order (N,): the points along the Morton curve; first (cells,): where in `order` the points of a cell begin.
    leaf_size: up to so many points a cell is not divided. build: "morton", or "insert" one point after the other: the same
    tree, but that the rows come in another order. Raises ShapeError, SettingError.
    """

    def __init__(self, points, leaf_size=1, build="morton"):
        self.points = as_points("QuadTree", points, 2)
        self.leaf_size = whole_number("QuadTree", "leaf_size", leaf_size, 1)
        self.square = square_around(self.points)
        if not np.isfinite(self.square).all():
            raise SettingError("QuadTree: the points lie farther apart than a number can say; scale them down")
        if one_of("way to build a quadtree", build, ("morton", "insert")) == "morton":
            self._build()
        else:
            self._start()
            for index in range(len(self.points)):
                self.insert(index)
            self._finish()

    # --- one point at a time, to read ---
    def _start(self):
        self.address = np.empty((len(self.points), 2), np.int64)
        address_cpu(self.points, self.square, self.address)
        self.child, self.count, self.center_of_mass, self.level = [[-1] * 4], [0], [np.zeros(2)], [0]
        self.members = [[]]             # the points of a cell that is not divided

    def insert(self, index):
        """Put a point into the tree: go down to the cell that is not divided, and divide that if it is full."""
        if not isinstance(self.child, list):
            raise SettingError("QuadTree.insert: this tree is finished; build=\"insert\" inserts the points one after the other")
        ### BEGIN SOLUTION hw3.5
        node = 0
        self._weigh(node, index)
        while max(self.child[node]) >= 0:
            node = self._quarter(node, index)
            self._weigh(node, index)
        self.members[node].append(index)
        while len(self.members[node]) > self.leaf_size and self.level[node] < LEVELS:
            moving, self.members[node] = self.members[node], []
            for other in moving:
                quarter = self._quarter(node, other)
                self._weigh(quarter, other)
                self.members[quarter].append(other)
            node = max(filter(lambda c: c >= 0, self.child[node]), key=lambda c: len(self.members[c]))
        ### END SOLUTION hw3.5

    def _quarter(self, node, index):
        """Return the quarter of the cell in which the point lies, made if it is not there."""
        ### BEGIN SOLUTION hw3.5
        shift = LEVELS - 1 - self.level[node]
        right, upper = (self.address[index] >> shift) & 1
        quarter = 2 * upper + right
        if self.child[node][quarter] < 0:
            self.child[node][quarter] = len(self.child)
            self.child.append([-1] * 4)
            self.count.append(0)
            self.center_of_mass.append(np.zeros(2))
            self.level.append(self.level[node] + 1)
            self.members.append([])
        return self.child[node][quarter]
        ### END SOLUTION hw3.5

    def _weigh(self, node, index):
        """Move the centre of mass a step towards the new point: a mean with one number more."""
        ### BEGIN SOLUTION hw3.5
        self.count[node] += 1
        self.center_of_mass[node] = (self.center_of_mass[node]
                                     + (self.points[index] - self.center_of_mass[node]) / self.count[node])
        ### END SOLUTION hw3.5

    def _finish(self):
        """Turn the lists into arrays, and bring the points into the order in which a walk through the cells meets them."""
        order, self.first, todo = [], np.zeros(len(self.child), np.int32), [0]
        while todo:
            node = todo.pop()
            self.first[node] = len(order)
            order += self.members[node]
            todo += [c for c in reversed(self.child[node]) if c >= 0]
        self.order, self.level = np.array(order, np.int32), np.array(self.level, np.int32)
        self.child, self.count = np.array(self.child, np.int32), np.array(self.count, np.int32)
        self.center_of_mass = np.array(self.center_of_mass, self.points.dtype)

    # --- all at once ---
    def _build(self):
        N, room = len(self.points), 4
        codes, order = np.empty((2, N), np.int64), np.empty((2, N), np.int32)
        morton_cpu(self.points, self.square, codes[0])
        order[0] = np.arange(N)
        size = 0
        while size == 0:                        # many points close together make long chains of cells: then more room
            rows = room * N + 64 * 64 + 85      # 85 = 1 + 4 + 16 + 64 cells down to level 3, and 64 spare rows for each there
            cells = (np.empty((rows, 4), np.int32), np.empty((rows, 3), np.int32), np.empty((rows, 2), self.points.dtype))
            size = quadtree_cpu(self.points, codes, order, self.leaf_size, cells, room)
            room *= 2
        child, ranges, mass = (array[:size] for array in cells)
        self.order, self.child, self.center_of_mass = order[0], child, mass
        self.first, self.count, self.level = (np.ascontiguousarray(column) for column in ranges.T)

    @cached_property
    def width(self):
        """The side of each cell (cells,): half for each level."""
        return (self.square[2] / 2.0 ** self.level).astype(self.points.dtype)

    @cached_property
    def corner(self):
        """The lower left corner of each cell (cells, 2), from the address of a point in it."""
        address = np.empty((len(self.points), 2), np.int64)
        address_cpu(self.points, self.square, address)
        shift = (LEVELS - self.level)[:, None]
        return self.square[:2] + (address[self.order[self.first]] >> shift) * self.width[:, None]

    def points_in(self, node):
        """Return the indices of the points in a cell."""
        return self.order[self.first[node]:self.first[node] + self.count[node]]

    # --- to look at ---
    def __str__(self):
        """The tree as text, a line for each cell, its quarters indented below it."""
        lines, todo = [], [0]
        while todo:
            node = todo.pop()
            x, y = self.center_of_mass[node]
            lines.append(f"{'  ' * self.level[node]}{self.count[node]} point{'s'[:self.count[node] - 1]}, centre of mass "
                         f"({x:.3g}, {y:.3g}), side {self.width[node]:.3g}")
            todo += [c for c in self.child[node][::-1] if c >= 0]
        return "\n".join(lines)

    def print_tree(self):
        """Print the tree, a line for each cell, its quarters indented below it."""
        print(self)

    def draw(self, ax, nodes=None, **style):
        """Draw the squares of the cells (all, or those of the rows `nodes`) on a matplotlib Axes."""
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Rectangle
        nodes = range(len(self.count)) if nodes is None else nodes
        corner, width = self.corner, self.width
        squares = [Rectangle(corner[n], width[n], width[n]) for n in nodes]
        ax.add_collection(PatchCollection(squares, **{"facecolor": "none", "edgecolor": "0.6", "linewidth": 0.5, **style}))
        (left, lower), side, edge = corner[0], width[0], 0.01 * width[0]
        ax.set(xlim=(left - edge, left + side + edge), ylim=(lower - edge, lower + side + edge), aspect="equal")


def square_around(points):
    """Return (left, lower, side) of the smallest square from the lower left corner of the points (N, 2) that holds them."""
    x, y = points[:, 0], points[:, 1]           # numpy goes through columns one by one 20 times faster than by axis=0
    side = max(x.max() - x.min(), y.max() - y.min())
    return np.array([x.min(), y.min(), side if side > 0 else 1], points.dtype)


def morton_order(points):
    """Return the indices of the points (N, 2) along the Morton curve through the square around them."""
    codes = np.empty(len(points), np.int64)
    morton_cpu(points, square_around(points), codes)
    return np.argsort(codes, kind="stable")


# --- kernels ----------------------------------------------------------------------------------------------------------
@numba.njit
def _address(value, low, side):
    """Return in which of the 2^21 equal parts of low ... low + side a coordinate lies."""
    return min(max(np.int64((np.float64(value) - low) / side * 2 ** LEVELS), 0), 2 ** LEVELS - 1)


@numba.njit
def _spread_bits(number):
    """Put a zero before each bit: the upper 16 of 32 bits are moved apart from the lower ones, then groups of 8, 4, 2 and 1."""
    number = (number | number << 16) & 0x0000_FFFF_0000_FFFF
    number = (number | number << 8) & 0x00FF_00FF_00FF_00FF
    number = (number | number << 4) & 0x0F0F_0F0F_0F0F_0F0F
    number = (number | number << 2) & 0x3333_3333_3333_3333
    return (number | number << 1) & 0x5555_5555_5555_5555


def _address_cpu(points, square, address):
    """Parallel over points."""
    for i in numba.prange(len(points)):
        for c in range(2):
            address[i, c] = _address(points[i, c], square[c], square[2])


def _morton_cpu(points, square, codes):
    """Parallel over points: the bits of both coordinates in turn, x in the even places."""
    for i in numba.prange(len(points)):
        x, y = _address(points[i, 0], square[0], square[2]), _address(points[i, 1], square[1], square[2])
        codes[i] = _spread_bits(x) | _spread_bits(y) << 1


@numba.njit
def _divide(row, size, codes, order, cells):
    """Bring the points of a cell into the order of its quarters, and make a row for each that is not empty; return the size.

    Stable: within a quarter the points keep their order. The second rows of codes and order are for scratch.
    """
    ### BEGIN SOLUTION hw3.5
    child, ranges, _ = cells
    first, count, level = ranges[row, 0], ranges[row, 1], ranges[row, 2]
    shift, counts = 2 * (LEVELS - 1 - level), np.zeros(5, np.int64)
    for i in range(first, first + count):
        counts[(codes[0, i] >> shift & 3) + 1] += 1
    for quarter in range(4):
        if counts[quarter + 1] > 0:
            child[row, quarter] = size
            child[size, 0] = child[size, 1] = child[size, 2] = child[size, 3] = -1
            ranges[size, 0], ranges[size, 1], ranges[size, 2] = first + counts[quarter], counts[quarter + 1], level + 1
            size += 1
        counts[quarter + 1] += counts[quarter]  # now: how many points lie in the quarters before the next
    for i in range(first, first + count):
        quarter = codes[0, i] >> shift & 3
        codes[1, first + counts[quarter]], order[1, first + counts[quarter]] = codes[0, i], order[0, i]
        counts[quarter] += 1
    for i in range(first, first + count):
        codes[0, i], order[0, i] = codes[1, i], order[1, i]
    return size
    ### END SOLUTION hw3.5


@numba.njit
def _weigh_all(start, end, points, order, cells):
    """Find the centres of mass of rows start..end-1, from the last to the first: a cell's quarters come after it."""
    ### BEGIN SOLUTION hw3.5
    child, ranges, mass = cells
    for row in range(end - 1, start - 1, -1):
        x = y = 0.
        divided = False
        for quarter in range(4):
            part = child[row, quarter]
            if part >= 0:
                divided = True
                x += ranges[part, 1] * np.float64(mass[part, 0])
                y += ranges[part, 1] * np.float64(mass[part, 1])
        for k in range(ranges[row, 0], 0 if divided else ranges[row, 0] + ranges[row, 1]):
            x += points[order[k], 0]
            y += points[order[k], 1]
        mass[row, 0], mass[row, 1] = x / ranges[row, 1], y / ranges[row, 1]
    ### END SOLUTION hw3.5


@numba.njit
def _divide_all(row, end, limit, codes, order, leaf_size, cells):
    """Divide a cell and all below it; their rows begin at `end`. Return the size, or -1 if there is no room up to `limit`."""
    _, ranges, _ = cells
    at = end
    while row < end:
        if ranges[row, 1] > leaf_size and ranges[row, 2] < LEVELS:
            if end + 4 > limit:
                return -1
            end = _divide(row, end, codes, order, cells)
        row, at = at, at + 1                    # after the cell itself, its own rows one after the other
    return end


@numba.njit
def _move(row, to, gap, cells):
    """Write a row in another place; its quarters' rows move up by `gap`."""
    child, ranges, mass = cells
    for quarter in range(4):
        child[to, quarter] = child[row, quarter] - gap if child[row, quarter] >= 0 else -1
    ranges[to, 0], ranges[to, 1], ranges[to, 2] = ranges[row, 0], ranges[row, 1], ranges[row, 2]
    mass[to, 0], mass[to, 1] = mass[row, 0], mass[row, 1]


def _quadtree_cpu(points, codes, order, leaf_size, cells, room):
    """Divide down to level 3 with one thread; then parallel over the up to 64 cells there, each with its own points and rows.

    cells: child (rows, 4), (first, count, level) (rows, 3), centre of mass (rows, 2). Each of the 64 gets `room` rows for each
    of its points; at the end the rows are moved together. Returns their number, or 0 if there was no room.
    """
    child, ranges, mass = cells
    child[0, 0] = child[0, 1] = child[0, 2] = child[0, 3] = -1
    size, top = 1, 0
    ranges[0, 0], ranges[0, 1], ranges[0, 2] = 0, len(points), 0
    while top < size and ranges[top, 2] < 3:    # rows come level by level here
        if ranges[top, 1] > leaf_size:
            size = _divide(top, size, codes, order, cells)
        top += 1
    starts, ends = np.empty(size - top + 1, np.int64), np.empty(size - top, np.int64)
    starts[0] = size
    for k in range(size - top):
        starts[k + 1] = starts[k] + room * ranges[top + k, 1] + 64
    for k in numba.prange(size - top):
        ends[k] = _divide_all(top + k, starts[k], starts[k + 1], codes, order, leaf_size, cells)
        _weigh_all(starts[k], ends[k], points, order[0], cells)
    above = size
    for k in range(len(ends)):                  # move together: the rows, and in them the numbers of the quarters' rows
        if ends[k] < 0:
            return 0
        gap = starts[k] - size
        _move(top + k, top + k, gap, cells)
        for row in range(starts[k], ends[k]):
            _move(row, row - gap, gap, cells)
        size += ends[k] - starts[k]
    _weigh_all(0, above, points, order[0], cells)
    return size


address_cpu, morton_cpu, quadtree_cpu = jit(_address_cpu), jit(_morton_cpu), jit(_quadtree_cpu)
