"""The techniques, by behaviour: numbers with a floor and a ceiling on the real network, exact identities on small ones."""
import numpy as np
import pytest

import minicnn
from lectures.common import IMAGES
from minicnn import nn
from minicnn.art.deepdream import deepdream, deepdream_steps, make_step
from minicnn.errors import ImageError, MinicnnError, SettingError, ShapeError
from minicnn.images import Preprocessing, load_image, pixel_range, resize_shorter
from minicnn.loop import last, take
from minicnn.visualize import filters
from minicnn.visualize.backprop import as_picture, backproject, class_seed, strongest_unit, unit_seed
from minicnn.visualize.occlusion import occlusion, occlusion_steps, pixel_map
from minicnn.visualize.saliency import saliency_map


@pytest.fixture(scope="module")
def squeezenet():
    return minicnn.load("squeezenet1_1")


@pytest.fixture(scope="module")
def linear_net():
    """Scores that are linear in the picture: what occlusion and saliency must say is known exactly."""
    spec = Preprocessing(size=8, resize=None, scale=1 / 255, mean=(0.5,) * 3)
    return nn.Sequential({"conv1": nn.Conv2d(3, 4, 3, padding=1), "flatten": nn.Flatten(), "fc": nn.Linear(256, 5)},
                         preprocessing=spec, classes=list("abcde")).initialise(0)


# --- filters ----------------------------------------------------------------------------------------------------------
def test_each_filter_uses_the_whole_range():
    w = np.random.RandomState(0).standard_normal((5, 3, 4, 4))
    scaled = filters.scale_filters(w)
    assert np.allclose(scaled.min((1, 2, 3)), 0) and np.allclose(scaled.max((1, 2, 3)), 1)
    assert np.corrcoef(scaled[2].ravel(), w[2].ravel())[0, 1] > 1 - 1e-12


def test_symmetric_scaling_makes_zero_grey_and_global_keeps_proportions():
    w = np.zeros((2, 1, 1, 3))
    w[0, 0, 0], w[1, 0, 0] = [-1, 0, 4], [0, 1, 2]
    assert np.allclose(filters.scale_filters(w, "symmetric")[0, 0, 0], [0.375, 0.5, 1])
    assert np.allclose(filters.scale_filters(w, "global")[1, 0, 0], [0.2, 0.4, 0.6])
    assert np.allclose(filters.scale_filters(np.full((1, 1, 2, 2), 3.0)), 0.5)


def test_bgr_filters_are_shown_red_first():
    w = np.zeros((1, 3, 1, 1))
    w[0, 2] = 1        # BGR: the third channel is red
    assert np.allclose(filters.colour_tiles(w, "BGR")[0, 0, 0], [1, 0, 0])


def test_order_and_enlargement():
    w = np.zeros((3, 3, 3, 3))
    w[1], w[2, 0, 0, 0] = 2, 1
    assert list(filters.order_by_energy(w)) == [1, 2, 0]
    w[0, 1, 2, 0] = 7
    grey, colour = filters.enlarge(w, 2), filters.enlarge(w.transpose(0, 2, 3, 1), 2, colour=True)
    assert grey.shape == (3, 3, 6, 6) and (grey[0, 1, 4:, :2] == 7).all() and (grey[0] == 7).sum() == 4
    assert colour.shape == (3, 6, 6, 3) and np.array_equal(colour, grey.transpose(0, 2, 3, 1))


def test_roughness_of_noise_and_of_a_ramp():
    noise = np.random.RandomState(0).standard_normal((200, 3, 5, 5))
    assert 0.9 < filters.roughness(noise).mean() < 1.1
    assert filters.roughness(np.cumsum(np.ones((1, 1, 5, 5)), axis=3))[0] < 0.3


