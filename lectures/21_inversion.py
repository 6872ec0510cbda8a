"""Which picture has this code? A photograph found again from the answers of one layer after another."""
import numpy as np

import minicnn
from minicnn.images import centre_crop, deprocess, load_image, resize_shorter
from minicnn.loop import last, take
from minicnn.visualize.inversion import LOG_PROBABILITIES, SCHEDULE, encode, inversion_steps, to_network

from .common import IMAGES, Check, panels, predict_class, short

TITLE = "Recovering original image"
FORMULA = r"""$x^* = \underset{x}{\operatorname{argmin}} \; \frac{\lVert \Phi(x) - \Phi_0 \rVert^2}{\lVert \Phi_0 \rVert^2}
    + \lambda \, \mathcal{R}(x)$
prior: $\mathcal{R}$ weighs two things: $\; \mathcal{R}_\alpha(x) = \sum |x|^6$ and
    $\; \mathcal{R}_V(x) = \sum_{i, j} \left( (x_{i, j+1} - x_{ij})^2 + (x_{i+1, j} - x_{ij})^2 \right)^{\beta / 2}$
step: $m \leftarrow 0.9 \, m - \eta \, \sigma^2 \, \frac{\partial E}{\partial x}, \qquad x \leftarrow x + m$, from noise;
    $\; E$: all that is to be small, $\sigma$: the norm of a typical picture"""
LOOK_FOR = """From the first layers almost the photograph comes back; then colours and grain go, then shapes lose their places.
What the last layers still know of the cat are eyes, somewhere, of no certain size: a thousand numbers say what is in a picture
and hardly where. Second figure: three starts for one code. Pixel by pixel the pictures have little in common; to the layer they
are far more alike than two photographs. (The last pictures are pale; their contrast is stretched.)"""
CODE = {"minicnn/visualize/inversion.py": "Objective inversion_steps encode"}
TRY = r"""Set `tv_weight=0` for an early layer and for a late one. Where does the prior not matter, and where is it all that
makes a picture?

Before you look: does the reconstruction from `pool5` still know left from right? Invert the code of the mirrored photograph
and compare.

Start from another photograph instead of noise. From which layer on does the result still look like the start?

The slide has no $\lVert \Phi_0 \rVert^2$ below the line. What would that change about $\lambda$ from layer to layer?"""
PHOTOGRAPH, OTHER = "chelsea.jpg", "coffee.jpg"
# layer: its part of the published learning rates; with the whole the last layers of this network run away
LAYERS = {"relu_conv1": 1, "pool1": 1, "fire3/concat": 1, "pool5": 1, "fire9/concat": 0.3, "conv10": 0.1, "pool10": 0.1,
          LOG_PROBABILITIES: 0.1}
MORE = ("conv10", LOG_PROBABILITIES)            # with --full
SCORES, EARLY = "pool10", ("relu_conv1", "pool1")
MANY_STARTS = "fire9/concat"


