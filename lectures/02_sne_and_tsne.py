"""SNE, symmetric SNE and t-SNE on the same digits from the same start: what the heavy tail is good for."""
import numpy as np

from minicnn.embed import dense_affinities, nearest_neighbors, pca, sne_steps, sparse_affinities, tsne_steps
from minicnn.embed.descent import start_of
from minicnn.loop import last, take

from .common import Check, digits, panels
from .maps import TAB10, frame_of, neighbour_accuracy, scatter_map, separation, with_ticks

TITLE = "t-SNE and SNE"
FORMULA = r"""SNE: $q_{j|i} = \frac{\exp(-\lVert y_i - y_j \rVert^2)}{\sum_{k \ne i} \exp(-\lVert y_i - y_k \rVert^2)}, \qquad
    C = \sum_i \operatorname{KL}(P_i\,\Vert\,Q_i) = \sum_i \sum_j p_{j|i} \,\log\, \frac{p_{j|i}}{q_{j|i}}$
$\frac{\partial C}{\partial y_i} = 2 \sum_j (p_{j|i} - q_{j|i} + p_{i|j} - q_{i|j}) (y_i - y_j)$
symmetric SNE: $q_{ij} = \frac{\exp(-\lVert y_i - y_j \rVert^2)}{\sum_{k \ne l} \exp(-\lVert y_k - y_l \rVert^2)}, \qquad
    p_{ij} = \frac{p_{j|i} + p_{i|j}}{2 N}, \qquad C = \operatorname{KL}(P\,\Vert\,Q)$
$\frac{\partial C}{\partial y_i} = 4 \sum_j (p_{ij} - q_{ij}) (y_i - y_j)$
t-SNE: $q_{ij} = \frac{(1 + \lVert y_i - y_j \rVert^2)^{-1}}{\sum_{k \ne l} (1 + \lVert y_k - y_l \rVert^2)^{-1}}, \qquad
    C = \operatorname{KL}(P\,\Vert\,Q)$
$\frac{\partial C}{\partial y_i} = 4 \sum_j \underbrace{(p_{ij} - q_{ij})}_{\text{force}}
    \underbrace{(1 + \lVert y_i - y_j \rVert^2)^{-1} (y_i - y_j)}_{\text{spring}}$"""
LOOK_FOR = """All three start from the same two principal components. With a Gaussian, points at a medium distance find no
room in the plane: SNE crushes the digits together into one disc, where classes touch and mix. That is the crowding problem.
Student's t falls slowly (right), so the same small q allows a far greater distance: t-SNE puts gaps between the groups. The
animation shows how: while the attraction is exaggerated the groups find together, and then they spread out."""
CODE = {"minicnn/embed/sne.py": "gaussian_ref sne_gradient_ref", "minicnn/embed/tsne.py": "student_ref tsne_gradient_ref",
        "minicnn/embed/affinities.py": "conditional_ref symmetrized"}
TRY = r"""The KL divergence is not symmetric. What does it cost to put two neighbours far apart, and what to put two
strangers side by side? Which of the two mistakes does a map of SNE rather make?

Set `PERPLEXITY` to 5 and to 50. Which of the three maps changes most, and does SNE's disc ever open?

The slide divides $p_{i|j} + p_{j|i}$ by 2, the code by $2N$ (`symmetrized`). What do all the $p_{ij}$ sum to in either
case, and what would become of the gradient $4 \sum_j (p_{ij} - q_{ij}) \ldots$?

Take the exaggeration out: `early_exaggeration=1` in `compute`. Which groups are torn apart for good?"""
PERPLEXITY, NOISE = 15, 0.05
LOOSE, END = 100, 500           # when the exaggeration of t-SNE ends, and the run


def compute(full):
    images, labels = digits(2000 if full else 1000)
    X = pca(images.reshape(len(images), -1) / 255, 50)
    start = start_of(X, "pca", 2, 0)
    films = {"SNE": sne_steps(dense_affinities(X, PERPLEXITY), start, noise=NOISE),
             "symmetric SNE": sne_steps(dense_affinities(X, PERPLEXITY, symmetric=True), start, symmetric=True, noise=NOISE)}
    maps = {name: last(take(200 if full else 150, film)).embedding for name, film in films.items()}
    # for so few points 12-fold exaggeration is too much: it pulls them all into one spot
    student = list(take(END, tsne_steps(sparse_affinities(X, PERPLEXITY), start, early_exaggeration=4, exaggeration_iter=LOOSE)))
    film = [{"step": s.step, "embedding": s.embedding, "kl": s.kl_divergence} for s in student if _shown(s.step)]
    return {"labels": labels, "maps": {**maps, "t-SNE": student[-1].embedding}, "film": film}


