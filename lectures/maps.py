"""What the lectures on maps share: how a map is drawn, and numbers that say how good it is."""
import numpy as np

from minicnn.embed import nearest_neighbors

TAB10 = "tab10"         # a colour for each of ten classes


def scatter_map(ax, Y, labels, size=6, names=None):
    """Draw a map Y (N, 2), coloured by class; with `names` each class's name stands in its midst."""
    from matplotlib.patheffects import withStroke
    ax.scatter(*Y.T, c=labels % 10, cmap=TAB10, vmin=-0.5, vmax=9.5, s=size, linewidths=0)
    ax.set_aspect("equal", adjustable="datalim")
    for label in np.unique(labels) if names is not None else ():
        ax.text(*middle(Y[labels == label]), names[label], fontsize=28, fontweight="bold", ha="center", va="center", zorder=10,
                path_effects=[withStroke(linewidth=4, foreground="white")])


def middle(Y):
    """Return the place of the point of Y (N, 2) whose distances to all the others are least: it lies in the densest part."""
    some = Y[::max(1, len(Y) // 500)]
    return some[np.linalg.norm(some[:, None] - some[None], axis=2).sum(axis=1).argmin()]


def frame_of(figure):
    """Return a figure as a picture (H, W, 3) uint8, a frame of an animation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def with_ticks(ax):
    """Give one of `panels`' axes its ticks and frame back, for a plot among pictures."""
    from matplotlib.ticker import AutoLocator
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(AutoLocator())
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(True)
    ax.tick_params(labelsize=11)
    return ax


def neighbour_accuracy(Y, labels, k=10):
    """Return the part of the points whose class is the commonest among their k nearest neighbours in the map."""
    votes = labels[nearest_neighbors(Y, k)[0]]                              # (N, k)
    counts = np.stack([(votes == c).sum(axis=1) for c in range(labels.max() + 1)], axis=1)
    return float(np.mean(counts.argmax(axis=1) == labels))


def separation(Y, labels):
    """Return how far classes are apart for their size: mean distance between two classes' means / mean distance to the own."""
    classes = np.unique(labels)
    centres = np.stack([Y[labels == c].mean(axis=0) for c in classes])
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(len(classes), 1)].mean()
    within = np.mean([np.linalg.norm(Y[labels == c] - centre, axis=1).mean() for c, centre in zip(classes, centres)])
    return float(between / within)
