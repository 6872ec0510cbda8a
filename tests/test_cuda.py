"""The rung "cuda": on a GPU where there is one, else on Numba's simulator: NUMBA_ENABLE_CUDASIM=1 python -m pytest -m cuda

The simulator runs one thread after the other in Python, so there the rows of op_cases.py that take too long are left out, and
all rows run in float64, where an error of a formula shows. What a GPU adds (real sizes, the networks) runs on one only.
test_without_gpu.py runs this file on the simulator, in a process of its own, as part of the suite.
"""
import copy
import inspect
import math
import pickle
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, device, images, nn, ops, optim
from minicnn.device import DeviceArray, to_device, to_host
from minicnn.embed import forces_cuda, tsne
from minicnn.embed.affinities import sparse_affinities
from minicnn.embed.barnes_hut import LEAF, repulsion_ref
from minicnn.embed.quadtree import QuadTree
from minicnn.embed.tsne import student_ref, tsne_steps
from minicnn.errors import BackendError, DtypeError
from minicnn.loop import last, take
from minicnn.ops import gemm_cuda
from minicnn.visualize.backprop import backproject, class_seed, unit_seed
from minicnn.visualize.class_model import class_model_steps
from minicnn.visualize.grad_cam import grad_cam
from minicnn.visualize.inversion import encode, inversion_steps
from minicnn.visualize.saliency import saliency_map
from op_cases import CASES
from test_nets import input_shape
from test_ops import assert_close, run
from tools.bench import gpu as bench_gpu


def can_run():
    try:
        device.check_gpu()
        return True
    except BackendError:
        return False


pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not can_run(), reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")]
PRODUCTS = ("conv2d", "conv_transpose2d", "matmul", "linear", "gram_matrix")
DEFINITION = "ref" if device.SIMULATED else "cpu"      # which needs no compiling, but is slow where shapes are not tiny
MOST_WORK = 6_000 if device.SIMULATED else math.inf
FLOAT32 = (*PRODUCTS, "instance_norm", "interpolate", "sigmoid", "softmax", "pow")
DTYPES = [np.float64] if device.SIMULATED else [np.float32, np.float64]


def work(case):
    """Return about how many products a row takes, of those ops that are products, else how many numbers it has."""
    arrays = [a for a in case.arrays() if a is not None]
    if case.op not in PRODUCTS or any(a.size == 0 for a in arrays):
        return sum(a.size for a in arrays)
    with minicnn.use(DEFINITION):
        out = case.run(ops, *case.arrays())
    return out.size * arrays[-2 if arrays[-1].ndim == 1 else -1].size // len(arrays[-1])


