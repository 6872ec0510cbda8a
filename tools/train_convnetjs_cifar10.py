"""Train the network of the ConvNetJS demo on CIFAR-10: `python -m tools.train_convnetjs_cifar10`, two hours on one core."""
import sys

from minicnn.data import cropped, flipped, in_turn
from minicnn.optim import Adadelta

from .training import Recipe, cifar10_parts, main


def begin(net):
    """Make the first weights small, and the biases of the convolutions 0.1.

    Photographs hold little fine detail, so that gradients hardly touch the fine noise of a random filter; small first weights
    keep it invisible. The biases are the demo's: no ReLU is dead at first.
    """
    for name, parameter in net.parameters().items():
        if name.endswith("/weight"):
            parameter.data *= 0.25
        elif name != "fc/bias":
            parameter.data += 0.1


# As the demo has it (ConvNetJS divides its weight decay of 1e-4 by the batch size), but for two hours and not for days: the
# steps become smaller and smaller, for with pictures four at a time the weights would jump about for ever.
RECIPE = Recipe(name="convnetjs_cifar10", architecture="convnetjs_cifar10", data=cifar10_parts, epochs=60, batch_size=4, lr=1.0,
                augment=in_turn(flipped, cropped(2)), begin=begin,
                optimizer=lambda parameters, lr: Adadelta(parameters, lr, rho=0.95, eps=1e-8, weight_decay=1e-4 / 4))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
