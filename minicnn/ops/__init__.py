"""The ops: differentiable functions on Tensors, one file each, from the definition up to the fast kernel."""
from .activations import leaky_relu, sigmoid, tanh
from .arithmetic import add, div, maximum, mul, pow, sub
from .avg_pool2d import adaptive_avg_pool2d, avg_pool2d, global_avg_pool2d
from .batch_norm import batch_norm
from .concat import concat
from .conditional_instance_norm import conditional_instance_norm
from .conv2d import conv2d
from .conv_transpose2d import conv_transpose2d
from .cross_entropy import cross_entropy
from .dropout import dropout
from .elementwise import abs, clip, exp, log, sqrt
from .gram_matrix import gram_matrix
from .group_norm import group_norm
from .instance_norm import instance_norm
from .interpolate import interpolate
from .layer_norm import layer_norm
from .linear import linear
from .local_response_norm import local_response_norm
from .log_softmax import log_softmax
from .matmul import matmul
from .max_pool2d import max_pool2d
from .max_unpool2d import max_unpool2d
from .pad import pad
from .reductions import max, mean, sum
from .relu import relu
from .shape_ops import flatten, getitem, permute, reshape
from .softmax import softmax
from .total_variation import total_variation

__all__ = [
    "abs", "adaptive_avg_pool2d", "add", "avg_pool2d", "batch_norm", "clip", "concat", "conditional_instance_norm",
    "conv2d", "conv_transpose2d", "cross_entropy", "div", "dropout", "exp", "flatten", "getitem",
    "global_avg_pool2d", "gram_matrix", "group_norm", "instance_norm", "interpolate", "layer_norm", "leaky_relu",
    "linear", "local_response_norm", "log", "log_softmax", "matmul", "max", "max_pool2d", "max_unpool2d",
    "maximum", "mean", "mul", "pad", "permute", "pow", "relu", "reshape", "sigmoid", "softmax", "sqrt", "sub",
    "sum", "tanh", "total_variation",
]
