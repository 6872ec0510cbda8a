"""Which layer of a foreign file is which of ours: by the names that frameworks use, or else by order and shape.

Our names are those of the Caffe models. torchvision counts the layers of VGG and AlexNet: "features.0" is the first layer,
"classifier.0" the first after the flattening. Keras calls VGG's layers "block1_conv1", ..., "fc1", "fc2", "predictions".
"""
import math
import re

from . import nets
from .errors import WeightsError

# How many numbers each network has, so that a file is only compared with networks of about its size.
PARAMETERS = {"squeezenet1_1": 1_235_496, "alexnet": 60_965_224, "caffenet": 60_965_224, "alexnet_torchvision": 61_100_840,
              "vgg16": 138_357_544, "vgg19": 143_667_240, "googlenet": 6_998_552, "zfnet": 62_357_608, "allcnn_c": 1_369_738,
              "allcnn_imagenet": 9_372_840, "convnetjs_cifar10": 22_466, "lenet": 431_080, "softmax_mnist": 7_850,
              "softmax_cifar10": 30_730,
              "allcnn_cifar10": 344_506, "vgg_cifar10": 1_040_618, "generator_cifar10": 1_135_203,
              "generator_fc6": 56_097_891, "transform": 424_099, "texture": 70_979, "super_resolution": 99_811}
# torchvision's number of a layer of squeezenet1_1 -> our fire module
FIRES = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}


def match(layers, net, max_classes):
    """Return (network, pairs, how): our layers' names -> the file's, `net` with as many classes as the file, or without a head.

    `layers` maps names to dicts of arrays, of which only the shapes count. Raises WeightsError that says what does not fit.
    """
    for how, pairs in (("name", _by_name(layers, net)), ("order and shape", _by_order(layers, net))):
        fitting = _fitting(pairs, layers, net, max_classes)
        if fitting is not None:
            _check_rest(pairs, how, layers, fitting, max_classes)
            return fitting, pairs, how
    _explain(layers, net, max_classes)


