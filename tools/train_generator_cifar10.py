"""Train a generator from vgg_cifar10's code to pictures: `python -m tools.train_generator_cifar10`.

Beside the weights lies generator_cifar10_codes.npz, what codes of pictures are like: `mean`, `std` and `largest` (256,) over the
training pictures, `class_mean` (10, 256) over those of a class.
"""
import sys

import numpy as np

import minicnn
from minicnn.data import batches, flipped, normalize
from minicnn.files import remove_leftovers, replacing
from minicnn.optim import Adam
from minicnn.visualize.deep_generator import GeneratorStep

from .training import Recipe, cifar10_parts, main

CODE, FEATURES = "relu5", "relu3_2"


def codes(pictures):
    """Return the codes (N, 256) in which vgg_cifar10 describes pictures."""
    encoder = minicnn.load("vgg_cifar10")
    with minicnn.no_grad():
        return np.concatenate([encoder.activations(normalize(images, encoder.preprocessing), upto=CODE)[CODE].data
                               for images, _ in batches(pictures, 100)])


def psnr(net, pictures):
    """Return the mean peak signal-to-noise ratio of pictures painted from their codes, in dB.

    PSNR = -10 log10 of the mean squared difference of pixels in 0..1, what is painted not clipped; the mean over the pictures.
    """
    spec, found, mean_squares = net.eval().preprocessing, codes(pictures), []
    scale = np.array(spec.std, np.float32)[:, None, None]
    with minicnn.no_grad():
        for start in range(0, len(pictures), 100):
            some = slice(start, start + 100)
            difference = scale * (net(found[some]).data - normalize(pictures.images[some], spec))
            mean_squares.append((difference ** 2).mean(axis=(1, 2, 3)))
    return float((-10 * np.log10(np.concatenate(mean_squares))).mean())


def write_statistics(pictures, out):
    """Write beside the weights what the codes of pictures are like."""
    found, path = codes(pictures), out.with_name(f"{out.stem}_codes.npz")
    class_mean = np.stack([found[pictures.labels == label].mean(axis=0) for label in range(len(pictures.classes))])
    remove_leftovers(path)
    with replacing(str(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, mean=found.mean(axis=0), std=found.std(axis=0), largest=found.max(axis=0), class_mean=class_mean)


RECIPE = Recipe(name="generator_cifar10", architecture="generator_cifar10", data=cifar10_parts, epochs=10, batch_size=32, lr=5e-4,
                warmup=0.2, augment=flipped, measure=psnr, unit="{:.2f} dB", after=write_statistics,
                take_step=lambda rng: GeneratorStep(minicnn.load("vgg_cifar10"), CODE, FEATURES, (1.0, 0.1, 0.1), rng),
                optimizer=lambda parameters, lr: Adam(parameters, lr, betas=(0.5, 0.999)))

if __name__ == "__main__":
    sys.exit(main(RECIPE))
