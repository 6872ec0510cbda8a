"""Training as a generator: one step is forward, loss, backward, optimiser. Checkpoints from which a run goes on, bit for bit.

    rng = np.random.default_rng(0)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    for state in training_steps(net, train, optimizer, batch_size=64, rng=rng):
        if state.epoch == 3:
            break

Of all that changes a network is changed in place: that is what training is. Everything random (order, augmentation, dropout)
comes from the one `rng`: weights, the optimiser's state, what is left of the epoch and the state of the rng are all that a run
needs to go on as if nothing had happened.
"""
import json
import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from . import ops
from .data import batches, normalize
from .errors import MinicnnError, SettingError, TrainingError, WeightsError
from .files import replacing
from .tape import no_grad


@dataclass(frozen=True)
class TrainingState:
    """Where a run is: `step` steps are done, the last of them in `epoch` (the first is 1); step 0 is the start."""
    step: int
    epoch: int
    left: np.ndarray        # indices of the pictures that are still to come in this epoch
    loss: float             # of the last batch, nan at the start
    accuracy: float         # in the last batch, while training


START = TrainingState(0, 0, np.zeros(0, np.int64), float("nan"), float("nan"))


def training_step(net, optimizer, x, labels):
    """Take one step on a batch; return (loss, accuracy) of the batch before it."""
    optimizer.zero_grad()
    scores = net(x)
    loss = ops.cross_entropy(scores, labels)
    loss.backward(retain_graph=False)
    if np.isfinite(loss.data):
        optimizer.step()
    return loss.item(), float((scores.data.argmax(axis=1) == labels).mean())


def training_steps(net, pictures, optimizer, *, batch_size, rng, schedule=None, augment=None, start=START, last_good=None,
                   take_step=training_step):
    """Yield TrainingStates without end; the network and the optimiser change in place.

    pictures: see data.Pictures. rng: a Generator, which moves on. schedule: learning rate of a step (default: the optimiser's).
    augment: see data.py. start: the state that load_checkpoint returned. last_good: how an error calls the last checkpoint.
    take_step: what is done with a batch; if the network takes something else than pictures, take_step.inputs(x) is that.
    Raises TrainingError when the loss is no number.
    """
    if not isinstance(rng, np.random.Generator):
        raise SettingError(f"training_steps: rng is {rng!r}, expected numpy.random.default_rng(seed), which moves on")
    yield start
    step, epoch, left = start.step, start.epoch, start.left
    while True:
        if len(left) == 0:
            epoch, left = epoch + 1, rng.permutation(len(pictures))
        which, left, step = left[:batch_size], left[batch_size:], step + 1
        images, labels = pictures.images[which], pictures.labels[which]
        x = normalize(augment(images, rng) if augment else images, net.preprocessing)
        if schedule is not None:
            optimizer.lr = schedule(step - 1)
        net.train(rng)                          # whoever measured the accuracy in between has left it in eval mode
        loss, accuracy = take_step(net, optimizer, x, labels)
        if not np.isfinite(loss):
            seen = take_step.inputs(x) if hasattr(take_step, "inputs") else x
            raise TrainingError(f"step {step} (epoch {epoch}): the loss is {loss}; {_first_odd_layer(net, seen)}. The last good "
                                f"checkpoint is {last_good or 'none'}; go on from there with a smaller learning rate")
        yield TrainingState(step, epoch, left.copy(), loss, accuracy)


def _first_odd_layer(net, x):
    """Say where numbers that are none come from: the first layer with such weights, or with such outputs."""
    with no_grad():
        for name, out in net.activations(x).items():
            for key, parameter in net.layer(name).parameters.items():
                if not np.isfinite(parameter.data).all():
                    return f"the first layer with such numbers is {name!r}, in its {key}"
            if not np.isfinite(out.data).all():
                return f"the first layer with such numbers is {name!r}, in its outputs"
    return "no layer's output is to blame, so look at the labels"


def accuracy(net, pictures, batch_size=100):
    """Return the part of the pictures whose class the network finds, in eval mode; the network is left in it."""
    net.eval()
    right = 0
    with no_grad():
        for images, labels in batches(pictures, batch_size):
            right += int((net(normalize(images, net.preprocessing)).data.argmax(axis=1) == labels).sum())
    return right / len(pictures)


# --- checkpoints ------------------------------------------------------------------------------------------------------
def save_checkpoint(path, net, optimizer, rng, state, others=()):
    """Write all that a run needs to go on to an .npz file, whole or not at all; `others`: more pairs (network, optimiser)."""
    arrays, about = {}, {"step": state.step, "epoch": state.epoch, "rng": rng.bit_generator.state}
    for number, (its, own) in enumerate([(net, optimizer), *others]):
        arrays |= {f"{number}/weights/{name}": p.data for name, p in its.parameters().items()}
        arrays |= {f"{number}/buffers/{name}": a for name, a in its.buffers().items()}
        arrays |= {f"{number}/optimizer/{name}": a for name, a in own.state().items()}
    about["architectures"] = [its.architecture for its, _ in [(net, optimizer), *others]]
    with replacing(os.fspath(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), left=state.left, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path, net, optimizer, rng, others=()):
    """Put a checkpoint's weights, statistics, optimisers and random state in place; return where the run was.

    Raises WeightsError if the file is damaged or of another network.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes())
        models = [(net, optimizer), *others]
        own, given = ", ".join(its.architecture for its, _ in models), ", ".join(map(str, about["architectures"]))
        if own != given:
            raise WeightsError(f"{os.fspath(path)!r} is a checkpoint of {given}, not of {own}; remove it to begin anew")
        for number, (its, its_optimizer) in enumerate(models):
            parts = {part: {name[len(f"{number}/{part}/"):]: a for name, a in arrays.items()
                            if name.startswith(f"{number}/{part}/")} for part in ("weights", "buffers", "optimizer")}
            if set(parts["weights"]) != set(its.parameters()) or set(parts["buffers"]) != set(its.buffers()):
                raise WeightsError(f"{os.fspath(path)!r} holds other layers than {its.architecture} has; remove it to begin anew")
            for name, parameter in its.parameters().items():
                parameter.data[...] = parts["weights"][name]
            for name, array in its.buffers().items():
                array[...] = parts["buffers"][name]
            its_optimizer.load_state(parts["optimizer"])
        rng.bit_generator.state = about["rng"]
        return TrainingState(about["step"], about["epoch"], arrays["left"], START.loss, START.accuracy)
    except MinicnnError:
        raise
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{os.fspath(path)!r} is no whole checkpoint ({error}); remove it to begin anew") from None
