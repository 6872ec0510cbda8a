"""SNE and symmetric SNE, what t-SNE came from. Slide "t-SNE and SNE".

    q_{j|i} = exp(-||y_i - y_j||^2) / sum_{k != i} exp(-||y_i - y_k||^2)        (no 1/2: the 2 of the gradient needs it so)

    C = sum_i KL(P_i || Q_i) = sum_i sum_j p_{j|i} ln(p_{j|i} / q_{j|i})

    dC/dy_i = 2 sum_j (p_{j|i} - q_{j|i} + p_{i|j} - q_{i|j}) (y_i - y_j)

Derivation. ln q_{j|i} = -d_ij^2 - ln sum_k exp(-d_ik^2), so dC_i/d(d_ij^2) = p_{j|i} - q_{j|i} and
dC_j/d(d_ij^2) = p_{i|j} - q_{i|j};
d(d_ij^2)/dy_i = 2 (y_i - y_j). (The slides write P_{i|j} for p_{j|i}.)

Symmetric SNE takes one distribution over all pairs, p_ij and q_ij = exp(-||y_i - y_j||^2) / sum_{k != l} exp(-||y_k - y_l||^2):

    C = KL(P || Q),     dC/dy_i = 4 sum_j (p_ij - q_ij) (y_i - y_j)

which is the same formula again, since then p_{j|i} and p_{i|j} are both p_ij. A Gaussian falls so fast that points at a medium
distance have no room: they are crushed together in the middle, the crowding problem. Student's t (tsne.py) has room.
Source: G. Hinton and S. Roweis, "Stochastic neighbor embedding", NIPS 2002; symmetric: J. Cook et al., AISTATS 2007.
"""
import numba
import numpy as np

from ..errors import SettingError, ShapeError
from ..jit import jit
from .checks import as_points, generator, number
from .descent import Descent, MapState, norm
from .sums import ordered_sum


# --- the definition ---------------------------------------------------------------------------------------------------
def gaussian_ref(Y, symmetric=False):
    """Return Q (N, N) of a map Y (N, n_components): Q[i, j] = q_{j|i}, or q_ij."""
    square = ((Y[:, None] - Y[None]) ** 2).sum(axis=2)
    np.fill_diagonal(square, np.inf)
    square -= square.min() if symmetric else square.min(axis=1, keepdims=True)      # cancels out, and exp(0) = 1 never vanishes
    w = np.exp(-square)
    return w / (w.sum() if symmetric else w.sum(axis=1, keepdims=True))


def sne_divergence(P, Y, symmetric=False):
    """Return C of affinities P (N, N), P[i, j] = p_{j|i} (symmetric: p_ij), and a map Y."""
    Q = np.maximum(gaussian_ref(Y, symmetric), np.finfo(float).tiny)
    return float(np.sum(P * (np.log(np.maximum(P, np.finfo(float).tiny)) - np.log(Q))))


def sne_gradient_ref(P, Y, symmetric=False):
    """Return dC/dY (N, n_components)."""
    Q = gaussian_ref(Y, symmetric)
    return 2 * np.einsum("ij,ijc->ic", P - Q + P.T - Q.T, Y[:, None] - Y[None])


# --- fast -------------------------------------------------------------------------------------------------------------
def sne_gradient(P, Y, symmetric=False):
    """Return dC/dY as sne_gradient_ref: one exponential for each pair, and all cores."""
    weights, nearest, sums, gradient = np.empty(P.shape), np.empty(len(Y)), np.empty(len(Y)), np.empty_like(Y)
    gaussian_cpu(Y, weights, nearest, sums)
    if symmetric:                               # exp(nearest_i) was taken off row i; of one sum for all, the same from every row
        least = nearest.min()
        share = np.exp(least - nearest)
        sums = ordered_sum(sums * share) / np.maximum(share, np.finfo(float).tiny)
    sne_gradient_cpu(P, weights, sums, Y, gradient)
    return gradient


def _gaussian_cpu(Y, weights, nearest, sums):
    """Parallel over points, each of which writes its row: exp(nearest_i - d_ij^2), nearest_i the least of the row's d_ij^2."""
    N = len(Y)
    for i in numba.prange(N):
        nearest[i], sums[i] = np.inf, 0.
        for j in range(N):
            square = 0.
            for c in range(Y.shape[1]):
                square += (Y[i, c] - Y[j, c]) ** 2
            weights[i, j] = square if i != j else np.inf
            nearest[i] = min(nearest[i], weights[i, j])
        for j in range(N):
            weights[i, j] = np.exp(nearest[i] - weights[i, j])
            sums[i] += weights[i, j]


def _sne_gradient_cpu(P, weights, sums, Y, gradient):
    """Parallel over points, each of which adds up its own row."""
    for i in numba.prange(len(Y)):
        gradient[i] = 0
        for j in range(len(Y)):
            q = weights[i, j] / sums[i] + weights[j, i] / sums[j]
            for c in range(Y.shape[1]):
                gradient[i, c] += 2 * (P[i, j] + P[j, i] - q) * (Y[i, c] - Y[j, c])


gaussian_cpu, sne_gradient_cpu = jit(_gaussian_cpu), jit(_sne_gradient_cpu)


# --- the technique ----------------------------------------------------------------------------------------------------
def sne_steps(P, start, *, symmetric=False, learning_rate="auto", momentum=(0.5, 0.8), switch_iter=250, noise=0.1,
              noise_decay=0.98, rng=0):
    """Yield MapStates of SNE without end: P (N, N) dense, P[i, j] = p_{j|i} (symmetric: p_ij), start (N, n_components).

    The gradient finds only what lies downhill of a poor start, so the paper shakes the points: with noise of this spread,
    multiplied by noise_decay in every step, that is nothing in the end (0: none). learning_rate: "auto" is 0.1, for symmetric
    SNE, whose p are smaller by the factor N, 0.1 N. momentum: before and after `switch_iter`.
    """
    P, start = as_points("sne_steps", P).astype(float), as_points("sne_steps", start).astype(float)
    if P.shape != (len(start), len(start)):
        raise ShapeError(f"sne_steps: P {P.shape} and start of {len(start)} points do not fit together; P should be (N, N)")
    if (P < 0).any() or np.diagonal(P).any():
        raise SettingError("sne_steps: P has negative entries or a diagonal that is not 0; expected affinities between points")
    rng, descent, step = generator("sne_steps", rng), Descent(start), 0
    noise = number("sne_steps", "noise", noise, at_least=0)
    noise_decay = number("sne_steps", "noise_decay", noise_decay, at_least=0)
    rate = (0.1 * len(start) if symmetric else 0.1) if learning_rate == "auto" else number(
        "sne_steps", "learning_rate", learning_rate, above=0)
    while True:
        slope = sne_gradient(P, descent.Y, symmetric)
        yield MapState(step, descent.Y.copy(), norm(slope), lambda Y: sne_divergence(P, Y, symmetric))
        descent.move(slope, rate, momentum[step >= switch_iter])
        descent.Y += noise * noise_decay ** step * rng.normal(size=start.shape)
        step += 1
