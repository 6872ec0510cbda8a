"""The architectures, one file each; `build(name, rng=0)` makes one with random weights."""
from ..errors import SettingError, unknown_name
from .alexnet import alexnet, alexnet_torchvision, caffenet
from .allcnn import allcnn_c, allcnn_cifar10, allcnn_imagenet
from .convnetjs import convnetjs_cifar10
from .generator import generator_cifar10, generator_fc6
from .googlenet import googlenet
from .lenet import lenet
from .softmax_regression import softmax_cifar10, softmax_mnist
from .squeezenet import squeezenet1_1
from .super_resolution import super_resolution
from .texture import texture
from .transform import transform
from .vgg import vgg16, vgg19, vgg_cifar10
from .zfnet import zfnet

_BUILDERS = {f.__name__: f for f in (squeezenet1_1, alexnet, caffenet, alexnet_torchvision, vgg16, vgg19, googlenet, zfnet, lenet,
                                     allcnn_c, allcnn_imagenet, allcnn_cifar10, convnetjs_cifar10, vgg_cifar10, softmax_mnist,
                                     softmax_cifar10,
                                     generator_cifar10, generator_fc6, transform, texture, super_resolution)}
_WITHOUT_SCORES = ("generator_cifar10", "generator_fc6", "texture", "super_resolution")
NAMES = tuple(_BUILDERS)


def build(name, rng=0, **options):
    """Return the Network `name` with weights drawn from `rng`, a seed or a Generator (None: all zero, to be filled).

    `options`: `classes=10` (the number of scores), or `head=False` for the features alone, without the linear layers that
    score them, for which any size of picture will do; of transform `width`, `norm` and `styles`, see there. Raises
    UnknownNameError and SettingError.
    """
    if not isinstance(name, str) or name not in _BUILDERS:
        raise unknown_name("network", name, NAMES)
    if name == "transform":
        return _filled(_transform(options), rng)
    classes, head = options.get("classes", 1), options.get("head", True)
    if name in _WITHOUT_SCORES and options:
        raise SettingError(f"build: {name} has no scores, so no classes=... and no head=...; given are {options}")
    if set(options) - {"classes", "head"} or not isinstance(classes, int) or not 1 <= classes <= 1_000_000:
        raise SettingError(f"build: {name} takes classes=<number of scores, from 1> and head=False, given are {options}")
    net = _BUILDERS[name](**{k: v for k, v in options.items() if k == "classes"})
    if not head:
        _behead(net)
    return _filled(net, rng)


def _filled(net, rng):
    return net if rng is None else net.initialise(rng)


def _transform(options):
    """Return the one network that is no classifier and has options of its own."""
    if set(options) - {"width", "norm", "styles"}:
        raise SettingError(f"build: transform takes width=..., norm=... and styles=..., given are {options}")
    return transform(**options)


def _behead(net):
    """Take away all that comes after the last feature maps."""
    names = list(net.layers)
    if "flatten" not in names:
        raise SettingError(f"build: {net.architecture} has no linear layers to leave out; head=False is for "
                           "networks that flatten their maps, such as vgg16")
    if names[0] == "flatten":
        raise SettingError(f"build: {net.architecture} is nothing but a linear layer, there are no maps to keep with head=False")
    for name in names[names.index("flatten"):]:
        del net.layers[name]
    net.options, net.classes = {"head": False}, None
