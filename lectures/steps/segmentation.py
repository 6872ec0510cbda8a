"""GrabCut on 25 pixels: fit the colours of both sides, cut, and again, while E falls."""
import numpy as np

from minicnn.loop import take
from minicnn.visualize.grabcut import BACKGROUND, OBJECT, UNKNOWN, cut_out, grabcut_steps

from ..stepping import Marked, state


def steps(rng):
    """A reddish thing on a bluish ground, all a little uneven; one sure pixel inside, a sure border."""
    inside = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    image = np.where(inside[..., None], [200, 60, 40], [40, 60, 180]) + rng.integers(-25, 26, (5, 5, 3))
    image = image.clip(0, 255).astype(np.uint8)
    seeds = np.full((5, 5), BACKGROUND)
    seeds[1:4, 1:4] = UNKNOWN
    seeds[2, 2] = OBJECT
    yield state("a picture, and what is sure: 1 object, 0 background, 2 unknown, which counts as object at first", grabcut_steps,
                "seeds (H, W): BACKGROUND (0) and OBJECT (1)",
                {"red": image[..., 0], "green": image[..., 1], "blue": image[..., 2], "seeds": Marked(seeds, seeds < 2)})
    for found in take(2, grabcut_steps(image, seeds, components=1, rng=rng)):
        numbers = {"object": found.mask.astype(int), "E": found.energy}
        for side, (weights, means, covariances) in zip(("background", "object"), found.mixtures):
            numbers[f"mean colour of the {side}"] = means[0]
            numbers[f"its spread, {side}"] = np.sqrt(np.diagonal(covariances[0]))
        yield state(f"after {found.step} cut{'s' * (found.step != 1)}: E = {found.energy:.2f}", grabcut_steps,
                    "E = sum_n D(a_n, z_n)", numbers, line="mask = min_cut(" if found.step else "mixtures = [_begin(")
    yield state("cut out: what is not the object becomes transparent", cut_out, "Return the object as a picture",
                {"alpha": cut_out(image, found.mask)[..., 3]}, line="np.where(mask, 255, 0)")
