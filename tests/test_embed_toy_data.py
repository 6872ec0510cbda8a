"""The toy data of "How to use t-SNE effectively": shapes, statistics, geometry, and what the table of figures holds."""
import dataclasses
import inspect

import numpy as np
import pytest

from minicnn.embed import toy_data as module
from minicnn.embed.toy_data import DATA_SETS, FIGURES, toy_data
from minicnn.errors import MinicnnError, SettingError, UnknownNameError

# name: shape of X by default, groups (0: labels are positions in [0, 1]), whether chance plays a part
TABLE = {
    "grid": ((100, 2), 0, False), "two_clusters": ((100, 2), 2, True), "three_clusters": ((150, 2), 3, True),
    "two_different_sized_clusters": ((150, 2), 2, True), "two_long_linear_clusters": ((150, 2), 2, True),
    "cluster_in_cluster": ((150, 50), 2, True), "circle": ((50, 2), 0, False), "random_circle": ((50, 2), 0, True),
    "gaussian_cloud": ((500, 100), 1, True), "ellipsoid_cloud": ((100, 50), 1, True), "trefoil_knot": ((150, 3), 0, False),
    "linked_rings": ((200, 3), 2, False), "unlinked_rings": ((200, 3), 2, False), "orthogonal_steps": ((50, 50), 0, False),
    "random_walk": ((100, 100), 0, True), "random_jump": ((100, 100), 0, True), "simplex": ((50, 50), 1, False),
    "cube": ((50, 3), 1, True), "random_circle_clusters": ((200, 2), 10, True)}
# another value for every option that is not n or dim
OTHER = {"offset": 3.0, "scale": 2.0, "near": 5.0, "far": 20.0, "noise": 0.5, "separation": 1.0, "points": 7, "distance": 2.5,
         "tilt": 1.0}
OPTIONS = [(name, option) for name, f in DATA_SETS.items() for option in inspect.signature(f).parameters if option != "rng"]


def groups(name, **options):
    """Return the list of the groups' points, by label."""
    X, labels = toy_data(name, **options)
    return [X[labels == k] for k in range(labels.max() + 1)]


def square_distances(X):
    return ((X[:, None] - X[None]) ** 2).sum(axis=-1)


def test_the_table_is_complete_and_in_the_demos_order():
    assert list(DATA_SETS) == list(TABLE)
    assert all(DATA_SETS[name] is getattr(module, name) for name in TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_shapes_types_labels_and_seeds(name):
    shape, count, chance = TABLE[name]
    X, labels = toy_data(name)
    assert X.shape == shape and X.dtype == np.float64 and X.flags.c_contiguous and np.isfinite(X).all()
    assert labels.shape == shape[:1]
    if count:
        assert labels.dtype == int and np.array_equal(np.bincount(labels), [shape[0] // count] * count)
    else:
        assert labels.dtype == np.float64 and labels.min() >= 0 and 0.9 < labels.max() <= 1
    state = np.random.get_state()[1].copy()
    again, same = DATA_SETS[name](np.random.default_rng(0))
    assert again.tobytes() == X.tobytes() and np.array_equal(same, labels) and again is not X
    assert np.array_equal(np.random.get_state()[1], state), "the global generator was used"
    assert np.array_equal(toy_data(name, rng=1)[0], X) != chance


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name][2]])
def test_a_generator_moves_on(name):
    rng = np.random.default_rng(0)
    assert not np.array_equal(toy_data(name, rng)[0], toy_data(name, rng)[0])


@pytest.mark.parametrize("name,option", OPTIONS)
def test_every_option_has_an_effect(name, option):
    X, _ = toy_data(name)
    other, labels = toy_data(name, **{option: OTHER.get(option, 17)})
    assert len(other) == len(labels)
    assert other.shape != X.shape if option in ("n", "dim", "points") else not np.array_equal(other, X)
    if option == "dim":
        assert other.shape == (len(X), 17)


