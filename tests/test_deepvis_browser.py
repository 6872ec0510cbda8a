"""The activations browser in a real one: what a lecturer does, by mouse, by keys and with a camera, and how fast it answers."""
import shutil
import statistics
import threading
from contextlib import contextmanager

import pytest
from browser import CAMERA, page_in_chromium, until

import minicnn
from lectures.common import IMAGES, short

pytest.importorskip("flask", reason="flask is not installed")
from werkzeug.serving import make_server  # noqa: E402  it comes with Flask

from lectures.deepvis.__main__ import browser_of, opened  # noqa: E402
from lectures.deepvis.app import create_app  # noqa: E402

SMALL = {"viewport": {"width": 1280, "height": 720}}
SEEN = """id => { const shown = document.getElementById(id), copy = document.createElement("canvas");
    [copy.width, copy.height] = [shown.width, shown.height];
    const pen = copy.getContext("2d", {willReadFrequently: true});
    pen.drawImage(shown, 0, 0);
    return new Set(new Uint32Array(pen.getImageData(0, 0, copy.width, copy.height).data.buffer)).size }"""


@contextmanager
def served(name, folder=None):
    """Serve the browser of a network as the command does, in a thread; yield its address."""
    with opened(0) as listening:
        port = listening.getsockname()[1]
        app = create_app(browser_of(minicnn.load(name), folder), port)
        server = make_server("127.0.0.1", port, app, threaded=True, fd=listening.fileno())
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def press(page, key, shown=None):
    """Press a key, wait until the unit is shown, and return the milliseconds that it took."""
    page.evaluate("document.body.dataset.shown = ''")
    page.keyboard.press(key)
    until(page, f"document.body.dataset.shown === '{shown}'" if shown else "document.body.dataset.shown")
    return float(page.evaluate("document.body.dataset.milliseconds"))


def pressed(page, button):
    return page.get_attribute(f"#{button}-button", "aria-pressed") == "true"


@pytest.fixture(scope="module")
def lenet():
    with served("lenet_mnist") as address:
        yield address


def test_by_keys(lenet):
    with page_in_chromium(**SMALL) as (page, complaints):
        page.goto(lenet)
        until(page, "document.body.dataset.shown")
        columns = page.evaluate("shown.grid.columns")
        for key, shown in [("Home", "pool2 0"), ("ArrowRight", "pool2 1"), ("ArrowDown", f"pool2 {1 + columns}"),
                           ("ArrowUp", "pool2 1"), ("ArrowLeft", "pool2 0"), ("End", "pool2 49"), ("]", None), ("PageUp", None),
                           ("Home", "pool2 0")]:
            press(page, key, shown)
        assert "pool2" in page.inner_text("#strip [aria-current=true]") and "Unit 0 of pool2" in page.inner_text("#unit-title")
        for key in "gmw":
            press(page, key)
        page.keyboard.type("nzba")
        assert page.inner_text("#gamma-button") == "g γ 0.5" and page.inner_text("#mode-button") == "m grey"
        assert page.inner_text("#rule-button") == "b backprop" and not page.is_visible("#guided")
        assert pressed(page, "whole") and pressed(page, "together") and pressed(page, "all") and not pressed(page, "zoom")
        page.keyboard.press("?")
        assert page.is_visible("#help")
        page.keyboard.press("Escape")
        assert not page.is_visible("#help")
        for _ in range(15):                             # as fast as a key repeats
            page.keyboard.press("ArrowRight")
        until(page, "document.body.dataset.shown === 'pool2 15'")
        until(page, "document.querySelectorAll('#patches img').length === 9")
        until(page, "/^optimised: [0-9.]+$/.test(document.getElementById('optimised-caption').innerText)")
        assert page.evaluate(SEEN, "optimised") > 10
        assert all(page.evaluate("[...document.images].map(image => image.alt !== '' && image.naturalWidth > 0)"))
        assert complaints == []


