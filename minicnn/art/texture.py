"""Textures: a style without a content, looked for pixel by pixel or painted from noise by a network.

    texture_steps           x -> argmin L(x), from noise                                    Gatys, Ecker and Bethge 2015
    texture_network_steps   W -> argmin of the mean over noise z of L(f_W(z))               Ulyanov et al. 2016
    L: perceptual_loss.py with Gram matrices alone

The network, once it has learnt, paints its texture in one pass, larger than it learnt it, from every noise another piece.
Slide "Fast Style Transfer" (feed-forward texture networks). Sources: L. Gatys, A. Ecker and M. Bethge, NIPS 2015; D. Ulyanov, V.
Lebedev, A. Vedaldi and V. Lempitsky, ICML 2016.
"""
from dataclasses import dataclass

import numpy as np

from .. import images, nets, ops, tape
from ..checks import generator, number, started, whole_number
from ..errors import SettingError, ShapeError
from ..nets.texture import NOISE, SCALES
from ..optim import Adam
from ..visualize.checks import network
from ..visualize.inversion import to_network
from .neural_style import StyleState, check_descent, descend
from .perceptual_loss import PerceptualLoss, between, gram_matrices, sized, weights_of_layers

LEAST, MOST = 2 ** (SCALES + 2), 2048           # pixels of a side that a texture network paints; of the most it takes some GB
BORDER = 32                 # pixels that are painted beyond each side, where mirrored borders show


def texture_steps(net, painting, *, size=256, tv_weight=1.0, layers=None, scale=1.0, optimizer="lbfgs", lr=5.0, start=None,
                  rng=0):
    """Yield a StyleState at the start, noise, and after every step: by Adam without end, by L-BFGS as long as L falls.

    size: pixels of each side. scale: that the painting's own longer side is brought to size x scale. layers: the style's, names
    or a dict name -> weight. start: the StyleState of an earlier run, to go on. Raises SettingError,
    UnknownNameError, ImageError.
    """
    network("texture", net)
    started("texture", start, StyleState)
    side, rng = whole_number("texture", "size", size, 32, images.MAX_SIZE), check_descent("texture", optimizer, lr, rng)
    objective = _objective(net, painting, round(side * number("texture", "scale", scale, above=0)), layers, tv_weight)
    x = rng.normal(0, 40, (1, 3, side, side)).astype(net.dtype)
    if start is not None and start.x.shape != x.shape:
        raise ShapeError(f"texture: the run to go on with has {start.x.shape}, expected {x.shape}; give the same size")
    done, x = (0, x) if start is None else (start.step, start.x.astype(x.dtype))
    for step, x, loss in descend(objective, x, optimizer, lr):
        yield StyleState(done + step, images.deprocess(x * to_network(net), net.preprocessing), loss, *objective.parts, x.copy())


def _objective(net, painting, side, layers, tv_weight):
    whole_number("texture", "size x scale", side, 32, images.MAX_SIZE)
    names = weights_of_layers("texture", net, None if layers is None else ([], layers))[1]
    grams = gram_matrices(net, sized(net, painting, side), names)
    return PerceptualLoss(net, {}, {name: (grams[name], weight) for name, weight in names.items()},
                          number("texture", "tv_weight", tv_weight, at_least=0))


@dataclass(frozen=True)
class TextureState:
    """After `step` steps: L of the last batch, nan at the start. The network changes in place; `paint` shows what it does."""
    step: int
    loss: float
    net: object


def texture_network_steps(looking, painting, *, size=128, batch=2, scale=1.0, tv_weight=1.0, layers=None, lr=0.01, start=None,
                          rng=0):
    """Yield a TextureState at the start and after every step in which a texture network has learnt, without end.

    looking: the Network that judges. size: of the squares that it learns on, a multiple of 16. Other arguments as in
    texture_steps. Its learning rate falls as 0.7^(step / 200). start: a texture network to go on with, without: a new one.
    """
    network("texture", looking)
    side = whole_number("texture", "size", size, LEAST, images.MAX_SIZE)
    batch, rng = whole_number("texture", "batch", batch, 1), generator("texture", rng)
    if side % 2 ** (SCALES - 1):
        raise SettingError(f"texture: size is {side}, expected a multiple of {2 ** (SCALES - 1)}")
    objective = _objective(looking, painting, round(side * number("texture", "scale", scale, above=0)), layers, tv_weight)
    net = nets.build("texture", rng=rng) if start is None else start
    network("texture", net)
    if net.architecture != "texture":
        raise SettingError(f"texture: start is a {net.architecture}, expected a texture network")
    w, b = (of.astype(looking.dtype) for of in between(net.preprocessing, looking.preprocessing))
    optimizer = Adam(net.train().parameters(), lr=lr)
    yield TextureState(0, float("nan"), net.eval())
    step = 0
    while True:
        optimizer.lr = lr * 0.7 ** (step / 200)
        net.train()
        optimizer.zero_grad()
        loss = objective.of(ops.conv2d(net(noise(batch, (side, side), rng)), w, b))
        loss.backward(retain_graph=False)
        optimizer.step()
        step += 1
        yield TextureState(step, loss.item(), net.eval())


def noise(count, size, rng):
    """Return noise (count, channels, H, W) for a texture network, evenly from -1 to 1."""
    return rng.uniform(-1, 1, (count, NOISE * SCALES, *size)).astype(np.float32)


def paint(net, size, rng=0):
    """Return a piece (H, W, 3) uint8 of a texture network's texture; size (height, width), each of LEAST to MOST pixels."""
    network("texture", net)
    if net.architecture != "texture" or np.shape(size) != (2,):
        raise SettingError(f"texture: the network is a {net.architecture} and size {size!r}, expected a texture network and two "
                           "numbers of pixels")
    size = [whole_number("texture", "size", n, LEAST, MOST) for n in size]
    whole = [-(-(n + 2 * BORDER) // 2 ** (SCALES - 1)) * 2 ** (SCALES - 1) for n in size]
    with tape.no_grad():
        made = net(noise(1, whole, generator("texture", rng))).data
    return images.deprocess(made, net.preprocessing)[BORDER:BORDER + size[0], BORDER:BORDER + size[1]].copy()
