"""The deep generator: its losses by hand, and that it learns to paint what a code describes."""
import copy
from itertools import islice

import numpy as np
import pytest

import minicnn
from minicnn import nn
from minicnn.data import Pictures
from minicnn.errors import MinicnnError, SettingError, TrainingError
from minicnn.optim import Adam
from minicnn.training import load_checkpoint, save_checkpoint, training_steps
from minicnn.visualize.deep_generator import GeneratorStep

WEIGHTS = (1.0, 0.5, 0.05)


def encoder():
    return nn.Sequential({"conv": nn.Conv2d(3, 8, 4, stride=4), "relu": nn.ReLU(), "flatten": nn.Flatten(),
                          "fc": nn.Linear(512, 256), "code": nn.ReLU()}, "small").initialise(5)


def begin(seed=0, lr=1e-3):
    generator = minicnn.build("generator_cifar10", rng=seed).train()
    step = GeneratorStep(encoder(), "code", "relu", WEIGHTS, np.random.default_rng(seed))
    return generator, Adam(generator.parameters(), lr=lr), step


def pictures(count=12):
    """Plain colours with a brighter square: what a code of 256 numbers can hold."""
    rng = np.random.default_rng(2)
    images = np.repeat(np.repeat(rng.integers(40, 200, (count, 3, 1, 1), np.uint8), 32, axis=2), 32, axis=3)
    images[:, :, 8:24, 8:24] += 40
    return Pictures(images, np.zeros(count, np.int64), ("squares",))


def judged(step, x, code, rng=None):
    """-log of (D, 1 - D) by hand: averages over places, all layers one after the other; dropout's masks come from `rng`."""
    def dropped(x):
        return x if rng is None else x * (rng.random(x.shape, dtype=np.float32) >= 0.5) * 2
    weights = {f"{part}/{name}": p.data for part, net in zip("fgh", (step.f, step.g, step.h))
               for name, p in net.parameters().items()}

    def linear(layer, x):
        return x @ weights[f"{layer}/weight"].T + weights[f"{layer}/bias"]

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)
    with minicnn.no_grad():
        maps = step.f.activations(x, upto="relu3")["relu3"].data
    asked = leaky(linear("g/fc2", leaky(linear("g/fc1", code))))
    both = dropped(np.concatenate([maps.mean(axis=(2, 3)), asked], axis=1))
    two = linear("h/fc7", dropped(leaky(linear("h/fc6", both))))
    return np.log(np.exp(two).sum(axis=1)) - two[:, 1], np.log(np.exp(two).sum(axis=1)) - two[:, 0]


def test_the_losses_are_those_of_the_formulas():
    generator, optimizer, step = begin()
    x = np.random.default_rng(1).standard_normal((6, 3, 32, 32)).astype(np.float32)
    with minicnn.no_grad():
        seen = step.encoder.activations(x)
        made = generator(seen["code"].data).data
        features = step.encoder.activations(made)["relu"].data
    code = seen["code"].data
    parts = [((made - x) ** 2).mean(), ((features - seen["relu"].data) ** 2).mean() / (seen["relu"].data ** 2).mean(),
             judged(step, made, code)[0].mean()]
    before = {name: p.data.copy() for name, p in step.encoder.parameters().items()}
    judge_loss = [step.discriminate(given, code, real, training=False)[0].item() for given, real in ((x, True), (made, False))]
    np.testing.assert_allclose(judge_loss, [judged(step, x, code)[0].mean(), judged(step, made, code)[1].mean()], rtol=1e-5)
    rng = copy.deepcopy(step.rng)
    wanted = [judged(step, x, code, rng), judged(step, made, code, rng)]
    loss, right = step(generator, optimizer, x, None)
    np.testing.assert_allclose(step.parts, parts, rtol=1e-5)
    np.testing.assert_allclose(loss, np.dot(parts, WEIGHTS), rtol=1e-5)
    assert right == ((wanted[0][0] < wanted[0][1]).mean() + (wanted[1][0] >= wanted[1][1]).mean()) / 2
    assert all(np.array_equal(p.data, before[name]) for name, p in step.encoder.parameters().items())


def test_a_discriminator_that_is_far_ahead_waits():
    _, _, step = begin()
    x = np.random.default_rng(1).standard_normal((2, 3, 32, 32)).astype(np.float32)
    code, before = step.inputs(x), step.f.parameters()["conv3/weight"].data.copy()
    first, second = (step.discriminate(given, code, real, training=False)[0].item()
                     for given, real in ((x, True), (x + 1, False)))
    step.h.layer("drop5").p = step.h.layer("drop6").p = 0.      # so that L(D) is the same while it learns
    step.discriminator_step(x, x + 1, code, fooled=10.1 * (first + second))
    assert np.array_equal(step.f.parameters()["conv3/weight"].data, before)
    step.discriminator_step(x, x + 1, code, fooled=9.9 * (first + second))
    assert not np.array_equal(step.f.parameters()["conv3/weight"].data, before)


def test_it_learns_to_paint_and_goes_on_bit_for_bit(tmp_path):
    generator, optimizer, step = begin()
    settings, pixels = dict(batch_size=6, rng=step.rng), []
    for state in islice(training_steps(generator, pictures(), optimizer, take_step=step, **settings), 25):
        if state.step:
            pixels.append(step.parts[0])
        if state.step == 11:
            save_checkpoint(tmp_path / "c.npz", generator, optimizer, settings["rng"], state, step.models)
    assert np.mean(pixels[-4:]) < 0.4 * np.mean(pixels[:4])
    other, optimizer, again = begin(seed=7)
    settings["rng"] = again.rng
    start = load_checkpoint(tmp_path / "c.npz", other, optimizer, again.rng, again.models)
    for state in islice(training_steps(other, pictures(), optimizer, take_step=again, start=start, **settings), 14):
        pass
    assert state.step == 24
    for net, same in ((generator, other), (step.f, again.f), (step.g, again.g), (step.h, again.h)):
        assert all(np.array_equal(a.data, b.data) for a, b in zip(net.parameters().values(), same.parameters().values()))
        assert all(np.array_equal(a, b) for a, b in zip(net.buffers().values(), same.buffers().values()))


@pytest.mark.parametrize("settings, error", [
    (dict(feature_layer="relu99"), MinicnnError), (dict(code_layer="relu", feature_layer="code"), SettingError),
    (dict(weights=(1.0,)), SettingError), (dict(weights=(1, 1, np.nan)), SettingError), (dict(weights=1), SettingError),
    (dict(rng=0), SettingError)])
def test_wrong_settings(settings, error):
    usual = dict(encoder=encoder(), code_layer="code", feature_layer="relu", weights=WEIGHTS, rng=np.random.default_rng(0))
    with pytest.raises(error):
        GeneratorStep(**{**usual, **settings})


def test_a_loss_that_is_no_number_names_the_generators_layer():
    generator, optimizer, step = begin()
    generator.parameters()["deconv2/weight"].data[0] = np.nan
    with pytest.raises(TrainingError, match="'deconv2', in its weight"):
        next(islice(training_steps(generator, pictures(), optimizer, batch_size=4, rng=np.random.default_rng(0),
                                   take_step=step), 1, None))
