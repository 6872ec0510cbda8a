"""Fast style: three networks that have learnt a painter each, and what instance norm is good for."""
import time

import numpy as np

import minicnn
from minicnn.art.fast_style import LAYERS, StyleStep, stylize
from minicnn.art.neural_style import neural_style_steps
from minicnn.data import Pictures, flipped
from minicnn.images import load_image, resize, resize_longer, resize_shorter
from minicnn.loop import take
from minicnn.optim import Adam
from minicnn.training import training_steps

from .common import IMAGES, Check, nets_at_hand, panels

TITLE = "Fast Style Transfer"
FORMULA = r"""training: $\underset{W}{\min} \; \frac{1}{N} \sum_n \mathcal{L}(f_W(x_n))$ over photographs $x_n$, $\;
    \mathcal{L}$ as in
    neural style, with content from $x_n$ itself
painting: $f_W(x)$, a single forward pass
instance norm: $y = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta, \qquad \mu, \sigma^2$ of each plane of each
    picture"""
LOOK_FOR = """None of the photographs was seen in training. One pass, in place of many forward and backward; the
strokes lie where the network has learnt that strokes lie, along contours. Second figure: the same network trained from scratch
with instance norm and with batch norm. A painting's contrast does not depend on the photograph's, so that the network has to
forget the latter, and instance norm does it for the network."""
CODE = {"minicnn/art/fast_style.py": "StyleStep stylize", "minicnn/nets/transform.py": "transform residual",
        "minicnn/ops/normalize.py": "normalize_statistics_ref normalize_forward_ref"}
TRY = """How many forward and backward passes does neural style take for one picture, and after how many pictures has the
training of a network paid off?

Paint a grey card, `np.full((256, 256, 3), 128, np.uint8)`. What does the network paint where there is nothing?

Paint a painting again, five times over. Does it come to rest?

Halve a photograph's contrast. Why is the painting nearly the same, and what does the network with batch norm make of it?"""
STYLES, PHOTOGRAPHS = ("starry_night", "great_wave", "the_scream"), ("astronaut.jpg", "coffee.jpg", "chelsea.jpg")
NORMS = {"instance": "instance norm", "batch": "batch norm"}


def compute(full):
    size = 512 if full else 320
    photographs = [resize_shorter(load_image(IMAGES / name), size * 3 // 4)[:, :size] for name in PHOTOGRAPHS]
    nets = {name: minicnn.load(name) for name in STYLES}
    painted = {name: [stylize(net, picture) for picture in photographs] for name, net in nets.items()}
    start = time.perf_counter()
    stylize(nets[STYLES[0]], photographs[0])
    seconds = time.perf_counter() - start
    losses = [compared(judge, nets[name], name, 512 if full else 256, PHOTOGRAPHS[k]) for _, judge in nets_at_hand(["vgg16_hed"])
              for k, name in enumerate(STYLES)]
    curves = {norm: curve(norm, 400 if full else 120) for norm in NORMS}
    return {"photographs": photographs, "painted": painted, "seconds": seconds, "losses": np.array(losses), "curves": curves,
            "exact": contrast_forgotten(nets[STYLES[0]], photographs[2])}


def compared(judge, net, style, size, photograph, style_weight=10):
    """Return L, weighted as in the training of the network, of one pass and of 25 steps of L-BFGS from the photograph."""
    settings = dict(size=size, style_weight=style_weight, style_scale=384 / size, layers=LAYERS["vgg16"], start="content")
    states = list(take(25, neural_style_steps(judge, IMAGES / photograph, IMAGES / f"{style}.jpg", **settings)))
    once = stylize(net, resize_longer(load_image(IMAGES / photograph), size))
    first = next(neural_style_steps(judge, IMAGES / photograph, IMAGES / f"{style}.jpg", **{**settings, "start": once}))
    return first.loss, states[-1].loss


def contrast_forgotten(net, picture):
    """Return how much of a picture's own variation changes when its contrast is halved, after instance norm: about nothing."""
    faint = (picture * 0.5 + 64).round().astype(np.uint8)
    whole, other = (stylize(net, p).astype(float) for p in (picture, faint))
    return float(np.abs(whole - other).mean() / whole.std())


def curve(norm, steps):
    """Return the losses of a small network trained from scratch on pieces of the shipped photographs."""
    rng = np.random.default_rng(0)
    pictures = [load_image(IMAGES / name) for name in (*PHOTOGRAPHS, "rocket.jpg", "grace_hopper.jpg", "camera.jpg")]
    pieces = []
    for _ in range(96):
        picture = pictures[rng.integers(len(pictures))]
        top, left = (rng.integers(n - 128) for n in picture.shape[:2])
        pieces.append(resize(np.ascontiguousarray(picture[top:top + 128, left:left + 128]), (64, 64)).transpose(2, 0, 1))
    net = minicnn.build("transform", rng=0, width=8, norm=norm)
    step = StyleStep(minicnn.load("squeezenet1_1"), [IMAGES / "great_wave.jpg"], weights=(1.0, 5.0, 1.0), style_size=192, rng=rng)
    states = training_steps(net, Pictures(np.stack(pieces), np.zeros(96, np.int64), ()), Adam(net.train(rng).parameters(), 3e-3),
                            batch_size=4, rng=rng, augment=flipped, take_step=step)
    return np.array([state.loss for state in take(steps, states)])[1:]


def draw(result):
    figure, axes = panels(len(STYLES) + 1, len(PHOTOGRAPHS), width=3.9, height=3.1)
    for row, pictures in zip(axes, [result["photographs"], *result["painted"].values()]):
        for ax, picture in zip(row, pictures):
            ax.imshow(picture)
    for row, name in zip(axes, ["photograph", *STYLES]):
        row[0].set_ylabel(name.replace("_", " "))
    H, W = result["photographs"][0].shape[:2]
    axes[0, 1].set_title(f"one pass, {W} × {H} pixels: {result['seconds']:.2f} s")
    curves, ((ax,),) = panels(1, 1, width=6.5, height=4.0)
    for norm, losses in result["curves"].items():
        ax.semilogy(np.convolve(losses, np.ones(10) / 10, "valid"), label=NORMS[norm])
    ax.set_xticks(range(0, len(losses), max(20, len(losses) // 6)))
    ax.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    ax.set_xlabel("steps")
    ax.set_title("L while training from scratch")
    ax.legend(frameon=False)
    return {"fast_style": figure, "norms": curves}


def check(result):
    ends = {norm: losses[-30:].mean() for norm, losses in result["curves"].items()}
    checks = [Check("loss at the end of training, instance norm / batch norm", ends["instance"] / ends["batch"], at_most=1),
              Check("half the contrast, the same painting: what changes of it", result["exact"], at_most=0.2)]
    if len(result["losses"]):
        checks.append(Check("loss of one pass / after 25 steps of L-BFGS, largest of the styles (1: as good as these steps)",
                            float((result["losses"][:, 0] / result["losses"][:, 1]).max()), at_most=2.2))
    return checks
