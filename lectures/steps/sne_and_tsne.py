"""SNE and t-SNE on five points: p, q, the gradient as force times spring, and steps downhill."""
import numpy as np
from scipy.spatial.distance import pdist, squareform

from minicnn.embed.affinities import conditional_ref, symmetrized
from minicnn.embed.descent import Descent, descent_cpu
from minicnn.embed.sne import gaussian_ref, sne_divergence, sne_gradient_ref
from minicnn.embed.tsne import student_ref, tsne_divergence_ref, tsne_gradient_ref

from ..stepping import state
from .perplexity import PERPLEXITY, bisection

RATE, MOMENTUM, MOVES = 1.0, 0.5, 5


def steps(rng):
    """Two groups, of three and of two points in space, on their way to a map in the plane."""
    X = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [6, 6, 6], [6, 7, 6]]) + rng.normal(0, 0.1, (5, 3))
    distances, Y = squareform(pdist(X)), rng.normal(0, 1, (5, 2))
    yield state("five points in space, and how far each is from each", conditional_ref, "p_{j|i} = exp(-beta_i",
                {"x": X, "||x_i - x_j||": distances})
    sigmas = np.array([(2 * list(bisection(distances, i, PERPLEXITY))[-1][0]) ** -0.5 for i in range(5)])
    p = conditional_ref(distances, sigmas)
    yield state(f"p_{{j|i}}, with sigma such that everyone has {PERPLEXITY:g} neighbours (the walk of the lecture perplexity)",
                conditional_ref, "p_{j|i} = exp(-beta_i", {"sigma": sigmas, "p_{j|i}": p}, line="np.exp(")
    q = gaussian_ref(Y)
    yield state("SNE: the same for the points of a map, all with one width", gaussian_ref, "q_{j|i} = exp(",
                {"y": Y, "q_{j|i}": q}, line="w = np.exp(-square)")
    yield state("SNE: how far q is from p", sne_divergence, "C = sum_i KL(P_i || Q_i)",
                {"p ln(p / q)": p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300)), "C": sne_divergence(p, Y)},
                line="np.sum(P *")
    yield state("SNE: the gradient, a spring to every other point", sne_gradient_ref, "dC/dy_i = 2 sum_j (p_{j|i}",
                {"p - q + p' - q'": p - q + p.T - q.T, "dC/dy": sne_gradient_ref(p, Y)}, line="2 * np.einsum")
    P = symmetrized(np.tile(np.arange(5), (5, 1)), p).toarray()
    yield state("t-SNE: p_ij of pairs, symmetric", symmetrized, "p_ij = (p_{j|i}", {"p_ij": P, "sum": P.sum()}, line="(P + P.T)")
    yield from _downhill(P, Y)


def _downhill(P, Y):
    """t-SNE from the map Y: q, the gradient, and some moves."""
    w = student_ref(Y)
    yield state("t-SNE: w falls slowly, a heavy tail; q are their parts of the sum", student_ref, "q_ij = w_ij / Z",
                {"w": w, "Z": w.sum(), "q_ij": w / w.sum()}, line="w = 1 / (1 +")
    slope, descent = tsne_gradient_ref(P, Y), Descent(Y)
    yield state("t-SNE: force times spring, added up over j", tsne_gradient_ref, "dC/dy_i = 4 sum_j (p_ij - q_ij)",
                {"force p - q": P - w / w.sum(), "dC/dy": slope, "C": tsne_divergence_ref(P, Y)}, line="4 * np.einsum")
    for move in range(1, MOVES + 1):
        descent_cpu.py_func(descent.Y, descent.moves, descent.gains, slope, RATE, MOMENTUM)
        slope = tsne_gradient_ref(P, descent.Y)
        yield state(f"t-SNE: move {move}, with learning rate {RATE:g} and momentum {MOMENTUM:g}", descent_cpu.py_func,
                    "move_i   = momentum move_i", {"gain": descent.gains.copy(), "move": descent.moves.copy(),
                                                   "y": descent.Y.copy(), "C": tsne_divergence_ref(P, descent.Y)},
                    line="moves[i, c] = ")
    yield state("the map: near each other what was near, as far as five moves bring it", student_ref, "C = KL(P || Q) = sum",
                {"||y_i - y_j||": squareform(pdist(descent.Y)), "q_ij": student_ref(descent.Y) / student_ref(descent.Y).sum(),
                 "p_ij": P})
