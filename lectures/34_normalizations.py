"""Four normalisations: which numbers share a mean, found by asking the ops themselves, and what a small batch does to them."""
import numpy as np

import minicnn
from minicnn import ops
from minicnn.data import Pictures
from minicnn.images import Preprocessing
from minicnn.nn import BatchNorm2d, Conv2d, Flatten, GroupNorm, Linear, Network, ReLU
from minicnn.optim import SGD, cosine
from minicnn.training import accuracy, training_steps

from .common import Check, digits, panels

TITLE = "Different normalizations"
FORMULA = r"""$y = w \, \hat x + b, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad \mu, \sigma^2$ are
    taken over
batch norm: $N, H, W$
layer norm: $C, H, W$
instance norm: $H, W$
group norm: $H, W$ and a group of the channels"""
LOOK_FOR = """Blue: the numbers that share their mean and variance with the one at the front edge. They were found by a
backward pass: its output depends on exactly these. Below, the same network learns digits with batch norm and with group norm.
Its last maps are single numbers, so that with batches of two, batch norm has two numbers to take a mean and a variance of,
and x̂ is +1 or -1 whatever the pictures show; at the test, where the running mean and variance are used, nothing fits any
more. Group norm does not notice the batch."""
CODE = {"minicnn/ops/normalize.py": "normalize_statistics_ref normalize_forward_ref normalize_backward_ref",
        "minicnn/ops/batch_norm.py": "BatchNorm", "minicnn/ops/layer_norm.py": "LayerNorm",
        "minicnn/ops/instance_norm.py": "InstanceNorm", "minicnn/ops/group_norm.py": "GroupNorm"}
TRY = """Which of the four are the same for batches of one picture? And for pictures of one channel?

Batches of 4 and 8 in `compute`: from what size on does batch norm do as well as group norm?

Test the network with batch norm by the statistics of the batch, `net.train(0)`, instead of the running ones. Is it as bad?
What would you pay for that in practice?

Multiply a photograph by 2. For which norms is the answer of the network the same?"""

N, C, HW = 4, 6, 2
NORMS = {
    "Batch norm": lambda x: ops.batch_norm(x, None, None, training=True),
    "Layer norm": lambda x: ops.layer_norm(x, x.shape[1:]),
    "Instance norm": lambda x: ops.instance_norm(x),
    "Group norm, 2 groups": lambda x: ops.group_norm(x, 2),
}
DIGITS = Preprocessing(size=28, resize=None, channel_order="GRAY", scale=1 / 255, mean=(0.13,), std=(0.31,))


def shares(norm):
    """Return where in (N, C, H, W) the numbers are on which the output at [0, 0, 0, 0] depends."""
    x = minicnn.Tensor(np.random.default_rng(0).standard_normal((N, C, HW, HW)), requires_grad=True)
    norm(x)[0, 0, 0, 0].backward()
    return x.grad != 0


def network(norm):
    """Five convolutions of stride 2, each with a norm: 28 x 28 pictures end as single numbers."""
    net, channels = Network("norms", preprocessing=DIGITS), 1
    for number, filters in enumerate((16, 32, 64, 64, 64), start=1):
        net.add(f"conv{number}", Conv2d(channels, filters, 3, stride=2, padding=1, bias=False))
        net.add(f"norm{number}", norm(filters))
        net.add(f"relu{number}", ReLU())
        channels = filters
    net.add("flatten", Flatten())
    net.add("fc", Linear(channels, 10))
    return net.initialise(0)


