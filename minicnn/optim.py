"""Optimisers: what is made of the gradients. Of each parameter p with gradient g (g + weight_decay p, if there is weight decay):

    SGD         v = momentum v + g                                  p -= lr v        Nesterov's: p -= lr (g + momentum v)
    Adam        m = b1 m + (1 - b1) g,  s = b2 s + (1 - b2) g^2     p -= lr (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps)
    Adadelta    s = rho s + (1 - rho) g^2,  d = sqrt((a + eps) / (s + eps)) g,  a = rho a + (1 - rho) d^2        p -= lr d

v, m, s and a begin at 0, t counts the optimiser's steps from 1 (torch counts those of each parameter; the same, unless one gets
its first gradient late). Names and conventions are those of torch.optim.

    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss.backward();  optimizer.step();  optimizer.zero_grad()

`lbfgs_steps` is for a single array, such as a picture, whose loss does not change from step to step.
Source: momentum B. Polyak 1964, Y. Nesterov 1983 (in the form of I. Sutskever et al. 2013); Adam D. Kingma and J. Ba 2014;
Adadelta M. Zeiler 2012, in ConvNetJS as here, with lr = 1 (its weight decay is divided by the batch size, ours is not).
"""
import contextvars
import itertools
import math
import queue
import reprlib
import threading
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from .errors import SettingError, ShapeError, TrainingError


