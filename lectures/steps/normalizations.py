"""Four norms of the same numbers: which of them share a mean and a variance."""
import numpy as np

from minicnn.ops import batch_norm, group_norm, instance_norm, layer_norm
from minicnn.ops.normalize import normalize_statistics_ref

from ..stepping import Marked, state


def steps(rng):
    """x (2, 4, 2, 2): two pictures of four channels, the second one brighter. The set of the first number is marked."""
    x = rng.integers(0, 10, (2, 4, 2, 2)).astype(float) + np.array([0, 10]).reshape(2, 1, 1, 1)
    yield state("two pictures of four channels of 2 x 2", normalize_statistics_ref, "The four norms differ only in which numbers",
                {"picture 0": x[0], "picture 1": x[1]})
    cases = (("batch norm: a channel of all pictures", batch_norm, np.s_[:, :1], batch_norm(x, None, None, training=True),
              (0, 2, 3)),
             ("instance norm: a plane", instance_norm, np.s_[:1, :1], instance_norm(x), (2, 3)),
             ("group norm: a group of channels of a picture", group_norm, np.s_[:1, :2], group_norm(x, 2), None),
             ("layer norm: a picture", layer_norm, np.s_[:1], layer_norm(x, (4, 2, 2)), (1, 2, 3)))
    for what, norm, place, y, axes in cases:
        marks = np.zeros(x.shape, bool)
        marks[place] = True
        means = x.reshape(2, 2, 2, 2, 2).mean(axis=(2, 3, 4)) if axes is None else x.mean(axis=axes)
        yield state(f"{what}: these numbers share a mean and a variance", norm, "y = w",
                    {"picture 0": Marked(x[0], marks[0]), "picture 1": Marked(x[1], marks[1]), "mu of each set": means})
        yield state(f"{what}: mean 0 and variance 1 in each set", norm, "y = w",
                    {"picture 0": Marked(y.data[0], marks[0]), "picture 1": Marked(y.data[1], marks[1]),
                     "mean and variance of the marked": np.array([y.data[place].mean(), y.data[place].var()]).round(4)})
    _, mean, var = batch_norm(x, np.zeros(4), np.ones(4), training=True, return_stats=True)
    yield state("batch norm keeps a running mean and variance, for when there is no batch",
                batch_norm, "new running mean = ", {"new running mean": mean, "new running variance": var,
                                                    "of this batch": np.stack([x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))])})
