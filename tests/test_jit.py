"""Compilation: lazy, cached on disk, never stale, and off where a debugger wants it off."""
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn.jit import jit, single_threaded_blas

ROOT = Path(__file__).parent.parent
KERNEL = """
import numba
import numpy as np
import pytest
from minicnn.jit import jit

@numba.njit
def helper(v):
    return v * {factor}

def kernel(x):
    out = np.empty_like(x)
    for i in numba.prange(len(x)):
        out[i] = helper(x[i])
    return out

run = jit(kernel)
"""


def python(code, folder, **environment):
    own = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}       # Dask sets one of these
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, capture_output=True,
                            env={**own, "PYTHONPATH": str(ROOT), **environment})
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_changed_helper_is_never_served_from_the_cache(tmp_path):
    code = ("import numpy as np, kernels; result = kernels.run(np.ones(2))[0]; "
            "print(result, sum(kernels.run._compiled.stats.cache_hits.values()))")
    for factor in (2, 3):
        (tmp_path / "kernels.py").write_text(KERNEL.format(factor=factor))
        os.utime(tmp_path / "kernels.py", ns=(factor * 10 ** 18, factor * 10 ** 18))
        printed = [python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
        assert printed == [f"{factor}.0 0", f"{factor}.0 1"]      # the first process compiles, the second loads


def test_a_changed_helper_in_another_file_is_never_served_from_the_cache(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "kernels.py").write_text(KERNEL.replace("@numba.njit\ndef helper(v):\n    return v * {factor}",
                                                       "from .helpers import helper"))
    code = ("import numpy as np; from package import kernels; result = kernels.run(np.ones(2))[0]; "
            "print(result, sum(kernels.run._compiled.stats.cache_hits.values()))")
    for factor in (2, 3):
        (package / "helpers.py").write_text("import numba\nfrom .inner import innermost\n\n@numba.njit\n"
                                            "def helper(v):\n    return innermost(v)\n")
        (package / "inner.py").write_text(f"import numba\n\n@numba.njit\ndef innermost(v):\n    return v * {factor}\n")
        os.utime(package / "helpers.py", ns=(10 ** 18, 10 ** 18))
        os.utime(package / "inner.py", ns=(factor * 10 ** 18, factor * 10 ** 18))
        printed = [python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
        assert printed == [f"{factor}.0 0", f"{factor}.0 1"]


def test_the_first_run_says_once_that_it_compiles_and_the_second_is_silent(tmp_path):
    (tmp_path / "kernels.py").write_text(KERNEL.format(factor=2))
    code = "import sys; sys.stderr = sys.stdout; import numpy as np, kernels; [kernels.run(np.ones(2, d)) for d in 'fd']"
    printed = [python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert printed == ["minicnn: compiling kernels, first run only", ""]


def test_kernels_run_as_plain_python_for_a_debugger():
    code = ("import numpy as np, minicnn\n"
            "x = minicnn.Tensor(np.arange(32.).reshape(1, 2, 4, 4), requires_grad=True)\n"
            "y = minicnn.ops.max_pool2d(minicnn.ops.conv2d(x, np.ones((2, 2, 3, 3)), padding=1), 2)\n"
            "y.backward(np.ones(y.shape))\n"
            "from minicnn.ops.max_pool2d import KERNELS\n"
            "print(y.data.sum(), x.grad.sum(), type(KERNELS['cpu']['forward']._compiled).__name__)")
    plain, compiled = python(code, ROOT, NUMBA_DISABLE_JIT="1"), python(code, ROOT)
    assert plain.split()[:2] == compiled.split()[:2] and plain.split()[2] == "function"


def test_the_environment_chooses_the_backend():
    code = "import minicnn; print(minicnn.backend.current())"
    assert python(code, ROOT, MINICNN_BACKEND="ref") == "ref"
    code = "import minicnn\ntry: minicnn.backend.current()\nexcept minicnn.errors.BackendError as e: print(e)"
    assert "'cpu'" in python(code, ROOT, MINICNN_BACKEND="gpu")


def test_compiled_once_at_the_first_call():
    kernel = jit(lambda x: x + 1)
    assert kernel._compiled is None and kernel.py_func(1) == 2


def test_blas_is_held_to_one_thread_and_let_go():
    import threadpoolctl
    before = [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    with single_threaded_blas():
        np.dot(np.ones((4, 4)), np.ones((4, 4)))
        assert {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"} == {1}
    after = [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    assert after[:len(before)] == before


FAULTS = """
import resource, numpy as np
from minicnn import ops
x = np.ones((1, 64, 160, 160), np.float32)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        layers = [ops.relu(x) for _ in range(6)]
        del layers
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="other C libraries decide")
def test_freed_memory_is_used_again(tmp_path):
    """An output of 6.5 MB has 1600 pages: none of them is fetched from the system anew, unless the user decides otherwise."""
    assert int(python(FAULTS, tmp_path)) < 100
    assert int(python(FAULTS, tmp_path, MALLOC_TRIM_THRESHOLD_="100000", MALLOC_MMAP_THRESHOLD_="100000")) > 500
