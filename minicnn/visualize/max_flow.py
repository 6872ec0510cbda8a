"""Maximum flow and minimum cut by growing two trees (Boykov and Kolmogorov 2004). Used by GrabCut.

    cut = sum of the capacities that lead from the source's side to the sink's;      the smallest cut = the largest flow

Every node v hangs by source(v) from the source and by sink(v) on the sink; arcs join the nodes. One tree grows from the source
along arcs with room left, one from the sink against them. Where they touch there is a path: push through it what fits (augment).
Arcs that are full then break branches off the trees; these orphans look for a new parent in their own tree, or become free
(adopt). When nothing grows any more, the full arcs between what the source's tree holds and the rest are a minimum cut.
Both trees are kept from path to path, which on graphs of pictures, with their short paths, beats starting a search anew.

A node's row: TREE (1 source's, -1 sink's, 0 free), PARENT (the arc to it, or TERMINAL, ORPHAN, NONE), and DISTANCE to the
terminal as it was known at time STAMP, so that orphans choose near parents; QUEUED: whether it waits to grow. Arc a leads to
arcs[a, HEAD]; SISTER is the same arc the other way. residual: the room left in each arc. terminal: room left from the source
(> 0) or to the sink (< 0).
"""
import numba
import numpy as np

from ..errors import SettingError, ShapeError
from ..jit import jit
from .checks import array

TREE, PARENT, DISTANCE, STAMP, QUEUED = range(5)
HEAD, SISTER = range(2)
NONE, TERMINAL, ORPHAN = -1, -2, -3
FAR = 2 ** 30


def min_cut(source, sink, edges, forward, backward):
    """Return (flow, mask): the smallest cut's capacity, and which nodes (n,) lie on the source's side of it.

    source, sink (n,): capacities from the source to each node and on to the sink. edges (m, 2): pairs of nodes, with the
    capacities `forward` (m,) from the first to the second and `backward` (m,). Raises ShapeError, SettingError.
    """
    source, sink, forward, backward = (array("min_cut", "the capacities", a).astype(np.float64)
                                       for a in (source, sink, forward, backward))
    edges, n = np.zeros((0, 2), int) if np.size(edges) == 0 else np.asarray(edges), source.size
    if edges.shape[1:] != (2,) or edges.dtype.kind not in "iu":
        raise ShapeError(f"min_cut: edges are {edges.dtype} {edges.shape}, expected whole numbers (m, 2), a pair of nodes each")
    if source.shape != (n,) or sink.shape != (n,) or {forward.shape, backward.shape} != {(len(edges),)}:
        raise ShapeError(f"min_cut: capacities of shapes {source.shape}, {sink.shape}, {forward.shape}, {backward.shape} for "
                         f"{len(edges)} edges, expected (n,), (n,), (m,), (m,) with m edges")
    if len(edges) and not 0 <= edges.min() <= edges.max() < n:
        raise SettingError(f"min_cut: edges name nodes {edges.min()} to {edges.max()}, there are 0 to {n - 1}")
    if any(len(a) and not (np.isfinite(a).all() and a.min() >= 0) for a in (source, sink, forward, backward)):
        raise SettingError("min_cut: capacities must be finite numbers, 0 or more")
    begin, arcs, residual = _arcs(n, edges, forward, backward)
    terminal, node = source - sink, np.zeros((n, 5), np.int32)
    flow = min_cut_cpu(begin, arcs, residual, terminal, node)
    return float(np.minimum(source, sink).sum() + flow), node[:, TREE] > 0


