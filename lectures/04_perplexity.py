"""Toy data whose true shape is known, at five perplexities: how far a map of t-SNE may be believed."""
import warnings

import numpy as np

from minicnn.embed import pca, sparse_affinities, tsne_steps
from minicnn.embed.toy_data import FIGURES, toy_data
from minicnn.loop import take

from .common import Check, panels

TITLE = 'More on t-SNE ("How to use t-SNE effectively")'
FORMULA = r"""$\operatorname{Perp}(P_i) = e^{H(P_i)}, \qquad H(P_i) = -\sum_j p_{j|i} \,\ln\, p_{j|i}$, the effective number of
    neighbours of a point
$p_{j|i} = \frac{\exp(-\lVert x_i - x_j \rVert^2 / 2 \sigma_i^2)}{\sum_{k \ne i} \exp(-\lVert x_i - x_k \rVert^2 / 2
    \sigma_i^2)}$,
    each $\sigma_i$ such that $\operatorname{Perp}(P_i)$ is the perplexity asked for"""
LOOK_FOR = """In each row the data stand on the left, and then what t-SNE makes of them. Sizes mean nothing: the narrow cluster is
drawn as wide as the wide one. Gaps mean little: the far cluster seems no farther than the near one. Pure noise falls into clumps
at perplexity 2. A perplexity as large as the data set (100 for the 100 points of the first row) takes all the others for
neighbours alike, and the map says nothing. And a run that is stopped early shows shapes that are not the data's (last row).
Try several perplexities before you believe a map. (The published article's program took distances for their squares:
kernel="laplace", which --full takes, with the article's 5,000 steps.)"""
CODE = {"minicnn/embed/affinities.py": "conditional_ref conditional_affinities perplexity_of",
        "minicnn/embed/toy_data.py": "two_different_sized_clusters"}
TRY = r"""A point takes 10 others for neighbours, each with the same probability, and all others not at all. What is its
perplexity? Check with `perplexity_of`.

Why does the narrow cluster become as wide as the wide one? Which number in the formula is different for its points?

Two maps of one data set, from two starts (`np.random.default_rng(1)` in `_run`): what is the same in both, and what is not?

Give the article's kernel, `kernel="laplace"`, at 400 steps: which rows look different?"""
ROWS = {"perplexity": "two clusters", "cluster_sizes": "one 10 times\nnarrower", "cluster_distances": "one 5 times\nfarther",
        "containment": "one inside\nanother", "noise": "noise in 100\ndimensions", "link": "linked rings", "knot": "trefoil knot"}
FIGURE = {figure.name: figure for figure in FIGURES}


def compute(full):
    steps, kernel = (5000, "laplace") if full else (400, "gaussian")          # after 400 steps nearly all has come to rest
    rows = {}
    for name in ROWS:
        figure = FIGURE[name]
        X, labels = toy_data(figure.data_set, 0, **figure.options)
        rows[name] = {"data": X, "labels": labels,
                      "maps": {p: _run(X, p, kernel, (steps,))[steps] for p in figure.perplexities}}
    figure = FIGURE["stopped_early"]
    X, labels = toy_data(figure.data_set, 0, **figure.options)
    early = {"data": X, "labels": labels, "maps": _run(X, figure.perplexities[0], kernel, figure.snapshots)}
    return {"rows": rows, "early": early, "steps": steps, "kernel": kernel}


def _run(X, perplexity, kernel, snapshots):
    """Return the maps after these steps, by step, from a random start, with the article's learning rate and exaggeration."""
    with warnings.catch_warnings():             # that a perplexity is too large for the data is the point of the first row
        warnings.simplefilter("ignore")
        P = sparse_affinities(X, perplexity, kernel=kernel, neighbors=len(X) - 1)
    start = np.random.default_rng(0).normal(scale=1e-4, size=(len(X), 2))
    states = tsne_steps(P, start, method="exact", early_exaggeration=4, exaggeration_iter=100, switch_iter=250,
                        learning_rate=10)
    return {s.step: s.embedding for s in take(max(snapshots), states) if s.step in snapshots}


