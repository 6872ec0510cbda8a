"""What comes before a map of digits: fewer dimensions by principal components, and each point's neighbours."""
import numpy as np

from minicnn.embed import pca
from minicnn.embed.affinities import perplexity_of, symmetrized
from minicnn.embed.tsne import tsne_divergence_ref

from ..common import digits
from ..stepping import Marked, state
from .perplexity import PERPLEXITY, bisection

COUNT = 6


def steps(rng):
    """Six handwritten digits, of two classes, shrunk to 4 x 4 pixels."""
    images, labels = digits()
    chosen = np.concatenate([rng.choice(np.flatnonzero(labels == k), COUNT // 2, replace=False) for k in (0, 1)])
    small = images[chosen].reshape(COUNT, 4, 7, 4, 7).mean(axis=(2, 4))
    yield state("six digits, each of their 4 x 4 pixels the mean of 7 x 7", pca, "Return the points X (N, D)",
                {f"point {i}, a {labels[k]}": picture.round() for i, (k, picture) in enumerate(zip(chosen, small))})
    X = small.reshape(COUNT, 16)
    centred = X - X.mean(axis=0)
    Y = pca(X, 2)
    kept = (Y ** 2).sum(axis=0) / (centred ** 2).sum()
    yield state("16 numbers each; less their mean, and turned so that the first directions hold the most", pca, "(X - mean) V",
                {"X - mean": centred.round(), "first two components": Y, "part of the spread that they hold": kept},
                line="return X @ _directions")
    distances = np.linalg.norm(X[:, None] - X[None], axis=2)
    yield state("two components are a map already: distances in 16 dimensions, and in these two", pca, "(X - mean) V",
                {"in 16": distances.round(), "in 2": np.linalg.norm(Y[:, None] - Y[None], axis=2).round()})
    scaled = distances / distances.max() * 3
    rows = np.stack([list(bisection(scaled, i, PERPLEXITY))[-1][3] for i in range(COUNT)])
    P = symmetrized(np.tile(np.arange(COUNT), (COUNT, 1)), rows).toarray()
    same = labels[chosen][:, None] == labels[chosen][None]
    yield state("t-SNE asks for more: who is whose neighbour, whatever the scale; marked: the pairs of one class", perplexity_of,
                "p_ij = (p_{j|i} + p_{i|j}) / (2 N)", {"p_ij": Marked(P, same), "the part of one class": P[same].sum(),
                                                       "neighbours of each": perplexity_of(rows)})
    spread = Y / Y[:, 0].std()
    yield state("how well the two components say so: KL(P || Q), from which t-SNE goes down", tsne_divergence_ref,
                "C = KL(P || Q)",
                {"the start of the map": spread, "KL": tsne_divergence_ref(P, spread)}, line="np.log(P[pairs]")