@pytest.mark.parametrize("name", TABLE)
def test_one_point_is_allowed(name):
    smallest = {o: 1 for o in ("n", "dim", "points") if (name, o) in OPTIONS}
    X, labels = toy_data(name, **smallest)
    assert np.isfinite(X).all() and np.isfinite(labels).all()
    assert len(X) == len(labels) == (1 if name == "random_circle_clusters" else max(1, TABLE[name][1]))


@pytest.mark.parametrize("name,centres,spreads", [
    ("two_clusters", [0, 10], [1, 1]), ("two_different_sized_clusters", [0, 20], [1, 0.1]),
    ("three_clusters", [0, 10, 50], [1, 1, 1]), ("cluster_in_cluster", [0, 0], [1, 50])])
def test_centres_and_spreads_of_clusters(name, centres, spreads):
    check_clusters(groups(name, n=4000, dim=3), centres, spreads)


@pytest.mark.parametrize("name,options,centres,spreads", [
    ("two_clusters", {"offset": -3}, [0, -3], [1, 1]), ("three_clusters", {"near": 4, "far": 9}, [0, 4, 9], [1, 1, 1]),
    ("two_different_sized_clusters", {"scale": 4, "offset": 6}, [0, 6], [1, 0.25]),
    ("cluster_in_cluster", {"scale": 7}, [0, 0], [1, 7])])
def test_options_of_clusters_mean_what_they_say(name, options, centres, spreads):
    check_clusters(groups(name, n=4000, dim=3, **options), centres, spreads)


def check_clusters(found, centres, spreads):
    for cluster, centre, spread in zip(found, centres, spreads, strict=True):
        assert np.allclose(cluster.mean(axis=0), [centre, 0, 0], atol=0.06 * spread)
        assert np.allclose(np.cov(cluster.T), spread ** 2 * np.eye(3), atol=0.1 * spread ** 2)


def test_ratio_of_spreads_is_ten_and_of_gaps_five():
    wide, narrow = groups("two_different_sized_clusters")
    assert np.linalg.norm(wide.std(axis=0)) / np.linalg.norm(narrow.std(axis=0)) == pytest.approx(10, rel=0.2)
    a, b, c = (g.mean(axis=0) for g in groups("three_clusters", n=200))
    assert np.linalg.norm(c - a) / np.linalg.norm(b - a) == pytest.approx(5, rel=0.1)


def test_the_wide_cluster_is_a_shell_around_the_tight_one():
    tight, wide = (np.linalg.norm(g, axis=1) for g in groups("cluster_in_cluster"))
    assert tight.max() < wide.min() / 10
    assert wide.mean() == pytest.approx(50 * np.sqrt(50), rel=0.05) and wide.std() < 0.15 * wide.mean()


def test_long_lines_are_parallel_and_noisy():
    n = 2000
    for noise, separation in [(0.03, 0.2), (0.1, 0.5)]:
        first, second = groups("two_long_linear_clusters", n=n, noise=noise, separation=separation)
        ramp = np.arange(n)[:, None]
        assert np.allclose((first - ramp).mean(axis=0), 0, atol=0.1 * noise * n)
        assert np.allclose((second - ramp).mean(axis=0), [separation * n, -separation * n], atol=0.1 * noise * n)
        residue = np.concatenate([first - ramp, second - ramp - [separation * n, -separation * n]], axis=1) / n
        assert np.allclose(np.cov(residue.T), noise ** 2 * np.eye(4), atol=0.1 * noise ** 2)
    assert np.array_equal(groups("two_long_linear_clusters", n=3, noise=0)[0], [[0, 0], [1, 1], [2, 2]])
    default = toy_data("two_long_linear_clusters")[0]
    assert np.array_equal(default, toy_data("two_long_linear_clusters", n=75, noise=0.03, separation=1 / 5)[0])


