"""Evolve pictures that a network is sure of: `python -m tools.evolve squeezenet1_1 --encoding cppn --size 112 --out elites.npz`.

OUT keeps the elite of every class, as a genome, not as pixels; it is written every ten generations and on Ctrl-C, and the same
command, or one with more --generations, goes on from it and ends with the same bits as a run that was never stopped. With --begin
FILE the elites of another run are what this one begins with; CPPNs may have evolved at another size. Technique:
minicnn/fool/map_elites.py.
"""
import argparse
import json
import math
import sys
import zipfile
from pathlib import Path

import numpy as np

import minicnn
from minicnn import loop
from minicnn.checks import whole_number
from minicnn.errors import MinicnnError, SettingError
from minicnn.files import replacing
from minicnn.fool.cppn import CppnEncoding
from minicnn.fool.map_elites import DirectEncoding, archive_arrays, archive_of, map_elites_steps
from minicnn.fool.pixels import count_classes, probabilities
from minicnn.images import CHANNELS
from minicnn.visualize.checks import picture_size

ENCODINGS = {"cppn": CppnEncoding, "direct": DirectEncoding}
MOST_BYTES = 1 << 28            # of an archive that is read


def read_archive(path, encoding, run=None):
    """Return the MapElitesState in a file. run: what it must be of, to go on with. Raises SettingError."""
    try:
        with zipfile.ZipFile(path) as file:
            if sum(part.file_size for part in file.infolist()) > MOST_BYTES:
                raise SettingError(f"{str(path)!r} holds more than {MOST_BYTES} bytes, no archive of elites")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        given = dict(json.loads(str(arrays.pop("run", "{}"))))
    except FileNotFoundError:
        raise SettingError(f"there is no archive {str(path)!r}; check the path") from None
    except SettingError:
        raise
    except Exception as error:          # whatever a damaged file leads to
        raise SettingError(f"{str(path)!r} cannot be read ({type(error).__name__}: {str(error)[:100]}); give an archive that "
                           "tools.evolve wrote") from None
    differing = [key for key, value in (run or {}).items() if given.get(key) != value]
    if differing:
        raise SettingError(f"{str(path)!r} is of another run, {differing[0]} was {given.get(differing[0])!r} and is "
                           f"{run[differing[0]]!r} now; give what was given before, or another --out")
    return archive_of(arrays, encoding)


def encoding_for(net, name, size=None):
    """Return the encoding of that name for a network's pictures."""
    return ENCODINGS[name](picture_size("evolve", net, size), CHANNELS[net.preprocessing.channel_order])


def evolve(given):
    """Run the command."""
    net, generations = minicnn.load(given.net), whole_number("evolve", "--generations", given.generations, 1)
    encoding, out = encoding_for(net, given.encoding, given.size), Path(given.out)
    classes = count_classes(net)
    most = classes * 6 * math.prod(encoding.size) * encoding.channels       # bytes, as text
    if given.encoding == "direct" and most > MOST_BYTES:
        raise SettingError(f"evolve: {classes} elites of {encoding.size} pixels are up to {most} bytes, more than the "
                           f"{MOST_BYTES} of an archive; give a smaller --size, or --encoding cppn")
    run = {"net": given.net, "encoding": given.encoding, "size": list(encoding.size), "batch": given.batch, "seed": given.seed}
    if out.is_dir():
        raise SettingError(f"--out {given.out!r} is a folder, expected a file to write, such as elites.npz")
    start = read_archive(out, encoding, run) if out.exists() else None
    initial = given.initial
    if given.begin and start is None:
        elites = read_archive(given.begin, encoding, {"encoding": given.encoding}).elites
        initial = list({id(genome): genome for genome in elites}.values())
    if start is not None:
        print(f"evolve: going on after generation {start.step}", file=sys.stderr)
    states = map_elites_steps(lambda pixels: probabilities(net, pixels), encoding, batch=given.batch, initial=initial,
                              start=start, rng=given.seed)
    todo = max(0, generations - (start.step if start else 0))
    states = loop.checkpoint(loop.take(todo, states), out, lambda state: archive_arrays(state, encoding), run=run)
    state = loop.last(loop.progress(states, todo + 1, lambda state: f"median {np.median(state.fitness):.3f}, {state.new} new"))
    try:
        with replacing(out) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **archive_arrays(state, encoding), run=json.dumps(run))
    except OSError as error:
        raise SettingError(f"{given.out!r} cannot be written ({error.strerror}); what was found may lie there, not compressed, "
                           "from the last time") from None
    print(f"{out}: generation {state.step}, median confidence {np.median(state.fitness):.4f}, "
          f"{(state.fitness > 0.99).mean():.0%} of {len(state.fitness)} classes above 0.99, "
          f"{math.ceil(out.stat().st_size / 1000)} kB")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.evolve", description="Evolve pictures that fool a network.")
    parser.add_argument("net", help="a network in weights/, or a path to an .h5")
    parser.add_argument("--encoding", choices=list(ENCODINGS), default="cppn")
    parser.add_argument("--generations", type=int, default=200, help="default %(default)s")
    parser.add_argument("--batch", type=int, default=200, help="children per generation, default %(default)s")
    parser.add_argument("--initial", type=int, help="genomes to begin with (default: as many as --batch)")
    parser.add_argument("--size", type=int, help="pixels a side (default: what the network takes)")
    parser.add_argument("--begin", metavar="FILE", help="an archive whose elites to begin with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="elites.npz", metavar="FILE.npz", help="default %(default)s")
    given = parser.parse_args(arguments)
    try:
        evolve(given)
        return 0
    except MinicnnError as error:
        print(error if str(error).startswith("evolve:") else f"evolve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        there = f"the same command goes on from {given.out}" if Path(given.out).exists() else "nothing was found yet"
        print(f"evolve: stopped; {there}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
