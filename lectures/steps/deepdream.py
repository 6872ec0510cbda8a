"""DeepDream: what the layer answers is what is sent back."""
import numpy as np

from minicnn.art.deepdream import make_step, objective_guide, objective_L2

from ..stepping import state
from ..tiny import bar, tiny_net

STEP = 5.0


def steps(rng):
    """A faint picture of 6 x 6, dreamt on by the layer "conv"; then one step with another picture as a guide."""
    net = tiny_net()
    src = (0.1 * net.preprocess(bar()).data + 0.05 * rng.standard_normal((1, 1, 6, 6))).astype(np.float32)
    for step in range(3):
        acts = net.activations(src, upto="conv")["conv"].data
        yield state(f"step {step + 1}: forward to the layer", make_step, "maximise 1/2 ||a||^2", {"x": src[0, 0], "a": acts[0]},
                    line="acts = net.activations")
        yield state("the gradient there is a itself: dst.diff = dst.data", objective_L2, "maximise 1/2 ||a||^2",
                    {"gradient at a": objective_L2(acts)[0], "1/2 ||a||^2": float((acts ** 2).sum()) / 2}, line="return dst")
        seed = int(rng.integers(1000))
        right, down = np.random.default_rng(seed).integers(-1, 2, 2)            # what make_step will draw
        new, _ = make_step(net, src, "conv", step_size=STEP, jitter=1, rng=seed)
        after = net.activations(new, upto="conv")["conv"].data
        yield state(f"back to the picture, shifted by {down}, {right} meanwhile, and a step of {STEP:g} grey levels in the mean",
                    make_step, "x <- x + step_size / mean|g| * g",
                    {"the step": (new - src)[0, 0], "x": new[0, 0], "1/2 ||a||^2": float((after ** 2).sum()) / 2},
                    line="src = src + step_size")
        src = new
    guide = net.activations(np.ascontiguousarray(net.preprocess(bar()).data.transpose(0, 1, 3, 2)), upto="conv")["conv"].data
    a = net.activations(src, upto="conv")["conv"].data
    yield state("with a guide, a level bar: each place is sent the guide's column that is most like its own", objective_guide,
                "guide's feature column that is most like a",
                {"a": a[0], "of the guide": guide[0], "gradient at a": objective_guide(guide)(a)[0]},
                line="best = [")
