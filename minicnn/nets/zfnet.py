"""ZFNet (Zeiler and Fergus 2013): the network of the deconvnet and occlusion slides."""
from ..images import Preprocessing
from ..nn import Conv2d, LocalResponseNorm, MaxPool2d, Network, ReLU
from .alexnet import add_classifier


def zfnet(classes=1000):
    """The paper's network for 224 x 224: 7x7 filters with stride 2 first, maps of 110, 55, 26, 13 and 6 pixels.

    The paper's contrast normalisation is taken as AlexNet's local response normalisation.
    """
    net = Network("zfnet", options={"classes": classes},
                  preprocessing=Preprocessing(size=224, resize=256, channel_order="BGR", mean=(104.007, 116.669, 122.679)))
    for stage, conv in enumerate((Conv2d(3, 96, 7, stride=2, padding=1), Conv2d(96, 256, 5, stride=2)), start=1):
        net.add(f"conv{stage}", conv)
        net.add(f"relu{stage}", ReLU())
        net.add(f"pool{stage}", MaxPool2d(3, 2, ceil_mode=True))
        net.add(f"norm{stage}", LocalResponseNorm(5, 1e-4, 0.75))
    for number, (channels, filters) in enumerate([(256, 384), (384, 384), (384, 256)], start=3):
        net.add(f"conv{number}", Conv2d(channels, filters, 3, padding=1))
        net.add(f"relu{number}", ReLU())
    net.add("pool5", MaxPool2d(3, 2, ceil_mode=True))
    add_classifier(net, 256 * 6 * 6, classes)
    return net
