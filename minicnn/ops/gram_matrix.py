"""Gram matrix: which features appear together, wherever they do. The style of a picture.

    G[n, a, b] = sum over places i of F[n, a, i] F[n, b, i],   G = F F^T,   F = x as (N, C, H W)
    dL/dF = (dL/dG + dL/dG^T) F

With `normalize` both are divided by C H W, as in Johnson's neural_style.lua; Gatys' paper keeps the sum and divides
in its loss. The deck prints G = V^T V: its V (H W, C) has the features in columns, so V = F^T, the same matrix.
It calls G covariances, but no mean is subtracted.
Shapes: x (N, C, H, W), G (N, C, C), symmetric. float32 or float64.
Slide "Step 2: Extract style targets (Gram matrices of ConvNet activations)". Source: Gatys, Ecker and Bethge 2015.
"""
import math

import numpy as np

from ..backend import pick
from ..jit import single_threaded_blas
from .gemm_cuda import matmul_cuda
from .op import Op, check_ndim
from .shape_ops import permute_forward_cuda


def gram_matrix_forward_ref(features):
    """The definition, on features (N, C, L)."""
    ### BEGIN SOLUTION hw4.3
    N, C, L = features.shape
    out = np.zeros((N, C, C), features.dtype)
    for n, a, b in np.ndindex(out.shape):
        for i in range(L):
            out[n, a, b] += features[n, a, i] * features[n, b, i]
    return out
    ### END SOLUTION hw4.3


def gram_matrix_backward_ref(dout, features):
    """The definition: G[a, b] hands dL/dG F[b] to F[a] and dL/dG F[a] to F[b]."""
    ### BEGIN SOLUTION hw4.3
    dfeatures = np.zeros_like(features)
    for n, a, b in np.ndindex(dout.shape):
        for i in range(features.shape[2]):
            dfeatures[n, a, i] += dout[n, a, b] * features[n, b, i]
            dfeatures[n, b, i] += dout[n, a, b] * features[n, a, i]
    return dfeatures
    ### END SOLUTION hw4.3


def gram_matrix_forward_cpu(features):
    """One matrix product an image; BLAS on one thread, so that the sums do not depend on the number of threads."""
    ### BEGIN SOLUTION hw4.3
    with single_threaded_blas():
        return np.matmul(features, features.transpose(0, 2, 1))
    ### END SOLUTION hw4.3


def gram_matrix_backward_cpu(dout, features):
    """One matrix product an image, BLAS on one thread as above."""
    ### BEGIN SOLUTION hw4.3
    with single_threaded_blas():
        return np.matmul(dout + dout.transpose(0, 2, 1), features)
    ### END SOLUTION hw4.3


def gram_matrix_forward_cuda(features):
    ### BEGIN SOLUTION hw4.3
    return matmul_cuda(features, features, b_turned=True)
    ### END SOLUTION hw4.3


def gram_matrix_backward_cuda(dout, features):
    ### BEGIN SOLUTION hw4.3
    return matmul_cuda(dout + permute_forward_cuda(dout, (0, 2, 1)), features)
    ### END SOLUTION hw4.3


KERNELS = {
    "ref": {"forward": gram_matrix_forward_ref, "backward": gram_matrix_backward_ref},
    "cpu": {"forward": gram_matrix_forward_cpu, "backward": gram_matrix_backward_cpu},
    "cuda": {"forward": gram_matrix_forward_cuda, "backward": gram_matrix_backward_cuda},
}


class GramMatrix(Op):
    @staticmethod
    def forward(ctx, x, normalize):
        N, C, H, W = ctx.x_shape = x.shape
        ctx.features = x.reshape(N, C, H * W)
        ctx.divisor = math.prod((C, H, W)) if normalize else 1
        gram = pick(KERNELS)["forward"](ctx.features)
        return gram / ctx.divisor if normalize else gram

    @staticmethod
    def backward(ctx, dout):
        dout = dout if ctx.divisor == 1 else dout / ctx.divisor
        return (pick(KERNELS)["backward"](dout, ctx.features).reshape(ctx.x_shape),)


def gram_matrix(x, normalize=False):
    """Return the Gram matrices (N, C, C) of the features `x` (N, C, H, W), with `normalize` divided by C H W."""
    check_ndim("gram_matrix", "x", x, 4, "(N, C, H, W)")
    return GramMatrix.apply(x, normalize=bool(normalize))
