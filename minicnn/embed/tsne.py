"""t-SNE: points that were neighbours become neighbours in the plane. Slide "More on t-SNE".

    q_ij = w_ij / Z,    w_ij = (1 + ||y_i - y_j||^2)^{-1},    Z = sum_{k != l} w_kl        (Student's t: a heavy tail)

    C = KL(P || Q) = sum_{i != j} p_ij ln(p_ij / q_ij)

    dC/dy_i = 4 sum_j (p_ij - q_ij) (1 + ||y_i - y_j||^2)^{-1} (y_i - y_j)
                      ----force----  --------------spring-------------

The force is positive, and the spring pulls, where two points were nearer neighbours than they are now; else it pushes.

Derivation. ln q_ij = ln w_ij - ln Z, so C = const - sum p_ij ln w_ij + ln Z (as sum p_ij = 1). With
dw_ij/dy_i = -2 w_ij^2 (y_i - y_j),
and each pair twice in the sums, as ij and as ji:

    dC/dy_i = -2 sum_j p_ij (-2 w_ij) (y_i - y_j) + 2 sum_j (-2 w_ij^2 / Z) (y_i - y_j),      w_ij^2 / Z = q_ij w_ij

`tsne_gradient_ref` is this line for line; `tsne_steps` moves the points; what makes it fast stands in barnes_hut.py (cells for
the many) and interpolation.py (a grid for very many). P comes from affinities.py.
Source: L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", JMLR 9, 2008.
"""
from functools import partial

import numba
import numpy as np
import scipy.sparse

from ..backend import current
from ..checks import number, one_of, whole_number
from ..errors import SettingError
from ..jit import jit
from .affinities import as_affinities, reordered
from .barnes_hut import attraction_cpu, barnes_hut_repulsion
from .checks import as_points, as_start, momenta, rate
from .descent import Descent, MapState, norm
from .forces_cuda import EXACT, Forces, barnes_hut_repulsion_cuda, exact_repulsion_cuda
from .interpolation import GridRepulsion
from .quadtree import morton_order, square_around
from .sums import ordered_sum, vector_sum

METHODS = ("auto", "barnes_hut", "fft", "exact")
# The grid's work grows with the side of the map, squared, that of Barnes-Hut with N. So the grid is taken in steps in which the
# side is less than so many sqrt(N): with "auto" as long as it is faster, with "fft" but for a map of a few points far out.
GRID = {"auto": 1.3, "fft": 6.0, "barnes_hut": 0.0}
FEW = 100_000           # up to so many points a GPU takes all pairs; a guess, from what a tree takes the CPU


# --- the definition ---------------------------------------------------------------------------------------------------
def student_ref(Y):
    """Return w (N, N) of a map Y (N, n_components), its diagonal 0."""
    ### BEGIN SOLUTION hw3.3
    w = 1 / (1 + ((Y[:, None] - Y[None]) ** 2).sum(axis=2))
    np.fill_diagonal(w, 0)
    return w
    ### END SOLUTION hw3.3


def tsne_divergence_ref(P, Y):
    """Return KL(P || Q) of dense affinities P (N, N) and a map Y."""
    ### BEGIN SOLUTION hw3.3
    w = student_ref(Y)
    Q = w / w.sum()
    pairs = P > 0                               # 0 ln 0 = 0
    return np.sum(P[pairs] * np.log(P[pairs] / Q[pairs]))
    ### END SOLUTION hw3.3


def tsne_gradient_ref(P, Y):
    """Return dC/dY (N, n_components) of dense affinities P (N, N)."""
    ### BEGIN SOLUTION hw3.3
    w = student_ref(Y)
    force, spring = P - w / w.sum(), w[:, :, None] * (Y[:, None] - Y[None])
    return 4 * np.einsum("ij,ijc->ic", force, spring)
    ### END SOLUTION hw3.3


def numeric_gradient(function, Y, step=1e-5):
    """Return the gradient of `function` at Y by central differences: (C(y + step) - C(y - step)) / (2 step), one by one."""
    gradient = np.zeros(Y.shape)
    for at in np.ndindex(*Y.shape):
        up, down = Y.copy(), Y.copy()
        up[at] += step
        down[at] -= step
        gradient[at] = (function(up) - function(down)) / (2 * step)
    return gradient


