"""The networks: shapes, published parameter counts, names, and (where torch is installed) equality with torch."""
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import nn
from minicnn.gradcheck import gradcheck
from minicnn.errors import MinicnnError, ShapeError, UnknownNameError

# name -> (parameters, as published where they are, layer and its shape at the usual input)
NETS = {
    "squeezenet1_1": (1_235_496, "fire5/concat", (1, 256, 27, 27)),
    "alexnet": (60_965_224, "pool5", (1, 256, 6, 6)),
    "caffenet": (60_965_224, "norm2", (1, 256, 13, 13)),
    "alexnet_torchvision": (61_100_840, "pool5", (1, 256, 6, 6)),
    "vgg16": (138_357_544, "conv5_3", (1, 512, 14, 14)),
    "vgg19": (143_667_240, "conv4_4", (1, 512, 28, 28)),
    "googlenet": (6_998_552, "inception_4c/output", (1, 512, 14, 14)),
    "zfnet": (62_357_608, "pool5", (1, 256, 6, 6)),
    "allcnn_c": (1_369_738, "conv7", (1, 192, 6, 6)),
    "allcnn_imagenet": (9_372_840, "conv9", (1, 384, 6, 6)),
    "convnetjs_cifar10": (22_466, "pool3", (1, 20, 4, 4)),
    "softmax_mnist": (7_850, "fc", (1, 10)),
    "softmax_cifar10": (30_730, "fc", (1, 10)),
    "lenet": (431_080, "conv2", (1, 50, 8, 8)),
    "allcnn_cifar10": (344_506, "conv7", (1, 96, 6, 6)),
    "vgg_cifar10": (1_040_618, "relu5", (1, 256)),
    "generator_cifar10": (1_135_203, "deconv3", (1, 64, 16, 16)),
    "generator_fc6": (56_097_891, "deconv9", (1, 3, 256, 256)),
    "transform": (424_099, "res5/sum", (1, 64, 32, 32)),
    "texture": (70_979, "joined4", (1, 40, 64, 64)),
    "super_resolution": (99_811, "res4/sum", (1, 32, 24, 24)),
}
LAST = {"generator_cifar10": (1, 3, 32, 32), "transform": (1, 3, 128, 128), "texture": (1, 3, 64, 64),
        "super_resolution": (1, 3, 96, 96)}         # of those that end in pictures


def input_shape(net):
    """Return the shape of one input: a picture, or a code."""
    size = net.preprocessing.size
    others = {"generator_cifar10": (1, 256), "generator_fc6": (1, 4096), "transform": (1, 3, 128, 128),
              "texture": (1, 15, 64, 64), "super_resolution": (1, 3, 24, 24)}
    return others.get(net.architecture, (1, len(net.preprocessing.mean), size, size))


def test_every_architecture_is_in_the_table():
    assert set(NETS) == set(minicnn.nets.NAMES)


@pytest.mark.parametrize("name", NETS)
def test_parameter_count_and_shapes(name):
    count, layer, shape = NETS[name]
    net = minicnn.build(name, rng=None)
    assert sum(p.size for p in net.parameters().values()) == count
    x = np.zeros(input_shape(net), np.float32)
    with minicnn.no_grad():
        activations = net.activations(x, upto=None if count < 5e7 else layer)
    assert activations[layer].shape == shape
    if count < 5e7:
        scores = 1, 10 if net.preprocessing.size < 200 else 1000
        assert next(reversed(activations.values())).shape == LAST.get(name, scores)


# In float32 a ReLU or a maximum that is nearly a tie may go either way, here as in torch (whose own float32 gradients are
# up to 6e-3 off its float64 ones on the shipped photographs): the strict comparison is the one in float64.
against_torch = pytest.mark.parametrize("dtype, scores_bar, gradient_bar",
                                        [(np.float64, 1e-12, 1e-9), (np.float32, 1e-5, 0.05)], ids=["float64", "float32"])
under_each_rule = pytest.mark.parametrize("rule", minicnn.tape.RELU_RULES)


