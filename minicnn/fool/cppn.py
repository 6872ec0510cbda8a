"""CPPN: a picture as a small network of functions. Slide "Deep Neural Networks are Easily Fooled" (Nguyen, Yosinski, Clune).

    colour(i, j) = outputs of a graph without cycles, fed with x, y, the distance from the centre, and 1
    node = f(sum over its connections of w source),   f: sine, sigmoid, gaussian 2 exp(-z^2) - 1, or linear

A picture made so has symmetries, repetitions and smooth borders, as things have, and no end of detail. It is drawn at any size:
x and y run from -1 to 1, the distance from 0 to 2, in the corners. Three outputs are hue, lightness |l| and saturation |s|,
one is grey; what goes beyond 1 is 1.
Evolution changes the graph: mutation adds, removes, moves and reweighs; crossover gives a child the graph of its first parent,
and of the connections that both have the weight of one or the other. A node's number is drawn when it is made, so that equal
numbers mean a common ancestor, as NEAT's do.
Source: K. Stanley 2007 (CPPN), K. Stanley and R. Miikkulainen 2002 (NEAT); rates of A. Nguyen, J. Yosinski and J. Clune 2015.
"""
import json
import math
from dataclasses import dataclass

import numpy as np

from ..checks import number, whole_number
from ..errors import SettingError
from .variation import polynomial_mutation

INPUTS = ("x", "y", "distance", "bias")             # nodes 0, 1, 2, 3; the outputs are -1, -2, -3
FUNCTIONS = {"sine": np.sin, "sigmoid": lambda z: np.tanh(z / 2), "gaussian": lambda z: 2 * np.exp(-z * z) - 1,
             "linear": lambda z: z}
LARGEST, DECIMALS = 10.0, 4                         # weights lie in -10..10, and are as long as a file need hold
MOST_NODES, MOST_PIXELS = 200, 2048                 # a side; every node has an array of that size while a picture is drawn


@dataclass(frozen=True)
class Cppn:
    """A graph: `nodes` {number: name of its function}, hidden ones and outputs; `connections` {(source, target): weight}."""
    nodes: dict
    connections: dict


@dataclass(frozen=True)
class CppnEncoding:
    """How such genomes begin, vary and are drawn, for pictures of `size` = (height, width) and 1 or 3 channels.

    Rates are probabilities per child, `weight` and `function` per connection and node. eta: of the polynomial mutation.
    """
    size: tuple
    channels: int = 3
    add_connection: float = 0.5
    delete_connection: float = 0.3
    change_connection: float = 0.5
    add_node: float = 0.5
    delete_node: float = 0.2
    weight: float = 0.3
    function: float = 0.1
    eta: float = 15.0
    crossover: float = 0.25

    def __post_init__(self):
        if np.shape(self.size) != (2,) or self.channels not in (1, 3):
            raise SettingError(f"CppnEncoding: size is {self.size!r} and channels {self.channels!r}, expected (height, width) "
                               "and 1 or 3")
        for side in self.size:
            whole_number("CppnEncoding", "size", side, 1, MOST_PIXELS)
        number("CppnEncoding", "eta", self.eta, at_least=0)
        for name in ("add_connection", "delete_connection", "change_connection", "add_node", "delete_node", "weight",
                     "function", "crossover"):
            number("CppnEncoding", f"the rate {name}", getattr(self, name), at_least=0, at_most=1)

    def random(self, rng):
        """Return a first genome: every output fed by some of the inputs and by a hidden node, which all of them feed."""
        outputs, hidden = [-1 - k for k in range(self.channels)], _new_number((), rng)
        pairs = [(source, target) for target in (hidden, *outputs) for source in range(len(INPUTS))
                 if target == hidden or rng.random() < 0.5] + [(hidden, target) for target in outputs]
        return Cppn({node: _any_function(rng) for node in (hidden, *outputs)},
                    {pair: _first_weight(rng) for pair in pairs})

    def crossed(self, first, second, rng):
        """Return a child with the graph of the first; a connection that both have gets the weight of either."""
        return Cppn(dict(first.nodes), {pair: second.connections[pair] if pair in second.connections and rng.random() < 0.5
                                        else weight for pair, weight in first.connections.items()})

    def mutated(self, genome, rng, generation=0):
        """Return a genome that differs: each change happens at its own rate."""
        nodes, connections = dict(genome.nodes), dict(genome.connections)
        for rate, change in ((self.add_connection, _add_connection), (self.delete_connection, _delete_connection),
                             (self.change_connection, _change_connection), (self.add_node, _add_node),
                             (self.delete_node, _delete_node)):
            if rng.random() < rate:
                change(nodes, connections, rng)
        nodes = {node: _any_function(rng) if rng.random() < self.function else name for node, name in nodes.items()}
        weights = polynomial_mutation(np.array([*connections.values()]), self.weight, self.eta, rng, -LARGEST, LARGEST)
        return Cppn(nodes, dict(zip(connections, weights.round(DECIMALS).tolist())))

    def render(self, genomes):
        """Return the pictures as pixels (N, C, H, W) float32 in 0..1."""
        return np.stack([drawn(genome, self.size, self.channels) for genome in genomes])

    def to_text(self, genome):
        """Return a genome as JSON."""
        return json.dumps([list(genome.nodes.items()), [[*pair, weight] for pair, weight in genome.connections.items()]])

    def from_text(self, text):
        """Return the genome of a `to_text`; raises SettingError for text that is none, which may come from anywhere."""
        try:
            nodes, connections = json.loads(text)
            genome = Cppn({int(node): name for node, name in nodes}, {(int(s), int(t)): float(w) for s, t, w in connections})
            known = {*range(len(INPUTS)), *genome.nodes}
            fine = set(genome.nodes.values()) <= set(FUNCTIONS)
            fine = fine and all(source in known and target in genome.nodes for source, target in genome.connections)
            fine = fine and all(node < 0 or node >= len(INPUTS) for node in genome.nodes)
            fine = fine and all(abs(w) <= LARGEST for w in genome.connections.values()) and len(genome.nodes) <= MOST_NODES + 3
            fine = fine and {-1 - k for k in range(self.channels)} <= set(genome.nodes)
            if fine:
                in_order(genome, genome.nodes)                          # raises where there is a cycle
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise SettingError(f"CppnEncoding: this is no genome ({type(error).__name__}: {str(error)[:100]}); the file is "
                               "damaged") from None
        if not fine:
            raise SettingError(f"CppnEncoding: this is no genome of {self.channels} outputs, known functions and weights up to "
                               f"{LARGEST:g}; the file is damaged, or of another encoding")
        return genome