def test_clouds():
    X, _ = toy_data("gaussian_cloud", n=8000, dim=4)
    assert np.allclose(X.mean(axis=0), 0, atol=0.06) and np.allclose(np.cov(X.T), np.eye(4), atol=0.06)
    X, _ = toy_data("ellipsoid_cloud", n=8000, dim=6)
    assert np.allclose(X.var(axis=0) * np.arange(1, 7) ** 2, 1, atol=0.08)
    X, _ = toy_data("cube", n=8000, dim=4)
    assert (X >= 0).all() and (X < 1).all() and X.min() < 0.01 and X.max() > 0.99
    assert np.allclose(X.mean(axis=0), 0.5, atol=0.02) and np.allclose(np.cov(X.T), np.eye(4) / 12, atol=0.005)


def test_simplex_is_equidistant_until_there_is_noise():
    X, _ = toy_data("simplex", n=9)
    assert np.array_equal(square_distances(X), 2 * (1 - np.eye(9)))
    X, _ = toy_data("simplex", n=900, noise=0.1)
    assert np.array_equal(X, np.diag(np.diag(X)))
    assert np.diag(X).mean() == pytest.approx(1, abs=0.02) and np.diag(X).std() == pytest.approx(0.1, rel=0.1)


def test_grid():
    X, labels = toy_data("grid", n=4)
    assert [tuple(p) for p in X] == [(x, y) for x in range(4) for y in range(4)]
    assert np.allclose(labels, X.sum(axis=1) / 6) and labels.min() == 0 and labels.max() == 1


def test_circles():
    X, labels = toy_data("circle", n=12)
    gaps = np.linalg.norm(X - np.roll(X, 1, axis=0), axis=1)
    assert np.allclose(np.linalg.norm(X, axis=1), 1) and np.allclose(gaps, 2 * np.sin(np.pi / 12))
    assert np.allclose(X[3], [0, 1]) and np.allclose(labels, np.arange(12) / 12)
    X, labels = toy_data("random_circle", n=3000)
    turns = np.arctan2(X[:, 1], X[:, 0]) / (2 * np.pi) % 1
    assert np.allclose(np.linalg.norm(X, axis=1), 1) and np.allclose(turns, labels)
    assert np.allclose(np.histogram(labels, 10, (0, 1))[0] / 300, 1, atol=0.25) and not np.allclose(np.diff(labels), 1 / 3000)


def test_circle_clusters():
    found = groups("random_circle_clusters", n=5, points=3000, noise=0.02)
    for k, cluster in enumerate(found):
        t = 2 * np.pi * k / 5
        assert np.allclose(cluster.mean(axis=0), [np.cos(t), np.sin(t)], atol=0.002)
        assert np.allclose(np.cov(cluster.T) / 0.02 ** 2, np.eye(2), atol=0.1)
    X, labels = toy_data("random_circle_clusters", n=50)
    assert len(X) == 1000 and 0.0095 < (X - toy_data("random_circle_clusters", n=50, noise=0)[0]).std() < 0.0105


def linking_number(a, b):
    """Gauss: 1 / 4 pi times the sum over pairs of pieces of two closed curves of (a - b) . (da x db) / |a - b|^3."""
    middle_a, da = (a + np.roll(a, -1, axis=0)) / 2, np.roll(a, -1, axis=0) - a
    middle_b, db = (b + np.roll(b, -1, axis=0)) / 2, np.roll(b, -1, axis=0) - b
    r = middle_a[:, None] - middle_b[None]
    volume = (r * np.cross(da[:, None], db[None])).sum(axis=-1)
    return (volume / np.linalg.norm(r, axis=-1) ** 3).sum() / (4 * np.pi)


@pytest.mark.parametrize("name,options,linked", [
    ("linked_rings", {}, 1), ("linked_rings", {"distance": 1.5, "tilt": 2.0}, 1), ("linked_rings", {"distance": 2.5}, 0),
    ("unlinked_rings", {}, 0), ("unlinked_rings", {"distance": 1}, 1)])
