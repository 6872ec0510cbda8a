"""The inner loop of every matrix product here: outer products, added up in registers.

    c[i, j] = sum over k of a[k, i] b[k, j]         c is ROWS x LANES or ROWS x 2 LANES numbers

Why it is fast. A processor core can start two vector multiply-adds a cycle, but load only two vectors, so numbers must be
used more than once for each time that they are loaded. Here the tile c stays in ROWS x 2 registers for the whole sum; a step
k loads two vectors of b and ROWS single numbers of a, and does 2 ROWS multiply-adds with them. These sums do not wait for
each other, so the four cycles that one takes do not matter. What remains is to have a and b come from the cache: they are
packed, so that a step of k is the next few bytes, and blocks are chosen by the callers such that they stay there.

    rung                                        one thread, GFLOP/s (512 x 512 x 64, AVX-512, float32)
    three loops in Python                       0.002
    three loops, compiled                       4
    rows of c updated by vectors (loads c)      79
    this                                        240, of about 245 that the core can do

Source: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), the "GEBP" kernel.
"""
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from ..simd import LANES, Vector, spread

DOTS = (4, 6) if LANES == 16 else (3, 4)        # tile of `dots`: its sums, a column of a and one of b fit into the registers
AHEAD = 16384                           # bytes of a that are asked for before they are needed
ROWS = 8 if LANES == 16 else 6          # ROWS x 2 sums, two of b and one of a have to fit into 32 or 16 registers


def multiply(a, b, c, add):
    """c = a^T b, or c += a^T b if `add`: a (K, ROWS), b (K, LANES or 2 LANES), contiguous along the last axis, K > 0."""
    product = a.T @ b
    c[...] = c + product if add else product


def dots(a, b, offsets, sums):
    """sums[i, j] += a[i] . b[offsets[j]:], a vector of LANES partial sums each: what gradients of weights consist of.

    a (DOTS[0], L) with L a multiple of LANES, b one row of numbers, offsets (DOTS[1],), sums (*DOTS, LANES). Both rows lie in
    memory in the direction of the sum, so nothing has to be packed, and numbers are loaded as vectors, never spread.
    """
    for i in range(DOTS[0]):
        for j in range(DOTS[1]):
            sums[i, j] += (a[i] * b[offsets[j]:offsets[j] + a.shape[1]]).reshape(-1, LANES).sum(axis=0)


