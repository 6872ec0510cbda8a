"""Linear classifiers: their templates, and how little of them makes any picture another class."""
import numpy as np

import minicnn
from minicnn.fool.linear import nearest_border, pixel_weights, pushed, templates, worst_changes
from minicnn.fool.pixels import as_pictures, pixels_of, probabilities, through_png, to_input

from .common import IMAGES, Check, digits, panels

TITLE = "Conclusions: any “linear” based classifier can be easily fooled"
FORMULA = r"""$s = W p + b$, one template, a row of $W$, for each class
$p' = p + \epsilon \, \operatorname{sign}(w_\text{goal} - w_\text{class})$
the goal gains $\epsilon \, \lVert w_\text{goal} - w_\text{class} \rVert_1$ over the class, exactly
so the nearest border is at $\epsilon = \underset{k}{\min} \, \frac{s_c - s_k}{\lVert w_k - w_c \rVert_1}$"""
LOOK_FOR = """Templates: a digit's shows where its ink is (bright) and where that of others is (dark); CIFAR-10's are a mean of
all poses, a horse with two heads. Second figure: each digit, and the same with a quarter of the range of the next digit's
template less its own, by sign. A person sees a speckled digit; the classifier sees the next one, nearly always. To leave its
class by the nearest border takes less than a tenth of the range. Photographs of 32 × 32 pixels: some grey levels. So it is no
fault of convolutions, nor of depth."""
CODE = {"minicnn/fool/linear.py": "templates pushed worst_changes nearest_border"}
TRY = """Compute by hand: a template with weights of about 0.1 at 784 pixels, and every pixel changed by 0.1. How far does
the score move?

Which pairs of digits lie nearest to each other, by the nearest border? Are they those that t-SNE puts side by side?

Train the classifier with more weight decay (`tools/train_softmax_mnist.py`, 1e-2 instead of 1e-4). Do its templates become
smoother, and the pictures harder to fool?

A template for a horse has two heads. Draw the pictures that it scores highest among those of CIFAR-10: what else is on
them?"""
EPSILONS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15)
STRONG = 0.25
PHOTOGRAPHS = ("chelsea.jpg", "rocket.jpg", "coffee.jpg", "astronaut.jpg")
SMALL = 8 / 255


def compute(full):
    mnist, cifar = minicnn.load("softmax_mnist"), minicnn.load("softmax_cifar10")
    images, labels = digits(5000)
    pixels = (images[:, None] / 255).astype(np.float32)
    w = pixel_weights(mnist)
    ten = pixels[[int(np.flatnonzero(labels == k)[3]) for k in range(10)]]
    return {"templates": [templates(pixel_weights(net)) for net in (mnist, cifar)], "classes": cifar.classes,
            "flips": [flipped(mnist, w, pixels, epsilon) for epsilon in EPSILONS], "digits": (ten, *next_digit(mnist, w, ten)),
            "exact": exactness(mnist, w, pixels[:100]), "tie": ties(mnist, w, pixels[:500]), "photographs": photographs(cifar)}


def towards(net, w, pixels, goals, epsilon):
    """Return the pictures pushed from the class that the network sees to the goals, (N,) classes, clipped, as PNG files."""
    now = probabilities(net, pixels).argmax(axis=1)
    return through_png(pushed(pixels, w[goals] - w[now], epsilon).clip(0, 1).astype(np.float32))


def flipped(net, w, pixels, epsilon):
    """Return the part of the digits that are another class when pushed to the nearest border, clipped, as PNG files."""
    now = probabilities(net, pixels).argmax(axis=1)
    goals, _ = nearest_border(scores_of(net, pixels), w)
    return float((probabilities(net, towards(net, w, pixels, goals, epsilon)).argmax(axis=1) != now).mean())


def scores_of(net, pixels):
    """Return the scores (N, K) of pixels, which may lie outside of 0..1."""
    with minicnn.no_grad():
        return net(to_input(net, pixels)).data