class Optimizer:
    """What the optimisers share. `parameters`: dict name -> Tensor, as of net.parameters() while training."""

    def __init__(self, parameters, lr, weight_decay=0.0, slots=()):
        name = type(self).__name__
        if not isinstance(parameters, dict) or not parameters:
            raise SettingError(f"{name}: parameters is {reprlib.repr(parameters)}, expected net.parameters(), a dict of Tensors")
        self.parameters, self.lr = parameters, _number(name, "lr", lr, above=0)
        self.weight_decay, self.steps = _number(name, "weight_decay", weight_decay), 0
        self.slots = {slot: {key: np.zeros_like(p.data) for key, p in parameters.items()} for slot in slots}

    def step(self):
        """Change every parameter that has a gradient, in place. Raises SettingError if none has one."""
        if all(parameter.grad is None for parameter in self.parameters.values()):
            raise SettingError(f"{type(self).__name__}: no parameter has a gradient; call backward before step, and make the "
                               "optimiser after the weights were loaded or drawn, for that puts new ones in their place")
        self.steps += 1
        for key, parameter in self.parameters.items():
            if parameter.grad is not None:
                if not parameter.data.flags.writeable:
                    raise SettingError(f"{type(self).__name__}: {key} is frozen; call net.train() before the first step")
                gradient = parameter.grad
                if self.weight_decay:
                    gradient = gradient + self.weight_decay * parameter.data
                parameter.data -= self.update(gradient, *(slot[key] for slot in self.slots.values()))

    def update(self, gradient, *slots):
        """Return what is taken off the parameter; change the slots in place."""
        raise NotImplementedError

    def zero_grad(self):
        """Forget the gradients, which would add up over the backward passes otherwise."""
        for parameter in self.parameters.values():
            if parameter.requires_grad:
                parameter.grad = None

    def state(self):
        """Return what the steps so far have left, for a checkpoint: a dict of copies. Settings (lr, ...) are not in it."""
        arrays = {f"{slot}/{key}": array.copy() for slot, of in self.slots.items() for key, array in of.items()}
        return {"steps": np.array(self.steps), **arrays}

    def load_state(self, arrays):
        """Go on from a `state()`. Raises SettingError if it is of another optimiser or other parameters."""
        own = self.state()
        if set(own) != set(arrays) or any(own[key].shape != np.shape(arrays[key]) for key in own):
            odd = sorted(set(own) ^ set(arrays)) or [key for key in own if own[key].shape != np.shape(arrays[key])]
            raise SettingError(f"{type(self).__name__}: the state does not fit, {odd[0]!r} differs; it is that of another "
                               "optimiser or network")
        self.steps = int(arrays["steps"])
        for slot, of in self.slots.items():
            for key in of:
                of[key][...] = arrays[f"{slot}/{key}"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's."""

    def __init__(self, parameters, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
        self.momentum, self.nesterov = _number("SGD", "momentum", momentum, below=1), bool(nesterov)
        if nesterov and not momentum:
            raise SettingError("SGD: nesterov=True has no meaning without momentum; give momentum=0.9")
        super().__init__(parameters, lr, weight_decay, ("velocity",) if momentum else ())

    def update(self, gradient, velocity=None):
        if velocity is None:
            return self.lr * gradient
        velocity *= self.momentum
        velocity += gradient
        return self.lr * (gradient + self.momentum * velocity if self.nesterov else velocity)


class Adam(Optimizer):
    """Each number has a step of its own, of about lr whatever the size of its gradient."""

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise SettingError(f"Adam: betas is {betas!r}, expected two numbers such as (0.9, 0.999)") from None
        self.betas = _number("Adam", "each of betas", first, below=1), _number("Adam", "each of betas", second, below=1)
        self.eps = _number("Adam", "eps", eps)
        super().__init__(parameters, lr, weight_decay, ("mean", "square"))

    def update(self, gradient, mean, square):
        b1, b2 = self.betas
        mean *= b1
        mean += (1 - b1) * gradient
        square *= b2
        square += (1 - b2) * gradient ** 2
        return self.lr / (1 - b1 ** self.steps) * mean / (np.sqrt(square / (1 - b2 ** self.steps)) + self.eps)


class Adadelta(Optimizer):
    """The step's size is learned too: as large as the steps have been, over as large as the gradients have been."""

    def __init__(self, parameters, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
        self.rho, self.eps = _number("Adadelta", "rho", rho, below=1), _number("Adadelta", "eps", eps, above=0)
        super().__init__(parameters, lr, weight_decay, ("square", "moved"))

    def update(self, gradient, square, moved):
        square *= self.rho
        square += (1 - self.rho) * gradient ** 2
        step = np.sqrt((moved + self.eps) / (square + self.eps)) * gradient
        moved *= self.rho
        moved += (1 - self.rho) * step ** 2
        return self.lr * step


# --- schedules: functions of the step that return a learning rate; optimizer.lr = schedule(step) ----------------------
def multi_step(lr, milestones, gamma=0.1):
    """Return a schedule: lr, multiplied by gamma at each of the milestones, a list of steps."""
    lr, gamma = _number("multi_step", "lr", lr, above=0), _number("multi_step", "gamma", gamma, above=0)
    if not isinstance(milestones, (list, tuple)) or not all(isinstance(m, Real) for m in milestones):
        raise SettingError(f"multi_step: milestones is {milestones!r}, expected a list of steps")
    return lambda step: lr * gamma ** sum(step >= milestone for milestone in milestones)


def cosine(lr, steps, warmup=0, least=0.0):
    """Return a schedule: a straight rise during `warmup` steps, then half a cosine from lr down to `least` at step `steps`.

    Source: I. Loshchilov and F. Hutter, SGDR, 2016; the rise: P. Goyal et al. 2017.
    """
    lr, least = _number("cosine", "lr", lr, above=0), _number("cosine", "least", least)
    if not (isinstance(steps, Real) and isinstance(warmup, Real) and 0 <= warmup < steps < math.inf):
        raise SettingError(f"cosine: warmup is {warmup!r} of {steps!r} steps, expected numbers, fewer than all")

    def schedule(step):
        if step < warmup:
            return lr * (step + 1) / warmup
        done = min(1.0, (step - warmup) / (steps - warmup))
        return least + (lr - least) * (1 + math.cos(math.pi * done)) / 2
    return schedule


# --- L-BFGS -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LBFGSState:
    """A point on the way: step 0 is the start. Arrays are fresh."""
    step: int
    x: np.ndarray
    loss: float
    gradient_norm: float


def lbfgs_steps(function, start, *, bounds=None, history=10):
    """Yield LBFGSStates of x, from `start` on, until `function`, which returns (loss, gradient of x's shape), falls no further.

    The steps are SciPy's L-BFGS-B: a quasi-Newton method that knows the curvature from the last `history` gradients, with a line
    search; bounds: (least, largest) of every number in x, None for no bound. SciPy's loop runs in a thread that waits at each
    step until the next one is asked for. Raises ShapeError, SettingError, and whatever `function` raises.
    Source: R. Byrd, P. Lu, J. Nocedal and C. Zhu, SIAM J. Scientific Computing 16, 1995.
    """
    _check_lbfgs(function, bounds, history)
    last, step = None, itertools.count()
    x = np.array(start, dtype=float) if np.asarray(start).dtype.kind in "biuf" else np.zeros(0)
    if x.size == 0 or not np.isfinite(x).all():
        raise SettingError(f"lbfgs_steps: start {x.shape} is empty or holds numbers that are not finite")

    def measure(flat):
        nonlocal last
        loss, gradient = function(flat.reshape(x.shape).copy())
        if np.shape(gradient) != x.shape:
            raise ShapeError(f"lbfgs_steps: function gave a gradient {np.shape(gradient)} for x {x.shape}; expected one alike")
        if last is None and not (np.isfinite(loss) and np.isfinite(gradient).all()):
            raise TrainingError(f"lbfgs_steps: at the start the loss is {loss}, or its gradient holds numbers that are none; "
                                "there is no way down from there")
        last = flat.reshape(x.shape).copy(), float(loss), float(np.linalg.norm(gradient))
        return float(loss), np.asarray(gradient, dtype=float).ravel()

    def minimize(hand_over):
        import scipy.optimize
        measure(x.ravel())
        hand_over(LBFGSState(next(step), *last))
        scipy.optimize.minimize(
            measure, x.ravel(), jac=True, method="L-BFGS-B", bounds=None if bounds is None else [bounds] * x.size,
            callback=lambda _: hand_over(LBFGSState(next(step), *last)),        # the point measured last is the new one
            options={"maxcor": history, "maxiter": 10 ** 9, "maxfun": 10 ** 9, "ftol": 0, "gtol": 0})
    yield from _handed_over(minimize)


def _handed_over(work):
    """Yield what `work(hand_over)` hands over: it runs in a thread, which waits each time until the next one is asked for."""
    values, asked, wanted = queue.SimpleQueue(), threading.Semaphore(0), True

    def hand_over(value):
        values.put((value, None))
        asked.acquire()
        if not wanted:
            raise _NoLongerWanted

    def run():
        try:
            work(hand_over)
            values.put((None, StopIteration()))
        except BaseException as error:          # whatever it is, it is for the thread that asks
            values.put((None, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while True:
            value, error = values.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield value
            asked.release()
    finally:
        wanted = False
        asked.release()
        thread.join()


def _check_lbfgs(function, bounds, history):
    """Raise SettingError for what SciPy would fail on, or do nothing with, without a sentence."""
    ends = (None, None) if bounds is None else bounds
    pair = isinstance(ends, (tuple, list)) and len(ends) == 2 and all(end is None or isinstance(end, Real) for end in ends)
    if not pair or (None not in ends and not ends[0] < ends[1]):
        raise SettingError(f"lbfgs_steps: bounds is {bounds!r}, expected (least, largest) of every number, None for no bound")
    if not isinstance(history, Integral) or not 1 <= history <= 1000 or not callable(function):
        raise SettingError(f"lbfgs_steps: history is {history!r} and function a {type(function).__name__}, expected a whole "
                           "number from 1 to 1000 and a function that returns (loss, gradient)")


class _NoLongerWanted(Exception):
    """Ends the work of a thread for which nobody waits."""


def _number(name, what, value, above=None, below=None):
    """Return a setting as a float from 0 (or above it) to less than `below`."""
    if not isinstance(value, Real) or isinstance(value, bool) or not (0 <= value < (np.inf if below is None else below)) \
            or (above is not None and value <= above):
        bound = f"above {above}" if above is not None else "0 or more" + (f" and below {below}" if below is not None else "")
        raise SettingError(f"{name}: {what} is {value!r}, expected a finite number {bound}")
    return float(value)
