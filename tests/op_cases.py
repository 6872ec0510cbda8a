"""One row per op and case; test_ops.py runs every row through every check. A new op gets its rows here.

A row names the op in minicnn.ops, the shapes (or arrays) of its tensor inputs in order, its settings, and how torch
says the same thing: by default torch.nn.functional.<op>(*inputs, **settings).
"""
import zlib
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np


@dataclass(frozen=True)
class Case:
    op: str
    label: str
    inputs: tuple                       # shapes, arrays, or functions RandomState -> array; None for an input left out
    settings: dict
    torch: Optional[Callable]           # torch(T, F, *tensors) -> tensor, with T the module torch, F its nn.functional
    call: Optional[Callable]            # call(ops, *tensors) -> Tensor; default ops.<op>(*tensors, **settings)
    linear: tuple = ()                  # inputs in which the op is linear: the adjoint test runs on them
    gradcheck: bool = True              # False at kinks and ties, where finite differences mean nothing
    seeded: bool = False                # True for ops of random numbers: no torch reference

    @property
    def id(self):
        return f"{self.op}: {self.label}" if self.label else self.op

    def arrays(self, dtype=np.float64):
        """Return the inputs as arrays, the same at every call (RandomState's stream never changes between versions)."""
        rs = np.random.RandomState(zlib.crc32(self.id.encode()))
        made = []
        for spec in self.inputs:
            if spec is None:
                made.append(None)
            elif callable(spec):
                made.append(np.asarray(spec(rs), dtype))
            elif isinstance(spec, np.ndarray):
                made.append(spec.astype(dtype))
            else:
                made.append(rs.standard_normal(spec).astype(dtype))
        return made

    def run(self, ops, *tensors):
        if self.call:
            return self.call(ops, *tensors)
        return getattr(ops, self.op)(*tensors, **self.settings)

    def run_torch(self, torch, *tensors):
        if self.torch:
            return self.torch(torch, torch.nn.functional, *tensors)
        return getattr(torch.nn.functional, self.op)(*tensors, **self.settings)


CASES = []


def case(op, label, inputs, torch=None, call=None, linear=(), gradcheck=True, seeded=False, **settings):
    CASES.append(Case(op, label, tuple(inputs), settings, torch, call, linear, gradcheck, seeded))


def whole(*shape):
    """An input of small whole numbers: many ties and zeros."""
    return lambda rs: rs.randint(-2, 3, shape)


def positive(*shape):
    return lambda rs: rs.uniform(0.5, 2, shape)


# --- convolution ------------------------------------------------------------------------------------------------------
case("conv2d", "3x3", [(2, 3, 6, 5), (4, 3, 3, 3), (4,)], linear=(0, 1), padding=1)
case("conv2d", "no bias", [(1, 2, 5, 5), (3, 2, 2, 2), None], linear=(0, 1))
case("conv2d", "stride, padding and dilation by axis, 2 groups", [(2, 6, 9, 8), (4, 3, 3, 2), (4,)], linear=(0, 1),
     stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
case("conv2d", "1x1", [(2, 4, 3, 3), (5, 4, 1, 1), (5,)], linear=(0, 1))
case("conv2d", "11x11 stride 4, as AlexNet", [(1, 3, 19, 19), (2, 3, 11, 11), (2,)], linear=(0, 1), stride=4)
case("conv2d", "depthwise", [(1, 4, 6, 6), (4, 1, 3, 3), (4,)], linear=(0, 1), groups=4, padding=1)
case("conv2d", "stride leaves pixels over", [(1, 2, 8, 7), (2, 2, 3, 3), (2,)], linear=(0, 1), stride=3)
case("conv2d", "many rows and channels: several tiles", [(1, 20, 17, 5), (3, 20, 3, 3), (3,)], linear=(0, 1), padding=1)

# --- ReLU -------------------------------------------------------------------------------------------------------------
case("relu", "", [(2, 3, 4, 4)])
case("relu", "at the kink", [whole(3, 5)], gradcheck=False)

# --- pooling ----------------------------------------------------------------------------------------------------------
case("max_pool2d", "2x2", [(2, 3, 6, 6)], kernel_size=2)
case("max_pool2d", "overlapping, ceil", [(1, 2, 8, 7)], kernel_size=3, stride=2, ceil_mode=True)
case("max_pool2d", "padding, ceil", [(1, 2, 7, 9)], kernel_size=3, stride=2, padding=1, ceil_mode=True)
case("max_pool2d", "by axis", [(1, 2, 7, 9)], kernel_size=(3, 2), stride=(1, 2), padding=(1, 0))
case("max_pool2d", "ties", [whole(1, 2, 9, 9)], gradcheck=False, kernel_size=3, stride=2)


# --- normalisation ----------------------------------------------------------------------------------------------------
def far(*shape):
    """An input whose mean is large against its spread: the shortcut mean(x^2) - mean^2 loses its digits here."""
    return lambda rs: 1000 + rs.standard_normal(shape)


MEANS, VARIANCES = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.2, 3.0])


