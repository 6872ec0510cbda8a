"""Inputs for the tasks, drawn anew from an rng: those that students get, and others of the same kinds for grading.

Each function yields (label, inputs). This file does not go to students: the quadtree that hw3.6 walks through would be the answer
to hw3.5.
"""
import numpy as np

from minicnn.embed import QuadTree, dense_affinities, sparse_affinities
from minicnn.fool.pixels import probabilities

from .networks import pixel_network
from .tasks import Case, tasks_of


def cases_of(name, rng):
    """Return the Cases of all tasks of an assignment; `rng` a seed. Each task has random numbers of its own."""
    found = []
    for task in tasks_of(name):
        numbers = np.random.default_rng([rng, *map(ord, task.id)])
        found += [Case(task.id, label, inputs) for label, inputs in CASES[task.id](numbers)]
    return found


def _seed(rng):
    """Return a seed for a network, or for what draws at random itself."""
    return int(rng.integers(1000))


# --- 1: convolution and the like ---
def relu(rng):
    for label, shape, kind in (("a row", (30,), float), ("float32", (17,), np.float32), ("a batch of maps", (2, 3, 2, 2), float)):
        x = rng.normal(size=shape).astype(kind)
        yield label, {"x": x, "dout": rng.normal(size=shape).astype(kind), "on": rng.random(shape) < 0.5}
    x = np.array([0.0, -0.0, 1e-300, -1e-300, np.nan, np.inf, -np.inf])
    yield "0, nearly 0, infinite, no number", {"x": x, "dout": rng.normal(size=7), "on": np.arange(7) % 2 == 0}


# (label, x (N, C, H, W), filters (F, KH, KW), stride, padding, dilation, groups)
CONVOLUTIONS = (("one filter", (1, 1, 5, 5), (1, 3, 3), (1, 1), (0, 0), (1, 1), 1),
                ("channels and pictures", (2, 3, 5, 6), (4, 3, 2), (1, 1), (0, 0), (1, 1), 1),
                ("padding", (1, 2, 4, 5), (3, 3, 3), (1, 1), (1, 2), (1, 1), 1),
                ("stride", (2, 2, 7, 8), (2, 3, 2), (2, 3), (0, 0), (1, 1), 1),
                ("dilation", (1, 2, 7, 7), (2, 3, 2), (1, 1), (0, 0), (2, 3), 1),
                ("groups", (2, 4, 4, 4), (6, 2, 2), (1, 1), (0, 0), (1, 1), 2),
                ("all at once", (2, 4, 9, 8), (4, 3, 2), (2, 1), (1, 2), (1, 2), 2))


