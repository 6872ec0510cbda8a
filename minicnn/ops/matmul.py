"""Matrix product, of two matrices or of batches of them.

    y[g] = a[g] b[g]            dL/da[g] = dL/dy[g] b[g]^T          dL/db[g] = a[g]^T dL/dy[g]

Shapes: a (N, K) or (G, N, K), b (K, M) or (G, K, M), y (N, M) or (G, N, M). A single matrix, or a batch of one, is used
with every matrix of the other batch, and its gradient is the sum. float32 or float64. Names as torch.matmul.
"""
import numpy as np
from numba import prange

from ..backend import pick
from ..errors import ShapeError
from ..jit import jit
from .arithmetic import unbroadcast
from .gemm_cuda import matmul_cuda
from .op import Op, shape_of
from .shape_ops import KERNELS as SHAPE


def matmul_product_ref(a, b):
    """The definition: every number of y is the sum of a row of a times a column of b. Batches of 1 are used again."""
    out = np.empty((max(len(a), len(b)) if len(a) and len(b) else 0, a.shape[1], b.shape[2]), a.dtype)
    for g, n, m in np.ndindex(out.shape):
        out[g, n, m] = np.sum(a[g % len(a), n] * b[g % len(b), :, m])
    return out


def matmul_product_cpu(a, b):
    """BLAS on tiles of 64 rows.

    Parallel over (matrix, tile); a task writes its own rows of out, so there is no race. The tiles depend on the shapes
    alone: the same sums for any number of threads.
    """
    G = max(len(a), len(b)) if len(a) and len(b) else 0
    N, M = a.shape[1], b.shape[2]
    tiles = (N + 63) // 64
    out = np.empty((G, N, M), a.dtype)
    for task in prange(G * tiles):
        g, top = task // tiles, task % tiles * 64
        out[g, top:top + 64] = np.dot(a[g % len(a), top:top + 64], b[g % len(b)])
    return out


KERNELS = {"ref": {"product": matmul_product_ref},
           "cpu": {"product": jit(matmul_product_cpu, blas=True)},
           "cuda": {"product": matmul_cuda}}          # its ladder stands in gemm_cuda.py


def _transposed(batch):
    return pick(SHAPE)["permute"](batch, (0, 2, 1))


class Matmul(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        ctx.a, ctx.b = (m.reshape(1, *m.shape) if m.ndim == 2 else m for m in (a, b))
        out = pick(KERNELS)["product"](ctx.a, ctx.b)
        return out.reshape(out.shape[1:]) if a.ndim == b.ndim == 2 else out

    @staticmethod
    def backward(ctx, dout):
        da = db = None
        dout = dout.reshape(1, *dout.shape) if dout.ndim == 2 else dout        # (G, N, M)
        if ctx.needs_grad[0]:
            da = unbroadcast(pick(KERNELS)["product"](dout, _transposed(ctx.b)), ctx.a.shape).reshape(ctx.shapes[0])
        if ctx.needs_grad[1]:
            db = unbroadcast(pick(KERNELS)["product"](_transposed(ctx.a), dout), ctx.b.shape).reshape(ctx.shapes[1])
        return da, db


def matmul(a, b):
    """Return the matrix product of `a` (N, K) or (G, N, K) and `b` (K, M) or (G, K, M)."""
    a_shape, b_shape = shape_of(a), shape_of(b)
    if len(a_shape) not in (2, 3) or len(b_shape) not in (2, 3):
        raise ShapeError(f"matmul: shapes {a_shape} and {b_shape}, expected matrices (N, K), (K, M) or batches of them")
    if a_shape[-1] != b_shape[-2]:
        raise ShapeError(f"matmul: a {a_shape} has {a_shape[-1]} columns, b {b_shape} has {b_shape[-2]} rows; "
                         "they must be equal")
    if len(a_shape) == len(b_shape) == 3 and a_shape[0] != b_shape[0] and 1 not in (a_shape[0], b_shape[0]):
        raise ShapeError(f"matmul: a {a_shape} is a batch of {a_shape[0]}, b {b_shape} a batch of {b_shape[0]}")
    return Matmul.apply(a, b)
