"""Super-resolution: a picture four times as high and wide, with detail that a network has learnt to expect.

    minimise over the weights of f_W the mean over photographs x of L(f_W(shrunk x), x)
    "pixel"     L = the mean of (y - x)^2
    "feature"   L = ||Phi(y) - Phi(x)||^2 / ||Phi(x)||^2,       Phi: what a layer of a network that looks on answers

Many sharp pictures shrink to the same small one. By pixels the best answer is the mean of them, which is blurred; features agree
in that there is fur, and let the hairs lie as they like. Here `shrunk` takes the mean of 4 x 4 pixels.
Slide "Fast Style Transfer" (its paper). Source: J. Johnson, A. Alahi and L. Fei-Fei, ECCV 2016.
"""
import numpy as np

from .. import images, ops, tape
from ..checks import one_of, whole_number
from ..errors import SettingError, ShapeError
from ..tensor import Tensor
from ..training import TrainingStep
from ..visualize.checks import network
from .perceptual_loss import PerceptualLoss, answers, between

FACTOR, MARGIN = 4, 24          # MARGIN: pixels of the small picture around a tile; an output pixel sees 14 to each side
LAYERS = {"vgg16": "relu2_2", "vgg19": "relu2_2", "squeezenet1_1": "fire2/concat"}


class SuperResolutionStep(TrainingStep):
    """What training_steps does with a batch of photographs: shrink them and take a step towards enlarging them again.

    looking: the Network that judges, with loss "feature"; layer: of it. Raises SettingError, UnknownNameError.
    """

    def __init__(self, looking=None, loss="feature", layer=None):
        self.looking, self.kind = looking, one_of("loss", loss, ("feature", "pixel"))
        if loss == "feature":
            network("SuperResolutionStep", looking)
            self.layer = layer or LAYERS.get(looking.architecture)
            if self.layer is None:
                raise SettingError(f"SuperResolutionStep: by which layer of {looking.architecture} to judge is not known here; "
                                   f"give the layer, or a {' or '.join(LAYERS)} network")
            looking.layer(self.layer)

    def inputs(self, x):
        return shrunk(x)

    def loss(self, net, x):
        """Return L, a Tensor, of the pictures that the network makes of shrunk ones."""
        made = net(shrunk(x))
        if made.shape != x.shape:
            raise ShapeError(f"SuperResolutionStep: of pictures {x.shape} the network makes {made.shape}; expected sides that "
                             "are multiples of 4, and a super_resolution network")
        if self.kind == "pixel":
            return ((made - x) ** 2).mean()
        w, b = (of.astype(net.dtype) for of in between(net.preprocessing, self.looking.preprocessing))
        seen = ops.conv2d(Tensor(x), w, b).data
        content = {name: (P, 1.0) for name, P in answers(self.looking, seen, [self.layer]).items()}
        return PerceptualLoss(self.looking, content, {}, 0.0).of(ops.conv2d(made, w, b))

    def __call__(self, net, optimizer, x, labels):
        """Take one step; return L before it, and nan: there is nothing beside it."""
        optimizer.zero_grad()
        loss = self.loss(net, x)
        loss.backward(retain_graph=False)
        if np.isfinite(loss.data):
            optimizer.step()
        return loss.item(), float("nan")


def shrunk(x):
    """Return x (N, C, H, W) with the mean of each 4 x 4 pixels in place of them."""
    with tape.no_grad():
        return ops.avg_pool2d(x, FACTOR).data


def super_resolve(net, picture, *, tile=256):
    """Return the picture (4 H, 4 W, 3) uint8, made in tiles of that many pixels of the small one, with no seam between them."""
    network("super_resolve", net)
    if net.architecture != "super_resolution":
        raise SettingError(f"super_resolve: the network is a {net.architecture}, expected a super_resolution network")
    tile, picture = whole_number("super_resolve", "tile", tile, 16), images.load_image(picture)
    H, W = picture.shape[:2]
    if min(H, W) < 8 or max(H, W) * FACTOR > images.MAX_SIZE:
        raise SettingError(f"super_resolve: the picture is {H}x{W} pixels, expected at least 8x8 and at most "
                           f"{images.MAX_SIZE // FACTOR} a side")
    out = np.empty((FACTOR * H, FACTOR * W, 3), np.uint8)
    for top in range(0, H, tile):
        for left in range(0, W, tile):
            rows, columns = (slice(max(0, at - MARGIN), min(n, at + tile + MARGIN)) for at, n in ((top, H), (left, W)))
            with tape.no_grad():
                made = net(net.preprocess(np.ascontiguousarray(picture[rows, columns]), whole=True).data).data
            y, x = FACTOR * (top - rows.start), FACTOR * (left - columns.start)
            done = images.deprocess(made, net.preprocessing)[y:, x:][:FACTOR * tile, :FACTOR * tile]
            out[FACTOR * top:FACTOR * top + len(done), FACTOR * left:FACTOR * left + done.shape[1]] = done
    return out
