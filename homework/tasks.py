"""What a task is, how its inputs and answers are written down, and how an answer is judged.

A task asks for some functions of minicnn. Its `answer` calls them with the inputs of a case and returns arrays by name; what is
right is decided by comparing these with the expected ones, elsewhere: so an answer is numbers, and nothing but numbers can be
handed in. A case is a line of JSON, arrays in it as base64.
"""
import base64
import importlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ASSIGNMENTS = ("hw1", "hw2", "hw3", "hw4", "hw5")
TYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")        # of arrays in a case
MOST_NUMBERS = 2 ** 20          # of an array


@dataclass(frozen=True)
class Task:
    """One task: `functions` of `file` are asked for; answer(**inputs) returns a dict name -> array of what they give.

    tolerance: of the largest number of an array. builds_on: tasks that have to be solved before.
    """
    id: str
    title: str
    points: int
    file: str
    functions: tuple
    answer: object
    tolerance: float = 1e-9
    builds_on: tuple = ()


@dataclass(frozen=True)
class Case:
    """Inputs for a task and, where it is known, what should come out."""
    task: str
    label: str
    inputs: dict
    expected: dict = None

    def __str__(self):
        return f"{self.task}: {self.label}"


def tasks_of(name):
    """Return the tasks of an assignment, in order."""
    return importlib.import_module(f"homework.{name}").TASKS


def public_cases(name):
    """Return the cases that students get with an assignment; none where there is no file."""
    path = HERE / "goldens" / f"{name}.jsonl"
    return [case_of(line) for line in path.read_text().splitlines()] if path.exists() else []


def answered(task, case):
    """Return what the functions asked for give for a case, as arrays. Raises what they raise, TypeError for what are no numbers,
    and ValueError if they changed their inputs."""
    inputs = unpacked(packed(case.inputs))
    found = {name: numbers(name, value) for name, value in task.answer(**inputs).items()}
    for name, before in case.inputs.items():
        if packed(before) != packed(inputs[name]):
            raise ValueError(f"{name} was changed; leave the arguments as they are, and write to a new array")
    return found


def numbers(name, value):
    """Return a value as an array of numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} should be an array of numbers, and is {type(value).__name__} {str(value)[:60]}")
    if array.size > MOST_NUMBERS:
        raise TypeError(f"{name} has {array.size} numbers, far too many")
    kinds = {"b": bool, "i": np.int64, "u": np.int64, "f": np.float32 if array.dtype == np.float32 else np.float64}
    return np.array(array, dtype=kinds[array.dtype.kind], order="C", subok=False)


# --- written down ---
def packed(value):
    """Return a value as JSON has it: arrays as {"dtype", "shape", "data"}, other things as they are."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.ascontiguousarray(value)
        return {"dtype": str(array.dtype), "shape": list(np.shape(value)), "data": base64.b64encode(array.tobytes()).decode()}
    if isinstance(value, dict):
        return {str(key): packed(part) for key, part in value.items()}
    return [packed(part) for part in value] if isinstance(value, (tuple, list)) else value


def unpacked(value):
    """Return what was packed; lists come back as tuples. Raises ValueError for what is no array."""
    if isinstance(value, dict) and set(value) == {"dtype", "shape", "data"}:
        return _array(**value)
    if isinstance(value, dict):
        return {key: unpacked(part) for key, part in value.items()}
    return tuple(unpacked(part) for part in value) if isinstance(value, list) else value


def _array(dtype, shape, data):
    whole = isinstance(shape, list) and len(shape) < 9 and all(type(n) is int and 0 <= n <= MOST_NUMBERS for n in shape)
    if dtype not in TYPES or not whole or math.prod(shape) > MOST_NUMBERS or not isinstance(data, str):
        raise ValueError("this is no array of a case")
    return np.frombuffer(base64.b64decode(data, validate=True), dtype).reshape(shape).copy()


def line_of(case):
    """Return a case as a line of text."""
    return json.dumps(packed(vars(case)))


def case_of(line):
    """Return the case of a line. Raises ValueError."""
    return Case(**unpacked(json.loads(line)))


# --- judged ---
def differences(expected, found, tolerance, tell=True):
    """Return what differs between two dicts name -> array as sentences, one per array, "" if nothing does.

    Whole numbers must be equal, others within tolerance times the largest number expected; NaN equals NaN. tell: also what the
    first numbers should be.
    """
    said = []
    for name, right in expected.items():
        if name not in found:
            said.append(f"{name} is missing")
        elif found[name].shape != right.shape:
            said.append(f"{name} has shape {found[name].shape}, expected {right.shape}")
        else:
            said.append(_different(name, right, found[name], tolerance, tell))
    return "\n".join(filter(None, said))


def _different(name, right, found, tolerance, tell):
    if right.dtype.kind == "f":
        finite = np.abs(right[np.isfinite(right)])
        with np.errstate(invalid="ignore", over="ignore"):
            near = np.abs(found.astype(float) - right) <= tolerance * max(finite.max(initial=0), 1e-300)
        wrong = ~(near | (found == right) | (np.isnan(found) & np.isnan(right)))
    else:
        wrong = found != right
    if not wrong.any():
        return ""
    places = np.argwhere(wrong)[:3]
    first = "; ".join(f"{name}{at.tolist() if len(at) else ''} is {_shown(found[tuple(at)])}"
                      + (f", expected {_shown(right[tuple(at)])}" if tell else "") for at in places)
    if right.dtype.kind == "f" and found.dtype == np.float32 != right.dtype:
        first += " (float32 here, float64 expected)"
    return f"{int(wrong.sum())} of {right.size} numbers of {name} {right.shape} differ, the first: {first}"


def _shown(value):
    return f"{value:.6g}" if value.dtype.kind == "f" else str(value)
