"""Driving the techniques: each is a generator of states, and these small functions decide how far and how it is watched.

    state = last(progress(take(100, deepdream_steps(net, picture, "fire8/concat", rng=0)), total=100))

A state is a frozen dataclass with fresh arrays; step 0 is the start. To stop early, `break`. One loop serves tests,
demos, progress bars, animations and a debugger.
"""
import itertools
import json
import os
import sys
from contextlib import contextmanager

from .checks import whole_number
from .errors import MinicnnError, SettingError
from .files import replacing


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; `state` is the state that was reached, so that the work is not lost."""

    def __init__(self, state):
        super().__init__("interrupted; the state reached so far is in the attribute .state of this exception")
        self.state = state


def take(count, states):
    """Yield the start (step 0) and the `count` steps after it."""
    count = whole_number("take", "count", count, 0, sys.maxsize - 1)
    return itertools.islice(states, count + 1)


def every(count, states):
    """Yield states 0, count, 2 count, ..."""
    count = whole_number("every", "count", count, 1)
    return itertools.islice(states, 0, None, count)


def until(condition, states):
    """Yield states up to and with the first for which `condition(state)` is true."""
    for state in states:
        yield state
        if condition(state):
            return


def last(states):
    """Run to the end and return the last state; Ctrl-C raises Interrupted, which holds the state reached."""
    state = None
    try:
        for state in states:
            pass
    except KeyboardInterrupt:
        raise Interrupted(state) from None
    if state is None:
        raise MinicnnError("last: there was no state at all; give at least the start")
    return state


def progress(states, total=None, describe=None):
    """Pass the states on and show a bar; `describe(state)` is the text beside it."""
    import tqdm
    with tqdm.tqdm(total=total, leave=False) as bar:
        for state in states:
            yield state
            bar.update()
            if describe:
                bar.set_postfix_str(describe(state), refresh=False)


def animate(states, path, picture, milliseconds=80):
    """Pass the states on and, when the run ends in whatever way, write `picture(state)` of each as an animated GIF.

    `picture` returns an (H, W, 3) uint8 array; those of other sizes are brought to that of the last. Raises SettingError at the
    start if `path` cannot be such a file.
    """
    from PIL import Image
    folder = os.path.dirname(os.path.abspath(path))
    if not os.fspath(path).lower().endswith(".gif") or not os.access(folder, os.W_OK) or os.path.isdir(path):
        raise SettingError(f"animate: {os.fspath(path)!r} should end in .gif and lie in a folder that can be written")
    frames = []
    try:
        for state in states:
            frames.append(Image.fromarray(picture(state)))
            yield state
    finally:
        if frames:
            frames = [frame if frame.size == frames[-1].size else frame.resize(frames[-1].size) for frame in frames]
            with _replacing("animate", path) as temporary:
                frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)


@contextmanager
def _replacing(name, path):
    """As files.replacing, but where the file cannot be written, a full disk for one, the error is ours."""
    try:
        with replacing(os.fspath(path)) as temporary:
            yield temporary
    except OSError as error:
        raise SettingError(f"{name}: {os.fspath(path)!r} cannot be written ({error.strerror or error}); make room, or give "
                           "another file") from None


def checkpoint(states, path, arrays, count=10, run=None):
    """Pass the states on and write `arrays(state)`, a dict of arrays, to the .npz file `path`: states 0, count, 2 count, ...

    The last one as well, in whatever way the run ends. run: a dict of what the run is, texts and numbers, for `resume`.
    """
    import numpy as np
    count = whole_number("checkpoint", "count", count, 1)
    if not isinstance(path, (str, os.PathLike)) or not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
        raise SettingError(f"checkpoint: path is {path!r}, expected a file in a folder that can be written")
    written = state = None

    def write(state):
        with _replacing("checkpoint", path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays(state), **({"run": json.dumps(run)} if run else {}))
        return state
    try:
        for number, state in enumerate(states):
            if number % count == 0:
                written = write(state)
            yield state
    finally:
        if state is not written:
            write(state)


def resume(path, kind, run=None):
    """Return the state, of the dataclass `kind`, that `checkpoint(states, path, vars)` wrote last; runs take it as their `start`.

    run: as it was given to `checkpoint`. Raises SettingError if there is no file, it is damaged, or of another run.
    """
    import numpy as np
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        given = dict(json.loads(str(arrays.pop("run", "{}"))))
        odd = sorted(set(arrays) ^ set(kind.__annotations__)) or [
            name for name, of in kind.__annotations__.items() if not _holds(arrays[name], of)]
    except FileNotFoundError:
        raise SettingError(f"resume: there is no run {path!r} to go on with; begin it, without going on") from None
    except Exception as error:          # whatever a damaged file leads to
        raise SettingError(f"resume: {path!r} cannot be read ({type(error).__name__}: {str(error)[:100]}); begin anew") from None
    if odd:
        raise SettingError(f"resume: {path!r} holds no {kind.__name__}, see {odd[0]!r}; give the file of a run of this kind, or "
                           "begin anew")
    differing = [key for key, value in json.loads(json.dumps(run or {})).items() if given.get(key) != value]
    if differing:
        raise SettingError(f"resume: {path!r} is of another run, {differing[0]} was {given.get(differing[0])!r} and is "
                           f"{run[differing[0]]!r} now; give what was given before, or begin anew")
    return kind(**{name: array if array.ndim else array.item() for name, array in arrays.items()})


def _holds(array, of):
    """Say whether an array of a file can be a field of that type: int, float or np.ndarray."""
    if of in (int, float):
        return array.ndim == 0 and array.dtype.kind in ("iu" if of is int else "iuf") and (of is float or array >= 0)
    return array.ndim > 0 and array.dtype.kind in "iuf"