def batch_norm_case(label, inputs, mean=None, var=None, linear=(), **settings):
    """x, weight, bias are the inputs; the running arrays are settings, since they take no gradient."""
    def call(ops, x, weight, bias):
        return ops.batch_norm(x, mean, var, weight, bias, **settings)

    def torch(T, F, x, weight, bias):
        kept = [None if a is None else T.tensor(a) for a in (mean, var)]
        return F.batch_norm(x, *kept, weight, bias, **settings)

    case("batch_norm", label, inputs, torch, call, linear)


def group_norm_case(label, inputs, num_groups, **settings):
    case("group_norm", label, inputs,
         torch=lambda T, F, x, weight, bias: F.group_norm(x, num_groups, weight, bias, **settings),
         call=lambda ops, x, weight, bias: ops.group_norm(x, num_groups, weight, bias, **settings))


def instance_norm_case(label, inputs, **settings):
    case("instance_norm", label, inputs,
         torch=lambda T, F, x, weight, bias: F.instance_norm(x, weight=weight, bias=bias, **settings),
         call=lambda ops, x, weight, bias: ops.instance_norm(x, weight=weight, bias=bias, **settings))


def layer_norm_case(label, inputs, normalized_shape, **settings):
    case("layer_norm", label, inputs,
         torch=lambda T, F, x, weight, bias: F.layer_norm(x, normalized_shape, weight, bias, **settings),
         call=lambda ops, x, weight, bias: ops.layer_norm(x, normalized_shape, weight, bias, **settings))


batch_norm_case("training", [(4, 3, 3, 5), (3,), (3,)], MEANS, VARIANCES, training=True)
batch_norm_case("training, no weight, no running statistics", [(3, 2, 4, 2), None, None], training=True)
batch_norm_case("training, bias alone, no plane", [(5, 3), None, (3,)], training=True)
batch_norm_case("training, one image, one channel, large eps", [(1, 1, 3, 4), (1,), (1,)], training=True, eps=0.5)
batch_norm_case("training, far from 0", [far(3, 2, 4, 4), (2,), (2,)], training=True)
batch_norm_case("training, whole numbers, three axes of places", [whole(2, 3, 2, 3, 2), (3,), (3,)], training=True)
batch_norm_case("evaluation", [(2, 3, 4, 3), (3,), (3,)], MEANS, VARIANCES)
batch_norm_case("evaluation, one pixel, no weight, large eps", [(1, 3, 1, 1), None, None], MEANS, VARIANCES, eps=0.5)
batch_norm_case("evaluation, mean 0: linear in x", [(2, 3, 5), None, None], 0 * MEANS, VARIANCES, linear=(0,))

