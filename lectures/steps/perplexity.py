"""How wide is the neighbourhood of a point? Bisection of sigma until the perplexity is what was asked for."""
import numpy as np
from scipy.spatial.distance import pdist, squareform

from minicnn.embed.affinities import conditional_ref, next_beta, perplexity_of, symmetrized

from ..stepping import Marked, state

PERPLEXITY = 2.0
NEAR = 1e-3


def steps(rng):
    """Five points on a line, of which two are far out; sigma of the first, found step by step, then of all, then p_ij."""
    X = np.array([[0.0], [1.0], [2.5], [7.0], [8.0]]) + rng.uniform(-0.2, 0.2, (5, 1))
    distances = squareform(pdist(X))
    yield state("five points, and how far each is from each", conditional_ref, "p_{j|i} = exp(-beta_i",
                {"x": X[:, 0], "||x_i - x_j||": distances})
    sigmas = np.ones(5)
    for beta, low, high, p in bisection(distances, 0, PERPLEXITY):
        sigmas[0] = (2 * beta) ** -0.5
        perplexity = perplexity_of(p[None])[0]
        found, narrower = abs(perplexity - PERPLEXITY) < NEAR, perplexity > PERPLEXITY
        yield state(f"point 0: {perplexity:.4f} neighbours, {PERPLEXITY:g} are wanted: "
                    + ("found" if found else "narrower" if narrower else "wider"), next_beta,
                    "H > goal: low <- beta" if narrower else "else:     high <- beta",
                    {"beta": beta, "between": np.array([low, high]), "sigma": sigmas[0], "p_{j|0}": p,
                     "exp(H)": perplexity}, line="excess > 0" if narrower else "return (low + beta) / 2")
    for i in range(5):
        *_, (beta, _, _, _) = bisection(distances, i, PERPLEXITY)
        sigmas[i] = (2 * beta) ** -0.5
    p = conditional_ref(distances, sigmas)
    yield state("the same for every point: row i is p_{j|i}; where points are sparse sigma is large", conditional_ref,
                "p_{j|i} = exp(-beta_i", {"sigma": sigmas, "p_{j|i}": p, "sum of each row": p.sum(axis=1),
                                          "exp(H)": perplexity_of(p)}, line="np.exp(")
    P = symmetrized(np.tile(np.arange(5), (5, 1)), p).toarray()
    yield state("made symmetric: all pairs together are 1, and no point is left alone", symmetrized, "p_ij = (p_{j|i} + p_{i|j})",
                {"p_ij": Marked(P, P == P.max()), "sum": P.sum(), "sum of each row": P.sum(axis=1)}, line="(P + P.T)")


def bisection(distances, i, perplexity):
    """Yield (beta, low, high, p_{j|i} (N,)) of point i until its perplexity is NEAR the one that is wanted."""
    beta, low, high = 1.0, 0.0, np.inf
    while True:
        p = conditional_ref(distances, np.full(len(distances), (2 * beta) ** -0.5))[i]
        yield beta, low, high, p
        reached = perplexity_of(p[None])[0]
        if abs(reached - perplexity) < NEAR:
            return
        beta, low, high = next_beta.py_func(np.log(reached) - np.log(perplexity), beta, low, high)
