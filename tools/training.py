"""What the tools train_*.py share: a Recipe says what is trained and how, `main(recipe)` runs it from the command line.

    python -m tools.train_lenet_mnist               # trains, goes on where it was stopped, writes weights/lenet_mnist.h5
    python -m tools.train_lenet_mnist --evaluate    # accuracy of the file that is there

After every epoch a checkpoint is written; Ctrl-C writes one at once and leaves. Whatever ended a run, the same command goes on
and ends with the same bits as one that was never stopped. (Another --lr is taken from there on; an edited recipe wants --fresh.)
"""
import argparse
import math
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tqdm

import minicnn
from minicnn.data import cifar10
from minicnn.errors import MinicnnError, SettingError
from minicnn.files import remove_leftovers
from minicnn.optim import cosine
from minicnn.training import START, TrainingStep, accuracy, load_checkpoint, save_checkpoint, training_steps
from minicnn.weights import check_destination

MINUTES = 5             # of work that a power cut may cost
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. `data(folder)` returns (train, {name of a test set: Pictures}, note on the data's licence)."""
    name: str
    architecture: str
    data: object
    optimizer: object           # a function of (net.parameters(), lr)
    epochs: int
    batch_size: int
    lr: float                   # the highest; it follows minicnn.optim.cosine
    warmup: float = 0.0         # epochs
    augment: object = None
    options: tuple = ()         # of minicnn.build, as pairs
    begin: object = None        # called with the network, to change its first weights in place
    take_step: object = None    # a function of the run's rng that returns a TrainingStep; without: a classifier's
    after: object = None        # called with (train, path of the weights) at the end, for what belongs beside them
    measure: object = accuracy  # what is reported: a number of (net, pictures)
    unit: str = "{:.2%}"
    beside: str = "accuracy"    # what the second number is that a step returns
    command: str = ""           # that the weights' provenance names; without: tools.train_<name>


def cifar10_parts(folder):
    """Return 45,000 pictures of CIFAR-10 to train on, those to test on, and whose they are.

    5,000 training pictures are held out; of the test pictures the first 1,000 are taken (in cifar10.h5 all others are JPEG).
    """
    train, test = cifar10(folder)
    tests = {"held-out training pictures": train[45_000:], "first test pictures": test[:1000]}
    return train[:45_000], tests, "weights MIT as the project; trained on CIFAR-10 (A. Krizhevsky 2009)"


def main(recipe, arguments=None):
    """Run a recipe from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=f"Train {recipe.name}, or go on training it.")
    parser.add_argument("--evaluate", action="store_true", help="only measure the accuracy of the file that is there")
    parser.add_argument("--data", metavar="FOLDER", help="where the data set is, if not in a usual place")
    parser.add_argument("--epochs", type=int, default=recipe.epochs, help="default %(default)s; stretches the schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=recipe.lr, help="the highest learning rate, default %(default)s")
    parser.add_argument("--out", metavar="FILE", default=str(WEIGHTS / f"{recipe.name}.h5"), help="default in weights/")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever checkpoint there is")
    given = parser.parse_args(arguments)

    def work():
        if given.epochs < 1 or given.seed < 0 or not given.lr > 0:
            raise SettingError(f"--epochs {given.epochs}, --seed {given.seed}, --lr {given.lr}: expected whole numbers from 1 "
                               "and from 0, and a number above 0")
        if not given.evaluate:
            check_destination(given.out)
        train, tests, licence = recipe.data(given.data)
        if given.evaluate:
            net = minicnn.load(given.out)
            if net.architecture != recipe.architecture:
                raise SettingError(f"--out {given.out!r} holds a {net.architecture}, expected a {recipe.architecture}")
            report(recipe, net, tests)
        else:
            run(replace(recipe, lr=given.lr), train, tests, given.epochs, given.seed, Path(given.out), licence, given.fresh)
    return guarded(recipe.name, Path(given.out), work)


def guarded(name, out, work):
    """Do the work; return the exit status, and say in a line what went wrong, or where a stopped run goes on."""
    try:
        work()
        return 0
    except MinicnnError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        checkpoint = out.with_suffix(".checkpoint.npz")
        there = f"the same command goes on from {str(checkpoint)!r}" if checkpoint.exists() else "nothing was saved"
        print(f"{name}: stopped; {there}", file=sys.stderr)
        return 130


def run(recipe, train, tests, epochs, seed, out, licence="", fresh=False):
    """Train to the end, from a checkpoint beside `out` if there is one, and write the weights; raises KeyboardInterrupt."""
    rng, net = np.random.default_rng(seed), minicnn.build(recipe.architecture, rng=seed, **dict(recipe.options))
    if {"classes", "styles"} & set(net.options):
        net.classes = train.classes
    checkpoint, optimizer = out.with_suffix(".checkpoint.npz"), recipe.optimizer(net.train(rng).parameters(), recipe.lr)
    take_step = recipe.take_step(rng) if recipe.take_step else TrainingStep()
    others, start = take_step.models, START
    about = {"recipe": recipe.name, "seed": seed, "epochs": epochs, "batch_size": recipe.batch_size, "pictures": len(train)}
    about |= {"command": recipe.command} if recipe.command else {}
    if fresh:
        checkpoint.unlink(missing_ok=True)
    if recipe.begin and not checkpoint.exists():
        recipe.begin(net)
    if checkpoint.exists():
        start = load_checkpoint(checkpoint, net, optimizer, rng, others, about)
        print(f"{recipe.name}: going on after epoch {start.epoch}, step {start.step}", file=sys.stderr)
    for path in (out, checkpoint):              # of a run that was killed while it wrote
        remove_leftovers(path)
    per_epoch = math.ceil(len(train) / recipe.batch_size)
    steps = training_steps(net, train, optimizer, batch_size=recipe.batch_size, rng=rng,
                           schedule=schedule(recipe, epochs, per_epoch),
                           augment=recipe.augment, start=start, last_good=checkpoint, take_step=take_step)
    began = time.time()
    bar = tqdm.tqdm(desc=recipe.name, initial=start.step, total=epochs * per_epoch, unit="step")
    _steps(steps, bar, epochs, recipe.beside,
           lambda state: save_checkpoint(checkpoint, net, optimizer, rng, state, others, about))
    found = report(recipe, net, tests)
    net.provenance = {
        "source": f"trained by python -m {recipe.command or f'tools.train_{recipe.name}'} --epochs {epochs} --seed {seed} "
                  f"--lr {recipe.lr}",
        "licence": licence,
        "conversion": f"{epochs} epochs; " + "; ".join(f"{value} of the {name}" for name, value in found.items())}
    minicnn.save(net, out)
    if recipe.after:
        recipe.after(train, out)
    checkpoint.unlink(missing_ok=True)
    print(f"{out.name}: {out.stat().st_size / 1e6:.1f} MB, {(time.time() - began) / 60:.1f} minutes in this run")


def options_of(given, without):
    """Return the options of a command line as text, sorted, but for some and those without a value; of --start the name."""
    settings = [(key, value) for key, value in sorted(vars(given).items())
                if key not in {*without, "start"} and value is not None]
    settings += [("start", Path(given.start).name)] if given.start else []
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in settings)


def schedule(recipe, epochs, per_epoch):
    """Return the learning rate of each step: a rise and half a cosine, stretched to the epochs that are wanted."""
    return cosine(recipe.lr, epochs * per_epoch, int(recipe.warmup * epochs / recipe.epochs * per_epoch))


def _steps(steps, bar, epochs, beside, save):
    """Run the steps to the end of the last epoch under a bar; save after each epoch and after MINUTES, and at once on Ctrl-C."""
    with asked_to_stop() as asked, bar:
        loss, right, saved = math.nan, math.nan, time.time()
        for state in steps:
            bar.update(state.step - bar.n)
            if state.step and not math.isnan(state.loss):
                loss = state.loss if math.isnan(loss) else 0.98 * loss + 0.02 * state.loss
                right = state.accuracy if math.isnan(right) else 0.98 * right + 0.02 * state.accuracy
                others = {} if math.isnan(right) else {beside: f"{right:.3f}"}
                bar.set_postfix(epoch=state.epoch, loss=f"{loss:.3f}", **others, refresh=False)
            done = len(state.left) == 0 and state.step > 0
            if asked or done or time.time() > saved + 60 * MINUTES:
                save(state)
                saved = time.time()
            if asked:
                raise KeyboardInterrupt
            if done and state.epoch >= epochs:
                return


@contextmanager
def asked_to_stop():
    """Give a list that is empty until Ctrl-C, for within a step nothing is in order yet; a second Ctrl-C breaks off at once."""
    asked = []

    def note(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, b"\nstopping after this step (Ctrl-C again: at once, without saving)\n")     # print may just be at work
    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:              # not the main thread: nobody can press Ctrl-C here
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def report(recipe, net, tests):
    """Print and return what was measured on each of the test sets, as text."""
    found = {name: recipe.unit.format(recipe.measure(net, pictures)) for name, pictures in tests.items()}
    for name, value in found.items():
        print(f"{net.architecture}: {value} of {len(tests[name]):,} {name}")
    return found
