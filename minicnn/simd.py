"""Vectors: as many numbers as one register of the processor holds, added and multiplied by one instruction.

A loop over an array is usually turned into vector instructions by the compiler. Where it cannot prove that this is safe
(many arrays that might overlap, an index that might be negative) it silently does one number after the other, some ten times
slower. So the kernels that matter most say what they mean:

    d = load(array, r, i)               LANES numbers, array[r, i : i + LANES]
    store(array, (r, i), 4 * d + e)     the operators + - * work on all of them at once

LANES numbers have to be there, also behind the last one that is wanted: compiled, nothing checks that. The callers leave room,
or use load_within and store_within (whose indices are 32 bits).

In Python, where a debugger can step through a kernel, a vector is a NumPy array of LANES numbers. Compiled, it is a vector
of LLVM, the compiler behind Numba; the second half of this file teaches Numba that.
"""
import operator

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, overload, register_model


def _register_bytes():
    """Return how many bytes a vector register has: 64 with AVX-512, and 32 is right or harmless for all others."""
    try:
        return 64 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 32
    except RuntimeError:                # not told on this system
        return 32


LANES = _register_bytes() // 4          # float32 numbers in a register; of float64 a vector is two registers


def load(array, *at):
    """Return the LANES numbers that begin at `at`, contiguous along the last axis."""
    return array[at[:-1] + (slice(at[-1], at[-1] + LANES),)].copy()


def store(array, at, vector):
    """Write a vector to the LANES places that begin at `at`, a tuple."""
    array[at[:-1] + (slice(at[-1], at[-1] + LANES),)] = vector


def load_within(array, at, end, fill=0.):
    """Return LANES numbers as `load`, but `fill` where the last index is not in 0..end-1; what lies there is not touched."""
    row, places = array[at[:-1]], np.arange(at[-1], at[-1] + LANES)
    return np.where((places >= 0) & (places < end), row[np.clip(places, 0, len(row) - 1)], row.dtype.type(fill))


def store_within(array, at, vector, end):
    """Write a vector as `store`, but only the numbers whose last index is less than `end`."""
    count = max(0, min(LANES, end - at[-1]))
    array[at[:-1] + (slice(at[-1], at[-1] + count),)] = vector[:count]


def gather2(array, rows):
    """Return the vectors of array[rows, 0] and array[rows, 1], for a C-contiguous array (N, 2) and a vector of whole numbers."""
    return array[rows, 0], array[rows, 1]


def choose(condition, a, b):
    """Return the numbers of a where the condition holds, a comparison of vectors, and those of b elsewhere."""
    return np.where(condition, a, b)


def widen(vector):
    """Return the numbers, floats, as float64."""
    return vector.astype(np.float64)


def total(vector):
    """Return the sum of the LANES numbers."""
    return vector.sum()


def unzip2(a, b):
    """Take the 2 LANES numbers of two vectors in a row, and return the vectors of every second of them."""
    numbers = np.concatenate((a, b))
    return numbers[0::2], numbers[1::2]


def zip2(a, b):
    """Undo `unzip2`: the first numbers of both, then the second ones, ..."""
    numbers = np.stack((a, b), axis=1).ravel()
    return numbers[:LANES], numbers[LANES:]


def transpose(tile):
    """Exchange rows and columns of LANES x LANES numbers, in place."""
    tile[:] = tile.T.copy()


@numba.njit
def unzip4(a, b, c, d):
    """Return the vectors of every fourth number of four vectors in a row: 0 1 2 3 4 ... -> 0 2 4 ... -> 0 4 8 ..."""
    even, odd = unzip2(a, b)
    more_even, more_odd = unzip2(c, d)
    first, third = unzip2(even, more_even)
    second, fourth = unzip2(odd, more_odd)
    return first, second, third, fourth


@numba.njit
def zip4(a, b, c, d):
    """Undo `unzip4`: the first numbers of all four, then the second ones, ..."""
    even, more_even = zip2(a, c)
    odd, more_odd = zip2(b, d)
    return zip2(even, odd) + zip2(more_even, more_odd)


