"""The small functions that drive the generators."""
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from minicnn import loop
from minicnn.errors import MinicnnError, SettingError


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
    assert np.load(path)["x"] == [7]                # the last one as well
    for k in loop.checkpoint(iter(range(8)), path, lambda s: {"x": np.array([s])}, count=3):
        if k == 4:
            break
    assert np.load(path)["x"] == [4]                # ... also of a run that is broken off
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize("call", [
    lambda: loop.take(-1, []), lambda: loop.every(0, []), lambda: next(loop.animate(iter([0]), "run.jpg", None)),
    lambda: next(loop.animate(iter([0]), "nowhere/run.gif", None)),
    lambda: next(loop.checkpoint(iter([0]), "nowhere/run.npz", None)),
])
def test_wrong_settings_are_refused_before_the_run(call):
    with pytest.raises(MinicnnError):
        call()


@dataclass(frozen=True)
class State:
    step: int
    loss: float
    x: np.ndarray


def test_a_state_is_kept_and_comes_back(tmp_path):
    state = State(3, 0.5, np.arange(4.0))
    assert list(loop.checkpoint([state], tmp_path / "a.npz", vars)) == [state]
    again = loop.resume(tmp_path / "a.npz", State)
    assert (again.step, again.loss) == (3, 0.5) and type(again.step) is int and np.array_equal(again.x, state.x)
    np.savez(tmp_path / "b.npz", y=1)
    (tmp_path / "c.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "odd.npz", step=3, loss=0.5, x=4.0)
    np.savez(tmp_path / "behind.npz", step=-3, loss=0.5, x=np.zeros(4))
    for path, says in (("b.npz", "no State, see 'loss'"), ("c.npz", "cannot be read"), ("d.npz", "there is no run"),
                       ("odd.npz", "no State, see 'x'"), ("behind.npz", "no State, see 'step'")):
        with pytest.raises(SettingError, match=says):
            loop.resume(tmp_path / path, State)
    with pytest.raises(SettingError):
        loop.resume(None, State)


def test_a_run_goes_on_only_as_what_it_is(tmp_path):
    state, path = State(3, 0.5, np.arange(4.0)), tmp_path / "a.npz"
    list(loop.checkpoint([state], path, vars, run={"net": "a", "layers": ["x"], "guide": None}))
    assert loop.resume(path, State, {"net": "a", "layers": ["x"], "guide": None}).step == loop.resume(path, State).step == 3
    with pytest.raises(SettingError, match="net was 'a' and is 'b' now"):
        loop.resume(path, State, {"net": "b", "layers": ["x"]})
    list(loop.checkpoint([state], path, vars))
    with pytest.raises(SettingError, match="another run"):
        loop.resume(path, State, {"net": "b"})


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "run.npz").mkdir()
    with pytest.raises(SettingError, match="run.npz' cannot be written"):
        list(loop.checkpoint([State(0, 0.5, np.arange(4.0))], tmp_path / "run.npz", vars))
    (tmp_path / "run.gif").mkdir()
    with pytest.raises(SettingError, match="run.gif"):
        next(loop.animate(iter([0]), tmp_path / "run.gif", None))


def test_frames_of_several_sizes_become_one_animation(tmp_path):
    pictures = [np.full((n, n, 3), 40 * n, np.uint8) for n in (2, 3, 6)]
    assert len(list(loop.animate(pictures, tmp_path / "a.gif", lambda picture: picture))) == 3
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (6, 6) and gif.n_frames == 3
