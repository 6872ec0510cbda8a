"""Assignment 2: from the network back to the picture. Slides "Guided backprop", "Deconv net", "Finding salient map of an object",
"Class model visualization"."""
import numpy as np

from minicnn.ops.relu import relu_deconvnet_ref, relu_guided_ref
from minicnn.visualize.backprop import backproject, unit_seed
from minicnn.visualize.class_model import Settings, simonyan, tidied
from minicnn.visualize.deconvnet import _transposed, _unpooled, deconvnet
from minicnn.visualize.saliency import saliency_map

from .networks import branched_network, small_network
from .tasks import Task

TITLE = "Saliency, deconvnet, guided backprop, and class models"
WEIGHTS, LECTURES = ("squeezenet1_1",), ("backprop_deconvnet_guided", "saliency", "segmentation", "class_models")
NETWORKS = {"small": small_network, "branched": branched_network}


def unit(network, seed, x, layer, unit, value):
    net = NETWORKS[network](seed)
    start = {}

    def made(activation):
        start["seed"] = unit_seed(activation, unit, value)
        return start["seed"]
    signal = backproject(net, x, layer, made)
    given = np.linspace(-1, 1, start["seed"].size).reshape(start["seed"].shape)
    return {**start, "signal": signal, "signal of a given seed": backproject(net, x, layer, given)}


def rules(on, dout):
    return {"deconvnet": relu_deconvnet_ref(on, dout), "guided": relu_guided_ref(on, dout)}


def saliency(network, seed, x, class_index):
    return {"M": saliency_map(NETWORKS[network](seed), x, class_index)}


def deconvolved(network, seed, x, layer, unit):
    """Answer with the whole way, and with two of its steps by themselves, on sines."""
    def made(activation):                       # as unit_seed, which is another task's
        values = np.zeros(activation.shape)
        values[(0, *unit)] = activation.data[(0, *unit)]
        return values
    net = NETWORKS[network](seed)
    picture, pooled, stamps = (np.sin(np.arange(np.prod(shape))).reshape(shape) for shape in ((1, 2, 7, 6), (1, 2, 3, 3),
                                                                                              (1, 6, 2, 2)))
    return {"signal": deconvnet(net, x, layer, made),
            "unpooled": _unpooled(pooled, picture, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
            "transposed": _transposed(small_network(seed).layers["conv2"][0], stamps, (4, 4))}


def one_step(x, gradient, settings, step):
    return {"x": tidied(x, gradient, Settings(**settings), step)}


def ascent(weight, lr, x, gradient):
    settings = simonyan(weight, lr)
    return {"decay": settings.decay, "lr": settings.lr, "x": tidied(x, gradient, settings, 0)}


def climbed(**inputs):
    return ascent(**inputs) if "weight" in inputs else one_step(**inputs)


TASKS = (
    Task("hw2.1", "from a unit back to the picture", 20, "minicnn/visualize/backprop.py", ("unit_seed", "backproject"), unit),
    Task("hw2.2", "what a ReLU passes back: deconvnet and guided", 15, "minicnn/ops/relu.py",
         ("relu_deconvnet_ref", "relu_guided_ref"), rules),
    Task("hw2.3", "saliency maps", 15, "minicnn/visualize/saliency.py", ("saliency_map",), saliency, builds_on=("hw2.1",)),
    Task("hw2.4", "the deconvnet, layer by layer", 25, "minicnn/visualize/deconvnet.py",
         ("deconvnet", "_down", "_transposed", "_unpooled"), deconvolved),
    Task("hw2.5", "a step of a class model", 25, "minicnn/visualize/class_model.py", ("tidied", "simonyan"), climbed),
)
