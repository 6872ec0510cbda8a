"""The quadtree of Barnes-Hut t-SNE: what one point sees of all the others, and how little that changes the gradient."""
import numpy as np

from minicnn.embed import QuadTree, pca, sparse_affinities, tsne_steps
from minicnn.embed.barnes_hut import cells_used
from minicnn.embed.descent import start_of
from minicnn.embed.tsne import Gradient, numeric_gradient, tsne_divergence_ref, tsne_gradient_ref
from minicnn.loop import last, take

from .common import Check, digits, panels
from .maps import TAB10, with_ticks

TITLE = "More on t-SNE"
FORMULA = r"""$\frac{\partial C}{\partial y_i} = 4 \sum_j (p_{ij} - q_{ij}) \, w_{ij} \, (y_i - y_j)
    = 4 \left( \text{attraction}_i - \frac{\text{repulsion}_i}{Z} \right)$
$\text{repulsion}_i = \sum_j w_{ij}^2 \, (y_i - y_j), \qquad w_{ij} = (1 + \lVert y_i - y_j \rVert^2)^{-1}, \qquad
    Z = \sum_{k \ne l} w_{kl}$
$n$ points in a far cell, with $y_\text{cell}$ their centre of mass and $w = (1 + \lVert y_i - y_\text{cell}
    \rVert^2)^{-1}$, are
    taken as one mass: $n \, w^2 \, (y_i - y_\text{cell})$
far means $\frac{\text{side of the cell}}{\lVert y_i - y_\text{cell} \rVert} < \theta$"""
LOOK_FOR = """The tree divides a square wherever it holds more than one point: small cells where the map is dense. The star sees
only the blue squares, each of which stands for all the points in it, gathered in their centre of mass (the larger the dot, the
more points), and the orange points one by one. What is near is looked at finely, what is far coarsely, and θ says how coarsely.
Below: the gradient by the formula, by finite differences and by Barnes-Hut, as three arrows that cover each other; and what θ
costs and brings."""
CODE = {"minicnn/embed/barnes_hut.py": "repulsion_ref attraction_ref cells_used", "minicnn/embed/quadtree.py": "QuadTree.insert",
        "minicnn/embed/tsne.py": "tsne_gradient_ref numeric_gradient"}
TRY = r"""Before you look: how many terms does a point add up at $\theta = 0$, and how many when $\theta$ is so large that
every cell is far enough? Then check with `_repulsion(tree, i, theta)`.

Why may the attraction be summed exactly, and only the repulsion needs the tree?

Draw the star at the edge of the map and in the middle of an island (`star` in `compute`). Who sees more cells?

Two points at the very same place: when does `QuadTree.insert` stop dividing? Build `QuadTree(np.zeros((5, 2)))` and print
it."""
THETAS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5)
SHOWN = (0.5, 1.0)
FEW = 200               # points for the three gradients: finite differences ask for the objective 800 times
GRADIENTS = ("numeric", "Barnes-Hut, θ = 0.5", "Barnes-Hut, θ = 1")


def compute(full):
    images, labels = digits(5000 if full else 2000)
    X = pca(images.reshape(len(images), -1) / 255, 50)
    steps = tsne_steps(sparse_affinities(X, 15), start_of(X, "pca", 2, 0), early_exaggeration=4, exaggeration_iter=100)
    Y = last(take(1000 if full else 300, steps)).embedding.astype(float)
    tree, some = QuadTree(Y), np.random.default_rng(0).choice(len(Y), 20, replace=False)
    exact = np.array([_repulsion(tree, i, 0)[0] for i in some])
    tradeoff = []
    for theta in THETAS:
        forces, terms = zip(*[_repulsion(tree, i, theta) for i in some])
        tradeoff.append({"theta": theta, "terms": np.mean(terms), "error": _relative(np.array(forces), exact)})
    star = int(np.linalg.norm(Y - np.percentile(Y, 30, axis=0), axis=1).argmin())
    return {"map": Y, "labels": labels, "tree": tree, "star": star, "tradeoff": tradeoff,
            "seen": {theta: cells_used(tree, Y[star], theta) for theta in SHOWN}, "gradients": _gradients(X[:FEW])}


