"""t-SNE: gradients of all methods against the formula, scikit-learn, finite differences; the steps; the class; new points."""
import os
import subprocess
import sys
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import minicnn
from minicnn.embed import TSNE, QuadTree, dense_affinities, kl_divergence, pca, sne_steps, sparse_affinities, tsne_steps
from minicnn.embed.barnes_hut import (LEAF, attraction_cpu, attraction_ref, barnes_hut_repulsion, cells_of, cells_used, reach,
                                      repulsion_cpu, repulsion_ref)
from minicnn.embed.descent import Descent
from minicnn.embed.interpolation import GridRepulsion, spline, spline_slope
from minicnn.embed.transform import transform_divergence, transform_steps
from minicnn.embed.tsne import (Gradient, exact_repulsion, method_for, numeric_gradient, student_ref, tsne_divergence_ref,
                                tsne_gradient_ref)
from minicnn.errors import MinicnnError, SettingError, ShapeError, UnknownNameError
from test_embed_sne import clusters, neighbor_accuracy, relative

ROOT = Path(__file__).parent.parent
METHODS = ("exact", "barnes_hut", "fft")


@pytest.fixture(scope="module")
def goldens():
    with np.load(ROOT / "tests" / "goldens" / "embed.npz") as archive:
        return dict(archive)


def cloud(count, components=2, scale=5.0, seed=0):
    return np.random.default_rng(seed).normal(scale=scale, size=(count, components))


def all_pairs(Y):
    """The repulsion and Z by the formula."""
    Y = Y.astype(float)
    w = student_ref(Y)
    return np.einsum("ij,ijc->ic", w ** 2, Y[:, None] - Y[None]), w.sum()


# --- objective and gradient -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("components", [2, 3])
def test_objective_and_gradient_agree_with_scikit_learn(goldens, components):
    P, Y = goldens[f"tsne/{components}/P"], goldens[f"tsne/{components}/Y"]
    assert tsne_divergence_ref(P, Y) == pytest.approx(float(goldens[f"tsne/{components}/cost"]), rel=1e-9)
    assert relative(tsne_gradient_ref(P, Y), goldens[f"tsne/{components}/gradient"]) < 1e-9


def test_barnes_hut_is_as_near_to_scikit_learns_as_both_are_to_the_truth(goldens):
    P, Y = sparse_affinities(goldens["barnes_hut/X"], 10), goldens["barnes_hut/Y"]
    truth = tsne_gradient_ref(P.toarray(), Y.astype(float))
    theirs, ours = goldens["barnes_hut/gradient"], Gradient(P, Y.shape, Y.dtype, "barnes_hut", 0.5)(Y)
    assert relative(theirs, truth) < 0.03 and relative(ours, truth) < 0.03 and relative(ours, theirs) < 0.03


@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_gradient_is_that_of_the_objective(components):
    P, Y = sparse_affinities(clusters(6)[0], 4), cloud(18, components, 1.0)
    expected = numeric_gradient(lambda Y: tsne_divergence_ref(P.toarray(), Y), Y)
    assert relative(tsne_gradient_ref(P.toarray(), Y), expected) < 1e-6
    assert relative(numeric_gradient(lambda Y: kl_divergence(P, Y), Y), expected) < 1e-6
    assert relative(Gradient(P, Y.shape, float, "exact")(Y), expected) < 1e-6


@pytest.mark.parametrize("components, method", [(1, "exact"), (2, "exact"), (3, "exact"), (2, "barnes_hut")])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_exact_and_barnes_hut_with_theta_0_are_the_formula(components, method, dtype, tolerance):
    X = np.random.default_rng(0).normal(size=(150, 5))
    P, Y = sparse_affinities(X, 10), cloud(150, components).astype(dtype)
    before = Y.copy()
    gradient = Gradient(P, Y.shape, dtype, method, theta=0)(Y)
    assert gradient.dtype == dtype and np.array_equal(Y, before)
    assert relative(gradient, tsne_gradient_ref(P.toarray(), Y.astype(float))) < tolerance


def test_exaggeration_multiplies_p_and_nothing_else():
    P, Y = sparse_affinities(clusters(20)[0], 5), cloud(60)
    gradient = Gradient(P, Y.shape, float, "exact")
    assert relative(gradient(Y, 12.0), tsne_gradient_ref(12 * P.toarray(), Y)) < 1e-10


