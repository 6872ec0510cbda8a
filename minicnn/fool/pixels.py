"""Pixel space: here pictures are changed, bounded and judged, whatever numbers a network takes.

    p in 0..1, (N, C, H, W), red green blue or grey        x = (255 p scale - mean) / std, in the network's order of channels

An epsilon of 2/255 is two grey levels of an 8-bit file, for every network. What counts as fooled is the picture somebody could
send: clipped to 0..1, rounded to 8 bits, written as a PNG and read again (`through_png`).
"""
import io
import reprlib

import numpy as np

from .. import images, ops
from ..errors import SettingError, ShapeError
from ..tape import no_grad
from ..tensor import Tensor
from ..visualize.checks import array, finite, network, picture_size

MOST_NUMBERS = 4_000_000        # of pixels that a network is given at once: what it keeps for the way back is some 20 times that


def to_input(net, pixels):
    """Return x, the network's input, for pixels p (N, C, H, W), an array or a Tensor, as a Tensor on p's tape."""
    spec, p = net.preprocessing, pixels if isinstance(pixels, Tensor) else Tensor(np.asarray(pixels, net.dtype))
    scale, shift = (np.array(numbers, net.dtype).reshape(1, -1, 1, 1)
                    for numbers in (per_pixel(net), np.divide(spec.mean, spec.std)))
    return (p[:, ::-1] if spec.channel_order == "BGR" else p) * scale - shift


def per_pixel(net):
    """Return dx/dp for each channel, in the network's order: 255 scale / std."""
    return 255 * net.preprocessing.scale / np.array(net.preprocessing.std)


def pixels_of(net, *pictures, size=None):
    """Return pictures (paths, PIL images or (H, W, 3) uint8), cut as the network takes them, as pixels (N, C, H, W)."""
    if not pictures:
        raise SettingError("pixels_of: there are no pictures, expected at least one")
    channels = images.CHANNELS[network("pixels_of", net).preprocessing.channel_order]
    cut = np.stack([net.deprocess(net.preprocess(picture, size)) for picture in pictures])          # (N, H, W, 3) uint8
    return np.ascontiguousarray(cut[..., :channels].transpose(0, 3, 1, 2) / 255, dtype=net.dtype)


def mean_colour(net):
    """Return the pixel (1, C, 1, 1) that the network takes as 0, red green blue or grey, within 0..1."""
    spec = net.preprocessing
    mean = np.array(spec.mean[::-1] if spec.channel_order == "BGR" else spec.mean) / (255 * spec.scale)
    return mean.clip(0, 1).astype(net.dtype).reshape(1, -1, 1, 1)


def as_pictures(pixels):
    """Return pixels (N, C, H, W) as pictures (N, H, W, 3) uint8: clipped and rounded; grey becomes three equal channels."""
    pixels = finite("as_pictures", "the pixels", pixels)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or pixels.size == 0:
        raise ShapeError(f"as_pictures: the pixels have shape {pixels.shape}, expected (N, 1 or 3, H, W)")
    if pixels.min() < -1 or pixels.max() > 2:
        raise SettingError(f"as_pictures: the pixels run from {pixels.min():g} to {pixels.max():g}, expected 0 to 1, or a little "
                           "beyond; divide 8-bit pixels by 255")
    levels = np.rint(pixels.astype(np.float64).clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(levels, 3, axis=3) if pixels.shape[1] == 1 else np.ascontiguousarray(levels)


def through_png(pixels):
    """Return the pixels of what is left when the pictures are written as PNG files and read again."""
    from PIL import Image
    read = []
    for picture in as_pictures(pixels):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="PNG")
        with Image.open(file, formats=["PNG"]) as image:
            read.append(np.asarray(image)[..., :np.shape(pixels)[1]].transpose(2, 0, 1) / 255)
    return np.stack(read).astype(array("through_png", "the pixels", pixels).dtype)


