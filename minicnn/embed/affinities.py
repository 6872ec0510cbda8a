"""Affinities: how much each point takes another for its neighbour. Slides "t-SNE and SNE" and "More on t-SNE".

    p_{j|i} = exp(-beta_i ||x_i - x_j||^2) / sum_{k != i} exp(-beta_i ||x_i - x_k||^2),    beta_i = 1 / (2 sigma_i^2), p_{i|i} = 0

Each point has a width sigma_i of its own, so that all have as many neighbours: the entropy H_i = -sum_j p_{j|i} ln p_{j|i} is
brought to ln(perplexity) by bisection: `conditional_ref` is the formula, `conditional_affinities` finds sigma too. (The slides
write P_{i|j} for what is p_{j|i} here and in the papers, and once sigma_j.)

    p_ij = (p_{j|i} + p_{i|j}) / (2 N)          symmetric, and all together 1

(The slide divides by 2 alone: then they add up to N, and the gradient 4 sum (p_ij - q_ij) ... would be wrong.)
A point hardly notices those far away, so its 3 x perplexity nearest neighbours are enough: the sparse form.
Source: L. van der Maaten and G. Hinton, JMLR 2008; L. van der Maaten, JMLR 2014. The article "How to use t-SNE effectively"
fed distances that were not squared into its program, so that its pictures show exp(-beta ||x_i - x_j||): kernel="laplace".
"""
import warnings

import numba
import numpy as np
import scipy.sparse

from ..checks import number, one_of, whole_number
from ..errors import SettingError, ShapeError
from ..jit import jit
from .checks import as_points
from .neighbors import nearest_neighbors

KERNELS = ("gaussian", "laplace")


def conditional_ref(distances, sigma):
    """Return p_{j|i} (N, N) of distances (N, N) between all points and sigma (N,), line for line as above."""
    ### BEGIN SOLUTION hw3.1
    w = np.exp(-distances ** 2 / (2 * sigma[:, None] ** 2))
    np.fill_diagonal(w, 0)
    return w / w.sum(axis=1, keepdims=True)
    ### END SOLUTION hw3.1


def conditional_affinities(distances, perplexity, kernel="gaussian", return_sigma=False):
    """Return p_{j|i} (N, K): the rows of `distances` (N, K), of each point to others, as probabilities of that perplexity.

    The perplexity is met within 1e-5, where that can be: among K others it is at most K (all alike, sigma without bounds, with a
    warning), and at least the number of nearest ones at the same distance. return_sigma: return (p, sigma (N,)).
    Raises ShapeError, SettingError, UnknownNameError. Slide "t-SNE and SNE". Source: see above.
    """
    one_of("kernel", kernel, KERNELS)
    distances = as_points("conditional_affinities", distances).astype(float)
    perplexity = number("conditional_affinities", "perplexity", perplexity, at_least=1)
    if (distances < 0).any():
        raise SettingError("conditional_affinities: a distance is negative; distances are 0 or more")
    if perplexity >= distances.shape[1]:
        warnings.warn(f"perplexity {perplexity:g} asks for more neighbours than there are, {distances.shape[1]}: each of them "
                      "counts the same now; give a smaller perplexity to tell near from far", stacklevel=2)
    largest = distances.max(axis=1, keepdims=True)      # scaled, so that squares do not overflow
    scaled = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)
    exponents, p = scaled ** 2 if kernel == "gaussian" else scaled, np.empty_like(distances)
    at = min(int(perplexity), distances.shape[1] - 1)           # the search begins at the distance of that neighbour
    middle = np.partition(exponents, at, axis=1)[:, at]
    beta = 1 / np.where(middle > 0, np.maximum(middle, 1e-300), 1)
    bisection_cpu(exponents, p, beta, np.log(perplexity), 1e-5 / perplexity)
    if not return_sigma:
        return p
    return p, np.sqrt(largest[:, 0] ** (2 if kernel == "gaussian" else 1) / (2 * beta))


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
    """Return p_ij of the points X (N, D) as a sparse matrix (N, N): of each point's nearest `neighbors`, default 3 x perplexity.

    metric: see nearest_neighbors; kernel: "gaussian" or "laplace". With N - 1 neighbours the matrix holds all pairs.
    Raises ShapeError, SettingError, UnknownNameError. Slide "More on t-SNE". Source: L. van der Maaten, JMLR 2014.
    """
    X = _at_least_two("sparse_affinities", X)
    count = neighbor_count("sparse_affinities", len(X) - 1, perplexity, neighbors)
    indices, distances = nearest_neighbors(X, count, metric=metric)
    return symmetrized(indices, conditional_affinities(distances, perplexity, kernel))


def neighbor_count(name, most, perplexity, neighbors=None):
    """Return how many neighbours count for a perplexity: 3 x perplexity, or `neighbors`; at least 1 and at most `most`."""
    wanted = number(name, "perplexity", perplexity, at_least=1)
    return max(1, min(most, int(3 * min(wanted, most)) if neighbors is None else whole_number(name, "neighbors", neighbors, 1)))


def dense_affinities(X, perplexity=30, metric="euclidean", symmetric=False):
    """Return p_{j|i}, or p_ij if symmetric, of all pairs of points as an array (N, N) with row i for point i: for SNE.

    Raises ShapeError, SettingError, UnknownNameError. Slide "t-SNE and SNE". Source: see above.
    """
    X = _at_least_two("dense_affinities", X)
    indices, distances = nearest_neighbors(X, len(X) - 1, metric=metric)
    P = np.zeros((len(X), len(X)))
    np.put_along_axis(P, indices.astype(np.int64), conditional_affinities(distances, perplexity), axis=1)
    return (P + P.T) / (2 * len(X)) if symmetric else P


