"""The perceptual loss: how far pictures are from a content and a style, as a network sees them. Slide "NeuralStyle".

    L(x) = content_weight sum_l c_l L_content^l(x) + style_weight sum_l s_l L_style^l(x) + tv_weight TV(x) / (255^2 H W)
    L_content^l = ||F - P||^2 / ||P||^2           F, P: what layer l answers to x and to the photograph
    L_style^l = ||G - A||^2 / ||A||^2             G, A: Gram matrices of F and of l's answer to the painting
    of N pictures: the mean of theirs

A Gram matrix says which features appear together and not where: brush strokes, colours, swirls, whatever is everywhere. Whoever
is to please the network, a picture's pixels (neural_style.py) or a network that paints (fast_style.py), the loss is this one.

Gatys has 1/2 ||F - P||^2 and ||G - A||^2 / (4 N^2 M^2), and weights to balance what comes out of VGG-19; `relative=False` takes
these. Divided by what the target has, all layers of all networks come out alike and can have the same weights. Source: L. Gatys,
A. Ecker and M. Bethge, CVPR 2016; J. Johnson, A. Alahi and L. Fei-Fei, ECCV 2016.
"""
import numpy as np

from .. import images, ops, tape
from ..checks import number
from ..errors import SettingError, ShapeError
from ..tensor import Tensor
from ..visualize.checks import network
from ..visualize.inversion import to_network

