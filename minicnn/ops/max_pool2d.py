"""Max pooling, with its switches.

    y[n, c, i, j] = max over the window of x[n, c, i s - p .. i s - p + KH - 1, j s - p .. j s - p + KW - 1]
    dL/dx[n, c, switch] += dL/dy[n, c, i, j]        the switch is the place that the maximum came from

Shapes: x (N, C, H, W), y and switches (N, C, OH, OW); a switch is the index h W + w into its plane, int32. Windows are
clipped to the image (padding never wins). Ties go to the first maximum in reading order, as in torch and Caffe; a NaN
wins. `ceil_mode` adds a last window that hangs over the edge, unless it would start in the padding. Where windows
overlap (3x3, stride 2) several dL/dy can land on one pixel: they add, which is the gradient.
Slide "Deconv net": "unpooling only modifies locations that originally activates the pooling operation".
"""
import numba
import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import DeviceArray, cuda_jit, larger, small, smaller, threads_for, to_host
from ..errors import ShapeError
from ..jit import jit
from ..simd import LANES, choose, load, load_within, store_within, unzip2
from .op import Op, check_ndim, pair, shape_of, window_output_size


def max_pool2d_forward_ref(x, kernel, stride, padding, out_size):
    """The definition: look at every pixel of every window."""
    ### BEGIN SOLUTION hw1.5
    N, C, H, W = x.shape
    out = np.empty((N, C, *out_size), x.dtype)
    switches = np.empty(out.shape, np.int32)
    for n, c, i, j in np.ndindex(out.shape):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        best, best_at = -np.inf, -1
        for h in range(max(top, 0), min(top + kernel[0], H)):
            for w in range(max(left, 0), min(left + kernel[1], W)):
                value = x[n, c, h, w]
                if value > best or best_at < 0 or np.isnan(value):
                    best, best_at = value, h * W + w
        out[n, c, i, j], switches[n, c, i, j] = best, best_at
    return out, switches
    ### END SOLUTION hw1.5


