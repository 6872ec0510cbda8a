"""A sound as a picture, and back without its phases: short-time Fourier transform, Griffin and Lim."""
import numpy as np

from minicnn.art.audio import griffin_lim_steps, istft, log_magnitude, stft
from minicnn.loop import take

from ..stepping import Marked, state

N_FFT, LENGTH = 8, 16


def steps(rng):
    """16 samples, low notes that become high ones, in windows of 8."""
    n = np.arange(LENGTH)
    sound = np.where(n < LENGTH // 2, np.cos(2 * np.pi * n / 8), np.cos(2 * np.pi * n * 3 / 8))
    S = stft(sound, N_FFT)
    yield state("a sound: a wave of 8 samples, then one of 8 / 3", stft, "S[k, t] = sum over n", {"x": sound.reshape(2, 8)})
    yield state("how much of each frequency k there is in each window t", stft, "S[k, t] = sum over n",
                {"|S| (k, t)": Marked(np.abs(S), np.arange(len(S))[:, None] == np.abs(S).argmax(axis=0)),
                 "angle(S)": np.angle(S).round(2) + 0.0},
                line="np.fft.rfft")
    yield state("what a network sees: frequencies are its channels", log_magnitude, "A network sees log(1 + |S|)",
                {"log(1 + |S|)": log_magnitude(sound, N_FFT).reshape(len(S), -1)})
    yield state("with the phases the way back is exact", istft, "x[m] = sum_t h frames / sum_t h^2",
                {"ISTFT(S)": istft(S, LENGTH).reshape(2, 8), "less x": (istft(S, LENGTH) - sound).round(12).reshape(2, 8)},
                line="total / np.maximum")
    for found in take(40, griffin_lim_steps(np.abs(S), LENGTH, rng=rng)):
        if found.step in (0, 1, 2, 5, 10, 40):
            yield state(f"without them, after {found.step} rounds: || |S| - M || / ||M|| = {found.error:.4f}",
                        griffin_lim_steps, "S <- M exp(i angle(STFT(ISTFT(S))))",
                        {"x": found.samples.reshape(2, 8), "|S|": np.abs(stft(found.samples, N_FFT)), "M": np.abs(S)},
                        line="_with_phases_of(magnitude, seen), step + 1" if found.step else "S = magnitude *")
