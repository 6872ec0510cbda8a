"""How numbers vary from parents to children in evolution: Deb's operators, near the parents mostly, far away at times.

    polynomial mutation     v + (high - low) delta,  delta = (2 u)^(1 / (eta + 1)) - 1  or  1 - (2 - 2 u)^(1 / (eta + 1))
    simulated binary crossover   ((1 + beta) a + (1 - beta) b) / 2,  beta = (2 u)^(1 / (eta + 1))  or  (2 - 2 u)^(-1 / (eta + 1))

for u below 1/2 or above, drawn anew for every number; the larger eta, the nearer. Which parent is called a is drawn too,
for every number. What leaves low..high is put on the border.
Source: K. Deb and R. Agrawal 1995; K. Deb and M. Goyal 1996; eta 15 and 10 as A. Nguyen, J. Yosinski and J. Clune 2015.
"""
import numpy as np


def polynomial_mutation(values, rate, eta, rng, low=0.0, high=1.0):
    """Return the values, each changed with probability `rate`."""
    u, chosen = rng.random(values.shape), rng.random(values.shape) < rate
    power = 1 / (eta + 1)
    delta = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 - 2 * u) ** power)
    return np.where(chosen, (values + (high - low) * delta).clip(low, high), values).astype(values.dtype)


def simulated_binary_crossover(a, b, eta, rng, low=0.0, high=1.0):
    """Return a child of two arrays of values: each number near that of one parent, between both or, as often, beyond."""
    u, power = rng.random(a.shape), 1 / (eta + 1)
    beta = np.where(u <= 0.5, (2 * u) ** power, np.maximum(2 - 2 * u, 1e-30) ** -power)
    beta *= rng.choice([-1, 1], a.shape)
    return (((1 + beta) * a + (1 - beta) * b) / 2).clip(low, high).astype(a.dtype)
