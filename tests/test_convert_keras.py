"""VGG-16 of keras.applications, saved by Keras itself, converted and compared (slow: python -m pytest -s -m slow)."""
import os

import numpy as np
import pytest

from minicnn import convert, no_grad

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")


@pytest.mark.slow
@pytest.mark.parametrize("top", [True, False], ids=["full", "notop"])
@pytest.mark.parametrize("file", ["a.weights.h5", "a.h5"])
def test_vgg16_gives_the_same_answers(file, top, tmp_path):
    keras.utils.set_random_seed(1)
    theirs = keras.applications.VGG16(weights=None, include_top=top, classifier_activation=None, input_shape=(224, 224, 3))
    for layer in theirs.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            scale = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            rng = np.random.default_rng(len(layer.name) + kernel.size)
            layer.set_weights([rng.standard_normal(kernel.shape) * scale, rng.standard_normal(bias.shape) * 0.1])
    (theirs.save_weights if "weights" in file else theirs.save)(tmp_path / file)
    net, report = convert.convert(tmp_path / file, "vgg16")
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32) * 50
    expected = np.asarray(theirs.predict(x.transpose(0, 2, 3, 1), verbose=0))
    with no_grad():
        given = net(x).data
    if not top:
        expected = expected.transpose(0, 3, 1, 2)
    error = np.abs(given - expected).max() / np.abs(expected).max()
    print(f"\nKeras VGG-16, {file}, top {top}: {report.lines[0]}; relative error {error:.1e}")
    assert error <= 1e-4 and ("head" in net.options) != top
    assert net.preprocessing.channel_order == "BGR" and net.preprocessing.mean == (103.939, 116.779, 123.68)
