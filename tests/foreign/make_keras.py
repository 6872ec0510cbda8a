"""Makes keras.h5, keras3.weights.h5 (with Keras) and keras_theano.h5 (as Keras 1 wrote): python tests/foreign/make_keras.py"""
import os
import sys
from pathlib import Path

import h5py

os.environ["KERAS_BACKEND"] = "torch"
import keras      # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, flattened_hwc, weights       # noqa: E402


def model():
    """Return the network with its weights."""
    keras.utils.set_random_seed(0)
    conv, pool = keras.layers.Conv2D, keras.layers.MaxPooling2D
    network = keras.Sequential([
        keras.Input((32, 32, 3)), conv(16, 5, padding="same", name="conv1"), pool(), conv(20, 5, padding="same", name="conv2"),
        pool(), conv(20, 5, padding="same", name="conv3"), pool(), keras.layers.Flatten(), keras.layers.Dense(10, name="fc")])
    for name, (weight, bias) in weights().items():
        weight = flattened_hwc(weight).T if name == "fc" else weight.transpose(2, 3, 1, 0)
        network.get_layer(name).set_weights([weight, bias])
    return network


def write_theano(path):
    """Write filters (out, in, height, width), turned by 180 degrees, under the names of Keras 1."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1", b"maxpooling2d_1", b"conv2", b"conv3", b"fc"]
        file.create_group("maxpooling2d_1").attrs["weight_names"] = []
        for name, (weight, bias) in weights().items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W".encode(), f"{name}_b".encode()]
            group.create_dataset(f"{name}_W", data=weight.T if name == "fc" else weight[:, :, ::-1, ::-1], track_times=False)
            group.create_dataset(f"{name}_b", data=bias, track_times=False)


def main():
    """Write the three files."""
    network = model()
    network.save_weights(FOLDER / "keras3.weights.h5")
    network.save(FOLDER / "keras.h5")
    write_theano(FOLDER / "keras_theano.h5")


if __name__ == "__main__":
    main()