def max_pool2d_backward_ref(dout, switches, x_size, window):
    """The definition: each gradient goes to the pixel that won, and what meets there adds.

    window: (kernel, stride, padding), which a GPU needs to find the windows of a pixel.
    """
    ### BEGIN SOLUTION hw1.6
    N, C = dout.shape[:2]
    dx = np.zeros((N, C, *x_size), dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        at = switches[n, c, i, j]
        dx[n, c, at // x_size[1], at % x_size[1]] += dout[n, c, i, j]
    return dx
    ### END SOLUTION hw1.6


@numba.njit
def _challenge(value, place, best, at):
    """Return (best, at) after the numbers `value` from `place` have challenged them: the larger wins, and a NaN does."""
    wins = (value > best) | (value != value)                        # a NaN is not equal to itself
    return choose(wins, value, best), choose(wins, place, at)


@numba.njit
def _every_second(x, n, c, h, first, W):
    """Return x[n, c, h, first], x[..., first + 2], ...; -inf outside of the picture."""
    return unzip2(load_within(x, (n, c, h, first), W, -np.inf), load_within(x, (n, c, h, first + LANES), W, -np.inf))[0]


@numba.njit
def _spread_out(x, n, c, h, first, step, W, room):
    """Return x[n, c, h, first], x[..., first + step], ...; -inf outside of the picture."""
    for lane in range(LANES):
        w = first + lane * step
        room[lane] = x[n, c, h, w] if 0 <= w < W else -np.inf
    return load(room, 0)


@numba.njit
def _columns(count, stride, padding):
    """Return the columns where so many windows begin, and the first ones of theirs that are not padding.

    The latter are where the maximum of a window is from before anything has challenged it, and for ever if all is -inf.
    """
    lefts, starts = np.empty(count, np.int32), np.empty(count, np.int32)
    for j in range(count):
        lefts[j] = j * stride - padding
        starts[j] = max(lefts[j], 0)
    return lefts, starts


def max_pool2d_forward_cpu(x, kernel, stride, padding, out_size):
    """LANES outputs of a row at a time: each place of their windows challenges the best so far, all lanes at once.

    Parallel over the planes (n, c); a task writes its own plane of out and switches, so there is no race.
    """
    ### BEGIN SOLUTION hw1.5
    (N, C, H, W), (OH, OW) = x.shape, out_size
    out, switches = np.empty((N, C, OH, OW), x.dtype), np.empty((N, C, OH, OW), np.int32)
    lefts, starts = _columns(OW + LANES, stride[1], padding[1])
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        room = np.full(LANES, -np.inf, x.dtype)
        nothing = load(room, 0)
        for i in range(OH):
            top = i * stride[0] - padding[0]
            for j in range(0, OW, LANES):
                best, at = nothing, load(starts, j) + max(top, 0) * W
                for h in range(max(top, 0), min(top + kernel[0], H)):
                    for kw in range(kernel[1]):
                        place, first = load(lefts, j) + (h * W + kw), j * stride[1] - padding[1] + kw
                        if stride[1] == 1:
                            value = load_within(x, (n, c, h, first), W, -np.inf)
                        elif stride[1] == 2:
                            value = _every_second(x, n, c, h, first, W)
                        else:
                            value = _spread_out(x, n, c, h, first, stride[1], W, room)
                        best, at = _challenge(value, place, best, at)
                store_within(out, (n, c, i, j), best, OW)
                store_within(switches, (n, c, i, j), at, OW)
    return out, switches
    ### END SOLUTION hw1.5


def max_pool2d_backward_cpu(dout, switches, x_size, window):
    """Parallel over the planes (n, c): switches never leave their plane, so there is no race."""
    ### BEGIN SOLUTION hw1.6
    N, C, OH, OW = dout.shape
    dx = np.empty((N * C, x_size[0] * x_size[1]), dout.dtype)
    dout_flat, switches_flat = dout.reshape(N * C, OH * OW), switches.reshape(N * C, OH * OW)
    for plane in prange(N * C):
        dx[plane] = 0
        for i in range(OH * OW):
            dx[plane, switches_flat[plane, i]] += dout_flat[plane, i]
    return dx.reshape(N, C, x_size[0], x_size[1])
    ### END SOLUTION hw1.6


@cuda_jit("T4 l1 T4 i4")
def max_pool2d_forward_kernel(x, window, out, switches):
    """A thread an output, which looks at its window; window: kernel, stride and padding, two numbers each."""
    ### BEGIN SOLUTION hw1.5
    i, (C, OH, OW), (H, W) = cuda.grid(1), out.shape[1:], x.shape[2:]
    if i < out.size:
        n, c, row, column = i // (C * OH * OW), i // (OH * OW) % C, i // OW % OH, i % OW
        top, left = row * window[2] - window[4], column * window[3] - window[5]
        at = larger(top, 0) * W + larger(left, 0)
        best = x[n, c, larger(top, 0), larger(left, 0)]
        for h in range(larger(top, 0), smaller(top + window[0], H)):
            for w in range(larger(left, 0), smaller(left + window[1], W)):
                value = x[n, c, h, w]
                if value > best or value != value:
                    best, at = value, h * W + w
        out[n, c, row, column], switches[n, c, row, column] = best, at
    ### END SOLUTION hw1.5


def max_pool2d_forward_cuda(x, kernel, stride, padding, out_size):
    out, switches = (DeviceArray((*x.shape[:2], *out_size), dtype) for dtype in (x.dtype, np.int32))
    max_pool2d_forward_kernel.launch(*threads_for(out.size), x, small(*kernel, *stride, *padding), out, switches)
    return out, switches


@cuda_jit("T4 i4 l1 T4")
def max_pool2d_backward_kernel(dout, switches, window, dx):
    """A thread a pixel, which asks every window that holds it whether it won there: no race, and a fixed order."""
    ### BEGIN SOLUTION hw1.6
    i, (C, H, W), (OH, OW) = cuda.grid(1), dx.shape[1:], dout.shape[2:]
    if i < dx.size:
        n, c, h, w = i // (C * H * W), i // (H * W) % C, i // W % H, i % W
        down, across = h + window[4], w + window[5]                     # from where the first window begins
        total = dx.dtype.type(0)
        for row in range(larger(0, (down - window[0] + window[2]) // window[2]), smaller(OH, down // window[2] + 1)):
            for column in range(larger(0, (across - window[1] + window[3]) // window[3]), smaller(OW, across // window[3] + 1)):
                if switches[n, c, row, column] == h * W + w:
                    total += dout[n, c, row, column]
        dx[n, c, h, w] = total
    ### END SOLUTION hw1.6


def max_pool2d_backward_cuda(dout, switches, x_size, window):
    dx = DeviceArray((*dout.shape[:2], *x_size), dout.dtype)
    max_pool2d_backward_kernel.launch(*threads_for(dx.size), dout, switches, small(*(n for pair in window for n in pair)), dx)
    return dx


KERNELS = {
    "ref": {"forward": max_pool2d_forward_ref, "backward": max_pool2d_backward_ref},
    "cpu": {"forward": jit(max_pool2d_forward_cpu), "backward": jit(max_pool2d_backward_cpu)},
    "cuda": {"forward": max_pool2d_forward_cuda, "backward": max_pool2d_backward_cuda},
}


class MaxPool2d(Op):
    @staticmethod
    def forward(ctx, x, kernel, stride, padding, out_size):
        out, ctx.switches = pick(KERNELS)["forward"](x, kernel, stride, padding, out_size)
        ctx.x_size, ctx.window = x.shape[2:], (kernel, stride, padding)
        return out, ctx.switches

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout, ctx.switches, ctx.x_size, ctx.window),)


def max_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, return_indices=False):
    """Take the maximum of each window of `x` (N, C, H, W): Tensor (N, C, OH, OW), with `return_indices` also the switches.

    stride defaults to kernel_size. Raises ShapeError for a padding of more than half the kernel or a kernel that does not fit.
    """
    check_ndim("max_pool2d", "x", x, 4, "(N, C, H, W)")
    if min(shape_of(x)[2:]) < 1:
        raise ShapeError(f"max_pool2d: x has shape {shape_of(x)}, expected planes that are not empty")
    kernel = pair("max_pool2d", "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("max_pool2d", "stride", stride, 1)
    padding = pair("max_pool2d", "padding", padding, 0)
    if padding[0] > kernel[0] // 2 or padding[1] > kernel[1] // 2:
        raise ShapeError(f"max_pool2d: padding {padding} is more than half of kernel_size {kernel}")
    out_size = window_output_size("max_pool2d", shape_of(x)[2:], kernel, stride, padding, ceil_mode=ceil_mode)
    out, switches = MaxPool2d.apply(x, kernel=kernel, stride=stride, padding=padding, out_size=out_size)
    return (out, to_host(switches)) if return_indices else out
