"""Neural style: the content of one picture, painted in the style of another. Slides "NeuralStyle", "Neural Style Transfer".

    L(x) = content_weight sum_l c_l L_content^l(x) + style_weight sum_l s_l L_style^l(x) + tv_weight TV(x) / (255^2 H W)
    L_content^l = ||F - P||^2 / ||P||^2           F, P: what layer l answers to x and to the photograph
    L_style^l = ||G - A||^2 / ||A||^2             G, A: Gram matrices of F and of l's answer to the painting

A Gram matrix says which features appear together and not where: brush strokes, colours, swirls, whatever is everywhere. Only x
is changed, by L-BFGS or Adam; the network stays. Several paintings are mixed by a weighted average of their Gram matrices.

The paper has 1/2 ||F - P||^2 and ||G - A||^2 / (4 N^2 M^2), and weights to balance what comes out of VGG-19; `relative=False`
takes these. Divided by what the target has, all layers of all networks come out alike and can have the same weights. Source: L.
Gatys, A. Ecker and M. Bethge, CVPR 2016; J. Johnson's neural-style (settings; mixing; colours).
"""
import copy
from dataclasses import dataclass

import numpy as np

from .. import images, ops, tape
from ..checks import generator, number, one_of, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..nn import AvgPool2d, Function
from ..optim import Adam, lbfgs_steps
from ..tensor import Tensor
from ..visualize.checks import finite, network
from ..visualize.inversion import to_network

