"""A real browser for the tests of pages: headless Chromium through Playwright; the test is skipped where either is missing."""
import shutil
import time
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@contextmanager
def page_in_chromium(*flags, **settings):
    """Yield (page, problems): a page of a new browser, and a list in which what goes wrong is noted while it is driven.

    Noted are console errors and warnings, errors of scripts, requests that fail (but for those that the page itself gave up), and
    requests that leave this machine. settings: of the browser's context, such as viewport or color_scheme, as Playwright names
    them.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser here: install one of {', '.join(NAMES)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        try:
            page, problems = browser.new_context(**settings).new_page(), []
            page.on("console", lambda message: message.type in ("error", "warning")
                    and problems.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
            page.on("requestfailed", lambda request: request.failure == "net::ERR_ABORTED"
                    or problems.append(f"failed: {request.url} {request.failure}"))
            page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))
                    or problems.append(f"left the machine: {request.url}"))
            yield page, problems
        finally:
            browser.close()


def until(page, expression, seconds=20):
    """Wait until a JavaScript expression is true (Playwright's own wait needs eval in the page, which a page may forbid)."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"after {seconds} s it is still not so: {expression}"
        page.wait_for_timeout(10)
