"""python -m tools.ptx [NAME ...]: what each kernel for the GPU becomes: registers, shared memory, spills. Needs no GPU.

Numba compiles a kernel to PTX, with NVVM; NVIDIA's ptxas makes machine code of it for each generation of GPUs and says what it
takes. A multiprocessor has 65,536 registers for all its threads, at most 255 for one; a thread that needs more keeps numbers in
the GPU's memory and reads them again: it spills, and an array whose index is not known when it is compiled lies there as well
(`stack`). A fast kernel does neither. NAME: show only kernels whose names contain it.
"""
import argparse
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numba import cuda

import minicnn
from minicnn.device import SIMULATED, Kernel
from minicnn.errors import BackendError

GENERATIONS = (75, 80, 90)
TOOLKITS = ("/usr/local/cuda", *(str(p) for p in sorted(Path("/usr/local").glob("cuda-*"), reverse=True)))


@dataclass(frozen=True)
class Usage:
    """What a kernel takes of a multiprocessor, for a generation of GPUs: bytes, but for the registers of a thread."""
    kernel: str
    generation: int
    registers: int
    shared: int
    stack: int
    spilled: int


def kernels():
    """Return {name: Kernel} of all there are: "relu.relu_forward_kernel", "gemm_cuda.PRODUCTS[128, 8, True, False]"."""
    found = {}
    for module in pkgutil.walk_packages(minicnn.__path__, "minicnn."):
        short = module.name.rpartition(".")[2]
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Kernel) and value.py_func.__module__ == module.name:
                found[f"{short}.{name}"] = value
            elif isinstance(value, dict):
                found.update({f"{short}.{name}[{', '.join(map(str, key))}]": kernel for key, kernel in value.items()
                              if isinstance(kernel, Kernel) and kernel.py_func.__module__ == module.name})
    return found


def tools_found():
    """Return the path of ptxas; raise BackendError where it or NVVM is missing."""
    if SIMULATED:
        raise BackendError("ptx: NUMBA_ENABLE_CUDASIM is set, and the simulator compiles nothing; unset it")
    if "CUDA_HOME" not in os.environ:
        home = next((folder for folder in TOOLKITS if list(Path(folder).glob("**/libnvvm.so*"))), None)
        if home:
            os.environ["CUDA_HOME"] = home
    ptxas = shutil.which("ptxas") or shutil.which("ptxas", path=os.path.join(os.environ.get("CUDA_HOME", ""), "bin"))
    if not ptxas or not os.environ.get("CUDA_HOME") or not list(Path(os.environ["CUDA_HOME"]).glob("**/libdevice*.bc")):
        raise BackendError("ptx: there is no NVVM and ptxas here, which the CUDA toolkit has; install it, or set CUDA_HOME to it")
    return ptxas


def compiled(kernel, dtype=np.float32, generation=80):
    """Return a kernel's PTX for a generation of GPUs."""
    from numba.cuda import dispatcher               # there is none on the simulator
    capability, asked = divmod(generation, 10), dispatcher.get_current_device
    # a function that a kernel calls is compiled for the GPU that is there: say which one, since there may be none
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        return cuda.compile_ptx(kernel.py_func, kernel.signature(np.dtype(dtype)), cc=capability)[0]
    finally:
        dispatcher.get_current_device = asked


def usage(name, kernel, dtype=np.float32, generations=GENERATIONS):
    """Yield the Usage of a kernel for each generation."""
    ptxas = tools_found()
    for generation in generations:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "kernel.ptx")
            source.write_text(compiled(kernel, dtype, generation))
            command = [ptxas, "-v", f"-arch=sm_{generation}", str(source), "-o", os.devnull]
            said = subprocess.run(command, capture_output=True, text=True)
        if said.returncode:
            raise BackendError(f"ptx: ptxas refuses {name} for sm_{generation}: {said.stderr.strip()[:300]}")

        def number(pattern):
            return int((re.search(pattern, said.stderr) or [0, 0])[1])
        yield Usage(name, generation, number(r"Used (\d+) registers"), number(r"(\d+) bytes smem"),
                    number(r"(\d+) bytes stack frame"), number(r"(\d+) bytes spill stores"))


def row(usages):
    """Return the usages of a kernel as a line of the table."""
    cells = (f"{u.registers:>5} {u.shared:>7} {u.stack:>6} {u.spilled:>6}" for u in usages)
    return f"{usages[0].kernel:<58}" + "   ".join(cells)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tools.ptx", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="show only kernels whose names contain it")
    names = parser.parse_args(argv).names
    try:
        tools_found()
        chosen = {name: kernel for name, kernel in kernels().items() if not names or any(part in name for part in names)}
        if not chosen:
            raise BackendError(f"ptx: no kernel has {' or '.join(map(repr, names))} in its name; without a name all are shown")
        print(" " * 58 + "   ".join(f"{f'sm_{g}':<27}" for g in GENERATIONS).rstrip())
        print(" " * 58 + "   ".join(["regs   shared  stack spills"] * len(GENERATIONS)))
        for name, kernel in chosen.items():
            print(row(list(usage(name, kernel))), flush=True)
    except BackendError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