def test_rings_and_whether_they_are_linked(name, options, linked):
    a, b = groups(name, **options)
    normals = []
    for ring in (a, b):
        middle = ring.mean(axis=0)
        assert np.allclose(np.linalg.norm(ring - middle, axis=1), 1)
        spread, axes = np.linalg.svd(ring - middle)[1:]
        assert spread[2] < 1e-12 * spread[0], "a ring lies in a plane"
        normals.append(axes[2])
        assert np.allclose(np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1), 2 * np.sin(np.pi / 100))
    distance = options.get("distance", {"linked_rings": 1, "unlinked_rings": 3}[name])
    assert np.allclose(a.mean(axis=0), 0) and np.allclose(b.mean(axis=0), [distance, 0, 0])
    assert abs(normals[0] @ normals[1]) < 1e-12, "at right angles"
    cos, sin = np.cos(options.get("tilt", 0.4)), np.sin(options.get("tilt", 0.4))
    assert np.allclose(a[25], [0, cos, -sin]) and np.allclose(b[25], [distance, sin, cos])
    assert abs(linking_number(a, b)) == pytest.approx(linked, abs=0.01)


def crossings(X):
    """Return (position along the curve, whether it passes above) at every crossing of the curve's shadow on the xy plane."""
    step, n, found = np.roll(X, -1, axis=0) - X, len(X), []
    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            between = X[j] - X[i]
            area = np.linalg.det([step[i, :2], step[j, :2]])
            s, u = np.linalg.det([between[:2], step[j, :2]]) / area, np.linalg.det([between[:2], step[i, :2]]) / area
            if 0 <= s < 1 and 0 <= u < 1:
                above = X[i, 2] + s * step[i, 2] > X[j, 2] + u * step[j, 2]
                found += [(i + s, above), (j + u, not above)]
    return sorted(found)


def test_the_trefoil_is_closed_smooth_and_knotted():
    X, labels = toy_data("trefoil_knot")
    gaps = np.linalg.norm(X - np.roll(X, 1, axis=0), axis=1)
    assert gaps.max() < 0.25 and gaps.min() > 0.05, "the last point is a neighbour of the first, as all are"
    assert np.array_equal(labels, np.arange(150) / 150)
    third = np.linalg.norm(X[:, :2], axis=1)
    assert np.allclose(third, np.roll(third, 50)) and np.allclose(X[:, 2], np.roll(X[:, 2], 50)), "three-fold symmetry"
    assert third.max() == pytest.approx(3, abs=0.01) and np.abs(X[:, 2]).max() == pytest.approx(1, abs=0.01)
    root = np.sqrt(0.5)
    assert np.allclose(toy_data("trefoil_knot", n=8)[0][:2], [[0, -1, 0], [root + 2, root, -root]]), "t = 0 and pi / 4"
    above = [a for _, a in crossings(toy_data("trefoil_knot", n=61)[0])]
    assert above in ([True, False] * 3, [False, True] * 3), "three crossings, in turn above and below: a trefoil"


def test_orthogonal_steps():
    X, labels = toy_data("orthogonal_steps", n=30)
    i = np.arange(30)
    assert np.array_equal(square_distances(X), abs(i[:, None] - i[None])) and not X[0].any()
    assert np.array_equal(labels, i / 30)


def test_random_walk_has_gaussian_steps():
    X, labels = toy_data("random_walk", n=3000, dim=3)
    steps = np.diff(X, axis=0, prepend=0)
    assert np.allclose(steps.mean(axis=0), 0, atol=0.08) and np.allclose(np.cov(steps.T), np.eye(3), atol=0.1)
    assert abs(np.corrcoef(steps[1:, 0], steps[:-1, 0])[0, 1]) < 0.08
    X, labels = toy_data("random_walk")
    i = np.arange(100)
    apart = abs(i[:, None] - i[None])
    assert np.corrcoef(square_distances(X)[apart > 0], apart[apart > 0])[0, 1] > 0.98, "as orthogonal steps"
    assert np.array_equal(labels, i / 100)


