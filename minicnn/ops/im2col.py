"""Convolution as one matrix product: every window becomes a column ("im2col").

    y[f, q] = b[f] + sum_k w[f, k] columns[k, q]        k = (c, kh, kw): a number of a window;   q = (i, j): an output

`columns` is KH KW times as large as the input, so it never exists as a whole: a task makes a panel of 2 LANES outputs at a
time, which stays in the cache, and multiplies it with all filters (gemm.py).

Strides. The windows of neighbouring outputs begin s pixels apart, but vectors want neighbours side by side. So the input, while
it is padded, is dealt out to s x s smaller pictures (`dealt_out`), the pixels with the same remainders of row and column
divided by s; in them, all strides are 1. For dL/dx the way is walked back: the s x s smaller pictures of dL/dx are
convolutions of dL/dy, each with those taps of the filters that land on its pixels, and are put together again.

Shapes and signs as in conv2d.py. Source: Chellapilla et al., High Performance Convolutional Neural Networks (2006).
"""
import functools

import numba
import numpy as np
from numba import prange

from ..jit import jit
from ..simd import LANES, load, load_within, store, store_within
from .frozen import once
from .gemm import ROWS, multiply, packed_rows, turned_filters

WIDTH = 2 * LANES       # outputs in a panel
DEPTH = 512             # numbers of a window at a time: a block of packed filters, 16 KB, stays in the first-level cache
PANELS = 4              # panels in a task
TASKS = 16              # at least, if there are filters enough: so many cores get equal shares


