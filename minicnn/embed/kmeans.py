"""k-means (Lloyd 1982), started as k-means++ (Arthur and Vassilvitskii 2007). Slide "Class model visualization", Algorithm 1.

    inertia = sum_i ||x_i - c_a(i)||^2
    assign: a(i) = the nearest of the k centres;      move: c_j = mean of the points that it got;      both lower the inertia
"""
from dataclasses import dataclass

import numpy as np

from ..checks import generator, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, until
from .checks import as_points


@dataclass(frozen=True)
class KMeansState:
    """centers (k, D) after `step` moves, labels (N,): the nearest of them for each point, inertia: what is left."""
    step: int
    centers: np.ndarray
    labels: np.ndarray
    inertia: float
    moved: bool                 # False when this step lowered the inertia no more: the end


def kmeans_steps(X, k, *, centers=None, rng=0):
    """Yield a KMeansState at the start and after every move of the centres, without end.

    X (N, D). centers (k, D): where to start; by default k-means++: each next centre is a point drawn with a probability in
    proportion to its squared distance from the centres so far. A centre that got no points takes the point farthest from its own.
    """
    X = as_points("kmeans", X).astype(np.float64)
    k = whole_number("kmeans", "k", k, 1)
    if k > len(X):
        raise SettingError(f"kmeans: {k} clusters of {len(X)} points, expected at most as many as points")
    centers = _plus_plus(X, k, generator("kmeans", rng)) if centers is None else as_points("kmeans", centers).astype(np.float64)
    if centers.shape != (k, X.shape[1]):
        raise ShapeError(f"kmeans: centers have shape {centers.shape}, expected {(k, X.shape[1])}")
    labels, distances = _nearest(X, centers)
    state = KMeansState(0, centers, labels, float(distances.sum()), True)
    yield state
    while True:
        centers = np.stack([X[labels == j].mean(axis=0) if (labels == j).any() else centers[j] for j in range(k)])
        far = list(np.argsort(-distances, kind="stable"))
        for j in range(k):
            if not (labels == j).any():
                centers[j] = X[far.pop(0)]
        labels, distances = _nearest(X, centers)
        inertia = float(distances.sum())
        state = KMeansState(state.step + 1, centers, labels, inertia, inertia < state.inertia)
        yield state


def kmeans(X, k, *, centers=None, rng=0, restarts=10):
    """Return the KMeansState with the least inertia of several runs to their ends (one, if `centers` are given)."""
    rng = generator("kmeans", rng)
    runs = [last(until(lambda state: not state.moved, kmeans_steps(X, k, centers=centers, rng=rng)))
            for _ in range(whole_number("kmeans", "restarts", restarts, 1) if centers is None else 1)]
    return min(runs, key=lambda state: state.inertia)


def _nearest(X, centers):
    """Return (index of the nearest centre (N,), squared distance to it (N,)); ties go to the first."""
    distances = np.stack([((X - c) ** 2).sum(axis=1) for c in centers], axis=1)
    labels = distances.argmin(axis=1)
    return labels, distances[np.arange(len(X)), labels]


def _plus_plus(X, k, rng):
    """Return k of the points, far from one another more likely than near."""
    centers = [X[rng.integers(len(X))]]
    nearest = ((X - centers[0]) ** 2).sum(axis=1)
    for _ in range(k - 1):
        total = nearest.sum()
        chosen = rng.choice(len(X), p=nearest / total) if total > 0 else rng.integers(len(X))
        centers.append(X[chosen])
        nearest = np.minimum(nearest, ((X - X[chosen]) ** 2).sum(axis=1))
    return np.stack(centers)
