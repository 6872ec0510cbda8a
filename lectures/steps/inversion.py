"""Which picture has this code? From noise, downhill, by the gradient with momentum."""
import numpy as np

from minicnn.loop import take
from minicnn.visualize.inversion import encode, inversion_steps, sigma

from ..stepping import state
from ..tiny import bar, tiny_net

RATE, SHOWN = 0.003, (0, 1, 2, 10, 30, 90)


def steps(rng):
    """The code of a bar at the layer "pool", eight numbers, and the pictures on the way to it."""
    net = tiny_net()
    x = net.preprocess(bar())
    code = encode(net, x, "pool").data
    yield state("the code of a picture: all that is known of it from now on", encode, "Return Phi(x)",
                {"the picture": bar()[:, :, 0], "Phi_0": code[0]}, line="net.activations(x, upto=layer)[layer]")
    before = None
    for found in take(SHOWN[-1], inversion_steps(net, code, "pool", tv_weight=0.1, schedule=((100, RATE),), rng=rng)):
        if found.step in SHOWN:
            moved = {"m": (found.x - before)[0, 0]} if found.step else {}
            seen = encode(net, (found.x * 0.01).astype(np.float32), "pool").data
            when = f"after {found.step} step{'s' * (found.step > 1)}" if found.step else f"noise of norm {sigma(found.x):.0f}"
            yield state(f"{when}: ||Phi(x) - Phi_0|| / ||Phi_0|| = {found.error[0]:.4f}", inversion_steps,
                        "m <- 0.9 m - lr sigma^2 dE/dx" if found.step else "x* = argmin",
                        {**moved, "x": found.x[0, 0], "Phi(x)": seen[0], "Phi_0": code[0], "E": found.loss},
                        line="momentum = (0 if" if found.step else "rng.standard_normal")
        before = found.x
    yield state("as pixels: nearly the same code, and another picture: pooling and the ReLU forget",
                inversion_steps, "x* = argmin", {"found": found.images[0, :, :, 0], "the picture": bar()[:, :, 0]},
                line="_shown(net, x)")
