"""Music: sounds as pictures of frequencies over time, and back. Slide "CNN for arts (how about music?)".

    S[k, t] = sum over n of h[n] x[t hop + n - n_fft / 2] exp(-2 pi i k n / n_fft)         short-time Fourier transform, h Hann's
    x[m] = sum_t h frames / sum_t h^2          its inverse: the sound whose transform is nearest to S (least squares)

A network sees log(1 + |S|), without the phases. To get from magnitudes M to a sound again Griffin and Lim go back and forth:

    S <- M exp(i angle(STFT(ISTFT(S))))        || |STFT(x)| - M || never grows

Style transfer is that of pictures (perceptual_loss.py) with the frequencies as channels and time as the only axis: a Gram matrix
says which of them sound together, not when. One convolution with random filters is enough to see timbre. A dream is that of
deepdream.py, with the spectrogram taken for a photograph.
Sources: D. Griffin and J. Lim 1984; D. Ulyanov and V. Lebedev 2016, "Audio texture synthesis and style transfer" (settings).
"""
import os
import warnings
from dataclasses import dataclass

import numpy as np

from .. import ops
from ..checks import generator, number, started, whole_number
from ..errors import SettingError, ShapeError
from ..files import replacing
from ..loop import last, take
from ..nn import Conv2d, Network, ReLU
from ..optim import lbfgs_steps
from ..tensor import Tensor
from ..tape import no_grad
from ..visualize.checks import array, network
from .deepdream import deepdream

N_FFT, RATE, MOST_SECONDS, MOST_FFT = 2048, 22050, 600, 2 ** 16


# --- sounds -----------------------------------------------------------------------------------------------------------
def read_wav(path):
    """Return (samples (n,) float64 in -1..1, samples per second) of a WAV file, the mean of its channels."""
    from scipy.io import wavfile
    try:
        if os.path.getsize(path) > 8 * MOST_SECONDS * 48000:
            raise ValueError(f"it is larger than {MOST_SECONDS} seconds can be")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")             # of chunks that are no sound
            rate, samples = wavfile.read(path)
    except Exception as error:          # whatever a damaged file leads to
        raise SettingError(f"read_wav: {path!r} cannot be read ({str(error)[:120]}); expected an uncompressed WAV file") from None
    kind = samples.dtype
    if kind.kind not in "iuf" or samples.size == 0 or rate < 1 or samples.ndim > 2:
        raise SettingError(f"read_wav: {path!r} holds {samples.shape} samples of {kind}, expected some, whole numbers or floats")
    samples = samples.astype(np.float64) / (1 if kind.kind == "f" else np.iinfo(kind).max) - (1 if kind.kind == "u" else 0)
    if kind == np.uint8:
        samples = (samples + 1) * 255 / 128 - 1
    samples = samples.mean(axis=1) if samples.ndim == 2 else samples
    if not np.isfinite(samples).all():
        raise SettingError(f"read_wav: {path!r} holds samples that are no numbers; expected a sound")
    return samples, int(rate)


def write_wav(path, samples, rate=RATE):
    """Write samples (n,), as of -1..1, as 16-bit WAV, whole or not at all; louder ones are made fit."""
    from scipy.io import wavfile
    samples, rate = _sound("write_wav", samples), whole_number("write_wav", "rate", rate, 1, 1_000_000)
    loudest = max(float(np.abs(samples).max()), 1.0)
    try:
        with replacing(os.fspath(path)) as temporary:
            wavfile.write(temporary, rate, np.rint(samples / loudest * 32767).astype(np.int16))
    except (OSError, TypeError) as error:
        raise SettingError(f"write_wav: {path!r} cannot be written ({getattr(error, 'strerror', None) or error}); give a file in "
                           "an existing folder") from None


