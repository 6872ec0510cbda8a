"""Optimisers: the first steps by hand (numbers worked out with paper and calculator), torch's over many steps, checkpoints."""
import threading
from itertools import islice

import numpy as np
import pytest

import minicnn
from minicnn import Tensor
from minicnn.errors import MinicnnError, SettingError, ShapeError, TrainingError
from minicnn.optim import SGD, Adadelta, Adam, Optimizer, cosine, lbfgs_steps, multi_step

try:
    import torch
except ImportError:
    torch = None


def parameter(*numbers):
    return {"p": Tensor(np.array(numbers, np.float64), requires_grad=True)}


def steps(optimizer, gradients):
    """Return p after each of the gradients."""
    found = []
    for gradient in gradients:
        optimizer.parameters["p"].grad = np.array(gradient, np.float64)
        optimizer.step()
        found.append(optimizer.parameters["p"].data.copy())
    return np.array(found)


# --- by hand ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, gradients, expected", [
    (lambda p: SGD(p, lr=0.1), [[2], [-1]], [0.8, 0.9]),
    (lambda p: SGD(p, lr=0.1, weight_decay=0.5), [[2], [0]], [0.75, 0.7125]),               # 1 - 0.1 2.5; 0.75 - 0.1 0.375
    (lambda p: SGD(p, lr=0.1, momentum=0.9), [[2], [-1], [0]], [0.8, 0.72, 0.648]),         # v = 2, 0.8, 0.72
    (lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True), [[2], [-1]], [0.62, 0.648]),    # 2 + 1.8; -1 + 0.72
    (lambda p: Adam(p, lr=0.1, eps=0), [[3], [3]], [0.9, 0.8]),                             # m^ = 3, s^ = 9: a step of lr
    (lambda p: Adam(p, lr=0.1, betas=(0.5, 0.75), eps=1), [[4], [0]],                       # m 2, 1; s 4, 3; s^ 16, 48/7
     [1 - 0.1 * 4 / 5, 1 - 0.08 - 0.1 * (4 / 3) / (np.sqrt(48 / 7) + 1)]),
    (lambda p: Adadelta(p, rho=0.5, eps=1), [[2], [2]],                                     # s 2, 3; d sqrt(1/3) 2; a 2/3
     [1 - 2 / np.sqrt(3), 1 - 2 / np.sqrt(3) - 2 * np.sqrt((5 / 3) / 4)]),
], ids=["SGD", "weight decay", "momentum", "Nesterov", "Adam", "Adam's bias", "Adadelta"])
def test_the_first_steps_by_hand(make, gradients, expected):
    np.testing.assert_allclose(steps(make(parameter(1.0)), gradients)[:, 0], expected, rtol=1e-12)


MAKERS = [
    ("SGD", dict(lr=0.05)), ("SGD", dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    ("SGD", dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)), ("Adam", dict(lr=0.02)),
    ("Adam", dict(lr=0.02, betas=(0.7, 0.9), eps=1e-3, weight_decay=0.1)), ("Adadelta", dict(rho=0.95, eps=1e-8)),
    ("Adadelta", dict(lr=0.5, weight_decay=0.1))]
OURS = {"SGD": SGD, "Adam": Adam, "Adadelta": Adadelta}


@pytest.mark.skipif(torch is None, reason="torch is not installed")
@pytest.mark.parametrize("name, settings", MAKERS)
def test_the_same_as_torch_over_many_steps(name, settings):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=7), rng.normal(size=(50, 7))
    theirs = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([theirs], **settings)
    ours = steps(OURS[name](parameter(*start), **settings), gradients)
    for gradient, p in zip(gradients, ours):
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(p, theirs.detach().numpy(), rtol=1e-10)


