"""Pictures found by gradient: inversion, class models, waves, facets, codes of a generator."""
from dataclasses import replace

import numpy as np
import pytest

import minicnn
from minicnn import nn
from minicnn.data import cifar10
from minicnn.errors import MinicnnError, SettingError, ShapeError
from minicnn.images import Preprocessing
from minicnn.loop import Interrupted, last, take
from minicnn.visualize import class_model as cm
from minicnn.visualize import fourier, inversion, multifaceted
from minicnn.visualize.deep_generator import code_ascent, code_ascent_steps

SPEC = Preprocessing(size=12, resize=None, channel_order="BGR", mean=(100.0, 110.0, 120.0), std=(2.0, 1.0, 0.5))


@pytest.fixture(scope="module")
def small():
    """A network of 12 x 12 colour pictures with five classes, in float64."""
    net = nn.Network("small", preprocessing=SPEC)
    net.add("conv1", nn.Conv2d(3, 6, 3, padding=1))
    net.add("relu1", nn.ReLU())
    net.add("pool1", nn.MaxPool2d(2))
    net.add("flatten", nn.Flatten())
    net.add("fc", nn.Linear(6 * 36, 5))
    return net.initialise(0).astype(np.float64)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(5).uniform(0, 255, (12, 12, 3)).astype(np.uint8)


# --- inversion ---------------------------------------------------------------------------------------------------------
def objective_of(net, x, layer, **more):
    code = inversion.encode(net, x, layer).data
    settings = dict(mask=np.ones_like(code), tv_weight=10.0, beta=2.0, alpha_weight=8e-10, alpha=6)
    return inversion.Objective(net, layer, code, **{**settings, **more})


@pytest.mark.parametrize("layer", ["relu1", "fc", inversion.LOG_PROBABILITIES])
def test_the_objective_is_the_formula_and_its_gradient_is_that(small, picture, layer):
    target = small.preprocess(picture).data
    p = np.random.default_rng(0).normal(0, 40, (2, 3, 12, 12))
    objective = objective_of(small, target, layer)
    error, loss, gradient = objective(p)
    scale = np.array([0.5, 1.0, 2.0]).reshape(1, 3, 1, 1)                    # to_network: 1 / std
    code = objective.code
    relative = [np.linalg.norm(inversion.encode(small, one[None] * scale, layer).data - code) / np.linalg.norm(code) for one in p]
    np.testing.assert_allclose(error, relative, rtol=1e-10)
    dx, dy = np.zeros_like(p), np.zeros_like(p)
    dx[..., :, :-1], dy[..., :-1, :] = np.diff(p, axis=3), np.diff(p, axis=2)           # 0 beyond the border
    sigma = inversion.SIGMA * (3 * 12 * 12) ** 0.5
    expected = sum(r ** 2 for r in relative) + (5.0 * (dx ** 2 + dy ** 2).sum() + 4e-10 * (np.abs(p) ** 6).sum()) / sigma ** 2
    assert loss == pytest.approx(expected / 2, rel=1e-9)
    rng = np.random.default_rng(1)
    for _ in range(3):
        way, h = rng.normal(size=p.shape), 1e-5
        slope = (objective(p + h * way)[1] - objective(p - h * way)[1]) / (2 * h) * 2
        assert slope == pytest.approx(float((gradient * way).sum()), rel=1e-5)


def test_momentum_is_forgotten_when_the_rate_changes(small, picture):
    code = inversion.encode(small, small.preprocess(picture).data, "relu1").data
    schedule = ((2, 0.004), (2, 0.001))
    states = list(take(4, inversion.inversion_steps(small, code, "relu1", schedule=schedule, tv_weight=1.0)))
    objective = objective_of(small, small.preprocess(picture).data, "relu1", tv_weight=1.0)
    sigma = inversion.SIGMA * (3 * 12 * 12) ** 0.5
    assert np.linalg.norm(states[0].x) == pytest.approx(sigma)
    momentum, x = 0, states[0].x
    for step, lr in enumerate((0.004, 0.004, 0.001, 0.001)):
        momentum = (0 if step in (0, 2) else 0.9 * momentum) - lr * sigma ** 2 * objective(x)[2]
        x = x + momentum
        np.testing.assert_allclose(states[step + 1].x, x, rtol=1e-9)


