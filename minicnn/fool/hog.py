"""HOG, and pictures that it cannot tell apart. Slide "These kinds of results were around even before ConvNets...".

    g = (p(i, j+1) - p(i, j-1),  p(i+1, j) - p(i-1, j)),  0 at the borders; of several channels that with the largest ||g||
    votes: ||g|| for the bin, of 9 from 0 to 180 degrees, in which g points;  cell: mean of the votes of 8 x 8 pixels
    block: 3 x 3 cells v;   v <- v / sqrt(||v||^2 + eps^2),   v <- min(v, 0.2),   and the first once more;   HOG: all blocks

As a function of the picture HOG jumps where a pixel's g turns into another bin, and elsewhere has the slope g / ||g|| in ||g||:
so the bins count as constants for the way back, which says nothing about turning. What HOG forgets it forgets exactly: p and
1 - p have the same HOG, and p with a tenth of its contrast almost (eps does not shrink with it).
Source: N. Dalal and B. Triggs, CVPR 2005, in the form of scikit-image's feature.hog; pairs: A. Tatu, F. Lauze, M. Nielsen and
B. Kimia, "Exploring the representation capabilities of the HOG descriptor", 2011.
"""
from dataclasses import dataclass

import numpy as np

from .. import ops
from ..checks import generator, number, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..optim import lbfgs_steps
from ..tensor import Tensor
from ..visualize.checks import finite

EPS, CLIPPED = 1e-5, 0.2
MOST = 180                              # bins, pixels of a cell's side, cells of a block's side
SOFTNESS = (1.0, 0.5, 0.25, 0.125)      # widths of a bin, of the first stages of same_hog
HOLD = (3.0, 10.0, 30.0)                # how hard the votes are held to their bins, in the last stages
MARGIN = 0.02                           # radians between a held direction and the edge of its bin
LEAST, SHORT = 5e-3, 0.05               # of ||g||: where turning counts less, and where directions are held less firmly


@dataclass(frozen=True)
class Layout:
    """How many bins, pixels a side of a cell, cells a side of a block."""
    orientations: int = 9
    pixels_per_cell: int = 8
    cells_per_block: int = 3

    def __post_init__(self):
        for name in ("orientations", "pixels_per_cell", "cells_per_block"):
            whole_number("hog", name, getattr(self, name), 1, MOST)


def hog(p, **layout):
    """Return the HOG (N, L) of pixels p (N, C, H, W), a Tensor or an array, as a Tensor on p's tape; layout: see Layout.

    L = block rows * block columns * cells_per_block^2 * orientations, in that order. Raises ShapeError, SettingError.
    """
    layout = Layout(**layout)
    return blocks(votes(*gradient_of(as_tensor(p, layout)), layout), layout)


def as_tensor(p, layout):
    """Return the pixels as a Tensor; raise ShapeError where they have no HOG."""
    p, least = p if isinstance(p, Tensor) else Tensor(p), layout.pixels_per_cell * layout.cells_per_block
    if p.ndim != 4 or p.size == 0 or min(p.shape[2:]) < max(3, least):
        raise ShapeError(f"hog: the pixels have shape {p.shape}, expected (N, C, H, W), at least one block of "
                         f"{layout.cells_per_block} x {layout.cells_per_block} cells of {layout.pixels_per_cell} pixels")
    return p


def gradient_of(p):
    """Return (gx, gy), Tensors (N, 1, H, W): of each pixel's channels the one that changes most."""
    gx = ops.pad(p[:, :, :, 2:] - p[:, :, :, :-2], (1, 1, 0, 0))
    gy = ops.pad(p[:, :, 2:] - p[:, :, :-2], (0, 0, 1, 1))
    strongest = np.hypot(gx.data, gy.data).argmax(axis=1)[:, None]                          # (N, 1, H, W)
    chosen = (strongest == np.arange(p.shape[1]).reshape(1, -1, 1, 1)).astype(p.dtype)
    return (gx * chosen).sum(1, keepdim=True), (gy * chosen).sum(1, keepdim=True)


def votes(gx, gy, layout, softness=0.0, bins=None):
    """Return the votes (N, orientations, H, W) of the gradients, a Tensor.

    softness: the part of a bin's width, about the edge between two, where a vote is shared, and moves from one to the other as g
    turns; 0 as defined, at most 1. bins: the shares themselves, where they are to stay as they were.
    """
    length = np.hypot(gx.data, gy.data)
    cos, sin = (g.data / np.maximum(length, np.finfo(g.dtype).tiny) for g in (gx, gy))
    magnitude = gx * cos + gy * sin                                     # ||g||, with the slope g / ||g||
    if bins is not None:
        return magnitude * bins
    bins, slope = shares(gx.data, gy.data, layout, softness)
    if not softness:
        return magnitude * bins
    turn = (gy * cos - gx * sin) / np.maximum(length, LEAST) * (180 / np.pi)        # 0, with the slope of the angle in degrees
    return magnitude * bins + turn * (slope * length)


