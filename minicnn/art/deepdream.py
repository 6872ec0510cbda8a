"""DeepDream. Slide "DeepDream: set dx = x :)".

    maximise 1/2 ||a||^2 of a layer's activations a:  the gradient with respect to a is a itself
    x <- x + step_size / mean|g| * g,      g = d(1/2 ||a||^2) / dx

Whatever the layer sees a little of, it is shown more of. The picture is shifted at random by up to `jitter` pixels
before each step (a regulariser), and grown octave by octave, so that the same features appear at several sizes.

With a guide, another picture, the layer is shown more of what it sees there: at each place the gradient with respect to a is the
guide's feature column that is most like a, by the inner product. A picture too large for the memory is looked at in tiles; the
random shift, round the borders, puts their seams elsewhere each time.

In the published notebook the activations of inception_3b/5x5_reduce are those before the ReLU, for there the ReLU is a layer of
its own, so that what is negative is made more negative; `pre_relu=True` does so with any layer. Source: A. Mordvintsev, C. Olah
and M. Tyka 2015, their notebook.
"""
import itertools
from dataclasses import dataclass

import numpy as np

from .. import images, ops, tape
from ..checks import generator, number, started, whole_number
from ..errors import ImageError, SettingError, ShapeError
from ..loop import last, take
from ..nn import Concat, Function
from ..tensor import Tensor
from ..visualize.checks import array, network
from .perceptual_loss import last_of


MOST_OCTAVES = 64
GUIDE, AT_ONCE = 512, 4096          # pixels of a guide's longer side; places that are compared with its at a time


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
    ### BEGIN SOLUTION hw4.1
    return dst
    ### END SOLUTION hw4.1


def objective_guide(features):
    """Return an objective: for each place the column of `features` (1, C, H, W), a guide's, most like what is there."""
    y = features.reshape(features.shape[1], -1)                             # (C, places of the guide)

    def objective(dst):
        columns = dst.reshape(dst.shape[1], -1).T
        best = [(columns[k:k + AT_ONCE] @ y).argmax(axis=1) for k in range(0, len(columns), AT_ONCE)]
        return y[:, np.concatenate(best)].reshape(dst.shape)
    return objective


def make_step(net, src, end, *, step_size=1.5, jitter=32, clip=True, objective=objective_L2, tile=None, rng):
    """Return (new src, loss): one gradient ascent step on `src` (1, C, H, W), the slide's make_step.

    The slide's network takes pixels of 0..255 less a mean; other networks scale them, so step_size, in pixel values, is
    brought to the network's units by (high - low) / 255. end: a layer, or a dict layer -> weight. `objective` maps the
    activations of a layer to the gradient to send back; or a dict layer -> objective. tile: pixels of the pieces that a large
    picture is looked at in; the shift then is up to as many. rng: a Generator, which moves on, or a seed. The loss is
    1/2 ||a||^2 per activation.
    """
    src, step_size = array("deepdream", "src", src), number("deepdream", "step_size", step_size)
    if src.ndim != 4 or len(src) != 1 or not np.isfinite(src).all():
        raise ShapeError(f"deepdream: src has shape {src.shape}, expected one picture (1, C, H, W), finite, as "
                         "net.preprocess(..., whole=True).data is")
    jitter = whole_number("deepdream", "jitter", jitter, 0, images.MAX_SIZE)
    if tile is not None and max(src.shape[2:]) <= whole_number("deepdream", "tile", tile, 32):
        tile = None
    low, high = images.pixel_range(net.preprocessing)
    ### BEGIN SOLUTION hw4.1
    ox, oy = generator("deepdream", rng).integers(-(tile or jitter), (tile or jitter) + 1, 2)
    src = images.jitter(src, oy, ox)                                    # apply jitter shift

    ends, g, loss = _ends(net, end), np.empty_like(src), np.zeros(2)
    _check_objective(objective, ends)
    for rows, columns in _tiles(src.shape[2:], tile):
        x = Tensor(np.ascontiguousarray(src[:, :, rows, columns], net.dtype), requires_grad=True)
        acts = net.activations(x, upto=last_of(net, ends))
        loss += _backward(acts, ends, objective)                        # specify the optimization objective
        g[:, :, rows, columns] = x.grad
    # apply normalized ascent step to the input image
    src = src + step_size * (high - low) / 255 * g / max(np.abs(g).mean(), 1e-30)

    src = images.jitter(src, -oy, -ox)                                  # unshift image
    if clip:
        src = np.clip(src, low, high)
    ### END SOLUTION hw4.1
    return src.astype(np.float32, copy=False), float(loss[0] / loss[1])


