"""Looking at the tape: what a forward pass recorded and what a backward pass sends back, as a table or drawn.

    tape = minicnn.trace.tape(loss)                             # any Tensor that something was recorded for
    tape = minicnn.trace.tape(loss, backward=True)              # with dL/d(output) of every op
    tape = minicnn.trace.network_tape(net, x, "conv10")         # the layers by name, and what they answered
    print(tape)
    tape.save_svg("tape.svg")                                   # for a browser

    y = op(x_1, x_2, ...)           a row of the tape: the op, its inputs' rows, the shape of y, what it saved for the way back
    dL/dx = sum over uses y of x of (dy/dx)^T dL/dy             its gradient: norm, least and largest number

The tape holds no activations (see tape.py): the numbers of an output are told where its Tensor is given by name. Inputs that
take no gradient, frozen weights for one, are not on it. `python -m minicnn.trace squeezenet1_1` prints that of a network.
"""
import argparse
import os
import reprlib
import sys
from dataclasses import dataclass

import numpy as np

from .device import DeviceArray, to_host
from .drawing import as_svg
from .errors import MinicnnError, SettingError, TapeError, UnknownNameError
from .files import replacing
from .nets import build
from .nn import Network
from .tape import backward_steps, topological_order
from .tensor import Tensor
from .weights import load


@dataclass(frozen=True)
class Numbers:
    """What is told of an array: sqrt(sum of squares), the least and the largest number."""
    norm: float
    low: float
    high: float

    def __str__(self):
        return f"{self.low:.3g}" if self.low == self.high else f"{self.low:.3g} .. {self.high:.3g}"


@dataclass(frozen=True)
class Row:
    """An op, or a leaf, of a tape: `inputs` are the numbers of the rows that it read, in the op's order."""
    name: str                   # the layer's or the parameter's; "" where it has none
    op: str                     # "leaf" for a Tensor that no op made
    inputs: tuple
    shape: tuple
    saved: dict                 # name -> shape of the arrays kept for the backward pass; None if they were let go
    parameters: int             # numbers that the layer has learnt, frozen or not; of a weight's leaf: its own
    values: Numbers             # of the output, None where its Tensor was not given
    gradient: Numbers           # dL/d(output), None where none is known


@dataclass(frozen=True)
class Tape:
    """The rows in the order in which they ran, each after those that it reads; the last is the Tensor asked about."""
    rows: tuple
    dtype: np.dtype
    bytes_saved: int            # of all arrays kept for the backward pass, each counted once
    has_backward: bool          # whether the gradients are those of a backward pass from the last row

    def __str__(self):
        ops = [row for row in self.rows if row.op != "leaf"]
        parameters = sum(row.parameters for row in ops)
        head = (f"{_counted(len(ops), 'op')} and {_counted(len(self.rows) - len(ops), 'leaf', 'leaves')}, {self.dtype}, "
                + (f"{_counted(parameters, 'parameter')}, " if parameters else "")
                + f"{_size(self.bytes_saved)} saved for the way back")
        forward = "\n".join([head, "", *_table(_forward_columns(self.rows))])
        if not any(row.gradient for row in self.rows):
            return forward
        way = "the way back, from the last row to the leaves" if self.has_backward else "gradients that were kept"
        return "\n".join([forward, "", way, "", *_table(_backward_columns(self.rows))])

    def svg(self):
        """Return the graph as the text of an SVG picture: a box for each row, inputs above, arrows from what is read."""
        return as_svg([_box_lines(row) for row in self.rows], [row.inputs for row in self.rows],
                      [_kind(row) for row in self.rows])

    def save_svg(self, path):
        """Write `svg()` into a file, whole or not at all. Raises SettingError where it cannot be written."""
        try:
            with replacing(os.fspath(path)) as temporary, open(temporary, "w", encoding="utf-8") as file:
                file.write(self.svg())
        except OSError as error:
            raise SettingError(f"save_svg: {os.fspath(path)!r} cannot be written ({error.strerror}); give a file in an existing "
                               "folder") from None