def test_random_jump_is_a_walk_seen_through_noise():
    for noise in (1.0, 0.25):
        X, labels = toy_data("random_jump", rng=3, n=3000, dim=9, noise=noise)
        jumps = X - toy_data("random_walk", rng=3, n=3000, dim=9)[0]
        assert np.allclose(jumps.mean(axis=0), 0, atol=0.2)
        assert np.allclose(np.cov(jumps.T) / (9 * noise ** 2), np.eye(9), atol=0.1)
        assert abs(np.corrcoef(jumps[1:, 0], jumps[:-1, 0])[0, 1]) < 0.08, "the noise does not add up"
    assert np.array_equal(labels, np.arange(3000) / 3000)
    assert np.array_equal(toy_data("random_jump", noise=0)[0], toy_data("random_walk")[0])


@pytest.mark.parametrize("name,option", OPTIONS)
def test_wrong_settings_are_refused(name, option):
    wrong = [0, -1, 2.0, True, "3", None] if option in ("n", "dim", "points") else [np.nan, np.inf, -np.inf, True, "3", None, 1j]
    for value in wrong + [0, -1.0] * (option == "scale"):
        with pytest.raises(SettingError, match=f"{name}: {option} is .*expected a"):
            toy_data(name, **{option: value})
    assert np.isfinite(toy_data(name, **{option: np.int64(3)})[0]).all()


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no toy data set named 'trefoil'; did you mean 'trefoil_knot'"):
        toy_data("trefoil")
    with pytest.raises(UnknownNameError, match="no option of ellipsoid_cloud named 'dims'; did you mean 'dim'"):
        toy_data("ellipsoid_cloud", dims=3)
    with pytest.raises(MinicnnError):
        toy_data("circle", dim=2)


def test_figures_hold_the_articles_settings():
    points = [100, 100, 150, 150, 600, 500, 100, 150, 150, 200, 150, 100, 100]
    sets = ["two_clusters"] * 2 + ["two_different_sized_clusters"] + ["three_clusters"] * 2
    sets += ["gaussian_cloud", "ellipsoid_cloud", "two_long_linear_clusters", "cluster_in_cluster", "linked_rings"]
    sets += ["trefoil_knot"] * 3
    assert [f.data_set for f in FIGURES] == sets and len({f.name for f in FIGURES}) == len({f.lesson for f in FIGURES}) == 13
    for figure, count in zip(FIGURES, points, strict=True):
        X, _ = toy_data(figure.data_set, **figure.options)
        assert len(X) == count and figure.epsilon == 10 and figure.lesson.endswith(".")
        assert len(figure.perplexities) * len(figure.snapshots) == 5 and figure.snapshots[-1] == figure.steps
        with pytest.raises(dataclasses.FrozenInstanceError):
            figure.steps = 1
    by_name = {f.name: f for f in FIGURES}
    early = by_name["stopped_early"]
    assert early.perplexities == (30,) and early.snapshots == (10, 20, 60, 120, 1000)
    assert all(f.snapshots == (5000,) for f in FIGURES if f is not early)
    assert by_name["knot_runs_2"].perplexities == (2,) * 5 and by_name["knot_runs_50"].perplexities == (50,) * 5
    assert sum(f.perplexities == (2, 5, 30, 50, 100) for f in FIGURES) == 10


@pytest.mark.parametrize("name", sorted({f.data_set for f in FIGURES}))
def test_defaults_are_those_of_the_first_figure(name):
    first = next(f for f in FIGURES if f.data_set == name)
    assert np.array_equal(toy_data(name)[0], toy_data(name, **first.options)[0])