# --- what Numba has to know -------------------------------------------------------------------------------------------
class Vector(types.Type):
    """Numba's type of a vector of LANES numbers."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), LANES))


@overload(load)
def _load_compiled(array, *at):
    return lambda array, *at: _load(array, at)


@overload(store)
def _store_compiled(array, at, vector):
    return lambda array, at, vector: _store(array, at, vector)


@overload(load_within)
def _load_within_compiled(array, at, end, fill=0.):
    return lambda array, at, end, fill=0.: _load_within(array, at, end, fill)


@overload(store_within)
def _store_within_compiled(array, at, vector, end):
    return lambda array, at, vector, end: _store_within(array, at, vector, end)


@overload(gather2)
def _gather2_compiled(array, rows):
    return lambda array, rows: _gather2(array, rows)


@overload(choose)
def _choose_compiled(condition, a, b):
    return lambda condition, a, b: _choose(condition, a, b)


@overload(widen)
def _widen_compiled(vector):
    return lambda vector: _widen(vector)


@overload(total)
def _total_compiled(vector):
    return lambda vector: _total(vector)


@overload(unzip2)
def _unzip2_compiled(a, b):
    return lambda a, b: _unzip2(a, b)


@overload(zip2)
def _zip2_compiled(a, b):
    return lambda a, b: _zip2(a, b)


@overload(transpose)
def _transpose_compiled(tile):
    return lambda tile: _transpose(tile)


@intrinsic
def _load_within(typing, array, at, end, fill):
    def code(context, builder, signature, args):
        pointer, vector = _pointer(context, builder, signature.args, args), context.get_value_type(signature.return_type)
        size, (whole, mask) = array.dtype.bitwidth // 8, _within(context, builder, signature.args, args, 2)
        masked = _masked(builder, "load", array.dtype, vector, (pointer.type, ir.IntType(32), _MASK, vector))
        with builder.if_else(whole, likely=True) as (inside, across):
            with inside:
                plain, after_plain = builder.load(pointer, align=size), builder.block
            with across:
                filled = spread(builder, vector, context.cast(builder, args[3], fill, array.dtype))
                part = builder.call(masked, (pointer, ir.IntType(32)(size), mask(), filled))
                after_part = builder.block
        result = builder.phi(vector)
        result.add_incoming(plain, after_plain)
        result.add_incoming(part, after_part)
        return result
    return Vector(array.dtype)(array, at, end, fill), code


@intrinsic
def _store_within(typing, array, at, vector, end):
    def code(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args, args)
        size, (whole, mask) = array.dtype.bitwidth // 8, _within(context, builder, signature.args, args, 3)
        masked = _masked(builder, "store", array.dtype, ir.VoidType(), (args[2].type, pointer.type, ir.IntType(32), _MASK))
        with builder.if_else(whole, likely=True) as (inside, across):
            with inside:
                builder.store(args[2], pointer, align=size)
            with across:
                builder.call(masked, (args[2], pointer, ir.IntType(32)(size), mask()))
        return context.get_dummy_value()
    return types.void(array, at, vector, end), code


_MASK = ir.VectorType(ir.IntType(1), LANES)


def _masked(builder, name, dtype, returns, takes):
    """Return LLVM's masked load or store of vectors."""
    name = f"llvm.masked.{name}.v{LANES}{'f' if isinstance(dtype, types.Float) else 'i'}{dtype.bitwidth}.p0"
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(returns, takes), name)


def _within(context, builder, kinds, args, end):
    """Return whether all of the LANES indices from at[-1] on are in 0..end-1, and a function that tells which.

    Where all are, as nearly always, the plain instruction does: with AVX2 a store under a mask takes ten times as long.
    """
    first = context.cast(builder, cgutils.unpack_tuple(builder, args[1])[-1], kinds[1][-1], types.int32)
    limit = context.cast(builder, args[end], kinds[end], types.int32)
    number, vector = first.type, ir.VectorType(first.type, LANES)
    whole = builder.and_(builder.icmp_signed(">=", first, number(0)),
                         builder.icmp_signed("<=", first, builder.sub(limit, number(LANES))))

    def mask():                         # as unsigned numbers, negative ones are huge
        places = builder.add(spread(builder, vector, first), ir.Constant(vector, list(range(LANES))))
        return builder.icmp_unsigned("<", places, spread(builder, vector, limit))
    return whole, mask


@intrinsic
def _gather2(typing, array, rows):
    """Both numbers of a row are read at once; the pairs are joined to fours, ..., to two vectors of pairs, then unzipped."""
    def code(context, builder, signature, args):
        base = builder.ptrtoint(context.make_array(array)(context, builder, args[0]).data, ir.IntType(64))
        pair, size, parts = ir.VectorType(context.get_value_type(array.dtype), 2), array.dtype.bitwidth // 8, []
        for lane in range(LANES):
            row = builder.sext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
            address = builder.add(base, builder.mul(row, ir.IntType(64)(2 * size)))
            parts.append(builder.load(builder.inttoptr(address, pair.as_pointer()), align=size))
        while len(parts) > 2:
            parts = [_shuffled(builder, a, b, range(2 * a.type.count)) for a, b in zip(parts[0::2], parts[1::2])]
        return context.make_tuple(builder, signature.return_type, [
            _shuffled(builder, *parts, range(start, 2 * LANES, 2)) for start in (0, 1)])
    return types.UniTuple(Vector(array.dtype), 2)(array, rows), code


@intrinsic
def _choose(typing, condition, a, b):
    return a(condition, a, b), lambda context, builder, signature, args: builder.select(*args)


@intrinsic
def _widen(typing, vector):
    def code(context, builder, signature, args):
        wide = context.get_value_type(signature.return_type)
        return args[0] if args[0].type == wide else builder.fpext(args[0], wide)
    return Vector(types.float64)(vector), code


