"""Layers and networks: thin objects that hold weights and call ops.

A Layer holds its parameters and knows which op to call. A Network is a list of named layers in the order in which they
run, each with the names of the layers that feed it, so that branches (fire modules, inception) are plain to see.
"""
import copy
from dataclasses import replace

import numpy as np

from . import images, ops, tape
from .device import to_host
from .errors import SettingError, ShapeError, unknown_name
from .ops.frozen import is_frozen, settle
from .ops.op import pair
from .tensor import Tensor, as_array


class Layer:
    """One named step of a network; a call runs its op. Training changes `parameters`, Tensors, and keeps `buffers`, arrays."""

    training = False
    fan_in = None       # the number of products summed into one output, which sets the size of random weights

    def __init__(self):
        self.parameters, self.buffers = {}, {}

    def __setstate__(self, state):
        """Freeze, in a copy or what comes out of a pickle, the weights that were frozen: their arrays are new ones."""
        self.__dict__.update(state)
        settle(self.parameters, self.training)

    def initialise(self, rng):
        """Begin anew: weights from N(0, 2 / fan_in) (He et al. 2015: keeps the signal's size through ReLUs), the rest 0 or 1."""
        rest = {"weight": 1, "running_var": 1}          # a norm's; its running means and all biases are 0
        for key, old in self.parameters.items():
            random = key == "weight" and self.fan_in
            new = (rng.standard_normal(old.shape, dtype=np.float32) * np.float32(np.sqrt(2 / self.fan_in)) if random else
                   np.full(old.shape, rest.get(key, 0), np.float32))
            self.parameters[key] = Tensor(new, old.requires_grad)
        self.buffers = {key: np.full(old.shape, rest.get(key, 0), np.float32) for key, old in self.buffers.items()}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k} {v.shape}' for k, v in self.parameters.items())})"


