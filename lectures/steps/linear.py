"""A linear classifier is fooled exactly: templates, the least epsilon, and the change that it makes."""
import numpy as np

from minicnn.fool.linear import nearest_border, pushed, templates, worst_changes

from ..stepping import Marked, state


def steps(rng):
    """Three classes of pictures of 3 x 3, each with a template: a column, a row, a diagonal."""
    w = np.array([[[0, 1, 0]] * 3, [[0, 0, 0], [1, 1, 1], [0, 0, 0]], np.eye(3)], float)[:, None] - 1 / 3
    p = np.array([[[[0.1, 0.9, 0.2], [0.2, 0.8, 0.1], [0.0, 0.9, 0.2]]]]) + rng.uniform(0, 0.05, (1, 1, 3, 3)).round(2)
    scores = np.einsum("nchw,kchw->nk", p, w)
    yield state("three templates, one for each class", templates, "grey is 0, bright what the class likes",
                {"w": w[:, 0].round(3), "as pictures": templates(w)})
    yield state("a picture, and its score with each template", pushed, "s = w . p + b",
                {"p": p[0, 0], "p * w": (p * w)[:, 0], "scores": Marked(scores[0], scores[0] == scores.max())})
    (k,), (epsilon,) = nearest_border(scores, w)
    winner = int(scores.argmax())
    apart = np.abs(w[:, None] - w).reshape(3, 3, -1).sum(axis=2)
    yield state(f"how much every pixel must change until another class is level: class {k}, epsilon = {epsilon:.4f}",
                nearest_border, "epsilon = (s_c - s_k) / ||w_k - w_c||_1",
                {"s_c - s_k": scores[0, winner] - scores[0], "||w_k - w_c||_1": apart[winner]}, line="gaps = ")
    for share, what in ((0.5, "half of it"), (1.0, "all of it: a tie"), (1.2, "a little more: fooled")):
        changed = pushed(p, w[k] - w[winner], share * epsilon)
        after = np.einsum("nchw,kchw->nk", changed, w)
        yield state(f"{what}, along the sign of w_{k} - w_{winner}", pushed, "p' = p + epsilon sign(w)",
                    {"p'": changed[0, 0], "scores": Marked(after[0], after[0] == after.max()),
                     "gain of one over the other": float((after - scores)[0, k] - (after - scores)[0, winner]),
                     "epsilon ||w_k - w_c||_1": worst_changes(w[[k]] - w[[winner]], share * epsilon)}, line="np.sign(w)")