def test_by_mouse_and_with_files(lenet, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with page_in_chromium(**SMALL) as (page, complaints):
        page.goto(lenet)
        until(page, "document.body.dataset.shown")
        page.click("#strip li:nth-child(1) button")
        until(page, "document.body.dataset.shown.startsWith('conv1 ') && shown.grid.layer === 'conv1'")
        grid = page.evaluate("({columns: shown.grid.columns, rows: Math.ceil(shown.grid.count / shown.grid.columns)})")
        box = page.locator("#grid").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 1.5 / grid["columns"], box["y"] + box["height"] * 2.5 / grid["rows"])
        until(page, f"document.body.dataset.shown === 'conv1 {2 * grid['columns'] + 1}'")
        box = page.locator("#map").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 3.5 / 24, box["y"] + box["height"] * 20.5 / 24)
        until(page, "document.getElementById('map-caption').innerText.includes('at (20, 3)')")
        page.click("#pictures button:nth-child(8)")
        until(page, "document.querySelector('#classes .name')?.innerText === '7'")

        page.set_input_files("#file", tmp_path / "broken.png")
        until(page, "document.getElementById('message').innerText.includes('not a picture')")
        assert page.inner_text("#classes .name >> nth=0") == "7"
        before = page.evaluate("state.picture")
        page.set_input_files("#file", IMAGES / "chelsea.jpg")
        until(page, f"state.picture > {before} && document.getElementById('message').innerText === ''")
        assert [text for text in complaints if "400" not in text] == [] and len(complaints) == 1    # the browser notes it itself


def test_with_the_camera(lenet):
    with page_in_chromium(*CAMERA, **SMALL) as (page, complaints):
        page.goto(lenet)
        until(page, "document.body.dataset.shown")
        before = page.evaluate("state.picture")
        page.keyboard.press("c")
        until(page, f"state.picture > {before} + 3")
        assert pressed(page, "camera") and page.evaluate(SEEN, "picture") > 2
        page.keyboard.press("f")
        page.wait_for_timeout(500)
        frozen = page.evaluate("state.picture")
        page.wait_for_timeout(500)
        assert page.evaluate("state.picture") == frozen and pressed(page, "freeze")
        press(page, "ArrowRight")
        page.keyboard.press("f")
        until(page, f"state.picture > {frozen} + 1")
        page.keyboard.press("c")
        assert not pressed(page, "camera") and page.evaluate("camera.video") is None
        assert complaints == []


def test_squeezenet_answers_within_300_ms(tmp_path, capsys):
    for name in ("chelsea.jpg", "coffee.jpg"):
        shutil.copy(IMAGES / name, tmp_path)
    with served("squeezenet1_1", tmp_path) as address, page_in_chromium(**SMALL) as (page, complaints):
        page.goto(address)
        until(page, "document.body.dataset.shown")
        best = minicnn.predict(minicnn.load("squeezenet1_1"), IMAGES / "chelsea.jpg")[0]
        assert page.inner_text("#classes li >> nth=0").split("\n")[0] == short(best[2])
        times = {}
        for k in range(1, 1 + page.locator("#strip li").count(), 3):
            page.click(f"#strip li:nth-child({k}) button")
            until(page, "document.body.dataset.shown === `${state.layer} ${state.unit}` && shown.grid.layer === state.layer")
            if page.evaluate("state.unit") > 0:
                press(page, "Home")
            times[page.evaluate("state.layer")] = [press(page, "ArrowRight") for _ in range(5)]
            assert all(page.evaluate(SEEN, canvas) > 1 for canvas in ("picture", "grid"))
        middle = {layer: statistics.median(each) for layer, each in times.items()}
        slowest = max(middle, key=middle.get)
        with capsys.disabled():
            print(f"\nkey to picture: median {statistics.median(middle.values()):.0f} ms, slowest layer {slowest} "
                  f"{middle[slowest]:.0f} ms, slowest answer {max(map(max, times.values())):.0f} ms")
        assert statistics.median(middle.values()) < 300
        assert complaints == []