def _repulsion(tree, i, theta):
    """Return (sum of n w^2 (y_i - y_cell) over what point i sees, number of its terms)."""
    far, near = cells_used(tree, tree.points[i], theta)
    points = [j for node in near for j in tree.points_in(node) if j != i]
    spring = tree.points[i] - np.concatenate([tree.center_of_mass[far].reshape(-1, 2), tree.points[points].reshape(-1, 2)])
    n, w = np.concatenate([tree.count[far], np.ones(len(points))]), 1 / (1 + (spring ** 2).sum(axis=1))
    return (n * w ** 2) @ spring, len(n)


def _gradients(X):
    """Return where the points are, and the gradient there by the formula, by finite differences and by Barnes-Hut."""
    P = sparse_affinities(X, 15, neighbors=len(X) - 1)
    dense, Y = P.toarray(), np.random.default_rng(0).normal(scale=4, size=(len(X), 2))
    fast = [Gradient(P, Y.shape, Y.dtype, "barnes_hut", theta)(Y) for theta in SHOWN]
    return {"at": Y, "formula": tsne_gradient_ref(dense, Y),
            **dict(zip(GRADIENTS, [numeric_gradient(lambda Z: tsne_divergence_ref(dense, Z), Y), *fast]))}


def _relative(approximate, exact):
    return float(np.linalg.norm(approximate - exact) / np.linalg.norm(exact))


def draw(result):
    figure, axes = panels(2, 3, width=5.2, height=5.6)
    figure.get_layout_engine().set(h_pad=0.25)
    for ax in axes[0]:
        ax.scatter(*result["map"].T, c=result["labels"], cmap=TAB10, vmin=-0.5, vmax=9.5, s=5, linewidths=0,
                   alpha=1 if ax is axes[0, 0] else 0.35)
    tree = result["tree"]
    tree.draw(axes[0, 0], edgecolor="#00000050")
    axes[0, 0].set_title(f"the quadtree of {len(result['map'])} digits", fontsize=17)
    for ax, (theta, (far, near)) in zip(axes[0, 1:], result["seen"].items()):
        _draw_seen(ax, tree, result["star"], np.array(far), near, theta)
    _draw_arrows(axes[1, 0], result["gradients"])
    _draw_errors(with_ticks(axes[1, 1]), result["gradients"])
    _draw_tradeoff(with_ticks(axes[1, 2]), result)
    return {"quadtree": figure}


def _draw_seen(ax, tree, star, far, near, theta):
    """The squares that the star takes as one mass, and the points that it takes one by one."""
    many = far[tree.count[far] > 1]
    points = np.setdiff1d(np.concatenate([tree.points_in(n) for n in [*near, *far[tree.count[far] == 1]]]), star)
    tree.draw(ax, many, facecolor="#4c8ed955", edgecolor="#1f4e8c", linewidth=0.8)
    ax.scatter(*tree.center_of_mass[many].T, s=2.5 * tree.count[many] ** 0.8, color="#1f4e8c", zorder=3,
               label="many as one")
    ax.scatter(*tree.points[points].T, s=10, color="tab:orange", zorder=4, label="one by one")
    ax.plot(*tree.points[star], "*", ms=17, color="tab:red", mec="white", zorder=5, label="who looks")
    key = ax.legend(fontsize=13, loc="upper center", bbox_to_anchor=(0.5, 0.01), ncols=3, frameon=False, columnspacing=1,
                    handletextpad=0.2)
    key.set_in_layout(False)
    key.legend_handles[0].set_sizes([60])
    key.legend_handles[1].set_sizes([30])
    ax.set_title(f"θ = {theta:g}: {len(many)} cells, {len(points)} single point{'s' * (len(points) != 1)}", fontsize=17)


