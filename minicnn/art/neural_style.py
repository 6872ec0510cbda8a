"""Neural style: the content of one picture, painted in the style of another. Slides "NeuralStyle", "Neural Style Transfer".

The picture x that makes the perceptual loss (perceptual_loss.py) of a photograph and a painting least is looked for by L-BFGS or
Adam; only x is changed, the network stays. Several paintings are mixed by a weighted average of their Gram matrices. Source: L.
Gatys, A. Ecker and M. Bethge, CVPR 2016; J. Johnson's neural-style (settings; mixing; colours).
"""
import copy
import itertools
from dataclasses import dataclass, replace

import numpy as np

from .. import images, ops
from ..checks import generator, number, one_of, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..nn import AvgPool2d, Function
from ..optim import Adam, lbfgs_steps
from ..tensor import Tensor
from ..visualize.checks import finite, network
from ..visualize.inversion import to_network
from .perceptual_loss import PerceptualLoss, answers, gram_matrices, sized, weights_of_layers

SMALLEST = 32               # pixels of the first stage
# style_weight and start, where they are not given; chosen by looking, on three paintings each at 240 to 320 pixels. SqueezeNet
# paints from noise within 70 steps, with less of the photograph's colours. VGG is still grey after 100 steps from noise; from the
# photograph it has the painting's colours and strokes by then, if the style weighs 30 or more; 10 leaves a photograph.
USUAL, OTHERWISE = {"vgg16": (30.0, "content"), "vgg19": (30.0, "content")}, (2.0, "noise")


@dataclass(frozen=True)
class StyleState:
    """The picture after `step` steps, `image` (H, W, 3) uint8; L, and its content and style parts before their weights.

    Of a part with weight 0 nothing is known; it counts as 0.
    """
    step: int
    image: np.ndarray
    loss: float
    content: float
    style: float
    x: np.ndarray               # (1, C, H, W), pixels less the mean


def neural_style_steps(net, content, style, *, size=256, content_weight=1.0, style_weight=None, tv_weight=1.0, layers=None,
                       mix=None, style_scale=1.0, pooling="max", relative=True, start=None, optimizer="lbfgs", lr=5.0,
                       rng=0):
    """Yield a StyleState at the start and after every step: by Adam without end, by L-BFGS as long as L falls.

    content: a picture (what net.preprocess takes); style: one, or a list of them with `mix`, their weights. size: of the longer
    side, of the result and, times style_scale, of the paintings. layers: (content layers, style layers), each a list of names
    or a dict name -> weight. pooling: "max", or "avg" as in the paper. start: "content", "noise", a picture, or the StyleState of
    an earlier run, to go on. optimizer: "lbfgs", or "adam" with its lr in grey levels. Without style_weight, start and layers:
    what looked best with that network, USUAL and perceptual_loss.LAYERS. Raises SettingError, ShapeError, UnknownNameError,
    ImageError.
    """
    network("neural_style", net)
    style_weight, start = (usual if given is None else given for given, usual in zip(
        (style_weight, start), USUAL.get(net.architecture, OTHERWISE)))
    rng = check_descent("neural_style", optimizer, lr, rng)
    if not isinstance(start, StyleState) and not (isinstance(start, str) and start in ("content", "noise")):
        start = images.load_image(start)
    x, objective = prepare(net, content, style, size=size, weights=(content_weight, style_weight, tv_weight), layers=layers,
                           mix=mix, style_scale=style_scale, pooling=pooling, relative=relative)
    x, done = _start(net, start, x, rng), start.step if isinstance(start, StyleState) else 0
    for step, x, loss in descend(objective, x, optimizer, lr):
        found = [part / max(weight, 1e-30) for part, weight in zip(objective.parts, (content_weight, style_weight))]
        yield StyleState(done + step, images.deprocess(x * to_network(net), net.preprocessing), loss, *found, x.copy())


def neural_style(net, content, style, steps=200, **settings):
    """Return the picture (H, W, 3) uint8 after so many steps; settings as in `neural_style_steps`."""
    whole_number("neural_style", "steps", steps, 0)
    return last(take(steps, neural_style_steps(net, content, style, **settings))).image