def in_order(genome, wanted=None):
    """Return the nodes that the wanted ones depend on, the outputs unless given, each after its sources.

    Raises ValueError where there is a cycle.
    """
    sources = {node: [] for node in genome.nodes}
    for source, target in genome.connections:
        sources[target].append(source)
    order, state, stack = [], {}, [node for node in genome.nodes if node < 0] if wanted is None else list(wanted)
    while stack:
        node = stack.pop()
        if node in range(len(INPUTS)) or state.get(node) == "done":
            continue
        if state.get(node) == "open":               # all its sources are done
            state[node] = "done"
            order.append(node)
            continue
        state[node] = "open"
        for source in sources[node]:
            if state.get(source) == "open":
                raise ValueError(f"a cycle through node {source}")
        stack += [node, *sources[node]]
    return order


def drawn(genome, size, channels):
    """Return a genome's picture (C, H, W) float32 in 0..1."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    values = {0: np.broadcast_to(x, size), 1: np.broadcast_to(y[:, None], size), 3: np.ones(size, np.float32)}
    values[2] = np.hypot(values[0], values[1]) * np.float32(math.sqrt(2))
    incoming = {node: [] for node in genome.nodes}
    for (source, target), weight in genome.connections.items():
        incoming[target].append((source, np.float32(weight)))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for node in in_order(genome):
            z = sum((weight * values[source] for source, weight in incoming[node]), np.zeros(size, np.float32))
            values[node] = FUNCTIONS[genome.nodes[node]](z)
        out = np.nan_to_num(np.stack([values[-1 - k] for k in range(channels)]))
    return np.minimum(np.abs(out), 1) if channels == 1 else to_rgb(out[0], *np.minimum(np.abs(out[1:]), 1))


def to_rgb(hue, lightness, saturation):
    """Return red, green and blue (3, H, W): lightness - a max(-1, min(k - 3, 9 - k, 1)), k = n + 12 hue, n = 0, 8, 4.

    a = saturation min(lightness, 1 - lightness); the hue is a circle, 1 is 0 again.
    """
    k = (np.array([0, 8, 4], hue.dtype).reshape(3, 1, 1) + 12 * (hue % 1)) % 12
    a = saturation * np.minimum(lightness, 1 - lightness)
    return (lightness - a * np.maximum(-1, np.minimum(np.minimum(k - 3, 9 - k), 1))).clip(0, 1).astype(np.float32)


# --- what a mutation may do; `nodes` and `connections` are the child's own, and change in place ---------------------------
def _new_number(nodes, rng):
    number = int(rng.integers(len(INPUTS), 2 ** 31))
    return number if number not in nodes else _new_number(nodes, rng)


def _first_weight(rng):
    return round(float(rng.uniform(-3, 3)), DECIMALS)


def _any_function(rng):
    return list(FUNCTIONS)[rng.integers(len(FUNCTIONS))]


def _any(keys, rng):
    keys = list(keys)
    return keys[rng.integers(len(keys))] if keys else None


def _reaches(start, goal, connections):
    """Say whether a path leads from one node to another."""
    seen, stack = set(), [start]
    while stack:
        node = stack.pop()
        if node == goal:
            return True
        seen.add(node)
        stack += [target for source, target in connections if source == node and target not in seen]
    return False


def _add_connection(nodes, connections, rng):
    source = _any([*range(len(INPUTS)), *(node for node in nodes if node > 0)], rng)
    target = _any(nodes, rng)
    if (source, target) not in connections and not _reaches(target, source, connections):
        connections[source, target] = _first_weight(rng)


def _delete_connection(nodes, connections, rng):
    connections.pop(_any(connections, rng), None)


def _change_connection(nodes, connections, rng):
    """Give a connection another source."""
    old = _any(connections, rng)
    if old is not None:
        weight, source = connections.pop(old), _any([*range(len(INPUTS)), *(node for node in nodes if node > 0)], rng)
        fits = (source, old[1]) not in connections and not _reaches(old[1], source, connections)
        connections[(source, old[1]) if fits else old] = weight


def _add_node(nodes, connections, rng):
    """Put a node into the middle of a connection."""
    pair = _any(connections, rng)
    if pair is not None and len(nodes) < MOST_NODES:
        node, weight = _new_number(nodes, rng), connections.pop(pair)
        nodes[node] = _any_function(rng)
        connections[pair[0], node], connections[node, pair[1]] = 1.0, weight


def _delete_node(nodes, connections, rng):
    node = _any([node for node in nodes if node > 0], rng)
    if node is not None:
        del nodes[node]
        for pair in [pair for pair in connections if node in pair]:
            del connections[pair]
