"""The other non-linearities of networks; the rectifier with its three rules stands in relu.py.

    leaky_relu  y = x if x > 0 else a x         dL/dx = g if x > 0 else a g         g = dL/dy; at 0 the slope is a
    sigmoid     y = 1 / (1 + e^-x)              g y (1 - y)
    tanh        y = (e^x - e^-x) / (e^x + e^-x) g (1 - y^2)

Any shape, float32 or float64. NaN stays NaN. `minicnn.relu_rule` acts on relu only, not on leaky_relu. Names as
torch.nn.functional's.
"""
import math

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import cuda_jit, each
from .op import Op


def leaky_relu_forward_ref(x, slope):
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        out[i] = x[i] if x[i] > 0 else slope * x[i]
    return out


def leaky_relu_backward_ref(dout, x, slope):
    dx = np.empty_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] if x[i] > 0 else slope * dout[i]
    return dx


def sigmoid_forward_ref(x):
    """e is raised to negative powers only: those cannot overflow."""
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        small = math.exp(-abs(x[i]))
        out[i] = 1 / (1 + small) if x[i] >= 0 else small / (1 + small)
    return out


def sigmoid_backward_ref(dout, out):
    dx = np.empty_like(dout)
    for i in np.ndindex(out.shape):
        dx[i] = dout[i] * out[i] * (1 - out[i])
    return dx


def tanh_forward_ref(x):
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        out[i] = math.tanh(x[i])
    return out


def tanh_backward_ref(dout, out):
    dx = np.empty_like(dout)
    for i in np.ndindex(out.shape):
        dx[i] = dout[i] * (1 - out[i] * out[i])
    return dx


def leaky_relu_forward_cpu(x, slope):           # bound by memory: NumPy is as fast as kernels of our own
    return np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward_cpu(dout, x, slope):
    return np.where(x > 0, dout, dout * dout.dtype.type(slope))


def sigmoid_forward_cpu(x):
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def sigmoid_backward_cpu(dout, out):
    return dout * out * (1 - out)


def tanh_forward_cpu(x):
    return np.tanh(x)


def tanh_backward_cpu(dout, out):
    return dout * (1 - out * out)


@cuda_jit("T1 T T1")
def leaky_relu_forward_kernel(x, slope, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[i] if x[i] > 0 else slope * x[i]


@cuda_jit("T1 T1 T T1")
def leaky_relu_backward_kernel(dout, x, slope, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if x[i] > 0 else slope * dout[i]


@cuda_jit("T1 T1")
def sigmoid_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        one, small = x.dtype.type(1), math.exp(-math.fabs(x[i]))
        out[i] = (one if x[i] >= 0 else small) / (one + small)


@cuda_jit("T1 T1 T1")
def sigmoid_backward_kernel(dout, out, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] * out[i] * (dout.dtype.type(1) - out[i])


@cuda_jit("T1 T1")
def tanh_forward_kernel(x, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = math.tanh(x[i])


@cuda_jit("T1 T1 T1")
def tanh_backward_kernel(dout, out, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] * (dout.dtype.type(1) - out[i] * out[i])


KERNELS = {
    "ref": {"leaky_relu_forward": leaky_relu_forward_ref, "leaky_relu_backward": leaky_relu_backward_ref,
            "sigmoid_forward": sigmoid_forward_ref, "sigmoid_backward": sigmoid_backward_ref,
            "tanh_forward": tanh_forward_ref, "tanh_backward": tanh_backward_ref},
    "cpu": {"leaky_relu_forward": leaky_relu_forward_cpu, "leaky_relu_backward": leaky_relu_backward_cpu,
            "sigmoid_forward": sigmoid_forward_cpu, "sigmoid_backward": sigmoid_backward_cpu,
            "tanh_forward": tanh_forward_cpu, "tanh_backward": tanh_backward_cpu},
    "cuda": {"leaky_relu_forward": each(leaky_relu_forward_kernel), "leaky_relu_backward": each(leaky_relu_backward_kernel),
             "sigmoid_forward": each(sigmoid_forward_kernel), "sigmoid_backward": each(sigmoid_backward_kernel),
             "tanh_forward": each(tanh_forward_kernel), "tanh_backward": each(tanh_backward_kernel)},
}


class LeakyRelu(Op):
    @staticmethod
    def forward(ctx, x, slope):
        ctx.x, ctx.slope = x, slope
        return pick(KERNELS)["leaky_relu_forward"](x, slope)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["leaky_relu_backward"](dout, ctx.x, ctx.slope),)


class Sigmoid(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.out = pick(KERNELS)["sigmoid_forward"](x)
        return ctx.out

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["sigmoid_backward"](dout, ctx.out),)


class Tanh(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.out = pick(KERNELS)["tanh_forward"](x)
        return ctx.out

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["tanh_backward"](dout, ctx.out),)


def leaky_relu(x, negative_slope=0.01):
    """Return x where it is positive, `negative_slope` times x elsewhere."""
    return LeakyRelu.apply(x, slope=float(negative_slope))


def sigmoid(x):
    """Return 1 / (1 + e^-x), element by element."""
    return Sigmoid.apply(x)


def tanh(x):
    """Return the hyperbolic tangent of x, element by element."""
    return Tanh.apply(x)
