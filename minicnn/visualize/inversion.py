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

import numpy as np

from .. import images, ops
from ..checks import generator, number, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..nn import Dropout
from ..tensor import Tensor
from .checks import finite, network, picture_size

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
        answer = encode(self.net, p * to_network(self.net), self.layer)
        if answer.shape[1:] != self.code.shape[1:]:
            raise ShapeError(f"inversion: the code has shape {self.code.shape}, pictures of {x.shape[2:]} pixels have codes of "
                             f"{(1, *answer.shape[1:])} at {self.layer!r}; give the size of the picture that it came from")
        difference = (answer - self.code) * self.mask
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
    """Return Phi(x), the Tensor of `layer` for network inputs x (N, C, H, W); LOG_PROBABILITIES is one more layer.

    Of the network's own output, that is: where that is rectified, as SqueezeNet's, a class at 0 has no gradient of its own.
    """
    if layer == LOG_PROBABILITIES:
        return ops.log_softmax(net(x), dim=1)
    return net.activations(x, upto=layer)[layer]


def check_layer(name, net, layer):
    """Raise SettingError or UnknownNameError unless `encode` knows the layer."""
    network(name, net, *() if layer == LOG_PROBABILITIES else (layer,))


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
    to find for the one code, each from its own noise. tv_weight: default 1, 10 or 100, by depth (`default_tv_weight`). mask:
    which numbers of the code count (1) and which do not (0): a channel's, some places'. Raises ShapeError, SettingError.
    """
    check_layer("inversion", net, layer)
    code, rng = finite("inversion", "the code", code).astype(net.dtype, copy=False), generator("inversion", rng)
    tv_weight = default_tv_weight(net, layer) if tv_weight is None else tv_weight
    objective = Objective(net, layer, code, _mask(mask, code), tv_weight, beta, alpha_weight, alpha)
    _check(objective, starts, schedule)
    size = picture_size("inversion", net, size)
    x = rng.standard_normal((starts, to_network(net).size, *size)).astype(net.dtype)
    x *= sigma(x) / np.linalg.norm(x.reshape(starts, -1), axis=1).reshape(-1, 1, 1, 1)
    before = momentum = None
    for step, lr in enumerate(_rates(schedule)):
        with np.errstate(over="ignore", invalid="ignore"):
            error, loss, gradient = objective(x)
        if not np.isfinite(loss):
            raise SettingError(f"inversion: the loss ran away at step {step}; give a schedule with a smaller learning rate than "
                               f"{lr}")
        yield InversionState(step, _shown(net, x), error, loss, x.copy())
        momentum = (0 if lr != before else 0.9 * momentum) - lr * sigma(x) ** 2 * gradient
        x, before = x + momentum, lr


def inversion(net, code, layer, *, schedule=SCHEDULE, **settings):
    """Return the pictures (starts, H, W, 3) uint8 at the end of the schedule; settings as in `inversion_steps`."""
    _check_schedule(schedule)
    steps = sum(count for count, _ in schedule)
    return last(take(steps, inversion_steps(net, code, layer, schedule=schedule, **settings))).images


def default_tv_weight(net, layer):
    """Return 1 for a layer among the first 30 % of the network's, 10 up to 60 %, then 100.

    As the program has it for the 20 layers of CaffeNet, up to relu2, up to relu4, and from conv5 on; dropout and flattening,
    which change nothing in a picture's code, are not counted.
    """
    if layer == LOG_PROBABILITIES:
        return 100.0
    net.layer(layer)
    names = list(net.layers)
    counted = [not isinstance(step, Dropout) and getattr(step, "op", None) is not ops.flatten for step, _ in net.layers.values()]
    share = sum(counted[:names.index(layer) + 1]) / sum(counted)
    return 1.0 if share <= 0.3 else 10.0 if share <= 0.6 else 100.0


def _rates(schedule):
    """Yield the learning rate of each step; the last one goes on."""
    for count, lr in schedule:
        yield from itertools.repeat(lr, count)
    yield from itertools.repeat(lr)


def _shown(net, x):
    """Return the pictures (N, H, W, 3) uint8 of x (N, C, H, W)."""
    return np.stack([images.deprocess(one, net.preprocessing) for one in x * to_network(net)])


def _mask(mask, code):
    """Return which numbers of the code count, as an array like it."""
    mask = np.ones_like(code) if mask is None else finite("inversion", "the mask", mask).astype(code.dtype)
    try:
        return np.broadcast_to(mask, code.shape)
    except ValueError:
        raise ShapeError(f"inversion: the mask has shape {mask.shape}, expected one that fits the code's, {code.shape}") from None


def _check_schedule(schedule):
    """Raise SettingError unless it is pairs of a number of steps and a learning rate."""
    if not isinstance(schedule, (tuple, list)) or not schedule or not all(np.shape(pair) == (2,) for pair in schedule):
        raise SettingError(f"inversion: schedule is {schedule!r}, expected pairs (steps, learning rate), at least one")
    for count, lr in schedule:
        whole_number("inversion", "a number of steps of the schedule", count, 1)
        number("inversion", "a learning rate of the schedule", lr, above=0)


def _check(objective, starts, schedule):
    """Raise SettingError or ShapeError for what cannot be inverted."""
    whole_number("inversion", "starts", starts, 1)
    _check_schedule(schedule)
    for name, least in (("tv_weight", 0), ("alpha_weight", 0), ("beta", 0.1), ("alpha", 1)):
        number("inversion", name, getattr(objective, name), at_least=least)
    if objective.code.ndim < 2 or len(objective.code) != 1:
        raise ShapeError(f"inversion: the code has shape {objective.code.shape}, expected that of one picture (1, ...)")
    if not objective.norm > 0:
        raise SettingError(f"inversion: the code of layer {objective.layer!r} is all zero where it counts, so there is nothing "
                           "to go by")
