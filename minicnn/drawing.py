"""Drawing a graph without cycles as SVG: boxes in rows, what is read above what reads it. The layout of Sugiyama et al. 1981.

    row(box) = 1 + the largest row of what it reads;  a box that reads nothing stands right above its first reader
    an edge over several rows gets a narrow place of its own in each row between, so that it never runs through a box
    order within a row: sorted by the mean place of the neighbours in the row above, then below, a few times over
    x: sum over edges of (x_a - x_b)^2 made small, row by row, under x_(k+1) - x_k >= half of both widths and a gap

The last step, for one row, is least squares under an order, which pooling adjacent violators solves (`spread`). `layout` computes
where everything stands and `as_svg` writes it down. Source: K. Sugiyama, S. Tagawa and M. Toda, IEEE Trans. SMC 11, 1981.
"""
from dataclasses import dataclass
from xml.sax.saxutils import escape

LINE, LETTER, PADDING, GAP, ROW_GAP, MARGIN = 17, 7.3, 12, 26, 42, 24       # pixels
STYLE = """
svg { --ground: #ffffff; --ink: #1c2733; --edge: #7a8794; --op: #dcebfa; --leaf: #fdeccd; --parameter: #e3f3df; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #14181d; --ink: #e8edf2; --edge: #8b98a5; --op: #23384f; --leaf: #54421f; --parameter: #264527; }
}
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink); }
text.first { font-weight: bold; }
rect { stroke: var(--edge); }
rect.ground { fill: var(--ground); stroke: none; }
rect.op { fill: var(--op); } rect.leaf { fill: var(--leaf); } rect.parameter { fill: var(--parameter); }
path { fill: none; stroke: var(--edge); stroke-width: 1.5; }
path.head { fill: var(--edge); stroke: none; }
"""


@dataclass(frozen=True)
class Layout:
    """Where things stand, in pixels: boxes (left, top, width, height); edges, lists of the points that they run through."""
    boxes: list
    edges: list
    width: float
    height: float


def layout(sizes, inputs):
    """Return the Layout of boxes of sizes (width, height), box k reading the boxes `inputs[k]`, all of them before k."""
    rows = _rows(inputs)
    pairs = [(source, k) for k, sources in enumerate(inputs) for source in dict.fromkeys(sources)]
    places, widths, above = list(rows), [width for width, _ in sizes], [[] for _ in sizes]     # of boxes, then of passing edges
    chains = []
    for source, target in pairs:
        chain = [source]
        for row in range(rows[source] + 1, rows[target]):
            places.append(row)
            widths.append(GAP / 2)
            above.append([chain[-1]])
            chain.append(len(places) - 1)
        above[target].append(chain[-1])
        chains.append([*chain, target])
    below = [[] for _ in places]
    for item, sources in enumerate(above):
        for source in sources:
            below[source].append(item)
    order = _ordered(places, above, below)
    x = _across(order, widths, above, below)
    heights = [max(sizes[k][1] for k in row if k < len(sizes)) for row in order]
    tops = [MARGIN + sum(heights[:row]) + ROW_GAP * row for row in range(len(order))]
    bottoms = [top + height for top, height in zip(tops, heights)]
    shift = MARGIN - min(x[k] - widths[k] / 2 for k in range(len(x)))
    boxes = [(x[k] - width / 2 + shift, tops[rows[k]], width, height) for k, (width, height) in enumerate(sizes)]
    edges = []
    for source, *passing, target in chains:
        points = [(x[source] + shift, boxes[source][1] + boxes[source][3])]
        for item in (*passing, target):         # sideways between the rows only: a neighbour may be taller
            points += [(points[-1][0], bottoms[places[item] - 1]), (x[item] + shift, tops[places[item]])]
        edges.append(points)
    right = max(x[k] + widths[k] / 2 for k in range(len(x))) + shift
    return Layout(boxes, edges, right + MARGIN, bottoms[-1] + MARGIN)


