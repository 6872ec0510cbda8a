"""python -m lectures [--list] [--full] [--out DIR] [--images FOLDER] [NAME ...]: run them in deck order, leave a book in DIR.

python -m lectures NAME --step [--trace FILE] [--seed SEED]: walk through its algorithm on a tiny input, see stepping.py.
"""
import argparse
import importlib
import inspect
import sys
import time
from pathlib import Path

from minicnn.art.audio import write_wav
from minicnn.errors import MinicnnError, SettingError, unknown_name
from minicnn.files import replacing
from minicnn.loop import animate, last
from minicnn.visualize.collection import picture_files

from . import book, stepping
from .contents import lecture_names


def find(name):
    """Return the module name of a lecture named with or without its number."""
    for known in lecture_names():
        if name in (known, known[3:]):
            return known
    raise unknown_name("lecture", name, [n[3:] for n in lecture_names()])


def takes_images(name):
    """Whether a lecture can show the user's own pictures: its compute has the parameter `images`."""
    return "images" in inspect.signature(importlib.import_module(f"lectures.{name}").compute).parameters


def save_picture(picture, stem):
    """Write a figure as stem.png, a list of frames (H, W, 3) uint8 as stem.gif, (samples, rate) as stem.wav; return the path."""
    ending = {list: ".gif", tuple: ".wav"}.get(type(picture), ".png")
    path = stem.with_name(stem.name + ending)
    if ending == ".gif":
        last(animate(picture, path, lambda frame: frame))
    elif ending == ".wav":
        write_wav(path, *picture)
    else:
        with replacing(path) as temporary:
            picture.savefig(temporary)
    return path


def run(name, folder, full, images=None):
    """Run one lecture, write its pictures into `folder`, and return its Section. images: a folder, for lectures that take one."""
    module = importlib.import_module(f"lectures.{name}")
    own = {"images": images} if images is not None and takes_images(name) else {}
    section = book.section_of(name)
    section.full = full
    start = time.perf_counter()
    try:
        result = module.compute(full, **own)
        for title, picture in module.draw(result).items():
            stem = folder / (name if title == name[3:] else f"{name}_{title}")
            section.pictures.append(save_picture(picture, stem).name)
        section.checks = module.check(result)
    except MinicnnError as error:
        section.error = str(error)
    section.seconds = time.perf_counter() - start
    return section


def run_all(names, folder, full, images=None):
    """Run lectures with a progress bar; after each the book is written anew. Return the Sections, also after Ctrl-C."""
    import tqdm
    sections, start = [], time.perf_counter()
    try:
        with tqdm.tqdm(names, unit="lecture") as bar:
            for name in bar:
                bar.set_description(name)
                section = run(name, folder, full, images)
                sections.append(section)
                bar.write(f"{name}: {section.seconds:.1f} s" + (f", {section.error}" if section.error else ""))
                for c in section.checks:
                    bar.write(f"    {'pass' if c.passed else 'FAIL'}  {c.what}: {c.value:.4g} ({c.bar})")
                seconds = f"{time.perf_counter() - start:.0f} s"
                book.write(folder, sections, f"{len(sections)} of {len(names)} lectures, {seconds}"
                                             + (", full settings" if full else ""))
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
    return sections


def check_images(names, folder):
    """Raise SettingError if none of the lectures takes pictures, ImageError if there is no such folder or nothing in it."""
    if not any(takes_images(name) for name in names):
        able = ", ".join(n[3:] for n in lecture_names() if takes_images(n))
        raise SettingError(f"--images: of {', '.join(n[3:] for n in names)} none shows your own pictures; these do: {able}")
    picture_files(folder)


def step(options):
    """Walk through the one lecture that is named, in the terminal (--step), into a file (--trace), or both; return 0."""
    if len(options.names) != 1 or options.seed < 0:
        raise SettingError(f"--step: given are {len(options.names)} lectures and the seed {options.seed}, expected one lecture, "
                           "any of --list, and a seed of at least 0")
    stepping.run(find(options.names[0]), options.step, options.trace, options.seed)
    return 0


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m lectures", description="Run the lectures and leave a book of their pages.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="lectures to run, with or without number; default all")
    parser.add_argument("--list", action="store_true", help="list the lectures and stop")
    parser.add_argument("--full", action="store_true", help="larger, finer and slower")
    parser.add_argument("--out", default="out", metavar="DIR", help="folder for the book; open its index.html (default: out)")
    parser.add_argument("--images", metavar="FOLDER", help="your own pictures, for the lectures that can show them")
    parser.add_argument("--step", action="store_true", help="walk through a lecture's algorithm on a tiny input")
    parser.add_argument("--trace", metavar="FILE", help="write the states of that walk as JSON lines")
    parser.add_argument("--seed", type=int, default=0, help="of the walk's numbers (default: 0)")
    options = parser.parse_args(arguments)
    if options.list:
        for name in lecture_names():
            print(f"{name[3:]:32} {importlib.import_module(f'lectures.{name}').TITLE}")
        return 0
    folder = Path(options.out)
    try:
        if options.step or options.trace is not None:
            return step(options)
        names = [find(n) for n in options.names] or lecture_names()
        if options.images is not None:
            check_images(names, options.images)
        folder.mkdir(parents=True, exist_ok=True)
        sections = run_all(names, folder, options.full, options.images)
    except MinicnnError as error:
        print(f"lectures: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lectures: the folder {options.out!r} cannot be written ({error.strerror}); give another as --out",
              file=sys.stderr)
        return 2
    failed = [s.name for s in sections if not s.passed]
    where = f"; open {folder / 'index.html'}" if sections else ", no page was written"
    print(f"{len(sections)} of {len(names)} lectures, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}{where}")
    return 1 if failed or len(sections) < len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