group_norm_case("2 groups", [(2, 6, 3, 5), (6,), (6,)], 2)
group_norm_case("no weight, 3 groups, no plane", [(4, 12), None, None], 3)
group_norm_case("one group, one pixel, large eps", [(1, 5, 1, 1), (5,), None], 1, eps=0.5)
group_norm_case("a group per channel, whole numbers", [whole(2, 3, 4, 3), (3,), (3,)], 3)
group_norm_case("far from 0, one axis of places", [far(2, 4, 7), (4,), (4,)], 2)

instance_norm_case("", [(2, 3, 4, 5), (3,), (3,)])
instance_norm_case("no weight, one image, one channel, large eps", [(1, 1, 5, 3), None, None], eps=0.5)
instance_norm_case("weight alone, one axis of places", [(2, 3, 7), (3,), None])
instance_norm_case("far from 0, whole numbers", [lambda rs: 1000 + rs.randint(-2, 3, (2, 2, 4, 4)), (2,), (2,)])

layer_norm_case("a picture", [(2, 3, 4, 5), (3, 4, 5), (3, 4, 5)], (3, 4, 5))
layer_norm_case("the last axis, no weight", [(3, 2, 7), None, None], (7,))
layer_norm_case("two axes, bias alone, large eps", [(2, 3, 3, 4), None, (3, 4)], (3, 4), eps=0.5)
layer_norm_case("one example, axes of one, whole numbers", [whole(1, 1, 1, 6), (1, 1, 6), (1, 1, 6)], (1, 1, 6))
layer_norm_case("far from 0", [far(3, 8), (8,), (8,)], (8,))

# --- local response normalisation -------------------------------------------------------------------------------------
case("local_response_norm", "strong", [(2, 7, 3, 4)], size=5, alpha=2.0)
case("local_response_norm", "AlexNet's", [lambda rs: 50 * rs.standard_normal((1, 8, 2, 3))], size=5)
case("local_response_norm", "even size, other beta and k", [(2, 6, 2, 3)], size=4, alpha=1.5, beta=0.5, k=2.0)
case("local_response_norm", "window wider than the channels", [(1, 3, 2, 2)], size=9, alpha=3.0, beta=1.2)
case("local_response_norm", "one channel, one pixel", [(1, 1, 1, 1)], size=1, alpha=1.0)
case("local_response_norm", "whole numbers, one axis of places", [whole(2, 5, 6)], size=3, alpha=1.0)
case("local_response_norm", "more places than a block", [(1, 3, 19, 15)], size=2, alpha=1.0, beta=0.75)

# --- softmax and losses -----------------------------------------------------------------------------------------------
case("softmax", "scores", [(3, 7)], dim=1)
case("softmax", "channels of a picture", [(2, 4, 3, 2)], dim=1)
case("softmax", "last axis, counted from the back", [(2, 3, 5)], dim=-1)
case("softmax", "first axis", [(4, 3)], dim=0)
case("softmax", "one score", [(2, 1)], dim=1)
case("softmax", "ties of +-1000", [lambda rs: 1000 * rs.randint(-1, 2, (6, 4))], dim=1)
case("softmax", "some -inf", [lambda rs: np.where(rs.rand(4, 6) < 0.3, -np.inf, rs.randn(4, 6))], dim=1)
case("log_softmax", "scores", [(3, 7)], dim=1)
case("log_softmax", "channels of a picture", [(2, 4, 3, 2)], dim=1)
case("log_softmax", "last axis, counted from the back", [(2, 3, 5)], dim=-1)
case("log_softmax", "one score", [(2, 1)], dim=1)
case("log_softmax", "ties of +-1000", [lambda rs: 1000 * rs.randint(-1, 2, (6, 4))], gradcheck=False, dim=1)


def cross_entropy_case(label, inputs, target, gradcheck=True, **settings):
    case("cross_entropy", label, inputs, gradcheck=gradcheck,
         torch=lambda T, F, scores: F.cross_entropy(scores, T.tensor(target), **settings),
         call=lambda ops, scores: ops.cross_entropy(scores, target, **settings))


