"""Class models: the picture that a unit likes best. Slide "Class model visualization", "Optimization to Image".

    argmax over I of  S_c(I) - lambda ||I||^2                 S_c: the score of the class, before the softmax

    1. feed in zeros        2. the gradient of the scores is all zero but for a 1 at the class; backprop to the image
    3. a small image update          4. forward again, and back to 2.

Before the softmax, since the probability also rises when the other scores fall. Instead of the norm alone, Yosinski et al. keep
the picture tidy after every update:

    x <- x + lr g,    x <- (1 - decay) x,    blur a bit,    pixels of small norm -> 0,    pixels that contribute little -> 0

The contribution of a pixel is how much the unit would lose without it, to first order: |sum over channels of g x|. Which settings
look well was found by trying many at random; the four published ones are `PUBLISHED`.
Source: K. Simonyan, A. Vedaldi and A. Zisserman 2014; J. Yosinski et al. 2015, and their program (order of the steps, settings).
"""
from dataclasses import dataclass

import numpy as np

from .. import images
from ..checks import generator, number, whole_number
from ..errors import SettingError
from ..loop import last, take
from ..tensor import Tensor
from .backprop import objective_seed
from .checks import finite, network, picture_size
from .inversion import check_layer, encode, to_network

ANY = 1e8            # a learning rate that leaves the choice to `progress`


@dataclass(frozen=True)
class Settings:
    """How a picture is climbed to and kept tidy; `steps` is how long the published runs took.

    lr: of each step; with `progress`, min(lr, progress / ||g||^2), a step that should raise the unit by so much.
    decay: part of the picture lost at each step. blur: sigma in pixels, every `blur_every` steps. small_norm,
    small_contribution: percentiles; pixels below them are set to zero.
    """
    steps: int = 500
    lr: float = 100.0
    progress: float = 0.0
    decay: float = 0.0
    blur: float = 0.0
    blur_every: int = 4
    small_norm: float = 0.0
    small_contribution: float = 0.0

    def __post_init__(self):
        whole_number("Settings", "steps", self.steps, 1)
        whole_number("Settings", "blur_every", self.blur_every, 1)
        number("Settings", "lr", self.lr, above=0)
        number("Settings", "progress", self.progress, at_least=0)
        number("Settings", "decay", self.decay, at_least=0, at_most=1)
        number("Settings", "blur", self.blur, at_least=0, at_most=images.MAX_SIZE)
        for name in ("small_norm", "small_contribution"):
            number("Settings", f"{name}, a percentile,", getattr(self, name), at_least=0, at_most=100)


PUBLISHED = {1: Settings(500, lr=100.0, progress=2.0, blur=0.5, small_norm=50), 2: Settings(750, decay=0.3, small_norm=20),
             3: Settings(1000, decay=1e-4, blur=1.0),
             4: Settings(1000, lr=ANY, progress=2.0, blur=0.5, small_contribution=90)}


def random_settings(rng):
    """Return Settings drawn at random, wide enough to hold the four published ones; the way these were found."""
    rng = generator("random_settings", rng)

    def sometimes(value):
        return value if rng.random() < 0.5 else 0.0
    progress, lr = sometimes(float(10 ** rng.uniform(-0.5, 1))), float(10 ** rng.uniform(1, 3))
    return Settings(steps=500, lr=ANY if progress and rng.random() < 0.5 else lr, progress=progress,
                    decay=sometimes(float(10 ** rng.uniform(-4.5, -0.5))),
                    blur=sometimes(float(rng.uniform(0.3, 1.5))), blur_every=int(rng.integers(1, 9)),
                    small_norm=sometimes(float(rng.uniform(0, 80))),
                    small_contribution=sometimes(float(rng.uniform(0, 95))))


def simonyan(weight, lr, steps=500):
    """Return the Settings of plain gradient ascent on S_c - weight ||I||^2: x <- x + lr (g - 2 weight x).

    Settings grow first and decay then, (x + lr' g) (1 - decay): the same with decay = 2 lr weight and lr' = lr / (1 - decay).
    """
    lr, weight = number("simonyan", "lr", lr, above=0), number("simonyan", "weight", weight, at_least=0)
    ### BEGIN SOLUTION hw2.5
    decay = 2 * lr * weight
    ### END SOLUTION hw2.5
    if decay >= 1:
        raise SettingError(f"simonyan: weight {weight} and lr {lr} take {decay:g} times the picture off at each step; expected "
                           "2 lr weight below 1")
    return Settings(steps, lr=lr / (1 - decay), decay=decay)


