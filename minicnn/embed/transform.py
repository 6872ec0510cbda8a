"""New points on a finished map: the map stays as it is, and each new point finds its place by itself.

With w_ij = 1 / (1 + ||y_i - y_j||^2) between a new point i and the points j of the map, q_{j|i} = w_ij / Z_i, Z_i = sum_j w_ij:

    C_i = sum_j p_{j|i} ln(p_{j|i} / q_{j|i}),      dC_i/dy_i = 2 sum_j (p_{j|i} - q_{j|i}) w_ij (y_i - y_j)

So new points do not see each other, and a point's place does not depend on what else is asked for (but for the approximation
of Barnes-Hut, whose groups of neighbours are others then). It starts at the mean of its neighbours, weighted by p. Source: own;
to start from the neighbours: P. Policar et al., openTSNE, 2019.
"""
from functools import partial

import numpy as np
import scipy.sparse

from ..checks import number
from ..errors import ShapeError
from .affinities import conditional_affinities, neighbor_count
from .barnes_hut import LEAF, attraction_cpu, cells_of, reach, repulsion_cpu
from .checks import as_points
from .descent import Descent, MapState, norm
from .neighbors import nearest_neighbors
from .quadtree import QuadTree, morton_order
from .tsne import exact_cpu


def transform_steps(X, embedding, new, *, perplexity=30, metric="euclidean", kernel="gaussian", theta=0.5, learning_rate=1.0,
                    momentum=0.5):
    """Yield MapStates of new points (M, D) without end, on the map `embedding` (N, n_components) of the points X (N, D).

    Each new point has its neighbours among X, as in affinities.py; theta as in barnes_hut.py (maps of 2 components).
    Raises ShapeError, SettingError.
    """
    X = as_points("transform", X)
    new, embedding = as_points("transform", new, X.shape[1]), as_points("transform", embedding).astype(float)
    if len(embedding) != len(X):
        raise ShapeError(f"transform: the map has {len(embedding)} points, but {len(X)} were given with it")
    indices, distances = nearest_neighbors(X, neighbor_count("transform", len(X), perplexity), new, metric=metric)
    p = conditional_affinities(distances, perplexity, kernel)
    P = scipy.sparse.csr_matrix((p.ravel(), indices.ravel(), np.arange(0, p.size + 1, p.shape[1])), (len(new), len(X)))
    descent, repel, step = Descent(P @ embedding), _repulsion(embedding, theta), 0
    attraction = np.empty_like(descent.Y)
    learning_rate = number("transform", "learning_rate", learning_rate, above=0)
    while True:
        attraction_cpu(P.indptr, P.indices, P.data, descent.Y, embedding, attraction)
        repulsion, Z = repel(descent.Y)
        slope = 2 * (attraction - repulsion / Z[:, None])
        yield MapState(step, descent.Y.copy(), norm(slope), partial(transform_divergence, P, embedding=embedding))
        descent.move(slope, learning_rate, momentum, centred=False)
        step += 1


def _repulsion(embedding, theta):
    """Return a function of new points Y that returns the repulsion by the map and Z_i of each; the tree is built once."""
    if embedding.shape[1] != 2:
        across = np.ascontiguousarray(embedding.T)

        def repel(Y):
            repulsion, z = np.empty_like(Y), np.empty(len(Y))
            exact_cpu(np.ascontiguousarray(Y.T), across, False, repulsion, z)
            return repulsion, z
        return repel
    tree = QuadTree(embedding, leaf_size=LEAF)
    points, cells, far = embedding[tree.order], cells_of(tree), reach(tree, number("transform", "theta", theta, at_least=0))

    def repel(Y):
        order = morton_order(Y)
        repulsion, z = np.empty_like(Y), np.empty(len(Y))
        repulsion_cpu(Y[order], points, order, cells, far, False, repulsion, z)
        Z = np.empty(len(Y))
        Z[order] = z
        return repulsion, Z
    return repel


def transform_divergence(P, Y, embedding):
    """Return sum_i KL(P_i || Q_i) of new points Y (M, n_components) on a map; P sparse (M, N), rows that add up to 1."""
    ### BEGIN SOLUTION hw3.3
    total = 0.0
    for i in range(len(Y)):
        w = 1 / (1 + ((Y[i] - embedding) ** 2).sum(axis=1))
        row = slice(P.indptr[i], P.indptr[i + 1])
        p = np.maximum(P.data[row], np.finfo(float).tiny)
        total += np.sum(p * np.log(p / (w[P.indices[row]] / w.sum())))
    return float(total)
    ### END SOLUTION hw3.3
