"""Networks that paint in one pass (Johnson, Alahi and Fei-Fei 2016), in one style or in many (Dumoulin et al. 2017)."""
import numpy as np

from .. import ops
from ..checks import one_of, whole_number
from ..errors import SettingError
from ..images import Preprocessing
from ..nn import Add, BatchNorm2d, Conv2d, InstanceNorm2d, Layer, Network, Pad, ReLU, Upsample
from ..tensor import Tensor

PIXELS = Preprocessing(size=256, resize=256, mean=(127.5,) * 3, std=(127.5,) * 3)           # -1..1
RESIDUAL_BLOCKS = 5
MOST = 128                  # of the first filters, and of the styles


class ConditionalInstanceNorm2d(Layer):
    """ops.conditional_instance_norm with a scale and a shift per style and channel, (styles, channels).

    `style`, an array (N or 1, styles), says how much of which style; at first it is the first one alone.
    """

    def __init__(self, styles, channels, eps=1e-5):
        super().__init__()
        self.style, self.settings = np.eye(1, styles, dtype=np.float32), dict(eps=eps)
        self.parameters.update(weight=Tensor(np.ones((styles, channels), np.float32)),
                               bias=Tensor(np.zeros((styles, channels), np.float32)))

    def __call__(self, x):
        style = self.style.astype(self.parameters["weight"].dtype, copy=False)
        return ops.conditional_instance_norm(x, style, **self.parameters, **self.settings)


def transform(width=16, norm="instance", styles=1):
    """From a picture to a painting of the same size, (N, 3, H, W), H and W multiples of 4; 424,099 parameters at width 16.

    A convolution of 9, two of stride 2, five residual blocks, twice the nearest neighbour's enlargement and a convolution, and
    one of 9 again; a norm after each but the last, and a ReLU but where a residual block ends. width: filters of the first, 32
    as published, 16 in the networks that were released. norm: "instance", "batch", or "conditional" with so many `styles`. All
    convolutions see mirrored borders and enlarging is no transposed convolution, for those leave frames and checkerboards. The
    published network ends in 150 tanh; where that is flat nothing is learnt any more, and black spots stay for good. This one
    ends in the convolution.
    """
    width, styles = (whole_number("transform", name, n, 1, MOST) for name, n in (("width", width), ("styles", styles)))
    if one_of("norm", norm, ("instance", "batch", "conditional")) != "conditional" and styles > 1:
        raise SettingError(f"transform: {styles} styles with norm={norm!r}; several need norm=\"conditional\"")
    net = Network("transform", preprocessing=PIXELS, options=dict(width=width, norm=norm, styles=styles))
    make_norm = {"instance": InstanceNorm2d, "batch": BatchNorm2d,
                 "conditional": lambda channels: ConditionalInstanceNorm2d(styles, channels)}[norm]
    _convolution(net, 1, 3, width, 9, 1, make_norm)
    _convolution(net, 2, width, 2 * width, 3, 2, make_norm)
    name = _convolution(net, 3, 2 * width, 4 * width, 3, 2, make_norm)
    for block in range(1, RESIDUAL_BLOCKS + 1):
        name = residual(net, f"res{block}", 4 * width, make_norm, name)
    for number, filters in ((4, 2 * width), (5, width)):
        net.add(f"upsample{number}", Upsample(2))
        _convolution(net, number, 2 * filters, filters, 3, 1, make_norm)
    net.add("pad6", Pad(4, "reflect"))
    net.add("conv6", Conv2d(width, 3, 9))
    net.layer("conv6").fan_in *= 400            # begins near grey
    return net


def _convolution(net, number, channels, filters, kernel, stride, make_norm):
    net.add(f"pad{number}", Pad(kernel // 2, "reflect"))
    net.add(f"conv{number}", Conv2d(channels, filters, kernel, stride, bias=False))
    net.add(f"norm{number}", make_norm(filters))
    return net.add(f"relu{number}", ReLU())


def residual(net, name, channels, make_norm, source):
    """Add two convolutions whose sum with what they got goes on; return that sum's name."""
    for half in (1, 2):
        net.add(f"{name}/pad{half}", Pad(1, "reflect"))
        net.add(f"{name}/conv{half}", Conv2d(channels, channels, 3, bias=False))
        net.add(f"{name}/norm{half}", make_norm(channels))
        if half == 1:
            net.add(f"{name}/relu1", ReLU())
    return net.add(f"{name}/sum", Add(), [f"{name}/norm2", source])
