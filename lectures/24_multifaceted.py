"""The different things that one neuron likes: Algorithm 1 of multifaceted feature visualization, from codes to facets."""
import itertools
from dataclasses import replace

import numpy as np

import minicnn
from minicnn.data import cifar10
from minicnn.errors import DataError
from minicnn.images import resize
from minicnn.ops import softmax
from minicnn.visualize.multifaceted import FROM_MEAN, Phase, facets, tv_ascent, tv_ascent_steps

from .common import Check, digits, panels, predict_class, short, ssim
from .tiles import tiles

TITLE = "Multifaceted feature visualization"
FORMULA = r"""1: the code $\Phi_i$ of each picture of a class, at a late layer
2: PCA of the codes to 50 numbers
3: t-SNE to a map in the plane
4: $k$ clusters in the map by k-means; for each of them
5: $x_0 = \frac{1}{15} \sum_{i \, \text{near}} x_i$, the mean of the 15 pictures nearest to its centre
6: activation maximisation that starts at $x_0$: $\; x \leftarrow x + \eta \, \frac{g}{\operatorname{mean}\,|g|}, \quad
    g = \frac{\partial S_c}{\partial x}, \quad$ smoothed by total variation"""
LOOK_FOR = """One neuron, several things. Nobody told the network that there are sevens with and without a bar, or twos with and
without a loop; the map of its codes shows it (left), and the pictures nearest to each centre. Ascent from noise mixes them.
Ascent from the mean of a cluster keeps what it began with and makes the neuron surer (right: its score before and after)."""
CODE = {"minicnn/visualize/multifaceted.py": "facets multifaceted tv_ascent_steps", "minicnn/embed/kmeans.py": "kmeans_steps",
        "minicnn/visualize/tv_bregman.py": "denoise_tv_bregman"}
TRY = """Ask for 2 facets, then for 10 (`FACETS`). How would you choose k if nobody told you?

Start step 6 from a single picture instead of the mean of 15. Is what comes out still a facet, or a copy?

Leave out steps 2 and 3 and cluster the codes themselves. Do the clusters change? What was the map good for?

Facets of another digit: `DIGITS = (1, 4)`. Which way of writing it has most pictures?"""
SMALL = (Phase(15, (4, 4), (0.16, 0.31)),)          # strokes are two pixels wide: less smoothing than for photographs
DIGITS, FACETS = (7, 2), 4


def compute(full, images=None):
    if images is not None:
        return {"classes": [of_folder(full, images)], "own": True}
    net, found = minicnn.load("lenet_mnist"), []
    pictures, labels = digits()
    for digit in (DIGITS + (4, 9) if full else DIGITS):
        some = [np.repeat(picture[..., None], 3, axis=2) for picture in pictures[labels == digit]]
        found.append(of_class(net, digit, f"digit {digit}", some, "relu1", SMALL))
    return {"classes": found + (of_cifar10() if full else []), "own": False}


def of_cifar10(name="horse"):
    """Return what is found for a class of CIFAR-10, in a list; an empty one if the data is not there."""
    try:
        train, _ = cifar10()
    except DataError:
        return []
    net, number = minicnn.load("vgg_cifar10"), train.classes.index(name)
    some = list(train.images[train.labels == number][:1000].transpose(0, 2, 3, 1))
    return [of_class(net, number, name, some, "relu5", (Phase(40, (3, 3), (0.08, 0.24)),))]


