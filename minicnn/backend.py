"""Which rung of the ladder runs: "ref" (plain loops, the definition), "cpu" (Numba and NumPy) or "cuda" (a GPU).

Every op's file ends its ladder with a table KERNELS = {"ref": {pass: function}, "cpu": {...}, "cuda": {...}}, and the op
asks `pick(KERNELS)` for the rung in use. The choice is `use("ref")`, a plain call or a `with` block, or the environment
variable MINICNN_BACKEND; without either it is "cpu".
"""
import os
from contextvars import ContextVar

from .device import check_gpu
from .errors import BackendError

BACKENDS = ("ref", "cpu", "cuda")
_current = ContextVar("minicnn_backend", default=None)


class use:
    """Choose the backend: `use("ref")` from here on, or `with use("ref"):` for a block, after which the old one is back."""

    def __init__(self, name):
        self._name = _checked(name)
        self._tokens = [_current.set(self._name)]
        self._called = True                     # the plain call has chosen already; the first `with` only gives back

    def __enter__(self):
        if not self._called:
            self._tokens.append(_current.set(self._name))
        self._called = False
        return self

    def __exit__(self, *exc_info):
        _current.reset(self._tokens.pop())


def current():
    """Return the name of the backend in use: "ref", "cpu" or "cuda"."""
    return _current.get() or _checked(os.environ.get("MINICNN_BACKEND") or "cpu")


def pick(kernels):
    """Return {pass: function} of the backend in use from an op's KERNELS table."""
    return kernels[current()]


def _checked(name):
    if name not in BACKENDS:
        raise BackendError(f"backend {name!r} is unknown; choose one of {', '.join(map(repr, BACKENDS))}")
    if name == "cuda":
        check_gpu()
    return name
