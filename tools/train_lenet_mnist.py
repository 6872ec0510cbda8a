"""Train LeNet on MNIST's digits: `python -m tools.train_lenet_mnist`, some minutes on two cores."""
import sys

from minicnn.data import mnist, shifted
from minicnn.optim import SGD

from .training import Recipe, main


def data(folder):
    """Return the 60,000 digits to train on, those to test on, and whose they are."""
    train, test = mnist(folder)
    return train, {"test digits": test}, "weights MIT as the project; trained on MNIST (CC BY-SA 3.0, LeCun, Cortes, Burges)"


RECIPE = Recipe(name="lenet_mnist", architecture="lenet", data=data, epochs=12, batch_size=64, lr=0.02, warmup=0.2,
                augment=shifted(2),
                optimizer=lambda parameters, lr: SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=5e-4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
