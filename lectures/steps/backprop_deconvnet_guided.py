"""Max pooling with its switches, and what the three rules of a ReLU let through on the way back."""
import numpy as np

from minicnn.ops.conv2d import conv2d_forward_ref
from minicnn.ops.conv2d_backward import conv2d_backward_input_ref
from minicnn.ops.max_pool2d import max_pool2d_backward_ref, max_pool2d_forward_ref
from minicnn.ops.relu import relu_backprop_ref, relu_deconvnet_ref, relu_forward_ref, relu_guided_ref

from ..stepping import Marked, state

SETTINGS, WINDOW = ((1, 1), (0, 0), (1, 1), 1), ((2, 2), (2, 2), (0, 0))


def steps(rng):
    """x (1, 1, 6, 6) through a filter of 3 x 3, a ReLU and pooling; then signals from above back, by each of the rules."""
    x, w = rng.integers(-3, 4, (1, 1, 6, 6)).astype(float), np.array([[[[0, 1, 0], [1, -2, 1], [0, 1, 0]]]], float)
    y = conv2d_forward_ref(x, w, np.zeros(1), *SETTINGS)
    yield state("forward: the convolution", conv2d_forward_ref, "y[n, f, i, j] =", {"x": x[0, 0], "w": w[0, 0], "y": y[0, 0]},
                line="np.sum(window * w[f])")
    f, on = relu_forward_ref(y, True)
    yield state("forward: the ReLU, and where it was on", relu_forward_ref, "f = relu(x) = max(x, 0)",
                {"f": Marked(f[0, 0], on[0, 0])}, line="0 if x[i] < 0 else x[i]")
    top, switches = max_pool2d_forward_ref(f, *WINDOW, (2, 2))
    won = np.zeros(16, bool)
    won[switches.ravel()] = True
    yield state("forward: the largest of each 2 x 2, and the switch: its place, row * width + column", max_pool2d_forward_ref,
                "y[n, c, i, j] = max over the window", {"f": Marked(f[0, 0], won.reshape(4, 4)), "pooled": top[0, 0],
                                                        "switches": switches[0, 0]}, line="best, best_at = value, h * W + w")
    above = np.array([[[[1.0, -2], [3, 1]]]])
    unpooled = max_pool2d_backward_ref(above, switches, (4, 4), WINDOW)
    yield state("back: a signal from above goes to the places that had won, the rest gets 0", max_pool2d_backward_ref,
                "dL/dx[n, c, switch] +=", {"R": above[0, 0], "unpooled": Marked(unpooled[0, 0], won.reshape(4, 4))},
                line="dx[n, c, at //")
    R = rng.integers(-3, 4, (1, 1, 4, 4)).astype(float)
    for rule, function, formula in (("backprop", relu_backprop_ref, "R_x = (f > 0) R   "),
                                    ("deconvnet", relu_deconvnet_ref, "R_x = (R > 0) R"),
                                    ("guided", relu_guided_ref, "R_x = (f > 0) (R > 0) R")):
        below = function(on, R)
        yield state(f"back through the ReLU, a signal as a convolution above sends it: {rule}", function, formula,
                    {"R": R[0, 0], "f": f[0, 0], "R_x": Marked(below[0, 0], below[0, 0] != 0)}, line="dx[i] = dout[i]")
        yield state(f"back through the convolution, the filter transposed: the picture that {rule} draws",
                    conv2d_backward_input_ref, "each output hands dL/dy times its filter back",
                    {"R_x": below[0, 0], "the picture": conv2d_backward_input_ref(below, w, (6, 6), *SETTINGS)[0, 0]},
                    line="window += dout[n, f, i, j] * w[f]")
