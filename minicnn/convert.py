"""Foreign weights onto our architectures: which of a file's layers is which of ours, and how its numbers are to be turned.

What frameworks disagree on, and where it is put right:

    names of layers             layer_names.py; where no names help, the order of the layers and their shapes do
    axes of filters, matrices   the readers in formats/
    first matrix after a map    reads it in the order (channel, height, width) here, (height, width, channel) in TensorFlow
    fully connected as filters  MatConvNet's 7 x 7 x 512 x 4096 is a matrix here
    rotated filters             Theano's convolution is a true one: its filters stand turned by 180 degrees
    channel order and means     stay as they are; the network's preprocessing says how pictures go in

Where a file leaves one of these open, photographs decide: under the right reading the network recognises what is on them.
"""
import hashlib
import os
from dataclasses import dataclass, field, replace

import numpy as np

from . import formats, layer_names, nets, tape
from .errors import ImageError, WeightsError, unknown_name
from .formats import caffe, numpy_weights, source as sources
from .nets.imagenet import imagenet_classes

MAX_CLASSES = 25_000
MARGIN = 1.25               # by how much the right classes must be more probable under one reading for it to be believed
LEAST = 0.02                # and how probable at least: a network without a clue has 0.001
NORMALISATIONS = ("(BatchNorm)", "(Scale)", "(BN)", "(bnorm)", "(dagnn.BatchNorm)", "(InstanceNormalization)")
MEANING = {"hwio": " (filters height x width, as published)", "whio": " (width x height)", "th": " (filters turned, Theano)",
           "tf": " (TensorFlow)"}
TWINS = {"alexnet": "caffenet", "caffenet": "alexnet"}
# The feature maps (channels, height, width) that each network flattens for its first matrix.
MAPS = {"alexnet": (256, 6, 6), "caffenet": (256, 6, 6), "alexnet_torchvision": (256, 6, 6), "zfnet": (256, 6, 6),
        "vgg16": (512, 7, 7), "vgg19": (512, 7, 7), "googlenet": (1024, 1, 1), "convnetjs_cifar10": (20, 4, 4),
        "lenet": (50, 4, 4), "vgg_cifar10": (192, 2, 2), "softmax_mnist": (1, 28, 28), "softmax_cifar10": (3, 32, 32)}


@dataclass
class Report:
    """What was done: `lines` of text for the user, the `layout` that was taken, and the photographs' `margin` for it."""
    lines: list = field(default_factory=list)
    layout: str = ""
    margin: float | None = None


def convert(path, arch, *, format="auto", layout=None, mean=None, photographs=()):
    """Return (Network, Report): the weights of a foreign file in the architecture `arch`.

    `format` and `layout` name the reader and the reading where the file alone does not tell. `mean` is the path of a mean
    picture of Caffe's (.binaryproto or .npy, BGR) whose average takes the place of the usual one. `photographs` are pairs
    (path, set of right classes) that decide between readings. Raises WeightsError, UnknownNameError.
    """
    net = nets.build(arch, None)
    if net.buffers():
        raise WeightsError(f"{arch} is a network of our own, of which there are no foreign files; minicnn.load({arch!r}) "
                           f"loads it, `python -m tools.train_{arch}` trains it anew")
    size = sum(p.data.nbytes for p in net.parameters().values())
    with formats.opened(path, format, budget=size + 24_000_000) as found:
        name = os.fsencode(os.path.basename(os.fspath(path))).decode("utf-8", "replace")
        normalised = [layer for layer in found.left_out if layer.endswith(NORMALISATIONS)]
        if normalised:
            raise WeightsError(f"it has layers that normalise ({_some(normalised, 3)}), which no network here has in this form; "
                               "without them the others compute something else, use a file of a network without them")
        net, pairs, how = layer_names.match(found.layers, net, MAX_CLASSES)
        report = Report([f"{name}: {found.format}, {len(pairs)} layers of {arch} found by {how}"])
        if arch in TWINS:
            report.lines.append(f"{TWINS[arch]} has layers of the same shapes, in another order of pooling and normalisation; "
                                f"only you can know that it is {arch}")
        _choose(net, pairs, found, layout, photographs, report)
        _fill(net, pairs, found.layers, found.layouts[report.layout])
    if report.margin is None:
        _try(net, photographs, report)
    if net.options.get("head") is False:
        report.lines.append(f"no classifier in it fits {arch}: the network ends in feature maps, without a head")
    left_out = [n for n in found.layers if n not in pairs.values()] + list(found.left_out)
    if left_out:
        report.lines.append(f"left out, not in {arch}: {_some(left_out)}")
    if mean is not None:
        net.preprocessing = replace(net.preprocessing, mean=_mean_of(mean, net.preprocessing))
    net.classes = imagenet_classes() if _tells(net) else None
    net.provenance = {"source": name, "source_sha256": sha256(path), "conversion": f"{found.format}, layout {report.layout}"
                      + (f"; left out: {_some(left_out)}" if left_out else "")}
    spec = net.preprocessing
    report.lines.append(f"pictures go in as {spec.channel_order}: (pixel * {spec.scale:.6g} - {_numbers(spec.mean)}) / "
                        f"{_numbers(spec.std)}")
    return net, report