cross_entropy_case("mean", [(5, 4)], [0, 3, 1, 1, 2])
cross_entropy_case("sum", [(3, 6)], [5, 0, 2], reduction="sum")
cross_entropy_case("none", [(4, 3)], [2, 2, 0, 1], reduction="none")
cross_entropy_case("one example, one class", [(1, 1)], [0])
cross_entropy_case("ties of +-1000", [lambda rs: 1000 * rs.randint(-1, 2, (6, 3))], [0, 1, 2, 0, 1, 2], gradcheck=False)
cross_entropy_case("-inf for wrong classes", [lambda rs: np.where(np.eye(4) == 1, -np.inf, rs.randn(4, 4))], [1, 0, 3, 2])

# --- dropout ----------------------------------------------------------------------------------------------------------
case("dropout", "half", [(3, 4, 5)], linear=(0,), seeded=True, rng=1)
case("dropout", "a little", [(2, 3, 4, 4)], linear=(0,), seeded=True, p=0.1, rng=2)
case("dropout", "p = 0", [(2, 5)], linear=(0,), seeded=True, p=0.0)
case("dropout", "evaluation", [(2, 5)], linear=(0,), seeded=True, training=False)


# --- style and smoothness ---------------------------------------------------------------------------------------------
def torch_gram(T, F, x):
    return T.einsum("nahw,nbhw->nab", x, x)


def torch_total_variation(beta):
    """Forward differences with a repeated border, and the guard of total_variation.py for beta < 2."""
    def reference(T, F, x):
        padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
        v = (padded[..., :-1, 1:] - x) ** 2 + (padded[..., 1:, :-1] - x) ** 2
        if beta >= 2:
            return T.sum(v ** (beta / 2))
        flat = v < 1e-5
        return T.sum(T.where(flat, v * 1e-5 ** (beta / 2 - 1), T.where(flat, 1.0, v) ** (beta / 2)))
    return reference


def half_flat(*shape):
    """A picture with a flat left half, in which one pixel is off by next to nothing."""
    def make(rs):
        x = rs.standard_normal(shape)
        x[..., :shape[-1] // 2] = 0.25
        x[..., 1, 1] += 1e-3
        return x
    return make


case("gram_matrix", "", [(2, 3, 4, 5)], torch_gram)
case("gram_matrix", "normalised", [(2, 4, 3, 2)], lambda T, F, x: torch_gram(T, F, x) / (4 * 3 * 2), normalize=True)
case("gram_matrix", "one channel", [(1, 1, 3, 3)], torch_gram)
case("gram_matrix", "more channels than places, whole numbers", [whole(1, 7, 1, 1)], torch_gram)

case("total_variation", "beta 2", [(2, 3, 4, 5)], torch_total_variation(2))
case("total_variation", "beta 1", [(2, 2, 4, 5)], torch_total_variation(1), beta=1)
case("total_variation", "beta 6", [(1, 2, 4, 3)], torch_total_variation(6), beta=6)
case("total_variation", "beta 2, half flat", [half_flat(1, 2, 5, 8)], torch_total_variation(2), beta=2.0)
case("total_variation", "beta 1, half flat", [half_flat(1, 2, 5, 8)], torch_total_variation(1), beta=1.0)
case("total_variation", "beta 6, half flat", [half_flat(1, 2, 5, 8)], torch_total_variation(6), beta=6.0)
case("total_variation", "beta 1.5, half flat", [half_flat(1, 1, 4, 6)], torch_total_variation(1.5), beta=1.5)
case("total_variation", "beta 1, constant", [lambda rs: np.full((1, 2, 3, 4), 0.5)], torch_total_variation(1), beta=1.0)
case("total_variation", "one row", [(1, 2, 1, 5)], torch_total_variation(2))
case("total_variation", "one pixel", [(1, 1, 1, 1)], torch_total_variation(2))
case("total_variation", "whole numbers", [whole(2, 1, 4, 4)], torch_total_variation(3), beta=3)
