"""The convolution of conv2d.py and its gradients on a GPU, as matrix products that are never written down (gemm_cuda.py).

    y[n, f, i, j] = b[f] + sum over (c, k, l) of w[f, (c, k, l)] x[(c, k, l) + (n, i, j)]

x framed with zeros, (N, C, HP, WP), holds the pixel of window (n, i, j) at place

    (c HP + d k) WP + d l   +   (n C HP + s i) WP + s j         what the filter's place says, plus what the output says

so that two tables, one as long as a filter and one as all planes of outputs, replace the matrix of all windows, which would be
KH KW times as large as x.

    dL/dw: the same two tables, and the sum runs over the outputs (n, i, j) instead
    dL/dx at the rows h with (h + p) mod s = r, columns alike: of the filters only the rows k with d k mod s = r were ever there.
           They saw h from output (h + p - d k) / s. So dL/dx is s^2 convolutions of dL/dy at most, one for each remainder.
"""
import math

from numba import cuda

from ..device import DeviceArray, cuda_jit, small, threads_for, zeros
from .conv2d_algorithm import algorithm
from .gemm_cuda import long_product, product, table
from .op import window_output_size
from .winograd_cuda import winograd


@cuda_jit("T4 T4 T1 l1 T4")
def conv2d_forward_naive_kernel(x, w, bias, geometry, out):
    """The definition: a thread an output. For comparison (MINICNN_CONV=direct). geometry: stride, padding, dilation."""
    ### BEGIN SOLUTION hw1.2
    at, (F, OH, OW), (CG, KH, KW) = cuda.grid(1), out.shape[1:], w.shape[1:]
    if at < out.size:
        n, f, i, j = at // (F * OH * OW), at // (OH * OW) % F, at // OW % OH, at % OW
        total, first = bias[f], f // (F // (x.shape[1] // CG)) * CG
        for c in range(CG):
            for k in range(KH):
                for l in range(KW):
                    h = i * geometry[0] - geometry[2] + k * geometry[4]
                    v = j * geometry[1] - geometry[3] + l * geometry[5]
                    if 0 <= h < x.shape[2] and 0 <= v < x.shape[3]:
                        total += w[f, c, k, l] * x[n, first + c, h, v]
        out[n, f, i, j] = total
    ### END SOLUTION hw1.2


@cuda_jit("T4 n n T4")
def frame_kernel(x, top, left, out):
    """A thread a number of out: x[i - top, j - left], or 0 outside of x."""
    at, (C, HP, WP) = cuda.grid(1), out.shape[1:]
    if at < out.size:
        h, v = at // WP % HP - top, at % WP - left
        inside = 0 <= h < x.shape[2] and 0 <= v < x.shape[3]
        n, c = at // (C * HP * WP), at // (HP * WP) % C
        out[n, c, h + top, v + left] = x[n, c, h, v] if inside else 0


def framed(x, top, left, size):
    """Return x (N, C, H, W) in a frame of zeros of `size`, from row `top` and column `left` on; cut off where it is larger."""
    if (top, left, *size) == (0, 0, *x.shape[2:]):
        return x
    out = DeviceArray((*x.shape[:2], *size), x.dtype)
    frame_kernel.launch(*threads_for(out.size), x, top, left, out)
    return out


def _windows(x_shape, w_shape, out_size, stride, padding, dilation):
    """Return the frame's size, and the axes of the two tables: places within a window, and where windows begin."""
    (N, C), (CG, KH, KW) = x_shape[:2], w_shape[1:]
    HP, WP = (max(n + 2 * p, (o - 1) * s + d * (k - 1) + 1) for n, p, o, s, d, k
              in zip(x_shape[2:], padding, out_size, stride, dilation, (KH, KW)))
    within = (CG, HP * WP), (KH, dilation[0] * WP), (KW, dilation[1])
    begins = (N, C * HP * WP), (out_size[0], stride[0] * WP), (out_size[1], stride[1])
    return (HP, WP), within, begins


