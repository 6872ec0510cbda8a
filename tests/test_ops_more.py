"""What the rows of op_cases.py cannot say: identities between ops, statistics, random masks, extreme scores, errors."""
import numpy as np
import pytest

import minicnn
from minicnn import Tensor, ops
from minicnn.errors import DtypeError, MinicnnError, ShapeError

every_backend = pytest.mark.parametrize("backend", ["ref", "cpu"])


def random(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape)


def both_passes(op, x):
    """Return op(x) and dL/dx for a fixed random cotangent."""
    x = Tensor(x, requires_grad=True)
    out = op(x)
    out.backward(random(*out.shape, seed=1).astype(out.dtype))
    return out.data, x.grad


# --- norms ------------------------------------------------------------------------------------------------------------
X = random(2, 6, 4, 5)
SAME_NORMS = {
    "GN with one group = LN": (X, lambda x: ops.group_norm(x, 1), lambda x: ops.layer_norm(x, (6, 4, 5))),
    "GN with a group per channel = IN": (X, lambda x: ops.group_norm(x, 6), ops.instance_norm),
    "BN in training on one image = IN": (X[:1], lambda x: ops.batch_norm(x, None, None, training=True), ops.instance_norm),
    "LN over the plane = IN": (X, lambda x: ops.layer_norm(x, (4, 5)), ops.instance_norm),
}


@every_backend
@pytest.mark.parametrize("name", SAME_NORMS)
def test_norms_that_are_the_same(name, backend):
    x, left, right = SAME_NORMS[name]
    with minicnn.use(backend):
        for a, b in zip(both_passes(left, x), both_passes(right, x)):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_norms_that_are_not_the_same():
    outs = [ops.layer_norm(X, (6, 4, 5)), ops.group_norm(X, 2), ops.instance_norm(X),
            ops.batch_norm(X, None, None, training=True)]
    for i, a in enumerate(outs):
        for b in outs[:i]:
            assert np.abs(a.data - b.data).max() > 0.01


def test_every_set_has_mean_0_and_variance_1():
    for out, axes in ((ops.batch_norm(X, None, None, training=True), (0, 2, 3)), (ops.instance_norm(X), (2, 3)),
                      (ops.layer_norm(X, (6, 4, 5)), (1, 2, 3))):
        np.testing.assert_allclose(out.data.mean(axis=axes), 0, atol=1e-12)
        np.testing.assert_allclose(out.data.var(axis=axes), 1, atol=1e-4)          # eps takes a little


def test_instance_norm_does_not_see_contrast_and_brightness_but_batch_norm_does():
    contrast, brightness = np.array([0.5, 4.0]).reshape(2, 1, 1, 1), np.array([3.0, -2.0]).reshape(2, 1, 1, 1)
    other = contrast * X + brightness

    def change(norm):
        return np.abs(norm(X).data - norm(other).data).max()

    assert change(lambda x: ops.instance_norm(x, eps=1e-12)) < 1e-10
    assert change(lambda x: ops.batch_norm(x, None, None, training=True, eps=1e-12)) > 0.1


