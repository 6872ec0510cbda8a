"""Small networks with random weights in double precision, on which the tasks are tried: slow loops are fast enough for them."""
import numpy as np

from minicnn import images, nn

HALF_GREY_LEVELS = {"scale": 0.5, "mean": (60.0, 55.0, 50.0), "std": (1.0, 1.0, 1.0)}


def small_network(seed, size=10, order="RGB"):
    """Two convolutions, overlapping pooling, four classes; pictures of size x size, as the published networks take them."""
    spec = images.Preprocessing(size=size, resize=None, channel_order=order, **HALF_GREY_LEVELS)
    net = nn.Network("small", spec, class_layer="fc")
    for name, layer in [("conv1", nn.Conv2d(3, 5, 3, padding=1)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(3, 2)),
                        ("conv2", nn.Conv2d(5, 6, 3, stride=2, padding=1)), ("relu2", nn.ReLU()), ("flatten", nn.Flatten()),
                        ("fc", nn.Linear(6 * _halved(_pooled(size)) ** 2, 4))]:
        net.add(name, layer)
    return _filled(net, seed)


def branched_network(seed, size=8):
    """A convolution whose maps go two ways and meet again, and one map for each of three classes: a tiny SqueezeNet."""
    net = nn.Network("branched", images.Preprocessing(size=size, resize=None, **HALF_GREY_LEVELS), class_layer="conv2")
    net.add("conv1", nn.Conv2d(3, 4, 3))
    net.add("relu1", nn.ReLU())
    net.add("left", nn.Conv2d(4, 3, 1))
    net.add("relu_left", nn.ReLU())
    net.add("right", nn.Conv2d(4, 3, 3, padding=1), ["relu1"])
    net.add("relu_right", nn.ReLU())
    net.add("concat", nn.Concat(), ["relu_left", "relu_right"])
    net.add("conv2", nn.Conv2d(6, 3, 1))
    net.add("relu2", nn.ReLU())
    net.add("pool2", nn.GlobalAvgPool2d())
    return _filled(net, seed)


def pixel_network(seed, size=6, hidden=12, classes=4):
    """Pixels of 0..1 to scores, through a hidden layer: what adversarial pictures are tried on."""
    spec = images.Preprocessing(size=size, resize=None, scale=1 / 255, mean=(0.5, 0.45, 0.4), std=(0.5, 0.5, 0.5))
    net = nn.Network("pixels", spec, class_layer="fc2")
    for name, layer in [("flatten", nn.Flatten()), ("fc1", nn.Linear(3 * size ** 2, hidden)), ("relu1", nn.ReLU()),
                        ("fc2", nn.Linear(hidden, classes))]:
        net.add(name, layer)
    return _filled(net, seed)


def _filled(net, seed):
    """Give the network random weights and small random biases, in float64."""
    net.initialise(seed)
    rng = np.random.default_rng([seed, 1])
    for name, parameter in net.parameters().items():
        if name.endswith("bias"):
            net.set_array(name, rng.normal(0, 0.1, parameter.shape).astype(np.float32))
    return net.astype(np.float64)


def _pooled(n):
    return (n - 3) // 2 + 1


def _halved(n):
    return (n - 1) // 2 + 1
