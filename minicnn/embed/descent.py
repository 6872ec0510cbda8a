"""What moves the points: gradient descent with momentum and gains, the recipe of the t-SNE paper's program.

    gain_i  += 0.2 where the gradient and the last move differ in sign (we are on the way), *= 0.8 elsewhere, at least 0.01
    move_i   = momentum move_i - learning_rate gain_i gradient_i
    y_i     += move_i

The gains belong to single coordinates (R. Jacobs, "Increased rates of convergence through learning rate adaptation", 1988).
"""
from dataclasses import dataclass

import numba
import numpy as np

from ..checks import generator, one_of
from ..errors import MinicnnError, SettingError
from ..jit import jit
from .checks import as_points
from .principal_components import pca
from .sums import ordered_sum


@dataclass(frozen=True)
class MapState:
    """A map on its way: step 0 is the start. Arrays are fresh."""
    step: int
    embedding: np.ndarray       # (N, n_components)
    gradient_norm: float        # of the gradient there, with the exaggeration of the moment
    divergence: object          # a function of the embedding that returns the objective, called only if asked

    @property
    def kl_divergence(self):
        """The objective at this map: KL(P || Q), or for SNE the sum of KL(P_i || Q_i). Computed when asked for."""
        return self.divergence(self.embedding)


class Descent:
    """Moving points Y (N, n_components), changed in place by `move`."""

    def __init__(self, Y):
        self.Y, self.moves, self.gains = Y.copy(), np.zeros_like(Y), np.ones_like(Y)
        self.limit = 1e6 * max(1.0, float(np.abs(Y).max()))     # no good map is so wide

    def move(self, gradient, learning_rate, momentum, centred=True):
        """Take one step against the gradient; centred: the map's middle is put at 0. Raises MinicnnError if it flies apart."""
        descent_cpu(self.Y, self.moves, self.gains, gradient, learning_rate, momentum)
        middle = ordered_sum(self.Y) / len(self.Y)
        if not max(self.Y.max(), -self.Y.min()) < self.limit:       # or no number
            raise MinicnnError(f"the map flew apart with learning_rate {learning_rate:g}; give a smaller one, or less "
                               "exaggeration or noise if you gave much")
        if centred:
            self.Y -= middle.astype(self.Y.dtype)

    def reorder(self, order):
        """Bring the points into another order."""
        self.Y, self.moves, self.gains = self.Y[order], self.moves[order], self.gains[order]


def norm(gradient):
    """Return the length of a gradient (N, n_components), summed in float64 by one thread."""
    return float(np.sqrt(ordered_sum(gradient * gradient).sum()))


def _descent_cpu(Y, moves, gains, gradient, learning_rate, momentum):
    """Parallel over points."""
    ### BEGIN SOLUTION hw3.4
    kind = Y.dtype.type
    up, down, least, rate, inertia = kind(0.2), kind(0.8), kind(0.01), kind(learning_rate), kind(momentum)
    for i in numba.prange(len(Y)):
        for c in range(Y.shape[1]):
            on_the_way = (gradient[i, c] > 0) != (moves[i, c] > 0) or (gradient[i, c] < 0) != (moves[i, c] < 0)
            gains[i, c] = gains[i, c] + up if on_the_way else max(gains[i, c] * down, least)
            moves[i, c] = inertia * moves[i, c] - rate * gains[i, c] * gradient[i, c]
            Y[i, c] += moves[i, c]
    ### END SOLUTION hw3.4


descent_cpu = jit(_descent_cpu)


def start_of(X, init, n_components, rng):
    """Return where the points start (N, n_components): "pca" of X with a spread of 0.0001, "random" with the same, or an array.

    A map that starts tiny leaves every point the way to every place. Raises SettingError, ShapeError.
    """
    if isinstance(init, str) and init == "pca":
        if min(X.shape) >= n_components:
            Y = pca(X, n_components)
            spread = Y[:, 0].std()
            if spread > 0:
                return Y / spread * 1e-4
        init = "random"                         # there are fewer directions than the map has, or all points are the same
    if isinstance(init, str):
        one_of("start of a map", init, ("pca", "random"))
        return generator("init", rng).normal(scale=1e-4, size=(len(X), n_components))
    start = as_points("init (\"pca\", \"random\" or an array)", init, n_components).astype(float)
    if len(start) != len(X):
        raise SettingError(f"init has {len(start)} rows for {len(X)} points; expected one for each, \"pca\" or \"random\"")
    return start