# --- reading the tape -------------------------------------------------------------------------------------------------
def tape(tensor, names=None, *, backward=False, seed=None, parameters=None):
    """Return the Tape of a Tensor: all that it was computed from.

    names: dict name -> Tensor, of leaves and outputs that have one, as `net.activations(x)` and `net.parameters()` give them.
    backward: run a backward pass as well, with dL/d(tensor) = `seed` (default 1, of a single number), under the ReLU rule in
    force; no Tensor's `grad` changes. Without it the gradients are those that earlier passes left. parameters: dict name -> how
    many numbers that layer or leaf has learnt. Raises TapeError where nothing was recorded.
    """
    if not isinstance(tensor, Tensor) or tensor.node is None:
        raise TapeError("trace.tape: nothing was recorded for this; give a Tensor that was computed outside no_grad() from one "
                        "with requires_grad=True")
    if not isinstance(names or {}, dict) or not all(isinstance(named, Tensor) for named in (names or {}).values()):
        raise SettingError(f"trace.tape: names is {reprlib.repr(names)}, expected a dict name -> Tensor, as net.activations(x) "
                           "gives it")
    nodes = topological_order(tensor.node, turned=True)[::-1]
    gradients = _gradients(tensor, seed) if backward or seed is not None else {
        node: numbers_of(node.grad) for node in nodes if node.grad is not None}
    called, values = {}, {tensor.node: numbers_of(tensor.array)}
    for name, named in (names or {}).items():
        if named.node is not None:
            called.setdefault(named.node, name)         # dropout that does nothing gives its input back: the first name stays
            values[named.node] = numbers_of(named.array)
    place, saved = {node: k for k, node in enumerate(nodes)}, {}
    rows = []
    for node in nodes:
        kept = _saved(node)
        saved.update({id(array): array.size * array.dtype.itemsize for array in (kept or {}).values()})
        name = called.get(node, "")
        rows.append(Row(name, node.op.__name__ if node.op else "leaf", tuple(place[p] for p in node.parents if p is not None),
                        node.shape, None if kept is None else {key: array.shape for key, array in kept.items()},
                        (parameters or {}).get(name, 0), values.get(node), gradients.get(node)))
    return Tape(tuple(rows), np.dtype(tensor.dtype), sum(saved.values()), backward or seed is not None)


def network_tape(net, x, layer=None, *, seed=None, backward=False):
    """Return the Tape of a network's pass over x (N, C, H, W), up to a layer (default: the last), with the layers' names.

    backward: from the strongest number of that layer, or with dL/d(layer) = `seed`. Raises UnknownNameError, ShapeError.
    """
    if not isinstance(net, Network) or not net.layers:
        raise SettingError(f"trace.network_tape: net is {net!r}, expected a Network with layers")
    x = Tensor(x.array if isinstance(x, Tensor) else np.asarray(x, net.dtype), requires_grad=True)
    acts = net.activations(x, upto=layer)
    end = acts[next(reversed(acts))]
    if backward and seed is None:
        seed = np.zeros(end.shape)
        seed.flat[to_host(end.array).argmax()] = 1
    counts = {name: sum(p.size for p in step.parameters.values()) for name, (step, _) in net.layers.items()}
    counts.update({name: p.size for name, p in net.parameters().items()})
    return tape(end, {"data": x, **net.parameters(), **acts}, seed=seed, parameters=counts)


def numbers_of(array):
    """Return the Numbers of an array, of one on a GPU as well."""
    array = np.asarray(to_host(array), np.float64)
    return Numbers(float(np.linalg.norm(array)), float(array.min(initial=np.inf)), float(array.max(initial=-np.inf)))


def _gradients(tensor, seed):
    """Return node -> Numbers of dL/d(its output) for every node that a backward pass reaches; the grads that are kept stay."""
    nodes = topological_order(tensor.node)
    before = {node: node.grad for node in nodes}
    try:
        for node in nodes:
            node.grad = None
        told = {step.node: numbers_of(step.dout) for step in backward_steps(tensor, seed)}
        told.update({node: numbers_of(node.grad) for node in nodes if node.op is None and node.grad is not None})
    finally:
        for node, grad in before.items():
            node.grad = grad
    return told


def _saved(node):
    """Return name -> array of what the op saved for its backward pass, None where it was let go."""
    if node.op is None:
        return {}
    return None if node.ctx is None else {key: value for key, value in vars(node.ctx).items()
                                          if isinstance(value, (np.ndarray, DeviceArray))}


