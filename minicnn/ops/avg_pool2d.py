"""Average pooling: by windows, into a fixed number of windows, and over the whole plane.

    y[n, c, i, j] = 1/K sum over the window of x[n, c, h, w]
    dL/dx[n, c, h, w] = sum over the windows that hold (h, w) of 1/K dL/dy[n, c, i, j]      spread evenly

avg_pool2d: windows of KH x KW every s pixels, starting at -p. K counts the pixels of the window clipped to the image
with its padding (a window of `ceil_mode` that hangs over the far edge is smaller), or with `count_include_pad=False`
only those inside the image; as in torch and Caffe. The padding adds zeros to the sum.
adaptive_avg_pool2d: window i of OH covers the rows floor(i H / OH) to ceil((i + 1) H / OH) - 1, as in torch.
global_avg_pool2d: one window, the whole plane; the axes go away. SqueezeNet's scores.
Shapes: x (N, C, H, W), y (N, C, OH, OW), or (N, C) for the global one. float32 or float64.

All three are one pair of kernels: an op hands over, for each axis, where its windows begin and end and how much they
count. Names as torch.nn.functional's.
"""
import numpy as np
from numba import cuda, prange

from ..backend import pick
from ..device import DeviceArray, constant, cuda_jit, threads_for
from ..errors import ShapeError
from ..jit import jit
from .op import Op, check_ndim, pair, shape_of, window_output_size
from .pad import collected


def avg_pool2d_forward_ref(x, rows, columns):
    """The definition: add up every window. rows, columns (3, number of windows): begin, end, divisor of each."""
    out = np.empty((*x.shape[:2], rows.shape[1], columns.shape[1]), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        (top, bottom, height), (left, right, width) = rows[:, i], columns[:, j]
        out[n, c, i, j] = np.sum(x[n, c, top:bottom, left:right]) / (height * width)
    return out


def avg_pool2d_backward_ref(dout, rows, columns, x_size):
    """The definition: each gradient is spread evenly over its window; where windows overlap, shares add."""
    dx = np.zeros((*dout.shape[:2], *x_size), dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        (top, bottom, height), (left, right, width) = rows[:, i], columns[:, j]
        dx[n, c, top:bottom, left:right] += dout[n, c, i, j] / (height * width)
    return dx


def avg_pool2d_forward_cpu(x, rows, columns):
    """Parallel over the planes (n, c); a task writes its own plane of out, so there is no race."""
    N, C, H, W = x.shape
    OH, OW = rows.shape[1], columns.shape[1]
    out = np.empty((N, C, OH, OW), x.dtype)
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        for i in range(OH):
            for j in range(OW):
                total = 0.0                                     # float64: a plane has many pixels
                for h in range(rows[0, i], rows[1, i]):
                    for w in range(columns[0, j], columns[1, j]):
                        total += x[n, c, h, w]
                out[n, c, i, j] = total / (rows[2, i] * columns[2, j])
    return out


def avg_pool2d_backward_cpu(dout, rows, columns, x_size):
    """Parallel over the planes (n, c): windows overlap within a plane, which one task owns, so there is no race."""
    N, C, OH, OW = dout.shape
    dx = np.zeros((N, C, x_size[0], x_size[1]), dout.dtype)
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        for i in range(OH):
            for j in range(OW):
                share = dout[n, c, i, j] / (rows[2, i] * columns[2, j])
                for h in range(rows[0, i], rows[1, i]):
                    for w in range(columns[0, j], columns[1, j]):
                        dx[n, c, h, w] += share
    return dx


@cuda_jit("T4 l2 l2 T4")
def avg_pool2d_forward_kernel(x, rows, columns, out):
    """A thread a number of out, which adds up its window."""
    i, (C, OH, OW) = cuda.grid(1), out.shape[1:]
    if i < out.size:
        n, c, row, column = i // (C * OH * OW), i // (OH * OW) % C, i // OW % OH, i % OW
        total = 0.0
        for h in range(rows[0, row], rows[1, row]):
            for w in range(columns[0, column], columns[1, column]):
                total += x[n, c, h, w]
        out[n, c, row, column] = total / (rows[2, row] * columns[2, column])


def avg_pool2d_forward_cuda(x, rows, columns):
    out = DeviceArray((*x.shape[:2], rows.shape[1], columns.shape[1]), x.dtype)
    avg_pool2d_forward_kernel.launch(*threads_for(out.size), x, constant(rows), constant(columns), out)
    return out


def avg_pool2d_backward_cuda(dout, rows, columns, x_size):
    return collected(dout, x_size, *(_shares(*axis) for axis in (rows, columns)))


def _shares(begin, end, divisor):
    """Return for every pixel of every window: the pixel, the window, and what the pixel counts."""
    windows = np.repeat(np.arange(len(begin)), end - begin)
    pixels = np.concatenate([np.arange(*window) for window in zip(begin, end)])
    return pixels, windows, 1 / divisor[windows]


KERNELS = {
    "ref": {"forward": avg_pool2d_forward_ref, "backward": avg_pool2d_backward_ref},
    "cpu": {"forward": jit(avg_pool2d_forward_cpu), "backward": jit(avg_pool2d_backward_cpu)},
    "cuda": {"forward": avg_pool2d_forward_cuda, "backward": avg_pool2d_backward_cuda},
}


class AvgPool2d(Op):
    @staticmethod
    def forward(ctx, x, rows, columns):
        ctx.windows, ctx.x_size = (rows, columns), x.shape[2:]
        return pick(KERNELS)["forward"](x, rows, columns)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout, *ctx.windows, ctx.x_size),)