# --- numbers --------------------------------------------------------------------------------------------------------
def _fill(net, pairs, layers, layout):
    """Put the numbers of the file into the network, one array at a time, and set how pictures go in."""
    order = list(net.layers)
    after = order[order.index("flatten"):] if "flatten" in order else []
    first = next((name for name in after if name in pairs), None)
    for ours, theirs in pairs.items():
        for key, old in {**net.layer(ours).parameters, **net.layer(ours).buffers}.items():
            stored = layers[theirs].get(key)
            if stored is None:
                continue                # a layer that has no bias adds 0
            with np.errstate(over="ignore"):        # a number too large becomes infinite, which is looked for below
                array = _turned(stored.read(), old.shape, layout, MAPS.get(net.architecture) if ours == first else None)
            if not np.isfinite(array).all():
                raise WeightsError(f"NaN or infinity in {theirs[:80]!r}; such a network computes nothing, get the file again")
            net.set_array(f"{ours}/{key}", array)
    _set_preprocessing(net, layout)


def _set_preprocessing(net, layout):
    """Let pictures go in as the layout has it; a network for digits or small pictures keeps its own way."""
    if _of_imagenet(net):
        try:
            net.preprocessing = replace(nets.build(net.architecture, None).preprocessing, **layout.preprocessing)
        except ImageError as error:
            raise WeightsError(f"its means make no preprocessing ({error}); give --mean, or get the file again") from None


def _turned(array, shape, layout, maps):
    """Return an array of the file as float32 of our shape; `maps` is what the first matrix after a map reads."""
    if array.ndim == 4:
        if layout.width_first:
            array = array.swapaxes(2, 3)
        if layout.rotated and len(shape) == 4:
            array = array[:, :, ::-1, ::-1]
    elif array.ndim == 2 and maps and layout.map_axes == "HWC":
        channels, height, width = maps
        array = array.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array, np.float32).reshape(shape)


