"""Training as a generator: one step is forward, loss, backward, optimiser. Checkpoints from which a run goes on, bit for bit.

    rng = np.random.default_rng(0)
    optimizer = SGD(net.parameters(), lr=0.02, momentum=0.9)
    for state in training_steps(net, train, optimizer, batch_size=64, rng=rng):
        if state.epoch == 3:
            break

Of all that changes a network is changed in place: that is what training is. Everything random (order, augmentation, dropout)
comes from the one `rng`: weights, the optimiser's state, what is left of the epoch and the state of the rng are in a checkpoint;
given them and the same settings, a run goes on as if nothing had happened. Who trains a part of a network gives the optimiser
that part of net.parameters().
"""
import copy
import json
import os
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from . import ops
from .data import batches, normalize
from .errors import SettingError, TrainingError, WeightsError
from .files import replacing
from .tape import no_grad


@dataclass(frozen=True)
class TrainingState:
    """Where a run is: `step` steps are done, the last of them in `epoch` (the first is 1); step 0 is the start."""
    step: int
    epoch: int
    left: np.ndarray        # indices of the pictures that are still to come in this epoch
    loss: float             # of the last batch, nan at the start
    accuracy: float         # in the last batch, while training; of another TrainingStep: what it returns second


START = TrainingState(0, 0, np.zeros(0, np.int64), float("nan"), float("nan"))


class TrainingStep:
    """What is done with a batch: calling it takes one step. This one is a classifier's; derive from it for another loss.

    `models`: pairs (network, optimiser) that the step trains besides, for checkpoints.
    """
    models = ()

    def inputs(self, x):
        """Return what the network takes, of the pictures x (N, C, H, W)."""
        return x

    def __call__(self, net, optimizer, x, labels):
        """Take one step on a batch; return (loss, accuracy) of the batch before it. A loss that is no number changes nothing."""
        optimizer.zero_grad()
        scores = net(self.inputs(x))
        loss = ops.cross_entropy(scores, labels)
        loss.backward(retain_graph=False)
        if np.isfinite(loss.data):
            optimizer.step()
        return loss.item(), float((scores.data.argmax(axis=1) == labels).mean())


def training_steps(net, pictures, optimizer, *, batch_size, rng, schedule=None, augment=None, start=START, last_good=None,
                   take_step=TrainingStep()):
    """Yield TrainingStates without end; the network and the optimiser change in place.

    pictures: see data.Pictures. rng: a Generator, which moves on. schedule: learning rate of a step (default: the optimiser's).
    augment: see data.py. start: the state that load_checkpoint returned. last_good: path of the last checkpoint, for errors.
    take_step: a TrainingStep. All weights take gradients. With batch norm, choose a batch_size that leaves no last batch of one.
    Raises TrainingError when the loss is no number, SettingError.
    """
    check_rng("training_steps", rng)
    if not isinstance(batch_size, Integral) or batch_size < 1 or len(pictures) == 0:
        raise SettingError(f"training_steps: batch_size is {batch_size!r} of {len(pictures)} pictures, expected a whole number, "
                           "at least 1, and some pictures")
    if not isinstance(take_step, TrainingStep) or max(start.left, default=-1) >= len(pictures):
        raise SettingError(f"training_steps: take_step is {take_step!r} and start has {len(start.left)} of the {len(pictures)} "
                           "pictures left, expected a TrainingStep, and numbers of pictures that are there")
    yield start
    step, epoch, left = start.step, start.epoch, start.left
    while True:
        if len(left) == 0:
            epoch, left = epoch + 1, rng.permutation(len(pictures))
        which, left, step = left[:batch_size], left[batch_size:], step + 1
        images, labels = pictures.images[which], pictures.labels[which]
        x = normalize(augment(images, rng) if augment else images, net.preprocessing)
        if schedule is not None:
            optimizer.lr = _rate(schedule(step - 1), step)
        net.train(rng)                          # whoever measured the accuracy in between has left it in eval mode
        loss, accuracy = take_step(net, optimizer, x, labels)
        if not np.isfinite(loss):
            there = last_good is not None and os.path.exists(last_good)
            raise TrainingError(f"step {step} (epoch {epoch}): the loss is {loss}; {_first_odd_layer(net, take_step.inputs(x))}. "
                                + (f"The last good checkpoint is {last_good}; go on from there" if there else
                                   "There is no checkpoint yet; begin anew") + " with a smaller learning rate")
        yield TrainingState(step, epoch, left.copy(), loss, accuracy)


