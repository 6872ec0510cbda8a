"""DeepDream. Slide "DeepDream: set dx = x :)".

    maximise 1/2 ||a||^2 of a layer's activations a:  the gradient with respect to a is a itself
    x <- x + step_size / mean|g| * g,      g = d(1/2 ||a||^2) / dx

Whatever the layer sees a little of, it is shown more of. The picture is shifted at random by up to `jitter` pixels
before each step (a regulariser), and grown octave by octave, so that the same features appear at several sizes.
"""
import itertools
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .. import images
from ..errors import ImageError, SettingError
from ..loop import last, take
from ..tensor import Tensor


@dataclass(frozen=True)
class DreamState:
    """`image` (H, W, 3) uint8 after `step` steps in all, in octave `octave`; `loss` = 1/2 ||a||^2 per activation before it."""
    step: int
    octave: int
    image: np.ndarray
    loss: float
    src: np.ndarray             # the network's input (1, C, H, W) float32


def objective_L2(dst):
    """Return the gradient of 1/2 ||dst||^2 with respect to dst: dst itself."""
    return dst


def make_step(net, src, end, *, step_size=1.5, jitter=32, clip=True, objective=objective_L2, rng):
    """Return (new src, loss): one gradient ascent step on `src` (1, C, H, W), the slide's make_step.

    The slide's network takes pixels of 0..255 less a mean; other networks scale them, so step_size, in pixel values, is
    brought to the network's units by (high - low) / 255. `objective` maps the activations of layer `end` to the gradient
    to send back. rng: a Generator, which moves on, or a seed.
    """
    if not isinstance(jitter, Integral) or jitter < 0:
        raise SettingError(f"deepdream: jitter is {jitter!r}, expected a number of pixels, 0 or more")
    net.layer(end)
    low, high = images.pixel_range(net.preprocessing)
    ox, oy = np.random.default_rng(rng).integers(-jitter, jitter + 1, 2)
    src = images.jitter(src, oy, ox)                                    # apply jitter shift

    x = Tensor(src, requires_grad=True)
    dst = net.activations(x, upto=end)[end]
    dst.backward(objective(dst.data))                                   # specify the optimization objective
    g = x.grad
    # apply normalized ascent step to the input image
    src = src + step_size * (high - low) / 255 * g / max(np.abs(g).mean(), 1e-30)

    src = images.jitter(src, -oy, -ox)                                  # unshift image
    if clip:
        src = np.clip(src, low, high)
    return src.astype(np.float32), 0.5 * float(np.mean(np.square(dst.data, dtype=np.float64)))


def deepdream_steps(net, image, layer, *, octaves=1, octave_scale=1.4, steps=10, clip=True, rng, **settings):
    """Slide "DeepDream": yield a DreamState at the start and after every step, without end.

    With several `octaves` the first of them are smaller by octave_scale each and get `steps` steps; the last has the
    picture's own size and goes on. The detail that an octave has dreamt up is enlarged and added to the photograph at the
    next size; sizes are changed bilinearly (shrinking averages). `settings` are those of `make_step`.
    """
    rng = np.random.default_rng(rng)
    whole = net.preprocess(image, whole=True).data
    sizes = _octave_sizes(whole.shape[2:], octaves, octave_scale, steps)
    detail, step = 0, 0
    for octave, size in enumerate(sizes):
        base = _resize_planes(whole, size)
        src = base if octave == 0 else base + _resize_planes(detail, size)
        if octave == 0:
            yield DreamState(0, 0, _shown(net, src, clip), np.nan, src.copy())
        for _ in range(steps) if octave + 1 < octaves else itertools.count():
            src, loss = make_step(net, src, layer, clip=clip, rng=rng, **settings)
            step += 1
            yield DreamState(step, octave, _shown(net, src, clip), loss, src.copy())
        detail = src - base


def deepdream(net, image, layer, *, octaves=4, octave_scale=1.4, steps=10, rng=0, **settings):
    """Return the dreamt picture (H, W, 3) uint8: `steps` steps of `deepdream_steps` in each octave."""
    states = deepdream_steps(net, image, layer, octaves=octaves, octave_scale=octave_scale, steps=steps, rng=rng, **settings)
    return last(take(octaves * steps, states)).image


def _octave_sizes(size, octaves, octave_scale, steps):
    """Return the octaves' (height, width), the smallest first."""
    if not isinstance(octaves, Integral) or not isinstance(steps, Integral) or octaves < 1 or steps < 0 or octave_scale <= 1:
        raise SettingError(f"deepdream: {octaves} octaves of scale {octave_scale} with {steps} steps each, expected whole "
                           "numbers from 1 and from 0, and a scale above 1")
    sizes = [tuple(round(n / octave_scale ** k) for n in size) for k in range(octaves)][::-1]
    if min(sizes[0]) < 32:
        raise ImageError(f"deepdream: the smallest of {octaves} octaves is {sizes[0][0]}x{sizes[0][1]} pixels, expected at "
                         "least 32; give a larger picture, fewer octaves or a smaller octave_scale")
    return sizes


def _shown(net, src, clip):
    """Return the picture of `src`; unclipped pixels are scaled so that all but the 0.02 % brightest fit into 0..255."""
    low, high = images.pixel_range(net.preprocessing)
    if not clip:
        share = (src - low) / (high - low)
        src = low + share / max(np.percentile(share, 99.98), 1e-30) * (high - low)
    return images.deprocess(src, net.preprocessing)


def _resize_planes(x, size):
    """Resize x (1, C, h, w) to (1, C, *size), bilinear."""
    planes = images.resize(x[0].transpose(1, 2, 0), size, "bilinear")
    return np.ascontiguousarray(planes.reshape(*size, -1).transpose(2, 0, 1)[None])
