"""Train the network of the ConvNetJS demo on CIFAR-10: `python -m tools.train_convnetjs_cifar10`, half an hour on two cores."""
import sys

from minicnn.data import flipped, in_turn, shifted
from minicnn.optim import Adadelta

from .training import Recipe, cifar10_parts, main

# As the demo has it (ConvNetJS divides its weight decay of 1e-4 by the batch size), but for half an hour and not for days: the
# learning rate begins at 3 and falls to 0, for with pictures four at a time the weights would jump about for ever; and the first
# weights are small, or the filters would look like noise for ever: of fine noise there is so little in photographs that nothing
# tells the filters to lose it.
RECIPE = Recipe(name="convnetjs_cifar10", architecture="convnetjs_cifar10", data=cifar10_parts, epochs=20, batch_size=4, lr=3.0,
                first=0.25, augment=in_turn(flipped, shifted(2)),
                optimizer=lambda parameters: Adadelta(parameters, lr=3.0, rho=0.95, eps=1e-8, weight_decay=1e-4 / 4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