def _at_least_two(name, X):
    X = as_points(name, X)
    if len(X) < 2:
        raise ShapeError(f"{name}: the points have shape {X.shape}; one point has no neighbours, expected at least two")
    return X


def as_affinities(name, P, N, conditional=False):
    """Return p_ij (or p_{j|i} if conditional), sparse or dense, as a sparse float64 matrix (N, N), if it is what it should be.

    Not negative, p_ii = 0; p_ij: symmetric (told by the sums of rows and columns) and 1 in sum; p_{j|i}: 1 in each row.
    """
    try:
        P = scipy.sparse.csr_matrix(P)
        P = P.astype(float, copy=False) if P.dtype.kind in "fiub" else None
    except (TypeError, ValueError):
        P = None
    if P is None or P.shape != (N, N):
        given = "is no table of real numbers" if P is None else f"{P.shape} and start of {N} points do not fit together"
        raise ShapeError(f"{name}: P {given}; P should be ({N}, {N}), sparse or dense")
    if not np.isfinite(P.data).all() or (P.data < 0).any() or P.diagonal().any():
        raise SettingError(f"{name}: P has entries that are negative or no numbers, or on its diagonal; expected affinities "
                           "between points, 0 or more")
    rows, columns = (np.asarray(P.sum(axis=axis)).ravel() for axis in (1, 0))
    if conditional and not np.allclose(rows, 1, atol=1e-3):
        raise SettingError(f"{name}: the rows of P add up to {rows.min():.3g} ... {rows.max():.3g}, expected 1; take those of "
                           "dense_affinities(X), or say symmetric=True if P is p_ij")
    if not conditional and not (abs(rows.sum() - 1) < 1e-3 and np.allclose(rows, columns, rtol=1e-3, atol=1e-6 / N)):
        raise SettingError(f"{name}: P adds up to {rows.sum():.3g} or is not symmetric, expected p_ij, symmetric and 1 in sum; "
                           "take sparse_affinities(X), or dense_affinities(X, symmetric=True)")
    return P


def reordered(P, order):
    """Return the sparse P with rows and columns in another order: entry (a, b) is P's (order[a], order[b])."""
    places, lengths = np.empty(len(order), P.indices.dtype), np.diff(P.indptr)[order]
    places[order] = np.arange(len(order))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(P.indptr.dtype)
    indices, data = np.empty_like(P.indices), np.empty_like(P.data)
    reorder_cpu((P.indptr, P.indices, P.data), order, places, indptr, indices, data)
    return scipy.sparse.csr_matrix((data, indices, indptr), P.shape)


def perplexity_of(p):
    """Return exp(H_i) of each row of p_{j|i} (N, K): the effective number of a point's neighbours."""
    return np.exp(-np.sum(p * np.log(np.maximum(p, np.finfo(float).tiny)), axis=1))


@numba.njit
def next_beta(excess, beta, low, high):
    """Return (next beta, low, high), the bounds between which H = goal lies, after H - goal = `excess` was found at beta.

        H > goal: low <- beta, beta <- 2 beta, or (beta + high) / 2 if there is a high
        else:     high <- beta, beta <- (low + beta) / 2
    """
    ### BEGIN SOLUTION hw3.1
    if excess > 0:                              # too many neighbours: narrower
        return (min(2 * beta, 1e300) if high == np.inf else (beta + high) / 2), beta, high
    return (low + beta) / 2, low, beta
    ### END SOLUTION hw3.1


def _bisection_cpu(exponents, p, betas, goal, tolerance):
    """Parallel over points: double or halve beta until H = goal lies between two betas, then halve the gap.

    With s = sum_k exp(-beta d_k), the entropy is H = ln s + beta sum_k d_k exp(-beta d_k) / s: it falls as beta rises.
    """
    ### BEGIN SOLUTION hw3.1
    for i in numba.prange(len(exponents)):
        row, nearest = exponents[i], np.inf     # the nearest is taken off all: cancels out, and exp(0) = 1 never vanishes
        for j in range(len(row)):
            nearest = min(nearest, row[j])
        low, high, beta, total = 0., np.inf, betas[i], 1.
        for _ in range(200):
            total, weighted = 0., 0.
            for j in range(len(row)):
                p[i, j] = np.exp(-beta * (row[j] - nearest))
                total += p[i, j]
                weighted += p[i, j] * (row[j] - nearest)
            excess = np.log(total) + beta * weighted / total - goal
            if abs(excess) < tolerance:
                break
            beta, low, high = next_beta(excess, beta, low, high)
        betas[i] = beta
        for j in range(len(row)):
            p[i, j] /= total
    ### END SOLUTION hw3.1


def _reorder_cpu(P, order, places, indptr, indices, data):
    """Parallel over the new rows."""
    old_indptr, old_indices, old_data = P
    for i in numba.prange(len(order)):
        start = old_indptr[order[i]]
        for k in range(indptr[i + 1] - indptr[i]):
            indices[indptr[i] + k], data[indptr[i] + k] = places[old_indices[start + k]], old_data[start + k]


bisection_cpu, reorder_cpu = jit(_bisection_cpu), jit(_reorder_cpu)
