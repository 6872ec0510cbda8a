"""The book of the lectures: its pages, links, formulas and listings."""
import importlib
import inspect
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import small_book

from lectures import book, listing, pages
from lectures.contents import PARTS, lecture_names
from lectures.formula import formula_to_html, formula_to_markdown, lines_of, mathml, questions_of, to_html
from minicnn.errors import UnknownNameError

ROOT = Path(__file__).parent.parent
EMPTY = {"meta", "link", "img", "br", "mspace"}         # elements without an end


class Page(HTMLParser):
    """A page of the book, read: its elements in order as (name, attributes), its ids, and the text of each <pre>."""

    def __init__(self, path):
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.elements, self.listings, self.open = [], [], []
        self.feed(self.text)
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)
        if tag == "pre":
            self.listings.append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{self.path.name}: </{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if "pre" in self.open:
            self.listings[-1] += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    small_book.make(folder)
    return folder


@pytest.fixture(scope="module")
def read(folder):
    """Every page of the book: path relative to its folder -> Page."""
    return {str(path.relative_to(folder)): Page(path) for path in sorted(folder.rglob("*.html"))}


# --- contents and order ---
def test_the_parts_hold_every_lecture_once():
    assert sorted(lecture_names()) == sorted(p.stem for p in (ROOT / "lectures").glob("[0-9][0-9]_*.py"))
    assert list(PARTS)[-3:] == ["CNN for arts", "Fooling conv-net", "Conclusions"]


def test_contents_in_deck_order_with_marks_and_thumbnails(read, folder):
    index = read["index.html"]
    linked = [a["href"] for a in index.all("a") if a.get("rel") != "next"]
    assert linked == [f"{name}.html" for name in lecture_names()]
    headings = re.findall(r"<h2>(.*?)</h2>", index.text)
    assert headings == list(PARTS) and "4 of 33 lectures" in index.text
    assert index.text.count('class="pass">pass') == 2 and index.text.count('class="fail">fail') == 2
    assert index.text.count('class="not-run">not run') == len(lecture_names()) - 4
    thumbnails = [image["src"] for image in index.all("img")]
    assert thumbnails == [f"thumbnails/{name}.jpg" for name in ("01_raw_filters", "02_sne_and_tsne", "17_saliency")]
    assert all((folder / t).stat().st_size < 120_000 for t in thumbnails)


def test_next_and_previous_follow_the_deck(read):
    def linked(page, rel):
        found = [a["href"] for a in page.all("a") if a.get("rel") == rel]
        assert len(found) <= 1
        return found[0] if found else None
    names, walked, at = lecture_names(), [], linked(read["index.html"], "next")
    while at:
        walked.append(at)
        assert linked(read[at], "prev") == ([None, *walked][-2] or "index.html") and linked(read[at], "contents") == "index.html"
        at = linked(read[at], "next")
    assert walked == [f"{name}.html" for name in names]


# --- every page ---
def test_links_resolve_and_nothing_comes_from_elsewhere(read, folder):
    assert len(read) > 33 + 60
    for page in read.values():
        used = [a[key] for a in page.all("a", "link", "script", "img", "audio", "source") for key in ("href", "src") if key in a]
        assert used and "://" not in page.text.replace("http://www.w3.org/1998/Math/MathML", "")
        for address in used:
            file, _, anchor = unquote(address).partition("#")
            target = (page.path.parent / file).resolve() if file else page.path
            assert target.is_file() and folder.resolve() in target.parents, f"{page.path.name}: {address}"
            if anchor:
                assert anchor in read[str(target.relative_to(folder.resolve()))].ids, f"{page.path.name}: {address}"
    for name in ("book.css", "book.js"):
        assert "://" not in (folder / name).read_text() and "url(" not in (folder / name).read_text()


def test_pages_are_made_for_everybody(read):
    for page in read.values():
        assert page.text.startswith('<!doctype html>\n<html lang="en">') and page.open == [], page.path.name
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), page.path.name
        assert all("alt" in image for image in page.all("img")) and len(set(page.ids)) == len(page.ids)
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")], "a handler in the page"
        assert re.search("<title>[^<]+</title>", page.text)


def test_what_a_lecture_left_is_on_its_page(read):
    page = read["17_saliency.html"]
    assert [i["src"] for i in page.all("img")] == ["17_saliency.png"] and page.text.count('<td class="pass">PASS') == 2
    assert all(image["alt"].startswith("Finding salient map") for image in page.all("img"))
    assert "measured when the lecture ran" in page.text and "full settings" not in page.text
    failed = read["02_sne_and_tsne.html"].text
    assert "02_sne_and_tsne_film.gif" in failed and "FAIL" in failed and "much &lt; more" in failed
    music = read["36_music.html"]
    assert [a["src"] for a in music.all("audio")] == ["36_music_silence.wav"] and "broken &lt;here&gt;" in music.text
    assert "Not run yet: <code>python -m lectures occlusion</code>" in read["08_occlusion.html"].text


# --- formulas and questions ---
@pytest.mark.parametrize("name", lecture_names())
def test_formulas_are_well_formed(name, read):
    section = book.section_of(name)
    formulas = re.findall(r"\$([^$]+)\$", section.formula)
    assert section.formula.count("$") == 2 * len(formulas) and (formulas or name == "42_evolved_images")
    for latex in formulas:
        latex = " ".join(latex.split())
        math = ElementTree.fromstring(mathml(latex))
        words = "".join(math.itertext())
        assert math.tag.endswith("}math") and words and not re.search(r"[\\$&{]", words), latex
        assert latex.count("{") == latex.count("}")
        assert len(re.findall(r"\\left\b", latex)) == len(re.findall(r"\\right\b", latex))
    assert read[f"{name}.html"].text.count("<math") >= len(formulas) and "$" not in to_html(section.formula)


