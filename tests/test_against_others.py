"""Projections against torch and denoising against scikit-image: committed goldens, see make_visualize_goldens.py."""
from pathlib import Path

import numpy as np
import pytest

import minicnn
from lectures.common import ssim
from minicnn.errors import SettingError, ShapeError
from minicnn.art.neural_style import prepare
from minicnn.visualize.backprop import backproject, class_seed
from minicnn.visualize.deconvnet import deconvnet
from minicnn.visualize.integrated_gradients import integrated_gradients
from minicnn.visualize.saliency import saliency_map
from minicnn.visualize.tv_bregman import bregman_sweep_cpu, denoise_tv_bregman

CLASS, STEPS = 3, 24


@pytest.fixture(scope="module")
def goldens():
    with np.load(Path(__file__).parent / "goldens" / "visualize.npz") as file:
        return dict(file)


@pytest.mark.parametrize("dtype, bar", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
def test_projections_agree_with_torch(goldens, dtype, bar):
    net, x = minicnn.load("vgg_cifar10").astype(dtype), goldens["x"].astype(dtype)

    def seed(activation):
        return class_seed(activation, CLASS)
    found = {rule: backproject(net, x, net.class_layer, seed, rule) for rule in minicnn.tape.RELU_RULES}
    found["integrated"] = integrated_gradients(net, x, CLASS, steps=STEPS)
    for name, signal in found.items():
        error = np.linalg.norm(signal - goldens[name]) / np.linalg.norm(goldens[name])
        assert error <= bar, (name, error)
    written_out = deconvnet(net, x, net.class_layer, seed)
    assert np.linalg.norm(written_out - goldens["deconvnet"]) <= bar * np.linalg.norm(goldens["deconvnet"])
    saliency = np.abs(goldens["backprop"]).max(axis=0)
    assert np.linalg.norm(saliency_map(net, x, CLASS) - saliency) <= bar * np.linalg.norm(saliency)


# --- denoising ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight", [0.3, 4.0])
def test_denoising_agrees_with_scikit_image(goldens, weight):
    planes = goldens["planes"]
    expected = goldens[f"bregman/{weight}"]
    np.testing.assert_allclose(denoise_tv_bregman(planes, weight), expected, atol=1e-12)
    np.testing.assert_allclose(denoise_tv_bregman(planes[1], weight), expected[1], atol=1e-12)
    np.testing.assert_allclose(denoise_tv_bregman(planes.astype(np.float32)[None], weight)[0], expected, atol=1e-5)
    assert np.abs(expected - planes).max() > 0.1


def test_the_body_of_the_sweep_can_be_stepped_through(goldens):
    found = []
    for sweep in (bregman_sweep_cpu, bregman_sweep_cpu.py_func):
        f = goldens["planes"].copy()
        u, memory = np.pad(f, ((0, 0), (1, 1), (1, 1)), mode="edge"), np.zeros((2, 4, 16, 13))
        changes = sweep(u, f, memory, 2.0)
        found.append((u, changes))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-13)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10)


def test_denoising_keeps_edges_and_the_wrong_is_told():
    step = np.zeros((20, 20))
    step[:, 10:] = 1
    noisy = step + np.random.default_rng(0).normal(0, 0.1, step.shape)
    smooth = denoise_tv_bregman(noisy, 5.0)
    assert smooth[:, :9].std() < 0.4 * noisy[:, :9].std() and smooth[:, 11:].mean() - smooth[:, :9].mean() > 0.85
    for x, weight, error in ((step[0], 1, ShapeError), (step.astype(int), 1, ShapeError), (step, 0, SettingError),
                             (step, -1, SettingError), (step, float("nan"), SettingError)):
        with pytest.raises(error, match="denoise_tv_bregman"):
            denoise_tv_bregman(x, weight)


def test_structural_similarity_agrees_with_scikit_image(goldens):
    a, b = goldens["ssim/a"], goldens["ssim/b"]
    assert ssim(a, b) == pytest.approx(float(goldens["ssim"]), abs=1e-12) and 0.2 < ssim(a, b) < 0.9 and ssim(a, a) == 1


@pytest.mark.parametrize("dtype, bar", [(np.float64, 1e-7), (np.float32, 1e-4)], ids=["float64", "float32"])
def test_neural_style_agrees_with_torch(goldens, dtype, bar):
    net = minicnn.load("vgg_cifar10").astype(dtype)
    _, objective = prepare(net, goldens["style/photograph"], goldens["style/painting"], size=32, weights=(3, 5, 7),
                           layers=(["relu3_2"], ["relu1_2", "relu2_2"]))
    loss, gradient = objective(goldens["style/x"])
    assert loss == pytest.approx(float(goldens["style/loss"]), rel=bar)
    assert np.linalg.norm(gradient - goldens["style/gradient"]) <= bar * np.linalg.norm(goldens["style/gradient"])
