"""Saliency maps (Simonyan et al. 2014). Slide "Finding salient map of an object".

    w = dS_c / dx,      M(i, j) = max over the channels of |w(c, i, j)|

S_c is the score of the class before the softmax: with the probability instead, lowering the other classes would count too.
One backward pass; how far a pixel sways the score, not whether it is bright.
"""
import numpy as np

from .backprop import backproject, class_seed


def saliency_map(net, x, class_index):
    """Return M (H, W), how strongly each pixel of `x` (1, C, H, W) sways the score of the class."""
    gradient = backproject(net, x, net.class_layer, lambda a: class_seed(a, class_index))
    return np.abs(gradient).max(axis=0)
