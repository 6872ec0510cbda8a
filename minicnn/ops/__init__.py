"""The ops: differentiable functions on Tensors, one file each, from the definition up to the fast kernel."""
from .avg_pool2d import adaptive_avg_pool2d, avg_pool2d, global_avg_pool2d
from .batch_norm import batch_norm
from .concat import concat
from .conv2d import conv2d
from .cross_entropy import cross_entropy
from .dropout import dropout
from .gram_matrix import gram_matrix
from .group_norm import group_norm
from .instance_norm import instance_norm
from .layer_norm import layer_norm
from .linear import linear
from .local_response_norm import local_response_norm
from .log_softmax import log_softmax
from .max_pool2d import max_pool2d
from .relu import relu
from .shape_ops import flatten, getitem, permute, reshape
from .softmax import softmax
from .total_variation import total_variation

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "concat", "conv2d", "cross_entropy", "dropout", "flatten",
    "getitem", "global_avg_pool2d", "gram_matrix", "group_norm", "instance_norm", "layer_norm", "linear",
    "local_response_norm", "log_softmax", "max_pool2d", "permute", "relu", "reshape", "softmax", "total_variation",
]