def known_names(net):
    """Return a dict foreign name (plain: lower case, signs as "_") -> our name of the layers with weights."""
    weighted = [name for name, (layer, _) in net.layers.items() if layer.parameters]
    order, known = list(net.layers), {}
    if net.architecture in ("vgg16", "vgg19", "alexnet_torchvision"):
        split = order.index("flatten") if "flatten" in order else len(order)
        known |= {f"features.{k}": name for k, name in enumerate(order[:split])}
        known |= {f"classifier.{k}": name for k, name in enumerate(order[split + 1:])}
    if net.architecture in ("vgg16", "vgg19"):
        known |= {re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", name): name for name in weighted}
        known |= {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
        known |= {"classifier.1": "fc6", "classifier.4": "fc7"}         # Johnson's files count the flattening
        known |= {"pre_logits.fc1": "fc6", "pre_logits.fc2": "fc7", "head.fc": "fc8"}       # timm's
    if net.architecture == "squeezenet1_1":
        known |= {"features.0": "conv1", "classifier.1": "conv10"}
        known |= {f"features.{k}.{theirs}": f"fire{fire}/{ours}" for k, fire in FIRES.items()
                  for theirs, ours in (("squeeze", "squeeze1x1"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3"))}
    known |= {name: name for name in weighted}
    return {_plain(theirs): ours for theirs, ours in known.items() if ours in weighted}


def _plain(name):
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _by_name(layers, net):
    """Return pairs of ours -> theirs; the first of two that claim the same name counts."""
    known, pairs = known_names(net), {}
    for theirs in layers:
        ours = known.get(_plain(theirs))
        if ours is not None:
            pairs.setdefault(ours, theirs)
    return {name: pairs[name] for name in net.layers if name in pairs}


def _by_order(layers, net):
    """Return pairs of ours -> theirs: each of ours takes the next of theirs that has its shape."""
    rest, pairs = list(layers), {}
    head = _head(net)
    for name in _weighted(net):
        k = next((k for k, theirs in enumerate(rest) if _fits(layers[theirs], net.layer(name), name == head)), None)
        if k is not None:
            pairs[name] = rest[k]
            del rest[:k + 1]
    return pairs


def _weighted(net):
    return [name for name, (layer, _) in net.layers.items() if layer.parameters]


def _head(net):
    return _weighted(net)[-1]


def _fits(arrays, layer, any_classes):
    """Return whether a layer of the file has our shapes; the last layer may have any number of outputs."""
    if "weight" not in arrays:
        return False
    given, expected = arrays["weight"].shape, tuple(layer.parameters["weight"].shape)
    if len(expected) == 2 and len(given) == 4:          # fully connected, kept as filters
        given = given[0], given[1] * given[2] * given[3]
    outputs = given[0] if given and any_classes else expected[0]
    bias = arrays["bias"].shape if "bias" in arrays else (outputs,)
    return given == (outputs, *expected[1:]) and bias == (outputs,) and outputs > 0 and "running_mean" not in arrays


def _fitting(pairs, layers, net, max_classes):
    """Return the network that the pairs fill completely, or None: `net`, one of another number of classes, or its features."""
    weighted, head = _weighted(net), _head(net)
    after = list(net.layers)[list(net.layers).index("flatten"):] if "flatten" in net.layers else []
    if after and pairs and not any(name in pairs for name in after):
        return _fitting(pairs, layers, nets.build(net.architecture, None, head=False), max_classes)
    if set(pairs) != set(weighted):
        return None
    last = head if "head" not in net.options else None
    if not all(_fits(layers[theirs], net.layer(ours), ours == last) for ours, theirs in pairs.items()):
        return None
    classes = layers[pairs[head]]["weight"].shape[0]
    if "head" in net.options or classes == net.options.get("classes", classes):
        return net
    if classes > max_classes:
        raise WeightsError(f"its last layer scores {classes} classes; at most {max_classes} are supported")
    return nets.build(net.architecture, None, classes=classes)


def _check_rest(pairs, how, layers, net, max_classes):
    """Raise WeightsError if what is left of the file shows that it is another network, of which ours is only a part."""
    used, names = set(pairs.values()), list(layers)
    rest = [name for name in names if name not in used]
    normalised = [name for name in rest if "running_mean" in layers[name]]
    if normalised:
        raise WeightsError(f"it has batch normalisation ({_some(normalised)}), which {net.architecture} has not; without it the "
                           "other layers compute something else, use a file of the network without batch normalisation")
    for other in nets.NAMES if rest else ():
        more = _would_fit(layers, other, max_classes) if other != net.architecture else 0
        if more > len(pairs):
            raise WeightsError(f"it fits {other} better, where {more} of its layers have a place, than {net.architecture}, where "
                               f"{len(pairs)} have; give --arch {other}")
    used_at = [k for k, name in enumerate(names) if name in used]
    # What follows a network without its head may be another head; all else belongs to the network of the file.
    foreign = [name for name in names[:used_at[-1] if "head" in net.options else None] if name not in used]
    if foreign and how != "name":
        raise WeightsError(f"its names are unknown, and by order and shape there is no place for {_some(foreign)}; "
                           f"it is another network than {net.architecture}")


def _some(names):
    return ", ".join(name[:60] for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _explain(layers, net, max_classes):
    """Raise the WeightsError that says why the file does not fit, and which architecture it does fit."""
    pairs = _by_name(layers, net) or _by_order(layers, net)
    missing = [name for name in _weighted(net) if name not in pairs]
    wrong = [f"{theirs[:60]!r} has {layers[theirs]['weight'].shape if 'weight' in layers[theirs] else 'no weight'}, expected is "
             f"{tuple(net.layer(ours).parameters['weight'].shape)}" for ours, theirs in pairs.items()
             if not _fits(layers[theirs], net.layer(ours), ours == _head(net))]
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    says = "; ".join(([f"no layer of it is {', '.join(missing[:5])}{more}"] if missing else []) + wrong[:3])
    if any(name.startswith("inception3a.branch1") for name in layers):
        says += "; torchvision's googlenet is another network, with batch normalisation, than the published one"
    others = [name for name in nets.NAMES if name != net.architecture and _would_fit(layers, name, max_classes)]
    advice = f"its layers fit {' or '.join(others)}, give that as --arch" if others else "give the --arch that it was trained as"
    raise WeightsError(f"it does not fit {net.architecture}: {says}; {advice}")


def _would_fit(layers, arch, max_classes):
    """Return how many layers of the file have a place in the network `arch`, 0 unless they fill it."""
    numbers = sum(math.prod(array.shape) for arrays in layers.values() for array in arrays.values())
    if not PARAMETERS[arch] / 2 < numbers < 2 * PARAMETERS[arch]:
        return 0
    net = nets.build(arch, None)
    ways = [pairs for pairs in (_by_name(layers, net), _by_order(layers, net)) if len(pairs) > 1]
    return max((len(pairs) for pairs in ways if _fitting(pairs, layers, net, max_classes) is not None), default=0)
