"""Step-through: an algorithm on an input small enough to follow by hand, state by state, and the same states as a file.

A walk is a generator `steps(rng)` of StepStates in lectures/steps/NAME.py, NAME a lecture's without its number. What a state
says is looked up: its formula is a line of a docstring, its place a line of the source, and `state` raises where either is gone.
Its numbers come from minicnn's own functions, on the backend "ref", the definitions.
"""
import importlib.util
import inspect
import itertools
import json
import os
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import minicnn
from minicnn.errors import SettingError
from minicnn.files import replacing

ROOT = Path(__file__).parent.parent
WIDTH = 100             # letters of a line
KEYS = "Enter: next, a number: so many, c: all, q: quit > "


@dataclass(frozen=True)
class StepState:
    """One state of an algorithm: what is done, by which line of the formula, the numbers, and where in the source it stands."""
    title: str
    formula: str
    numbers: dict           # name -> number, text, array, or Marked
    source: str             # "minicnn/ops/conv2d.py:43"


@dataclass(frozen=True)
class Marked:
    """An array of which some numbers are what the state is about: they are shown in brackets. marks: bool, of its shape."""
    values: np.ndarray
    marks: np.ndarray


# --- making states ----------------------------------------------------------------------------------------------------
def state(title, function, formula, numbers, line=None):
    """Return the StepState of what `function` does, a function or class of minicnn.

    formula: a part of one line of its docstring or its module's, which is shown whole. line: a part of the line of its source
    that is carried out; by default the first. Raises SettingError where there is no such line.
    """
    function = inspect.unwrap(function)
    module = sys.modules[function.__module__]
    texts = [inspect.getdoc(function) or "", inspect.getdoc(module) or ""]
    found = _line_with(formula, "\n".join(texts).splitlines())
    lines, first = inspect.getsourcelines(function)
    at = 0 if line is None else _line_with(line, lines)
    if found is None or at is None:
        raise SettingError(f"step: {function.__name__} in {module.__name__} has no line with "
                           f"{formula if found is None else line!r}; the walk has to follow what has changed there")
    path = Path(inspect.getsourcefile(module)).resolve().relative_to(ROOT)
    return StepState(title, "\n".join(texts).splitlines()[found].strip(), numbers, f"{path.as_posix()}:{first + at}")


def _line_with(part, lines):
    """Return the number of the first line that holds `part`, or None."""
    return next((k for k, line in enumerate(lines) if part in line), None)


# --- walks ------------------------------------------------------------------------------------------------------------
def walk(name, seed=0):
    """Yield the StepStates of the walk of a lecture, named with its number."""
    if importlib.util.find_spec("lectures.steps") is None:              # a student's folder
        raise SettingError("--step: there are no walks here; the folder lectures/steps of the whole project has them")
    steps = importlib.import_module(f"lectures.steps.{name[3:]}").steps(np.random.default_rng(seed))
    while True:
        with minicnn.use("ref"):                # within each step: a generator that is left open leaves nothing behind
            found = next(steps, None)
        if found is None:
            return
        yield found


def introduction(name):
    """Return what a walk begins with, as text: the lecture's title, what is walked through, and on which input."""
    module = importlib.import_module(f"lectures.steps.{name[3:]}")
    about = [importlib.import_module(f"lectures.{name}").TITLE, inspect.getdoc(module), inspect.getdoc(module.steps)]
    return "\n".join([line for text in about for line in textwrap.wrap(text, WIDTH)] + [""])