# --- occlusion --------------------------------------------------------------------------------------------------------
def test_occlusion_equals_brute_force(linear_net):
    x = linear_net.preprocess(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8))
    state = occlusion(linear_net, x, 2, window=1, stride=1, fill=0, batch=5, layer="conv1")
    low, _ = pixel_range(linear_net.preprocessing)
    for r, c in ((0, 0), (3, 5), (7, 7)):
        occluded = x.data.copy()
        occluded[0, :, r, c] = low[0, :, 0, 0]
        scores = linear_net(occluded).data[0]
        assert state.probability[r, c] == pytest.approx(np.exp(scores[2]) / np.exp(scores).sum(), rel=1e-5)
        assert state.best[r, c] == scores.argmax()
        feature_map = linear_net.activations(occluded)["conv1"].data[0, state.channel]
        assert state.activation[r, c] == pytest.approx(feature_map.sum(), rel=1e-4)


def test_occluding_disjoint_windows_of_a_linear_score_adds_up(linear_net):
    """S(x) - S(filled) = the sum of what each window takes away, for log p's linear part: the scores' difference."""
    x = linear_net.preprocess(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8))
    full = occlusion(linear_net, x, 0, window=8, stride=8)
    parts = [occlusion(linear_net, x, k, window=4, stride=4) for k in (0, 1)]
    whole = [occlusion(linear_net, x, k, window=8, stride=8) for k in (0, 1)]

    def odds(states):       # log(p0 / p1) is linear in x
        return np.log(states[0].probability) - np.log(states[1].probability)

    start = np.log(parts[0].unoccluded) - np.log(parts[1].unoccluded)
    assert (odds(parts) - start).sum() == pytest.approx((odds(whole) - start).sum(), abs=1e-4)
    assert full.probability.shape == (1, 1)


def test_occlusion_counts_its_forward_passes_and_shows_what_is_done(linear_net):
    x = linear_net.preprocess(np.zeros((8, 8, 3), np.uint8))
    states = list(occlusion_steps(linear_net, x, window=2, stride=2, batch=6))
    assert len(states) == 1 + 3         # 16 positions, 6 at a time
    assert [int(np.isfinite(s.probability).sum()) for s in states] == [0, 6, 12, 16]
    assert np.array_equal(x.data, linear_net.preprocess(np.zeros((8, 8, 3), np.uint8)).data)


def test_pixel_map_averages_the_windows_over_a_pixel(linear_net):
    x = linear_net.preprocess(np.zeros((8, 8, 3), np.uint8))
    state = occlusion(linear_net, x, window=4, stride=2)
    values = np.arange(9.0).reshape(3, 3)
    spread = pixel_map(state, values, (8, 8))
    assert spread[0, 0] == 0 and spread[7, 7] == 8 and spread[3, 3] == np.mean([0, 1, 3, 4])


def test_blur_noise_and_local_fills_do_what_they_say(linear_net):
    from minicnn.visualize.occlusion import _filling
    x = linear_net.preprocess(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)).data
    blurred, noise = (_filling(linear_net, x, fill, 0, (6, 6)) for fill in ("blur", "noise"))
    assert 0 < blurred.std() < 0.3 * x.std() and np.abs(blurred.mean() - x.mean()) < 0.1
    assert noise.std() > 0.2 and not np.allclose(noise, _filling(linear_net, x, "noise", 1, (6, 6)))
    state, covered = occlusion(linear_net, x, 0, window=8, fill="local"), x.mean((2, 3), keepdims=True)
    scores = linear_net(np.broadcast_to(covered, x.shape).copy()).data[0]
    assert state.probability[0, 0] == pytest.approx(np.exp(scores[0]) / np.exp(scores).sum(), rel=1e-5)


def test_the_map_followed_is_the_strongest_and_windows_reach_the_border(linear_net):
    x = linear_net.preprocess(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8))
    state = occlusion(linear_net, x, window=3, stride=4)
    sums = linear_net.activations(x)["conv1"].data[0].sum((1, 2))
    assert state.channel == sums.argmax() != sums.argmin()
    assert list(state.tops) == [0, 4, 5] and np.isfinite(state.probability).all()
    assert occlusion(linear_net, x).window == (1, 1)        # a seventh of 8 pixels


@pytest.mark.parametrize("fill", ["mean", 0, 127.5, 255, "blur", "noise"])
def test_fills_stay_within_the_range_of_pixels(linear_net, fill):
    from minicnn.visualize.occlusion import _filling
    x = linear_net.preprocess(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)).data
    low, high = pixel_range(linear_net.preprocessing)
    filling = _filling(linear_net, x, fill, 0, (3, 3))
    assert filling.shape == x[0].shape and (filling >= low[0] - 1e-6).all() and (filling <= high[0] + 1e-6).all()
    if fill in ("mean", 127.5):
        assert np.allclose(filling, 0, atol=1e-6)


