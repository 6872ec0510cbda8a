"""python -m lectures [--list] [--full] [--out DIR] [NAME ...]: run the lectures in deck order, leave DIR/index.html."""
import argparse
import importlib
import sys
import time
from pathlib import Path

from minicnn.errors import MinicnnError, unknown_name
from minicnn.files import replacing

from . import book

HERE = Path(__file__).parent


def lecture_names():
    """Return the lectures' module names in deck order."""
    return sorted(p.stem for p in HERE.glob("[0-9][0-9]_*.py"))


def find(name):
    """Return the module name of a lecture named with or without its number."""
    for known in lecture_names():
        if name in (known, known[3:]):
            return known
    raise unknown_name("lecture", name, [n[3:] for n in lecture_names()])


def run(name, folder, full):
    """Run one lecture, write its pictures into `folder`, and return its Section."""
    module = importlib.import_module(f"lectures.{name}")
    section = book.Section(name, module.TITLE, module.FORMULA, module.LOOK_FOR)
    start = time.perf_counter()
    try:
        result = module.compute(full)
        for picture, figure in module.draw(result).items():
            file = f"{name}.png" if picture == name[3:] else f"{name}_{picture}.png"
            with replacing(folder / file) as temporary:
                figure.savefig(temporary)
            section.pictures.append(file)
        section.checks = module.check(result)
    except MinicnnError as error:
        section.error = str(error)
    section.seconds = time.perf_counter() - start
    return section


def run_all(names, folder, full):
    """Run lectures with a progress bar; after each the page is written anew. Return the Sections, also after Ctrl-C."""
    import tqdm
    sections, start = [], time.perf_counter()
    try:
        with tqdm.tqdm(names, unit="lecture") as bar:
            for name in bar:
                bar.set_description(name)
                section = run(name, folder, full)
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


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m lectures", description="Run the lectures and leave a page of pictures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="lectures to run, with or without number; default all")
    parser.add_argument("--list", action="store_true", help="list the lectures and stop")
    parser.add_argument("--full", action="store_true", help="larger, finer and slower")
    parser.add_argument("--out", default="out", metavar="DIR", help="folder for index.html and the pictures (default: out)")
    options = parser.parse_args(arguments)
    if options.list:
        for name in lecture_names():
            print(f"{name[3:]:32} {importlib.import_module(f'lectures.{name}').TITLE}")
        return 0
    folder = Path(options.out)
    try:
        names = [find(n) for n in options.names] or lecture_names()
        folder.mkdir(parents=True, exist_ok=True)
        sections = run_all(names, folder, options.full)
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