def _rate(lr, step):
    """Return a schedule's learning rate as a float."""
    if not isinstance(lr, Real) or not 0 <= lr < np.inf:
        raise SettingError(f"training_steps: the schedule says {lr!r} for step {step}, expected a finite number, 0 or more")
    return float(lr)


def check_rng(name, rng):
    """Raise SettingError unless the rng is one whose state a checkpoint can hold."""
    if not isinstance(rng, np.random.Generator) or type(rng.bit_generator) is not np.random.PCG64:
        raise SettingError(f"{name}: rng is {rng!r}, expected numpy.random.default_rng(seed), which moves on")


def _first_odd_layer(net, x):
    """Say where numbers that are none come from: the first layer with such weights, or with such outputs."""
    net = copy.deepcopy(net).train(0)           # statistics and random numbers of the run stay as they are
    with no_grad():
        for name, out in net.activations(x).items():
            for key, parameter in net.layer(name).parameters.items():
                if not np.isfinite(parameter.data).all():
                    return f"the first layer with such numbers is {name!r}, in its {key}"
            if not np.isfinite(out.data).all():
                return f"the first layer with such numbers is {name!r}, in its outputs"
    return (f"no layer's output is to blame (they end at {np.abs(out.data).max():.2g}), so look at the labels, at whether the "
            "loss can take numbers so large, and at the other networks if there are some")


def accuracy(net, pictures, batch_size=100):
    """Return the part of the pictures whose class the network finds, in eval mode; the network is left in it."""
    if len(pictures) == 0:
        raise SettingError("accuracy: there are no pictures to measure it on")
    net.eval()
    right = 0
    with no_grad():
        for images, labels in batches(pictures, batch_size):
            scores = net(normalize(images, net.preprocessing)).data
            if scores.ndim != 2 or labels.max() >= scores.shape[1] or not np.isfinite(scores).all():
                raise SettingError(f"accuracy: {net.architecture} gives scores {scores.shape}, some of them no numbers perhaps, "
                                   f"for labels up to {labels.max()}; expected a finite score for each class of each picture")
            right += int((scores.argmax(axis=1) == labels).sum())
    return right / len(pictures)