def errors_while_learning(norm, batch_size, train, test, epochs, lr=0.1):
    """Return the error on the test digits after each epoch; the learning rate is in proportion to the batch."""
    net, rng, errors = network(norm), np.random.default_rng(0), []
    steps, lr = epochs * -(-len(train) // batch_size), lr * batch_size / 32
    optimizer = SGD(net.train(0).parameters(), lr, momentum=0.9, weight_decay=5e-4)
    for state in training_steps(net, train, optimizer, batch_size=batch_size, rng=rng, schedule=cosine(lr, steps)):
        if state.step and not len(state.left):
            errors.append(1 - accuracy(net, test))
        if len(errors) == epochs:
            return errors


def compute(full):
    images, labels = digits()
    pictures = Pictures(images[:, None], labels.astype(np.int64), tuple("0123456789"))
    train, test = pictures[:4000 if full else 1000], pictures[4000:]
    curves = {(name, batch_size): errors_while_learning(norm, batch_size, train, test, epochs=10 if full else 4)
              for name, norm in (("batch norm", BatchNorm2d), ("group norm", lambda filters: GroupNorm(filters // 8, filters)))
              for batch_size in (32, 2)}
    return {"shares": {name: shares(norm) for name, norm in NORMS.items()}, "curves": curves, "train": len(train),
            "identities": identities(np.random.default_rng(1).standard_normal((3, 8, 5, 4)))}


def identities(x):
    """Return how far pairs of norms that should be the same are apart, and how far batch norm is from ignoring contrast."""
    brighter = x * np.array([0.5, 1, 2])[:, None, None, None] + np.array([3, 0, -1])[:, None, None, None]
    data = {"group norm, 1 group - layer norm": ops.group_norm(x, 1) - ops.layer_norm(x, x.shape[1:]),
            "group norm, a group per channel - instance norm": ops.group_norm(x, 8) - ops.instance_norm(x),
            "batch norm of one picture - instance norm": NORMS["Batch norm"](x[:1]) - ops.instance_norm(x[:1]),
            "instance norm of a x + b - that of x": ops.instance_norm(brighter, eps=0) - ops.instance_norm(x, eps=0),
            "batch norm of a x + b - that of x": NORMS["Batch norm"](brighter) - NORMS["Batch norm"](x)}
    return {what: float(np.abs(difference.data).max()) for what, difference in data.items()}


def draw(result):
    cubes, axes = panels(1, len(NORMS), width=2.9, height=3.3)
    for ax, (name, mask) in zip(axes[0], result["shares"].items()):
        draw_cube(ax, mask.reshape(N, C, -1))
        ax.set_title(name)
    figure, axes = panels(1, 2, width=4.2, height=3.3, sharey=True)
    for ax, batch_size in zip(axes[0], (32, 2)):
        for name, colour in (("batch norm", "C3"), ("group norm", "C0")):
            errors = 100 * np.array(result["curves"][name, batch_size])
            ax.plot(np.arange(1, len(errors) + 1), errors, "o-", color=colour, label=name)
            end = len(errors), errors[-1]
            ax.annotate(f"{errors[-1]:.1f} %", end, xytext=(7, -3), textcoords="offset points", color=colour)
        ax.set(title=f"{result['train']:,} digits in batches of {batch_size}", xlabel="epoch", yscale="log")
        ax.set_xlim(0.7, len(errors) + 1)
        ax.set_xticks(range(1, len(errors) + 1))
        ax.spines[["left", "bottom"]].set_visible(True)
    axes[0, 0].set_ylabel("error on 1,000 other digits (%)")
    axes[0, 0].set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    axes[0, 0].legend(frameon=False)
    return {"cubes": cubes, "small_batches": figure}


def draw_cube(ax, mask):
    """Draw the numbers (N, C, HW) as a block seen from above, its front edge at n = c = 0; those of the mask are blue."""
    N, C, P = mask.shape
    faces = [(mask[0, c, p], 0.86, [(0, c, p), (0, c + 1, p), (0, c + 1, p + 1), (0, c, p + 1)]) for c, p in np.ndindex(C, P)]
    faces += [(mask[n, 0, p], 0.72, [(n, 0, p), (n + 1, 0, p), (n + 1, 0, p + 1), (n, 0, p + 1)]) for n, p in np.ndindex(N, P)]
    faces += [(mask[n, c, -1], 1.0, [(n, c, P), (n + 1, c, P), (n + 1, c + 1, P), (n, c + 1, P)]) for n, c in np.ndindex(N, C)]
    for shared, light, corners in faces:
        colour = light * np.array((0.36, 0.62, 0.98) if shared else (0.95, 0.95, 0.95))
        ax.fill(*zip(*(on_screen(*corner) for corner in corners)), facecolor=colour, edgecolor="0.25", linewidth=0.7)
    for text, place, turn in (("C", (0, C / 2, 0), -30), ("N", (N / 2, 0, 0), 30)):
        x, y = on_screen(*place)
        ax.text(x, y - 0.75, text, ha="center", va="center", rotation=turn, fontsize=12)
    x, y = on_screen(0, C, P / 2)
    ax.text(x - 0.55, y, "H, W", ha="center", va="center", rotation=90, fontsize=12)
    ax.set_aspect("equal")


def on_screen(n, c, p):
    """Return where a corner of the block is drawn: images go back to the right, channels to the left."""
    return 0.87 * (n - c), 0.5 * (n + c) + p


def check(result):
    whole, one = slice(None), slice(1)
    sets = {"Batch norm": (whole, one), "Layer norm": (one, whole), "Instance norm": (one, one),
            "Group norm, 2 groups": (one, slice(C // 2))}
    right = sum(mask[sets[name]].all() and mask.sum() == mask[sets[name]].size for name, mask in result["shares"].items())
    last = {key: errors[-1] for key, errors in result["curves"].items()}
    *same, (what, moved) = result["identities"].items()
    return [Check("norms whose output depends on the numbers that the slide says", int(right), at_least=4),
            *(Check(name, difference, at_most=1e-9) for name, difference in same),
            Check(what, moved, at_least=0.1),
            Check("batch norm: error with batches of 2 / of 32", last["batch norm", 2] / last["batch norm", 32], at_least=1.5),
            Check("group norm: error with batches of 2 / of 32", last["group norm", 2] / last["group norm", 32], at_most=1.2)]
