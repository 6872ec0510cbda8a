"""The suite `tsne`: maps of MNIST's digits by minicnn and its peers, timed in turn, and all judged by one measure.

Each run is a process of its own, with its defaults, perplexity 30 and the start by PCA; imports, and compiling before the first
run, are not counted. KL is that of the map to the affinities of each point's exact 90 neighbours, with Z over all pairs: what
the programs print as KL cannot be compared. Accuracy: how often most of a point's 10 neighbours in the map have its label.
"""
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from minicnn.embed import TSNE, exact_repulsion, kl_divergence, pca, sparse_affinities
from lectures.common import all_digits
from lectures.maps import neighbour_accuracy
from minicnn.errors import MinicnnError

from .worker import recorded_peak

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ("scikit-learn", "scikit-learn-intelex", "openTSNE")
SIZES = {10_000: PEERS, 70_000: ("scikit-learn-intelex", "openTSNE")}     # scikit-learn: a quarter of an hour


def installed_peers():
    """Return the names of the peers that are installed."""
    found = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    return [name for name in PEERS if name.lower() in found]


def worker(name, points, result):
    """Make the map of the points in one file and write it to another; print seconds and peak memory in bytes."""
    X, threads = np.load(points), int(os.environ["OMP_NUM_THREADS"])
    run = contender(name, threads)
    if name == "minicnn":
        TSNE(max_iter=2).fit(X)                 # kernels are compiled, and cached
    start = time.perf_counter()
    Y = run(X)
    seconds = time.perf_counter() - start
    np.save(result, Y)
    print(seconds, recorded_peak())


def contender(name, threads):
    """Return a function of points that returns their map."""
    if name == "openTSNE":
        import openTSNE
        return lambda X: np.asarray(openTSNE.TSNE(n_jobs=threads, random_state=0).fit(X))
    if name == "scikit-learn-intelex":
        import sklearnex
        sklearnex.patch_sklearn(verbose=False)
    if name == "minicnn":
        return TSNE(random_state=0).fit_transform
    from sklearn.manifold import TSNE as Theirs
    return Theirs(random_state=0, n_jobs=threads).fit_transform


def judged(P, Y, labels):
    """Return (KL, accuracy) of a map."""
    Y = np.ascontiguousarray(Y, dtype=float)
    return kl_divergence(P, Y, Z=exact_repulsion(Y)[1]), neighbour_accuracy(Y, labels)


def measure(size, names, threads, rounds, folder):
    """Return the record of a case: turns of each contender on the first `size` digits, medians, and its last map judged."""
    images, labels = all_digits()
    X, labels = pca(images[:size].reshape(size, -1) / 255, 50).astype(np.float32), labels[:size]
    np.save(folder / "points.npy", X)
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    seconds, memory, maps = {n: [] for n in names}, {}, {}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, "-m", "tools.bench.tsne", name, str(folder / "points.npy"), str(folder / "map.npy")]
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, **limits}, capture_output=True, text=True)
            if done.returncode:
                raise MinicnnError(f"{name} has stopped with status {done.returncode}: {done.stderr.strip()[-300:]}")
            taken, peak = done.stdout.split()[-2:]
            seconds[name].append(float(taken))
            memory[name], maps[name] = float(peak), np.load(folder / "map.npy")
    P = sparse_affinities(X, 30)
    quality = {name: judged(P, maps[name], labels) for name in names}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"suite": "tsne", "name": f"t-SNE of {size} digits", "seconds": medians, "rounds": seconds, "bytes": memory,
            "kl": {n: q[0] for n, q in quality.items()}, "accuracy": {n: q[1] for n, q in quality.items()},
            "ratios": {name: medians["minicnn"] / value for name, value in medians.items() if name != "minicnn"}}


def digits_record(seeds=5):
    """Return the record of the KL on scikit-learn's 1,797 digits from random starts, beside its method "exact"."""
    from sklearn.datasets import load_digits
    from sklearn.manifold import TSNE as Theirs
    X, labels = load_digits(return_X_y=True)
    P, maps = sparse_affinities(X, 30, neighbors=len(X) - 1), {"minicnn": [], "scikit-learn": []}
    for seed in range(seeds):
        maps["minicnn"].append(TSNE(init="random", random_state=seed).fit_transform(X))
        maps["scikit-learn"].append(Theirs(method="exact", init="random", random_state=seed).fit_transform(X))
    quality = {name: np.mean([judged(P, Y, labels) for Y in found], axis=0) for name, found in maps.items()}
    return {"suite": "tsne", "name": f"t-SNE of 1797 digits, {seeds} random starts", "seconds": {}, "bytes": {}, "ratios": {},
            "kl": {n: float(q[0]) for n, q in quality.items()}, "accuracy": {n: float(q[1]) for n, q in quality.items()}}


def records(threads, peers, rounds, only, folder):
    """Yield the record of each case: all rounds for 10,000 digits, one for 70,000."""
    for size, able in SIZES.items():
        if only in f"t-SNE of {size} digits":
            turns = min(rounds, 3) if size < 20_000 else 1
            yield measure(size, ["minicnn", *(p for p in peers if p in able)], threads, turns, folder)
    if "scikit-learn" in peers and only in "t-SNE of 1797 digits":
        yield digits_record()


def rows(record):
    """Return a record as lines of the table: a line for each contender."""
    lines = [record["name"]]
    for name in record["kl"]:
        taken = f"{record['seconds'][name]:7.1f} s" if name in record["seconds"] else " " * 9
        ratio = f"ours / theirs {record['ratios'][name]:5.2f}" if name in record["ratios"] else " " * 19
        peak = f"{record['bytes'][name] / 1e6:6.0f} MB" if name in record["bytes"] else " " * 9
        quality = f"KL {record['kl'][name]:.3f}   accuracy {record['accuracy'][name]:.4f}"
        lines.append(f"    {name:<22} {taken}  {ratio}   {quality}   {peak}")
    return "\n".join(lines)


if __name__ == "__main__":
    worker(*sys.argv[1:])
