"""The map of CNN codes: pictures that a network finds alike lie side by side."""
import sys
import warnings

import numpy as np

import minicnn
from minicnn.embed import pca, sparse_affinities, tsne_steps
from minicnn.embed.descent import start_of
from minicnn.embed.grid import assign_to_grid, grid_shape, point_grid, seams
from minicnn.errors import ImageError
from minicnn.images import centre_crop, load_image, resize, resize_shorter
from minicnn.loop import last, take
from minicnn.visualize.collection import picture_files

from .common import IMAGES, Check, panels
from .maps import neighbour_accuracy

TITLE = "t-SNE visualization: the map of CNN codes"
FORMULA = r"""code: $c = \frac{1}{h w} \sum_{i, j} A_{ij}$, the mean over all places of what `fire9/concat` answers, 512 numbers
map: $c$ $\;\rightarrow\;$ 50 principal components $\;\rightarrow\;$ t-SNE $\;\rightarrow\;$ 2 coordinates $y$
grid: $\underset{a}{\min} \; \sum_i \lVert y_i - z_{a(i)} \rVert^2$, each picture in a cell $a(i)$ of its own, $z_j$ the
    middle of
    cell $j$
seam: $\lVert c_m - c_n \rVert$ between pictures $m$ and $n$ side by side"""
LOOK_FOR = """No classes and no labels, only the distances between codes: yet what is of a kind comes together, whatever its place
or size in the square cut out. First the pictures at their places, then the same map as a grid, so that nothing is covered. The
grid tells a lie: its neighbours need not be alike. The last picture says where: the redder a seam, the farther the codes on both
sides are apart in truth, and the red lines are the borders of the islands. (Your own pictures: --images FOLDER.)"""
CODE = {"minicnn/embed/grid.py": "linear_assignment _linear_assignment_cpu assign_to_grid seams"}
TRY = """Set `LAYER` to `"pool1"` and to `"conv10"`. What now makes two pictures neighbours: colours, textures, things?

In `compute` let `X` be the principal components of the thumbnails' pixels instead of the codes. Which islands survive?

Why does a picture need a cell of its own by the best assignment, and not simply by going through the pictures and giving
each the nearest cell that is free? What would the last pictures get?

Lay out your own photographs, `python -m lectures cnn_codes --images FOLDER`, and find the one that lies where you did not
expect it. What does the network see in it?"""
LAYER = "fire9/concat"
INPUT, BATCH = 224, 16
PHOTOGRAPHS = sorted(IMAGES.glob("*.jpg"))


def compute(full, images=None):
    net = minicnn.load("squeezenet1_1")
    labels = np.arange(3000 if full else 1500) % len(PHOTOGRAPHS) if images is None else None
    count, pictures = (len(labels), _crops(labels)) if images is None else (len(picture_files(images)), _load(images))
    thumbnails, codes = _codes(net, pictures, side=int(np.clip(3000 / max(1, count) ** 0.5, 24, INPUT)))
    if len(codes) < 2:
        raise ImageError(f"the folder {str(images)!r} holds {len(codes)} readable picture{'s' * (len(codes) != 1)}, expected two "
                         "or more")
    X = pca(codes, min(50, *codes.shape))
    with warnings.catch_warnings():             # of two or three pictures each has all the others for neighbours
        warnings.simplefilter("ignore")
        P = sparse_affinities(X, min(15, max(1, (len(X) - 1) / 3)))
    Y = last(take(500, tsne_steps(P, start_of(X, "pca", 2, 0), early_exaggeration=4, exaggeration_iter=100))).embedding
    shape = grid_shape(len(Y), aspect=5 / 3)
    return {"thumbnails": thumbnails, "codes": codes, "labels": labels, "map": Y, "shape": shape,
            "grid": point_grid(assign_to_grid(Y, shape), shape)}


def _crops(labels):
    """Yield a square of some size from somewhere in each of the photographs of these numbers."""
    photographs, rng = [load_image(path) for path in PHOTOGRAPHS], np.random.default_rng(0)
    for label in labels:
        height, width = photographs[label].shape[:2]
        side = int(min(height, width) * rng.uniform(0.35, 0.95))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        yield photographs[label][top:top + side, left:left + side]


def _load(folder):
    """Yield the pictures of a folder; one that cannot be read is skipped with a line on stderr."""
    for path in picture_files(folder):
        try:
            picture = load_image(path)
            yield centre_crop(resize_shorter(picture, INPUT), INPUT)
        except ImageError as error:
            print(f"skipped: {error}", file=sys.stderr)