@dataclass(frozen=True)
class ClassModelState:
    """The picture after `step` steps, `image` (H, W, 3) uint8 and x (1, C, H, W), pixels less the mean, and the unit's answer."""
    step: int
    image: np.ndarray
    activation: float
    top: bool                   # whether the unit is the strongest of its layer's channels
    x: np.ndarray


def class_model_steps(net, unit, settings=PUBLISHED[3], *, layer=None, size=None, start="noise", rng=0):
    """Yield a ClassModelState at the start and after every step, without end.

    unit: a class, or with `layer` any unit of it, (channel, row, column) or a channel, whose map is then averaged;
    LOG_PROBABILITIES is one more layer, after the last. start: "noise" of 10 grey levels, "zero" (the mean colour), or x itself
    (1, C, H, W). Raises ShapeError, SettingError, UnknownNameError.
    """
    network("class_model", net)
    layer = net.class_layer if layer is None else layer
    check_layer("class_model", net, layer)
    _check_settings(settings)
    scale, low_high = to_network(net), images.pixel_range(net.preprocessing)
    low, high = (bound / scale for bound in low_high)
    if size is not None and not isinstance(start, str) and np.shape(start)[2:] != picture_size("class_model", net, size):
        raise SettingError(f"class_model: size is {size!r} and start has shape {np.shape(start)}; give one of them, or the same")
    x = _start(start, (1, scale.size, *picture_size("class_model", net, size)), rng)
    step = 0
    while True:
        x = np.clip(x, low, high).astype(net.dtype)
        p = Tensor(x, requires_grad=True)
        activation = encode(net, p * scale, layer)
        seed = objective_seed(activation, unit)
        strengths = activation.data[0].reshape(activation.shape[1], -1)
        channel, value = unit[0] if isinstance(unit, tuple) else unit, float((seed * activation.data).sum())
        top = strengths.mean(axis=1).argmax() if not isinstance(unit, tuple) else strengths.max(axis=1).argmax()
        yield ClassModelState(step, images.deprocess(x * scale, net.preprocessing), value, bool(top == channel), x.copy())
        activation.backward(seed, retain_graph=False)
        x, step = tidied(x, p.grad, settings, step), step + 1


def tidied(x, gradient, settings, step):
    """Return x (1, C, H, W) after one step along the gradient and the settings' tidying, in the published order."""
    ### BEGIN SOLUTION hw2.5
    square = float((gradient.astype(np.float64) ** 2).sum())
    lr = min(settings.lr, settings.progress / max(square, 1e-30)) if settings.progress else settings.lr
    x = (x + lr * gradient) * (1 - settings.decay)
    if settings.blur and step % settings.blur_every == 0:
        x = images.gaussian_blur(x, settings.blur)
    norm = np.sqrt((x ** 2).sum(axis=1, keepdims=True))
    x = x * (norm >= np.percentile(norm, settings.small_norm))
    contribution = np.abs((gradient * x).sum(axis=1, keepdims=True))
    return x * (contribution >= np.percentile(contribution, settings.small_contribution))
    ### END SOLUTION hw2.5


def class_model(net, unit, settings=PUBLISHED[3], **more):
    """Return the ClassModelState in which the unit is strongest, of those of a whole run; `more` as in `class_model_steps`."""
    def best_so_far(states):
        best = None
        for state in states:
            best = state if best is None or state.activation > best.activation else best
            yield best
    _check_settings(settings)
    return last(best_so_far(take(settings.steps, class_model_steps(net, unit, settings, **more))))


def _check_settings(settings):
    """Raise SettingError for what are no Settings."""
    if not isinstance(settings, Settings):
        raise SettingError(f"class_model: settings is {settings!r}, expected Settings(...), simonyan(...) or one of PUBLISHED")


def _start(start, shape, rng):
    """Return where the ascent starts, an array of `shape`."""
    if isinstance(start, str):
        if start not in ("noise", "zero"):
            raise SettingError(f"class_model: start is {start!r}, expected \"noise\", \"zero\" or an array {shape}")
        return generator("class_model", rng).normal(0, 10, shape) if start == "noise" else np.zeros(shape)
    start = finite("class_model", "start", start)
    if start.ndim != 4 or start.shape[:2] != shape[:2]:
        raise SettingError(f"class_model: start has shape {start.shape}, expected {shape[:2]} and a height and width")
    return start
