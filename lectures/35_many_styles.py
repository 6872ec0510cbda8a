"""One network, many styles: five of them, blends, and a new one learnt as a scale and a shift."""
import numpy as np

import minicnn
from minicnn.art.fast_style import StyleStep, stylize
from minicnn.art.many_styles import style_parameters, styles_of, with_new_style
from minicnn.art.neural_style import prepare
from minicnn.art.perceptual_loss import sized
from minicnn.data import Pictures
from minicnn.images import load_image, resize, resize_shorter
from minicnn.loop import take
from minicnn.optim import Adam
from minicnn.training import training_steps

from .common import IMAGES, Check, panels

TITLE = "One Network, Many Styles"
FORMULA = r"""$z = \gamma_s \, \frac{x - \mu}{\sigma} + \beta_s, \qquad \gamma$ and $\beta$ of shape (styles, channels) in
    each norm, all
    other weights shared
blends: $\gamma = \sum_s w_s \, \gamma_s, \qquad \beta = \sum_s w_s \, \beta_s, \qquad \sum_s w_s = 1$
a new style: train only its $\gamma$ and $\beta$"""
LOOK_FOR = """All five come out of the same convolutions; a style is a few thousand numbers. Second figure: halfway between two
styles lies a style, too. Third: bricks, learnt by moving nothing but a scale and a shift per channel; the other five paint as
before, bit for bit."""
CODE = {"minicnn/ops/conditional_instance_norm.py": "conditional_instance_norm",
        "minicnn/art/many_styles.py": "style_weights with_new_style style_parameters"}
TRY = """How many numbers is a style, and how many has the whole network? (`style_parameters`)

Weights that do not lie between 0 and 1: `--weights 2 -1 0 0 0` in `python -m tools.paint fast PHOTO.jpg --style
five_styles`. Why is that refused, and what would it paint? Take the check out of `style_weights` and see.

Blend all five evenly. Whose strokes win?

Can bricks be learnt as well if the scale alone is trained, or the shift alone?"""
PHOTOGRAPHS, ENDS, NEW = ("astronaut.jpg", "coffee.jpg"), ("starry_night", "the_scream"), "brick"
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


def compute(full):
    net, size = minicnn.load("five_styles"), 448 if full else 256
    photographs = [resize_shorter(load_image(IMAGES / name), size)[:, :size] for name in PHOTOGRAPHS]
    painted = {name: [stylize(net, picture, style=name) for picture in photographs] for name in net.classes}
    blends = [stylize(net, photographs[0], style=[share * (name == ENDS[0]) + (1 - share) * (name == ENDS[1])
                                                  for name in net.classes]) for share in SHARES]
    looking = minicnn.load("squeezenet1_1")
    judges = [prepare(looking, IMAGES / PHOTOGRAPHS[0], IMAGES / f"{name}.jpg", size=size, weights=(0, 1, 0),
                      style_scale=384 / size)[1]
              for name in ENDS]
    distances = [[judge(sized(looking, blend, size))[0] for judge in judges] for blend in blends]
    more, losses = learnt(net, looking, 150 if full else 30)
    return {"photographs": photographs, "painted": painted, "blends": blends, "distances": np.array(distances), "losses": losses,
            "new": [stylize(more, picture, style=NEW) for picture in photographs],
            "kept": all(np.array_equal(stylize(more, photographs[0], style=name), painted[name][0]) for name in net.classes)}


def learnt(net, looking, steps):
    """Return the network with one style more, and L while it was learnt on pieces of the shipped photographs."""
    rng, size = np.random.default_rng(0), 128
    pictures = [resize_shorter(load_image(IMAGES / name), 160) for name in ("chelsea.jpg", "rocket.jpg", "grace_hopper.jpg")]
    pieces = np.stack([p[:size, k:k + size].transpose(2, 0, 1) for p in pictures for k in (0, 16)])
    more = with_new_style(net, NEW)
    step = StyleStep(looking, [IMAGES / f"{NEW}.jpg"], first=styles_of(net), weights=(1.0, 5.0, 1.0), rng=rng)
    more.train(rng)
    states = training_steps(more, Pictures(pieces, np.zeros(len(pieces), np.int64), ()), Adam(style_parameters(more), 0.02),
                            batch_size=2, rng=rng, take_step=step)
    losses = [state.loss for state in take(steps, states)][1:]
    return more.eval(), np.array(losses)


def draw(result):
    names = list(result["painted"])
    figure, axes = panels(len(PHOTOGRAPHS), 1 + len(names), width=2.6, height=2.9)
    for row, k in zip(axes, range(len(PHOTOGRAPHS))):
        for ax, picture in zip(row, [result["photographs"][k], *(result["painted"][name][k] for name in names)]):
            ax.imshow(picture)
    for ax, name in zip(axes[0], ["photograph", *names]):
        ax.set_title(name.replace("_", " "))
    blends, row = panels(1, len(SHARES), width=3.0, height=3.3)
    for ax, share, picture in zip(row.flat, SHARES, result["blends"]):
        ax.imshow(picture)
        ax.set_title(f"{share:.0%} {ENDS[0].replace('_', ' ')}")
    new, row = panels(1, 3, width=3.4, height=3.5)
    for ax, picture, title in zip(row.flat, [resize(load_image(IMAGES / f"{NEW}.jpg"), (256, 256)), *result["new"]],
                                  ["the new style", "only γ and β learnt", ""]):
        ax.imshow(picture)
        ax.set_title(title)
    return {"many_styles": figure, "blends": blends, "new": new}


def check(result):
    first, second = result["distances"].T
    return [Check("blends: distance from the first style grows as its share falls (1 = yes)", float((np.diff(first) > 0).all()),
                  at_least=1),
            Check("... and that from the second falls (1 = yes)", float((np.diff(second) < 0).all()), at_least=1),
            Check("new style by γ and β alone: loss, end / start", result["losses"][-6:].mean() / result["losses"][:3].mean(),
                  at_most=0.7),
            Check("... the five others paint the same bits (1 = yes)", float(result["kept"]), at_least=1)]
