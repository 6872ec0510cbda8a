"""python -m tools.bench [ops] [nets] [train] [style] [memory] [startup] [tsne] [fool] [product] [--peers] [--json FILE]

Each contender has a process of its own, so that no one's threads or memory are in another's way. For each case all of them
get the same input and weights; their outputs must agree; then they run in turn, round after round, and the medians count.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minicnn.device import SIMULATED, check_gpu
from minicnn.errors import MinicnnError
from minicnn.files import replacing

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = {"PyTorch": ("torch",), "ONNX Runtime": ("onnxruntime", "onnx")}
STARTUP = "SqueezeNet's first scores, import included"
SUITES = ("ops", "nets", "train", "style", "memory", "startup", "tsne", "fool", "product")
LONG, ON_GPU = ("tsne", "fool", "product"), ("nets", "style", "tsne", "product")
SCORES, GRADIENTS = 1e-4, 1e-2      # largest error of scores by their largest; error of a gradient by its length: see `_agree`


class BenchError(MinicnnError):
    """The contenders do not agree, or one of them has stopped."""


class Worker:
    """The process of a contender."""

    def __init__(self, name, threads):
        limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        self.name = name
        self.process = subprocess.Popen([sys.executable, "-m", "tools.bench.worker", name, str(threads)], cwd=ROOT,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **limits})

    def __call__(self, what, argument=None):
        try:
            pickle.dump((what, argument), self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError):
            raise BenchError(f"{self.name} has stopped with status {self.process.wait()}; what it wrote stands above") from None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def workers(names, threads):
    """Give a Worker for each name, and end them afterwards."""
    made = []
    try:
        for name in names:
            made.append(Worker(name, threads))
        yield made
    finally:
        for worker in made:
            worker.close()


def installed_peers():
    """Return the names of the peers that can be imported."""
    return [name for name, modules in PEERS.items() if all(map(importlib.util.find_spec, modules))]


def _agree(case, ours, theirs, name):
    """Return our errors, of the scores and of the gradient; raise BenchError if one is too large.

    A gradient passes thousands of ReLUs and maxima. Where two numbers are equal but for rounding, they decide one way or the
    other, and a few pixels differ for good; so of gradients through networks the length of the error counts.
    """
    scores = float(np.abs(ours[0] - theirs[0]).max() / max(np.abs(theirs[0]).max(), 1e-30))
    gradient = float(np.linalg.norm(ours[1] - theirs[1]) / max(np.linalg.norm(theirs[1]), 1e-30)) if len(ours) > 1 else 0.
    if not scores <= SCORES or not gradient <= GRADIENTS:
        raise BenchError(f"{case.name}: minicnn and {name} differ by {scores:.1e} in the scores and {gradient:.1e} in the "
                         f"gradient, allowed are {SCORES:.0e} and {GRADIENTS:.0e}; nothing was timed")
    return scores, gradient


def measure(case, crew, rounds, seconds):
    """Return the record of a case: the outputs compared, then medians of `rounds` turns."""
    answers = {worker.name: worker("prepare", case) for worker in crew}
    crew = [worker for worker in crew if answers[worker.name]]
    ours = answers["minicnn"][0]
    errors = {worker.name: _agree(case, ours, answers[worker.name][0], worker.name) for worker in crew[1:]}
    times = {worker.name: [] for worker in crew}
    for _ in range(rounds):
        for worker in crew:
            times[worker.name].append(worker("time", seconds))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"suite": case.suite, "name": case.name, "seconds": medians, "errors": errors, "rounds": times,
            "ratios": {name: medians["minicnn"] / value for name, value in medians.items() if name != "minicnn"},
            "gflops": 2 * case.multiply_adds / medians["minicnn"] / 1e9, "gbytes": case.bytes / medians["minicnn"] / 1e9}


def memory(case, names, threads):
    """Return the record of peak memory: each contender in a fresh process, after one in which it could compile and cache."""
    peaks = {}
    for name in names:
        for _ in range(2):
            with workers([name], threads) as (worker,):
                if worker("prepare", case):
                    peaks[name] = worker("memory")
    return {"suite": "memory", "name": f"{case.name}, peak memory", "bytes": peaks,
            "ratios": {name: peaks["minicnn"] / value for name, value in peaks.items() if name != "minicnn"}}


def startup(threads):
    """Return the record of the time from nothing to a picture's scores: cold, before any kernel is compiled, and warm."""
    code = ("import minicnn; net = minicnn.load('squeezenet1_1'); "
            "print(minicnn.predict(net, 'lectures/images/chelsea.jpg', top=1))")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "NUMBA_NUM_THREADS": str(threads)}
        seconds = []
        for _ in range(4):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    return {"suite": "startup", "name": STARTUP, "cold": seconds[0],
            "warm": statistics.median(seconds[1:])}


