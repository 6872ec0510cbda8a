"""Signals sent back to the picture: the deconvnet written out, Grad-CAM, integrated gradients, SmoothGrad, the sanity check."""
import numpy as np
import pytest

import minicnn
from minicnn import nn
from minicnn.errors import MinicnnError, SettingError, ShapeError
from minicnn.visualize.backprop import backproject, class_seed, unit_seed
from minicnn.visualize.deconvnet import deconvnet
from minicnn.visualize.grad_cam import grad_cam, guided_grad_cam
from minicnn.visualize.integrated_gradients import integrated_gradients, smooth_grad
from minicnn.visualize.sanity import cascading_randomisation, rank_correlation


def scores_of(net, x, class_index):
    with minicnn.no_grad():
        maps = net.activations(x, upto=net.class_layer)[net.class_layer].data
    return maps[:, class_index].reshape(len(x), -1).mean(axis=1)


@pytest.fixture(scope="module")
def small():
    """A network with every kind of layer that the deconvnet has a rule for, in float64."""
    net = nn.Network("small")
    net.add("conv1", nn.Conv2d(3, 6, 3, stride=2, padding=1))
    net.add("bn1", nn.BatchNorm2d(6))
    net.add("relu1", nn.ReLU())
    net.add("norm1", nn.LocalResponseNorm(3, alpha=0.5))
    net.add("pool1", nn.MaxPool2d(3, 2, ceil_mode=True))
    net.add("left", nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2), ["pool1"])
    net.add("right", nn.AvgPool2d(3, 1, 1), ["pool1"])
    net.add("both", nn.Concat(), ["left", "right"])
    net.add("conv2", nn.Conv2d(10, 10, 1))
    net.add("relu2", nn.ReLU())
    net.add("sum", nn.Add(), ["relu2", "both"])
    net.add("drop", nn.Dropout(0.5))
    net.add("pool2", nn.AdaptiveAvgPool2d(2))
    net.add("flatten", nn.Flatten())
    net.add("fc", nn.Linear(40, 5))
    net = net.initialise(3)
    rng = np.random.default_rng(0)
    net.layer("bn1").buffers.update(running_mean=rng.normal(size=6).astype(np.float32),
                                    running_var=rng.uniform(0.5, 2, 6).astype(np.float32))
    return net.astype(np.float64)


@pytest.mark.parametrize("layer", ["conv1", "pool1", "both", "sum", "pool2", "fc"])
def test_deconvnet_is_the_relu_rule_run_through_the_tape(small, layer):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, 3, 23, 20))
    seed = rng.normal(size=small.activations(x, upto=layer)[layer].shape)
    found, expected = deconvnet(small, x, layer, seed), backproject(small, x, layer, seed, "deconvnet")
    assert np.abs(expected).max() > 0 and np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name, layer", [("squeezenet1_1", "pool10"), ("alexnet", "fc8"), ("vgg_cifar10", "fc6"),
                                         ("googlenet", "inception_3b/output"), ("allcnn_c", "conv9"), ("zfnet", "pool5")])
def test_deconvnet_of_whole_networks(name, layer):
    net = minicnn.build(name, 0).astype(np.float64)
    side, rng = net.preprocessing.size, np.random.default_rng(0)
    x = rng.normal(0, 50, (1, 3, side, side))
    seed = rng.normal(size=net.activations(x, upto=layer)[layer].shape)
    found, expected = deconvnet(net, x, layer, seed), backproject(net, x, layer, seed, "deconvnet")
    assert np.abs(expected).max() > 0 and np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


def test_deconvnet_takes_a_function_and_names_a_layer_without_a_rule(small):
    x = np.random.default_rng(1).normal(size=(1, 3, 23, 20))
    found = deconvnet(small, x, "relu1", lambda a: unit_seed(a, (2, 3, 4), "activation"))
    assert np.array_equal(found, backproject(small, x, "relu1", lambda a: unit_seed(a, (2, 3, 4), "activation"), "deconvnet"))
    plain = nn.Sequential({"pool": nn.Function(minicnn.ops.max_pool2d, kernel_size=3, stride=2)})
    np.testing.assert_allclose(deconvnet(plain, x, "pool", np.ones((1, 3, 11, 9))),
                               backproject(plain, x, "pool", np.ones((1, 3, 11, 9)), "deconvnet"))
    odd = nn.Sequential({"conv": nn.Conv2d(3, 2, 1), "up": nn.Upsample(2)})
    with pytest.raises(SettingError, match="no rule for layer 'up'"):
        deconvnet(odd, np.ones((1, 3, 4, 4)), "up", np.ones((1, 2, 8, 8)))


