"""Checking a backward pass against finite differences."""
import numpy as np

from . import tape
from .tensor import Tensor


def numeric_gradient(f, arrays, which, step=1e-6):
    """Return d f / d arrays[which] by central differences, (f(a + h) - f(a - h)) / 2h, one number of the array at a time.

    `f` maps arrays to a number; `arrays` are float64 and are left as they are.
    """
    work = [np.array(a, dtype=np.float64) for a in arrays]
    gradient = np.zeros_like(work[which])
    for index in np.ndindex(gradient.shape):
        kept = work[which][index]
        work[which][index] = kept + step
        above = f(*work)
        work[which][index] = kept - step
        below = f(*work)
        work[which][index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


def gradcheck(function, arrays, rng=0, step=1e-6):
    """Return the worst relative error of `function`'s gradients against finite differences, in float64.

    `function` maps Tensors to a Tensor of any shape. A random cotangent u makes a number of it, L = sum(u y), so that
    a gradient that is right only for u = 1 is found out. The error of an input is max |a - n| / max(|n|, 1e-3) over it.
    """
    arrays = [np.array(a, dtype=np.float64) for a in arrays]
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    cotangent = np.random.default_rng(rng).standard_normal(out.shape)
    out.backward(cotangent)

    def loss(*values):
        with tape.no_grad():
            return float(np.sum(cotangent * function(*[Tensor(v) for v in values]).data))

    worst = 0.0
    for which, tensor in enumerate(tensors):
        numeric = numeric_gradient(loss, arrays, which, step)
        analytic = np.zeros_like(numeric) if tensor.grad is None else tensor.grad
        if numeric.size:
            worst = max(worst, np.abs(analytic - numeric).max() / max(np.abs(numeric).max(), 1e-3))
    return worst