def _convolution(rng, shape, filters, stride, padding, dilation, groups):
    F, KH, KW = filters
    OH, OW = ((n + 2 * p - d * (k - 1) - 1) // s + 1
              for n, p, d, k, s in zip(shape[2:], padding, dilation, (KH, KW), stride))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (rng.normal(size=shape), rng.normal(size=(F, shape[1] // groups, KH, KW)), rng.normal(size=F),
            rng.normal(size=(shape[0], F, OH, OW)), geometry)


def conv2d(rng):
    for label, *given in CONVOLUTIONS:
        x, w, b, _, geometry = _convolution(rng, *given)
        yield label, {"x": x, "w": w, "b": b, **geometry}


def conv2d_input(rng):
    for label, *given in CONVOLUTIONS:
        x, w, _, dout, geometry = _convolution(rng, *given)
        yield label, {"dout": dout, "w": w, "x_size": x.shape[2:], **geometry}


def conv2d_weight(rng):
    for label, *given in CONVOLUTIONS:
        x, w, _, dout, geometry = _convolution(rng, *given)
        yield label, {"dout": dout, "x": x, "w_shape": w.shape, **geometry}


# (label, size, kernel, stride, padding, out_size)
POOLINGS = (("2 x 2", (4, 6), (2, 2), (2, 2), (0, 0), (2, 3)), ("overlapping", (7, 7), (3, 3), (2, 2), (0, 0), (3, 3)),
            ("padding", (5, 6), (3, 2), (2, 2), (1, 1), (3, 4)),
            ("a window over the edge", (5, 6), (2, 3), (2, 3), (0, 0), (3, 2)),
            ("a window over the edge that ends early", (6, 6), (3, 3), (2, 2), (0, 0), (3, 3)))


def max_pool2d(rng):
    for label, size, kernel, stride, padding, out_size in POOLINGS:
        x = rng.normal(size=(2, 3, *size)) - 3          # mostly negative: padding must not win with its 0
        yield label, {"x": x, "kernel": kernel, "stride": stride, "padding": padding, "out_size": out_size}
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "out_size": (2, 2)}
    yield "ties", {"x": rng.integers(0, 2, (2, 2, 4, 4)).astype(float), **window}
    x = rng.normal(size=(1, 2, 4, 4))
    x[0, 0, 1, 1], x[0, 1, :2, :2] = np.nan, -np.inf
    yield "no number, nothing but -inf", {"x": x, **window}


def max_pool2d_back(rng):
    for label, size, kernel, stride, padding, out_size in POOLINGS:
        switches = np.zeros((2, 3, *out_size), np.int32)
        for n, c, i, j in np.ndindex(switches.shape):   # any place of the window; neighbours often take the same
            h = rng.integers(max(0, i * stride[0] - padding[0]), min(size[0], i * stride[0] - padding[0] + kernel[0]))
            w = rng.integers(max(0, j * stride[1] - padding[1]), min(size[1], j * stride[1] - padding[1] + kernel[1]))
            switches[n, c, i, j] = h * size[1] + w
        yield label, {"dout": rng.normal(size=switches.shape), "switches": switches, "x_size": size,
                      "window": (kernel, stride, padding)}
    switches = np.full((1, 1, 2, 2), 4, np.int32)
    yield "all at one place", {"dout": rng.normal(size=(1, 1, 2, 2)), "switches": switches, "x_size": (3, 3),
                               "window": ((2, 2), (1, 1), (0, 0))}


def backward(rng):
    for name in ("a chain", "a diamond", "the same twice", "an early use of a late node", "a long chain", "many ways"):
        yield name, {"name": name, "a": rng.normal(size=(3, 3)) / 3, "b": rng.normal(size=(3, 3)) / 3}


# --- 2: back to the picture ---
def _picture(rng, size):
    return rng.uniform(-50, 50, (1, 3, size, size))


def unit(rng):
    for network, size, layer, which, value in (
            ("small", 10, "conv1", (2, 3, 4), 1.0), ("small", 10, "conv2", (1, 0, 1), "activation"), ("small", 10, "fc", 2, 1.0),
            ("small", 10, "relu2", 3, 0.5), ("branched", 8, "concat", (4, 2, 2), "activation"), ("branched", 8, "conv2", 1, 2.0)):
        yield f"{network} network, {layer}, unit {which}, {value}", {
            "network": network, "seed": _seed(rng), "x": _picture(rng, size), "layer": layer, "unit": which,
            "value": value}


def rules(rng):
    for label, shape in (("a row", (24,)), ("maps", (2, 2, 3, 3))):
        yield label, {"on": rng.random(shape) < 0.5, "dout": rng.normal(size=shape)}
    yield "zeros", {"on": np.array([True, True, True, False]), "dout": np.array([0.0, -0.0, 1e-300, 5.0])}


def saliency(rng):
    for network, size, class_index in (("small", 10, 0), ("small", 10, 3), ("branched", 8, 1), ("branched", 8, 2)):
        yield f"{network} network, class {class_index}", {
            "network": network, "seed": _seed(rng), "x": _picture(rng, size), "class_index": class_index}


def deconvolved(rng):
    for network, size, layer, which in (("small", 10, "conv1", (2, 4, 4)), ("small", 10, "pool1", (1, 2, 1)),
                                        ("small", 10, "relu2", (0, 1, 1)), ("small", 10, "fc", (2,)),
                                        ("branched", 8, "concat", (1, 2, 3)), ("branched", 8, "conv2", (1, 0, 5))):
        yield f"{network} network, {layer}, unit {which}", {
            "network": network, "seed": _seed(rng), "x": _picture(rng, size), "layer": layer, "unit": which}


def climbed(rng):
    for label, settings, step in (
            ("only a step", {"lr": 0.5}, 1), ("decay", {"lr": 2.0, "decay": 0.1}, 1),
            ("progress", {"lr": 1e8, "progress": 2.0}, 0),
            ("blur, in turn", {"lr": 1.0, "blur": 0.7, "blur_every": 4}, 8),
            ("no blur yet", {"lr": 1.0, "blur": 0.7}, 3),
            ("small norms go", {"lr": 1.0, "small_norm": 40.0}, 2),
            ("small contributions go", {"lr": 1.0, "small_contribution": 60.0}, 2),
            ("everything", {"lr": 3.0, "progress": 5.0, "decay": 0.05, "blur": 1.0, "blur_every": 2, "small_norm": 20.0,
                            "small_contribution": 30.0}, 6)):
        yield label, {"x": rng.normal(0, 20, (1, 3, 6, 7)), "gradient": rng.normal(size=(1, 3, 6, 7)), "settings": settings,
                      "step": step}
    yield "the score less the norm", {"weight": 0.02, "lr": 3.0, "x": rng.normal(0, 20, (1, 3, 4, 4)),
                                      "gradient": rng.normal(size=(1, 3, 4, 4))}


# --- 3: maps ---
def affinities(rng):
    for label, N, perplexity, spread in (("few points", 6, 2.0, 1.0), ("more", 20, 5.0, 1.0), ("far apart", 12, 4.0, 200.0),
                                         ("very near", 12, 3.0, 1e-3)):
        x = rng.normal(size=(N, 3)) * spread
        x[0] *= 3                                       # an outlier needs a width of its own
        distances = np.sqrt(((x[:, None] - x) ** 2).sum(axis=2))
        yield label, {"distances": distances, "sigma": rng.uniform(0.5, 2, N) * spread, "perplexity": perplexity}


def _points(rng, N):
    return rng.normal(size=(N, 4)), rng.normal(size=(N, 2))


def sne(rng):
    for label, N, symmetric in (("few points", 5, False), ("more", 15, False), ("symmetric", 8, True)):
        X, Y = _points(rng, N)
        yield label, {"P": dense_affinities(X, 3, symmetric=symmetric), "Y": Y, "symmetric": symmetric}
    X, Y = _points(rng, 6)
    yield "a wide map", {"P": dense_affinities(X, 2), "Y": Y * 4, "symmetric": False}


def tsne(rng):
    for label, N, spread in (("few points", 5, 1.0), ("more", 16, 1.0), ("a wide map", 8, 30.0), ("a tiny map", 8, 1e-3)):
        X, Y = _points(rng, N)
        yield label, {"P": dense_affinities(X, 3, symmetric=True), "Y": Y * spread}
    yield "pairs with p = 0", {"P": sparse_affinities(X, 1.2, neighbors=2).toarray(), "Y": Y}


def descent(rng):
    for label, steps, rate, momentum in (("one step", 1, 0.5, 0.5), ("five", 5, 0.1, 0.8), ("forty, on and on", 40, 0.01, 0.5)):
        gradients = rng.normal(size=(steps, 6, 2))
        if steps == 40:
            gradients = np.abs(gradients)               # always the same way: gains fall to 0.01 and no further
        gradients[:, 0] = 0
        yield label, {"Y": rng.normal(size=(6, 2)), "gradients": gradients, "learning_rate": rate, "momentum": momentum}


def quadtree(rng):
    for label, points, leaf_size in (
            ("two points", rng.random((2, 2)), 1), ("some", rng.random((12, 2)), 1), ("many", rng.normal(size=(60, 2)), 1),
            ("three in a leaf", rng.normal(size=(40, 2)), 3),
            ("two very near", np.array([[0, 0], [1, 1], [1 - 1e-5, 1], [0.2, 0.9]]), 1),
            ("the same place twice", np.array([[0, 0], [1, 0.5], [0.3, 0.3], [0.3, 0.3]]), 1)):
        yield label, {"points": points + rng.normal(size=2), "leaf_size": leaf_size}


def barnes_hut(rng):
    from .hw3 import TREE
    for label, N, theta in (("theta = 0: all", 12, 0.0), ("theta = 0.5", 40, 0.5), ("theta = 1", 40, 1.0), ("coarse", 60, 2.0)):
        Y = rng.normal(size=(N, 2)) * 4
        tree = QuadTree(Y)
        P = sparse_affinities(rng.normal(size=(N, 3)), 2).tocoo()
        yield label, {"tree": {name: getattr(tree, name) for name in TREE}, "theta": theta, "y": Y[0], "rows": P.row.astype(int),
                      "columns": P.col.astype(int), "p": P.data}


# --- 4: art ---
def dream(rng):
    for label, size, end, settings in (
            ("without shift", (10, 10), "relu1", {"jitter": 0}), ("with a shift", (10, 12), "relu2", {"jitter": 4}),
            ("two layers", (10, 10), {"relu1": 1.0, "conv2": 0.3}, {"jitter": 2, "step_size": 3.0}),
            ("clipped", (10, 10), "pool1", {"jitter": 1, "step_size": 60.0}),
            ("not clipped", (10, 10), "pool1", {"jitter": 1, "step_size": 60.0, "clip": False}),
            ("in tiles", (40, 34), "relu2", {"tile": 32})):
        yield label, {"seed": _seed(rng), "src": rng.uniform(-50, 50, (1, 3, *size)).astype(np.float32), "end": end,
                      "settings": settings, "rng": _seed(rng)}


def octaves(rng):
    for label, size, count, octave_scale, steps, states in (
            ("one octave", (32, 36), 1, 1.4, 3, 6), ("two", (46, 45), 2, 1.4, 3, 8), ("three", (50, 44), 3, 1.1, 2, 7)):
        yield label, {"seed": _seed(rng), "image": rng.integers(0, 256, (*size, 3)).astype(np.uint8), "layer": "relu1",
                      "octaves": count, "octave_scale": octave_scale, "steps": steps, "count": states, "rng": _seed(rng)}


def gram(rng):
    for label, shape in (("two features", (1, 2, 4)), ("pictures", (3, 4, 9)), ("more features than places", (2, 6, 3))):
        yield label, {"features": rng.normal(size=shape), "dout": rng.normal(size=(shape[0], shape[1], shape[1]))}


def total_variation(rng):
    for label, shape, beta, size in (
            ("squares", (1, 1, 4, 5), 2.0, 1), ("lengths", (2, 3, 4, 4), 1.0, 1), ("beta 3", (1, 2, 5, 3), 3.0, 1),
            ("nearly flat", (1, 1, 5, 5), 1.5, 2e-3), ("one row", (1, 2, 1, 6), 2.0, 1)):
        yield label, {"x": rng.normal(size=shape) * size, "beta": beta}
    yield "flat", {"x": np.full((1, 1, 3, 4), 0.25), "beta": 1.0}


def perceptual(rng):
    grams = [np.einsum("nci,ndi->ncd", F, F) for F in (rng.normal(size=(2, C, 5)) for C in (4, 6))]
    maps = rng.normal(size=(2, 3, 6, 6)) * 50
    layers = ({"relu_left": (maps[:1], 2.0)}, {"relu1": (grams[0][:1], 1.5), "concat": (grams[1][:1], 0.5)})
    for label, N, content, style, tv, relative in (
            ("content alone", 1, layers[0], {}, 0.0, True), ("style alone", 1, {}, layers[1], 0.0, True),
            ("both, and total variation", 1, *layers, 100.0, True), ("as Gatys has it", 1, *layers, 0.0, False),
            ("two pictures", 2, {"relu_left": (maps, 1.0)}, {"concat": (grams[1], 1.0)}, 3.0, True),
            ("a layer that never answers", 1, {"relu_left": (0 * maps[:1], 1.0)}, layers[1], 0.0, True)):
        yield label, {"seed": _seed(rng), "x": rng.uniform(-100, 100, (N, 3, 8, 8)), "content": content, "style": style,
                      "tv_weight": tv, "relative": relative}


# --- 5: fooling ---
def _pixels(rng, N):
    return {"seed": _seed(rng), "pixels": rng.random((N, 3, 6, 6)), "labels": rng.integers(0, 4, N)}


def fast_gradient_sign(rng):
    for label, N, epsilon in (("one picture", 1, 0.01), ("three", 3, 0.1), ("much, clipped", 2, 0.7)):
        yield label, {**_pixels(rng, N), "epsilon": epsilon}


def projected(rng):
    for label, N, epsilon, settings in (("from the picture itself", 2, 0.05, {"random_start": False, "relative_step": 0.3}),
                                        ("a random start", 2, 0.05, {"relative_step": 0.1}),
                                        ("large steps, held back", 2, 0.02, {"relative_step": 0.8}),
                                        ("at the border of 0..1", 1, 0.6, {"relative_step": 0.5})):
        yield label, {**_pixels(rng, N), "epsilon": epsilon, "settings": settings, "rng": _seed(rng)}


def box_constrained(rng):
    for label, c in (("from 1", 1.0), ("from a small c", 1e-3), ("from a large c", 1e4)):
        given = _pixels(rng, 1)
        second = int(np.argsort(probabilities(pixel_network(given["seed"]), given["pixels"])[0])[-2])      # not too far to get to
        yield label, {"seed": given["seed"], "pixels": given["pixels"], "target": second, "c": c, "count": 8}


def gradient_ascent(rng):
    for label, classes, settings in (("one class", [1], {}), ("all classes", [0, 1, 2, 3], {}),
                                     ("as published", [2, 0], {"early": 0.03, "late": 0.1, "momentum": 0.0}),
                                     ("with decay", [3, 1], {"decay": 0.03}),
                                     ("all the way", [1, 2], {"goal": 1.0, "early": 0.9})):
        yield label, {"seed": _seed(rng), "classes": np.array(classes), "settings": settings, "rng": _seed(rng)}


def evolution(rng):
    for label, K, N, crossover in (("mutants only", 4, 3, 0.0), ("always crossed", 3, 4, 1.0), ("both", 5, 8, 0.5)):
        fitness, judged = rng.random(K), rng.random((N, K))
        judged[0, 0] = fitness[0] = 1.0                 # as good is not better
        yield label, {"elites": rng.normal(size=K), "fitness": fitness, "judged": judged, "crossover": crossover,
                      "rng": _seed(rng)}


def linear(rng):
    for label, K, N, epsilon in (("two classes", 2, 3, 0.1), ("five", 5, 6, 0.02), ("epsilon 0", 3, 4, 0.0)):
        w = rng.normal(size=(K, 1, 3, 3))
        p, y = rng.random((N, 9)), rng.choice([-1, 1], N)
        yield label, {"w": w, "scores": rng.normal(size=(N, K)), "epsilon": epsilon, "p": p, "y": y}


CASES = {"hw1.1": relu, "hw1.2": conv2d, "hw1.3": conv2d_input, "hw1.4": conv2d_weight, "hw1.5": max_pool2d,
         "hw1.6": max_pool2d_back, "hw1.7": backward, "hw2.1": unit, "hw2.2": rules, "hw2.3": saliency, "hw2.4": deconvolved,
         "hw2.5": climbed, "hw3.1": affinities, "hw3.2": sne, "hw3.3": tsne, "hw3.4": descent, "hw3.5": quadtree,
         "hw3.6": barnes_hut, "hw4.1": dream, "hw4.2": octaves, "hw4.3": gram, "hw4.4": total_variation, "hw4.5": perceptual,
         "hw5.1": fast_gradient_sign, "hw5.2": projected, "hw5.3": box_constrained, "hw5.4": gradient_ascent, "hw5.5": evolution,
         "hw5.6": linear}
