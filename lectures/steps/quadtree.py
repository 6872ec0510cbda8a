"""A quadtree as its points come, and what one of them sees of it: Barnes-Hut."""
import numpy as np

from minicnn.embed import QuadTree
from minicnn.embed.barnes_hut import cells_used, repulsion_ref

from ..stepping import state

# The first two span the square, so that it is the same from the second point on.
POINTS = np.array([[0, 0], [8, 8], [7.4, 7.2], [0.6, 6.2], [1.4, 5.4], [6.4, 1.2]])
THETAS, ACROSS, DOWN = (1.2, 0.5, 0.0), 6, 2        # letters and lines of a side of length 1


def steps(rng):
    """Six points, put in one after the other; then point 0 looks around, with less and less patience for coarseness."""
    cells = 0
    for count in range(2, len(POINTS) + 1):
        tree = QuadTree(POINTS[:count], build="insert")
        what = "divides the square" if count == 2 else "has a quarter to itself" if len(tree.count) == cells + 1 else \
            "falls into a cell that is taken, which is divided until both are apart"
        cells = len(tree.count)
        yield state(f"point {count - 1} at {tuple(POINTS[count - 1].tolist())} {what}", QuadTree.insert,
                    "Put a point into the tree", {"the square": picture(tree), "the tree": str(tree)},
                    line="while len(self.members[node]) > self.leaf_size")
    parent = {int(c): node for node, children in enumerate(tree.child) for c in children if c >= 0}
    for theta in THETAS:
        far, near = cells_used(tree, POINTS[0], theta)
        opened = set()
        for node in far + near:
            while node in parent:
                node = parent[node]
                opened.add(node)
        yield state(f"point 0 looks around, theta = {theta:g}: cells as one mass {len(far)}, point by point {len(near)}",
                    cells_used, "where  side of the cell / ||y_i - y_cell|| < theta",
                    {"the cells that it meets": table(tree, far, near, opened)}, line="far.append(node)")
    exact = repulsion_ref(tree, 0)[0]
    for theta in THETAS:
        found, Z = repulsion_ref(tree, theta)
        yield state(f"theta = {theta:g}: the repulsion of all six", repulsion_ref, "n w^2 (y_i - y_cell)",
                    {"repulsion": found, "less the exact one": np.round(found - exact, 12), "Z": Z},
                    line="repulsion[i] += tree.count[node]")


def picture(tree):
    """Return the cells and points of a tree as text: y points up, a point is its number."""
    side = round(tree.square[2])
    canvas = np.full((side * DOWN + 1, side * ACROSS + 1), " ")
    for corner, width in zip(tree.corner, tree.width):
        left, right = (round(x * ACROSS) for x in (corner[0], corner[0] + width))
        bottom, top = (len(canvas) - 1 - round(y * DOWN) for y in (corner[1], corner[1] + width))
        canvas[[top, bottom], left:right + 1] = "-"
        canvas[top:bottom + 1, [left, right]] = "|"
    for k, (x, y) in enumerate(tree.points):
        canvas[len(canvas) - 1 - round(y * DOWN), round(x * ACROSS)] = str(k)
    return "\n".join("".join(line) for line in canvas)


def table(tree, far, near, opened):
    """Return a line for each cell that a point meets on its way down, and what becomes of it."""
    lines = ["level  points  side  distance  side / distance"]
    for node in sorted([*far, *near, *opened]):
        distance = np.linalg.norm(POINTS[0] - tree.center_of_mass[node])
        ratio = tree.width[node] / distance if distance > 0 else np.inf
        verdict = "one mass" if node in far else "point by point" if node in near else "look closer"
        lines.append(f"{'  ' * tree.level[node]}{tree.level[node]:<{9 - 2 * tree.level[node]}}{tree.count[node]:>4}"
                     f"{tree.width[node]:>6.3g}{distance:>10.3f}{ratio:>17.3f}   {verdict}: "
                     f"{', '.join(map(str, sorted(tree.points_in(node).tolist())))}")
    return "\n".join(lines)
