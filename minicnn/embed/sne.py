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
from functools import partial

import numba
import numpy as np

from ..checks import generator, number, whole_number
from ..jit import jit
from .affinities import as_affinities
from .checks import as_start, momenta, rate
from .descent import Descent, MapState, norm
from .sums import ordered_sum


# --- the definition ---------------------------------------------------------------------------------------------------
def gaussian_ref(Y, symmetric=False):
    """Return Q (N, N) of a map Y (N, n_components): Q[i, j] = q_{j|i}, or q_ij."""
    ### BEGIN SOLUTION hw3.2
    square = ((Y[:, None] - Y[None]) ** 2).sum(axis=2)
    np.fill_diagonal(square, np.inf)
    square -= square.min() if symmetric else square.min(axis=1, keepdims=True)      # cancels out, and exp(0) = 1 never vanishes
    w = np.exp(-square)
    return w / (w.sum() if symmetric else w.sum(axis=1, keepdims=True))
    ### END SOLUTION hw3.2


def sne_divergence(P, Y, symmetric=False):
    """Return C of affinities P (N, N), P[i, j] = p_{j|i} (symmetric: p_ij), and a map Y."""
    ### BEGIN SOLUTION hw3.2
    Q = np.maximum(gaussian_ref(Y, symmetric), np.finfo(float).tiny)
    return float(np.sum(P * (np.log(np.maximum(P, np.finfo(float).tiny)) - np.log(Q))))
    ### END SOLUTION hw3.2


def sne_gradient_ref(P, Y, symmetric=False):
    """Return dC/dY (N, n_components)."""
    ### BEGIN SOLUTION hw3.2
    Q = gaussian_ref(Y, symmetric)
    return 2 * np.einsum("ij,ijc->ic", P - Q + P.T - Q.T, Y[:, None] - Y[None])
    ### END SOLUTION hw3.2


# --- fast -------------------------------------------------------------------------------------------------------------
def sne_gradient(P, Y, symmetric=False):
    """Return dC/dY as sne_gradient_ref: one exponential for each pair, and all cores."""
    weights, nearest, sums, gradient = np.empty(P.shape), np.empty(len(Y)), np.empty(len(Y)), np.empty(Y.shape)
    gaussian_cpu(Y, weights, nearest, sums)
    if symmetric:                               # exp(nearest_i) was taken off row i; of one sum for all, the same from every row
        least = nearest.min()
        share = np.exp(least - nearest)
        with np.errstate(over="ignore"):        # inf: a share of 0 in the sum
            sums = ordered_sum(sums * share) / np.maximum(share, np.finfo(float).tiny)
    sne_gradient_cpu(P, weights, sums, Y, gradient)
    return gradient


def _gaussian_cpu(Y, weights, nearest, sums):
    """Parallel over points, each of which writes its row: exp(nearest_i - d_ij^2), nearest_i the least of the row's d_ij^2."""
    ### BEGIN SOLUTION hw3.2
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
    ### END SOLUTION hw3.2


def _sne_gradient_cpu(P, weights, sums, Y, gradient):
    """Parallel over points, each of which adds up its own row."""
    ### BEGIN SOLUTION hw3.2
    for i in numba.prange(len(Y)):
        gradient[i] = 0
        for j in range(len(Y)):
            q = weights[i, j] / sums[i] + weights[j, i] / sums[j]
            for c in range(Y.shape[1]):
                gradient[i, c] += 2 * (P[i, j] + P[j, i] - q) * (Y[i, c] - Y[j, c])
    ### END SOLUTION hw3.2


gaussian_cpu, sne_gradient_cpu = jit(_gaussian_cpu), jit(_sne_gradient_cpu)


# --- the technique ----------------------------------------------------------------------------------------------------
def sne_steps(P, start, *, symmetric=False, learning_rate="auto", momentum=(0.5, 0.8), switch_iter=250, noise=0.1,
              noise_decay=0.98, rng=0):
    """Yield MapStates of SNE without end: P (N, N) dense, P[i, j] = p_{j|i} (symmetric: p_ij), start (N, n_components).

    Downhill of a poor start there may be no good map, so the paper shakes the points: noise of this spread is added in step 0,
    and noise_decay times as much in each step as in the one before (0: none). learning_rate: "auto" is 0.1, for symmetric SNE,
    whose p are smaller by the factor N, 0.1 N. momentum: before and after `switch_iter`. rng: a seed or Generator.
    Raises ShapeError, SettingError; MinicnnError where the map flies apart. Slide "t-SNE and SNE". Source: see above.
    """
    start = as_start("sne_steps", start).astype(float)
    P = as_affinities("sne_steps", P, len(start), conditional=not symmetric).toarray()
    rng, descent, step = generator("sne_steps", rng), Descent(start), 0
    noise = number("sne_steps", "noise", noise, at_least=0)
    noise_decay = number("sne_steps", "noise_decay", noise_decay, at_least=0)
    switch_iter = whole_number("sne_steps", "switch_iter", switch_iter, 0)
    learning_rate, momentum = rate("sne_steps", learning_rate), momenta("sne_steps", momentum)
    if learning_rate == "auto":
        learning_rate = 0.1 * len(start) if symmetric else 0.1
    while True:
        slope = sne_gradient(P, descent.Y, symmetric)
        yield MapState(step, descent.Y.copy(), norm(slope), partial(sne_divergence, P, symmetric=symmetric))
        descent.move(slope, learning_rate, momentum[0] if step < switch_iter else momentum[1])
        descent.Y += noise * noise_decay ** step * rng.normal(size=start.shape)
        step += 1
