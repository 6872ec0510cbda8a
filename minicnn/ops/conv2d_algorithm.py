"""Which algorithm computes a convolution: im2col's matrix product, Winograd's, or the plain loops."""
import os

from ..errors import SettingError

FROZEN_TILES, TILES = 9, 100    # from which Winograd's algorithm is the faster; measured on the layers of VGG-16 and SqueezeNet


def algorithm(x_shape, w_shape, frozen, stride, padding, dilation, groups):
    """Return "winograd" or "im2col", whichever is the faster for the shapes, or what MINICNN_CONV says.

    Winograd's saves three quarters of the products of 3 x 3 filters one pixel apart, and pays with three passes over the
    data: worth it from 16 channels and 16 filters on, if there are tiles enough; many more if the filters are not frozen, so
    that they are transformed at each call. What MINICNN_CONV forces is the way forwards: gradients come by Winograd's algorithm
    or else by what im2col.py and conv2d_backward.py have. A forced "winograd" that does not fit becomes "im2col". On a GPU
    im2col's product is conv2d_cuda.py's; from how many tiles on Winograd's is faster was measured on CPUs alone.
    """
    forced = os.environ.get("MINICNN_CONV")
    if forced not in (None, "", "direct", "im2col", "winograd"):
        raise SettingError(f"MINICNN_CONV is {forced!r}; it can be direct, im2col, winograd or not set")
    N, C, H, W = x_shape
    fits = w_shape[2:] == (3, 3) and stride == dilation == (1, 1) and groups == 1 and padding[0] == padding[1]
    if forced:
        return forced if fits or forced != "winograd" else "im2col"
    down, across = -(-(H + 2 * padding[0] - 2) // 4), -(-(W + 2 * padding[1] - 2) // 4)
    worth = min(w_shape[0], C) >= 16 and N * down * across >= (FROZEN_TILES if frozen else TILES)
    return "winograd" if fits and worth else "im2col"