def _sound(name, samples):
    try:
        samples = np.asarray(samples)
        samples = samples.astype(np.float64) if samples.dtype.kind in "iuf" else np.zeros(0)
    except (TypeError, ValueError):
        samples = np.zeros(0)
    if samples.ndim != 1 or samples.size == 0 or not np.isfinite(samples).all():
        raise ShapeError(f"{name}: the sound has shape {samples.shape}, expected (n,), finite samples")
    return samples


# --- the transform ----------------------------------------------------------------------------------------------------
def _window(n_fft):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


def stft(samples, n_fft=N_FFT):
    """Return S (n_fft / 2 + 1, frames) complex, hop n_fft / 4; around the sound there is silence, frame t is centred at t hop."""
    samples, hop = _sound("stft", samples), _hop(n_fft)
    padded = np.pad(samples, (n_fft // 2, n_fft // 2 + -len(samples) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.fft.rfft(frames * _window(n_fft), axis=1).T


def istft(S, length):
    """Return the sound (length,) whose transform is nearest to S (n_fft / 2 + 1, frames)."""
    S = _spectrum("istft", "S", S)
    n_fft = 2 * (len(S) - 1)
    hop, window = _hop(n_fft), _window(n_fft)
    length = whole_number("istft", "length", length, 1, (S.shape[1] - 1) * hop)
    frames = np.fft.irfft(S.T, n=n_fft, axis=1) * window
    total, weight = np.zeros((2, (len(frames) - 1) * hop + n_fft))
    for t, frame in enumerate(frames):
        total[t * hop:t * hop + n_fft] += frame
        weight[t * hop:t * hop + n_fft] += window ** 2
    return (total / np.maximum(weight, 1e-12))[n_fft // 2:n_fft // 2 + length]


def _spectrum(name, what, S):
    """Return S (n_fft / 2 + 1, frames), finite numbers, as an array."""
    try:
        S = np.asarray(S)
    except ValueError:
        S = np.zeros(0)
    if S.ndim != 2 or len(S) < 3 or S.shape[1] < 2 or S.dtype.kind not in "iufc" or not np.isfinite(S).all():
        raise ShapeError(f"{name}: {what} has shape {S.shape}, expected (n_fft / 2 + 1, frames), finite numbers")
    return S


def _hop(n_fft):
    if whole_number("stft", "n_fft", n_fft, 4, MOST_FFT) % 4:
        raise SettingError(f"stft: n_fft is {n_fft}, expected a multiple of 4")
    return n_fft // 4


@dataclass(frozen=True)
class GriffinLimState:
    """The sound after `step` rounds and how far |its transform| is from what was asked for, || |S| - M || / || M ||."""
    step: int
    samples: np.ndarray
    error: float


def griffin_lim_steps(magnitude, length, *, start=None, rng=0):
    """Yield a GriffinLimState at the start and after every round, without end.

    magnitude M (n_fft / 2 + 1, frames), 0 or more; length: of the sound, in samples, that has so many frames. start: a sound
    that lends its phases; without, they are random.
    """
    magnitude = _spectrum("griffin_lim", "magnitude", magnitude)
    n_fft = 2 * (len(magnitude) - 1)
    least = (magnitude.shape[1] - 2) * _hop(n_fft) + 1
    length = whole_number("griffin_lim", "length", length, least, (magnitude.shape[1] - 1) * _hop(n_fft))
    if magnitude.dtype.kind == "c" or (magnitude < 0).any():
        raise ShapeError("griffin_lim: magnitude holds numbers below 0 or complex ones, expected real ones from 0; np.abs(S)")
    if start is None:
        S = magnitude * np.exp(2j * np.pi * generator("griffin_lim", rng).random(magnitude.shape))
    else:
        S = _with_phases_of(magnitude, stft(start, n_fft))
    step, size = 0, max(float(np.linalg.norm(magnitude)), 1e-30)
    while True:
        samples = istft(S, length)
        seen = stft(samples, n_fft)
        yield GriffinLimState(step, samples, float(np.linalg.norm(np.abs(seen) - magnitude)) / size)
        S, step = _with_phases_of(magnitude, seen), step + 1


def _with_phases_of(magnitude, seen):
    if seen.shape != magnitude.shape:
        raise ShapeError(f"griffin_lim: magnitudes {magnitude.shape}, but the sound has {seen.shape}; expected the same")
    return magnitude * seen / np.maximum(np.abs(seen), 1e-30)


def griffin_lim(magnitude, length, rounds=100, **settings):
    """Return a sound (length,) with these magnitudes, as nearly as so many rounds bring it."""
    return last(take(whole_number("griffin_lim", "rounds", rounds, 0), griffin_lim_steps(magnitude, length, **settings))).samples


# --- style ------------------------------------------------------------------------------------------------------------
def sound_net(filters=2048, width=11, bins=N_FFT // 2 + 1, rng=0):
    """Return a Network of one convolution over time with random filters and a ReLU; frequencies are its channels.

    Its weights have the published deviation sqrt(2) sqrt(2 / ((bins + filters) width)); 4096 filters are published. With fewer
    filters than frequencies some mixtures of these are seen by none, and fill with noise.
    """
    filters, width, bins = (whole_number("sound_net", name, value, least, 8193) for name, value, least in (
        ("filters", filters, 1), ("width", width, 1), ("bins", bins, 3)))
    net, rng = Network("sound_net"), generator("sound_net", rng)
    net.add("conv1", Conv2d(bins, filters, (1, width)))
    net.add("relu1", ReLU())
    deviation = (2 * 2 / ((bins + filters) * width)) ** 0.5
    net.set_array("conv1/weight", rng.standard_normal((filters, bins, 1, width), dtype=np.float32) * np.float32(deviation))
    return net


def log_magnitude(samples, n_fft=N_FFT):
    """Return log(1 + |S|) as a network takes it, (1, n_fft / 2 + 1, 1, frames) float32."""
    return np.log1p(np.abs(stft(samples, n_fft))).astype(np.float32)[None, :, None]


def magnitude_of(x):
    """Return the magnitudes (bins, frames) of what log_magnitude makes; numbers below 0 are none and count as silence."""
    x = array("magnitude_of", "x", x)
    if x.ndim != 4 or len(x) != 1 or x.shape[2] != 1:
        raise ShapeError(f"magnitude_of: x has shape {x.shape}, expected (1, bins, 1, frames), as log_magnitude gives it")
    return np.expm1(np.maximum(x[0, :, 0].astype(np.float64), 0))


@dataclass(frozen=True)
class AudioState:
    """log(1 + |S|) after `step` steps, `x` (1, bins, 1, frames); L, and its content and style parts before their weights."""
    step: int
    x: np.ndarray
    loss: float
    content: float
    style: float


def audio_style_steps(net, content, style, *, content_weight=0.02, style_weight=1.0, start=None, rng=0):
    """Yield an AudioState at the start, faint noise, and after every step of L-BFGS, as long as L falls.

        L = content_weight ||F - P||^2 / ||P||^2 + style_weight ||G - A||^2 / ||A||^2,  F, P, G, A as for pictures

    content, style: sounds (n,) of the same rate. net: a sound_net. start: the AudioState of an earlier run, to go on. (L is
    written out here, since perceptual_loss.py is about pictures: three channels less a mean, and smooth.)
    """
    network("audio_style", net, "conv1")
    started("audio_style", start, AudioState)
    content_weight, style_weight = (number("audio_style", name, value, at_least=0) for name, value in (
        ("content_weight", content_weight), ("style_weight", style_weight)))
    seen, other = _what_it_hears(net, content, style)
    with no_grad():
        P = net(seen).data
        A = ops.gram_matrix(net(other), normalize=True).data
    if not P.any() or not A.any():
        raise SettingError(f"audio_style: the {'style' if P.any() else 'content'} is silent, expected a sound")
    weights = content_weight / float((P ** 2).sum()), style_weight / float((A ** 2).sum())
    parts = []

    def function(x):
        p = Tensor(np.asarray(x, net.dtype), requires_grad=True)
        F = net(p)
        ### BEGIN SOLUTION hw4.5
        content, style = ((F - P) ** 2).sum() * weights[0], ((ops.gram_matrix(F, normalize=True) - A) ** 2).sum() * weights[1]
        ### END SOLUTION hw4.5
        loss = content + style
        loss.backward(retain_graph=False)
        parts[:] = (part.item() / max(weight, 1e-30) for part, weight in zip((content, style), (content_weight, style_weight)))
        return loss.item(), p.grad

    x = generator("audio_style", rng).standard_normal(seen.shape, dtype=np.float32) * np.float32(1e-3)
    if start is not None:
        x = start.x
        if np.shape(x) != seen.shape:
            raise ShapeError(f"audio_style: the run to go on with has {np.shape(x)}, expected {seen.shape}; give the same sounds")
    for step, state in enumerate(lbfgs_steps(function, x.astype(net.dtype)), start.step if start is not None else 0):
        yield AudioState(step, state.x.astype(net.dtype), state.loss, *parts)


def _what_it_hears(net, *sounds):
    """Return log_magnitude of each sound for a sound_net, at least as many frames as it looks at."""
    _, bins, height, width = net.layer("conv1").parameters["weight"].shape
    if height != 1 or bins < 3:
        raise SettingError(f"audio_style: the network is a {net.architecture}, expected a sound_net")
    heard = [log_magnitude(sound, 2 * (bins - 1)).astype(net.dtype) for sound in sounds]
    if min(x.shape[3] for x in heard) < width:
        raise ShapeError(f"audio_style: the network looks at {width} frames at a time, expected sounds of at least "
                         f"{width * _hop(2 * (bins - 1))} samples")
    return heard


def audio_style(content, style, *, steps=300, rounds=100, filters=2048, rng=0, **settings):
    """Return the sound of `content` with the timbre of `style`, as long as the content; settings as in `audio_style_steps`."""
    rng, rounds = generator("audio_style", rng), whole_number("audio_style", "rounds", rounds, 0)
    state = last(take(steps, audio_style_steps(sound_net(filters, rng=rng), content, style, rng=rng, **settings)))
    return griffin_lim(magnitude_of(state.x), len(content), rounds, rng=rng)


# --- dreams -----------------------------------------------------------------------------------------------------------
def picture_of(samples, n_fft=N_FFT // 2):
    """Return (the spectrogram as a grey picture (H, W, 3) uint8, high notes above; log(1 + |S|) of its white)."""
    x = np.log1p(np.abs(stft(samples, n_fft)))
    white = max(float(x.max()), 1e-12)
    return np.repeat(np.rint(x[::-1, :, None] / white * 255).astype(np.uint8), 3, axis=2), white


def sound_of(picture, white, length, *, start=None, rounds=100, rng=0):
    """Return the sound (length,) of a picture as picture_of makes them, the mean of its colours; start lends its phases."""
    picture, white = array("sound_of", "picture", picture), number("sound_of", "white", white, above=0, at_most=100)
    if picture.ndim != 3:
        raise ShapeError(f"sound_of: picture has shape {picture.shape}, expected (H, W, 3), as picture_of gives it")
    magnitude = np.expm1(picture.astype(np.float64).mean(axis=2)[::-1] / 255 * white)
    return griffin_lim(magnitude, length, rounds, start=start, rng=rng)


def dream_of_sound(net, samples, layer, *, rounds=100, rng=0, **settings):
    """Return (the sound (n,), its spectrogram (H, W, 3) uint8) of what a network of photographs sees in a spectrogram.

    settings: those of deepdream. Notes become strokes and beats become edges, and are made more so.
    """
    samples, rounds = _sound("dream_of_sound", samples), whole_number("dream_of_sound", "rounds", rounds, 0)
    picture, white = picture_of(samples)
    dreamt = deepdream(net, picture, layer, rng=rng, **settings)
    return sound_of(dreamt, white, len(samples), start=samples, rounds=rounds), dreamt
