"""Class models sought among the pictures that a generator can paint."""
from pathlib import Path

import numpy as np

import minicnn
from minicnn import weights
from minicnn.loop import last, take
from minicnn.visualize.class_model import class_model_steps, simonyan
from minicnn.visualize.deep_generator import code_ascent_steps
from minicnn.visualize.filters import roughness

from .common import Check, panels

TITLE = "Synthesizing the preferred inputs for neurons via deep generator networks"
FORMULA = r"""$\underset{z}{\operatorname{argmax}} \; S_c(G(z)), \qquad G$: a network that paints the picture of a code
up: $g = \frac{\partial S_c}{\partial x} \text{ at } x = G(z), \qquad dx = \frac{g}{\operatorname{mean}\,|g|}, \qquad
    dz = G'(z)^\top \, dx$
step: $z \leftarrow \operatorname{clip}\left( z + \eta \, \frac{dz}{\operatorname{mean}\,|dz|}, \; 0, \; \text{bound}
    \right)$"""
LOOK_FOR = """Above: ascent in pixels. It draws what the class is told by, a beak, whiskers, antlers, wheels, in lines and
colours that no photograph has. Below: ascent in the 256 numbers of a code, from which a generator paints. The scores are much
lower, but there are sky, water and light, and one animal or thing in its place; blurred, for the generator is small and its
pictures have 32 pixels a side. Below each stands what a second network, which took no part, sees in it."""
CODE = {"minicnn/visualize/deep_generator.py": "code_ascent_steps"}
TRY = """The pixels win on the score, the codes on what a person sees. Which of the two is the better answer to "what does
the neuron like"?

Let the code go where it wants, `bound = middle + 30 * spread`. When do the pictures stop being pictures?

Ascend for 5 steps and for 300 (`STEPS`). Does the second network, which took no part, agree more and more?

Could the generator paint something that it never saw in training? Try to find a code for a car with wings."""
STEPS = 60


def compute(full):
    net, generator = minicnn.load("vgg_cifar10"), minicnn.load("generator_cifar10")
    judge, rows = minicnn.load("allcnn_cifar10"), {}
    with np.load(Path(weights.find("generator_cifar10")).with_name("generator_cifar10_codes.npz")) as codes:
        middle, spread = codes["mean"], codes["std"]
    bound = middle + 3 * spread                                     # published: three standard deviations
    rng = np.random.default_rng(0)
    for number, name in enumerate(net.classes):
        rows["pixels", name] = [judged(judge, number, last(take(STEPS, class_model_steps(
            net, number, simonyan(1e-5, 1000.0, STEPS), start="noise", rng=number))))]
        rows["codes", name] = []
        for _ in range(4 if full else 1):
            start = middle + 0.5 * rng.standard_normal(len(bound)) * spread
            steps = code_ascent_steps(net, generator, number, bound, lr=(0.5, 1e-10), steps=STEPS, decay=0, start=start)
            rows["codes", name].append(judged(judge, number, last(take(STEPS, steps))))
    return {"rows": rows, "classes": net.classes}


def judged(judge, number, state):
    """Return the picture of a state, its score, and whether the judge sees the class in it."""
    with minicnn.no_grad():
        seen = int(judge(judge.preprocess(state.image, whole=True)).data[0].argmax())
    return {"picture": state.image, "score": state.activation, "seen": judge.classes[seen], "right": seen == number}


def draw(result):
    rows, classes = result["rows"], result["classes"]
    count = len(rows["codes", classes[0]])
    figure, axes = panels(1 + count, len(classes), width=1.45, height=1.65)
    for column, name in zip(axes.T, classes):
        column[0].set_title(name, fontsize=11)
        for ax, shown in zip(column, rows["pixels", name] + rows["codes", name]):
            ax.imshow(shown["picture"])
            ax.set_xlabel(shown["seen"], fontsize=8, color="#2a8f3c" if shown["right"] else "#d33", labelpad=2)
    axes[0, 0].set_ylabel("ascent in pixels")
    axes[1, 0].set_ylabel("in codes")
    return {"deep_generator": figure}


def check(result):
    rows = {kind: [shown for (k, _), row in result["rows"].items() if k == kind for shown in row] for kind in ("pixels", "codes")}
    right, score = ({kind: float(np.mean([shown[what] for shown in row])) for kind, row in rows.items()}
                    for what in ("right", "score"))
    rough = {kind: np.mean([roughness(shown["picture"].transpose(2, 0, 1)[None]) for shown in row]) for kind, row in rows.items()}
    return [Check("part of the painted pictures in which another network sees the class", right["codes"], at_least=0.6),
            Check("mean score, pixels / painted: free pixels win on the score", score["pixels"] / score["codes"], at_least=2),
            Check("roughness of the pictures, painted / pixels", float(rough["codes"] / rough["pixels"]), at_most=0.5)]