@intrinsic
def _total(typing, vector):
    def code(context, builder, signature, args):
        number = context.get_value_type(vector.dtype)
        name = f"llvm.vector.reduce.fadd.v{LANES}f{vector.dtype.bitwidth}"
        reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(number, (number, args[0].type)), name)
        return builder.call(reduce, (ir.Constant(number, 0.0), args[0]), fastmath=("reassoc",))     # in pairs
    return vector.dtype(vector), code


@intrinsic
def _unzip2(typing, a, b):
    def code(context, builder, signature, args):
        return context.make_tuple(builder, signature.return_type, [
            _shuffled(builder, *args, range(start, 2 * LANES, 2)) for start in (0, 1)])
    return types.UniTuple(a, 2)(a, b), code


@intrinsic
def _zip2(typing, a, b):
    def code(context, builder, signature, args):
        return context.make_tuple(builder, signature.return_type, [
            _shuffled(builder, *args, _zipped(half)) for half in (0, LANES // 2)])
    return types.UniTuple(a, 2)(a, b), code


@intrinsic
def _transpose(typing, tile):
    """Rounds of zips: the first moves row i + LANES / 2 between the numbers of row i; after log2(LANES) rounds all are moved."""
    def code(context, builder, signature, args):
        array = context.make_array(tile)(context, builder, args[0])
        first = builder.bitcast(array.data, context.get_value_type(Vector(tile.dtype)).as_pointer())
        cells = [builder.gep(first, [ir.IntType(64)(i)]) for i in range(LANES)]
        rows = [builder.load(cell, align=tile.dtype.bitwidth // 8) for cell in cells]
        for _ in range(LANES.bit_length() - 1):
            rows = [_shuffled(builder, rows[i], rows[i + LANES // 2], order)
                    for i in range(LANES // 2) for order in (_zipped(0), _zipped(LANES // 2))]
        for row, cell in zip(rows, cells):
            builder.store(row, cell, align=tile.dtype.bitwidth // 8)
        return context.get_dummy_value()
    return types.void(tile), code


def _zipped(half):
    """Return the order of the numbers in which `zip2` gives its first or second half."""
    return [i // 2 + i % 2 * LANES + half for i in range(LANES)]


def _shuffled(builder, a, b, order):
    """Return the vector of the numbers order[0], order[1], ... of a and b side by side."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order)))


@intrinsic
def _load(typing, array, at):
    def code(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args, args), align=array.dtype.bitwidth // 8)
    return Vector(array.dtype)(array, at), code


@intrinsic
def _store(typing, array, at, vector):
    def code(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature.args, args), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()
    return types.void(array, at, vector), code


def _pointer(context, builder, kinds, args):
    """Return the address of array[at] as that of a vector."""
    array = context.make_array(kinds[0])(context, builder, args[0])
    indices = [context.cast(builder, i, kind, types.intp) for i, kind in zip(cgutils.unpack_tuple(builder, args[1]), kinds[1])]
    address = builder.ptrtoint(array.data, ir.IntType(64))
    for index, stride in zip(indices, cgutils.unpack_tuple(builder, array.strides)):
        address = builder.add(address, builder.mul(index, stride))
    return builder.inttoptr(address, context.get_value_type(Vector(kinds[0].dtype)).as_pointer())


def spread(builder, kind, number):
    """Return a vector of the LLVM type `kind` that holds `number` LANES times."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count))


def _teach(operation, instruction, returns=None):
    """Let an operator take two vectors, or a vector and a number, which is cast to the vector's dtype."""
    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, args, keywords):
            vector = next((kind for kind in args if isinstance(kind, Vector)), None)
            if vector and len(args) == 2:
                return signature(Vector(returns) if returns else vector,
                                 *[kind if isinstance(kind, Vector) else vector.dtype for kind in args])

    def code(context, builder, signature, args):
        kind = next(kind for kind in signature.args if isinstance(kind, Vector))
        wide = [arg if isinstance(of, Vector) else spread(builder, context.get_value_type(kind), arg)
                for of, arg in zip(signature.args, args)]
        return instruction(builder, *wide, isinstance(kind.dtype, types.Float))

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *kinds)(code)


def _arithmetic(name):
    """Return what emits an instruction for vectors of floats or of whole numbers."""
    return lambda builder, a, b, floats: getattr(builder, "f" + name)(a, b, flags=("contract",)) if floats \
        else getattr(builder, name)(a, b)


for _operation, _name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul"), (operator.truediv, "div")):
    _teach(_operation, _arithmetic(_name))
_teach(operator.gt, lambda builder, a, b, floats: builder.fcmp_ordered(">", a, b), types.boolean)
_teach(operator.ne, lambda builder, a, b, floats: builder.fcmp_unordered("!=", a, b), types.boolean)
_teach(operator.or_, lambda builder, a, b, floats: builder.or_(a, b))
