"""The tape: order, accumulation, freeing, and the three overrides."""
import gc
import threading
import weakref

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, ops, tape
from minicnn.errors import BackendError, DtypeError, TapeError


def test_a_chain_of_many_ops_does_not_overflow_the_stack():
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert x.grad[0] == 1 and y.data[0] == 50_001
    del y
    gc.collect()


def test_a_tensor_used_twice_gets_the_sum_of_both_gradients():
    x = Tensor([3.0], requires_grad=True)
    (x * x + x).backward()
    assert x.grad[0] == 7


def test_diamond_order():
    """Each node is passed once, after all that used it: 2^30 paths, 31 steps."""
    x = y = Tensor([1.0], requires_grad=True)
    for _ in range(30):
        y = y + y
    assert len(list(tape.backward_steps(y))) == 30
    assert x.grad[0] == 2.0 ** 30


def test_leaves_accumulate_over_backward_passes_and_can_be_cleared():
    x = Tensor([2.0], requires_grad=True)
    for times in (1, 2):
        (x * 5.0).backward()
        assert x.grad[0] == 5 * times
    x.grad = None
    (x * 5.0).backward()
    assert x.grad[0] == 5


def test_gradients_of_two_leaves_do_not_share_memory():
    a, b = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    seed = np.array([1.0], np.float32)
    (a + b).backward(seed)
    a.grad[0] = 100
    assert b.grad[0] == 1 and seed[0] == 1


def test_backward_steps_can_be_watched_and_stopped():
    x = Tensor([[1.0, -1.0]], requires_grad=True)
    steps = tape.backward_steps(ops.relu(x * 2.0).sum())
    assert [next(steps).op for _ in range(2)] == ["Sum", "Relu"]
    assert x.grad is None
    list(steps)
    np.testing.assert_array_equal(x.grad, [[2, 0]])


def test_only_what_is_asked_for_is_computed():
    x, w = Tensor(np.ones((1, 1, 3, 3)), requires_grad=True), Tensor(np.ones((1, 1, 2, 2)))
    y = ops.conv2d(x, w)
    assert y.node.ctx.x is None         # frozen filters: the input is not kept
    step, = tape.backward_steps(y, np.ones(y.shape))
    assert step.dinputs[0] is not None and step.dinputs[1] is None


def test_nothing_is_recorded_without_need():
    x = Tensor([1.0], requires_grad=True)
    assert ops.relu(Tensor([1.0])).node is None
    with minicnn.no_grad():
        assert (x * 2.0).node is None
        with minicnn.no_grad():
            pass
        assert (x * 2.0).node is None
    assert (x * 2.0).node is not None


def test_an_activation_that_no_backward_pass_needs_is_freed():
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    middle = ops.conv2d(x, Tensor(np.ones((1, 1, 1, 1))))
    gone = weakref.ref(middle.data.base if middle.data.base is not None else middle.data)
    out = ops.relu(middle)
    del middle
    assert gone() is None
    out.backward(np.ones(out.shape))
    assert x.grad is not None


def test_retain_graph():
    x = Tensor([1.0], requires_grad=True)
    y = x * x
    y.backward()
    y.backward(retain_graph=False)
    assert x.grad[0] == 4
    with pytest.raises(TapeError, match="freed"):
        y.backward()


def test_retain_grad_keeps_the_gradient_of_a_middle_tensor():
    x = Tensor([3.0], requires_grad=True)
    middle = x * x
    unkept = middle * 2.0
    middle.retain_grad()
    (unkept * 1.0).backward()
    assert middle.grad[0] == 2 and unkept.grad is None


@pytest.mark.parametrize("rule, expected", [("backprop", [0, 0, 2, -3]), ("deconvnet", [1, 0, 2, 0]), ("guided", [0, 0, 2, 0])])
@pytest.mark.parametrize("backend", ["ref", "cpu"])
def test_the_three_relu_rules(rule, expected, backend):
    x = Tensor([-1.0, -2.0, 3.0, 4.0], requires_grad=True)
    with minicnn.use(backend):
        y = ops.relu(x)
        with minicnn.relu_rule(rule):
            y.backward(np.array([1, -1, 2, -3]))
    np.testing.assert_array_equal(x.grad, expected)


