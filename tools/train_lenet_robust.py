"""Train LeNet adversarially from random starts on MNIST's digits: `python -m tools.train_lenet_robust`, a quarter of an hour."""
import sys
from dataclasses import replace

from minicnn.fool.adversarial_training import AdversarialStep

from .train_lenet_adversarial import RECIPE as FROM_THE_PICTURE
from .training import main

RECIPE = replace(FROM_THE_PICTURE, name="lenet_robust", take_step=lambda rng: AdversarialStep(epsilon=0.25, rng=rng))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
