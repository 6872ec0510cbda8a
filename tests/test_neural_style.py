"""Neural style: the loss by its formula in NumPy, its gradient, mixing, pooling, starts, and wrong input."""
import copy
from dataclasses import fields

import numpy as np
import pytest

import minicnn
from minicnn import nn
from minicnn.art.perceptual_loss import LAYERS
from minicnn.art.neural_style import StyleState, coarse_to_fine_steps, neural_style, neural_style_steps, prepare
from minicnn.art.neural_style import with_average_pooling, with_colours_of
from minicnn.errors import MinicnnError, ShapeError
from minicnn.images import Preprocessing
from minicnn.loop import last, take
from minicnn.visualize.inversion import to_network

RNG = np.random.default_rng(0)
PHOTOGRAPH, PAINTING, OTHER = (RNG.integers(0, 256, size).astype(np.uint8) for size in ((40, 32, 3), (36, 44, 3), (48, 48, 3)))
TWO = (["relu2"], {"relu1": 1.0, "relu2": 3.0})


@pytest.fixture(scope="module")
def net():
    """A network in float64 with two layers and a pooling between them."""
    net = nn.Network("small", preprocessing=Preprocessing(size=32, resize=None, channel_order="BGR", mean=(100.0, 110.0, 120.0),
                                                          std=(2.0, 1.0, 0.5)))
    for name, layer in (("conv1", nn.Conv2d(3, 5, 3, padding=1)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)),
                        ("conv2", nn.Conv2d(5, 6, 3, padding=1)), ("relu2", nn.ReLU()), ("flatten", nn.Flatten())):
        net.add(name, layer)
    return net.initialise(3).astype(np.float64)


def answers(net, x):
    with minicnn.no_grad():
        return {name: a.data for name, a in net.activations(x * to_network(net), upto="relu2").items()}


def gram(a):
    features = a[0].reshape(a.shape[1], -1)
    return features @ features.T / features.size


@pytest.mark.parametrize("relative", [True, False])
def test_the_loss_is_the_formula_and_its_gradient_is_that(net, relative):
    x, objective = prepare(net, PHOTOGRAPH, [PAINTING, OTHER], size=40, weights=(2.0, 30.0, 500.0), layers=TWO, mix=(1, 3),
                           style_scale=0.9, relative=relative)
    y = x + RNG.normal(0, 20, x.shape)
    loss, gradient = objective(y)
    target, found = answers(net, x)["relu2"], answers(net, y)
    paintings = [answers(net, prepare(net, picture, picture, size=36, weights=(1, 1, 0), layers=TWO)[0])
                 for picture in (PAINTING, OTHER)]
    content = ((found["relu2"] - target) ** 2).sum() * (1 / (target ** 2).sum() if relative else 0.5)
    style = 0
    for name, weight in (("relu1", 0.25), ("relu2", 0.75)):
        A = sum(share * gram(maps[name]) for share, maps in zip((0.25, 0.75), paintings))
        style += weight * ((gram(found[name]) - A) ** 2).sum() * (1 / (A ** 2).sum() if relative else 0.25)
    smooth = (np.diff(y, axis=2) ** 2).sum() + (np.diff(y, axis=3) ** 2).sum()
    assert objective.parts == pytest.approx((2 * content, 30 * style), rel=1e-9)
    assert loss == pytest.approx(2 * content + 30 * style + 500 * smooth / (255 ** 2 * 40 * 32), rel=1e-9)
    for place in ((0, 0, 5, 7), (0, 1, 39, 31), (0, 2, 20, 0)):
        step = np.zeros_like(y)
        step[place] = 1e-4
        slope = (objective(y + step)[0] - objective(y - step)[0]) / 2e-4
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_style_does_not_care_where_things_are(net):
    x, objective = prepare(net, PHOTOGRAPH, PAINTING, size=32, weights=(0, 1, 0), layers=([], ["conv1"]))
    single = minicnn.ops.gram_matrix(answers(net, x)["conv1"], normalize=True).data
    shuffled = answers(net, x)["conv1"].reshape(1, 5, -1)[:, :, RNG.permutation(x.shape[2] * x.shape[3])]
    again = minicnn.ops.gram_matrix(shuffled.reshape(1, 5, x.shape[2], -1), normalize=True).data
    np.testing.assert_allclose(again, single, rtol=1e-12)
    assert np.array_equal(single, single.transpose(0, 2, 1)) and np.linalg.eigvalsh(single[0]).min() > -1e-9
    assert objective(x)[0] > 0


