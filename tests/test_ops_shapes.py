"""What the rows of op_cases.py cannot say of the ops that move, add and resize numbers: identities, dtypes, errors."""
import numpy as np
import pytest

import minicnn
from minicnn import Tensor, ops
from minicnn.errors import DtypeError, MinicnnError

every_backend = pytest.mark.parametrize("backend", ["ref", "cpu"])


def random(*shape, dtype=np.float32):
    return np.random.RandomState(0).standard_normal(shape).astype(dtype)


# --- numbers, arrays and Tensors mixed --------------------------------------------------------------------------------
MIXED = {
    "number on the right": (lambda x: x + 2, lambda x: x + 2),
    "number on the left": (lambda x: 2 - x, lambda x: 2 - x),
    "1 / x": (lambda x: 1 / (x + 10.0), lambda x: 1 / (x + 10)),
    "NumPy number": (lambda x: np.float64(3) * x, lambda x: 3 * x),
    "array on the left": (lambda x: np.array([[1], [2]], x.dtype) - x, lambda x: np.array([[1], [2]]) - x),
    "whole numbers": (lambda x: x * np.array([1, 2, 3]), lambda x: x * np.array([1, 2, 3])),
    "truth values": (lambda x: x * np.array([True, False, True]), lambda x: x * np.array([1, 0, 1])),
    "power": (lambda x: x ** 2, lambda x: x ** 2),
    "minus": (lambda x: -x, lambda x: -x),
    "maximum with 0": (lambda x: ops.maximum(x, 0), lambda x: np.maximum(x, 0)),
    "methods": (lambda x: (x.reshape(3, -1).permute(1, 0) @ x.reshape(3, 2)).mean(dim=0, keepdim=True),
                lambda x: (x.reshape(3, 2).T @ x.reshape(3, 2)).mean(0, keepdims=True)),
    "index": (lambda x: x[1, ::2], lambda x: x[1, ::2]),
    "sum": (lambda x: x.sum(), lambda x: x.sum()),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MIXED)
def test_operands_of_every_kind_keep_the_dtype(name, dtype):
    ours, numpys = MIXED[name]
    x = Tensor(random(2, 3, dtype=dtype), requires_grad=True)
    out = ours(x)
    out.backward(np.ones(out.shape))
    assert out.dtype == dtype and x.grad.dtype == dtype and x.grad.shape == (2, 3)
    np.testing.assert_allclose(out.data, numpys(x.data), rtol=1e-5)


def test_two_dtypes_do_not_mix():
    with pytest.raises(DtypeError, match="float64"):
        ops.add(Tensor(random(2)), random(2, dtype=np.float64))


def test_a_tensor_used_twice_gets_both_gradients():
    x = Tensor(random(3), requires_grad=True)
    (x * x + x).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * x.data + 1, rtol=1e-6)


# --- indices, dtypes, extremes ----------------------------------------------------------------------------------------
@every_backend
def test_repeated_indices_accumulate(backend):
    x = Tensor(random(4), requires_grad=True)
    with minicnn.use(backend):
        x[[1, 1, 3, 1]].backward([1, 2, 3, 4])
    assert x.grad.tolist() == [0, 7, 0, 3]


def test_indexing_and_reshaping_do_not_give_a_way_to_the_original():
    x = Tensor(random(2, 3))
    part = ops.getitem(x, 0)
    part.data[:] = 7
    assert not (x.data == 7).any()
    index = np.array([0, 1])
    x.requires_grad = True
    out = x[index]
    index[:] = 0                        # the caller's array may change before the backward pass
    out.backward(np.ones((2, 3)))
    assert (x.grad == 1).all()


@every_backend
def test_sigmoid_of_large_numbers_is_silent(backend):
    with minicnn.use(backend), np.errstate(all="raise", under="ignore"):
        out = ops.sigmoid(np.float32([-3e38, -200, 0, 200, 3e38])).data
    assert out.tolist() == [0, 0, 0.5, 1, 1]


@every_backend
def test_nan_is_not_swallowed(backend):
    x = np.float32([1, np.nan, 3])
    with minicnn.use(backend):
        for op in (ops.leaky_relu, ops.sigmoid, ops.tanh, ops.exp, ops.log, ops.sqrt, ops.abs,
                   lambda x: ops.clip(x, 0, 1), lambda x: ops.maximum(x, 2)):
            assert np.isnan(op(x).data).tolist() == [False, True, False]
        for op in (ops.sum, ops.mean, ops.max):
            assert np.isnan(op(x).item())


