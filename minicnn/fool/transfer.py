"""What fools one network fools another, that never saw it: no weights are needed for an attack. After the lecture.

    T[a, b] = of the pictures that both a and b get right, the part that b gets wrong after an attack on a

Source: C. Szegedy et al. 2014, section 4.2; I. Goodfellow, J. Shlens and C. Szegedy 2015, section 8.
"""
import numpy as np

from ..errors import SettingError, ShapeError
from .pixels import checked, checked_pair, probabilities, through_png


def transfer_rates(nets, pixels, labels, attack):
    """Return T (len(nets), len(nets)); nan where there is no picture that both get right.

    nets: a list of networks that take pictures of the same kind. attack: a function of (net, pixels, labels) that returns pixels.
    The changed pictures are judged as 8-bit files.
    """
    nets = list(nets) if isinstance(nets, (list, tuple)) else []
    if not nets or not callable(attack):
        raise SettingError("transfer_rates: there are no networks, or no attack, expected a list of at least one, and a function")
    for net in nets:
        pixels, labels = checked_pair("transfer_rates", net, pixels, labels)
    right = [probabilities(net, pixels).argmax(axis=1) == labels for net in nets]
    rates = np.full((len(nets), len(nets)), np.nan)
    for a, net in enumerate(nets):
        changed = through_png(checked("transfer_rates, what the attack gave", net, attack(net, pixels, labels)))
        if changed.shape != pixels.shape:
            raise ShapeError(f"transfer_rates: the attack gave pixels {changed.shape} for {pixels.shape}, expected as many")
        for b, other in enumerate(nets):
            both = right[a] & right[b]
            if both.any():
                rates[a, b] = (probabilities(other, changed[both]).argmax(axis=1) != labels[both]).mean()
    return rates
