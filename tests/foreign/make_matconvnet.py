"""Makes matconvnet.mat and matconvnet_old.mat with scipy: python tests/foreign/make_matconvnet.py"""
import sys
from pathlib import Path

import numpy as np
import scipy.io

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights       # noqa: E402

MEAN = np.array([123.5, 116.75, 103.25], np.float32)


def cells(values):
    """Return a MATLAB cell array of one row."""
    row = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        row[0, i] = value
    return row


def layers(with_weights):
    """Return the layers of convnetjs_cifar10; `with_weights` says how the arrays of one are kept."""
    made = []
    for name, (weight, bias) in weights().items():
        filters = weight.reshape(10, 20, 4, 4) if name == "fc" else weight
        hwio = np.asfortranarray(filters.transpose(2, 3, 1, 0))
        made.append({"type": "conv", "name": name, "stride": 1.0, "pad": 0.0 if name == "fc" else 2.0,
                     **with_weights(hwio, bias[None])})
        if name != "fc":
            made.append({"type": "relu", "name": name.replace("conv", "relu")})
            made.append({"type": "pool", "name": name.replace("conv", "pool"), "method": "max", "pool": np.array([[2.0, 2.0]])})
    return made


def main():
    """Write both files."""
    newer = layers(lambda filters, bias: {"weights": cells([filters, bias])}) + [{"type": "softmaxloss", "name": "loss"}]
    classes = {"name": cells([f"n{i:08}" for i in range(10)]), "description": cells([f"thing {i}" for i in range(10)])}
    normalization = {"imageSize": np.array([[32.0, 32.0, 3.0, 1.0]]), "averageImage": MEAN.reshape(1, 1, 3)}
    scipy.io.savemat(FOLDER / "matconvnet.mat", do_compression=True,
                     mdict={"layers": cells(newer), "meta": {"normalization": normalization, "classes": classes}})
    older = layers(lambda filters, bias: {"filters": filters, "biases": bias.T})
    scipy.io.savemat(FOLDER / "matconvnet_old.mat", mdict={
        "layers": cells(older), "classes": classes,
        "normalization": {"averageImage": np.broadcast_to(MEAN, (8, 8, 3)), "interpolation": "bicubic"}})
    for name in ("matconvnet.mat", "matconvnet_old.mat"):       # the same bytes every time: no date, no version
        data = (FOLDER / name).read_bytes()
        (FOLDER / name).write_bytes(b"MATLAB 5.0 MAT-file, Platform: any".ljust(116) + data[116:])


if __name__ == "__main__":
    main()
