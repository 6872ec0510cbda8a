"""The suite `fool`: a table of attacks: how often they fool a network, how much they change, how long they take.

Each attack gets pictures that the network classifies rightly. Fooled is a picture whose 8-bit PNG file is of another class, or of
the class that was wanted; distortion is sqrt(sum r^2 / n) of those that are fooled. SqueezeNet's pictures are 100 of
imagenet_samples.h5 in $MINICNN_DATA, one of a class, or the shipped photographs and what it takes them for. With --peers foolbox
makes the same attacks with PyTorch, in turn with ours; success must be the same within two points, or nothing is compared.
"""
import importlib.util
import io
import os
import statistics
import time
from pathlib import Path

import numpy as np

import minicnn
from lectures.common import IMAGES, digits
from minicnn.errors import MinicnnError
from minicnn.fool.adversarial import distortion, fgsm, lbfgs_attack
from minicnn.fool.deepfool import deepfool
from minicnn.fool.pgd import pgd
from minicnn.fool.pixels import per_pixel, pixels_of, probabilities, through_png

from . import cases
from .steps import plan

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT, DIGITS = 100, 300
POINTS = 0.02               # by which the success of the peers may differ
EPSILONS = {"squeezenet1_1": (0.007, 2 / 255), "softmax_mnist": (0.1, 0.1)}       # of FGSM and PGD; others 0.25
NETS = ("softmax_mnist", "lenet_mnist", "lenet_adversarial", "lenet_robust", "squeezenet1_1")


def records(threads, peers, rounds, only):
    """Yield the record of each attack on each network; peers: whether foolbox takes part."""
    for name in NETS:
        if any(only in label(name, attack) for attack in attacks_on(name)):
            net = minicnn.load(name)
            pixels, labels = rightly_seen(net, name)
            for attack, ours in attacks_on(name).items():
                if only in label(name, attack):
                    theirs = peer(net, name, attack, pixels, labels, threads) if peers else None
                    yield measure(net, label(name, attack), ours, theirs, pixels, labels, rounds)


def label(name, attack):
    """Return how the table calls an attack on a network."""
    return f"{name}, {attack}"


def attacks_on(name):
    """Return {attack: function of (net, pixels, labels, goals)}."""
    step, steps = EPSILONS.get(name, (0.25, 0.25))
    found = {"FGSM": lambda net, p, y, goals: fgsm(net, p, y, step),
             "PGD": lambda net, p, y, goals: pgd(net, p, y, steps),
             "DeepFool": lambda net, p, y, goals: deepfool(net, p)}
    if name in ("squeezenet1_1", "lenet_mnist"):
        found["L-BFGS to a class"] = by_lbfgs
    return found


def by_lbfgs(net, pixels, labels, goals):
    """Return the pictures changed to the classes `goals`, one after the other, under a bar."""
    import tqdm
    return np.concatenate([lbfgs_attack(net, p[None], int(goal), confidence=0, searches=4, inner=15).pixels
                           for p, goal in tqdm.tqdm(list(zip(pixels, goals)), leave=False, desc="L-BFGS")])


def rightly_seen(net, name):
    """Return pixels and labels of pictures that a network gets right."""
    if name != "squeezenet1_1":
        images, labels = digits(DIGITS + 100)
        pixels = (images[:, None] / 255).astype(np.float32)
    else:
        pixels, labels = photographs(net)
    right = probabilities(net, pixels).argmax(axis=1) == labels
    return pixels[right][:DIGITS], labels[right][:DIGITS]


def photographs(net):
    """Return 100 pictures of as many classes that the network gets right, or the shipped ones, and their classes."""
    for place in (os.environ.get("MINICNN_DATA"), ROOT.parent / "shared" / "data"):
        path = Path(place or "") / "imagenet_samples.h5"
        if place and path.is_file():
            break
    else:
        pixels = pixels_of(net, *sorted(IMAGES.glob("*.jpg")))
        return pixels, probabilities(net, pixels).argmax(axis=1)
    import h5py
    from PIL import Image
    found = []
    with h5py.File(path, "r") as file:
        for k in np.random.default_rng(0).permutation(len(file["jpeg"])):
            pixels = pixels_of(net, Image.open(io.BytesIO(file["jpeg"][k].tobytes()), formats=["JPEG"]))
            if probabilities(net, pixels)[0].argmax() == k:
                found.append((pixels, int(k)))
            if len(found) == COUNT:
                break
    return np.concatenate([p for p, _ in found]), np.array([k for _, k in found])


