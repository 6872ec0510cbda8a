"""Pictures as sums of waves: what came after the class models. After the slide "Class model visualization".

    x = sigmoid(M irfft2(scale z) / 4),      scale(f) = sqrt(H W) / max(f, 1 / max(H, W))       z: what is optimised, by Adam

Same objective, same network, other coordinates. Steps in pixels prefer what is fine, noise that the network answers to and
nobody sees. With every wave scaled by 1 / f, as in photographs, and colours mixed as they mix there (M), equal steps in z make
pictures with scales from coarse to fine. And before each step the picture is moved, turned and scaled a little at random
(`transformation`): what survives is what the unit wants wherever it is. Then hardly any regulariser is needed.

dL/dz, by hand: the inverse transform sums c_k (Re z_k cos - Im z_k sin) / (H W) over half of the frequencies, c_k = 2 for those
whose mirror image was left out, else 1. So with G = rfft2(dL/dy):   dL/d Re z = c Re G / (H W),   dL/d Im z = c Im G / (H W).
Source: C. Olah, A. Mordvintsev and L. Schubert, "Feature Visualization", 2017, and their program (constants).
"""
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .. import images
from ..checks import generator, number, whole_number
from ..errors import SettingError
from ..loop import last, take
from ..ops.op import pair
from ..optim import Adam
from ..tensor import Tensor
from .backprop import objective_seed
from .checks import network, picture_size
from .inversion import check_layer, encode

COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])      # of photographs: grey, blue to red, ...
COLOURS = COLOURS / np.linalg.norm(COLOURS, axis=0).max()


@dataclass(frozen=True)
class FourierState:
    """`image` (H, W, 3) uint8 after `step` steps; activation: of the unit, in the moved picture that the step was taken on."""
    step: int
    image: np.ndarray
    activation: float
    z: np.ndarray               # (2, 3, H, W // 2 + 1), real and imaginary parts


def frequency_scale(height, width):
    """Return (H, W // 2 + 1): the size of each wave, as in photographs inversely as its frequency."""
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return np.sqrt(height * width) / np.maximum(f, 1 / max(height, width))


def to_picture(z, size):
    """Return the picture (3, H, W), RGB in 0..1, of the waves z (2, 3, H, W // 2 + 1); size: (H, W)."""
    planes = np.fft.irfft2(frequency_scale(*size) * (z[0] + 1j * z[1]), s=size) / 4
    return 1 / (1 + np.exp(-np.tensordot(COLOURS, planes, axes=1)))


def to_picture_backward(dpicture, picture):
    """Return dL/dz from dL/dpicture (3, H, W) and the picture that to_picture gave."""
    height, width = picture.shape[1:]
    dplanes = np.tensordot(COLOURS.T, dpicture * picture * (1 - picture), axes=1) / 4
    twice = np.full(width // 2 + 1, 2.0)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    waves = np.fft.rfft2(dplanes) * twice * frequency_scale(height, width) / (height * width)
    return np.stack([waves.real, waves.imag])


def transformation(size, shift=12, zoom=0.1, turn=10.0, rng=0):
    """Return the sparse matrix (H W, H W) that moves a picture at random: new pixels = matrix @ pixels, bilinear between four.

    shift: up to so many pixels each way; zoom: larger or smaller by up to this part; turn: up to so many degrees. Rows that
    look beyond the picture sum to less than 1.
    """
    rng, (height, width) = generator("transformation", rng), pair("transformation", "size", size, 1)
    number("transformation", "shift", shift, at_least=0, at_most=images.MAX_SIZE)
    number("transformation", "zoom", zoom, at_least=0, at_most=0.9)
    number("transformation", "turn", turn, at_least=0, at_most=180)
    angle, factor = np.deg2rad(rng.uniform(-turn, turn)), rng.uniform(1 - zoom, 1 + zoom)
    down, right = rng.uniform(-shift, shift, 2)
    i, j = np.mgrid[:height, :width].reshape(2, -1) - np.array([[(height - 1) / 2], [(width - 1) / 2]])
    y = (np.cos(angle) * i - np.sin(angle) * j) / factor + (height - 1) / 2 + down
    x = (np.sin(angle) * i + np.cos(angle) * j) / factor + (width - 1) / 2 + right
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    rows, columns, weights = [], [], []
    for below in (0, 1):
        for beside in (0, 1):
            weight = np.abs(1 - below - (y - top)) * np.abs(1 - beside - (x - left))
            inside = (top + below >= 0) & (top + below < height) & (left + beside >= 0) & (left + beside < width)
            rows.append(np.flatnonzero(inside))
            columns.append(((top + below) * width + left + beside)[inside])
            weights.append(weight[inside])
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=(height * width, height * width))


def fourier_steps(net, unit, *, layer=None, size=None, lr=0.05, shift=12, zoom=0.1, turn=10.0, rng=0):
    """Yield a FourierState at the start and after every step, without end.

    unit: a class, or with `layer` any unit of it, (channel, row, column) or a channel, whose map is then averaged. size: of the
    picture, default what the network takes. shift, zoom, turn: as for `transformation`; all 0: the picture stays where it is.
    """
    network("fourier", net)
    layer, rng = net.class_layer if layer is None else layer, generator("fourier", rng)
    check_layer("fourier", net, layer)
    size, lr = picture_size("fourier", net, size, 2), number("fourier", "lr", lr, above=0)
    if len(net.preprocessing.mean) != 3:
        raise SettingError(f"fourier: {net.architecture} takes grey pictures, expected a network of colour pictures")
    z = Tensor(rng.normal(0, 0.01, (2, 3, size[0], size[1] // 2 + 1)), requires_grad=True)
    optimizer, step = Adam({"z": z}, lr=lr), 0
    low, high = images.pixel_range(net.preprocessing)
    flip = slice(None, None, -1 if net.preprocessing.channel_order == "BGR" else 1)
    while True:
        picture = to_picture(z.data, size)
        moving = transformation(size, shift, zoom, turn, rng)
        grey = 0.5 * (1 - moving.sum(axis=1))               # what lies beyond the picture
        moved = (moving @ picture.reshape(3, -1).T + grey[:, None]).T.reshape(1, 3, *size)[:, flip]
        p = Tensor((low + (high - low) * moved).astype(net.dtype), requires_grad=True)
        activation = encode(net, p, layer)
        seed = objective_seed(activation, unit)
        shown = np.rint(255 * picture.transpose(1, 2, 0)).astype(np.uint8)
        yield FourierState(step, shown, float((seed * activation.data).sum()), z.data.copy())
        activation.backward(seed, retain_graph=False)
        dmoved = ((high - low) * p.grad)[0, flip].reshape(3, -1)
        z.grad = -to_picture_backward((moving.T @ dmoved.T).T.reshape(picture.shape), picture)      # upwards
        optimizer.step()
        step += 1


def fourier(net, unit, steps=256, **settings):
    """Return the picture (H, W, 3) uint8 after so many steps; settings as in `fourier_steps`."""
    whole_number("fourier", "steps", steps, 0)
    return last(take(steps, fourier_steps(net, unit, **settings))).image
