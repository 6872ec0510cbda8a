"""One computation at a time: first what somebody waits for, the newest question of each page, then the background.

The kernels use all cores, so two computations at once would only be in each other's way.
"""
import threading
from contextlib import contextmanager

from minicnn.errors import MinicnnError

PAGES = 64              # of so many open pages the newest question is remembered


class Outdated(MinicnnError):
    """A question that the page has followed by a newer one before its turn came."""


class Desk:
    """Who may compute now; `answering` and `in_background` are context managers around a computation."""

    def __init__(self):
        self._changed, self._busy, self._waiting = threading.Condition(), False, 0
        self._newest = {}           # page -> number of its newest question

    @contextmanager
    def answering(self, page="", turn=0):
        """Wait for the one at work, then go ahead of all background work. Raises Outdated after a newer turn of this page."""
        with self._changed:
            self._newest[page] = max(turn, self._newest.pop(page, 0))
            while len(self._newest) > PAGES:
                del self._newest[next(iter(self._newest))]
            self._waiting += 1
            self._changed.wait_for(lambda: not self._busy)
            self._waiting -= 1
            if turn < self._newest.get(page, 0):
                self._changed.notify_all()
                raise Outdated(f"question {turn} came before question {self._newest[page]} of the same page, which is answered")
            self._busy = True
        with self._working():
            yield

    @contextmanager
    def in_background(self):
        """Wait until nobody else works or waits; for one short step, so that an answer never waits long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and not self._waiting)
            self._busy = True
        with self._working():
            yield

    @contextmanager
    def _working(self):
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