def compute(full):
    net, shown = minicnn.load("squeezenet1_1"), {}
    size = 224 if full else 128
    x = net.preprocess(centre_crop(resize_shorter(load_image(IMAGES / PHOTOGRAPH), size * 8 // 7), size), whole=True)
    winner = predict_class(net, x)
    layers = {layer: rate for layer, rate in LAYERS.items() if full or layer not in MORE}
    for layer, part in layers.items():
        shown[layer] = found_again(net, x, layer, part, 1 if full else 0.5 if part == 1 else 0.3)
    several = found_again(net, x, MANY_STARTS, LAYERS[MANY_STARTS], 1 if full else 0.25, starts=3)
    several["apart"] = codes_apart(net, x, several["x"])
    top = predict_class(net, np.asarray(shown[SCORES]["x"] * to_network(net), np.float32))
    return {"photograph": net.deprocess(x), "layers": shown, "several": several, "class": short(net.classes[winner]),
            "same_class": float(top == winner), "found_class": short(net.classes[top])}


def found_again(net, x, layer, part, length, starts=1):
    """Return the pictures that come back from the code of x, how far their codes are from it, and how like the photograph."""
    with minicnn.no_grad():
        code = encode(net, x, layer).data
    schedule = [(round(count * length), lr * part) for count, lr in SCHEDULE]
    steps = inversion_steps(net, code, layer, size=x.shape[2:], starts=starts, schedule=schedule)
    state = last(take(sum(count for count, _ in schedule), steps))
    original = net.deprocess(x).ravel()
    return {"images": [stretched(net, one) for one in state.x], "error": state.error, "x": state.x,
            "likeness": [float(np.corrcoef(image.ravel(), original)[0, 1]) for image in state.images]}


def codes_apart(net, x, found):
    """Return how far the codes of the pictures found are from one another, / how far two photographs' codes are."""
    other = net.preprocess(centre_crop(resize_shorter(load_image(IMAGES / OTHER), x.shape[2] * 8 // 7), x.shape[2]), whole=True)
    with minicnn.no_grad():
        first, second = (encode(net, photograph.data, MANY_STARTS).data for photograph in (x, other))
        codes = encode(net, np.asarray(found * to_network(net), np.float32), MANY_STARTS).data
    pairs = [np.linalg.norm(codes[i] - codes[j]) for i in range(len(codes)) for j in range(i)]
    return float(np.mean(pairs) / np.linalg.norm(first - second))


def stretched(net, x):
    """Return x (C, H, W) as a picture whose contrast is at least a photograph's: deviations are enlarged if they are small."""
    contrast = np.percentile(np.abs(x - x.mean(axis=(1, 2), keepdims=True)), 99)
    x = x * max(1.0, 100 / contrast)
    return deprocess(x[None] * to_network(net), net.preprocessing)


def draw(result):
    panes = [("the photograph", result["photograph"], "")]
    for layer, found in result["layers"].items():
        below = f"code {100 * found['error'][0]:.0f} % off, likeness {found['likeness'][0]:.2f}"
        panes.append((layer, found["images"][0], below))
    columns = -(-len(panes) // 2)
    figure, axes = panels(2, columns, width=2.7, height=3.0)
    for ax, (title, picture, below) in zip(axes.flat, panes):
        ax.imshow(picture)
        ax.set_title(title)
        ax.set_xlabel(below, fontsize=9)
    for ax in axes.flat[len(panes):]:
        ax.set_visible(False)
    starts, axes = panels(1, 4, width=2.7, height=3.0)
    axes[0, 0].imshow(result["photograph"])
    for ax, picture, error in zip(axes[0, 1:], result["several"]["images"], result["several"]["error"]):
        ax.imshow(picture)
        ax.set_title(f"{MANY_STARTS}: {100 * error:.0f} % off")
    return {"inversion": figure, "several_starts": starts}


def check(result):
    layers, several = result["layers"], result["several"]
    pixels = np.stack([picture.ravel() for picture in several["x"]])
    alike = np.corrcoef(pixels)[np.triu_indices(len(pixels), 1)]
    return [Check("correlation of what comes back from the first layers with the photograph, least",
                  min(layers[layer]["likeness"][0] for layer in EARLY), at_least=0.9),
            Check("how far its code is from the photograph's, first layer", float(layers[EARLY[0]]["error"][0]), at_most=0.1),
            Check("the same of the scores", float(layers[SCORES]["error"][0]), at_most=0.25),
            Check(f"the class of what comes back from the scores is the photograph's, {result['class']} (1 = yes)",
                  result["same_class"], at_least=1),
            Check("likeness, from the first layer less from the scores", layers[EARLY[0]]["likeness"][0]
                  - layers[SCORES]["likeness"][0], at_least=0.2),
            Check("three starts for one code: correlation of the pictures, largest", float(alike.max()), at_most=0.95),
            Check("the same: distance of their codes from one another / of two photographs'", several["apart"], at_most=0.75)]
