"""Ascent in codes: only pictures that a generator can paint are tried."""
import numpy as np

from minicnn import ops
from minicnn.loop import take
from minicnn.nn import Function, Linear, Network
from minicnn.visualize.deep_generator import code_ascent_steps

from ..stepping import state
from ..tiny import tiny_net

BARS = np.zeros((4, 6, 6), np.float32)          # what the generator can paint: an upright bar, a level one, a diagonal, light
BARS[0, :, 2:4] = BARS[1, 2:4] = 1
BARS[2] = np.eye(6)
BARS[3] = 0.5


def painter():
    """Return a generator of 6 x 6 pictures: the sum of BARS, each as much as the code says, on a dark ground."""
    net = Network("painter", tiny_net().preprocessing)
    net.add("paint", Linear(4, 36))
    net.add("picture", Function(ops.reshape, shape=(1, 1, 6, 6)))
    net.set_array("paint/weight", BARS.reshape(4, 36).T)
    net.set_array("paint/bias", np.full(36, -0.8, np.float32))
    return net


def steps(rng):
    """The class "upright", from a code drawn at random."""
    net, generator = tiny_net(), painter()
    bound = np.full(4, 1.5, np.float32)
    yield state("what the generator paints for each number of a code", code_ascent_steps, "generator: G, from codes",
                {f"z_{k}": BARS[k] for k in range(4)})
    before = None
    for found in take(5, code_ascent_steps(net, generator, 0, bound, lr=(0.3, 0.3), steps=5, rng=rng)):
        numbers = {"z": found.z[0], "G(z)": found.image[:, :, 0], "S": found.activation}
        if before is not None:
            numbers = {"change of z": found.z[0] - before, **numbers}
        yield state(f"step {found.step}: S = {found.activation:.3f}" + ("" if found.step else "; what was negative became 0"),
                    code_ascent_steps, "dx = g / mean|g|,", numbers, line="z = (1 - decay)" if found.step else "_begin(generator")
        before = found.z[0]