def ties(net, w, pixels):
    """Return the parts of digits that are another class a hundredth before and after the formula's epsilon, and its median.

    In float64, without clipping.
    """
    net, pixels = net.astype(np.float64), pixels.astype(float)
    scores = scores_of(net, pixels)
    now, (goals, epsilon) = scores.argmax(axis=1), nearest_border(scores, w)
    signs = np.sign(w[goals] - w[now])
    parts = [(scores_of(net, pixels + (share * epsilon).reshape(-1, 1, 1, 1) * signs).argmax(axis=1) != now).mean()
             for share in (0.99, 1.01)]
    return (*parts, float(np.median(epsilon)))


def next_digit(net, w, pixels):
    """Return the digits pushed to the next one, and what the network says: (class, probability) of each."""
    goals = (probabilities(net, pixels).argmax(axis=1) + 1) % 10
    changed = towards(net, w, pixels, goals, STRONG)
    found = probabilities(net, changed)
    return changed, list(zip(found.argmax(axis=1), found.max(axis=1)))


def exactness(net, w, pixels, epsilon=0.25):
    """Return the largest relative difference between the gain of a score, without clipping, and ε ‖w‖₁, in float64."""
    net, worst = net.astype(np.float64), 0.0
    expected = worst_changes(w, epsilon)
    before = scores_of(net, pixels.astype(float))
    for k in range(len(w)):
        after = scores_of(net, pushed(pixels.astype(float), w[k:k + 1], epsilon))
        worst = max(worst, float(np.abs((after - before)[:, k] / expected[k] - 1).max()))
    return worst


def photographs(net):
    """Return photographs of 32 x 32 pixels before and after they were pushed to the nearest border."""
    pixels, w, shown = pixels_of(net, *(IMAGES / name for name in PHOTOGRAPHS)), pixel_weights(net), []
    before = probabilities(net, pixels)
    changed = towards(net, w, pixels, nearest_border(scores_of(net, pixels), w)[0], SMALL)
    after = probabilities(net, changed)
    for k in range(len(pixels)):
        shown.append({"pictures": (as_pictures(pixels)[k], as_pictures(changed)[k]),
                      "left": bool(after[k].argmax() != before[k].argmax()),
                      "titles": [f"{net.classes[p[k].argmax()]}: {p[k].max():.0%}" for p in (before, after)]})
    return shown


def draw(result):
    figure, axes = panels(2, 10, width=1.5, height=1.75)
    for row, shown, names in zip(axes, result["templates"], (range(10), result["classes"])):
        for ax, template, name in zip(row, shown, names):
            ax.imshow(template, cmap="gray" if template.ndim == 2 else None, vmin=0, vmax=1)
            ax.set_title(str(name))
    return {"linear": figure, "digits": draw_digits(result), "photographs": draw_photographs(result["photographs"])}


def draw_digits(result):
    """Draw ten digits, above as they were and below pushed to the next one, and the part flipped against epsilon."""
    before, after, said = result["digits"]
    figure, axes = panels(2, 10, width=1.5, height=1.75)
    for column, old, new, (digit, sure) in zip(axes.T, before, after, said):
        for ax, picture in zip(column, (old, new)):
            ax.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
        column[1].set_title(f"{digit}: {sure:.0%}")
    return figure


def draw_photographs(photographs):
    """Draw the photographs before and after."""
    figure, axes = panels(2, len(photographs), width=2.2, height=2.5)
    for column, shown in zip(axes.T, photographs):
        for ax, picture, title in zip(column, shown["pictures"], shown["titles"]):
            ax.imshow(picture)
            ax.set_title(title)
    return figure


def check(result):
    flips = dict(zip(EPSILONS, result["flips"]))
    before, after, median = result["tie"]
    next_one = [said == (k + 1) % 10 for k, (said, _) in enumerate(result["digits"][2])]
    return [Check("digits that leave their class at ε = 0.1, clipped, as PNG files", flips[0.1], at_least=0.95),
            Check("digits taken for the next one at ε = 1/4", float(np.mean(next_one)), at_least=0.8),
            Check("the formula's ε, median", median, at_most=0.1),
            Check("... a hundredth less: part that leaves its class, without clipping", before, at_most=0),
            Check("... a hundredth more", after, at_least=1),
            Check("gain of a score, not clipped, against ε ‖w‖₁: largest relative difference", result["exact"], at_most=1e-12),
            Check(f"photographs that leave their class at ε = {255 * SMALL:.0f}/255",
                  float(np.mean([shown["left"] for shown in result["photographs"]])), at_least=0.75)]
