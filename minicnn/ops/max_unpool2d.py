"""Max unpooling: put values back to where max pooling found its maxima, zeros elsewhere.

    y[n, c, switch] += x[n, c, i, j]                    dL/dx[n, c, i, j] = dL/dy[n, c, switch]

Shapes: x and indices (N, C, H, W), y (N, C, OH, OW) with OH = (H - 1) s - 2p + KH, or `output_size`. An index is h OW + w
in its plane, as max_pool2d(..., return_indices=True) gives them. It is the backward pass of max pooling, and uses that
kernel. Where pooling windows overlap, one pixel can be the maximum of several: their values ADD here, as gradients do,
while torch.nn.functional.max_unpool2d and Zeiler and Fergus place one of them, the last; without overlap the two agree.
Slide "Deconv net": "unpooling only modifies locations that originally activates the pooling operation".
"""
import math

import numpy as np

from ..backend import pick
from ..device import DeviceArray, threads_for, to_device
from ..errors import ShapeError
from .max_pool2d import KERNELS as MAX_POOL2D
from .op import Op, check_ndim, pair, shape_of
from .shape_ops import add_at, take_kernel


def max_unpool2d_backward_ref(dout, indices):
    """The definition: each value gets the gradient of the pixel that it was put to."""
    dx = np.empty(indices.shape, dout.dtype)
    for n, c, i, j in np.ndindex(dx.shape):
        at = indices[n, c, i, j]
        dx[n, c, i, j] = dout[n, c, at // dout.shape[3], at % dout.shape[3]]
    return dx


def max_unpool2d_backward_cpu(dout, indices):           # bound by memory: NumPy gathers as fast
    N, C, H, W = dout.shape
    flat = np.take_along_axis(dout.reshape(N, C, H * W), indices.reshape(N, C, -1), axis=2)
    return flat.reshape(indices.shape)


def _places(indices, size):
    """Return where in the memory of (N, C, *size) the indices of each plane lie."""
    N, C = indices.shape[:2]
    return indices + math.prod(size) * np.arange(N * C).reshape(N, C, 1, 1)


def max_unpool2d_forward_cuda(x, indices, out_size, window):
    """A thread a pixel of y that gets something: shape_ops.add_at. The indices may be any, so `window` says nothing."""
    shape = (*x.shape[:2], *out_size)
    return add_at(x, _places(indices, out_size), math.prod(shape)).reshape(shape)


def max_unpool2d_backward_cuda(dout, indices):
    dx = DeviceArray(indices.shape, dout.dtype)
    take_kernel.launch(*threads_for(dx.size), dout, to_device(_places(indices, dout.shape[2:])), dx)
    return dx


KERNELS = {
    "ref": {"forward": MAX_POOL2D["ref"]["backward"], "backward": max_unpool2d_backward_ref},
    "cpu": {"forward": MAX_POOL2D["cpu"]["backward"], "backward": max_unpool2d_backward_cpu},
    "cuda": {"forward": max_unpool2d_forward_cuda, "backward": max_unpool2d_backward_cuda},
}


class MaxUnpool2d(Op):
    @staticmethod
    def forward(ctx, x, indices, out_size, window):
        ctx.indices = indices
        return pick(KERNELS)["forward"](x, indices, out_size, window)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout, ctx.indices),)


def max_unpool2d(x, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Spread `x` (N, C, H, W) over a plane of zeros by the `indices` of a max_pool2d of the same settings.

    `output_size`, (OH, OW), is needed where pooling left pixels over. Raises ShapeError for indices outside the plane.
    """
    check_ndim("max_unpool2d", "x", x, 4, "(N, C, H, W)")
    kernel = pair("max_unpool2d", "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("max_unpool2d", "stride", stride, 1)
    padding = pair("max_unpool2d", "padding", padding, 0)
    size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(shape_of(x)[2:], stride, padding, kernel))
    if output_size is not None:
        wanted = pair("max_unpool2d", "output_size", tuple(output_size)[-2:], 1)
        if any(abs(w - n) >= s for w, n, s in zip(wanted, size, stride)):
            raise ShapeError(f"max_unpool2d: output_size {wanted} is not within a stride {stride} of {size}")
        size = wanted
    indices = np.asarray(indices)
    if indices.shape != shape_of(x) or indices.dtype.kind not in "iu":
        raise ShapeError(f"max_unpool2d: indices are {indices.dtype} of shape {indices.shape}, "
                         f"expected whole numbers of shape {shape_of(x)}")
    if indices.size and not 0 <= indices.min() <= indices.max() < size[0] * size[1]:
        raise ShapeError(f"max_unpool2d: indices run from {indices.min()} to {indices.max()}, "
                         f"expected 0 to {size[0] * size[1] - 1} for a plane of {size[0]}x{size[1]}")
    window = kernel, stride, padding
    return MaxUnpool2d.apply(x, indices=np.ascontiguousarray(indices, np.int32), out_size=size, window=window)