def test_a_code_is_found_again_and_a_mask_leaves_the_rest_free(small, picture):
    code = inversion.encode(small, small.preprocess(picture).data, "relu1").data
    schedule = ((120, 0.02), (60, 0.002))
    state = last(take(180, inversion.inversion_steps(small, code, "relu1", schedule=schedule, starts=2, tv_weight=0.01)))
    assert state.error.shape == (2,) and state.error.max() < 0.2
    assert state.images.shape == (2, 12, 12, 3)
    assert min(np.corrcoef(image.ravel(), picture.ravel())[0, 1] for image in state.images) > 0.8
    mask = np.zeros((1, 6, 12, 12))
    mask[:, 0] = 1
    found = last(take(60, inversion.inversion_steps(small, code, "relu1", mask=mask, schedule=schedule)))
    assert found.error[0] < last(take(60, inversion.inversion_steps(small, code, "relu1", schedule=schedule))).error[0]
    again = last(take(60, inversion.inversion_steps(small, code, "relu1", mask=mask, schedule=schedule)))
    assert np.array_equal(found.x, again.x)
    assert inversion.inversion(small, code, "relu1", schedule=((3, 0.004),)).shape == (1, 12, 12, 3)


def test_the_weight_of_total_variation_grows_with_depth():
    net = minicnn.build("caffenet", rng=None)
    published = "conv1 relu1 pool1 norm1 conv2 relu2", "pool2 norm2 conv3 relu3 conv4 relu4", \
        "conv5 relu5 pool5 fc6 relu6 fc7 relu7 fc8"
    for weight, layers in zip((1, 10, 100), published):
        assert {inversion.default_tv_weight(net, layer) for layer in layers.split()} == {weight}
    assert inversion.default_tv_weight(net, inversion.LOG_PROBABILITIES) == 100


@pytest.mark.parametrize("change, says", [
    ({"starts": 0}, "starts"), ({"starts": 1.5}, "starts"), ({"schedule": ()}, "schedule"), ({"layer": "conv9"}, "conv9"),
    ({"code": np.zeros((1, 6, 12, 12))}, "all zero"), ({"code": np.ones((2, 6, 12, 12))}, "one picture"),
    ({"schedule": ((400, 1e6),)}, "ran away")])
def test_what_cannot_be_inverted_is_told(small, picture, change, says):
    code = inversion.encode(small, small.preprocess(picture).data, "relu1").data
    settings = {"code": code, "layer": "relu1", **change}
    with pytest.raises(MinicnnError, match=says):
        list(take(200, inversion.inversion_steps(small, settings.pop("code"), settings.pop("layer"), **settings)))


# --- class models --------------------------------------------------------------------------------------------------------
def test_the_published_settings_are_those_of_the_table():
    one, two, three, four = (cm.PUBLISHED[k] for k in (1, 2, 3, 4))
    assert (one.steps, one.blur, one.blur_every, one.small_norm, one.progress, one.lr) == (500, 0.5, 4, 50, 2.0, 100)
    assert (two.steps, two.decay, two.blur, two.small_norm, two.lr, two.progress) == (750, 0.3, 0, 20, 100, 0)
    assert (three.steps, three.decay, three.blur, three.blur_every, three.lr) == (1000, 1e-4, 1.0, 4, 100)
    assert (four.steps, four.blur, four.small_contribution, four.progress, four.lr) == (1000, 0.5, 90, 2.0, 1e8)


def test_a_step_is_tidied_in_the_published_order():
    rng = np.random.default_rng(0)
    x, g = rng.normal(0, 10, (1, 3, 8, 8)), rng.normal(size=(1, 3, 8, 8))
    plain = cm.tidied(x, g, cm.Settings(lr=2.0, decay=0.1), 0)
    np.testing.assert_allclose(plain, (x + 2 * g) * 0.9)
    short = cm.tidied(x, g, cm.Settings(lr=100.0, progress=0.5), 0)
    np.testing.assert_allclose(short, x + 0.5 / (g ** 2).sum() * g)
    sparse = cm.tidied(x, g, cm.Settings(lr=2.0, small_norm=50), 0)
    norms = np.linalg.norm(x + 2 * g, axis=1)[0]
    assert np.array_equal(sparse.any(axis=1)[0], norms >= np.percentile(norms, 50))
    useful = cm.tidied(x, g, cm.Settings(lr=2.0, small_contribution=90), 0)
    contribution = np.abs((g * (x + 2 * g)).sum(axis=1))[0]
    assert np.array_equal(useful.any(axis=1)[0], contribution >= np.percentile(contribution, 90))
    blurred = [np.array_equal(cm.tidied(x, g, cm.Settings(lr=2.0, blur=1.0), step), x + 2 * g) for step in range(5)]
    assert blurred == [False, True, True, True, False]


