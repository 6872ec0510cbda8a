"""A network that enlarges pictures four times (Johnson, Alahi and Fei-Fei 2016)."""
from ..nn import Add, BatchNorm2d, Conv2d, Network, Pad, ReLU, Upsample
from .transform import PIXELS, residual

WIDTH, BLOCKS = 32, 4


def super_resolution():
    """From a picture (N, 3, H, W) to one of four times the height and width, (N, 3, 4 H, 4 W); 99,811 parameters.

    A convolution of 9 and four residual blocks on the small picture, twice the nearest neighbour's enlargement and a convolution,
    and one of 9. What comes out is added to the bilinear enlargement, so that only the detail is to be learnt. Half the published
    width, and batch norm.
    """
    net = Network("super_resolution", preprocessing=PIXELS)
    net.add("pad1", Pad(4, "reflect"))
    net.add("conv1", Conv2d(3, WIDTH, 9))
    name = net.add("relu1", ReLU())
    for block in range(1, BLOCKS + 1):
        name = residual(net, f"res{block}", WIDTH, BatchNorm2d, name)
    for number in (2, 3):
        net.add(f"upsample{number}", Upsample(2))
        net.add(f"pad{number}", Pad(1, "reflect"))
        net.add(f"conv{number}", Conv2d(WIDTH, WIDTH if number == 2 else WIDTH // 2, 3))
        net.add(f"relu{number}", ReLU())
    net.add("pad4", Pad(4, "reflect"))
    net.add("detail", Conv2d(WIDTH // 2, 3, 9))
    net.layer("detail").fan_in *= 400           # begins with hardly any
    net.add("enlarged", Upsample(4, "bilinear"), ["data"])
    net.add("picture", Add(), ["detail", "enlarged"])
    return net
