"""LeNet in the form that Caffe made common (after LeCun et al. 1998): ReLU and max pooling, for 28 x 28 digits."""
from ..images import Preprocessing
from ..nn import Conv2d, Flatten, Linear, MaxPool2d, Network, ReLU


def lenet(classes=10):
    """Two 5x5 convolutions (20, 50 filters) with pooling, 500 hidden units; grey pixels / 256; 431,080 parameters."""
    net = Network("lenet", options={"classes": classes},
                  preprocessing=Preprocessing(size=28, resize=None, channel_order="GRAY", scale=1 / 256, mean=(0.0,), std=(1.0,)))
    net.add("conv1", Conv2d(1, 20, 5))
    net.add("pool1", MaxPool2d(2, 2))
    net.add("conv2", Conv2d(20, 50, 5))
    net.add("pool2", MaxPool2d(2, 2))
    net.add("flatten", Flatten())
    net.add("ip1", Linear(50 * 4 * 4, 500))
    net.add("relu1", ReLU())
    net.add("ip2", Linear(500, classes))
    return net
