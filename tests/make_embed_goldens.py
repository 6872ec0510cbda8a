"""Write the goldens of the embeddings, goldens/embed.npz: what scikit-learn says of neighbours, affinities, objective, gradient.

    pip install scikit-learn openTSNE; python tests/make_embed_goldens.py
"""
from pathlib import Path

import numpy as np

GOLDENS = Path(__file__).parent / "goldens" / "embed.npz"
METRICS = ("euclidean", "manhattan", "chebyshev", "cosine")


def clusters(count, dimensions, seed):
    """Points (3 count, dimensions) in three groups of different spread."""
    rng = np.random.default_rng(seed)
    centres = 8 * rng.normal(size=(3, dimensions))
    return np.concatenate([c + s * rng.normal(size=(count, dimensions)) for c, s in zip(centres, (0.5, 1, 2))])


def results():
    import openTSNE
    import sklearn
    from openTSNE.affinity import PerplexityBasedNN
    from scipy.spatial.distance import pdist, squareform
    from sklearn.cluster import KMeans
    from sklearn.manifold import _t_sne, _utils
    from sklearn.neighbors import NearestNeighbors
    X = clusters(20, 5, seed=1)
    out = {"versions": f"scikit-learn {sklearn.__version__}, openTSNE {openTSNE.__version__}, numpy {np.__version__}", "X": X}
    for metric in METRICS:
        distances, indices = NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute").fit(X).kneighbors()
        out[f"neighbors/{metric}/indices"], out[f"neighbors/{metric}/distances"] = indices.astype(np.int32), distances
    square = squareform(pdist(X, "sqeuclidean")).astype(np.float32)
    for perplexity in (5, 30):
        out[f"conditional/{perplexity}"] = _utils._binary_search_perplexity(square, perplexity, 0).astype(np.float32)
    out["opentsne/5"] = PerplexityBasedNN(X, perplexity=5, method="exact").P.toarray()
    for components in (2, 3):
        Y = np.random.default_rng(components).normal(scale=3, size=(len(X), components))
        P = np.maximum(squareform(_t_sne._joint_probabilities(square, 5, 0)), 0)
        P /= P.sum()
        cost, gradient = _t_sne._kl_divergence(Y.ravel(), squareform(P), 1, len(X), components)     # 1 degree of freedom
        out[f"tsne/{components}/P"], out[f"tsne/{components}/Y"] = P, Y
        out[f"tsne/{components}/cost"], out[f"tsne/{components}/gradient"] = cost, gradient.reshape(Y.shape)
    big = clusters(100, 5, seed=2)
    P = PerplexityBasedNN(big, perplexity=10, method="exact").P.tocsr()
    P.sort_indices()
    Y = np.random.default_rng(4).normal(scale=5, size=(len(big), 2)).astype(np.float32)
    cost, gradient = _t_sne._kl_divergence_bh(Y.ravel(), P.astype(np.float32), 1, len(big), 2, angle=0.5)
    out["barnes_hut/X"], out["barnes_hut/Y"] = big, Y
    out["barnes_hut/gradient"] = gradient.reshape(Y.shape)
    X = clusters(40, 3, seed=6)
    for k in (2, 5):
        fit = KMeans(k, init=X[:k], n_init=1, max_iter=1000, tol=0, algorithm="lloyd").fit(X)
        out[f"kmeans/{k}/labels"], out[f"kmeans/{k}/centers"] = fit.labels_.astype(np.int32), fit.cluster_centers_
        out[f"kmeans/{k}/inertia"] = fit.inertia_
    return out


if __name__ == "__main__":
    found = results()
    np.savez_compressed(GOLDENS, **found)
    print(f"{len(found)} arrays, {GOLDENS.stat().st_size} bytes, {found['versions']}")
