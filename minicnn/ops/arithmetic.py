"""Arithmetic of two operands with broadcasting, and powers.

    add a + b           dL/da = g                   dL/db = g                       g = dL/dy
    sub a - b           g                           -g
    mul a b             g b                         g a
    div a / b           g / b                       -g a / b^2 = -g y / b
    maximum(a, b)       g (a > b)                   g (a < b)                       equal: half to each, as torch
    pow x^e             g e x^(e-1)                 e is a number

An operand is a Tensor, an array or a number. Shapes broadcast as in NumPy; an operand that was stretched was used many
times, so its gradient is the sum over all uses (`unbroadcast`). Numbers and arrays of whole numbers take the dtype of the
other operand: float32 stays float32. NaN stays NaN. Memory is the bound and NumPy reaches it: its expression is the
definition and the CPU's kernel. On a GPU a thread computes a number, of operands that were stretched first. Names as torch's.
"""
import numbers

import numpy as np
from numba import cuda

from ..backend import pick
from ..device import DeviceArray, cuda_jit, each, gpu_function, zeros
from ..errors import DtypeError, ShapeError
from ..tensor import Tensor
from .op import Op, shape_of
from .reductions import KERNELS as SUMS
from .shape_ops import expanded


def unbroadcast(grad, shape):
    """Sum `grad` over the axes along which an operand of `shape` was stretched: an array of that shape."""
    if grad.shape == shape:
        return grad
    front = grad.ndim - len(shape)                                          # axes that were put in front
    stretched = tuple(front + i for i, n in enumerate(shape) if n == 1 and grad.shape[front + i] != 1)
    return pick(SUMS)["sum_over"](grad, (*range(front), *stretched)).reshape(shape)


def add_forward_ref(a, b):
    return a + b


def add_backward_ref(dout):
    return dout, dout


def sub_forward_ref(a, b):
    return a - b


def sub_backward_ref(dout):
    return dout, -dout


def mul_forward_ref(a, b):
    return a * b


def mul_backward_ref(dout, a, b):
    """a is None where b wants no gradient, b where a wants none: the product is not computed in vain."""
    return None if b is None else dout * b, None if a is None else dout * a


def div_forward_ref(a, b):
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def div_backward_ref(dout, a, b):
    with np.errstate(divide="ignore", invalid="ignore"):
        return dout / b, -dout * a / (b * b)


def maximum_forward_ref(a, b):
    return np.maximum(a, b)


def maximum_backward_ref(dout, a, b):
    half = np.where(a == b, dout / 2, 0).astype(dout.dtype)
    return np.where(a > b, dout, half), np.where(b > a, dout, half)


def pow_forward_ref(x, exponent):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.power(x, exponent, dtype=x.dtype)


def pow_backward_ref(dout, x, exponent):
    if exponent == 0:                       # x^0 is 1 everywhere; the formula would say 0 times infinity at x = 0
        return np.zeros_like(dout)
    with np.errstate(divide="ignore", invalid="ignore"):
        return dout * (x.dtype.type(exponent) * np.power(x, exponent - 1, dtype=x.dtype))


_NUMPY = {"add_forward": add_forward_ref, "add_backward": add_backward_ref,
          "sub_forward": sub_forward_ref, "sub_backward": sub_backward_ref,
          "mul_forward": mul_forward_ref, "mul_backward": mul_backward_ref,
          "div_forward": div_forward_ref, "div_backward": div_backward_ref,
          "maximum_forward": maximum_forward_ref, "maximum_backward": maximum_backward_ref,
          "pow_forward": pow_forward_ref, "pow_backward": pow_backward_ref}


@gpu_function
def number_at(a, i):
    """Return number i of an operand, or its only one."""
    return a[i] if len(a) > 1 else a[0]


