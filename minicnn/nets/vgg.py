"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014): 3x3 convolutions all the way; and a small one of that kind for CIFAR-10."""
from ..images import Preprocessing
from ..nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Network, ReLU
from .alexnet import add_classifier
from .allcnn import UNIT

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


def vgg_cifar10(classes=10):
    """Four blocks of two 3x3 convolutions (32, 64, 128, 192 filters) for 32 x 32 pictures, a code of 256 in relu5, the scores.

    With batch norm, which VGG did not know yet; 1,040,618 parameters. Pixels (v / 255 - 0.5) / 0.25.
    """
    net = Network("vgg_cifar10", UNIT, options={"classes": classes})
    channels = 3
    for block, filters in enumerate((32, 64, 128, 192), start=1):
        for number in (1, 2):
            net.add(f"conv{block}_{number}", Conv2d(channels, filters, 3, padding=1, bias=False))
            net.add(f"bn{block}_{number}", BatchNorm2d(filters))
            net.add(f"relu{block}_{number}", ReLU())
            channels = filters
        net.add(f"pool{block}", MaxPool2d(2, 2))
    net.add("flatten", Flatten())
    net.add("fc5", Linear(192 * 2 * 2, 256))
    net.add("relu5", ReLU())
    net.add("drop5", Dropout(0.3))
    net.add("fc6", Linear(256, classes))
    return net
