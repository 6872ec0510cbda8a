"""A network that paints a texture from noise in one pass (Ulyanov et al. 2016)."""
from .. import ops
from ..nn import Concat, Conv2d, Function, InstanceNorm2d, LeakyReLU, Network, Pad, Upsample
from .transform import PIXELS

SCALES, NOISE, FILTERS = 5, 3, 8            # sizes of noise, channels of each, filters for each that has come in


def texture():
    """From noise (N, 15, H, W) to a texture (N, 3, H, W), H and W multiples of 16; 70,979 parameters.

    The noise is seen at five sizes, three channels for each: averaged over squares of 16, 8, 4, 2 pixels and as it is. From the
    smallest on, three convolutions; then the maps are doubled, and the noise of the next size is laid beside them. So large
    pieces of the texture come from coarse noise, and fine ones from fine. Mirrored borders, instance norm.
    """
    net = Network("texture", preprocessing=PIXELS)
    net.add("joined0", Function(scale_of_noise, scale=SCALES - 1), ["data"])
    name, channels = _block(net, "block0", "joined0", NOISE, FILTERS), FILTERS
    for step in range(1, SCALES):
        net.add(f"noise{step}", Function(scale_of_noise, scale=SCALES - 1 - step), ["data"])
        fine = _block(net, f"fine{step}", f"noise{step}", NOISE, FILTERS)
        net.add(f"upsample{step}", Upsample(2), [name])
        net.add(f"joined{step}", Concat(), [f"upsample{step}", fine])
        channels += FILTERS
        name = _block(net, f"block{step}", f"joined{step}", channels, channels)
    net.add("conv_out", Conv2d(channels, 3, 1))
    net.layer("conv_out").fan_in *= 400
    return net


def scale_of_noise(x, scale):
    """Return that scale's three channels of x averaged over squares of 2^scale pixels, times 2^scale: the same deviation."""
    some = x[:, NOISE * scale:NOISE * (scale + 1)]
    return ops.avg_pool2d(some, 2 ** scale) * float(2 ** scale) if scale else some


def _block(net, name, source, channels, filters):
    """Add two convolutions of 3 and one of 1, each with a norm and a leaky ReLU; return the last one's name."""
    for number, kernel in enumerate((3, 3, 1), start=1):
        if kernel > 1:
            source = net.add(f"{name}/pad{number}", Pad(kernel // 2, "reflect"), [source])
        net.add(f"{name}/conv{number}", Conv2d(channels, filters, kernel, bias=False), [source])
        net.add(f"{name}/norm{number}", InstanceNorm2d(filters))
        source, channels = net.add(f"{name}/relu{number}", LeakyReLU(0.01)), filters
    return source
