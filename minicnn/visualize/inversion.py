"""Inversion: which picture has this code? Slide "Recovering original image".

    x* = argmin ||Phi(x) - Phi_0||^2 / ||Phi_0||^2 + (tv_weight / 2 R_V(x) + alpha_weight / 2 R_alpha(x)) / sigma^2
    R_alpha(x) = sum |x|^alpha                                            keeps pixels within their range
    R_V(x) = sum ((x[i, j+1] - x[i, j])^2 + (x[i+1, j] - x[i, j])^2)^(beta / 2)       keeps neighbours alike

    m <- 0.9 m - lr sigma^2 dE/dx,    x <- x + m;    lr: a schedule, and m <- 0 whenever it changes

x: pixels less the mean, 0..255 wide, whatever the network takes. sigma: the norm of a typical picture, SIGMA for each of its
numbers; the start is noise of that norm. What is lost on the way up does not come back: from early layers almost a photograph
returns, from the last ones parts of the object in no place in particular.
Source: A. Mahendran and A. Vedaldi, CVPR 2015, and their program (weights, schedule, sigma).
"""
import itertools
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .. import images, ops
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..ops.op import pair
from ..tensor import Tensor, as_array

SIGMA = 27098.1157 / (3 * 227 * 227) ** 0.5         # the program's: the norm of a typical picture of 227 x 227, per number
SCHEDULE = ((100, 0.004), (200, 0.0004), (100, 0.00004))        # (steps, learning rate), the program's for networks
LOG_PROBABILITIES = "log_probabilities"             # after the last layer: its scores less the log of their sum of exp


@dataclass(frozen=True)
class InversionState:
    """`images` (N, H, W, 3) uint8 after `step` steps; `error` ||Phi(x) - Phi_0|| / ||Phi_0|| of each; `loss`, their mean E."""
    step: int
    images: np.ndarray
    error: np.ndarray           # (N,)
    loss: float
    x: np.ndarray               # (N, C, H, W), pixels less the mean


@dataclass(frozen=True)
class Objective:
    """E, for pictures x (N, C, H, W) in pixels less the mean; calling it returns (error (N,), mean E, dE/dx)."""
    net: object
    layer: str
    code: np.ndarray            # Phi_0 (1, ...)
    mask: np.ndarray            # which of its numbers count
    tv_weight: float
    beta: float
    alpha_weight: float
    alpha: float

    def __call__(self, x):
        p = Tensor(x, requires_grad=True)
        difference = (encode(self.net, p * to_network(self.net), self.layer) - self.code) * self.mask
        square = (difference ** 2).sum(tuple(range(1, difference.ndim))) / self.norm ** 2           # (N,)
        regularisers = (self.tv_weight / 2 * ops.total_variation(p, self.beta)
                        + self.alpha_weight / 2 * (ops.abs(p) ** self.alpha).sum())
        loss = square.sum() + regularisers / sigma(x) ** 2
        loss.backward(retain_graph=False)
        return np.sqrt(square.data), loss.item() / len(x), p.grad

    @property
    def norm(self):
        return float(np.linalg.norm(self.code * self.mask))


def encode(net, x, layer):
    """Return Phi(x), the Tensor of `layer` for network inputs x (N, C, H, W); LOG_PROBABILITIES is one more layer."""
    if layer == LOG_PROBABILITIES:
        return ops.log_softmax(net(x), dim=1)
    return net.activations(x, upto=layer)[layer]


def to_network(net):
    """Return what pixels less the mean are multiplied by to become the network's inputs, (1, C, 1, 1)."""
    spec = net.preprocessing
    return (spec.scale / np.array(spec.std, net.dtype)).astype(net.dtype).reshape(1, -1, 1, 1)


def sigma(x):
    """Return the norm of a typical picture with as many numbers as each of x (N, C, H, W) has."""
    return SIGMA * x[0].size ** 0.5


def inversion_steps(net, code, layer, *, size=None, starts=1, tv_weight=None, beta=2.0, alpha_weight=8e-10, alpha=6, mask=None,
                    schedule=SCHEDULE, rng=0):
    """Yield an InversionState at the start and after every step, without end: the last learning rate goes on.

    code: Phi_0 (1, ...), as `encode` gives it. size: of the picture, default what the network takes. starts: how many pictures
    to find for the one code, each from its own noise. tv_weight: default 1, 10 or 100 in the network's first, second or last
    third. mask: which numbers of the code count (1) and which do not (0): a channel's, some places'. Raises ShapeError,
    SettingError.
    """
    code, rng = as_array(code).astype(net.dtype, copy=False), np.random.default_rng(rng)
    mask = np.ones_like(code) if mask is None else np.broadcast_to(np.asarray(mask, code.dtype), code.shape)
    tv_weight = default_tv_weight(net, layer) if tv_weight is None else tv_weight
    objective = Objective(net, layer, code, mask, tv_weight, beta, alpha_weight, alpha)
    _check(objective, starts, schedule)
    size = pair("inversion", "size", net.preprocessing.size if size is None else size, 1)
    x = rng.standard_normal((starts, to_network(net).size, *size)).astype(net.dtype)
    x *= sigma(x) / np.linalg.norm(x.reshape(starts, -1), axis=1).reshape(-1, 1, 1, 1)
    before = momentum = None
    for step, lr in enumerate(_rates(schedule)):
        with np.errstate(over="ignore", invalid="ignore"):
            error, loss, gradient = objective(x)
        if not np.isfinite(loss):
            raise SettingError(f"inversion: the loss ran away at step {step}; give a schedule with a smaller learning rate than "
                               f"{lr}")
        yield InversionState(step, _shown(net, x), error, loss, x)
        momentum = (0 if lr != before else 0.9 * momentum) - lr * sigma(x) ** 2 * gradient
        x, before = x + momentum, lr


def inversion(net, code, layer, *, schedule=SCHEDULE, **settings):
    """Return the pictures (starts, H, W, 3) uint8 at the end of the schedule; settings as in `inversion_steps`."""
    steps = sum(count for count, _ in schedule)
    return last(take(steps, inversion_steps(net, code, layer, schedule=schedule, **settings))).images


def default_tv_weight(net, layer):
    """Return 1, 10 or 100 for a layer in the first, second or last third of the network's layers, as the program has it."""
    names = list(net.layers)
    if layer == LOG_PROBABILITIES:
        return 100.0
    net.layer(layer)
    return 10.0 ** (3 * names.index(layer) // len(names))


def _rates(schedule):
    """Yield the learning rate of each step; the last one goes on."""
    for count, lr in schedule:
        yield from itertools.repeat(lr, count)
    yield from itertools.repeat(lr)


def _shown(net, x):
    """Return the pictures (N, H, W, 3) uint8 of x (N, C, H, W)."""
    return np.stack([images.deprocess(one, net.preprocessing) for one in x * to_network(net)])


def _check(objective, starts, schedule):
    """Raise SettingError or ShapeError for what cannot be inverted."""
    net, layer, code = objective.net, objective.layer, objective.code
    if layer != LOG_PROBABILITIES:
        net.layer(layer)
    if not isinstance(starts, Integral) or starts < 1 or not schedule:
        raise SettingError(f"inversion: {starts!r} starts with schedule {schedule!r}, expected a whole number from 1 and pairs "
                           "(steps, learning rate)")
    if len(code) != 1:
        raise ShapeError(f"inversion: the code has shape {code.shape}, expected that of one picture (1, ...)")
    if not objective.norm > 0:
        raise SettingError(f"inversion: the code of layer {layer!r} is all zero where it counts, so there is nothing to go by")
