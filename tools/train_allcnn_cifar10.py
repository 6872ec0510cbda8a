"""Train All-CNN-C at half width on CIFAR-10: `python -m tools.train_allcnn_cifar10`."""
import sys

from minicnn.data import cropped, flipped, in_turn
from minicnn.optim import SGD

from .training import Recipe, cifar10_parts, main

RECIPE = Recipe(name="allcnn_cifar10", architecture="allcnn_cifar10", data=cifar10_parts, epochs=24, batch_size=128, lr=0.1,
                warmup=1, augment=in_turn(flipped, cropped(4)),
                optimizer=lambda parameters, lr: SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=5e-4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
