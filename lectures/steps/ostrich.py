"""The ostrich, small: box-constrained L-BFGS towards a class, and the search for the largest c that still fools."""
from minicnn.fool.adversarial import distortion, lbfgs_attack_steps
from minicnn.fool.pixels import pixels_of, probabilities
from minicnn.loop import take

from ..stepping import state
from ..tiny import bar, tiny_net, with_classes

TARGET = 1


def steps(rng):
    """A faint bar that is upright is made to look level, to the network, with as little change as can be."""
    net = tiny_net()
    p = pixels_of(net, bar(0.6))
    tried, states = [], []
    for found in take(6, lbfgs_attack_steps(net, p, TARGET, c=0.3, inner=10)):
        title = f"c = {found.c:.4g}: " + ("fooled, so a larger c" if found.fools else "not fooled, so a smaller c")
        if found.step:
            states.append(found)
            tried.append(f"c = {found.c:<8.4g} {'fools' if found.fools else 'does not'}, distortion {found.distortion:.4f}")
        yield state(title if found.step else "the start, r = 0", lbfgs_attack_steps,
                    "argmin over r of  c ||r||^2 + J(p + r, target)",
                    {"p + r": found.pixels[0, 0], "r": (found.pixels - p)[0, 0], "tried so far": "\n".join(tried) or "nothing",
                     "probabilities": with_classes(net, probabilities(net, found.pixels))},
                    line="found = last(take(inner, lbfgs_steps(")
    best = min((s for s in states if s.fools), key=lambda s: s.distortion)
    yield state("of those that fool the one with the least distortion", distortion, "sqrt(sum r^2 / n)",
                {"p + r": best.pixels[0, 0], "c": best.c, "distortion": best.distortion,
                 "probability of the target": best.probability})