def _arcs(n, edges, forward, backward):
    """Return (begin (n + 1,), arcs (2 m, 2), residual (2 m,)): the arcs that leave node v are begin[v] to begin[v + 1]."""
    tails = np.concatenate([edges[:, 0], edges[:, 1]])
    order = np.argsort(tails, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    m = len(edges)
    sister = np.concatenate([place[m:], place[:m]])
    heads = np.concatenate([edges[:, 1], edges[:, 0]])
    arcs = np.stack([heads[order], sister[order]], axis=1).astype(np.int32)
    begin = np.searchsorted(tails[order], np.arange(n + 1)).astype(np.int32)
    return begin, arcs, np.concatenate([forward, backward])[order]


def _min_cut_cpu(begin, arcs, residual, terminal, node):
    """Push all flow there is; return it. One thread: each path depends on the trees that the one before left."""
    n, flow, time = len(terminal), 0.0, 0
    active, orphans, ends = np.empty(n + 1, np.int32), np.empty(n + 1, np.int32), np.zeros(2, np.int64)
    for v in range(n):
        if terminal[v] != 0:
            node[v, TREE], node[v, PARENT], node[v, DISTANCE] = 1 if terminal[v] > 0 else -1, TERMINAL, 1
            _activate(node, active, ends, v)
        else:
            node[v, PARENT] = NONE
    while True:
        bridge = _grow(begin, arcs, residual, node, active, ends)
        if bridge < 0:
            return flow
        time += 1
        pushed, lost = _augment(arcs, residual, terminal, node, bridge, orphans)
        flow += pushed
        _adopt(begin, arcs, residual, node, (orphans, lost), active, ends, time)


@numba.njit
def _activate(node, active, ends, v):
    """Put v at the end of the ring of nodes that may grow, unless it is in there."""
    if not node[v, QUEUED]:
        node[v, QUEUED] = 1
        active[ends[1]] = v
        ends[1] = (ends[1] + 1) % len(active)


@numba.njit
def _grow(begin, arcs, residual, node, active, ends):
    """Let the trees grow until they touch; return the arc from the source's tree to the sink's, or -1 if they never do."""
    while ends[0] != ends[1]:
        p = active[ends[0]]
        tree = node[p, TREE]
        for a in range(begin[p], begin[p + 1] if tree != 0 else begin[p]):
            q, sister = arcs[a, HEAD], arcs[a, SISTER]
            if (residual[a] if tree > 0 else residual[sister]) > 0:
                if node[q, TREE] == -tree:
                    return a if tree > 0 else sister
                free = node[q, TREE] == 0
                if free or (node[q, STAMP] <= node[p, STAMP] and node[q, DISTANCE] > node[p, DISTANCE]):
                    node[q, TREE], node[q, PARENT] = tree, sister           # nearer to the terminal than its parent so far
                    node[q, DISTANCE], node[q, STAMP] = node[p, DISTANCE] + 1, node[p, STAMP]
                    if free:
                        _activate(node, active, ends, q)
        node[p, QUEUED] = 0
        ends[0] = (ends[0] + 1) % len(active)
    return -1


@numba.njit
def _augment(arcs, residual, terminal, node, bridge, orphans):
    """Push what fits from the source over the bridge to the sink; return (how much, how many nodes lost their parent)."""
    start, end = arcs[arcs[bridge, SISTER], HEAD], arcs[bridge, HEAD]
    amount = residual[bridge]
    v = start
    while node[v, PARENT] != TERMINAL:
        amount = min(amount, residual[arcs[node[v, PARENT], SISTER]])
        v = arcs[node[v, PARENT], HEAD]
    amount = min(amount, terminal[v])
    v = end
    while node[v, PARENT] != TERMINAL:
        amount = min(amount, residual[node[v, PARENT]])
        v = arcs[node[v, PARENT], HEAD]
    amount = min(amount, -terminal[v])
    residual[bridge] -= amount
    residual[arcs[bridge, SISTER]] += amount
    lost = 0
    for v, tree in ((start, 1), (end, -1)):
        while True:
            parent = node[v, PARENT]
            if parent == TERMINAL:
                terminal[v] -= tree * amount
                full = terminal[v] == 0
            else:
                along = arcs[parent, SISTER] if tree > 0 else parent        # the flow's way, from the source to the sink
                residual[along] -= amount
                residual[arcs[along, SISTER]] += amount
                full = residual[along] == 0
            if full:
                node[v, PARENT] = ORPHAN
                orphans[lost] = v
                lost += 1
            if parent == TERMINAL:
                break
            v = arcs[parent, HEAD]
    return amount, lost


@numba.njit
def _adopt(begin, arcs, residual, node, lost, active, ends, time):
    """Give each orphan a parent of its own tree that hangs on the terminal, the nearest, or set it free with its children."""
    orphans, last = lost
    first = 0
    while first != last:
        v = orphans[first]
        first = (first + 1) % len(orphans)
        tree, best, nearest = node[v, TREE], NONE, FAR
        for a in range(begin[v], begin[v + 1]):
            q = arcs[a, HEAD]
            if node[q, TREE] == tree and (residual[arcs[a, SISTER]] if tree > 0 else residual[a]) > 0:
                distance = _distance(arcs, node, q, time)
                if distance < nearest:
                    best, nearest = a, distance
        node[v, PARENT] = best
        if best != NONE:
            node[v, DISTANCE], node[v, STAMP] = nearest + 1, time
            continue
        node[v, TREE] = 0
        for a in range(begin[v], begin[v + 1]):
            q = arcs[a, HEAD]
            if node[q, TREE] == tree:
                if (residual[arcs[a, SISTER]] if tree > 0 else residual[a]) > 0:
                    _activate(node, active, ends, q)            # from it v may be reached again
                if node[q, PARENT] >= 0 and arcs[node[q, PARENT], HEAD] == v:
                    node[q, PARENT] = ORPHAN
                    orphans[last] = q
                    last = (last + 1) % len(orphans)


@numba.njit
def _distance(arcs, node, q, time):
    """Return how far q is from the terminal, FAR if an orphan is in between; note it along the way for the next who ask."""
    distance, v = 0, q
    while node[v, STAMP] != time:
        parent = node[v, PARENT]
        distance += 1
        if parent == TERMINAL:
            node[v, STAMP], node[v, DISTANCE] = time, 1
            break
        if parent == ORPHAN or parent == NONE:
            return FAR
        v = arcs[parent, HEAD]
    else:
        distance += node[v, DISTANCE]
    v, left = q, distance
    while node[v, STAMP] != time:
        node[v, STAMP], node[v, DISTANCE] = time, left
        left -= 1
        v = arcs[node[v, PARENT], HEAD]
    return distance


min_cut_cpu = jit(_min_cut_cpu)
