"""Toy data whose true shape is known, to learn how far a t-SNE map may be believed. Slide "More on t-SNE".

    X, labels = toy_data("three_clusters", rng=0, n=200)        X (N, D) float64,  labels (N,)

Labels are whole numbers where points come in groups, and a float in [0, 1] where they lie along something (a curve, a
walk, a grid): the colour of a point in the map. Every function takes `rng`, a seed or a NumPy Generator (which moves on);
sets without chance in them ignore it. Defaults are those of the article's figures, else of its interactive page.

`FIGURES` lists what the article ran: data, perplexities, learning rate, steps. Its page hands plain distances d to a
routine that expects d^2, so the published maps have p(j|i) ~ exp(-beta d), a Laplace kernel, not exp(-beta d^2), the
Gaussian of the text; `TSNE(..., kernel="laplace")` reproduces that. Its epsilon is the learning rate of tsnejs, for the
gradient with its factor 4.

Source: Wattenberg, Viegas, Johnson, "How to Use t-SNE Effectively", Distill 2016 (distillpub/post--misread-tsne: the
definitions; the code here is written anew).
"""
import inspect
from dataclasses import dataclass

import numpy as np

from ..checks import generator, number, one_of, whole_number
from ..errors import unknown_name


def toy_data(name, rng=0, **options):
    """Return (X, labels) of the data set `name`, a key of DATA_SETS, with the options that its function takes."""
    one_of("toy data set", name, DATA_SETS)
    known = [option for option in inspect.signature(DATA_SETS[name]).parameters if option != "rng"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return DATA_SETS[name](rng, **options)


# Groups of points

def two_clusters(rng=0, *, n=50, dim=2, offset=10.0):
    """Two Gaussian clusters of `n` points each: N(0, I) and N(offset e_0, I). X (2n, dim)."""
    _counts("two_clusters", n=n, dim=dim)
    _numbers("two_clusters", offset=offset)
    return _clusters(rng, n, dim, centres=[0, offset], spreads=[1, 1])


def two_different_sized_clusters(rng=0, *, n=75, dim=2, scale=10.0, offset=20.0):
    """Two Gaussian clusters of `n` points, the second `scale` times narrower: N(0, I), N(offset e_0, I / scale^2). X (2n, dim).

    The article's figure has scale 10, its interactive page starts at 5.
    """
    _counts("two_different_sized_clusters", n=n, dim=dim)
    _positive("two_different_sized_clusters", scale=scale)
    _numbers("two_different_sized_clusters", offset=offset)
    return _clusters(rng, n, dim, centres=[0, offset], spreads=[1, 1 / scale])


def three_clusters(rng=0, *, n=50, dim=2, near=10.0, far=50.0):
    """Three Gaussian clusters N(c e_0, I) of `n` points, c = 0, near, far: the gaps differ four to fivefold. X (3n, dim).

    The article shows it with 50 and with 200 points per cluster.
    """
    _counts("three_clusters", n=n, dim=dim)
    _numbers("three_clusters", near=near, far=far)
    return _clusters(rng, n, dim, centres=[0, near, far], spreads=[1, 1, 1])


def cluster_in_cluster(rng=0, *, n=75, dim=50, scale=50.0):
    """A tight Gaussian cluster N(0, I) in the midst of a wide one N(0, scale^2 I), `n` points each. X (2n, dim).

    In high dimensions the wide one is a hollow shell: its points lie about scale sqrt(dim) from the middle.
    """
    _counts("cluster_in_cluster", n=n, dim=dim)
    _positive("cluster_in_cluster", scale=scale)
    return _clusters(rng, n, dim, centres=[0, 0], spreads=[1, scale])


def two_long_linear_clusters(rng=0, *, n=75, noise=0.03, separation=0.2):
    """Two parallel lines of `n` points in the plane, with Gaussian noise. X (2n, 2).

    x_i = (i, i) + noise n N(0, I)  and  x_i = (i, i) + separation n (1, -1) + noise n N(0, I):  lengths count in n.
    """
    _counts("two_long_linear_clusters", n=n)
    _numbers("two_long_linear_clusters", noise=noise, separation=separation)
    line = np.arange(n)[:, None] * np.ones(2)                           # (n, 2)
    shift = separation * n * np.array([1.0, -1.0])
    X = np.concatenate([line, line + shift])
    return X + noise * n * generator("toy_data", rng).standard_normal(X.shape), _groups(2, n)


def random_circle_clusters(rng=0, *, n=10, points=20, noise=0.01):
    """`n` small Gaussian clusters of `points` points at equal angles on the unit circle. X (n points, 2).

    x = (cos t, sin t) + noise N(0, I),  t = 2 pi k / n.  Only the points are random: the source draws no angles, and has
    the set in no figure and not on its page, so `n` = 10 is ours.
    """
    _counts("random_circle_clusters", n=n, points=points)
    _numbers("random_circle_clusters", noise=noise)
    centres = _on_circle(np.arange(n) / n).repeat(points, axis=0)
    return centres + noise * generator("toy_data", rng).standard_normal(centres.shape), _groups(n, points)


def linked_rings(rng=0, *, n=100, distance=1.0, tilt=0.4):
    """Two unit circles in space at right angles, each through the other's middle, `n` points each. X (2n, 3).

    (cos t, sin t, 0) and (distance + cos t, 0, sin t), then turned by `tilt` about the first axis. Linked: 0 < distance < 2.
    """
    return _rings("linked_rings", n, distance, tilt)


def unlinked_rings(rng=0, *, n=100, distance=3.0, tilt=0.4):
    """The two circles of `linked_rings` so far apart that they are not linked. X (2n, 3)."""
    return _rings("unlinked_rings", n, distance, tilt)


# Clouds without groups: all labels are 0

def gaussian_cloud(rng=0, *, n=500, dim=100):
    """`n` points of N(0, I): pure noise; any cluster in its map is made up. X (n, dim)."""
    _counts("gaussian_cloud", n=n, dim=dim)
    return generator("toy_data", rng).standard_normal((n, dim)), _groups(1, n)


def ellipsoid_cloud(rng=0, *, n=100, dim=50):
    """`n` points of a long Gaussian: axis j = 0, 1, ... has standard deviation 1 / (1 + j). X (n, dim).

    The interactive page calls that the variance; its code and the article's text say standard deviation.
    """
    _counts("ellipsoid_cloud", n=n, dim=dim)
    return generator("toy_data", rng).standard_normal((n, dim)) / (1 + np.arange(dim)), _groups(1, n)


def simplex(rng=0, *, n=50, noise=0.0):
    """`n` points all equally far from each other: x_i = (1 + noise N(0, 1)) e_i. X (n, n).

    Without noise |x_i - x_j|^2 = 2, which no plane map can show for more than 3 points.
    """
    _counts("simplex", n=n)
    _numbers("simplex", noise=noise)
    return np.diag(1 + noise * generator("toy_data", rng).standard_normal(n)), _groups(1, n)


def cube(rng=0, *, n=50, dim=3):
    """`n` points uniform in the unit cube [0, 1)^dim. X (n, dim)."""
    _counts("cube", n=n, dim=dim)
    return generator("toy_data", rng).random((n, dim)), _groups(1, n)


# Points along something: labels are positions in [0, 1]

def grid(rng=0, *, n=10):
    """A square grid of n x n points (x, y), x and y = 0 .. n - 1. X (n^2, 2).

    Labels grow along the diagonal, (x + y) / (2 (n - 1)); the source has one colour channel for x and one for y.
    """
    _counts("grid", n=n)
    X = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2).astype(float)
    return X, X.sum(axis=1) / max(1, 2 * (n - 1))


