"""MAP-Elites, its two encodings, the tool that keeps archives; and HOG, against scikit-image (goldens)."""
import json
import zipfile

import numpy as np
import pytest

import minicnn
from lectures.common import DATA, IMAGES
from make_fool_goldens import LAYOUTS
from minicnn.errors import SettingError, ShapeError
from minicnn.fool.cppn import FUNCTIONS, LARGEST, Cppn, CppnEncoding, drawn, in_order, to_rgb
from minicnn.fool.hog import Layout, as_tensor, blocks, gradient_of, hog, hog_distance, same_hog, same_hog_steps, shares, votes
from minicnn.fool.map_elites import (DirectEncoding, MapElitesState, archive_arrays, archive_of, child_of, map_elites,
                                     map_elites_steps, offered)
from minicnn.fool.pixels import probabilities
from minicnn.fool.variation import polynomial_mutation, simulated_binary_crossover
from minicnn.gradcheck import gradcheck
from minicnn.images import centre_crop, load_image, resize
from minicnn.loop import take
from tools import evolve


# --- variation ------------------------------------------------------------------------------------------------------
def test_polynomial_mutation_has_debs_distribution():
    rng, eta = np.random.default_rng(0), 15
    values = np.full(200_000, 0.5)
    delta = polynomial_mutation(values, 1.0, eta, rng) - 0.5
    assert abs(delta.mean()) < 1e-3
    for x in (0.01, 0.05, 0.1):             # P(|delta| <= x) = 1 - (1 - x)^(eta + 1), from the formula
        assert (np.abs(delta) <= x).mean() == pytest.approx(1 - (1 - x) ** (eta + 1), abs=5e-3)
    changed = polynomial_mutation(values, 0.1, eta, rng) != 0.5
    assert changed.mean() == pytest.approx(0.1, abs=5e-3)
    assert polynomial_mutation(np.array([0.0, 1.0] * 50), 1.0, 1, rng).min() == 0


def test_simulated_binary_crossover_keeps_the_middle_and_the_spread():
    rng = np.random.default_rng(0)
    a, b = np.full(200_000, 0.45), np.full(200_000, 0.55)
    child = simulated_binary_crossover(a, b, 10, rng)
    assert child.mean() == pytest.approx(0.5, abs=1e-3) and (child < 0.5).mean() == pytest.approx(0.5, abs=5e-3)
    beta = np.abs(child - 0.5) / 0.05
    for x in (0.8, 0.9):                    # P(beta <= x) = x^(eta + 1) / 2
        assert (beta <= x).mean() == pytest.approx(x ** 11 / 2, abs=5e-3)
    assert (beta > 1).mean() == pytest.approx(0.5, abs=5e-3)
    assert simulated_binary_crossover(a - 0.45, b + 0.45, 1, rng).min() == 0


# --- CPPN -----------------------------------------------------------------------------------------------------------
def test_a_cppn_by_hand():
    genome = Cppn({5: "sine", -1: "linear"}, {(0, 5): 2.0, (3, 5): 0.5, (5, -1): 0.5, (1, -1): -0.25, (2, -1): 0.125})
    picture = drawn(genome, (5, 9), 1)[0]
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 5))
    expected = 0.5 * np.sin(2 * x + 0.5) - 0.25 * y + 0.125 * np.sqrt(2 * (x ** 2 + y ** 2))
    np.testing.assert_allclose(picture, np.minimum(np.abs(expected), 1), atol=1e-6)
    assert in_order(genome) == [5, -1]


def test_colours_are_those_of_the_standard_library():
    import colorsys
    rng = np.random.default_rng(0)
    h, l, s = rng.random((3, 4, 5))
    ours = to_rgb(h, l, s)
    for index in np.ndindex(4, 5):
        np.testing.assert_allclose(ours[(slice(None), *index)], colorsys.hls_to_rgb(h[index], l[index], s[index]), atol=1e-6)
    np.testing.assert_allclose(to_rgb(h + 3, l, s), ours, atol=1e-6)


