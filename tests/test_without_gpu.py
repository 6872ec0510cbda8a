"""What holds of the kernels for a GPU on a computer without one: the simulator, the compilers, the cache, the errors."""
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import device
from minicnn.errors import BackendError
from minicnn.ops import gemm_cuda, winograd_cuda
from tools import ptx

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(device.SIMULATED, reason="this is about the process that is no simulator")


def test_all_kernels_run_on_the_simulator():
    """The tests marked `cuda`, in a process of their own."""
    command = [sys.executable, *"-m pytest -q -m cuda -p no:cacheprovider -p no:xdist tests/test_cuda.py".split()]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) > 200 and "failed" not in result.stdout


def test_every_rung_has_the_same_passes_and_their_arguments():
    for module in {sys.modules[getattr(minicnn.ops, name).__module__] for name in minicnn.ops.__all__}:
        assert module.KERNELS["cuda"].keys() == module.KERNELS["ref"].keys(), module.__name__


# --- compiled, for GPUs that are not there ------------------------------------------------------------------------------
def has_compilers():
    try:
        return bool(ptx.tools_found())
    except BackendError:
        return False


KERNELS = ptx.kernels()
compilers = pytest.mark.skipif(not has_compilers(), reason="no NVVM and ptxas here")
# these sum in float64, or are done once
DOUBLE = ("device.to_", "avg_pool2d.", "cross_entropy.", "linear.linear_forward", "softmax.", "normalize.", "total_variation.",
          "reductions.sum_kernel", "reductions.sum_short", "reductions.add_parts", "forces_cuda.EXACT", "winograd_filters")


@compilers
@pytest.mark.parametrize("name", KERNELS)
def test_machine_code_spills_nothing(name):
    used = list(ptx.usage(name, KERNELS[name])) + list(ptx.usage(name, KERNELS[name], np.float64, generations=(80,)))
    assert [u.generation for u in used] == [75, 80, 90, 80] and all(0 < u.registers <= 255 for u in used)
    assert all(u.spilled == 0 and u.stack == 0 for u in used), used


@compilers
@pytest.mark.parametrize("name", [name for name in KERNELS if not any(part in name for part in DOUBLE)])
def test_float32_is_not_computed_in_float64(name):
    """A whole number in a formula is enough for Numba to take float64, at which laptops' GPUs are 64 times slower."""
    assert ".f64" not in ptx.compiled(KERNELS[name], np.float32)


@compilers
def test_the_fast_product_leaves_room_for_two_blocks_and_multiplies_most_of_the_time():
    kernel = KERNELS["gemm_cuda.PRODUCTS[128, 8, True, False]"]
    for used in ptx.usage("product", kernel, generations=(80, 90)):
        assert 2 * 256 * used.registers <= 65536
    blocks = re.split(r"(?m)^\$L__BB\w+:", ptx.compiled(kernel))
    inner = max(blocks, key=lambda block: block.count("fma.rn.f32"))
    instructions = len(re.findall(r"(?m)^\t(?!//)\S", inner))
    assert inner.count("fma.rn.f32") == 2 * 64 and inner.count("ld.shared") == 2 * 16 and instructions < 190


def test_tiles_are_taken_for_the_shape(monkeypatch):
    monkeypatch.setattr(gemm_cuda, "processors", lambda: 132)
    big, small = gemm_cuda.BIG, gemm_cuda.SMALL
    assert gemm_cuda.size_for(4096, 4096, 1, np.float32) == (big, (32, 32, 1))
    assert gemm_cuda.size_for(64, 3136, 36, np.float32) == (small, (49, 1, 36))           # half of a big tile would be idle
    assert gemm_cuda.size_for(512, 512, 1, np.float32) == (small, (8, 8, 1))              # 16 big tiles for 132 processors
    assert gemm_cuda.size_for(4096, 4096, 1, np.float64)[0] == small


def test_ptx_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setattr(ptx, "TOOLKITS", ())
    with pytest.raises(SystemExit, match="there is no NVVM and ptxas here, which the CUDA toolkit has; install it, or set"):
        ptx.main([])


@compilers
def test_ptx_says_that_no_kernel_has_the_name(monkeypatch):
    with pytest.raises(SystemExit, match="no kernel has 'nosuch' in its name"):
        ptx.main(["nosuch"])
    monkeypatch.setenv("CUDA_HOME", "/nonexistent")
    with pytest.raises(SystemExit, match="there is no NVVM and ptxas here"):
        ptx.main(["relu"])


@compilers
def test_the_table_is_printed(capsys):
    ptx.main(["winograd_input"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("winograd_cuda.winograd_input_kernel") and len(line.split()) == 1 + 4 * 3


# --- errors, copies, the cache ------------------------------------------------------------------------------------------
def test_no_driver_and_no_gpu_are_said(monkeypatch):
    def no_driver():
        raise OSError("libcuda.so was not found\nand more")
    monkeypatch.setattr(device.cuda, "list_devices", no_driver)
    with pytest.raises(BackendError, match=r"no working CUDA driver \(libcuda.so was not found and more\); choose backend 'cpu'"):
        minicnn.use("cuda")
    monkeypatch.setattr(device.cuda, "list_devices", lambda: [])
    with pytest.raises(BackendError, match="this computer has a CUDA driver but no GPU; choose backend 'cpu'"):
        with minicnn.use("cuda"):
            pass
    assert minicnn.backend.current() == "cpu"


def test_the_environment_variable_asks_for_a_gpu_only_when_something_runs():
    code = "import minicnn; minicnn.ops.relu([1.0])"
    env = {**os.environ, "MINICNN_BACKEND": "cuda", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert result.returncode and "BackendError: backend 'cuda': " in result.stderr.splitlines()[-1]


def test_the_cache_forgets_a_kernel_when_a_helper_changes(tmp_path, monkeypatch):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (folder / "kernels.py").write_text("from .helper import twice\n\n\ndef make(f):\n    def kernel(x):\n        x[0] = f(x[0])\n"
                                       "    return kernel\n\n\nkernel = make(twice)\n")
    monkeypatch.syspath_prepend(tmp_path)
    kernels = importlib.import_module("package.kernels")
    codegen = type("Codegen", (), {"magic_tuple": lambda self: ("sm_80",)})()
    numba_cache = importlib.import_module("numba.cuda.dispatcher").CUDACache
    cache = device._cache_class(numba_cache)(kernels.kernel)
    before = cache._index_key(("float32",), codegen)
    assert cache._index_key(("float32",), codegen) == before
    (folder / "helper.py").write_text("def twice(x):\n    return x + x + x - x\n")
    assert cache._index_key(("float32",), codegen) != before


def test_the_winograd_kernels_know_the_formulas_of_the_cpu():
    rng = np.random.RandomState(0)
    winograd = importlib.import_module("minicnn.ops.winograd")

    def plain(function):
        return getattr(function, "py_func", function)
    d, n = rng.standard_normal(6), np.arange(9.0)
    assert np.allclose(plain(winograd_cuda.input_points)(*d, n), plain(winograd._input_points)(*d), rtol=1e-15)
    assert np.allclose(plain(winograd_cuda.outputs)(*d, n), plain(winograd._outputs)(*d), rtol=1e-15)
    g, out = rng.standard_normal((3, 1)), np.empty((6, 1))
    plain(winograd._filter_points)(*g, out)
    assert np.allclose(np.ravel(plain(winograd_cuda.filter_points)(*g[:, 0])), out[:, 0], rtol=1e-14)
    assert gemm_cuda.BIG == (128, 8)
