"""The network of Karpathy's ConvNetJS CIFAR-10 demo, whose weights the slides on raw filters show."""
from ..images import Preprocessing
from ..nn import Conv2d, Flatten, Linear, MaxPool2d, Network, ReLU


def convnetjs_cifar10(classes=10):
    """Three 5x5 convolutions (16, 20, 20 filters) with 2x2 pooling, then the scores; 22,466 parameters; pixels / 255 - 0.5."""
    net = Network("convnetjs_cifar10", options={"classes": classes},
                  preprocessing=Preprocessing(size=32, resize=None, scale=1 / 255, mean=(0.5, 0.5, 0.5)))
    for number, (channels, filters) in enumerate([(3, 16), (16, 20), (20, 20)], start=1):
        net.add(f"conv{number}", Conv2d(channels, filters, 5, padding=2))
        net.add(f"relu{number}", ReLU())
        net.add(f"pool{number}", MaxPool2d(2, 2))
    net.add("flatten", Flatten())
    net.add("fc", Linear(20 * 4 * 4, classes))
    return net