# --- fast -------------------------------------------------------------------------------------------------------------
class Gradient:
    """gradient = Gradient(P, Y.shape, Y.dtype)(Y): dC/dY for sparse affinities P (N, N), by one of the methods.

    Its arrays are made once and written over by every call.
    """

    def __init__(self, P, shape, dtype, method="auto", theta=0.5):
        self.P, self.p, self.theta, self.method = P, P.data.astype(dtype), theta, method_for(method, shape)
        self.attraction, self.repulsion = np.empty(shape, dtype), np.empty(shape, dtype)
        self.grid = GridRepulsion()
        self.gpu = Forces(P, dtype) if current() == "cuda" else None

    def __call__(self, Y, exaggeration=1.0):
        """Return 4 (exaggeration attraction - repulsion / Z), see barnes_hut.py."""
        if self.gpu:
            self.gpu.attraction(Y, self.attraction)
        else:
            attraction_cpu(self.P.indptr, self.P.indices, self.p, Y, Y, self.attraction)
        if self.method == "exact" and self.gpu and (Y.shape[1],) in EXACT:
            Z = exact_repulsion_cuda(Y, self.repulsion)
        elif self.method == "barnes_hut" and self.gpu:
            Z = barnes_hut_repulsion_cuda(Y, self.theta, self.repulsion)
        elif self.method == "exact":
            _, Z = exact_repulsion(Y, self.repulsion)
        elif square_around(Y)[2] < GRID[self.method] * np.sqrt(len(Y)):
            _, Z = self.grid(Y, self.repulsion)
        else:
            _, Z = barnes_hut_repulsion(Y, self.theta, self.repulsion)
        np.multiply(self.attraction, 4 * exaggeration, out=self.attraction)
        np.multiply(self.repulsion, 4 / max(Z, np.finfo(float).tiny), out=self.repulsion)
        return np.subtract(self.attraction, self.repulsion, out=self.attraction)


def method_for(method, shape):
    """Return the method for a map of that shape: "auto" and "fft" are "exact" below 1,000 points, and "auto" off the plane.

    That is as fast, and so few points lie too thinly on a grid for its accuracy. On a GPU "auto" is "exact" up to FEW points,
    and then "barnes_hut"; the grid of "fft" is the CPU's. Raises SettingError, UnknownNameError.
    """
    one_of("method", method, METHODS)
    if shape[1] != 2 and method in ("barnes_hut", "fft"):
        raise SettingError(f"method {method!r} makes maps of 2 components, not of {shape[1]}; take method=\"exact\"")
    if shape[1] != 2 or (shape[0] < 1000 and method != "barnes_hut"):
        return "exact"
    if method == "auto" and current() == "cuda":
        return "exact" if shape[0] <= FEW else "barnes_hut"
    return method


def exact_repulsion(Y, out=None):
    """Return (repulsion, Z) of a map Y (N, n_components), see barnes_hut.py: all pairs, but in vectors and on all cores.

    Raises ShapeError, SettingError.
    """
    Y = as_points("exact_repulsion", Y)
    repulsion, z = np.empty(Y.shape, Y.dtype) if out is None else out, np.empty(len(Y), Y.dtype)
    across = np.ascontiguousarray(Y.T)
    exact_cpu(across, across, True, repulsion, z)
    return repulsion, ordered_sum(z)


def kl_divergence(P, Y, Z=None):
    """Return KL(P || Q) of sparse affinities P and a map Y (N, n_components), in float64.

    Z: if not given it is summed over all pairs; for a map in the plane of more than 20,000 points on a fine grid, which is
    right to 5 digits. Raises ShapeError, SettingError.
    """
    P, Y = scipy.sparse.csr_matrix(P), as_points("kl_divergence", Y).astype(float)
    terms = np.empty(len(Y))
    if Z is None:
        Z = GridRepulsion(spacing=0.25)(Y)[1] if len(Y) > 20_000 and Y.shape[1] == 2 else exact_repulsion(Y)[1]
    divergence_cpu(P.indptr, P.indices, P.data, Y, terms)
    return ordered_sum(terms) + float(np.log(max(Z, np.finfo(float).tiny))) * ordered_sum(P.data)


@numba.njit
def _springs_of(i, queries, Y, own, room, repulsion):
    """Write row i of the repulsion and return sum_j w_ij; queries and Y (n_components, N), room (2, N)."""
    ### BEGIN SOLUTION hw3.3
    one, w, pushes = Y.dtype.type(1), room[0], room[1]
    for j in range(len(w)):
        w[j] = one
    for c in range(len(Y)):
        for j in range(len(w)):
            w[j] += (queries[c, i] - Y[c, j]) * (queries[c, i] - Y[c, j])
    for j in range(len(w)):
        w[j] = one / w[j]
    if own:
        w[i] = 0
    for c in range(len(Y)):
        for j in range(len(w)):
            pushes[j] = w[j] * w[j] * (queries[c, i] - Y[c, j])
        repulsion[i, c] = vector_sum(pushes, len(w))
    return vector_sum(w, len(w))
    ### END SOLUTION hw3.3


