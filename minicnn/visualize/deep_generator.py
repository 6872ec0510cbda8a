"""A deep generator: a network that paints the picture which another network, the encoder, describes by a code.

    code = E(x), the encoder's answer at a late layer;      G(code) is the picture
    L(G) = pixel mean (G(code) - x)^2 + feature mean (C(G(code)) - C(x))^2 / mean C(x)^2 - adversarial log D(G(code), code)
    L(D) = -log D(x, code) - log (1 - D(G(code), code)),    D(x, code) = sigmoid(mean of f(x) g(code))

Squared pixels alone make a blur, the mean of all pictures of that code; features C(x), from a middle layer of the encoder, make
edges and textures where they ought to be; and D, the discriminator, which learns to tell real pictures from painted ones, makes
them look real. D is left alone while it is far ahead, L(D) < 0.1 of what it costs G: else G learns nothing from it any more.
Slide "Deep generator network"; source: A. Dosovitskiy and T. Brox, NeurIPS 2016, in whose units the three weights are 2e-6,
0.01 and 100; A. Nguyen et al., NeurIPS 2016.
"""
import numpy as np

from .. import ops
from ..nn import Conv2d, Flatten, LeakyReLU, Linear, Sequential
from ..optim import Adam
from ..tape import no_grad


class GeneratorStep:
    """What training_steps does with a batch to train a generator of 32 x 32 pictures; its `models` are f and g of D.

    encoder: a Network, which stays as it is; code_layer and feature_layer: E and C. weights: pixel, feature, adversarial.
    """

    def __init__(self, encoder, code_layer, feature_layer, weights, seed=0, lr=2e-4):
        self.encoder, self.layers, self.weights = encoder.eval(), (code_layer, feature_layer), weights
        rng = np.random.default_rng(seed)
        self.f, self.g = pictures_judge().initialise(rng), Sequential({"fc": Linear(256, 128)}, "codes_judge").initialise(rng)
        self.models = [(net, Adam(net.train().parameters(), lr=lr, betas=(0.5, 0.999))) for net in (self.f, self.g)]

    def inputs(self, x):
        """Return the codes (N, 256) of the pictures x, and keep what the features are."""
        with no_grad():
            found = self.encoder.activations(x)
        self.features = found[self.layers[1]].data
        return found[self.layers[0]].data

    def __call__(self, generator, optimizer, x, labels):
        """Take one step of G and one of D; return L(G) and how many of the pictures, real or painted, D judged rightly."""
        code = self.inputs(x)
        optimizer.zero_grad()
        made = generator(code)
        seen = self.encoder.activations(made, upto=self.layers[1])[self.layers[1]]
        fooled = self.judged(made, code, real=True, training=False)[0]
        parts = (((made - x) ** 2).mean(), ((seen - self.features) ** 2).mean() / float((self.features ** 2).mean()), fooled)
        self.parts = [part.item() for part in parts]
        loss = sum(part * weight for part, weight in zip(parts, self.weights))
        loss.backward(retain_graph=False)
        if not np.isfinite(loss.data):
            return loss.item(), 0.0
        optimizer.step()
        return loss.item(), self.judge_step(x, made.data, code, fooled.item())

    def judge_step(self, x, made, code, fooled):
        """Take one step of D, unless it is far ahead; return the part of the pictures that it judged rightly."""
        first, right = self.judged(x, code, real=True, training=True)
        second, also = self.judged(made, code, real=False, training=True)
        loss = first + second
        if loss.item() >= 0.1 * fooled:
            for _, optimizer in self.models:
                optimizer.zero_grad()
            loss.backward(retain_graph=False)
            for _, optimizer in self.models:
                optimizer.step()
        return (right + also) / 2

    def judged(self, x, code, real, training):
        """Return the mean of -log D (or of -log (1 - D)), and the part of the pictures that D judges so."""
        for net, _ in self.models:
            net.train() if training else net.eval()
        score = (self.f(x) * self.g(code)).mean(dim=1, keepdim=True)
        two = ops.concat([np.zeros_like(score.data), score], dim=1)         # a sigmoid is a softmax with 0 beside the number
        wanted = np.full(len(score), int(real))
        return ops.cross_entropy(two, wanted), float((two.data.argmax(axis=1) == wanted).mean())


def pictures_judge():
    """Return f, from pictures (N, 3, 32, 32) to (N, 128): convolutions of stride 2."""
    return Sequential({"conv1": Conv2d(3, 32, 4, 2, 1), "relu1": LeakyReLU(0.2), "conv2": Conv2d(32, 64, 4, 2, 1),
                       "relu2": LeakyReLU(0.2), "conv3": Conv2d(64, 128, 4, 2, 1), "relu3": LeakyReLU(0.2),
                       "flatten": Flatten(), "fc": Linear(128 * 4 * 4, 128)}, "pictures_judge")