def test_poles_are_infinities_without_a_warning():
    with np.errstate(all="raise"):
        assert ops.log(0.0).item() == -np.inf
        assert ops.div(1, 0).item() == np.inf
        assert ops.pow(0.0, -1).item() == np.inf
        x = Tensor([0.0], requires_grad=True)
        ops.sqrt(x).backward([1])
    assert x.grad.tolist() == [np.inf]


def test_pow_0_has_gradient_0_even_at_0():
    x = Tensor([0.0, 2.0], requires_grad=True)
    out = x ** 0
    out.backward([1, 1])
    assert out.data.tolist() == [1, 1] and x.grad.tolist() == [0, 0]


# --- pooling and its way back -----------------------------------------------------------------------------------------
@every_backend
@pytest.mark.parametrize("size, settings", [((6, 8), dict(kernel_size=2)), ((7, 9), dict(kernel_size=3)),
                                            ((7, 7), dict(kernel_size=3, stride=2)),
                                            ((6, 6), dict(kernel_size=3, stride=3, padding=1))])
def test_max_unpool2d_puts_the_maxima_back(size, settings, backend):
    """The slide "Deconv net": only the locations that activated the pooling come back, at their places."""
    x = np.abs(random(2, 3, *size))
    with minicnn.use(backend):
        pooled, switches = ops.max_pool2d(x, return_indices=True, **settings)
        back = ops.max_unpool2d(pooled, switches, output_size=size, **settings).data
    flat_x, flat_back = x.reshape(6, -1), back.reshape(6, -1)
    for plane, at in enumerate(switches.reshape(6, -1)):
        places, times = np.unique(at, return_counts=True)
        np.testing.assert_allclose(flat_back[plane, places], times * flat_x[plane, places], rtol=1e-6)   # overlaps add
        assert np.count_nonzero(flat_back[plane]) == len(places)


def test_max_unpool2d_is_the_adjoint_of_max_pool2d():
    x, y = random(1, 2, 7, 7, dtype=np.float64), random(1, 2, 3, 3, dtype=np.float64)
    tensor = Tensor(x, requires_grad=True)
    pooled, switches = ops.max_pool2d(tensor, 3, 2, return_indices=True)
    pooled.backward(y)
    np.testing.assert_array_equal(tensor.grad, ops.max_unpool2d(y, switches, 3, 2).data)


@every_backend
def test_conv_transpose2d_is_the_adjoint_of_conv2d(backend):
    """<conv2d(u, w), x> = <u, conv_transpose2d(x, w)>: "filter maps to the transpose of the filter"."""
    settings = dict(stride=2, padding=1, dilation=(1, 2), groups=2)
    u, w = random(2, 4, 8, 9, dtype=np.float64), random(6, 2, 3, 3, dtype=np.float64)
    with minicnn.use(backend):
        down = ops.conv2d(u, w, **settings).data
        x = random(*down.shape, dtype=np.float64)
        up = ops.conv_transpose2d(x, w, output_padding=(1, 0), **settings).data
    assert up.shape == u.shape
    np.testing.assert_allclose(np.sum(down * x), np.sum(u * up), rtol=1e-12)


def test_average_pools_agree_where_they_mean_the_same():
    x = random(2, 3, 6, 8, dtype=np.float64)
    np.testing.assert_allclose(ops.global_avg_pool2d(x).data, ops.adaptive_avg_pool2d(x, 1).data[:, :, 0, 0], atol=1e-15)
    np.testing.assert_allclose(ops.adaptive_avg_pool2d(x, (3, 2)).data, ops.avg_pool2d(x, (2, 4)).data, atol=1e-15)
    ones = ops.avg_pool2d(np.ones((1, 1, 5, 5)), 3, 2, 1, ceil_mode=True, count_include_pad=False)
    np.testing.assert_allclose(ones.data, 1, atol=1e-15)


def test_the_mean_of_a_constant_plane_is_the_constant():
    plane = np.full((1, 1, 1000, 1000), 0.1, np.float32)
    assert abs(ops.global_avg_pool2d(plane).item() - np.float32(0.1)) < 1e-8       # a float32 sum would miss by 1e-3


@every_backend
@pytest.mark.parametrize("settings", [dict(scale_factor=1), dict(size=(4, 5)),
                                      dict(scale_factor=1.0, mode="bilinear"),
                                      dict(size=(4, 5), mode="bilinear", align_corners=True)])
def test_resizing_to_the_same_size_changes_nothing(settings, backend):
    x = random(1, 2, 4, 5)
    with minicnn.use(backend):
        np.testing.assert_array_equal(ops.interpolate(x, **settings).data, x)


