"""Grad-CAM: where the last maps saw the class (Selvaraju et al. 2017). What came after the slide "Deconv approaches".

    w_k = mean over i, j of dS_c / dA_k(i, j),      L = relu(sum_k w_k A_k)

A_k: the maps of a layer, usually the last one with places left. Coarse, but about this class and no other, unlike guided
backprop; the product of both (`guided_grad_cam`) is fine and about the class.
"""
import numpy as np

from .. import images
from ..errors import ShapeError
from ..tensor import Tensor
from .backprop import backproject, class_seed
from .checks import network, one_picture


def grad_cam(net, x, class_index, layer):
    """Return L (h, w) for the picture x (1, C, H, W): how much each place of the maps of `layer` speaks for the class."""
    network("grad_cam", net, layer)
    image = Tensor(one_picture("grad_cam", net, x), requires_grad=True)
    maps = net.activations(image, upto=net.class_layer)
    if layer not in maps or maps[layer].ndim != 4:
        raise ShapeError(f"grad_cam: layer {layer!r} has no maps below the scores of {net.architecture}; give a layer with maps "
                         "(1, K, h, w)")
    scores = maps[net.class_layer]
    maps[layer].retain_grad()
    scores.backward(class_seed(scores, class_index))
    weights = maps[layer].grad.mean(axis=(2, 3), keepdims=True)
    return np.maximum((weights * maps[layer].data).sum(axis=1), 0)[0]


def guided_grad_cam(net, x, class_index, layer):
    """Return the signal (C, H, W) of guided backprop, times Grad-CAM enlarged to the picture."""
    signal = backproject(net, x, network("guided_grad_cam", net).class_layer, lambda a: class_seed(a, class_index), "guided")
    coarse = grad_cam(net, x, class_index, layer)
    return signal * images.resize(coarse, signal.shape[1:], "bilinear").reshape(signal.shape[1:])
