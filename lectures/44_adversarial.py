"""One step along the sign of the gradient; why it is enough: linearity and many dimensions; and training on it."""
from fractions import Fraction

import numpy as np

import minicnn
from minicnn.fool.adversarial import fgsm
from minicnn.fool.linear import fit_logistic_regression, pushed
from minicnn.fool.pgd import pgd
from minicnn.fool.pixels import as_pictures, loss_gradient, pixels_of, probabilities, through_png, to_input
from minicnn.images import resize

from .common import IMAGES, Check, digits, panels, short

TITLE = "Explaining and harnessing adversarial examples"
FORMULA = r"""one step: $p' = p + \epsilon \, \operatorname{sign}\left( \frac{\partial J}{\partial p} \right)$
linear: $w \cdot p' - w \cdot p = \epsilon \, \lVert w \rVert_1 = \epsilon \, n \, \operatorname{mean}\,|w|$, however small
    $\epsilon$, with $n$ pixels
logistic regression: $\underset{\lVert r \rVert_\infty \le \epsilon}{\max} \, J = \operatorname{mean} \,
    \zeta(-y \, (w \cdot p + b) + \epsilon \, \lVert w \rVert_1), \qquad \zeta(z) = \log(1 + e^z)$
adversarial training: $\tilde J = \tfrac{1}{2} J(p) + \tfrac{1}{2} J\left( p + \epsilon \,
    \operatorname{sign}\left( \frac{\partial J}{\partial p} \right) \right)$"""
LOOK_FOR = """First: a photograph, the sign of its gradient, and the sum, 0.007 of the range for each number. Second: LeNet's
scores along that line bend slowly: no pocket of strange points, but wide regions where another class wins. That is the "linear
nature". Beside it: what ε = 0.1 does to w · p, over how far the scores spread by nature, grows with the number of pixels, as √n,
where weights and pixels know nothing of their neighbours. (Digits drawn with more pixels gain nothing: neighbours are alike
there.) Third: networks trained on what fools them. One trained by the formula withstands the one step, by knowing that very
corner: many small steps (PGD, stars) fool it as before, and ε = 0.15 fools it better than 0.25 does. From random starts the
remedy is a real one."""
CODE = {"minicnn/fool/adversarial.py": "fgsm", "minicnn/fool/pixels.py": "loss_gradient",
        "minicnn/fool/linear.py": "pushed LogisticRegression", "minicnn/fool/adversarial_training.py": "AdversarialStep"}
TRY = r"""Of all changes of at most $\epsilon$ per pixel, why is the sign of the gradient the best for a linear score? What
would be the best of a given length $\lVert r \rVert_2$?

Push along the gradient itself instead of its sign, with the same largest change. How much weaker is it?

Set $\epsilon$ to one grey level, 1/255. Is the coffee still fooled? How about noise of ten?

The network trained by the one step is fooled more by 0.15 than by 0.25. What has it learnt?"""
EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
NETS = ("lenet_mnist", "lenet_adversarial", "lenet_robust")
SIDES = (7, 14, 28)
TRAINED = 0.1           # the epsilon that the linear classifiers of 3 and 7 are trained for: without, they need no end of weights
SIZES = (10, 30, 100, 300, 1000, 3000, 10000)


def compute(full):
    images, labels = digits(5000)
    pixels = (images[:, None] / 255).astype(np.float32)
    many = 5000 if full else 1500
    few = np.random.default_rng(0).permutation(len(pixels))[:1000 if full else 300]
    nets = {name: minicnn.load(name) for name in (*NETS, "softmax_mnist")}
    return {"photograph": photograph(minicnn.load("squeezenet1_1")), "line": line(nets["lenet_mnist"], pixels[:1], labels[:1]),
            "errors": {name: errors(net, pixels[:many], labels[:many]) for name, net in nets.items()},
            "steps": {name: error(net, pgd(net, pixels[few], labels[few], 0.25, steps=40, random_start=True), labels[few])
                      for name, net in nets.items() if name in NETS},
            "identity": identity(images, labels), "random": [of_random_weights(n) for n in SIZES],
            "growth": [growth(images, labels, side) for side in SIDES]}


