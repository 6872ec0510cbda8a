"""The forces of t-SNE on a GPU: see tsne.py and barnes_hut.py for what is added up here.

attraction: a thread a point, which goes through its row of P.
exact repulsion: all pairs, in tiles. A block of threads has a point each; it copies as many others to shared memory, the chip's
own, and every thread meets all of them there: each is read from the GPU's memory once for a whole block.
Barnes-Hut: a thread a point, which walks through the quadtree that the CPU built. In the order in which a walk enters the cells
(a cell, then all inside of it) the next cell to look at is the next in the list, or, when a cell is far or is a leaf, the first
that is not inside: `skip` says which. So the walk needs no list of cells still to visit. Points stand along the Morton curve, so
that neighbouring threads are neighbours in the map and take nearly the same way.
"""
import numpy as np
from numba import cuda, float64, uint64

from ..device import THREADS, DeviceArray, cuda_jit, processors, smaller, threads_for, to_device, to_host
from .barnes_hut import LEAF, reach
from .quadtree import QuadTree


@cuda_jit("i1 i1 T1 T2 T2")
def attraction_kernel(indptr, indices, p, Y, attraction):
    """A thread a point and coordinate: sum_j p_ij w_ij (y_i - y_j) over the entries of row i of P."""
    ### BEGIN SOLUTION hw3.6
    at, C = cuda.grid(1), Y.shape[1]
    if at < Y.size:
        i, own, total = at // C, at % C, Y.dtype.type(0)
        for k in range(indptr[i], indptr[i + 1]):
            square = Y.dtype.type(1)
            for c in range(C):
                square += (Y[i, c] - Y[indices[k], c]) * (Y[i, c] - Y[indices[k], c])
            total += p[k] / square * (Y[i, own] - Y[indices[k], own])
        attraction[i, own] = total
    ### END SOLUTION hw3.6


def exact_repulsion_of(C):
    """Make the kernel of all pairs for maps of C components."""
    SUMS = C + 1

    @cuda_jit("T2 n d3")
    def exact_repulsion_kernel(Y, span, parts):
        """Block (points, part): parts[part, i] = sums over `span` points of w^2 (y_i - y_j), C of them, and of w."""
        ### BEGIN SOLUTION hw3.3
        others = cuda.shared.array((THREADS, C), Y.dtype)
        y, sums, totals = cuda.local.array(C, Y.dtype), cuda.local.array(SUMS, Y.dtype), cuda.local.array(SUMS, float64)
        i, begin, one = cuda.grid(1), cuda.blockIdx.y * span, Y.dtype.type(1)
        for c in range(C):
            y[c] = Y[smaller(i, len(Y) - 1), c]
        for c in range(SUMS):
            totals[c] = 0
        end = smaller(begin + span, len(Y))
        for first in range(begin, end, THREADS):
            for c in range(C):
                others[cuda.threadIdx.x, c] = Y[smaller(first + cuda.threadIdx.x, len(Y) - 1), c]
                sums[c] = 0
            sums[C] = 0
            cuda.syncthreads()
            for k in range(uint64(smaller(end - first, THREADS))):
                square = one
                for c in range(C):
                    square += (y[c] - others[k, c]) * (y[c] - others[k, c])
                w = one / square if first + k != i else Y.dtype.type(0)
                for c in range(C):
                    sums[c] += w * w * (y[c] - others[k, c])
                sums[C] += w
            cuda.syncthreads()
            for c in range(SUMS):                   # a block's worth is added up as it is, the rest in float64
                totals[c] += sums[c]
        if i < len(Y):
            for c in range(SUMS):
                parts[cuda.blockIdx.y, i, c] = totals[c]
        ### END SOLUTION hw3.3
    return exact_repulsion_kernel


EXACT = {(C,): exact_repulsion_of(C) for C in (1, 2, 3)}


