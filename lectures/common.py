"""What the lectures share: photographs and digits, Check, and plain matplotlib panels."""
import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn.errors import ImageError

IMAGES = Path(__file__).parent / "images"
DATA = Path(__file__).parent / "data"
MNIST_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
               "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


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


def predict_class(net, x):
    """Return the index of the class with the highest score for x (1, C, H, W)."""
    from minicnn import no_grad
    with no_grad():
        return int(net(x).data[0].argmax())


def digits(count=5000):
    """Return (images (count, 28, 28) uint8, labels (count,)) of the shipped part of MNIST, its first `count`."""
    with np.load(DATA / "mnist_5000.npz") as file:
        return file["images"][:count], file["labels"][:count]


def all_digits():
    """Return (images (70000, 28, 28) uint8, labels (70000,)): all of MNIST, from $MINICNN_DATA/mnist or ../shared/data/mnist.

    Raises ImageError if the four files are not there, or are not what their names say.
    """
    places = [os.environ.get("MINICNN_DATA"), DATA.parent.parent.parent / "shared" / "data"]
    folders = [Path(place) / "mnist" for place in places if place]
    for folder in folders:
        if all((folder / name).is_file() for name in MNIST_FILES):
            parts = [_idx(folder / name) for name in MNIST_FILES]
            return np.concatenate(parts[0::2]), np.concatenate(parts[1::2])
    raise ImageError(f"--full takes all of MNIST, which is not in {' nor in '.join(map(repr, map(str, folders)))}: download "
                     f"{', '.join(MNIST_FILES)} (they are on several mirrors), put them into a folder named mnist and set the "
                     "environment variable MINICNN_DATA to the folder around it; or leave out --full")


def _idx(path):
    """Return the array in a gzipped idx file: two zero bytes, the type 8 (uint8), the number of axes, their lengths, the data."""
    try:
        with gzip.open(path) as file:
            content = file.read()
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, IndexError, ValueError) as error:
        raise ImageError(f"{str(path)!r} cannot be read ({error}); download it again, the file is damaged") from None


def files_in(folder):
    """Return the files of a folder of pictures, sorted by name. Raises ImageError if there is none, or nothing in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"there is no folder {str(folder)!r}; give a folder of pictures")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise ImageError(f"the folder {str(folder)!r} holds no pictures; put some in, or give another")
    return files
