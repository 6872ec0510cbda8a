"""Names of arrays as torch's modules give them, put together as layers.

A module's state dict is flat: "features.0.weight" and "features.0.bias" are the path of a layer and the name of one of its
arrays. Axes are ours already: filters (out, in / groups, height, width), matrices (out, in) that read maps in the order C, H, W.
Models that were trained on several devices have "module." before every name, those inside a wrapper often "model.".
"""
import re
import reprlib

from ..errors import WeightsError

KEYS = ("weight", "bias", "running_mean", "running_var")
PREFIXES = ("module.", "model.")


def layers_of_state_dict(arrays):
    """Return (layers, left_out) for {"features.0.weight": Stored, ...}: {"features.0": {"weight": Stored}} and other names.

    A name ends in one of KEYS after a dot, or after a "_" as in "conv1_weight"; prefixes that all names share go away. Arrays
    of whole numbers (counters, quantised weights) are left out, and None, which stands for an array that cannot be read.
    """
    strange = [name for name in arrays if not name.isprintable()]
    if strange:
        raise WeightsError(f"an array is named {reprlib.repr(strange[0])}; expected a name that can be printed")
    start = 0
    while arrays:
        prefix = next((p for p in PREFIXES if all(n.startswith(p, start) and "." in n[start + len(p):] for n in arrays)), None)
        if prefix is None:
            break
        start += len(prefix)
    layers, left_out = {}, []
    for name, array in arrays.items():
        parts = re.fullmatch(f"(.+)[._]({'|'.join(KEYS)})", name[start:], re.DOTALL)
        if parts is None or array is None or array.dtype.kind != "f":
            left_out.append(name[start:][:100])
            continue
        layer, key = parts.groups()
        if key in layers.setdefault(layer, {}):
            raise WeightsError(f"{reprlib.repr(name)} is the second {key} of {reprlib.repr(layer)}; expected one")
        layers[layer][key] = array
    return layers, left_out