def test_a_mix_of_one_is_that_painting_alone(net):
    both = prepare(net, PHOTOGRAPH, [PAINTING, OTHER], size=40, weights=(1, 1, 0), layers=TWO, mix=(1, 0))
    alone = prepare(net, PHOTOGRAPH, PAINTING, size=40, weights=(1, 1, 0), layers=TWO)
    assert both[1](both[0] + 3)[0] == alone[1](alone[0] + 3)[0]


def test_more_weight_for_the_content_leaves_more_of_it(net):
    settings = {"size": 32, "style_weight": 1.0, "layers": TWO, "start": "content"}
    lost = [last(take(40, neural_style_steps(net, PHOTOGRAPH, PAINTING, content_weight=weight, **settings))).content
            for weight in (0.01, 0.1, 1.0, 10.0)]
    assert lost == sorted(lost, reverse=True) and lost[-1] < 0.5 * lost[0]


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adam", "start": "noise"}, {"pooling": "avg", "start": OTHER}])
def test_the_style_comes_in_and_the_same_seed_gives_the_same(net, settings):
    settings = {"size": 32, "content_weight": 0, "tv_weight": 0, "layers": TWO, **settings}
    start, *_, end = take(60, neural_style_steps(net, PHOTOGRAPH, PAINTING, **settings))
    assert end.style < 0.05 * start.style and end.image.shape == (32, 26, 3) and end.step == 60
    assert np.array_equal(neural_style(net, PHOTOGRAPH, PAINTING, 60, **settings), end.image)
    assert [field.name for field in fields(StyleState)] == ["step", "image", "loss", "content", "style", "x"]


def test_average_pooling_is_that_and_leaves_the_network(net):
    x = RNG.normal(size=(1, 3, 8, 8))
    pooled = with_average_pooling(net).activations(x, upto="pool1")
    np.testing.assert_allclose(pooled["pool1"].data, pooled["relu1"].data.reshape(1, 5, 4, 2, 4, 2).mean(axis=(3, 5)), rtol=1e-12)
    assert (net.activations(x, upto="pool1")["pool1"].data >= pooled["pool1"].data).all()


def test_colours_of_the_photograph_are_kept():
    kept = with_colours_of(np.roll(PHOTOGRAPH, 7, axis=0), PHOTOGRAPH)
    assert np.abs(with_colours_of(PHOTOGRAPH, PHOTOGRAPH).astype(int) - PHOTOGRAPH).max() <= 3 and kept.shape == PHOTOGRAPH.shape
    grey = np.full_like(PHOTOGRAPH, 128)
    tinted = with_colours_of(np.repeat(PHOTOGRAPH[..., :1], 3, axis=2), grey)
    assert np.abs(tinted.astype(int) - tinted[..., :1]).max() <= 2           # no colour in the photograph, none in the picture
    with pytest.raises(ShapeError, match="one shape"):
        with_colours_of(PHOTOGRAPH, PAINTING)


def test_the_layers_that_are_named_are_there():
    for name, lists in LAYERS.items():
        layers = minicnn.build(name, rng=None).layers
        assert all(layer in layers for names in lists for layer in names)


def test_a_vgg_begins_with_the_photograph_and_more_style_than_others(net):
    vgg = copy.copy(net)
    vgg.architecture = "vgg16"
    began, other = (next(neural_style_steps(n, PHOTOGRAPH, PAINTING, size=32, layers=TWO, tv_weight=0)) for n in (vgg, net))
    assert began.content == 0 and began.loss == pytest.approx(30 * began.style)
    assert other.content > 0 and other.loss == pytest.approx(other.content + 2 * other.style)
    kept = next(neural_style_steps(vgg, PHOTOGRAPH, PAINTING, size=32, layers=TWO, style_weight=2, start="noise", tv_weight=0))
    assert kept.loss == other.loss


