"""Principal components: the directions in which points spread the most; the start of a map, and fewer dimensions before it."""
import numpy as np

from ..checks import whole_number
from ..errors import ShapeError
from ..jit import single_threaded_blas
from .checks import as_points


def pca(X, n_components):
    """Return the points X (N, D) in their first principal components (N, n_components): (X - mean) V, float64.

    V: the eigenvectors of the covariance matrix with the largest eigenvalues, each turned so that its largest entry is
    positive (the sign is free, and so the map is the same on every machine). Raises ShapeError where D or N is too small.
    """
    X = as_points("pca", X)
    n_components = whole_number("pca", "n_components", n_components, 1)
    if n_components > min(X.shape):
        raise ShapeError(f"pca: {n_components} components of points {X.shape}, expected at most {min(X.shape)}")
    X = X - X.mean(axis=0, dtype=float)
    with single_threaded_blas():                # several threads would add in another order: other last digits
        return X @ _directions(X, n_components)


def _directions(X, n_components):
    """Return V (D, n_components) of centred points."""
    if X.shape[1] <= X.shape[0]:
        V = np.linalg.eigh(X.T @ X)[1][:, ::-1][:, :n_components]
    else:                                       # more dimensions than points: X X^T has the same eigenvalues, and is smaller
        V = X.T @ np.linalg.eigh(X @ X.T)[1][:, ::-1][:, :n_components]
        length = np.linalg.norm(V, axis=0)
        V /= np.where(length > 0, length, 1)
    return V * np.where(V[np.abs(V).argmax(axis=0), np.arange(n_components)] < 0, -1, 1)
