"""What is recomputed around windows equals running the whole pictures, in every layer."""
import numpy as np
import pytest

import minicnn
from minicnn import nets, nn
from minicnn.visualize.incremental import Patches, patched_activations, whole
from minicnn.visualize.occlusion import occlusion


def windows(x, side, count, seed=0):
    """Patches of noise: in the four corners of the picture and at random places."""
    rng = np.random.default_rng(seed)
    height, width = (min(side, n) for n in x.shape[2:])
    tops, lefts = rng.integers(0, x.shape[2] - height + 1, count), rng.integers(0, x.shape[3] - width + 1, count)
    tops[:4], lefts[:4] = [0, x.shape[2] - height] * 2, [0, 0, *[x.shape[3] - width] * 2]
    return Patches(rng.normal(0, x.std(), (count, x.shape[1], height, width)).astype(x.dtype), tops, lefts)


def compare(net, x, side, count, bar):
    with minicnn.no_grad():
        before = {"data": x, **{name: a.data for name, a in net.activations(x).items()}}
        patches = windows(x, side, count)
        wanted = {name: a.data for name, a in net.activations(whole(patches, x)).items()}
    found = patched_activations(net, before, patches, set(net.layers))
    assert list(found) == list(wanted)
    for name in wanted:
        scale = np.abs(wanted[name]).max()
        assert found[name].shape == wanted[name].shape and np.abs(found[name] - wanted[name]).max() <= bar * scale, name


@pytest.mark.parametrize("name", ["squeezenet1_1", "alexnet", "googlenet", "vgg_cifar10", "lenet", "allcnn_c",
                                  "convnetjs_cifar10"])
def test_networks_layer_by_layer(name):
    net = nets.build(name, 0)
    side = net.preprocessing.size
    x = np.random.default_rng(1).normal(0, 50, (1, len(net.preprocessing.mean), side, side)).astype(np.float32)
    compare(net, x, side // 7, 5, 1e-5)


def branches():
    net = nn.Network("branches")
    net.add("conv", nn.Conv2d(2, 3, 3, stride=2, padding=2))
    net.add("left", nn.Conv2d(3, 2, 5, padding=2), ["conv"])
    net.add("right", nn.MaxPool2d(3, 1, 1), ["conv"])
    net.add("both", nn.Concat(), ["left", "right", "conv"])
    net.add("norm", nn.LocalResponseNorm(3, alpha=1.0))
    net.add("again", nn.Conv2d(8, 8, (1, 3), padding=(0, 1)))
    net.add("sum", nn.Add(), ["again", "norm"])
    net.add("relu", nn.ReLU())
    return net


@pytest.mark.parametrize("net", [
    branches(),
    nn.Sequential({"conv": nn.Conv2d(2, 4, (3, 2), (1, 3), (1, 0), (2, 1)), "pool": nn.MaxPool2d(3, 2, ceil_mode=True)}),
    nn.Sequential({"pad": nn.AvgPool2d(3, 2, 1), "conv": nn.Conv2d(2, 4, 3), "average": nn.AvgPool2d(2)}),
    nn.Sequential({"conv": nn.Conv2d(2, 2, 2, stride=4), "norm": nn.BatchNorm2d(2), "up": nn.Upsample(2),
                   "end": nn.Conv2d(2, 2, 3)}),
    nn.Sequential({"conv": nn.Conv2d(2, 4, 3, groups=2, padding=3), "pool": nn.MaxPool2d(2, 3, 1), "drop": nn.Dropout(0.5),
                   "group": nn.GroupNorm(2, 4), "flatten": nn.Flatten()})], ids=lambda net: "-".join(net.layers))
@pytest.mark.parametrize("side", [1, 4, 30])
def test_odd_windows_layer_by_layer(net, side):
    net = net.initialise(0).astype(np.float64)
    x = np.random.default_rng(1).normal(0, 1, (1, 2, 31, 27))
    compare(net, x, side, 9, 1e-12)


def test_most_layers_of_a_network_see_windows_only(monkeypatch):
    from minicnn.visualize import incremental
    net, seen = minicnn.build("squeezenet1_1"), []
    cut = incremental._patched

    def noted(layer, *rest):
        seen.append(cut(layer, *rest))
        return seen[-1]
    monkeypatch.setattr(incremental, "_patched", noted)
    compare(net, np.random.default_rng(1).normal(0, 50, (1, 3, 224, 224)).astype(np.float32), 32, 5, 1e-5)
    sizes = [p.data.shape[2] for p in seen if p is not None]
    assert len(sizes) >= 30 and sizes[0] == 17 and sizes[2] <= 10       # conv1: 17 of 111, pool1: 10 of 55


def test_occlusion_is_the_same_with_and_without():
    net = minicnn.load("squeezenet1_1")
    x = np.random.default_rng(0).normal(0, 60, (1, 3, 131, 118)).astype(np.float32)
    fast, slow = (occlusion(net, x, stride=19, fill="noise", layer="fire5/concat", incremental=i) for i in (True, False))
    assert np.abs(fast.probability - slow.probability).max() <= 1e-5 and np.array_equal(fast.best, slow.best)
    assert np.abs(fast.activation / slow.activation - 1).max() <= 1e-5 and fast.probability.std() > 0
