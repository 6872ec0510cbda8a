"""Exact k nearest neighbours: every point against every point, in blocks.

    ||a - b||^2 = ||a||^2 - 2 a.b + ||b||^2

so the squared distances between a block of queries and a tile of points are one matrix product, [-2 a, 1] [b, ||b||^2]^T, but
for ||a||^2, which is the same for the whole row and changes no order. A product runs at the speed of the processor; a loop over
pairs would not. In few dimensions a vantage-point tree looks at far fewer points: vp_tree.py.
"""
import numba
import numpy as np

from ..checks import one_of, whole_number
from ..errors import SettingError, ShapeError
from ..jit import jit
from .checks import as_points
from .heap import METRIC_NUMBERS, distance, push, sort_heap
from .vp_tree import VPTree

METRICS = ("euclidean", "cosine", "manhattan", "chebyshev", "precomputed")
SPARE = 8               # candidates beyond k, against the rounding of float32
TILE = 512              # points per product: 128 x 512 distances lie in the cache


def nearest_neighbors(X, k, queries=None, *, metric="euclidean", method="auto"):
    """Return (indices, distances) of the k points of X nearest to each query, both (N, k), the nearest first.

    X (N, D); queries (M, D), default X itself, where a point is not its own neighbour (an identical one may be). Of equally
    near points that of the lower index comes first. metric: "euclidean", "cosine" (1 - cos), "manhattan", "chebyshev", or
    "precomputed": X is (N, N), or queries (M, N), distances. method: "brute", "vp_tree" or "auto" (the tree in few
    dimensions, where it is faster). Exact: what float32 cannot decide is decided in float64. indices int32, distances float64.
    Raises ShapeError, SettingError. Source: own; the tree P. Yianilos 1993, as in L. van der Maaten 2014.
    """
    one_of("metric", metric, METRICS)
    one_of("method", method, ("auto", "brute", "vp_tree"))
    X, asked = as_points("nearest_neighbors", X), queries is not None
    queries = as_points("nearest_neighbors", queries) if asked else X
    if queries.shape[1] != X.shape[1] or (metric == "precomputed" and X.shape[0] != X.shape[1] and not asked):
        raise ShapeError(f"nearest_neighbors: queries {queries.shape} and X {X.shape} do not fit together with metric {metric!r}")
    known = queries.shape[1] if metric == "precomputed" else len(X)
    k = whole_number("nearest_neighbors", "k", k, 1)
    if k > known - (not asked):
        raise SettingError(f"nearest_neighbors: k is {k}, but there are only {known - (not asked)} other points; give less")
    if metric == "precomputed":
        return _from_matrix(queries, k, not asked)
    if metric == "cosine":
        X, queries = _unit("X", X), _unit("queries", queries)
    products = metric in ("euclidean", "cosine")
    if method == "auto":
        method = "vp_tree" if X.shape[1] <= (3 if products else 8) else "brute"
    if products and method == "brute":
        indices, distances = _by_products(X, queries, k, not asked)
    elif method == "brute":
        indices, distances = _one_by_one(X, queries, k, None if asked else np.arange(len(X)), metric)
    else:
        indices, distances = VPTree(X, metric="euclidean" if metric == "cosine" else metric).query(queries, k, not asked)
    return indices, distances ** 2 / 2 if metric == "cosine" else distances


def _unit(name, X):
    """Return the rows of X at length 1: ||a - b||^2 / 2 is then 1 - cos."""
    X = X.astype(float)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    if not length.all():
        raise SettingError(f"nearest_neighbors: row {int(length.argmin())} of {name} is zero, which has no direction; "
                           "take it out or use another metric than cosine")
    return X / length


def _by_products(X, queries, k, own):
    """Find candidates with float32 products and measure them in float64; rows that rounding might have spoilt are done again."""
    count = min(k + SPARE, len(X) - own)
    left, right, scale = _factors(X, queries)
    near, indices = np.full((len(queries), count), np.inf, np.float32), np.zeros((len(queries), count), np.int32)
    knn_cpu(left, right, near, indices, own)
    distances = np.empty((len(queries), count))
    measure_cpu(X, queries, indices, distances)
    indices, distances = indices[:, :k].copy(), distances[:, :k].copy()
    if count < len(X) - own:
        # What is no candidate has a product of at least near[:, 0]. Products are sums of D + 1 terms, whose rounding is at most
        # D + 4 times half an epsilon of sum |2 a b| + ||b||^2 <= 2 ||a|| + 1 (two of the D + 4 for the factors themselves).
        square = np.einsum("ij,ij->i", left[:, :-1], left[:, :-1], dtype=float) / 4         # ||a||^2, scaled
        rounding = (X.shape[1] + 4) * np.finfo(np.float32).eps / 2 * (2 * np.sqrt(square) + 1)
        unsure = np.flatnonzero((distances[:, -1] * scale) ** 2 > near[:, 0] + square - rounding)
        if len(unsure):
            indices[unsure], distances[unsure] = _one_by_one(X, queries[unsure], k, unsure if own else None, "euclidean")
    return indices, distances


