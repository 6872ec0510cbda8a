"""Saliency maps (Simonyan et al. 2014). Slide "Finding salient map of an object".

    w = dS_c / dx,      M(i, j) = max over the channels of |w(c, i, j)|

S_c is the score of the class before the softmax: with the probability instead, lowering the other classes would count too.
One backward pass; how far a pixel sways the score, not whether it is bright.
"""
import numpy as np

from ..checks import number
from ..errors import SettingError, ShapeError
from ..images import MAX_SIZE, gaussian_blur
from .backprop import backproject, class_seed
from .checks import finite, network
from .grabcut import BACKGROUND, OBJECT, UNKNOWN


def saliency_map(net, x, class_index):
    """Return M (H, W), how strongly each pixel of `x` (1, C, H, W) sways the score of the class."""
    ### BEGIN SOLUTION hw2.3
    gradient = backproject(net, x, network("saliency_map", net).class_layer, lambda a: class_seed(a, class_index))
    return np.abs(gradient).max(axis=0)
    ### END SOLUTION hw2.3


def seeds_of(saliency, high=95, low=30, blur=5.0):
    """Return seeds (H, W) for GrabCut: OBJECT above the `high` percentile of the map, BACKGROUND below the `low`, else UNKNOWN.

    The map is blurred first, by `blur` pixels: single pixels say little.
    """
    saliency = finite("seeds_of", "the saliency map", saliency)
    if saliency.ndim != 2:
        raise ShapeError(f"seeds_of: the saliency map has shape {saliency.shape}, expected (H, W)")
    low, high = (number("seeds_of", name, value, at_least=0, at_most=100) for name, value in (("low", low), ("high", high)))
    if low > high:
        raise SettingError(f"seeds_of: low is {low}, above high, {high}; expected the other way round")
    smooth = gaussian_blur(saliency, number("seeds_of", "blur", blur, at_least=0, at_most=MAX_SIZE))
    below, above = np.percentile(smooth, (low, high))
    return np.where(smooth < below, BACKGROUND, np.where(smooth > above, OBJECT, UNKNOWN))
