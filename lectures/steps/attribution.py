"""Grad-CAM from its weights to its map; integrated gradients, and that they add up to what the score gained."""
import numpy as np

from minicnn.visualize.backprop import class_seed
from minicnn.visualize.grad_cam import grad_cam, guided_grad_cam
from minicnn.visualize.integrated_gradients import integrated_gradients, smooth_grad

from ..stepping import state
from ..tiny import bar, tiny_net


def steps(rng):
    """The class "upright" of a picture of 6 x 6."""
    net = tiny_net()
    x = net.preprocess(bar())
    acts = net.activations(x)
    acts["relu"].retain_grad()
    acts["scores"].backward(class_seed(acts["scores"], 0))
    maps, slope = acts["relu"].data[0], acts["relu"].grad[0]
    yield state("Grad-CAM: the maps of a layer, and how the score hangs on them", grad_cam, "w_k = mean over i, j of dS_c / dA_k",
                {"A": maps, "dS/dA": slope}, line="scores.backward")
    yield state("Grad-CAM: a weight for each map", grad_cam, "w_k = mean over i, j of dS_c / dA_k",
                {"w": slope.mean(axis=(1, 2))},
                line="weights = ")
    yield state("Grad-CAM: the maps by their weights, and what is positive of it", grad_cam, "L = relu(sum_k w_k A_k)",
                {"L": grad_cam(net, x, 0, "relu")}, line="np.maximum(")
    yield state("guided Grad-CAM: guided backprop, fine, times Grad-CAM, coarse and about the class", guided_grad_cam,
                "the product of both", {"product": guided_grad_cam(net, x, 0, "relu")[0]}, line="signal * images.resize")
    level = np.ascontiguousarray(x.data.transpose(0, 1, 3, 2))
    gained = float(acts["scores"].data[0, 0] - net(level).data[0, 0])
    for count in (1, 2, 4, 16, 64):
        IG = integrated_gradients(net, x, 0, baseline=level, steps=count)
        yield state(f"integrated gradients: the mean gradient at {count} picture{'s' * (count > 1)} from b, a level bar, to x, "
                    "times x - b", integrated_gradients, "completeness",
                    {"IG": IG[0], "sum": float(IG.sum()), "S(x) - S(b)": gained}, line="_mean_gradient(")
    for samples in (1, 4, 64):
        yield state(f"SmoothGrad: the mean over {samples} noisy cop{'y' if samples == 1 else 'ies'}", smooth_grad,
                    "SmoothGrad              mean over n", {"mean gradient": smooth_grad(net, x, 0, samples=samples, rng=rng)[0]},
                    line="_mean_gradient(")
