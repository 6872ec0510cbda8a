"""tools.bench: the cases are what they say, contenders that disagree are not timed, and the command leaves its figures."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.errors import MinicnnError
from minicnn.fool.pixels import probabilities
from tools.bench import __main__ as bench, cases, fool, ours, steps, tsne

ROOT = Path(__file__).parent.parent


def test_operations_and_steps_of_vgg16():
    """Published: 15.5 G multiply-adds (Canziani et al. 2016)."""
    net = minicnn.build("vgg16", rng=None)
    case = steps.Case("nets", "", cases.record(net, np.zeros((1, 3, 224, 224), np.float32)), "", (1, 3, 224, 224))
    assert case.multiply_adds == 15_470_264_320
    assert [step.op for step in case.steps].count("Conv2d") == 13


def test_recorded_steps_are_the_network(tmp_path):
    net = minicnn.build("squeezenet1_1", rng=0)
    rng = np.random.RandomState(1)
    x, seed = rng.standard_normal((1, 3, 64, 64)).astype("f"), rng.standard_normal((1, 1000)).astype("f")
    case = steps.Case("nets", "", cases.record(net, x), cases._saved(net, tmp_path), x.shape, backward=True)
    scores, gradient = ours.Contender(1).prepare(case, x, None, seed)()
    picture = minicnn.Tensor(x, requires_grad=True)
    expected = net(picture)
    expected.backward(seed)
    assert np.array_equal(scores, expected.data) and np.array_equal(gradient, picture.grad)


def test_training_steps_lower_the_loss(tmp_path):
    for case in cases.train_cases(tmp_path, batches=(4,)):
        run = ours.Contender(1).prepare(case, *steps.input_of(case))
        losses = [float(run()[0]) for _ in range(4)]
        assert all(later < earlier for earlier, later in zip(losses, losses[1:])), case.name


def test_contenders_that_disagree_are_not_timed():
    case = steps.Case("nets", "a net", (), "", (1,))
    right = [np.ones(4), np.ones(4)]
    assert bench._agree(case, right, right, "PyTorch") == (0, 0)
    for wrong in ([np.ones(4) * 1.001, np.ones(4)], [np.ones(4), np.ones(4) * 1.1], [np.full(4, np.nan), np.ones(4)]):
        with pytest.raises(bench.BenchError, match="a net: minicnn and PyTorch differ by .* nothing was timed"):
            bench._agree(case, wrong, right, "PyTorch")


def test_the_command_prints_a_table_and_writes_figures(tmp_path):
    command = [sys.executable, "-m", "tools.bench", "ops", "--only", "lenet ip2", "--rounds", "3",
               "--json", str(tmp_path / "a.json")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "lenet ip2 500" in result.stdout and "GFLOP/s" in result.stdout
    figures = json.loads((tmp_path / "a.json").read_text())
    assert [r["name"] for r in figures["records"]] == ["lenet ip2 500", "lenet ip2 500 fwd+bwd"]
    assert all(len(r["rounds"]["minicnn"]) == 3 and r["seconds"]["minicnn"] > 0 for r in figures["records"])


def test_an_unknown_suite_is_refused():
    result = subprocess.run([sys.executable, "-m", "tools.bench", "oops"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "'oops' is none of ops, nets, train, style, memory, startup" in result.stderr


@pytest.mark.parametrize("arguments, says", [
    (["--json", "no/such/folder/a.json"], "is no place for a file"), (["--json", "tests"], "is no place for a file"),
    (["lenet", "--threads", "0"], "none of ops"), (["product"], "product does not run with --backend cpu; on a GPU run nets"),
    (["ops", "--backend", "cuda"], "ops does not run with --backend cuda; on a GPU run nets, style, tsne, product")])
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments, says, capsys):
    with pytest.raises(SystemExit):
        bench.parsed(arguments)
    assert says in capsys.readouterr().err


def test_a_name_that_no_case_has(monkeypatch):
    monkeypatch.setattr("tools.bench.machine.peaks", lambda threads: (1e9, 1e9))
    assert bench.main(["memory", "startup", "--only", "nonsense"]) == "no case of memory, startup has 'nonsense' in its name"


def test_an_interrupt_keeps_what_was_measured(monkeypatch, tmp_path):
    def interrupted(*_):
        yield {"suite": "startup", "name": "a", "cold": 2., "warm": 1.}
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.bench.machine.peaks", lambda threads: (1e9, 1e9))
    monkeypatch.setattr(bench, "records", interrupted)
    assert "interrupted" in bench.main(["--json", str(tmp_path / "a.json")])
    figures = json.loads((tmp_path / "a.json").read_text())
    assert not figures["complete"] and figures["records"][0]["warm"] == 1


def test_the_table_of_attacks():
    made = list(fool.records(1, False, 1, "softmax_mnist, FGSM"))
    assert [r["name"] for r in made] == ["softmax_mnist, FGSM"] and made[0]["success"] > 0.9 and made[0]["file"] > 0.9
    assert 0.05 < made[0]["median"] <= 0.1 and "fooled" in fool.row(made[0])
    net = minicnn.load("softmax_mnist")
    pixels, labels = fool.rightly_seen(net, "softmax_mnist")
    assert len(pixels) > 250 and (probabilities(net, pixels).argmax(axis=1) == labels).all()
    nothing = fool.measure(net, "x, L-BFGS to a class", lambda net, p, y, goals: p, None, pixels, labels, 1)
    assert nothing["success"] == 0 and np.isnan(nothing["median"])
    with pytest.raises(MinicnnError, match="do not make the same attack, nothing was compared"):
        fool.measure(net, "x, FGSM", lambda net, p, y, goals: p, lambda: 1 - pixels, pixels, labels, 1)


def test_maps_are_made_in_a_process_of_their_own_and_judged_by_one_measure(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 100).astype(np.uint8)
    points = rng.normal(size=(300, 6, 10)) + 8 * rng.normal(size=(3, 6, 10))[labels]
    monkeypatch.setattr(tsne, "all_digits", lambda: (points, labels))
    record = tsne.measure(300, ["minicnn"], 1, 1, tmp_path)
    Y, P = np.load(tmp_path / "map.npy"), minicnn.embed.sparse_affinities(np.load(tmp_path / "points.npy"), 30)
    w = 1 / (1 + ((Y[:, None].astype(float) - Y) ** 2).sum(axis=2))
    np.fill_diagonal(w, 0)
    P, Q = P.toarray(), w / w.sum()
    pairs = P > 0
    assert record["kl"]["minicnn"] == pytest.approx(np.sum(P[pairs] * np.log(P[pairs] / Q[pairs])), rel=1e-5)
    assert record["accuracy"]["minicnn"] == 1 and record["seconds"]["minicnn"] > 0 and record["bytes"]["minicnn"] > 1e7
    assert "accuracy 1.0000" in tsne.rows(record)
    assert tsne.judged(minicnn.embed.sparse_affinities(Y, 30), Y, rng.permutation(labels))[1] < 0.6
