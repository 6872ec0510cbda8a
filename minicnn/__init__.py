"""minicnn: convolutional networks by hand, and the techniques of the lecture "Visualizing CNN" on top."""
from . import backend, errors, images, nets, nn, ops, tape
from .backend import use
from .nets import build
from .nn import predict
from .tape import no_grad, relu_rule
from .tensor import Tensor
from .weights import load, save

__all__ = ["Tensor", "backend", "build", "errors", "images", "load", "nets", "nn", "no_grad", "ops", "predict",
           "relu_rule", "save", "tape", "use"]
__version__ = "0.1.0"


def __getattr__(name):
    """Import minicnn.embed when it is first asked for: it needs much of scipy, which the networks do without.

    And minicnn.trace, which is a command as well: Python warns about one that was imported before it runs.
    """
    if name in ("embed", "trace"):
        import importlib
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
