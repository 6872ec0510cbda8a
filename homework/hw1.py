"""Assignment 1: convolution, ReLU, pooling, and the way back. Slides "Visualize the filters/kernels", "Deconv net"."""
import numpy as np

from minicnn import Tensor, ops, tape
from minicnn.ops.conv2d import conv2d_backward_bias_ref, conv2d_forward_ref
from minicnn.ops.conv2d_backward import conv2d_backward_input_ref, conv2d_backward_weight_ref
from minicnn.ops.max_pool2d import max_pool2d_backward_ref, max_pool2d_forward_ref
from minicnn.ops.relu import relu_backprop_ref, relu_forward_ref

from .tasks import Task

TITLE = "Convolution, ReLU, pooling, and the way back"
WEIGHTS, LECTURES = ("lenet_mnist",), ()


def relu(x, dout, on):
    out, found = relu_forward_ref(x, True)
    return {"out": out, "on": found, "dx": relu_backprop_ref(on, dout)}


def conv2d(x, w, b, stride, padding, dilation, groups):
    return {"out": conv2d_forward_ref(x, w, b, stride, padding, dilation, groups)}


def conv2d_input(dout, w, x_size, stride, padding, dilation, groups):
    return {"dx": conv2d_backward_input_ref(dout, w, x_size, stride, padding, dilation, groups)}


def conv2d_weight(dout, x, w_shape, stride, padding, dilation, groups):
    return {"dw": conv2d_backward_weight_ref(dout, x, w_shape, stride, padding, dilation, groups),
            "db": conv2d_backward_bias_ref(dout)}


def max_pool2d(x, kernel, stride, padding, out_size):
    out, switches = max_pool2d_forward_ref(x, kernel, stride, padding, out_size)
    return {"out": out, "switches": switches}


def max_pool2d_back(dout, switches, x_size, window):
    return {"dx": max_pool2d_backward_ref(dout, switches, x_size, window)}


def graph(name, a, b):
    """Return a number made of the Tensors a and b (n, n) in some way; what comes before is used once, twice or very often."""
    if name == "a chain":
        return ops.exp(a * b).sum()
    if name == "a diamond":                     # c goes two ways, which meet again
        c = a * b
        return (c * c + ops.tanh(c)).sum()
    if name == "the same twice":
        return (a * a + a @ b).sum()
    if name == "an early use of a late node":   # walked through depth first, the short way is met before the long one
        c = ops.tanh(a)
        return (c + ops.exp(ops.tanh(c * b) * c)).sum()
    if name == "a long chain":
        c = a
        for _ in range(3000):
            c = c + b
        return (c * c).sum()
    c = a                                       # "many ways": 2^40 of them
    for _ in range(40):
        c = (c + c) * 0.5
    return (c * b).sum()


def backward(name, a, b):
    a, b = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    end = graph(name, a, b)
    order = tape.topological_order(end.node)
    place = {node: k for k, node in enumerate(order)}
    sorted_ = all(place[node] < place[parent] for node in order for parent in node.parents if parent is not None)
    tape.backward(end)
    first = [np.array(a.grad), np.array(b.grad)]
    tape.backward(end)                          # a second time adds
    return {"nodes": len(order), "sorted": sorted_, "da": first[0], "db": first[1], "da twice": a.grad, "db twice": b.grad}


TASKS = (
    Task("hw1.1", "ReLU, forwards and backwards", 10, "minicnn/ops/relu.py", ("relu_forward_ref", "relu_backprop_ref"), relu),
    Task("hw1.2", "convolution forwards", 20, "minicnn/ops/conv2d.py", ("conv2d_forward_ref",), conv2d),
    Task("hw1.3", "convolution backwards to its input", 15, "minicnn/ops/conv2d_backward.py", ("conv2d_backward_input_ref",),
         conv2d_input),
    Task("hw1.4", "convolution backwards to its filters and bias", 15, "minicnn/ops/conv2d_backward.py",
         ("conv2d_backward_weight_ref", "conv2d_backward_bias_ref"), conv2d_weight),
    Task("hw1.5", "max pooling with its switches", 15, "minicnn/ops/max_pool2d.py", ("max_pool2d_forward_ref",), max_pool2d),
    Task("hw1.6", "max pooling backwards", 10, "minicnn/ops/max_pool2d.py", ("max_pool2d_backward_ref",), max_pool2d_back),
    Task("hw1.7", "backpropagation through a graph", 15, "minicnn/tape.py", ("topological_order", "backward_steps"), backward),
)