def records(arguments, names, folder):
    """Yield the record of each case asked for."""
    from . import cases, fool, gpu, tsne
    on_gpu = arguments.backend == "cuda"
    made = {"ops": cases.ops_cases, "nets": cases.nets_of_a_gpu if on_gpu else cases.nets_cases, "train": cases.train_cases,
            "style": cases.style_of_a_gpu if on_gpu else cases.style_cases}
    for suite in arguments.suites:
        if suite == "startup":
            if arguments.only in STARTUP:
                yield startup(arguments.threads)
        elif suite == "product":
            yield from gpu.product_records(arguments.peers and gpu.torch_is_there(), arguments.rounds, arguments.only)
        elif suite == "tsne" and on_gpu:
            yield from gpu.tsne_records(arguments.only)
        elif suite == "tsne":
            peers = tsne.installed_peers() if arguments.peers else []
            yield from tsne.records(arguments.threads, peers, arguments.rounds, arguments.only, folder)
        elif suite == "fool":
            peers = arguments.peers and fool.foolbox_is_installed()
            yield from fool.records(arguments.threads, peers, arguments.rounds, arguments.only)
        elif suite == "memory":
            case = list(cases.nets_cases(folder, ["vgg16"]))[-1]
            if arguments.only in case.name:
                yield memory(case, [name for name in names if name != "ONNX Runtime"], arguments.threads)
        else:
            with workers(names, arguments.threads) as crew:
                for case in made[suite](folder):
                    if arguments.only in case.name:
                        yield measure(case, crew, arguments.rounds, 0.02 if suite == "ops" else 0.2)


def row(record, names, peak):
    """Return a record as a line of the table, or as several."""
    if record["suite"] == "tsne":
        from . import tsne
        return tsne.rows(record)
    if record["suite"] == "fool":
        from . import fool
        return fool.row(record)
    if record["suite"] == "startup":
        return f"{record['name']:<50} cold {record['cold']:.2f} s   warm {record['warm']:.2f} s"
    if record["suite"] == "memory":
        cells = [f"{n} {record['bytes'][n] / 1e6:.0f} MB" + (f" ({record['ratios'][n]:.2f})" if n in record["ratios"] else "")
                 for n in names if n in record["bytes"]]
        return f"{record['name']:<50} {'   '.join(cells)}"
    cells = [f"{record['seconds'][n] * 1e3:9.2f}" + (f" ({record['ratios'][n]:4.2f})" if n in record["ratios"] else "")
             if n in record["seconds"] else " " * 9 + "-" + " " * 6 for n in names]
    if peak is None:                                    # on a GPU
        return f"{record['name']:<50} {' '.join(cells)}  {record['gflops']:6.0f} GFLOP/s"
    reached = f"{record['gflops']:6.0f} GFLOP/s {record['gflops'] * 1e9 / 2 / peak[0]:5.0%}"
    if record["gflops"] < record["gbytes"]:             # bound by memory
        reached = f"{record['gbytes']:6.1f} GB/s    {record['gbytes'] * 1e9 / peak[1]:5.0%}"
    return f"{record['name']:<50} {' '.join(cells)}  {reached}"


