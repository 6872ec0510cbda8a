"""The walks: their numbers against closed forms and other libraries, and the ways to go through them."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.signal
from scipy.special import softmax

import minicnn
from lectures import stepping
from lectures.__main__ import lecture_names, main
from lectures.tiny import bar, tiny_net
from minicnn.backend import current
from minicnn.embed.affinities import conditional_affinities
from minicnn.errors import SettingError
from minicnn.ops.conv2d import conv2d_forward_ref

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def walks():
    """Every walk's states, by the lecture's name without its number."""
    return {name[3:]: list(stepping.walk(name)) for name in lecture_names()}


def forward(x):
    """Return the scores of the tiny network for x (6, 6), computed with SciPy."""
    weights = {name: p.data.astype(float) for name, p in tiny_net().parameters().items()}
    maps = np.stack([np.maximum(scipy.signal.correlate2d(x, w[0], "valid"), 0) for w in weights["conv/weight"]])
    pooled = maps.reshape(2, 2, 2, 2, 2).max(axis=(2, 4))
    return weights["scores/weight"] @ pooled.ravel() + weights["scores/bias"]


def slope(function, x, step=1e-5):
    """Return the gradient of a function of an array by central differences."""
    found = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        nudge = np.zeros(x.shape)
        nudge[at] = step
        found[at] = (function(x + nudge) - function(x - nudge)) / (2 * step)
    return found


def titled(states, part):
    return [s for s in states if part in s.title]


# --- all of them ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [n[3:] for n in lecture_names()])
def test_every_lecture_has_a_walk_that_can_be_shown(name, walks):
    assert len(walks[name]) >= 5
    for number, found in enumerate(walks[name]):
        path, line = found.source.split(":")
        assert 1 <= int(line) <= len((ROOT / path).read_text(encoding="utf-8").splitlines())
        assert found.formula in (ROOT / path).read_text(encoding="utf-8") and found.numbers
        text = stepping.as_text(number, found).splitlines()
        assert max(map(len, text)) <= stepping.WIDTH and text[0].startswith(f"[{number}] ")


def test_the_source_is_the_line_that_is_carried_out():
    found = stepping.state("", conv2d_forward_ref, "y[n, f, i, j] =", {"a": 1}, line="np.sum(window * w[f])")
    path, line = found.source.split(":")
    assert path == "minicnn/ops/conv2d.py" and found.formula.startswith("y[n, f, i, j] = b[f] + sum")
    assert "out[n, f, i, j] = np.sum(window * w[f]) + b[f]" in (ROOT / path).read_text().splitlines()[int(line) - 1]
    for formula, where in (("no such formula", None), ("y[n, f, i, j] =", "no such line")):
        with pytest.raises(SettingError, match="has no line with 'no such"):
            stepping.state("", conv2d_forward_ref, formula, {}, line=where)


# --- the numbers of each ----------------------------------------------------------------------------------------------
def test_convolution(walks):
    states = walks["raw_filters"]
    x, w, b = states[0].numbers.values()
    y = sum(scipy.signal.correlate2d(x[c], w[c], "valid") for c in range(2)) + b
    assert np.array_equal(states[9].numbers["y so far"], y) and np.isnan(states[8].numbers["y so far"]).sum() == 1
    assert all(s.numbers["x"].marks.sum() == 18 for s in states[1:10])
    back = states[10].numbers
    assert np.array_equal(back["dL/dx"], [scipy.signal.convolve2d(back["dL/dy"], w[c], "full") for c in range(2)])
    assert np.array_equal(states[11].numbers["dL/dw"], [scipy.signal.correlate2d(x[c], back["dL/dy"], "valid") for c in range(2)])


def test_perplexity(walks):
    states = walks["perplexity"]
    numbers = titled(states, "for every point")[0].numbers
    p, distances = numbers["p_{j|i}"], states[0].numbers["||x_i - x_j||"]
    assert np.allclose(p.sum(axis=1), 1) and np.allclose(np.exp(-(p * np.log(p + 1e-300)).sum(axis=1)), 2, rtol=1e-3)
    others = distances[~np.eye(5, dtype=bool)].reshape(5, 4)
    assert np.allclose(numbers["sigma"], conditional_affinities(others, 2, return_sigma=True)[1], rtol=5e-3)

    def excess(sigma):
        w = np.exp(-others[0] ** 2 / (2 * sigma ** 2))
        return -(w / w.sum() * np.log(w / w.sum())).sum() - np.log(2)
    assert np.isclose(numbers["sigma"][0], scipy.optimize.brentq(excess, 0.5, 10), rtol=5e-3)
    low, high = np.transpose([s.numbers["between"] for s in titled(states, "point 0:")])
    assert (np.diff(low) >= 0).all() and (np.diff(high) <= 0).all()
    assert titled(states, "symmetric")[0].numbers["sum"] == pytest.approx(1)


def test_sne_and_tsne(walks):
    states = walks["sne_and_tsne"]
    p, Y = states[1].numbers["p_{j|i}"], states[2].numbers["y"]
    off = ~np.eye(5, dtype=bool)

    def cost(Y, P, gaussian):
        square = ((Y[:, None] - Y[None]) ** 2).sum(axis=2)
        w = np.where(off, np.exp(-square) if gaussian else 1 / (1 + square), 0)
        return (P[off] * np.log(P[off] / (w / (w.sum(axis=1, keepdims=True) if gaussian else w.sum()))[off])).sum()
    assert np.allclose(states[4].numbers["dC/dy"], slope(lambda Y: cost(Y, p, True), Y), atol=1e-5)
    P = states[5].numbers["p_ij"]
    assert np.allclose(P, P.T) and P.sum() == pytest.approx(1) and states[6].numbers["q_ij"].sum() == pytest.approx(1)
    assert np.allclose(states[7].numbers["dC/dy"], slope(lambda Y: cost(Y, P, False), Y), atol=1e-5)
    falling = [s.numbers["C"] for s in states if "t-SNE" in s.title and "C" in s.numbers]
    assert len(falling) == 6 and (np.diff(falling) < 0).all()
    assert falling[-1] == pytest.approx(cost(states[12].numbers["y"], P, False))


def test_quadtree(walks):
    states = walks["quadtree"]
    assert [s.numbers["the tree"].split()[0] for s in states[:5]] == ["2", "3", "4", "5", "6"]
    assert all(str(k) in states[4].numbers["the square"] for k in range(6)) and "5" not in states[3].numbers["the square"]
    for found, theta in zip(titled(states, "looks around"), (1.2, 0.5, 0)):
        lines = found.numbers["the cells that it meets"].splitlines()[1:]
        ends = [line for line in lines if "look closer" not in line]
        assert sorted(int(k) for line in ends for k in line.split(": ")[1].split(", ")) == list(range(6))
        for line in ends:
            ratio = float(line.split()[4])
            assert (ratio < theta) == ("one mass" in line)
    from lectures.steps.quadtree import POINTS
    springs = POINTS[:, None] - POINTS[None]
    w = 1 / (1 + (springs ** 2).sum(axis=2)) * ~np.eye(6, dtype=bool)
    assert np.allclose(states[-1].numbers["repulsion"], (w[..., None] ** 2 * springs).sum(axis=1))
    assert states[-1].numbers["Z"] == pytest.approx(w.sum())


def test_backprop_deconvnet_guided(walks):
    states = walks["backprop_deconvnet_guided"]
    f, R, w = states[1].numbers["f"].values, states[4].numbers["R"], states[0].numbers["w"]
    assert np.array_equal(states[0].numbers["y"], scipy.signal.correlate2d(states[0].numbers["x"], w, "valid"))
    assert np.array_equal(states[2].numbers["pooled"], f.reshape(2, 2, 2, 2).max(axis=(1, 3)))
    assert np.array_equal(f.ravel()[states[2].numbers["switches"]], states[2].numbers["pooled"])
    assert states[3].numbers["unpooled"].values.sum() == states[3].numbers["R"].sum()
    for k, below in ((4, R * (f > 0)), (6, R * (R > 0)), (8, R * (f > 0) * (R > 0))):
        assert np.array_equal(states[k].numbers["R_x"].values, below)
        assert np.array_equal(states[k + 1].numbers["the picture"], scipy.signal.convolve2d(below, w, "full"))
    assert len({states[k].numbers["R_x"].values.tobytes() for k in (4, 6, 8)}) == 3         # the rules differ here


def test_occlusion_and_saliency(walks):
    states = walks["occlusion"]
    for k, found in enumerate(states[1:10]):
        p = softmax(forward(found.numbers["x'"].values.astype(float)))[0]
        assert found.numbers["map of p"].ravel()[k] == pytest.approx(p, abs=1e-6) and found.numbers["x'"].marks.sum() == 4
    assert not np.isnan(states[10].numbers["mean p of the windows over each pixel"]).any()
    states = walks["saliency"]
    x = states[0].numbers["x"].astype(float) + 1e-3 * np.random.default_rng(0).standard_normal((6, 6))      # off ties of pooling
    w = slope(lambda x: forward(x)[0], x, 1e-6)
    assert np.allclose(states[3].numbers["w"][0], w, atol=1e-4)
    assert np.allclose(states[4].numbers["M"].values, np.abs(w), atol=1e-4)


def test_inside_the_network(walks):
    x = bar()[:, :, 0] / 100 - 1
    view = walks["activations"]
    A = np.stack([scipy.signal.correlate2d(x, w[0], "valid") for w in tiny_net().parameters()["conv/weight"].data])
    assert np.allclose(view[0].numbers["A"], A, atol=1e-5)
    shown = 255 * (np.maximum(A, 0) / A.max(axis=(1, 2), keepdims=True)) ** 0.7
    assert np.abs(view[3].numbers["tiles"].astype(float) - shown).max() <= 0.51
    crop = walks["top_crops"][1].numbers["crop"]
    assert (crop / 100 - 1 == x[1:4, 1:4]).all() and np.argmax(A[0]) == 5
    mask = walks["segmentation"]
    assert mask[-2].numbers["object"].tolist() == [[0] * 5, [0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0] * 5]
    energies = [s.numbers["E"] for s in mask if "E" in s.numbers]
    assert (np.diff(energies) <= 1e-9).all() and energies[-1] < energies[0] - 10


def test_patches(walks):
    states = walks["patches"]
    size = jump = 1
    for found, (k, s) in zip(states[1:5], ((3, 1), (1, 1), (2, 2), (3, 1))):
        size, jump = size + (k - 1) * jump, jump * s
        assert (found.numbers["size"], found.numbers["jump"]) == (size, jump)
    maps = np.stack([m for s in states[7:9] for name, m in s.numbers.items() if "picture " in name])        # (4, 2, 3, 3)
    assert np.array_equal(states[8].numbers["values (unit, rank)"], -np.sort(-maps.max(axis=(2, 3)).T, axis=1)[:, :2])


def test_pictures_that_are_looked_for(walks):
    def numbers(name, what):
        return [s.numbers[what] for s in walks[name] if what in s.numbers]
    assert numbers("inversion", "E")[-1] < 0.1 * numbers("inversion", "E")[0]
    climbs = [float(s.title.split("S = ")[1].split(",")[0]) for s in titled(walks["class_models"], "S = ")]
    assert (np.diff(climbs) > 0).all() and climbs[-1] > 1
    tidy = walks["class_models"][6:]
    x, g = tidy[0].numbers["x"], tidy[0].numbers["g"]
    assert np.allclose(tidy[1].numbers["x"].values, x + 20 * g) and np.allclose(tidy[2].numbers["x"].values, 0.8 * (x + 20 * g))
    assert tidy[4].numbers["x"].marks.sum() >= 17 and tidy[5].numbers["x"].marks.sum() >= 17               # half of 36, about
    assert (np.diff(numbers("deep_generator", "S")) > 0).all() and np.max(numbers("deep_generator", "z")) <= 1.5
    waves = walks["fourier"]
    y = np.fft.irfft2(waves[0].numbers["scale"] * waves[3].numbers["Re z"], s=(6, 6)) / 4
    assert np.allclose(waves[3].numbers["red"], 1 / (1 + np.exp(-y * minicnn.visualize.fourier.COLOURS[0, 0])))
    assert np.isclose(*waves[7].numbers.values(), rtol=0.01)
    dreams = numbers("deepdream", "1/2 ||a||^2")
    assert (np.diff(dreams[::2]) > 0).all() and np.isclose(dreams[0], (walks["deepdream"][0].numbers["a"] ** 2).sum() / 2)


def test_attribution(walks):
    for found in titled(walks["attribution"], "integrated")[-1:]:
        assert found.numbers["sum"] == pytest.approx(found.numbers["S(x) - S(b)"], rel=0.01)
        x = bar()[:, :, 0] / 100 - 1
        assert found.numbers["S(x) - S(b)"] == pytest.approx(forward(x)[0] - forward(x.T)[0], abs=1e-5)
    first = titled(walks["attribution"], "Grad-CAM:")
    w, A = first[1].numbers["w"], first[0].numbers["A"]
    assert np.allclose(first[2].numbers["L"], np.maximum(np.tensordot(w, A, 1), 0), atol=1e-6)


def test_facets(walks):
    for found in titled(walks["multifaceted"], "inertia"):
        n = found.numbers
        distances = ((n["y"][:, None] - n["centres"]) ** 2).sum(axis=2)
        assert np.array_equal(n["a"], distances.argmin(axis=1)) and f"{distances.min(axis=1).sum():.3f}" in found.title


def test_styles_and_norms(walks):
    grams = walks["neural_style"]
    F = grams[0].numbers["F"]
    assert np.array_equal(grams[1].numbers["G"].values, F @ F.T)
    moves = titled(grams, "downhill")
    losses = [float(s.title.split()[-1]) for s in moves]
    A = grams[4].numbers["A"]
    assert (np.diff(losses) < 0).all()
    gradient = slope(lambda F: ((F @ F.T - A) ** 2).sum() / (A ** 2).sum(), F)
    assert np.allclose(moves[0].numbers["dL/dF = (dL/dG + dL/dG^T) F"], gradient, atol=1e-6)
    assert [s.numbers["style loss"] == 0 for s in walks["textures"][1:]] == [True, True, True, False, False]
    fast = walks["fast_style"]
    assert np.allclose(fast[1].numbers["its variance"], 1, atol=1e-4)
    planes = fast[0].numbers["x"]

    def middle(x):
        return 2 * (x[0, 1, 1] - x[0].mean()) / np.sqrt(x[0].var() + 1e-5)
    assert np.allclose(fast[5].numbers["dL/dx"], slope(middle, planes), atol=1e-6)
    assert np.allclose(fast[3].numbers["y"], fast[2].numbers["y"], atol=2e-3)
    for found in titled(walks["normalizations"], "mean 0 and variance 1"):
        values = np.concatenate([found.numbers[f"picture {k}"].values[found.numbers[f"picture {k}"].marks] for k in (0, 1)])
        assert np.isclose(values.mean(), 0, atol=1e-6) and np.isclose(values.var(), 1, atol=1e-3)
    styles = {s.title: s.numbers for s in walks["many_styles"]}
    half = styles["half of style 0, half of style 1"]["y"]
    assert np.allclose(half, (styles["style 0"]["y"] + styles["style 1"]["y"]) / 2)


def test_music(walks):
    states = walks["music"]
    assert np.allclose(states[3].numbers["less x"], 0)
    magnitude = states[1].numbers["|S| (k, t)"]
    assert magnitude.marks.argmax(axis=0)[[2, 6]].tolist() in ([1, 3], [0, 3], [0, 4], [1, 4])       # low, then high
    errors = [float(s.title.split("= ")[1]) for s in titled(states, "without them")]
    assert (np.diff(errors) <= 0).all()
    for found in titled(states, "without them")[-1:]:
        assert errors[-1] == pytest.approx(np.linalg.norm(found.numbers["|S|"] - found.numbers["M"])
                                           / np.linalg.norm(found.numbers["M"]), abs=1e-4)


def test_fooled(walks):
    steps = titled(walks["adversarial"], "one step of epsilon")
    p = walks["adversarial"][0].numbers["p"]
    for found, epsilon in zip(steps, (0.01, 0.05, 0.15)):
        changed = found.numbers["p'"].astype(float)
        assert np.abs(changed - p).max() <= epsilon + 1e-6
        assert found.numbers["J"] == pytest.approx(-np.log(softmax(forward(2.55 * changed - 1))[0]), abs=1e-4)
    assert forward(2.55 * steps[-1].numbers["p'"] - 1).argmax() != forward(2.55 * p - 1).argmax() == 0
    for found in walks["linear"][3:]:
        assert found.numbers["gain of one over the other"] == pytest.approx(found.numbers["epsilon ||w_k - w_c||_1"][0])
    ostrich = walks["ostrich"]
    best = ostrich[-1].numbers
    assert softmax(forward(2.55 * best["p + r"].astype(float) - 1)).argmax() == 1 and best["probability of the target"] > 0.5
    r = best["p + r"].astype(float) - ostrich[0].numbers["p + r"]
    assert best["distortion"] == pytest.approx(np.sqrt((r ** 2).mean()), rel=1e-4)
    sure = [float(s.title.split("P = ")[1][:6]) for s in titled(walks["fooling_images"], "P = ")]
    assert sure[0] < 0.3 and sure[-1] > 0.9
    pgd = titled(walks["neighbours"], "PGD")
    assert all(np.abs(s.numbers["p - p0"].values).max() <= 0.1 + 1e-6 for s in pgd) and "no longer" in pgd[-1].title
    assert "now plain" in walks["neighbours"][-1].title


def test_evolution_and_hog(walks):
    shown = [s.numbers["fitness"] for s in walks["evolved_images"] if "fitness" in s.numbers]
    kept = [getattr(fitness, "values", fitness) for fitness in shown]
    assert (np.diff(kept, axis=0) >= 0).all() and (kept[-1] > kept[0]).any()
    last = walks["evolved_images"][-1].numbers["elites"]
    templates = titled(walks["evolved_images"], "the start")[0].numbers["templates"]
    assert np.allclose(1 - np.abs(last - templates).mean(axis=(1, 2)), kept[-1])
    hog = walks["hog"]
    assert hog[5].numbers["distance"] < 1e-12 and hog[6].numbers["distance"] < 1e-6
    p = hog[0].numbers["p"]
    assert np.allclose(hog[0].numbers["across"][:, 1:-1], p[:, 2:] - p[:, :-2])
    assert np.allclose(sum(v for k, v in hog[2].numbers.items() if "bin" in k), hog[1].numbers["||g||"])
    assert "105" in hog[-1].title and float(hog[-1].title.split(": ")[1].split()[0]) < 0.3


def test_maps_of_digits_and_codes(walks):
    pixels = np.stack(list(walks["digits"][0].numbers.values())).reshape(6, 16)
    spread = np.linalg.svd(pixels - pixels.mean(axis=0), compute_uv=False) ** 2
    held = walks["digits"][1].numbers["part of the spread that they hold"]
    assert np.allclose(held, spread[:2] / spread.sum(), atol=0.01)          # the pixels that are shown are rounded
    cost = walks["cnn_codes"][1].numbers["c (point, cell)"]
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    given, proof = walks["cnn_codes"][3].numbers, walks["cnn_codes"][4].numbers
    assert given["cost"] == pytest.approx(cost[rows, columns].sum()) == pytest.approx(proof["sum u + sum v"])
    assert (proof["c - u - v"].values >= 0).all() and (proof["c - u - v"].values[proof["c - u - v"].marks] == 0).all()
    assert given["cost"] > walks["cnn_codes"][2].numbers["their sum"]


# --- going through them -----------------------------------------------------------------------------------------------
def pressed(*answers):
    """Return what asks for keys and gets these, one after the other; Exceptions are raised."""
    answers = iter(answers)

    def ask(prompt):
        answer = next(answers)
        if isinstance(answer, type):
            raise answer
        return answer
    return ask


@pytest.mark.parametrize("answers, count", [
    (["q"], 1), (["", "", "Q"], 3), (["3", "q"], 4), (["c"], 11), (["x", "0", "-1", "", "q"], 2), ([EOFError], 1),
    (["", KeyboardInterrupt], 2), (["2", "c"], 11), ([""] * 11, 11), (["100"], 11)])
def test_keys(answers, count):
    written = []
    states = stepping.walk("08_occlusion")
    assert stepping.show(states, True, pressed(*answers), written.append) == count
    assert [text.split("]")[0] for text in written if text] == [f"[{k}" for k in range(count)]
    assert next(states, None) is None                                       # it is closed


def test_a_trace_is_what_was_shown(tmp_path, capsys):
    path = tmp_path / "walk.jsonl"
    assert main(["quadtree", "--step", "--trace", str(path)]) == 0
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    states = list(stepping.walk("03_quadtree"))
    assert [line["step"] for line in lines] == list(range(len(states))) and "11 states" in printed
    for number, (line, found) in enumerate(zip(lines, states)):
        assert (line["title"], line["formula"], line["source"]) == (found.title, found.formula, found.source)
        assert line["numbers"] == {name: stepping.plain(value) for name, value in found.numbers.items()}
        assert stepping.as_text(number, found) in printed


@pytest.mark.parametrize("name", lecture_names())
def test_the_same_seed_gives_the_same_file_and_states_do_not_change_later(name, tmp_path, walks):
    path = tmp_path / "walk.jsonl"
    for found in stepping.recorded(stepping.walk(name), path):
        assert current() == "cpu"                                           # nothing is left set between the steps
    lines = path.read_text(encoding="utf-8").splitlines()
    again = [{key: stepping.plain(value) for key, value in found.numbers.items()} for found in walks[name[3:]]]
    assert [json.loads(line)["numbers"] for line in lines] == json.loads(json.dumps(again))


def test_another_seed_gives_other_numbers(tmp_path):
    for seed in (0, 1):
        assert main(["raw_filters", "--trace", str(tmp_path / str(seed)), "--seed", str(seed)]) == 0
    assert (tmp_path / "0").read_bytes() != (tmp_path / "1").read_bytes()


def test_a_trace_alone_shows_nothing_and_asks_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", pressed())
    assert main(["saliency", "--trace", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("end", ["q", KeyboardInterrupt, EOFError])
def test_the_trace_so_far_is_kept(end, tmp_path):
    path = tmp_path / "a"
    path.write_text("an older one")
    stepping.show(stepping.recorded(stepping.walk("08_occlusion"), path), True, pressed("", "", end), lambda text: None)
    assert len(path.read_text().splitlines()) == 3 and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_ctrl_c_within_a_step_keeps_the_trace_so_far(tmp_path):
    def states():
        yield from list(stepping.walk("08_occlusion"))[:4]
        raise KeyboardInterrupt
    assert stepping.show(stepping.recorded(states(), tmp_path / "a"), False, write=lambda text: None) == 4
    assert len((tmp_path / "a").read_text().splitlines()) == 4


def test_nobody_to_press_keys():
    done = subprocess.run([sys.executable, "-m", "lectures", "raw_filters", "--step"], cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("minicnn/") == 13 and "Enter" not in done.stdout and done.stderr == ""
    assert done.stdout.startswith("Visualize the filters/kernels (raw weights)\nWhat a filter does")
    piped = subprocess.run(f"{sys.executable} -m lectures raw_filters --step < /dev/null | head -1", cwd=ROOT, shell=True,
                           capture_output=True, text=True, timeout=60)
    assert piped.stdout.startswith("Visualize") and piped.stderr == ""


def test_what_cannot_be_walked(tmp_path, capsys):
    for arguments, message in ((["--step"], "given are 0 lectures"), (["saliency", "hog", "--step"], "given are 2 lectures"),
                               (["salency", "--step"], "did you mean 'saliency'"), (["hog", "--step", "--seed", "-1"], "seed -1"),
                               (["hog", "--trace", str(tmp_path / "no" / "a")], "an existing folder"),
                               (["hog", "--trace", str(tmp_path)], "an existing folder")):
        assert main(arguments) == 2
        printed = capsys.readouterr()
        assert message in printed.err and printed.err.count("\n") == 1 and printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_printed_aligned():
    values = {"a": np.array([[1.0, -2], [10, 0]]), "b": stepping.Marked(np.array([1.5, np.nan]), np.array([True, False])),
              "c": np.full((2, 2, 2), 0.12346), "d": 3, "e": "two\nlines", "f": np.array([1e9, np.inf])}
    lines = stepping.as_text(7, stepping.StepState("title", "formula", values, "file:1")).splitlines()
    assert lines[0] == "[7] title" and lines[1:3] == ["    formula", "    file:1"]
    assert lines[4:7] == ["    a (2, 2)   b (2,)        c (2, 2, 2)                       d   e       f (2,)",
                          "     1 -2      [1.5]    .    0.1235 0.1235  |  0.1235 0.1235   3   two     1.00e+09      inf",
                          "    10  0                    0.1235 0.1235  |  0.1235 0.1235       lines"]
    assert stepping.plain(values["b"]) == {"values": [1.5, None], "marks": [True, False]}
    assert stepping.plain(np.float32(0.1)) == 0.1 and stepping.plain(values["f"]) == [1e9, None]
