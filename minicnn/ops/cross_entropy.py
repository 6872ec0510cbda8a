"""Cross-entropy: how surprised the network is by the right class. The loss of every classifier here.

    loss_n = -log p[n, t_n] = log sum_c exp(s[n, c]) - s[n, t_n],   p = softmax(s)
    dloss_n/ds[n, c] = p[n, c] - (c = t_n)        probabilities minus the truth

reduction: "mean" over n (the default), "sum", or "none": the losses (N,). The maximum score is subtracted first.
Shapes: scores s (N, C), target t (N,) whole numbers 0..C-1, a plain array; the loss has no axes, or is (N,).
float32 or float64. Names as torch.nn.functional.cross_entropy, with `scores` for its `input`.
"""
import math

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import THREADS, DeviceArray, cuda_jit, larger, threads_for
from ..errors import DtypeError, ShapeError, unknown_name
from .op import Op, check_ndim, placed, shape_of
from .reductions import KERNELS as SUMS
from .reductions import block_largest, block_total


def cross_entropy_forward_ref(scores, target):
    """The definition: the losses (N,), and the probabilities (N, C) for the way back."""
    N, C = scores.shape
    losses, p = np.empty(N, scores.dtype), np.empty_like(scores)
    for n in range(N):
        top = max(scores[n])
        total = 0.0
        for c in range(C):
            total += np.exp(scores[n, c] - top)
        losses[n] = np.log(total) - (scores[n, target[n]] - top)
        for c in range(C):
            p[n, c] = np.exp(scores[n, c] - top) / total
    return losses, p


def cross_entropy_backward_ref(dlosses, p, target):
    """The definition: (p - (c = t_n)) times what each loss counts."""
    dscores = np.empty_like(p)
    for n, c in np.ndindex(p.shape):
        dscores[n, c] = (p[n, c] - (c == target[n])) * dlosses[n]
    return dscores


def cross_entropy_forward_cpu(scores, target):      # a thousand scores an image: NumPy is fast enough
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - shifted[np.arange(len(target)), target]
    return losses, p / total


def cross_entropy_backward_cpu(dlosses, p, target):
    dscores = p.copy()
    dscores[np.arange(len(target)), target] -= 1
    return dscores * dlosses[:, None]


@cuda_jit("T2 l1 T1 T2")
def cross_entropy_forward_kernel(scores, target, losses, p):
    """A block an example: its threads take scores in turn, and each writes p of its own."""
    n, C, total, top = cuda.blockIdx.x, scores.shape[1], 0.0, scores[cuda.blockIdx.x, 0]
    for c in range(cuda.threadIdx.x, C, THREADS):
        top = larger(top, scores[n, c])
    top = block_largest(top)
    for c in range(cuda.threadIdx.x, C, THREADS):
        p[n, c] = math.exp(scores[n, c] - top)
        total += p[n, c]
    total = block_total(total)
    for c in range(cuda.threadIdx.x, C, THREADS):
        p[n, c] = p[n, c] / total
    if cuda.threadIdx.x == 0:
        losses[n] = math.log(total) - (scores[n, target[n]] - top)


def cross_entropy_forward_cuda(scores, target):
    losses, p = DeviceArray((len(scores),), scores.dtype), DeviceArray(scores.shape, scores.dtype)
    cross_entropy_forward_kernel.launch(len(losses), THREADS, scores, target, losses, p)
    return losses, p


@cuda_jit("T1 T2 l1 T2")
def cross_entropy_backward_kernel(dlosses, p, target, dscores):
    """A thread a score."""
    i, C = cuda.grid(1), p.shape[1]
    if i < p.size:
        n, c = i // C, i % C
        dscores[n, c] = (p[n, c] - (1 if c == target[n] else 0)) * dlosses[n]


def cross_entropy_backward_cuda(dlosses, p, target):
    dscores = DeviceArray(p.shape, p.dtype)
    cross_entropy_backward_kernel.launch(*threads_for(p.size), dlosses, p, target, dscores)
    return dscores


KERNELS = {
    "ref": {"forward": cross_entropy_forward_ref, "backward": cross_entropy_backward_ref},
    "cpu": {"forward": cross_entropy_forward_cpu, "backward": cross_entropy_backward_cpu},
    "cuda": {"forward": cross_entropy_forward_cuda, "backward": cross_entropy_backward_cuda},
}
REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Op):
    @staticmethod
    def forward(ctx, scores, target, reduction):
        with np.errstate(invalid="ignore"):                         # inf - inf: the NaN says it
            ctx.target, ctx.reduction = placed(target, "cross_entropy"), reduction
            losses, ctx.p = pick(KERNELS)["forward"](scores, ctx.target)
        if reduction == "none":
            return losses
        total = pick(SUMS)["sum_forward"](losses.reshape(1, len(losses))).reshape(())
        return total / len(losses) if reduction == "mean" else total

    @staticmethod
    def backward(ctx, dout):
        N = len(ctx.p)
        share = dout / N if ctx.reduction == "mean" else dout       # what each loss counts
        dlosses = share if ctx.reduction == "none" else pick(SUMS)["sum_backward"](share.reshape(1), N).reshape(N)
        return (pick(KERNELS)["backward"](dlosses, ctx.p, ctx.target),)


def cross_entropy(scores, target, reduction="mean"):
    """Return the cross-entropy of `scores` (N, C), before any softmax, with the right classes `target` (N,)."""
    check_ndim("cross_entropy", "scores", scores, 2, "(N, C)")
    N, C = shape_of(scores)
    if N < 1 or C < 1:
        raise ShapeError(f"cross_entropy: scores has shape {(N, C)}, expected at least one example and one class")
    target = np.asarray(target)
    if target.dtype.kind not in "iu":
        raise DtypeError(f"cross_entropy: target is an array of {target.dtype}, expected whole numbers (class indices)")
    if target.shape != (N,):
        raise ShapeError(f"cross_entropy: target has shape {target.shape}, expected ({N},), a class per row of scores")
    if target.min() < 0 or target.max() >= C:
        wrong = target[(target < 0) | (target >= C)][0]
        raise ShapeError(f"cross_entropy: target holds class {wrong}, expected 0 to {C - 1} for scores {(N, C)}")
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    return CrossEntropy.apply(scores, target=target.astype(np.int64), reduction=reduction)
