"""Write goldens/visualize.npz: what torch says of the projections and of style, and scikit-image of denoising and likeness.

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


def styled():
    """Return two pictures, a point between, and torch's loss of neural style there with its gradient; vgg_cifar10."""
    import minicnn
    import torch
    from PIL import Image
    from torch_nets import TorchNet

    class Recording(TorchNet):
        # Not GuidedReLU: it passes on the strides of einsum's gradient, which torch 2.13's batch norm misreads on the way back.
        relu = staticmethod(torch.nn.functional.relu)

        def cbr(self, number, x, **settings):
            self.maps[number] = super().cbr(number, x, **settings)
            return self.maps[number]

        def answers(self, x):
            self.maps = {}
            self.vgg_cifar10(x)
            return self.maps

    def gram(a):
        return torch.einsum("nchw,ndhw->ncd", a, a) / a[0].numel()

    def part(value, target):
        return ((value - target) ** 2).sum() / (target ** 2).sum()
    net = minicnn.load("vgg_cifar10").astype(np.float64)
    arrays = {**{k: p.data for k, p in net.parameters().items()}, **net.buffers()}
    torch_net, spec = Recording({k: np.asarray(a, np.float64) for k, a in arrays.items()}), net.preprocessing
    pictures = []
    for name in ("astronaut.jpg", "starry_night.jpg"):
        with Image.open(TESTS.parent / "lectures" / "images" / name) as image:
            pictures.append(np.asarray(image.convert("RGB").resize((32, 32))))
    inputs = [torch.tensor(net.preprocess(picture, whole=True).data.astype(np.float64)) for picture in pictures]
    scale = torch.tensor(spec.scale / np.array(spec.std)).reshape(1, -1, 1, 1)
    y = inputs[0] / scale + torch.tensor(np.random.default_rng(0).normal(0, 20, (1, 3, 32, 32)))
    y.requires_grad_()
    photograph, painting, found = (dict(torch_net.answers(x)) for x in (*inputs, y * scale))
    style = sum(part(gram(found[k]), gram(painting[k])) for k in ("1_2", "2_2")) / 2
    tv = ((y[..., 1:] - y[..., :-1]) ** 2).sum() + ((y[..., 1:, :] - y[..., :-1, :]) ** 2).sum()
    loss = 3 * part(found["3_2"], photograph["3_2"]) + 5 * style + 7 * tv / (255 ** 2 * 32 * 32)
    loss.backward()
    return {"style/photograph": pictures[0], "style/painting": pictures[1], "style/x": y.detach().numpy(),
            "style/loss": loss.item(), "style/gradient": y.grad.numpy()}


def main():
    results = {**projections(), **denoised(), **similar(), **styled()}
    np.savez_compressed(TESTS / "goldens" / "visualize.npz", **results)
    print(f"{len(results)} arrays")


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    main()
