"""Arrays as pictures and pictures as files in memory: what the page shows, and what it sends. Nothing is written to disk."""
import io

import numpy as np
from PIL import Image

from minicnn.checks import one_of
from minicnn.images import montage, resize_longer
from minicnn.visualize.backprop import as_picture

MODES = ("raw", "grey", "norm")         # as in the toolbox: in colour, the channels' mean, the channels' norm
SMALLEST, LARGEST = 32, 1200            # sides of a tile and of a whole grid, in pixels, about
GROUND = 40                             # grey between the tiles


def png(picture):
    """Return a picture (H, W) or (H, W, 3) uint8 as the bytes of a PNG file, packed lightly: it does not travel far."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def thumbnail(picture, side=96):
    """Return a small picture as the bytes of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(resize_longer(picture, side)).save(file, "JPEG", quality=85)
    return file.getvalue()


def sprite(tiles, columns):
    """Return the tiles (K, h, w) uint8 as one grey picture, with 1 pixel between them, and the tiles' (height, width) in it.

    Tiles of a few pixels are enlarged. Where the grid would be very large, the brightest of every few pixels is kept.
    """
    height, width = tiles.shape[1:]
    side = max(height * -(-len(tiles) // columns), width * columns)
    times, part = min(-(-SMALLEST // max(height, width)), LARGEST // side), side // LARGEST
    if times > 1:
        tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    elif part > 1:
        rows, across = height // part, width // part
        tiles = tiles[:, :rows * part, :across * part].reshape(len(tiles), rows, part, across, part).max(axis=(2, 4))
    return montage(tiles, columns, fill=GROUND), tiles.shape[1:]


def signal_picture(signal, box, mode="raw", channel_order="RGB"):
    """Return a signal (C, H, W) as a picture (H, W, 3) or (H, W) uint8, as strong as it is within the box that the unit sees.

    raw: its colours about grey; grey: the mean of its channels about grey; norm: how strong it is, from black. A signal from
    low in the network is a few pixels: scaled by the whole picture they would be either lost or all saturated.
    """
    one_of("mode of a signal", mode, MODES)
    top, left, bottom, right = box
    if mode == "norm":
        strength = np.sqrt((signal.astype(np.float64) ** 2).sum(axis=0))
        most = max(np.percentile(strength[top:bottom, left:right], 99.5), 1e-30)
        return np.rint(255 * np.clip(strength / most, 0, 1)).astype(np.uint8)
    if mode == "grey" or len(signal) == 1:
        signal, channel_order = np.repeat(signal.mean(axis=0, keepdims=True), 3, axis=0), "RGB"
    picture = np.full((*signal.shape[1:], 3), 128, np.uint8)
    seen = as_picture(signal[:, top:bottom, left:right], channel_order)
    picture[top:bottom, left:right] = np.rint(255 * seen)
    return picture
