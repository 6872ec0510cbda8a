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
from numba import cuda, prange

from .. import tape
from ..backend import pick
from ..device import DeviceArray, cuda_jit, each, threads_for
from ..jit import jit
from .op import Op


def relu_forward_ref(x, mask):
    """Return max(x, 0), and where x > 0: a bool for each number, whether or not `mask` asks for it."""
    ### BEGIN SOLUTION hw1.1
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        out[i] = 0 if x[i] < 0 else x[i]
    return out, out > 0
    ### END SOLUTION hw1.1


def relu_backprop_ref(on, dout):
    ### BEGIN SOLUTION hw1.1
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if on[i]:
            dx[i] = dout[i]
    return dx
    ### END SOLUTION hw1.1


def relu_deconvnet_ref(on, dout):
    ### BEGIN SOLUTION hw2.2
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if dout[i] > 0:
            dx[i] = dout[i]
    return dx
    ### END SOLUTION hw2.2


def relu_guided_ref(on, dout):
    ### BEGIN SOLUTION hw2.2
    dx = np.zeros_like(dout)
    for i in np.ndindex(dout.shape):
        if on[i] and dout[i] > 0:
            dx[i] = dout[i]
    return dx
    ### END SOLUTION hw2.2


def relu_forward_cpu(x, mask):
    """Return max(x, 0) and, if `mask`, where x > 0, in one pass: the work is moving the numbers. Parallel over elements."""
    ### BEGIN SOLUTION hw1.1
    out, on = np.empty_like(x), np.empty(len(x) if mask else 0, np.bool_)
    if mask:
        for i in prange(len(x)):
            out[i] = 0 if x[i] < 0 else x[i]
            on[i] = x[i] > 0
    else:
        for i in prange(len(x)):
            out[i] = 0 if x[i] < 0 else x[i]
    return out, on
    ### END SOLUTION hw1.1


def relu_backprop_cpu(on, dout):
    """Parallel over elements."""
    ### BEGIN SOLUTION hw1.1
    dx = np.empty_like(dout)
    for i in prange(len(dout)):
        dx[i] = dout[i] if on[i] else 0
    return dx
    ### END SOLUTION hw1.1


def relu_deconvnet_cpu(on, dout):
    """Parallel over elements."""
    ### BEGIN SOLUTION hw2.2
    dx = np.empty_like(dout)
    for i in prange(len(dout)):
        dx[i] = dout[i] if dout[i] > 0 else 0
    return dx
    ### END SOLUTION hw2.2


def relu_guided_cpu(on, dout):
    """Parallel over elements."""
    ### BEGIN SOLUTION hw2.2
    dx = np.empty_like(dout)
    for i in prange(len(dout)):
        dx[i] = dout[i] if on[i] and dout[i] > 0 else 0
    return dx
    ### END SOLUTION hw2.2


@cuda_jit("T1 T1 b1")
def relu_forward_kernel(x, out, on):
    """A thread a number, which writes its own place of out and, where `on` is not empty, of on."""
    ### BEGIN SOLUTION hw1.1
    i = cuda.grid(1)
    if i < len(out):
        out[i] = 0 if x[i] < 0 else x[i]
        if len(on):
            on[i] = x[i] > 0
    ### END SOLUTION hw1.1


def relu_forward_cuda(x, mask):
    out, on = DeviceArray(x.shape, x.dtype), DeviceArray(x.shape if mask else (0,), np.bool_)
    relu_forward_kernel.launch(*threads_for(x.size), x, out, on)
    return out, on


@cuda_jit("b1 T1 T1")
def relu_backprop_kernel(on, dout, dx):
    """A thread a number."""
    ### BEGIN SOLUTION hw1.1
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if on[i] else 0
    ### END SOLUTION hw1.1


@cuda_jit("b1 T1 T1")
def relu_deconvnet_kernel(on, dout, dx):
    """A thread a number."""
    ### BEGIN SOLUTION hw2.2
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if dout[i] > 0 else 0
    ### END SOLUTION hw2.2


@cuda_jit("b1 T1 T1")
def relu_guided_kernel(on, dout, dx):
    """A thread a number."""
    ### BEGIN SOLUTION hw2.2
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] if on[i] and dout[i] > 0 else 0
    ### END SOLUTION hw2.2


KERNELS = {
    "ref": {"forward": relu_forward_ref, "backprop": relu_backprop_ref,
            "deconvnet": relu_deconvnet_ref, "guided": relu_guided_ref},
    "cpu": {"forward": jit(relu_forward_cpu), "backprop": jit(relu_backprop_cpu),
            "deconvnet": jit(relu_deconvnet_cpu), "guided": jit(relu_guided_cpu)},
    "cuda": {"forward": relu_forward_cuda, "backprop": each(relu_backprop_kernel, like=1),
             "deconvnet": each(relu_deconvnet_kernel, like=1), "guided": each(relu_guided_kernel, like=1)},
}


class Relu(Op):
    @staticmethod
    def forward(ctx, x):                        # the kernels see one long row of numbers
        out, ctx.on = pick(KERNELS)["forward"](x.reshape(-1), ctx.needs_grad[0])        # a byte an element is all that is kept
        return out.reshape(x.shape)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)[tape.current_relu_rule()](ctx.on, dout.reshape(-1)).reshape(dout.shape),)


def relu(x):
    """Return max(x, 0), element by element; what goes back is decided by `minicnn.relu_rule`."""
    return Relu.apply(x)