def _exact_cpu(queries, Y, own, repulsion, z):
    """Parallel over queries, 16 at a time, each of which writes its own row; queries and Y (n_components, N).

    own: the queries are the points Y, which do not push themselves.
    """
    M = queries.shape[1]
    for block in numba.prange((M + 15) // 16):
        room = np.empty((2, Y.shape[1]), Y.dtype)
        for i in range(block * 16, min(M, block * 16 + 16)):
            z[i] = _springs_of(i, queries, Y, own, room, repulsion)


def _divergence_cpu(indptr, indices, p, Y, terms):
    """Parallel over points: sum_j p_ij (ln p_ij - ln w_ij)."""
    ### BEGIN SOLUTION hw3.3
    for i in numba.prange(len(Y)):
        total = 0.
        for k in range(indptr[i], indptr[i + 1]):
            square = 1.
            for c in range(Y.shape[1]):
                square += (Y[i, c] - Y[indices[k], c]) ** 2
            if p[k] > 0:
                total += p[k] * np.log(p[k] * square)
        terms[i] = total
    ### END SOLUTION hw3.3


exact_cpu, divergence_cpu = jit(_exact_cpu), jit(_divergence_cpu)


# --- the technique ----------------------------------------------------------------------------------------------------
def tsne_steps(P, start, *, method="auto", theta=0.5, early_exaggeration=12.0, exaggeration_iter=250, learning_rate="auto",
               momentum=(0.5, 0.8), switch_iter=None, dtype=None):
    """Yield MapStates of t-SNE without end: P sparse affinities (N, N), start (N, n_components) where the points are at step 0.

    method: "exact", "barnes_hut" (with its theta), "fft" (see `method_for`) or "auto", in each step the faster of both.
    early_exaggeration: P is multiplied by it for the first `exaggeration_iter` steps, so that groups find together before they
    fill the plane (12 for 250 steps: van der Maaten 2014; a few hundred points, of which each has a tenth for neighbours, all
    fall together: 4 is better there).
    learning_rate: "auto" is N / 4 over the exaggeration of the moment, at least 50 (N over it: A. Belkina et al., Nature
    Communications 10, 2019, whose gradient has no 4; "of the moment": openTSNE; 50: scikit-learn). momentum: at first, and from
    step `switch_iter` on (default: the end of the exaggeration). dtype: default float32, on the CPU float64 for "exact". Points
    are kept along the Morton curve inside, so that what is near in the map is near in memory. Raises ShapeError, SettingError,
    UnknownNameError; MinicnnError where the map flies apart. Slide "More on t-SNE". Source: see above.
    """
    start = as_start("tsne_steps", start)
    P = as_affinities("tsne_steps", P, len(start))
    method, theta = method_for(method, start.shape), number("tsne_steps", "theta", theta, at_least=0)
    early_exaggeration = number("tsne_steps", "early_exaggeration", early_exaggeration, at_least=1)
    exaggeration_iter = whole_number("tsne_steps", "exaggeration_iter", exaggeration_iter, 0)
    learning_rate, (first, later) = rate("tsne_steps", learning_rate), momenta("tsne_steps", momentum)
    if dtype is None:
        on_gpu = current() == "cuda" and (start.shape[1],) in EXACT
        dtype = np.float64 if method == "exact" and not on_gpu else np.float32
    if dtype not in (np.float32, np.float64, float):
        raise SettingError(f"tsne_steps: dtype is {dtype!r}, expected numpy.float32 or numpy.float64")
    switch_iter = exaggeration_iter if switch_iter is None else whole_number("tsne_steps", "switch_iter", switch_iter, 0)
    order, descent, step = np.arange(len(start)), Descent(start.astype(dtype)), 0
    while True:
        if step in (0, exaggeration_iter, 2 * exaggeration_iter):       # later the points hardly change their neighbours
            if start.shape[1] == 2:
                along = morton_order(descent.Y)
                descent.reorder(along)
                order = order[along]
            gradient = Gradient(reordered(P, order), start.shape, dtype, method, theta)
            back = np.argsort(order)
        exaggeration = early_exaggeration if step < exaggeration_iter else 1.0
        slope = gradient(descent.Y, exaggeration)
        yield MapState(step, descent.Y[back], norm(slope), partial(kl_divergence, P))
        speed = max(len(start) / 4 / exaggeration, 50.0) if learning_rate == "auto" else learning_rate
        descent.move(slope, speed, first if step < switch_iter else later)
        step += 1