# --- from a neuron to the image ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def cat(squeezenet):
    return squeezenet.preprocess(IMAGES / "chelsea.jpg")


def test_backprop_is_the_gradient(squeezenet, cat):
    layer, unit = "fire3/concat", (5, 20, 20)
    gradient = backproject(squeezenet, cat, layer, lambda a: unit_seed(a, unit))
    step = 0.02 * gradient / np.abs(gradient).max()

    def value(data):
        return float(squeezenet.activations(data, upto=layer)[layer].data[(0, *unit)])

    rise = value(cat.data + step[None]) - value(cat.data - step[None])
    assert rise == pytest.approx(2 * float((gradient * step).sum()), rel=0.02)


def test_the_rules_differ_and_the_network_is_left_as_it_was(squeezenet, cat):
    before = {k: p.data.copy() for k, p in squeezenet.parameters().items()}
    scores = squeezenet(cat).data
    signals = [backproject(squeezenet, cat, "fire5/concat", lambda a: unit_seed(a, strongest_unit(a)), rule)
               for rule in minicnn.tape.RELU_RULES]
    assert len({s.tobytes() for s in signals}) == 3
    assert all(np.array_equal(before[k], p.data) for k, p in squeezenet.parameters().items())
    assert np.array_equal(scores, squeezenet(cat).data) and cat.grad is None
    assert minicnn.tape.current_relu_rule() == "backprop"


def test_rules_coincide_where_all_is_positive():
    net = nn.Sequential({"conv1": nn.Conv2d(1, 2, 3), "relu1": nn.ReLU(), "conv2": nn.Conv2d(2, 2, 3), "relu2": nn.ReLU()})
    for name, p in net.initialise(0).parameters().items():
        net.set_array(name, np.abs(p.data))
    x = np.random.RandomState(0).uniform(0.1, 1, (1, 1, 7, 7)).astype(np.float32)
    a, b, c = (backproject(net, x, "relu2", np.ones((1, 2, 3, 3)), rule) for rule in minicnn.tape.RELU_RULES)
    assert np.array_equal(a, b) and np.array_equal(a, c) and a.min() > 0


