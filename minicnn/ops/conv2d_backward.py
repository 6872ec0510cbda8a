"""The backward kernels of conv2d.py: dL/dx and dL/dw from dL/dy. Formulas and shapes stand there.

dL/dx is at the same time the forward pass of conv_transpose2d: "filter maps to the transpose of the filter" (slide
"Deconv net").
"""
import numpy as np
from numba import prange

from ..jit import jit
from ..simd import LANES, load, load_within, store_within, total
from .gemm import DOTS, dots
from .im2col import window_offsets


def conv2d_backward_input_ref(dout, w, x_size, stride, padding, dilation, groups):
    """The definition: each output hands dL/dy times its filter back to the window that it came from."""
    ### BEGIN SOLUTION hw1.3
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    F, CG, KH, KW = w.shape
    padded = np.zeros((len(dout), groups * CG, x_size[0] + 2 * ph, x_size[1] + 2 * pw), dout.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        c = f // (F // groups) * CG
        window = padded[n, c:c + CG, i * sh:i * sh + dh * (KH - 1) + 1:dh, j * sw:j * sw + dw * (KW - 1) + 1:dw]
        window += dout[n, f, i, j] * w[f]                       # windows overlap: contributions add
    return np.ascontiguousarray(padded[:, :, ph:ph + x_size[0], pw:pw + x_size[1]])
    ### END SOLUTION hw1.3


def conv2d_backward_weight_ref(dout, x, w_shape, stride, padding, dilation, groups):
    """The definition: dL/dw[f] is the sum of all windows, each times the dL/dy of the output that saw it."""
    ### BEGIN SOLUTION hw1.4
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    F, CG, KH, KW = w_shape
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    dweight = np.zeros(w_shape, x.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        c = f // (F // groups) * CG
        window = padded[n, c:c + CG, i * sh:i * sh + dh * (KH - 1) + 1:dh, j * sw:j * sw + dw * (KW - 1) + 1:dw]
        dweight[f] += dout[n, f, i, j] * window
    return dweight
    ### END SOLUTION hw1.4


@jit
def _stack(x, stride, padding, pitch, out):
    """Lay the channels of x (N, C, H, W) out in rows, image after image, dealt out by the stride; what is not of them is 0.

    out[(c sh + a) sw + b, (n HP + i) WP + j] = padded[n, c, i sh + a, j sw + b]; `pitch` (HP, WP) are the rows and columns of
    an image. Parallel over (channel, image), each of which has its own places.
    """
    (N, C, H, W), (sh, sw), (HP, WP) = x.shape, stride, pitch
    for task in prange(C * N):
        c, n = task // N, task % N
        for phase in range(sh * sw):
            a, b = phase // sw - padding[0], phase % sw - padding[1]
            row = c * sh * sw + phase
            for i in range(HP):
                h, at = i * sh + a, (n * HP + i) * WP
                if h < 0 or h >= H:
                    out[row, at:at + WP] = 0
                elif sw == 1:
                    for j in range(0, WP, LANES):
                        store_within(out, (row, at + j), load_within(x, (n, c, h, j + b), W), at + WP)
                else:
                    for j in range(WP):
                        out[row, at + j] = x[n, c, h, j * sw + b] if 0 <= j * sw + b < W else 0
            if n == N - 1:
                out[row, N * HP * WP:] = 0


BATCH = 2 ** 19         # numbers of the input, or of dL/dy, that are laid out at a time, which stay in the cache
CHUNK = 1024            # numbers of a row at a time, which stay in the first-level cache
PART = 4                # tiles of window numbers in a task, and of filters


@jit
def _all_dots(dout, x, offsets, shift, dw):
    """dw[g, f, k] += the sum over q of dout[g, f, q] x[q + offsets[k] + g shift].

    dout (groups, filters, L), x one row of numbers, offsets (tiles, DOTS[1]), dw (groups, filters, tiles DOTS[1]). Parallel
    over blocks of dw; a task writes its own and sums over all q in order, so there is no race and the result does not depend
    on the threads.
    """
    groups, F, L = dout.shape
    tiles, (rows, columns) = len(offsets), DOTS
    across, down = (tiles + PART - 1) // PART, (F // rows + PART - 1) // PART
    for task in prange(groups * down * across):
        g, part, first = task // (down * across), task // across % down, task % across * PART
        count = min(PART, tiles - first)
        sums = np.empty((PART, rows, columns, LANES), x.dtype)
        for f in range(part * PART * rows, min(F, (part + 1) * PART * rows), rows):
            sums[:] = 0
            for q in range(0, L, CHUNK):
                for tile in range(count):
                    dots(dout[g, f:f + rows, q:min(L, q + CHUNK)], x[q + g * shift:], offsets[first + tile], sums[tile])
            for tile in range(count):
                for i in range(rows):
                    for j in range(columns):
                        dw[g, f + i, (first + tile) * columns + j] += total(load(sums, tile, i, j, 0))
    return dw


def weight_by_dots(dout, x, w_shape, stride, padding, dilation, groups):
    """Return dL/dw as dot products of long rows: of dL/dy by that of the input, which is moved for each number of a window.

    Images of the batch stand in one row, image after image, row after row, with zeros between the rows of dL/dy where the
    input has its padding: so a window's number is always equally far from the place of its output. The padding on the right
    of a row is at the same time that on the left of the next. These zeros are multiplied too: 0 times a NaN or an infinity of
    the input is NaN, so that one of them shows in more numbers of a window than by the definition.
    """
    ### BEGIN SOLUTION hw1.4
    (F, OH, OW), C, phases = dout.shape[1:], x.shape[1], stride[0] * stride[1]
    pitch = tuple(max(o, n + p if s == 1 else -(-(n + 2 * p) // s))
                  for o, n, s, p in zip((OH, OW), x.shape[2:], stride, padding))
    image = pitch[0] * pitch[1]
    parts = min(len(x), -(-len(x) * image * max(C * phases, F) // BATCH))
    N = -(-len(x) // parts)                                         # images at a time, which stay in cache
    L = -(-N * image // LANES) * LANES
    offsets = window_offsets(w_shape, dilation, stride, L, pitch[1])
    spare = -len(offsets) % DOTS[1]
    tiles = np.concatenate([offsets, offsets[:1].repeat(spare)]).reshape(-1, DOTS[1])
    shift = C // groups * phases * L                                # from the channels of a group to those of the next
    flat = np.zeros(max(C * phases * L, (groups - 1) * shift + int(offsets.max()) + L), x.dtype)     # as far as windows reach
    FG = -(-F // groups // DOTS[0]) * DOTS[0]                       # filters of a group, filled up
    rows = np.zeros((groups, FG, L), x.dtype)
    dw = np.zeros((groups, FG, tiles.size), x.dtype)
    if FG * groups != F:
        whole = np.zeros((len(x), groups, FG, OH, OW), x.dtype)
        whole[:, :, :F // groups] = dout.reshape(len(x), groups, F // groups, OH, OW)
        dout = whole.reshape(len(x), -1, OH, OW)
    for n in range(0, len(x), N):
        _stack(x[n:n + N], stride, padding, pitch, flat[:C * phases * L].reshape(C * phases, L))
        _stack(dout[n:n + N], (1, 1), (0, 0), pitch, rows.reshape(groups * FG, L))
        _all_dots(rows, flat, tiles, shift, dw)
    return np.ascontiguousarray(dw[:, :F // groups, :len(offsets)]).reshape(w_shape)
    ### END SOLUTION hw1.4
