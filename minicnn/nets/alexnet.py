"""AlexNet (Krizhevsky et al. 2012): the one-stream Caffe model, CaffeNet, and torchvision's variant."""
from ..images import Preprocessing
from ..nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, Network, ReLU

CAFFE = Preprocessing(size=227, resize=256, channel_order="BGR", mean=(104.007, 116.669, 122.679))
IMAGENET_RGB = Preprocessing(size=224, resize=256, channel_order="RGB", scale=1 / 255,
                             mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def alexnet(classes=1000):
    """bvlc_alexnet: normalisation before pooling ("relu1, norm1, pool1"); conv2, conv4 and conv5 in two groups, the two
    GPUs of the original. 60,965,224 parameters."""
    return _caffe("alexnet", classes, norm_first=True)


def caffenet(classes=1000):
    """bvlc_reference_caffenet: AlexNet with pooling before normalisation ("relu1, pool1, norm1")."""
    return _caffe("caffenet", classes, norm_first=False)


def _caffe(name, classes, norm_first):
    net = Network(name, CAFFE, options={"classes": classes})
    for stage, conv in enumerate((Conv2d(3, 96, 11, stride=4), Conv2d(96, 256, 5, padding=2, groups=2)), start=1):
        net.add(f"conv{stage}", conv)
        net.add(f"relu{stage}", ReLU())
        norm_and_pool = [(f"norm{stage}", LocalResponseNorm(5, 1e-4, 0.75)), (f"pool{stage}", MaxPool2d(3, 2, ceil_mode=True))]
        for layer_name, layer in norm_and_pool if norm_first else norm_and_pool[::-1]:
            net.add(layer_name, layer)
    net.add("conv3", Conv2d(256, 384, 3, padding=1))
    net.add("relu3", ReLU())
    net.add("conv4", Conv2d(384, 384, 3, padding=1, groups=2))
    net.add("relu4", ReLU())
    net.add("conv5", Conv2d(384, 256, 3, padding=1, groups=2))
    net.add("relu5", ReLU())
    net.add("pool5", MaxPool2d(3, 2, ceil_mode=True))
    add_classifier(net, 256 * 6 * 6, classes)
    return net


def add_classifier(net, features, classes):
    """Append the classifier that AlexNet, VGG and ZFNet share: fc6 and fc7 with dropout, fc8 the scores."""
    net.add("flatten", Flatten())
    net.add("fc6", Linear(features, 4096))
    net.add("relu6", ReLU())
    net.add("drop6", Dropout(0.5))
    net.add("fc7", Linear(4096, 4096))
    net.add("relu7", ReLU())
    net.add("drop7", Dropout(0.5))
    net.add("fc8", Linear(4096, classes))


def alexnet_torchvision(classes=1000):
    """torchvision's alexnet ("One weird trick", 2014): fewer filters, no groups, no normalisation, RGB. 61,100,840."""
    net = Network("alexnet_torchvision", IMAGENET_RGB, options={"classes": classes})
    net.add("conv1", Conv2d(3, 64, 11, stride=4, padding=2))
    net.add("relu1", ReLU())
    net.add("pool1", MaxPool2d(3, 2))
    net.add("conv2", Conv2d(64, 192, 5, padding=2))
    net.add("relu2", ReLU())
    net.add("pool2", MaxPool2d(3, 2))
    for number, (channels, filters) in enumerate([(192, 384), (384, 256), (256, 256)], start=3):
        net.add(f"conv{number}", Conv2d(channels, filters, 3, padding=1))
        net.add(f"relu{number}", ReLU())
    net.add("pool5", MaxPool2d(3, 2))
    net.add("avgpool", AdaptiveAvgPool2d(6))
    net.add("flatten", Flatten())
    net.add("drop5", Dropout(0.5))
    net.add("fc6", Linear(256 * 6 * 6, 4096))
    net.add("relu6", ReLU())
    net.add("drop6", Dropout(0.5))
    net.add("fc7", Linear(4096, 4096))
    net.add("relu7", ReLU())
    net.add("fc8", Linear(4096, classes))
    return net
