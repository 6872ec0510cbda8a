"""GrabCut: cut an object out of a picture, given a few sure pixels. Slide "Finding salient map of an object".

    E = sum_n D(a_n, z_n)  +  gamma sum over neighbours m, n of [a_m != a_n] exp(-beta ||z_m - z_n||^2) / distance(m, n)
    D(a, z) = min over k of  -log pi_k + 1/2 log det S_k + 1/2 (z - mu_k)' S_k^-1 (z - mu_k)      k: components of side a
    beta = 1 / (2 <||z_m - z_n||^2>)

a_n says whether pixel n, of colour z_n, is object (1) or background (0). Each side is a mixture of Gaussians of colours. Repeat:
give each pixel its best component (min over k), fit the components to their pixels, find the best a by a minimum cut. Every part
lowers E or leaves it. (A covariance is fitted with no eigenvalue below `least`, one grey level squared: the best of those that
are allowed, so that E still cannot rise.) Neighbours are the 8 around a pixel.

Source: C. Rother, V. Kolmogorov and A. Blake, SIGGRAPH 2004. The saliency paper cuts once, with colour models that stay as they
are; the lecture says GrabCut, which fits them anew.
"""
import itertools
from dataclasses import dataclass

import numpy as np

from ..checks import number, whole_number
from ..embed.kmeans import kmeans
from ..errors import SettingError, ShapeError
from ..loop import last, take
from .max_flow import min_cut

BACKGROUND, OBJECT, UNKNOWN = 0, 1, 2
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))         # of the neighbours; the other four are the same the other way


@dataclass(frozen=True)
class GrabCutState:
    """mask (H, W) bool: the object after `step` cuts; energy: E; mixtures: (weights, means, covariances) of both sides."""
    step: int
    mask: np.ndarray
    energy: float
    mixtures: tuple


def grabcut_steps(image, seeds, *, components=5, gamma=50.0, least=1.0, rng=0):
    """Yield a GrabCutState at the start, before any cut, and after every cut, without end.

    image (H, W, 3) uint8. seeds (H, W): BACKGROUND (0) and OBJECT (1) stay what they are; UNKNOWN (2) pixels are counted to
    the object at first. rng: for the k-means that begins each mixture. Raises ShapeError, SettingError.
    """
    colours, seeds = _checked(image, seeds)
    components, least = whole_number("grabcut", "components", components, 1), number("grabcut", "least", least, above=0)
    gamma = number("grabcut", "gamma", gamma, at_least=0, at_most=1e6)
    edges, weights = _neighbours(colours, gamma)
    z, mask = colours.reshape(-1, 3), (seeds != BACKGROUND).ravel()
    mixtures = [_begin(z[mask == side], components, least, rng) for side in (False, True)]
    for step in itertools.count():
        if step:
            source, sink = _terminals(z, mixtures, seeds.ravel(), gamma)
            mask = min_cut(source, sink, edges, weights, weights)[1]
        mixtures = [_fit(z[mask == side], mixture, least) for side, mixture in zip((False, True), mixtures)]
        energy = sum(_costs(z[mask == side], mixture).min(axis=1).sum() for side, mixture in zip((False, True), mixtures))
        energy += weights[mask[edges[:, 0]] != mask[edges[:, 1]]].sum()
        yield GrabCutState(step, mask.reshape(seeds.shape).copy(), float(energy), tuple(mixtures))


def grabcut(image, seeds, iterations=6, **settings):
    """Return the mask (H, W) of the object after so many cuts; settings as in `grabcut_steps`."""
    return last(take(iterations, grabcut_steps(image, seeds, **settings))).mask


def cut_out(image, mask):
    """Return the object as a picture (H, W, 4) uint8: transparent where the mask (H, W) is False."""
    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or mask.shape != image.shape[:2] or mask.dtype != bool:
        raise ShapeError(f"cut_out: image {image.shape} {image.dtype} and mask {mask.shape} {mask.dtype}, expected (H, W, 3) "
                         "uint8 and (H, W) bool")
    return np.concatenate([image, np.where(mask, 255, 0).astype(np.uint8)[..., None]], axis=2)


