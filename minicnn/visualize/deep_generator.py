"""A deep generator: a network that paints the picture which another network, the encoder, describes by a code.

    code = E(x), the encoder's answer at a late layer;      G(code) is the picture
    L(G) = pixel mean (G(code) - x)^2 + feature mean (C(G(code)) - C(x))^2 / mean C(x)^2 - adversarial log D(G(code), code)
    L(D) = -log D(x, code) - log (1 - D(G(code), code)),    D(x, code) = softmax(h(f(x), g(code))), its second number

Squared pixels alone make a blur, the mean of all pictures of that code; features C(x), from a middle layer of the encoder, make
edges and textures where they ought to be; and D, the discriminator, which learns to tell real pictures from generated ones, makes
them look real. D is left alone while it is far ahead, L(D) < 0.1 of what it costs G: else G learns nothing from it any more.
What it is for: a class model that is sought among the pictures that G can paint, by its code, is a picture of something
(`code_ascent_steps`). Networks: nets/generator.py, the published one for fc6 among them.
Slide "Class model visualization", the last; source: A. Dosovitskiy and T. Brox, NeurIPS 2016 (the losses and the three weights);
A. Nguyen et al., NeurIPS 2016 (what the generator is for).
"""
from dataclasses import dataclass

import numpy as np

from .. import ops
from ..checks import generator as random_state
from ..checks import number, two_numbers, whole_number
from ..errors import SettingError, ShapeError
from ..images import pixel_range
from ..loop import last, take
from ..nn import Conv2d, Dropout, GlobalAvgPool2d, LeakyReLU, Linear, Sequential
from ..ops.op import pair
from ..optim import Adam
from ..tape import no_grad
from ..tensor import Tensor
from ..training import TrainingStep, check_rng
from .backprop import class_seed
from .checks import finite, network


class GeneratorStep(TrainingStep):
    """What training_steps does with a batch to train a generator of 32 x 32 pictures; its `models` are f, g and h of D.

    encoder: a Network, which stays as it is; code_layer and feature_layer: E and C. weights: pixel, feature, adversarial.
    rng: the Generator of the run, from which D's weights and its dropout come. lr: of D, which keeps it; G has that of its own
    optimiser. `parts`: the three terms of the last L(G), before their weights. Raises SettingError, UnknownNameError.
    """

    def __init__(self, encoder, code_layer, feature_layer, weights, rng, lr=2e-4):
        encoder.layer(feature_layer)
        encoder.layer(code_layer)
        check_rng("GeneratorStep", rng)
        names = list(encoder.layers)
        if names.index(feature_layer) > names.index(code_layer):
            raise SettingError(f"GeneratorStep: the features come from {feature_layer!r}, after the code from {code_layer!r}; "
                               "expected an earlier layer, or the same")
        if np.shape(weights) != (3,) or not (np.isfinite(weights).all() and min(weights) >= 0):
            raise SettingError(f"GeneratorStep: weights is {weights!r}, expected three numbers, 0 or more: of pixels, features "
                               "and the discriminator")
        self.encoder, self.code_layer, self.feature_layer, self.weights = encoder.eval(), code_layer, feature_layer, weights
        self.rng, (self.f, self.g, self.h) = rng, (net.initialise(rng) for net in discriminator())
        self.models = [(net, Adam(net.train(rng).parameters(), lr=lr, betas=(0.5, 0.999))) for net in (self.f, self.g, self.h)]

    def described(self, x):
        """Return the codes (N, 256) and the features of the pictures x, as arrays."""
        with no_grad():
            found = self.encoder.activations(x, upto=self.code_layer)
        return found[self.code_layer].data, found[self.feature_layer].data

    def inputs(self, x):
        """Return what G sees of the pictures x: their codes."""
        return self.described(x)[0]

    def __call__(self, generator, optimizer, x, labels):
        """Take one step of G and one of D; return L(G) and the part of the pictures, real or generated, that D told."""
        code, features = self.described(x)
        optimizer.zero_grad()
        made = generator(code)
        seen = self.encoder.activations(made, upto=self.feature_layer)[self.feature_layer]
        fooled = self.discriminate(made, code, real=True, training=False)[0]
        parts = (((made - x) ** 2).mean(), ((seen - features) ** 2).mean() / float((features ** 2).mean()), fooled)
        self.parts = [part.item() for part in parts]
        loss = sum(part * weight for part, weight in zip(parts, self.weights))
        loss.backward(retain_graph=False)
        if not np.isfinite(loss.data):
            return loss.item(), 0.0
        optimizer.step()
        return loss.item(), self.discriminator_step(x, made.data, code, fooled.item())

    def discriminator_step(self, x, made, code, fooled):
        """Take one step of D, unless it is far ahead; return the part of the pictures that it told rightly."""
        first, right = self.discriminate(x, code, real=True, training=True)
        second, also = self.discriminate(made, code, real=False, training=True)
        loss = first + second
        if loss.item() >= 0.1 * fooled:
            for _, optimizer in self.models:
                optimizer.zero_grad()
            loss.backward(retain_graph=False)
            for _, optimizer in self.models:
                optimizer.step()
        return (right + also) / 2

    def discriminate(self, x, code, real, training):
        """Return the mean of -log D if `real`, else of -log (1 - D), and the part of the pictures that D takes for that."""
        for net, _ in self.models:
            net.train(self.rng) if training else net.eval()
        two = self.h(ops.concat([self.f(x), self.g(code)], dim=1))
        wanted = np.full(len(two), int(real))
        return ops.cross_entropy(two, wanted), float((two.data.argmax(axis=1) == wanted).mean())


