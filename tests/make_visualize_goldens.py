"""Write goldens/visualize.npz: what torch says of the projections, and scikit-image of denoising by total variation.

    pip install torch==2.13.0 scikit-image; python tests/make_visualize_goldens.py
"""
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent
CLASS, STEPS = 3, 24


def projections():
    """Return x and torch's gradient of a class's score at it under each rule, and its integrated gradients; vgg_cifar10."""
    import minicnn
    from torch_nets import scores_and_gradient
    net = minicnn.load("vgg_cifar10").astype(np.float64)
    x = net.preprocess(TESTS.parent / "lectures" / "images" / "chelsea.jpg").data.astype(np.float64)
    results = {"x": x}
    for rule in minicnn.tape.RELU_RULES:
        results[rule] = scores_and_gradient(net, x, CLASS, rule)[1][0]
    shares = (np.arange(STEPS) + 0.5) / STEPS
    results["integrated"] = x[0] * np.mean([scores_and_gradient(net, share * x, CLASS)[1][0] for share in shares], axis=0)
    return results


def denoised():
    """Return planes and what scikit-image makes of them, one plane at a time."""
    from skimage.restoration import denoise_tv_bregman
    planes = np.random.default_rng(0).random((2, 14, 11))
    planes[0, 3:9, 2:8] += 2
    found = {f"bregman/{weight}": np.stack([denoise_tv_bregman(plane, weight=weight) for plane in planes])
             for weight in (0.3, 4.0)}
    return {"planes": planes, **found}


def similar():
    """Return two grey pictures and scikit-image's structural similarity of them."""
    from PIL import Image
    from skimage.metrics import structural_similarity
    with Image.open(TESTS.parent / "lectures" / "images" / "coffee.jpg") as image:
        a = np.asarray(image.convert("L").resize((31, 24)))
    b = np.clip(a + np.random.default_rng(0).normal(0, 30, a.shape), 0, 255).astype(np.uint8)
    return {"ssim/a": a, "ssim/b": b, "ssim": structural_similarity(a, b)}


def main():
    results = {**projections(), **denoised(), **similar()}
    np.savez_compressed(TESTS / "goldens" / "visualize.npz", **results)
    print(f"{len(results)} arrays")


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    main()
