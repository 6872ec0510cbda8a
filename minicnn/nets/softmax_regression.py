"""Softmax regression, the linear classifier of the slide "Conclusions": a template per class, compared with the picture."""
from ..images import Preprocessing
from ..nn import Flatten, Linear, Network


def softmax_mnist(classes=10):
    """Scores w_c . p + b_c of grey pixels p in 0..1, 28 x 28; 7,850 parameters."""
    spec = Preprocessing(size=28, resize=None, channel_order="GRAY", scale=1 / 255, mean=(0.0,), std=(1.0,))
    return _linear("softmax_mnist", spec, 28 * 28, classes)


def softmax_cifar10(classes=10):
    """Scores w_c . (p - 1/2) + b_c of pixels p in 0..1, RGB, 32 x 32; 30,730 parameters."""
    spec = Preprocessing(size=32, resize=None, scale=1 / 255, mean=(0.5, 0.5, 0.5))
    return _linear("softmax_cifar10", spec, 3 * 32 * 32, classes)


def _linear(name, spec, pixels, classes):
    net = Network(name, spec, options={"classes": classes})
    net.add("flatten", Flatten())
    net.add("fc", Linear(pixels, classes))
    return net
