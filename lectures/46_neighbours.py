"""After the lecture: many small steps, the shortest way out, one perturbation for all, from one network to another."""
import numpy as np

import minicnn
from minicnn.fool.adversarial import distortion
from minicnn.fool.deepfool import deepfool
from minicnn.fool.pgd import pgd
from minicnn.fool.pixels import as_pictures, pixels_of, probabilities, through_png
from minicnn.fool.transfer import transfer_rates
from minicnn.fool.universal import fooling_rate, universal

from .common import IMAGES, Check, digits, panels, short

TITLE = "After the lecture: the neighbours of the fast gradient sign"
FORMULA = r"""PGD: $p \leftarrow$ the nearest to $p + \alpha \, \operatorname{sign}\left( \frac{\partial J}{\partial p}
    \right)$ within
    $|p - p_0| \le \epsilon$ and $0 \le p \le 1$, again and again
DeepFool: $r \leftarrow r + \frac{|f_k - f_c|}{\lVert w_k \rVert^2} \, w_k, \qquad
    w_k = \frac{\partial f_k}{\partial p} - \frac{\partial f_c}{\partial p}$, $\; k$: the class with the least
    $\frac{|f_k - f_c|}{\lVert w_k \rVert}$
universal: one $v$ with $|v| \le \xi$ for all pictures, $\; v \leftarrow v + r$ for each that keeps its class
transfer: made on network $a$, shown to network $b$"""
LOOK_FOR = """First: photographs, and what PGD and DeepFool add, with the class that comes out. DeepFool adds a tenth of it or
less: it stops as soon as the border is crossed, so close that rounding to 8 bits undoes it. Second: one perturbation for all
digits, learnt on some, shown on others: for the linear classifier a direction between two classes is the same at every picture;
LeNet withstands more, and noise as strong does little. Third: digits that fool one network fool others as well; the network
trained on fooling digits withstands those of the others."""
CODE = {"minicnn/fool/pgd.py": "pgd_steps", "minicnn/fool/deepfool.py": "deepfool_steps shortest_way",
        "minicnn/fool/universal.py": "universal_steps", "minicnn/fool/transfer.py": "transfer_rates"}
TRY = r"""For which classifier is one step of DeepFool exact? Check with `softmax_mnist`.

DeepFool's picture is no longer fooling as an 8-bit file. How large must `overshoot` be so that it is?

Look at the universal perturbation of the linear classifier. Which digit do most of the fooled ones become?

Which of the three networks gives the attacks that fool the others best, and is it the one that is the hardest to fool?"""
NETS = ("softmax_mnist", "lenet_mnist", "lenet_robust")
XI = {"softmax_mnist": 0.15, "lenet_mnist": 0.25}
PHOTOGRAPHS = ("chelsea.jpg", "coffee.jpg", "rocket.jpg", "astronaut.jpg", "camera.jpg")
SHOWN = len(PHOTOGRAPHS)


def compute(full):
    net = minicnn.load("squeezenet1_1")
    others = [path for path in sorted(IMAGES.glob("*.jpg")) if path.name not in PHOTOGRAPHS]
    some = pixels_of(net, *(IMAGES / name for name in PHOTOGRAPHS), *(others if full else ()))
    labels = probabilities(net, some).argmax(axis=1)
    attacks = {"PGD, ε = 2/255": pgd(net, some, labels, steps=50 if full else 10), "DeepFool": deepfool(net, some)}
    images, digit_labels = digits(2000)
    images = (images[:, None] / 255).astype(np.float32)
    nets, few = [minicnn.load(name) for name in NETS], 1000 if full else 200
    transfer = transfer_rates(nets, images[:few], digit_labels[:few], lambda net, p, y: pgd(net, p, y, 0.2, steps=20))
    return {"photographs": said(net, some), "attacks": {name: attacked(net, some, p, labels) for name, p in attacks.items()},
            "universal": {name: for_all(minicnn.load(name), images[:1000 if full else 60], images[1000:], xi, 4 if full else 2)
                          for name, xi in XI.items()}, "transfer": transfer}