def test_a_unit_reaches_its_receptive_field_and_no_further(squeezenet, cat):
    signal = backproject(squeezenet, cat, "conv1", lambda a: unit_seed(a, (3, 10, 12)))
    rows, columns = np.nonzero(np.abs(signal).max(0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 22, 24, 26)


def test_guided_signal_above_a_relu_is_never_negative(squeezenet, cat):
    activations = squeezenet.activations(cat, upto="fire5/concat")
    conv1 = activations["conv1"].retain_grad()
    with minicnn.relu_rule("guided"):
        activations["fire5/concat"].backward(unit_seed(activations["fire5/concat"], 7))
    assert conv1.grad.min() >= 0 and conv1.grad.max() > 0


def test_unit_seed_takes_one_or_the_activation():
    a = np.arange(8.0).reshape(1, 2, 2, 2)
    assert unit_seed(a, (1, 0, 1)).sum() == 1 and unit_seed(a, (1, 0, 1), "activation").sum() == 5
    assert unit_seed(a, 1).sum() == 4 and class_seed(a, 1).sum() == 1
    assert strongest_unit(a) == (1, 1, 1)


def test_saliency_of_a_linear_score_is_its_weights(linear_net):
    x = linear_net.preprocess(np.zeros((8, 8, 3), np.uint8))
    found = saliency_map(linear_net, x, 3)
    other = saliency_map(linear_net, linear_net.preprocess(np.full((8, 8, 3), 200, np.uint8)), 3)
    assert found.shape == (8, 8) and np.allclose(found, other, rtol=1e-4)
    step = np.zeros((1, 3, 8, 8), np.float32)
    step[0, 1, 2, 6] = 1
    start = linear_net(x.data).data[0, 3]
    rises = [abs(float(linear_net(x.data + np.roll(step, c, axis=1)).data[0, 3] - start)) for c in range(3)]
    assert found[2, 6] == pytest.approx(max(rises), rel=1e-3)


def test_saliency_starts_before_the_last_relu(squeezenet, cat):
    """The map is of the mean of the unrectified conv10; the rectified scores, where part of the map is off, give another."""
    x = minicnn.Tensor(cat.data, requires_grad=True)
    activations = squeezenet.activations(x)
    partly_off = int((activations["conv10"].data[0] < 0).sum((1, 2)).argmax())
    activations["conv10"][0, partly_off].mean().backward()
    unrectified, x.grad = np.abs(x.grad[0]).max(0), None
    activations["pool10"][0, partly_off].backward()
    found = saliency_map(squeezenet, cat, partly_off)
    np.testing.assert_allclose(found, unrectified, rtol=1e-3, atol=1e-6 * found.max())
    assert np.abs(found - np.abs(x.grad[0]).max(0)).max() > 0.1 * found.max()


def test_as_picture_shows_zero_grey_positive_bright_and_red_first():
    signal = np.zeros((3, 1, 3))
    signal[2, 0] = [0, 1, -1]
    assert np.allclose(as_picture(signal, "BGR", percentile=100)[0, :, 0], [0.5, 1, 0])
    assert np.allclose(as_picture(signal, "RGB", percentile=100)[0, :, 0], 0.5)


# --- DeepDream --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def picture():
    return resize_shorter(load_image(IMAGES / "starry_night.jpg"), 96)


def test_a_step_without_jitter_is_the_analytic_one(squeezenet, cat):
    low, high = pixel_range(squeezenet.preprocessing)
    src = cat.data[:, :, :64, :64].copy()
    new, loss = make_step(squeezenet, src, "fire2/concat", jitter=0, clip=False, rng=np.random.default_rng(0))
    x = minicnn.Tensor(src, requires_grad=True)
    a = squeezenet.activations(x, upto="fire2/concat")["fire2/concat"]
    (a * a * 0.5).sum().backward()
    np.testing.assert_allclose(new - src, 1.5 * x.grad / np.abs(x.grad).mean(), rtol=1e-3, atol=1e-3)
    assert loss == pytest.approx(0.5 * float((a.data.astype(float) ** 2).mean()))


def test_dreaming_boosts_the_layer_and_keeps_pixels_in_range(squeezenet, picture):
    states = list(take(16, deepdream_steps(squeezenet, picture, "fire6/concat", octaves=2, steps=8, jitter=8, rng=0)))
    low, high = pixel_range(squeezenet.preprocessing)
    assert len(states) == 17 and states[0].step == 0 and states[-1].octave == 1
    losses = [s.loss for s in states if s.octave == 1]
    assert losses[-1] > 1.5 * losses[0] > 0
    assert (states[-1].src >= low).all() and (states[-1].src <= high).all()
    assert states[-1].image.shape == picture.shape
    assert np.abs(states[-1].image.astype(int) - picture.astype(int)).mean() > 3


def test_a_step_shifts_the_picture_back(squeezenet, picture):
    """Whatever the shift, the step is about the same picture: its change is where the unshifted step's is."""
    src = squeezenet.preprocess(picture, whole=True).data
    plain, _ = make_step(squeezenet, src, "fire2/concat", jitter=0, step_size=3, rng=0)
    shifted, _ = make_step(squeezenet, src, "fire2/concat", jitter=20, step_size=3, rng=1)
    assert np.abs(shifted - src).mean() < 2 * np.abs(plain - src).mean() < 20
    assert np.corrcoef((plain - src).ravel(), (shifted - src).ravel())[0, 1] > 0.3


def test_detail_is_carried_to_the_next_octave(squeezenet, picture):
    settings = dict(octaves=2, jitter=8, rng=0)
    carried = list(take(7, deepdream_steps(squeezenet, picture, "fire6/concat", steps=6, **settings)))[-1]
    fresh = list(take(1, deepdream_steps(squeezenet, picture, "fire6/concat", steps=0, **settings)))[-1]
    assert carried.octave == fresh.octave == 1 and carried.loss > 1.5 * fresh.loss


def test_an_unclipped_dream_is_shown_scaled_into_range(squeezenet, picture):
    states = list(take(6, deepdream_steps(squeezenet, picture, "fire3/concat", clip=False, jitter=8, step_size=20, rng=0)))
    _, high = pixel_range(squeezenet.preprocessing)
    assert (states[-1].src > high).mean() > 0.01
    assert (states[-1].image == 255).mean() < 0.01


def test_same_rng_same_dream_and_the_picture_is_left_alone(squeezenet, picture):
    kept = picture.copy()
    a, b, c = (deepdream(squeezenet, picture, "fire3/concat", octaves=1, steps=3, jitter=8, rng=seed) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c) and np.array_equal(picture, kept)


def test_states_are_fresh_and_the_start_is_the_picture(squeezenet, picture):
    states = list(take(2, deepdream_steps(squeezenet, picture, "fire3/concat", jitter=4, rng=0)))
    assert np.array_equal(states[0].image, picture) and not np.array_equal(states[0].src, states[1].src)
    assert last(take(2, deepdream_steps(squeezenet, picture, "fire3/concat", jitter=4, rng=0))).step == 2


@pytest.mark.parametrize("call, error, fragment", [
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), window=9), MinicnnError, "9x9"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), window=2, fill="black"), MinicnnError, "'black'"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), window=2, layer="conv2"), MinicnnError, "conv1"),
    (lambda net: backproject(net, np.zeros((1, 3, 8, 8)), "conv1", lambda a: unit_seed(a, (9, 0, 0))), MinicnnError, "(9, 0, 0)"),
    (lambda net: backproject(net, np.zeros((1, 3, 8, 8)), "conv1", lambda a: unit_seed(a, 0), "guide"), MinicnnError, "'guided'"),
    (lambda net: deepdream(net, np.zeros((40, 40, 3), np.uint8), "conv1", octaves=4), ImageError, "octave"),
    (lambda net: filters.colour_tiles(np.zeros((4, 4, 3, 3))), MinicnnError, "(4, 4, 3, 3)"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), 5), SettingError, "class_index is 5"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), -1), SettingError, "class_index is -1"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), stride=0), ShapeError, "stride is 0"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), batch=-1), SettingError, "batch is -1"),
    (lambda net: occlusion(net, np.zeros((1, 3, 8, 8)), layer="fc"), MinicnnError, "feature maps"),
    (lambda net: occlusion(net, "cat.jpg"), MinicnnError, "real numbers"),
    (lambda net: saliency_map(net, np.zeros((1, 3, 8, 8)), 5), ShapeError, "no unit 5"),
    (lambda net: saliency_map(net, np.zeros((1, 3, 8, 8)), None), ShapeError, "no unit None"),
    (lambda net: saliency_map(net, np.zeros((1, 3, 8, 8)), True), ShapeError, "no unit True"),
    (lambda net: saliency_map(net, np.zeros((2, 3, 8, 8)), 0), ShapeError, "one picture"),
    (lambda net: unit_seed(np.zeros((1, 4, 2, 2)), [1, 0, 0]), ShapeError, "a tuple"),
    (lambda net: unit_seed(np.zeros((1, 4, 2, 2)), 1, "activations"), MinicnnError, "'activations'"),
    (lambda net: deepdream(net, np.zeros((64, 64, 3), np.uint8), "conv1", octaves=0), MinicnnError, "octaves is 0"),
    (lambda net: deepdream(net, np.zeros((64, 64, 3), np.uint8), "conv1", octave_scale=0), MinicnnError, "octave_scale is 0"),
    (lambda net: deepdream(net, np.zeros((64, 64, 3), np.uint8), "conv1", octaves=1, jitter=-1), MinicnnError, "jitter is -1"),
    (lambda net: deepdream(net, np.zeros((64, 64, 3), np.uint8), None, octaves=1), MinicnnError, "no layer"),
    (lambda net: filters.scale_filters(np.zeros((4, 4, 3, 3)), "log"), MinicnnError, "'log'"),
])
def test_wrong_use_gets_one_clear_sentence(linear_net, call, error, fragment):
    with pytest.raises(error) as raised:
        call(linear_net)
    assert fragment in str(raised.value)
