"""What a style is: the Gram matrix, how far two of them are apart, and which way the features are pulled."""
import numpy as np

from minicnn.art.perceptual_loss import PerceptualLoss
from minicnn.ops.gram_matrix import gram_matrix_backward_ref, gram_matrix_forward_ref

from ..stepping import Marked, state

MOVES, RATE = 4, 0.2


def steps(rng):
    """Two features at six places, of a picture and of a painting; the picture's features go towards the painting's style."""
    F, painting = rng.integers(0, 4, (1, 2, 6)).astype(float), rng.integers(0, 4, (1, 2, 6)).astype(float)
    P, G = F.copy(), gram_matrix_forward_ref(F)
    yield state("features of a picture: a row for each, a column for each place", gram_matrix_forward_ref, "G = F F^T",
                {"F": F[0]})
    for a, b in ((0, 0), (0, 1), (1, 1)):
        entry = np.zeros((2, 2), bool)
        entry[a, b] = entry[b, a] = True
        yield state(f"G[{a}, {b}]: how much features {a} and {b} appear together, over all places", gram_matrix_forward_ref,
                    "G[n, a, b] = sum over places", {"F[a] * F[b]": F[0, a] * F[0, b], "G": Marked(G[0], entry)},
                    line="out[n, a, b] +=")
    A, places = gram_matrix_forward_ref(painting), F.size
    yield state("the style of a painting", gram_matrix_forward_ref, "G = F F^T", {"its F": painting[0], "A": A[0]})
    for move in range(MOVES + 1):
        G = gram_matrix_forward_ref(F)
        loss, dG = float(((G - A) ** 2).sum() / (A ** 2).sum()), 2 * (G - A) / (A ** 2).sum()
        dF = gram_matrix_backward_ref(dG, F)
        yield state(f"after {move} steps downhill: style loss {loss:.5f}", PerceptualLoss, "L_style^l = ||G - A||^2 / ||A||^2",
                    {"F": F[0], "G - A": (G - A)[0], "dL/dG": dG[0], "dL/dF = (dL/dG + dL/dG^T) F": dF[0]},
                    line="ops.gram_matrix(maps[name]")
        if move < MOVES:
            F = F - RATE * places * dF
    yield state("the content has its say too: how far the features have gone from the photograph's", PerceptualLoss,
                "L_content^l = ||F - P||^2 / ||P||^2", {"F": F[0], "P": P[0],
                                                        "content loss": float(((F - P) ** 2).sum() / (P ** 2).sum())},
                line="(maps[name] - P) ** 2")
