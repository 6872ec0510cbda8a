"""The book that `python -m lectures` leaves: a page for each lecture and one of contents, written anew after each lecture."""
import json
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from minicnn.errors import ImageError
from minicnn.files import replacing
from minicnn.images import load_image, resize_shorter, save_image

from . import pages
from .common import Check
from .contents import PARTS, lecture_names
from .formula import questions_of

RESULTS = "results.json"            # beside the pages: what the lectures left, for the book of the next run
THUMBNAIL = 240, 400                # rows and columns


@dataclass
class Section:
    """A lecture's texts and, once it has run, the names of its picture files, its checks and how long it took."""
    name: str
    title: str
    formula: str
    look_for: str
    code: dict = field(default_factory=dict)
    questions: tuple = ()
    pictures: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    seconds: float | None = None
    error: str = ""
    full: bool = False

    @property
    def passed(self):
        return not self.error and all(c.passed for c in self.checks)

    @property
    def mark(self):
        """Return "pass", "fail", or "not run"."""
        return "not run" if self.seconds is None else "pass" if self.passed else "fail"


def section_of(name):
    """Return the Section of a lecture that has not run."""
    module = import_module(f"lectures.{name}")
    return Section(name, module.TITLE, module.FORMULA, module.LOOK_FOR, module.CODE, questions_of(module.TRY))


def write(folder, sections, heading):
    """Write the book of all lectures into `folder`, each file all of it or nothing; return the path of its index.html.

    sections: what ran. What an earlier run left in the folder is kept; lectures that never ran have a page without pictures.
    """
    folder = Path(folder)
    ran = {**_remembered(folder), **{s.name: s for s in sections}}
    chapters = [ran.get(name) or section_of(name) for name in lecture_names()]
    for name in ("thumbnails", "source"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for section in chapters:
        _write_thumbnail(folder, section)
    for name in ("book.css", "book.js"):
        _put(folder / name, (Path(__file__).parent / name).read_text(encoding="utf-8"))
    for path, names in sources(chapters).items():
        _put(folder / pages.page_of(path), pages.source_page(path, [s for s in chapters if s.name in names]))
    for before, section, after in zip([None, *chapters], chapters, [*chapters[1:], None]):
        _put(folder / f"{section.name}.html", pages.lecture_page(section, _part_of(section.name), before, after))
    _put(folder / RESULTS, json.dumps({name: _results(section) for name, section in ran.items()}, indent=1))
    parts = {part: [s for s in chapters if s.name in names] for part, names in PARTS.items()}
    return _put(folder / "index.html", pages.contents_page({part: some for part, some in parts.items() if some}, heading))


def sources(sections):
    """Return {path of a source file: names of the lectures that show it}, the lectures' own scripts among them."""
    found = {}
    for section in sections:
        for path in (f"lectures/{section.name}.py", *section.code):
            found.setdefault(path, []).append(section.name)
    return found


@cache
def _part_of(name):
    return next(part for part, names in PARTS.items() if name in names)


def _put(path, text):
    """Write a text file, all of it or nothing, unless the same stands there already; return its path."""
    if not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path) as temporary:
            Path(temporary).write_bytes(text.encode())
    return path


def _write_thumbnail(folder, section):
    """Make folder/thumbnails/NAME.jpg of the upper left of a lecture's first picture, unless it is there and newer."""
    picture, path = pages.first_picture(section), folder / pages.thumbnail(section)
    if picture is None or (path.is_file() and path.stat().st_mtime >= (folder / picture).stat().st_mtime):
        return
    try:
        small = resize_shorter(load_image(folder / picture), THUMBNAIL[0])[:THUMBNAIL[0], :THUMBNAIL[1]]
    except ImageError:                  # a damaged file of an earlier run
        return
    with replacing(path) as temporary:
        save_image(temporary, small)


def _results(section):
    return {"pictures": section.pictures, "seconds": section.seconds, "error": section.error, "full": section.full,
            "checks": [[c.what, float(c.value), float(c.at_least), float(c.at_most)] for c in section.checks]}


def _remembered(folder):
    """Return {name: Section} of what earlier runs left in the folder; of a damaged file nothing."""
    sections = {}
    try:
        for name, left in json.loads((folder / RESULTS).read_text(encoding="utf-8")).items():
            if name in lecture_names() and all((folder / picture).is_file() for picture in left["pictures"]):
                section = section_of(name)
                section.pictures, section.seconds, section.error = left["pictures"], left["seconds"], left["error"]
                section.full = left["full"]
                section.checks = [Check(str(what), *map(float, numbers)) for what, *numbers in left["checks"]]
                sections[name] = section
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return sections
