"""Maps of high-dimensional points in the plane: SNE, t-SNE, Barnes-Hut. A library of its own, which never imports the engine.

    from minicnn.embed import TSNE
    Y = TSNE(perplexity=30).fit_transform(X)        # X (N, D) -> Y (N, 2)

To read it in the order of the slides: affinities.py, descent.py, sne.py, tsne.py, quadtree.py, barnes_hut.py; what makes it fast
for very many points: neighbors.py, vp_tree.py, interpolation.py; then estimators.py, transform.py, grid.py and toy_data.py.
"""
from .affinities import dense_affinities, sparse_affinities
from .estimators import SNE, TSNE
from .neighbors import nearest_neighbors
from .principal_components import pca
from .quadtree import QuadTree
from .sne import sne_steps
from .tsne import exact_repulsion, kl_divergence, tsne_steps
from .vp_tree import VPTree

__all__ = ["SNE", "TSNE", "QuadTree", "VPTree", "dense_affinities", "exact_repulsion", "kl_divergence", "nearest_neighbors",
           "pca", "sne_steps", "sparse_affinities", "tsne_steps"]