def dealt_out(x, stride, top_left, size):
    """Return x (N, C, H, W) padded with zeros and dealt out: (N, C, sh, sw, *size), [a, b, i, j] = padded[i sh + a, j sw + b].

    `top_left` are the rows and columns of padding before the first pixel; size * stride is where the padding ends after the last.
    """
    (sh, sw), (ph, pw), (N, C, H, W) = stride, top_left, x.shape
    if (sh, sw) == (1, 1) and (ph, pw) == (0, 0) and size == (H, W):
        return x.reshape(N, C, 1, 1, H, W)
    padded = np.zeros((N, C, sh, sw, *size), x.dtype)
    for a in range(sh):
        for b in range(sw):
            i, j = -(-(ph - a) // sh), -(-(pw - b) // sw)               # the first whose pixel is not padding
            i, j = max(i, 0), max(j, 0)
            part = x[:, :, i * sh + a - ph::sh, j * sw + b - pw::sw][:, :, :size[0] - i, :size[1] - j]
            padded[:, :, a, b, i:i + part.shape[2], j:j + part.shape[3]] = part
    return padded


def packed_filters(w, groups):
    """Return filters (F, C / groups, KH, KW) as `multiply` takes them: (groups, blocks, C / groups KH KW, ROWS)."""
    F = len(w)
    return np.stack([packed_rows(part) for part in w.reshape(groups, F // groups, -1)])


@functools.lru_cache(maxsize=1000)
def window_offsets(w_shape, dilation, stride, plane, row):
    """Return how far from the first number of a window each other one lies in memory: (K,), not to be changed.

    The input is dealt out by `stride` into pictures of `plane` numbers, `row` in a row.
    """
    c, kh, kw = np.indices(w_shape[1:]).reshape(3, -1)
    (sh, sw), h, v = stride, kh * dilation[0], kw * dilation[1]
    return ((c * sh + h % sh) * sw + v % sw) * plane + h // sh * row + v // sw


@numba.njit
def _fill(x, channel, offsets, size, q, count, panel):
    """Write the windows of the outputs q, q + 1, ... to panel (len(offsets), at least count + LANES).

    Outputs, `size` (OH, OW) an image, are counted through the whole batch; `channel` is the first of the group. The last
    vector of a row of outputs runs over its end, into what is written next.
    """
    done = 0
    while done < count:
        row, j = (q + done) // size[1], (q + done) % size[1]
        run = min(count - done, size[1] - j)                        # outputs of the same row
        n, i = row // size[0], row % size[0]
        at = ((n * x.shape[1] + channel) * x.shape[2] * x.shape[3] * x.shape[4] + i) * x.shape[5] + j
        window = x.reshape(x.size)[at:]
        end = min(len(window), 2 ** 31 - 1)
        for k in range(len(offsets)):
            for r in range(0, run, LANES):
                store(panel, (k, done + r), load_within(window, (offsets[k] + r,), end))
        done += run


@numba.njit
def _set_bias(out, b, f_from, f_to, begin, end):
    """Write the bias of some maps to the outputs from begin to end."""
    pixels = out.shape[2]
    while begin < end:
        n, p = begin // pixels, begin % pixels
        run = min(end - begin, pixels - p)
        for f in range(f_from, f_to):
            out[n, f, p:p + run] = b[f]
        begin += run


@numba.njit
def _multiply_panel(filters, panel, out, q, count, tile):
    """Add a product to the outputs q, q + 1, ... of the maps out (N, rows <= ROWS, OH OW)."""
    pixels = out.shape[2]
    n, p = q // pixels, q % pixels
    if out.shape[1] == ROWS and p + count <= pixels and panel.shape[1] == count:
        multiply(filters, panel, out[n, :, p:p + count], True)
        return
    multiply(filters, panel, tile[:, :panel.shape[1]], False)
    done = 0
    while done < count:
        n, p = (q + done) // pixels, (q + done) % pixels
        end = min(p + count - done, pixels)
        for f in range(out.shape[1]):
            for r in range(0, end - p, LANES):
                at = n, f, p + r
                store_within(out, at, load_within(out, at, end) + load(tile, f, done + r), end)
        done += end - p


def im2col_forward_cpu(x, filters, b, offsets, size, out):
    """x dealt out (N, C, sh, sw, H', W'), packed filters, offsets (K,), size (OH, OW), out (N, F, OH OW).

    Parallel over (group, part of the filters, block of outputs of the whole batch); a task writes its own outputs, so there
    is no race. Each part of the filters needs the windows anew, so there are several only where outputs are few.
    """
    groups, blocks, K = filters.shape[:3]
    F, pixels = out.shape[1:]
    CG, FG, total = x.shape[1] // groups, F // groups, len(x) * pixels
    plain = K == CG and x.shape[2] * x.shape[3] == 1 and x.shape[4] * x.shape[5] == pixels      # windows of one pixel: x
    maps = x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3] * x.shape[4] * x.shape[5])
    tasks = (total + PANELS * WIDTH - 1) // (PANELS * WIDTH)
    parts = max(1, min(blocks, TASKS // max(1, groups * tasks)))
    for task in prange(groups * parts * tasks):
        g, begin = task // (parts * tasks), task % tasks * PANELS * WIDTH
        fb_from, fb_to = (task // tasks % parts) * blocks // parts, (task // tasks % parts + 1) * blocks // parts
        panels = np.empty((PANELS, min(DEPTH, K), WIDTH + LANES), x.dtype)
        tile = np.empty((ROWS, WIDTH + LANES), x.dtype)
        end = min(total, begin + PANELS * WIDTH)
        _set_bias(out, b, g * FG + fb_from * ROWS, g * FG + min(FG, fb_to * ROWS), begin, end)
        for first in range(0, K, DEPTH):
            last = min(K, first + DEPTH)
            for q in range(begin, end, WIDTH):
                if not plain or q % pixels + WIDTH > pixels:
                    _fill(x, g * CG, offsets[first:last], size, q, min(WIDTH, end - q), panels[(q - begin) // WIDTH])
            for fb in range(fb_from, fb_to):
                part = out[:, g * FG + fb * ROWS:g * FG + min(FG, (fb + 1) * ROWS)]
                for q in range(begin, end, WIDTH):
                    n, p, lanes = q // pixels, q % pixels, LANES if end - q <= LANES else WIDTH
                    if not plain or p + WIDTH > pixels:
                        panel = panels[(q - begin) // WIDTH, :last - first, :lanes]
                    else:
                        panel = maps[n, g * CG + first:g * CG + last, p:p + lanes]
                    _multiply_panel(filters[g, fb, first:last], panel, part, q, min(lanes, end - q), tile)
    return out


_forward = jit(im2col_forward_cpu)


def im2col(x, w, b, stride, padding, dilation, groups, turned=False):
    """Return conv2d(x, w, b, ...); `turned`: with w as dL/dx needs it."""
    ### BEGIN SOLUTION hw1.2
    filters = once(w, ("packed", groups, turned), lambda w: packed_filters(turned_filters(w, groups) if turned else w, groups))
    F, CG = (w.shape[1] * groups, len(w) // groups) if turned else w.shape[:2]
    kernel = w.shape[2:]
    size = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation))
    dealt = dealt_out(x, stride, padding, tuple(-(-(n + 2 * p) // s) for n, p, s in zip(x.shape[2:], padding, stride)))
    offsets = window_offsets((F, CG, *kernel), dilation, stride, dealt.shape[4] * dealt.shape[5], dealt.shape[5])
    out = np.empty((len(x), F, size[0] * size[1]), x.dtype)
    _forward(dealt, filters, b, offsets, size, out)
    return out.reshape(*out.shape[:2], *size)
    ### END SOLUTION hw1.2


@numba.njit
def _add_spread_out(part, row, first, step):
    """row[first + j step] += part[j] for all j that are in the row."""
    begin, end = max(0, (step - 1 - first) // step), min(len(part), (len(row) - 1 - first) // step + 1)
    if step == 1:                                               # a step that is known makes vectors
        for j in range(begin, end):
            row[first + j] += part[j]
    else:
        for j in range(begin, end):
            row[first + j * step] += part[j]


def col2im_cpu(columns, kernel, stride, padding, dilation, dx):
    """Add each number of the windows' gradients, columns (N, C KH KW, OH, OW), to the pixel of dx (N, C, H, W) it stood for.

    Parallel over the rows of dx, which collect what is theirs: a task writes its own row, so there is no race.
    """
    (N, C, H), (KH, KW), OH = dx.shape[:3], kernel, columns.shape[2]
    for task in prange(N * C * H):
        n, c, h = task // (C * H), task // H % C, task % H
        dx[n, c, h] = 0
        for kh in range(KH):
            i = h + padding[0] - kh * dilation[0]               # of the output times its stride, where there is one
            if i >= 0 and i % stride[0] == 0 and i // stride[0] < OH:
                for kw in range(KW):
                    part, first = columns[n, (c * KH + kh) * KW + kw, i // stride[0]], kw * dilation[1] - padding[1]
                    _add_spread_out(part, dx[n, c, h], first, stride[1])
    return dx


_col2im = jit(col2im_cpu)


def col2im(dout, w, x_size, stride, padding, dilation):
    """Return dL/dx of conv2d for few channels and small strides.

    Gradients of windows come first, w^T dL/dy, as they do with `im2col` backwards: C KH KW rows fill what C would not.
    """
    ### BEGIN SOLUTION hw1.3
    F, C, KH, KW = w.shape
    filters = once(w, "columns", lambda w: packed_filters(w.reshape(F, -1).T[:, :, None, None], 1))
    (N, _, OH, OW), rows = dout.shape, C * KH * KW
    columns = np.empty((N, rows, OH * OW), dout.dtype)
    offsets = window_offsets((rows, F, 1, 1), (1, 1), (1, 1), OH * OW, OW)
    _forward(dealt_out(dout, (1, 1), (0, 0), (OH, OW)), filters, np.zeros(rows, w.dtype), offsets, (OH, OW), columns)
    dx = np.empty((N, C, *x_size), dout.dtype)
    return _col2im(columns.reshape(N, rows, OH, OW), (KH, KW), stride, padding, dilation, dx)
    ### END SOLUTION hw1.3


def dealt_filters(w, stride, groups):
    """Return the filters (used phases C, F / groups, taps, taps) that make the pictures of which dL/dx is put together.

    Picture (a, b) of dL/dx is sum_t w[f, c, t s + a] dL/dy[i - t]: the taps a, a + s, a + 2 s, ... turned by 180 degrees.
    """
    C, FG, KH, KW = w.shape[1] * groups, len(w) // groups, *w.shape[2:]
    used = tuple(min(k, s) for k, s in zip((KH, KW), stride))
    taps = tuple(-(-k // s) for k, s in zip((KH, KW), stride))
    turned = turned_filters(w, groups)[:, :, ::-1, ::-1]
    dealt = np.zeros((groups, *used, C // groups, FG, *taps), w.dtype)
    for a in range(used[0]):
        for b in range(used[1]):
            part = turned[:, :, a::stride[0], b::stride[1]].reshape(groups, C // groups, FG, -(-(KH - a) // stride[0]),
                                                                    -(-(KW - b) // stride[1]))
            dealt[:, a, b, :, :, :part.shape[3], :part.shape[4]] = part
    return np.ascontiguousarray(dealt[..., ::-1, ::-1]).reshape(-1, FG, *taps)


def im2col_backward_input(dout, w, x_size, stride, padding, dilation, groups):
    """Return dL/dx (N, C, *x_size) of conv2d from dL/dy."""
    ### BEGIN SOLUTION hw1.3
    if dilation != (1, 1):              # rare: fill the holes of the filters with zeros
        wide = np.zeros((*w.shape[:2], *(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation))), w.dtype)
        wide[:, :, ::dilation[0], ::dilation[1]] = w
        w = wide
    filters = once(w, ("dealt", stride, groups), lambda w: _dealt_and_packed(w, stride, groups))
    N, C, kernel = len(dout), w.shape[1] * groups, w.shape[2:]
    used = tuple(min(k, s) for k, s in zip(kernel, stride))
    taps = tuple(-(-k // s) for k, s in zip(kernel, stride))
    reach = tuple(t - 1 for t in taps)
    size = tuple(-(-(n + 2 * p) // s) for n, p, s in zip(x_size, padding, stride))           # of the pictures
    padded = dealt_out(dout, (1, 1), reach, tuple(n + r for n, r in zip(size, reach)))
    out = np.empty((N, groups * used[0] * used[1] * (C // groups), size[0] * size[1]), dout.dtype)
    offsets = window_offsets((0, len(w) // groups, *taps), (1, 1), (1, 1), padded.shape[4] * padded.shape[5], padded.shape[5])
    _forward(padded, filters, np.zeros(out.shape[1], dout.dtype), offsets, size, out)
    pictures = out.reshape(N, groups, *used, C // groups, *size)
    whole = np.zeros((N, groups, C // groups, size[0] * stride[0], size[1] * stride[1]), dout.dtype)
    for a in range(used[0]):
        for b in range(used[1]):
            whole[:, :, :, a::stride[0], b::stride[1]] = pictures[:, :, a, b]
    (ph, pw), (H, W) = padding, x_size
    return np.ascontiguousarray(whole.reshape(N, C, *whole.shape[3:])[:, :, ph:ph + H, pw:pw + W])
    ### END SOLUTION hw1.3


def _dealt_and_packed(w, stride, groups):
    return packed_filters(dealt_filters(w, stride, groups), groups)