def photograph(net, epsilon=0.007):
    """Return a photograph, the sign of its gradient, and the sum as a PNG file, with what the network says of both."""
    pixels = pixels_of(net, IMAGES / "coffee.jpg")
    before = probabilities(net, pixels)[0]
    sign = np.sign(loss_gradient(net, pixels, before.argmax()[None])[1])
    file = through_png(fgsm(net, pixels, before.argmax()[None], epsilon))
    after = probabilities(net, file)[0]
    return {"pictures": [as_pictures(pixels)[0], as_pictures(0.5 + 0.5 * sign)[0], as_pictures(file)[0]],
            "titles": [f"{short(net.classes[before.argmax()])}: {before.max():.0%}", f"sign of the gradient, times {epsilon}",
                       f"{short(net.classes[after.argmax()])}: {after.max():.0%}"],
            "left": bool(after.argmax() != before.argmax())}


def line(net, pixels, labels):
    """Return epsilons from -1/2 to 1/2 and the scores (M, 10) along the direction of the sign, without clipping."""
    direction, along = np.sign(loss_gradient(net, pixels, labels)[1]), np.linspace(-0.5, 0.5, 201)
    with minicnn.no_grad():
        scores = net(to_input(net, (pixels + along.reshape(-1, 1, 1, 1) * direction).astype(np.float32))).data
    return {"epsilon": along, "scores": scores, "label": int(labels[0])}


def errors(net, pixels, labels):
    """Return the part of the digits that a network gets wrong after one step of each epsilon, as PNG files."""
    return [error(net, fgsm(net, pixels, labels, epsilon), labels) for epsilon in EPSILONS]


def error(net, pixels, labels):
    """Return the part of the pictures, as PNG files, that a network gets wrong."""
    return float((probabilities(net, through_png(pixels)).argmax(axis=1) != labels).mean())


def threes_and_sevens(images, labels, side=28):
    """Return the pixels (N, side * side) of the digits 3 and 7 in 0..1, and y: -1 and 1."""
    which = np.isin(labels, (3, 7))
    small = np.stack([resize(image, (side, side), "bilinear") for image in images[which]])
    return small.reshape(len(small), -1) / 255, np.where(labels[which] == 7, 1, -1)


def identity(images, labels, epsilon=0.25):
    """Return how far the formula's worst J is from that of the worst pictures, and a score's gain less ε ‖w‖₁, exactly."""
    p, y = threes_and_sevens(images, labels)
    model = fit_logistic_regression(p, y, epsilon=TRAINED)
    formula, measured = model.loss(p, y, epsilon), model.loss(model.worst(p, y, epsilon), y)
    before = np.rint(255 * p[0]) / 256                          # so that p + 1/4 is exact in floats
    after, w = pushed(before, model.w, epsilon), [Fraction(float(value)) for value in model.w]
    gain = sum(v * (Fraction(float(b)) - Fraction(float(a))) for v, a, b in zip(w, before, after))
    return {"difference": abs(formula - measured) / measured, "exact": gain - Fraction(epsilon) * sum(map(abs, w))}


def of_random_weights(n, epsilon=0.1):
    """Return (n, ε ‖w‖₁, spread of w · p) of independent weights and pixels."""
    rng = np.random.default_rng(n)
    w, p = rng.standard_normal((50, n)), rng.random((200, n))
    return n, epsilon * float(np.abs(w).sum(axis=1).mean()), float((p @ w.T).std(axis=0).mean())


def growth(images, labels, side, epsilon=0.1):
    """Return (n, ε ‖w‖₁, spread of the scores) of a linear classifier for digits of side x side pixels."""
    p, y = threes_and_sevens(images, labels, side)
    model = fit_logistic_regression(p, y, epsilon=TRAINED)
    return side * side, epsilon * float(np.abs(model.w).sum()), float(model.scores(p).std())


def draw(result):
    shown = result["photograph"]
    figure, axes = panels(1, 3, width=3.6, height=3.9)
    for ax, picture, title in zip(axes.flat, shown["pictures"], shown["titles"]):
        ax.imshow(picture)
        ax.set_title(title)
    return {"adversarial": figure, "linear": draw_linear(result), "training": draw_training(result)}