def cores():
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def parsed(argv):
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="Times minicnn, and its peers in turn with it.")
    parser.add_argument("suites", nargs="*", metavar="SUITE",
                        help=f"which of {', '.join(SUITES)}; if none is named, all but {', '.join(LONG)}, and on a GPU all that "
                        "run there")
    parser.add_argument("--peers", action="store_true", help="also what else is installed, by pip install -e '.[bench]'")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu",
                        help=f"cuda: on a GPU, the suites {', '.join(ON_GPU)}; the peer is PyTorch on the same one")
    parser.add_argument("--threads", type=int, default=cores(), help="of each contender (default: all cores)")
    parser.add_argument("--rounds", type=int, default=9, help="turns, of which the median counts (default 9)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", help="write all figures to this file")
    arguments = parser.parse_args(argv)
    wrong = [suite for suite in arguments.suites if suite not in SUITES]
    if wrong or arguments.threads < 1 or arguments.rounds < 1:
        parser.error(f"{wrong[0]!r} is none of {', '.join(SUITES)}" if wrong else "--threads and --rounds are at least 1")
    target = Path(arguments.json or "figures.json")
    if target.is_dir() or not target.resolve().parent.is_dir():
        parser.error(f"--json {arguments.json} is no place for a file: a folder, or in one that does not exist")
    if arguments.backend == "cuda":
        arguments.suites = arguments.suites or list(ON_GPU)
        wrong = [suite for suite in arguments.suites if suite not in ON_GPU]
    else:
        arguments.suites = arguments.suites or [suite for suite in SUITES if suite not in LONG]
        wrong = [suite for suite in arguments.suites if suite == "product"]
    if wrong:
        parser.error(f"{wrong[0]} does not run with --backend {arguments.backend}; on a GPU run {', '.join(ON_GPU)}")
    return arguments


def main(argv=None):
    arguments, done = parsed(argv), []
    os.environ["NUMBA_NUM_THREADS"] = str(arguments.threads)
    import numba
    numba.set_num_threads(min(arguments.threads, numba.config.NUMBA_NUM_THREADS))
    from . import gpu, machine
    names = ["minicnn", *(installed_peers() if arguments.peers else [])]
    if arguments.backend == "cuda":
        names = [name for name in names if name != "ONNX Runtime"]
    if arguments.peers and len(names) == 1:
        print("no peer is installed: pip install -e '.[bench]'", file=sys.stderr)
    stopped = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            about, peak = machine.description(arguments.threads), None
            if arguments.backend == "cuda":
                check_gpu()
                if SIMULATED:
                    raise BenchError("--backend cuda measures a GPU; NUMBA_ENABLE_CUDASIM is set: the simulator tells no times")
                about, os.environ["MINICNN_BACKEND"] = f"{about}; {gpu.description()}", "cuda"      # also for the workers
                print(about)
            else:
                peak = machine.peaks(arguments.threads)
                print(f"{about}; at most {2 * peak[0] / 1e9:.0f} GFLOP/s, {peak[1] / 1e9:.0f} GB/s")
            print(f"{'milliseconds (ours / theirs)':<50} {' '.join(f'{n:>{9 if i == 0 else 16}}' for i, n in enumerate(names))}")
            for record in records(arguments, names, Path(folder)):
                done.append(record)
                print(row(record, names, peak), flush=True)
        except MinicnnError as error:
            stopped = f"tools.bench: {error}"
        except KeyboardInterrupt:
            stopped = "interrupted; what was measured so far counts"
    if not done and not stopped:
        stopped = f"no case of {', '.join(arguments.suites)} has {arguments.only!r} in its name"
    if arguments.json and done:
        with replacing(arguments.json) as path:
            figures = {"machine": about, "complete": not stopped, "records": done}
            if peak:
                figures |= {"peak_gflops": 2 * peak[0] / 1e9, "peak_gbytes": peak[1] / 1e9}
            Path(path).write_text(json.dumps(figures, indent=1))
    return stopped                      # sys.exit prints it, with status 1


if __name__ == "__main__":
    sys.exit(main())
