"""Neural style: a photograph painted in the manner of another picture, more or less of it, and of two at once."""
import numpy as np

import minicnn
from minicnn.art.neural_style import neural_style_steps, prepare, with_colours_of
from minicnn.loop import take

from .common import IMAGES, Check, nets_at_hand, panels

TITLE = "Neural Style"
FORMULA = r"""$\mathcal{L}_\text{total}(\vec p, \vec a, \vec x) = \alpha \, \mathcal{L}_\text{content}(\vec p, \vec x)
    + \beta \, \mathcal{L}_\text{style}(\vec a, \vec x) \;(+ \text{ total variation})$
content: $\mathcal{L}_\text{content} = \frac{\lVert F - P \rVert^2}{\lVert P \rVert^2}, \qquad$ what a layer answers:
    $F$ to the picture $\vec x$, $P$ to the photograph $\vec p$
style: $\mathcal{L}_\text{style} = \operatorname{mean}_l \, \frac{\lVert G_l - A_l \rVert^2}{\lVert A_l \rVert^2}, \qquad
    G = \frac{F F^\top}{C H W}$, Gram matrices: $G$ of the picture, $A$ of the painting $\vec a$
by L-BFGS on the pixels of $\vec x$; the slide's $G = V^\top V$ is the same matrix, with $V = F^\top$"""
LOOK_FOR = """A Gram matrix says which features go together, and not where: so the brush strokes of the night sky, the lines of
the wave, the streaks of the scream come in, and the photograph stays where it is. They follow its contours, for edges are
features too. Second figure: the more the style weighs, the less is left of the person, until there is only paint. Third: two
paintings at once, by a weighted mean of their Gram matrices. Then: brightness from the painted picture, colours from the
photograph; and the run itself, as an animation. (From noise; from the photograph itself it would keep its colours
for long.) With --full, and vgg16_hed fetched: the same paintings as a VGG sees them, beside SqueezeNet, from the photograph."""
CODE = {"minicnn/art/perceptual_loss.py": "PerceptualLoss gram_matrices",
        "minicnn/ops/gram_matrix.py": "gram_matrix_forward_ref gram_matrix_backward_ref",
        "minicnn/art/neural_style.py": "neural_style_steps prepare"}
TRY = r"""Shuffle the places of $F$, the same way for all channels. What happens to the Gram matrix? So what can it not know?

Set the content's weight to 0: what is that picture? (Compare with the lecture on textures.)

Start from the photograph, `start="content"`, instead of noise. What does the result keep that the other lost?

Take the style from one layer only, the first or the last. Which is brush strokes, which is larger forms?

Two paintings of yours: `python -m tools.paint style PHOTO.jpg A.jpg B.jpg --mix 1 2`"""
PHOTOGRAPH, PAINTINGS = "astronaut.jpg", ("starry_night.jpg", "great_wave.jpg", "the_scream.jpg")
WEIGHTS, MIXES = (0.3, 2, 15), (1, 0.5, 0)
MIXED = ("starry_night.jpg", "the_scream.jpg")


def compute(full):
    net, size, steps = minicnn.load("squeezenet1_1"), 320 if full else 144, 250 if full else 70
    painted = {name: run(net, name, size, steps) for name in (PAINTINGS if full else PAINTINGS[::2])}
    weights = {weight: painted["the_scream.jpg"] if weight == 2 else run(net, "the_scream.jpg", size, steps, style_weight=weight)
               for weight in WEIGHTS}
    mixes = {share: run(net, MIXED, size, steps, mix=(share, 1 - share)) if 0 < share < 1 else painted[MIXED[share == 0]]
             for share in MIXES}
    judges = [prepare(net, IMAGES / PHOTOGRAPH, IMAGES / name, size=size, weights=(0, 1, 0))[1] for name in MIXED]
    for found in mixes.values():            # how far each is from either painting: the style part of L alone
        found["from"] = [judge(found["x"])[0] for judge in judges]
    others = {name: {style: run(other, style, size, 100) for style in painted}
              for name, other in nets_at_hand(["vgg16_hed"] if full else [])}
    return {"painted": painted, "weights": weights, "mixes": mixes, "nets": {"squeezenet1_1": painted, **others}}


def run(net, names, size, steps, **settings):
    """Return the last state of a run, with the style part at its start."""
    style = IMAGES / names if isinstance(names, str) else [IMAGES / name for name in names]
    states = list(take(steps, neural_style_steps(net, IMAGES / PHOTOGRAPH, style, size=size, **settings)))
    end, shown = states[-1], states[:20] + states[20::5]
    return {"picture": end.image, "style": end.style, "content": end.content, "began": states[0].style, "x": end.x,
            "run": [state.image for state in shown]}


def draw(result):
    figures = {"neural_style": draw_painted(result["painted"])}
    rows = {"weights": "style weight {:g}", "mixes": "{:.0%} Starry Night"}
    for name, title in rows.items():
        row = result[name]
        figures[name], axes = panels(1, len(row), width=3.2, height=3.5)
        for ax, (value, shown) in zip(axes.flat, row.items()):
            ax.imshow(shown["picture"])
            ax.set_title(title.format(value))
    painted = result["weights"][2]["picture"]
    photograph = minicnn.images.resize(minicnn.images.load_image(IMAGES / PHOTOGRAPH), painted.shape[:2])
    figures["colours"], axes = panels(1, 3, width=3.2, height=3.5)
    kept = {"photograph": photograph, "painted": painted, "in the photograph's colours": with_colours_of(painted, photograph)}
    for ax, (name, picture) in zip(axes.flat, kept.items()):
        ax.imshow(picture)
        ax.set_title(name)
    if len(result["nets"]) > 1:
        figures["networks"] = draw_networks(result["nets"])
    return {**figures, "run": result["weights"][2]["run"]}


def draw_networks(nets):
    """Draw a row for each network, a column for each painting."""
    figure, axes = panels(len(nets), len(PAINTINGS), width=3.2, height=3.2)
    for row, (name, painted) in zip(axes, nets.items()):
        row[0].set_ylabel(name)
        for ax, shown in zip(row, painted.values()):
            ax.imshow(shown["picture"])
    return figure


def draw_painted(painted):
    """Draw each painting over what it made of the photograph, and the photograph first."""
    figure, axes = panels(2, 1 + len(painted), width=3.2, height=3.3)
    axes[0, 0].set_visible(False)
    axes[1, 0].imshow(minicnn.images.load_image(IMAGES / PHOTOGRAPH))
    axes[1, 0].set_title("photograph")
    for column, (name, shown) in zip(axes.T[1:], painted.items()):
        column[0].imshow(minicnn.images.load_image(IMAGES / name))
        column[0].set_title(name[:-4].replace("_", " "))
        column[1].imshow(shown["picture"])
    return figure


def check(result):
    content = [result["weights"][weight]["content"] for weight in WEIGHTS]
    first, second = ([result["mixes"][share]["from"][k] for share in MIXES] for k in (0, 1))
    return [Check("style part of the loss, end / start, largest",
                  max(shown["style"] / shown["began"] for painted in result["nets"].values() for shown in painted.values()),
                  at_most=0.1),
            Check("content lost, style weight 2 / 0.3 and 15 / 2, the smaller", min(np.divide(content[1:], content[:-1])),
                  at_least=1.1),
            Check("two paintings: distance from the first grows as it weighs less (1 = yes)", float(np.all(np.diff(first) > 0)),
                  at_least=1),
            Check("... and that from the second falls (1 = yes)", float(np.all(np.diff(second) < 0)), at_least=1)]
