"""k-means: against scikit-learn from the same start (committed goldens), and by what it must do."""
from pathlib import Path

import numpy as np
import pytest

from make_embed_goldens import clusters
from minicnn.embed.kmeans import kmeans, kmeans_steps
from minicnn.errors import SettingError, ShapeError
from minicnn.loop import last, take, until

GOLDENS = Path(__file__).parent / "goldens" / "embed.npz"


def test_the_end_is_scikit_learns_from_the_same_start():
    X = clusters(40, 3, seed=6)
    with np.load(GOLDENS) as goldens:
        for k in (2, 5):
            found = kmeans(X, k, centers=X[:k])
            assert np.array_equal(found.labels, goldens[f"kmeans/{k}/labels"])
            np.testing.assert_allclose(found.centers, goldens[f"kmeans/{k}/centers"], rtol=1e-10)
            np.testing.assert_allclose(found.inertia, goldens[f"kmeans/{k}/inertia"], rtol=1e-12)


def test_inertia_never_rises_and_is_the_formulas():
    X = clusters(30, 4, seed=2)
    states = list(until(lambda state: not state.moved, kmeans_steps(X, 6, rng=1)))
    inertia = [state.inertia for state in states]
    assert all(b <= a for a, b in zip(inertia, inertia[1:])) and len(states) > 3
    end = states[-1]
    assert end.inertia == pytest.approx(sum(((x - end.centers[a]) ** 2).sum() for x, a in zip(X, end.labels)))
    assert states[0].step == 0 and not np.shares_memory(states[0].centers, end.centers)


def test_clusters_that_lie_apart_are_found_whatever_the_seed():
    X = np.concatenate([rng.normal(size=(20, 2)) * 0.1 + 10 * np.array([k, k * k]) for k, rng in
                        ((k, np.random.default_rng(k)) for k in range(4))])
    for seed in range(10):
        found = kmeans(X, 4, rng=seed)
        assert [len(set(found.labels[20 * k:20 * k + 20])) for k in range(4)] == [1] * 4 and len(set(found.labels)) == 4
    assert np.array_equal(kmeans(X, 4, rng=3).centers, kmeans(X, 4, rng=3).centers)


def test_a_centre_without_points_takes_the_farthest():
    X = np.array([[0.0], [1.0], [2.0], [30.0]])
    found = list(take(3, kmeans_steps(X, 2, centers=[[1.0], [1000.0]])))
    assert sorted(found[-1].centers.ravel()) == [1.0, 30.0]
    same = last(until(lambda state: not state.moved, kmeans_steps(np.zeros((5, 2)), 3, rng=0)))
    assert same.inertia == 0


@pytest.mark.parametrize("arguments, error", [(dict(k=0), SettingError), (dict(k=9), SettingError), (dict(k=2.5), SettingError),
                                              (dict(k=2, centers=np.zeros((3, 2))), ShapeError),
                                              (dict(k=2, rng=-1), SettingError)])
def test_wrong_settings(arguments, error):
    with pytest.raises(error, match="kmeans"):
        kmeans(np.zeros((8, 2)), **arguments)


def test_it_ends_with_more_clusters_than_different_points():
    """Twins of a centre that round apart once took turns without end."""
    X = np.array([.6, .4, .3, .4, .3, .3, .6, .5, .6, .6, .6, .4])[:, None]
    assert kmeans(X, 7, rng=5, restarts=1).inertia < 1e-20