class Conv2d(Layer):
    """ops.conv2d with `weight` (out_channels, in_channels / groups, KH, KW) and `bias` (out_channels,)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        super().__init__()
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise SettingError(f"Conv2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        self.settings = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        self.fan_in = in_channels // groups * kernel[0] * kernel[1]
        self.parameters["weight"] = Tensor(np.zeros((out_channels, in_channels // groups, *kernel), np.float32))
        if bias:
            self.parameters["bias"] = Tensor(np.zeros(out_channels, np.float32))

    def __call__(self, x):
        return ops.conv2d(x, self.parameters["weight"], self.parameters.get("bias"), **self.settings)


class ConvTranspose2d(Layer):
    """ops.conv_transpose2d with `weight` (in_channels, out_channels / groups, KH, KW) and `bias` (out_channels,)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True):
        super().__init__()
        kernel = pair("ConvTranspose2d", "kernel_size", kernel_size, 1)
        self.settings = dict(stride=stride, padding=padding, output_padding=output_padding, groups=groups)
        strides = pair("ConvTranspose2d", "stride", stride, 1)
        self.fan_in = max(1, in_channels // groups * kernel[0] * kernel[1] // (strides[0] * strides[1]))
        self.parameters["weight"] = Tensor(np.zeros((in_channels, out_channels // groups, *kernel), np.float32))
        if bias:
            self.parameters["bias"] = Tensor(np.zeros(out_channels, np.float32))

    def __call__(self, x):
        return ops.conv_transpose2d(x, self.parameters["weight"], self.parameters.get("bias"), **self.settings)


class Linear(Layer):
    """ops.linear with `weight` (out_features, in_features) and `bias` (out_features,)."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.fan_in = in_features
        self.parameters["weight"] = Tensor(np.zeros((out_features, in_features), np.float32))
        self.parameters["bias"] = Tensor(np.zeros(out_features, np.float32))

    def __call__(self, x):
        return ops.linear(x, self.parameters["weight"], self.parameters["bias"])


class Function(Layer):
    """A layer without weights: an op with its settings. `Function(ops.max_pool2d, kernel_size=3, stride=2)`."""

    def __init__(self, op, **settings):
        super().__init__()
        self.op = op
        self.settings = settings

    def __call__(self, *inputs):
        return self.op(*inputs, **self.settings)

    def __repr__(self):
        return f"{self.op.__name__}({', '.join(f'{k}={v}' for k, v in self.settings.items())})"


def ReLU():
    return Function(ops.relu)


def LeakyReLU(negative_slope=0.01):
    return Function(ops.leaky_relu, negative_slope=negative_slope)


def Sigmoid():
    return Function(ops.sigmoid)


def Tanh():
    return Function(ops.tanh)


def MaxPool2d(kernel_size, stride=None, padding=0, ceil_mode=False):
    return Function(ops.max_pool2d, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)


def AvgPool2d(kernel_size, stride=None, padding=0, ceil_mode=False):
    return Function(ops.avg_pool2d, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)


def AdaptiveAvgPool2d(output_size):
    return Function(ops.adaptive_avg_pool2d, output_size=output_size)


def GlobalAvgPool2d():
    return Function(ops.global_avg_pool2d)


def LocalResponseNorm(size, alpha=1e-4, beta=0.75, k=1.0):
    return Function(ops.local_response_norm, size=size, alpha=alpha, beta=beta, k=k)


def Flatten():
    return Function(ops.flatten)


def Upsample(scale_factor, mode="nearest"):
    return Function(ops.interpolate, scale_factor=scale_factor, mode=mode)


def Pad(pad, mode="constant"):
    return Function(ops.pad, pad=pad, mode=mode)


class Concat(Layer):
    """ops.concat of all inputs along the channels."""

    def __call__(self, *inputs):
        return ops.concat(inputs, dim=1)


class Add(Layer):
    """The sum of two inputs (residual connections)."""

    def __call__(self, a, b):
        return ops.add(a, b)


class Dropout(Layer):
    """ops.dropout while training, nothing otherwise; its random numbers come from the `rng` given to Network.train."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p, self.rng = p, np.random.default_rng(0)

    def __call__(self, x):
        return ops.dropout(x, self.p, self.training, self.rng)


class BatchNorm2d(Layer):
    """ops.batch_norm; while training it stores the running statistics that the op returns."""

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        super().__init__()
        self.settings = dict(momentum=momentum, eps=eps)
        self.parameters.update(weight=Tensor(np.ones(channels, np.float32)), bias=Tensor(np.zeros(channels, np.float32)))
        self.buffers.update(running_mean=np.zeros(channels, np.float32), running_var=np.ones(channels, np.float32))

    def __call__(self, x):
        p, stats = self.parameters, self.buffers
        out, mean, var = ops.batch_norm(x, stats["running_mean"], stats["running_var"], p["weight"], p["bias"],
                                        self.training, return_stats=True, **self.settings)
        if self.training:
            stats.update(running_mean=mean, running_var=var)
        return out


class GroupNorm(Layer):
    """ops.group_norm with a scale and a shift per channel; one group: layer norm, a group per channel: instance norm."""

    def __init__(self, num_groups, channels, eps=1e-5):
        super().__init__()
        self.settings = dict(num_groups=num_groups, eps=eps)
        self.parameters.update(weight=Tensor(np.ones(channels, np.float32)), bias=Tensor(np.zeros(channels, np.float32)))

    def __call__(self, x):
        return ops.group_norm(x, **self.parameters, **self.settings)


def InstanceNorm2d(channels, eps=1e-5):
    return GroupNorm(channels, channels, eps)


class Network:
    """Named layers in running order; "data" is the name of the input.

    `architecture` and `options` are what nets.build(architecture, **options) needs to make the same network again.
    A new network is in eval mode: dropout does nothing, statistics stay as they are, and the weights are frozen, that
    is no gradient of a weight is computed. `train()` changes all three.
    """

    def __init__(self, architecture, preprocessing=images.Preprocessing(), classes=None, options=None, class_layer=None):
        self.architecture, self.options = architecture, dict(options or {})
        self.preprocessing = preprocessing
        self.classes, self._class_layer = classes, class_layer
        self.provenance = {}
        self.layers = {}        # name -> (layer, names of its inputs), in running order

    def add(self, name, layer, inputs=None):
        """Append a layer fed by the layers named in `inputs` (default: the one added last); return `name`."""
        if inputs is None:
            inputs = [next(reversed(self.layers), "data")]
        if name in self.layers or name == "data" or not isinstance(name, str) or not isinstance(layer, Layer):
            raise SettingError(f"add({name!r}, {layer!r}): expected a text that names no layer yet, and a Layer")
        for source in inputs:
            if source != "data" and source not in self.layers:
                raise unknown_name("layer", source, self.layers)
        self.layers[name] = (layer, tuple(inputs))
        return name

    # --- running --------------------------------------------------------------------------------------------------
    def __call__(self, x):
        """Return the last layer's output for a batch x (N, C, H, W): the scores (N, classes), before any softmax."""
        if not self.layers:
            raise SettingError(f"{self.architecture} has no layers; add some")
        last_use, values = {i: name for name, (_, inputs) in self.layers.items() for i in inputs}, {"data": self._input(x)}
        for name, out in self._run(values):
            for source in self.layers[name][1]:     # let go of what no later layer reads
                if last_use[source] == name:
                    values.pop(source, None)
        return out

    def activations(self, x, upto=None):
        """Return every layer's output as an ordered dict name -> Tensor, all on one tape; `upto` is the last to run."""
        if upto is not None:
            self.layer(upto)
        values = {"data": self._input(x)}
        for name, _ in self._run(values):
            if name == upto:
                break
        del values["data"]
        return values

    @property
    def dtype(self):
        """The dtype of the weights, in which the network computes: float32 unless somebody changed it."""
        return next((p.dtype for p in self.parameters().values()), np.dtype(np.float32))

    def _input(self, x):
        """Return x as a Tensor; a plain array or list gets the network's dtype."""
        return x if isinstance(x, Tensor) else Tensor(to_host(as_array(x)).astype(self.dtype, copy=False))

    def _run(self, values):
        """Run layer after layer on the dict `values`, which holds the inputs by name; yield (name, output)."""
        for name, (layer, inputs) in self.layers.items():
            try:
                values[name] = layer(*[values[source] for source in inputs])
            except ShapeError as error:
                raise ShapeError(f"{self.architecture}, layer {name!r}: {error}") from None
            yield name, values[name]

    def layer(self, name):
        """Return the Layer of that name; an unknown name gets the nearest ones offered."""
        if not isinstance(name, str) or name not in self.layers:
            raise unknown_name(f"layer of {self.architecture}", name, self.layers)
        return self.layers[name][0]

    @property
    def class_layer(self):
        """The layer from which a picture of a class starts: the scores, or maps of the classes before a last ReLU."""
        return self._class_layer or next(reversed(self.layers))

    # --- pictures -------------------------------------------------------------------------------------------------
    def preprocess(self, image, size=None, whole=False):
        """Return a picture (path, PIL image or (H, W, 3) uint8) as the Tensor (1, C, H, W) this network expects.

        The Tensor takes a gradient, since looking at it is what the picture is for. `size`: another crop than usual;
        `whole`: the picture as large as it is, neither resized nor cropped.
        """
        spec = self.preprocessing
        if whole and size is not None:
            raise SettingError("preprocess: give size or whole, not both")
        if whole:
            image = images.load_image(image)
            spec, size = replace(spec, resize=None), image.shape[:2]
        return Tensor(images.preprocess(image, spec, size), requires_grad=True)

    def deprocess(self, x):
        """Return the picture (H, W, 3) uint8 that preprocess made `x` from."""
        return images.deprocess(x.data if isinstance(x, Tensor) else x, self.preprocessing)

    # --- weights --------------------------------------------------------------------------------------------------
    def parameters(self):
        """Return an ordered dict "layer/weight" -> Tensor."""
        return {f"{name}/{key}": value for name, (layer, _) in self.layers.items() for key, value in layer.parameters.items()}

    def buffers(self):
        """Return an ordered dict "layer/running_mean" -> array of what is stored but not trained."""
        return {f"{name}/{key}": value for name, (layer, _) in self.layers.items() for key, value in layer.buffers.items()}

    def set_array(self, name, array):
        """Put a copy of `array` in the place of the parameter or buffer `name`, which must have the same shape."""
        array = to_host(as_array(array))
        layer_name, _, key = name.rpartition("/")
        layer = self.layer(layer_name)
        if key not in layer.parameters and key not in layer.buffers:
            raise unknown_name(f"array of layer {layer_name!r}", key, [*layer.parameters, *layer.buffers])
        old = layer.parameters[key] if key in layer.parameters else layer.buffers[key]
        if old.shape != array.shape:
            raise ShapeError(f"{name} has shape {tuple(old.shape)}, the given array {tuple(array.shape)}")
        if key in layer.parameters:
            layer.parameters[key] = Tensor(array if is_frozen(array) else np.array(array), old.requires_grad)
            settle(layer.parameters, layer.training)
        else:
            layer.buffers[key] = np.array(array, np.float32)

    def initialise(self, rng):
        """Begin anew with weights drawn from `rng` (a seed or a Generator), which are new Tensors; return self."""
        rng = np.random.default_rng(rng)
        for layer, _ in self.layers.values():
            layer.initialise(rng)
            settle(layer.parameters, layer.training)
        return self

    def astype(self, dtype):
        """Return a copy of the network whose weights are of another dtype: np.float64 for exact checks."""
        net = copy.copy(self)
        net.layers = {name: (copy.copy(layer), inputs) for name, (layer, inputs) in self.layers.items()}
        for layer, _ in net.layers.values():
            layer.parameters = {k: Tensor(p.data.astype(dtype), p.requires_grad) for k, p in layer.parameters.items()}
            layer.buffers = dict(layer.buffers)
            settle(layer.parameters, layer.training)
        return net

    def train(self, rng=None):
        """Switch to training: all weights take gradients, dropout (from `rng`) and batch statistics are on; return self."""
        return self._set_training(True, rng)

    def eval(self):
        """Switch to evaluation, the default: weights frozen (read-only), no dropout, stored statistics; return self."""
        return self._set_training(False)

    def _set_training(self, training, rng=None):
        for layer, _ in self.layers.values():
            layer.training = training
            for parameter in layer.parameters.values():
                parameter.requires_grad = training
            settle(layer.parameters, training)
            if rng is not None and isinstance(layer, Dropout):
                layer.rng = rng = np.random.default_rng(rng)        # one for all: a Generator is given back as it is
        return self

    def __repr__(self):
        return (f"Network({self.architecture}, {len(self.layers)} layers, "
                f"{sum(p.size for p in self.parameters().values()):,} parameters)")


def Sequential(layers, architecture="sequential", **kwargs):
    """Return a Network of `layers`, a dict or pairs name -> Layer, each fed by the one before."""
    net = Network(architecture, **kwargs)
    for name, layer in layers.items() if isinstance(layers, dict) else layers:
        net.add(name, layer)
    return net


def predict(net, image, top=5):
    """Return the `top` most probable classes of a picture as a list of (probability, class index, class name)."""
    if not isinstance(net, Network) or not isinstance(top, (int, np.integer)) or top < 1:
        raise SettingError(f"predict: top is {top!r} and net a {type(net).__name__}, expected at least 1 and a Network")
    with tape.no_grad():
        scores = net(net.preprocess(image))
        if scores.ndim != 2:
            raise SettingError(f"predict: {net.architecture} ends in maps, not in scores of classes; give it with its head")
        probabilities = ops.softmax(scores, dim=1).data[0]
    return [(float(probabilities[k]), int(k), net.classes[k] if net.classes else str(k))
            for k in np.argsort(-probabilities, kind="stable")[:top]]
