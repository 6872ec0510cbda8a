"""The weights that every golden file in tests/foreign/ holds, each in its own format: convnetjs_cifar10, made of 256ths."""
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "foreign"
SHAPES = {"conv1": (16, 3, 5, 5), "conv2": (20, 16, 5, 5), "conv3": (20, 20, 5, 5), "fc": (10, 320)}


def weights():
    """Return {"conv1": (weight, bias), ...}: filters (out, in, height, width); fc reads a map in the order C, H, W.

    Whole multiples of 1/256 below 1/2: exact in float16, bfloat16 and short in decimal notation.
    """
    rng = np.random.default_rng(20)

    def draw(shape):
        return (rng.integers(-127, 128, shape) / 256).astype(np.float32)
    return {name: (draw(shape), draw(shape[:1])) for name, shape in SHAPES.items()}


def flattened_hwc(matrix, channels=20, size=4):
    """Return a matrix (out, C*H*W) with its columns in the order H, W, C, as channels-last frameworks have it."""
    return matrix.reshape(-1, channels, size, size).transpose(0, 2, 3, 1).reshape(len(matrix), -1)
