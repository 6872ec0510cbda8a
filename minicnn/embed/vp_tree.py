"""The vantage-point tree: exact nearest neighbours without measuring most of the distances. Slide "More on t-SNE" (beyond it).

A node picks one of its points, the vantage point v, and a radius mu, the median distance to the others: those within mu go to
the inner child, the rest to the outer. Let r be the distance of the farthest of the k neighbours found so far. By the triangle
inequality there can be something nearer than r

    in the inner child only if d(query, v) - r <= mu,           in the outer only if d(query, v) + r >= mu

so whole subtrees are passed by. In many dimensions nearly all distances are alike and nothing can be left out.
Source: P. Yianilos, SODA 1993; used for t-SNE by L. van der Maaten, "Accelerating t-SNE using tree-based algorithms", 2014.
"""
import numba
import numpy as np

from ..checks import generator, one_of, whole_number
from ..errors import SettingError
from ..jit import jit
from .checks import as_points
from .heap import METRIC_NUMBERS, distance, push, sort_heap


class VPTree:
    """A vantage-point tree over the points X (N, D), in flat arrays with a place for each point.

    A node is a range of places: first its vantage point, then the inner half of the others, then the outer half.
    order (N,): which point is at a place; points (N, D): its coordinates; radius (N,): mu of the node that begins there.
    The points are shuffled with `rng`, and a node takes its first one. Metrics: "euclidean", "manhattan", "chebyshev".
    """

    def __init__(self, X, metric="euclidean", rng=0):
        one_of("metric of a vantage-point tree", metric, METRIC_NUMBERS)
        X = as_points("VPTree", X)
        self.metric = METRIC_NUMBERS[metric]
        self.order = generator("VPTree", rng).permutation(len(X))
        self.points, self.radius = X[self.order], np.zeros(len(X))
        vp_build_cpu(self.points, self.order, self.radius, self.metric)

    def query(self, queries, k, own=False):
        """Return (indices, distances) of the k nearest points, both (M, k); own: query i is point i, which is left out.

        Afterwards `measured` (M,) says how many distances each query took.
        """
        queries = as_points("VPTree.query", queries, self.points.shape[1])
        k = whole_number("VPTree.query", "k", k, 1)
        if k > len(self.points) - own:
            raise SettingError(f"VPTree.query: k is {k}, but there are only {len(self.points) - own} points to find; give less")
        indices, distances = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), np.inf)
        self.measured = np.zeros(len(queries), np.int64)
        vp_search_cpu((self.points, self.order, self.radius), queries, indices, distances, own, self.measured, self.metric)
        return indices, distances


@numba.njit
def _children(first, last):
    """Return where the outer child of the node first..last-1 begins; the inner one begins at first + 1."""
    return first + 1 + (last - first) // 2


def _vp_build_cpu(points, order, radius, metric):
    """One thread (it takes a hundredth of the time of the search): nodes from a stack, each divided into its halves.

    Within a half the points keep their random order, so that the first of it is a vantage point by chance.
    """
    for _ in numba.prange(1):           # a loop of one, since Numba warns of a parallel kernel that has none
        stack = [(0, len(points))]
        while stack:
            first, last = stack.pop()
            if last - first < 2:
                continue
            far = np.array([distance(points[first], points[i], metric) for i in range(first + 1, last)])
            sorting, middle = np.argsort(far, kind="mergesort"), _children(first, last)
            inner = middle - first - 1
            radius[first] = far[sorting[inner - 1]]                 # the farthest of the inner half
            sorting[:inner], sorting[inner:] = np.sort(sorting[:inner]), np.sort(sorting[inner:])
            points[first + 1:last] = points[first + 1:last][sorting]
            order[first + 1:last] = order[first + 1:last][sorting]
            stack.append((first + 1, middle))
            stack.append((middle, last))


def _vp_search_cpu(tree, queries, indices, distances, own, measured, metric):
    """Parallel over queries, each with its own heap and stack, which holds nodes and how far away their points are at least."""
    points, order, radius = tree
    for q in numba.prange(len(queries)):
        heap, names = distances[q], indices[q]
        stack = [(0, len(points), 0.)]
        while stack:
            first, last, at_least = stack.pop()
            if first == last or at_least > heap[0]:
                continue
            measured[q] += 1
            away = distance(queries[q], points[first], metric)
            if not (own and order[first] == q) and (away, order[first]) < (heap[0], names[0]):
                push(heap, names, away, np.int32(order[first]))
            middle, slack = _children(first, last), 1e-12 * (away + radius[first])      # rounding must not hide a point
            inner = (first + 1, middle, max(at_least, away - radius[first] - slack))
            outer = (middle, last, max(at_least, radius[first] - away - slack))
            if away < radius[first]:            # what is pushed last is looked at first
                stack.append(outer)
                stack.append(inner)
            else:
                stack.append(inner)
                stack.append(outer)
        sort_heap(heap, names)


vp_build_cpu = jit(_vp_build_cpu)
vp_search_cpu = jit(_vp_search_cpu)
