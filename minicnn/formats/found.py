"""What every reader returns: the layers of a file with their arrays, and how the numbers are meant."""
from dataclasses import dataclass, field

# What networks were trained to see, as fields of images.Preprocessing: torchvision's, and VGG as it is told in RGB.
TORCHVISION = {"channel_order": "RGB", "scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
VGG_RGB = {"channel_order": "RGB", "scale": 1.0, "mean": (123.68, 116.779, 103.939), "std": (1, 1, 1)}


@dataclass(frozen=True)
class Layout:
    """One way to understand the numbers of a file; readers have put the axes in our order already.

    `map_axes`: the order in which the first matrix reads a flattened map, "CHW" or "HWC".
    `rotated`: filters stand turned by 180 degrees (written for a true convolution).
    `width_first`: the last two axes of filters are width and height instead of height and width.
    `preprocessing`: fields of images.Preprocessing that differ from the architecture's own.
    """
    map_axes: str = "CHW"
    rotated: bool = False
    width_first: bool = False
    preprocessing: dict = field(default_factory=dict)


@dataclass
class Found:
    """The contents of a foreign weights file.

    `layers` maps each layer's name, in the file's order, to its arrays: a dict with "weight" ((out, in / groups, height,
    width) or (out, in)), "bias", "running_mean", "running_var", each a Stored. `left_out` names what is no layer with weights.
    `layouts` are the possible readings by name, the format's usual one first. `certainty` says how sure that one is:
    "certain", "likely" (photographs may overrule it) or "open" (photographs or the user must decide).
    """
    format: str
    layers: dict
    layouts: dict = field(default_factory=lambda: {"usual": Layout()})
    certainty: str = "certain"
    left_out: list = field(default_factory=list)