# --- checkpoints ------------------------------------------------------------------------------------------------------
def save_checkpoint(path, net, optimizer, rng, state, others=(), run=None):
    """Write all that a run needs to go on to an .npz file, whole or not at all.

    others: more pairs (network, optimiser) that are trained. run: what else it depends on, such as its seed, a dict for JSON.
    Raises TrainingError if there are numbers that are none; the file before then stays.
    """
    check_rng("save_checkpoint", rng)
    arrays = {"left": state.left}
    for number, (its, own) in enumerate([(net, optimizer), *others]):
        arrays |= {f"{number}/weights/{name}": p.data for name, p in its.parameters().items()}
        arrays |= {f"{number}/buffers/{name}": a for name, a in its.buffers().items()}
        arrays |= {f"{number}/optimizer/{name}": a for name, a in own.state().items()}
    odd = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if odd:
        raise TrainingError(f"after step {state.step} (epoch {state.epoch}) there are numbers that are none in {odd[0]!r}, and "
                            f"no checkpoint was written; go on from the one before, if {os.fspath(path)!r} is there, with a "
                            "smaller learning rate")
    about = {"architectures": [its.architecture for its, _ in [(net, optimizer), *others]], "run": run, "step": state.step,
             "epoch": state.epoch, "rng": rng.bit_generator.state}
    try:
        about = np.frombuffer(json.dumps(about).encode(), np.uint8)
    except TypeError as error:
        raise SettingError(f"save_checkpoint: run is {run!r}, expected a dict that JSON can hold ({error})") from None
    try:
        with replacing(os.fspath(path)) as temporary, open(temporary, "wb") as file:
            np.savez(file, about=about, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WeightsError(f"the checkpoint {os.fspath(path)!r} cannot be written ({error.strerror}); make room, or give a file "
                           "in a folder that can be written") from None


def load_checkpoint(path, net, optimizer, rng, others=(), run=None):
    """Put a checkpoint's weights, statistics, optimisers and random state in place; return where the run was.

    Raises WeightsError if the file is damaged, or of another network or run; then nothing has changed.
    """
    check_rng("load_checkpoint", rng)
    models, path = [(net, optimizer), *others], os.fspath(path)
    given, start, random_state, arrays = _read_checkpoint(path)
    wanted = json.loads(json.dumps([[its.architecture for its, _ in models], run]))
    if given != wanted:
        raise WeightsError(f"{path!r} is a checkpoint of {_differing(given, wanted)}; go on with the same settings, or remove it")
    own = {}
    for number, (its, its_optimizer) in enumerate(models):
        own |= {f"{number}/weights/{name}": p.data for name, p in its.parameters().items()}
        own |= {f"{number}/buffers/{name}": array for name, array in its.buffers().items()}
        own |= {f"{number}/optimizer/{name}": array for name, array in its_optimizer.state().items()}
    odd = sorted(set(own) ^ set(arrays)) or [name for name, array in own.items() if array.shape != arrays[name].shape or
                                             array.dtype != arrays[name].dtype or not np.isfinite(arrays[name]).all()]
    if odd:
        raise WeightsError(f"{path!r} does not fit the networks and optimisers that it is for, or holds numbers that are none: "
                           f"{odd[0]!r}; remove it to begin anew")
    for number, (its, its_optimizer) in enumerate(models):
        for name, parameter in its.train().parameters().items():
            parameter.data[...] = arrays[f"{number}/weights/{name}"]
        for name, array in its.buffers().items():
            array[...] = arrays[f"{number}/buffers/{name}"]
        its_optimizer.load_state({name: arrays[f"{number}/optimizer/{name}"] for name in its_optimizer.state()})
    rng.bit_generator.state = random_state
    return start


def _differing(given, wanted):
    """Say in what a checkpoint's networks and run differ from those wanted."""
    if given[0] != wanted[0] or not isinstance(given[1], dict) or not isinstance(wanted[1], dict):
        return f"{given}, not of {wanted}"
    keys = [key for key in {**given[1], **wanted[1]} if given[1].get(key) != wanted[1].get(key)]
    return " and ".join(f"{key} {given[1].get(key)}, not {wanted[1].get(key)}" for key in keys)


def _read_checkpoint(path):
    """Return (architectures and run, where the run was, state of the random numbers, arrays by name) of a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about, left = json.loads(arrays.pop("about").tobytes()), arrays.pop("left")
        np.random.default_rng(0).bit_generator.state = about["rng"]         # whether it can be one
        start = TrainingState(int(about["step"]), int(about["epoch"]), left, START.loss, START.accuracy)
        odd = left.ndim != 1 or left.dtype.kind != "i" or left.min(initial=0) < 0 or len(set(left.tolist())) < len(left)
        if odd or min(start.step, start.epoch) < 0 or (start.step, start.epoch) != (about["step"], about["epoch"]):
            raise ValueError("what is left of its epoch makes no sense")
        return [about["architectures"], about["run"]], start, about["rng"], arrays
    except Exception as error:          # whatever a damaged file leads to
        raise WeightsError(f"{path!r} is no whole checkpoint ({type(error).__name__}: {str(error)[:200]}); remove it to begin "
                           "anew") from None