def test_mutants_stay_sound_and_every_change_happens():
    encoding, rng = CppnEncoding((6, 7), 3), np.random.default_rng(0)
    genome, changes = encoding.random(rng), set()
    for generation in range(400):
        child = encoding.mutated(genome, rng, generation)
        in_order(child)                                                 # raises where there is a cycle
        assert {-1, -2, -3} <= set(child.nodes) and all(abs(w) <= LARGEST for w in child.connections.values())
        assert {node for pair in child.connections for node in pair} <= {0, 1, 2, 3, *child.nodes}
        assert all(target not in (0, 1, 2, 3) for _, target in child.connections)
        picture = encoding.render([child])
        assert picture.shape == (1, 3, 6, 7) and picture.dtype == np.float32 and 0 <= picture.min() <= picture.max() <= 1
        shared = set(child.connections) & set(genome.connections)
        changes |= {"node added"} if len(child.nodes) > len(genome.nodes) else set()
        changes |= {"node deleted"} if len(child.nodes) < len(genome.nodes) else set()
        changes |= {"connection added"} if set(child.connections) - shared else set()
        changes |= {"connection deleted"} if set(genome.connections) - shared else set()
        changes |= {"weight"} if any(child.connections[p] != genome.connections[p] for p in shared) else set()
        changes |= {"function"} if any(child.nodes[n] != genome.nodes.get(n, child.nodes[n]) for n in child.nodes) else set()
        again = encoding.from_text(encoding.to_text(child))
        assert again == child
        genome = child
    assert changes == {"node added", "node deleted", "connection added", "connection deleted", "weight", "function"}


def test_crossover_takes_the_graph_of_the_first_and_weights_of_both():
    encoding, rng = CppnEncoding((4, 4), 1), np.random.default_rng(1)
    first = encoding.random(rng)
    second = Cppn(first.nodes, {pair: -9.0 for pair in list(first.connections)[1:]})
    child = encoding.crossed(first, second, rng)
    assert child.nodes == first.nodes and set(child.connections) == set(first.connections)
    came = [child.connections[pair] == -9.0 for pair in second.connections]
    assert any(came) and not all(came) and child.connections[next(iter(first.connections))] != -9.0


@pytest.mark.parametrize("text", ["", "[]", "[[], []]", "nonsense", "[" * 100_000,
                                  json.dumps([[[5, "exec"], [-1, "sine"]], [[0, -1, 1.0]]]),
                                  json.dumps([[[-1, "sine"]], [[0, 7, 1.0]]]),
                                  json.dumps([[[-1, "sine"]], [[0, -1, 11.0]]]),
                                  json.dumps([[[-1, "sine"]], [[0, -1, float("nan")]]]),
                                  json.dumps([[[-1, "sine"], [4, "sine"]], [[-1, 4, 1.0], [4, -1, 1.0]]]),
                                  json.dumps([[[-1, "sine"], [4, "sine"], [5, "sine"]], [[5, 4, 1.0], [4, 5, 1.0]]]),
                                  json.dumps([[[-1, "sine"], *([k, "sine"] for k in range(4, 500))], []]),
                                  json.dumps([[[-1, "sine"]], [[0, 0, 1.0]]])])
def test_a_genome_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match="this is no genome"):
        CppnEncoding((4, 4), 1).from_text(text)
    with pytest.raises(SettingError, match="this is no genome"):
        DirectEncoding((4, 4), 1).from_text(text)


# --- MAP-Elites -----------------------------------------------------------------------------------------------------
def test_offered_keeps_the_best_of_each_class_and_offers_every_child_to_all():
    state = MapElitesState(3, np.array([0.5, 0.1, 0.9]), ("a", "b", "c"), 0)
    judged = np.array([[0.4, 0.3, 0.95], [0.6, 0.2, 0.9]])
    after = offered(state, ["p", "q"], judged)
    assert after.elites == ("q", "p", "p") and after.fitness.tolist() == [0.6, 0.3, 0.95] and after.new == 3 and after.step == 4
    tie = offered(after, ["r"], np.array([[0.6, 0.3, 0.95]]))
    assert tie.elites == after.elites and tie.new == 0                  # as good is not better