# Which layers: early ones for the brush, later ones for larger pieces; content from the middle, where pixels are forgotten.
LAYERS = {"squeezenet1_1": (("fire3/concat",), ("relu_conv1", "fire2/concat", "fire4/concat", "fire5/concat", "fire6/concat")),
          "vgg16": (("relu4_2",), ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"))}
LAYERS["vgg19"] = LAYERS["vgg16"]
LEAST = 16                  # pixels of a side


class PerceptualLoss:
    """L for a network and its targets. Calling it with x (N, C, H, W), pixels less the mean, returns (L, dL/dx); `parts` are the
    content and the style of the last call, with their weights.

    content, style: layer -> (target array (N or 1, ...), weight).
    """

    def __init__(self, net, content, style, tv_weight, relative=True):
        self.net, self.parts, self.upto = net, None, last_of(net, [*content, *style])
        self.tv_weight = number("PerceptualLoss", "tv_weight", tv_weight, at_least=0)
        self.content, self.style = _scaled(content, relative, 1 / 2), _scaled(style, relative, 1 / 4)

    def __call__(self, x):
        p = Tensor(np.asarray(x, self.net.dtype), requires_grad=True)
        loss = self.of(p)
        loss.backward(retain_graph=False)
        return loss.item(), p.grad

    def of(self, p):
        """Return L of the Tensor p (N, C, H, W), a Tensor on its tape."""
        N, _, H, W = p.shape
        maps = self.net.activations(p * to_network(self.net), upto=self.upto)
        for name, (P, _) in self.content.items():
            if P.shape[1:] != maps[name].shape[1:] or len(P) not in (1, N):
                raise ShapeError(f"PerceptualLoss: {name} answers {maps[name].shape}, its target is {P.shape}; expected pictures "
                                 "as large as the photographs, and as many")
        ### BEGIN SOLUTION hw4.5
        content = sum((((maps[name] - P) ** 2) * (weight / N)).sum() for name, (P, weight) in self.content.items())
        style = sum((((ops.gram_matrix(maps[name], normalize=True) - A) ** 2) * (weight / N)).sum()
                    for name, (A, weight) in self.style.items())
        ### END SOLUTION hw4.5
        self.parts = tuple(value.item() if isinstance(value, Tensor) else 0.0 for value in (content, style))
        return content + style + ops.total_variation(p) * (self.tv_weight / (255 ** 2 * H * W * N))


def _scaled(targets, relative, factor):
    """Return layer -> (target, weight) with each picture's weight divided by what its target has, or times the paper's factor."""
    ### BEGIN SOLUTION hw4.5
    def of(target, weight):
        size = (target ** 2).reshape(len(target), -1).sum(axis=1).reshape(-1, *[1] * (target.ndim - 1))
        relatively = weight / np.where(size > 0, size, np.inf)          # of a layer that does not answer nothing can be said
        return (relatively if relative else np.full_like(size, weight * factor)).astype(target.dtype)
    return {name: (target, of(target, weight)) for name, (target, weight) in targets.items()}
    ### END SOLUTION hw4.5


def last_of(net, names):
    """Return the layer of some that runs last. Raises UnknownNameError, and SettingError if there is none."""
    for name in names:
        net.layer(name)
    if not names:
        raise SettingError("there is no layer to look at, expected names of some")
    return max(names, key=list(net.layers).index)


def answers(net, x, names):
    """Return layer -> the array that it answers to x, pixels less the mean."""
    if not names:
        return {}
    with tape.no_grad():
        maps = net.activations(x * to_network(net), upto=last_of(net, names))
        return {name: maps[name].data for name in names}


def gram_matrices(net, x, names):
    """Return layer -> Gram matrices (N, C, C), divided by C H W, of what the layers answer to x, pixels less the mean."""
    return {name: ops.gram_matrix(answer, normalize=True).data for name, answer in answers(net, x, names).items()}


def sized(net, picture, side):
    """Return a picture with a longer side of `side` as x (1, C, H, W), pixels less the mean."""
    picture = images.resize_longer(images.load_image(picture), side)
    if min(picture.shape[:2]) < LEAST:
        raise ShapeError(f"a picture has {picture.shape[1]} x {picture.shape[0]} pixels when its longer side is {side}; expected "
                         f"{LEAST} at least, take a larger size or cut it")
    return net.preprocess(picture, whole=True).data / to_network(net)


def between(spec, looking):
    """Return (w (3, 3, 1, 1), b (3,)), the convolution from inputs of one Preprocessing to pixels less the mean of another.

    So that a network sees what another one has painted, whatever the order of its channels and its scale.
    """
    order = {"RGB": (0, 1, 2), "BGR": (2, 1, 0)}
    if spec.channel_order not in order or looking.channel_order not in order:
        raise SettingError(f"a network of {spec.channel_order} pictures cannot be seen by one of {looking.channel_order} "
                           "pictures; expected colours in both")
    w, b = np.zeros((3, 3, 1, 1), np.float32), np.zeros(3, np.float32)
    for to, channel in enumerate(order[looking.channel_order]):
        of = order[spec.channel_order].index(channel)
        w[to, of] = spec.std[of] / spec.scale
        b[to] = spec.mean[of] / spec.scale - looking.mean[to] / looking.scale
    return w, b


def weights_of_layers(what, net, layers, known=LAYERS):
    """Return (content layers, style layers), each a dict name -> weight, the weights of each with sum 1."""
    if layers is None:
        if net.architecture not in known:
            raise SettingError(f"{what}: which layers of {net.architecture} are good for style is not known here; give "
                               "layers=([names for content], [names for style])")
        layers = known[net.architecture]
    fine = isinstance(layers, (tuple, list)) and len(layers) == 2 and all(isinstance(of, (tuple, list, dict)) for of in layers)
    if not fine or not all(isinstance(name, str) for of in layers for name in of):
        raise SettingError(f"{what}: layers is {layers!r}, expected two lists of names: for content and for style")
    found = []
    for names in layers:
        weights = dict(names) if isinstance(names, dict) else {name: 1.0 for name in names}
        network(what, net, *weights)
        total = sum(number(what, f"the weight of layer {name!r}", w, at_least=0) for name, w in weights.items())
        found.append({name: w / max(total, 1e-30) for name, w in weights.items()})
    if not found[0] and not found[1]:
        raise SettingError(f"{what}: layers names none, expected at least one")
    return found
