"""Gradient ascent on the probability of a class, from noise until the network is sure."""
import numpy as np

from minicnn.fool.gradient import fooling_steps
from minicnn.fool.pixels import loss_gradient, mean_colour
from minicnn.loop import take

from ..stepping import state
from ..tiny import tiny_net

CLASS = 1


def steps(rng):
    """The class "level", from a grey picture with noise of one grey level."""
    net = tiny_net()
    before = None
    for found in take(6, fooling_steps(net, [CLASS], rng=rng)):
        p, P = found.pixels, float(found.confidence[0])
        slope = -P * loss_gradient(net, p, np.array([CLASS]))[1]            # dP/dp = P d(log P)/dp
        lr = min(0.3, 1 - P, P) / max(float((slope.astype(float) ** 2).sum()), 1e-30)
        moved = {} if before is None else {"what was added": (p - before)[0, 0]}
        yield state(f"step {found.step}: P = {P:.4f}" + (", and it wins" if found.wins[0] else ""), fooling_steps,
                    "Start: the mean colour" if found.step == 0 else "m <- momentum m + lr dP_c/dp",
                    {**moved, "p": p[0, 0], "dP/dp": slope[0, 0], "lr": lr},
                    line="moving = momentum * moving" if found.step else "noise = ")
        before = p
    yield state("as an 8-bit picture: for a network with two filters the class is no more than an edge", fooling_steps,
                "Start: the mean colour",
                {"image": found.images[0, :, :, 0], "the mean colour": mean_colour(net).ravel()})
