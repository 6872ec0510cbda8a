"""Rectified linear unit, and the three rules by which it passes a signal back.

    f = relu(x) = max(x, 0)

With R the signal from above (slide "Guided backprop", c):
    backprop     R_x = (f > 0) R                 the gradient: what was off stays off
    deconvnet    R_x = (R > 0) R                 a ReLU on the way back as well (Zeiler and Fergus 2013)
    guided       R_x = (f > 0) (R > 0) R         both (Springenberg et al. 2015)

At x = 0 the derivative is taken as 0. NaN stays NaN. Any shape. The rule in force is tape.relu_rule's: it acts here, on
the op, so that no ReLU escapes it.
"""
import numpy as np

from .. import tape
from ..backend import pick
from .op import Op


def relu_forward_ref(x):
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        out[i] = 0 if x[i] < 0 else x[i]
    return out


def relu_backprop_ref(on, dout):
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if on[i]:
            dx[i] = dout[i]
    return dx


def relu_deconvnet_ref(on, dout):
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if dout[i] > 0:
            dx[i] = dout[i]
    return dx


def relu_guided_ref(on, dout):
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if on[i] and dout[i] > 0:
            dx[i] = dout[i]
    return dx


def relu_forward_cpu(x):            # bound by memory: NumPy is as fast as a kernel of our own
    return np.maximum(x, 0)


def relu_backprop_cpu(on, dout):
    return np.where(on, dout, 0)


def relu_deconvnet_cpu(on, dout):
    return np.maximum(dout, 0)


def relu_guided_cpu(on, dout):
    return np.where(on, np.maximum(dout, 0), 0)


KERNELS = {
    "ref": {"forward": relu_forward_ref, "backprop": relu_backprop_ref,
            "deconvnet": relu_deconvnet_ref, "guided": relu_guided_ref},
    "cpu": {"forward": relu_forward_cpu, "backprop": relu_backprop_cpu,
            "deconvnet": relu_deconvnet_cpu, "guided": relu_guided_cpu},
}


class Relu(Op):
    @staticmethod
    def forward(ctx, x):
        out = pick(KERNELS)["forward"](x)
        ctx.on = out > 0 if ctx.needs_grad[0] else None     # a byte an element is all that is kept
        return out

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)[tape.current_relu_rule()](ctx.on, dout),)


def relu(x):
    """Return max(x, 0), element by element; what goes back is decided by `minicnn.relu_rule`."""
    return Relu.apply(x)
