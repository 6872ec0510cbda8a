"""Receptive fields: the calculator against pixels that are changed one row and one column at a time."""
import numpy as np
import pytest

import minicnn
from minicnn import nets, nn, ops
from minicnn.errors import SettingError, ShapeError
from minicnn.receptive_field import receptive_fields

PAINTERS = ("transform", "texture", "super_resolution")         # with mirrored borders, which are no windows
NETS = [name for name in nets.NAMES if not name.startswith("generator_") and name not in PAINTERS]     # input: a picture


def thin(net):
    """Return a network of the same layers but with one channel each, all weights 1, and norms that change nothing.

    What a unit sees does not depend on the channels; with one of them, a picture for each row fits into one batch.
    """
    clone, channels = nn.Network(net.architecture, net.preprocessing), {"data": 1}
    for name, (layer, inputs) in net.layers.items():
        count = channels[inputs[0]]
        if isinstance(layer, nn.Conv2d):
            kernel, settings = layer.parameters["weight"].shape[2:], {**layer.settings, "groups": 1}
            layer, count = nn.Conv2d(count, 1, kernel, **settings), 1
        elif isinstance(layer, nn.Linear):
            x = np.ones((1, 1, net.preprocessing.size, net.preprocessing.size))
            layer, count = nn.Linear(clone.activations(x)[inputs[0]].size, 1), 1
        elif isinstance(layer, nn.BatchNorm2d):
            layer = nn.BatchNorm2d(count)
        elif isinstance(layer, nn.Concat):
            count = sum(channels[source] for source in inputs)
        elif getattr(layer, "op", None) is ops.local_response_norm:
            layer = nn.LocalResponseNorm(5, alpha=0.0)
        clone.add(name, layer, list(inputs))
        channels[name] = count
    for name, parameter in clone.parameters().items():
        clone.set_array(name, np.full(parameter.shape, name.endswith("weight"), np.float32))
    return clone.astype(np.float64)


def probed(net, size):
    """Return layer -> [(first, last) along the rows, the same along the columns] by changing whole rows, then whole columns.

    All numbers are positive and every change upwards is by 1e30, so that nothing cancels and no maximum hides it.
    """
    found = {}
    for axis in (2, 3):
        x = np.ones((1 + size[axis - 2], 1, *size))
        for line in range(size[axis - 2]):
            x[(line + 1, 0, line) if axis == 2 else (line + 1, 0, slice(None), line)] = 1e30
        with minicnn.no_grad():
            maps = net.activations(x)
        for name, a in maps.items():
            a = a.data if a.ndim == 4 else a.data.reshape(*a.shape, 1, 1)
            changed = (a[1:] != a[:1]).any(axis=(1, 5 - axis))          # (lines, units): does the line reach a unit of that row
            found.setdefault(name, []).append((changed.argmax(axis=0), len(changed) - 1 - changed[::-1].argmax(axis=0)))
    return found


@pytest.mark.parametrize("name", NETS)
def test_fields_are_what_changing_pixels_shows(name):
    net = nets.build(name, None)
    side = net.preprocessing.size
    seen, fields = probed(thin(net), (side, side)), receptive_fields(net)
    assert list(seen) == list(fields)[1:]
    for layer, axes in seen.items():
        for (first, last), axis in zip(axes, (fields[layer].rows, fields[layer].columns)):
            assert np.array_equal(axis.first, first) and np.array_equal(axis.last, last), layer
            middles, reach = axis.start + axis.jump * np.arange(len(first)), (axis.size - 1) / 2
            assert (first >= middles - reach).all() and (last <= middles + reach).all(), layer      # never beyond the formula


def around(*layers, channels=2):
    """Return a network with these layers between two pointwise convolutions."""
    return thin(nn.Sequential({"first": nn.Conv2d(3, channels, 1), **{f"layer{k}": layer for k, layer in enumerate(layers)}}))


@pytest.mark.parametrize("layers", [
    [nn.Conv2d(2, 2, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(1, 2))], [nn.Conv2d(2, 2, 3, dilation=3, padding=2)],
    [nn.Conv2d(2, 2, 2, stride=3), nn.MaxPool2d(3, 2, ceil_mode=True)], [nn.AvgPool2d(3, 2, padding=1)],
    [nn.AdaptiveAvgPool2d((3, 5))], [nn.AdaptiveAvgPool2d(1)], [nn.Upsample(2), nn.Conv2d(2, 2, 3, padding=1)],
    [nn.Conv2d(2, 2, 3, stride=2), nn.Upsample((3, 2))]])
