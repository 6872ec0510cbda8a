"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014): 3x3 convolutions all the way."""
from ..images import Preprocessing
from ..nn import Conv2d, MaxPool2d, Network, ReLU
from .alexnet import add_classifier

FILTERS = (64, 128, 256, 512, 512)      # of the five blocks; between them 2x2 pooling


def vgg16(classes=1000):
    """Configuration D: 13 convolutions, conv1_1 ... conv5_3, and 3 linear layers; 138,357,544 parameters."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), classes)


def vgg19(classes=1000):
    """Configuration E: 16 convolutions, conv1_1 ... conv5_4, and 3 linear layers; 143,667,240 parameters."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), classes)


def _vgg(name, depths, classes):
    net = Network(name, options={"classes": classes},
                  preprocessing=Preprocessing(size=224, resize=256, channel_order="BGR", mean=(103.939, 116.779, 123.68)))
    channels = 3
    for block, (depth, filters) in enumerate(zip(depths, FILTERS), start=1):
        for number in range(1, depth + 1):
            net.add(f"conv{block}_{number}", Conv2d(channels, filters, 3, padding=1))
            net.add(f"relu{block}_{number}", ReLU())
            channels = filters
        net.add(f"pool{block}", MaxPool2d(2, 2))
    add_classifier(net, 512 * 7 * 7, classes)
    return net
