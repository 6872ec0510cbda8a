"""Every row of op_cases.py through every check: the outside reference, finite differences, cpu against ref, adjoints."""
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, ops
from minicnn.gradcheck import gradcheck
from op_cases import CASES

GOLDENS = Path(__file__).parent / "goldens" / "ops.npz"
GRADCHECK_BAR = 1e-6


def cases_where(wanted=lambda case: True):
    return pytest.mark.parametrize("case", [c for c in CASES if wanted(c)], ids=lambda c: c.id)


every_case = cases_where()
referenced_case = cases_where(lambda c: not c.seeded)
every_backend = pytest.mark.parametrize("backend", ["ref", "cpu"])


def run(case, arrays, cotangent=None):
    """Return (output, gradients of all inputs) of a row on the backend in use."""
    tensors = [None if a is None else Tensor(a, requires_grad=True) for a in arrays]
    out = case.run(ops, *tensors)
    if cotangent is None:
        cotangent = cotangent_for(out.shape)
    out.backward(np.asarray(cotangent, out.dtype))
    return out.data, [None if t is None else t.grad for t in tensors]


def cotangent_for(shape):
    return np.random.RandomState(7).standard_normal(shape)


def assert_close(got, expected, tolerance, what):
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    equal = (got == expected) | np.isnan(got) & np.isnan(expected)          # infinities too, which have no difference
    with np.errstate(invalid="ignore"):
        difference = np.where(equal, 0, np.abs(got - expected))
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1e-3)
    error = difference.max(initial=0) / scale
    assert error <= tolerance, f"{what}: relative error {error:.2e} > {tolerance:.0e}"


@pytest.fixture(scope="module")
def goldens():
    with np.load(GOLDENS) as archive:
        return dict(archive)


@every_backend
@referenced_case
def test_agrees_with_the_outside_reference(case, backend, goldens):
    with minicnn.use(backend):
        out, grads = run(case, case.arrays())
    assert_close(out, goldens[f"{case.id}/out"], 1e-9, "output")
    for i, grad in enumerate(grads):
        if grad is not None:
            assert_close(grad, goldens[f"{case.id}/grad{i}"], 1e-9, f"gradient of input {i}")


@referenced_case
def test_goldens_are_what_torch_says_today(case, goldens):
    torch = pytest.importorskip("torch", reason="torch is not installed: the committed goldens stand for it")
    from make_goldens import torch_results
    for key, value in torch_results(torch, case).items():
        assert_close(goldens[key], value, 1e-12, key)


@cases_where(lambda c: c.gradcheck)
def test_gradient_check(case, record_property):
    arrays = case.arrays()
    given = [i for i, a in enumerate(arrays) if a is not None]

    def function(*tensors):
        full = [None] * len(arrays)
        for i, tensor in zip(given, tensors):
            full[i] = tensor
        return case.run(ops, *full)

    error = gradcheck(function, [arrays[i] for i in given])
    record_property("gradient error", [case.id, float(error)])
    assert error <= GRADCHECK_BAR


@every_case
def test_cpu_agrees_with_ref_in_float32(case):
    arrays = case.arrays(np.float32)
    with minicnn.use("ref"):
        expected, expected_grads = run(case, arrays)
    with minicnn.use("cpu"):
        out, grads = run(case, arrays)
    assert out.dtype == np.float32
    assert_close(out, expected, 2e-5, "output")
    for i, (grad, expected_grad) in enumerate(zip(grads, expected_grads)):
        if expected_grad is not None:
            assert grad.dtype == np.float32
            assert_close(grad, expected_grad, 5e-5, f"gradient of input {i}")


@every_case
def test_a_second_backward_pass_adds_the_same_again(case):
    tensors = [None if a is None else Tensor(a, requires_grad=True) for a in case.arrays()]
    out = case.run(ops, *tensors)
    cotangent = cotangent_for(out.shape).astype(out.dtype)
    out.backward(cotangent)
    once = [None if t is None else t.grad.copy() for t in tensors]
    out.backward(cotangent)
    for i, (tensor, first) in enumerate(zip(tensors, once)):
        assert tensor is None or np.array_equal(tensor.grad, 2 * first, equal_nan=True), f"gradient of input {i}"


