"""A real browser for the tests of pages: headless Chromium through Playwright; the test is skipped where either is missing."""
import shutil
import time
from contextlib import contextmanager

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@contextmanager
def open_page(url, *flags, **context):
    """Open `url` in a new browser and yield (page, complaints); context: viewport, color_scheme, ... as Playwright names them.

    complaints: a list to which errors on the console, exceptions in the page, failed requests (those that the page itself
    gave up left out) and requests to anywhere else are added as they come.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        page, complaints = browser.new_context(**context).new_page(), []
        page.on("console", lambda message: complaints.append(f"console: {message.text}") if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.on("requestfailed", lambda request: None if request.failure == "net::ERR_ABORTED" else
                complaints.append(f"failed: {request.url} {request.failure}"))
        page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else
                complaints.append(f"elsewhere: {request.url}"))
        try:
            page.goto(url)
            yield page, complaints
        finally:
            browser.close()


def until(page, expression, seconds=20):
    """Wait until a JavaScript expression is true (Playwright's own wait needs eval in the page, which a page may forbid)."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"after {seconds} s it is still not so: {expression}"
        page.wait_for_timeout(10)