def recorded(states, path):
    """Pass the states on and write them as JSON lines when the run ends in whatever way. Raises SettingError at the start.

    A line: {"step", "title", "formula", "source", "numbers"}, arrays as nested lists, marked ones as {"values", "marks"}; what is
    NaN or infinite is null.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.access(folder, os.W_OK) or os.path.isdir(path):
        raise SettingError(f"--trace: {os.fspath(path)!r} cannot be written; give a file in an existing folder")
    lines = []
    try:
        for number, found in enumerate(states):
            lines.append(json.dumps({"step": number, "title": found.title, "formula": found.formula, "source": found.source,
                                     "numbers": {name: plain(value) for name, value in found.numbers.items()}},
                                    ensure_ascii=False, allow_nan=False))
            yield found
    finally:
        try:
            with replacing(os.fspath(path)) as temporary, open(temporary, "w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)
        except OSError as error:
            raise SettingError(f"--trace: {os.fspath(path)!r} cannot be written ({error.strerror or error}); give another file, "
                               "or make room") from None


def plain(value):
    """Return a number of a state as JSON knows it."""
    if isinstance(value, Marked):
        return {"values": plain(value.values), "marks": np.asarray(value.marks).tolist()}
    if isinstance(value, (str, bool, int)):
        return value
    array = np.asarray(value)
    if array.dtype == np.float32:
        array = array.astype(str).astype(float)         # 0.1 and not 0.10000000149
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        array = np.where(np.isfinite(array), array, None)
    return array.tolist()


# --- showing ----------------------------------------------------------------------------------------------------------
def as_text(number, found):
    """Return a state as it stands in the terminal: the numbers side by side as far as the line reaches."""
    head = [*textwrap.wrap(f"[{number}] {found.title}", WIDTH, subsequent_indent="    "),
            *textwrap.wrap(found.formula, WIDTH, initial_indent="    ", subsequent_indent="        "), f"    {found.source}", ""]
    lines, row = [], []
    for block in [_block(name, value) for name, value in found.numbers.items()]:
        if row and sum(map(_width, row)) + 3 * len(row) + _width(block) > WIDTH - 4:
            lines += [*_beside(row), ""]
            row = []
        row.append(block)
    return "\n".join([*head, *("    " + line if line else "" for line in [*lines, *_beside(row)]), ""])


def _block(name, value):
    """Return the lines of one number or array, its name above; planes of an array (C, H, W) stand side by side."""
    marks = value.marks if isinstance(value, Marked) else None
    array = np.asarray(value.values if isinstance(value, Marked) else value)
    if array.dtype.kind in "OUS" and array.ndim == 0:
        return [name, *str(value).splitlines()]
    if array.ndim == 0:
        return [name, _texts(array[None])[0]]
    cells = _texts(array.ravel())
    if marks is not None:
        cells = [f"[{cell}]" if mark else f" {cell} " for cell, mark in zip(cells, np.ravel(marks))]
    width = max(map(len, cells), default=0)
    table = np.array([cell.rjust(width) for cell in cells], object).reshape(array.shape)
    planes = table.reshape(-1, *table.shape[-2:]) if array.ndim > 1 else table.reshape(1, 1, -1)
    return [f"{name} {array.shape}", *("  |  ".join(" ".join(line) for line in lines) for lines in planes.transpose(1, 0, 2))]


def _texts(values):
    """Return numbers as texts, all with as many decimals as tell them apart, four digits at most; a dot for NaN."""
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    finite = values[np.isfinite(values)].astype(float)
    largest = np.abs(finite).max(initial=0)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return ["." if np.isnan(v) else "0" if v == 0 else f"{v:.2e}" for v in values]
    most = max(1, 3 - int(np.floor(np.log10(max(largest, 1e-3)))))
    decimals = next((d for d in range(most) if np.allclose(finite, finite.round(d), rtol=0, atol=1e-6 * largest)), most)
    return ["." if np.isnan(v) else f"{v.round(decimals) + 0.0:.{decimals}f}" for v in values.astype(float)]


def _width(block):
    return max(map(len, block))


def _beside(row):
    """Return the lines of some blocks, side by side."""
    widths = [_width(block) for block in row]
    return ["   ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
            for cells in itertools.zip_longest(*row, fillvalue="")]


def show(states, wait, ask=input, write=print):
    """Show the states of a walk; if `wait`, ask again and again how many more. Return how many there were."""
    count, more = 0, 1
    try:
        for found in states:
            write(as_text(count, found))
            count, more = count + 1, more - 1
            if wait and more < 1:
                more = _asked(ask)
                if not more:
                    break
    except (KeyboardInterrupt, EOFError):       # Ctrl-C, Ctrl-D
        write("")
    finally:
        states.close()                          # a trace file is written now, not when somebody clears up
    return count


def _asked(ask):
    """Return how many states somebody wants to see next: 0 to stop."""
    while True:
        answer = ask(KEYS).strip().lower()
        if answer in ("", "c", "q"):
            return {"": 1, "c": sys.maxsize, "q": 0}[answer]
        if answer.isdecimal() and int(answer):
            return int(answer)


def run(name, shown, trace=None, seed=0):
    """Walk through a lecture, in the terminal if `shown`, with keys where somebody can press them, and into the file `trace`."""
    states = walk(name, seed) if trace is None else recorded(walk(name, seed), trace)
    somebody = sys.stdin is not None and sys.stdin.isatty()
    try:
        if shown:
            print(introduction(name))
        count = show(states, shown and somebody, write=print if shown else lambda text: None)
        if trace is not None:
            print(f"{name[3:]}: {count} states in {trace}")
        sys.stdout.flush()
    except BrokenPipeError:                     # less or head has seen enough; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
