"""SNE and symmetric SNE: the objective's gradient, the steps, the class."""
from itertools import islice

import numpy as np
import pytest

from minicnn.embed import SNE, dense_affinities, sne_steps
from minicnn.embed.sne import gaussian_ref, sne_divergence, sne_gradient, sne_gradient_ref
from minicnn.embed.tsne import numeric_gradient
from minicnn.errors import MinicnnError, SettingError, ShapeError, UnknownNameError

BOTH = pytest.mark.parametrize("symmetric", [False, True], ids=["SNE", "symmetric SNE"])


def clusters(count=20, dimensions=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.eye(3, dimensions) * 12
    return np.concatenate([c + rng.normal(size=(count, dimensions)) for c in centres]), np.repeat(np.arange(3), count)


def neighbor_accuracy(Y, labels):
    """How many points of a map have a nearest neighbour of their own group."""
    square = ((Y[:, None] - Y[None]).astype(float) ** 2).sum(axis=2)
    np.fill_diagonal(square, np.inf)
    return (labels[square.argmin(axis=1)] == labels).mean()


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def problem(symmetric, components=2, scale=1.0):
    X = clusters(5)[0]
    return dense_affinities(X, 4, symmetric=symmetric), scale * np.random.default_rng(1).normal(size=(15, components))


@BOTH
@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_gradient_is_that_of_the_objective(symmetric, components):
    P, Y = problem(symmetric, components)
    expected = numeric_gradient(lambda Y: sne_divergence(P, Y, symmetric), Y)
    assert relative(sne_gradient_ref(P, Y, symmetric), expected) < 1e-6
    assert relative(sne_gradient(P, Y, symmetric), expected) < 1e-6


@BOTH
def test_q_is_what_the_slide_says_and_the_objective_a_divergence(symmetric):
    P, Y = problem(symmetric)
    w = np.exp(-((Y[:, None] - Y[None]) ** 2).sum(axis=2)) * (1 - np.eye(len(Y)))
    Q = w / (w.sum() if symmetric else w.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(gaussian_ref(Y, symmetric), Q, rtol=1e-10)
    pairs = P > 0
    assert sne_divergence(P, Y, symmetric) == pytest.approx(np.sum(P[pairs] * np.log(P[pairs] / Q[pairs])), rel=1e-10)
    assert sne_divergence(Q, Y, symmetric) == pytest.approx(0, abs=1e-12)
    assert np.abs(sne_gradient(Q, Y, symmetric)).max() < 1e-12


@BOTH
@pytest.mark.parametrize("scale", [1e-4, 1, 5, 40])
def test_fast_and_reference_gradient_agree_however_far_apart_the_points(symmetric, scale):
    P, Y = problem(symmetric, scale=scale)
    before = P.copy(), Y.copy()
    np.testing.assert_allclose(sne_gradient(P, Y, symmetric), sne_gradient_ref(P, Y, symmetric), rtol=1e-9, atol=1e-12 * scale)
    assert np.array_equal(P, before[0]) and np.array_equal(Y, before[1])


@BOTH
def test_steps_are_fresh_start_at_the_start_and_lead_downhill(symmetric):
    P, start = problem(symmetric, scale=0.1)
    before = start.copy()
    states = list(islice(sne_steps(P, start, symmetric=symmetric, noise=0), 300))
    assert [s.step for s in states] == list(range(300)) and np.array_equal(states[0].embedding, start)
    assert np.array_equal(start, before) and not np.shares_memory(states[0].embedding, states[1].embedding)
    assert states[0].gradient_norm == pytest.approx(np.linalg.norm(sne_gradient_ref(P, start, symmetric)))
    curve = [s.kl_divergence for s in states[::50]]
    assert curve[-1] < 0.7 * curve[0] and curve[-1] <= min(curve) * 1.01
    assert states[-1].kl_divergence == sne_divergence(P, states[-1].embedding, symmetric)
    assert np.abs(states[-1].embedding.mean(axis=0)).max() < 1e-9


def test_the_first_steps_by_hand():
    """Without noise: gains 1.2 at first, then a move with momentum; a gain grows where gradient and last move differ in sign."""
    P, start = problem(False)
    start = start - start.mean(axis=0)
    states = sne_steps(P, start, learning_rate=0.05, noise=0, momentum=(0.5, 0.9), switch_iter=1)
    Y, move, gain = start.copy(), np.zeros_like(start), np.ones_like(start)
    for step in range(6):
        np.testing.assert_allclose(next(states).embedding, Y, rtol=1e-9, atol=1e-12)
        gradient = sne_gradient_ref(P, Y)
        gain = np.where(np.sign(gradient) != np.sign(move), gain + 0.2, np.maximum(0.8 * gain, 0.01))
        move = (0.5 if step < 1 else 0.9) * move - 0.05 * gain * gradient
        Y = Y + move
        Y -= Y.mean(axis=0)


def test_noise_shakes_the_points_less_and_less_and_comes_from_the_seed():
    P, start = problem(False)

    def after(count, **settings):
        return next(islice(sne_steps(P, start, **settings), count, None)).embedding

    quiet, shaken = after(1, noise=0), after(1, noise=0.1)
    assert 0.05 < (shaken - quiet).std() < 0.2
    assert np.array_equal(shaken, after(1, noise=0.1, rng=0)) and not np.array_equal(shaken, after(1, noise=0.1, rng=1))
    loud = [next(s).embedding for s in [sne_steps(P, start, noise=0.1, noise_decay=0.5, learning_rate=1e-12)] for _ in range(12)]
    jumps = [np.std(b - a) for a, b in zip(loud, loud[1:])]
    assert jumps[8] < jumps[0] / 50


@pytest.mark.filterwarnings("error")
@BOTH
def test_a_point_far_off_and_an_odd_order_of_memory(symmetric):
    P, Y = problem(symmetric)
    Y[0] = 40
    expected = sne_gradient_ref(P, Y, symmetric)
    np.testing.assert_allclose(sne_gradient(P, np.asfortranarray(Y), symmetric), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("call, error", [
    (lambda P, Y: sne_steps(P, Y, symmetric=True), SettingError), (lambda P, Y: sne_steps(P / 15, Y), SettingError),
    (lambda P, Y: sne_steps(P, Y, momentum=0.5), SettingError), (lambda P, Y: sne_steps(P, Y, momentum=(0.5,)), SettingError),
    (lambda P, Y: sne_steps(P, Y, switch_iter="late"), SettingError), (lambda P, Y: sne_steps([[0.]], [[0., 0.]]), ShapeError),
    (lambda P, Y: sne_steps(P, Y, noise=1e300), MinicnnError)])
def test_steps_refuse_what_is_no_p_or_no_number(call, error):
    with pytest.raises(error):
        list(islice(call(*problem(False)), 3))


@BOTH
def test_groups_are_told_apart(symmetric):
    X, labels = clusters()
    Y = SNE(perplexity=10, symmetric=symmetric, max_iter=250).fit_transform(X)
    assert Y.shape == (60, 2) and neighbor_accuracy(Y, labels) > 0.97


def test_a_map_knows_its_divergence_and_steps():
    X, _ = clusters(6)
    sne = SNE(perplexity=5, max_iter=30).fit(X)
    assert sne.n_iter_ == 30 and sne.kl_divergence_ == pytest.approx(sne_divergence(dense_affinities(X, 5), sne.embedding_))
    assert np.array_equal(sne.embedding_, SNE(perplexity=5, max_iter=30).fit_transform(X))
    assert not np.array_equal(sne.embedding_, SNE(perplexity=5, max_iter=30, random_state=1).fit_transform(X))


@pytest.mark.parametrize("components", [1, 3])
def test_maps_of_other_dimensions(components):
    X, labels = clusters()
    Y = SNE(components, perplexity=10, max_iter=200).fit_transform(X)
    assert Y.shape == (60, components) and neighbor_accuracy(Y, labels) > 0.9


@pytest.mark.filterwarnings("ignore:perplexity")
@pytest.mark.parametrize("X", [[[1, 2, 3]], np.eye(2), np.eye(3), np.ones((12, 4))], ids=["1 point", "2", "3", "identical"])
def test_few_or_identical_points_have_a_finite_map(X):
    Y = SNE(perplexity=30, max_iter=60).fit_transform(X)
    assert Y.shape == (len(X), 2) and np.isfinite(Y).all()


def test_a_learning_rate_far_too_large_is_an_error_or_a_finite_map():
    for rate in (1e3, 1e10, 1e200):
        try:
            assert np.isfinite(SNE(perplexity=5, learning_rate=rate, max_iter=40).fit_transform(clusters(6)[0])).all()
        except MinicnnError as error:
            assert "give a smaller one" in str(error)


def test_ctrl_c_leaves_the_map_so_far(capsys):
    def interrupt(state):
        if state.step == 7:
            raise KeyboardInterrupt

    sne = SNE(perplexity=5, max_iter=30, callback=interrupt).fit(clusters(6)[0])
    assert sne.n_iter_ == 7 and np.isfinite(sne.embedding_).all() and "after 7 of 30" in capsys.readouterr().err


@pytest.mark.parametrize("settings, error", [
    ({"perplexity": 0}, SettingError), ({"learning_rate": -1}, SettingError), ({"learning_rate": "slow"}, SettingError),
    ({"max_iter": -1}, SettingError), ({"n_components": 0}, SettingError), ({"init": "pcaa"}, UnknownNameError),
    ({"metric": "euclid"}, UnknownNameError), ({"callback": 3}, SettingError), ({"noise": "loud"}, SettingError),
    ({"noise": np.nan}, SettingError)])
def test_wrong_settings_are_refused(settings, error):
    with pytest.raises(error) as told:
        SNE(**{"perplexity": 5, "max_iter": 1, **settings}).fit(clusters(6)[0])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("P, error", [(np.zeros((3, 3)), ShapeError), (np.eye(4), SettingError), (np.eye(4) - 1, SettingError),
                                      (np.full((4, 4), np.nan), SettingError)])
def test_affinities_that_are_none_are_refused(P, error):
    with pytest.raises(error):
        next(sne_steps(P, np.eye(4, 2)))


def test_settings_can_be_read_and_changed():
    sne = SNE(3, perplexity=7, symmetric=True)
    assert SNE(**sne.get_params()).get_params() == sne.get_params()
    assert sne.set_params(noise=0).noise == 0 and sne.perplexity == 7
    with pytest.raises(SettingError, match="no setting 'theta'"):
        sne.set_params(theta=0.5)
