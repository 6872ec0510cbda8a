"""Occlusion: a window slides over the picture, and the probability of the class is written down."""
import numpy as np

from minicnn.visualize.occlusion import occlusion_steps, pixel_map

from ..stepping import Marked, state
from ..tiny import bar, tiny_net, with_classes


def steps(rng):
    """A window of 2 x 2 in steps of 2 over a picture of 6 x 6, the class "upright"."""
    net = tiny_net()
    x, place, size = net.preprocess(bar()).data, None, (6, 6)
    for found in occlusion_steps(net, x, 0, window=2, stride=2, batch=1, incremental=False):
        covered, marks = x.copy(), np.zeros(size, bool)
        if found.step:
            place = divmod(found.step - 1, len(found.lefts))
            top, left = found.tops[place[0]], found.lefts[place[1]]
            marks[top:top + 2, left:left + 2] = True
            covered[0, 0, marks] = 0
        scores = net(covered).data
        title = (f"the window at row {top}, column {left}: p = {found.probability[place]:.4f}" if found.step else
                 f"nothing covered: p = {found.unoccluded:.4f}")
        yield state(title, occlusion_steps, "x'(i, j) = x with a window at (i, j) filled",
                    {"x'": Marked(covered[0, 0], marks), "scores": with_classes(net, scores), "map of p": found.probability},
                    line="state = _with_places(")
    yield state("spread over the pixels: low where covering hurts", pixel_map, "Spread a map over the pixels",
                {"x": x[0, 0], "mean p of the windows over each pixel": pixel_map(found, found.probability, size)},
                line="np.where(count > 0")