def _checked(image, seeds):
    """Return the colours (H, W, 3) as numbers and the seeds as an array; both sides must have something to begin with."""
    image, seeds = np.asarray(image), np.asarray(seeds)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or seeds.shape != image.shape[:2]:
        raise ShapeError(f"grabcut: image {image.shape} {image.dtype} and seeds {seeds.shape}, "
                         "expected (H, W, 3) uint8 and (H, W)")
    if not np.isin(seeds, (BACKGROUND, OBJECT, UNKNOWN)).all():
        raise SettingError("grabcut: seeds are 0 (background), 1 (object) and 2 (unknown), others are given")
    if not (seeds == BACKGROUND).any() or (seeds == BACKGROUND).all():
        raise SettingError("grabcut: the seeds leave one side empty; some pixels must be background (0), and some not")
    return image.astype(np.float64), seeds


def _neighbours(colours, gamma):
    """Return the pairs of neighbouring pixels (m, 2) and what it costs to part each (m,)."""
    height, width = colours.shape[:2]
    index, pairs, differences, distances = np.arange(height * width).reshape(height, width), [], [], []
    for down, right in OFFSETS:
        here = np.s_[:height - down, max(0, -right):width - max(0, right)]
        there = np.s_[down:, max(0, right):width - max(0, -right)]
        pairs.append(np.stack([index[here].ravel(), index[there].ravel()], axis=1))
        differences.append(((colours[here] - colours[there]) ** 2).sum(axis=2).ravel())
        distances.append(np.full(len(pairs[-1]), np.hypot(down, right)))
    differences = np.concatenate(differences)
    beta = 1 / (2 * max(differences.mean(), 1e-30)) if len(differences) else 0.0
    return np.concatenate(pairs), gamma * np.exp(-beta * differences) / np.concatenate(distances)


def _begin(z, components, least, rng):
    """Return a mixture of as many components (fewer, if there are fewer pixels), from clusters of the colours z (n, 3)."""
    labels = kmeans(z, min(components, len(z)), rng=rng, restarts=1).labels
    return _fitted(z, labels, [(0.0, np.zeros(3), np.eye(3))] * (labels.max() + 1), least)


def _fit(z, mixture, least):
    """Return the mixture after each colour went to its best component and each component was fitted to what it got.

    A side that was left without pixels keeps its colours.
    """
    return mixture if not len(z) else _fitted(z, _costs(z, mixture).argmin(axis=1), list(zip(*mixture)), least)


def _fitted(z, labels, before, least):
    """Return (weights (K,), means (K, 3), covariances (K, 3, 3)) of the labelled colours; one that got none weighs 0."""
    made = []
    for k, (_, mean, covariance) in enumerate(before):
        own = z[labels == k]
        if len(own):
            mean = own.mean(axis=0)
            values, vectors = np.linalg.eigh((own - mean).T @ (own - mean) / len(own))
            covariance = vectors * np.maximum(values, least) @ vectors.T
        made.append((len(own) / len(z), mean, covariance))
    return tuple(np.array(part) for part in zip(*made))


def _costs(z, mixture):
    """Return D of every colour z (n, 3) for every component (n, K), infinite for one without weight."""
    costs = []
    for weight, mean, covariance in zip(*mixture):
        difference = z - mean
        distance = np.einsum("ni,ni->n", difference @ np.linalg.inv(covariance), difference)
        costs.append(0.5 * (np.linalg.slogdet(covariance)[1] + distance) - np.log(weight) if weight > 0
                     else np.full(len(z), np.inf))
    return np.stack(costs, axis=1)


def _terminals(z, mixtures, seeds, gamma):
    """Return what binds each pixel to the source (object) and to the sink: what it would cost on the other side."""
    background, foreground = (_costs(z, mixture).min(axis=1) for mixture in mixtures)
    least, sure = np.minimum(background, foreground), 8 * gamma + 1         # more than parting a pixel from all its neighbours
    source = np.select([seeds == OBJECT, seeds == BACKGROUND], [sure, 0], background - least)
    return source, np.select([seeds == OBJECT, seeds == BACKGROUND], [0, sure], foreground - least)
