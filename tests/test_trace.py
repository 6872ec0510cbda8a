"""The tape as a table and as a drawing: what stands there is what ran, and nothing lies on anything else."""
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import nn, ops
from minicnn.drawing import GAP, layout, spread
from minicnn.errors import SettingError, TapeError
from minicnn.trace import main, network_tape, numbers_of, tape

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def slowly():
    with minicnn.use("ref"):
        yield


def scalars():
    a, b, c = (minicnn.Tensor(np.array(v), requires_grad=True) for v in (2.0, -3.0, 10.0))
    d = a * b
    return d * d + c, {"a": a, "b": b, "c": c, "d": d}


def branched():
    """A small fire module: two branches that a concat joins, and an edge over several rows."""
    net = nn.Network("branched")
    net.add("conv", nn.Conv2d(1, 2, 3))
    net.add("relu", nn.ReLU())
    net.add("left", nn.Conv2d(2, 3, 1), ["relu"])
    net.add("right", nn.Conv2d(2, 3, 3, padding=1), ["relu"])
    net.add("relu_right", nn.ReLU())
    net.add("join", nn.Concat(), ["left", "relu_right"])
    net.add("again", nn.Concat(), ["join", "relu"])
    return net.initialise(0), np.random.default_rng(1).standard_normal((1, 1, 6, 6), np.float32)


def test_numbers_of_a_few_scalars():
    loss, names = scalars()
    found = tape(loss, names, backward=True)
    assert [(row.name, row.op, row.inputs) for row in found.rows] == [
        ("a", "leaf", ()), ("b", "leaf", ()), ("d", "Mul", (0, 1)), ("", "Mul", (2, 2)), ("c", "leaf", ()), ("", "Add", (3, 4))]
    assert [row.gradient.low for row in found.rows] == [36, -24, -12, 1, 1, 1]         # d(d^2 + c): 2 d b, 2 d a, 2 d, ...
    assert [row.values.low if row.values else None for row in found.rows] == [2, -3, -6, None, 10, 46]
    assert [t.grad for t in names.values()] == [None] * 4                   # looking leaves no trace
    assert "4 ops" not in str(found) and "3 ops and 3 leaves, float64" in str(found) and "-24" in str(found)


def test_gradients_that_earlier_passes_left():
    loss, names = scalars()
    assert all(row.gradient is None for row in tape(loss, names).rows) and "way back," not in str(tape(loss, names))
    loss.backward()
    found = tape(loss, names)
    assert {row.name: row.gradient.low for row in found.rows if row.gradient} == {"a": 36, "b": -24, "c": 1}
    assert "gradients that were kept" in str(found)
    tape(loss, names, backward=True)
    assert names["a"].grad == 36


def test_gradients_of_every_op_are_those_of_retain_grad():
    net, x = branched()
    seed = np.random.default_rng(2).standard_normal((1, 8, 4, 4))
    found = {row.name: row for row in network_tape(net, x, seed=seed).rows}
    image = minicnn.Tensor(x, requires_grad=True)
    acts = {"data": image, **net.activations(image)}
    for activation in acts.values():
        activation.retain_grad()
    acts["again"].backward(seed)
    assert list(found) == ["data", "conv", "relu", "left", "right", "relu_right", "join", "again"]
    for name, activation in acts.items():
        assert found[name].gradient == numbers_of(activation.grad) and found[name].values == numbers_of(activation.data)
        assert found[name].shape == activation.shape
    with minicnn.relu_rule("deconvnet"):
        other = {row.name: row for row in network_tape(net, x, seed=seed).rows}
    assert other["right"].gradient.low >= 0 > found["right"].gradient.low


def test_parameters_and_what_is_saved():
    net, x = branched()
    rows = {row.name: row for row in network_tape(net, x).rows}
    assert rows["conv"].parameters == 2 * 9 + 2 and rows["relu"].parameters == 0
    assert rows["conv"].saved == {"w": (2, 1, 3, 3)} and rows["relu"].saved == {"on": (2 * 16,)}
    text = str(network_tape(net, x))
    assert f"{sum(p.size for p in net.parameters().values())} parameters" in text and "#2 1x2x4x4" in text
    trained = network_tape(net.train(), x)
    rows = {row.name: row for row in trained.rows}
    assert rows["conv"].saved == {"x": x.shape, "w": (2, 1, 3, 3)} and rows["conv/weight"].op == "leaf"
    assert [trained.rows[k].name for k in rows["conv"].inputs] == ["data", "conv/weight", "conv/bias"]
    assert f"{sum(p.size for p in net.parameters().values())} parameters" in str(trained)       # and not twice as many


def test_bytes_are_counted_once_and_may_be_let_go():
    x = minicnn.Tensor(np.ones(5), requires_grad=True)
    y = (x * x).sum()
    assert tape(y).bytes_saved == 5 * 8                     # Mul saves x for a and for b
    y.backward(retain_graph=False)
    assert tape(y).bytes_saved == 0 and "let go" in str(tape(y))
    with pytest.raises(TapeError, match="freed"):
        tape(y, backward=True)


