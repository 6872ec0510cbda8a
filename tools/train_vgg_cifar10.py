"""Train a small VGG with batch norm on CIFAR-10: `python -m tools.train_vgg_cifar10`, one to two and a half hours."""
import sys

from minicnn.data import cropped, flipped, in_turn
from minicnn.optim import SGD

from .training import Recipe, cifar10_parts, main

RECIPE = Recipe(name="vgg_cifar10", architecture="vgg_cifar10", data=cifar10_parts, epochs=30, batch_size=128, lr=0.1, warmup=1,
                augment=in_turn(flipped, cropped(4)),
                optimizer=lambda parameters, lr: SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=5e-4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
