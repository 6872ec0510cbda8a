"""The ops: differentiable functions on Tensors, one file each, from the definition up to the fast kernel."""
from .conv2d import conv2d
from .max_pool2d import max_pool2d
from .op import pair
from .relu import relu

__all__ = ["conv2d", "max_pool2d", "relu"]