def assert_as_on_the_cpu(case, dtype):
    arrays = case.arrays(dtype)
    with minicnn.use(DEFINITION):
        expected, expected_grads = run(case, arrays)
    with minicnn.use("cuda"):
        out, grads = run(case, arrays)
    assert out.dtype == dtype
    tolerance = 2e-5 if dtype == np.float32 else 1e-9
    assert_close(out, expected, tolerance, "output")
    for i, (grad, expected_grad) in enumerate(zip(grads, expected_grads)):
        if expected_grad is not None:
            assert grad.dtype == dtype
            assert_close(grad, expected_grad, 2.5 * tolerance, f"gradient of input {i}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [c for c in CASES if work(c) <= MOST_WORK] if can_run() else [], ids=lambda c: c.id)
def test_cuda_agrees_with_the_cpu(case, dtype):
    assert_as_on_the_cpu(case, dtype)


@pytest.mark.parametrize("case", [c for c in CASES if c.op in FLOAT32 and work(c) <= 500] if device.SIMULATED else [],
                         ids=lambda c: c.id)
def test_small_ones_agree_in_float32_as_well(case):
    assert_as_on_the_cpu(case, np.float32)


@pytest.mark.parametrize("which", ["direct", "im2col", "winograd"])
@pytest.mark.parametrize("case", [c for c in CASES if c.op == "conv2d" and (not device.SIMULATED or c.label == "3x3")],
                         ids=lambda c: c.id)
def test_every_algorithm_is_the_same_convolution(case, which, monkeypatch):
    monkeypatch.setenv("MINICNN_CONV", which)
    for dtype in DTYPES:
        assert_as_on_the_cpu(case, dtype)


def test_float32_stays_exact_float32():
    """A product of numbers of 12 bits: exact in float32, off in TF32, which keeps 10 bits of each."""
    numbers = np.arange(2049, 2049 + 12, dtype=np.float32)
    with minicnn.use("cuda"):
        product = ops.matmul(numbers.reshape(4, 3), numbers[:6].reshape(3, 2) * 0 + 1).data
    assert np.array_equal(product[:, 0], numbers.reshape(4, 3).sum(axis=1))


# --- the ladder of the matrix product -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def matrices():
    rng, scale = np.random.RandomState(0), 1 if device.SIMULATED else 40
    return rng.standard_normal((9 * scale, 7 * scale)), rng.standard_normal((7 * scale, 6 * scale + 1))


@pytest.mark.parametrize("kernel", [gemm_cuda.matmul_naive_kernel, gemm_cuda.matmul_tiled_kernel], ids=lambda k: k.__name__)
def test_the_lower_rungs(kernel, matrices):
    a, b = matrices
    c, tile = DeviceArray((len(a), b.shape[1]), a.dtype), gemm_cuda.SIDE
    kernel.launch((-(-b.shape[1] // tile), -(-len(a) // tile)), (tile, tile), to_device(a), to_device(b), c)
    assert_close(to_host(c), a @ b, 1e-13, "product")


@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize("c_turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_highest_rung_takes_matrices_as_they_lie(matrices, a_turned, b_turned, c_turned, dtype):
    (a, b), bias = (m.astype(dtype) for m in matrices), np.arange(len(matrices[0]), dtype=dtype)
    given = [to_device(np.ascontiguousarray(m.T if turned else m)[None]) for m, turned in ((a, a_turned), (b, b_turned))]
    c = to_host(gemm_cuda.matmul_cuda(*given, a_turned, b_turned, to_device(bias), c_turned))[0]
    assert_close(c.T if c_turned else c, a @ b + bias[:, None], 1e-5 if dtype == np.float32 else 1e-13, "product")


def test_the_ladder_that_is_measured(matrices):
    a = matrices[1][:5, :5]
    for name, product in bench_gpu.rungs(to_device(a), to_device(a)).items():
        assert_close(to_host(product()).reshape(5, 5), a @ a, 1e-13, name)


def test_long_sums_are_cut_in_parts(monkeypatch):
    monkeypatch.setattr(gemm_cuda, "SPAN", 6)
    monkeypatch.setattr(gemm_cuda, "MANY", 8)
    rng = np.random.RandomState(1)
    a, b = rng.standard_normal((2, 3, 40)), rng.standard_normal((2, 40, 5))
    axes = (((3, 40),), ((3, 5),)), (((5, 1),), ((5, 1),)), (((40, 1),), ((40, 5),))
    tables = [gemm_cuda.table(*pair) for pair in axes]
    c = gemm_cuda.long_product(to_device(a), to_device(b), (2, 3, 5), tables, 2, (120, 200))
    assert_close(to_host(c), a @ b, 1e-13, "product")


# --- arrays that stay there ---------------------------------------------------------------------------------------------
@pytest.fixture
def copies(monkeypatch):
    """Count what is copied between the two memories."""
    counted = {"to": 0, "from": 0}
    kind = type(device.cuda.device_array(1, np.uint8))
    for way, name in (("to", "copy_to_device"), ("from", "copy_to_host")):
        def counting(self, *args, way=way, original=getattr(kind, name), **kwargs):
            counted[way] += 1
            return original(self, *args, **kwargs)
        monkeypatch.setattr(kind, name, counting)
    return counted


def test_arrays_stay_on_the_gpu_through_a_whole_forward_and_backward_pass(copies):
    rng = np.random.RandomState(0)
    frozen = [minicnn.ops.frozen.freeze(rng.standard_normal(shape).astype(np.float32)) for shape in ((3, 2, 3, 3), (3,), (2, 12))]
    x = rng.standard_normal((1, 2, 4, 4)).astype(np.float32)

    def loss():
        inner = ops.max_pool2d(ops.relu(ops.conv2d(image, frozen[0], frozen[1], padding=1)), 2)
        scores = ops.linear(ops.flatten(ops.pad(inner, 1, mode="reflect")[:, :, 1:3, 1:3]), frozen[2])
        return (ops.softmax(scores, 1) * scores).sum()
    image = Tensor(x, requires_grad=True)
    loss().backward()
    expected = image.grad
    with minicnn.use("cuda"):
        for attempt in range(2):
            image = Tensor(x, requires_grad=True)
            copies.update(to=0, **{"from": 0})
            out = loss()
            out.backward()
            assert copies["from"] == 0
        assert copies["to"] == 2            # the picture and the seed; weights and tables are there since the first time
    assert_close(image.grad, expected, 2e-5, "gradient")
    assert copies["from"] == 1


def test_a_second_pass_adds_and_grad_can_be_set():
    with minicnn.use("cuda"):
        x = Tensor(np.ones(3), requires_grad=True)
        y = (x * 2).sum()
        y.backward()
        y.backward()
        assert np.array_equal(x.grad, [4, 4, 4])
        y.backward()
        assert np.array_equal(x.grad, [6, 6, 6])
        x.grad = None
        y.backward()
        assert np.array_equal(x.grad, [2, 2, 2])


def test_memory_is_used_again():
    first = DeviceArray((1000,), np.float32)
    buffer = first._memory.buffer
    view = first.reshape(10, 100)
    del first
    assert DeviceArray((1000,), np.float32)._memory.buffer is not buffer        # the view still uses it
    del view
    second = DeviceArray((20, 50), np.float32)
    assert second._memory.buffer is buffer
    device.release_memory()
    assert device._unused == {}


def test_full_memory_is_said_and_kept_memory_given_back_first(monkeypatch):
    class Full(Exception):
        code = 2
    asked = []

    def device_array(size, dtype):
        asked.append((size, sum(map(len, device._unused.values()))))
        raise Full
    DeviceArray((77,), np.float32)
    monkeypatch.setattr(device.cuda, "device_array", device_array)
    context = type("Context", (), {"get_memory_info": lambda self: (5e6, 8e9)})
    monkeypatch.setattr(device.cuda, "current_context", context)
    with pytest.raises(BackendError, match=r"memory is full: asked for 40\d\.\d MB more, 5\.0 of 8,000\.0 MB are free; take"):
        DeviceArray((10_000, 10_000), np.float32)
    assert len(asked) == 2 and asked[0][1] > 0 and asked[1][1] == 0


def test_too_many_numbers_are_refused():
    with pytest.raises(BackendError, match=r"\(2, 1073741824\) has more than 2,147,483,648 numbers; take smaller"):
        DeviceArray((2, 2 ** 30), np.float32)


def test_more_matrices_than_a_grid_has_places_are_refused():
    with minicnn.use("cuda"), pytest.raises(BackendError, match=r"\(1, 1, 65536\) blocks of threads, a GPU takes 65,535 along"):
        ops.matmul(np.ones((65_536, 1, 1), np.float32), np.ones((1, 1), np.float32))


def test_arrays_of_both_memories_are_not_mixed():
    with minicnn.use("cuda"):
        x = Tensor(np.ones((2, 3)), requires_grad=True)
        y = ops.relu(x)
    with pytest.raises(BackendError, match=r"Exp: an input of shape \(2, 3\) is on the GPU and the backend in use is 'cpu'; "):
        ops.exp(y)
    with pytest.raises(BackendError, match="the forward pass ran on the GPU and the backend in use is 'cpu'"):
        y.backward(np.ones((2, 3)))
    z = ops.relu(x)
    with minicnn.use("cuda"), pytest.raises(BackendError, match="Exp: an input was made by an op on the CPU and the backend"):
        ops.exp(z)
    with minicnn.use("cuda"), pytest.raises(BackendError, match="ran on the CPU and the backend in use is 'cuda'; run both"):
        z.backward(np.ones((2, 3)))
    with pytest.raises(BackendError, match=r"shape \(2, 3\) on the GPU was given to NumPy; copy it first: minicnn.device"):
        np.asarray(y.array)
    with pytest.raises(BackendError, match="relu_backprop_kernel: a ndarray in the computer's memory was given where an"):
        ops.relu.__globals__["relu_backprop_kernel"].launch(1, 1, np.ones(1, bool), np.ones(1), np.ones(1))
    with pytest.raises(BackendError, match="arrays of float64 and float32 were given"):
        device.add_kernel.each(to_device(np.ones(2)), to_device(np.ones(2, np.float32)), to_device(np.ones(2)))
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    assert np.array_equal(np.asarray(y), np.ones((2, 3)))


# --- networks -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["softmax_mnist"] if device.SIMULATED else list(minicnn.nets.NAMES))
@pytest.mark.parametrize("dtype", DTYPES)
def test_networks_agree_with_the_cpu(name, dtype):
    """Scores in both types; the gradient in float64 strictly: in float32 a ReLU near 0 may go either way."""
    net = minicnn.build(name, rng=0).astype(dtype)
    rng = np.random.RandomState(0)
    x = rng.standard_normal(input_shape(net)).astype(dtype)
    results, seed = [], None
    for backend in ("cpu", "cuda"):
        image = Tensor(x, requires_grad=True)
        with minicnn.use(backend):
            out = net(image)
            seed = rng.standard_normal(out.shape) if seed is None else seed
            out.backward(seed)
        results.append((out.data, image.grad))
    assert_close(results[1][0], results[0][0], 1e-4 if dtype == np.float32 else 1e-10, "scores")
    assert_close(results[1][1], results[0][1], 0.05 if dtype == np.float32 else 1e-9, "gradient")


# --- t-SNE --------------------------------------------------------------------------------------------------------------
COUNT = 23 if device.SIMULATED else 3000


def some_map(C, dtype=np.float64):
    return (np.random.RandomState(0).standard_normal((COUNT, C)) * 3).astype(dtype)


@pytest.mark.parametrize("C", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_repulsion_of_tsne(C, dtype, monkeypatch):
    monkeypatch.setattr(forces_cuda, "processors", lambda: 10_000)                  # so that the sums are cut in parts
    Y = some_map(C, dtype)
    w = student_ref(Y.astype(float))
    out = np.empty_like(Y)
    Z = forces_cuda.exact_repulsion_cuda(Y, out)
    assert_close(out, np.einsum("ij,ijc->ic", w ** 2, Y[:, None] - Y[None].astype(float)), 1e-5 if dtype == np.float32 else 1e-13,
                 "repulsion")
    assert abs(Z / w.sum() - 1) < (1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("theta", [0.0, 0.5, 1.2])
def test_barnes_hut_repulsion_of_tsne(theta):
    """The same cells as by the definition, point by point."""
    Y, out = some_map(2), np.empty((COUNT, 2))
    Z = forces_cuda.barnes_hut_repulsion_cuda(Y, theta, out)
    expected, expected_Z = repulsion_ref(QuadTree(Y, leaf_size=LEAF), theta)
    assert_close(out, expected, 1e-12, "repulsion")
    assert abs(Z / expected_Z - 1) < 1e-12
    if theta == 1.2 and not device.SIMULATED:
        assert abs(Z / student_ref(Y).sum() - 1) > 1e-6         # far cells were taken as they are


def test_a_walk_skips_what_is_inside_a_cell():
    tree = QuadTree(some_map(2), leaf_size=2)
    rows, skip = forces_cuda.walk_through(tree)
    for place, row in enumerate(rows):
        inside = {int(c) for c in tree.child[row] if c >= 0}
        todo = list(inside)
        while todo:
            more = [int(c) for c in tree.child[todo.pop()] if c >= 0]
            inside.update(more)
            todo += more
        assert set(rows[place + 1:skip[place]]) == inside


@pytest.mark.parametrize("method", ["exact", "barnes_hut"])
def test_tsne_moves_its_points_as_on_the_cpu(method):
    X = np.random.RandomState(1).standard_normal((COUNT, 4))
    P = sparse_affinities(X, perplexity=5)
    maps = []
    for backend in ("cpu", "cuda"):
        with minicnn.use(backend):
            steps = tsne_steps(P, some_map(2) * 1e-2, method=method, theta=0.0, dtype=np.float64, early_exaggeration=4)
            maps.append(last(take(3, steps)).embedding)
    assert np.abs(maps[0]).max() > 0.02 and np.allclose(maps[0], maps[1], rtol=1e-9)
    assert not np.allclose(maps[0], some_map(2) * 1e-2)


def test_which_method_a_gpu_takes():
    with minicnn.use("cuda"):
        assert [tsne.method_for(*given) for given in (("auto", (2_000, 2)), ("auto", (200_000, 2)), ("fft", (2_000, 2)),
                                                      ("barnes_hut", (20, 2)))] == ["exact", "barnes_hut", "fft", "barnes_hut"]


# --- networks that are used ---------------------------------------------------------------------------------------------
def small_network(dtype=np.float64):
    net = nn.Network("small", images.Preprocessing(size=6, resize=6))
    for name, layer in [("conv1", nn.Conv2d(3, 4, 3, padding=1)), ("norm1", nn.BatchNorm2d(4)), ("relu1", nn.ReLU()),
                        ("pool1", nn.MaxPool2d(2)), ("flatten", nn.Flatten()), ("drop1", nn.Dropout(0.5)),
                        ("fc", nn.Linear(36, 3))]:
        net.add(name, layer)
    return net.initialise(0).astype(dtype)


def test_training_makes_the_same_weights():
    x, labels, trained = np.random.RandomState(0).standard_normal((2, 3, 6, 6)), np.array([2, 0]), []
    for backend in ("cpu", "cuda"):
        net = small_network()
        with minicnn.use(backend):
            optimizer = optim.SGD(net.train(rng=0).parameters(), lr=0.1, momentum=0.9)
            for _ in range(2):
                for parameter in net.parameters().values():
                    parameter.grad = None
                ops.cross_entropy(net(x), labels).backward(retain_graph=False)
                optimizer.step()
        trained.append({**{name: p.data for name, p in net.parameters().items()}, **net.buffers()})
    before = small_network().parameters()
    assert not np.allclose(trained[0]["conv1/weight"], before["conv1/weight"].data)
    for name, expected in trained[0].items():
        assert_close(np.asarray(trained[1][name], float), np.asarray(expected, float), 1e-9, name)


@pytest.mark.parametrize("rule", minicnn.tape.RELU_RULES)
def test_pictures_of_a_neuron(rule):
    net, x, found = small_network(), np.random.RandomState(0).standard_normal((1, 3, 6, 6)), []
    for backend in ("cpu", "cuda"):
        with minicnn.use(backend):
            image = Tensor(x, requires_grad=True)
            activations = net.activations(image, upto="pool1")
            seed = np.zeros(activations["pool1"].shape)
            seed[0, 1] = -1, 2, 0.5
            with minicnn.relu_rule(rule):
                activations["pool1"].backward(seed)
            found.append((activations["relu1"].data, image.grad))
    assert_close(found[1][0], found[0][0], 1e-10, "activations")
    assert_close(found[1][1], found[0][1], 1e-9, "picture")


def test_a_technique_of_many_steps():
    """Inversion: the network's answers, total variation, and steps that NumPy takes."""
    net, found = small_network(), []
    for backend in ("cpu", "cuda"):
        with minicnn.use(backend):
            code = encode(net, np.random.RandomState(0).standard_normal((1, 3, 6, 6)), "relu1")
            found.append(last(take(2, inversion_steps(net, code, "relu1", rng=0))))
    assert found[0].error != found[1].error or np.array_equal(found[0].images, found[1].images)
    assert abs(found[1].error / found[0].error - 1) < 1e-6


TECHNIQUES = {
    "saliency_map": lambda net, x: saliency_map(net, x, 1),
    "grad_cam": lambda net, x: grad_cam(net, x, 1, "relu1"),
    "class_model_steps": lambda net, x: last(take(2, class_model_steps(net, 1, rng=0))).x,
    "backproject": lambda net, x: backproject(net, ops.mul(x, 1.0), "relu1", lambda a: unit_seed(a, (0, 1, 1))),
    "class_seed": lambda net, x: class_seed(net(x), 1),
    "unit_seed": lambda net, x: unit_seed(net.activations(x)["relu1"], (0, 1, 1)),
}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_techniques_run_with_no_other_change(name):
    net, x, found = small_network(), np.random.RandomState(0).standard_normal((1, 3, 6, 6)), []
    for backend in ("cpu", "cuda"):
        with minicnn.use(backend):
            found.append(TECHNIQUES[name](net, x))
    expected, got = (np.asarray(getattr(f, "picture", f), float) for f in found)
    assert_close(got, expected, 1e-9, name)


def test_copies_and_pickles():
    with minicnn.use("cuda"):
        y = ops.relu(np.array([-1.0, 2.0]))
        for copied in (copy.deepcopy(y), copy.copy(y), pickle.loads(pickle.dumps(y))):
            assert np.array_equal(copied.data, [0, 2])
        assert np.array_equal(ops.relu(np.ones(3)).data, np.ones(3))


def test_threads_take_turns():
    def work():
        with minicnn.use("cuda"):
            for _ in range(5):
                results.append((ops.relu(np.array([-1.0, 3.0])) * 2.0).sum().item())
    results, threads = [], [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [6.0] * 15


def test_what_is_no_float_is_no_tensor():
    with pytest.raises(DtypeError, match="this is an array of int64 on the GPU"):
        Tensor(to_device(np.arange(3)))
    with pytest.raises(BackendError, match="is for minicnn.ops, as a Tensor; to compute with NumPy copy it"):
        np.ones(3) + to_device(np.ones(3))


# --- do these tests find mistakes? --------------------------------------------------------------------------------------
MISTAKES = [                                        # module, function, old, new, row that must fail
    ("relu", "relu_backprop_kernel", "if on[i]", "if dout[i] > 0", "relu"),
    ("relu", "relu_guided_kernel", "on[i] and ", "", "relu: guided"),
    ("max_pool2d", "max_pool2d_forward_kernel", "value > best", "value >= best", "max_pool2d: ties"),
    ("max_pool2d", "max_pool2d_backward_kernel", "down // window[2] + 1", "down // window[2]", "max_pool2d: overlapping, ceil"),
    ("pad", "collect_kernel", "total += ", "total = ", "interpolate: bilinear up by 2"),
    ("avg_pool2d", "avg_pool2d_forward_kernel", "rows[2, row] * ", "", "avg_pool2d: padding counts"),
    ("reductions", "sum_short_kernel", "total += ", "total = ", "mean: all"),
    ("reductions", "folded", "numbers[t + half]", "numbers[half]", "total_variation: beta 2"),
    ("reductions", "add_parts_kernel", "i // count, part, i % count", "i // count, 0, i % count", "matmul: long sums"),
    ("reductions", "_beats", "value == best and at < best_at", "value == best", "max: ties: the first gets all"),
    ("softmax", "softmax_backward_kernel", "dout[a, i, b] - total", "dout[a, i, b]", "softmax: scores"),
    ("cross_entropy", "cross_entropy_backward_kernel", "c == target[n]", "c == 0", "cross_entropy: mean"),
    ("normalize", "normalize_backward_kernel", " - xhat * means[1, s]", "", "instance_norm"),
    ("local_response_norm", "local_response_norm_backward_kernel", "(size - 1) // 2", "size // 2",
     "local_response_norm: even size, other beta and k"),
    ("total_variation", "total_variation_backward_kernel", "if i > 0", "if i > 1", "total_variation: beta 2"),
    ("shape_ops", "add_at_kernel", "starts[i] + 1, starts[i + 1]", "starts[i] + 1, starts[i] + 1",
     "getitem: integers that repeat"),
    ("arithmetic", "maximum_backward_kernel", " * half", "", "maximum: ties: half to each"),
    ("gemm_cuda", "register_blocked", "half = ONE - half", "half = half + half", "matmul: long sums"),
    ("gemm_cuda", "register_blocked", "cuda.syncthreads()", "pass", "matmul: long sums"),
    ("gemm_cuda", "movers", "if k < end", "if k <= end", "linear"),
    ("gemm_cuda", "writer", "columns[j] >= 0", "True", "linear"),
    ("gemm_cuda", "writer", "bias[batch * at_m.shape[1] + m]", "bias[m]", "conv2d: depthwise"),
    ("conv2d_cuda", "frame_kernel", "h < x.shape[2]", "h <= x.shape[2] - 2", "conv2d: 3x3"),
    ("conv2d_cuda", "_remainders", "% stride == 0", "% stride != 1", "conv2d: stride leaves pixels over"),
]


@pytest.mark.skipif(not device.SIMULATED, reason="kernels are mutated as Python, and compiled ones are kept")
@pytest.mark.parametrize("module, function, old, new, row", MISTAKES,
                         ids=[f"{m[0]}.{m[1]}: {m[3] or 'left out'}" for m in MISTAKES])
def test_planted_mistake_is_found(module, function, old, new, row, monkeypatch):
    """The module's file is changed in that function and run anew; the kernels of the module, and its functions, become those."""
    case = next(c for c in CASES if c.id == row)
    assert_as_on_the_cpu(case, np.float64)
    module = sys.modules[f"minicnn.ops.{module}"]
    original = getattr(module, function)
    source = inspect.getsource(original.py_func if isinstance(original, device.Kernel) else original)
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(old) >= 1 and text.count(source) == 1, f"{old!r} occurs {source.count(old)} times in {function}"
    mutant = types.ModuleType(module.__name__)
    mutant.__package__ = module.__package__
    exec(compile(text.replace(source, source.replace(old, new)), f"<mutant of {function}>", "exec"), vars(mutant))
    for name, value in vars(mutant).items():
        before = vars(module).get(name)
        if isinstance(before, device.Kernel) and before.py_func.__module__ == module.__name__:
            monkeypatch.setattr(before, "_compiled", {np.dtype(np.float64): device.cuda.jit(value.py_func)})
        elif name == "PRODUCTS" or name == function:
            for holder in [m for m in list(sys.modules.values()) if vars(m).get(name) is before]:
                monkeypatch.setattr(holder, name, value)
    with np.errstate(all="ignore"), pytest.raises((AssertionError, IndexError, ValueError)):
        assert_as_on_the_cpu(case, np.float64)
