"""What a filter does: a convolution window by window, the way back, and the filter as a picture."""
import numpy as np

from minicnn.ops.conv2d import conv2d_forward_ref
from minicnn.ops.conv2d_backward import conv2d_backward_input_ref, conv2d_backward_weight_ref
from minicnn.visualize.filters import scale_filters

from ..stepping import Marked, state

SETTINGS = (1, 1), (0, 0), (1, 1), 1            # stride, padding, dilation, groups


def steps(rng):
    """A picture of 2 channels of 5 x 5, one filter of 3 x 3: y, then dL/dx and dL/dw, then the filter as pixels."""
    x = rng.integers(0, 10, (1, 2, 5, 5)).astype(float)
    w, b = rng.integers(-2, 3, (1, 2, 3, 3)).astype(float), np.array([1.0])
    y, so_far = conv2d_forward_ref(x, w, b, *SETTINGS), np.full((3, 3), np.nan)
    yield state("the picture, the filter, the bias", conv2d_forward_ref, "y[n, f, i, j] =", {"x": x[0], "w[0]": w[0], "b": b})
    for i, j in np.ndindex(3, 3):
        seen, window = np.zeros(x[0].shape, bool), x[0, :, i:i + 3, j:j + 3]
        seen[:, i:i + 3, j:j + 3] = True
        so_far[i, j] = y[0, 0, i, j]
        yield state(f"y[{i}, {j}]: the window times the filter, all added up, and the bias", conv2d_forward_ref,
                    "y[n, f, i, j] =",
                    {"x": Marked(x[0], seen), "window * w": window * w[0], "their sum": (window * w[0]).sum(), "b": b,
                     "y so far": so_far.copy()}, line="np.sum(window * w[f])")
    dy = np.zeros((1, 1, 3, 3))
    dy[0, 0, 0, 0], dy[0, 0, 1, 1] = 1, 2
    yield state("back to the picture: two outputs hand their dL/dy times the filter back, and where windows overlap they add",
                conv2d_backward_input_ref, "each output hands dL/dy times its filter back",
                {"dL/dy": dy[0, 0], "dL/dx": conv2d_backward_input_ref(dy, w, (5, 5), *SETTINGS)[0]},
                line="window += dout[n, f, i, j] * w[f]")
    yield state("back to the filter: the windows, each times its dL/dy", conv2d_backward_weight_ref, "dL/dw[f] is the sum",
                {"dL/dy": dy[0, 0], "dL/dw": conv2d_backward_weight_ref(dy, x, w.shape, *SETTINGS)[0]},
                line="dweight[f] += dout[n, f, i, j] * window")
    yield state("the filter as a picture: its least number black, its largest white", scale_filters, "pixel = (w - min w)",
                {"w[0]": w[0], "pixel": scale_filters(w)[0]}, line="(weight - low)")
