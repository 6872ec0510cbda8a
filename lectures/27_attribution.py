"""What came after the gradient: Grad-CAM, SmoothGrad, integrated gradients; and a check of what such maps are worth."""
import numpy as np

import minicnn
from minicnn.images import resize
from minicnn.visualize.backprop import as_picture, backproject, class_seed
from minicnn.visualize.grad_cam import grad_cam, guided_grad_cam
from minicnn.visualize.integrated_gradients import integrated_gradients, smooth_grad
from minicnn.visualize.sanity import cascading_randomisation, rank_correlation

from .common import IMAGES, Check, panels, predict_class, short

TITLE = "After the lecture: which map can be believed?"
FORMULA = r"""Grad-CAM: $\operatorname{relu}\left( \sum_k w_k A_k \right), \qquad
    w_k = \frac{1}{h w} \sum_{i, j} \frac{\partial S_c}{\partial A_k(i, j)}$
SmoothGrad: $\frac{1}{n} \sum_{m=1}^{n} \frac{\partial S_c}{\partial x}(x + \varepsilon_m), \qquad
    \varepsilon_m \;\sim\; \mathcal{N}(0, \sigma^2)$
integrated gradients: $\text{IG}_i = (x_i - b_i) \int_0^1 \frac{\partial S_c}{\partial x_i}(b + t \, (x - b)) \, dt, \qquad
    \sum_i \text{IG}_i = S_c(x) - S_c(b)$
guided Grad-CAM: guided backprop $\cdot$ Grad-CAM"""
LOOK_FOR = """Grad-CAM says where, coarsely; SmoothGrad and integrated gradients which pixels; guided backprop draws the finest
lines. Then the network forgets: its weights are drawn anew from the last layer down (second figure, left to right). The gradient
becomes another one at once, as it should: its signs have little to do with those before, and of its strengths remains what the
photograph itself shapes. Guided backprop still draws the cat, with a network that knows no cats. Its two masks find edges in the
photograph; the most convincing map says the least about the network."""
CODE = {"minicnn/visualize/grad_cam.py": "grad_cam guided_grad_cam",
        "minicnn/visualize/integrated_gradients.py": "integrated_gradients smooth_grad _mean_gradient",
        "minicnn/visualize/sanity.py": "cascading_randomisation rank_correlation"}
TRY = """Before the second figure: how would you test whether a map shows what the network knows, without looking at the
map?

Integrated gradients with 4 steps instead of 48: how much of the score's gain is paid out? And with 1?

Make Grad-CAM of another class than the winner's, say a dog's. Does guided Grad-CAM follow, and does guided backprop?

Take a black, a white and a blurred picture as the baseline. Which pixels can never be paid anything, and why?"""
PHOTOGRAPHS = ("chelsea.jpg", "coffee.jpg")
MAPS = "fire9/concat"
SHOWN = ("none", "conv10", "fire9/squeeze1x1", "fire8/squeeze1x1", "fire6/squeeze1x1", "fire4/squeeze1x1", "conv1")


def compute(full):
    net, photographs = minicnn.load("squeezenet1_1"), []
    for name in PHOTOGRAPHS[:None if full else 1]:
        x = net.preprocess(IMAGES / name)
        winner = predict_class(net, x)
        shown = {"picture": net.deprocess(x), "class": short(net.classes[winner]),
                 "gradient": backproject(net, x, net.class_layer, lambda a: class_seed(a, winner)),
                 "SmoothGrad": smooth_grad(net, x, winner, samples=50 if full else 16),
                 "integrated gradients": integrated_gradients(net, x, winner, steps=128 if full else 48),
                 "guided backprop": backproject(net, x, net.class_layer, lambda a: class_seed(a, winner), "guided"),
                 "Grad-CAM": grad_cam(net, x, winner, MAPS), "guided Grad-CAM": guided_grad_cam(net, x, winner, MAPS)}
        with minicnn.no_grad():
            scores = [net.activations(data, upto=net.class_layer)[net.class_layer].data[0, winner].mean()
                      for data in (x.data, np.zeros_like(x.data))]
        shown["gain"], shown["paid"] = float(scores[0] - scores[1]), float(shown["integrated gradients"].sum(dtype=np.float64))
        photographs.append(shown)
    return {"photographs": photographs, "order": net.preprocessing.channel_order, "forgotten": forgotten(net)}


def forgotten(net):
    """Return {layer: {rule: (signal, rank correlation with that before of its strength, of itself)}}, forgetting from above."""
    x = net.preprocess(IMAGES / PHOTOGRAPHS[0])
    winner, found, before = predict_class(net, x), {}, {}
    for name, forgetful in cascading_randomisation(net):
        if name not in SHOWN:
            continue
        found[name] = {}
        for rule in ("backprop", "guided"):
            signal = backproject(forgetful, x, net.class_layer, lambda a: class_seed(a, winner), rule)
            before.setdefault(rule, signal)
            found[name][rule] = (signal, rank_correlation(*(np.abs(s).sum(axis=0) for s in (signal, before[rule]))),
                                 rank_correlation(signal, before[rule]))
    return found


def draw(result):
    photographs = result["photographs"]
    names = [name for name in photographs[0] if name not in ("picture", "class", "gain", "paid")]
    figure, axes = panels(len(photographs), len(names) + 1, width=2.5, height=2.7)
    for row, shown in zip(axes, photographs):
        row[0].imshow(shown["picture"])
        row[0].set_title(f"“{shown['class']}”")
        for ax, name in zip(row[1:], names):
            ax.set_title(name)
            if name == "Grad-CAM":
                ax.imshow(shown["picture"].mean(axis=2), cmap="gray")
                ax.imshow(resize(shown[name], shown["picture"].shape[:2], "bilinear"), cmap="turbo", alpha=0.6)
            else:
                ax.imshow(as_picture(shown[name], result["order"]))
    return {"attribution": figure, "forgetting": draw_forgotten(result)}


def draw_forgotten(result):
    """Draw the gradient and guided backprop while the network forgets, from left to right."""
    figure, axes = panels(2, len(result["forgotten"]), width=2.3, height=2.7)
    for column, (name, maps) in zip(axes.T, result["forgotten"].items()):
        column[0].set_title("as trained" if name == "none" else f"{name.split('/')[0]} and above\ndrawn anew", fontsize=10)
        for ax, (signal, strength, signed) in zip(column, maps.values()):
            ax.imshow(as_picture(signal, result["order"]))
            ax.set_xlabel(f"likeness {strength:.2f}, signed {signed:.2f}", fontsize=9)
    axes[0, 0].set_ylabel("gradient")
    axes[1, 0].set_ylabel("guided backprop")
    return figure


def check(result):
    photographs, last = result["photographs"], result["forgotten"][SHOWN[-3]]
    return [Check("integrated gradients: their sum / what the score gained over the mean colour, farthest from 1",
                  max((shown["paid"] / shown["gain"] for shown in photographs), key=lambda share: abs(share - 1)), 0.97, 1.03),
            Check("likeness to the map before, from fire6 upwards forgotten: gradient", last["backprop"][1], at_most=0.65),
            Check("the same with signs", abs(last["backprop"][2]), at_most=0.1),
            Check("the same of guided backprop", last["guided"][1], at_least=0.85)]
