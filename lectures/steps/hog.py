"""HOG on 6 x 6 pixels: gradients, votes, cells, blocks; and two pictures that it cannot tell apart."""
import numpy as np

from minicnn.fool.hog import Layout, blocks, gradient_of, hog, hog_distance, same_hog_steps, votes
from minicnn.loop import take
from minicnn.ops import avg_pool2d
from minicnn.tensor import Tensor

from ..stepping import state
from ..tiny import bar

LAYOUT = {"orientations": 4, "pixels_per_cell": 3, "cells_per_block": 2}


def steps(rng):
    """A bar of 6 x 6: four bins of 45 degrees, cells of 3 x 3 pixels, one block of 2 x 2 cells."""
    p, layout = bar()[None, None, :, :, 0] / 250, Layout(**LAYOUT)
    gx, gy = gradient_of(Tensor(p))
    yield state("differences across and down, 0 at the borders", gradient_of, "g = (p(i, j+1) - p(i, j-1)",
                {"p": p[0, 0], "across": gx.data[0, 0], "down": gy.data[0, 0]}, line="gx = ops.pad")
    degrees = np.rad2deg(np.arctan2(gy.data, gx.data)) % 180
    cast = votes(gx, gy, layout)
    yield state("how strong, and which way, from 0 to 180 degrees", votes, "votes: ||g|| for the bin",
                {"||g||": np.hypot(gx.data, gy.data)[0, 0], "degrees": degrees[0, 0].round()}, line="length = np.hypot")
    yield state("each pixel votes for the bin of its direction: 0 to 45 degrees, 45 to 90, ...", votes,
                "votes: ||g|| for the bin",
                {f"bin {k}": cast.data[0, k] for k in range(4)}, line="return magnitude * bins")
    cells = avg_pool2d(cast, 3)
    yield state("cells: the mean of the votes of 3 x 3 pixels, a map for each bin", blocks,
                "from 0 to 180 degrees, in which g points",
                {"cells (bin, row, column)": cells.data[0]}, line="ops.avg_pool2d")
    yield state("the block: all of it normalised, clipped at 0.2, and normalised again", blocks, "block: 3 x 3 cells v;",
                {"v / ||v||": blocks(cast, layout, clip=False).data.reshape(4, 4), "HOG": hog(p, **LAYOUT).data.reshape(4, 4)},
                line="_normalised(ops.clip")
    for what, other in (("the negative has the same HOG, exactly", 1 - p),
                        ("and a tenth of the contrast almost the same", 0.45 + p / 10)):
        yield state(what, hog, "1 - p have the same HOG",
                    {"p": other[0, 0], "HOG": hog(other, **LAYOUT).data.reshape(4, 4),
                     "distance": hog_distance(hog(other, **LAYOUT), hog(p, **LAYOUT))})
    start = rng.uniform(0, 1, p.shape)
    for found in take(105, same_hog_steps(p, start, steps=15, rng=rng, **LAYOUT)):
        if found.step in (0, 1, 5, 20, 105):
            yield state(f"from noise, step {found.step}: {found.distance:.4f} away (at first with bins that have soft edges)",
                        same_hog_steps, "argmin over p in 0..1 of",
                        {"p": found.pixels[0, 0], "its HOG": hog(found.pixels, **LAYOUT).data.reshape(4, 4),
                         "wanted": hog(p, **LAYOUT).data.reshape(4, 4)}, line="lbfgs_steps(objective")
