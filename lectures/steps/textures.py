"""A Gram matrix forgets places: the same features anywhere else are the same texture."""
import numpy as np

from minicnn.art.perceptual_loss import PerceptualLoss
from minicnn.ops.gram_matrix import gram_matrix_forward_ref

from ..stepping import state


def steps(rng):
    """Two features on a map of 3 x 3, and the same moved round, shuffled, mirrored, and made anew."""
    maps = rng.integers(0, 5, (2, 3, 3)).astype(float)
    A = gram_matrix_forward_ref(maps.reshape(1, 2, 9))
    yield state("features of a texture, and which of them appear together", gram_matrix_forward_ref,
                "G[n, a, b] = sum over places",
                {"F": maps, "A": A[0]}, line="out[n, a, b] +=")
    shuffled = rng.permutation(9)
    for what, moved in (("all moved round by one row", np.roll(maps, 1, axis=1)), ("mirrored", maps[:, :, ::-1]),
                        ("shuffled, each place with its features", maps.reshape(2, 9)[:, shuffled].reshape(2, 3, 3)),
                        ("one feature shuffled and the other not: they no longer appear together",
                         np.stack([maps[0], maps[1].ravel()[shuffled].reshape(3, 3)])),
                        ("another texture", rng.integers(0, 5, (2, 3, 3)).astype(float))):
        G = gram_matrix_forward_ref(np.ascontiguousarray(moved).reshape(1, 2, 9))
        yield state(what, PerceptualLoss, "L_style^l = ||G - A||^2 / ||A||^2",
                    {"F": moved, "G": G[0], "G - A": (G - A)[0], "style loss": float(((G - A) ** 2).sum() / (A ** 2).sum())},
                    line="ops.gram_matrix(maps[name]")