@every_backend
@cases_where(lambda c: c.linear)
def test_adjoint(case, backend):
    """<A x, y> = <x, A' y> for the inputs in which the op is linear: "filter maps to the transpose of the filter"."""
    for which in case.linear:
        arrays = [np.zeros_like(a) if a is not None and i != which and i not in case.linear else a
                  for i, a in enumerate(case.arrays())]
        with minicnn.use(backend):
            y = cotangent_for(case.run(ops, *arrays).shape)
            ax, grads = run(case, arrays, y)
        left, right = np.sum(ax * y), np.sum(arrays[which] * grads[which])
        assert abs(left - right) <= 1e-10 * max(abs(left), 1)


@every_backend
@every_case
def test_inputs_are_left_alone(case, backend):
    arrays = case.arrays()
    kept = [None if a is None else a.copy() for a in arrays]
    cotangent = None
    with minicnn.use(backend):
        cotangent = cotangent_for(case.run(ops, *arrays).shape)
        kept_cotangent = cotangent.copy()
        run(case, arrays, cotangent)
    for a, k in zip(arrays, kept):
        assert a is None or np.array_equal(a, k, equal_nan=True)
    assert np.array_equal(cotangent, kept_cotangent)


@cases_where(lambda c: c.op in ("conv2d", "conv_transpose2d"))
def test_tiles_do_not_show(case, goldens, monkeypatch):
    """With tiles of a row or two, which the shapes of the table are too small for: the same results. Plain Python."""
    small_tiles(monkeypatch)
    test_agrees_with_the_outside_reference(case, "cpu", goldens)


@pytest.mark.parametrize("which", ["direct", "im2col", "winograd", "winograd 2"])
@cases_where(lambda c: c.op == "conv2d")
def test_every_algorithm_is_the_same_convolution(case, which, goldens, monkeypatch):
    monkeypatch.setenv("MINICNN_CONV", which.split()[0])
    if which == "winograd 2":
        monkeypatch.setattr(sys.modules["minicnn.ops.winograd"], "tile_size", lambda F, C, tiles, turned: 2)
    test_agrees_with_the_outside_reference(case, "cpu", goldens)


def test_an_unknown_algorithm_is_refused(monkeypatch):
    monkeypatch.setenv("MINICNN_CONV", "fft")
    with pytest.raises(minicnn.errors.SettingError, match="MINICNN_CONV is 'fft'; it can be direct, im2col, winograd"):
        ops.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)))


SMALL = {"conv2d": dict(ROWS=6), "im2col": dict(DEPTH=5, PANELS=2, TASKS=4), "winograd": dict(MANY=10, GROUP=1),
         "conv2d_backward": dict(CHUNK=32, PART=2, BATCH=500), "winograd_weight": dict(PART=12000)}


def small_tiles(monkeypatch):
    """Let the convolutions' kernels and their helpers run uncompiled, on tiny tiles."""
    for name in ("conv_transpose2d", *SMALL):
        module = sys.modules[f"minicnn.ops.{name}"]
        for table in (vars(module), getattr(module, "KERNELS", {}).get("cpu", {})):
            for key, kernel in list(table.items()):
                if hasattr(kernel, "py_func"):
                    monkeypatch.setitem(table, key, kernel.py_func)
        for key, value in SMALL.get(name, {}).items():
            monkeypatch.setattr(module, key, value)


@cases_where(lambda c: c.op == "conv2d")
def test_im2col_in_numpy_is_the_same_convolution(case, monkeypatch):
    module = sys.modules[ops.conv2d.__module__]
    expected, _ = run(case, case.arrays())
    monkeypatch.setitem(module.KERNELS["cpu"], "forward", module.conv2d_forward_np)
    assert_close(run(case, case.arrays())[0], expected, 1e-12, "output")


@every_case
def test_same_bits_for_any_number_of_threads(case):
    import numba
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread is all there is")
    results, before = [], numba.get_num_threads()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        try:
            results.append(run(case, case.arrays(np.float32)))
        finally:
            numba.set_num_threads(before)
    (out1, grads1), (out2, grads2) = results
    assert np.array_equal(out1, out2, equal_nan=True)
    assert all(a is None or np.array_equal(a, b) for a, b in zip(grads1, grads2))


def test_every_op_has_a_row():
    public = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    assert public - {c.op for c in CASES} == set()


def test_every_op_has_both_rungs_with_the_same_passes():
    for name in ops.__all__:
        module = inspect.getmodule(getattr(ops, name))
        assert module.KERNELS["ref"].keys() == module.KERNELS["cpu"].keys(), module.__name__
