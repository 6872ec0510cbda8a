"""Do the tests find mistakes? Each planted mistake of mutants_*.py must make a check of its op fail.

A mutant is (module, function, old source, new source, what it is). The function's source is changed, compiled in the
module's own namespace and put in the function's place, in the op's table of kernels too, uncompiled (plain Python).
Then the op's rows go through the checks of test_ops.py; at least one must fail.
"""
import importlib
import inspect
import sys
import textwrap

import numpy as np
import pytest

import minicnn
import test_ops
from minicnn import ops
from mutants_a import MUTANTS as MUTANTS_A
from mutants_b import MUTANTS as MUTANTS_B
from op_cases import CASES

MUTANTS = MUTANTS_A + MUTANTS_B


def plant(monkeypatch, module_name, function, old, new):
    """Put the changed function into its module and wherever the ops' kernel tables hold the original."""
    module = importlib.import_module(module_name)
    owner, _, name = function.rpartition(".")
    owner = getattr(module, owner) if owner else module
    original = inspect.unwrap(getattr(owner, name))
    original = getattr(original, "py_func", original)       # a helper compiled by numba.njit
    source = textwrap.dedent(inspect.getsource(original))
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {function}"
    source = "\n".join(line for line in source.replace(old, new).splitlines()
                       if not line.startswith(("@numba", "@jit", "@staticmethod")))
    namespace = dict(vars(module))
    exec(compile(source, f"<mutant of {function}>", "exec"), namespace)
    mutated = namespace[name]
    if inspect.isclass(owner):
        monkeypatch.setattr(owner, name, staticmethod(mutated))
        return
    for holder in [ops, *ops_modules(module_name)]:
        for key, value in list(vars(holder).items()):
            if original in (value, getattr(value, "py_func", None), getattr(value, "__wrapped__", None)):
                monkeypatch.setattr(holder, key, mutated)
    for op_module in {inspect.getmodule(getattr(ops, n)) for n in ops.__all__}:
        for rung in op_module.KERNELS.values():
            for key, kernel in rung.items():
                plain = getattr(kernel, "py_func", kernel)
                if plain is original:
                    monkeypatch.setitem(rung, key, mutated)
                elif plain is not kernel and module is inspect.getmodule(plain) and name in plain.__code__.co_names:
                    monkeypatch.setitem(rung, key, plain)       # a kernel that calls the mutated helper runs uncompiled too


def ops_modules(module_name):
    """Return a module of minicnn.ops and all those that take functions from it, straight or through others."""
    found, more = set(), {module_name}
    while more - found:
        found |= more
        more = {name for name, module in sys.modules.items() if name.startswith("minicnn.ops.")
                and any(inspect.isfunction(getattr(v, "py_func", v)) and getattr(v, "py_func", v).__module__ in found
                        for v in vars(module).values())}
    return [sys.modules[name] for name in found]


def rows_of(module_name):
    """Return the rows of the ops that stand in a module, and then of those that take functions from it."""
    rows = [c for c in CASES if inspect.getmodule(getattr(ops, c.op)) in ops_modules(module_name)]
    return sorted(rows, key=lambda c: getattr(ops, c.op).__module__ != module_name)


def agrees(case, goldens):
    """The check that finds most mistakes, and fast."""
    if case.op == "conv2d":
        for which in ("direct", "winograd", "winograd 2"):
            with pytest.MonkeyPatch.context() as patch:
                test_ops.test_every_algorithm_is_the_same_convolution(case, which, goldens, patch)
    if not case.seeded:
        for backend in ("ref", "cpu"):
            test_ops.test_agrees_with_the_outside_reference(case, backend, goldens)


def holds(case, goldens):
    """The other checks."""
    if case.gradcheck:
        test_ops.test_gradient_check(case, lambda name, value: None)
    for backend in ("ref", "cpu"):
        test_ops.test_inputs_are_left_alone(case, backend)


def survive(cases, goldens):
    """Return whether all rows pass the checks of test_ops.py."""
    try:
        for check in (agrees, holds):
            for case in cases:
                check(case, goldens)
    except Exception:       # a crash finds a mistake as well as a failed comparison
        return False
    return True


@pytest.fixture(scope="module")
def goldens():
    with np.load(test_ops.GOLDENS) as archive:
        return dict(archive)


@pytest.mark.parametrize("module, function, old, new, what", MUTANTS,
                         ids=[f"{m.rpartition('.')[2]}.{f}: {w}" for m, f, _, _, w in MUTANTS])
def test_planted_mistake_is_caught(monkeypatch, goldens, record_property, module, function, old, new, what):
    rows = rows_of(module)
    assert rows, f"no row of op_cases.py runs {module}"
    if module.rpartition(".")[2] in ("gemm", "conv_transpose2d", *test_ops.SMALL):
        test_ops.small_tiles(monkeypatch)
    plant(monkeypatch, module, function, old, new)
    with np.errstate(all="ignore"):
        caught = not survive(rows, goldens)
    record_property("planted", caught)
    assert caught, f"nothing noticed: {what}"


def test_the_unchanged_ops_survive(goldens):
    assert survive([case for case in CASES if case.op in ("conv2d", "relu", "max_pool2d", "group_norm")], goldens)
    assert minicnn.backend.current() == "cpu"