def draw_linear(result):
    """Draw the scores along the direction, and how the change grows with the number of pixels."""
    figure, axes = panels(1, 2, width=5.5, height=4)
    ax, along = axes[0, 0], result["line"]
    for k, scores in enumerate(along["scores"].T):
        ax.plot(along["epsilon"], scores, label=str(k), linewidth=3 if k == along["label"] else 1.2)
    ax.set(xlabel="ε along the sign of the gradient", ylabel="LeNet's scores", xticks=(-0.5, 0, 0.5), yticks=(-20, 0, 20))
    ax.axvline(0, color="0.8", zorder=0)
    ax.legend(frameon=False, ncol=2, fontsize=8)
    ax, (n, change, spread), (pixels, of_digits, apart) = axes[0, 1], np.array(result["random"]).T, np.array(result["growth"]).T
    ax.loglog(n, change / spread, "o-", label="random weights and pixels")
    ax.loglog(pixels, of_digits / apart, "s-", label="3 or 7, drawn with n pixels")
    ax.set(xlabel="pixels n", ylabel="ε ‖w‖₁ / spread of the scores, ε = 0.1")
    ax.set(xticks=(10, 100, 1000, 10000), yticks=(0.3, 1, 3, 10, 30), yticklabels=(0.3, 1, 3, 10, 30))
    ax.minorticks_off()
    ax.legend(frameon=False)
    for ax in axes.flat:
        ax.spines[["left", "bottom"]].set_visible(True)
    return figure


def draw_training(result):
    """Draw the errors of the networks against epsilon, and after many steps."""
    figure, axes = panels(1, 1, width=9, height=4.2)
    ax = axes[0, 0]
    for name, found in result["errors"].items():
        ax.plot(EPSILONS, found, "o-", label=name)
        if name in result["steps"]:
            ax.plot(0.25, result["steps"][name], "*", markersize=14, color=ax.lines[-1].get_color(), clip_on=False)
    ax.plot([], [], "*", markersize=14, color="0.4", label="40 steps of PGD, ε = 0.25")
    ax.set(xlabel="ε of the fast gradient sign", ylabel="error", xticks=EPSILONS, yticks=(0, 0.5, 1), ylim=(-0.02, 1.02))
    ax.spines[["left", "bottom"]].set_visible(True)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def check(result):
    found, steps, at = result["errors"], result["steps"], EPSILONS.index(0.25)
    (n, change, spread), (_, of_digits, apart) = np.log(result["random"]).T, np.array(result["growth"]).T
    ratio = of_digits / apart
    return [Check("the photograph leaves its class at ε = 0.007 (1 = yes)", float(result["photograph"]["left"]), at_least=1),
            Check("LeNet's error at ε = 0.25", found["lenet_mnist"][at], at_least=0.75),
            Check("softmax regression's", found["softmax_mnist"][at], at_least=0.99),
            Check("adversarially trained / LeNet's", found["lenet_adversarial"][at] / found["lenet_mnist"][at], at_most=0.5),
            Check("... from random starts / LeNet's", found["lenet_robust"][at] / found["lenet_mnist"][at], at_most=0.5),
            Check("... from random starts, after 40 steps of PGD / LeNet's", steps["lenet_robust"] / steps["lenet_mnist"],
                  at_most=0.5),
            Check("adversarially trained by the one step, after 40 of PGD", steps["lenet_adversarial"], at_least=0.5),
            Check("... its error at ε = 0.15 / at 0.25", found["lenet_adversarial"][EPSILONS.index(0.15)]
                  / found["lenet_adversarial"][at], at_least=1.2),
            Check("logistic regression: the formula for the worst J, relative error", result["identity"]["difference"],
                  at_most=1e-12),
            Check("change of its score less ε ‖w‖₁, in fractions", float(result["identity"]["exact"]), at_least=0, at_most=0),
            Check("random weights: power of n with which ε ‖w‖₁ grows", float(np.polyfit(n, change, 1)[0]), 0.97, 1.03),
            Check("... and the spread of w · p", float(np.polyfit(n, spread, 1)[0]), 0.45, 0.55),
            Check("digits: ε ‖w‖₁ / spread of the scores, of 784 pixels / of 49", float(ratio[-1] / ratio[0]), at_most=1.2)]
