"""Nearest neighbours, and the affinities made of them: against scikit-learn (goldens), SciPy, and what they are defined to be."""
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from minicnn.embed import VPTree, dense_affinities, nearest_neighbors, sparse_affinities
from minicnn.embed.affinities import conditional_affinities, conditional_ref, perplexity_of, reordered, symmetrized
from minicnn.embed.heap import push, sort_heap
from minicnn.errors import MinicnnError, SettingError, ShapeError, UnknownNameError

GOLDENS = Path(__file__).parent / "goldens" / "embed.npz"
SCIPY_NAMES = {"euclidean": "euclidean", "manhattan": "cityblock", "chebyshev": "chebyshev", "cosine": "cosine"}
METHODS = ("brute", "vp_tree")


@pytest.fixture(scope="module")
def goldens():
    with np.load(GOLDENS) as archive:
        return dict(archive)


def points(count, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def by_sorting(X, k, queries=None, metric="euclidean"):
    """Every distance in float64, sorted; of equally near points the one of lower index first."""
    own, queries = queries is None, X if queries is None else queries
    queries, X = np.asarray(queries, float), np.asarray(X, float)
    if metric == "cosine":                      # for unit vectors |a - b|^2 / 2 = 1 - cos, but with all digits
        queries, X = (a / np.abs(a).max() for a in (queries, X))
        queries, X = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (queries, X))
    D = cdist(queries, X, SCIPY_NAMES[metric]) if metric != "cosine" else cdist(queries, X) ** 2 / 2
    if own:
        np.fill_diagonal(D, np.inf)
    indices = np.argsort(D, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(D, indices, axis=1)


def check_neighbors(found, expected, tolerance=1e-12):
    indices, distances = found
    assert indices.dtype == np.int32 and distances.dtype == np.float64
    np.testing.assert_allclose(distances, expected[1], rtol=tolerance, atol=1e-300)
    np.testing.assert_array_equal(indices, expected[0])


# --- neighbours -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("metric", SCIPY_NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_neighbors_agree_with_scikit_learn(goldens, metric, method):
    found = nearest_neighbors(goldens["X"], 10, metric=metric, method=method)
    expected = goldens[f"neighbors/{metric}/indices"], goldens[f"neighbors/{metric}/distances"]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("metric", SCIPY_NAMES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dimensions", [1, 3, 12])
def test_neighbors_among_the_points_and_of_queries(metric, method, dimensions):
    if metric == "cosine" and dimensions == 1:
        pytest.skip("on a line all directions are the same or opposite")
    X, queries = points(700, dimensions), points(150, dimensions, seed=1)       # more than one tile of 512
    tolerance = 1e-10 if metric == "cosine" else 1e-12
    for asked in (None, queries):
        found = nearest_neighbors(X, 7, asked, metric=metric, method=method)
        check_neighbors(found, by_sorting(X, 7, asked, metric), tolerance)


def test_neighbors_agree_with_a_kd_tree():
    X, queries = points(2000, 3), points(300, 3, seed=1)
    distances, indices = cKDTree(X).query(queries, 5)
    check_neighbors(nearest_neighbors(X, 5, queries), (indices, distances))


@pytest.mark.parametrize("method", METHODS)
def test_a_query_finds_itself_but_a_point_does_not(method):
    X = points(60, 10)
    indices, distances = nearest_neighbors(X, 1, X, method=method)
    assert np.array_equal(indices[:, 0], np.arange(60)) and not distances.any()
    indices, distances = nearest_neighbors(X, 59, method=method)
    assert all(sorted(row) == [j for j in range(60) if j != i] for i, row in enumerate(indices.tolist()))
    assert (np.diff(distances, axis=1) >= 0).all() and distances.min() > 0


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("method", METHODS)
def test_of_equally_near_points_the_first_come_first(metric, method):
    grid = np.stack(np.meshgrid(np.arange(9.), np.arange(9.)), axis=2).reshape(-1, 2)
    X = np.hstack([grid, np.zeros((81, 10))])[np.random.default_rng(0).permutation(81)]
    for k in (1, 4, 6, 80):
        check_neighbors(nearest_neighbors(X, k, metric=metric, method=method), by_sorting(X, k, metric=metric))


@pytest.mark.parametrize("method", METHODS)
def test_identical_points_are_neighbors_at_distance_0(method):
    X = np.repeat(points(4, 9), 30, axis=0)
    check_neighbors(nearest_neighbors(X, 20, method=method), by_sorting(X, 20))
    indices, distances = nearest_neighbors(np.full((40, 9), 0.1), 3, method=method)
    assert not distances.any() and indices[0].tolist() == [1, 2, 3] and indices[2].tolist() == [0, 1, 3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("X", [
    1e6 + 1e-3 * points(300, 10), 1e-30 * points(300, 10), 1e30 * points(300, 10),
    np.vstack([1e-6 * points(299, 10), np.full((1, 10), 1e6)]), 1e6 + points(300, 10) * 10. ** -np.arange(10),
], ids=["far from 0", "tiny", "huge", "with an outlier", "ever finer"])
def test_what_float32_cannot_decide_is_still_exact(X, method):
    check_neighbors(nearest_neighbors(X, 6, method=method), by_sorting(X, 6))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_float32_points_of_any_scale(scale, method, metric):
    X = (scale * points(200, 10)).astype(np.float32)
    found, expected = nearest_neighbors(X, 5, metric=metric, method=method), by_sorting(X, 5, metric=metric)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert (found[0] == expected[0]).mean() > 0.99


def test_the_tree_measures_few_distances_in_the_plane_and_prunes_nothing_it_should_not():
    X = points(3000, 2)
    tree = VPTree(X)
    indices, distances = tree.query(X, 10, own=True)
    check_neighbors((indices, distances), by_sorting(X, 10))
    assert 10 < tree.measured.mean() < 90
    inner = [np.linalg.norm(tree.points[0] - p) for p in tree.points[1:1 + 2999 // 2]]
    assert max(inner) == pytest.approx(tree.radius[0]) and sorted(tree.order) == list(range(3000))


def test_automatically_the_tree_in_few_dimensions():
    for dimensions in (2, 8, 9):
        X = points(80, dimensions)
        check_neighbors(nearest_neighbors(X, 4), by_sorting(X, 4))


def test_precomputed_distances():
    X, queries = points(50, 3), points(8, 3, seed=1)
    D = cdist(X, X)
    before = D.copy()
    check_neighbors(nearest_neighbors(D, 5, metric="precomputed"), by_sorting(X, 5))
    check_neighbors(nearest_neighbors(D, 5, cdist(queries, X), metric="precomputed"), by_sorting(X, 5, queries))
    assert np.array_equal(D, before)
    assert nearest_neighbors(D.astype(np.float32), 5, metric="precomputed")[1].dtype == np.float64


def test_a_heap_keeps_the_nearest():
    distances, indices = np.full(5, np.inf), np.zeros(5, np.int32)
    for index, far in enumerate([3., 1, 4, 1, 5, 9, 2, 6]):
        if (far, index) < (distances[0], indices[0]):
            push(distances, indices, far, np.int32(index))
    sort_heap(distances, indices)
    assert distances.tolist() == [1, 1, 2, 3, 4] and indices.tolist() == [1, 3, 6, 0, 2]


@pytest.mark.parametrize("call, error, says", [
    (lambda X: nearest_neighbors(X, 3, metric="euclid"), UnknownNameError, "did you mean 'euclidean'"),
    (lambda X: nearest_neighbors(X, 3, method="tree"), UnknownNameError, "vp_tree"),
    (lambda X: nearest_neighbors(X, 6), SettingError, "only 5 other points"),
    (lambda X: nearest_neighbors(X, 7, X), SettingError, "only 6 other points"),
    (lambda X: nearest_neighbors(X, 0), SettingError, "k is 0"),
    (lambda X: nearest_neighbors(X, 2.5), SettingError, "k is 2.5"),
    (lambda X: nearest_neighbors(X, True), SettingError, "k is True"),
    (lambda X: nearest_neighbors(X[0], 1), ShapeError, r"\(3,\)"),
    (lambda X: nearest_neighbors(X[:0], 1), ShapeError, "no points"),
    (lambda X: nearest_neighbors([["a", "b"]], 1), ShapeError, "no table of"),
    (lambda X: nearest_neighbors(X + 1j, 1), ShapeError, "no table of real numbers"),
    (lambda X: nearest_neighbors([[1, 2], [3]], 1), ShapeError, "no table of"),
    (lambda X: nearest_neighbors(X, 1, X[:, :2]), ShapeError, "do not fit together"),
    (lambda X: nearest_neighbors(X, 1, metric="precomputed"), ShapeError, "do not fit together"),
    (lambda X: nearest_neighbors(np.where(np.eye(6, 3), np.nan, X), 1), SettingError, "row 0, column 0 is nan, one of 3"),
    (lambda X: nearest_neighbors(X, 1, np.inf * X), SettingError, "inf"),
    (lambda X: nearest_neighbors(np.vstack([X, 0 * X[:1]]), 1, metric="cosine"), SettingError, "row 6 of X is zero"),
    (lambda X: nearest_neighbors(X, 1, 0 * X[:1], metric="cosine"), SettingError, "row 0 of queries is zero"),
    (lambda X: nearest_neighbors(-np.ones((4, 4)), 1, metric="precomputed"), SettingError, "negative"),
    (lambda X: VPTree(X, metric="cosine"), UnknownNameError, "vantage-point tree"),
    (lambda X: VPTree(X, metric=["euclidean"]), UnknownNameError, "vantage-point tree"),
    (lambda X: VPTree(X, rng="seven"), SettingError, "random state is 'seven'"),
    (lambda X: nearest_neighbors(np.tril(cdist(X, X)), 1, metric="precomputed"), SettingError, "both ways"),
    (lambda X: nearest_neighbors(np.exp(-cdist(X, X)), 1, metric="precomputed"), SettingError, "0 from a point to itself"),
    (lambda X: dense_affinities(X[:1]), ShapeError, "one point has no neighbours"),
    (lambda X: sparse_affinities(X[:1]), ShapeError, "one point has no neighbours"),
    (lambda X: conditional_affinities(-X ** 2, 2), SettingError, "a distance is negative"),
    (lambda X: VPTree(X).query(X, 7), SettingError, "only 6 points"),
    (lambda X: VPTree(X).query(X, 6, own=True), SettingError, "only 5 points"),
    (lambda X: VPTree(X).query(X[:, :2], 1), ShapeError, r"\(N, 3\)"),
    (lambda X: conditional_affinities(X, 2, "cauchy"), UnknownNameError, "gaussian"),
    (lambda X: conditional_affinities(X, 0.5), SettingError, "perplexity is 0.5"),
    (lambda X: dense_affinities(X, np.nan), SettingError, "perplexity is nan"),
    (lambda X: sparse_affinities(X, "many"), SettingError, "perplexity is 'many'"),
    (lambda X: symmetrized(np.zeros((3, 2), np.int32), np.zeros((3, 1))), ShapeError, "the same shape"),
])
def test_wrong_arguments_are_told_in_one_sentence(call, error, says):
    with pytest.raises(error, match=says) as told:
        call(points(6, 3))
    assert isinstance(told.value, MinicnnError) and "\n" not in str(told.value)


# --- affinities -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("perplexity", [5, 30])
def test_affinities_agree_with_scikit_learn(goldens, perplexity):
    expected = goldens[f"conditional/{perplexity}"]
    np.testing.assert_allclose(dense_affinities(goldens["X"], perplexity), expected, rtol=2e-4, atol=1e-7)


def test_affinities_agree_with_opentsne(goldens):
    P = sparse_affinities(goldens["X"], 5, neighbors=len(goldens["X"]) - 1)
    assert np.abs(P.toarray() - goldens["opentsne/5"]).sum() < 0.02     # openTSNE has fewer neighbours and a coarser bisection


@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
@pytest.mark.parametrize("perplexity", [1.5, 12, 79])
def test_the_perplexity_is_met_at_any_scale(perplexity, kernel, scale):
    distances = by_sorting(points(100, 6), 90)[1]
    p = conditional_affinities(scale * distances, perplexity, kernel)
    np.testing.assert_allclose(perplexity_of(p), perplexity, atol=1e-5)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (np.diff(p, axis=1) <= 0).all()
    np.testing.assert_allclose(p, conditional_affinities(distances, perplexity, kernel), atol=1e-9)


@pytest.mark.parametrize("kernel, power", [("gaussian", 2), ("laplace", 1)])
def test_the_logarithm_of_p_falls_with_the_distance_or_its_square(kernel, power):
    distances = by_sorting(points(40, 4), 30)[1]
    logs = np.log(conditional_affinities(distances, 8, kernel))
    slopes = np.diff(logs, axis=1) / np.diff(distances ** power, axis=1)
    np.testing.assert_allclose(slopes, slopes[:, :1] * np.ones(29), rtol=1e-6)
    assert slopes.max() < 0


def test_pairs_are_symmetric_and_add_up_to_1():
    X = points(60, 5)
    sparse, dense = sparse_affinities(X, 5), dense_affinities(X, 5, symmetric=True)
    conditional = dense_affinities(X, 5)
    for P in (sparse.toarray(), dense):
        assert np.array_equal(P, P.T) and P.sum() == pytest.approx(1, rel=1e-12) and not P.diagonal().any() and P.min() >= 0
    np.testing.assert_allclose(dense, (conditional + conditional.T) / 120, rtol=1e-12)
    np.testing.assert_allclose(sparse_affinities(X, 5, neighbors=59).toarray(), dense, rtol=1e-12)
    assert np.abs(sparse.toarray() - dense).sum() < 0.05
    assert 15 * 60 <= sparse.nnz <= 30 * 60 and sparse.has_sorted_indices


def test_a_far_outlier_still_has_neighbors_but_nobody_has_it():
    X = np.vstack([points(40, 3), np.full((1, 3), 1e8)])
    p = dense_affinities(X, 5)
    np.testing.assert_allclose(perplexity_of(p), 5, atol=1e-5)
    assert p[:40, 40].max() == 0


def test_a_perplexity_too_large_warns_and_counts_all_the_same():
    with pytest.warns(UserWarning, match="smaller perplexity"):
        P = dense_affinities(points(6, 3), 5)
    np.testing.assert_allclose(P, (1 - np.eye(6)) / 5, atol=1e-3)      # an entropy right to 1e-6
    with pytest.warns(UserWarning):
        np.testing.assert_allclose(sparse_affinities(points(6, 3), 30).toarray(), (1 - np.eye(6)) / 30, rtol=1e-9, atol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dense_affinities(points(6, 3), 4.5)


def test_duplicates_share_what_one_would_have():
    p = dense_affinities(np.repeat(points(5, 3), 10, axis=0), 4)
    np.testing.assert_allclose(p[0, 1:10], 1 / 9, rtol=1e-6)        # 9 at distance 0: fewer than that it cannot be
    assert p[0, 10:].max() < 1e-6
    with np.errstate(all="raise"):
        same = dense_affinities(np.ones((8, 3)), 3)
    np.testing.assert_allclose(same, (1 - np.eye(8)) / 7, rtol=1e-12)


def test_reordered_takes_rows_and_columns_along():
    P, order = sparse_affinities(points(30, 4), 4), np.random.default_rng(1).permutation(30)
    np.testing.assert_array_equal(reordered(P, order).toarray(), P.toarray()[order][:, order])
    empty = scipy.sparse.csr_matrix((3, 3))
    assert reordered(empty, np.array([2, 0, 1])).nnz == 0


def test_inputs_are_left_alone():
    X, distances = points(40, 12), np.sort(points(5, 9) ** 2, axis=1)
    before = X.copy(), distances.copy()
    nearest_neighbors(X, 4, X, metric="cosine")
    nearest_neighbors(X, 4, method="vp_tree")
    sparse_affinities(X, 4)
    conditional_affinities(distances, 3)
    assert np.array_equal(X, before[0]) and np.array_equal(distances, before[1])


def test_sigma_and_p_are_those_of_the_formula():
    X = 3 * points(40, 5)
    D = cdist(X, X)
    others = D[~np.eye(40, dtype=bool)].reshape(40, 39)
    p, sigma = conditional_affinities(others, 8, return_sigma=True)
    np.testing.assert_allclose(conditional_ref(D, sigma)[~np.eye(40, dtype=bool)].reshape(40, 39), p, rtol=1e-9)
    p, sigma = conditional_affinities(others, 8, "laplace", return_sigma=True)
    w = np.exp(-others / (2 * sigma[:, None] ** 2))
    np.testing.assert_allclose(w / w.sum(axis=1, keepdims=True), p, rtol=1e-9)


@pytest.mark.parametrize("far", [1e5, 1e30, 1e90])
def test_a_point_very_far_off_does_not_spoil_the_perplexity(far):
    X = points(60, 4)
    X[-1] = far
    D = cdist(X, X)
    p = conditional_affinities(D[:-1][~np.eye(60, dtype=bool)[:-1]].reshape(59, 59), 5)
    np.testing.assert_allclose(perplexity_of(p), 5, atol=1e-5)


def test_a_hundred_points_in_one_place_are_neighbours_of_equal_weight():
    p = conditional_affinities(np.concatenate([np.zeros((3, 100)), np.full((3, 1), 7.0)], axis=1), 5)
    np.testing.assert_allclose(p[:, :-1], 0.01, rtol=1e-9)
    assert not p[:, -1].any()
