"""Driving the techniques: each is a generator of states, and these small functions decide how far and how it is watched.

    state = last(progress(take(100, deepdream_steps(net, picture, "fire8/concat", rng=0)), total=100))

A state is a frozen dataclass with fresh arrays; step 0 is the start. To stop early, `break`. One loop serves tests,
demos, progress bars, animations and a debugger.
"""
import itertools
import os

import numpy as np

from .errors import MinicnnError


def take(count, states):
    """Yield the start (step 0) and the `count` steps after it."""
    return itertools.islice(states, count + 1)


def every(count, states):
    """Yield states 0, count, 2 count, ..."""
    return itertools.islice(states, 0, None, count)


def until(condition, states):
    """Yield states up to and with the first for which `condition(state)` is true."""
    for state in states:
        yield state
        if condition(state):
            return


def last(states):
    """Run to the end and return the last state; Ctrl-C ends the run and returns the state reached."""
    state = None
    try:
        for state in states:
            pass
    except KeyboardInterrupt:
        if state is None:
            raise
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
    """Pass the states on and write `picture(state)`, (H, W, 3) uint8 arrays, as an animated GIF when the run ends."""
    from PIL import Image

    from .images import replacing
    frames = []
    try:
        for state in states:
            frames.append(Image.fromarray(picture(state)))
            yield state
    finally:
        if frames:
            with replacing(path) as temporary:
                frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)


def checkpoint(states, path, arrays, count=10):
    """Pass the states on and write `arrays(state)`, a dict of arrays, to the .npz file `path` after every `count`."""
    from .images import replacing
    for number, state in enumerate(states):
        if number % count == 0:
            with replacing(os.fspath(path)) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays(state))
        yield state