def test_pad_is_numpys_pad():
    x = random(2, 2, 4, 5)
    for ours, numpys in (("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge")):
        expected = np.pad(x, ((0, 0), (0, 0), (3, 1), (2, 4)), mode=numpys)
        np.testing.assert_array_equal(ops.pad(x, (2, 4, 3, 1), mode=ours).data, expected)


@every_backend
def test_no_images_are_no_trouble(backend):
    x = np.zeros((0, 2, 4, 4), np.float32)
    with minicnn.use(backend):
        for op in (lambda x: ops.avg_pool2d(x, 2), lambda x: ops.adaptive_avg_pool2d(x, 2), ops.global_avg_pool2d,
                   ops.flatten, lambda x: ops.pad(x, 1, "reflect"), lambda x: ops.interpolate(x, 3, mode="bilinear"),
                   lambda x: ops.concat([x, x]), lambda x: ops.conv_transpose2d(x, np.ones((2, 3, 2, 2), np.float32)),
                   lambda x: ops.matmul(x.reshape(0, 2, 16), np.ones((16, 3), np.float32))):
            tensor = Tensor(x, requires_grad=True)
            out = op(tensor)
            out.backward(np.zeros(out.shape))
            assert out.shape[0] == 0 and tensor.grad.shape == x.shape