def _check_objective(objective, ends):
    missing = [name for name in ends if not callable(objective.get(name) if isinstance(objective, dict) else objective)]
    if missing:
        raise SettingError(f"deepdream: the objective of layer {missing[0]!r} is no function, expected one of the activations, "
                           "such as objective_L2, or a dict with one for each layer")


def _backward(acts, ends, objective):
    """Send each layer's objective back, by its weight; return (1/2 ||a||^2, activations) of all of them."""
    total, loss = 0, np.zeros(2)
    for name, weight in ends.items():
        dst = acts[name]
        diff = (objective[name] if isinstance(objective, dict) else objective)(dst.data)        # dst.diff[:] = objective(dst)
        total = total + (dst * (weight * diff)).sum()
        loss += 0.5 * weight * float(np.sum(np.square(dst.data, dtype=np.float64))), dst.data.size
    total.backward(retain_graph=False)
    return loss


def _ends(net, end):
    """Return layer -> weight of a layer's name, of names, or of such a dict."""
    names = end if isinstance(end, (dict, list, tuple)) else [end]
    ends = end if isinstance(end, dict) else dict.fromkeys(names, 1.0) if all(isinstance(name, str) for name in names) else {}
    if not ends:
        raise SettingError(f"deepdream: there is no layer to dream with, given is {end!r}, expected a name, or a dict name -> "
                           "weight")
    for name in ends:
        net.layer(name)
    return {name: number("deepdream", f"the weight of layer {name!r}", weight) for name, weight in ends.items()}


def before_relu(net, end):
    """Return layer -> weight of what the ReLUs get that are, or feed, the layers given; layers without ReLUs stay."""
    found = {}
    for name, weight in _ends(net, end).items():
        layer, inputs = net.layers[name]
        rectified = isinstance(layer, Function) and layer.op is ops.relu
        taps = (before_relu(net, dict.fromkeys(inputs, weight)) if isinstance(layer, Concat) else
                {inputs[0] if rectified else name: weight})
        for tap, share in taps.items():
            found[tap] = found.get(tap, 0.0) + share
    return found


