"""From maps to codes, from codes to a grid: averages, distances, the cheapest assignment and its proof, the seams."""
import numpy as np

from minicnn.embed.grid import grid_cost, linear_assignment, seams
from minicnn.visualize.patches import averaged

from ..stepping import Marked, state


def steps(rng):
    """Four pictures with two maps each; their places on a map; a grid of 2 x 2."""
    maps = rng.integers(0, 5, (4, 2, 2, 2)).astype(float)
    codes = averaged(maps)
    yield state("a code: the mean of each map, wherever in the picture", averaged, "are averaged over their places",
                {"maps of picture 0": maps[0], "of picture 1": maps[1], "codes (picture, channel)": codes},
                line="activation.mean")
    Y = np.array([[0.0, 0.2], [0.3, 1.0], [0.4, 0.9], [1.0, 0.0]])
    cost = grid_cost(Y, (2, 2))
    yield state("points of a map, and how far each is from the middle of each cell, squared", grid_cost,
                "Return the squared distances",
                {"y": Y, "c (point, cell)": cost}, line="down, right =")
    nearest = cost.argmin(axis=1)
    yield state("each to its nearest cell would be cheaper, but points 1 and 2 want the same" if len(set(nearest)) < 4 else
                "each has a nearest cell of its own", grid_cost, "minimise   sum_i c[i, a(i)]",
                {"c": Marked(cost, np.eye(4, dtype=bool)[nearest]), "their sum": cost.min(axis=1).sum()})
    found = linear_assignment(cost)
    chosen = np.eye(4, dtype=bool)[found.columns]
    yield state("each a cell of its own, at the least cost", linear_assignment, "minimise   sum_i c[i, a(i)]",
                {"c": Marked(cost, chosen), "a": found.columns, "cost": found.cost}, line="linear_assignment_cpu(cost)")
    yield state("the proof: u_i + v_j is never more than c, and c where a cell was given: nothing costs less than its sum",
                linear_assignment, "u_i + v_j <= c[i, j]",
                {"u": found.u, "v": found.v, "c - u - v": Marked((cost - found.u[:, None] - found.v).round(12), chosen),
                 "sum u + sum v": found.u.sum() + found.v.sum()})
    grid = np.argsort(found.columns).reshape(2, 2)
    beside, below = seams(codes, grid)
    yield state("the grid, and its seams: how far neighbours' codes are apart in truth", seams, "|code_a - code_b|",
                {"grid": grid, "left to right": beside, "above to below": below}, line="beside = ")
