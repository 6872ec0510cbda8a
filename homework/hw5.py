"""Assignment 5: fooling networks. Slides "Can we use this to "fool" ConvNets?", "Deep Neural Networks are Easily Fooled",
"Explaining and harnessing adversarial examples"."""
import itertools
from types import SimpleNamespace

import numpy as np

from minicnn.fool.adversarial import distortion, fgsm, lbfgs_attack_steps
from minicnn.fool.gradient import fooling_steps
from minicnn.fool.linear import LogisticRegression, nearest_border, worst_changes
from minicnn.fool.map_elites import MapElitesState, child_of, offered
from minicnn.fool.pgd import pgd_steps

from .networks import pixel_network
from .tasks import Task

TITLE = "Fooling networks"
WEIGHTS = ("squeezenet1_1", "softmax_mnist", "softmax_cifar10")
LECTURES = ("ostrich", "fooling_images", "linear")


def fast_gradient_sign(seed, pixels, labels, epsilon):
    changed = fgsm(pixel_network(seed), pixels, labels, epsilon)
    return {"changed": changed, "distortion": distortion(np.linspace(0, 1, pixels.size).reshape(pixels.shape), pixels)}


def projected(seed, pixels, labels, epsilon, settings, rng):
    states = list(itertools.islice(pgd_steps(pixel_network(seed), pixels, labels, epsilon, rng=rng, **settings), 6))
    return {"start": states[0].pixels, "after 1": states[1].pixels, "after 5": states[5].pixels, "step": states[5].step}


def box_constrained(seed, pixels, target, c, count):
    states = list(itertools.islice(lbfgs_attack_steps(pixel_network(seed), pixels, target, c=c, inner=3), count))
    return {"ln c": np.log([s.c for s in states[1:]]), "fools": np.array([s.fools for s in states]),
            "pixels": np.concatenate([s.pixels for s in states])}


def gradient_ascent(seed, classes, settings, rng):
    states = list(itertools.islice(fooling_steps(pixel_network(seed), classes, rng=rng, **settings), 6))
    return {"confidence": np.array([s.confidence for s in states]), "after 1": states[1].pixels, "after 5": states[5].pixels}


def evolution(elites, fitness, judged, crossover, rng):
    """Answer with what became of the archive; genomes are numbers here, and what is drawn is written down."""
    drawn = []

    def crossed(first, second, rng):
        drawn.append(("crossed", first, second))
        return (first + second) / 2

    def mutated(genome, rng, generation=0):
        drawn.append(("mutated", genome, generation))
        return genome + rng.normal()
    encoding, rng = SimpleNamespace(crossover=crossover, crossed=crossed, mutated=mutated), np.random.default_rng(rng)
    children = [child_of(elites, encoding, 3, rng) for _ in range(len(judged))]
    state = offered(MapElitesState(3, fitness, elites, 0), children, judged)
    return {"children": np.array(children), "crossed": np.array([what == "crossed" for what, *_ in drawn]),
            "drawn": np.array([numbers for _, *numbers in drawn]), "fitness": state.fitness, "elites": np.array(state.elites),
            "new": state.new, "step": state.step}


def linear(w, scores, epsilon, p, y):
    classes, borders = nearest_border(scores, w)
    model = LogisticRegression(w[0].reshape(-1), 0.3)
    return {"most": worst_changes(w, epsilon), "class": classes, "epsilon": borders, "loss": model.loss(p, y, epsilon),
            "loss without": model.loss(p, y), "worst": model.worst(p, y, epsilon)}


TASKS = (
    Task("hw5.1", "the fast gradient sign", 15, "minicnn/fool/adversarial.py", ("fgsm", "distortion"), fast_gradient_sign),
    Task("hw5.2", "projected gradient descent", 15, "minicnn/fool/pgd.py", ("pgd_steps",), projected),
    Task("hw5.3", "the smallest change, by L-BFGS", 20, "minicnn/fool/adversarial.py", ("measure", "lbfgs_attack_steps"),
         box_constrained, tolerance=5e-3, builds_on=("hw5.1",)),
    Task("hw5.4", "fooling images by gradient ascent", 20, "minicnn/fool/gradient.py", ("_measured", "fooling_steps"),
         gradient_ascent, tolerance=1e-7),
    Task("hw5.5", "MAP-Elites", 15, "minicnn/fool/map_elites.py", ("child_of", "offered"), evolution),
    Task("hw5.6", "linear classifiers", 15, "minicnn/fool/linear.py", ("worst_changes", "nearest_border", "loss", "worst"),
         linear),
)
