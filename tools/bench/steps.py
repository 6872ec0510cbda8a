"""A case as plain data; nothing of minicnn is imported here, since the peers' processes read it too."""
import math
from dataclasses import dataclass

import numpy as np

RATE = 1e-4         # of a training step


@dataclass(frozen=True)
class Step:
    """One op of a network, as it was called."""
    op: str                     # class of minicnn.ops, "Conv2d"
    inputs: tuple               # names: "x", a parameter "conv1/weight", the output of a step "3"; None for one left out
    settings: dict
    name: str                   # of the output
    shapes: tuple               # of the inputs
    out_shape: tuple


@dataclass(frozen=True)
class Case:
    """Steps, and what is to be done with them."""
    suite: str                  # ops, nets, train
    name: str                   # as the table shows it
    steps: tuple
    weights: str                # file .npz of the parameters by name
    shape: tuple                # of the input
    backward: bool = False      # to the input as well
    train: bool = False         # forward, backward to all weights, and a step of gradient descent
    scale: float = 50.          # of the input's random numbers
    style: tuple = ()           # of neural style's loss: (content layers, style layers), each (name, number of its step)

    @property
    def multiply_adds(self):
        """Of the definition: what Winograd saves counts as done. Backward to the image is as much again, training thrice."""
        forward = sum(_multiply_adds(step) for step in self.steps)
        return forward * (3 if self.train else 2 if self.backward else 1)

    @property
    def bytes(self):
        """What has to be read or written at least: inputs, weights and outputs, once each way."""
        forward = 4 * sum(sum(map(math.prod, step.shapes)) + math.prod(step.out_shape) for step in self.steps)
        return forward * (2 if self.backward else 1)


def _multiply_adds(step):
    if step.op in ("Conv2d", "Linear"):
        return math.prod(step.out_shape) * math.prod(step.shapes[1][1:])
    return 0


def input_of(case):
    """Return the input, the labels and the weight dL/d(output) of a case, the same in every process."""
    rng = np.random.RandomState(0)
    x = (rng.standard_normal(case.shape) * case.scale).astype(np.float32)
    labels = rng.randint(0, 10, case.shape[0])
    seed = rng.standard_normal(case.steps[-1].out_shape).astype(np.float32)
    return x, labels, seed


def plan(steps):
    """Return [(step, names of the values that nobody needs after it)], so that memory is let go of as in a program."""
    plan, needed = [], {steps[-1].name}
    for step in reversed(steps):
        inputs = {name for name in step.inputs if name is not None}
        plan.append((step, sorted(inputs - needed)))
        needed |= inputs
    return plan[::-1]
