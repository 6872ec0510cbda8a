"""One row per op and case; test_ops.py runs every row through every check. A new op gets its rows here.

A row names the op in minicnn.ops, the shapes (or arrays) of its tensor inputs in order, its settings, and how torch
says the same thing: by default torch.nn.functional.<op>(*inputs, **settings).
"""
import zlib
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np

from minicnn import Tensor, ops, relu_rule
from minicnn.ops.op import Op


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
case("conv2d", "stride 2, few channels", [(1, 3, 8, 9), (5, 3, 3, 3), (5,)], linear=(0, 1), stride=2, padding=1)
case("conv2d", "dilation by axis", [(1, 3, 9, 12), (4, 3, 3, 3), (4,)], linear=(0, 1), padding=2, dilation=(2, 3))
case("conv2d", "filter taller than the picture", [(1, 5, 1, 9), (3, 5, 3, 3), (3,)], linear=(0, 1), padding=1)
case("conv2d", "filter much taller than the picture, 3 groups", [(1, 3, 1, 8), (3, 1, 7, 5), (3,)], linear=(0, 1),
     padding=(12, 5), dilation=(3, 1), groups=3)
case("conv2d", "stride for one window alone", [(1, 2, 4, 5), (3, 2, 3, 2), (3,)], linear=(0, 1), stride=(10 ** 6, 2))
case("conv2d", "no images", [(0, 2, 6, 6), (3, 2, 3, 3), (3,)], linear=(0, 1), gradcheck=False, padding=1)
case("conv2d", "depthwise", [(1, 4, 6, 6), (4, 1, 3, 3), (4,)], linear=(0, 1), groups=4, padding=1)
case("conv2d", "stride leaves pixels over", [(1, 2, 8, 7), (2, 2, 3, 3), (2,)], linear=(0, 1), stride=3)
case("conv2d", "several blocks of channels", [(1, 20, 9, 5), (3, 20, 3, 3), (3,)], linear=(0, 1), gradcheck=False, padding=1)
case("conv2d", "1x1, whole panels", [(2, 9, 8, 12), (16, 9, 1, 1), (16,)], linear=(0, 1), gradcheck=False)
case("conv2d", "Winograd", [(1, 16, 11, 10), (17, 16, 3, 3), (17,)], linear=(0, 1), gradcheck=False, padding=1)
case("conv2d", "Winograd, small maps", [(4, 16, 5, 7), (16, 16, 3, 3), (16,)], linear=(0, 1), gradcheck=False, padding=1)
case("conv2d", "Winograd, one row of many tiles", [(1, 16, 3, 130), (16, 16, 3, 3), (16,)], linear=(0, 1), gradcheck=False,
     padding=(2, 2))
case("conv2d", "few channels, many filters: back by adding up windows", [(1, 3, 9, 10), (20, 3, 3, 3), (20,)], linear=(0, 1),
     gradcheck=False, padding=1)
case("conv2d", "one channel, many filters, large kernel: back the same way", [(2, 1, 9, 8), (17, 1, 5, 5), None], linear=(0, 1),
     gradcheck=False, padding=2)
case("conv2d", "large filter and many of them: several tiles on the way back", [(1, 1, 50, 36), (17, 1, 40, 25), None],
     linear=(0, 1), gradcheck=False)
case("conv2d", "few channels, many filters, dilation by axis", [(1, 2, 9, 12), (18, 2, 3, 3), None], linear=(0, 1),
     gradcheck=False, padding=2, dilation=(2, 3))
case("conv2d", "11x11 stride 4, as AlexNet", [(1, 1, 19, 19), (2, 1, 11, 11), (2,)], linear=(0, 1), stride=4)
case("conv2d", "stride 2, 64 filters", [(2, 5, 9, 40), (64, 5, 3, 3), (64,)], linear=(0, 1), gradcheck=False, stride=2, padding=1)
case("conv2d", "large filter: several tiles on the way back", [(1, 1, 50, 36), (1, 1, 40, 25), (1,)], linear=(0, 1),
     gradcheck=False)

# --- ReLU -------------------------------------------------------------------------------------------------------------
case("relu", "", [(2, 3, 4, 4)])
case("relu", "at the kink", [whole(3, 5)], gradcheck=False)


