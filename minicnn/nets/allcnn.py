"""The all-convolutional networks of "Striving for Simplicity" (Springenberg et al. 2014), the paper of guided backprop."""
from ..images import Preprocessing
from ..nn import BatchNorm2d, Conv2d, Dropout, GlobalAvgPool2d, Network, ReLU
from .alexnet import CAFFE

# (filters, kernel, stride, padding) of conv1, conv2, ...; a last filter count of None: the number of classes
CIFAR = [(96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
         (192, 3, 1, 0), (192, 1, 1, 0), (None, 1, 1, 0)]
IMAGENET = [(96, 11, 4, 0), (96, 1, 1, 0), (96, 3, 2, 0), (256, 5, 1, 2), (256, 1, 1, 0), (256, 3, 2, 0),
            (384, 3, 1, 1), (384, 1, 1, 0), (384, 3, 2, 0), (1024, 3, 1, 1), (1024, 1, 1, 0), (None, 1, 1, 0)]

UNIT = Preprocessing(size=32, resize=None, scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def allcnn_c(classes=10):
    """All-CNN-C for 32 x 32 pictures: convolutions of stride 2 in the place of pooling; conv9 is the classifier.

    The scores are the spatial mean of conv9 without a ReLU, so that a class can score below zero.
    """
    return _allcnn("allcnn_c", CIFAR, UNIT, classes, dropout={0: 0.2, 3: 0.5, 6: 0.5})


def allcnn_cifar10(classes=10):
    """All-CNN-C at half width (48 and 96 filters) with batch norm; 344,506 parameters.

    For few epochs: less is dropped, and nothing of the input.
    """
    half = [(filters and filters // 2, *rest) for filters, *rest in CIFAR]
    return _allcnn("allcnn_cifar10", half, UNIT, classes, dropout={3: 0.1, 6: 0.2}, norm=True)


def allcnn_imagenet(classes=1000):
    """The 12-layer ImageNet variant, whose conv6 and conv9 the slide "Guided backprop" shows; 227 x 227."""
    return _allcnn("allcnn_imagenet", IMAGENET, CAFFE, classes, dropout={9: 0.5})


def _allcnn(name, table, preprocessing, classes, dropout, norm=False):
    """`dropout` says after which convolution (0: the input) how much is dropped; `norm`: batch norm before each ReLU."""
    net = Network(name, preprocessing, options={"classes": classes})
    if 0 in dropout:
        net.add("drop0", Dropout(dropout[0]))
    channels = 3
    for number, (filters, kernel, stride, padding) in enumerate(table, start=1):
        normed = norm and filters is not None
        net.add(f"conv{number}", Conv2d(channels, filters or classes, kernel, stride, padding, bias=not normed))
        if normed:
            net.add(f"bn{number}", BatchNorm2d(filters))
        if filters:
            net.add(f"relu{number}", ReLU())
        if number in dropout:
            net.add(f"drop{number}", Dropout(dropout[number]))
        channels = filters
    net.add(f"pool{len(table)}", GlobalAvgPool2d())
    return net