def _codes(net, pictures, side):
    """Return (thumbnails (N, side, side, 3) uint8, codes (N, 512)), a batch at a time, so that any number of pictures will do."""
    thumbnails, codes, batch = [], [], []

    def run():
        with minicnn.no_grad():
            found = net.activations(np.concatenate(batch), upto=LAYER)[LAYER].data        # (B, 512, h, w)
        codes.extend(found.mean(axis=(2, 3)))
        batch.clear()

    for picture in pictures:
        thumbnails.append(resize(picture, (side, side)))
        batch.append(net.preprocess(resize(picture, (INPUT, INPUT))).data)
        if len(batch) == BATCH:
            run()
    if batch:
        run()
    return np.array(thumbnails), np.array(codes)


def draw(result):
    gap = max(4, result["thumbnails"].shape[1] // 6)
    pictures = {"cnn_codes": (_scattered(result), "pictures at their places on the map"),
                "grid": (_tiled(result, 2), "pictures on a grid: nothing is covered"),
                "seams": (_tiled(result, gap), "pictures: the redder a seam, the farther apart the codes on both sides")}
    return {name: _figure(picture, f"{len(result['map']):,} {title}") for name, (picture, title) in pictures.items()}


def _figure(picture, title):
    width = 14
    figure, axes = panels(1, 1, width=width, height=width * picture.shape[0] / picture.shape[1] + 0.6)
    axes[0, 0].imshow(picture, interpolation="antialiased")
    axes[0, 0].set_title(title, fontsize=20)
    return figure


def _scattered(result):
    """Return a white picture with the thumbnails at their places on the map; the first ones lie on top."""
    Y, thumbnails, (rows, columns) = result["map"], result["thumbnails"], result["shape"]
    side = thumbnails.shape[1]
    height, width = (int(1.1 * side * n) for n in (rows, columns))
    place = (Y - Y.min(axis=0)) / np.maximum(np.ptp(Y, axis=0), 1e-12)                   # (N, 2) in [0, 1]
    canvas = np.full((height + side, width + side, 3), 255, np.uint8)
    for (x, y), tile in zip(place[::-1], thumbnails[::-1]):
        top, left = int((1 - y) * height), int(x * width)
        canvas[top:top + side, left:left + side] = tile
    return canvas


def _tiled(result, gap):
    """Return the grid of thumbnails; seams of 4 or more pixels are coloured, from black to bright red for codes far apart."""
    grid, thumbnails, side = result["grid"], result["thumbnails"], result["thumbnails"].shape[1]
    canvas = np.zeros((*(n * (side + gap) - gap for n in grid.shape), 3), np.uint8)
    for (row, column), i in np.ndenumerate(grid):       # an empty cell is grey
        canvas[row * (side + gap):, column * (side + gap):][:side, :side] = thumbnails[i] if i >= 0 else 70
    if gap >= 4:
        for (row, column), red in np.ndenumerate(_reds(result, 0)):
            canvas[row * (side + gap):, column * (side + gap) + side:][:side, :gap, 0] = red
        for (row, column), red in np.ndenumerate(_reds(result, 1)):
            canvas[row * (side + gap) + side:, column * (side + gap):][:gap, :side, 0] = red
    return canvas


def _reds(result, way):
    """Return the seams' red, 0 to 255: of vertical ones (0) or horizontal ones (1), both on one scale; 0 beside an empty cell."""
    both = seams(result["codes"], result["grid"])
    known = np.concatenate([d[np.isfinite(d)] for d in both])
    low, high = np.percentile(known, (10, 90)) if len(known) else (0, 1)
    return np.nan_to_num(255 * np.clip((both[way] - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def check(result):
    grid, codes, N = result["grid"], result["codes"], len(result["map"])
    across = np.concatenate([d[np.isfinite(d)] for d in seams(codes, grid)])
    some = np.random.default_rng(0).integers(N, size=(2, 2000))
    some = some[:, some[0] != some[1]]
    anyone = max(np.linalg.norm(codes[some[0]] - codes[some[1]], axis=1).mean(), 1e-12)     # all pictures can be the same
    bar = 0.8 if N >= 200 else 1.2
    checks = [Check("pictures that have a cell of their own / all", len(np.unique(grid[grid >= 0])) / N, 1, 1),
              Check("code distance across a seam / of any two pictures", across.mean() / anyone, at_most=bar)]
    if result["labels"] is not None:
        checks += [Check("crops whose 10 neighbours in the map vote for their own photograph (chance: 0.1)",
                         neighbour_accuracy(result["map"], result["labels"]), at_least=0.8)]
    return checks