def conv2d_forward_cuda(x, w, b, stride, padding, dilation, groups):
    """The implicit product, or Winograd's algorithm where it takes a quarter of the multiplications."""
    ### BEGIN SOLUTION hw1.2
    which = algorithm(x.shape, w.shape, True, stride, padding, dilation, groups)
    if which == "winograd":
        return winograd(x, w, b, padding[0])
    N, (F, CG, KH, KW) = len(x), w.shape
    OH, OW = size = window_output_size("conv2d", x.shape[2:], (KH, KW), stride, padding, dilation)
    out = DeviceArray((N, F, OH, OW), x.dtype)
    if which == "direct":
        conv2d_forward_naive_kernel.launch(*threads_for(out.size), x, w, b, small(*stride, *padding, *dilation), out)
        return out
    (HP, WP), within, begins = _windows(x.shape, w.shape, size, stride, padding, dilation)
    FG, K = F // groups, CG * KH * KW
    tables = (table(((FG, K),), ((FG, OH * OW),)), table(begins, ((N, F * OH * OW), (OH * OW, 1))), table(((K, 1),), within))
    steps = FG * K, CG * HP * WP, FG * OH * OW
    return product(w, framed(x, *padding, (HP, WP)), out, tables, b, groups, steps)
    ### END SOLUTION hw1.2


def conv2d_backward_weight_cuda(dout, x, w_shape, stride, padding, dilation, groups):
    """dL/dw: a product whose sums run over all outputs of all pictures."""
    ### BEGIN SOLUTION hw1.4
    (N, F, OH, OW), (CG, KH, KW) = dout.shape, w_shape[1:]
    if N == 0:
        return zeros(w_shape, dout.dtype)
    (HP, WP), within, begins = _windows(x.shape, w_shape, (OH, OW), stride, padding, dilation)
    FG, K = F // groups, CG * KH * KW
    tables = (table(((FG, OH * OW),), ((FG, K),)), table(within, ((K, 1),)), table(((N, F * OH * OW), (OH * OW, 1)), begins))
    steps = FG * OH * OW, CG * HP * WP
    return long_product(dout, framed(x, *padding, (HP, WP)), w_shape, tables, groups, steps, b_by_k=True)
    ### END SOLUTION hw1.4


def _remainders(size, kernel, stride, padding, dilation):
    """Return for each remainder of an axis: first row h, how many; first k, step, how many; first output's shift, its step."""
    step = stride // math.gcd(stride, dilation)                 # so far apart are the k of a remainder
    for first in range(min(stride, size)):
        ks = [k for k in range(min(step, kernel)) if (first + padding - k * dilation) % stride == 0]
        k = ks[0] if ks else kernel
        yield (first, -(-(size - first) // stride), k, step, -(-(kernel - k) // step),
               (first + padding - k * dilation) // stride, -step * dilation // stride)


def conv2d_backward_input_cuda(dout, w, x_size, stride, padding, dilation, groups):
    """dL/dx: one product for each remainder of rows and columns; with a stride of 1 just one, or Winograd's algorithm."""
    ### BEGIN SOLUTION hw1.3
    (N, F), (CG, KH, KW), (H, W) = dout.shape[:2], w.shape[1:], x_size
    around = tuple(d * (k - 1) - p for d, k, p in zip(dilation, (KH, KW), padding))
    if min(around) >= 0 and algorithm(dout.shape, (CG, F, KH, KW), True, stride, around, dilation, groups) == "winograd":
        return winograd(dout, w, None, around[0], turned=True)
    axes = [list(_remainders(*axis)) for axis in zip(x_size, (KH, KW), stride, padding, dilation)]
    shifts = [[(shift + (count - 1) * step, rows - 1 + shift) for _, rows, _, _, count, shift, step in axis if count] or [(0, 0)]
              for axis in axes]                                 # from which output to which each remainder reads
    before = [max(0, *(-low for low, _ in axis)) for axis in shifts]
    OH, OW = (max(n, *(high + 1 for _, high in axis)) + b for n, axis, b in zip(dout.shape[2:], shifts, before))
    frame, FG, C = framed(dout, *before, (OH, OW)), F // groups, CG * groups
    dx = (zeros if any(not count for axis in axes for *_, count, _, _ in axis) else DeviceArray)((N, C, H, W), dout.dtype)
    for h, rows, k, k_step, ks, up, up_step in axes[0]:
        for v, columns, l, l_step, ls, back, back_step in axes[1]:
            if ks and ls:
                at_m = table(((CG, KH * KW),), ((CG, H * W),))
                at_n = table(((N, F * OH * OW), (rows, OW), (columns, 1)),
                             ((N, C * H * W), (rows, stride[0] * W, h * W), (columns, stride[1], v)))
                at_k = table(((FG, CG * KH * KW), (ks, k_step * KW, k * KW), (ls, l_step, l)),
                             ((FG, OH * OW), (ks, up_step * OW, (up + before[0]) * OW), (ls, back_step, back + before[1])))
                product(w, frame, dx, (at_m, at_n, at_k), None, groups, (FG * CG * KH * KW, FG * OH * OW, CG * H * W))
    return dx
    ### END SOLUTION hw1.3
