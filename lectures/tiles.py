"""A collection of pictures for the lectures on top patches: squares of the shipped photographs, or a folder of the user's."""
import sys

import numpy as np

from minicnn.errors import ImageError
from minicnn.images import centre_crop, load_image, resize_shorter
from minicnn.visualize.collection import picture_files

from .common import IMAGES

SIDE = 224


def tiles(folder=None):
    """Yield (picture (224, 224, 3) uint8, which photograph it is of).

    Without a folder: squares of the shipped photographs, side by side, at two sizes. With one: the middle of each of its
    pictures; what cannot be read is skipped with a line on stderr.
    """
    readable = False
    for number, path in enumerate(sorted(IMAGES.glob("*.jpg")) if folder is None else picture_files(folder)):
        try:
            picture = load_image(path)
            squares = shipped_squares(picture) if folder is None else [centre_crop(resize_shorter(picture, SIDE), SIDE)]
        except ImageError as error:
            print(f"skipped: {error}" if path.name in str(error) else f"skipped: {path.name}: {error}", file=sys.stderr)
            continue
        readable = True
        yield from ((square, number) for square in squares)
    if not readable:
        raise ImageError(f"the folder {str(folder)!r} holds no picture that can be read; put some in, or give another")


def shipped_squares(picture):
    """Return the squares of a photograph, side by side, at two sizes."""
    squares = []
    for scale in (1, 2):
        whole = resize_shorter(picture, SIDE * scale)
        corners = [(top, left) for top in _begins(whole.shape[0]) for left in _begins(whole.shape[1])]
        squares += [whole[top:top + SIDE, left:left + SIDE] for top, left in corners]
    return squares


def _begins(size):
    """Return where squares begin along an axis: side by side, what does not fit cut off at both ends alike."""
    count = size // SIDE
    return [(size - count * SIDE) // 2 + k * SIDE for k in range(count)]


def telling_units(found, sources, shown, count):
    """Return `count` channels whose answers to their `shown` best pictures stand out the most from those to all pictures seen.

    found: TopPatches with more places than are shown. Channels whose best pictures are mostly of one photograph come last.
    """
    sources = np.asarray(sources)
    different = np.array([len(set(sources[numbers[:shown]])) for numbers in found.picture])
    seen = (found.picture >= 0).sum(axis=1).min()
    ratio = found.values[:, :shown].mean(axis=1) / np.maximum(found.values[:, :seen].mean(axis=1), 1e-6)
    ratio[found.values[:, shown - 1] <= 0] = 0                      # of a channel that answers to fewer pictures
    enough = min(4, len(set(sources)), shown)
    return np.argsort(-ratio - 1000.0 * (different >= enough), kind="stable")[:count]
