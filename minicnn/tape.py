"""The tape: reverse-mode differentiation over a recorded graph.

Every op whose result somebody may want a gradient of leaves a Node: which op it was, what its backward pass needs
(`ctx`), and the nodes of its inputs. The chain rule, dL/dx = sum over uses y of x of (dy/dx)^T dL/dy, is then a walk
over the nodes from the loss back to the leaves, in an order in which a node comes after everything that used it.

A Node does not hold the activations, only what the op saved of them in `ctx`: an activation that no backward pass needs
is freed as soon as nobody holds its Tensor.
"""
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from .backend import current
from .device import DeviceArray, to_device, to_host
from .errors import BackendError, TapeError

_recording = ContextVar("minicnn_recording", default=True)
_relu_rule = ContextVar("minicnn_relu_rule", default="backprop")
RELU_RULES = ("backprop", "deconvnet", "guided")


class Node:
    """One recorded op, or (`op` None) a leaf that wants a gradient."""

    __slots__ = ("op", "ctx", "parents", "shape", "grad", "keeps_grad", "__weakref__")

    def __init__(self, op, ctx, parents, shape):
        self.op = op                    # class with a static backward(ctx, dout)
        self.ctx = ctx                  # what forward saved for backward
        self.parents = parents          # a Node, or None for an input without gradient, per input of the op
        self.shape = shape
        self.grad = None
        self.keeps_grad = op is None    # leaves keep theirs; other nodes on demand (Tensor.retain_grad)

    def accumulate(self, grad):
        """Add `grad` to what earlier backward passes left, in a new array."""
        if isinstance(grad, DeviceArray) and (self.grad is None or isinstance(self.grad, DeviceArray)):
            self.grad = grad if self.grad is None else self.grad + grad         # nobody writes to these
        else:
            grad = to_host(grad)
            self.grad = np.array(grad if self.grad is None else to_host(self.grad) + grad)


@dataclass(frozen=True)
class BackwardStep:
    """One step of the backward pass: the op, dL/d(its output), and dL/d(each input), None where none was asked.

    On a GPU they are DeviceArrays; `minicnn.device.to_host(step.dout)` copies one.
    """
    op: str
    dout: object                # an array like the op's output
    dinputs: tuple
    node: Node = None           # where the op was recorded


def topological_order(root, turned=False):
    """Return the nodes that `root` depends on, each after all nodes that use it; iterative, so any depth is fine.

    turned: an op's first input comes last, so that read backwards it is the order in which they most likely ran.
    """
    ### BEGIN SOLUTION hw1.7
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            parents = reversed(node.parents) if turned else node.parents
            stack.extend((p, False) for p in parents if p is not None and p not in seen)
    return order[::-1]
    ### END SOLUTION hw1.7


def backward_steps(tensor, seed=None, retain_graph=True):
    """Walk back from `tensor` with dL/d(tensor) = `seed`, yielding a BackwardStep after each op; leaves get `.grad`.

    `seed` is an array of the tensor's shape (default 1 for a tensor of one element). With `retain_graph=False` every
    node lets go of what it saved as soon as it has been passed: less memory, but only one backward pass.
    """
    root = tensor.node
    if root is None:
        raise TapeError("backward: nothing was recorded; give an input requires_grad=True and stay outside no_grad()")
    grads = {root: _checked_seed(tensor, seed)}
    for node in topological_order(root):
        dout = grads.pop(node, None)
        if dout is None:            # nothing flowed here: an op may give None for an input it does not depend on
            continue
        if node.keeps_grad:
            node.accumulate(dout)
        if node.op is None:
            continue
        on_gpu = isinstance(dout, DeviceArray)
        if on_gpu != (current() == "cuda"):
            raise BackendError(f"backward: the forward pass ran on {'the GPU' if on_gpu else 'the CPU'} and the backend in use "
                               f"is {current()!r}; run both in the same use(...)")
        if node.ctx is None:
            raise TapeError("backward: this graph was freed by an earlier backward(retain_graph=False); "
                            "run the forward pass again or keep the graph")
        ### BEGIN SOLUTION hw1.7
        dinputs = node.op.backward(node.ctx, dout)
        for parent, grad in zip(node.parents, dinputs):
            if parent is None or grad is None:
                continue
            if grad.shape != parent.shape:
                raise TapeError(f"backward of {node.op.__name__}: gradient of shape {grad.shape} "
                                f"for an input of shape {parent.shape}")
            # `+`, never `+=`: the array may be shared with another input or with the caller.
            grads[parent] = grads[parent] + grad if parent in grads else grad
        ### END SOLUTION hw1.7
        if not retain_graph:
            node.ctx = None
        yield BackwardStep(node.op.__name__, dout, tuple(dinputs), node)


def backward(tensor, seed=None, retain_graph=True):
    """Run all of `backward_steps`; afterwards the leaves that require a gradient have it in `.grad`."""
    for _ in backward_steps(tensor, seed, retain_graph):
        pass


def _checked_seed(tensor, seed):
    on_gpu = isinstance(tensor.array, DeviceArray)
    if on_gpu and isinstance(seed, DeviceArray) and (seed.shape, seed.dtype) == (tensor.shape, tensor.dtype):
        return seed
    seed = _seed(tensor, seed)
    return to_device(seed) if on_gpu else seed


def _seed(tensor, seed):
    if seed is None:
        if tensor.size != 1:
            raise TapeError(f"backward: a tensor of shape {tensor.shape} needs a seed, an array of the same shape "
                            "(only a single number can do without)")
        return np.ones(tensor.shape, tensor.dtype)
    try:
        seed = np.asarray(seed, dtype=tensor.dtype, order="C")
    except (TypeError, ValueError):
        raise TapeError(f"backward: the seed is {seed!r}, expected an array of shape {tensor.shape}") from None
    if seed.shape != tensor.shape:
        raise TapeError(f"backward: the seed has shape {seed.shape}, the tensor {tensor.shape}")
    return seed


class _Override:
    """Set a ContextVar for a `with` block and put the old value back, whatever happens inside."""

    def __init__(self, variable, value):
        self._variable, self._value, self._tokens = variable, value, []

    def __enter__(self):
        self._tokens.append(self._variable.set(self._value))

    def __exit__(self, *exc_info):
        self._variable.reset(self._tokens.pop())


def no_grad():
    """Return a context manager in which nothing is recorded."""
    return _Override(_recording, False)


def recording():
    """Return whether ops are being recorded."""
    return _recording.get()


def relu_rule(name):
    """Return a context manager around a backward call: what every ReLU passes back (slide "Guided backprop").

    "backprop" the gradient, "deconvnet" Zeiler and Fergus' rule, "guided" both masks; the formulas stand in ops/relu.py.
    """
    if name not in RELU_RULES:
        raise TapeError(f"relu_rule {name!r} is unknown; choose one of {', '.join(map(repr, RELU_RULES))}")
    return _Override(_relu_rule, name)


def current_relu_rule():
    """Return the rule in force: "backprop", "deconvnet" or "guided"."""
    return _relu_rule.get()
