"""What the lectures share: photographs and digits, Check, and plain matplotlib panels."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicnn.data import mnist
from minicnn.errors import DataError, UnknownNameError

IMAGES = Path(__file__).parent / "images"
DATA = Path(__file__).parent / "data"
AUDIO = Path(__file__).parent / "audio"


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
    from minicnn import no_grad, ops
    with no_grad():
        return float(ops.softmax(net(x), dim=1).data[0, class_index])


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


def ssim(a, b, window=7):
    """Return the structural similarity of two grey pictures (H, W) of 0..255: 1 for equals, about 0 for strangers.

        mean over windows of  (2 m_a m_b + C1) (2 cov + C2) / ((m_a^2 + m_b^2 + C1) (var_a + var_b + C2))

    Source: Z. Wang et al. 2004; C1 = 2.55^2, C2 = 7.65^2.
    """
    a, b = (np.asarray(picture, np.float64) for picture in (a, b))

    def mean(values):
        return sliding_window_view(values, (window, window)).mean(axis=(2, 3))
    unbiased, ma, mb = window ** 2 / (window ** 2 - 1), mean(a), mean(b)
    va, vb, cov = (unbiased * (mean(x * y) - mean(x) * mean(y)) for x, y in ((a, a), (b, b), (a, b)))
    c1, c2 = 2.55 ** 2, 7.65 ** 2
    return float(((2 * ma * mb + c1) * (2 * cov + c2) / ((ma ** 2 + mb ** 2 + c1) * (va + vb + c2))).mean())