def _draw_arrows(ax, gradients):
    """The gradient at some points as three arrows over each other, the formula's the widest."""
    some = np.argsort(-np.linalg.norm(gradients["formula"], axis=1))[:100:4]
    look = {"formula": (0.022, "#f4b183"), "numeric": (0.012, "tab:blue"), "Barnes-Hut": (0.003, "black")}
    for name, (width, colour) in look.items():
        slope = gradients[GRADIENTS[1] if name == "Barnes-Hut" else name][some]
        ax.quiver(*gradients["at"][some].T, *-slope.T, width=width, color=colour, label=name, headwidth=2.2, headlength=2.5,
                  headaxislength=2.5, scale=6 * np.linalg.norm(slope, axis=1).max(), scale_units="width")
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.25)
    ax.set_title("where the points go: –gradient", fontsize=17)
    ax.legend(fontsize=13, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, columnspacing=1)


def _draw_errors(ax, gradients):
    errors = [_relative(gradients[name], gradients["formula"]) for name in GRADIENTS]
    ax.barh(range(3), errors, height=0.45, color=("tab:blue", "black", "gray"), log=True)
    for place, name in enumerate(GRADIENTS):
        ax.text(2e-9, place - 0.27, name, fontsize=15)
    ax.set_yticks([])
    ax.set_xlim(1e-9, 1)
    ax.set_ylim(2.5, -0.6)
    ax.tick_params(labelsize=14)
    ax.set_title("relative error of the gradient", fontsize=17)


def _draw_tradeoff(ax, result):
    """How many terms a point adds up, and how wrong its repulsion is then, for each theta."""
    theta, terms, errors = zip(*[(t["theta"], t["terms"], t["error"]) for t in result["tradeoff"]])
    ax.loglog(theta, terms, "o-", lw=3, color="tab:blue")
    ax.axhline(len(result["map"]), ls="--", color="tab:blue")
    ax.text(theta[0], len(result["map"]) * 0.9, "all points", color="tab:blue", fontsize=14, va="top")
    ax.set_xlabel("θ", fontsize=16)
    ax.set_ylabel("terms for one point", fontsize=15, color="tab:blue")
    other = ax.twinx()
    other.loglog(theta, 100 * np.array(errors), "s-", lw=3, color="tab:red")
    other.set_ylabel("error of the repulsion, %", fontsize=15, color="tab:red")
    other.tick_params(labelsize=13)
    ax.tick_params(labelsize=13)
    ax.set_xticks(theta, [f"{t:g}" for t in theta])
    ax.set_xticks([], minor=True)
    ax.set_title("what θ costs and brings", fontsize=17)


def check(result):
    at = {t["theta"]: t for t in result["tradeoff"]}
    gradients, N = result["gradients"], len(result["map"])
    error = {name: _relative(gradients[name], gradients["formula"]) for name in GRADIENTS}
    tree = result["tree"]
    masses = [tree.count[far].sum() + tree.count[near].sum() for far, near in result["seen"].values()]
    return [Check("points in what the star sees, far and near together / all (least, both θ)", min(masses) / N, 1, 1),
            Check("points in what the star sees, far and near together / all (most, both θ)", max(masses) / N, 1, 1),
            Check("θ = 0.5: terms for one point / all points", at[0.5]["terms"] / (N - 1), at_most=0.25),
            Check("θ = 1: terms for one point / all points", at[1.0]["terms"] / (N - 1), at_most=0.08),
            Check("θ = 0.5: relative error of the repulsion", at[0.5]["error"], at_least=1e-6, at_most=0.03),
            Check("θ = 1: relative error of the repulsion / that of θ = 0.5", at[1.0]["error"] / at[0.5]["error"], at_least=1.5),
            Check("gradient by finite differences: relative error", error[GRADIENTS[0]], at_most=1e-6),
            Check("gradient by Barnes-Hut, θ = 0.5: relative error", error[GRADIENTS[1]], at_most=0.005)]
