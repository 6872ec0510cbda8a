"""What the lectures share: the photographs, Check, and plain matplotlib panels."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGES = Path(__file__).parent / "images"


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