def circle(rng=0, *, n=50):
    """`n` points at equal angles on the unit circle: (cos t, sin t), t = 2 pi i / n. X (n, 2)."""
    _counts("circle", n=n)
    return _on_circle(np.arange(n) / n), np.arange(n) / n


def random_circle(rng=0, *, n=50):
    """`n` points at uniformly random angles on the unit circle. X (n, 2); the label is the angle / 2 pi."""
    _counts("random_circle", n=n)
    turns = generator("toy_data", rng).random(n)
    return _on_circle(turns), turns


def trefoil_knot(rng=0, *, n=150):
    """`n` points on a closed curve in space with a knot of three crossings. X (n, 3).

    x = sin t + 2 sin 2t,  y = cos t - 2 cos 2t,  z = -sin 3t,  t = 2 pi i / n
    """
    _counts("trefoil_knot", n=n)
    t = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], axis=1), np.arange(n) / n


def orthogonal_steps(rng=0, *, n=50):
    """A walk whose every step is at right angles to all others: x_i = e_0 + ... + e_(i-1). X (n, n).

    |x_i - x_j|^2 = |i - j|: what a random walk comes to in many dimensions.
    """
    _counts("orthogonal_steps", n=n)
    return np.tril(np.ones((n, n)), -1), np.arange(n) / n


def random_walk(rng=0, *, n=100, dim=100):
    """A Gaussian random walk: x_i = x_(i-1) + N(0, I) from x_(-1) = 0. X (n, dim)."""
    _counts("random_walk", n=n, dim=dim)
    return generator("toy_data", rng).standard_normal((n, dim)).cumsum(axis=0), np.arange(n) / n


def random_jump(rng=0, *, n=100, dim=100, noise=1.0):
    """A random walk w seen through noise: x_i = w_i + noise sqrt(dim) N(0, I), which does not add up. X (n, dim)."""
    _counts("random_jump", n=n, dim=dim)
    _numbers("random_jump", noise=noise)
    rng = generator("toy_data", rng)
    walk, labels = random_walk(rng, n=n, dim=dim)
    return walk + noise * np.sqrt(dim) * rng.standard_normal((n, dim)), labels


