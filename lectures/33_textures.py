"""Textures by optimising pixels and by a network, and pictures enlarged four times by one that was judged by features."""
import numpy as np

import minicnn
from minicnn.art.super_resolution import shrunk, super_resolve
from minicnn.art.texture import paint, texture_network_steps, texture_steps
from minicnn.images import load_image, resize
from minicnn.loop import take

from .common import IMAGES, Check, panels, ssim

TITLE = "Fast Style Transfer: textures, and super-resolution"
FORMULA = r"""texture: $\mathcal{L}(x) = \operatorname{mean}_l \, \frac{\lVert G_l - A_l \rVert^2}{\lVert A_l \rVert^2}$
    alone, from
    noise; $\; x$ by L-BFGS, or $x = f_W(\text{noise})$ and $W$ by Adam
super-resolution: $\underset{W}{\min} \; \sum_n \frac{\lVert \Phi(f_W(D x_n)) - \Phi(x_n) \rVert^2}
    {\lVert \Phi(x_n) \rVert^2}, \qquad D$: the mean of each $4 \times 4$ pixels, $\Phi$: a layer of another network
by pixels: $\underset{W}{\min} \; \sum_n \lVert f_W(D x_n) - x_n \rVert^2$"""
LOOK_FOR = """A Gram matrix without a content is a texture: the swirls are there, the sky and the village are not. The network
paints its texture from noise in one pass, as large as one likes: each noise gives another piece. The curve is of the first steps
of such a network, the picture of one that took 1,500 with a VGG. Second figure: enlarged four times. By squared differences the
safest answer is the mean of all that could be, which is soft; judged by features, fur gets hairs, and flat places a faint grid of
dots, as in the paper."""
CODE = {"minicnn/art/texture.py": "texture_steps texture_network_steps",
        "minicnn/art/super_resolution.py": "SuperResolutionStep.loss shrunk"}
TRY = """Which texture cannot be made by a Gram matrix of small features: gravel, a brick wall, a page of text? Try one of
your own in `TEXTURES`.

Shrink what super-resolution has made. Do you get the small picture back? Should you?

Why is the answer that is best by squared pixels soft? Give two sharp pictures that shrink to the same small one, and take
their mean.

Give the texture network two noises and the mean of both. Is the third painting the mean of the first two?"""
PAINTING, TEXTURES, PHOTOGRAPH = "starry_night.jpg", ("starry_night.jpg", "gravel.jpg"), "chelsea.jpg"
CROP = slice(40, 200), slice(130, 290)


def compute(full):
    looking, size = minicnn.load("squeezenet1_1"), 256 if full else 128
    optimised = {}
    for name in TEXTURES if full else TEXTURES[:1]:
        states = list(take(150 if full else 60, texture_steps(looking, IMAGES / name, size=size, scale=1.5)))
        optimised[name] = {"picture": states[-1].image, "ratio": states[-1].style / states[0].style}
    states = take(300 if full else 80, texture_network_steps(looking, IMAGES / PAINTING, size=128, scale=2.0, batch=1))
    network = {"losses": np.array([state.loss for state in states])[1:],
               "picture": paint(minicnn.load("starry_night_texture"), (192, 384))}
    photograph = load_image(IMAGES / PHOTOGRAPH)[CROP]
    small = np.rint(shrunk(photograph.transpose(2, 0, 1)[None].astype(np.float32))[0].transpose(1, 2, 0)).astype(np.uint8)
    enlarged = {"bicubic": resize(small, photograph.shape[:2]),
                **{f"judged by {kind}": super_resolve(minicnn.load(name), small)
                   for kind, name in (("pixels", "super_resolution_pixel"), ("features", "super_resolution"))}}
    return {"optimised": optimised, "network": network, "photograph": photograph, "small": small, "enlarged": enlarged,
            "features": {name: feature_distance(looking, picture, photograph) for name, picture in enlarged.items()}}


def feature_distance(net, picture, other, layer="fire2/concat"):
    """Return ||Phi(picture) - Phi(other)||^2 / ||Phi(other)||^2."""
    with minicnn.no_grad():
        a, b = (net.activations(net.preprocess(p, whole=True), upto=layer)[layer].data for p in (picture, other))
    return float(((a - b) ** 2).sum() / (b ** 2).sum())


def draw(result):
    optimised = result["optimised"].items()
    figure, axes = panels(2, 1 + len(optimised), width=3.6, height=3.4)
    for column, (name, made) in zip(axes.T, optimised):
        column[0].imshow(load_image(IMAGES / name))
        column[1].imshow(made["picture"])
        column[0].set_title(name[:-4].replace("_", " "))
        column[1].set_title("its texture, pixels optimised")
    axes[1, -1].imshow(result["network"]["picture"])
    axes[1, -1].set_title("by a network, one pass")
    axes[0, -1].plot(result["network"]["losses"])
    axes[0, -1].set_title("L while the network learns")
    axes[0, -1].set_xticks(range(0, len(result["network"]["losses"]) + 1, max(20, len(result["network"]["losses"]) // 4)))
    axes[0, -1].set_yticks([0, 0.5, 1])
    axes[0, -1].set_ylim(0, 1.2)
    zoom, row = panels(1, 5, width=3.0, height=3.3)
    pictures = {"small": result["small"], **result["enlarged"], "the photograph": result["photograph"]}
    for ax, (name, picture) in zip(row.flat, pictures.items()):
        ax.imshow(picture, interpolation="nearest")
        ax.set_title(name)
    return {"textures": figure, "super_resolution": zoom}


def check(result):
    features, photograph = result["features"], result["photograph"]
    sharp = {name: ssim(picture.mean(axis=2), photograph.mean(axis=2)) for name, picture in result["enlarged"].items()}
    return [Check("style part of the loss of textures, end / start, larger",
                  max(made["ratio"] for made in result["optimised"].values()), at_most=0.05),
            Check("loss of the texture network, end / start", result["network"]["losses"][-10:].mean()
                  / result["network"]["losses"][:3].mean(), at_most=0.2),
            Check("super-resolution: distance of features from the photograph's, judged by features / bicubic",
                  features["judged by features"] / features["bicubic"], at_most=0.9),
            Check("... structural similarity to the photograph, judged by pixels less bicubic",
                  sharp["judged by pixels"] - sharp["bicubic"], at_least=0)]
