"""Train a network that paints a texture from noise in one pass: `python -m tools.train_texture PAINTING.jpg`.

    python -m tools.train_texture lectures/images/starry_night.jpg      # writes weights/starry_night_texture.h5

Ctrl-C stops after the step and writes the network as it is; with --start and that file it goes on.
"""
import argparse
import sys
from pathlib import Path

import minicnn
from minicnn.art.texture import texture_network_steps
from minicnn.checks import whole_number
from minicnn.loop import progress, take
from minicnn.weights import check_destination

from .training import WEIGHTS, asked_to_stop, guarded, options_of


def train(given, out):
    """Train and write the network, after the last step or Ctrl-C."""
    check_destination(out)
    for name, least in (("steps", 1), ("size", 1), ("seed", 0)):
        whole_number("train", f"--{name}", getattr(given, name), least)
    states = texture_network_steps(minicnn.load(given.net), given.painting, size=given.size, batch=given.batch,
                                   scale=given.style_size / given.size, lr=given.lr, rng=given.seed,
                                   start=minicnn.load(given.start) if given.start else None)
    mean = None
    with asked_to_stop() as asked:
        for state in progress(take(given.steps, states), given.steps, lambda state: f"loss {state.loss:.3f}"):
            if state.step:
                mean = state.loss if mean is None else 0.98 * mean + 0.02 * state.loss
            if asked and state.step:
                break
    options = options_of(given, ("painting", "out"))
    state.net.provenance = {
        "source": f"trained by python -m tools.train_texture {Path(given.painting).name} {options}",
        "licence": "weights MIT as the project", "conversion": f"{state.step} steps; loss {mean:.3f}, mean of the last 50 or so"}
    minicnn.save(state.net, out)
    print(f"{out.name}: loss {mean:.3f}, {out.stat().st_size / 1e6:.1f} MB")
    if asked:
        print(f"{out.name}: stopped after {state.step} steps; with --start {str(out)!r} it goes on", file=sys.stderr)


def main(arguments=None):
    """Train as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="Train a network that paints a texture from noise in one pass.")
    parser.add_argument("painting", metavar="PAINTING")
    parser.add_argument("--out", metavar="FILE", help="default weights/<name of the painting>_texture.h5")
    parser.add_argument("--net", default="vgg16_hed", help="the network that judges, default %(default)s")
    parser.add_argument("--start", metavar="FILE", help="a texture network to go on with")
    parser.add_argument("--steps", type=int, default=1500, help="default %(default)s")
    parser.add_argument("--size", type=int, default=128, help="of the squares that are painted, default %(default)s")
    parser.add_argument("--style-size", type=int, default=256, help="of the painting, default %(default)s")
    parser.add_argument("--batch", type=int, default=2, help="default %(default)s")
    parser.add_argument("--lr", type=float, default=0.01, help="at the start, default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    name = f"{Path(given.painting).stem}_texture"
    out = Path(given.out or WEIGHTS / f"{name}.h5")
    return guarded(name, out, lambda: train(given, out))


if __name__ == "__main__":
    sys.exit(main())