class GlobalAvgPool2d(Op):
    @staticmethod
    def forward(ctx, x):
        ctx.x_size = x.shape[2:]
        ctx.windows = [np.array([[0], [size], [size]]) for size in ctx.x_size]
        return pick(KERNELS)["forward"](x, *ctx.windows).reshape(x.shape[:2])

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["backward"](dout.reshape(*dout.shape, 1, 1), *ctx.windows, ctx.x_size),)


def _windows(size, count, kernel, stride, padding, include_pad):
    """Return begin, end (clipped to the image) and divisor of the `count` windows along an axis: (3, count) int64."""
    begin = np.arange(count) * stride - padding
    end = np.minimum(begin + kernel, size + padding)
    inside = np.maximum(begin, 0), np.minimum(end, size)
    return np.stack([*inside, end - begin if include_pad else inside[1] - inside[0]])


def _adaptive_windows(size, count):
    """Return begin, end and length of `count` windows that share an axis out: (3, count) int64."""
    begin = np.arange(count) * size // count
    end = (np.arange(1, count + 1) * size + count - 1) // count         # rounded up: windows can overlap by a pixel
    return np.stack([begin, end, end - begin])


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Take the mean of each window of `x` (N, C, H, W): Tensor (N, C, OH, OW). stride defaults to kernel_size.

    Raises ShapeError for a padding of more than half the kernel or a kernel that does not fit.
    """
    check_ndim("avg_pool2d", "x", x, 4, "(N, C, H, W)")
    kernel = pair("avg_pool2d", "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("avg_pool2d", "stride", stride, 1)
    padding = pair("avg_pool2d", "padding", padding, 0)
    if padding[0] > kernel[0] // 2 or padding[1] > kernel[1] // 2:
        raise ShapeError(f"avg_pool2d: padding {padding} is more than half of kernel_size {kernel}")
    size = shape_of(x)[2:]
    counts = window_output_size("avg_pool2d", size, kernel, stride, padding, ceil_mode=ceil_mode)
    rows, columns = (_windows(*axis, count_include_pad) for axis in zip(size, counts, kernel, stride, padding))
    return AvgPool2d.apply(x, rows=rows, columns=columns)


def adaptive_avg_pool2d(x, output_size):
    """Cut the planes of `x` (N, C, H, W) into `output_size` windows (an int or two) and take their means."""
    check_ndim("adaptive_avg_pool2d", "x", x, 4, "(N, C, H, W)")
    size = shape_of(x)[2:]
    if min(size) < 1:
        raise ShapeError(f"adaptive_avg_pool2d: x has shape {shape_of(x)}, expected planes that are not empty")
    counts = pair("adaptive_avg_pool2d", "output_size", output_size, 1)
    rows, columns = (_adaptive_windows(*axis) for axis in zip(size, counts))
    return AvgPool2d.apply(x, rows=rows, columns=columns)


def global_avg_pool2d(x):
    """Return the mean of each plane of `x` (N, C, H, W): Tensor (N, C)."""
    check_ndim("global_avg_pool2d", "x", x, 4, "(N, C, H, W)")
    if min(shape_of(x)[2:]) < 1:
        raise ShapeError(f"global_avg_pool2d: x has shape {shape_of(x)}, expected planes that are not empty")
    return GlobalAvgPool2d.apply(x)