# --- errors -----------------------------------------------------------------------------------------------------------
IMAGE, MATRIX = np.zeros((2, 3, 4, 5), np.float32), np.zeros((2, 3), np.float32)
ERRORS = [
    (lambda: ops.linear(MATRIX, np.zeros((4, 5))), "x has shape (2, 3), w expects a last axis of 5"),
    (lambda: ops.linear(IMAGE, np.zeros((4, 60))), "flatten the picture first"),
    (lambda: ops.linear(MATRIX, np.zeros(3)), "expected 2 axes (M, D)"),
    (lambda: ops.linear(MATRIX, np.zeros((4, 3)), np.zeros(3)), "b has shape (3,), expected (4,)"),
    (lambda: ops.concat([]), "no tensors"),
    (lambda: ops.concat([IMAGE, MATRIX]), "(2, 3, 4, 5), (2, 3) may differ in axis 1 only"),
    (lambda: ops.concat([IMAGE, np.zeros((2, 3, 5, 5))]), "may differ in axis 1 only"),
    (lambda: ops.concat([MATRIX], dim=2), "dim 2 does not exist"),
    (lambda: ops.reshape(MATRIX, (4, 2)), "6 numbers of shape (2, 3) do not fit into shape (4, 2)"),
    (lambda: ops.reshape(MATRIX, (4, -1)), "do not fit into shape (4, -1)"),
    (lambda: ops.reshape(MATRIX, (-1, -1)), "do not fit"),
    (lambda: ops.reshape(MATRIX, (-2, -3)), "do not fit"),
    (lambda: ops.reshape(np.zeros((0, 2)), (0, -1)), "do not fit"),
    (lambda: ops.flatten(MATRIX, 2), "start_dim 2 does not exist"),
    (lambda: ops.permute(IMAGE, (0, 1, 2)), "must name each of the 4 axes"),
    (lambda: ops.permute(MATRIX, (0, 0)), "must name each of the 2 axes"),
    (lambda: ops.getitem(MATRIX, 2), "index 2 does not fit a tensor of shape (2, 3)"),
    (lambda: ops.getitem(MATRIX, (0, 0, 0)), "does not fit"),
    (lambda: ops.getitem(MATRIX, [0.5]), "whole numbers or truth values"),
    (lambda: ops.getitem(MATRIX, Tensor([0])), "whole numbers or truth values"),
    (lambda: ops.add(MATRIX, np.zeros(2)), "add: shapes (2, 3) and (2,) do not broadcast"),
    (lambda: ops.maximum(IMAGE, MATRIX), "maximum: shapes (2, 3, 4, 5) and (2, 3)"),
    (lambda: ops.pow(MATRIX, Tensor(2.0)), "exponent is a Tensor, expected a number"),
    (lambda: ops.pow(MATRIX, "2"), "exponent is str"),
    (lambda: ops.matmul(MATRIX, MATRIX), "has 3 columns, b (2, 3) has 2 rows"),
    (lambda: ops.matmul(MATRIX, np.zeros(3)), "expected matrices"),
    (lambda: ops.matmul(np.zeros((2, 3, 4)), np.zeros((3, 4, 5))), "a batch of 2, b (3, 4, 5) a batch of 3"),
    (lambda: ops.clip(MATRIX), "both None"),
    (lambda: ops.sum(MATRIX, dim=2), "sum: dim 2 does not name"),
    (lambda: ops.mean(MATRIX, dim=(1, -1)), "mean: dim (1, -1) does not name different axes"),
    (lambda: ops.max(np.zeros((2, 0)), dim=1), "no max of no numbers"),
    (lambda: ops.mean(np.zeros((0, 2))), "no mean of no numbers"),
    (lambda: ops.avg_pool2d(MATRIX, 2), "avg_pool2d: x has shape (2, 3), expected 4 axes"),
    (lambda: ops.avg_pool2d(IMAGE, 3, padding=2), "padding (2, 2) is more than half of kernel_size (3, 3)"),
    (lambda: ops.avg_pool2d(IMAGE, 7), "a window of 7x7"),
    (lambda: ops.avg_pool2d(IMAGE, 0), "kernel_size is 0"),
    (lambda: ops.adaptive_avg_pool2d(IMAGE, 0), "output_size is 0"),
    (lambda: ops.adaptive_avg_pool2d(IMAGE[:, :, :0], 1), "not empty"),
    (lambda: ops.global_avg_pool2d(MATRIX), "expected 4 axes"),
    (lambda: ops.max_pool2d(IMAGE[:, :, :0], 2, 1, 1), "planes that are not empty"),
    (lambda: ops.global_avg_pool2d(IMAGE[..., :0]), "not empty"),
    (lambda: ops.max_unpool2d(IMAGE, IMAGE.astype(int) + 80, 2), "indices run from 80 to 80, expected 0 to 79"),
    (lambda: ops.max_unpool2d(IMAGE, IMAGE.astype(int) - 1, 2), "indices run from -1"),
    (lambda: ops.max_unpool2d(IMAGE, IMAGE, 2), "indices are float32"),
    (lambda: ops.max_unpool2d(IMAGE, np.zeros((2, 3), int), 2), "expected whole numbers of shape (2, 3, 4, 5)"),
    (lambda: ops.max_unpool2d(IMAGE, IMAGE.astype(int), 2, output_size=(12, 10)), "output_size (12, 10) is not within"),
    (lambda: ops.conv_transpose2d(IMAGE, np.zeros((4, 2, 3, 3))), "x has 3 channels, w expects 4"),
    (lambda: ops.conv_transpose2d(IMAGE, np.zeros((3, 2, 3, 3)), groups=2), "groups=2 must divide the 3 channels"),
    (lambda: ops.conv_transpose2d(IMAGE, np.zeros((3, 2, 3, 3)), np.zeros(3)), "b has shape (3,), expected (2,)"),
    (lambda: ops.conv_transpose2d(IMAGE, np.zeros((3, 2, 3, 3)), output_padding=1), "must be smaller than stride"),
    (lambda: ops.conv_transpose2d(IMAGE, np.zeros((3, 2, 3, 3)), padding=3), "padding (3, 3) leaves nothing"),
    (lambda: ops.conv_transpose2d(IMAGE, MATRIX), "w has shape (2, 3), expected 4 axes"),
    (lambda: ops.pad(IMAGE, -1), "expected no negative number"),
    (lambda: ops.pad(IMAGE, (1, 2)), "an int or four (left, right, top, bottom)"),
    (lambda: ops.pad(IMAGE, (0, 0, 4, 0), mode="reflect"), "reflect needs a pad smaller than the plane"),
    (lambda: ops.pad(IMAGE, 1, mode="circular"), "mode 'circular' is unknown"),
    (lambda: ops.pad(IMAGE[:, :, :0], 1, mode="replicate"), "no border to replicate"),
    (lambda: ops.interpolate(IMAGE), "neither given"),
    (lambda: ops.interpolate(IMAGE, 3, 2), "both given"),
    (lambda: ops.interpolate(IMAGE, scale_factor=0.1), "leave at least 1x1"),
    (lambda: ops.interpolate(IMAGE, scale_factor=(2, 2, 2)), "expected a number or two"),
    (lambda: ops.interpolate(IMAGE, scale_factor=-1), "expected a number or two"),
    (lambda: ops.interpolate(IMAGE, size=0), "size is 0"),
    (lambda: ops.interpolate(IMAGE, 3, mode="bicubic"), "mode='bicubic'"),
    (lambda: ops.interpolate(IMAGE, 3, align_corners=True), "has no align_corners"),
    (lambda: ops.interpolate(IMAGE[:, :, :0], 3), "not empty"),
]


@pytest.mark.parametrize("call, fragment", ERRORS, ids=[fragment for _, fragment in ERRORS])
def test_errors_say_what_was_given_and_what_was_expected(call, fragment):
    with pytest.raises(MinicnnError) as error:
        call()
    assert fragment in str(error.value)
