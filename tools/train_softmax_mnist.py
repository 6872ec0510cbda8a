"""Train softmax regression, a linear classifier, on MNIST's digits: `python -m tools.train_softmax_mnist`, some seconds."""
import sys

from minicnn.optim import SGD

from .train_lenet_mnist import data
from .training import Recipe, main

RECIPE = Recipe(name="softmax_mnist", architecture="softmax_mnist", data=data, epochs=12, batch_size=64, lr=0.1,
                optimizer=lambda parameters, lr: SGD(parameters, lr, momentum=0.9, weight_decay=1e-4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
