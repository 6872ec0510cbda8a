"""PGD in small steps within epsilon, and DeepFool across the nearest border as if the network were linear."""
import numpy as np

from minicnn.fool.deepfool import deepfool_steps, scores_and_slopes, shortest_way
from minicnn.fool.pgd import pgd_steps
from minicnn.fool.pixels import pixels_of, probabilities
from minicnn.loop import take

from ..stepping import Marked, state
from ..tiny import bar, tiny_net, with_classes

EPSILON = 0.1


def steps(rng):
    """A faint bar that is upright."""
    net = tiny_net()
    p = pixels_of(net, bar(0.6))
    for found in take(4, pgd_steps(net, p, np.array([0]), EPSILON, relative_step=0.4, rng=rng)):
        moved = (found.pixels - p)[0, 0]
        yield state((f"PGD, step {found.step}" if found.step else f"PGD: the start, anywhere within {EPSILON:g}")
                    + (": no longer upright" if found.fooled[0] else ": still upright"), pgd_steps,
                    "p <- the nearest to  p + alpha sign",
                    {"p - p0": Marked(moved, np.abs(moved) > EPSILON - 1e-6), "p": found.pixels[0, 0],
                     "probabilities": with_classes(net, probabilities(net, found.pixels))},
                    line="np.sign(gradient)" if found.step else "rng.uniform(")
    first = np.argsort(-probabilities(net, p), axis=1)
    for found in take(4, deepfool_steps(net, p)):
        scores, slopes = scores_and_slopes(net, found.pixels, first)
        gaps, w = scores[0, :1] - scores[0, 1:], slopes[0, 1:] - slopes[0, :1]
        lengths = np.sqrt((w ** 2).sum(axis=(1, 2, 3)))
        others = " and ".join(net.classes[k] for k in first[0, 1:])
        title = f"DeepFool, step {found.step}: " + (f"now {net.classes[found.classes[0]]}" if found.fooled[0] else
                                                    f"the way to the borders of {others}, as if linear")
        yield state(title, deepfool_steps, "nearest border: the k with the least |f_k - f_c| / ||w_k||",
                    {"p - p0": (found.pixels - p)[0, 0], "f_c - f_k": gaps, "||w_k||": lengths, "distance": gaps / lengths,
                     **({} if found.fooled[0] else {"r": shortest_way(scores, slopes)[0, 0]})}, line="shortest_way(")
