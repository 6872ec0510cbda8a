"""Train softmax regression, a linear classifier, on CIFAR-10: `python -m tools.train_softmax_cifar10`, some seconds."""
import sys

from minicnn.data import flipped
from minicnn.optim import SGD

from .training import Recipe, cifar10_parts, main

# so much weight decay that the templates can be looked at
RECIPE = Recipe(name="softmax_cifar10", architecture="softmax_cifar10", data=cifar10_parts, epochs=20, batch_size=128, lr=0.01,
                augment=flipped, optimizer=lambda parameters, lr: SGD(parameters, lr, momentum=0.9, weight_decay=3e-2))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
