"""Makes convnetjs.json.gz and convnetjs_keyed.json.gz number by number: python tests/foreign/make_convnetjs.py

The library writes plain JSON; gzip keeps the repository small.
"""
import gzip
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights       # noqa: E402


def volume(sx, sy, depth, number_at, keyed):
    """Return a volume of ConvNetJS whose number at column x, row y and channel d is number_at(x, y, d)."""
    w = {}
    for y in range(sy):
        for x in range(sx):
            for d in range(depth):
                w[((sx * y) + x) * depth + d] = float(number_at(x, y, d))
    if keyed == "shuffled":
        places = list(w)
        random.Random(3).shuffle(places)
        w = {place: w[place] for place in places}
    return {"sx": sx, "sy": sy, "depth": depth, "w": {str(k): v for k, v in w.items()} if keyed else list(w.values())}


def net(keyed):
    """Return the network as toJSON() gives it; `keyed`: objects instead of lists, in conv2 with their names shuffled."""
    layers, size = [{"out_depth": 3, "out_sx": 32, "out_sy": 32, "layer_type": "input"}], 32
    for name, (weight, bias) in weights().items():
        how = "shuffled" if keyed and name == "conv2" else keyed
        decay = {"l1_decay_mul": 0, "l2_decay_mul": 1}
        out = len(bias)
        if name == "fc":
            # Input number n of the layer is column x, row y, channel d of a map 4x4x20, which torch counts as d, y, x.
            def fc_at(o):
                return lambda x, y, n: weight[o, (n % 20) * 16 + (n // 20 // 4) * 4 + n // 20 % 4]
            filters = [volume(1, 1, 320, fc_at(o), how) for o in range(out)]
            about = {"out_depth": out, "out_sx": 1, "out_sy": 1, "layer_type": "fc", "num_inputs": 320, **decay}
        else:
            def conv_at(o):
                return lambda x, y, d: weight[o, d, y, x]
            filters = [volume(5, 5, weight.shape[1], conv_at(o), how) for o in range(out)]
            about = {"sx": 5, "sy": 5, "stride": 1, "in_depth": weight.shape[1], "out_depth": out, "out_sx": size,
                     "out_sy": size, "layer_type": "conv", **decay, "pad": 2}
        layers.append({**about, "filters": filters, "biases": volume(1, 1, out, lambda x, y, d: bias[d], how)})
        if name != "fc":
            layers.append({"out_depth": out, "out_sx": size, "out_sy": size, "layer_type": "relu"})
            size //= 2
            layers.append({"sx": 2, "sy": 2, "stride": 2, "in_depth": out, "out_depth": out, "out_sx": size, "out_sy": size,
                           "layer_type": "pool", "pad": 0})
    layers.append({"out_depth": 10, "out_sx": 1, "out_sy": 1, "num_inputs": 10, "layer_type": "softmax"})
    return {"layers": layers}


def main():
    """Write both files."""
    for name, keyed in (("convnetjs.json.gz", ""), ("convnetjs_keyed.json.gz", "in order")):
        text = json.dumps(net(keyed), separators=(",", ":")).encode()
        (FOLDER / name).write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