def class_scores(net, x, rectified=True):
    """Return the scores (N, K) of inputs x, a Tensor; rectified=False: before a last ReLU, where the network has one.

    SqueezeNet's scores are means over rectified maps: a class that is seen nowhere has the score 0 and no gradient. Who wants to
    get there needs the slope below 0.
    """
    if not rectified:
        return over_places(net.activations(x, upto=net.class_layer)[net.class_layer])
    scores = net(x)
    if scores.ndim != 2:
        raise SettingError(f"{net.architecture} gives maps {scores.shape}, expected a network that gives scores of classes")
    return scores


def over_places(scores):
    """Return scores (N, K) as they are, and of maps (N, K, h, w) the mean over all places."""
    return ops.mean(scores, (2, 3)) if scores.ndim == 4 else scores


def probabilities(net, pixels):
    """Return the probabilities (N, K) of the classes for pixels (N, C, H, W), as the network itself says them."""
    pixels = checked("probabilities", net, pixels)
    with no_grad():
        return np.concatenate([ops.softmax(class_scores(net, to_input(net, pixels[part])), dim=1).data
                               for part in parts(pixels)])


def loss_gradient(net, pixels, labels, rectified=True):
    """Return J (N,), the cross-entropy of each picture with its label, its gradient dJ/dp (N, C, H, W), and the scores (N, K)."""
    losses, gradients, scores = [], [], []
    for part in parts(pixels):
        p = Tensor(pixels[part], requires_grad=True)
        found = class_scores(net, to_input(net, p), rectified)
        of_each = -ops.log_softmax(found, dim=1)[np.arange(len(p)), labels[part]]
        of_each.sum().backward(retain_graph=False)          # a picture's loss does not depend on the others
        losses.append(of_each.data)
        gradients.append(p.grad)
        scores.append(found.data)
    return np.concatenate(losses), np.concatenate(gradients), np.concatenate(scores)


def parts(pixels, times=1):
    """Return slices of the pictures, of as many as a network is given at once, each `times`."""
    at_once = max(1, MOST_NUMBERS // (pixels[0].size * times))
    return [slice(k, k + at_once) for k in range(0, len(pixels), at_once)]


def checked(name, net, pixels):
    """Return the pixels as an array of the network's dtype; raise where they do not fit."""
    channels = images.CHANNELS[network(name, net).preprocessing.channel_order]
    pixels = finite(name, "the pixels", pixels).astype(net.dtype, copy=False)
    if pixels.ndim != 4 or pixels.shape[1] != channels or pixels.size == 0:
        raise ShapeError(f"{name}: the pixels have shape {pixels.shape}, expected (N, {channels}, H, W), as pixels_of gives them")
    if pixels.min() < 0 or pixels.max() > 1:
        raise SettingError(f"{name}: the pixels run from {pixels.min():g} to {pixels.max():g}, expected 0 to 1, as pixels_of "
                           "gives them")
    return pixels


def checked_pair(name, net, pixels, labels):
    """Return the pixels and their labels, a class for each, as arrays; raise where they do not fit."""
    pixels, classes = checked(name, net, pixels), count_classes(net)
    found = np.asarray(labels) if np.ndim(labels) == 1 else np.zeros(0)
    if found.shape != (len(pixels),) or found.dtype.kind not in "iu" or not 0 <= found.min() <= found.max() < classes:
        raise SettingError(f"{name}: the labels {reprlib.repr(labels)} are no classes for {len(pixels)} pictures, expected so "
                           f"many whole numbers from 0 to {classes - 1}")
    return pixels, found


def count_classes(net):
    """Return how many classes a network tells apart: it is asked about a picture of its mean colour."""
    size = picture_size("count_classes", net, None)
    try:
        with no_grad():
            return class_scores(net, to_input(net, np.tile(mean_colour(net), (1, 1, *size)))).shape[1]
    except ShapeError:
        raise SettingError(f"{net.architecture} takes no pictures, expected a network that gives scores of classes") from None