def test_other_layers_are_what_changing_pixels_shows(layers):
    net = around(*layers)
    seen, fields = probed(net, (17, 14)), receptive_fields(net, (17, 14))
    for layer, axes in seen.items():
        for (first, last), axis in zip(axes, (fields[layer].rows, fields[layer].columns)):
            assert np.array_equal(axis.first, first) and np.array_equal(axis.last, last), layer


def test_units_that_see_nothing_but_padding():
    net = around(nn.Conv2d(2, 2, 2, padding=3), nn.Conv2d(2, 2, 3))
    fields = receptive_fields(net, (5, 4))
    outer, inner = fields["layer0"], fields["layer1"]
    assert [outer.box(row, 3) for row in range(10)] == [
        (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 2), (0, 0, 2, 2), (1, 0, 3, 2), (2, 0, 4, 2), (3, 0, 5, 2), (4, 0, 5, 2),
        (0, 0, 0, 0), (0, 0, 0, 0)][:len(outer.rows.first)]
    with minicnn.no_grad():
        x = np.zeros((2, 1, 5, 4))
        x[1] = 1
        for name in ("layer0", "layer1"):
            a = net.activations(x)[name].data
            for row, column in np.ndindex(a.shape[2:]):
                assert (fields[name].box(row, column) == (0, 0, 0, 0)) == (a[0, 0, row, column] == a[1, 0, row, column])
    assert inner.box(0, 2) == (0, 0, 1, 3)


def test_a_transposed_convolution_is_what_changing_pixels_shows():
    net = nn.Sequential({"up": nn.ConvTranspose2d(1, 1, (4, 3), (2, 3), 1, (0, 1)), "conv": nn.Conv2d(1, 1, 3)})
    for name, parameter in net.parameters().items():
        net.set_array(name, np.full(parameter.shape, name.endswith("weight"), np.float32))
    seen, fields = probed(net.astype(np.float64), (6, 7)), receptive_fields(net, (6, 7))
    for (first, last), axis in zip(seen["conv"], (fields["conv"].rows, fields["conv"].columns)):
        assert np.array_equal(axis.first, first) and np.array_equal(axis.last, last)


@pytest.mark.parametrize("name, layer, size, jump", [
    ("caffenet", "pool5", 195, 32), ("caffenet", "conv5", 163, 16), ("caffenet", "pool1", 19, 8), ("caffenet", "fc6", 355, 192),
    ("vgg16", "pool5", 212, 32), ("squeezenet1_1", "pool1", 7, 4)])
def test_sizes_that_are_published_or_done_by_hand(name, layer, size, jump):
    field = receptive_fields(nets.build(name, None))[layer]
    assert (field.rows.size, field.rows.jump) == (size, jump) == (field.columns.size, field.columns.jump)


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "vgg16", "alexnet", "allcnn_imagenet"])
def test_the_formula_and_the_exact_fields_agree_away_from_the_border(name):
    fields, checked = receptive_fields(nets.build(name, None, **({"head": False} if name in ("vgg16", "alexnet") else {})),
                                       (1500, 1400)), 0
    for field in list(fields.values())[1:]:
        for axis, n in ((field.rows, 1500), (field.columns, 1400)):
            middles = axis.start + axis.jump * np.arange(len(axis.first))
            first, last = middles - (axis.size - 1) / 2, middles + (axis.size - 1) / 2
            inner = (first >= 0) & (last < n)
            assert np.array_equal(axis.first[inner], first[inner]) and np.array_equal(axis.last[inner], last[inner])
            checked += inner.sum() > 3
    assert checked > 1.5 * len(fields)


def test_boxes_are_cut_at_the_border_and_wrong_units_and_layers_are_named():
    net = nets.build("squeezenet1_1", None)
    fields = receptive_fields(net)
    assert fields["conv1"].box(0, 1) == (0, 2, 3, 5) and fields["pool5"].box() == (0, 0, 55, 55)
    assert fields["pool10"].box() == (0, 0, 223, 223)           # the last row and column are seen by nobody
    with pytest.raises(ShapeError, match="no unit at row 13, column 0 of a map of 13x13"):
        fields["pool5"].box(13, 0)
    with pytest.raises(SettingError, match="layer1.*whole maps"):
        receptive_fields(around(nn.ReLU(), nn.GroupNorm(1, 1)), 9)
    with pytest.raises(SettingError, match="layer0.*softmax.*no window"):
        receptive_fields(around(nn.Function(ops.softmax, dim=1)), 9)
    with pytest.raises(ShapeError, match="does not fit"):
        receptive_fields(net, 2)


@pytest.mark.parametrize("name", PAINTERS)
def test_networks_that_paint_are_refused_in_a_sentence(name):
    with pytest.raises(SettingError, match="may see everything"):
        receptive_fields(nets.build(name, None), (64, 64))
