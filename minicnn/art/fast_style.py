"""Fast style: a network that has learnt to paint in a style does it in one pass. Slide "Fast style transfer".

    minimise over the weights of f_W the mean over photographs x of L(f_W(x)),     L: perceptual_loss.py, content from x itself

The network that looks stays as it is; after training it is not needed any more. With several paintings f_W has a scale and a
shift for each of them (many_styles.py), and each photograph of a batch is to get a style of its own.

A picture larger than the memory allows is painted in tiles. Instance norm asks for means over the whole picture, which no tile
knows; they are taken from the picture shrunk to OVERVIEW pixels, and every tile is normalised by them. Tiles overlap by more
than a pixel's field of view, so that there is no seam. Source: J. Johnson, A. Alahi and L. Fei-Fei, ECCV 2016; instance norm D.
Ulyanov, A. Vedaldi and V. Lempitsky 2016.
"""
import copy

import numpy as np

from .. import images, ops, tape
from ..checks import number, whole_number
from ..errors import SettingError, ShapeError
from ..nets.transform import ConditionalInstanceNorm2d
from ..nn import BatchNorm2d, GroupNorm
from ..tensor import Tensor
from ..training import TrainingStep, check_rng
from ..visualize.checks import network
from .many_styles import choose_style, styles_of, with_style
from .perceptual_loss import PerceptualLoss, answers, between, gram_matrices, sized, weights_of_layers

# Content from an early layer: what is to stay are contours. A later one, relu3_3, left hardly any in as many steps.
LAYERS = {"vgg16": (("relu2_2",), ("relu1_2", "relu2_2", "relu3_3", "relu4_3")),
          "squeezenet1_1": (("fire2/concat",), ("relu_conv1", "fire2/concat", "fire4/concat", "fire5/concat"))}
LAYERS["vgg19"] = LAYERS["vgg16"]
OVERVIEW = 512              # pixels of the longer side
BORDER = 16                 # pixels that are painted beyond each side: at its border a network paints worst
MARGIN = 64                 # pixels around a tile; an output pixel of the transform network sees 57 to each side


class StyleStep(TrainingStep):
    """What training_steps does with a batch of photographs: a step towards painting them in the styles of `paintings`.

    looking: the Network that judges. weights: of content, style and total variation. style_size: pixels of the paintings' longer
    side. first: the number of the first painting's style in the network, if it has others. rng: the run's Generator, which says
    who gets which style. `parts`: content and style of the last batch, with their weights. Only what the optimiser has is
    trained. Raises SettingError, ImageError, UnknownNameError.
    """

    def __init__(self, looking, paintings, *, weights=(1.0, 10.0, 1.0), layers=None, style_size=384, first=0, rng):
        network("StyleStep", looking)
        check_rng("StyleStep", rng)
        if not isinstance(paintings, (list, tuple)) or len(paintings) == 0 or np.shape(weights) != (3,):
            raise SettingError(f"StyleStep: paintings is {paintings!r} and weights {weights!r}, expected a list of pictures, and "
                               "three numbers: of content, style and total variation")
        self.content_weight, self.style_weight, self.tv_weight = (number("StyleStep", "each of weights", weight, at_least=0)
                                                                  for weight in weights)
        self.first = whole_number("StyleStep", "first", first, 0)
        self.looking, self.rng, self.count, self.parts = looking, rng, len(paintings), None
        self.content, self.style = weights_of_layers("StyleStep", looking, layers, LAYERS)
        side = whole_number("StyleStep", "style_size", style_size, 32, images.MAX_SIZE)
        grams = [gram_matrices(looking, sized(looking, painting, side), self.style) for painting in paintings]
        self.grams = {name: np.concatenate([of[name] for of in grams]) for name in self.style}

    def loss(self, net, x, which):
        """Return L, a Tensor, of the pictures x (N, 3, H, W) painted each in the style whose number `which` (N,) says."""
        if self.first + self.count > styles_of(net):
            raise SettingError(f"StyleStep: {self.count} paintings from style {self.first} on for a network of {styles_of(net)} "
                               "styles; build it with norm=\"conditional\" and as many styles")
        w, b = (of.astype(net.dtype) for of in between(net.preprocessing, self.looking.preprocessing))
        seen = ops.conv2d(Tensor(x), w, b).data
        photographs = {name: (P, self.content_weight * self.content[name])
                       for name, P in answers(self.looking, seen, self.content).items()}
        styles = {name: (of[which], self.style_weight * self.style[name]) for name, of in self.grams.items()}
        objective = PerceptualLoss(self.looking, photographs, styles, self.tv_weight)
        rows = np.eye(styles_of(net), dtype=np.float32)
        choose_style(net, rows[self.first + which])
        made = net(x)
        choose_style(net, rows[:1])                     # as it was
        if made.shape != x.shape:
            raise ShapeError(f"StyleStep: of pictures {x.shape} the network makes {made.shape}; expected sides that are "
                             "multiples of 4, and a transform network")
        loss = objective.of(ops.conv2d(made, w, b))
        self.parts = objective.parts
        return loss

    def __call__(self, net, optimizer, x, labels):
        """Take one step; return L and its part of the style, before the step."""
        for name, parameter in net.parameters().items():
            parameter.requires_grad = name in optimizer.parameters
        optimizer.zero_grad()
        loss = self.loss(net, x, self.rng.integers(self.count, size=len(x)))
        loss.backward(retain_graph=False)
        if np.isfinite(loss.data):
            optimizer.step()
        return loss.item(), self.parts[1]