def of_folder(full, images):
    """Return what is found for the user's pictures and the class that the network finds most probable in all of them."""
    net, pictures = minicnn.load("squeezenet1_1"), [picture for picture, _ in tiles(images)]
    with minicnn.no_grad():
        number = int(sum(softmax(net(net.preprocess(picture)), dim=1).data[0] for picture in pictures).argmax())
    phases = FROM_MEAN if full else tuple(replace(phase, steps=phase.steps // 10) for phase in FROM_MEAN)
    return of_class(net, number, short(net.classes[number]), pictures, "fire9/concat", phases)


def of_class(net, number, name, pictures, layer, phases):
    """Return the facets of a class, with the picture that ascent makes of each mean."""
    found, results = facets(net, pictures, layer, min(FACETS, len(pictures) // 3)), []
    for k, mean in enumerate(found.means):
        states = []
        for state in tv_ascent_steps(net, number, mean[None], phases):
            states = [states[0], state] if states else [state, state]
        seen = predict_class(net, net.preprocess(states[-1].image, whole=True))
        results.append({"mean": states[0].image, "picture": states[-1].image, "before": states[0].activation,
                        "after": states[-1].activation, "right": seen == number,
                        "nearest": [pictures[i] for i in found.nearest[k][:6]]})
    noise = np.random.default_rng(0).normal(0, 10, (len(results), 1, *found.means.shape[1:]))
    restarts = [tv_ascent(net, number, start, phases) for start in noise]
    return {"name": name, "map": found.embedding, "labels": found.labels, "facets": results,
            "likeness": likeness([facet["picture"] for facet in results]) / likeness(restarts)}


def likeness(pictures):
    """Return the mean structural similarity of any two of the pictures (H, W, 3)."""
    return float(np.mean([ssim(a.mean(axis=2), b.mean(axis=2)) for a, b in itertools.combinations(pictures, 2)]))


def draw(result):
    figures = {}
    for shown in result["classes"]:
        count = len(shown["facets"])
        figure, axes = panels(count, 9, width=1.15, height=1.3, width_ratios=[2.2] + [1] * 8)
        for ax in axes[:, 0]:
            ax.set_visible(False)
        whole = figure.add_subplot(axes[0, 0].get_gridspec()[:, 0])
        whole.scatter(*shown["map"].T, c=shown["labels"], cmap="tab10", vmin=-0.5, vmax=9.5, s=6, linewidths=0)
        whole.set_axis_off()
        whole.set_title(f"{shown['name']}:\n{count} clusters of codes", fontsize=10)
        for k, (line, facet) in enumerate(zip(axes, shown["facets"])):
            line[1].set_ylabel(f"facet {k + 1}", fontsize=9, color=f"C{k}")
            for ax in line[1 + len(facet["nearest"]):7]:
                ax.set_visible(False)                                   # a small cluster
            for ax, picture in [*zip(line[1:7], facet["nearest"]), (line[7], facet["mean"]), (line[8], facet["picture"])]:
                ax.imshow(picture)
            line[7].set_title(f"mean: {round(facet['before'])}", fontsize=9)
            line[8].set_title(f"ascent: {round(facet['after'])}", fontsize=9)
        figures[shown["name"].replace(" ", "_")] = figure
    return figures


def check(result):
    every = [facet for shown in result["classes"] for facet in shown["facets"]]
    own = []
    for shown in result["classes"]:
        size = shown["facets"][0]["mean"].shape[:2]                     # ascent may have enlarged the picture
        means, ends = (np.stack([resize(facet[what], size).ravel() / 1.0 for facet in shown["facets"]])
                       for what in ("mean", "picture"))
        own += list(np.corrcoef(means, ends)[:len(means), len(means):].argmax(axis=0) == np.arange(len(means)))
    rise = Check("rise of the score, least of the facets", min(f["after"] - f["before"] for f in every), at_least=0.5)
    if result["own"]:               # of other pictures than these the rest need not hold
        return [rise]
    return [Check("facets in which the network sees the class, part of all", float(np.mean([f["right"] for f in every])),
                  at_least=1),
            Check("facets most like the mean that they began with, part of all", float(np.mean(own)), at_least=0.75),
            Check("structural similarity of a class's facets / of as many ascents from noise, mean of the classes",
                  float(np.mean([shown["likeness"] for shown in result["classes"]])), at_most=1), rise]
