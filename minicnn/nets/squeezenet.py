"""SqueezeNet v1.1 (Iandola et al. 2016): AlexNet's accuracy with 1,235,496 parameters."""
from ..images import Preprocessing
from ..nn import Concat, Conv2d, Dropout, GlobalAvgPool2d, MaxPool2d, Network, ReLU

# number of the fire module -> filters of (squeeze1x1, expand1x1, expand3x3)
FIRE = {2: (16, 64, 64), 3: (16, 64, 64), 4: (32, 128, 128), 5: (32, 128, 128),
        6: (48, 192, 192), 7: (48, 192, 192), 8: (64, 256, 256), 9: (64, 256, 256)}


def squeezenet1_1(classes=1000):
    """SqueezeNet v1.1 as published for Caffe: 227 x 227 or 224 x 224, BGR minus the mean, layer names of its prototxt.

    The scores are the spatial mean of the *rectified* conv10, as published: a class that is not seen scores 0 and sends
    no gradient back. Ask for the layer "conv10" where the unrectified maps are wanted.
    """
    net = Network("squeezenet1_1", options={"classes": classes}, class_layer="conv10",
                  preprocessing=Preprocessing(size=224, resize=256, channel_order="BGR", mean=(103.939, 116.779, 123.68)))
    net.add("conv1", Conv2d(3, 64, 3, stride=2))
    net.add("relu_conv1", ReLU())
    net.add("pool1", MaxPool2d(3, 2, ceil_mode=True))
    channels = 64
    for number, filters in FIRE.items():
        channels = add_fire(net, f"fire{number}", channels, *filters)
        if number in (3, 5):
            net.add(f"pool{number}", MaxPool2d(3, 2, ceil_mode=True))
    net.add("drop9", Dropout(0.5))
    net.add("conv10", Conv2d(channels, classes, 1))
    net.add("relu_conv10", ReLU())
    net.add("pool10", GlobalAvgPool2d())
    return net


def add_fire(net, name, channels, squeeze, expand1, expand3):
    """Append a fire module: squeeze to few channels, expand by 1x1 and 3x3 filters side by side; return the channels."""
    net.add(f"{name}/squeeze1x1", Conv2d(channels, squeeze, 1))
    squeezed = net.add(f"{name}/relu_squeeze1x1", ReLU())
    net.add(f"{name}/expand1x1", Conv2d(squeeze, expand1, 1), [squeezed])
    left = net.add(f"{name}/relu_expand1x1", ReLU())
    net.add(f"{name}/expand3x3", Conv2d(squeeze, expand3, 3, padding=1), [squeezed])
    right = net.add(f"{name}/relu_expand3x3", ReLU())
    net.add(f"{name}/concat", Concat(), [left, right])
    return expand1 + expand3
