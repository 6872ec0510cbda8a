"""Saliency maps (Simonyan et al. 2014). Slide "Finding salient map of an object".

    w = dS_c / dx,      M(i, j) = max over the channels of |w(c, i, j)|

S_c is the score of the class before the softmax: with the probability instead, lowering the other classes would count too.
One backward pass; how far a pixel sways the score, not whether it is bright.
"""
import numpy as np

from ..images import gaussian_blur
from .backprop import backproject, class_seed
from .grabcut import BACKGROUND, OBJECT, UNKNOWN


def saliency_map(net, x, class_index):
    """Return M (H, W), how strongly each pixel of `x` (1, C, H, W) sways the score of the class."""
    gradient = backproject(net, x, net.class_layer, lambda a: class_seed(a, class_index))
    return np.abs(gradient).max(axis=0)


def seeds_of(saliency, high=95, low=30, blur=5.0):
    """Return seeds (H, W) for GrabCut: OBJECT above the `high` percentile of the map, BACKGROUND below the `low`, else UNKNOWN.

    The map is blurred first, by `blur` pixels: single pixels say little.
    """
    smooth = gaussian_blur(saliency, blur)
    below, above = np.percentile(smooth, (low, high))
    return np.where(smooth < below, BACKGROUND, np.where(smooth > above, OBJECT, UNKNOWN))
