"""Total variation denoising by split Bregman iteration: smooth areas, sharp edges. Used by multifaceted visualisation.

    argmin over u of  sum |grad u|  +  weight / 2 ||u - f||^2            a small weight smooths strongly

The norm has a corner at 0. Give the gradient a name of its own, d, and tie it to grad u by a penalty; then both steps are easy:

    u: one sweep of  (weight - lambda Laplace) u = weight f + lambda div (b - d),  each pixel from its four neighbours
    d: shrink grad u + b towards 0,   d = s / (s + 1 / lambda) (grad u + b),   s = its length
    b: <- b + grad u - d,             what the tie still lacks;                 lambda = 2 weight

Pixels are swept row by row, each from the newest values of its neighbours (Gauss-Seidel). Beyond the border stand the second row
and column of f and, on the other side, its last ones.
Source: T. Goldstein and S. Osher 2009; lambda, smoothed shrinkage and borders as in scikit-image's denoise_tv_bregman.
"""
import numpy as np
from numba import prange

from ..checks import number, whole_number
from ..errors import ShapeError
from ..jit import jit
from .checks import finite


def denoise_tv_bregman(x, weight, max_iter=100, eps=1e-3):
    """Return planes x (..., H, W) denoised; a plane is done when a sweep changes it by `eps` or less.

    The change is the root mean square over the plane.
    """
    x = np.asarray(x)
    if x.ndim < 2 or x.dtype not in (np.float32, np.float64) or min(x.shape[-2:]) < 2 or x.size == 0:
        raise ShapeError(f"denoise_tv_bregman: x is {x.dtype} {x.shape}, expected floats (..., H, W) of at least 2x2")
    finite("denoise_tv_bregman", "x", x)
    weight, eps = number("denoise_tv_bregman", "weight", weight, above=0), number("denoise_tv_bregman", "eps", eps, at_least=0)
    max_iter = whole_number("denoise_tv_bregman", "max_iter", max_iter, 0)
    planes = x.reshape(-1, *x.shape[-2:]).astype(np.float64)
    u = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    u[:, 0, 1:-1], u[:, 1:-1, 0] = planes[:, 1], planes[:, :, 1]
    memory = np.zeros((len(u), 4, *u.shape[1:]))            # d and b, along the columns and along the rows
    left = np.arange(len(planes))               # planes that still change; each stops on its own
    for _ in range(max_iter):
        part = u[left], memory[left]
        changes = bregman_sweep_cpu(part[0], planes[left], part[1], weight)
        u[left], memory[left] = part
        left = left[np.sqrt(changes / planes[0].size) > eps]
        if not len(left):
            break
    return u[:, 1:-1, 1:-1].reshape(x.shape).astype(x.dtype)


def _bregman_sweep_cpu(u, f, memory, weight):
    """One sweep over planes u (n, H + 2, W + 2) with f (n, H, W); return the sum of squared changes of each plane.

    Parallel over the planes; a task writes only its own, so there is no race. Within a plane the order is the algorithm.
    """
    n, H, W = f.shape
    lam, changes = 2 * weight, np.zeros(n)
    for plane in prange(n):
        v, (dx, dy, bx, by) = u[plane], (memory[plane, 0], memory[plane, 1], memory[plane, 2], memory[plane, 3])
        for r in range(1, H + 1):
            for c in range(1, W + 1):
                before = v[r, c]
                right, down = v[r, c + 1] - before, v[r + 1, c] - before
                around = v[r + 1, c] + v[r - 1, c] + v[r, c + 1] + v[r, c - 1]
                split = dx[r, c - 1] - dx[r, c] + dy[r - 1, c] - dy[r, c] - bx[r, c - 1] + bx[r, c] - by[r - 1, c] + by[r, c]
                v[r, c] = (lam * (around + split) + weight * f[plane, r - 1, c - 1]) / (weight + 4 * lam)
                changes[plane] += (v[r, c] - before) ** 2
                tx, ty = right + bx[r, c], down + by[r, c]
                s = np.sqrt(tx * tx + ty * ty)
                dx[r, c], dy[r, c] = s * lam * tx / (s * lam + 1), s * lam * ty / (s * lam + 1)
                bx[r, c], by[r, c] = tx - dx[r, c], ty - dy[r, c]
    return changes


bregman_sweep_cpu = jit(_bregman_sweep_cpu)
