"""Adversarial training, the remedy. Slide "Explaining and harnessing adversarial examples".

    J~(theta, x, y) = alpha J(theta, x, y) + (1 - alpha) J(theta, x + epsilon sign(dJ/dx), y)

The network is shown, beside each picture, what would fool it as it is now. alpha = 0.5 as in the paper. There is a trap: the one
step always ends on the same corner, and a network can learn to know that corner and nothing else. It is then fooled by many small
steps as before. A random start, anywhere within epsilon, from which the step goes 1.25 epsilon, helps, for one more pass.
Source: I. Goodfellow, J. Shlens and C. Szegedy, ICLR 2015, section 6; E. Wong, L. Rice and Z. Kolter, ICLR 2020 (random start).
"""
import numpy as np

from .. import images, ops
from ..checks import number
from ..tensor import Tensor
from ..training import TrainingStep, check_rng
from .pixels import per_pixel


class AdversarialStep(TrainingStep):
    """A TrainingStep of J~: epsilon in pixels of 0..1; the accuracy it returns is that on the pictures that should fool.

    rng: for a random start, a Generator, which moves on; without: the paper's. For networks without batch norm and dropout, whose
    statistics and masks would differ between looking for what fools and training on it.
    """

    def __init__(self, epsilon=0.25, alpha=0.5, rng=None):
        if rng is not None:
            check_rng("AdversarialStep", rng)
        self.rng = rng
        self.epsilon = number("AdversarialStep", "epsilon", epsilon, at_least=0, at_most=1)
        self.alpha = number("AdversarialStep", "alpha", alpha, above=0, at_most=1)

    def __call__(self, net, optimizer, x, labels):
        optimizer.zero_grad()
        low, high = images.pixel_range(net.preprocessing)
        step = self.epsilon * per_pixel(net).astype(x.dtype).reshape(1, -1, 1, 1)
        p = Tensor(x, requires_grad=True)
        clean = ops.cross_entropy(net(p), labels)
        (self.alpha * clean).backward(retain_graph=False)           # to the weights; and dJ/dx, of which the sign counts
        scores = net(Tensor(np.clip(self._moved(net, x, labels, step, p.grad), low, high)))
        fooled = ops.cross_entropy(scores, labels)
        ((1 - self.alpha) * fooled).backward(retain_graph=False)
        loss = self.alpha * clean.item() + (1 - self.alpha) * fooled.item()
        if np.isfinite(loss):
            optimizer.step()
        return loss, float((scores.data.argmax(axis=1) == labels).mean())

    def _moved(self, net, x, labels, step, gradient):
        """Return what fools the network as it is: one step from x or, with an rng, from a point near it."""
        ### BEGIN SOLUTION hw5.1
        if self.rng is None:
            return x + step * np.sign(gradient)
        start = Tensor((x + step * self.rng.uniform(-1, 1, x.shape)).astype(x.dtype), requires_grad=True)
        net.eval()                                  # weights take no gradient from here
        ops.cross_entropy(net(start), labels).backward(retain_graph=False)
        net.train()
        return (start.data + 1.25 * step * np.sign(start.grad)).clip(x - step, x + step)
        ### END SOLUTION hw5.1