def test_what_cannot_be_traced():
    with pytest.raises(TapeError, match="nothing was recorded"):
        tape(minicnn.Tensor([1.0]) * 2)
    with pytest.raises(TapeError, match="needs a seed"):
        tape(minicnn.Tensor([1.0, 2.0], requires_grad=True) * 2, backward=True)
    with pytest.raises(SettingError, match="expected a dict name -> Tensor"):
        tape(scalars()[0], {"a": 1.0})
    with pytest.raises(SettingError, match="expected a Network"):
        network_tape(None, np.zeros((1, 1, 6, 6)))
    with pytest.raises(minicnn.errors.UnknownNameError, match="did you mean 'relu'"):
        network_tape(*branched(), "relo")


def boxes_of(svg):
    return [tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
            for r in ET.fromstring(svg).iter(f"{SVG}rect") if r.get("class") != "ground"]


def overlaps(a, b):
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


@pytest.mark.parametrize("make", [lambda: tape(*scalars(), backward=True), lambda: network_tape(*branched()),
                                  lambda: network_tape(branched()[0].train(), branched()[1], backward=True)])
def test_drawing_has_a_box_for_each_row_and_none_overlap(make):
    found = make()
    svg = found.svg()
    boxes = boxes_of(svg)
    assert len(boxes) == len(found.rows)
    assert not any(overlaps(a, b) for k, a in enumerate(boxes) for b in boxes[:k])
    root = ET.fromstring(svg)
    assert all(0 < left and left + width < float(root.get("width")) and 0 < top and top + height < float(root.get("height"))
               for left, top, width, height in boxes)
    for k, row in enumerate(found.rows):
        for source in row.inputs:
            assert boxes[source][1] + boxes[source][3] < boxes[k][1]                    # what is read stands above
    texts = [t.text for t in root.iter(f"{SVG}text")]
    for row in found.rows:
        assert row.name in texts or not row.name
        assert row.gradient is None or row.shape == () or f"|gradient| {row.gradient.norm:.3g}" in texts
    heads = [p for p in root.iter(f"{SVG}path") if p.get("class") == "head"]
    assert len(heads) == sum(len(set(row.inputs)) for row in found.rows)


def test_edges_pass_beside_the_boxes():
    inputs = [(), (0,), (1,), (2,), (0, 3), (1, 4), (0, 2, 5), (0,), (7, 3), (6, 8)]
    where = layout([(80 + 10 * (k % 3), 30 + 20 * (k % 4)) for k in range(len(inputs))], inputs)
    assert len(where.edges) == sum(map(len, inputs)) and max(map(len, where.edges)) > 9
    for points in where.edges:
        for (x, y), (to_x, to_y) in zip(points[::2], points[1::2]):                     # straight down through a row
            assert x == to_x and y <= to_y
            assert not any(left < x < left + width and y < top + height and top < to_y
                           for left, top, width, height in where.boxes)
        for (_, y), (_, to_y) in zip(points[1::2], points[2::2]):                       # sideways where there are no boxes
            assert y < to_y and not any(y < top + height and top < to_y for _, top, _, height in where.boxes)


def test_a_large_graph_is_drawn_in_a_moment():
    x = minicnn.Tensor(np.ones(2), requires_grad=True)
    y, first = x, x
    for k in range(150):
        y = ops.relu(y) + (first if k % 10 == 0 else y)
    boxes = boxes_of(tape(y.sum()).svg())
    assert len(boxes) == 302 and not any(overlaps(a, b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_spread_is_least_squares_under_the_gaps():
    assert spread([0, 500], [10, 10]) == [0, 500]
    assert spread([100, 0], [20, 20]) == [50 - (20 + GAP) / 2, 50 + (20 + GAP) / 2]
    found = np.array(spread([0, 1, 2, 300], [30, 30, 30, 30]))
    assert np.allclose(np.diff(found[:3]), 30 + GAP) and np.isclose(found[:3].mean(), 1) and found[3] == 300


def test_files_are_whole_or_not_at_all(tmp_path):
    found = tape(scalars()[0], {"<a & b>": scalars()[1]["a"]})
    found.save_svg(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == found.svg() and [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    with pytest.raises(SettingError, match="cannot be written"):
        found.save_svg(tmp_path / "nowhere" / "a.svg")
    loss, names = scalars()
    ET.fromstring(tape(loss, {"<&>": names["a"]}).svg())                    # names are escaped


def test_the_command(tmp_path, capsys):
    assert main(["lenet", "--layer", "pool1", "--svg", str(tmp_path / "a.svg")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("lenet with random weights") and "conv1  Conv2d" in printed and "the way back" in printed
    assert len(boxes_of((tmp_path / "a.svg").read_text())) == 3
    for arguments, message in ((["lenet", "--layer", "pool11"], "did you mean 'pool1'"), (["nothing"], "no network named"),
                               (["lenet", "--image", str(tmp_path / "no.png")], "no.png")):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith("minicnn.trace: ") and error.count("\n") == 1


def test_the_module_is_at_hand_and_says_nothing_by_itself():
    code = "import minicnn; assert minicnn.trace.tape and 'minicnn.trace' in __import__('sys').modules"
    for command in (["-c", code], ["-m", "minicnn.trace", "--help"]):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stderr == "" and (command[0] == "-c") == (done.stdout == "")