def test_a_norm_passes_back_nothing_that_would_shift_or_stretch_its_set():
    _, dx = both_passes(lambda x: ops.instance_norm(x, eps=0.0), X)
    np.testing.assert_allclose(dx.sum(axis=(2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose((dx * X).sum(axis=(2, 3)), 0, atol=1e-12)


def test_batch_norm_returns_new_statistics_and_leaves_the_old_ones_untouched():
    mean, var = np.linspace(-1, 1, 6, dtype=np.float32), np.linspace(1, 2, 6, dtype=np.float32)
    kept = mean.copy(), var.copy()
    x = X.astype(np.float32)
    _, new_mean, new_var = ops.batch_norm(x, mean, var, training=True, momentum=0.25, return_stats=True)
    assert np.array_equal(mean, kept[0]) and np.array_equal(var, kept[1])
    assert new_mean.dtype == new_var.dtype == np.float32
    np.testing.assert_allclose(new_mean, 0.75 * mean + 0.25 * X.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(new_var, 0.75 * var + 0.25 * X.var(axis=(0, 2, 3), ddof=1), rtol=1e-5)


def test_batch_norm_in_evaluation_returns_the_statistics_as_they_are():
    mean, var = np.zeros(6), np.ones(6)
    out, new_mean, new_var = ops.batch_norm(X, mean, var, return_stats=True)
    np.testing.assert_allclose(out.data, X / np.sqrt(1 + 1e-5), rtol=1e-12)
    assert new_mean is mean and new_var is var


def test_batch_norm_without_running_statistics_returns_none():
    _, new_mean, new_var = ops.batch_norm(X, None, None, training=True, return_stats=True)
    assert new_mean is None and new_var is None


@every_backend
def test_a_norm_keeps_its_digits_far_from_0_in_float32(backend):
    x = (10000 + random(1, 2, 32, 32)).astype(np.float32)
    with minicnn.use(backend):
        out = ops.instance_norm(x).data
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axis=(2, 3), keepdims=True)) / exact.std(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(out, exact, atol=1e-4)


# --- local response normalisation -------------------------------------------------------------------------------------
@every_backend
def test_local_response_norm_is_passed_through_by_a_deconvnet_only(backend):
    x, seed = Tensor(random(1, 5, 2, 2), requires_grad=True), random(1, 5, 2, 2, seed=1)
    grads = {}
    with minicnn.use(backend):
        out = ops.local_response_norm(x, 3, alpha=2.0)
        for rule in ("backprop", "deconvnet", "guided"):
            x.grad = None
            with minicnn.relu_rule(rule):
                out.backward(seed)
            grads[rule] = x.grad
    assert np.array_equal(grads["deconvnet"], seed)
    assert np.array_equal(grads["guided"], grads["backprop"])
    assert np.abs(grads["backprop"] - seed).max() > 0.1


# --- softmax and losses -----------------------------------------------------------------------------------------------
@every_backend
def test_scores_of_minus_infinity(backend):
    x = np.array([[0.0, -np.inf, 0.0], [-np.inf, -np.inf, 7.0]])
    with minicnn.use(backend):
        p, dx = both_passes(lambda x: ops.softmax(x, 1), x)
        log_p = ops.log_softmax(x, 1).data
    assert np.array_equal(p, [[0.5, 0, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(log_p, [[-np.log(2), -np.inf, -np.log(2)], [-np.inf, -np.inf, 0]])
    assert np.array_equal(dx[np.isinf(x)], [0, 0, 0])


@every_backend
def test_a_line_without_any_finite_score_is_nan_as_in_torch_and_the_others_are_not(backend):
    x = np.array([[-np.inf, -np.inf], [0.0, 0.0], [np.inf, 0.0]])
    with minicnn.use(backend):
        for out in (ops.softmax(x, 1).data, np.exp(ops.log_softmax(x, 1).data)):
            assert np.isnan(out[0]).all() and np.isnan(out[2, 0])
            np.testing.assert_allclose(out[1], 0.5)


@every_backend
def test_log_softmax_keeps_what_softmax_underflows(backend):
    x = np.array([[0.0, -2000.0]])
    with minicnn.use(backend):
        assert ops.softmax(x, 1).data[0, 1] == 0
        assert ops.log_softmax(x, 1).data[0, 1] == -2000


@every_backend
def test_cross_entropy_is_the_negative_log_softmax_of_the_right_class(backend):
    scores, target = random(5, 4), np.array([0, 3, 1, 1, 2])
    with minicnn.use(backend):
        losses = ops.cross_entropy(scores, target, reduction="none").data
        log_p = ops.log_softmax(scores, 1).data
        mean, total = ops.cross_entropy(scores, target), ops.cross_entropy(scores, target, reduction="sum")
    np.testing.assert_allclose(losses, -log_p[np.arange(5), target], rtol=1e-12)
    np.testing.assert_allclose([mean.item(), total.item()], [losses.mean(), losses.sum()], rtol=1e-12)
    assert mean.shape == total.shape == ()


# --- dropout ----------------------------------------------------------------------------------------------------------
@every_backend
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean_scales_what_it_keeps_and_masks_the_gradient(p, backend):
    x = Tensor(np.ones((100, 200), np.float32), requires_grad=True)
    with minicnn.use(backend):
        out = ops.dropout(x, p, rng=0)
        out.backward(np.ones_like(x.data))
    kept = out.data != 0
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.data[kept], 1 / (1 - p), rtol=1e-6)
    assert abs(kept.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / x.size)       # 4 standard deviations
    assert abs(out.data.mean() - 1) < 4 * np.sqrt(p / (1 - p) / x.size)
    assert np.array_equal(x.grad, out.data)


def test_dropout_draws_the_same_mask_from_the_same_state_and_another_from_the_next():
    x = np.ones((10, 10))
    rng = np.random.default_rng(5)
    first, second = ops.dropout(x, rng=rng).data, ops.dropout(x, rng=rng).data
    assert np.array_equal(first, ops.dropout(x, rng=5).data)
    assert not np.array_equal(first, second)
    with minicnn.use("ref"):
        assert np.array_equal(first, ops.dropout(x, rng=5).data)
    assert np.array_equal(first, ops.dropout(x.astype(np.float32), rng=5).data)


def test_dropout_does_nothing_in_evaluation():
    x = Tensor(random(3, 4), requires_grad=True)
    assert ops.dropout(x, training=False) is x
    assert ops.dropout(x, p=0.0) is x
    assert isinstance(ops.dropout(x.data, training=False), Tensor)


# --- style and smoothness ---------------------------------------------------------------------------------------------
@every_backend
def test_gram_matrix_is_symmetric_positive_and_blind_to_places(backend):
    x = random(1, 5, 4, 4)
    shuffled = x.reshape(1, 5, 16)[:, :, np.random.RandomState(1).permutation(16)].reshape(x.shape)
    with minicnn.use(backend):
        g, h = ops.gram_matrix(x).data, ops.gram_matrix(shuffled).data
    assert np.array_equal(g, g.transpose(0, 2, 1))
    assert np.linalg.eigvalsh(g[0]).min() > 0
    np.testing.assert_allclose(g, h, atol=1e-12)


def test_gram_matrix_is_what_the_deck_prints():
    x = random(1, 3, 4, 5)
    v = x[0].reshape(3, 20).T                                   # (H W, C): the features are columns
    np.testing.assert_allclose(ops.gram_matrix(x).data[0], v.T @ v, atol=1e-12)


@every_backend
@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 6.0])
def test_total_variation_of_a_step_edge_and_of_a_constant(beta, backend):
    x = np.zeros((1, 1, 4, 6))
    x[..., 3:] = 2.0                                            # four rows, each with one difference of 2
    with minicnn.use(backend):
        edge, flat = ops.total_variation(x, beta), both_passes(lambda x: ops.total_variation(x, beta), 0 * x + 7)
    np.testing.assert_allclose(edge.item(), 4 * 2 ** beta, rtol=1e-12)
    assert flat[0] == 0 and np.array_equal(flat[1], 0 * x)


@every_backend
def test_total_variation_is_continuous_where_the_guard_begins(backend):
    def tv(difference):
        return ops.total_variation(np.array([[[[0.0, difference]]]]), beta=1.0).item()

    with minicnn.use(backend):
        edge = np.sqrt(1e-5)
        assert abs(tv(edge * (1 - 1e-9)) - tv(edge * (1 + 1e-9))) < 1e-10
        np.testing.assert_allclose(tv(edge * 2), edge * 2, rtol=1e-12)
        np.testing.assert_allclose(tv(edge / 2), edge / 4, rtol=1e-12)


# --- any axis may be empty or large, and errors say what they want ----------------------------------------------------
@every_backend
def test_no_images_give_no_images(backend):
    with minicnn.use(backend):
        for op in (lambda x: ops.instance_norm(x), lambda x: ops.group_norm(x, 1), lambda x: ops.layer_norm(x, (2, 3, 4)),
                   lambda x: ops.local_response_norm(x, 3), lambda x: ops.softmax(x, 1), lambda x: ops.log_softmax(x, 1),
                   lambda x: ops.dropout(x, rng=0)):
            out, dx = both_passes(op, np.zeros((0, 2, 3, 4)))
            assert out.shape == dx.shape == (0, 2, 3, 4)
        assert ops.gram_matrix(np.zeros((0, 2, 3, 4))).shape == (0, 2, 2)


def bn(*shape, mean=3, var=3, **settings):
    arrays = [None if n is None else np.ones(n) for n in (mean, var)]
    return lambda: ops.batch_norm(np.ones(shape), *arrays, **settings)


P = np.ones((2, 3, 4, 5))
WRONG = [
    (bn(3), ShapeError, "batch_norm: x has shape (3,), expected at least 2 axes (N, C, ...)"),
    (bn(2, 3, 4, 4, var=4), ShapeError, "batch_norm: running_var has shape (4,), expected (3,)"),
    (bn(2, 3, 4, 4, mean=None, var=None), ShapeError, "batch_norm: running_mean and running_var are both needed"),
    (bn(2, 3, 4, 4, mean=None, training=True), ShapeError, "batch_norm: running_mean and running_var are both needed"),
    (bn(1, 3, 1, 1, training=True), ShapeError, "x of shape (1, 3, 1, 1) leaves 1 number over batch and plane"),
    (bn(0, 3, 4, 4, training=True), ShapeError, "x of shape (0, 3, 4, 4) leaves 0 numbers over batch and plane"),
    (bn(2, 3, 4, 4, weight=np.ones(2)), ShapeError, "batch_norm: weight has shape (2,), expected (3,)"),
    (bn(2, 3, 4, 4, weight=np.ones(3, np.float32)), DtypeError, "all inputs need one dtype"),
    (lambda: ops.group_norm(P, 2), ShapeError, "group_norm: num_groups=2 is no whole number that divides the 3 channels of x"),
    (lambda: ops.group_norm(P, 0), ShapeError, "group_norm: num_groups=0 is no whole number"),
    (lambda: ops.group_norm(np.ones((2, 3, 1, 1)), 3), ShapeError, "leaves 1 number over channels of a group and plane"),
    (lambda: ops.group_norm(P, 3, bias=np.ones((3, 1))), ShapeError, "group_norm: bias has shape (3, 1), expected (3,)"),
    (lambda: ops.instance_norm(P[0, 0]), ShapeError, "instance_norm: x has shape (4, 5), expected at least 3 axes"),
    (lambda: ops.instance_norm(P, np.ones(3)), ShapeError, "give weight and bias by name"),
    (lambda: ops.instance_norm(P, use_input_stats=False), ShapeError, "running statistics are not supported"),
    (lambda: ops.instance_norm(P[:, :, :1, :1]), ShapeError, "leaves 1 number over the plane"),
    (lambda: ops.instance_norm(P, weight=np.ones(2)), ShapeError, "instance_norm: weight has shape (2,), expected (3,)"),
    (lambda: ops.instance_norm(P, eps=-1), ShapeError, "instance_norm: eps is -1, expected a number, 0 or more"),
    (lambda: ops.group_norm(P, 3, eps=np.nan), ShapeError, "group_norm: eps is nan"),
    (lambda: ops.layer_norm(P, 5, eps=-2), ShapeError, "layer_norm: eps is -2"),
    (lambda: ops.batch_norm(P, None, None, training=True, eps=-2), ShapeError, "batch_norm: eps is -2"),
    (lambda: ops.batch_norm(P, None, None, training=True, momentum=-5), ShapeError, "momentum is -5, expected a share from 0"),
    (lambda: ops.group_norm(P, None), ShapeError, "num_groups=None is no whole number that divides the 3 channels"),
    (lambda: ops.layer_norm(P, 5, eps="a"), ShapeError, "layer_norm: eps is 'a'"),
    (lambda: ops.batch_norm(P, np.zeros(3), -np.ones(3)), ShapeError, "running_var goes down to -1, expected variances"),
    (lambda: ops.layer_norm(P, (3, 4)), ShapeError, "layer_norm: x has shape (2, 3, 4, 5), expected last axes normalized_"),
    (lambda: ops.layer_norm(P, ()), ShapeError, "normalized_shape=()"),
    (lambda: ops.layer_norm(P, 5, np.ones(4)), ShapeError, "layer_norm: weight has shape (4,), expected (5,)"),
    (lambda: ops.local_response_norm(np.ones((2, 3)), 5), ShapeError, "expected at least 3 axes (N, C, L, ...)"),
    (lambda: ops.local_response_norm(P, 0), ShapeError, "local_response_norm: size is 0, expected a number of channels"),
    (lambda: ops.local_response_norm(P, 2.5), ShapeError, "size is 2.5"),
    (lambda: ops.softmax(P, 4), ShapeError, "softmax: dim 4 does not exist in a tensor of shape (2, 3, 4, 5)"),
    (lambda: ops.softmax(np.ones((2, 0)), 1), ShapeError, "softmax: axis 1 of x of shape (2, 0) is empty"),
    (lambda: ops.log_softmax(P, -5), ShapeError, "log_softmax: dim -5 does not exist"),
    (lambda: ops.cross_entropy(P, [0, 0]), ShapeError, "cross_entropy: scores has shape (2, 3, 4, 5), expected 2 axes (N, C)"),
    (lambda: ops.cross_entropy(P[0, 0], [0, 1, 2]), ShapeError, "target has shape (3,), expected (4,), a class per row"),
    (lambda: ops.cross_entropy(P[0, 0], [0, 1, 2, 5]), ShapeError, "target holds class 5, expected 0 to 4"),
    (lambda: ops.cross_entropy(P[0, 0], [0, 1, -1, 2]), ShapeError, "target holds class -1, expected 0 to 4"),
    (lambda: ops.cross_entropy(P[0, 0], [0.0, 1, 2, 3]), DtypeError, "target is an array of float64, expected whole numbers"),
    (lambda: ops.cross_entropy(P[0, 0], [0, 1, 2, 3], "avg"), MinicnnError, "there is no reduction named 'avg'"),
    (lambda: ops.cross_entropy(P[0, 0, :0], []), ShapeError, "expected at least one example and one class"),
    (lambda: ops.dropout(P, 1.0, rng=0), ShapeError, "dropout: p is 1.0, expected a probability of dropping in [0, 1)"),
    (lambda: ops.dropout(P, -0.1, training=False), ShapeError, "dropout: p is -0.1"),
    (lambda: ops.dropout(P), ShapeError, "dropout: training needs random numbers, give rng"),
    (lambda: ops.gram_matrix(P[0]), ShapeError, "gram_matrix: x has shape (3, 4, 5), expected 4 axes (N, C, H, W)"),
    (lambda: ops.total_variation(P[0]), ShapeError, "total_variation: x has shape (3, 4, 5), expected 4 axes (N, C, H, W)"),
    (lambda: ops.total_variation(P, 0), ShapeError, "total_variation: beta is 0, expected a power above 0"),
]


@pytest.mark.parametrize("call, error, message", WRONG, ids=[message for _, _, message in WRONG])
def test_wrong_arguments_are_refused_with_what_was_expected(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
