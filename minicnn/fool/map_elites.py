"""MAP-Elites: evolution that keeps the best picture of every class. Slide "Deep Neural Networks are Easily Fooled".

    archive: for each class k the genome with the highest fitness f_k seen so far, its elite
    1. draw parents among the elites       2. child = mutation of a parent, or of the crossover of two
    3. draw it, and let the network look: f(child) (K,)      4. where f_k(child) > f_k(elite k), the child takes that place

A child is offered to every class, not only to its parents'. So what was found for one class is a step on the way for another,
and one run fills all the places. The network's gradient is not asked for: this fools what one cannot look into as well. (For
ImageNet the paper averages the fitness of ten crops; whoever wants that gives such a function.)
Source: J.-B. Mouret and J. Clune 2015; A. Nguyen, J. Yosinski and J. Clune, CVPR 2015 (batches, rates).
"""
import base64
import math
from dataclasses import dataclass

import numpy as np

from ..checks import number, whole_number
from ..errors import SettingError, ShapeError
from ..loop import last, take
from .cppn import MOST_PIXELS
from .pixels import MOST_NUMBERS
from .variation import polynomial_mutation, simulated_binary_crossover


@dataclass(frozen=True)
class DirectEncoding:
    """Every pixel is a gene. For pictures of `size` = (height, width) and 1 or 3 channels.

    rate: of the polynomial mutation, per pixel, halved every `halved_every` generations; eta: how near, of it and of crossover.
    """
    size: tuple
    channels: int = 3
    rate: float = 0.1
    halved_every: int = 1000
    eta: tuple = (15.0, 10.0)
    crossover: float = 0.25

    def __post_init__(self):
        if np.shape(self.size) != (2,) or self.channels not in (1, 3) or np.shape(self.eta) != (2,):
            raise SettingError(f"DirectEncoding: size is {self.size!r}, channels {self.channels!r} and eta {self.eta!r}, "
                               "expected (height, width), 1 or 3, and two numbers")
        for side in self.size:
            whole_number("DirectEncoding", "size", side, 1, MOST_PIXELS)
        whole_number("DirectEncoding", "halved_every", self.halved_every, 1)
        for eta in self.eta:
            number("DirectEncoding", "each of eta", eta, at_least=0)
        for name in ("rate", "crossover"):
            number("DirectEncoding", name, getattr(self, name), at_least=0, at_most=1)

    def random(self, rng):
        """Return a first genome: noise, every pixel (C, H, W) uniform in 0..1."""
        return rng.random((self.channels, *self.size), np.float32)

    def crossed(self, first, second, rng):
        """Return a child of two: simulated binary crossover, pixel by pixel."""
        return simulated_binary_crossover(first, second, self.eta[1], rng)

    def mutated(self, genome, rng, generation=0):
        """Return a genome of which some pixels differ."""
        return polynomial_mutation(genome, self.rate * 0.5 ** (generation // self.halved_every), self.eta[0], rng)

    def render(self, genomes):
        """Return the pictures as pixels (N, C, H, W) float32 in 0..1: the genomes themselves."""
        return np.stack(genomes)

    def to_text(self, genome):
        """Return a genome as text: its float32 numbers in base64."""
        return base64.b64encode(genome.astype("<f4").tobytes()).decode()

    def from_text(self, text):
        """Return the genome of a `to_text`; raises SettingError for text that is none."""
        try:
            values = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(self.channels, *self.size).copy()
        except (ValueError, TypeError) as error:
            raise SettingError(f"DirectEncoding: this is no genome of {self.size} pixels ({str(error)[:100]})") from None
        if not (values.min() >= 0 and values.max() <= 1):
            raise SettingError("DirectEncoding: this is no genome, its pixels leave 0..1; the file is damaged")
        return values


@dataclass(frozen=True)
class MapElitesState:
    """After `step` generations: the archive's `fitness` (K,) and `elites`, a tuple of K genomes; `new`: places taken just now."""
    step: int
    fitness: np.ndarray
    elites: tuple
    new: int


def map_elites_steps(fitness, encoding, *, batch=200, initial=None, start=None, rng=0):
    """Yield a MapElitesState at the start, which is the best of `initial` genomes, and after each generation, without end.

    fitness: a function of pixels (N, C, H, W) that returns (N, K), `probabilities` of a network for one. encoding: a
    DirectEncoding or CppnEncoding. batch: children per generation. initial: how many genomes are drawn at first, or a list of
    them. start: the state of an earlier run, to go on with. rng: a seed; each generation has random numbers of its own, so that
    a run which goes on ends with the same bits as one that was never stopped. Raises SettingError, ShapeError.
    """
    seed, batch = whole_number("map_elites", "rng, the seed,", rng, 0), whole_number("map_elites", "batch", batch, 1)
    if start is None:
        genomes = initial if isinstance(initial, (list, tuple)) and len(initial) else \
            _first(encoding, batch if initial is None else initial, seed)
        judged = _judged(fitness, encoding, genomes)
        start = offered(MapElitesState(-1, np.full(judged.shape[1], -np.inf), (None,) * judged.shape[1], 0), genomes, judged)
    elif not isinstance(start, MapElitesState):
        raise SettingError(f"map_elites: start is a {type(start).__name__}, expected a MapElitesState of an earlier run")
    state = start
    while True:
        yield state
        numbers = np.random.default_rng([seed, state.step + 1])
        children = [child_of(state.elites, encoding, state.step, numbers) for _ in range(batch)]
        judged = _judged(fitness, encoding, children)
        if judged.shape[1] != len(state.elites):
            raise SettingError(f"map_elites: start has {len(state.elites)} elites and fitness judges {judged.shape[1]} classes; "
                               "give the state of a run with the same network")
        state = offered(state, children, judged)


def _first(encoding, count, seed):
    """Return random genomes, with which a run begins."""
    rng = np.random.default_rng([seed, 0])
    return [encoding.random(rng) for _ in range(whole_number("map_elites", "initial", count, 1))]


def child_of(elites, encoding, generation, rng):
    """Return a child of one elite drawn at random or, with the probability `encoding.crossover`, of two."""
    ### BEGIN SOLUTION hw5.5
    first, second = (elites[k] for k in rng.integers(len(elites), size=2))
    crossed = encoding.crossed(first, second, rng) if rng.random() < encoding.crossover else first
    return encoding.mutated(crossed, rng, generation)
    ### END SOLUTION hw5.5


def offered(state, genomes, judged):
    """Return the state after genomes with fitnesses `judged` (N, K) were offered to every place: elites never get worse."""
    ### BEGIN SOLUTION hw5.5
    best = judged.argmax(axis=0)                                    # (K,)
    better = judged[best, np.arange(judged.shape[1])] > state.fitness
    fitness = np.where(better, judged[best, np.arange(judged.shape[1])], state.fitness)
    elites = tuple(genomes[k] if new else old for k, new, old in zip(best, better, state.elites))
    return MapElitesState(state.step + 1, fitness, elites, int(better.sum()))
    ### END SOLUTION hw5.5


def map_elites(fitness, encoding, generations, **settings):
    """Return the MapElitesState after so many generations; settings as in `map_elites_steps`."""
    return last(take(generations, map_elites_steps(fitness, encoding, **settings)))


def archive_arrays(state, encoding):
    """Return a state as a dict of arrays, for a file: each genome once, as text, and which of them is the elite of each class."""
    unique = {id(genome): genome for genome in state.elites}
    places = {key: place for place, key in enumerate(unique)}
    return {"step": np.array(state.step), "fitness": state.fitness, "new": np.array(state.new),
            "which": np.array([places[id(genome)] for genome in state.elites]),
            "genomes": np.array([encoding.to_text(genome).encode() for genome in unique.values()])}


def archive_of(arrays, encoding):
    """Return the MapElitesState of an `archive_arrays`. Raises SettingError where it is none."""
    try:
        genomes = [encoding.from_text(bytes(text).decode()) for text in arrays["genomes"]]
        fitness, which = np.array(arrays["fitness"], dtype=float), np.asarray(arrays["which"])
        fine = fitness.ndim == 1 and len(fitness) and fitness.shape == which.shape and which.dtype.kind in "iu"
        fine = fine and np.isfinite(fitness).all() and 0 <= which.min() and np.asarray(arrays["step"]).dtype.kind in "iu"
        state = MapElitesState(int(arrays["step"]), fitness, tuple(genomes[k] for k in which), int(arrays["new"]))
    except SettingError:
        raise
    except (KeyError, IndexError, ValueError, TypeError, OverflowError) as error:
        raise SettingError(f"map_elites: this is no archive of elites ({type(error).__name__}: {str(error)[:100]}); give one "
                           "that tools.evolve wrote, or begin anew") from None
    if not fine or state.step < 0:
        raise SettingError("map_elites: this is no archive of elites, its parts do not belong together; begin anew")
    return state


def _judged(fitness, encoding, genomes):
    """Return the fitness (N, K) of genomes, checked."""
    at_once = max(1, MOST_NUMBERS // (encoding.channels * math.prod(encoding.size)))
    judged = np.concatenate([np.asarray(fitness(encoding.render(genomes[k:k + at_once])), dtype=float)
                             for k in range(0, len(genomes), at_once)])
    if judged.ndim != 2 or len(judged) != len(genomes) or judged.shape[1] == 0:
        raise ShapeError(f"map_elites: fitness gave {judged.shape} for {len(genomes)} pictures, expected a number for each class "
                         f"of each, ({len(genomes)}, K)")
    if not np.isfinite(judged).all():
        raise SettingError("map_elites: fitness gave numbers that are NaN or infinite, expected finite ones")
    return judged
