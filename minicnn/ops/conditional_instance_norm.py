"""Conditional instance normalisation: instance norm with a scale and a shift for each style, blended by weights.

    y[n, c] = gamma[n, c] xhat[n, c] + beta[n, c],    xhat as in instance_norm.py
    gamma = style @ weight,  beta = style @ bias      a row of `style` with a single 1 picks a style; other rows blend
    the planes of N pictures are the N C planes of one picture, so instance norm's kernels and gradients serve

All other weights of the network are shared: a style is no more than these numbers, 2 C in each layer.
Shapes: x (N, C, H, W), style (N, S) or (1, S) for all pictures, weight and bias (S, C). float32 or float64.
Slide "One network, many styles". Source: V. Dumoulin, J. Shlens and M. Kudlur, ICLR 2017.
"""
import numpy as np

from ..errors import ShapeError
from .arithmetic import mul
from .instance_norm import KERNELS, instance_norm  # noqa: F401 (the ladder)
from .matmul import matmul
from .op import check_ndim, shape_of
from .shape_ops import reshape


def conditional_instance_norm(x, style, weight, bias, eps=1e-5):
    """Return `x` (N, C, H, W) with every plane normalised, scaled and shifted as the rows of `style` (N, S) say."""
    check_ndim("conditional_instance_norm", "x", x, 4, "(N, C, H, W)")
    (N, C, H, W), table = shape_of(x), shape_of(weight)
    rows = shape_of(style)
    if len(table) != 2 or table[1] != C or shape_of(bias) != table or len(rows) != 2 or rows[0] not in (1, N) or \
            rows[1] != table[0]:
        raise ShapeError(f"conditional_instance_norm: x has {N} pictures of {C} channels, style has shape {rows}, weight {table} "
                         f"and bias {shape_of(bias)}, expected ({N} or 1, S), (S, {C}) and (S, {C}) for S styles")
    every = np.ones((N, 1), getattr(x, "dtype", np.float32))            # one row of style counts for all pictures
    scale, shift = (reshape(mul(matmul(style, of), every), (N * C,)) for of in (weight, bias))
    return reshape(instance_norm(reshape(x, (1, N * C, H, W)), weight=scale, bias=shift, eps=eps), (N, C, H, W))