# --- what they share --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, settings", MAKERS)
def test_going_on_from_a_state_gives_the_same_bits(name, settings):
    gradients = np.random.default_rng(0).normal(size=(6, 3))
    whole = OURS[name](parameter(1, 2, 3), **settings)
    expected = steps(whole, gradients)
    first = OURS[name](parameter(1, 2, 3), **settings)
    half = steps(first, gradients[:3])
    state = first.state()
    second = OURS[name](parameter(*half[-1]), **settings)
    second.load_state(state)
    steps(first, gradients[3:])                 # the state is a copy: it does not move on
    assert np.array_equal(steps(second, gradients[3:]), expected[3:]) and second.steps == 6


def test_a_network_learns_and_float32_stays():
    net = minicnn.build("lenet", rng=0).train(rng=0)
    x, labels = np.random.default_rng(0).random((8, 1, 28, 28), np.float32), np.arange(8)
    for make in (lambda p: SGD(p, lr=0.005, momentum=0.9), lambda p: Adam(p, lr=1e-3), lambda p: Adadelta(p, rho=0.95)):
        net.initialise(0).train()
        optimizer, losses = make(net.parameters()), []
        for _ in range(12):
            loss = minicnn.ops.cross_entropy(net(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0]
        assert all(p.dtype == np.float32 for p in net.parameters().values())
        assert all(a.dtype == np.float32 for name, a in optimizer.state().items() if name != "steps")


def test_without_a_gradient_a_parameter_stays_and_zero_grad_forgets():
    optimizer = SGD({**parameter(1.0), "q": Tensor(np.ones(2), requires_grad=True)}, lr=0.1, weight_decay=1)
    assert steps(optimizer, [[1]])[0] == 0.8 and optimizer.parameters["q"].data.tolist() == [1, 1]
    optimizer.zero_grad()
    assert optimizer.parameters["p"].grad is None


@pytest.mark.parametrize("call, says", [
    (lambda p: SGD(p, lr=0), "lr is 0"), (lambda p: SGD(p, lr="fast"), "lr is 'fast'"),
    (lambda p: SGD(p, lr=np.nan), "lr is nan"),
    (lambda p: SGD(p, lr=1, momentum=1), "below 1"), (lambda p: SGD(p, lr=1, nesterov=True), "without momentum"),
    (lambda p: SGD(p, lr=1, weight_decay=-1), "weight_decay is -1"), (lambda p: Adam(p, betas=0.9), "two numbers"),
    (lambda p: Adam(p, betas=(0.9, 1)), "each of betas is 1"), (lambda p: Adadelta(p, eps=0), "eps is 0"),
    (lambda p: SGD([], lr=1), "expected net.parameters"), (lambda p: SGD(list(p.values()), lr=1), "expected net.parameters"),
    (lambda p: SGD(p, lr=1).load_state(Adam(p).state()), "'mean/p' differs"),
    (lambda p: Adam(p).load_state(Adam(parameter(1, 2)).state()), "'mean/p' differs"),
    (lambda p: cosine(1, 10, warmup=10), "fewer than all"), (lambda p: cosine("a", 10), "cosine: lr is 'a'"),
    (lambda p: cosine(1, None), "of None steps"), (lambda p: cosine(1, 10, least=np.nan), "cosine: least is nan"),
    (lambda p: multi_step(1, 10), "milestones is 10"), (lambda p: multi_step(1, [10], gamma=-1), "multi_step: gamma is -1"),
    (lambda p: SGD(p, lr=1).step(), "no parameter has a gradient"),
    (lambda p: next(lbfgs_steps(rosenbrock, [-1.2, 1], bounds=(5, 4))), r"bounds is \(5, 4\)"),
    (lambda p: next(lbfgs_steps(rosenbrock, [-1.2, 1], bounds=5)), "bounds is 5"),
    (lambda p: next(lbfgs_steps(rosenbrock, [-1.2, 1], history=0)), "history is 0"),
    (lambda p: next(lbfgs_steps(None, [-1.2, 1])), "function a NoneType"),
    (lambda p: next(lbfgs_steps(rosenbrock, "abc")), "empty or holds numbers")])
def test_wrong_settings_are_told_in_one_sentence(call, says):
    with pytest.raises(SettingError, match=says) as told:
        call(parameter(1.0))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("loss, gradient", [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan)])
