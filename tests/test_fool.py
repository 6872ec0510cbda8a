"""Fooling networks, against foolbox's success (goldens), closed forms, and by what must hold of every attack."""
import numpy as np
import pytest

import minicnn
from lectures.common import IMAGES, digits
from make_fool_goldens import COUNT, EPSILONS, RELATIVE_STEP, STEPS
from minicnn.errors import SettingError, ShapeError, UnknownNameError
from minicnn.fool import pixels as space
from minicnn.fool.adversarial import distortion, fgsm, lbfgs_attack, lbfgs_attack_steps
from minicnn.fool.adversarial_training import AdversarialStep
from minicnn.fool.deepfool import deepfool, deepfool_steps
from minicnn.fool.gradient import PUBLISHED, fooling_images, fooling_steps
from minicnn.fool.linear import fit_logistic_regression, nearest_border, pixel_weights, pushed, templates, worst_changes
from minicnn.fool.pgd import pgd, pgd_steps
from minicnn.fool.pixels import pixels_of, probabilities, through_png, to_input
from minicnn.fool.transfer import transfer_rates
from minicnn.fool.universal import fooling_rate, universal, universal_steps
from minicnn.loop import last, take
from minicnn.optim import SGD


@pytest.fixture(scope="module")
def goldens():
    with np.load("tests/goldens/fool.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def lenet():
    return minicnn.load("lenet_mnist")


@pytest.fixture(scope="module")
def some():
    images, labels = digits(COUNT)
    return (images[:, None] / 255).astype(np.float32), labels


def error(net, pixels, labels):
    return float((probabilities(net, pixels).argmax(axis=1) != labels).mean())


# --- pixel space ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["squeezenet1_1", "lenet_mnist", "vgg_cifar10", "convnetjs_cifar10"])
def test_pixels_become_the_input_that_preprocess_gives(name):
    net = minicnn.load(name)
    pixels = pixels_of(net, IMAGES / "chelsea.jpg")
    assert 0 <= pixels.min() and pixels.max() <= 1
    np.testing.assert_allclose(to_input(net, pixels).data, net.preprocess(IMAGES / "chelsea.jpg").data, atol=2e-5)
    grey = space.mean_colour(net)
    if name == "squeezenet1_1":
        assert np.abs(to_input(net, np.broadcast_to(grey, (1, 3, 4, 4))).data).max() < 1e-4


def test_the_gradient_is_that_of_the_pixels():
    net = minicnn.load("vgg_cifar10").astype(np.float64)
    rng = np.random.default_rng(0)
    p, direction = rng.random((2, 3, 32, 32)), rng.standard_normal((2, 3, 32, 32)) * 1e-6
    losses, gradient, scores = space.loss_gradient(net, p, np.array([3, 5]))
    more, less = (space.loss_gradient(net, p + sign * direction, np.array([3, 5]))[0] for sign in (1, -1))
    np.testing.assert_allclose((more - less) / 2, (gradient * direction).sum(axis=(1, 2, 3)), rtol=1e-5)
    shifted = scores - scores.max(axis=1, keepdims=True)
    np.testing.assert_allclose(losses, np.log(np.exp(shifted).sum(axis=1)) - shifted[[0, 1], [3, 5]], rtol=1e-10)


def test_png_rounds_to_8_bits_and_clips():
    p = np.array([[-0.2, 0.0, 0.4999 / 255], [0.5001 / 255, 1.0, 1.7]], np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(through_png(p).ravel() * np.float32(255), [0, 0, 0, 1, 255, 255])
    colour = np.random.default_rng(0).random((2, 3, 5, 4))
    assert np.abs(through_png(colour) - colour).max() <= 0.5 / 255 + 1e-12
    np.testing.assert_array_equal(through_png(through_png(colour)), through_png(colour))


def test_many_pictures_are_judged_in_parts(lenet, some, monkeypatch):
    whole = probabilities(lenet, some[0][:30]), space.loss_gradient(lenet, some[0][:30], some[1][:30])[1]
    monkeypatch.setattr(space, "MOST_NUMBERS", 7 * 784)
    parts = probabilities(lenet, some[0][:30]), space.loss_gradient(lenet, some[0][:30], some[1][:30])[1]
    for a, b in zip(whole, parts):
        np.testing.assert_allclose(a, b, atol=1e-6)


# --- against foolbox ------------------------------------------------------------------------------------------------
def test_fgsm_and_pgd_succeed_as_often_as_foolbox(lenet, some, goldens):
    p, labels = some
    for k, epsilon in enumerate(EPSILONS):
        made = {"fgsm": fgsm(lenet, p, labels, epsilon)}
        settings = dict(steps=STEPS, relative_step=RELATIVE_STEP)
        if k in (0, 1, 2):
            made["pgd"] = pgd(lenet, p, labels, epsilon, random_start=False, **settings)
        if k == 1:
            made["pgd_random"] = pgd(lenet, p, labels, epsilon, **settings)
        for name, pixels in made.items():
            assert abs(error(lenet, pixels, labels) - goldens[f"attacks/{name}"][k]) <= 0.02, (name, epsilon)
            assert np.abs(pixels - p).max() <= epsilon + 1e-6 and pixels.min() >= 0 and pixels.max() <= 1


def test_deepfool_finds_the_same_pictures_as_foolbox(lenet, some, goldens):
    p, labels = some[0][:100], some[1][:100]
    right = probabilities(lenet, p).argmax(axis=1) == labels          # foolbox leaves the others as they are
    changed = deepfool(lenet, p)
    assert error(lenet, changed[right], labels[right]) == goldens["attacks/deepfool"] == 1
    ours, theirs = distortion(changed, p)[right], goldens["attacks/deepfool_distortion"][:100][right]
    assert np.abs(ours / theirs - 1).max() < 0.1 and abs(np.median(ours) / np.median(theirs) - 1) < 0.01


# --- each attack ----------------------------------------------------------------------------------------------------
def test_lbfgs_reaches_the_class_and_the_line_search_brackets_c(lenet, some):
    p, label = some[0][:1], int(some[1][0])
    target = (label + 3) % 10
    states = list(take(6, lbfgs_attack_steps(lenet, p, target)))
    assert states[0].distortion == 0 and not states[0].fools and [s.step for s in states] == list(range(7))
    fooling, others = [s.c for s in states[1:] if s.fools], [s.c for s in states[1:] if not s.fools]
    assert fooling and others and max(fooling) < min(others)            # and the last c lies between
    assert max(fooling) <= states[-1].c or min(others) >= states[-1].c
    best = lbfgs_attack(lenet, p, target, searches=6)
    assert best.fools and best.distortion == min(s.distortion for s in states[1:] if s.fools) < 0.1
    never = lbfgs_attack(lenet, p, target, searches=1, confidence=1)
    assert not never.fools and never.step == 1
    said = probabilities(lenet, best.pixels)[0]
    assert said.argmax() == target and said[target] > 0.5 and said[target] == pytest.approx(best.probability)
    np.testing.assert_array_equal(through_png(best.pixels), best.pixels)
    shortest = distortion(deepfool(lenet, p), p)[0]
    assert best.distortion >= 0.9 * shortest                            # to the nearest class is nearer


def test_one_lbfgs_call_makes_an_ostrich_of_a_photograph():
    net = minicnn.load("squeezenet1_1")
    p = pixels_of(net, IMAGES / "coffee.jpg")
    found = lbfgs_attack(net, p, 9, searches=1, inner=15)
    assert found.fools and found.distortion < 0.02 and probabilities(net, p)[0, 9] < 0.01
    assert net.preprocess(found.image, whole=True).data.shape == (1, 3, 224, 224)
    with minicnn.no_grad():
        assert net(net.preprocess(found.image, whole=True)).data.argmax() == 9         # the picture itself, as a user would


def test_pgd_gets_ever_more_and_deepfool_stops(lenet, some):
    p, labels = some[0][:40], some[1][:40]
    states = list(take(10, pgd_steps(lenet, p, labels, 0.15, relative_step=0.2)))
    assert states[0].fooled.mean() < 0.2 < 0.7 < states[-1].fooled.mean()
    np.testing.assert_array_equal(states[3].pixels, pgd(lenet, p, labels, 0.15, steps=3, relative_step=0.2))
    steps = list(deepfool_steps(lenet, p[:10]))
    assert steps[-1].fooled.all() and not steps[0].fooled.any() and 2 <= len(steps) <= 51
    still = steps[-2].fooled
    np.testing.assert_array_equal(steps[-1].pixels[still], steps[-2].pixels[still])    # who is there rests


def test_one_step_of_deepfool_is_exact_for_a_linear_classifier(some):
    net = minicnn.load("softmax_mnist").astype(np.float64)
    p, w = np.clip(some[0][:20].astype(float), 0.3, 0.7), pixel_weights(net)        # nothing is clipped
    first, second = take(1, deepfool_steps(net, p, overshoot=0.02))
    with minicnn.no_grad():
        scores = net(to_input(net, p)).data
    for k in range(20):
        c = scores[k].argmax()
        others = [j for j in range(10) if j != c]
        shortest = min((scores[k, c] - scores[k, j] + 1e-4) / np.linalg.norm(w[j] - w[c]) for j in others)
        assert np.linalg.norm(second.pixels[k] - p[k]) == pytest.approx(1.02 * shortest, rel=1e-6)
    assert second.fooled.all() and not first.fooled.any()


def test_a_universal_perturbation_fools_digits_that_it_has_not_met(some):
    net, xi = minicnn.load("softmax_mnist"), 0.15
    found = universal(net, some[0][:100], xi, rounds=3)
    assert np.abs(found.perturbation).max() <= xi + 1e-6 and found.perturbation.shape == (1, 1, 28, 28)
    noise = np.random.default_rng(0).permuted(found.perturbation, axis=None)
    assert fooling_rate(net, some[0][100:], found.perturbation) > max(0.3, 2 * fooling_rate(net, some[0][100:], noise))
    again = last(take(found.step, universal_steps(net, some[0][:100], xi)))
    np.testing.assert_array_equal(again.perturbation, found.perturbation)


def test_transfer_counts_only_what_both_get_right(some):
    nets = [minicnn.load(name) for name in ("lenet_mnist", "softmax_mnist")]
    p, labels = some[0][:60], some[1][:60]
    rates = transfer_rates(nets, p, labels, lambda net, pixels, labels: pixels)
    np.testing.assert_array_equal(rates, np.zeros((2, 2)))
    rates = transfer_rates(nets, p, labels, lambda net, pixels, labels: fgsm(net, pixels, labels, 0.25))
    right = [probabilities(net, p).argmax(axis=1) == labels for net in nets]
    changed = through_png(fgsm(nets[0], p, labels, 0.25))
    both = right[0] & right[1]
    assert rates[0, 1] == (probabilities(nets[1], changed).argmax(axis=1) != labels)[both].mean() > 0.1
    assert rates[1, 1] > 0.95
    wrong = (probabilities(nets[0], p).argmax(axis=1) + 1) % 10
    assert np.isnan(transfer_rates(nets[:1], p, wrong, lambda net, p, y: p)[0, 0])


# --- pictures from nothing ------------------------------------------------------------------------------------------
def test_fooling_images_by_gradient():
    net = minicnn.load("squeezenet1_1")
    classes = [9, 130, 736]
    states = list(take(60, fooling_steps(net, classes, size=64)))
    assert states[0].confidence.max() < 0.05 and states[-1].confidence.min() > 0.99 and states[-1].wins.all()
    sure = probabilities(net, through_png(states[-1].pixels))[np.arange(3), classes]
    assert sure.min() > 0.98
    reached = states[-1].reached
    assert (np.diff(reached[:, (reached >= 0).all(axis=0)], axis=0) >= 0).all() and (reached[0] >= 0).all()
    for k in range(3):
        first = next(s.step for s in states if s.wins[k])
        assert reached[0, k] == first and states[first].images[k].shape == (64, 64, 3)
    held = fooling_images(net, classes, 60, size=64, decay=0.05)
    away, less = ((s.pixels - space.mean_colour(net)) ** 2 for s in (states[-1], held))
    assert less.sum() < 0.9 * away.sum()
    slow = fooling_images(net, classes, 60, size=64, **PUBLISHED)
    assert slow.confidence.mean() < states[-1].confidence.mean()


def test_a_picture_that_is_sure_enough_rests():
    net = minicnn.load("lenet_mnist")
    states = list(take(80, fooling_steps(net, range(10), goal=0.9)))
    done = next(k for k, s in enumerate(states) if (s.confidence >= 0.9).any())
    which = states[done].confidence >= 0.9
    np.testing.assert_array_equal(states[-1].pixels[which], states[done].pixels[which])


# --- linear ---------------------------------------------------------------------------------------------------------
def test_weights_of_pixels_and_the_exact_gain(some):
    for name in ("softmax_mnist", "softmax_cifar10"):
        net = minicnn.load(name).astype(np.float64)
        w = pixel_weights(net)
        p = np.random.default_rng(0).random((5, *w.shape[1:]))
        with minicnn.no_grad():
            before, after = (net(to_input(net, x)).data for x in (p, pushed(p, w[3:4], 0.25)))
        np.testing.assert_allclose(after[:, 3] - before[:, 3], worst_changes(w, 0.25)[3], rtol=1e-12)
        np.testing.assert_allclose(after - before, np.broadcast_to(0.25 * (w * np.sign(w[3])).sum(axis=(1, 2, 3)), (5, 10)),
                                   rtol=1e-9, atol=1e-12)
        shown = templates(w)
        assert shown.shape == ((10, 28, 28) if name == "softmax_mnist" else (10, 32, 32, 3))
        assert 0 <= shown.min() and shown.max() <= 1
        k, epsilon = nearest_border(before, w)
        signs = np.sign(w[k] - w[before.argmax(axis=1)])
        with minicnn.no_grad():
            at = net(to_input(net, p + epsilon.reshape(-1, 1, 1, 1) * signs)).data
        gap = at[np.arange(5), before.argmax(axis=1)] - at[np.arange(5), k]
        np.testing.assert_allclose(gap, 0, atol=1e-9)


def test_logistic_regression_and_its_worst_loss():
    images, labels = digits(1500)
    which = np.isin(labels, (3, 7))
    p, y = images[which].reshape(-1, 784) / 255, np.where(labels[which] == 7, 1, -1)
    plain, robust = (fit_logistic_regression(p, y, epsilon=epsilon, steps=60) for epsilon in (0.0, 0.1))
    rng = np.random.default_rng(0)
    for model in (plain, robust):
        assert model.loss(p, y, 0.1) == pytest.approx(model.loss(model.worst(p, y, 0.1), y), rel=1e-12)
        for _ in range(5):                      # nothing else within epsilon is worse
            other = p + 0.1 * rng.choice([-1, 1], p.shape)
            assert model.loss(other, y) < model.loss(p, y, 0.1)
    assert plain.loss(p, y) < robust.loss(p, y) < robust.loss(p, y, 0.1) < plain.loss(p, y, 0.1)
    assert (np.sign(robust.scores(p)) == y).mean() > 0.95


def test_the_worst_loss_is_minimised_too():
    """Against the same problem written for scipy's SLSQP, with its constraints."""
    from scipy.optimize import minimize
    rng = np.random.default_rng(1)
    p = rng.standard_normal((60, 3))
    y = np.where(p @ [1, -1, 0.05] + rng.standard_normal(60) > 0, 1, -1)
    found = fit_logistic_regression(p, y, epsilon=0.3)
    expected = minimize(lambda x: np.logaddexp(0, -y * (p @ (x[:3] - x[3:6]) + x[6]) + 0.3 * x[:6].sum()).mean(), np.full(7, 0.1),
                        method="SLSQP", bounds=[(0, None)] * 6 + [(None, None)], options={"ftol": 1e-14, "maxiter": 500})
    assert found.loss(p, y, 0.3) == pytest.approx(expected.fun, rel=1e-6)
    np.testing.assert_allclose(np.append(found.w, found.b), np.append(expected.x[:3] - expected.x[3:6], expected.x[6]), atol=2e-3)


def test_logistic_regression_is_scipys_minimum():
    from scipy.optimize import minimize
    rng = np.random.default_rng(0)
    p = rng.standard_normal((80, 4))
    y = np.where(p @ [1, -2, 0.5, 0] + rng.standard_normal(80) > 0, 1, -1)
    found = fit_logistic_regression(p, y)
    expected = minimize(lambda x: np.logaddexp(0, -y * (p @ x[:-1] + x[-1])).mean(), np.zeros(5), method="BFGS",
                        options={"gtol": 1e-9})
    np.testing.assert_allclose(np.append(found.w, found.b), expected.x, atol=1e-4)


# --- adversarial training -------------------------------------------------------------------------------------------
def test_the_networks_trained_on_fooling_digits_withstand_them(lenet, some):
    p, labels = some
    plain, softmax = error(lenet, fgsm(lenet, p, labels, 0.25), labels), minicnn.load("softmax_mnist")
    assert plain >= 0.75 and error(softmax, fgsm(softmax, p, labels, 0.25), labels) >= 0.99
    for name, by_pgd in (("lenet_adversarial", (0.8, 1.0)), ("lenet_robust", (0.0, 0.5))):
        net = minicnn.load(name)
        assert error(net, fgsm(net, p, labels, 0.25), labels) < plain / 2 and error(net, p, labels) < 0.05
        assert by_pgd[0] <= error(net, pgd(net, p[:100], labels[:100], 0.25, steps=40), labels[:100]) <= by_pgd[1]


@pytest.mark.parametrize("rng", [None, 0])
def test_an_adversarial_step_goes_down_its_own_loss(rng, some):
    net = minicnn.build("lenet", rng=0)
    optimizer = SGD(net.train(0).parameters(), lr=0.01, momentum=0.9)
    step = AdversarialStep(0.1, rng=None if rng is None else np.random.default_rng(rng))
    x, losses = some[0][:64] * np.float32(255 / 256), []
    for _ in range(25):
        loss, _ = step(net, optimizer, x, some[1][:64])
        losses.append(loss)
    assert losses[-1] < 0.6 * losses[0]
    assert all(layer.training for layer, _ in net.layers.values())


def test_the_loss_of_an_adversarial_step_is_the_formula(some):
    x, labels = some[0][:20], some[1][:20]
    net = minicnn.build("softmax_mnist", rng=0)
    optimizer = SGD(net.train(0).parameters(), lr=1e-12)
    loss, _ = AdversarialStep(0.1, alpha=0.3)(net, optimizer, x, labels)
    gradients = {name: p.grad for name, p in net.parameters().items()}
    net.eval()
    clean = space.loss_gradient(net, x, labels)[0].mean()
    worst = space.loss_gradient(net, fgsm(net, x, labels, 0.1), labels)[0].mean()
    assert loss == pytest.approx(0.3 * clean + 0.7 * worst, rel=1e-5)
    changed = fgsm(net, x, labels, 0.1)
    for p in net.train(0).parameters().values():
        p.grad = None
    for pixels, share in ((x, 0.3), (changed, 0.7)):
        (share * minicnn.ops.cross_entropy(net(pixels), labels)).backward()
    for name, p in net.parameters().items():
        np.testing.assert_allclose(gradients[name], p.grad, rtol=1e-4, atol=1e-6)


# --- wrong input ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("work, says", [
    (lambda net, p, y: fgsm(net, p, y, -0.1), "epsilon is -0.1"),
    (lambda net, p, y: fgsm(net, 255 * p, y), "run from 0 to 255, expected 0 to 1"),
    (lambda net, p, y: fgsm(net, p[:, :, 0], y), r"shape \(4, 28\)|shape \(4, 1, 28\)"),
    (lambda net, p, y: fgsm(net, p, y[:2]), "no classes for 4 pictures"),
    (lambda net, p, y: fgsm(net, p, y + 9), "no classes"),
    (lambda net, p, y: fgsm(net, np.repeat(p, 3, axis=1), y), r"expected \(N, 1, H, W\)"),
    (lambda net, p, y: fgsm(net, p * np.nan, y), "NaN"),
    (lambda net, p, y: fgsm("lenet", p, y), "net is a str"),
    (lambda net, p, y: next(pgd_steps(net, p, y, 0.1, relative_step=0)), "relative_step is 0"),
    (lambda net, p, y: pgd(net, p, y, steps=-1), "count is -1"),
    (lambda net, p, y: lbfgs_attack(net, p, 3), "there are 4 pictures, expected one"),
    (lambda net, p, y: lbfgs_attack(net, p[:1], 10), "no classes"),
    (lambda net, p, y: lbfgs_attack(net, p[:1], 3, c=0), "c is 0"),
    (lambda net, p, y: next(deepfool_steps(net, p, candidates=1)), "candidates is 1"),
    (lambda net, p, y: next(universal_steps(net, p, 2)), "xi is 2"),
    (lambda net, p, y: universal(net, p, delta=2), "delta is 2"),
    (lambda net, p, y: transfer_rates([], p, y, fgsm), "there are no networks"),
    (lambda net, p, y: transfer_rates([net], p, y[:2], fgsm), "no classes for 4 pictures"),
    (lambda net, p, y: transfer_rates([net], p, y, lambda net, p, y: p[:2]), "expected as many"),
    (lambda net, p, y: fgsm(net, p, None), "labels None are no classes"),
    (lambda net, p, y: through_png(np.full((1, 1, 2, 2), 255)), "divide 8-bit pixels by 255"),
    (lambda net, p, y: through_png(p[:0]), "expected .N, 1 or 3, H, W"),
    *[(lambda net, p, y, work=work, name=name: work(minicnn.load(name), np.zeros((1, 3, 32, 32))), "a network that gives scores")
      for name in ("starry_night", "generator_cifar10")
      for work in (lambda net, p: fgsm(net, p, [0]), lambda net, p: fooling_images(net, 0, 1), lambda net, p: deepfool(net, p),
                   lambda net, p: lbfgs_attack(net, p, 0))],
    (lambda net, p, y: probabilities(minicnn.load("starry_night"), np.zeros((1, 3, 32, 32))), "gives maps"),
    (lambda net, p, y: AdversarialStep(rng=3), "rng is 3"),
    (lambda net, p, y: minicnn.build("softmax_mnist", head=False), "nothing but"),
    (lambda net, p, y: next(fooling_steps(net, [10])), "classes is .*from 0 to 9"),
    (lambda net, p, y: next(fooling_steps(net, [])), "classes is"),
    (lambda net, p, y: next(fooling_steps(net, 3, early=0)), "early is 0"),
    (lambda net, p, y: pixel_weights(net), "is no linear classifier"),
    (lambda net, p, y: fit_logistic_regression(p[:, 0, 0], y), "-1 or 1"),
    (lambda net, p, y: AdversarialStep(2), "epsilon is 2"),
    (lambda net, p, y: pixels_of(net), "there are no pictures"),
    (lambda net, p, y: space.as_pictures(p[0]), "expected .N, 1 or 3, H, W"),
])
def test_wrong_input_gets_a_sentence(work, says, lenet, some):
    with pytest.raises((SettingError, ShapeError, UnknownNameError), match=says):
        work(lenet, some[0][:4], some[1][:4])


def test_inputs_are_left_alone(lenet, some):
    p, labels = some[0][:5].copy(), some[1][:5].copy()
    for attack in (lambda: fgsm(lenet, p, labels), lambda: pgd(lenet, p, labels, 0.1, steps=2),
                   lambda: deepfool(lenet, p, steps=2), lambda: lbfgs_attack(lenet, p[:1], 3, searches=1),
                   lambda: universal(lenet, p, rounds=1)):
        attack()
        np.testing.assert_array_equal(p, some[0][:5])
        np.testing.assert_array_equal(labels, some[1][:5])