def measure(net, name, ours, theirs, pixels, labels, rounds):
    """Return the record of an attack: its success and distortion, and medians of the turns."""
    classes, rng = probabilities(net, pixels[:1]).shape[1], np.random.default_rng(1)
    goals = (labels + rng.integers(1, classes, len(labels))) % classes
    turns = 1 if "L-BFGS" in name else min(rounds, 3)
    ours(net, pixels[:1], labels[:1], goals[:1])                # kernels are compiled
    seconds, changed, other = {"minicnn": [], "foolbox": []}, None, None
    for _ in range(turns):
        start = time.perf_counter()
        changed = ours(net, pixels, labels, goals)
        seconds["minicnn"].append((time.perf_counter() - start) / len(pixels))
        if theirs:
            start = time.perf_counter()
            other = theirs()
            seconds["foolbox"].append((time.perf_counter() - start) / len(pixels))
    wanted = goals if "to a class" in name else None
    success, file = fooled(net, changed, labels, wanted), fooled(net, through_png(changed), labels, wanted)
    if theirs and abs(success.mean() - fooled(net, other, labels, wanted).mean()) > POINTS:
        rates = f"minicnn fools {success.mean():.1%}, foolbox {fooled(net, other, labels, wanted).mean():.1%}"
        raise MinicnnError(f"{name}: {rates}; they do not make the same attack, nothing was compared")
    medians = {who: statistics.median(times) for who, times in seconds.items() if times}
    apart = distortion(changed, pixels)[success] if success.any() else np.full(1, np.nan)
    return {"suite": "fool", "name": name, "pictures": len(pixels), "success": float(success.mean()), "file": float(file.mean()),
            "median": float(np.median(apart)), "mean": float(apart.mean()), "seconds": medians, "rounds": seconds,
            "ratios": {"foolbox": medians["minicnn"] / medians["foolbox"]} if theirs else {}}


def fooled(net, pixels, labels, goals):
    """Return which pictures (N,) have another class than their label or, with goals, that class."""
    found = probabilities(net, pixels).argmax(axis=1)
    return found != labels if goals is None else found == goals


def foolbox_is_installed():
    """Whether foolbox and PyTorch can be imported."""
    return all(map(importlib.util.find_spec, ("foolbox", "torch")))


def peer(net, name, attack, pixels, labels, threads):
    """Return a function that makes the attack by foolbox and returns its pixels, or None where foolbox has no such attack."""
    if attack == "L-BFGS to a class":
        return None
    import foolbox
    import torch
    from .peers import Torch
    contender, spec = Torch(threads), net.preprocessing
    steps = plan(cases.record(net, np.zeros(pixels.shape, np.float32)))
    weights = {key: torch.from_numpy(np.array(p.data)) for key, p in net.parameters().items()}
    scale, shift = (torch.tensor(np.asarray(v, np.float32).reshape(1, -1, 1, 1)) for v in
                    (per_pixel(net), np.divide(spec.mean, spec.std)))

    class Model(torch.nn.Module):
        def forward(self, p):
            return contender.forward(steps, weights, (p.flip(1) if spec.channel_order == "BGR" else p) * scale - shift)
    model = foolbox.PyTorchModel(Model().eval(), bounds=(0, 1), device="cpu")
    x, y = torch.from_numpy(pixels), torch.from_numpy(np.asarray(labels, np.int64))
    step, many = EPSILONS.get(name, (0.25, 0.25))
    deep = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02, loss="logits")
    made, epsilon = {"FGSM": (foolbox.attacks.LinfFastGradientAttack(), step), "DeepFool": (deep, None),
                     "PGD": (foolbox.attacks.LinfPGD(steps=50, rel_stepsize=0.025), many)}[attack]
    return lambda: made(model, x, y, epsilons=epsilon)[1].numpy()


def row(record):
    """Return a record as a line of the table."""
    ratio = f" (foolbox {1e3 * record['seconds']['foolbox']:.1f}: {record['ratios']['foolbox']:.2f})" if record["ratios"] else ""
    return (f"{record['name']:<36} of {record['pictures']:<4} fooled {record['success']:7.1%}, as PNG {record['file']:7.1%}   "
            f"distortion median {record['median']:.5f} mean {record['mean']:.5f}   "
            f"{1e3 * record['seconds']['minicnn']:8.1f} ms a picture{ratio}")