# --- Grad-CAM ---------------------------------------------------------------------------------------------------------
def test_grad_cam_of_a_linear_head_is_the_class_activation_map():
    """With only a global average and a matrix above the maps, w_k is the matrix's entry / (h w): Zhou et al.'s CAM."""
    net = nn.Sequential({"conv": nn.Conv2d(3, 4, 3), "relu": nn.ReLU(), "pool": nn.GlobalAvgPool2d(), "flatten": nn.Flatten(),
                         "fc": nn.Linear(4, 3)}, "cam").initialise(0).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(1, 3, 9, 8))
    maps, weight = net.activations(x)["relu"].data[0], net.parameters()["fc/weight"].data[1]
    expected = np.maximum(np.tensordot(weight, maps, axes=1), 0) / (7 * 6)
    np.testing.assert_allclose(grad_cam(net, x, 1, "relu"), expected, atol=1e-12)
    fine = guided_grad_cam(net, x, 1, "relu")
    guided = backproject(net, x, "fc", unit_seed(np.zeros((1, 3)), 1), "guided")
    factor = fine / np.where(guided == 0, np.nan, guided)
    assert np.nanmin(factor) >= 0 and np.nanmax(factor) <= expected.max() * (1 + 1e-9)
    assert np.nanmax(np.nanmax(factor, axis=0) - np.nanmin(factor, axis=0)) < 1e-9          # one factor for all channels


@pytest.mark.parametrize("layer", ["fc", "no such layer", "flatten"])
def test_grad_cam_wants_maps(small, layer):
    with pytest.raises(MinicnnError, match=layer):
        grad_cam(small, np.ones((1, 3, 23, 20)), 0, layer)


# --- gradients at many pictures ---------------------------------------------------------------------------------------
def test_integrated_gradients_are_complete(small):
    rng = np.random.default_rng(2)
    x, baseline = rng.normal(size=(2, 1, 3, 23, 20))
    errors = []
    for steps in (16, 256):
        found = integrated_gradients(small, x, 3, baseline, steps=steps, batch=7)
        gain = scores_of(small, x, 3) - scores_of(small, baseline, 3)
        errors.append(abs(found.sum() - gain[0]) / abs(gain[0]))
    assert errors[1] < 0.01 and errors[1] < errors[0]


def test_integrated_gradients_of_a_linear_score_are_exact_and_at_the_baseline_nothing():
    net = nn.Sequential({"flatten": nn.Flatten(), "fc": nn.Linear(12, 2)}, "linear").initialise(0).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(1, 3, 2, 2))
    expected = x[0] * net.parameters()["fc/weight"].data[1].reshape(3, 2, 2)
    np.testing.assert_allclose(integrated_gradients(net, x, 1, steps=3), expected, rtol=1e-12)
    assert not integrated_gradients(net, x, 1, baseline=x, steps=2).any()


def test_smooth_grad_without_noise_is_the_gradient_and_with_noise_a_mean(small):
    x = np.random.default_rng(2).normal(size=(1, 3, 23, 20))
    gradient = backproject(small, x, "fc", lambda a: class_seed(a, 2))
    np.testing.assert_allclose(smooth_grad(small, x, 2, noise=0, samples=3), gradient, rtol=1e-10)
    found = smooth_grad(small, x, 2, noise=0.1, samples=5, batch=2, rng=4)
    rng = np.random.default_rng(4)
    noisy = [x + 0.1 * (x.max() - x.min()) * rng.standard_normal(x.shape) for _ in range(5)]
    expected = np.mean([backproject(small, n, "fc", lambda a: class_seed(a, 2)) for n in noisy], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("call", [
    lambda net, x: integrated_gradients(net, x, 0, baseline=x[..., 1:]), lambda net, x: integrated_gradients(net, x, 0, steps=0),
    lambda net, x: smooth_grad(net, x, 0, samples=0), lambda net, x: smooth_grad(net, x, 0, noise=-1),
    lambda net, x: integrated_gradients(net, np.concatenate([x, x]), 0)])
def test_wrong_settings(small, call):
    with pytest.raises((ShapeError, SettingError), match="expected"):
        call(small, np.ones((1, 3, 23, 20)))


# --- the sanity check -------------------------------------------------------------------------------------------------
def test_randomisation_goes_down_layer_by_layer_and_leaves_the_network(small):
    before = {name: p.data.copy() for name, p in small.parameters().items()}
    steps = list(cascading_randomisation(small, rng=1))
    assert [name for name, _ in steps] == ["none", "fc", "conv2", "left", "bn1", "conv1"]
    changed = set()
    for name, net in steps:
        changed.add(name)
        for key, p in net.parameters().items():
            if key.endswith("weight") and not key.startswith("bn"):
                assert np.array_equal(p.data, before[key]) == (key.split("/")[0] not in changed), (name, key)
    assert all(np.array_equal(p.data, before[key]) for key, p in small.parameters().items())


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr
    a, b = np.random.default_rng(0).integers(0, 9, (2, 6, 7))
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, -3 * a) == pytest.approx(-1) and rank_correlation(a, np.exp(a)) == pytest.approx(1)
    with pytest.raises(ShapeError, match="one shape"):
        rank_correlation(a, b[1:])
