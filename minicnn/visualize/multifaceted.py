"""Multifaceted feature visualisation: the different things that one unit likes. Slide "Class model visualization", Algorithm 1.

    1. the code of each picture of a class         4. k clusters in the map, by k-means; for each of them:
    2. PCA to 50 numbers                           5. x_0 = the mean of the 15 pictures nearest to its centre
    3. t-SNE to a map in the plane                 6. activation maximisation that starts at x_0

A class is many things: a shop from inside and from the street. Ascent from noise mixes them; ascent from the mean of pictures
of one kind stays with that kind. Step 6 as in the paper's program: x <- x + s g / mean|g|, clip, denoise by total variation.
The smoothing is strong at first and weak at the end, so that large shapes come first and details last. Once the picture is
larger than what the network takes, a step changes a window of it only, whose place is drawn around the middle (centre bias):
objects there, and around them nothing. (The program's formula for the smoothing ends at the sum of its two numbers; here it ends
at the second.)
Source: A. Nguyen, J. Yosinski and J. Clune, 2016, and their program (schedules).
"""
from dataclasses import dataclass

import numpy as np

from .. import images, tape
from ..checks import generator, number, two_numbers, whole_number
from ..embed import pca, sparse_affinities, tsne_steps
from ..embed.kmeans import kmeans
from ..errors import SettingError, ShapeError
from ..loop import last, take
from ..ops import log_softmax
from ..tensor import Tensor
from .backprop import class_seed
from .checks import finite, network, picture_size, pictures_of
from .inversion import to_network
from .patches import averaged, in_batches
from .tv_bregman import denoise_tv_bregman

NEAREST, COMPONENTS = 15, 50


@dataclass(frozen=True)
class Phase:
    """`steps` of ascent with step size and fidelity moving from the first to the second number.

    step: grey levels of the mean change. fidelity: weight of the denoising, small smooths strongly. enlarge:
    the picture is made so much larger first. window: spread of the place looked at around the middle, as a part of the room
    there is. margin: a border of so many pixels of what is looked at keeps still. probability: climb the probability of the
    class and not its score, which pushes other classes down (by its logarithm, whose direction is the same).
    """
    steps: int
    step: tuple
    fidelity: tuple
    enlarge: float = 1.0
    window: float = 0.0
    margin: int = 0
    probability: bool = False

    def __post_init__(self):
        whole_number("Phase", "steps", self.steps, 1)
        whole_number("Phase", "margin", self.margin, 0)
        for name in ("step", "fidelity"):
            two_numbers("Phase", name, getattr(self, name), above=0)
        number("Phase", "enlarge", self.enlarge, at_least=1, at_most=8)
        number("Phase", "window", self.window, at_least=0, at_most=1)


FROM_MEAN = (Phase(190, (1, 2), (0.4, 0.4)), Phase(150, (1, 1), (0.01, 2), enlarge=1.2, window=0.3),
             Phase(20, (2, 2), (0.1, 2), window=0.2, margin=50), Phase(10, (2, 2), (0.4, 2), window=0.3))
CENTRE_BIAS = (Phase(190, (11, 11), (0.001, 0.05), probability=True),
               Phase(150, (6, 6), (0.01, 0.08), enlarge=1.2, window=0.3, probability=True),
               Phase(150, (1, 1), (0.01, 2), enlarge=1.2, window=0.3), Phase(30, (3, 3), (0.1, 2), window=0.1, margin=50),
               Phase(10, (6, 3), (0.01, 2), window=0.3))


@dataclass(frozen=True)
class Facets:
    """embedding (N, 2): the map of the pictures; labels (N,): their cluster; nearest: of each cluster, its pictures' numbers."""
    embedding: np.ndarray
    labels: np.ndarray
    nearest: list
    means: np.ndarray           # (k, C, H, W): the mean pictures, pixels less the mean colour


@dataclass(frozen=True)
class AscentState:
    """The picture after `step` steps: `image` (H, W, 3) uint8, and x (1, C, H, W), pixels less the mean.

    activation: the class's score for the window of x that the next step takes; of the last state, the window in the middle.
    """
    step: int
    image: np.ndarray
    activation: float
    x: np.ndarray


def codes(net, pictures, layer, batch=16):
    """Return the codes (N, D) of pictures (what net.preprocess takes) at a layer; maps are averaged over their places."""
    network("codes", net, layer)
    found = []
    for _, x in in_batches(net, pictures, batch):
        with tape.no_grad():
            found.append(averaged(net.activations(x, upto=layer)[layer].data))
    return np.concatenate(found) if found else np.zeros((0, 1))


def facets(net, pictures, layer, k, rng=0):
    """Return the Facets of a list of pictures of one class: steps 1 to 5. Raises SettingError for fewer than 3 k or 6 of them."""
    network("multifaceted", net, layer)
    pictures, k = list(pictures_of("multifaceted", pictures)), whole_number("multifaceted", "k", k, 1)
    rng = generator("multifaceted", rng)
    if len(pictures) < 3 * max(k, 2):
        raise SettingError(f"multifaceted: {len(pictures)} pictures for {k} facets, expected at least 3 for each and 6 in all")
    described = codes(net, pictures, layer)
    X = pca(described, min(COMPONENTS, *described.shape))
    P = sparse_affinities(X, min(30, (len(X) - 1) / 3))
    start = rng.normal(0, 1e-4, (len(X), 2))
    embedding = last(take(1000, tsne_steps(P, start))).embedding
    clusters = kmeans(embedding, k, rng=rng)
    away = ((embedding[:, None] - clusters.centers) ** 2).sum(axis=2)                   # (N, k)
    order = [np.argsort(away[:, j], kind="stable") for j in range(k)]
    nearest = [some[clusters.labels[some] == j][:NEAREST] for j, some in enumerate(order)]      # of its own pictures
    means = [np.mean([net.preprocess(pictures[i]).data[0] for i in group], axis=0) / to_network(net)[0] for group in nearest]
    return Facets(embedding, clusters.labels, nearest, np.stack(means).astype(net.dtype))


