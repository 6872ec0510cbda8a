"""DeepDream. Slide "DeepDream: set dx = x :)".

    maximise 1/2 ||a||^2 of a layer's activations a:  the gradient with respect to a is a itself
    x <- x + step_size / mean|g| * g,      g = d(1/2 ||a||^2) / dx

Whatever the layer sees a little of, it is shown more of. The picture is shifted at random by up to `jitter` pixels
before each step (a regulariser), and grown octave by octave, so that the same features appear at several sizes.
"""
from dataclasses import dataclass

import numpy as np

from .. import images
from ..errors import ImageError, MinicnnError
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
    """Return (new src, loss): one gradient ascent step on `src` (1, C, H, W), line for line the slide's.

    step_size is in pixel values 0..255; `objective` maps the activations of layer `end` to the gradient to send back.
    """
    if jitter < 0:
        raise MinicnnError(f"deepdream: jitter is {jitter}, expected a number of pixels, 0 or more")
    low, high = images.pixel_range(net.preprocessing)
    ox, oy = rng.integers(-jitter, jitter + 1, 2)
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


def deepdream_steps(net, image, layer, *, step_size=1.5, jitter=32, clip=True, objective=objective_L2, rng):
    """Slide "DeepDream": yield a DreamState per step at the picture's own size, without end; step 0 is the start."""
    rng = np.random.default_rng(rng)
    src = net.preprocess(image, whole=True).data
    step, loss = 0, np.nan
    while True:
        yield DreamState(step, 0, images.deprocess(src, net.preprocessing), loss, src.copy())
        src, loss = make_step(net, src, layer, step_size=step_size, jitter=jitter, clip=clip, objective=objective, rng=rng)
        step += 1


def octave_steps(net, image, layer, *, octaves=4, octave_scale=1.4, steps=10, rng, **settings):
    """Yield a DreamState per step over all octaves, the smallest first; `settings` are those of `make_step`.

    The detail that an octave has dreamt up is enlarged and added to the next larger version of the photograph.
    """
    if octaves < 1 or steps < 0 or octave_scale <= 1:
        raise MinicnnError(f"deepdream: {octaves} octaves of scale {octave_scale} with {steps} steps, expected at least 1, "
                           "more than 1 and at least 0")
    rng = np.random.default_rng(rng)
    image = images.load_image(image)
    height, width = image.shape[:2]
    sizes = [(round(height / octave_scale ** k), round(width / octave_scale ** k)) for k in range(octaves)][::-1]
    if min(sizes[0]) < 32:
        raise ImageError(f"deepdream: the smallest of {octaves} octaves is {sizes[0][0]}x{sizes[0][1]} pixels, expected at "
                         "least 32; give a larger picture, fewer octaves or a smaller octave_scale")
    low, high = images.pixel_range(net.preprocessing)
    detail, step = None, 0
    for octave, size in enumerate(sizes):
        base = net.preprocess(images.resize(image, size), whole=True).data
        src = base if detail is None else base + _resize_planes(detail, size)
        loss = np.nan
        for done in range(steps + 1):
            if step == 0 or done > 0:
                yield DreamState(step, octave, images.deprocess(np.clip(src, low, high), net.preprocessing), loss, src.copy())
            if done < steps:
                src, loss = make_step(net, src, layer, rng=rng, **settings)
                step += 1
        detail = src - base


def deepdream(net, image, layer, *, octaves=4, octave_scale=1.4, steps=10, rng=0, **settings):
    """Return the dreamt picture (H, W, 3) uint8: the last state of `octave_steps`."""
    return last(octave_steps(net, image, layer, octaves=octaves, octave_scale=octave_scale, steps=steps, rng=rng,
                             **settings)).image


def dream_at_one_size(net, image, layer, *, steps=10, rng=0, **settings):
    """Return the picture after `steps` of `deepdream_steps`, without octaves."""
    return last(take(steps, deepdream_steps(net, image, layer, rng=rng, **settings))).image


def _resize_planes(x, size):
    """Resize x (1, C, h, w) to (1, C, *size), bilinear."""
    planes = images.resize(x[0].transpose(1, 2, 0), size, "bilinear")
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[None])
