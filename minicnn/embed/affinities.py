"""Affinities: how much each point takes another for its neighbour. Slides "t-SNE and SNE" and "More on t-SNE".

    p_{j|i} = exp(-beta_i ||x_i - x_j||^2) / sum_{k != i} exp(-beta_i ||x_i - x_k||^2),    beta_i = 1 / (2 sigma_i^2), p_{i|i} = 0

Each point has a width sigma_i of its own, so that all have as many neighbours: the entropy H_i = -sum_j p_{j|i} ln p_{j|i} is
brought to ln(perplexity) by bisection. (The slides write P_{i|j} for what is p_{j|i} here and in the papers, and once sigma_j.)

    p_ij = (p_{j|i} + p_{i|j}) / (2 N)          symmetric, and all together 1

(The slide divides by 2 alone: then they add up to N, and the gradient 4 sum (p_ij - q_ij) ... would be wrong.)
A point hardly notices those far away, so that 3 x perplexity neighbours do: the sparse form.
Source: L. van der Maaten and G. Hinton, JMLR 2008; L. van der Maaten, JMLR 2014. The article "How to use t-SNE effectively"
fed distances that were not squared into its program, so that its pictures show exp(-beta ||x_i - x_j||): kernel="laplace".
"""
import warnings

import numba
import numpy as np
import scipy.sparse

from ..errors import ShapeError, unknown_name
from ..jit import jit
from .checks import as_points, number, whole_number
from .neighbors import nearest_neighbors

KERNELS = ("gaussian", "laplace")


def conditional_affinities(distances, perplexity, kernel="gaussian"):
    """Return p_{j|i} (N, K): the rows of `distances` (N, K), of each point to others, as probabilities of that perplexity.

    The perplexity is met within 1e-5, where that can be: among K others it is at most K (all alike, sigma without bounds, with a
    warning), and at least the number of nearest ones at the same distance. Raises ShapeError, SettingError.
    """
    if kernel not in KERNELS:
        raise unknown_name("kernel", kernel, KERNELS)
    distances = as_points("conditional_affinities", distances).astype(float)
    perplexity = number("conditional_affinities", "perplexity", perplexity, at_least=1)
    if perplexity >= distances.shape[1]:
        warnings.warn(f"perplexity {perplexity:g} asks for more neighbours than there are, {distances.shape[1]}: each of them "
                      "counts the same now; give a smaller perplexity to tell near from far", stacklevel=2)
    largest = distances.max(axis=1, keepdims=True)      # scaled, so that squares do not overflow
    scaled = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)
    p = np.empty_like(distances)
    bisection_cpu(scaled ** 2 if kernel == "gaussian" else scaled, p, np.log(perplexity), 1e-5 / perplexity)
    return p


def symmetrized(indices, conditional):
    """Return p_ij as a sparse matrix (N, N) of float64, from the neighbours' indices and p_{j|i}, both (N, K)."""
    if indices.shape != conditional.shape:
        raise ShapeError(f"symmetrized: indices {indices.shape} and conditional affinities {conditional.shape} should have "
                         "the same shape (N, K)")
    N, K = indices.shape
    P = scipy.sparse.csr_matrix((conditional.ravel(), indices.ravel(), np.arange(0, N * K + 1, K, dtype=np.int32)), (N, N))
    P = ((P + P.T) / (2 * N)).tocsr()
    P.sort_indices()
    return P


def sparse_affinities(X, perplexity=30, *, metric="euclidean", kernel="gaussian", neighbors=None):
    """Return p_ij of the points X (N, D) as a sparse matrix: of each point's nearest `neighbors`, by default 3 x perplexity.

    metric: see nearest_neighbors. With N - 1 neighbours the matrix holds all pairs.
    """
    X = as_points("sparse_affinities", X)
    count = neighbor_count("sparse_affinities", len(X) - 1, perplexity, neighbors)
    indices, distances = nearest_neighbors(X, count, metric=metric)
    return symmetrized(indices, conditional_affinities(distances, perplexity, kernel))


def neighbor_count(name, most, perplexity, neighbors=None):
    """Return how many neighbours count for a perplexity: 3 x perplexity, or `neighbors`; at least 1 and at most `most`."""
    count = int(3 * number(name, "perplexity", perplexity, at_least=1)) if neighbors is None else neighbors
    return max(1, min(most, whole_number(name, "neighbors", count, 1)))


def dense_affinities(X, perplexity=30, metric="euclidean", symmetric=False):
    """Return p_{j|i}, or p_ij if symmetric, of all pairs of points as an array (N, N) with row i for point i: for SNE."""
    X = as_points("dense_affinities", X)
    indices, distances = nearest_neighbors(X, len(X) - 1, metric=metric)
    P = np.zeros((len(X), len(X)))
    np.put_along_axis(P, indices.astype(np.int64), conditional_affinities(distances, perplexity), axis=1)
    return (P + P.T) / (2 * len(X)) if symmetric else P


def reordered(P, order):
    """Return the sparse P with rows and columns in another order: entry (a, b) is P's (order[a], order[b])."""
    places, lengths = np.empty(len(order), P.indices.dtype), np.diff(P.indptr)[order]
    places[order] = np.arange(len(order))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(P.indptr.dtype)
    indices, data = np.empty_like(P.indices), np.empty_like(P.data)
    reorder_cpu((P.indptr, P.indices, P.data), order, places, indptr, indices, data)
    return scipy.sparse.csr_matrix((data, indices, indptr), P.shape)


def perplexity_of(p):
    """Return exp(H_i) of each row of p_{j|i} (N, K): the number of neighbours that a point has, so to say."""
    return np.exp(-np.sum(p * np.log(np.maximum(p, np.finfo(float).tiny)), axis=1))


def _bisection_cpu(exponents, p, goal, tolerance):
    """Parallel over points: double or halve beta until H = goal lies between two betas, then halve the gap.

    With s = sum_k exp(-beta d_k), the entropy is H = ln s + beta sum_k d_k exp(-beta d_k) / s: it falls as beta rises.
    """
    for i in numba.prange(len(exponents)):
        row, nearest = exponents[i], np.inf     # the nearest is taken off all: cancels out, and exp(0) = 1 never vanishes
        for j in range(len(row)):
            nearest = min(nearest, row[j])
        low, high, beta, total = 0., np.inf, 1., 1.
        for _ in range(200):
            total, weighted = 0., 0.
            for j in range(len(row)):
                p[i, j] = np.exp(-beta * (row[j] - nearest))
                total += p[i, j]
                weighted += p[i, j] * (row[j] - nearest)
            excess = np.log(total) + beta * weighted / total - goal
            if abs(excess) < tolerance:
                break
            if excess > 0:                      # too many neighbours: narrower
                low = beta
                beta = 2 * beta if high == np.inf else (low + high) / 2
            else:
                high = beta
                beta = (low + high) / 2
        for j in range(len(row)):
            p[i, j] /= total


def _reorder_cpu(P, order, places, indptr, indices, data):
    """Parallel over the new rows."""
    old_indptr, old_indices, old_data = P
    for i in numba.prange(len(order)):
        start = old_indptr[order[i]]
        for k in range(indptr[i + 1] - indptr[i]):
            indices[indptr[i] + k], data[indptr[i] + k] = places[old_indices[start + k]], old_data[start + k]


bisection_cpu, reorder_cpu = jit(_bisection_cpu), jit(_reorder_cpu)
