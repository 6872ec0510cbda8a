"""Train a network that paints in one pass: `python -m tools.train_style PAINTING.jpg --images FOLDER`.

    python -m tools.train_style lectures/images/starry_night.jpg --images PHOTOGRAPHS       # writes weights/starry_night.h5
    python -m tools.train_style A.jpg B.jpg C.jpg --out many.h5 --images PHOTOGRAPHS        # one network for three styles

FOLDER holds photographs, some hundred at least, in whatever folders; other files are passed over. The network that judges is
vgg16_hed (`python -m tools.get_weights vgg16_hed`) or what --net names. Without --start the network first learns to give back
what it sees, in --copy-steps, so that contours are there when it begins to paint. Ctrl-C stops after the step; the same command
goes on. Then: `python -m tools.paint fast PHOTOGRAPH --style weights/starry_night.h5`, of several styles with --which A.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

import minicnn
from minicnn import images
from minicnn.art.fast_style import StyleStep
from minicnn.art.many_styles import style_parameters
from minicnn.checks import number, whole_number
from minicnn.data import PictureFiles, flipped, in_turn, normalize, windows
from minicnn.errors import SettingError
from minicnn.loop import progress, take
from minicnn.optim import Adam, cosine
from minicnn.training import TrainingStep, training_steps
from minicnn.visualize.collection import picture_files
from minicnn.weights import check_destination

from .training import WEIGHTS, Recipe, guarded, options_of, run

HELD_OUT = 16           # photographs that are not trained on
COPY_SIZE = 128         # pixels of the photographs that are copied


def recipe(given, name):
    """Return the Recipe of what was asked for on the command line."""
    looking, styles = minicnn.load(given.net), [Path(p).stem for p in given.paintings]
    weights = given.content_weight, given.style_weight, given.tv_weight
    step = lambda rng: StyleStep(looking, given.paintings, weights=weights, style_size=given.style_size, rng=rng)     # noqa: E731
    options = dict(width=given.width, norm=given.norm or ("conditional" if len(given.paintings) > 1 else "instance"),
                   styles=len(given.paintings))
    return Recipe(name=name, architecture="transform", data=None, epochs=given.epochs, batch_size=given.batch, lr=given.lr,
                  warmup=0.05 * given.epochs, augment=in_turn(windows(given.size), flipped),
                  options=tuple(options.items()), begin=begin(given.start, styles) if given.start else copying(given),
                  take_step=step, measure=lambda net, pictures: measured(step(np.random.default_rng(0)), net, pictures),
                  unit="{:.4f}", optimizer=Adam, beside="style", command=command(given))


def command(given):
    """Return what to write to train the same network again; a checkpoint of another command is refused."""
    options = options_of(given, ("paintings", "images", "out", "fresh", "epochs", "seed", "lr"))
    return " ".join(["tools.train_style", *(Path(p).name for p in given.paintings), "--images FOLDER", options])


def begin(path, names=()):
    """Return what puts the weights of another network into a new one.

    A style of the new one begins as that of the same name, or else as the mean of all that are there.
    """
    old = minicnn.load(path)
    tables, rows = style_parameters(old), [list(old.classes or ()).index(n) if n in (old.classes or ()) else None for n in names]

    def values(name, array):
        """Return an array of the old network as the new one has it: its tables with other rows, or a table's row alone."""
        if name not in tables:
            return array
        picked = np.stack([array.mean(axis=0) if row is None else array[row] for row in rows])
        return picked if len(names) > 1 else picked[0]

    def fill(net):
        old_arrays = {name: values(name, p.data) for name, p in old.parameters().items()} | old.buffers()
        for name, array in ({name: p.data for name, p in net.parameters().items()} | net.buffers()).items():
            if name not in old_arrays or old_arrays[name].shape not in (array.shape, array.shape[1:]):
                raise SettingError(f"--start: {path!r} has no {name} {array.shape}; expected a {net.architecture} network"
                                   + " of that width and norm" * (net.architecture == "transform"))
            array[...] = old_arrays[name]
    return fill


class CopyStep(TrainingStep):
    """A step towards giving back what is seen: the loss is the mean squared difference, in the network's own units."""

    def __call__(self, net, optimizer, x, labels):
        optimizer.zero_grad()
        loss = ((net(x) - x) ** 2).mean()
        loss.backward(retain_graph=False)
        optimizer.step()
        return loss.item(), 0.0


