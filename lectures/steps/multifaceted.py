"""The clusters of Algorithm 1: k-means on a small map, and the mean picture that an ascent begins with."""
import numpy as np

from minicnn.embed.kmeans import kmeans_steps
from minicnn.loop import until
from minicnn.visualize.multifaceted import facets

from ..stepping import Marked, state


def steps(rng):
    """Seven points of a map in two groups and a straggler, two centres that start badly; pictures of 3 x 3 for the points."""
    Y = np.array([[0, 0], [1, 0], [0, 1], [6, 6], [7, 6], [6, 7], [4, 3]]) + rng.uniform(-0.2, 0.2, (7, 2)).round(1)
    start = Y[:2]
    for found in until(lambda s: not s.moved, kmeans_steps(Y, 2, centers=start)):
        distances = ((Y[:, None] - found.centers[None]) ** 2).sum(axis=2)
        yield state(f"{'the start' if found.step == 0 else f'move {found.step}'}: inertia {found.inertia:.3f}"
                    + ("" if found.moved else ", no less than before: the end"), kmeans_steps, "assign: a(i) = the nearest",
                    {"y": Y, "centres": found.centers,
                     "squared distance to each": Marked(distances, np.eye(2, dtype=bool)[found.labels]),
                     "a": found.labels}, line="centers = np.stack" if found.step else "labels, distances = _nearest")
    pictures = rng.integers(0, 10, (7, 3, 3))
    for j in range(2):
        nearest = np.argsort(((Y - found.centers[j]) ** 2).sum(axis=1))[:3]
        yield state(f"facet {j}: the ascent starts from the mean of the pictures nearest to its centre, {nearest.tolist()}",
                    facets, "5. x_0 = the mean of", {"their pictures": pictures[nearest], "x_0": pictures[nearest].mean(axis=0)})
