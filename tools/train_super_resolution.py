"""Train a network that enlarges pictures four times: `python -m tools.train_super_resolution --images FOLDER`.

With --loss pixel by squared differences, with --loss feature by what --net sees; --start begins with trained weights. FOLDER
holds photographs, some hundred at least. Ctrl-C stops after the step; the same command goes on.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

import minicnn
from minicnn.art.super_resolution import SuperResolutionStep
from minicnn.data import flipped, in_turn, normalize, windows
from minicnn.optim import Adam

from .train_style import add_options, begin, train
from .training import WEIGHTS, Recipe, guarded


def recipe(given, name):
    """Return the Recipe of what was asked for on the command line."""
    step = SuperResolutionStep(minicnn.load(given.net) if given.loss == "feature" else None, given.loss)
    judge = f" --net {given.net}" if given.loss == "feature" else ""
    start = f" --start {Path(given.start).name}" if given.start else ""

    def measured(net, pictures):
        """Return the mean loss over photographs."""
        net.eval()
        with minicnn.no_grad():
            return float(np.mean([step.loss(net, normalize(pictures.images[[k]], net.preprocessing)).item()
                                  for k in range(len(pictures))]))
    return Recipe(name=name, architecture="super_resolution", data=None, epochs=given.epochs, batch_size=given.batch, lr=given.lr,
                  warmup=0.05 * given.epochs, augment=in_turn(windows(given.size), flipped),
                  begin=begin(given.start) if given.start else None,
                  take_step=lambda rng: step, measure=measured, unit="{:.5f}", optimizer=Adam,
                  command=f"tools.train_super_resolution --images FOLDER --loss {given.loss}{judge} "
                          f"--photo-size {given.photo_size} --size {given.size} --batch {given.batch}{start}")


def main(arguments=None):
    """Train as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="Train a network that enlarges pictures, or go on training it.")
    parser.add_argument("--loss", choices=("feature", "pixel"), default="feature")
    parser.add_argument("--out", metavar="FILE", help="default weights/super_resolution.h5, or super_resolution_pixel.h5")
    add_options(parser, size=160, epochs=4, lr=1e-3)
    given = parser.parse_args(arguments)
    out = Path(given.out or WEIGHTS / f"super_resolution{'_pixel' * (given.loss == 'pixel')}.h5")
    return guarded(out.stem, out, lambda: train(given, lambda: recipe(given, out.stem), out))


if __name__ == "__main__":
    sys.exit(main())
