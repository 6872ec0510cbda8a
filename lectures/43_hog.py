"""Pictures that HOG cannot tell apart: negatives, faded ones, and one that was made from another photograph."""
import numpy as np

from minicnn.fool.hog import hog, hog_distance, same_hog
from minicnn.images import centre_crop, load_image, resize

from .common import IMAGES, Check, panels

TITLE = "Identical HOG representation (before ConvNets)"
FORMULA = r"""cell: the strengths $\lVert g \rVert$ of the edges in 9 directions, mean of $8 \times 8$ pixels,
    $g = (p_{i, j+1} - p_{i, j-1}, \; p_{i+1, j} - p_{i-1, j})$
block: $3 \times 3$ cells $v$: $\quad v \leftarrow \frac{v}{\sqrt{\lVert v \rVert^2 + \epsilon^2}}, \quad v \leftarrow
    \min(v, 0.2),
    \quad$ and the first once more
made: $\underset{p}{\operatorname{argmin}} \; \frac{\lVert v(p) - v(\text{wanted}) \rVert^2}{\lVert v(\text{wanted})
    \rVert^2}$ from
    another photograph on, $\; v$: the blocks before they are cut off at 0.2
the same: $\text{HOG}(1 - p) = \text{HOG}(p), \qquad \text{HOG}\left( \tfrac{1}{2} + \tfrac{1}{10} (p - \tfrac{1}{2}) \right)
    \approx \text{HOG}(p)$"""
LOOK_FOR = """All but the second picture have the same HOG, to 1 % or better. For the negative and the faded picture this follows
from the definition: an edge has no sign, and blocks are normalised. The last was made: it began as the second photograph, and
its pixels were changed until its HOG was that of the first. One guesses shapes of the first in it, made of fine zigzag lines:
what a cell of HOG says is how strong the edges are in each direction, not where they are nor what is between them. Fooling needs
no network."""
CODE = {"minicnn/fool/hog.py": "gradient_of votes shares blocks same_hog_steps"}
TRY = """Which step of the definition forgets the sign of an edge, and which the contrast? Change `gradient_of` or `blocks`
so that it does not.

Cells of 4 × 4 pixels instead of 8 × 8: is it harder to make the picture?

Would a person be fooled by any of these pictures? And a network: what does SqueezeNet say about the negative?

Turn a photograph by 90°. What happens to its HOG?"""
ALIKE, STARTS = 1e-2, 4         # one start in some ends a little above it: HOG jumps
PAIR = ("chelsea.jpg", "coffee.jpg")


def compute(full):
    size = 96 if full else 64
    wanted, other = (grey(name, size) for name in PAIR)
    for seed in range(STARTS):
        made = same_hog(wanted, other, steps=800 if full else 400, noise=0.1, rng=seed)
        if made.distance < ALIKE:
            break
    return {"wanted": wanted, "other": other, "negative": 1 - wanted, "faded": 0.5 + (wanted - 0.5) / 10, "made": made.pixels}


def grey(name, size):
    """Return a photograph's middle as grey pixels (1, 1, size, size) float64 in 0..1."""
    picture = load_image(IMAGES / name)
    square = resize(centre_crop(picture, min(picture.shape[:2])), (size, size))
    return (square @ np.array([0.299, 0.587, 0.114]) / 255).clip(0, 1)[None, None]


def distance(result, name):
    """Return the relative distance of a picture's HOG from that of the wanted one."""
    return hog_distance(hog(result[name]), hog(result["wanted"]))


def correlation(result, name):
    """Return the correlation of a picture's pixels with those of the wanted one."""
    return float(np.corrcoef(result[name].ravel(), result["wanted"].ravel())[0, 1])


def draw(result):
    titles = {"wanted": "the first", "other": "the second", "negative": "negative", "faded": "a tenth of the contrast",
              "made": "made from the second"}
    figure, axes = panels(2, len(titles), width=2.7, height=2.9)
    for (above, below), (name, title) in zip(axes.T, titles.items()):
        above.imshow(result[name][0, 0], cmap="gray", vmin=0, vmax=1)
        above.set_title(title)
        draw_cells(below, result[name])
        below.set_xlabel(f"HOG differs by {distance(result, name):.1%}\ncorrelation of pixels {correlation(result, name):.2f}",
                         fontsize=9)
    axes[1, 0].set_ylabel("its HOG")
    return {"hog": figure}


def draw_cells(ax, pixels):
    """Draw each cell's edges as strokes along them, from HOG with blocks of one cell."""
    rows, columns = (n // 8 for n in pixels.shape[2:])
    cells = hog(pixels, cells_per_block=1).data.reshape(rows, columns, 9)
    for row in range(rows):
        for column in range(columns):
            for k, strength in enumerate(cells[row, column] / max(cells.max(), 1e-9)):
                along = np.deg2rad((k + 0.5) * 20 + 90)                 # the edge, across the gradient; rows go down
                dx, dy = 0.45 * np.cos(along), 0.45 * np.sin(along)
                ends = [column - dx, column + dx], [row - dy, row + dy]
                ax.plot(*ends, color="black", alpha=float(strength) ** 2, linewidth=1.2)
    ax.set(xlim=(-0.6, columns - 0.4), ylim=(rows - 0.4, -0.6), aspect="equal")


def check(result):
    negative = np.abs(hog(result["negative"]).data - hog(result["wanted"]).data).max()
    return [Check("made from another photograph: HOG's relative distance", distance(result, "made"), at_most=ALIKE),
            Check("... correlation of its pixels with the wanted ones", abs(correlation(result, "made")), at_most=0.3),
            Check("HOG of that other photograph: relative distance", distance(result, "other"), at_least=0.5),
            Check("negative: largest difference of HOG", float(negative), at_most=1e-12),
            Check("a tenth of the contrast: HOG's relative distance", distance(result, "faded"), at_most=1e-4)]
