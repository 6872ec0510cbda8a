"""A picture as a sum of waves: one wave after the other, how large each may be, and the gradient with respect to them."""
import numpy as np

from minicnn.visualize.fourier import frequency_scale, to_picture, to_picture_backward, transformation

from ..stepping import state

SIZE = (6, 6)


def steps(rng):
    """Pictures of 6 x 6 whose z has one number that is not 0; then dL/dz of one pixel; then a picture moved at random."""
    yield state("how large each wave is: inversely as its frequency, as in photographs", frequency_scale, "scale(f) = sqrt(H W)",
                {"frequencies down": np.fft.fftfreq(6), "and across": np.fft.rfftfreq(6), "scale": frequency_scale(*SIZE)},
                line="np.sqrt(height * width)")
    for row, column, what in ((0, 0, "the constant"), (1, 0, "one wave down"), (0, 1, "one wave across"),
                              (1, 1, "one along both"),
                              (0, 3, "the finest across, six times as small")):
        z = np.zeros((2, 3, 6, 4))
        z[0, 0, row, column] = 3.0
        yield state(f"z[{row}, {column}] = 3, the rest 0: {what}", to_picture, "x = sigmoid(M irfft2(scale z) / 4)",
                    {"Re z": z[0, 0], "red": to_picture(z, SIZE)[0]}, line="np.fft.irfft2")
    z = 0.5 * rng.standard_normal((2, 3, 6, 4))
    x, dx = to_picture(z, SIZE), np.zeros((3, *SIZE))
    dx[0, 2, 3] = 1
    slope = to_picture_backward(dx, x)
    yield state("back: what one red pixel asks of the waves; the coarse ones are moved most", to_picture_backward,
                "G = rfft2(dL/dy)",
                {"dL/dx, red": dx[0], "dL/d Re z": slope[0, 0], "dL/d Im z": slope[1, 0]}, line="np.fft.rfft2")
    step = 0.01 * slope
    yield state("and it is right: a step of 0.01 dL/dz changes that pixel by 0.01 ||dL/dz||^2, to first order",
                to_picture_backward,
                "G = rfft2(dL/dy)", {"the pixel rose by": to_picture(z + step, SIZE)[0, 2, 3] - x[0, 2, 3],
                                     "0.01 ||dL/dz||^2": 0.01 * (slope ** 2).sum()})
    matrix = transformation(SIZE, shift=1, zoom=0.0, turn=0.0, rng=rng)
    bar = np.tile([0, 0, 1.0, 1, 0, 0], (6, 1))
    yield state("before each step the picture is moved at random: a sparse matrix, four pixels for one", transformation,
                "new pixels = matrix @ pixels", {"a picture": bar, "moved": (matrix @ bar.ravel()).reshape(SIZE),
                                                 "row 14 of the matrix": matrix[[14]].toarray().reshape(SIZE)})