def coarse_to_fine_steps(net, content, style, *, size=512, stages=2, steps=150, start=None, **settings):
    """Yield the StyleStates of a run on a small picture, then of one from its result, enlarged to twice the size, and so on.

    A network sees so many pixels across and no more: strokes laid when the picture is small become broad ones, and the large
    picture only adds the fine ones. steps: of each of the `stages` but the last, which has the whole `size` and goes on without
    end. Other arguments as in neural_style_steps.
    """
    size, stages, steps = (whole_number("neural_style", name, value, 1) for name, value in (
        ("size", size), ("stages", stages), ("steps", steps)))
    most = max(1, (size // SMALLEST).bit_length())
    whole_number("neural_style", f"stages, to begin with at least {SMALLEST} pixels,", stages, 1, most)
    done = 0
    for stage in range(stages):
        states = neural_style_steps(net, content, style, size=round(size / 2 ** (stages - 1 - stage)), start=start, **settings)
        states = states if stage + 1 == stages else take(steps, states)
        for state in states if stage == 0 else itertools.islice(states, 1, None):
            yield replace(state, step=done + state.step)
        done, start = done + state.step, state.image


def prepare(net, content, style, *, size, weights, layers=None, mix=None, style_scale=1.0, pooling="max", relative=True):
    """Return (the photograph x (1, C, H, W), pixels less the mean; the PerceptualLoss); arguments as in `neural_style_steps`."""
    content_weight, style_weight, tv_weight = (number("neural_style", name, value, at_least=0) for name, value in zip(
        ("content_weight", "style_weight", "tv_weight"), weights))
    content_layers, style_layers = weights_of_layers("neural_style", net, layers)
    looking = with_average_pooling(net) if one_of("pooling", pooling, ("max", "avg")) == "avg" else net
    x = sized(net, content, whole_number("neural_style", "size", size, 32, images.MAX_SIZE))
    side = round(size * number("neural_style", "style_scale", style_scale, above=0, at_most=images.MAX_SIZE))
    whole_number("neural_style", "size x style_scale", side, 32, images.MAX_SIZE)
    paintings = style if isinstance(style, (list, tuple)) else [style]
    shares = _shares(mix, len(paintings))
    grams = [gram_matrices(looking, sized(net, painting, side), style_layers) for painting in paintings]
    photograph = {name: (P, content_weight * content_layers[name]) for name, P in answers(looking, x, content_layers).items()}
    mixed = {name: (sum(share * of[name] for share, of in zip(shares, grams)), style_weight * weight)
             for name, weight in style_layers.items()}
    return x, PerceptualLoss(looking, photograph, mixed, tv_weight, relative)


def with_average_pooling(net):
    """Return the network with an average in place of each maximum over a window, as the paper has it; it shares the weights.

    Gradients flow to all pixels then, and pictures get smoother.
    """
    pooled = copy.copy(net)
    pooled.layers = {name: (_averaging(layer), inputs) for name, (layer, inputs) in net.layers.items()}
    return pooled


def with_colours_of(image, photograph):
    """Return `image` (H, W, 3) uint8 with its brightness, Y, and the colours, U and V, of a photograph of that size."""
    from PIL import Image
    image, photograph = (images.load_image(picture) for picture in (image, photograph))
    if np.shape(image) != np.shape(photograph):
        raise ShapeError(f"with_colours_of: pictures of shapes {np.shape(image)} and {np.shape(photograph)}, expected one shape")
    bright, (_, u, v) = Image.fromarray(image).convert("YCbCr").split()[0], Image.fromarray(photograph).convert("YCbCr").split()
    return np.array(Image.merge("YCbCr", (bright, u, v)).convert("RGB"))


def _averaging(layer):
    if not isinstance(layer, Function) or layer.op is not ops.max_pool2d:
        return layer
    return AvgPool2d(**{key: value for key, value in layer.settings.items() if key != "return_indices"})


def _shares(mix, count):
    """Return the weights of the paintings, with sum 1."""
    shares = finite("neural_style", "mix", np.ones(count) if mix is None else mix)
    if shares.shape != (count,) or count < 1 or (shares < 0).any() or not shares.sum() > 0:
        raise SettingError(f"neural_style: mix is {mix!r} for {count} paintings, expected as many numbers, 0 or more, not all 0")
    return [float(share) for share in shares / shares.sum()]


def _start(net, start, x, rng):
    """Return where the picture starts, like the photograph x."""
    if isinstance(start, StyleState):
        if np.shape(start.x) != x.shape:
            raise ShapeError(f"neural_style: the run to go on with has pictures {np.shape(start.x)}, expected {x.shape}; give "
                             "the same photograph and size")
        return np.asarray(start.x, x.dtype)
    if isinstance(start, str):
        return x.copy() if start == "content" else rng.normal(0, 40, x.shape).astype(x.dtype)
    return net.preprocess(images.resize(start, x.shape[2:]), whole=True).data / to_network(net)


def check_descent(what, optimizer, lr, rng):
    """Check the settings of `descend`; return the Generator of the random state."""
    one_of("optimizer", optimizer, ("lbfgs", "adam"))
    number(what, "lr", lr, above=0)
    return generator(what, rng)


def descend(objective, x, optimizer, lr):
    """Yield (step, x, L) at the start and after every step of "lbfgs", or "adam" with its lr in grey levels."""
    if optimizer == "lbfgs":
        for step, state in enumerate(lbfgs_steps(objective, x)):
            yield step, state.x.astype(x.dtype), state.loss
        return
    p = Tensor(x.copy(), requires_grad=True)
    adam = Adam({"x": p}, lr=lr)
    for step in itertools.count():
        loss, p.grad = objective(p.data)
        yield step, p.data.copy(), loss
        adam.step()