def _shown(step):
    """Whether a step is a frame of the animation: often where much happens, seldom in the end."""
    return step % 4 == 0 if step < 60 or LOOSE <= step < LOOSE + 60 else step % 20 == 0


def draw(result):
    figure, axes = panels(1, 4, width=4.1, height=4.9)
    labels = result["labels"]
    for ax, (name, Y) in zip(axes[0], result["maps"].items()):
        scatter_map(ax, Y, labels, size=16)
        ax.set_title(name, fontsize=20)
    ax, d = with_ticks(axes[0, 3]), np.linspace(0, 4, 200)
    ax.plot(d, np.exp(-d ** 2), lw=3, color="tab:red", label=r"$\exp(-d^2)$")
    ax.plot(d, 1 / (1 + d ** 2), lw=3, color="tab:blue", label=r"$1\,/\,(1+d^2)$")
    ax.annotate("", (3, 0.1), (np.sqrt(np.log(10)), 0.1), arrowprops={"arrowstyle": "->", "lw": 2})
    ax.text(2.7, 0.27, "the same $q$,\ntwice as far", fontsize=14, ha="left", va="bottom")
    ax.set_xlabel("distance $d$ in the map", fontsize=14)
    ax.set_title("before normalisation", fontsize=16)
    ax.legend(fontsize=14, frameon=False)
    _legend(figure)
    frames = [_frame(shown, labels) for shown in result["film"]]
    return {"sne_and_tsne": figure, "film": frames + frames[-1:] * 25}       # the last is shown for two seconds


def _legend(figure):
    """Ten coloured dots with the digits beside them, below the panels."""
    import matplotlib
    from matplotlib.lines import Line2D
    colours = matplotlib.colormaps[TAB10].colors
    dots = [Line2D([], [], marker="o", ls="", ms=10, color=colours[c], label=str(c)) for c in range(10)]
    figure.legend(handles=dots, loc="outside lower center", ncols=10, fontsize=15, frameon=False, handletextpad=0.1)


def _frame(shown, labels):
    figure, axes = panels(1, 1, width=4.6, height=4.9)
    scatter_map(axes[0, 0], shown["embedding"], labels, size=14)
    phase = ", p exaggerated 4×" if shown["step"] < LOOSE else ""
    width = np.ptp(shown["embedding"], axis=0).max()
    axes[0, 0].set_title(f"t-SNE, step {shown['step']}{phase}\nKL {shown['kl']:.2f}, the map is {width:.3g} wide", fontsize=14)
    return frame_of(figure)


def _room(Y):
    """Return how much room there is between groups: mean distance from the middle / mean distance of the 5th neighbour."""
    return float(np.linalg.norm(Y - Y.mean(axis=0), axis=1).mean() / nearest_neighbors(Y, 5)[1][:, 4].mean())


def check(result):
    maps, labels = result["maps"], result["labels"]
    apart = {name: separation(Y, labels) for name, Y in maps.items()}
    right = {name: neighbour_accuracy(Y, labels) for name, Y in maps.items()}
    room, best = {name: _room(Y) for name, Y in maps.items()}, max(right["SNE"], right["symmetric SNE"])
    return [Check("SNE: digits whose 10 neighbours in the map vote for their class (chance: 0.1)", right["SNE"], at_least=0.5),
            Check("symmetric SNE: the same", right["symmetric SNE"], at_least=0.5),
            Check("t-SNE: the same", right["t-SNE"], at_least=0.8),
            Check("wrong votes, t-SNE / the better of the two others", (1 - right["t-SNE"]) / (1 - best), at_most=0.7),
            Check("distance between classes / spread of a class, t-SNE / SNE", apart["t-SNE"] / apart["SNE"], at_least=1.2),
            Check("radius of the map / distance of the 5th neighbour, t-SNE / SNE", room["t-SNE"] / room["SNE"], at_least=1.2),
            Check("KL at the end of the animation / at its start", result["film"][-1]["kl"] / result["film"][0]["kl"],
                  at_most=0.4)]