def packed_rows(matrix):
    """Return a matrix (M, K) as (blocks of ROWS, K, ROWS), the last block filled up with zeros: what `multiply` takes as a."""
    M, K = matrix.shape
    padded = np.zeros((-(-M // ROWS) * ROWS, K), matrix.dtype)
    padded[:M] = matrix
    return np.ascontiguousarray(padded.reshape(-1, ROWS, K).transpose(0, 2, 1))


def turned_filters(w, groups):
    """Return w (F, C / groups, KH, KW) as (C, F / groups, KH, KW), each filter turned by 180 degrees: what dL/dx needs."""
    F, CG, KH, KW = w.shape
    turned = w[:, :, ::-1, ::-1].reshape(groups, F // groups, CG, KH, KW).swapaxes(1, 2)
    return turned.reshape(groups * CG, F // groups, KH, KW)


@overload(multiply)
def _multiply_compiled(a, b, c, add):
    def compiled(a, b, c, add):
        if b.shape[1] == 2 * LANES:
            _two(a, b, c, add)
        else:
            _one(a, b, c, add)
    return compiled


def _kernel(vectors):
    """Return `multiply` for b of so many vectors, as instructions for LLVM."""
    @intrinsic
    def kernel(typing, a, b, c, add):
        return types.void(a, b, c, add), _Code(a.dtype, vectors).emit
    return kernel


def _prefetch(builder, address):
    """Ask for the cache line at an address, without waiting for it; harmless where there is no memory."""
    whole, byte = ir.IntType(32), address.type
    kind = ir.FunctionType(ir.VoidType(), (byte, whole, whole, whole))
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
    builder.call(prefetch, (address, whole(0), whole(2), whole(1)))         # for reading, second-level cache, data


class _Code:
    """Writes, as instructions for LLVM, what in C would be

        for (k = 0; k < K; k++) for (i = 0; i < ROWS; i++) for (j = 0; j < vectors; j++) c[i][j] += a[k][i] * b[k][j];

    with the loops over i and j written out and c in registers until the end. The loop over k is one block of instructions; a
    `phi` is a value that was another one when the block was entered and in each round is what the round before made of it.
    """

    def __init__(self, dtype, vectors):
        self.dtype, self.vectors, self.size = dtype, vectors, dtype.bitwidth // 8

    def emit(self, context, builder, signature, args):
        """Addresses and strides of a, b and c; what c starts from; the loop; c written back. a may be a part of a wider array."""
        self.builder, index = builder, ir.IntType(64)
        self.kind, self.number = context.get_value_type(Vector(self.dtype)), context.get_value_type(self.dtype)
        a, b, c = (context.make_array(of)(context, builder, arg) for of, arg in zip(signature.args[:3], args))
        starts = [builder.ptrtoint(array.data, index) for array in (a, b, c)]
        steps = [builder.extract_value(array.strides, 0) for array in (a, b, c)]
        packed = signature.args[0].layout == "C"
        across_a = index(self.size) if packed else builder.extract_value(a.strides, 1)
        cells = [self.at(builder.add(starts[2], builder.mul(index(i), steps[2])), self.lane(j), self.kind)
                 for i in range(ROWS) for j in range(self.vectors)]
        before, old, loop, done = builder.block, *map(builder.append_basic_block, ("old", "loop", "done"))
        builder.cbranch(builder.icmp_unsigned("!=", args[3], args[3].type(0)), old, loop)
        builder.position_at_end(old)
        olds = [builder.load(cell, align=self.size) for cell in cells]
        builder.branch(loop)

        builder.position_at_end(loop)
        k, now_a, now_b = (builder.phi(index) for _ in range(3))
        sums = [builder.phi(self.kind) for _ in cells]
        zero = ir.Constant(self.kind, [0.0] * LANES)
        for block, first in ((before, [zero] * len(cells)), (old, olds)):
            for phi, value in zip((k, now_a, now_b, *sums), (index(0), *starts[:2], *first)):
                phi.add_incoming(value, block)
        news = self.step(now_a, across_a, now_b, sums)
        if packed:                  # U of Winograd is read once, from main memory: ask for what comes next
            _prefetch(builder, self.at(now_a, index(AHEAD), ir.IntType(8)))
        following = (builder.add(k, index(1)), builder.add(now_a, steps[0]), builder.add(now_b, steps[1]))
        for phi, value in zip((k, now_a, now_b, *sums), (*following, *news)):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following[0], builder.extract_value(a.shape, 0)), loop, done)

        builder.position_at_end(done)
        for new, cell in zip(news, cells):
            builder.store(new, cell, align=self.size)
        return context.get_dummy_value()

    def step(self, a, across_a, b, sums):
        """Add one outer product: `a` and `b` are the addresses of its column and row."""
        builder = self.builder
        bs = [builder.load(self.at(b, self.lane(j), self.kind), align=self.size) for j in range(self.vectors)]
        news = []
        for i in range(ROWS):
            number = builder.load(self.at(a, builder.mul(ir.IntType(64)(i), across_a), self.number))
            one = spread(builder, self.kind, number)
            for j in range(self.vectors):
                product = builder.fmul(one, bs[j], flags=("contract",))      # and the sum become one instruction
                news.append(builder.fadd(product, sums[i * self.vectors + j], flags=("contract",)))
        return news

    def at(self, address, offset, kind):
        """Return the address plus so many bytes, as that of a `kind`."""
        return self.builder.inttoptr(self.builder.add(address, offset), kind.as_pointer())

    def lane(self, j):
        """Return where vector j of a row begins, in bytes."""
        return ir.IntType(64)(j * LANES * self.size)


_one, _two = _kernel(1), _kernel(2)


@overload(dots)
def _dots_compiled(a, b, offsets, sums):
    return lambda a, b, offsets, sums: _dots(a, b, offsets, sums)


@intrinsic
def _dots(typing, a, b, offsets, sums):
    """One block of instructions that goes round once for LANES numbers of all rows."""
    def code(context, builder, signature, args):
        index, size = ir.IntType(64), a.dtype.bitwidth // 8
        kind = context.get_value_type(Vector(a.dtype))
        a_, b_, offsets_, sums_ = (context.make_array(of)(context, builder, arg) for of, arg in zip(signature.args, args))
        row = builder.extract_value(a_.strides, 0)
        starts = [builder.add(builder.ptrtoint(a_.data, index), builder.mul(index(i), row)) for i in range(DOTS[0])]
        starts += [builder.add(builder.ptrtoint(b_.data, index), builder.mul(index(size), builder.load(
            builder.gep(offsets_.data, [index(j)])))) for j in range(DOTS[1])]
        first = builder.bitcast(sums_.data, kind.as_pointer())
        cells = [builder.gep(first, [index(k)]) for k in range(DOTS[0] * DOTS[1])]
        olds = [builder.load(cell, align=size) for cell in cells]
        end = builder.mul(builder.extract_value(a_.shape, 1), index(size))
        before, loop, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.branch(loop)

        builder.position_at_end(loop)
        at, totals = builder.phi(index), [builder.phi(kind) for _ in cells]

        def loaded(start):
            return builder.load(builder.inttoptr(builder.add(start, at), kind.as_pointer()), align=size)

        rows, news = [loaded(start) for start in starts[:DOTS[0]]], list(totals)
        for j in range(DOTS[1]):        # one of b after the other: all at once would be one too many for the registers
            other = loaded(starts[DOTS[0] + j])
            for i in range(DOTS[0]):
                product = builder.fmul(rows[i], other, flags=("contract",))
                news[i * DOTS[1] + j] = builder.fadd(product, news[i * DOTS[1] + j], flags=("contract",))
        following = builder.add(at, index(LANES * size))
        for phi, old, new in zip((at, *totals), (index(0), *olds), (following, *news)):
            phi.add_incoming(old, before)
            phi.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", following, end), loop, done)

        builder.position_at_end(done)
        for new, cell in zip(news, cells):
            builder.store(new, cell, align=size)
        return context.get_dummy_value()
    return types.void(a, b, offsets, sums), code
