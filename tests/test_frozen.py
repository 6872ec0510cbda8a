"""What is kept for weights that cannot change is never used for others."""
import copy
import gc
import pickle
import sys

import numpy as np
import pytest

import minicnn
from minicnn import ops
from minicnn.ops.frozen import freeze, is_frozen, once

kept = sys.modules["minicnn.ops.frozen"]._kept


def test_frozen_arrays_cannot_be_written_to_again():
    array = freeze(np.arange(6.).reshape(2, 3))
    assert is_frozen(array) and is_frozen(array[1:]) and np.array_equal(array, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError):
        array.flags.writeable = True
    with pytest.raises(ValueError):
        array[0, 0] = 1
    assert freeze(array) is array


def test_a_read_only_flag_is_no_promise():
    array = np.ones(3)
    array.flags.writeable = False
    view = np.frombuffer(memoryview(np.ones(3)).toreadonly())
    assert not is_frozen(array) and not is_frozen(view) and not is_frozen(np.ones(3))


def test_frozen_once_others_each_time():
    calls = []

    def make(array):
        calls.append(1)
        return array.sum()

    frozen, other = freeze(np.ones(4)), np.ones(4)
    assert [once(frozen, "sum", make) for _ in range(3)] == [4, 4, 4] and len(calls) == 1
    once(frozen, "another", make)
    assert len(calls) == 2
    once(other, "sum", make)
    other[0] = 5
    assert once(other, "sum", make) == 8 and len(calls) == 4


def test_what_is_kept_goes_with_the_array():
    gc.collect()                                        # what other tests have left
    before = len(kept)
    array = freeze(np.ones((16, 16, 3, 3), np.float32))
    ops.conv2d(np.ones((1, 16, 20, 20), np.float32), array, padding=1)
    assert len(kept) == before + 1
    del array
    gc.collect()
    assert len(kept) == before


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), lambda net: net.astype("d")])
def test_copies_of_a_frozen_network_are_frozen(copied):
    net = minicnn.nn.Sequential([("conv", minicnn.nn.Conv2d(2, 3, 3))]).initialise(0)
    other = copied(net)
    for weight in other.parameters().values():
        assert is_frozen(weight.data)
    other.train()
    other.parameters()["conv/weight"].data += 1
    assert not np.array_equal(other.parameters()["conv/weight"].data, net.parameters()["conv/weight"].data)
    assert not is_frozen(copied(other).parameters()["conv/weight"].data)


def test_a_changed_weight_is_never_missed():
    """In a network: set_array, training, a new array in a Tensor, an array changed in place."""
    net = minicnn.nn.Sequential([("conv", minicnn.nn.Conv2d(16, 16, 3, padding=1))])
    x = np.random.RandomState(0).standard_normal((1, 16, 12, 12)).astype(np.float32)

    def expected():
        weight, bias = (net.parameters()[f"conv/{key}"].data.copy() for key in ("weight", "bias"))
        with minicnn.use("ref"):
            return ops.conv2d(x, weight, bias, padding=1).data

    def check():
        right = expected()
        assert np.abs(net(x).data - right).max() < 1e-4 * np.abs(right).max()

    net.initialise(0)
    check()
    weight = np.random.RandomState(1).standard_normal((16, 16, 3, 3)).astype(np.float32)
    net.set_array("conv/weight", weight)
    check()
    weight += 1                                     # the network has a copy
    check()
    with pytest.raises(ValueError):
        net.parameters()["conv/weight"].data += 1   # frozen
    net.train()
    for _ in range(2):
        net.parameters()["conv/weight"].data += 1
        check()
    net.eval()
    check()
    net.parameters()["conv/weight"].data = weight
    check()
    weight[:] = 2
    check()