def grey_start(net, size=None, rng=0):
    """Return where an ascent starts that has no pictures: x (1, C, H, W), light grey noise of pixels N(175, 8), less the mean."""
    size = picture_size("grey_start", network("grey_start", net), size)
    pixels = generator("grey_start", rng).normal(175, 8, (1, len(net.preprocessing.mean), *size))
    mean = np.array(net.preprocessing.mean).reshape(1, -1, 1, 1) / net.preprocessing.scale
    return (pixels - mean).astype(net.dtype)


def tv_ascent_steps(net, class_index, start, phases=FROM_MEAN, rng=0):
    """Yield an AscentState at the start and after every step, through all phases to their end: step 6.

    start: x (1, C, H, W), pixels less the mean, as large as the network takes; a mean of `facets`, or `grey_start`, from which
    CENTRE_BIAS makes objects in the middle.
    """
    network("tv_ascent", net)
    rng, scale, phases = generator("tv_ascent", rng), to_network(net), _phases(phases)
    low, high = (bound / scale for bound in images.pixel_range(net.preprocessing))
    x, count = finite("tv_ascent", "start", start).astype(net.dtype), 0
    size = x.shape[2:]
    margins = 2 * max(phase.margin for phase in phases)
    if x.ndim != 4 or x.shape[:2] != (1, scale.size) or min(size) <= margins:
        raise ShapeError(f"tv_ascent: start has shape {x.shape}, expected (1, {scale.size}, H, W) with sides above {margins}, "
                         "larger than twice the phases' margins")
    for phase in phases:
        if phase.enlarge != 1:
            x = _resized(x, phase.enlarge)
        for share in np.linspace(0, 1, phase.steps):
            step, fidelity = (a + share * (b - a) for a, b in (phase.step, phase.fidelity))
            area = _window(x, size, phase.window, rng)
            gradient, score = _gradient(net, class_index, x[area], phase)
            yield AscentState(count, images.deprocess(x * scale, net.preprocessing), score, x.copy())
            part = np.clip(x[area] + step * gradient / max(np.abs(gradient).mean(), 1e-30), low, high)
            x[area], count = denoise_tv_bregman(part, fidelity), count + 1
    score = _gradient(net, class_index, x[_window(x, size, 0, rng)], phases[-1])[1]
    yield AscentState(count, images.deprocess(x * scale, net.preprocessing), score, x)


def tv_ascent(net, class_index, start, phases=FROM_MEAN, rng=0):
    """Return the picture (H, W, 3) uint8 at the end of all phases; arguments as for `tv_ascent_steps`."""
    return last(tv_ascent_steps(net, class_index, start, phases, rng)).image


def multifaceted(net, class_index, pictures, layer, k=10, *, phases=FROM_MEAN, rng=0):
    """Return (k pictures (H, W, 3) uint8, the Facets that they began with): Algorithm 1 from end to end.

    pictures: of the class, what net.preprocess takes; layer: whose codes are clustered, on the slide fc7.
    """
    found = facets(net, pictures, layer, k, rng)
    return [tv_ascent(net, class_index, mean[None], phases, rng) for mean in found.means], found


def _phases(phases):
    """Return the phases as a tuple of at least one Phase."""
    phases = (phases,) if isinstance(phases, Phase) else phases
    if not isinstance(phases, (tuple, list)) or not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise SettingError(f"tv_ascent: phases is {phases!r}, expected Phases, at least one: FROM_MEAN or CENTRE_BIAS")
    return tuple(phases)


def _window(x, size, spread, rng):
    """Return where a window as large as `size` lies in x (1, C, H, W): in the middle, or near it by a normal distribution."""
    room = [have - want for have, want in zip(x.shape[2:], size)]
    corner = [int(np.clip(round(r / 2 + rng.normal(0, spread) * r), 0, r)) for r in room]
    return np.s_[:, :, corner[0]:corner[0] + size[0], corner[1]:corner[1] + size[1]]


def _gradient(net, class_index, part, phase):
    """Return (gradient of what the phase climbs like `part` (1, C, H, W), 0 in its margin; the class's score)."""
    p = Tensor(part, requires_grad=True)
    maps = net.activations(p * to_network(net))
    scores, output = maps[net.class_layer], maps[next(reversed(maps))]
    objective = log_softmax(output, dim=1) if phase.probability else scores
    objective.backward(class_seed(objective, class_index), retain_graph=False)
    gradient, m = np.zeros_like(part), phase.margin
    inner = np.s_[:, :, m:part.shape[2] - m, m:part.shape[3] - m]
    gradient[inner] = p.grad[inner]
    return gradient, float((class_seed(scores, class_index) * scores.data).sum())


def _resized(x, factor):
    """Return x (1, C, H, W) enlarged, bilinear."""
    size = tuple(round(n * factor) for n in x.shape[2:])
    planes = images.resize(x[0].transpose(1, 2, 0), size, "bilinear").reshape(*size, -1)
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[None])