def _mean_of(path, preprocessing):
    """Return the mean of each channel over the centre of a mean picture (C, H, W): Caffe's, BGR from 0 to 255."""
    if not os.path.isfile(path):
        raise WeightsError(f"the mean picture {os.fspath(path)!r} is no file; give a .binaryproto of Caffe's or an .npy")
    with sources.opened(path) as source, formats.guarded(f"the mean picture {source.name}"):
        if caffe.recognises_mean(source):
            mean = caffe.read_mean(source)
        elif source.read(0, min(6, source.size)) != b"\x93NUMPY":
            raise WeightsError("it is no mean picture; expected a .binaryproto of Caffe's or an .npy")
        else:
            stored = numpy_weights.read_array(source)
            if len(stored.shape) not in (1, 3) or stored.shape[0] != 3 or min(stored.shape) < 1 \
                    or max(stored.shape) > caffe.MAX_MEAN_SIDE:
                raise WeightsError(f"a mean of shape {stored.shape}; expected (3, height, width) or (3,), and at most "
                                   f"{caffe.MAX_MEAN_SIDE} to a side")
            mean = stored.read()
        if mean.ndim == 3:
            size = preprocessing.size if isinstance(preprocessing.size, tuple) else (preprocessing.size,) * 2
            top, left = (max(0, (have - want) // 2) for have, want in zip(mean.shape[1:], size))
            mean = mean[:, top:top + size[0], left:left + size[1]].mean(axis=(1, 2), dtype=np.float64)
        if len(mean) != len(preprocessing.mean) or not (np.abs(mean) < 1000).all():
            raise WeightsError(f"a mean of {len(mean)} channels, {mean}; expected {len(preprocessing.mean)} numbers "
                               "from 0 to 255")
    mean = mean[::-1] if preprocessing.channel_order == "RGB" else mean
    return tuple(float(m) * preprocessing.scale for m in mean)


def sha256(path):
    """Return the SHA-256 of a file, read in small pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


# --- which reading --------------------------------------------------------------------------------------------------
def _choose(net, pairs, found, wanted, photographs, report):
    """Set report.layout to the reading asked for, the format's usual one, or that under which the photographs are recognised."""
    usual = next(iter(found.layouts))
    readings = {_reading(net, layout) for layout in found.layouts.values()}
    if wanted is not None:
        if wanted not in found.layouts:
            raise unknown_name(f"layout of {found.format}", wanted, found.layouts)
        report.layout = wanted
        idle = f", which makes no difference to {net.architecture}" if len(readings) == 1 < len(found.layouts) else ""
        report.lines.append(f"layout {wanted}, as asked for{idle}")
    elif found.certainty == "certain" or len(readings) == 1:
        report.layout = usual
        if len(readings) > 1:
            report.lines.append(f"layout {usual}, as this format has it (--layout takes {' or '.join(found.layouts)})")
    else:
        report.layout, report.margin = _decide(net, pairs, found, photographs, report)


def _reading(net, layout):
    """Return what of a layout matters to the network: a preprocessing of ImageNet's photographs is nothing to one for digits."""
    return layout.map_axes, layout.rotated, layout.width_first, repr(layout.preprocessing) if _of_imagenet(net) else ""


def _decide(net, pairs, found, photographs, report):
    """Return (layout, margin): under it the right classes of the photographs are by that factor more probable."""
    choices, usual = " or ".join(name + MEANING.get(name, "") for name in found.layouts), next(iter(found.layouts))
    if not photographs or not _tells(net):
        why, margin = "without a classifier of ImageNet's 1000 classes photographs cannot tell", None
    else:
        scores = {}
        for name, layout in found.layouts.items():
            _fill(net, pairs, found.layers, layout)
            scores[name] = confidence(net, photographs)
        best, second = sorted(scores, key=scores.get, reverse=True)[:2]
        margin = scores[best] / max(scores[second], 1e-12)
        shown = ", ".join(f"{scores[name]:.3f} under {name}" for name in found.layouts)
        if margin >= MARGIN and scores[best] >= LEAST:
            report.lines.append(f"layout {best}: the right classes of {len(photographs)} photographs have the probability "
                                f"{shown} (geometric mean), {margin:.2f} times as much")
            return best, margin
        why = f"the right classes of {len(photographs)} photographs have the probability {shown}, too little to tell"
    if found.certainty == "open":
        raise WeightsError(f"its layout may be {choices}, and {why}; say which with --layout")
    report.lines.append(f"layout {usual}, the usual one: {why} (--layout takes {choices})")
    return usual, margin


def _try(net, photographs, report):
    """Say whether the network knows what is on the photographs; one that does not was put together wrongly, or is untrained."""
    if not photographs or not _tells(net):
        return
    right = confidence(net, photographs)
    line = f"the right classes of {len(photographs)} photographs have the probability {right:.3f} (geometric mean)"
    report.lines.append(line if right >= LEAST else f"CAUTION: {line}, no more than by chance; the wrong --layout or --arch, "
                        "or weights that are not trained on ImageNet's 1000 classes in their usual order")


def _tells(net):
    """Return whether the network has an opinion on photographs: a classifier of ImageNet's 1000 classes."""
    return _of_imagenet(net) and net.options.get("classes") == 1000


def confidence(net, photographs):
    """Return the geometric mean of the probability of the right classes over photographs, pairs (path, set of classes)."""
    logs = []
    for path, right in photographs:
        with tape.no_grad():
            scores = net(net.preprocess(path)).data[0].astype(np.float64)
        probabilities = np.exp(scores - scores.max())
        logs.append(np.log(max(probabilities[list(right)].sum() / probabilities.sum(), 1e-12)))
    return float(np.exp(np.mean(logs)))


def _of_imagenet(net):
    """Return whether the architecture is one for ImageNet's photographs, not for digits or pictures of 32 x 32."""
    return net.preprocessing.channel_order != "GRAY" and np.min(net.preprocessing.size) > 200


def _numbers(values):
    return "(" + ", ".join(f"{v:.6g}" for v in values) + ")"


def _some(listed, limit=12):
    return ", ".join(str(n)[:60] for n in listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
