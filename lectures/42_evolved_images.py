"""Pictures evolved until networks are sure of them: MAP-Elites, with pixels and with patterns (CPPN) as genes."""
import io

import numpy as np
from PIL import Image

import minicnn
from minicnn.fool.cppn import CppnEncoding
from minicnn.fool.map_elites import DirectEncoding, map_elites_steps
from minicnn.fool.pixels import as_pictures, probabilities, through_png
from minicnn.images import montage, resize
from minicnn.loop import take
from tools.evolve import read_archive

from .common import DATA, Check, panels, short

TITLE = "Deep Neural Networks are Easily Fooled: evolution"
FORMULA = r"""archive: the best picture so far of every class
child: mutation of a parent, or of the crossover of two
for every class $k$: $\; \text{elite}_k \leftarrow \text{child} \quad$ if $\; P_k(\text{child}) > P_k(\text{elite}_k)$
direct encoding: a gene is a pixel
CPPN: $\text{node} = f\left( \sum w \cdot \text{source} \right), \quad f$ a sine, a sigmoid, a Gaussian or linear, fed with
    $x, y$, the
    distance from the centre, and 1"""
LOOK_FOR = """No gradient was asked for: the network only says how sure it is. Digits: with pixels as genes noise is enough, with
patterns strokes and waves. CIFAR-10: the same by its small VGG. ImageNet: SqueezeNet's elites, evolved by tools/evolve.py, the
surest of some classes. Now and then a person sees what the network sees: the rings of a brake, the lines of a crossword, the
wires of a stethoscope; what tells the class from the others, and nothing else of it. The film shows how the ten elites of the
digits change places."""
CODE = {"minicnn/fool/map_elites.py": "map_elites_steps child_of offered", "minicnn/fool/cppn.py": "drawn CppnEncoding.mutated"}
TRY = """Offer a child to its parent's class alone instead of to all. How many generations does the last class wait then?

Why are pixels as genes enough for digits, and not for photographs of 224 × 224?

Evolve for a network that you have trained: `python -m tools.evolve FILE.h5 --generations 500`. Do its elites look like
those of another network?

Take the sine out of the CPPN's functions. Which elites are lost?"""
SHOWN = 40
ARCHIVE = DATA / "elites_squeezenet.npz"
SQUARE = 224


def compute(full):
    lenet, cifar = minicnn.load("lenet_mnist"), minicnn.load("vgg_cifar10")
    digits = {"pixels": run_of(lenet, DirectEncoding((28, 28), 1), 200), "CPPN": run_of(lenet, CppnEncoding((28, 28), 1), 200)}
    small = run_of(cifar, CppnEncoding((32, 32), 3), 200 if full else 40)
    return {"digits": digits, "cifar": small, "classes": cifar.classes, "imagenet": imagenet(None if full else 100)}


def run_of(net, encoding, generations):
    """Return the course of a run: median and least confidence after each generation, the first and last elites, and a film."""
    median, least, frames = [], [], []
    for state in take(generations, map_elites_steps(lambda pixels: probabilities(net, pixels), encoding)):
        median.append(np.median(state.fitness))
        least.append(state.fitness.min())
        if state.step in (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200):
            frames.append(montage(as_pictures(encoding.render(state.elites)), columns=5, pad=2, fill=255))
    pixels = encoding.render(state.elites)
    sure = probabilities(net, through_png(pixels))[np.arange(len(pixels)), np.arange(len(pixels))]
    return {"median": np.array(median), "least": np.array(least), "frames": frames, "pictures": as_pictures(pixels),
            "confidence": sure, "bytes": np.mean([png_bytes(p) for p in as_pictures(pixels)])}