@pytest.mark.parametrize("encoding", [DirectEncoding((28, 28), 1), CppnEncoding((28, 28), 1)])
def test_lenet_is_sure_of_evolved_digits(encoding):
    net = minicnn.load("lenet_mnist")
    before, course = None, []
    for state in take(200, map_elites_steps(lambda pixels: probabilities(net, pixels), encoding, rng=1)):
        assert before is None or (state.fitness >= before).all()
        before = state.fitness
        course.append(np.median(state.fitness))
    assert np.median(state.fitness) >= 0.99 and state.fitness.min() > 0.5 and course[0] < 0.99
    said = probabilities(net, encoding.render(state.elites))
    np.testing.assert_allclose(said[np.arange(10), np.arange(10)], state.fitness, atol=1e-6)


@pytest.mark.parametrize("encoding", [DirectEncoding((6, 5), 3), CppnEncoding((6, 5), 3)])
def test_a_run_goes_on_with_the_same_bits(encoding, tmp_path):
    def fitness(pixels):
        return np.stack([pixels.mean(axis=(1, 2, 3)), pixels[:, 0].std(axis=(1, 2)), 1 - pixels[:, 2].mean(axis=(1, 2))], axis=1)
    whole = map_elites(fitness, encoding, 12, batch=20, rng=3)
    half = map_elites(fitness, encoding, 5, batch=20, rng=3)
    np.savez(tmp_path / "a.npz", **archive_arrays(half, encoding))
    with np.load(tmp_path / "a.npz") as file:
        start = archive_of(file, encoding)
    rest = map_elites(fitness, encoding, 7, batch=20, rng=3, start=start)
    assert rest.step == whole.step == 12
    np.testing.assert_array_equal(rest.fitness, whole.fitness)
    np.testing.assert_array_equal(encoding.render(rest.elites), encoding.render(whole.elites))
    assert rest.fitness.mean() > half.fitness.mean() and (map_elites(fitness, encoding, 5, batch=20, rng=4).fitness
                                                          != half.fitness).any()


def test_children_have_one_parent_or_two():
    rng, seen = np.random.default_rng(0), set()

    class Names:
        crossover = 0.5

        def crossed(self, a, b, rng):
            return f"{a}{b}"

        def mutated(self, genome, rng, generation):
            return genome
    for _ in range(200):
        seen.add(child_of(("a", "b"), Names(), 0, rng))
    assert seen == {"a", "b", "aa", "ab", "ba", "bb"}


def test_the_rate_of_direct_mutation_is_halved():
    encoding, rng = DirectEncoding((50, 50), 1, halved_every=10), np.random.default_rng(0)
    genome = np.full((1, 50, 50), 0.5, np.float32)
    parts = [(encoding.mutated(genome, rng, generation) != genome).mean() for generation in (0, 9, 10, 25)]
    np.testing.assert_allclose(parts, [0.1, 0.1, 0.05, 0.025], atol=0.02)


@pytest.mark.parametrize("work, says", [
    (lambda: next(map_elites_steps(lambda p: p, DirectEncoding((4, 4)))), "fitness gave"),
    (lambda: next(map_elites_steps(lambda p: np.full((len(p), 2), np.nan), DirectEncoding((4, 4)))), "NaN"),
    (lambda: next(map_elites_steps(None, DirectEncoding((4, 4)), batch=0)), "batch is 0"),
    (lambda: next(map_elites_steps(None, DirectEncoding((4, 4)), rng=-1)), "seed, is -1"),
    (lambda: next(map_elites_steps(None, DirectEncoding((4, 4)), start=3)), "start is a int"),
    (lambda: next(map_elites_steps(None, DirectEncoding((4, 4)), initial=0)), "initial is 0"),
    (lambda: map_elites(lambda p: np.zeros((len(p), 3)), DirectEncoding((4, 4)), 1,
                        start=MapElitesState(0, np.zeros(2), (np.zeros((3, 4, 4)),) * 2, 0)), "start has 2 elites"),
    (lambda: DirectEncoding((4, 4), eta=(-1, 2)), "each of eta is -1"), (lambda: CppnEncoding((4, 5000)), "size is 5000"),
    (lambda: DirectEncoding(4), "size is 4"), (lambda: DirectEncoding((4, 4), 2), "channels 2"),
    (lambda: CppnEncoding((0, 4)), "size is 0"), (lambda: CppnEncoding((4, 4), weight=2), "rate weight is 2"),
])
def test_wrong_settings_get_a_sentence(work, says):
    with pytest.raises((SettingError, ShapeError), match=says):
        work()


