"""Minimum cuts against SciPy's; GrabCut by what it must do: its energy never rises, it finds what was pasted in."""
import numpy as np
import pytest

from minicnn.errors import SettingError, ShapeError
from minicnn.loop import take
from minicnn.visualize.grabcut import BACKGROUND, OBJECT, UNKNOWN, _costs, _fit, cut_out, grabcut, grabcut_steps
from minicnn.visualize.max_flow import min_cut

rng = np.random.default_rng


def random_graph(seed):
    """(source, sink, edges, forward, backward) with whole numbers, loops, double edges and nodes that hang on nothing."""
    r = rng(seed)
    n = int(r.integers(1, 60))
    edges = r.integers(0, n, (int(r.integers(0, 5 * n)), 2))
    forward, backward = r.integers(0, 10, (2, len(edges)))
    source, sink = r.integers(0, 15, (2, n)) * (r.random((2, n)) < 0.4)
    return source, sink, edges, forward, backward


def matrix(source, sink, edges, forward, backward):
    n = len(source)
    capacity = np.zeros((n + 2, n + 2), np.int32)
    for (u, v), there, back in zip(edges, forward, backward):
        if u != v:
            capacity[u, v] += there
            capacity[v, u] += back
    capacity[n, :n], capacity[:n, n + 1] = source, sink
    return capacity


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_max_flow_is_scipys_and_the_cut_is_as_large(first):
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow
    for seed in range(first, first + 50):
        graph = random_graph(seed)
        n, capacity = len(graph[0]), matrix(*graph)
        flow, mask = min_cut(*graph)
        assert flow == maximum_flow(csr_array(capacity), n, n + 1).flow_value
        side = np.concatenate([mask, [True, False]])
        assert capacity[side][:, ~side].sum() == flow


def test_the_plain_body_gives_the_same():
    from minicnn.visualize import max_flow
    graph = random_graph(3)
    expected = min_cut(*graph)
    compiled, max_flow.min_cut_cpu = max_flow.min_cut_cpu, max_flow.min_cut_cpu.py_func
    try:
        found = min_cut(*graph)
    finally:
        max_flow.min_cut_cpu = compiled
    assert found[0] == expected[0] and np.array_equal(found[1], expected[1])


def test_a_grid_of_real_numbers():
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow
    r, side = rng(5), 40
    index = np.arange(side * side).reshape(side, side)
    edges = np.concatenate([np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1),
                            np.stack([index[:-1].ravel(), index[1:].ravel()], 1)])
    weights = np.rint(1000 * r.random(len(edges))) / 1000               # SciPy wants whole numbers: thousandths
    source, sink = np.rint(1000 * r.random((2, side * side)) ** 4) / 1000
    flow, mask = min_cut(source, sink, edges, weights, weights)
    whole = matrix(*(np.rint(1000 * a).astype(int) if a is not edges else a for a in (source, sink, edges, weights, weights)))
    assert flow == pytest.approx(maximum_flow(csr_array(whole), side * side, side * side + 1).flow_value / 1000, rel=1e-12)
    across = mask[edges[:, 0]] != mask[edges[:, 1]]
    assert flow == pytest.approx(source[~mask].sum() + sink[mask].sum() + weights[across].sum(), rel=1e-12)


@pytest.mark.parametrize("graph, error", [
    (([1], [1], [[0, 1]], [1], [1]), SettingError), (([1], [1], [[0, 0]], [1, 2], [1]), ShapeError),
    (([1], [1, 2], [], [], []), ShapeError), (([-1], [1], [], [], []), SettingError),
    (([np.inf], [1], [], [], []), SettingError), (([1, 1], [1, 1], [[0, 1]], [np.nan], [1]), SettingError)])
def test_graphs_that_are_none(graph, error):
    with pytest.raises(error, match="min_cut"):
        min_cut(*graph)