def stylize(net, picture, *, style=None, size=None, tile=1024):
    """Return the picture (H, W, 3) uint8 painted by a transform network, in one pass, or by tiles if it is larger than `tile`.

    picture: what net.preprocess takes. style: of a network of several, a number each for how much, or the name or number of one.
    size: of the longer side, without: as it is. Raises SettingError, ShapeError, ImageError, UnknownNameError.
    """
    network("stylize", net)
    if net.architecture != "transform":
        raise SettingError(f"stylize: the network is a {net.architecture}, expected a transform network, such as starry_night")
    tile = whole_number("stylize", "tile", tile, 4 * MARGIN) // 4 * 4
    picture = images.load_image(picture)
    if size is not None:
        picture = images.resize_longer(picture, whole_number("stylize", "size", size, 8, images.MAX_SIZE))
    net = with_style(net, style)
    if max(picture.shape[:2]) <= tile:
        return painted(net, picture)
    return _in_tiles(with_statistics_of(net, images.resize_longer(picture, OVERVIEW)), picture, tile)


def painted(net, picture):
    """Return a picture (H, W, 3) uint8 painted in one pass; it is painted with a mirrored border, which is cut off again."""
    (H, W), low = picture.shape[:2], 8
    if min(H, W) < low:
        raise ShapeError(f"stylize: the picture is {H}x{W} pixels, expected at least {low}x{low}")
    with tape.no_grad():
        made = net(net.preprocess(bordered(picture), whole=True).data).data
    return np.ascontiguousarray(images.deprocess(made, net.preprocessing)[BORDER:BORDER + H, BORDER:BORDER + W])


def bordered(picture):
    """Return a picture (H, W, 3) mirrored on for BORDER pixels and until its sides are multiples of 4, for two strides of 2."""
    H, W = picture.shape[:2]
    return np.pad(picture, ((BORDER, BORDER + -H % 4), (BORDER, BORDER + -W % 4), (0, 0)), mode="reflect")


def _in_tiles(net, picture, tile):
    """Return the picture painted tile by tile, each with MARGIN pixels around it that are not kept."""
    H, W = picture.shape[:2]
    out = np.empty_like(picture)
    step = tile - 2 * MARGIN
    for top in range(0, H, step):
        for left in range(0, W, step):
            rows, columns = (slice(max(0, at - MARGIN), min(n, at + step + MARGIN)) for at, n in ((top, H), (left, W)))
            done = painted(net, np.ascontiguousarray(picture[rows, columns]))
            out[top:top + step, left:left + step] = done[top - rows.start:, left - columns.start:][:step, :step]
    return out


def with_statistics_of(net, picture):
    """Return the network with every instance norm replaced by what it does to `picture`, a scale and a shift of each channel.

    Other pictures, such as parts of that one, are then normalised as that one is.
    """
    fixed = copy.copy(net)
    with tape.no_grad():
        values = net.activations(net.preprocess(bordered(picture), whole=True).data)
    fixed.layers = {name: (_fixed_norm(layer, values[inputs[0]].data), inputs)
                    if isinstance(layer, (GroupNorm, ConditionalInstanceNorm2d)) else (layer, inputs)
                    for name, (layer, inputs) in net.layers.items()}
    return fixed


def _fixed_norm(layer, x):
    """Return the BatchNorm2d that normalises as an instance norm does with the means and variances of x (1, C, H, W)."""
    fixed = BatchNorm2d(x.shape[1], eps=layer.settings["eps"])
    weight, bias = layer.parameters["weight"].data, layer.parameters["bias"].data
    if isinstance(layer, ConditionalInstanceNorm2d):
        weight, bias = (layer.style @ weight)[0], (layer.style @ bias)[0]
    fixed.parameters = {"weight": Tensor(weight), "bias": Tensor(bias)}
    fixed.buffers = {"running_mean": x.mean(axis=(0, 2, 3), dtype=np.float64).astype(x.dtype),
                     "running_var": x.var(axis=(0, 2, 3), dtype=np.float64).astype(x.dtype)}
    return fixed