# Which layers: early ones for the brush, later ones for larger pieces; content from the middle, where pixels are forgotten.
LAYERS = {"squeezenet1_1": (("fire3/concat",), ("relu_conv1", "fire2/concat", "fire4/concat", "fire5/concat", "fire6/concat")),
          "vgg16": (("relu4_2",), ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"))}
LAYERS["vgg19"] = LAYERS["vgg16"]


@dataclass(frozen=True)
class StyleState:
    """The picture after `step` steps, `image` (H, W, 3) uint8; L, and its content and style parts before their weights."""
    step: int
    image: np.ndarray
    loss: float
    content: float
    style: float
    x: np.ndarray               # (1, C, H, W), pixels less the mean


class Objective:
    """L for a network and its targets; calling it with x (1, C, H, W) returns (L, dL/dx) and leaves `parts` (content, style).

    content, style: layer -> (target array, weight).
    """

    def __init__(self, net, content, style, tv_weight, relative=True):
        self.net, self.tv_weight, self.parts = net, tv_weight, None
        self.upto = max([*content, *style], key=list(net.layers).index)
        self.content, self.style = _scaled(content, relative, 1 / 2), _scaled(style, relative, 1 / 4)

    def __call__(self, x):
        p = Tensor(np.asarray(x, self.net.dtype), requires_grad=True)
        maps = self.net.activations(p * to_network(self.net), upto=self.upto)
        content = sum(((maps[name] - P) ** 2).sum() * weight for name, (P, weight) in self.content.items())
        style = sum(((ops.gram_matrix(maps[name], normalize=True) - A) ** 2).sum() * weight
                    for name, (A, weight) in self.style.items())
        smooth = ops.total_variation(p) * (self.tv_weight / (255 ** 2 * x.shape[2] * x.shape[3]))
        loss = content + style + smooth
        loss.backward(retain_graph=False)
        self.parts = tuple(value.item() if isinstance(value, Tensor) else 0.0 for value in (content, style))
        return loss.item(), p.grad


def _scaled(targets, relative, factor):
    """Return layer -> (target, weight) with the weights divided by what the target has, or times the paper's factor."""
    return {name: (target, weight / max(float((target ** 2).sum()), 1e-30) if relative else weight * factor)
            for name, (target, weight) in targets.items()}


def neural_style_steps(net, content, style, *, size=256, content_weight=1.0, style_weight=2.0, tv_weight=1.0, layers=None,
                       mix=None, style_scale=1.0, pooling="max", relative=True, start="noise", optimizer="lbfgs", lr=5.0,
                       rng=0):
    """Yield a StyleState at the start and after every step, without end.

    content: a picture (what net.preprocess takes); style: one, or a list of them with `mix`, their weights. size: of the longer
    side, of the result and, times style_scale, of the paintings. layers: (content layers, style layers), each a list of names
    or a dict name -> weight. pooling: "max", or "avg" as in the paper. start: "content", "noise", or a picture. optimizer:
    "lbfgs", or "adam" with its lr in grey levels. Raises SettingError, ShapeError, UnknownNameError, ImageError.
    """
    network("neural_style", net)
    x, objective = prepare(net, content, style, size=size, weights=(content_weight, style_weight, tv_weight), layers=layers,
                           mix=mix, style_scale=style_scale, pooling=pooling, relative=relative)
    x = _start(net, start, x, generator("neural_style", rng))
    one_of("optimizer", optimizer, ("lbfgs", "adam"))
    for step, (x, loss) in enumerate(_lbfgs(objective, x) if optimizer == "lbfgs" else
                                     _adam(objective, x, number("neural_style", "lr", lr, above=0))):
        found = [part / max(weight, 1e-30) for part, weight in zip(objective.parts, (content_weight, style_weight))]
        yield StyleState(step, images.deprocess(x * to_network(net), net.preprocessing), loss, *found, x.copy())


def neural_style(net, content, style, steps=200, **settings):
    """Return the picture (H, W, 3) uint8 after so many steps; settings as in `neural_style_steps`."""
    whole_number("neural_style", "steps", steps, 0)
    return last(take(steps, neural_style_steps(net, content, style, **settings))).image


def prepare(net, content, style, *, size, weights, layers=None, mix=None, style_scale=1.0, pooling="max", relative=True):
    """Return (the photograph x (1, C, H, W), pixels less the mean; the Objective); arguments as in `neural_style_steps`."""
    content_weight, style_weight, tv_weight = (number("neural_style", name, value, at_least=0) for name, value in zip(
        ("content_weight", "style_weight", "tv_weight"), weights))
    content_layers, style_layers = _layers(net, layers)
    looking = with_average_pooling(net) if one_of("pooling", pooling, ("max", "avg")) == "avg" else net
    x, side = _sized(net, content, whole_number("neural_style", "size", size, 32, images.MAX_SIZE)), round(size * style_scale)
    whole_number("neural_style", "size x style_scale", side, 32, images.MAX_SIZE)
    paintings = style if isinstance(style, (list, tuple)) else [style]
    shares = _shares(mix, len(paintings))
    with tape.no_grad():
        answers = looking.activations(x * to_network(net))
        grams = [looking.activations(_sized(net, painting, side) * to_network(net)) for painting in paintings]
        targets = {name: sum(ops.gram_matrix(maps[name], normalize=True).data * share for share, maps in zip(shares, grams))
                   for name in style_layers}
    objective = Objective(looking, {name: (answers[name].data, content_weight * w) for name, w in content_layers.items()},
                          {name: (targets[name], style_weight * w) for name, w in style_layers.items()}, tv_weight, relative)
    return x, objective


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
    if np.shape(image) != np.shape(photograph):
        raise ShapeError(f"with_colours_of: pictures of shapes {np.shape(image)} and {np.shape(photograph)}, expected one shape")
    bright, (_, u, v) = Image.fromarray(image).convert("YCbCr").split()[0], Image.fromarray(photograph).convert("YCbCr").split()
    return np.array(Image.merge("YCbCr", (bright, u, v)).convert("RGB"))


def _averaging(layer):
    if not isinstance(layer, Function) or layer.op is not ops.max_pool2d:
        return layer
    return AvgPool2d(**{key: value for key, value in layer.settings.items() if key != "return_indices"})


def _layers(net, layers):
    """Return (content layers, style layers), each a dict name -> weight, the weights of each with sum 1."""
    if layers is None:
        if net.architecture not in LAYERS:
            raise SettingError(f"neural_style: which layers of {net.architecture} are good for style is not known here; give "
                               "layers=([names for content], [names for style])")
        layers = LAYERS[net.architecture]
    if not isinstance(layers, (tuple, list)) or len(layers) != 2 or isinstance(layers[0], str) or isinstance(layers[1], str):
        raise SettingError(f"neural_style: layers is {layers!r}, expected two lists of names: for content and for style")
    found = []
    for names in layers:
        weights = dict(names) if isinstance(names, dict) else {name: 1.0 for name in names}
        network("neural_style", net, *weights)
        total = sum(number("neural_style", f"the weight of layer {name!r}", w, at_least=0) for name, w in weights.items())
        found.append({name: w / max(total, 1e-30) for name, w in weights.items()})
    if not found[0] and not found[1]:
        raise SettingError("neural_style: layers names none, expected at least one")
    return found


def _shares(mix, count):
    """Return the weights of the paintings, with sum 1."""
    shares = finite("neural_style", "mix", np.ones(count) if mix is None else mix)
    if shares.shape != (count,) or count < 1 or (shares < 0).any() or not shares.sum() > 0:
        raise SettingError(f"neural_style: mix is {mix!r} for {count} paintings, expected as many numbers, 0 or more, not all 0")
    return [float(share) for share in shares / shares.sum()]


def _sized(net, picture, side):
    """Return a picture with a longer side of `side` as x (1, C, H, W), pixels less the mean."""
    picture = images.load_image(picture)
    scale = side / max(picture.shape[:2])
    picture = images.resize(picture, tuple(max(1, round(n * scale)) for n in picture.shape[:2]))
    return net.preprocess(picture, whole=True).data / to_network(net)


def _start(net, start, x, rng):
    """Return where the picture starts, like the photograph x."""
    if isinstance(start, str) and start in ("content", "noise"):
        return x.copy() if start == "content" else rng.normal(0, 40, x.shape).astype(x.dtype)
    picture = images.load_image(start)
    return net.preprocess(images.resize(picture, x.shape[2:]), whole=True).data / to_network(net)


def _lbfgs(objective, x):
    """Yield (x, L) by L-BFGS."""
    for state in lbfgs_steps(objective, x):
        yield state.x.astype(x.dtype), state.loss


def _adam(objective, x, lr):
    """Yield (x, L) by Adam."""
    p = Tensor(x.copy(), requires_grad=True)
    optimizer = Adam({"x": p}, lr=lr)
    while True:
        loss, gradient = objective(p.data)
        yield p.data.copy(), loss
        p.grad = gradient
        optimizer.step()
