"""Train LeNet adversarially on MNIST's digits: `python -m tools.train_lenet_adversarial`, a quarter of an hour."""
import sys
from dataclasses import replace

from minicnn.fool.adversarial_training import AdversarialStep

from .train_lenet_mnist import RECIPE as CLEAN
from .training import main

RECIPE = replace(CLEAN, name="lenet_adversarial", take_step=lambda rng: AdversarialStep(epsilon=0.25),
                 beside="accuracy on fooling digits")

if __name__ == "__main__":
    sys.exit(main(RECIPE))
