"""The small functions that drive the generators."""
import itertools

import numpy as np
import pytest

from minicnn import loop
from minicnn.errors import MinicnnError


def test_take_every_until():
    assert list(loop.take(3, itertools.count())) == [0, 1, 2, 3]
    assert list(loop.every(4, range(10))) == [0, 4, 8]
    assert list(loop.until(lambda s: s >= 2, itertools.count())) == [0, 1, 2]


def test_last_and_what_ctrl_c_leaves():
    def steps(interrupt_at):
        for k in itertools.count():
            if k == interrupt_at:
                raise KeyboardInterrupt
            yield k

    assert loop.last(iter([5, 6])) == 6
    with pytest.raises(KeyboardInterrupt) as interrupted:
        loop.last(steps(4))
    assert interrupted.value.state == 3
    with pytest.raises(MinicnnError):
        loop.last(iter([]))


def test_progress_passes_all_on(capsys):
    assert list(loop.progress(iter(range(4)), total=4, describe=str)) == [0, 1, 2, 3]


def test_animate_writes_a_gif_of_every_state(tmp_path):
    from PIL import Image
    shades = [0, 60, 120, 240]
    list(loop.animate(iter(shades), tmp_path / "run.gif", lambda s: np.full((4, 5, 3), s, np.uint8)))
    with Image.open(tmp_path / "run.gif") as gif:
        assert gif.n_frames == 4 and gif.size == (5, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["run.gif"]


def test_checkpoint_keeps_the_newest(tmp_path):
    path = tmp_path / "run.npz"
    for k in loop.checkpoint(iter(range(8)), path, lambda s: {"x": np.array([s])}, count=3):
        if k == 7:
            assert np.load(path)["x"] == [6]
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize("call", [
    lambda: loop.take(-1, []), lambda: loop.every(0, []), lambda: next(loop.animate(iter([0]), "run.jpg", None)),
    lambda: next(loop.animate(iter([0]), "nowhere/run.gif", None)),
    lambda: next(loop.checkpoint(iter([0]), "nowhere/run.npz", None)),
])
def test_wrong_settings_are_refused_before_the_run(call):
    with pytest.raises(MinicnnError):
        call()
