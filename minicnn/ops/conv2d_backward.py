"""The backward kernels of conv2d.py: dL/dx and dL/dw from dL/dy. Formulas and shapes stand there.

dL/dx is at the same time the forward pass of conv_transpose2d: "filter maps to the transpose of the filter" (slide
"Deconv net").
"""
import numpy as np
from numba import prange

from .op import inside


def conv2d_backward_input_ref(dout, w, x_size, stride, padding, dilation, groups):
    """The definition: each output hands dL/dy times its filter back to the window that it came from."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    F, CG, KH, KW = w.shape
    padded = np.zeros((len(dout), groups * CG, x_size[0] + 2 * ph, x_size[1] + 2 * pw), dout.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        c = f // (F // groups) * CG
        window = padded[n, c:c + CG, i * sh:i * sh + dh * (KH - 1) + 1:dh, j * sw:j * sw + dw * (KW - 1) + 1:dw]
        window += dout[n, f, i, j] * w[f]                       # windows overlap: contributions add
    return np.ascontiguousarray(padded[:, :, ph:ph + x_size[0], pw:pw + x_size[1]])


def conv2d_backward_weight_ref(dout, x, w_shape, stride, padding, dilation, groups):
    """The definition: dL/dw[f] is the sum of all windows, each times the dL/dy of the output that saw it."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    F, CG, KH, KW = w_shape
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    dweight = np.zeros(w_shape, x.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        c = f // (F // groups) * CG
        window = padded[n, c:c + CG, i * sh:i * sh + dh * (KH - 1) + 1:dh, j * sw:j * sw + dw * (KW - 1) + 1:dw]
        dweight[f] += dout[n, f, i, j] * window
    return dweight


TILE = 131072       # numbers in the columns of a tile: half a megabyte of float32, which stays in cache


def conv2d_backward_weight_cpu(dout, x, w_shape, stride, padding, dilation, groups):
    """dL/dy times the transposed columns with BLAS, summed over images and rows.

    Parallel over (group, block of input channels): a task owns dw[:, its channels] and sums over all images and tiles
    in a fixed order, so there is no race and the result does not depend on the threads.
    """
    N, F, OH, OW = dout.shape
    _, _, H, W = x.shape
    _, CG, KH, KW = w_shape
    FG, KK = F // groups, KH * KW
    block = max(1, min(128 // KK, (CG + 3) // 4))
    blocks = (CG + block - 1) // block
    rows = max(1, min(TILE // (max(FG, block * KK) * OW), OH))
    dw = np.empty((F, CG * KK), dout.dtype)
    for task in prange(groups * blocks):
        g, first = task // blocks, task % blocks * block
        K = min(block, CG - first) * KK
        total = np.zeros((FG, K), dout.dtype)
        for n in range(N):
            for top in range(0, OH, rows):
                height = min(rows, OH - top)
                tile = dout[n, g * FG:(g + 1) * FG, top:top + height].copy().reshape(FG, height * OW)
                columns = np.zeros((K, height, OW), dout.dtype)
                for k in range(K):
                    c, kh, kw = g * CG + first + k // KK, k // KW % KH, k % KW
                    shift = kw * dilation[1] - padding[1]
                    begin, end = inside(shift, stride[1], W, OW)
                    for r in range(height):
                        h = (top + r) * stride[0] + kh * dilation[0] - padding[0]
                        if 0 <= h < H:
                            for ow in range(begin, end):
                                columns[k, r, ow] = x[n, c, h, ow * stride[1] + shift]
                total += np.dot(tile, columns.reshape(K, height * OW).T)
        for f in range(FG):
            dw[g * FG + f, first * KK:first * KK + K] = total[f]
    return dw.reshape(w_shape)
