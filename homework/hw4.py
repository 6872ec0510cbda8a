"""Assignment 4: DeepDream and style. Slides "DeepDream: set dx = x :)", "NeuralStyle"."""
import itertools

import numpy as np

from minicnn.art.deepdream import deepdream_steps, make_step, objective_L2
from minicnn.art.perceptual_loss import PerceptualLoss
from minicnn.ops.gram_matrix import gram_matrix_backward_ref, gram_matrix_forward_ref
from minicnn.ops.total_variation import total_variation_backward_ref, total_variation_forward_ref

from .networks import branched_network, small_network
from .tasks import Task

TITLE = "DeepDream and style"
WEIGHTS, LECTURES = ("squeezenet1_1",), ("deepdream", "neural_style")


def dream(seed, src, end, settings, rng):
    rng = np.random.default_rng(rng)
    new, loss = make_step(small_network(seed), src, end, rng=rng, **settings)
    return {"src": new, "loss": loss, "objective": objective_L2(src)}


def octaves(seed, image, layer, octaves, octave_scale, steps, count, rng):
    """Answer with what a run goes through, with a stand-in for make_step, which is another task's."""
    import minicnn.art.deepdream as module
    real, module.make_step = module.make_step, _half_a_step
    try:
        states = deepdream_steps(small_network(seed, 32), image, layer, octaves=octaves, octave_scale=octave_scale, steps=steps,
                                 rng=rng)
        states = list(itertools.islice(states, count))
    finally:
        module.make_step = real
    return {"steps": np.array([(s.step, s.octave, *s.src.shape[2:]) for s in states]),
            "losses": np.array([s.loss for s in states]), "first": states[0].src, "last": states[-1].src}


def _half_a_step(net, src, end, *, rng, **settings):
    moved = src + 3 * np.sin(src / 20) + rng.normal(0, 0.1, src.shape)
    return moved.astype(np.float32), float(np.square(src, dtype=float).mean())


def gram(features, dout):
    return {"G": gram_matrix_forward_ref(features), "dF": gram_matrix_backward_ref(dout, features)}


def total_variation(x, beta):
    return {"TV": total_variation_forward_ref(x, beta), "dx": total_variation_backward_ref(x, beta)}


def perceptual(seed, x, content, style, tv_weight, relative):
    loss = PerceptualLoss(branched_network(seed), content, style, tv_weight, relative)
    L, dx = loss(x)
    return {"L": L, "content, style": np.array(loss.parts), "dx": dx}


TASKS = (
    Task("hw4.1", "a step of DeepDream", 25, "minicnn/art/deepdream.py", ("objective_L2", "make_step"), dream, tolerance=1e-6),
    Task("hw4.2", "octave by octave", 20, "minicnn/art/deepdream.py", ("_octave_sizes", "deepdream_steps"), octaves,
         tolerance=1e-5),
    Task("hw4.3", "Gram matrices", 15, "minicnn/ops/gram_matrix.py",
         ("gram_matrix_forward_ref", "gram_matrix_backward_ref"), gram),
    Task("hw4.4", "total variation", 15, "minicnn/ops/total_variation.py",
         ("total_variation_forward_ref", "total_variation_backward_ref"), total_variation),
    Task("hw4.5", "the loss of content and style", 25, "minicnn/art/perceptual_loss.py", ("of", "_scaled"), perceptual,
         builds_on=("hw4.3", "hw4.4")),
)