def test_simonyans_settings_are_ascent_on_the_score_less_the_norm(small):
    weight, lr = 1e-3, 5.0
    states = list(take(2, cm.class_model_steps(small, 2, cm.simonyan(weight, lr), rng=3)))
    assert not next(cm.class_model_steps(small, 2, start="zero")).x.any()
    scale, (p, step) = np.array([0.5, 1.0, 2.0]).reshape(1, 3, 1, 1), (states[1].x, 1e-6)
    net_score = [small(one * scale).data[0, 2] - weight * (one ** 2).sum() for one in (p, p)]
    g = np.zeros_like(p)
    for k in ((0, 0, 2, 3), (0, 1, 5, 5), (0, 2, 11, 0)):
        e = np.zeros_like(p)
        e[k] = step
        g[k] = ((small((p + e) * scale).data[0, 2] - weight * ((p + e) ** 2).sum()) - net_score[0]) / step
        assert (states[2].x - p)[k] == pytest.approx(lr * g[k], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("settings", [cm.simonyan(1e-4, 50.0, 30), cm.Settings(30, lr=50.0, blur=0.5), cm.random_settings(3)])
def test_ascent_makes_the_class_the_strongest(small, settings):
    settings = replace(settings, steps=30)
    best = cm.class_model(small, 4, settings, rng=1)
    start = next(cm.class_model_steps(small, 4, settings, rng=1))
    assert best.activation > start.activation + 1 and (settings.small_norm or best.top) and best.image.shape == (12, 12, 3)
    assert np.array_equal(best.x, cm.class_model(small, 4, settings, rng=1).x)
    low = -np.array(SPEC.mean).reshape(3, 1, 1)
    assert (best.x[0] >= low - 1e-9).all() and (best.x[0] <= 255 + low + 1e-9).all()


def test_a_unit_in_the_middle_and_a_channel(small):
    for unit in ((3, 5, 6), 3):
        states = list(take(8, cm.class_model_steps(small, unit, cm.Settings(lr=20.0), layer="conv1")))
        assert states[-1].activation > states[0].activation
    seen = np.abs(list(take(1, cm.class_model_steps(small, (3, 5, 6), cm.Settings(lr=1.0), layer="conv1", start="zero")))[1].x)
    rows, columns = np.nonzero(seen[0].max(axis=0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 6, 5, 7)


@pytest.mark.parametrize("steps", [
    lambda net: cm.class_model_steps(net, 1, rng=1),
    lambda net: multifaceted.tv_ascent_steps(net, 1, multifaceted.grey_start(net), (multifaceted.Phase(3, (1, 1), (1, 1)),)),
    lambda net: inversion.inversion_steps(net, np.ones((1, 5)), "fc")])
def test_states_have_arrays_of_their_own(small, steps):
    first = list(take(2, steps(small)))
    second = []
    for state in take(2, steps(small)):
        second.append(state.x.copy())
        state.x[:] = 7                              # what becomes of a state does not change the run
    assert all(np.array_equal(a.x, b) for a, b in zip(first, second))


def test_ctrl_c_leaves_the_best_class_model_so_far(small, monkeypatch):
    tidied, calls = cm.tidied, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return tidied(*arguments)
    monkeypatch.setattr(cm, "tidied", interrupted)
    with pytest.raises(Interrupted) as caught:
        cm.class_model(small, 1, cm.Settings(30, lr=50.0))
    assert caught.value.state.step == 4 and caught.value.state.activation > 0


def test_random_settings_differ_and_repeat():
    some = [cm.random_settings(k) for k in range(20)]
    assert len(set(some)) == 20 and cm.random_settings(7) == some[7]
    assert 4 < sum(s.progress > 0 for s in some) < 16
    assert 4 < sum(s.blur > 0 for s in some) < 16 and 4 < sum(s.small_contribution > 0 for s in some) < 16


def test_random_settings_hold_the_published_ones():
    some = [cm.random_settings(k) for k in range(1000)]
    for published in cm.PUBLISHED.values():
        for name in ("decay", "blur", "blur_every", "small_norm", "small_contribution"):
            drawn = [getattr(s, name) for s in some]
            assert min(drawn) <= getattr(published, name) <= max(drawn), name
        like = [s for s in some if (s.progress > 0) == (published.progress > 0) and (s.lr == cm.ANY) == (published.lr == cm.ANY)]
        for name in ("lr", "progress"):
            assert min(getattr(s, name) for s in like) <= getattr(published, name) <= max(getattr(s, name) for s in like)


def others_gain(net, layer):
    """Return what the other classes gain on average for each unit that the class's own score gains, by ascent at a layer."""
    start, *_, end = take(30, cm.class_model_steps(net, 130, cm.Settings(30, lr=500.0, blur=0.5), layer=layer, size=96))
    with minicnn.no_grad():
        before, after = (net(state.x * inversion.to_network(net)).data[0] for state in (start, end))
    return np.delete(after - before, 130).mean() / (after - before)[130]


def test_the_probability_pushes_other_classes_down():
    net = minicnn.load("squeezenet1_1")
    assert others_gain(net, inversion.LOG_PROBABILITIES) < 0.5 * others_gain(net, None)


def test_a_class_model_scores_above_all_but_few_photographs_of_the_class(data_dir):
    net, (train, _) = minicnn.load("vgg_cifar10"), cifar10(data_dir)
    for number in (0, 3, 7):
        photographs = train.images[train.labels == number]
        x = np.concatenate([net.preprocess(picture.transpose(1, 2, 0)).data for picture in photographs[:1000]])
        with minicnn.no_grad():
            scores = np.concatenate([net(x[k:k + 250]).data[:, number] for k in range(0, 1000, 250)])
        start, *_, end = take(60, cm.class_model_steps(net, number, cm.simonyan(1e-5, 1000.0, 60), start="zero"))
        assert end.activation > np.percentile(scores, 99.9) and end.top and not start.activation > np.percentile(scores, 50)


@pytest.mark.parametrize("arguments, says", [
    ({"start": "black"}, "start is"), ({"start": np.zeros((1, 2, 12, 12))}, "start has shape"), ({"unit": 5}, "no unit 5"),
    ({"layer": "conv7"}, "conv7"), ({"unit": (0, 99, 0), "layer": "conv1"}, "no unit")])
def test_wrong_class_models(small, arguments, says):
    with pytest.raises(MinicnnError, match=says):
        next(cm.class_model_steps(small, **{"unit": 1, **arguments}))


# --- waves -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (5, 7)])
def test_the_gradient_of_the_waves_is_that_of_the_formula(size):
    rng = np.random.default_rng(0)
    z, d = rng.normal(size=(2, 3, size[0], size[1] // 2 + 1)), rng.normal(size=(3, *size))
    found = fourier.to_picture_backward(d, fourier.to_picture(z, size))
    for k in list(np.ndindex(z.shape))[::7]:
        e = np.zeros_like(z)
        e[k] = 1e-6
        slope = ((fourier.to_picture(z + e, size) - fourier.to_picture(z - e, size)) * d).sum() / 2e-6
        assert found[k] == pytest.approx(slope, abs=1e-7)


def test_waves_make_pictures_with_the_spectrum_of_photographs():
    z = np.random.default_rng(0).normal(0, 0.01, (2, 3, 64, 33))
    picture = fourier.to_picture(z, (64, 64))
    assert 0 < picture.min() and picture.max() < 1
    power = np.abs(np.fft.rfft2(picture.mean(axis=0) - picture.mean())) ** 2
    assert power[:4, :4].mean() > 30 * power[20:40, 20:].mean()


def test_moving_is_a_matrix_of_bilinear_weights():
    still = fourier.transformation((6, 7), 0, 0, 0)
    assert np.array_equal(still.toarray(), np.eye(42))
    moved = fourier.transformation((9, 9), shift=3, zoom=0.2, turn=20, rng=1)
    sums = np.asarray(moved.sum(axis=1)).ravel()
    assert moved.data.min() >= 0 and sums.max() <= 1 + 1e-12 and (np.diff(moved.indptr) <= 4).all()
    plane = np.arange(81.0)
    inside = sums > 1 - 1e-9
    rows, columns = np.divmod(moved @ plane, 9)
    assert inside.sum() > 20 and len(rows) == 81
    ramp = moved @ np.repeat(np.arange(9.0), 9)             # what is linear stays linear, in the middle
    steps = np.diff(ramp.reshape(9, 9)[3:6, 3:6], 2, axis=0)
    assert np.abs(steps).max() < 1e-9


def test_waves_climb_and_repeat(small):
    states = list(take(25, fourier.fourier_steps(small, 1, shift=1, rng=2)))
    assert states[-1].activation > states[0].activation + 1 and states[-1].image.shape == (12, 12, 3)
    again = last(take(25, fourier.fourier_steps(small, 1, shift=1, rng=2)))
    assert np.array_equal(states[-1].z, again.z)
    assert np.array_equal(fourier.fourier(small, 1, steps=25, shift=1, rng=2), again.image)
    with pytest.raises(SettingError, match="grey pictures"):
        next(fourier.fourier_steps(minicnn.build("lenet", 0), 1))


# --- facets ------------------------------------------------------------------------------------------------------------------
def two_kinds(count=20):
    """Pictures bright on the left, and bright on the right."""
    rng, pictures = np.random.default_rng(0), rng_pictures(count)
    for k, picture in enumerate(pictures):
        picture[:, :6] += np.uint8(90 if k % 2 else 0)
        picture[:, 6:] += np.uint8(0 if k % 2 else 90)
    return [np.roll(picture, rng.integers(2), axis=0) for picture in pictures]


def rng_pictures(count):
    return list(np.random.default_rng(1).integers(40, 120, (count, 12, 12, 3)).astype(np.uint8))


def test_facets_part_two_kinds_and_their_means_show_them(small):
    pictures = two_kinds(40)
    found = multifaceted.facets(small, pictures, "relu1", 2, rng=0)
    kinds = np.arange(40) % 2
    codes = multifaceted.codes(small, pictures, "pool1")
    assert codes.shape == (40, 6) and found.embedding.shape == (40, 2) and found.means.shape == (2, 3, 12, 12)
    fc = multifaceted.facets(small, pictures, "fc", 2, rng=0)
    agree = max(np.mean(fc.labels == kinds), np.mean(fc.labels != kinds))
    assert agree == 1
    for k, group in enumerate(fc.nearest):
        assert len(group) == multifaceted.NEAREST and {int(fc.labels[i]) for i in group} == {k}
        mean = np.mean([pictures[i] for i in group], axis=0)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_allclose(fc.means[k], mean - np.array(SPEC.mean).reshape(3, 1, 1), atol=1e-3)


def test_tv_ascent_keeps_what_it_starts_with_and_climbs(small):
    start = np.zeros((1, 3, 12, 12))
    start[..., :6] = 60
    phases = (multifaceted.Phase(6, (3, 3), (0.1, 0.3)),
              multifaceted.Phase(4, (2, 1), (0.1, 0.3), enlarge=1.5, window=0.2, margin=2))
    states = list(multifaceted.tv_ascent_steps(small, 3, start, phases))
    assert [s.step for s in states] == list(range(11)) and states[-1].image.shape == (18, 18, 3)
    assert states[6].activation > states[0].activation
    assert states[6].x[..., :6].mean() > states[6].x[..., 6:].mean() + 20
    ends, found = multifaceted.multifaceted(small, 3, two_kinds(40), "fc", 2, phases=phases[:1])
    assert len(ends) == 2 and np.array_equal(ends[1], last(multifaceted.tv_ascent_steps(
        small, 3, found.means[1:], phases[:1])).image) and not np.array_equal(ends[0], ends[1])
    with pytest.raises(ShapeError, match="larger than twice"):
        next(multifaceted.tv_ascent_steps(small, 3, start, replace(phases[1], margin=6)))
    with pytest.raises(ShapeError, match="start has shape"):
        next(multifaceted.tv_ascent_steps(small, 3, start[:, :2], phases))
    with pytest.raises(SettingError, match="expected at least 3"):
        multifaceted.facets(small, rng_pictures(5), "fc", 2)


def test_few_pictures_make_facets_of_their_own_and_the_published_schedule_climbs():
    net = minicnn.load("vgg_cifar10")
    pictures = [np.roll(p, 1, axis=0) for p in np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)]
    found = multifaceted.facets(net, pictures, "relu5", 2)
    assert sorted(np.concatenate(found.nearest).tolist()) == list(range(8))
    assert np.abs(np.diff(found.means, axis=0)).max() > 5
    first = replace(multifaceted.FROM_MEAN[0], steps=20)
    start, *_, end = multifaceted.tv_ascent_steps(net, 3, found.means[:1], (first,))
    assert end.activation > start.activation + 3


def test_centre_bias_is_the_published_schedule_and_climbs_the_probability_at_first(small):
    bias = multifaceted.CENTRE_BIAS
    assert [(p.steps, p.enlarge, p.window, p.margin, p.probability) for p in bias] == [
        (190, 1, 0, 0, True), (150, 1.2, 0.3, 0, True), (150, 1.2, 0.3, 0, False), (30, 1, 0.1, 50, False),
        (10, 1, 0.3, 0, False)]
    assert [p.step for p in bias] == [(11, 11), (6, 6), (1, 1), (3, 3), (6, 3)]
    assert [p.fidelity for p in bias] == [(0.001, 0.05), (0.01, 0.08), (0.01, 2), (0.1, 2), (0.01, 2)]
    grey = multifaceted.grey_start(small, 40)
    pixels = grey + np.array(SPEC.mean).reshape(1, 3, 1, 1)
    assert grey.shape == (1, 3, 40, 40) and pixels.mean() == pytest.approx(175, abs=1) and pixels.std() == pytest.approx(8, abs=1)
    start = multifaceted.grey_start(small)
    x = minicnn.Tensor(start, requires_grad=True)
    odds = minicnn.ops.softmax(small(x * inversion.to_network(small)), dim=1)       # the probability itself
    odds.backward(np.eye(5)[None, 3])
    *_, end = multifaceted.tv_ascent_steps(small, 3, start, (multifaceted.Phase(1, (5, 5), (1, 1), probability=True),))
    stepped = start + 5 * x.grad / np.abs(x.grad).mean()
    np.testing.assert_allclose(end.x, multifaceted.denoise_tv_bregman(stepped, 1), atol=1e-6)


# --- a generator ---------------------------------------------------------------------------------------------------------------
def generator(channels=3, size=16):
    spec = Preprocessing(size=size, resize=None, scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3)
    net = nn.Network("painter", preprocessing=spec)
    net.add("fc", nn.Linear(7, 4 * 64))
    net.add("reshape", nn.Function(minicnn.ops.reshape, shape=(-1, 4, 8, 8)))
    net.add("deconv", nn.ConvTranspose2d(4, channels, 4, 2, 1))
    return net.initialise(3).astype(np.float64)


def test_ascent_in_codes_follows_the_published_step(small):
    painter, bound = generator(), np.full(7, 1.5)
    states = list(take(2, code_ascent_steps(small, painter, 2, bound, lr=(0.5, 0.1), steps=2, decay=0.01, rng=4)))
    z = states[0].z
    assert z.shape == (1, 7) and z.min() >= 0 and z.max() <= 1.5

    def picture_of(z):                  # the middle of what is painted, RGB about 0 -> BGR less the mean, each divided by std
        rgb = (painter(z).data[0] * 0.25 + 0.5) * 255
        return (rgb[::-1, 2:14, 2:14] - np.array(SPEC.mean).reshape(3, 1, 1)) / np.array(SPEC.std).reshape(3, 1, 1)

    x = minicnn.Tensor(picture_of(z)[None], requires_grad=True)
    seed = np.eye(5)[2:3]
    small(x).backward(seed)
    assert states[0].activation == pytest.approx(float(small(picture_of(z)[None]).data[0, 2]))
    whole = x.grad[0] / np.abs(x.grad).mean()
    h, slope = 1e-6, np.zeros(7)
    for k in range(7):
        e = np.zeros((1, 7))
        e[0, k] = h
        ahead, behind = (painter(z + sign * e).data[0][::-1, 2:14, 2:14] for sign in (1, -1))
        slope[k] = ((ahead - behind) / (2 * h) * whole).sum()
    expected = 0.99 * np.clip(z + 0.5 * slope / np.abs(slope).mean(), 0, 1.5)
    np.testing.assert_allclose(states[1].z, expected, rtol=1e-5, atol=1e-8)


def test_codes_stay_within_their_bound_and_small_pictures_are_told(small):
    bound = np.linspace(0.1, 1, 7)
    state = last(take(20, code_ascent_steps(small, generator(), 1, bound)))
    assert (state.z >= 0).all() and (state.z <= bound).all() and state.image.shape == (16, 16, 3)
    assert np.array_equal(code_ascent(small, generator(), 1, bound, steps=5),
                          last(take(5, code_ascent_steps(small, generator(), 1, bound, steps=5))).image)
    with pytest.raises(ShapeError, match="the generator paints"):
        next(code_ascent_steps(minicnn.build("convnetjs_cifar10", 0).astype(np.float64), generator(), 1, bound))