def copying(given, lr=3e-3):
    """Return what teaches a new network to copy photographs; of several styles all begin with the same scales and shifts."""
    def teach(net):
        rng, pictures = np.random.default_rng(given.seed), PictureFiles(photographs(given.images)[0], COPY_SIZE)
        schedule = cosine(lr, given.copy_steps + 1, min(20, given.copy_steps))
        steps = training_steps(net, pictures, Adam(net.train(rng).parameters(), lr), batch_size=given.batch, rng=rng,
                               schedule=schedule, augment=flipped, take_step=CopyStep())
        for _ in progress(take(given.copy_steps, steps), given.copy_steps, lambda state: f"learning to copy, {state.loss:.4f}"):
            pass
        for table in style_parameters(net).values():
            table.data[1:] = table.data[0]
    return teach


def photographs(folder):
    """Return (files to train on, files that are held out) of a folder; what is no picture is passed over."""
    files = [path for path in picture_files(folder) if images.is_picture(path)]
    if len(files) < 2:
        raise SettingError(f"--images {folder!r} holds {len(files)} pictures, expected two at least, better some hundred")
    few = max(1, min(HELD_OUT, len(files) // 10))
    return files[few:], files[:few]


def measured(step, net, pictures):
    """Return the mean L over photographs and styles."""
    net.eval()
    with minicnn.no_grad():
        return float(np.mean([step.loss(net, normalize(pictures.images[[k]], net.preprocessing), np.array([style])).item()
                              for k in range(len(pictures)) for style in range(step.count)]))


def add_options(parser, size, epochs, lr):
    """Add the options of training on a folder of photographs."""
    parser.add_argument("--images", required=True, metavar="FOLDER", help="photographs to learn on")
    parser.add_argument("--net", default="vgg16_hed", help="the network that judges, default %(default)s")
    parser.add_argument("--start", metavar="FILE", help="a trained network to begin with, which saves most of the time")
    parser.add_argument("--photo-size", type=int, default=256, help="to which photographs are brought, default %(default)s")
    parser.add_argument("--size", type=int, default=size, help="of the windows of them that are seen, default %(default)s")
    parser.add_argument("--batch", type=int, default=4, help="default %(default)s")
    parser.add_argument("--epochs", type=int, default=epochs, help="times that all photographs are seen, default %(default)s")
    parser.add_argument("--lr", type=float, default=lr, help="the highest learning rate, default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever checkpoint there is")


def train(given, make_recipe, out, classes=()):
    """Check the options, split the photographs and run the recipe that make_recipe() returns."""
    check_destination(out)
    for name, least in (("epochs", 1), ("batch", 1), ("seed", 0), ("photo-size", 32), ("size", 32)):
        whole_number("train", f"--{name}", getattr(given, name.replace("-", "_")), least)
    number("train", "--lr", given.lr, above=0)
    if given.size % 4 or given.photo_size % 4 or given.size > given.photo_size:
        raise SettingError(f"--size {given.size}, --photo-size {given.photo_size}: expected multiples of 4, the first at most as "
                           "large as the second")
    pictures, test = (PictureFiles(some, given.photo_size) for some in photographs(given.images))
    test.images[range(len(test))]               # a damaged one is known now, and not when all is done
    pictures.classes = tuple(classes)
    run(make_recipe(), pictures, {"held-out photographs": test}, given.epochs, given.seed, out, "weights MIT as the project",
        given.fresh)


def main(arguments=None):
    """Train as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="Train a network that paints in a style in one pass, or go on training it.")
    parser.add_argument("paintings", nargs="+", metavar="PAINTING")
    parser.add_argument("--out", metavar="FILE", help="default weights/<name of the painting>.h5")
    parser.add_argument("--style-size", type=int, default=384, help="of the paintings, default %(default)s")
    parser.add_argument("--content-weight", type=float, default=1.0, help="default %(default)s")
    parser.add_argument("--style-weight", type=float, default=10.0, help="default %(default)s")
    parser.add_argument("--tv-weight", type=float, default=1.0, help="of total variation, default %(default)s")
    parser.add_argument("--copy-steps", type=int, default=600, help="of learning to copy, without --start, default %(default)s")
    parser.add_argument("--width", type=int, default=16, help="filters of the first layer, default %(default)s")
    parser.add_argument("--norm", choices=("instance", "batch", "conditional"), help="default instance; of several conditional")
    add_options(parser, size=192, epochs=8, lr=1e-3)
    given = parser.parse_args(arguments)
    name = Path(given.out or given.paintings[0]).stem
    out = Path(given.out or WEIGHTS / f"{name}.h5")

    def work():
        whole_number("train", "--copy-steps", given.copy_steps, 0)
        names = [Path(p).stem for p in given.paintings]
        if len(set(names)) < len(names):
            raise SettingError(f"the paintings are named {', '.join(names)}, expected a name each; rename one")
        if len(given.paintings) > 1 and not given.out:
            raise SettingError("--out: of several paintings give the file to write, such as weights/many.h5")
        train(given, lambda: recipe(given, name), out, names)
    return guarded(name, out, work)


if __name__ == "__main__":
    sys.exit(main())