@cuda_jit("T1 T1 T1")
def add_forward_kernel(a, b, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = number_at(a, i) + number_at(b, i)


@cuda_jit("T1 T1 T1")
def sub_forward_kernel(a, b, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = number_at(a, i) - number_at(b, i)


@cuda_jit("T1 T1")
def sub_backward_kernel(a, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = -a[i]


@cuda_jit("T1 T1 T1")
def mul_forward_kernel(a, b, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = number_at(a, i) * number_at(b, i)


@cuda_jit("T1 T1 T1")
def div_forward_kernel(a, b, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = number_at(a, i) / number_at(b, i)


@cuda_jit("T1 T1 T1 T1")
def div_backward_kernel(dout, a, b, db):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(db):
        db[i] = -number_at(dout, i) * number_at(a, i) / (number_at(b, i) * number_at(b, i))


@cuda_jit("T1 T1 T1")
def maximum_forward_kernel(a, b, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        first, second = number_at(a, i), number_at(b, i)
        out[i] = first if first > second or first != first else second


@cuda_jit("T1 T1 T1 T1")
def maximum_backward_kernel(dout, a, b, da):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(da):
        half, zero = dout.dtype.type(0.5), dout.dtype.type(0)
        da[i] = number_at(dout, i) if number_at(a, i) > number_at(b, i) else \
            number_at(dout, i) * half if number_at(a, i) == number_at(b, i) else zero


@cuda_jit("T1 T T1")
def pow_forward_kernel(x, exponent, out):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = x[i] * x[i] if exponent == 2 else x[i] ** exponent


@cuda_jit("T1 T1 T T1")
def pow_backward_kernel(dout, x, exponent, dx):
    """A thread a number."""
    i = cuda.grid(1)
    if i < len(dx):
        dx[i] = dout[i] * (exponent * (x[i] if exponent == 2 else x[i] ** (exponent - dout.dtype.type(1))))


def _broadcast(kernel):
    """Return the function that stretches operands, but single numbers, to one shape and runs a kernel with a thread a number."""
    def run(*operands):
        out = DeviceArray(np.broadcast_shapes(*(a.shape for a in operands)), operands[0].dtype)
        kernel.each(*(a if a.size == 1 else expanded(a, out.shape) for a in operands), out)
        return out
    return run


_negative, _mul, _div = each(sub_backward_kernel), _broadcast(mul_forward_kernel), _broadcast(div_forward_kernel)
_div_backward, _maximum_backward = _broadcast(div_backward_kernel), _broadcast(maximum_backward_kernel)


def sub_backward_cuda(dout):
    return dout, _negative(dout)


def mul_backward_cuda(dout, a, b):
    return None if b is None else _mul(dout, b), None if a is None else _mul(dout, a)


def div_backward_cuda(dout, a, b):
    return _div(dout, b), _div_backward(dout, a, b)


def maximum_backward_cuda(dout, a, b):
    return _maximum_backward(dout, a, b), _maximum_backward(dout, b, a)


def pow_backward_cuda(dout, x, exponent):
    return zeros(dout.shape, dout.dtype) if exponent == 0 else each(pow_backward_kernel)(dout, x, exponent)


KERNELS = {
    "ref": _NUMPY,
    "cpu": dict(_NUMPY),
    "cuda": {"add_forward": _broadcast(add_forward_kernel), "add_backward": add_backward_ref,
             "sub_forward": _broadcast(sub_forward_kernel), "sub_backward": sub_backward_cuda,
             "mul_forward": _mul, "mul_backward": mul_backward_cuda,
             "div_forward": _div, "div_backward": div_backward_cuda,
             "maximum_forward": _broadcast(maximum_forward_kernel), "maximum_backward": maximum_backward_cuda,
             "pow_forward": each(pow_forward_kernel), "pow_backward": pow_backward_cuda},
}


def _to_operands(ctx, *grads):
    """Sum each gradient back to the shape of its operand; None where none is wanted."""
    return tuple(unbroadcast(grad, shape) if wanted else None
                 for grad, shape, wanted in zip(grads, ctx.shapes, ctx.needs_grad))


class Add(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        return pick(KERNELS)["add_forward"](a, b)

    @staticmethod
    def backward(ctx, dout):
        return _to_operands(ctx, *pick(KERNELS)["add_backward"](dout))


class Sub(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        return pick(KERNELS)["sub_forward"](a, b)

    @staticmethod
    def backward(ctx, dout):
        return _to_operands(ctx, *pick(KERNELS)["sub_backward"](dout))


class Mul(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        ctx.a, ctx.b = a if ctx.needs_grad[1] else None, b if ctx.needs_grad[0] else None
        return pick(KERNELS)["mul_forward"](a, b)

    @staticmethod
    def backward(ctx, dout):
        return _to_operands(ctx, *pick(KERNELS)["mul_backward"](dout, ctx.a, ctx.b))


class Div(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes, ctx.a, ctx.b = (a.shape, b.shape), a, b
        return pick(KERNELS)["div_forward"](a, b)

    @staticmethod
    def backward(ctx, dout):
        return _to_operands(ctx, *pick(KERNELS)["div_backward"](dout, ctx.a, ctx.b))


class Maximum(Op):
    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes, ctx.a, ctx.b = (a.shape, b.shape), a, b
        return pick(KERNELS)["maximum_forward"](a, b)

    @staticmethod
    def backward(ctx, dout):
        return _to_operands(ctx, *pick(KERNELS)["maximum_backward"](dout, ctx.a, ctx.b))


class Pow(Op):
    @staticmethod
    def forward(ctx, x, exponent):
        ctx.x, ctx.exponent = x, exponent
        return pick(KERNELS)["pow_forward"](x, exponent)

    @staticmethod
    def backward(ctx, dout):
        return (pick(KERNELS)["pow_backward"](dout, ctx.x, ctx.exponent),)


def _takes_any_dtype(x):
    return isinstance(x, (numbers.Real, list, tuple)) or isinstance(x, np.ndarray) and (x.ndim == 0 or x.dtype.kind in "iub")


def _operands(op, a, b):
    """Return a and b with numbers in the dtype of the other one; refuse shapes that do not broadcast."""
    if _takes_any_dtype(a) and hasattr(b, "dtype") and not _takes_any_dtype(b):
        a = np.asarray(a, b.dtype)
    elif _takes_any_dtype(b) and hasattr(a, "dtype") and not _takes_any_dtype(a):
        b = np.asarray(b, a.dtype)
    pairs = zip(shape_of(a)[::-1], shape_of(b)[::-1])
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        raise ShapeError(f"{op}: shapes {shape_of(a)} and {shape_of(b)} do not broadcast; counted from the last, axes must "
                         "be equal or 1")
    return a, b


def add(a, b):
    """Return a + b."""
    return Add.apply(*_operands("add", a, b))


def sub(a, b):
    """Return a - b."""
    return Sub.apply(*_operands("sub", a, b))


def mul(a, b):
    """Return a times b, element by element."""
    return Mul.apply(*_operands("mul", a, b))


def div(a, b):
    """Return a / b; a division by zero gives an infinity or NaN."""
    return Div.apply(*_operands("div", a, b))


def maximum(a, b):
    """Return the larger of a and b, element by element."""
    return Maximum.apply(*_operands("maximum", a, b))


def pow(x, exponent):
    """Return x to the power of `exponent`, a number; a root of a negative number is NaN."""
    if not isinstance(exponent, numbers.Real):
        kind = "a Tensor" if isinstance(exponent, Tensor) else type(exponent).__name__
        raise DtypeError(f"pow: exponent is {kind}, expected a number")
    return Pow.apply(x, exponent=float(exponent))
