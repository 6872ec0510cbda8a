"""Write goldens/fool.npz: how often foolbox's attacks fool LeNet, and scikit-image's HOG.

    pip install torch==2.13.0 foolbox scikit-image; python tests/make_fool_goldens.py
"""
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent
COUNT = 300                     # digits of the shipped part of MNIST
EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
STEPS, RELATIVE_STEP = 20, 0.1
LAYOUTS = {"gray": ((64, 48), (9, 8, 3)), "odd": ((53, 70), (8, 6, 2)), "colour": ((48, 64, 3), (9, 8, 3)),
           "cells": ((40, 40, 3), (12, 5, 1))}


def attacks():
    """Return the part of the digits fooled at each epsilon, by attack, and DeepFool's distortions."""
    import foolbox
    import torch
    import minicnn
    from lectures.common import digits
    from torch_nets import TorchNet

    class LeNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = TorchNet({name: p.data for name, p in minicnn.load("lenet_mnist").parameters().items()})

        def forward(self, p):
            return self.net.lenet(p * (255 / 256))

    images, labels = digits(COUNT)
    x, y = torch.tensor(images[:, None] / 255, dtype=torch.float32), torch.tensor(labels.astype(np.int64))
    model, found = foolbox.PyTorchModel(LeNet().eval(), bounds=(0, 1), device="cpu"), {}
    torch.manual_seed(0)
    for name, attack in {
            "fgsm": foolbox.attacks.LinfFastGradientAttack(),
            "pgd": foolbox.attacks.LinfPGD(steps=STEPS, rel_stepsize=RELATIVE_STEP, random_start=False),
            "pgd_random": foolbox.attacks.LinfPGD(steps=STEPS, rel_stepsize=RELATIVE_STEP, random_start=True)}.items():
        _, _, fooled = attack(model, x, y, epsilons=list(EPSILONS))
        found[name] = fooled.float().mean(axis=1).numpy()
    deep = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02, loss="logits")
    changed, _, fooled = deep(model, x, y, epsilons=None)
    found["deepfool"] = fooled.float().mean().numpy()
    found["deepfool_distortion"] = ((changed - x) ** 2).flatten(1).mean(1).sqrt().numpy()
    return found


def hogs():
    """Return pictures and scikit-image's HOG of them."""
    from skimage.feature import hog
    rng, found = np.random.default_rng(0), {}
    for name, (shape, (orientations, cell, block)) in LAYOUTS.items():
        picture = rng.random(shape)
        found[f"{name}/picture"] = picture
        found[f"{name}/hog"] = hog(picture, orientations, (cell, cell), (block, block),
                                   channel_axis=2 if len(shape) == 3 else None)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS.parent))
    found = {**{f"attacks/{name}": value for name, value in attacks().items()},
             **{f"hog/{name}": value for name, value in hogs().items()}}
    np.savez_compressed(TESTS / "goldens" / "fool.npz", **found)
    print({name: value if value.size < 10 else value.shape for name, value in found.items()})