# --- GrabCut ----------------------------------------------------------------------------------------------------------
def disc(seed=0, side=60, noise=12.0):
    """A picture of a disc in two colours on a striped ground, the disc's mask, and seeds: a core, a frame, unknown between."""
    r, (i, j) = rng(seed), np.mgrid[:side, :side]
    inside = np.hypot(i - side / 2, j - side / 2) < side / 3.5
    ground = np.where((i // 4 % 2)[..., None], [60, 110, 60], [120, 140, 90])
    thing = np.where((j < side / 2)[..., None], [200, 60, 40], [230, 180, 60])
    image = np.where(inside[..., None], thing, ground) + r.normal(0, noise, (side, side, 3))
    seeds = np.full((side, side), UNKNOWN)
    seeds[np.hypot(i - side / 2, j - side / 2) < side / 10] = OBJECT
    seeds[:4], seeds[-4:], seeds[:, :4], seeds[:, -4:] = (BACKGROUND,) * 4
    return np.clip(image, 0, 255).astype(np.uint8), inside, seeds


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_energy_never_rises_and_the_disc_is_found(seed):
    image, inside, seeds = disc(seed)
    states = list(take(6, grabcut_steps(image, seeds, rng=seed)))
    energies = [state.energy for state in states]
    assert all(b <= a + 1e-9 * abs(a) for a, b in zip(energies, energies[1:])) and energies[-1] < 0.97 * energies[0]
    assert iou(states[0].mask, inside) < 0.5 and iou(states[-1].mask, inside) > 0.95
    for state in states:
        assert state.mask[seeds == OBJECT].all() and not state.mask[seeds == BACKGROUND].any()
    assert np.array_equal(grabcut(image, seeds, iterations=6, rng=seed), states[-1].mask)


def test_the_energy_is_the_formulas():
    image, _, seeds = disc(side=24)
    state = list(take(2, grabcut_steps(image, seeds)))[-1]
    z, total, differences = image.astype(float), 0.0, []
    pairs = [((i, j), (i + di, j + dj)) for i in range(24) for j in range(24) for di, dj in ((0, 1), (1, 0), (1, 1), (1, -1))
             if i + di < 24 and 0 <= j + dj < 24]
    differences = [((z[a] - z[b]) ** 2).sum() for a, b in pairs]
    beta = 1 / (2 * np.mean(differences))
    for (a, b), difference in zip(pairs, differences):
        total += 50 * (state.mask[a] != state.mask[b]) * np.exp(-beta * difference) / np.hypot(a[0] - b[0], a[1] - b[1])
    for place in np.ndindex(24, 24):
        costs = []
        for weight, mean, covariance in zip(*state.mixtures[int(state.mask[place])]):
            if weight > 0:
                d = z[place] - mean
                costs.append(-np.log(weight) + 0.5 * np.log(np.linalg.det(covariance)) + 0.5 * d @ np.linalg.solve(covariance, d))
        total += min(costs)
    assert state.energy == pytest.approx(total, rel=1e-9)


def test_fitting_lowers_the_cost_of_colours_even_where_a_component_has_one_colour():
    z = np.concatenate([rng(0).normal(100, 20, (80, 3)), np.full((20, 3), 7.0)])
    mixture = (np.array([0.5, 0.5, 0.0]), np.array([[90.0] * 3, [10.0] * 3, [0.0] * 3]), np.stack([np.eye(3) * 100] * 3))
    before = _costs(z, mixture).min(axis=1).sum()
    fitted = _fit(z, mixture, 1.0)
    assert _costs(z, fitted).min(axis=1).sum() < before and np.linalg.eigvalsh(fitted[2][:2]).min() >= 1 - 1e-9
    assert fitted[0].tolist() == [0.8, 0.2, 0.0]


def test_cut_out_is_clear_around_the_object():
    image, inside, _ = disc()
    found = cut_out(image, inside)
    assert found.shape == (60, 60, 4) and np.array_equal(found[..., :3], image) and np.array_equal(found[..., 3] == 255, inside)


@pytest.mark.parametrize("change, error", [
    (lambda image, seeds: (image.astype(float), seeds), ShapeError), (lambda image, seeds: (image[..., 0], seeds), ShapeError),
    (lambda image, seeds: (image, seeds[1:]), ShapeError), (lambda image, seeds: (image, seeds + 1), SettingError),
    (lambda image, seeds: (image, np.full_like(seeds, BACKGROUND)), SettingError),
    (lambda image, seeds: (image, np.full_like(seeds, UNKNOWN)), SettingError)])
def test_pictures_and_seeds_that_do_not_fit(change, error):
    image, _, seeds = disc()
    with pytest.raises(error, match="grabcut"):
        next(grabcut_steps(*change(image, seeds)))
