"""Receptive fields layer by layer, and the strongest patches of pictures that come in batches."""
import numpy as np

from minicnn.nn import Conv2d, MaxPool2d, Network, ReLU
from minicnn.receptive_field import ReceptiveField, receptive_fields
from minicnn.visualize.patches import merge, strongest

from ..stepping import Marked, state


def steps(rng):
    """conv 3, pool 2 with stride 2, conv 3 on pictures of 12 x 12; then two batches of two maps, the best two kept."""
    net = Network("windows")
    net.add("conv1", Conv2d(1, 1, 3))
    net.add("relu1", ReLU())
    net.add("pool1", MaxPool2d(2, 2))
    net.add("conv2", Conv2d(1, 1, 3, padding=1))
    fields = receptive_fields(net, 12)
    for name, kernel, stride, padding in (("data", 1, 1, 0), ("conv1", 3, 1, 0), ("relu1", 1, 1, 0), ("pool1", 2, 2, 0),
                                          ("conv2", 3, 1, 1)):
        axis, formula = fields[name].rows, "size'  = size + d (k - 1) jump" if name != "data" else "a pixel: 1, 1, 0"
        yield state(f"{name}: k = {kernel}, s = {stride}, p = {padding}", receptive_fields, formula,
                    {"size": axis.size, "jump": axis.jump, "start": axis.start,
                     "first and last pixel of each unit, along a side": np.stack([axis.first, axis.last])},
                    line="_through(axis, *window)" if name != "data" else 'found = {"data"')
    for row, column in ((0, 0), (2, 3)):
        top, left, bottom, right = fields["conv2"].box(row, column)
        seen = np.zeros((12, 12), bool)
        seen[top:bottom, left:right] = True
        yield state(f"what unit ({row}, {column}) of conv2 sees" + (": cut off at the border" if row == 0 else ""),
                    ReceptiveField.box, "Return (top, left, bottom, right)",
                    {"the picture": Marked(np.arange(144).reshape(12, 12), seen), "box": str((top, left, bottom, right))})
    best, found = None, rng.integers(0, 20, (4, 2, 3, 3)).astype(float)
    for start in (0, 2):
        batch = found[start:start + 2]
        new = strongest(batch, 2, np.arange(start, start + 2))
        best = new if best is None else merge(best, new)
        yield state(f"pictures {start} and {start + 1}: of each picture a unit's best place counts, and its best two stay",
                    merge if start else strongest, "for each unit remember the N pictures",
                    {f"maps of picture {start}": batch[0], f"of picture {start + 1}": batch[1],
                     "values (unit, rank)": best.values,
                     "picture": best.picture, "row": best.row, "column": best.column})
