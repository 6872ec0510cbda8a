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