@pytest.mark.parametrize("change, says", [
    ({"size": 10}, "size"), ({"size": 1e6}, "size"), ({"content_weight": -1}, "content_weight"),
    ({"tv_weight": "much"}, "tv_weight"),
    ({"style_weight": float("nan")}, "style_weight"), ({"layers": None}, "layers"), ({"layers": "relu1"}, "layers"),
    ({"layers": (["relu1"], ["relu9"])}, "relu9"), ({"layers": ([], [])}, "layers"),
    ({"layers": (["relu1"], {"relu2": -1})}, "relu2"),
    ({"mix": (1, 2)}, "mix"), ({"mix": (0,)}, "mix"), ({"mix": "half"}, "mix"), ({"style_scale": 1e9}, "style_scale"),
    ({"pooling": "median"}, "pooling"), ({"start": "black.png"}, "black.png"), ({"optimizer": "sgd"}, "optimizer"),
    ({"optimizer": "adam", "lr": 0}, "lr"), ({"rng": "seed"}, "random state"), ({"style": []}, "paintings"),
    ({"style": "nowhere.jpg"}, "nowhere.jpg"), ({"content": PHOTOGRAPH / 1.0}, "picture"), ({"net": "vgg16"}, "net is a str")])
def test_wrong_input_is_told(net, change, says):
    arguments = {"net": net, "content": PHOTOGRAPH, "style": PAINTING, "size": 32, "layers": TWO, **change}
    with pytest.raises(MinicnnError, match=says):
        next(neural_style_steps(arguments.pop("net"), arguments.pop("content"), arguments.pop("style"), **arguments))


def test_coarse_to_fine_goes_from_size_to_size(net):
    states = list(take(7, coarse_to_fine_steps(net, PHOTOGRAPH, PAINTING, size=80, stages=2, steps=4, layers=TWO)))
    assert [max(state.image.shape) for state in states] == [40] * 5 + [80] * 3
    assert [state.step for state in states] == list(range(8))
    noise = list(take(1, neural_style_steps(net, PHOTOGRAPH, PAINTING, size=80, layers=TWO)))[1]
    assert states[5].loss < noise.loss                     # the small picture is a better start than noise
    with pytest.raises(MinicnnError, match="stages"):
        next(coarse_to_fine_steps(net, PHOTOGRAPH, PAINTING, stages=0))


def test_a_run_goes_on_from_its_state(net):
    half = last(take(4, neural_style_steps(net, PHOTOGRAPH, PAINTING, size=40, layers=TWO)))
    first, *_, end = take(4, neural_style_steps(net, PHOTOGRAPH, PAINTING, size=40, layers=TWO, start=half))
    assert (first.step, end.step) == (4, 8) and first.loss == half.loss and end.loss < half.loss
    with pytest.raises(ShapeError, match="same photograph"):
        next(neural_style_steps(net, PHOTOGRAPH, PAINTING, size=36, layers=TWO, start=half))


@pytest.mark.parametrize("settings, says", [
    (dict(style_scale=None), "style_scale"), (dict(style_scale=float("nan")), "style_scale"),
    (dict(style_scale="a"), "style_scale"),
    (dict(layers=5), "layers"), (dict(layers=(None, ["relu1"])), "layers"), (dict(layers=(["relu2"], 5)), "layers"),
    (dict(layers=([["a"]], ["relu1"])), "layers"), (dict(start=3), "picture"), (dict(lr="x", optimizer="adam"), "lr"),
])
def test_more_wrong_settings_are_told(net, settings, says):
    with pytest.raises(MinicnnError, match=says):
        next(neural_style_steps(net, PHOTOGRAPH, PAINTING, **{**dict(size=40, layers=TWO), **settings}))