def errors_of(net, x, winner, rule, scores, gradient, every=1):
    """Return the relative errors of the scores and of the gradient of the class `winner` under a ReLU rule."""
    x = minicnn.Tensor(x, requires_grad=True)
    ours = net(x)
    seed = np.zeros(ours.shape)
    seed[0].flat[winner] = 1
    with minicnn.relu_rule(rule):
        ours.backward(seed)
    difference = x.grad[:, :, ::every, ::every] - gradient if every > 1 else x.grad - gradient
    return np.abs(ours.data - scores).max() / np.abs(scores).max(), np.linalg.norm(difference) / np.linalg.norm(gradient)


@against_torch
@under_each_rule
@pytest.mark.parametrize("name", NETS)
def test_random_weights_agree_with_torch(name, rule, dtype, scores_bar, gradient_bar):
    pytest.importorskip("torch", reason="torch is not installed")
    from torch_nets import scores_and_gradient
    net = minicnn.build(name, rng=3).astype(dtype)
    for buffer, statistics in net.buffers().items():     # other than 0 and 1
        net.set_array(buffer, np.random.RandomState(2).uniform(0.5, 2, statistics.shape))
    x = np.random.RandomState(1).uniform(-100, 100, input_shape(net)).astype(dtype)
    scores, gradient, winner = scores_and_gradient(net, x, rule=rule)
    scores_error, gradient_error = errors_of(net, x, winner, rule, scores, gradient)
    print(f"{name} {rule} {np.dtype(dtype)}: scores {scores_error:.1e}, gradient {gradient_error:.1e}")
    assert scores_error <= scores_bar and gradient_error <= gradient_bar


@pytest.fixture(scope="module")
def squeezenet_golden():
    with np.load(Path(__file__).parent / "goldens" / "squeezenet.npz") as archive:
        return dict(archive)


@against_torch
@under_each_rule
def test_squeezenet_on_a_photograph_agrees_with_torch(squeezenet_golden, rule, dtype, scores_bar, gradient_bar):
    """The real weights, scores and gradients of the top class under each rule, against torch's of the same crop."""
    net, golden = minicnn.load("squeezenet1_1").astype(dtype), squeezenet_golden
    x, winner = net.preprocess(golden["crop"], whole=True).data.astype(dtype), int(golden["winner"])
    scores_error, gradient_error = errors_of(net, x, winner, rule, golden["scores"], golden[rule], every=7)
    print(f"{rule} {np.dtype(dtype)}: scores {scores_error:.1e}, gradient {gradient_error:.1e}")
    assert scores_error <= scores_bar and gradient_error <= gradient_bar
    assert "Mau" in net.classes[winner]


def test_the_crop_of_the_shipped_photograph_is_the_goldens(squeezenet_golden):
    net = minicnn.build("squeezenet1_1", rng=None)
    crop = net.deprocess(net.preprocess(Path(__file__).parent.parent / "lectures" / "images" / "chelsea.jpg"))
    assert np.abs(crop.astype(int) - squeezenet_golden["crop"]).max() <= 3      # decoders of JPEG may differ by a little


@pytest.mark.parametrize("size, top1, top5", [(224, 607, 825), (227, 620, 845)])
def test_squeezenet_on_the_imagenet_samples(data_dir, size, top1, top5):
    """60.7 % and 82.5 %, 62.0 % and 84.5 %: another framework's figures for the same weights, exactly."""
    h5py = pytest.importorskip("h5py")
    if not (data_dir / "imagenet_samples.h5").exists():
        pytest.skip("imagenet_samples.h5 is not here")
    net, right1, right5 = minicnn.load("squeezenet1_1"), 0, 0
    with h5py.File(data_dir / "imagenet_samples.h5") as file, minicnn.no_grad():
        for start in range(0, 1000, 20):
            pictures = [Image.open(io.BytesIO(j.tobytes())) for j in file["jpeg"][start:start + 20]]
            x = np.concatenate([net.preprocess(p, size=size).data for p in pictures])
            order = np.argsort(-net(x).data, axis=1)
            hits = order == file["class_index"][start:start + 20][:, None]
            right1, right5 = right1 + hits[:, 0].sum(), right5 + hits[:, :5].sum()
    assert (right1, right5) == (top1, top5)


