"""The architectures, one file each; `build(name, rng=0)` makes one with random weights."""
from ..errors import SettingError, unknown_name
from .alexnet import alexnet, alexnet_torchvision, caffenet
from .allcnn import allcnn_c, allcnn_imagenet
from .convnetjs import convnetjs_cifar10
from .googlenet import googlenet
from .lenet import lenet
from .squeezenet import squeezenet1_1
from .vgg import vgg16, vgg19
from .zfnet import zfnet

_BUILDERS = {f.__name__: f for f in (squeezenet1_1, alexnet, caffenet, alexnet_torchvision, vgg16, vgg19, googlenet,
                                     zfnet, allcnn_c, allcnn_imagenet, convnetjs_cifar10, lenet)}
NAMES = tuple(_BUILDERS)


def build(name, rng=0, **options):
    """Return the Network `name` with weights drawn from `rng`, a seed or a Generator (None: all zero, to be filled).

    `options` are the builder's own, such as `classes=10` (the number of scores). Raises UnknownNameError.
    """
    if not isinstance(name, str) or name not in _BUILDERS:
        raise unknown_name("network", name, NAMES)
    classes = options.get("classes", 1)
    if set(options) - {"classes"} or not isinstance(classes, int) or not 1 <= classes <= 1_000_000:
        raise SettingError(f"build: {name} takes classes=<number of scores, from 1>, given are {options}")
    net = _BUILDERS[name](**options)
    return net if rng is None else net.initialise(rng)