def test_relu_rule_is_put_back_whatever_happens():
    with pytest.raises(ZeroDivisionError):
        with minicnn.relu_rule("guided"):
            with minicnn.relu_rule("deconvnet"):
                assert tape.current_relu_rule() == "deconvnet"
            assert tape.current_relu_rule() == "guided"
            1 / 0
    assert tape.current_relu_rule() == "backprop"


def test_overrides_are_not_seen_by_other_threads():
    seen = []
    with minicnn.relu_rule("guided"), minicnn.no_grad(), minicnn.use("ref"):
        thread = threading.Thread(target=lambda: seen.extend(
            [tape.current_relu_rule(), tape.recording(), minicnn.backend.current()]))
        thread.start()
        thread.join()
    assert seen == ["backprop", True, "cpu"]


def test_use_as_a_call_and_as_a_block():
    assert minicnn.backend.current() == "cpu"
    with minicnn.use("ref"):
        assert minicnn.backend.current() == "ref"
    assert minicnn.backend.current() == "cpu"
    chosen = minicnn.use("ref")
    assert minicnn.backend.current() == "ref"
    chosen.__exit__()
    assert minicnn.backend.current() == "cpu"


def test_threads_may_use_kernels_at_the_same_time():
    x, w = Tensor(np.ones((1, 8, 20, 20))), Tensor(np.ones((8, 8, 3, 3)))
    expected, got = ops.conv2d(x, w).data, []
    threads = [threading.Thread(target=lambda: got.extend(ops.conv2d(x, w).data for _ in range(20))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 80 and all(np.array_equal(g, expected) for g in got)


@pytest.mark.parametrize("call, error, fragment", [
    (lambda: Tensor([1.0]).backward(), TapeError, "requires_grad=True"),
    (lambda: Tensor([1.0, 2.0], requires_grad=True).backward(), TapeError, "needs a seed"),
    (lambda: Tensor([1.0, 2.0], requires_grad=True).backward(np.ones(3)), TapeError, "(3,)"),
    (lambda: minicnn.relu_rule("guidd"), TapeError, "'guided'"),
    (lambda: minicnn.use("gpu"), BackendError, "'cpu'"),
    (lambda: Tensor(["a"]), DtypeError, "real numbers"),
    (lambda: Tensor([[1, 2], [3]]), DtypeError, "different lengths"),
    (lambda: Tensor([1.0, 2.0], requires_grad=True).backward("ab"), TapeError, "'ab'"),
    (lambda: Tensor(np.ones(2)) + Tensor(np.ones(2, np.float32)), DtypeError, "one dtype"),
])
def test_wrong_use_gets_one_clear_sentence(call, error, fragment):
    with pytest.raises(error) as raised:
        call()
    assert fragment in str(raised.value)


def test_a_tensor_is_a_sequence_of_its_rows():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = t
    assert a.data.tolist() == [1, 2] and len(list(t)) == 2
    (b * 3.0).sum().backward()
    assert t.grad.tolist() == [[0, 0], [3, 3]] and bool(Tensor(1.0)) and not bool(Tensor(0.0))


def test_lists_go_with_either_dtype():
    assert (Tensor(np.ones(2)) * [0.5, 2]).dtype == np.float64 and (Tensor([1, 2]) * [0.5, 2]).dtype == np.float32
    assert (Tensor([1.0]) * np.array(0.5)).dtype == np.float32


def test_blas_has_its_threads_back_after_use_from_many_threads():
    import threadpoolctl
    import scipy.linalg.cython_blas  # noqa: F401

    def blas():
        return [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]

    before, x = blas(), Tensor(np.random.RandomState(0).standard_normal((1, 64, 40, 40)))
    threads = [threading.Thread(target=lambda: [ops.gram_matrix(x) for _ in range(30)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert blas() == before


def test_use_can_be_entered_again():
    chosen = minicnn.use("ref")
    for _ in range(2):
        with chosen:
            assert minicnn.backend.current() == "ref"
        assert minicnn.backend.current() == "cpu"


def test_lists_whole_numbers_and_reversed_axes_become_float_arrays():
    assert Tensor([1, 2]).dtype == np.float32 and Tensor(np.ones(2)).dtype == np.float64
    assert Tensor(np.ones((2, 3)).T).data.flags.c_contiguous
    assert Tensor(3).shape == ()