# --- as text ----------------------------------------------------------------------------------------------------------
def _forward_columns(rows):
    """Return heading -> texts of the table of the forward pass, a text for each row."""
    saved = ["let go" if row.saved is None else ", ".join(f"{key} {shape_text(shape)}" for key, shape in row.saved.items())
             for row in rows]
    return {">#": [str(k) for k in range(len(rows))], "name": [row.name for row in rows], "op": [row.op for row in rows],
            "inputs": [" + ".join(f"#{k} {shape_text(rows[k].shape)}" for k in row.inputs) for row in rows],
            "output": [shape_text(row.shape) for row in rows],
            ">parameters": [f"{row.parameters:,}" if row.parameters else "" for row in rows],
            "values": [str(row.values) if row.values else "" for row in rows], "saved": saved}


def _backward_columns(rows):
    """Return heading -> texts of the table of the gradients, in the order of the way back."""
    told = [(k, row) for k, row in enumerate(rows) if row.gradient][::-1]
    return {">#": [str(k) for k, _ in told], "name": [row.name for _, row in told], "op": [row.op for _, row in told],
            "shape": [shape_text(row.shape) for _, row in told], ">norm": [f"{row.gradient.norm:.3g}" for _, row in told],
            ">least": [f"{row.gradient.low:.3g}" for _, row in told],
            ">largest": [f"{row.gradient.high:.3g}" for _, row in told]}


def _table(columns):
    """Return the lines of a table; a heading that begins with > stands to the right, and so does its column. Empty ones go."""
    columns = {heading: texts for heading, texts in columns.items() if any(texts)}
    aligned = []
    for heading, texts in columns.items():
        cells = [heading.lstrip(">"), *texts]
        width = max(map(len, cells))
        aligned.append([cell.rjust(width) if heading.startswith(">") else cell.ljust(width) for cell in cells])
    return ["  ".join(line).rstrip() for line in zip(*aligned)]


def shape_text(shape):
    """Return a shape as 1x3x224x224; that of a single number as "number"."""
    return "x".join(map(str, shape)) or "number"


def _counted(count, one, many=None):
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _size(count):
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1e6:,.2f} MB"


def _kind(row):
    """Return what a box is drawn as: an "op", a "parameter" or another "leaf"."""
    return "op" if row.op != "leaf" else "parameter" if row.parameters else "leaf"


def _box_lines(row):
    """Return what stands in a box: the name, the op with the shape, and what is known of the numbers."""
    lines = [row.name, f"{row.op}  {shape_text(row.shape)}"] if row.name else [row.op, shape_text(row.shape)]
    if row.parameters and row.op != "leaf":
        lines.append(_counted(row.parameters, "parameter"))
    if row.values and row.shape in ((), (1,)):
        lines.append(f"value {row.values}")
    if row.gradient:
        lines.append(f"gradient {row.gradient}" if row.shape in ((), (1,)) else f"|gradient| {row.gradient.norm:.3g}")
    return lines


# --- the command ------------------------------------------------------------------------------------------------------
def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m minicnn.trace", description="Print the tape of a network's forward and "
                                     "backward pass.")
    parser.add_argument("net", help="a network in weights/, an .h5 file, or an architecture, which gets random weights")
    parser.add_argument("--image", metavar="FILE", help="a picture (default: noise)")
    parser.add_argument("--layer", help="where the pass ends (default: the scores)")
    parser.add_argument("--svg", metavar="FILE", help="draw the graph into this file")
    options = parser.parse_args(arguments)
    try:
        net, note = _found(options.net)
        size, channels = net.preprocessing.size, len(net.preprocessing.mean)
        size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        x = net.preprocess(options.image) if options.image else np.random.default_rng(0).standard_normal((1, channels, *size))
        found = network_tape(net, x, options.layer, backward=True)
        print(f"{options.net}{note}, the gradient of the largest number of its end\n{found}")
        if options.svg:
            found.save_svg(options.svg)
            print(f"\ndrawn: {options.svg}")
    except MinicnnError as error:
        print(f"minicnn.trace: {error}", file=sys.stderr)
        return 2
    return 0


def _found(name):
    """Return (the network, what to say about its weights)."""
    try:
        return load(name), ""
    except UnknownNameError:
        return build(name, rng=0), " with random weights"


if __name__ == "__main__":
    sys.exit(main())
