"""What the lectures share: photographs and digits, Check, and plain matplotlib panels."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn.data import mnist
from minicnn.errors import DataError, ImageError, UnknownNameError

IMAGES = Path(__file__).parent / "images"
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Check:
    """A measured number and the range in which it must lie: a floor, a ceiling, or both."""
    what: str
    value: float
    at_least: float = -np.inf
    at_most: float = np.inf

    @property
    def passed(self):
        return bool(self.at_least <= self.value <= self.at_most)

    @property
    def bar(self):
        bounds = [f">= {self.at_least:g}"] * (self.at_least > -np.inf) + [f"<= {self.at_most:g}"] * (self.at_most < np.inf)
        return " and ".join(bounds)


def panels(rows, columns, width=3.2, height=3.4, **options):
    """Return (figure, array of axes) without ticks, for a grid of pictures."""
    from matplotlib.figure import Figure        # not pyplot: no window, no global list of figures
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=130)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_visible(False)
    return figure, axes


def short(name):
    """Return a class's first name: "Egyptian cat" of "Egyptian cat, mau"."""
    return name.split(",")[0]


def nets_at_hand(names):
    """Yield (name, network) of the networks whose weights are found, in the order given."""
    import minicnn
    for name in names:
        try:
            yield name, minicnn.load(name)
        except UnknownNameError:
            continue


def predict_class(net, x):
    """Return the index of the class with the highest score for x (1, C, H, W)."""
    from minicnn import no_grad
    with no_grad():
        return int(net(x).data[0].argmax())


def probability(net, x, class_index):
    """Return the probability of a class for x (1, C, H, W)."""
    from minicnn import no_grad
    with no_grad():
        scores = net(x).data[0].astype(np.float64)
    odds = np.exp(scores - scores.max())
    return odds[class_index] / odds.sum()


def digits(count=5000):
    """Return (images (count, 28, 28) uint8, labels (count,)) of the shipped part of MNIST, its first `count`."""
    with np.load(DATA / "mnist_5000.npz") as file:
        return file["images"][:count], file["labels"][:count]


def all_digits():
    """Return (images (70000, 28, 28) uint8, labels (70000,)): all of MNIST, see data.mnist. Raises DataError."""
    try:
        train, test = mnist()
    except DataError as error:
        raise DataError(f"--full takes all of MNIST. {error}; or leave out --full") from None
    return np.concatenate([train.images, test.images])[:, 0], np.concatenate([train.labels, test.labels])


def files_in(folder):
    """Return the files of a folder of pictures, sorted by name. Raises ImageError if there is none, or nothing in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"there is no folder {str(folder)!r}; give a folder of pictures")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise ImageError(f"the folder {str(folder)!r} holds no pictures; put some in, or give another")
    return files