class UnderRule(Op):
    """ops.relu whose backward pass runs under a relu_rule, as an op that a row can call."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.x, ctx.rule = Tensor(x, requires_grad=True), rule
        ctx.out = ops.relu(ctx.x)
        return ctx.out.array

    @staticmethod
    def backward(ctx, dout):
        ctx.x.grad = None
        with relu_rule(ctx.rule):
            ctx.out.backward(dout)
        return (ctx.x.node.grad,)                       # where the backend has it


def torch_rule(T, x, masked):
    out = T.relu(x) if masked else T.relu(x).detach() + x - x.detach()
    out.register_hook(lambda dout: dout.clamp(min=0))
    return out


case("relu", "deconvnet", [whole(4, 5)], torch=lambda T, F, x: torch_rule(T, x, masked=False), gradcheck=False,
     call=lambda ops, x: UnderRule.apply(x, rule="deconvnet"))
case("relu", "guided", [whole(4, 5)], torch=lambda T, F, x: torch_rule(T, x, masked=True), gradcheck=False,
     call=lambda ops, x: UnderRule.apply(x, rule="guided"))

# --- pooling ----------------------------------------------------------------------------------------------------------
case("max_pool2d", "2x2", [(2, 3, 6, 6)], kernel_size=2)
case("max_pool2d", "overlapping, ceil", [(1, 2, 8, 7)], kernel_size=3, stride=2, ceil_mode=True)
case("max_pool2d", "padding, ceil", [(1, 2, 7, 9)], kernel_size=3, stride=2, padding=1, ceil_mode=True)
case("max_pool2d", "by axis", [(1, 2, 7, 9)], kernel_size=(3, 2), stride=(1, 2), padding=(1, 0))
case("max_pool2d", "ceil, the only window hangs over the edge", [(1, 2, 1, 5)], kernel_size=2, stride=2, ceil_mode=True)
case("max_pool2d", "ties", [whole(1, 2, 9, 9)], gradcheck=False, kernel_size=3, stride=2)
case("max_pool2d", "rows of several vectors", [(1, 2, 5, 75)], kernel_size=3, stride=2, padding=1)
case("max_pool2d", "stride 3 along rows of several vectors", [(1, 2, 5, 75)], kernel_size=(2, 4), stride=(1, 3), padding=(1, 2))
case("max_pool2d", "stride 1, wider than a vector", [(2, 1, 4, 37)], kernel_size=(1, 3), stride=1, padding=(0, 1))
case("max_pool2d", "nothing but -inf in some windows", [lambda rs: np.where(rs.rand(1, 2, 6, 6) < 0.8, -np.inf, 1.)],
     gradcheck=False, kernel_size=2, stride=1, padding=1)
case("max_pool2d", "NaN wins", [lambda rs: np.where(rs.rand(1, 2, 6, 6) < 0.1, np.nan, rs.standard_normal((1, 2, 6, 6)))],
     gradcheck=False, kernel_size=3, stride=2)
case("max_pool2d", "one pixel", [(2, 1, 1, 1)], kernel_size=1)

for label, inputs, settings in [
        ("2x2", [(2, 3, 6, 6)], dict(kernel_size=2)),
        ("overlapping, ceil: the last window is cut off", [(1, 2, 8, 7)], dict(kernel_size=3, stride=2, ceil_mode=True)),
        ("padding counts", [(1, 2, 7, 6)], dict(kernel_size=3, stride=2, padding=1)),
        ("padding counts, ceil", [(1, 2, 6, 8)], dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
        ("padding does not count, ceil", [(2, 1, 6, 8)],
         dict(kernel_size=(3, 4), stride=(2, 3), padding=(1, 2), ceil_mode=True, count_include_pad=False)),
        ("one pixel", [(1, 1, 1, 1)], dict(kernel_size=3, stride=1, padding=1))]:
    case("avg_pool2d", label, inputs, linear=(0,), **settings)
case("adaptive_avg_pool2d", "7 to 3: windows overlap", [(2, 2, 7, 8)], linear=(0,), output_size=3)
case("adaptive_avg_pool2d", "larger than the input", [(1, 2, 3, 2)], linear=(0,), output_size=(5, 3))
case("adaptive_avg_pool2d", "one window", [(1, 3, 4, 5)], linear=(0,), output_size=1)
case("global_avg_pool2d", "", [(2, 3, 4, 5)], torch=lambda T, F, x: x.mean(dim=(2, 3)), linear=(0,))
case("global_avg_pool2d", "one pixel", [(1, 2, 1, 1)], torch=lambda T, F, x: x.mean(dim=(2, 3)), linear=(0,))


def max_unpool2d_case(label, shape, indices, **settings):
    indices = np.array(indices).reshape(shape)
    case("max_unpool2d", label, [shape], linear=(0,), call=lambda ops, x: ops.max_unpool2d(x, indices, **settings),
         torch=lambda T, F, x: F.max_unpool2d(x, T.tensor(indices), **settings))


max_unpool2d_case("2x2", (2, 1, 2, 2), [0, 3, 12, 15, 5, 2, 9, 10], kernel_size=2)
max_unpool2d_case("two channels, padding, pixels left over", (1, 2, 2, 2), [1, 5, 16, 34, 0, 4, 22, 26],
                  kernel_size=3, stride=3, padding=1, output_size=(6, 6))
case("max_unpool2d", "two land on one pixel: they add, where torch places the last", [(1, 1, 2, 2)], linear=(0,),
     call=lambda ops, x: ops.max_unpool2d(x, np.array([[[[4, 4], [3, 4]]]]), kernel_size=2, stride=1),
     torch=lambda T, F, x: T.zeros(9, dtype=x.dtype).index_add(0, T.tensor([4, 4, 3, 4]), x.flatten()).view(1, 1, 3, 3))

# --- linear and matrix product ----------------------------------------------------------------------------------------
case("linear", "", [(3, 5), (4, 5), (4,)], linear=(0, 1))
case("linear", "one image, no bias", [(1, 7), (3, 7), None], linear=(0, 1))
case("linear", "one image, several blocks and parts", [(1, 5), (200, 5), (200,)], linear=(0, 1), gradcheck=False)
case("linear", "several tiles and parts", [(70, 3), (130, 3), (130,)], linear=(0, 1), gradcheck=False)
case("linear", "many images", [(259, 2), (2, 2), (2,)], linear=(0, 1), gradcheck=False)
case("linear", "more axes in front", [(2, 3, 4), (5, 4), (5,)], linear=(0, 1))
case("linear", "one vector", [(4,), (3, 4), (3,)], linear=(0, 1))
case("linear", "no images", [(0, 4), (3, 4), (3,)])


def matmul_case(label, a, b, gradcheck=True):
    case("matmul", label, [a, b], torch=lambda T, F, a, b: T.matmul(a, b), linear=(0, 1), gradcheck=gradcheck)


matmul_case("", (3, 4), (4, 5))
matmul_case("row by column", (1, 6), (6, 1))
matmul_case("batches, several tiles", (2, 67, 3), (2, 3, 4), gradcheck=False)
matmul_case("one matrix for the batch", (3, 2, 4), (4, 5))
matmul_case("a batch of one on the left", (1, 2, 4), (3, 4, 2))
matmul_case("long sums", (2, 3, 140), (2, 140, 5), gradcheck=False)
matmul_case("no matrices on the left", (0, 2, 3), (3, 4), gradcheck=False)

# --- moving numbers ---------------------------------------------------------------------------------------------------
case("concat", "channels", [(2, 3, 2, 2), (2, 1, 2, 2), (2, 2, 2, 2)], torch=lambda T, F, *x: T.cat(x, dim=1),
     call=lambda ops, *x: ops.concat(x), linear=(0,))
case("concat", "last axis, one of them empty", [(2, 3), (2, 0), (2, 1)], torch=lambda T, F, *x: T.cat(x, dim=-1),
     call=lambda ops, *x: ops.concat(x, dim=-1), linear=(2,))
case("concat", "the same twice", [(2, 2)], torch=lambda T, F, x: T.cat([x, x], dim=0),
     call=lambda ops, x: ops.concat([x, x], dim=0), linear=(0,))
case("reshape", "", [(2, 3, 4)], torch=lambda T, F, x: x.reshape(4, -1), linear=(0,), shape=(4, -1))
case("reshape", "one number, no axes", [(1, 1)], torch=lambda T, F, x: x.reshape(()), linear=(0,), shape=())
case("flatten", "", [(2, 3, 2, 2)], torch=lambda T, F, x: x.flatten(1), linear=(0,))
case("flatten", "from the third axis", [(2, 3, 2, 2)], torch=lambda T, F, x: x.flatten(2), linear=(0,), start_dim=-2)
case("permute", "NCHW to NHWC", [(2, 3, 4, 5)], torch=lambda T, F, x: x.permute(0, 2, 3, 1), linear=(0,), dims=(0, 2, 3, 1))
case("permute", "negative", [(2, 3, 4)], torch=lambda T, F, x: x.permute(-1, 0, 1), linear=(0,), dims=(-1, 0, 1))


def getitem_case(label, shape, index):
    case("getitem", label, [shape], torch=lambda T, F, x: x[index], call=lambda ops, x: ops.getitem(x, index), linear=(0,))


getitem_case("a number", (3,), 1)
getitem_case("slices and int", (2, 5, 4), (slice(None), slice(1, 4, 2), -1))
getitem_case("ellipsis and new axis", (2, 3, 4), (Ellipsis, None, slice(2)))
getitem_case("integers that repeat", (4, 3), np.array([2, 0, 2, 2]))
getitem_case("pairs of integers that repeat", (3, 4), (np.array([0, 2, 0]), np.array([1, 3, 1])))
getitem_case("mask", (3, 2), np.array([[True, False], [False, False], [True, True]]))
case("getitem", "a tuple in the tuple, with a number twice", [(3, 2)], torch=lambda T, F, x: x[[1, 0, 1]], linear=(0,),
     call=lambda ops, x: ops.getitem(x, ((1, 0, 1),)))
case("getitem", "a range, and a truth value", [(3, 2)], torch=lambda T, F, x: x[[0, 1]][None], linear=(0,),
     call=lambda ops, x: ops.getitem(ops.getitem(x, range(2)), True))


def pad_case(label, shape, border, **settings):
    borders = (border,) * 4 if isinstance(border, int) else border
    case("pad", label, [shape], torch=lambda T, F, x: F.pad(x, borders, **settings),
         call=lambda ops, x: ops.pad(x, border, **settings), linear=() if "value" in settings else (0,))


pad_case("zeros by side", (2, 2, 3, 4), (1, 2, 3, 0))
pad_case("a value", (1, 2, 3, 2), 1, value=2.5)
pad_case("reflect by side", (2, 2, 4, 5), (1, 3, 2, 0), mode="reflect")
pad_case("reflect, as far as it goes", (1, 1, 3, 3), 2, mode="reflect")
pad_case("replicate by side", (1, 2, 3, 4), (2, 1, 0, 3), mode="replicate")
pad_case("replicate one pixel", (1, 1, 1, 1), 2, mode="replicate")

for mode in ("nearest", "bilinear"):
    for label, shape, settings in [("up by 2", (2, 2, 3, 4), dict(scale_factor=2)),
                                   ("down by 2", (1, 2, 6, 7), dict(scale_factor=0.5)),
                                   ("by 1.7 and 0.6", (1, 2, 5, 6), dict(scale_factor=(1.7, 0.6))),
                                   ("by 1.1 and 2.1: the same and twice the size", (1, 1, 4, 5),
                                    dict(scale_factor=(1.1, 2.1))),
                                   ("to a size", (2, 1, 5, 4), dict(size=(8, 3))),
                                   ("from one pixel", (1, 2, 1, 1), dict(size=3))]:
        case("interpolate", f"{mode} {label}", [shape], linear=(0,), mode=mode, **settings)
case("interpolate", "corners aligned, up", [(1, 2, 3, 4)], linear=(0,), mode="bilinear", size=(7, 5), align_corners=True)
case("interpolate", "corners aligned, down to one", [(1, 2, 5, 4)], linear=(0,), mode="bilinear", size=(1, 3),
     align_corners=True)
case("interpolate", "corners aligned, by 1.6", [(1, 1, 4, 5)], linear=(0,), mode="bilinear", scale_factor=1.6,
     align_corners=True)


# --- arithmetic -------------------------------------------------------------------------------------------------------
def torch_case(op, label, inputs, name=None, **settings):
    """An op that is torch.<name> and not in torch.nn.functional."""
    linear, gradcheck = settings.pop("linear", ()), settings.pop("gradcheck", True)
    case(op, label, inputs, lambda T, F, *x: getattr(T, name or op)(*x, **settings),
         linear=linear, gradcheck=gradcheck, **settings)


for op in ("add", "sub", "mul", "div", "maximum"):
    linear = {"add": (0,), "sub": (0,), "mul": (0, 1)}.get(op, ())
    second = positive if op == "div" else lambda *shape: shape
    torch_case(op, "same shapes", [(2, 3), second(2, 3)], linear=linear)
    torch_case(op, "bias per channel", [(2, 3, 2, 2), second(3, 1, 1)], linear=linear)
    torch_case(op, "both stretched", [(2, 1, 3), second(4, 1)], linear=linear)
    torch_case(op, "number without axes", [(), second(2, 1)], linear=linear)
torch_case("maximum", "ties: half to each", [whole(4, 5), whole(4, 5)], gradcheck=False)
for exponent in (2, 0.5, -1.5, 0, 1):
    torch_case("pow", f"exponent {exponent}", [positive(2, 3)], exponent=exponent)
torch_case("pow", "negative and zero base", [whole(4, 4)], exponent=3, gradcheck=False)

# --- functions of one number ------------------------------------------------------------------------------------------
torch_case("exp", "", [(2, 3)])
torch_case("log", "", [positive(2, 3)])
torch_case("sqrt", "", [positive(2, 3)])
torch_case("abs", "", [(2, 3)])
torch_case("abs", "at the kink", [whole(4, 5)], gradcheck=False)
torch_case("clip", "", [(4, 5)], "clamp", min=-0.5, max=0.8)
torch_case("clip", "one side", [(4, 5)], "clamp", max=0.1)
torch_case("clip", "at the bounds", [whole(4, 5)], "clamp", min=-1, max=1, gradcheck=False)
torch_case("clip", "bounds in the wrong order", [(3, 4)], "clamp", min=1, max=-1)
case("leaky_relu", "", [(3, 4)], negative_slope=0.3)
case("leaky_relu", "at the kink", [whole(4, 5)], gradcheck=False)
torch_case("sigmoid", "", [(3, 4)])
torch_case("sigmoid", "far out", [np.linspace(-800, 800, 15)], gradcheck=False)
torch_case("tanh", "", [(3, 4)])
torch_case("tanh", "far out", [np.linspace(-50, 50, 15)], gradcheck=False)

# --- reductions -------------------------------------------------------------------------------------------------------
for op in ("sum", "mean", "max"):
    name, linear = {"max": "amax"}.get(op, op), () if op == "max" else (0,)
    case(op, "all", [(2, 3, 4)], lambda T, F, x, name=name: getattr(T, name)(x), linear=linear)
    torch_case(op, "two axes", [(2, 3, 4, 5)], name, dim=(1, -1), linear=linear)
    torch_case(op, "one axis, kept", [(2, 3, 4)], name, dim=1, keepdim=True, linear=linear)
    torch_case(op, "no axes to begin with", [()], name, dim=(), linear=linear)
    torch_case(op, "empty first axis", [(0, 3)], name, dim=1)
case("max", "ties: the first gets all", [whole(6, 7)], lambda T, F, x: T.max(x, 1).values, gradcheck=False, dim=1)
case("sum", "of nothing", [(2, 0)], lambda T, F, x: x.sum(1), dim=1)

# --- transposed convolution -------------------------------------------------------------------------------------------
for label, inputs, settings in [
        ("", [(2, 3, 4, 5), (3, 2, 3, 3), (2,)], {}),
        ("4x4 stride 2 padding 1: twice the size", [(1, 2, 3, 3), (2, 3, 4, 4), (3,)], dict(stride=2, padding=1)),
        ("3x3 stride 2, output padding", [(1, 2, 3, 4), (2, 2, 3, 3), None],
         dict(stride=2, padding=1, output_padding=(1, 0))),
        ("2 groups, by axis", [(2, 4, 3, 3), (4, 3, 2, 3), (6,)],
         dict(stride=(1, 3), padding=(0, 1), groups=2, dilation=(2, 1))),
        ("output padding of more than the stride", [(1, 2, 3, 3), (2, 1, 2, 2), (1,)],
         dict(output_padding=2, dilation=3)),
        ("1x1", [(1, 3, 1, 1), (3, 2, 1, 1), (2,)], {}),
        ("depthwise", [(1, 3, 4, 4), (3, 1, 3, 3), (3,)], dict(groups=3, padding=1))]:
    case("conv_transpose2d", label, inputs, linear=(0, 1), **settings)


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


def conditional_instance_norm_case(label, inputs, **settings):
    def torch(T, F, x, style, weight, bias):
        scale, shift = ((style @ table)[:, :, None, None] for table in (weight, bias))
        return F.instance_norm(x, **settings) * scale + shift

    case("conditional_instance_norm", label, inputs, torch,
         call=lambda ops, x, style, weight, bias: ops.conditional_instance_norm(x, style, weight, bias, **settings))


conditional_instance_norm_case("blends", [(3, 2, 4, 5), (3, 4), (4, 2), (4, 2)])
conditional_instance_norm_case("one row for all, large eps", [(2, 3, 3, 4), (1, 2), (2, 3), (2, 3)], eps=0.5)
conditional_instance_norm_case("one style, far from 0", [far(2, 2, 4, 4), (2, 1), (1, 2), (1, 2)])

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
class KnownNumbers(np.random.Generator):
    """A Generator that gives the same numbers at every call and in every version of NumPy: a mask to compare with."""

    def random(self, size=None, dtype=np.float64, out=None):
        return np.random.RandomState(3).random_sample(size).astype(dtype)


case("dropout", "a known mask", [(3, 4, 5)], linear=(0,), p=0.3, rng=KnownNumbers(np.random.PCG64(0)),
     torch=lambda T, F, x: x * T.tensor(KnownNumbers(np.random.PCG64(0)).random(x.shape, np.float32) >= 0.3) / 0.7)
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