def _rows(inputs):
    """Return the row of each box."""
    rows = []
    for sources in inputs:
        rows.append(1 + max((rows[k] for k in sources if inputs[k]), default=0))
    for k, sources in enumerate(inputs):
        if not sources:
            rows[k] = min((rows[reader] - 1 for reader, read in enumerate(inputs) if k in read), default=0)
    least = min(rows)
    return [row - least for row in rows]


def _ordered(places, above, below, sweeps=8):
    """Return the items of each row from left to right, with few edges that cross."""
    order = [[] for _ in range(max(places) + 1)]
    for item, row in enumerate(places):
        order[row].append(item)
    for sweep in range(sweeps):
        neighbours = below if sweep % 2 else above
        rank = {item: (k + 0.5) / len(row) for row in order for k, item in enumerate(row)}
        for row in reversed(order) if sweep % 2 else order:
            wanted = {item: sum(rank[n] for n in neighbours[item]) / len(neighbours[item]) if neighbours[item] else rank[item]
                      for item in row}
            row.sort(key=wanted.get)
            rank.update({item: (k + 0.5) / len(row) for k, item in enumerate(row)})
    return order


def _across(order, widths, above, below, sweeps=20):
    """Return the middle of each item: near its neighbours in the rows above and below, and clear of those beside it."""
    x = [0.0] * len(widths)
    for sweep in range(sweeps):
        for row in reversed(order) if sweep % 2 else order:
            wanted = [sum(x[n] for n in (*above[k], *below[k])) / max(1, len(above[k]) + len(below[k])) for k in row]
            for k, middle in zip(row, spread(wanted, [widths[k] for k in row])):
                x[k] = middle
    return x


def spread(wanted, widths):
    """Return the middles nearest to those wanted, in this order, at which things so wide stand side by side with a gap.

        least sum (x_k - wanted_k)^2   under   x_(k+1) - x_k >= (width_k + width_(k+1)) / 2 + gap

    Less the room that those before it need, each must only not be smaller than the one before: pools of equal numbers.
    """
    room = [0.0]
    for left, right in zip(widths, widths[1:]):
        room.append(room[-1] + (left + right) / 2 + GAP)
    pools = []                                          # (sum, count) of what shares one number
    for want, before in zip(wanted, room):
        pools.append((want - before, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            (total, count), (more, others) = pools.pop(), pools.pop()
            pools.append((total + more, count + others))
    return [total / count + before for (total, count), before in
            zip([pool for pool in pools for _ in range(pool[1])], room)]


def as_svg(texts, inputs, kinds):
    """Return SVG: a box with the lines `texts[k]`, of the kind "op", "leaf" or "parameter", an arrow from each of `inputs[k]`."""
    sizes = [(max(map(len, lines)) * LETTER + 2 * PADDING, len(lines) * LINE + PADDING) for lines in texts]
    where = layout(sizes, inputs)
    width, height = round(where.width), round(where.height)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
             f"<style>{STYLE}</style>", f'<rect class="ground" width="{width}" height="{height}"/>']
    parts += [_arrow(points) for points in where.edges]
    for lines, kind, (left, top, wide, high) in zip(texts, kinds, where.boxes):
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="5"/>')
        for k, line in enumerate(lines):
            first = ' class="first"' if k == 0 else ""
            parts.append(f'<text{first} x="{left + PADDING:.1f}" y="{top + PADDING / 2 + LINE * (k + 0.75):.1f}">'
                         f"{escape(line)}</text>")
    return "\n".join([*parts, "</svg>", ""])


def _arrow(points):
    """Return a line through the points, which leaves and arrives straight down, with a head."""
    (x, y), *others = points
    steps, (end, bottom) = [f"M {x:.1f} {y:.1f}"], points[-1]
    for to_x, to_y in others:
        stop = to_y - 6 if (to_x, to_y) == (end, bottom) else to_y
        middle = (y + stop) / 2
        steps.append(f"C {x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {stop:.1f}")
        x, y = to_x, to_y
    head = f"M {end - 4.5:.1f} {bottom - 8:.1f} h 9 l -4.5 8 z"
    return f'<path d="{" ".join(steps)}"/><path class="head" d="{head}"/>'
