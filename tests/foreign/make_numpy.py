"""Write numpy.npz, numpy_compressed.npz, numpy.npy, numpy_python2.npy and pickle.pkl: `python tests/foreign/make_numpy.py`.

As TensorFlow's users wrote them: filters (height, width, in, out), matrices (in, out) that read a map as height, width, channel.
"""
import pickle
import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, flattened_hwc, weights  # noqa: E402


def channels_last():
    """Return {"conv1": [weight, bias], ...}."""
    return {name: [np.ascontiguousarray(weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else flattened_hwc(weight).T), bias]
            for name, (weight, bias) in weights().items()}


# --- what Python 2 and NumPy before 1.17 wrote, which no program of today does --------------------------------------
def text(data):
    """The instruction that makes a str of Python 2, which is text and bytes alike."""
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<I", len(data)) + data


def number(value):
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def sizes(shape):
    return (b"(" + b"".join(map(number, shape)) + b"t") if len(shape) > 3 else \
        b"".join(map(number, shape)) + [b")", b"\x85", b"\x86", b"\x87"][len(shape)]


def put(index):
    return b"q" + bytes([index])


def dtype_python2(code, order, flags, index):
    return (text(code) + b"K\0K\1\x87R" + put(index) + b"(K\3" + text(order) + b"NNN" + 2 * b"J\xff\xff\xff\xff" +
            number(flags) + b"tb")


def python2():
    """Return what numpy.save made of the dict under Python 2.7."""
    state, memo, first = b"", 8, True
    for name, arrays in channels_last().items():
        state += text(name.encode()) + put(memo) + b"]" + put(memo + 1) + b"("
        memo += 2
        for array in arrays:
            state += b"h\1h\2K\0\x85U\1b\x87R" + put(memo) + b"(K\1" + sizes(array.shape)
            memo += 1
            if first:
                state += b"h\4" + dtype_python2(b"f4", b"<", 0, memo)
                dtype, memo, first = b"h" + bytes([memo]), memo + 1, False
            else:
                state += dtype
            state += b"\x89" + text(array.tobytes()) + b"tb"
        state += b"e"
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + "\n"
    return (b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() +
            b"\x80\2cnumpy.core.multiarray\n_reconstruct\nq\1cnumpy\nndarray\nq\2K\0\x85U\1b\x87Rq\3"
            b"(K\1)cnumpy\ndtype\nq\4" + dtype_python2(b"O8", b"|", 63, 5) + b"\x89]q\6}q\7(" + state + b"uatb.")


def main():
    layers = channels_last()
    flat = {f"{name}_{key}": array for name, pair in layers.items() for key, array in zip("Wb", pair)}
    np.savez(FOLDER / "numpy.npz", **flat)
    np.savez_compressed(FOLDER / "numpy_compressed.npz", **flat)
    np.save(FOLDER / "numpy.npy", layers, allow_pickle=True)
    (FOLDER / "numpy_python2.npy").write_bytes(python2())
    # Matrices that are views make a pickle of another kind: their bytes stand in the order of columns.
    views = {name: [np.asfortranarray(weight), bias] for name, (weight, bias) in layers.items()}
    (FOLDER / "pickle.pkl").write_bytes(pickle.dumps(views, 4))
    for file in ("numpy.npz", "numpy_compressed.npz", "numpy.npy", "numpy_python2.npy", "pickle.pkl"):
        read = np.load(FOLDER / file, allow_pickle=True, encoding="latin1")
        if file.endswith(".npy"):
            read = read.item()
        for name, pair in layers.items():
            for key, expected, k in zip("Wb", pair, range(2)):
                given = read[f"{name}_{key}"] if file.endswith(".npz") else read[name][k]
                assert given.dtype == np.float32 and np.array_equal(given, expected), (file, name)


if __name__ == "__main__":
    main()
