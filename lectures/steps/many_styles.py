"""One network, many styles: a style is a row of scales and a row of shifts, and a blend of styles is a blend of rows."""
import numpy as np

from minicnn.ops import conditional_instance_norm, instance_norm

from ..stepping import state


def steps(rng):
    """One picture of two planes of 2 x 3, and three styles."""
    x = rng.integers(0, 10, (1, 2, 2, 3)).astype(float)
    weight, bias = np.array([[1.0, 1], [3, 0.5], [0, 2]]), np.array([[0.0, 0], [10, 5], [1, -1]])
    yield state("the planes, and what is shared by all styles: mean 0 and variance 1", instance_norm, "y = w",
                {"x": x[0], "xhat": instance_norm(x).data[0]})
    yield state("what is a style: a row of gamma, a row of beta", conditional_instance_norm, "gamma = style @ weight",
                {"gammas (style, channel)": weight, "betas": bias})
    for style, what in (([1, 0, 0], "style 0"), ([0, 1, 0], "style 1"), ([0, 0, 1], "style 2: the first plane is a constant"),
                        ([0.5, 0.5, 0], "half of style 0, half of style 1"), ([0.25, 0.75, 0], "a quarter and three quarters")):
        row = np.array([style], float)
        yield state(what, conditional_instance_norm, "y[n, c] = gamma[n, c] xhat[n, c] + beta[n, c]",
                    {"style": row[0], "gamma": (row @ weight)[0], "beta": (row @ bias)[0],
                     "y": conditional_instance_norm(x, row, weight, bias).data[0]}, line="matmul(style, of)")