# --- the tool -------------------------------------------------------------------------------------------------------
def test_the_tool_goes_on_and_begins_with_another_archive(tmp_path, capsys):
    out, other = str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    command = ["lenet_mnist", "--batch", "20", "--out"]
    assert evolve.main([*command, out, "--generations", "3"]) == 0
    assert evolve.main([*command, out, "--generations", "6"]) == 0
    printed = capsys.readouterr()
    assert "going on after generation 3" in printed.err and "generation 6, median confidence" in printed.out
    assert evolve.main([*command, other, "--generations", "6"]) == 0
    net = minicnn.load("lenet_mnist")
    encoding = evolve.encoding_for(net, "cppn")
    states = [evolve.read_archive(path, encoding) for path in (out, other)]
    np.testing.assert_array_equal(states[0].fitness, states[1].fitness)
    for other_run, says in ((["--seed", "1"], "seed was 0 and is 1"), (["--batch", "21"], "batch was 20"),
                            (["--encoding", "direct"], "encoding was 'cppn'")):
        assert evolve.main([*command, out, "--generations", "9", *other_run]) == 1
        assert says in capsys.readouterr().err
    assert evolve.main(["squeezenet1_1", "--encoding", "direct", "--out", str(tmp_path / "d.npz")]) == 1
    assert "give a smaller --size" in capsys.readouterr().err and not (tmp_path / "d.npz").exists()
    begun = str(tmp_path / "c.npz")
    assert evolve.main([*command, begun, "--begin", other, "--size", "56", "--generations", "1"]) == 1      # LeNet takes 28 x 28
    assert "evolve:" in capsys.readouterr().err
    assert evolve.main([*command, begun, "--begin", other, "--generations", "1", "--seed", "1"]) == 0
    assert (evolve.read_archive(begun, encoding).fitness >= states[1].fitness - 1e-6).all()


@pytest.mark.parametrize("harm, says", [
    (lambda path: path.write_bytes(b""), "cannot be read"), (lambda path: path.write_bytes(b"PK\3\4 no zip"), "cannot be read"),
    (lambda path: np.savez(path, step=1), "no archive of elites"), (lambda path: path.unlink(), "there is no archive"),
    (lambda path: np.savez(path, step=1, new=0, fitness=np.zeros(2), which=np.zeros(2, int), genomes=np.array([b"[]"])),
     "no genome"),
])
def test_archives_that_are_none(harm, says, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"x")
    harm(path)
    with pytest.raises(SettingError, match=says):
        evolve.read_archive(path, CppnEncoding((4, 4), 1))


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("fitness.npy", bytes(3_000_000))
    monkeypatch.setattr(evolve, "MOST_BYTES", 1 << 20)
    with pytest.raises(SettingError, match="more than 1048576 bytes"):
        evolve.read_archive(tmp_path / "a.npz", CppnEncoding((4, 4), 1))


def test_the_shipped_archive_has_an_elite_for_every_class():
    state = evolve.read_archive(DATA / "elites_squeezenet.npz", CppnEncoding((32, 32), 3))
    assert state.fitness.shape == (1000,) and len(state.elites) == 1000
    assert {name for genome in state.elites for name in genome.nodes.values()} == set(FUNCTIONS)