@cuda_jit("T2 i1 T2 T1 i2 T2 T1")
def barnes_hut_kernel(points, order, mass, limits, cells, repulsion, z):
    """A thread a point, along the Morton curve. limits: squared distances from which on cells are far.

    cells (3, cells): first point, how many, and which cell to skip to.
    """
    ### BEGIN SOLUTION hw3.6
    i = cuda.grid(1)
    if i < len(points):
        x, y, one = points[i, 0], points[i, 1], points.dtype.type(1)
        fx = fy = sum_w = points.dtype.type(0)
        cell = 0
        while cell < len(mass):
            first, count, skip = cells[0, cell], cells[1, cell], cells[2, cell]
            dx, dy = x - mass[cell, 0], y - mass[cell, 1]
            if dx * dx + dy * dy > limits[cell] and not first <= i < first + count:          # far: one mass
                w = one / (one + dx * dx + dy * dy)
                weight = points.dtype.type(count) * w
                fx, fy, sum_w = fx + weight * w * dx, fy + weight * w * dy, sum_w + weight
            elif skip == cell + 1:                                                          # a leaf: its points, one by one
                for j in range(first, first + count):
                    dx, dy = x - points[j, 0], y - points[j, 1]
                    w = one / (one + dx * dx + dy * dy) if j != i else points.dtype.type(0)
                    fx, fy, sum_w = fx + w * w * dx, fy + w * w * dy, sum_w + w
            else:                                                                           # look closer
                skip = cell + 1
            cell = skip
        repulsion[order[i], 0], repulsion[order[i], 1], z[i] = fx, fy, sum_w
    ### END SOLUTION hw3.6


def walk_through(tree):
    """Return (rows, skip): the cells of a QuadTree in the order of a walk, and for each where the first not inside of it is."""
    rows = np.lexsort((tree.level, tree.first))
    first, count = tree.first[rows], tree.count[rows]
    return rows, np.searchsorted(first, first + count)


class Forces:
    """attraction(Y) and repulsion(Y, ...) of sparse affinities P, on a GPU; P is copied there once."""

    def __init__(self, P, dtype):
        self.rows = [to_device(array.astype(np.int32)) for array in (P.indptr, P.indices)]
        self.p = to_device(P.data.astype(dtype))

    def attraction(self, Y, out):
        """Write sum_j p_ij w_ij (y_i - y_j) of a map Y (N, C), a NumPy array, to `out`."""
        attraction = DeviceArray(Y.shape, Y.dtype)
        attraction_kernel.launch(*threads_for(Y.size), *self.rows, self.p, to_device(Y), attraction)
        out[...] = to_host(attraction)


def exact_repulsion_cuda(Y, out):
    """Write the repulsion of a map Y (N, C), C from 1 to 3, to `out` and return Z: all pairs."""
    (N, C), (blocks, threads) = Y.shape, threads_for(len(Y))
    parts = max(1, min(64, 4 * processors() // blocks, N // (4 * THREADS)))
    sums = DeviceArray((parts, N, C + 1), np.float64)
    EXACT[C,].launch((blocks, parts), threads, to_device(Y), -(-N // parts), sums)
    added = to_host(sums).sum(axis=0)
    out[...] = added[:, :C]
    return added[:, C].sum()


def barnes_hut_repulsion_cuda(Y, theta, out):
    """Write the repulsion of a map Y (N, 2) to `out` and return Z: by a walk through the quadtree, each point by itself."""
    tree = QuadTree(Y, leaf_size=LEAF)
    rows, skip = walk_through(tree)
    cells = np.stack([tree.first[rows], tree.count[rows], skip]).astype(np.int32)
    points, limits = tree.points[tree.order], reach(tree, theta)[tree.level[rows]]
    repulsion, z = DeviceArray(Y.shape, Y.dtype), DeviceArray((len(Y),), Y.dtype)
    given = points, tree.order.astype(np.int32), tree.center_of_mass[rows], limits, cells
    barnes_hut_kernel.launch(*threads_for(len(Y)), *map(to_device, given), repulsion, z)
    out[...] = to_host(repulsion)
    return to_host(z).sum(dtype=float)