def draw(result):
    figure, axes = panels(4, 6, width=2.5, height=2.5)
    other, more = panels(4, 6, width=2.5, height=2.5)
    for k, (name, shown) in enumerate(result["rows"].items()):
        _draw_row([*axes, *more][k], shown, ROWS[name], [f"perplexity {p}" for p in shown["maps"]] if k in (0, 4) else None)
    _draw_row(more[-1], result["early"], "two clusters,\nperplexity 30", [f"step {s}" for s in result["early"]["maps"]])
    for first in (axes[0, 0], more[0, 0]):
        first.set_title("the data", fontsize=17)
    return {"perplexity": figure, "shapes": other}


def _draw_row(row, shown, name, titles):
    X, labels = shown["data"], shown["labels"]
    colours = {"c": labels, "cmap": "hsv" if labels.dtype.kind == "f" else "tab10"}
    if labels.dtype.kind != "f":
        colours.update(vmin=-0.5, vmax=9.5)
    row[0].set_ylabel(name, fontsize=15)
    for k, (ax, Y) in enumerate(zip(row, [pca(X, 2), *shown["maps"].values()])):
        ax.scatter(*Y.T, s=7, linewidths=0, **colours)
        ax.set_aspect("equal", adjustable="datalim")
        for side in ax.spines.values():
            side.set(visible=True, color="#bbbbbb")
        if k == 0:
            ax.set_facecolor("#eeeeee")
        elif titles:
            ax.set_title(titles[k - 1], fontsize=16)


def _spread(Y):
    return float(np.linalg.norm(Y - Y.mean(axis=0), axis=1).mean())


def _apart(Y, labels):
    """Return how far two groups are apart: distance of their means / mean distance of a point from its group's mean."""
    a, b = Y[labels == 0], Y[labels == 1]
    return float(2 * np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)) / (_spread(a) + _spread(b)))


def _gap_ratio(Y):
    """Return distance of the far cluster from the two others' nearer / distance of those two."""
    a, b, c = (Y[k * 50:k * 50 + 50].mean(axis=0) for k in range(3))
    return float(np.linalg.norm(c - b) / np.linalg.norm(b - a))


def _clumps(Y):
    """Return how clumpy points are: mean distance / mean distance of the nearest neighbour."""
    d = np.linalg.norm(Y[:, None] - Y[None], axis=2)
    mean = d.sum() / len(Y) / (len(Y) - 1)
    np.fill_diagonal(d, np.inf)
    return float(mean / d.min(axis=1).mean())


def check(result):
    two, sizes, gaps, within, noise = (result["rows"][name] for name in
                                       ("perplexity", "cluster_sizes", "cluster_distances", "containment", "noise"))
    apart = {p: _apart(Y, two["labels"]) for p, Y in two["maps"].items()}
    wide = [_spread(Y[:75]) / _spread(Y[75:]) for Y in (sizes["data"], sizes["maps"][30], sizes["maps"][50])]
    inside = {p: _spread(Y[:75]) / _spread(Y[75:]) for p, Y in within["maps"].items()}
    early = {step: _apart(Y, two["labels"]) for step, Y in result["early"]["maps"].items()}
    return [Check("two clusters, perplexity 30: distance / mean distance from the own middle", apart[30], at_least=4),
            Check("two clusters, perplexity 100 of 100 points: the same, no clusters left", apart[100], at_most=1),
            Check("wide / narrow cluster in the data", wide[0], at_least=8),
            Check("wide / narrow cluster in the map, least of perplexity 30 and 50", min(wide[1:]), at_least=0.5),
            Check("wide / narrow cluster in the map, most of perplexity 30 and 50", max(wide[1:]), at_most=2),
            Check("far gap / near gap in the data", _gap_ratio(gaps["data"]), at_least=3.5),
            Check("far gap / near gap in the map, perplexity 30", _gap_ratio(gaps["maps"][30]), at_most=2),
            Check("inner / outer cluster in the map, perplexity 2: not told apart", inside[2], at_least=0.6),
            Check("inner / outer cluster in the map, perplexity 100", inside[100], at_most=0.3),
            Check("clumps in noise, perplexity 2 / perplexity 30", _clumps(noise["maps"][2]) / _clumps(noise["maps"][30]),
                  at_least=1.4),
            Check("two clusters: distance / size, stopped after 60 steps / after 1,000", early[60] / early[1000], at_least=3)]