def _tiles(size, tile):
    """Yield (rows, columns), slices that cut a picture into equal pieces of at most tile x tile pixels; one without `tile`."""
    cuts = [np.linspace(0, n, (-(-n // tile) if tile else 1) + 1).astype(int) for n in size]
    for top, bottom in zip(cuts[0], cuts[0][1:]):
        for left, right in zip(cuts[1], cuts[1][1:]):
            yield slice(top, bottom), slice(left, right)


def deepdream_steps(net, image, layer, *, octaves=1, octave_scale=1.4, steps=10, clip=True, pre_relu=False, guide=None, rng,
                    start=None, **settings):
    """Slide "DeepDream": yield a DreamState at the start and after every step, without end.

    layer: a name, or a dict name -> weight. With several `octaves` the first of them are smaller by octave_scale each and get
    `steps` steps; the last has the picture's own size and goes on. The detail that an octave has dreamt up is enlarged and added
    to the photograph at the next size; sizes are changed bilinearly (shrinking averages). pre_relu: take the activations before
    their ReLU. guide: a picture to dream of. start: the DreamState of an earlier run, to go on. `settings` are those of
    `make_step`.
    """
    network("deepdream", net)
    started("deepdream", start, DreamState)
    rng, ends = generator("deepdream", rng), before_relu(net, layer) if pre_relu else _ends(net, layer)
    if guide is not None:
        settings["objective"] = guided_by(net, guide, ends)
    whole = net.preprocess(image, whole=True).data
    sizes = _octave_sizes(whole.shape[2:], octaves, octave_scale, steps)
    if start is None:
        src = _resize_planes(whole, sizes[0])
        start = DreamState(0, 0, _shown(net, src, clip), np.nan, src.copy())
    elif start.octave >= octaves or start.src.shape[2:] != sizes[start.octave]:
        raise SettingError(f"deepdream: the run to go on with has {start.src.shape[2:]} pixels in octave {start.octave}, "
                           f"expected one of {sizes}; give the same picture and octaves")
    yield start
    ### BEGIN SOLUTION hw4.2
    src, step, detail = start.src, start.step, 0
    for octave, size in list(enumerate(sizes))[start.octave:]:
        base = _resize_planes(whole, size)
        src = src if octave == start.octave else base + _resize_planes(detail, size)
        for _ in range(max(0, (octave + 1) * steps - step)) if octave + 1 < octaves else itertools.count():
            src, loss = make_step(net, src, ends, clip=clip, rng=rng, **settings)
            step += 1
            yield DreamState(step, octave, _shown(net, src, clip), loss, src.copy())
        detail = src - base
    ### END SOLUTION hw4.2


def guided_by(net, guide, end):
    """Return layer -> objective_guide of what the layers see in a picture, brought to GUIDE pixels if it is larger."""
    guide, ends = images.load_image(guide), _ends(net, end)
    guide = images.resize_longer(guide, GUIDE) if max(guide.shape[:2]) > GUIDE else guide
    with tape.no_grad():
        acts = net.activations(net.preprocess(guide, whole=True).data, upto=last_of(net, ends))
    return {name: objective_guide(acts[name].data) for name in ends}


def zoom_steps(net, image, layer, *, zoom=0.05, rng=0, **settings):
    """Yield picture after picture (H, W, 3) uint8, without end: dream, go a little into the picture, dream on.

    zoom: by how much each picture is enlarged around its middle, 0.05: 5 %. `settings` are those of `deepdream`.
    """
    zoom = number("deepdream", "zoom", zoom, above=0, at_most=1)
    rng, picture = generator("deepdream", rng), images.load_image(image)
    while True:
        picture = deepdream(net, picture, layer, rng=rng, **settings)
        yield picture
        picture = zoomed(picture, zoom)


def zoomed(picture, zoom):
    """Return a picture (H, W, 3) uint8 enlarged by 1 + zoom around its middle, bilinear, of the same size as before."""
    from PIL import Image
    picture, zoom = images.load_image(picture), number("deepdream", "zoom", zoom, above=0, at_most=1)
    shares = [n * zoom / 2 / (1 + zoom) for n in picture.shape[:2]]
    box = shares[1], shares[0], picture.shape[1] - shares[1], picture.shape[0] - shares[0]
    return np.asarray(Image.fromarray(picture).resize(picture.shape[1::-1], Image.Resampling.BILINEAR, box))


def deepdream(net, image, layer, *, octaves=4, octave_scale=1.4, steps=10, rng=0, **settings):
    """Return the dreamt picture (H, W, 3) uint8: `steps` steps of `deepdream_steps` in each octave."""
    whole_number("deepdream", "octaves", octaves, 1, MOST_OCTAVES)
    whole_number("deepdream", "steps", steps, 0)
    states = deepdream_steps(net, image, layer, octaves=octaves, octave_scale=octave_scale, steps=steps, rng=rng, **settings)
    return last(take(octaves * steps, states)).image


def _octave_sizes(size, octaves, octave_scale, steps):
    """Return the octaves' (height, width), the smallest first."""
    whole_number("deepdream", "octaves", octaves, 1, MOST_OCTAVES)
    whole_number("deepdream", "steps", steps, 0)
    number("deepdream", "octave_scale", octave_scale, above=1, at_most=64)
    ### BEGIN SOLUTION hw4.2
    sizes = [tuple(round(n / octave_scale ** k) for n in size) for k in range(octaves)][::-1]
    ### END SOLUTION hw4.2
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