def png_bytes(picture):
    """Return how long a picture is as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return len(file.getvalue())


def imagenet(count):
    """Return the elites of SqueezeNet, of some classes or all, drawn anew from their genomes and judged anew, as PNG files."""
    net, encoding = minicnn.load("squeezenet1_1"), CppnEncoding((SQUARE, SQUARE), 3)
    state = read_archive(ARCHIVE, encoding)
    classes = np.random.default_rng(1).permutation(len(state.elites))[:count]
    pixels = np.concatenate([through_png(encoding.render([state.elites[c]])) for c in classes])
    sure = probabilities(net, pixels)[np.arange(len(classes)), classes]
    return {"generations": state.step, "names": [short(net.classes[c]) for c in classes], "confidence": sure,
            "pictures": as_pictures(pixels)}


def draw(result):
    figure, axes = panels(3, 10, width=1.4, height=1.75)
    rows = [("pixels", result["digits"]["pixels"], range(10)), ("CPPN", result["digits"]["CPPN"], range(10)),
            ("CPPN", result["cifar"], result["classes"])]
    for row, (label, run, names) in zip(axes, rows):
        row[0].set_ylabel(label)
        for ax, picture, name, sure in zip(row, run["pictures"], names, run["confidence"]):
            ax.imshow(picture)
            ax.set_title(f"{name}\n{sure:.2%}", fontsize=9)
    film = [resize(frame, (frame.shape[0] * 4, frame.shape[1] * 4), "bilinear") for frame in result["digits"]["CPPN"]["frames"]]
    return {"evolved_images": figure, "imagenet": draw_imagenet(result["imagenet"]), "course": draw_course(result),
            "film": [frame for frame in film for _ in range(8)]}


def draw_imagenet(elites):
    """Draw the surest of some elites of SqueezeNet."""
    figure, axes = panels(5, SHOWN // 5, width=1.75, height=2.1)
    order = np.argsort(-elites["confidence"], kind="stable")[:SHOWN]
    for ax, k in zip(axes.flat, order):
        ax.imshow(elites["pictures"][k])
        ax.set_title(f"{elites['names'][k]}\n{elites['confidence'][k]:.1%}", fontsize=9)
    return figure


def draw_course(result):
    """Draw how the median confidence rises with the generations."""
    figure, axes = panels(1, 1, width=7, height=4)
    ax = axes[0, 0]
    runs = {f"digits, {name}": run for name, run in result["digits"].items()} | {"CIFAR-10, CPPN": result["cifar"]}
    for name, run in runs.items():
        ax.plot(run["median"], label=f"{name}: median")
        ax.plot(run["least"], color=ax.lines[-1].get_color(), linestyle=":", label="... of the last class")
    ax.set(xlabel="generation", ylabel="confidence", xticks=(0, 50, 100, 150, 200), yticks=(0, 0.5, 1), xlim=(0, 200))
    ax.spines[["left", "bottom"]].set_visible(True)
    ax.legend(frameon=False)
    return figure


def check(result):
    digits, elites = result["digits"], result["imagenet"]
    never_worse = min(float(np.diff(run["least"]).min()) for run in (*digits.values(), result["cifar"]))
    return [Check("digits, pixels: median confidence of the PNG files", float(np.median(digits["pixels"]["confidence"])),
                  at_least=0.99),
            Check("digits, CPPN: median confidence", float(np.median(digits["CPPN"]["confidence"])), at_least=0.99),
            Check("digits: least confidence of any class", min(run["confidence"].min() for run in digits.values()), at_least=0.5),
            Check("elites never get worse: least change of the last class", never_worse, at_least=0),
            Check("CIFAR-10, CPPN: median confidence", float(np.median(result["cifar"]["confidence"])), at_least=0.95),
            Check("length of a digit's file, CPPN / pixels", digits["CPPN"]["bytes"] / digits["pixels"]["bytes"], at_most=0.9),
            Check(f"SqueezeNet, CPPN, {elites['generations']} generations: median confidence of {len(elites['names'])} classes",
                  float(np.median(elites["confidence"])), at_least=0.3)]
