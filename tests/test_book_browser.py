"""The book of the lectures in a browser, from files: keys, colours, paper."""
from io import BytesIO

import pytest
import small_book
from browser import page_in_chromium
from PIL import Image

from lectures.contents import lecture_names

CUT = "[...document.querySelectorAll('pre, .formula')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
WHITE, BLACK = "rgb(255, 255, 255)", "rgb(20, 23, 27)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    small_book.make(folder, small_book.QUICK[:1])
    return folder


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_arrow_key_walks_through_all_pages(folder):
    with page_in_chromium(viewport={"width": 1280, "height": 720}) as (page, problems):
        page.goto((folder / "index.html").as_uri())
        for name in lecture_names():
            page.keyboard.press("ArrowRight")
            page.wait_for_url(f"**/{name}.html")
            assert page.locator("h1").inner_text() and page.locator(".formula").bounding_box()["height"] > 30
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} is {wide} pixels wider than the window"
            loaded = page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
            assert loaded, name
            assert page.evaluate(CUT) == 0, name
        page.keyboard.press("ArrowRight")               # the last page is the end
        page.keyboard.press("ArrowLeft")
        page.wait_for_url(f"**/{lecture_names()[-2]}.html")
        page.keyboard.press("c")
        page.wait_for_url("**/index.html")
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**/{lecture_names()[0]}.html")
        page.keyboard.press("ArrowLeft")                # before the first page come the contents
        page.wait_for_url("**/index.html")
        assert problems == []


def test_mathematics_is_drawn_as_mathematics(folder):
    with page_in_chromium(viewport={"width": 1280, "height": 720}) as (page, problems):
        page.goto((folder / "01_raw_filters.html").as_uri())
        height = page.evaluate("[...document.querySelectorAll('mfrac > *')].map(e => e.getBoundingClientRect().top)")
        assert len(height) == 2 and height[0] + 10 < height[1]           # a numerator above its denominator
        page.goto((folder / "02_sne_and_tsne.html").as_uri())
        lefts = page.evaluate("[...document.querySelectorAll('.math')].map(e => e.getBoundingClientRect().left)")
        assert len(lefts) == 6 and max(lefts) - min(lefts) < 1           # formulas below each other, labels beside them
        assert problems == []


def test_from_the_formula_to_the_line(folder):
    with page_in_chromium(viewport={"width": 1280, "height": 720}) as (page, problems):
        page.goto((folder / "15_backprop_deconvnet_guided.html").as_uri())
        page.locator(".jump a", has_text="relu_guided_ref").click()
        page.wait_for_url("**/source/minicnn.ops.relu.html#L*")
        line = page.locator(":target")
        assert "def relu_guided_ref" in line.inner_text() and 0 < line.bounding_box()["y"] < 720
        page.keyboard.press("c")
        page.wait_for_url("**/index.html")
        assert problems == []


def test_light_and_dark_and_what_is_remembered(folder):
    for scheme, first, second in (("light", WHITE, BLACK), ("dark", BLACK, WHITE)):
        with page_in_chromium(color_scheme=scheme) as (page, problems):
            page.goto((folder / "17_saliency.html").as_uri())
            assert background(page) == first
            page.locator("#theme").focus()
            page.keyboard.press("Enter")
            assert background(page) == second
            page.keyboard.press("ArrowRight")
            page.wait_for_url("**/18_segmentation.html")
            assert background(page) == second
            page.locator("#theme").click()
            assert background(page) == first and problems == []


def test_a_browser_that_remembers_nothing(folder):
    with page_in_chromium() as (page, problems):
        page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }});")
        page.goto((folder / "17_saliency.html").as_uri())
        page.locator("#theme").click()
        assert background(page) == BLACK and problems == []


def test_keys_that_are_for_something_else(folder):
    with page_in_chromium() as (page, problems):
        page.goto((folder / "36_music.html").as_uri())
        page.locator("audio").focus()
        page.keyboard.press("ArrowRight")
        page.locator("#theme").focus()
        page.keyboard.press("Control+c")
        page.keyboard.press("Alt+Shift+ArrowRight")
        page.wait_for_timeout(300)
        assert page.url.endswith("36_music.html") and problems == []


def test_on_paper(folder, tmp_path):
    with page_in_chromium(color_scheme="dark") as (page, problems):
        page.goto((folder / "05_digits.html").as_uri())
        folded = page.locator("details:not([open])").count()
        assert folded > 0 and background(page) == BLACK
        page.emulate_media(media="print")
        assert background(page) == WHITE and not page.locator("nav").is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate(CUT) == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() == folded
        paper = page.pdf(path=tmp_path / "page.pdf")
        assert paper.startswith(b"%PDF") and len(paper) > 20_000 and problems == []


def test_a_screenshot_is_not_empty(folder):
    with page_in_chromium(viewport={"width": 1280, "height": 720}) as (page, problems):
        page.goto((folder / "index.html").as_uri())
        picture = Image.open(BytesIO(page.screenshot()))
        assert picture.size == (1280, 720) and len(picture.convert("RGB").getcolors(1 << 20)) > 500
        names = page.evaluate("[...document.querySelectorAll('.cards a')].map(a => a.href.split('/').pop())")
        assert names == [f"{name}.html" for name in lecture_names()] and problems == []
