"""A class model: from zeros uphill, and how the picture is kept tidy after each step."""
from minicnn.loop import take
from minicnn.visualize.class_model import Settings, class_model_steps, simonyan, tidied

from ..stepping import Marked, state
from ..tiny import tiny_net

# what: settings, and the line that does it
TIDY = {"x <- x + lr g": (Settings(lr=20.0), "(1 - settings.decay)"),
        "or with x <- (1 - decay) x, decay = 0.2": (Settings(lr=20.0, decay=0.2), "(1 - settings.decay)"),
        "or with a blur, sigma = 0.5": (Settings(lr=20.0, blur=0.5, blur_every=1), "gaussian_blur"),
        "or: pixels of a norm below the median -> 0": (Settings(lr=20.0, small_norm=50), "norm >="),
        "or: pixels that contribute less than the median -> 0": (Settings(lr=20.0, small_contribution=50), "contribution >=")}


def steps(rng):
    """The class "upright" from a grey picture, which has no edges, so from a little noise; then each way to tidy, by itself."""
    net = tiny_net()
    settings, before = simonyan(weight=1e-5, lr=6000.0), None
    for found in take(4, class_model_steps(net, 0, settings, start=rng.normal(0, 5, (1, 1, 6, 6)))):
        moved = {} if before is None else {"the step": (found.x - before)[0, 0]}
        title = f"after {found.step} step{'s' * (found.step > 1)}" if found.step else "the start, nearly the mean colour"
        yield state(f"{title}: S = {found.activation:.4f}" + (", the strongest class" if found.top else ""), class_model_steps,
                    "argmax over I of  S_c(I) - lambda ||I||^2",
                    {**moved, "x, pixels less the mean": found.x[0, 0]},
                    line="tidied(x, p.grad" if found.step else "x = _start(")
        before = found.x
    yield state("the model: what the network knows of this class", class_model_steps, "argmax over I of",
                {"image": found.image[:, :, 0]}, line="images.deprocess")
    gradient = rng.normal(0, 0.5, (1, 1, 6, 6)).round(1)
    x = rng.integers(-50, 51, (1, 1, 6, 6)).astype(float)
    yield state("how a picture is kept tidy: some picture and some gradient", tidied, "x <- x + lr g",
                {"x": x[0, 0], "g": gradient[0, 0]})
    untidy = x + 20.0 * gradient
    for what, (tidy, line) in TIDY.items():
        after = tidied(x, gradient, tidy, 0)
        yield state(what, tidied, "x <- x + lr g", {"x": Marked(after[0, 0], ((after == 0) & (untidy != 0))[0, 0])}, line=line)
