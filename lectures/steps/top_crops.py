"""Where is a unit strongest, what does it see there, and what does the deconvnet send back from it?"""
import numpy as np

from minicnn.receptive_field import receptive_fields
from minicnn.visualize.backprop import backproject, strongest_unit, unit_seed
from minicnn.visualize.patches import cut_patch

from ..stepping import Marked, state
from ..tiny import bar, tiny_net


def steps(rng):
    """The unit of the layer "relu" that answers most to a picture of 6 x 6."""
    net = tiny_net()
    x = net.preprocess(bar())
    maps = net.activations(x)["relu"]
    unit = strongest_unit(maps.data)
    yield state(f"the largest answer of all: channel {unit[0]}, row {unit[1]}, column {unit[2]}", strongest_unit,
                "Return (channel, row, column) of the largest",
                {"maps of relu": Marked(maps.data[0], maps.data[0] == maps.data.max())},
                line="np.unravel_index(np.argmax")
    crop, (top, left, bottom, right) = cut_patch(bar(), receptive_fields(net)["relu"], *unit[1:])
    seen = np.zeros((6, 6), bool)
    seen[top:bottom, left:right] = True
    yield state("its crop: the pixels that it sees", cut_patch, "Return (crop, box)",
                {"picture": Marked(bar()[:, :, 0], seen), "crop": crop[:, :, 0]})
    seed = unit_seed(maps, unit, "activation")
    yield state("the seed: zero but for the unit's own value", unit_seed, "zero but for the neuron", {"seed": seed[0]},
                line="seed[index] =")
    for rule in ("deconvnet", "guided"):
        yield state(f"sent back by the rule {rule}: its filter, where it saw what it likes", backproject, "3. Backprop to image",
                    {"signal": backproject(net, x, "relu", seed, rule)[0], "its filter": net.layer("conv").parameters["weight"]
                     .data[unit[0], 0]}, line="with tape.relu_rule(rule)")
