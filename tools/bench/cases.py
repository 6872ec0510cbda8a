"""What is measured.

A network is a list of steps, recorded while minicnn runs it once: each names an op, where its inputs come from, and its
settings. The peers get these steps and the same weights, and run them with functions of their own.
"""
import numpy as np

import minicnn
from minicnn.art.perceptual_loss import LAYERS
from minicnn.ops.op import Op

from .steps import Case, Step

SIZES = {"vgg16": 224, "alexnet": 227, "alexnet_torchvision": 224, "squeezenet1_1": 224, "lenet": 28}
MEASURED = ("Conv2d", "Relu", "MaxPool2d", "LocalResponseNorm", "Linear")     # what the table of ops shows


def record(net, x):
    """Run a network on an array and return the Steps that it took."""
    names = {id(tensor): name for name, tensor in net.parameters().items()}
    x = minicnn.Tensor(x)
    names[id(x)] = "x"
    steps, alive, original = [], [], Op.apply.__func__

    def apply(cls, *inputs, **settings):
        result = original(cls, *inputs, **settings)
        out = result[0] if isinstance(result, tuple) else result
        steps.append(Step(cls.__name__, tuple(names.get(id(i)) for i in inputs), settings, str(len(steps)),
                          tuple(tuple(i.shape) for i in inputs if i is not None), tuple(out.shape)))
        names[id(out)] = steps[-1].name
        alive.append(out)               # as long as it lives, nothing else has its id
        return result

    Op.apply = classmethod(apply)
    try:
        with minicnn.use("cpu"):            # whatever runs the case
            net(x)
    finally:
        Op.apply = classmethod(original)
    return tuple(steps)


def cifar_vgg():
    """Return a network in the style of VGG for pictures of 32 x 32: three blocks of two convolutions, and a linear layer."""
    layers, channels = [], 3
    for block, width in enumerate((64, 128, 256), 1):
        for i in (1, 2):
            layers += [(f"conv{block}_{i}", minicnn.nn.Conv2d(channels, width, 3, padding=1)),
                       (f"relu{block}_{i}", minicnn.nn.ReLU())]
            channels = width
        layers.append((f"pool{block}", minicnn.nn.MaxPool2d(2, 2)))
    layers += [("flatten", minicnn.nn.Flatten()), ("fc", minicnn.nn.Linear(4096, 10))]
    net = minicnn.nn.Network("cifar_vgg")
    for name, layer in layers:
        net.add(name, layer)
    return net.initialise(0)


def _saved(net, folder):
    path = folder / f"{net.architecture}.npz"
    np.savez(path, **{name: tensor.data for name, tensor in net.parameters().items()})
    return str(path)


def _network(name, folder, batch=1):
    """Return (steps, file of weights, shape of the input) of a network with random weights."""
    net = minicnn.build(name, rng=0)
    shape = (batch, 1 if name == "lenet" else 3, SIZES[name], SIZES[name])
    return record(net, np.zeros(shape, np.float32)), _saved(net, folder), shape


def ops_cases(folder, names=("vgg16", "alexnet", "squeezenet1_1", "lenet")):
    """Yield every layer of the networks that differs from those before in its op, shapes or settings: forward, then both ways."""
    seen = set()
    for name in names:
        steps, weights, _ = _network(name, folder)
        for step in steps:
            key = step.op, step.shapes, str(step.settings)
            if step.op in MEASURED and key not in seen:
                seen.add(key)
                layer = step.inputs[1].rpartition("/")[0] if len(step.inputs) > 1 else step.op
                alone = Step(step.op, ("x", *step.inputs[1:]), step.settings, step.name, step.shapes, step.out_shape)
                for backward in (False, True):
                    label = f"{name} {layer} {'x'.join(map(str, step.shapes[0][1:]))}{' fwd+bwd' if backward else ''}"
                    yield Case("ops", label, (alone,), weights, step.shapes[0], backward, scale=1.)


def nets_cases(folder, names=("vgg16", "alexnet", "alexnet_torchvision", "squeezenet1_1")):
    """Yield forward, and forward and backward to the picture, at batch 1."""
    for name in names:
        steps, weights, shape = _network(name, folder)
        for backward in (False, True):
            label = f"{name} {'forward + backward to image' if backward else 'forward'}"
            yield Case("nets", label, steps, weights, shape, backward)


def nets_of_a_gpu(folder, names=("vgg16", "alexnet", "squeezenet1_1"), batches=(1, 32)):
    """Yield the same, in batches as well."""
    for name in names:
        for batch in batches:
            steps, weights, shape = _network(name, folder, batch)
            for backward in (False, True):
                label = f"{name} {'forward + backward to image' if backward else 'forward'}, batch {batch}"
                yield Case("nets", label, steps, weights, shape, backward)


def style_of_a_gpu(folder):
    """Yield neural style's loss and gradient for pictures of 512 x 512: an iteration, but for L-BFGS's own arithmetic."""
    yield from list(style_cases(folder, side=512))[1:]


def style_cases(folder, side=256):
    """Yield one pass of the network that paints, and neural style's loss with its gradient, as the paper has it for VGG."""
    painter = minicnn.build("transform", rng=0)
    shape = (1, 3, 512, 512)
    yield Case("style", "transform, one pass, 512 x 512", record(painter, np.zeros(shape, np.float32)), _saved(painter, folder),
               shape, scale=.5)
    net, shape, (content, style) = minicnn.build("vgg16", rng=0, head=False), (1, 3, side, side), LAYERS["vgg16"]
    numbers = {name: str(k) for k, name in enumerate(net.layers)}
    for name in list(net.layers)[list(net.layers).index(style[-1]) + 1:]:
        del net.layers[name]
    layers = tuple(tuple((name, numbers[name]) for name in of) for of in (content, style))
    yield Case("style", f"neural style, VGG-16, loss and gradient, {side} x {side}", record(net, np.zeros(shape, np.float32)),
               _saved(net, folder), shape, backward=True, style=layers)


def train_cases(folder, batches=(64,)):
    """Yield steps of training on pictures of 32 x 32: of a VGG without, and of one with batch norm (and without its dropout)."""
    normed = minicnn.build("vgg_cifar10", rng=0).train(0)
    normed.layer("drop5").p = 0.
    for net, name in ((cifar_vgg(), "CIFAR VGG"), (normed, "vgg_cifar10")):
        for batch in batches:
            shape = (batch, 3, 32, 32)
            steps = record(net, np.zeros(shape, np.float32))
            yield Case("train", f"{name} training step, batch {batch}", steps, _saved(net, folder), shape, train=True, scale=1.)
