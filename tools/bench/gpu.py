"""What is measured on a GPU alone: the ladder of the matrix product beside cuBLAS, and t-SNE by both ways of summing.

`--backend cuda` runs the suites product, nets, style and tsne there, with --peers PyTorch on the same GPU: float32 without TF32,
cuDNN's benchmark mode on. In nets and style a run begins and ends with NumPy arrays, so copies count, for both.
"""
import importlib.util
import statistics
import subprocess
import time

import numpy as np

from minicnn.errors import MinicnnError

SIZE = 4096                 # of the matrices, a side
SMALLER = 1024              # for the naive rung, which would take seconds
TSNE_STEPS = 1000
RUNS = 10


def description():
    """Return the GPU and its driver in words."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return "GPU " + subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        from numba import cuda
        name = cuda.get_current_device().name
        return f"GPU {name.decode() if isinstance(name, bytes) else name}"


def rungs(a, b):
    """Return {name: function that launches the product of two square DeviceArrays and returns it}."""
    from minicnn.device import DeviceArray
    from minicnn.ops import gemm_cuda
    (n, _), tile = a.shape, gemm_cuda.SIDE
    c, blocks = DeviceArray(a.shape, a.dtype), -(-n // tile)

    def launched(kernel):
        def run():
            kernel.launch((blocks, blocks), (tile, tile), a, b, c)
            return c
        return run
    return {"naive": launched(gemm_cuda.matmul_naive_kernel), "tiled": launched(gemm_cuda.matmul_tiled_kernel),
            "register-blocked": lambda: gemm_cuda.matmul_cuda(a.reshape(1, n, n), b.reshape(1, n, n))}


def seconds_of(run, event, rounds):
    """Return the median of `rounds` turns of RUNS runs, per run, by the GPU's own clock; event: makes a mark of it."""
    run()
    times = []
    for _ in range(rounds):
        start, end = event(), event()
        start.record()
        for _ in range(RUNS):               # so that the GPU has work while Python prepares the next launch
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / RUNS)
    return statistics.median(times)


def cublas(a, b):
    """Return (run, event): a function that multiplies two NumPy arrays by PyTorch, which asks cuBLAS, without TF32; its marks."""
    import torch
    torch.backends.cuda.matmul.allow_tf32 = False
    a, b = (torch.from_numpy(x).cuda() for x in (a, b))
    return lambda: torch.matmul(a, b), lambda: torch.cuda.Event(enable_timing=True)


def product_records(peers, rounds, only):
    """Yield the record of each rung of the ladder."""
    from numba import cuda
    from minicnn.device import to_device, to_host
    rng = np.random.RandomState(0)
    for name, n in (("naive", SMALLER), ("tiled", SMALLER), ("register-blocked", SMALLER), ("register-blocked", SIZE)):
        label = f"matrix product, {name}, {n} x {n} x {n}"
        if only in label:
            a, b = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
            run = rungs(to_device(a), to_device(b))[name]
            theirs = cublas(a, b) if peers else None
            expected = theirs[0]().cpu().numpy() if theirs else a.astype(float) @ b
            error = np.abs(to_host(run()).reshape(n, n) - expected).max() / np.abs(expected).max()
            if not error < 1e-5:
                raise MinicnnError(f"{label}: off by {error:.1e}, allowed is 1e-05; nothing was timed")
            seconds = {"minicnn": seconds_of(run, cuda.event, rounds)}
            seconds |= {"PyTorch": seconds_of(*theirs, rounds)} if theirs else {}
            yield {"suite": "product", "name": label, "seconds": seconds, "rounds": {}, "gbytes": 0.0,
                   "gflops": 2 * n ** 3 / seconds["minicnn"] / 1e9,
                   "ratios": {"PyTorch": seconds["minicnn"] / seconds["PyTorch"]} if theirs else {}}


def tsne_records(only):
    """Yield the record of the map of 70,000 digits from a start by PCA, by each way of summing the repulsion."""
    import minicnn
    from lectures.common import all_digits
    from minicnn.embed import pca, sparse_affinities, tsne_steps
    from minicnn.loop import last, take
    from .tsne import judged
    images, labels = all_digits()
    X = pca(images.reshape(len(images), -1) / 255, 50).astype(np.float32)
    P, start = sparse_affinities(X, 30), X[:, :2] / X[:, 0].std() * 1e-4
    for method in ("exact", "barnes_hut"):
        label = f"t-SNE of {len(X)} digits, {TSNE_STEPS} steps, {method}"
        if only in label:
            with minicnn.use("cuda"):
                last(take(2, tsne_steps(P, start, method=method)))          # kernels are compiled
                before = time.perf_counter()
                Y = last(take(TSNE_STEPS, tsne_steps(P, start, method=method))).embedding
                seconds = time.perf_counter() - before
            kl, accuracy = judged(P, Y, labels)
            yield {"suite": "tsne", "name": label, "seconds": {"minicnn": seconds}, "bytes": {}, "ratios": {}, "rounds": {},
                   "kl": {"minicnn": kl}, "accuracy": {"minicnn": accuracy}}


def torch_is_there():
    """Whether PyTorch can be imported."""
    return importlib.util.find_spec("torch") is not None
