"""A saliency map: one pass forwards, a 1 at the class, one pass back, the absolute value."""

import minicnn
from minicnn.visualize.backprop import backproject, class_seed
from minicnn.visualize.saliency import saliency_map, seeds_of

from ..stepping import Marked, state
from ..tiny import bar, tiny_net, with_classes


def steps(rng):
    """The class "upright" of a picture of 6 x 6."""
    net = tiny_net()
    x = net.preprocess(bar())
    acts = net.activations(x)
    yield state("1. feed the picture into the net", backproject, "1. Feed image into net",
                {"x": x.data[0, 0], "relu": acts["relu"].data[0], "pool": acts["pool"].data[0],
                 "scores": with_classes(net, acts["scores"].data)}, line="activation = net.activations")
    seed = class_seed(acts["scores"], 0)
    yield state("2. the gradient at the scores: all zero but for a 1 at the class", class_seed,
                "Return the seed of a class's score",
                {"seed": with_classes(net, seed)}, line="unit_seed(activation")
    for name in ("pool", "relu", "conv"):
        acts[name].retain_grad()
    acts["scores"].backward(seed)
    back = {f"dS/d{name}": acts[name].grad[0] for name in ("pool", "relu", "conv")}
    yield state("3. backprop: how the score hangs on each layer, from the top down", backproject, "3. Backprop to image", back,
                line="activation.backward(")
    yield state("and on each pixel: w = dS/dx", saliency_map, "w = dS_c / dx", {"w": backproject(net, x, "scores", seed)},
                line="gradient = backproject")
    M = saliency_map(net, x, 0)
    yield state("the map: how strongly a pixel sways the score, whichever way", saliency_map, "M(i, j) = max over the channels",
                {"M": Marked(M, M == M.max()), "x": x.data[0, 0]}, line="np.abs(gradient)")
    moved, step = x.data + 0.01 * backproject(net, x, "scores", seed)[None], 0.01
    with minicnn.no_grad():
        gained = float((net(moved).data - net(x.data).data)[0, 0])
    yield state("what it promises: a step of 0.01 w raises the score by 0.01 ||w||^2, to first order", saliency_map,
                "w = dS_c / dx", {"the score rose by": gained, "0.01 ||w||^2": step * float((M ** 2).sum())})
    yield state("seeds for GrabCut: 1 object, 0 background, 2 unknown", seeds_of, "OBJECT above the `high` percentile",
                {"seeds": seeds_of(M, high=70, low=30, blur=0.5)}, line="np.where(smooth < below")
