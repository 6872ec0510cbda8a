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
