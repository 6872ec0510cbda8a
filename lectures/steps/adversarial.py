"""The fast gradient sign: from the loss to its gradient, its sign, and a picture that fools; and why, in a linear model."""
import numpy as np

from minicnn.fool.adversarial import distortion, fgsm
from minicnn.fool.linear import LogisticRegression
from minicnn.fool.pixels import loss_gradient, pixels_of, probabilities

from ..stepping import state
from ..tiny import bar, tiny_net, with_classes


def steps(rng):
    """A faint bar that the network takes for upright, as it is."""
    net = tiny_net()
    p = pixels_of(net, bar(0.5))
    yield state("a picture, its pixels from 0 to 1, and what the network says", probabilities, "Return the probabilities (N, K)",
                {"p": p[0, 0], "probabilities": with_classes(net, probabilities(net, p))})
    label = np.array([0])
    loss, gradient, _ = loss_gradient(net, p, label)
    yield state(f"the loss J of the class upright is {loss[0]:.4f}; how it hangs on each pixel", loss_gradient,
                "Return J (N,), the cross-entropy", {"dJ/dp": gradient[0, 0], "its sign": np.sign(gradient[0, 0]).astype(int)},
                line="of_each.sum().backward")
    for epsilon in (0.01, 0.05, 0.15):
        changed = fgsm(net, p, label, epsilon)
        after = loss_gradient(net, changed, label)[0][0]
        yield state(f"one step of epsilon = {epsilon:g} along the sign", fgsm, "fast gradient sign     p + epsilon sign(dJ/dp)",
                    {"p'": changed[0, 0], "probabilities": with_classes(net, probabilities(net, changed)), "J": float(after),
                     "J + epsilon ||dJ/dp||_1": float(loss[0] + epsilon * np.abs(gradient).sum()),
                     "distortion": distortion(changed, p)}, line="pixels + epsilon * np.sign")
    yield from _linear(rng)


def _linear(rng):
    """The same for w . p + b: small changes in many pixels add up."""
    for n in (4, 16, 64):
        w, y = rng.permutation(np.repeat([-1.0, 1.0], n // 2)), np.array([1])
        model, q = LogisticRegression(w, 0.0), 0.5 + w[None] / n
        worst = model.worst(q, y, 0.05)
        yield state(f"a linear model of {n} pixels, each changed by 0.05 against its weight: epsilon ||w||_1 = {0.05 * n:g}",
                    LogisticRegression.worst, "p - epsilon y sign(w)",
                    {"w": w.reshape(-1, min(n, 16)), "score of p": model.scores(q), "score of p'": model.scores(worst),
                     "s' - s": model.scores(worst) - model.scores(q)}, line="np.sign(self.w)")