def test_same_seed_same_weights():
    a, b, c = (minicnn.build("lenet", rng=seed).parameters()["conv1/weight"].data for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def small_net():
    return nn.Sequential({"conv1": nn.Conv2d(2, 3, 3, padding=1), "bn1": nn.BatchNorm2d(3), "relu1": nn.ReLU(),
                          "drop1": nn.Dropout(0.5), "flatten": nn.Flatten(), "fc": nn.Linear(48, 4)}).initialise(0)


def test_weights_are_frozen_until_train():
    net = small_net()
    x = minicnn.Tensor(np.random.RandomState(0).standard_normal((2, 2, 4, 4)).astype(np.float32), requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None and all(p.grad is None for p in net.parameters().values())
    net.train(rng=0)
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters().values())
    net.eval()
    assert not any(p.requires_grad for p in net.parameters().values())


def test_batch_norm_layer_stores_the_statistics_that_its_op_returns():
    net, x = small_net(), np.random.RandomState(0).standard_normal((4, 2, 4, 4)).astype(np.float32)
    before = net.buffers()["bn1/running_mean"]
    net(x)
    assert net.buffers()["bn1/running_mean"] is before
    net.train(rng=0)(x)
    after = net.buffers()["bn1/running_mean"]
    mean = net.activations(x, upto="conv1")["conv1"].data.mean((0, 2, 3))
    np.testing.assert_allclose(after, 0.1 * mean, rtol=1e-5)


def test_dropout_follows_the_rng_given_to_train():
    net, x = small_net(), np.ones((1, 2, 4, 4), np.float32)
    a, b, c = (net.train(rng=seed)(x).data for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_activations_are_on_one_tape_and_stop_where_told():
    net = minicnn.build("squeezenet1_1", rng=0)
    x = minicnn.Tensor(np.random.RandomState(0).uniform(-100, 100, (1, 3, 64, 64)).astype(np.float32), requires_grad=True)
    activations = net.activations(x, upto="fire3/concat")
    assert list(activations)[0] == "conv1" and list(activations)[-1] == "fire3/concat"
    activations["fire3/concat"].backward(np.ones(activations["fire3/concat"].shape))
    first = x.grad
    activations["fire2/concat"].backward(np.ones(activations["fire2/concat"].shape))
    assert np.abs(first).max() > 0 and not np.array_equal(first, x.grad)


def test_call_equals_the_last_activation():
    net = minicnn.build("googlenet", rng=0)
    x = np.random.RandomState(0).uniform(-100, 100, (1, 3, 224, 224)).astype(np.float32)
    assert np.array_equal(net(x).data, next(reversed(net.activations(x).values())).data)


def test_every_kind_of_layer_runs_and_passes_gradients():
    net = nn.Network("all layers")
    net.add("pad", nn.Pad(1, "reflect"))
    net.add("conv", nn.Conv2d(2, 4, 3))
    net.add("group", nn.GroupNorm(2, 4))
    net.add("leaky", nn.LeakyReLU(0.1))
    skip = net.add("instance", nn.InstanceNorm2d(4))
    net.add("sigmoid", nn.Sigmoid())
    net.add("add", nn.Add(), [skip, "sigmoid"])
    net.add("up", nn.Upsample(2))
    net.add("transposed", nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1))
    net.add("tanh", nn.Tanh())
    net.add("cat", nn.Concat(), ["tanh", "transposed"])
    net.add("lrn", nn.LocalResponseNorm(3))
    net.add("average", nn.AvgPool2d(2))
    net.add("max", nn.MaxPool2d(2))
    net.add("adaptive", nn.AdaptiveAvgPool2d(2))
    net.add("flatten", nn.Flatten())
    net.add("fc", nn.Linear(48, 3))
    net = net.initialise(0).astype(np.float64).train()
    assert gradcheck(net, [np.random.RandomState(0).standard_normal((2, 2, 5, 5))]) < 1e-5
    net(np.random.RandomState(0).standard_normal((2, 2, 5, 5))).sum().backward()
    assert all(np.abs(p.grad).max() > 0 for name, p in net.parameters().items())
    assert net.activations(np.zeros((1, 2, 5, 5)))["transposed"].shape == (1, 6, 20, 20)


def test_random_weights_keep_the_size_of_a_signal():
    """He et al.: the variance of a layer's output is about twice that of a rectified input's mean square, for any kind."""
    x = np.abs(np.random.RandomState(0).standard_normal((4, 16, 24, 24))).astype(np.float32)
    for layer in (nn.Conv2d(16, 32, 3), nn.ConvTranspose2d(16, 32, 4, stride=2)):
        layer.initialise(np.random.default_rng(0))
        out = layer(x).data[:, :, 4:-4, 4:-4]
        assert 1.4 < out.var() / np.mean(x ** 2) < 2.8


def test_astype_is_a_copy():
    net = minicnn.build("lenet")
    exact = net.astype(np.float64)
    assert exact.dtype == np.float64 and net.dtype == np.float32
    exact.set_array("conv1/bias", np.ones(20))
    assert net.parameters()["conv1/bias"].data.max() == 0


@pytest.mark.parametrize("call, fragment", [
    (lambda: nn.Sequential([("a", nn.ReLU()), ("a", nn.ReLU())]), "names no layer yet"),
    (lambda: nn.Sequential({"a": 5}), "and a Layer"),
    (lambda: nn.Sequential([])(np.zeros((1, 1, 2, 2))), "no layers"),
    (lambda: nn.Conv2d(3, 8, 3, groups=2), "groups=2"),
    (lambda: minicnn.build("lenet", classes=0), "classes"),
    (lambda: minicnn.build("lenet", depth=3), "classes"),
    (lambda: minicnn.build("generator_cifar10", classes=3), "no scores"),
    (lambda: minicnn.build(["lenet"]), "no network"),
    (lambda: minicnn.build("lenet").preprocess(np.zeros((9, 9, 3), np.uint8), size=5, whole=True), "not both"),
    (lambda: minicnn.predict(minicnn.build("lenet"), np.zeros((9, 9, 3), np.uint8), top=0), "top is 0"),
    (lambda: minicnn.build("vgg61"), "did you mean 'vgg19' or 'vgg16'"),
    (lambda: minicnn.build("lenet").activations(np.zeros((1, 1, 28, 28)), upto="conv3"), "did you mean 'conv"),
    (lambda: minicnn.build("lenet")(np.zeros((1, 3, 28, 28))), "layer 'conv1': conv2d: x has 3 channels, w expects 1"),
    (lambda: minicnn.build("lenet")(np.zeros((28, 28))), "expected 4 axes"),
    (lambda: minicnn.build("lenet")(np.zeros((1, 1, 40, 40))), "layer 'ip1'"),
    (lambda: minicnn.build("lenet")(np.zeros((1, 1, 28, 28), complex)), "complex"),
    (lambda: minicnn.build("lenet")(minicnn.Tensor(np.zeros((1, 1, 28, 28)))), "one dtype"),
    (lambda: minicnn.build("lenet").set_array("conv1/weight", np.zeros((1, 2))), "has shape (20, 1, 5, 5)"),
    (lambda: minicnn.build("lenet").set_array("conv1/wait", np.zeros((1, 2))), "did you mean 'weight'"),
])
def test_wrong_use_gets_one_clear_sentence(call, fragment):
    with pytest.raises(MinicnnError) as error:
        call()
    assert fragment in str(error.value)


def test_errors_are_also_what_python_users_expect():
    assert issubclass(ShapeError, ValueError) and issubclass(UnknownNameError, LookupError)
