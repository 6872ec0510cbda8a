"""minicnn: convolutional networks by hand, and every technique of the lecture "Visualizing CNN" on top of them."""
from . import ops
from .tensor import Tensor
from .backend import use
from .tape import no_grad, relu_rule

__all__ = ["ops", "Tensor", "use", "no_grad", "relu_rule"]