def for_all(net, pixels, held, xi, rounds):
    """Return the perturbation learnt on some pictures, and how often it and noise as strong fool on others, with some of them."""
    v = universal(net, pixels, xi, rounds=rounds).perturbation
    noise = np.random.default_rng(1).permuted(v, axis=None)         # the same numbers at other places
    return {"v": v[0, 0], "held": fooling_rate(net, held, v), "noise": fooling_rate(net, held, noise),
            "pictures": said(net, through_png((held[:2 * SHOWN] + v).clip(0, 1)), 2 * SHOWN)}


def said(net, pixels, count=SHOWN):
    """Return (picture, what the network says of it) of the first few."""
    found = probabilities(net, pixels[:count])
    return [(picture, f"{short(net.classes[p.argmax()])}: {p.max():.0%}") for picture, p in zip(as_pictures(pixels), found)]


def attacked(net, pixels, changed, labels):
    """Return what was added, what the network says, how often it is fooled, also by the PNG files, and the distortion."""
    file = through_png(changed)
    return {"added": changed[:SHOWN] - pixels[:SHOWN], "said": said(net, changed), "distortion": distortion(changed, pixels),
            "rate": float((probabilities(net, changed).argmax(axis=1) != labels).mean()),
            "file": float((probabilities(net, file).argmax(axis=1) != labels).mean())}


def draw(result):
    figure, axes = panels(1 + len(result["attacks"]), SHOWN, width=2.4, height=2.7)
    for ax, (picture, text) in zip(axes[0], result["photographs"]):
        ax.imshow(picture)
        ax.set_title(text, fontsize=10)
    for row, (name, attack) in zip(axes[1:], result["attacks"].items()):
        row[0].set_ylabel(f"{name}, added")
        for ax, added, (_, text) in zip(row, attack["added"], attack["said"]):
            times = 0.5 / np.percentile(np.abs(added), 99.5)
            ax.imshow((0.5 + times * added).clip(0, 1).transpose(1, 2, 0))
            ax.set_title(text, fontsize=10)
            ax.set_xlabel(f"times {times:.0f}", fontsize=9)
    return {"neighbours": figure, "universal": draw_universal(result["universal"]), "transfer": draw_transfer(result["transfer"])}


def draw_universal(universal):
    """Draw each network's perturbation, and digits with it."""
    figure, axes = panels(len(universal), 1 + 2 * SHOWN, width=1.5, height=1.9)
    for row, (name, found) in zip(axes, universal.items()):
        row[0].imshow(found["v"], cmap="gray", vmin=-XI[name], vmax=XI[name])
        row[0].set_ylabel(name)
        row[0].set_title(f"fools {found['held']:.0%}\n(noise {found['noise']:.0%})", fontsize=10)
        for ax, (picture, text) in zip(row[1:], found["pictures"]):
            ax.imshow(picture)
            ax.set_title(text, fontsize=10)
    return figure


def draw_transfer(rates):
    """Draw which part of what was made on one network fools another."""
    figure, axes = panels(1, 1, width=4.6, height=4)
    ax = axes[0, 0]
    ax.imshow(rates, cmap="Reds", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        ax.text(column, row, f"{rate:.0%}", ha="center", va="center", fontsize=13, color="white" if rate > 0.5 else "black")
    ax.set(xticks=range(len(NETS)), yticks=range(len(NETS)), xticklabels=NETS, yticklabels=NETS)
    ax.set(xlabel="shown to", ylabel="made on")
    return figure


def check(result):
    attacks, transfer = result["attacks"], result["transfer"]
    ratio = np.median(attacks["DeepFool"]["distortion"]) / np.median(attacks["PGD, ε = 2/255"]["distortion"])
    return [Check("PGD at 2/255: part fooled, as PNG files", attacks["PGD, ε = 2/255"]["file"], at_least=0.99),
            Check("DeepFool: part fooled", attacks["DeepFool"]["rate"], at_least=0.99),
            Check("DeepFool's distortion / PGD's, medians", float(ratio), at_most=0.1),
            *(Check(f"{name}, universal: part fooled of digits not met / by the same numbers at other places",
                    found["held"] / max(found["noise"], 1e-9), at_least=2) for name, found in result["universal"].items()),
            Check("transfer: LeNet's fooling digits, shown to softmax regression: part that it gets wrong", transfer[1, 0],
                  at_least=0.1),
            Check("... shown to the robust LeNet", transfer[1, 2], at_most=0.1)]