@pytest.mark.parametrize("name", lecture_names())
def test_questions_and_code_of_a_lecture(name, read):
    section = book.section_of(name)
    assert 2 <= len(section.questions) <= 5 and all(len(question) > 40 for question in section.questions)
    assert 1 <= len(listing.definitions(section.code)) <= 8
    page = read[f"{name}.html"]
    assert page.text.count("<li>") == len(section.questions)
    for d in listing.definitions(section.code):         # in one jump from the formula to the line
        assert f'<a href="{listing.page_of(d.path)}#L{d.first}">{d.name}</a>' in page.text


def test_formula_lines():
    formula = r"""SNE: $q_{j|i}$ and
    more: of $it$
$x$: no label, since a formula came before
`code: x` neither"""
    assert lines_of(formula) == [("SNE", "$q_{j|i}$ and more: of $it$"), ("", "$x$: no label, since a formula came before"),
                                 ("", "`code: x` neither")]
    assert 'class="formula labelled"' in formula_to_html(formula) and 'class="formula"' in formula_to_html("$x$")
    assert formula_to_markdown("a: $x$\nb $y$") == "a: $\\displaystyle x$\n\nb $\\displaystyle y$"
    assert to_html("a < `b < c`") == "a &lt; <code>b &lt; c</code>"
    assert "<mi>exp</mi>" in mathml(r"\exp(-x)") and 'form="prefix"' in mathml(r"\exp(-x)") and "form" not in mathml("a - b")
    assert questions_of("What\nis it?\n\nWhy?") == ("What is it?", "Why?")


# --- listings ---
def test_listings_are_the_source(read):
    compared = 0
    for name in lecture_names():
        section = book.section_of(name)
        found = listing.definitions(section.code)
        assert len(read[f"{name}.html"].listings) == len(found)
        for d, shown in zip(found, read[f"{name}.html"].listings):
            thing = importlib.import_module(d.path.removesuffix(".py").replace("/", "."))
            for part in d.name.split("."):
                thing = inspect.getattr_static(thing, part)
            if inspect.isfunction(thing) or inspect.isclass(thing):         # a compiled kernel is neither
                source = inspect.getsource(thing).splitlines(keepends=True)
                assert shown == "".join(line for line in source if "SOLUTION hw" not in line), f"{name}: {d}"
                assert d.first == inspect.getsourcelines(thing)[1]
                compared += 1
    assert compared > 90


def test_whole_files_are_the_source_with_numbers(read):
    for path in ("minicnn/ops/relu.py", "lectures/17_saliency.py"):
        page, lines = read[pages.page_of(path)], (ROOT / path).read_text(encoding="utf-8").splitlines()
        taught = [(str(n), line) for n, line in enumerate(lines, start=1) if "SOLUTION hw" not in line]
        assert page.listings[0].splitlines() == [line for _, line in taught]
        assert page.ids[-len(taught):] == [f"L{n}" for n, _ in taught]
        assert [s["data-line"] for s in page.all("span") if "data-line" in s] == [n for n, _ in taught]
    assert '<span class="k">def</span>' in read["source/minicnn.ops.relu.html"].text
    assert "Guided backprop" in read["source/minicnn.ops.relu.html"].text           # where it is shown


def test_markers_of_the_homework_are_left_out(tmp_path, monkeypatch):
    source = "\n\ndef f(x):\n    ### BEGIN SOLUTION a\n    y = x\n    ### END SOLUTION a\n    return y    # BEGIN\n\n\nx = 1\n"
    (tmp_path / "marked.py").write_text(source)
    monkeypatch.setattr(listing, "ROOT", tmp_path)
    (d,) = listing.definitions({"marked.py": "f"})
    assert (d.first, d.last) == (3, 7)
    shown = listing.listing("marked.py", d.first, d.last)
    assert "SOLUTION" not in shown and re.findall('data-line="(.)"', shown) == ["3", "5", "7"] and "# BEGIN" in shown
    assert "SOLUTION" not in listing.listing("marked.py") and 'id="L10"' in listing.listing("marked.py", anchors=True)


def test_a_definition_that_is_not_there():
    with pytest.raises(UnknownNameError, match="no definition in minicnn/ops/relu.py named 'relu_gided_ref'.*relu_guided_ref"):
        listing.definitions({"minicnn/ops/relu.py": "relu_gided_ref"})


# --- books that are written again ---
def test_what_an_earlier_run_left_stays(tmp_path):
    sections = [book.section_of(name) for name in ("01_raw_filters", "43_hog")]
    for section in sections:
        section.seconds, section.full = 1.5, True
    (tmp_path / "01_raw_filters.png").write_bytes(b"damaged")
    sections[0].pictures = ["01_raw_filters.png"]
    book.write(tmp_path, sections[:1], "first")
    page = (tmp_path / "01_raw_filters.html")
    before, untouched = page.read_text(), (tmp_path / "05_digits.html").stat().st_mtime_ns
    assert "01_raw_filters.png" in before
    index = book.write(tmp_path, sections[1:], "second")
    assert index == tmp_path / "index.html" and page.read_text() == before and index.read_text().count(">pass<") == 2
    assert (tmp_path / "05_digits.html").stat().st_mtime_ns == untouched
    (tmp_path / "01_raw_filters.png").unlink()
    assert book.write(tmp_path, [], "a picture was removed").read_text().count(">pass<") == 1
    for damaged in ("", "[1]", json.dumps({"43_hog": {"pictures": []}}), json.dumps({"43_hog": 3})):
        (tmp_path / book.RESULTS).write_text(damaged)
        assert ">pass<" not in book.write(tmp_path, [], "damaged").read_text()
    assert not [p for p in tmp_path.rglob(".*")]
