"""A generator: from the code in which a network describes a picture back to the picture (Dosovitskiy and Brox 2016)."""
from dataclasses import replace

from .. import ops
from ..nn import BatchNorm2d, ConvTranspose2d, Function, LeakyReLU, Linear, Network
from .alexnet import CAFFE
from .allcnn import UNIT

# (filters, kernel, stride, padding) of deconv1, deconv2, ...: 4 x 4 -> 8 x 8 -> 16 x 16 -> 32 x 32 by kernels of 4, between 3
CIFAR = [(128, 4, 2, 1), (96, 3, 1, 1), (64, 4, 2, 1), (64, 3, 1, 1), (32, 4, 2, 1), (3, 3, 1, 1)]
FC6 = [(256, 4, 2, 1), (512, 3, 1, 1), (256, 4, 2, 1), (256, 3, 1, 1), (128, 4, 2, 1), (128, 3, 1, 1), (64, 4, 2, 1),
       (32, 4, 2, 1), (3, 4, 2, 1)]


def generator_cifar10():
    """From relu5 of vgg_cifar10, (N, 256), to pictures as vgg_cifar10 takes them, (N, 3, 32, 32); 1,135,203 parameters.

    The published one for CaffeNet's fc6 in small: linear layers, then transposed convolutions, leaky ReLUs between, none at the
    end. Batch norm, which the published one does without, makes it learn in few epochs: of the code first, for its numbers are of
    very different size and some are always 0. (Nine tenths of the code's variance lie in nine directions, those of the
    classes: much of the picture is not in it.) Its preprocessing is that of what comes out: net.deprocess makes the picture.
    """
    net = Network("generator_cifar10", preprocessing=UNIT)
    net.add("bn_code", BatchNorm2d(256))
    net.add("fc1", Linear(256, 256))
    net.add("relu_fc1", LeakyReLU(0.3))
    net.add("fc2", Linear(256, 128 * 4 * 4))
    net.add("reshape", Function(ops.reshape, shape=(-1, 128, 4, 4)))
    net.add("bn_fc2", BatchNorm2d(128))
    net.add("relu_fc2", LeakyReLU(0.3))
    channels = 128
    for number, (filters, kernel, stride, padding) in enumerate(CIFAR, start=1):
        last = number == len(CIFAR)
        net.add(f"deconv{number}", ConvTranspose2d(channels, filters, kernel, stride, padding, bias=last))
        if not last:
            net.add(f"bn{number}", BatchNorm2d(filters))
            net.add(f"relu{number}", LeakyReLU(0.3))
        channels = filters
    return net


def generator_fc6():
    """From fc6 of CaffeNet after its ReLU, (N, 4096), to pictures (N, 3, 256, 256), BGR less the mean; 56,097,891 parameters.

    The published generator: three linear layers, then transposed convolutions from 4 x 4 to 256 x 256. Networks that take 227
    see the middle of its pictures (visualize/deep_generator.py). Source: A. Dosovitskiy and T. Brox 2016, their network "fc6".
    """
    net = Network("generator_fc6", preprocessing=replace(CAFFE, size=256, resize=None))
    for number in (1, 2, 3):
        net.add(f"fc{number}", Linear(4096, 4096))
        net.add(f"relu_fc{number}", LeakyReLU(0.3))
    net.add("reshape", Function(ops.reshape, shape=(-1, 256, 4, 4)))
    channels = 256
    for number, (filters, kernel, stride, padding) in enumerate(FC6, start=1):
        net.add(f"deconv{number}", ConvTranspose2d(channels, filters, kernel, stride, padding))
        if number < len(FC6):
            net.add(f"relu{number}", LeakyReLU(0.3))
        channels = filters
    return net