@pytest.mark.parametrize("components", [2, 3])
def test_attraction_point_by_point(components):
    P, Y = sparse_affinities(clusters(20)[0], 5), cloud(60, components)
    attraction = np.empty_like(Y)
    attraction_cpu(P.indptr, P.indices, P.data, Y, Y, attraction)
    np.testing.assert_allclose(attraction, attraction_ref(P, Y), rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("components", [2, 3])
@pytest.mark.parametrize("scale", [1e-4, 1, 50])
def test_the_exact_repulsion_and_z(components, scale):
    Y = cloud(130, components, scale)
    expected, expected_z = all_pairs(Y)
    repulsion, Z = exact_repulsion(Y)
    assert relative(repulsion, expected) < 1e-10 and Z == pytest.approx(expected_z, rel=1e-10)
    repulsion, Z = exact_repulsion(Y.astype(np.float32))
    assert relative(repulsion, expected) < 1e-4 and Z == pytest.approx(expected_z, rel=1e-4)


def test_the_divergence_of_a_map_is_right_however_far_apart_its_points():
    P, Y = sparse_affinities(clusters(10)[0], 5), cloud(30, scale=1.0)
    for scale in (1e-6, 1, 1e3):
        assert kl_divergence(P, scale * Y) == pytest.approx(tsne_divergence_ref(P.toarray(), scale * Y), rel=1e-7)


def test_the_divergence_of_more_than_20000_points_through_the_grid():
    import scipy.sparse
    N, Y = 20_500, cloud(20_500, scale=20.0)
    ring = scipy.sparse.csr_matrix((np.full(N, 0.5 / N), (np.arange(N), np.roll(np.arange(N), 1))), (N, N))
    P = (ring + ring.T).tocsr()
    assert kl_divergence(P, Y) == pytest.approx(kl_divergence(P, Y, Z=exact_repulsion(Y)[1]), rel=1e-5)


@pytest.mark.parametrize("repulsion", [exact_repulsion, lambda Y: barnes_hut_repulsion(Y, 0), GridRepulsion()])
def test_maps_in_any_order_of_memory_and_of_whole_numbers(repulsion):
    Y = np.round(cloud(200, scale=5.0))
    expected, expected_z = repulsion(Y)
    for given in (np.asfortranarray(Y), Y.astype(int), Y.tolist(), np.repeat(Y, 2, axis=0)[::2]):
        found, Z = repulsion(given)
        assert np.array_equal(found, expected) and Z == expected_z


# --- Barnes-Hut -------------------------------------------------------------------------------------------------------
def test_barnes_hut_is_near_the_truth_and_nearer_the_smaller_theta_is():
    Y = cloud(1500)
    expected, expected_z = all_pairs(Y)
    found = [barnes_hut_repulsion(Y, theta) for theta in (0, 0.25, 0.5, 1.0)]
    errors = [relative(repulsion, expected) for repulsion, _ in found]
    errors_of_z = [abs(Z / expected_z - 1) for _, Z in found]
    assert errors[0] < 1e-10 and errors_of_z[0] < 1e-10
    assert 1e-6 < errors[1] < errors[2] / 2 < errors[3] / 4 < 0.02 and errors[2] < 0.03
    assert 1e-8 < errors_of_z[2] < 0.01


@pytest.mark.parametrize("theta", [0, 0.5, 1.0])
def test_the_definition_point_by_point(theta):
    """Groups of 32 look closer than single points do, so the fast sum is between the definition and the truth."""
    Y = cloud(200)
    expected, expected_z = all_pairs(Y)
    slow, slow_z = repulsion_ref(QuadTree(Y, leaf_size=LEAF), theta)
    fast, fast_z = barnes_hut_repulsion(Y, theta)
    if theta == 0:
        assert relative(slow, expected) < 1e-10 and slow_z == pytest.approx(expected_z)
    else:
        assert 0 < relative(fast, expected) <= relative(slow, expected) < 0.1
        assert abs(fast_z / expected_z - 1) <= abs(slow_z / expected_z - 1) < 0.05


@pytest.mark.parametrize("theta", [0.3, 0.5, 0.7])
def test_one_query_alone_sees_just_the_cells_of_the_definition(theta):
    Y, query = cloud(300), np.array([[1.0, -2.0]])
    tree = QuadTree(Y, leaf_size=LEAF)
    far, near = cells_used(tree, query[0], theta)
    places = np.concatenate([tree.center_of_mass[far], Y[np.concatenate([tree.points_in(n) for n in near])]])
    mass = np.concatenate([tree.count[far], np.ones(len(places) - len(far))])
    w = 1 / (1 + ((query - places) ** 2).sum(axis=1))
    repulsion, z = np.empty((1, 2)), np.empty(1)
    repulsion_cpu(query, Y[tree.order], np.zeros(1, np.int64), cells_of(tree), reach(tree, theta), False, repulsion, z)
    np.testing.assert_allclose(repulsion[0], (mass * w ** 2) @ (query - places), rtol=1e-10)
    assert z[0] == pytest.approx(mass @ w, rel=1e-10) and len(far) >= 5


@pytest.mark.parametrize("theta", [0.5, 2, 1e6])
def test_a_point_is_never_counted_itself_however_large_theta(theta):
    """Two tight groups, each of one walk through the tree: the other group is one mass, the own one is not."""
    Y = np.concatenate([1e-3 * cloud(32), 50 + 1e-3 * cloud(32, seed=1)])
    expected, expected_z = all_pairs(Y)
    repulsion, Z = barnes_hut_repulsion(Y, theta)
    assert Z == pytest.approx(expected_z, rel=1e-4) and relative(repulsion, expected) < 1e-3


def test_duplicates_count_as_often_as_they_are_there():
    Y = np.repeat(cloud(30), 5, axis=0)
    expected, expected_z = all_pairs(Y)
    for theta, tolerance in ((0, 1e-10), (0.5, 0.03)):
        repulsion, Z = barnes_hut_repulsion(Y, theta)
        assert relative(repulsion, expected) < tolerance and Z == pytest.approx(expected_z, rel=max(tolerance, 1e-9))
    repulsion, Z = barnes_hut_repulsion(np.ones((100, 2)))
    assert not repulsion.any() and Z == pytest.approx(9900)


# --- the grid ---------------------------------------------------------------------------------------------------------
def test_the_grid_is_near_the_truth_and_nearer_the_finer_it_is():
    Y = cloud(1500)
    expected, expected_z = all_pairs(Y)
    errors = []
    for spacing in (1.0, 0.5, 0.25):
        repulsion, Z = GridRepulsion(spacing)(Y)
        errors.append(relative(repulsion, expected))
        assert Z == pytest.approx(expected_z, rel=0.03)
    assert 0 < errors[2] < errors[1] / 3 < errors[0] / 9 and errors[1] < 0.01


@pytest.mark.parametrize("scale, at_most", [(1e-14, 1e-5), (1e-9, 1e-5), (1e-4, 1e-5), (0.01, 0.01), (1, 0.01), (5, 0.02),
                                            (20, 0.06)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_grid_at_any_extent_of_the_map(scale, at_most, dtype):
    """The farther the points are from each other the less of what they feel is smooth."""
    Y = cloud(400, scale=scale).astype(dtype)
    expected, expected_z = all_pairs(Y)
    repulsion, Z = GridRepulsion()(Y)
    assert repulsion.dtype == dtype and relative(repulsion, expected) < at_most and Z == pytest.approx(expected_z, rel=0.01)


def test_the_grid_is_the_same_when_asked_again_and_for_another_map():
    grid, Y, other = GridRepulsion(), cloud(300), cloud(300, scale=9.0, seed=1)
    first = grid(Y)[0].copy()
    grid(other)
    assert np.array_equal(grid(Y)[0], first)


def test_splines_add_up_and_their_slope_is_the_derivative():
    at, slope_at = (getattr(f, "py_func", f) for f in (spline, spline_slope))
    for t in np.linspace(0, 1, 9, endpoint=False):
        values, slopes = np.array(at(t)), np.array(slope_at(t))
        assert values.sum() == pytest.approx(120) and slopes.sum() == pytest.approx(0, abs=1e-10) and values.min() >= 0
        assert values @ (np.arange(6) - 2) == pytest.approx(120 * t, abs=1e-10)         # the middle of the masses is the place
        np.testing.assert_allclose((np.array(at(t + 1e-6)) - np.array(at(t - 1e-6))) / 2e-6, slopes, atol=1e-5)


# --- the steps --------------------------------------------------------------------------------------------------------
def test_the_first_steps_by_hand():
    P, start = sparse_affinities(clusters(10)[0], 5), cloud(30, scale=0.1)
    start -= start.mean(axis=0)
    states = tsne_steps(P, start, method="exact", early_exaggeration=4, exaggeration_iter=3)
    Y, move, gain = start.copy(), np.zeros_like(start), np.ones_like(start)
    for step in range(8):
        state = next(states)
        np.testing.assert_allclose(state.embedding, Y, rtol=1e-8, atol=1e-10)
        exaggeration, momentum = (4, 0.5) if step < 3 else (1, 0.8)
        gradient = tsne_gradient_ref(exaggeration * P.toarray(), Y)
        assert state.step == step and state.gradient_norm == pytest.approx(np.linalg.norm(gradient))
        assert state.kl_divergence == pytest.approx(tsne_divergence_ref(P.toarray(), Y), rel=1e-8)
        gain = np.where(np.sign(gradient) != np.sign(move), gain + 0.2, np.maximum(0.8 * gain, 0.01))
        move = momentum * move - 50 * gain * gradient
        Y = Y + move
        Y -= Y.mean(axis=0)


def test_the_learning_rate_follows_the_number_of_points_and_the_exaggeration():
    X = np.random.default_rng(0).normal(size=(600, 3))
    P, start = sparse_affinities(X, 5), cloud(600, scale=1.0)
    start -= start.mean(axis=0)
    for exaggeration, rate in ((1, 150), (2, 75), (12, 50)):
        first, second = islice(tsne_steps(P, start, method="exact", early_exaggeration=exaggeration), 2)
        gradient = tsne_gradient_ref(exaggeration * P.toarray(), start)
        expected = start - rate * 1.2 * gradient
        np.testing.assert_allclose(second.embedding, expected - expected.mean(axis=0), rtol=1e-6, atol=1e-9)


def test_the_learning_rate_rises_after_the_exaggeration():
    P, start = sparse_affinities(clusters(80)[0], 20), cloud(240, scale=2.0)
    start -= start.mean(axis=0)
    states, descent = tsne_steps(P, start, method="exact", exaggeration_iter=3), Descent(start)
    for step in range(7):
        np.testing.assert_allclose(next(states).embedding, descent.Y, rtol=1e-6, atol=1e-9)
        exaggeration, momentum, rate = (12, 0.5, 50) if step < 3 else (1, 0.8, 60)          # N / 4 = 60, but 60 / 12 < 50
        descent.move(tsne_gradient_ref(exaggeration * P.toarray(), descent.Y), rate, momentum)


def test_the_schedule_of_the_paper_is_the_default():
    P, start = sparse_affinities(clusters(10)[0], 5), cloud(30)
    default, given = (list(islice(states, 253)) for states in (tsne_steps(P, start), tsne_steps(
        P, start, early_exaggeration=12, exaggeration_iter=250, momentum=(0.5, 0.8), switch_iter=250)))
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(default, given))


def test_the_momentum_can_change_at_a_step_of_its_own():
    P, start = sparse_affinities(clusters(10)[0], 5), cloud(30)
    whole, at_3, at_6 = (list(islice(tsne_steps(P, start, exaggeration_iter=6, switch_iter=n), 8)) for n in (None, 3, 6))
    same = [np.array_equal(a.embedding, b.embedding) for a, b in zip(whole, at_3)]
    assert same == [True] * 4 + [False] * 4 and np.array_equal(whole[-1].embedding, at_6[-1].embedding)


@pytest.mark.parametrize("method", METHODS)
def test_a_start_in_the_mirror_makes_the_map_in_the_mirror(method):
    X, _ = clusters(40 if method == "exact" else 400)
    P, start = sparse_affinities(X, 5), cloud(len(X), scale=0.1)
    ours, mirrored = (list(islice(tsne_steps(P, s, method=method, dtype=float), 6))[-1].embedding
                      for s in (start, start * [-1, 1]))
    assert relative(ours * [-1, 1], mirrored) < (0.02 if method == "barnes_hut" else 1e-3)


@pytest.mark.parametrize("method", METHODS + ("auto",))
def test_states_are_fresh_in_the_order_of_the_points_and_start_at_the_start(method):
    count = 60 if method in ("exact", "barnes_hut") else 1200
    P, start = sparse_affinities(clusters(count // 3)[0], 5), cloud(count, scale=1.0)
    before, entries = start.copy(), P.copy()
    states = list(islice(tsne_steps(P, start, method=method, exaggeration_iter=3), 8))
    dtype = np.float64 if method == "exact" else np.float32
    assert np.array_equal(states[0].embedding, start.astype(dtype)) and states[0].embedding.dtype == dtype
    assert np.array_equal(start, before) and (P != entries).nnz == 0
    for a, b in zip(states, states[1:]):
        assert not np.shares_memory(a.embedding, b.embedding) and not np.shares_memory(a.embedding, start)
    exact = list(islice(tsne_steps(P, start, method="exact", exaggeration_iter=3), 8))
    assert relative(states[-1].embedding, exact[-1].embedding) < 0.05       # each point in its own row, after two reorderings


def test_the_curve_of_barnes_hut_and_of_the_grid_follows_the_exact_one():
    X, _ = clusters(340)
    P, start = sparse_affinities(X, 15), pca(X, 2)      # from a tiny start, last digits would decide between two minima
    curves = {}
    for method in METHODS + ("auto",):
        states = tsne_steps(P, start, method=method, exaggeration_iter=0)
        curves[method] = [s.kl_divergence for s in islice(states, 0, 401, 100)]
        assert curves[method][-1] < 0.6 * curves[method][0]
        np.testing.assert_allclose(curves[method][-2:], curves["exact"][-2:], rtol=0.04 if method == "fft" else 0.01)


@pytest.mark.parametrize("make, error", [
    (lambda P, Y: tsne_steps(P, Y[:5]), ShapeError), (lambda P, Y: tsne_steps(-P, Y), SettingError),
    (lambda P, Y: tsne_steps(P, Y * np.nan), SettingError), (lambda P, Y: tsne_steps(P * np.inf, Y), SettingError),
    (lambda P, Y: tsne_steps(P, Y, method="fast"), UnknownNameError), (lambda P, Y: tsne_steps(P, Y, theta=-1), SettingError),
    (lambda P, Y: tsne_steps(P, Y[:, :1], method="barnes_hut"), SettingError),
    (lambda P, Y: tsne_steps(P, Y, early_exaggeration=0.5), SettingError),
    (lambda P, Y: tsne_steps(P, Y, learning_rate="fast"), SettingError),
    (lambda P, Y: tsne_steps(P, Y, momentum=0.5), SettingError), (lambda P, Y: tsne_steps(P, Y, momentum=(0.5,)), SettingError),
    (lambda P, Y: tsne_steps(P, Y, dtype="float16"), SettingError), (lambda P, Y: tsne_steps(P, Y, dtype=int), SettingError),
    (lambda P, Y: tsne_steps(P, Y, switch_iter="late"), SettingError),
    (lambda P, Y: tsne_steps(P, 0 * Y), SettingError), (lambda P, Y: tsne_steps(P, 1e20 * Y), SettingError),
    (lambda P, Y: tsne_steps([[0.]], [[0., 0.]]), ShapeError), (lambda P, Y: tsne_steps("P", Y), ShapeError),
    (lambda P, Y: tsne_steps(P.toarray().astype(complex), Y), ShapeError), (lambda P, Y: tsne_steps(None, Y), ShapeError),
    (lambda P, Y: tsne_steps(12 * P, Y), SettingError), (lambda P, Y: tsne_steps(0 * P, Y), SettingError),
    (lambda P, Y: tsne_steps(2 * np.triu(P.toarray()), Y), SettingError),
    (lambda P, Y: tsne_steps(0.5 * P.toarray() + np.eye(12) / 24, Y), SettingError),
    (lambda P, Y: tsne_steps(dense_affinities(clusters(4)[0], 3), Y), SettingError)])
def test_steps_refuse_wrong_arguments(make, error):
    P, Y = sparse_affinities(clusters(4)[0], 3), cloud(12)
    with pytest.raises(error):
        list(islice(make(P, Y), 2))


def test_a_dense_p_will_do():
    P, Y = sparse_affinities(clusters(4)[0], 3), cloud(12)
    sparse, dense, single = (next(islice(tsne_steps(p, Y), 5, None)).embedding
                             for p in (P, P.toarray(), P.toarray().astype(np.float32)))
    assert np.array_equal(sparse, dense) and relative(single, sparse) < 1e-4


def test_the_method_for_few_points_and_off_the_plane():
    assert [method_for(m, (100, 2)) for m in ("auto", "fft", "exact", "barnes_hut")] == ["exact"] * 3 + ["barnes_hut"]
    assert method_for("auto", (50000, 3)) == "exact" and method_for("auto", (1000, 2)) == "auto"


def test_automatically_the_grid_for_narrow_maps_and_barnes_hut_for_wide_ones():
    P = sparse_affinities(clusters(400)[0], 5)
    for scale, auto, fft in ((1, "grid", "grid"), (20, "barnes_hut", "grid"), (300, "barnes_hut", "barnes_hut")):
        Y, G = cloud(1200, scale=scale).astype(np.float32), {}
        for method in ("auto", "fft", "barnes_hut"):
            G[method] = Gradient(P, Y.shape, Y.dtype, method)(Y).copy()
        assert np.array_equal(G["auto"], G["barnes_hut"]) == (auto == "barnes_hut")
        assert np.array_equal(G["fft"], G["barnes_hut"]) == (fft == "barnes_hut")
        assert relative(G["auto"], G["barnes_hut"]) < 0.03


# --- the class --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS + ("auto",))
def test_groups_are_told_apart(method):
    X, labels = clusters(50 if method in ("exact", "barnes_hut") else 340)
    before = X.copy()
    tsne = TSNE(perplexity=15, method=method, max_iter=350)
    Y = tsne.fit_transform(X)
    assert Y.shape == (len(X), 2) and neighbor_accuracy(Y, labels) > 0.99 and np.array_equal(X, before)
    P = sparse_affinities(X, 15, neighbors=149 if method == "exact" else None)
    expected = tsne_divergence_ref(P.toarray(), Y.astype(float))
    assert tsne.n_iter_ == 350 and tsne.kl_divergence_ == pytest.approx(expected, rel=1e-6)
    assert expected < (0.7 if len(X) == 150 else 1.6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [list, np.float32, np.int64, np.asfortranarray])
def test_any_table_of_numbers_will_do(method, kind):
    X = np.round(clusters(8)[0] * 10)
    given = X.tolist() if kind is list else np.asfortranarray(X) if kind is np.asfortranarray else X.astype(kind)
    Y, expected = (TSNE(perplexity=4, method=method, max_iter=5).fit_transform(x) for x in (given, X))
    np.testing.assert_allclose(Y, expected, rtol=1e-3, atol=1e-7)


def test_the_start_of_a_map():
    X, _ = clusters(8)

    def start(**settings):
        return TSNE(perplexity=4, max_iter=0, method="exact", **settings).fit_transform(X)

    principal = pca(X, 2)
    np.testing.assert_allclose(start(), principal / principal[:, 0].std() * 1e-4, rtol=1e-12)
    assert start(init="random").std() == pytest.approx(1e-4, rel=0.4)
    assert np.array_equal(start(init="random"), start(init="random", random_state=0))
    assert not np.array_equal(start(init="random"), start(init="random", random_state=1))
    assert np.array_equal(start(init="random", random_state=np.random.default_rng(3)), start(init="random", random_state=3))
    given = cloud(24)
    assert np.array_equal(start(init=given), given) and np.array_equal(start(init=given.tolist()), given)
    assert np.array_equal(start(random_state=5), start())


@pytest.mark.parametrize("components", [1, 3])
def test_maps_of_other_dimensions(components):
    X, labels = clusters(20)
    tsne = TSNE(components, perplexity=8, max_iter=300).fit(X)
    accuracy = neighbor_accuracy(tsne.embedding_, labels)       # on a line groups cannot get past each other
    assert tsne.embedding_.shape == (60, components) and accuracy > (0.6 if components == 1 else 0.9)
    assert tsne.transform(X[:4], max_iter=5).shape == (4, components)


@pytest.mark.filterwarnings("ignore:perplexity")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("X", [
    np.ones((1, 3)), np.eye(2), np.eye(3), np.ones((12, 4)), np.eye(20, 1), clusters(10)[0] * [1, 0, 0, 0, 1],
    1e-30 * clusters(10)[0], 1e30 * clusters(10)[0],
], ids=["1 point", "2", "3", "identical", "one column", "constant columns", "tiny", "huge"])
def test_odd_points_have_a_finite_map(X, method):
    tsne = TSNE(method=method, max_iter=300).fit(X)
    assert tsne.embedding_.shape == (len(X), 2) and np.isfinite(tsne.embedding_).all() and np.isfinite(tsne.kl_divergence_)


def test_few_points_for_the_perplexity_are_a_warning_not_an_error():
    with pytest.warns(UserWarning, match="smaller perplexity"):
        assert np.isfinite(TSNE(perplexity=30, max_iter=2).fit_transform(clusters(4)[0])).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(TSNE(perplexity=5, max_iter=2).fit_transform(clusters(5)[0])).all()     # N = 15 = 3 x perplexity


@pytest.mark.parametrize("method", METHODS)
def test_precomputed_distances_make_the_same_map(method):
    X, _ = clusters(10)
    start = 1e-4 * cloud(30)
    maps = [TSNE(perplexity=5, method=method, max_iter=12, init=start, metric=m).fit_transform(x)
            for m, x in (("euclidean", X), ("precomputed", cdist(X, X)))]
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-3, atol=1e-4)
    assert np.isfinite(TSNE(perplexity=5, max_iter=2, metric="precomputed").fit_transform(cdist(X, X))).all()


def test_the_metric_the_kernel_theta_and_its_other_name_matter():
    X, _ = clusters(40)
    start = cloud(120)
    plain = TSNE(perplexity=5, method="barnes_hut", max_iter=4, init=start).fit_transform(X)
    for change in ({"metric": "manhattan"}, {"kernel": "laplace"}, {"theta": 1.5}, {"early_exaggeration": 4},
                   {"learning_rate": 60}):
        changed = TSNE(**{"perplexity": 5, "method": "barnes_hut", "max_iter": 4, "init": start, **change}).fit_transform(X)
        assert not np.allclose(plain, changed, rtol=1e-5), change
    by_angle = TSNE(perplexity=5, method="barnes_hut", max_iter=4, init=start, angle=1.5).fit_transform(X)
    by_theta = TSNE(perplexity=5, method="barnes_hut", max_iter=4, init=start, theta=1.5).fit_transform(X)
    assert np.array_equal(by_angle, by_theta)


@pytest.mark.parametrize("settings, error, says", [
    ({"method": "barnes-hut"}, UnknownNameError, "'barnes_hut'"), ({"metric": "euclid"}, UnknownNameError, "'euclidean'"),
    ({"kernel": "gauss"}, UnknownNameError, "'gaussian'"), ({"init": "pcaa"}, UnknownNameError, "'pca'"),
    ({"init": np.zeros((5, 2))}, SettingError, "5 rows for 18"), ({"init": np.zeros((18, 3))}, ShapeError, "init"),
    ({"perplexity": 0}, SettingError, "perplexity"), ({"perplexity": "30"}, SettingError, "perplexity"),
    ({"perplexity": np.nan}, SettingError, "perplexity"), ({"learning_rate": 0}, SettingError, "learning_rate"),
    ({"learning_rate": "fast"}, SettingError, "learning_rate"), ({"max_iter": -1}, SettingError, "max_iter"),
    ({"max_iter": 1.5}, SettingError, "max_iter"), ({"theta": -0.1}, SettingError, "theta"),
    ({"theta": None}, SettingError, "theta"), ({"angle": "wide"}, SettingError, "theta"),
    ({"early_exaggeration": 0.5}, SettingError, "early_exaggeration"),
    ({"n_components": 0}, SettingError, "n_components"), ({"n_components": 3, "method": "fft"}, SettingError, "exact"),
    ({"callback": "print"}, SettingError, "callback"), ({"metric": "precomputed"}, SettingError, "no matrix"),
    ({"perplexity": 10 ** 400}, SettingError, "perplexity"), ({"learning_rate": 2 ** 2000}, SettingError, "learning_rate"),
    ({"method": np.array(["fft"])}, UnknownNameError, "method"), ({"metric": ["cosine"]}, UnknownNameError, "metric"),
    ({"learning_rate": 1e20, "max_iter": 300}, MinicnnError, "flew apart"), ({"init": None}, ShapeError, "pca"),
    ({"random_state": "seven"}, SettingError, "random.state"),
    ({"init": np.full((18, 2), 1e90)}, SettingError, "reaches to 1e.90"),
    ({"init": np.ones((18, 2))}, SettingError, "never part"),
    ({"init": "random", "random_state": -1}, SettingError, "random.state")])
def test_wrong_settings_are_told_in_one_sentence(settings, error, says):
    with pytest.raises(error, match=says) as told:
        TSNE(**{"perplexity": 5, "max_iter": 1, **settings}).fit(clusters(6)[0])
    assert isinstance(told.value, MinicnnError) and "\n" not in str(told.value)


@pytest.mark.parametrize("X, error", [
    ([[1, 2], [3, np.nan]], SettingError), ([[1, 2], [np.inf, 3]], SettingError), ([1, 2, 3], ShapeError), ([], ShapeError),
    (np.ones((2, 2, 2)), ShapeError), ("points", ShapeError), ([["a", "b"]], ShapeError), (None, ShapeError)])
def test_points_that_are_none_are_refused(X, error):
    with pytest.raises(error, match="TSNE"):
        TSNE(max_iter=1).fit(X)


def test_the_callback_sees_every_step_and_can_stop():
    seen = []
    tsne = TSNE(perplexity=5, max_iter=12, callback=lambda s: seen.append(s.step)).fit(clusters(6)[0])
    assert seen == list(range(13)) and tsne.n_iter_ == 12
    tsne = TSNE(perplexity=5, max_iter=12, callback=lambda s: s.step == 4).fit(clusters(6)[0])
    assert tsne.n_iter_ == 4
    assert np.array_equal(tsne.embedding_, TSNE(perplexity=5, max_iter=4).fit_transform(clusters(6)[0]))
    assert TSNE(perplexity=5, max_iter=3, callback=lambda s: s.embedding).fit(clusters(6)[0]).n_iter_ == 3
    with pytest.raises(ZeroDivisionError):
        TSNE(perplexity=5, max_iter=2, callback=lambda s: 1 / 0).fit(clusters(6)[0])


def test_ctrl_c_leaves_the_map_so_far(capsys):
    def interrupt(state):
        if state.step == 20:
            raise KeyboardInterrupt

    tsne = TSNE(perplexity=5, max_iter=50, callback=interrupt).fit(clusters(6)[0])
    assert tsne.n_iter_ == 20 and "stopped by Ctrl-C after 20 of 50 steps" in capsys.readouterr().err
    assert np.array_equal(tsne.embedding_, TSNE(perplexity=5, max_iter=20).fit_transform(clusters(6)[0]))


@pytest.mark.parametrize("method", METHODS)
def test_a_learning_rate_far_too_large_is_an_error_or_a_finite_map(method):
    (X, _), steps = clusters(6), 4 if method == "fft" else 15        # transforms of the largest grid take their time
    for rate in (1e4, 1e38, 1e300):
        with np.errstate(all="ignore"):
            try:
                assert np.isfinite(TSNE(perplexity=5, method=method, learning_rate=rate, max_iter=steps).fit_transform(X)).all()
            except MinicnnError as error:
                assert "give a smaller one" in str(error)


def test_the_face_fits_into_scikit_learns_pipelines():
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X, _ = clusters(20)
    pipe = pipeline.make_pipeline(preprocessing.StandardScaler(), TSNE(perplexity=5, max_iter=20))
    Y = pipe.fit_transform(X)
    assert Y.shape == (60, 2) and pipe.transform(X[:3]).shape == (3, 2) and "TSNE" in pipe._repr_html_()


def test_new_points_find_the_map_even_if_the_old_ones_were_changed():
    X, _ = clusters(20)
    tsne = TSNE(perplexity=5, max_iter=20).fit(X)
    before = tsne.transform(X[:3].copy(), max_iter=3)
    new = X[:3].copy()
    X[:] = 0
    assert np.array_equal(tsne.transform(new, max_iter=3), before)


def test_states_can_be_kept_in_a_pickle():
    import pickle
    P, start = sparse_affinities(clusters(4)[0], 3), cloud(12)
    dense = dense_affinities(clusters(4)[0], 3)
    for states in (tsne_steps(P, start), sne_steps(dense, start), transform_steps(clusters(4)[0], start, clusters(2)[0])):
        state = next(states)
        assert pickle.loads(pickle.dumps(state)).kl_divergence == state.kl_divergence


def test_settings_can_be_read_changed_and_cloned():
    tsne = TSNE(3, perplexity=7, init=cloud(4), metric="cosine")
    settings = tsne.get_params()
    assert set(settings) == set(TSNE.__init__.__kwdefaults__) | {"n_components", "perplexity"}
    twin = TSNE(**settings)
    assert all(twin.get_params()[name] is value for name, value in settings.items())        # what sklearn.base.clone asks for
    assert twin.set_params(theta=0.8, perplexity=9) is twin and (twin.theta, twin.perplexity, twin.metric) == (0.8, 9, "cosine")
    with pytest.raises(SettingError, match="no setting 'perplexiti'"):
        twin.set_params(perplexiti=3)
    fitted = TSNE(perplexity=5, max_iter=1).fit(clusters(6)[0])
    assert set(fitted.get_params()) == set(settings)
    assert repr(TSNE(3, perplexity=7)) == "TSNE(n_components=3, perplexity=7)" and repr(TSNE()) == "TSNE()"


def test_verbose_shows_a_bar_and_otherwise_there_is_silence(capsys):
    TSNE(perplexity=5, max_iter=3).fit(clusters(6)[0])
    assert capsys.readouterr() == ("", "")
    TSNE(perplexity=5, max_iter=3, verbose=True).fit(clusters(6)[0])
    assert "TSNE" in capsys.readouterr().err


BITS = """
import hashlib, sys, warnings
import numpy as np
from minicnn.embed import SNE, TSNE
X = np.random.default_rng(0).normal(size=(1200, 12)).astype(np.float32)
for method in sys.argv[1:]:
    tsne = TSNE(perplexity=10, method=method, max_iter=15, init="pca").fit(X)
    arrays = tsne.embedding_, np.float64(tsne.kl_divergence_)
    print(method, *(hashlib.sha256(a.tobytes()).hexdigest() for a in arrays))
if "exact" not in sys.argv:
    sys.exit()
print("new", hashlib.sha256(tsne.transform(X[:50] + 1, max_iter=5).tobytes()).hexdigest())
print("SNE", hashlib.sha256(SNE(perplexity=10, max_iter=5).fit_transform(X[:200]).tobytes()).hexdigest())
"""
PLAIN = """
import sys, numpy as np
from minicnn.embed import SNE, TSNE, nearest_neighbors
from minicnn.embed.interpolation import GridRepulsion
X = np.random.default_rng(0).normal(size=(14, 9))
out = {"brute": nearest_neighbors(X, 3, method="brute")[1], "vp_tree": nearest_neighbors(X, 3, X, method="vp_tree")[1],
       "manhattan": nearest_neighbors(X, 3, method="brute", metric="manhattan")[1]}
out["grid"] = GridRepulsion()(X[:, :2])[0]
for method in ("exact", "barnes_hut"):
    tsne = TSNE(perplexity=3, method=method, max_iter=3, init=X[:, :2]).fit(X)
    out[method], out[method + " KL"] = tsne.embedding_, tsne.kl_divergence_
    out[method + " new"] = tsne.transform(X[:3] + 1, max_iter=2)
out["3-d"] = TSNE(3, perplexity=3, max_iter=3, init=X[:, :3]).fit_transform(X)
out["SNE"] = SNE(perplexity=3, max_iter=3).fit_transform(X)
np.savez(sys.argv[1], **out)
"""


def python(code, *arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(Path(minicnn.__file__).parent.parent), **environment}
    result = subprocess.run([sys.executable, "-c", code, *arguments], text=True, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_same_bits_for_every_number_of_threads_and_from_the_cache(tmp_path):
    one, two = (python(BITS, "fft", "barnes_hut", "auto", "exact", NUMBA_NUM_THREADS=n, OMP_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n)
                for n in "12")
    assert one == two and len(one.splitlines()) == 6
    cold = python(BITS, "fft", "barnes_hut", NUMBA_CACHE_DIR=str(tmp_path))
    assert cold.splitlines() == one.splitlines()[:2]


def test_kernels_as_plain_python_say_the_same(tmp_path):
    python(PLAIN, str(tmp_path / "plain.npz"), NUMBA_DISABLE_JIT="1")
    python(PLAIN, str(tmp_path / "compiled.npz"))
    with np.load(tmp_path / "plain.npz") as plain, np.load(tmp_path / "compiled.npz") as compiled:
        for name in compiled:
            np.testing.assert_allclose(plain[name], compiled[name], rtol=1e-3 if "KL" not in name else 1e-4, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_map_again(method):
    X, _ = clusters(30)
    first, second = (TSNE(perplexity=5, method=method, max_iter=20, init="random").fit_transform(X) for _ in range(2))
    assert first.tobytes() == second.tobytes()


# --- new points -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def fitted():
    X, labels = clusters(40)
    return TSNE(perplexity=10, max_iter=400).fit(X), X, labels


def test_points_of_the_map_land_near_themselves_and_new_ones_in_their_group(fitted):
    tsne, X, labels = fitted
    before = X.copy(), tsne.embedding_.copy()
    size = tsne.embedding_.std()
    assert np.median(np.linalg.norm(tsne.transform(X) - tsne.embedding_, axis=1)) < 0.1 * size
    new, group = clusters(15, seed=5)
    places = tsne.transform(new)
    assert places.dtype == tsne.embedding_.dtype
    assert (labels[cdist(places, tsne.embedding_).argmin(axis=1)] == group).all()
    assert np.array_equal(X, before[0]) and np.array_equal(tsne.embedding_, before[1])
    assert np.abs(places - tsne.transform(new, max_iter=0)).max() > 1e-3


def test_a_new_place_does_not_depend_on_what_else_is_asked_for(fitted):
    tsne, _, _ = fitted
    new, _ = clusters(5, seed=5)
    exact = TSNE(**{**tsne.get_params(), "theta": 0, "max_iter": 0, "init": tsne.embedding_}).fit(tsne.points_)
    np.testing.assert_allclose(exact.transform(new)[:1], exact.transform(new[:1]), rtol=1e-6)
    assert np.abs(tsne.transform(new)[:1] - exact.transform(new[:1])).max() < 0.03 * tsne.embedding_.std()


@pytest.mark.parametrize("components", [2, 3])
def test_the_gradient_for_new_points_is_that_of_their_objective(components):
    X, _ = clusters(12)
    Y, new = cloud(36, components, 2.0), X[::9] + 0.5
    first, second = islice(transform_steps(X, Y, new, perplexity=4, theta=0, learning_rate=1e-6, momentum=0), 2)
    gradient = numeric_gradient(first.divergence, first.embedding)
    assert first.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-6)
    moved = (first.embedding - second.embedding) / 1e-6
    np.testing.assert_allclose(moved, 1.2 * gradient, rtol=1e-5, atol=1e-7)


def test_new_points_move_with_momentum_and_are_not_centred():
    X, _ = clusters(12)
    Y, new = cloud(36, 2, 2.0), X[::9] + 0.5
    states = list(islice(transform_steps(X, Y, new, perplexity=4, theta=0), 4))
    move, gain = 0, 1
    for state, after in zip(states, states[1:]):
        gradient = numeric_gradient(state.divergence, state.embedding)
        gain = np.where(np.sign(gradient) != np.sign(move), gain + 0.2, 0.8 * gain)
        move = 0.5 * move - 1.0 * gain * gradient
        np.testing.assert_allclose(after.embedding - state.embedding, move, rtol=1e-5, atol=1e-8)


def test_the_objective_for_new_points_by_hand():
    import scipy.sparse
    P, Y, places = np.array([[0.25, 0.75, 0]]), np.array([[0., 0], [2, 0], [5, 5]]), np.array([[1., 0]])
    q = np.array([0.5, 0.5, 1 / 42]) / (1 + 1 / 42)
    expected = 0.25 * np.log(0.25 / q[0]) + 0.75 * np.log(0.75 / q[1])
    assert transform_divergence(scipy.sparse.csr_matrix(P), places, Y) == pytest.approx(expected)


def test_new_points_go_downhill_from_the_mean_of_their_neighbors(fitted):
    tsne, X, _ = fitted
    new, _ = clusters(4, seed=5)
    states = list(islice(transform_steps(X, tsne.embedding_, new, perplexity=10), 60))
    assert [s.step for s in states] == list(range(60)) and states[-1].kl_divergence < states[0].kl_divergence
    low, high = tsne.embedding_.min(axis=0), tsne.embedding_.max(axis=0)
    assert ((low <= states[0].embedding) & (states[0].embedding <= high)).all()
    one = next(transform_steps(X, tsne.embedding_, X[:1], perplexity=1.0001, theta=0))
    assert np.linalg.norm(one.embedding - tsne.embedding_[0]) < 0.1 * tsne.embedding_.std()


def test_new_points_by_their_distances(fitted):
    tsne, X, _ = fitted
    new, _ = clusters(4, seed=5)
    other = TSNE(**{**tsne.get_params(), "metric": "precomputed", "init": tsne.embedding_, "max_iter": 0}).fit(cdist(X, X))
    np.testing.assert_allclose(other.transform(cdist(new, X)), tsne.transform(new), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("call, error", [
    (lambda t, X: TSNE().transform(X), SettingError), (lambda t, X: t.transform(X[:, :3]), ShapeError),
    (lambda t, X: t.transform(X[:0]), ShapeError), (lambda t, X: t.transform(X * np.nan), SettingError),
    (lambda t, X: t.transform(X, max_iter=-1), SettingError), (lambda t, X: t.transform(X, max_iter="all"), SettingError),
    (lambda t, X: next(transform_steps(X, t.embedding_[:5], X)), ShapeError),
    (lambda t, X: next(transform_steps(X, t.embedding_, X, learning_rate=0)), SettingError),
    (lambda t, X: next(transform_steps(X, t.embedding_, X, theta=-1)), SettingError),
    (lambda t, X: TSNE(perplexity=5, max_iter=1).fit(X).fit(X[:1]).transform(X), SettingError)])
def test_new_points_that_do_not_fit_are_refused(fitted, call, error):
    with pytest.raises(error):
        call(fitted[0], fitted[1])
