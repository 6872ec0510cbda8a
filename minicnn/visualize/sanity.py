"""A sanity check of maps: does the picture change when the network forgets? (Adebayo et al. 2018.) After "Guided backprop".

Draw the weights anew, from the last layer downwards, one layer more each time, and make the map again. A map that explains what
the network knows must become another one. Guided backprop hardly does: with its two masks it finds edges in the photograph with
whatever filters there are, so it shows the picture more than the network.
"""
import copy

import numpy as np

from ..checks import generator
from ..errors import ShapeError
from .checks import finite, network


def cascading_randomisation(net, rng=0):
    """Yield (name, network): ("none", net), then copies with the weights of the last layer drawn anew, of the last two, ..."""
    network("cascading_randomisation", net)
    rng = generator("cascading_randomisation", rng)
    yield "none", net
    layers = dict(net.layers)
    for name, (layer, inputs) in reversed(list(net.layers.items())):
        if "weight" in layer.parameters:
            fresh = copy.deepcopy(layer)
            fresh.initialise(rng)
            layers = {**layers, name: (fresh, inputs)}
            forgetful = copy.copy(net)
            forgetful.layers = layers
            yield name, forgetful


def rank_correlation(a, b):
    """Return Spearman's correlation of two maps of one shape: how alike the order of their pixels is, 1 to -1.

    0 where a map is the same everywhere and has no order.
    """
    from scipy.stats import rankdata
    a, b = (finite("rank_correlation", "a map", values) for values in (a, b))
    if a.shape != b.shape or a.size == 0:
        raise ShapeError(f"rank_correlation: maps of shapes {a.shape} and {b.shape}, expected one shape")
    if not np.ptp(a) or not np.ptp(b):
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