def test_lbfgs_does_not_end_silently_where_there_is_no_way_down(loss, gradient):
    with pytest.raises(TrainingError, match="at the start.*no way down"):
        next(lbfgs_steps(lambda x: (loss, x * gradient), [1.0]))


def test_a_frozen_network_is_not_trained():
    net = minicnn.build("lenet", rng=0).train()
    optimizer = SGD(net.parameters(), lr=0.1)
    for p in net.parameters().values():
        p.grad = np.ones_like(p.data)
    for p in optimizer.parameters.values():
        p.data = minicnn.ops.frozen.freeze(p.data)
    with pytest.raises(SettingError, match="conv1/weight is frozen"):
        optimizer.step()
    with pytest.raises(NotImplementedError):
        Optimizer(parameter(1), 1).update(None)


def test_schedules():
    steps_down = multi_step(1.0, (3, 5), gamma=0.1)
    np.testing.assert_allclose([steps_down(s) for s in range(7)], [1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    wave = cosine(2.0, steps=10, warmup=4, least=0.5)
    np.testing.assert_allclose([wave(s) for s in (0, 1, 3, 4, 7, 10, 50)], [0.5, 1, 2, 2, 1.25, 0.5, 0.5])


# --- L-BFGS -----------------------------------------------------------------------------------------------------------
def rosenbrock(x):
    a, b = x[0], x[1]
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2, np.array([2 * (a - 1) - 400 * a * (b - a * a), 200 * (b - a * a)])


def test_lbfgs_goes_the_way_of_scipy_and_arrives():
    import scipy.optimize
    way = []
    scipy.optimize.minimize(rosenbrock, [-1.2, 1], jac=True, method="L-BFGS-B", callback=lambda x: way.append(x.copy()),
                            options={"ftol": 0, "gtol": 0})
    states = list(lbfgs_steps(rosenbrock, [-1.2, 1]))
    assert [s.step for s in states] == list(range(len(way) + 1)) and states[0].x.tolist() == [-1.2, 1]
    np.testing.assert_array_equal([s.x for s in states[1:]], way)
    assert all(s.loss == rosenbrock(s.x)[0] and s.gradient_norm == np.linalg.norm(rosenbrock(s.x)[1]) for s in states)
    np.testing.assert_allclose(states[-1].x, [1, 1], atol=1e-8)


def test_lbfgs_keeps_the_shape_and_the_bounds_and_leaves_the_start_alone():
    start, goal = np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)
    states = list(lbfgs_steps(lambda x: (((x - goal) ** 2).sum(), 2 * (x - goal)), start, bounds=(0.5, 3)))
    np.testing.assert_allclose(states[-1].x, np.clip(goal, 0.5, 3))
    assert not start.any() and not np.shares_memory(states[-1].x, states[-2].x)


def test_lbfgs_stops_when_nobody_asks_any_more_and_hands_errors_on():
    before, asked = threading.active_count(), []

    def function(x):
        asked.append(1)
        return rosenbrock(x)
    states = list(islice(lbfgs_steps(function, [-1.2, 1]), 3))
    assert len(states) == 3 and len(asked) < 12
    del states
    with pytest.raises(ZeroDivisionError):
        list(lbfgs_steps(lambda x: 1 / 0, [1.0]))
    with pytest.raises(ShapeError, match="gradient"):
        list(lbfgs_steps(lambda x: (0.0, np.zeros(3)), [1.0]))
    for start in ([], [np.nan]):
        with pytest.raises(SettingError, match="start"):
            list(lbfgs_steps(rosenbrock, start))
    assert threading.active_count() == before


def test_lbfgs_sees_the_choices_of_the_thread_that_asks():
    from minicnn.tape import current_relu_rule
    seen = []

    def function(x):
        seen.append(current_relu_rule())
        return rosenbrock(x)
    with minicnn.relu_rule("guided"):
        list(islice(lbfgs_steps(function, [-1.2, 1]), 2))
    assert set(seen) == {"guided"}
    assert issubclass(SettingError, MinicnnError)