def shares(gx, gy, layout, softness):
    """Return which share of each pixel's vote each bin gets (N, orientations, H, W), and its slope per degree."""
    degrees, width = np.rad2deg(np.arctan2(gy.astype(float), gx.astype(float))) % 180, 180 / layout.orientations
    number = np.arange(layout.orientations).reshape(1, -1, 1, 1)
    if not softness:
        return (number == (degrees // width).astype(int) % layout.orientations).astype(gx.dtype), None
    off = (degrees - (number + 0.5) * width + 90) % 180 - 90            # from the middle of the bin
    share = (width / 2 - np.abs(off)) / (softness * width) + 0.5
    return share.clip(0, 1), np.where((share > 0) & (share < 1), -np.sign(off) / (softness * width), 0)


def blocks(votes, layout, clip=True):
    """Return the normalised blocks of cells of votes, (N, L). clip=False: without the last two of the three steps."""
    cells, side = ops.avg_pool2d(votes, layout.pixels_per_cell), layout.cells_per_block     # (N, orientations, rows, columns)
    rows, columns = (n - side + 1 for n in cells.shape[2:])
    moved = cells.permute(0, 2, 3, 1)                                                       # (N, rows, columns, orientations)
    v = ops.concat([moved[:, i:i + rows, j:j + columns] for i in range(side) for j in range(side)], dim=3)
    v = _normalised(v)
    return (_normalised(ops.clip(v, max=CLIPPED)) if clip else v).reshape(len(votes), -1)


def _normalised(v):
    return v / ops.sqrt((v * v).sum(3, keepdim=True) + EPS ** 2)


def hog_distance(a, b):
    """Return ||a - b|| / ||b|| of two HOGs, arrays or Tensors."""
    a, b = (np.asarray(x, dtype=float) for x in (a, b))
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


# --- a pair ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class HogState:
    """Pixels (1, C, H, W) after `step` steps, and how far their HOG is from the wanted one: ||difference|| / ||wanted||."""
    step: int
    pixels: np.ndarray
    distance: float


def same_hog_steps(wanted, start, *, steps=400, noise=0.05, rng=0, **layout):
    """Yield HogStates of a picture whose HOG goes to that of the pixels `wanted` (1, C, H, W), from the pixels `start` on.

    argmin over p in 0..1 of  ||v(p) - v(wanted)||^2 / ||v(wanted)||^2,  v: HOG's blocks before clipping, by L-BFGS-B, in stages
    of `steps` steps each: with votes that are soft at the edges of their bins, ever less; then with every vote held in the bin
    where it is, by a hinge, so that HOG does not jump. noise: standard deviation, added to the start, so that each cell has some
    of all directions. Ends after the last stage. Raises ShapeError, SettingError.
    """
    layout, settings = Layout(**layout), layout
    wanted, x = (finite("same_hog", what, pixels).astype(float) for what, pixels in (("wanted", wanted), ("start", start)))
    if wanted.shape != x.shape or x.ndim != 4 or len(x) != 1:
        raise ShapeError(f"same_hog: wanted has shape {wanted.shape} and start {x.shape}, expected two alike, (1, C, H, W)")
    if min(wanted.min(), x.min()) < 0 or max(wanted.max(), x.max()) > 1:
        raise SettingError("same_hog: the pixels leave 0..1, expected numbers from 0 to 1; divide 8-bit pixels by 255")
    steps, noise = whole_number("same_hog", "steps", steps, 1), number("same_hog", "noise", noise, at_least=0, at_most=1)
    goal = hog(wanted, **settings).data
    unclipped = blocks(votes(*gradient_of(as_tensor(wanted, layout)), layout), layout, clip=False).data
    x = np.clip(x + generator("same_hog", rng).normal(0, noise, x.shape), 0, 1)
    step = 0
    for softness, hold in [(soft, 0) for soft in SOFTNESS] + [(0, hold) for hold in HOLD]:
        objective = PairObjective(unclipped, layout, softness, hold, _held(x, layout) if hold else None)
        for state in take(steps, lbfgs_steps(objective, x, bounds=(0, 1), history=20)):
            x = state.x
            if state.step or not step:          # a stage begins where the last one ended
                yield HogState(step, x.copy(), hog_distance(hog(x, **settings), goal))
                step += 1


def same_hog(wanted, start, **settings):
    """Return the last HogState; settings as in `same_hog_steps`."""
    return last(same_hog_steps(wanted, start, **settings))


@dataclass(frozen=True)
class PairObjective:
    """What a stage minimises, of pixels x (1, C, H, W); calling it returns (loss, gradient)."""
    goal: np.ndarray
    layout: Layout
    softness: float
    hold: float
    held: tuple                 # bins, edges and length of each pixel's g: see _held

    def __call__(self, x):
        p = Tensor(x, requires_grad=True)
        gx, gy = gradient_of(p)
        cast = votes(gx, gy, self.layout, self.softness, self.held[0] if self.held else None)
        loss = ((blocks(cast, self.layout, clip=False) - self.goal) ** 2).sum() / max(float((self.goal ** 2).sum()), 1e-30)
        if self.held:
            bins, low, high, length = self.held
            for edge in (low, high):
                angle = (gy * np.cos(edge) - gx * np.sin(edge)) / length            # from the edge into the bin, about
                loss = loss + self.hold * (ops.relu(MARGIN - angle) ** 2).mean()
        loss.backward(retain_graph=False)
        return loss.item(), p.grad


def _held(x, layout):
    """Return the bins (1, orientations, H, W) in which the pixels vote now, the angles of their two edges, and ||g||.

    Angles are such that gy cos - gx sin, the distance of g from the edge, is above 0 inside.
    """
    gx, gy = (g.data for g in gradient_of(Tensor(x)))
    bins, width = shares(gx, gy, layout, 0)[0], np.pi / layout.orientations
    low = bins.argmax(axis=1)[:, None] * width
    low = low + np.where(gx * np.cos(low + width / 2) + gy * np.sin(low + width / 2) < 0, np.pi, 0)     # g points the other way
    return bins, low, low + width + np.pi, np.maximum(np.hypot(gx, gy), SHORT)
