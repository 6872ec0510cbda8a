"""GoogLeNet (Szegedy et al. 2014) as BVLC published it for Caffe, without the two auxiliary heads of training."""
from ..images import Preprocessing
from ..nn import AvgPool2d, Concat, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, Network, ReLU

# module -> filters of (1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool_proj)
INCEPTION = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
             "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
             "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
             "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)}


def googlenet(classes=1000):
    """bvlc_googlenet, layer names of its prototxt ("inception_4c/output"); 6,998,552 parameters.

    In Caffe a ReLU works in place, so that "inception_3b/5x5_reduce" names both the convolution and its rectified output;
    here the convolution keeps that name and the ReLU is "inception_3b/relu_5x5_reduce".
    """
    net = Network("googlenet", options={"classes": classes},
                  preprocessing=Preprocessing(size=224, resize=256, channel_order="BGR", mean=(104.0, 117.0, 123.0)))
    net.add("conv1/7x7_s2", Conv2d(3, 64, 7, stride=2, padding=3))
    net.add("conv1/relu_7x7", ReLU())
    net.add("pool1/3x3_s2", MaxPool2d(3, 2, ceil_mode=True))
    net.add("pool1/norm1", LocalResponseNorm(5, 1e-4, 0.75))
    net.add("conv2/3x3_reduce", Conv2d(64, 64, 1))
    net.add("conv2/relu_3x3_reduce", ReLU())
    net.add("conv2/3x3", Conv2d(64, 192, 3, padding=1))
    net.add("conv2/relu_3x3", ReLU())
    net.add("conv2/norm2", LocalResponseNorm(5, 1e-4, 0.75))
    net.add("pool2/3x3_s2", MaxPool2d(3, 2, ceil_mode=True))
    channels = 192
    for module, filters in INCEPTION.items():
        channels = _add_inception(net, f"inception_{module}", channels, *filters)
        if module in ("3b", "4e"):
            net.add(f"pool{module[0]}/3x3_s2", MaxPool2d(3, 2, ceil_mode=True))
    net.add("pool5/7x7_s1", AvgPool2d(7, 1))
    net.add("pool5/drop_7x7_s1", Dropout(0.4))
    net.add("flatten", Flatten())
    net.add("loss3/classifier", Linear(channels, classes))
    return net


def _add_inception(net, name, channels, one, three_reduce, three, five_reduce, five, pool_proj):
    """Append four branches side by side and their concatenation; return its number of channels."""
    source = [next(reversed(net.layers))]

    def conv(kind, inputs, in_channels, filters, size):
        net.add(f"{name}/{kind}", Conv2d(in_channels, filters, size, padding=size // 2), inputs)
        return net.add(f"{name}/relu_{kind}", ReLU())

    branches = [conv("1x1", source, channels, one, 1)]
    conv("3x3_reduce", source, channels, three_reduce, 1)
    branches.append(conv("3x3", None, three_reduce, three, 3))
    conv("5x5_reduce", source, channels, five_reduce, 1)
    branches.append(conv("5x5", None, five_reduce, five, 5))
    net.add(f"{name}/pool", MaxPool2d(3, 1, padding=1), source)
    branches.append(conv("pool_proj", None, channels, pool_proj, 1))
    net.add(f"{name}/output", Concat(), branches)
    return one + three + five + pool_proj