def _factors(X, queries):
    """Return [-2 a, 1] of the queries and [b, ||b||^2] of the points in float32, centred and scaled to lengths up to 1."""
    middle = X.mean(axis=0, dtype=float)        # distances do not change, but numbers get smaller, and so does rounding
    X, queries = X - middle, queries - middle
    largest = max(np.linalg.norm(X, axis=1).max(), np.linalg.norm(queries, axis=1).max())
    scale = 1 / largest if largest > 0 else 1.0         # float32 reaches to 1e38 only, and so do squares of 1e19
    right = np.empty((len(X), X.shape[1] + 1), np.float32)
    right[:, :-1] = X * scale
    right[:, -1] = np.einsum("ij,ij->i", right[:, :-1], right[:, :-1], dtype=float)
    left = np.ones((len(queries), X.shape[1] + 1), np.float32)
    left[:, :-1] = -2 * scale * queries
    return left, right, scale


def _one_by_one(X, queries, k, own, metric):
    """Measure every distance as the formula has it; own: which point each query is, or None."""
    own = np.full(len(queries), -1) if own is None else own
    indices, distances = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), np.inf)
    scan_cpu(X, queries, indices, distances, own, METRIC_NUMBERS[metric])
    return indices, distances


def _from_matrix(D, k, own):
    """Return the k smallest of each row of a matrix of distances, its diagonal left out where the points are their own."""
    if (D < 0).any():
        raise SettingError("nearest_neighbors: a precomputed distance is negative; distances are 0 or more")
    if own:
        if np.diagonal(D).any() or not np.allclose(D, D.T):
            raise SettingError("nearest_neighbors: the precomputed distances are not the same both ways, or not 0 from a point "
                               "to itself; expected D[i, j] = D[j, i] and D[i, i] = 0")
        D = D.copy()
        np.fill_diagonal(D, np.inf)
    indices = np.argsort(D, axis=1, kind="stable")[:, :k]
    return indices.astype(np.int32), np.take_along_axis(D, indices, axis=1).astype(float)


# --- kernels ----------------------------------------------------------------------------------------------------------
@numba.njit(fastmath={"nnan", "nsz", "reassoc"})
def _smallest(row, start, end):
    """Return the smallest of row[start:end]; in any order, so: as vectors."""
    smallest = row[start]
    for j in range(start + 1, end):
        smallest = min(smallest, row[j])
    return smallest


def _knn_cpu(left, right, near, which, own):
    """Parallel over blocks of 128 queries; a block owns its rows of `near` and `which`, heaps with the farthest first.

    Once a heap is full of near points few of the others get in, so of 64 distances the smallest is compared with the farthest.
    """
    M, N = len(left), len(right)
    for block in numba.prange((M + 127) // 128):
        first, last = block * 128, min(M, block * 128 + 128)
        products = np.empty((last - first, TILE), left.dtype)
        for tile in range(0, N, TILE):
            width = min(TILE, N - tile)
            if width < TILE:
                products = np.empty((last - first, width), left.dtype)
            np.dot(left[first:last], right[tile:tile + width].T, products)
            for i in range(first, last):
                row, heap, names = products[i - first], near[i], which[i]
                for start in range(0, width, 64):
                    end = min(start + 64, width)
                    if _smallest(row, start, end) < heap[0]:
                        for j in range(start, end):
                            if row[j] < heap[0] and not (own and tile + j == i):
                                push(heap, names, row[j], np.int32(tile + j))


def _measure_cpu(X, queries, indices, distances):
    """Parallel over queries: the distances of their candidates as the formula has them; both in order, the nearest first."""
    for i in numba.prange(len(queries)):
        candidates = indices[i].copy()
        indices[i], distances[i] = 0, np.inf
        for j in candidates:
            push(distances[i], indices[i], distance(queries[i], X[j], 0), j)
        sort_heap(distances[i], indices[i])


def _scan_cpu(X, queries, indices, distances, own, metric):
    """Parallel over queries, each with its own heap; own[i] is the point that is query i itself, or -1."""
    for i in numba.prange(len(queries)):
        for j in range(len(X)):
            if j != own[i]:
                far = distance(queries[i], X[j], metric)
                if far < distances[i, 0]:
                    push(distances[i], indices[i], far, np.int32(j))
        sort_heap(distances[i], indices[i])


knn_cpu = jit(_knn_cpu, blas=True)
measure_cpu = jit(_measure_cpu)
scan_cpu = jit(_scan_cpu)