# --- HOG ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def goldens():
    with np.load("tests/goldens/fool.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("hog/")}


@pytest.mark.parametrize("name", LAYOUTS)
def test_hog_is_scikit_images(name, goldens):
    picture, (_, (orientations, cell, block)) = goldens[f"hog/{name}/picture"], LAYOUTS[name]
    p = np.moveaxis(np.atleast_3d(picture), 2, 0)[None]
    found = hog(p, orientations=orientations, pixels_per_cell=cell, cells_per_block=block).data[0]
    np.testing.assert_allclose(found, goldens[f"hog/{name}/hog"], atol=1e-6)
    negative = hog(1 - p, orientations=orientations, pixels_per_cell=cell, cells_per_block=block).data[0]
    np.testing.assert_allclose(negative, found, atol=1e-12)


def test_hogs_of_several_pictures_are_those_of_each():
    p = np.random.default_rng(0).random((3, 3, 32, 40))
    np.testing.assert_allclose(hog(p).data, np.concatenate([hog(one[None]).data for one in p]), atol=1e-12)


@pytest.mark.parametrize("softness", [0.0, 0.4, 1.0])
def test_the_gradient_of_hog(softness):
    """Away from where it jumps: there a small change moves no pixel's gradient into another bin."""
    layout, rng = Layout(6, 4, 2), np.random.default_rng(1)
    p = rng.random((1, 2, 8, 9))
    assert gradcheck(lambda t: blocks(votes(*gradient_of(as_tensor(t, layout)), layout, softness), layout), [p], step=1e-7) < 1e-4


def test_soft_votes_become_the_hard_ones():
    p, layout = np.random.default_rng(0).random((1, 1, 24, 24)), Layout()
    hard = votes(*gradient_of(as_tensor(p, layout)), layout).data
    inner = np.s_[..., 1:-1, 1:-1]                      # at the upper and lower border g points along the edge of two bins
    apart = [np.abs(votes(*gradient_of(as_tensor(p, layout)), layout, s).data - hard)[inner].sum() for s in (1.0, 0.3, 0.1, 1e-5)]
    assert apart[0] > apart[1] > apart[2] > apart[3] and apart[3] < 1e-2 * apart[2]
    for bins in (9, 18, 7, 2):
        few = Layout(bins)
        soft, hard = (votes(*gradient_of(as_tensor(p, few)), few, s).data for s in (1.0, 0.0))
        np.testing.assert_allclose(soft.sum(axis=1), hard.sum(axis=1), atol=1e-12)       # no vote is lost
    assert shares(np.full((1, 1, 1, 1), 1.0), np.full((1, 1, 1, 1), -1e-17), layout, 0)[0].sum() == 1


def test_a_picture_from_another_with_the_same_hog():
    def grey(name):
        picture = load_image(IMAGES / name)
        square = resize(centre_crop(picture, min(picture.shape[:2])), (48, 48))
        return (square @ np.array([0.299, 0.587, 0.114]) / 255).clip(0, 1)[None, None]
    wanted, start = grey("chelsea.jpg"), grey("coffee.jpg")
    states = list(same_hog_steps(wanted, start, steps=60))
    assert [s.step for s in states] == list(range(len(states))) and states[0].distance > 0.5
    end = states[-1]
    assert end.distance < 0.1 * states[0].distance and end.distance == hog_distance(hog(end.pixels), hog(wanted))
    assert abs(np.corrcoef(end.pixels.ravel(), wanted.ravel())[0, 1]) < 0.3 and 0 <= end.pixels.min() <= end.pixels.max() <= 1


@pytest.mark.parametrize("work, says", [
    (lambda: hog(np.zeros((1, 1, 20, 24))), "at least one block"), (lambda: hog(np.zeros((24, 24))), "shape"),
    (lambda: hog(np.zeros((1, 1, 24, 24)), orientations=0), "orientations is 0"),
    (lambda: same_hog(np.zeros((1, 1, 24, 24)), np.zeros((1, 1, 32, 24))), "expected two alike"),
    (lambda: same_hog(np.zeros((1, 1, 24, 24)), np.full((1, 1, 24, 24), 7.0)), "from 0 to 1"),
    (lambda: same_hog(np.zeros((1, 1, 24, 24)), np.zeros((1, 1, 24, 24)), steps=0), "steps is 0"),
])
def test_wrong_pictures_get_a_sentence(work, says):
    with pytest.raises((SettingError, ShapeError), match=says):
        work()
