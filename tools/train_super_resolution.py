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
from minicnn.data import PictureFiles, flipped, normalize
from minicnn.errors import SettingError
from minicnn.optim import Adam
from minicnn.visualize.collection import picture_files
from minicnn.weights import check_destination

from .train_style import HELD_OUT, begin
from .training import WEIGHTS, Recipe, guarded, run


def recipe(given, name):
    """Return the Recipe of what was asked for on the command line."""
    step = SuperResolutionStep(minicnn.load(given.net) if given.loss == "feature" else None, given.loss)
    start = f" --start {Path(given.start).name}" if given.start else ""

    def measured(net, pictures):
        """Return the mean loss over photographs."""
        net.eval()
        with minicnn.no_grad():
            return float(np.mean([step.loss(net, normalize(pictures.images[[k]], net.preprocessing)).item()
                                  for k in range(len(pictures))]))
    return Recipe(name=name, architecture="super_resolution", data=None, epochs=given.epochs, batch_size=given.batch, lr=given.lr,
                  warmup=0.05 * given.epochs, augment=flipped, begin=begin(given.start), take_step=lambda rng: step,
                  measure=measured, unit="{:.5f}", optimizer=Adam,
                  command=f"tools.train_super_resolution --images FOLDER --loss {given.loss} --net {given.net} "
                          f"--size {given.size} --batch {given.batch}{start}")


def main(arguments=None):
    """Train as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="Train a network that enlarges pictures, or go on training it.")
    parser.add_argument("--images", required=True, metavar="FOLDER", help="photographs to learn on")
    parser.add_argument("--loss", choices=("feature", "pixel"), default="feature")
    parser.add_argument("--out", metavar="FILE", default=str(WEIGHTS / "super_resolution.h5"), help="default in weights/")
    parser.add_argument("--net", default="vgg16_hed", help="the network that judges, default %(default)s")
    parser.add_argument("--start", metavar="FILE", help="a trained network to begin with")
    parser.add_argument("--size", type=int, default=192, help="of the photographs, a multiple of 4, default %(default)s")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4, help="times that all photographs are seen, default %(default)s")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever checkpoint there is")
    given = parser.parse_args(arguments)
    out = Path(given.out)

    def work():
        check_destination(out)
        if given.epochs < 1 or given.seed < 0 or not given.lr > 0 or given.batch < 1 or given.size < 32 or given.size % 4:
            raise SettingError("--epochs and --batch: expected whole numbers from 1, --size from 32 and a multiple of 4, --seed "
                               "from 0, and an --lr above 0")
        files = picture_files(given.images)
        few = max(1, min(HELD_OUT, len(files) // 10))
        train, test = PictureFiles(files[few:] or files, given.size), PictureFiles(files[:few], given.size)
        run(recipe(given, out.stem), train, {"held-out photographs": test}, given.epochs, given.seed, out,
            "weights MIT as the project", given.fresh)
    return guarded(out.stem, out, work)


if __name__ == "__main__":
    sys.exit(main())
