"""The map of handwritten digits that the lecture shows."""
import numpy as np

from minicnn.embed import pca, sparse_affinities, tsne_steps
from minicnn.embed.descent import start_of
from minicnn.loop import last, take

from .common import Check, all_digits, digits, panels
from .maps import middle, neighbour_accuracy, scatter_map

TITLE = "t-SNE visualization"
FORMULA = r"""$28 \times 28 = 784$ pixels $\;\rightarrow\;$ 50 principal components $\;\rightarrow\;$ t-SNE $\;\rightarrow\;$
    2 coordinates $y_i$
$\underset{y}{\operatorname{argmin}} \; \operatorname{KL}(P\,\Vert\,Q) = \sum_{i \ne j} p_{ij} \,\log\, \frac{p_{ij}}{q_{ij}}$,
    the classes are used for the colour only"""
LOOK_FOR = """Each dot is a handwritten digit, and nobody told t-SNE which. Still the ten classes come out as ten islands, because
digits of a class are neighbours in the space of pictures. Where islands touch, the digits look alike: 4 and 9, 3 and 5 and 8.
Within an island the thumbnails change step by step, as the ones do from upright to slanted. But how far two islands are apart
says nothing: similar things end up in similar places, dissimilar things end up wherever."""
CODE = {"minicnn/embed/principal_components.py": "pca", "minicnn/embed/tsne.py": "tsne_gradient_ref tsne_steps"}
TRY = """Pick a dot that lies in the wrong island and look at its digit: would you have read it better?

Leave t-SNE out and plot the first two principal components. Which digits can be told apart there, and why only these?

Take 2 principal components instead of 50 before t-SNE, then 10: when are there ten islands again?

Two islands lie at opposite ends of the map. May one say that these digits are the most different? Run it again with
`start_of(X, "random", 2, 1)` and see whether they still do."""


def compute(full):
    images, labels = all_digits() if full else digits()
    X = pca(images.reshape(len(images), -1) / np.float32(255), 50)
    P = sparse_affinities(X, 30)
    states = tsne_steps(P, start_of(X, "pca", 2, 0), early_exaggeration=12 if full else 6, exaggeration_iter=250 if full else 150)
    state = last(take(1000 if full else 500, states))
    return {"images": images, "labels": labels, "map": state.embedding, "kl": state.kl_divergence,
            "before": neighbour_accuracy(X[:, :2], labels), "after": neighbour_accuracy(state.embedding, labels)}


def draw(result):
    figure, axes = panels(1, 1, width=12, height=10)
    Y, labels = result["map"], result["labels"]
    scatter_map(axes[0, 0], Y, labels, size=14 if len(Y) < 10_000 else 1.5, names=[str(c) for c in range(10)])
    axes[0, 0].margins(0.01)
    names = [middle(Y[labels == c]) for c in range(10)]
    for i in _scattered(Y, np.ptp(Y, axis=0).max() / 26, names):
        _thumbnail(axes[0, 0], Y[i], result["images"][i], labels[i])
    axes[0, 0].set_title(f"{len(Y):,} digits: 784 pixels each, placed by t-SNE; the colour is the class", fontsize=19)
    return {"digits": figure}


def _scattered(Y, apart, taken):
    """Return indices of points no two of which are nearer than `apart`, nor near the places `taken`; as they come."""
    chosen, taken = [], list(taken)
    for i in range(min(len(Y), 3000)):
        if all(abs(Y[i] - place).max() >= apart for place in taken):
            chosen.append(i)
            taken.append(Y[i])
    return chosen


def _thumbnail(ax, place, image, label):
    """Put a digit on its place, ink in the colour of its class on white."""
    import matplotlib
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    ink = image[..., None] / 255
    picture = 1 - ink * (1 - np.array(matplotlib.colormaps["tab10"].colors[label]) * 0.6)
    ax.add_artist(AnnotationBbox(OffsetImage(picture, zoom=0.72), place, pad=0.05, bboxprops={"lw": 0.3, "ec": "#888888"}))


def check(result):
    return [Check("digits whose 10 neighbours in the map vote for their class (chance: 0.1)", result["after"], at_least=0.9),
            Check("the same in the first two principal components", result["before"], at_least=0.2, at_most=0.6),
            Check("KL(P ‖ Q) of the map", result["kl"], at_least=0.3, at_most=3.5 if len(result["map"]) > 5000 else 1.7)]