@dataclass(frozen=True)
class CodeAscentState:
    """The picture of the code z (1, D) after `step` steps: `image` (H, W, 3) uint8, and the class's score for it."""
    step: int
    image: np.ndarray
    activation: float
    z: np.ndarray


def code_ascent_steps(net, generator, class_index, bound, *, lr=(8.0, 1e-10), steps=200, decay=0.01, start=None, rng=0):
    """Yield a CodeAscentState at the start and after every step, without end: the picture of a class among those that G paints.

        dx = g / mean|g|,  g = dS_c / dx at x = G(z);      z <- (1 - decay) clip(z + lr dz / mean|dz|, 0, bound),  dz = dx G'(z)

    net: whose class it is; generator: G, from codes (1, D) to pictures. bound (D,): how large each number of a code may become,
    published: three standard deviations over photographs. lr: from the first to the last in `steps` steps. start: a code (D,),
    by default drawn from N(0, 1); negative numbers become 0, as ever after. Raises ShapeError for a G whose pictures the net
    does not take. Source: A. Nguyen et al. 2016.
    """
    network("code_ascent", net), network("code_ascent", generator)
    whole_number("code_ascent", "steps", steps, 1), number("code_ascent", "decay", decay, at_least=0, at_most=1)
    lr = two_numbers("code_ascent", "lr", lr, above=0)
    (z, bound), step = _begin(generator, bound, start, rng), 0
    while True:
        code = Tensor(z, requires_grad=True)
        made = generator(code)
        x, back = _as_input(net, generator, made.data)
        picture = Tensor(x, requires_grad=True)
        scores = net.activations(picture, upto=net.class_layer)[net.class_layer]
        seed = class_seed(scores, class_index)
        yield CodeAscentState(step, generator.deprocess(made), float((seed * scores.data).sum()), z.copy())
        scores.backward(seed, retain_graph=False)
        made.backward(back(picture.grad / max(np.abs(picture.grad).mean(), 1e-30)), retain_graph=False)
        rate = lr[0] + (lr[1] - lr[0]) * min(step / max(steps - 1, 1), 1)
        z = (1 - decay) * np.clip(z + rate * code.grad / max(np.abs(code.grad).mean(), 1e-30), 0, bound)
        z, step = z.astype(generator.dtype), step + 1


def code_ascent(net, generator, class_index, bound, *, steps=200, **settings):
    """Return the picture (H, W, 3) uint8 after so many steps, the last one as published; settings as in `code_ascent_steps`."""
    whole_number("code_ascent", "steps", steps, 1)
    return last(take(steps, code_ascent_steps(net, generator, class_index, bound, steps=steps, **settings))).image


def _begin(generator, bound, start, rng):
    """Return where the ascent starts, z (1, D), and the bound (D,)."""
    bound = finite("code_ascent", "the bound", bound).astype(generator.dtype)
    z = random_state("code_ascent", rng).standard_normal(bound.shape) if start is None else start
    z = finite("code_ascent", "the start", z)
    if bound.ndim != 1 or z.shape != bound.shape or not (bound >= 0).all():
        raise ShapeError(f"code_ascent: the bound has shape {bound.shape}, the start {z.shape}; expected (D,) for both, as many "
                         "numbers as a code of the generator has, and bounds of 0 or more")
    return np.clip(z, 0, bound).astype(generator.dtype)[None], bound


def _as_input(net, generator, made):
    """Return G's picture (1, C, H, W) as an input of the net, its middle if it is larger, and the function that goes back."""
    (glow, ghigh), (low, high) = (pixel_range(n.preprocessing) for n in (generator, net))
    flip = slice(None, None, 1 if net.preprocessing.channel_order == generator.preprocessing.channel_order else -1)
    size = pair("code_ascent", "size", net.preprocessing.size, 1)
    if made.shape[1] != low.size or made.shape[2] < size[0] or made.shape[3] < size[1]:
        raise ShapeError(f"code_ascent: the generator paints {made.shape[1:]}, {net.architecture} takes ({low.size}, {size[0]}, "
                         f"{size[1]}); give a generator of pictures at least that large")
    top, left = ((have - want) // 2 for have, want in zip(made.shape[2:], size))
    area = np.s_[:, :, top:top + size[0], left:left + size[1]]
    x = (made - glow) / (ghigh - glow)
    x = (low + (high - low) * x[:, flip][area]).astype(net.dtype)

    def back(gradient):
        whole = np.zeros_like(made)
        whole[area] = gradient[:, flip]
        return whole
    return x, back


def discriminator():
    """Return f, from pictures (N, 3, 32, 32) to (N, 128), g, from codes (N, 256) to (N, 64), and h, from both to (N, 2).

    As published, in small: f ends in an average over places, so that D judges what pictures are made of and not the whole.
    """
    f = Sequential({"conv1": Conv2d(3, 32, 5, 2, 2), "relu1": LeakyReLU(0.2), "conv2": Conv2d(32, 64, 3, 1, 1),
                    "relu2": LeakyReLU(0.2), "conv3": Conv2d(64, 128, 3, 2, 1), "relu3": LeakyReLU(0.2),
                    "pool": GlobalAvgPool2d()}, "picture_network")
    g = Sequential({"fc1": Linear(256, 128), "relu1": LeakyReLU(0.2), "fc2": Linear(128, 64), "relu2": LeakyReLU(0.2)},
                   "code_network")
    h = Sequential({"drop5": Dropout(0.5), "fc6": Linear(128 + 64, 128), "relu6": LeakyReLU(0.2), "drop6": Dropout(0.5),
                    "fc7": Linear(128, 2)}, "judge")
    return f, g, h