# In the order of the article's page; the last is in its code only.
DATA_SETS = {f.__name__: f for f in (
    grid, two_clusters, three_clusters, two_different_sized_clusters, two_long_linear_clusters, cluster_in_cluster, circle,
    random_circle, gaussian_cloud, ellipsoid_cloud, trefoil_knot, linked_rings, unlinked_rings, orthogonal_steps, random_walk,
    random_jump, simplex, cube, random_circle_clusters)}


@dataclass(frozen=True)
class Figure:
    """One figure of the article: a run per perplexity (equal ones differ in the random start), shown at the snapshots."""
    name: str
    data_set: str               # X, labels = toy_data(figure.data_set, rng, **figure.options)
    options: dict
    perplexities: tuple
    epsilon: float              # the learning rate, in the convention of tsnejs
    steps: int
    snapshots: tuple            # after which steps the map is shown
    lesson: str


def _figure(name, data_set, lesson, perplexities=(2, 5, 30, 50, 100), snapshots=(5000,), **options):
    return Figure(name, data_set, options, perplexities, 10.0, snapshots[-1], snapshots, lesson)


# The order and settings of the published article. A perplexity above N - 1, as 100 for 100 points, is on purpose.
FIGURES = (
    _figure("perplexity", "two_clusters", "The picture hangs on the perplexity, which has to stay below the number of points.",
            n=50, dim=2),
    _figure("stopped_early", "two_clusters", "Pinched shapes tell of a run that was stopped before it came to rest.",
            (30,), (10, 20, 60, 120, 1000), n=50, dim=2),
    _figure("cluster_sizes", "two_different_sized_clusters", "Wide and narrow clusters come out alike: read nothing into sizes.",
            n=75, dim=2),
    _figure("cluster_distances", "three_clusters", "Gaps between clusters are right at one perplexity and wrong at the others.",
            n=50, dim=2),
    _figure("more_points", "three_clusters", "With more points the perplexity that showed the gaps shows them no longer.",
            n=200, dim=2),
    _figure("noise", "gaussian_cloud", "At low perplexity pure noise falls into clumps that mean nothing.", n=500, dim=100),
    _figure("long_cloud", "ellipsoid_cloud", "A long shape can be seen if the perplexity is high enough.", n=100, dim=50),
    _figure("long_lines", "two_long_linear_clusters", "Straight lines are found, but bent: their crowded middles are spread out.",
            n=75),
    _figure("containment", "cluster_in_cluster", "That one group lies inside another shows at some perplexities only.",
            n=75, dim=50),
    _figure("link", "linked_rings", "Low perplexity shows two loops, high perplexity that they belong together.", n=100),
    _figure("knot", "trefoil_knot", "A knot comes out as a plain loop or as a tangle, depending on the perplexity.", n=150),
    _figure("knot_runs_2", "trefoil_knot", "At low perplexity every random start ends in another picture: run it more than once.",
            (2,) * 5, n=100),
    _figure("knot_runs_50", "trefoil_knot", "At high perplexity all random starts agree, up to turns and mirrors.",
            (50,) * 5, n=100),
)


def _clusters(rng, n, dim, centres, spreads):
    """Return K clusters of n points, N(centre e_0, spread^2 I) each, one after another: X (K n, dim), labels (K n,)."""
    X = generator("toy_data", rng).standard_normal((len(centres), n, dim)) * np.reshape(spreads, (-1, 1, 1))
    X[:, :, 0] += np.reshape(centres, (-1, 1))
    return X.reshape(-1, dim), _groups(len(centres), n)


def _groups(count, n):
    """Return the labels 0, ..., 0, 1, ..., 1, ... of `count` groups of n points."""
    return np.arange(count).repeat(n)


def _on_circle(turns):
    """Return the points (N, 2) of the unit circle at these parts of a full turn."""
    return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)


def _rings(data_set, n, distance, tilt):
    """Return two rings at right angles, their middles `distance` apart on the first axis: X (2n, 3), labels (2n,)."""
    _counts(data_set, n=n)
    _numbers(data_set, distance=distance, tilt=tilt)
    c, s = _on_circle(np.arange(n) / n).T
    X = np.concatenate([np.stack([c, s, np.zeros(n)], axis=1), np.stack([distance + c, np.zeros(n), s], axis=1)])
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    return X @ turn.T, _groups(2, n)


def _counts(data_set, **settings):
    for name, value in settings.items():
        whole_number(data_set, name, value, 1)


def _numbers(data_set, **settings):
    for name, value in settings.items():
        number(data_set, name, value)


def _positive(data_set, **settings):
    for name, value in settings.items():
        number(data_set, name, value, above=0)
