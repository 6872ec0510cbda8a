"""MAP-Elites on pictures of 2 x 3: a child is offered to every class, and stays where it is better than the elite there."""
import numpy as np

from minicnn.fool.map_elites import DirectEncoding, child_of, map_elites_steps, offered
from minicnn.fool.variation import polynomial_mutation, simulated_binary_crossover
from minicnn.loop import take

from ..stepping import Marked, state

TEMPLATES = np.array([[[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]], [[1, 1, 1], [0, 0, 0]]], float)


def fitness(pixels):
    """Return how near pictures (N, 1, 2, 3) are to each of three templates, (N, 3): 1 for the template itself."""
    return 1 - np.abs(pixels - TEMPLATES).mean(axis=(2, 3))


def steps(rng):
    """Three classes, two children in a generation."""
    a, b = rng.random((2, 3)), rng.random((2, 3))
    yield state("how a child differs: mutation changes some numbers, most of them a little", polynomial_mutation,
                "polynomial mutation",
                {"parent": a, "child": polynomial_mutation(a, 0.5, 15.0, rng), "another": polynomial_mutation(a, 0.5, 15.0, rng)},
                line="delta = np.where")
    yield state("and of two parents: each number near that of one", simulated_binary_crossover, "simulated binary crossover",
                {"one": a, "other": b, "child": simulated_binary_crossover(a, b, 10.0, rng)}, line="((1 + beta) * a")
    seed, encoding = int(rng.integers(1000)), DirectEncoding((2, 3), channels=1, rate=0.5)
    before = None
    for found in take(5, map_elites_steps(fitness, encoding, batch=2, initial=3, rng=seed)):
        elites = np.stack(found.elites)[:, 0]
        if before is None:
            yield state("the start: of three random pictures the best for each class; one may hold several places",
                        map_elites_steps, "archive: for each class k the genome",
                        {"templates": TEMPLATES, "elites": elites, "fitness": found.fitness})
        else:
            numbers = np.random.default_rng([seed, before.step + 1])            # what the generation drew
            children = [child_of(before.elites, encoding, before.step, numbers) for _ in range(2)]
            judged = fitness(encoding.render(children))
            yield state(f"generation {found.step}: two children, and what each class thinks of them", child_of,
                        "2. child = mutation of a parent",
                        {"children": np.stack(children)[:, 0], "f (child, class)": Marked(judged, judged > before.fitness),
                         "the elites'": before.fitness}, line="encoding.mutated")
            yield state(f"generation {found.step}: {found.new} place{'s' * (found.new != 1)} taken", offered,
                        "4. where f_k(child) > f_k(elite k)",
                        {"elites": elites, "fitness": Marked(found.fitness, found.fitness > before.fitness)}, line="better =")
        before = found
