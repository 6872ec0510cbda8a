"""Sounds: the transform and its inverse against SciPy, Griffin and Lim's rounds, timbre, WAV files."""
import struct

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile

import minicnn
from minicnn.art.audio import (AudioState, audio_style, audio_style_steps, dream_of_sound, griffin_lim_steps, istft,
                               log_magnitude, magnitude_of, picture_of, read_wav, sound_net, sound_of, stft, write_wav)
from minicnn.errors import MinicnnError, SettingError, ShapeError
from minicnn.loop import last, take
from minicnn.optim import lbfgs_steps

CLIPS = "lectures/audio/brahms.wav", "lectures/audio/humpback.wav"
RNG = np.random.default_rng(0)


def chord(brightness, seconds=1.0, rate=22050, low=110):
    """A chord with 16 overtones, each louder or softer than the one below by `brightness`."""
    t = np.arange(int(seconds * rate)) / rate
    tones = [(low * note * k, brightness ** k, k) for note in (1, 1.25, 1.5) for k in range(1, 17)]
    return sum(strength * np.sin(2 * np.pi * frequency * t + k) for frequency, strength, k in tones) / 60


@pytest.mark.parametrize("length, n_fft", [(5000, 256), (4096, 2048), (777, 64), (40, 16)])
def test_the_transform_is_scipys_and_its_inverse_gives_the_sound_back(length, n_fft):
    x = RNG.normal(size=length)
    S = stft(x, n_fft)
    padded = np.pad(x, (0, -length % (n_fft // 4)))
    _, _, wanted = signal.stft(padded, window="hann", nperseg=n_fft, noverlap=n_fft * 3 // 4, boundary="zeros", padded=False,
                               scaling="spectrum")
    wanted = wanted * signal.get_window("hann", n_fft).sum()
    np.testing.assert_allclose(S[:, :wanted.shape[1]], wanted, rtol=0, atol=1e-10 * n_fft)
    np.testing.assert_allclose(istft(S, length), x, rtol=0, atol=1e-12)


def test_the_inverse_is_the_least_squares_sound():
    """No other sound's transform is nearer to an array that is the transform of none."""
    S = RNG.normal(size=(33, 20)) + 1j * RNG.normal(size=(33, 20))
    S[[0, -1]] = S[[0, -1]].real
    length = 19 * 16
    best = istft(S, length)

    def distance(x):
        weights = np.r_[1, np.full(31, 2), 1][:, None]              # the other half of the frequencies is the mirrored one
        return (weights * np.abs(stft(x, 64) - S) ** 2).sum()
    for _ in range(20):
        other = RNG.normal(size=length)
        assert distance(best) < distance(best + 1e-3 * other)


def test_griffin_lims_error_never_grows():
    x, _ = read_wav(CLIPS[0])
    x = x[:40000]
    errors = [state.error for state in take(60, griffin_lim_steps(np.abs(stft(x)), len(x), rng=0))]
    assert (np.diff(errors) <= 1e-12).all() and errors[-1] < 0.3 * errors[0]
    kept = [state.error for state in take(2, griffin_lim_steps(np.abs(stft(x)), len(x), start=x))]
    assert max(kept) < 1e-12                                        # the sound's own phases: nothing to mend


def test_magnitudes_come_back_from_what_the_network_sees():
    x = chord(0.8)
    np.testing.assert_allclose(magnitude_of(log_magnitude(x)), np.abs(stft(x)), rtol=1e-4, atol=1e-5)
    assert magnitude_of(-np.ones((1, 5, 1, 3))).max() == 0          # less than silence is silence


def test_the_random_network_is_as_published():
    net = sound_net(64, rng=0)
    weight = net.parameters()["conv1/weight"].data
    assert weight.shape == (64, 1025, 1, 11) and net(log_magnitude(chord(0.5))).shape[:3] == (1, 64, 1)
    assert weight.std() == pytest.approx(np.sqrt(2) * np.sqrt(2 / ((1025 + 64) * 11)), rel=0.01)
    assert np.array_equal(weight, sound_net(64, rng=0).parameters()["conv1/weight"].data)


def test_the_losses_gradient_is_right(monkeypatch):
    """Numerically, in float64, of the function that L-BFGS is given."""
    import minicnn.art.audio as module
    given = []
    monkeypatch.setattr(module, "lbfgs_steps", lambda function, x: given.append((function, x)) or lbfgs_steps(function, x))
    net = sound_net(8, bins=33, rng=0).astype(np.float64)
    next(audio_style_steps(net, chord(0.5, 0.1), chord(0.9, 0.1)))
    function, x = given[0]
    x = np.abs(RNG.normal(size=x.shape))
    _, gradient = function(x)
    for _ in range(4):
        direction = RNG.normal(size=x.shape)
        slope = (function(x + 1e-6 * direction)[0] - function(x - 1e-6 * direction)[0]) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_a_dream_is_a_sound_of_that_length_and_its_picture_gives_the_sound_back():
    x = chord(0.7, 0.5)
    picture, white = picture_of(x)
    assert picture.dtype == np.uint8 and picture.shape == (513, 45, 3) and white > 0
    again = sound_of(picture, white, len(x), start=x, rounds=5)
    assert np.corrcoef(again, x)[0, 1] > 0.99                        # but for 8 bits
    net = minicnn.load("squeezenet1_1")
    made, dreamt = dream_of_sound(net, x, "fire2/concat", octaves=1, steps=2, jitter=4, rounds=5)
    assert made.shape == x.shape and dreamt.shape == picture.shape and not np.array_equal(dreamt, picture)


def test_style_falls_a_hundredfold_on_the_shipped_clips():
    content, style = (read_wav(clip)[0][:60000] for clip in CLIPS)
    first, *_, end = take(60, audio_style_steps(sound_net(256), content, style))
    print(f"style {first.style:.3g} -> {end.style:.3g}, content {end.content:.2f}")
    assert end.style < first.style / 100 and end.content < 0.8


def test_timbre_moves_from_the_content_to_the_style():
    """The spectral centroid of a dull chord, painted with a bright one, goes most of the way to the bright one's."""
    dull, bright = chord(0.45), chord(0.95)

    def centroid(x):
        S = (np.abs(stft(x)) ** 2).mean(axis=1)
        return (S * np.arange(len(S))).sum() / S.sum()
    made = audio_style(dull, bright, steps=60, rounds=30)
    share = (centroid(made) - centroid(dull)) / (centroid(bright) - centroid(dull))
    print(f"{share:.2f} of the way")
    assert made.shape == dull.shape and 0.6 <= share <= 1.4


def test_a_run_goes_on_from_its_state():
    net, sounds = sound_net(32, bins=129), (chord(0.5, 0.2), chord(0.9, 0.2))
    half = last(take(5, audio_style_steps(net, *sounds)))
    first, end = list(take(5, audio_style_steps(net, *sounds, start=half)))[::5]
    assert isinstance(half, AudioState) and (first.step, end.step) == (5, 10)
    assert first.loss == half.loss and end.loss < half.loss
    with pytest.raises(ShapeError, match="same sounds"):
        next(audio_style_steps(net, chord(0.5, 0.4), sounds[1], start=half))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_wav_files_of_all_kinds_are_read_and_ours_open_elsewhere(tmp_path, dtype):
    x = np.clip(RNG.normal(size=(500, 2)) * 0.2, -1, 1)
    scaled = x if dtype is np.float32 else (x * 127 + 128 if dtype is np.uint8 else x * np.iinfo(dtype).max)
    wavfile.write(tmp_path / "a.wav", 8000, scaled.astype(dtype))
    samples, rate = read_wav(tmp_path / "a.wav")
    assert rate == 8000 and np.abs(samples - x.mean(axis=1)).max() < (0.02 if dtype is np.uint8 else 1e-4)
    write_wav(tmp_path / "b.wav", 3 * samples / np.abs(samples).max(), 8000)       # too loud: made fit
    rate, again = wavfile.read(tmp_path / "b.wav")
    assert rate == 8000 and again.dtype == np.int16 and np.abs(again).max() == 32767


def riff(size, *format_, data=b""):
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *format_) + data


@pytest.mark.parametrize("content", [
    b"", b"RIFF", b"OggS" * 50, b"RIFF" + struct.pack("<I", 4) + b"WAVE", riff(2 ** 32 - 1, 1, 0, 0, 0, 0, 0),
    riff(60, 1, 1, 8000, 16000, 2, 16, data=b"data" + struct.pack("<I", 2 ** 31)),
], ids=["empty", "four bytes", "another format", "no sound in it", "no channels", "longer than the file"])
def test_damaged_sounds_are_told(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(SettingError, match="read_wav"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("call", [
    lambda: read_wav("nowhere.wav"), lambda: stft([]), lambda: stft([np.nan]), lambda: stft("music"), lambda: stft([1.0], 6),
    lambda: istft(np.zeros((5, 2)), 10 ** 9), lambda: istft(np.zeros(3), 1), lambda: istft([[1], [1, 2], [3]], 1),
    lambda: write_wav("nowhere/a.wav", [0.5]), lambda: write_wav("tests", [0.5]), lambda: write_wav(None, [0.5]),
    lambda: write_wav("a.wav", []), lambda: stft([1j, 2]), lambda: next(griffin_lim_steps("abc", 8)),
    lambda: next(griffin_lim_steps(np.ones((5, 4)), 4)), lambda: next(griffin_lim_steps(np.ones((5, 4)), 7)),
    lambda: magnitude_of(np.ones((3, 3))), lambda: sound_of(np.ones((3, 3)), 1.0, 5), lambda: sound_net(bins=None),
    lambda: next(audio_style_steps(None, chord(0.5), chord(0.5))),
    lambda: next(audio_style_steps(sound_net(4, bins=33), np.zeros(500), chord(0.5))),
    lambda: next(audio_style_steps(sound_net(4, bins=33), chord(0.5), chord(0.5), start="x")),
    lambda: next(audio_style_steps(sound_net(4, bins=33), chord(0.5), np.ones(100))),
    lambda: next(audio_style_steps(minicnn.load("lenet_mnist"), chord(0.5), chord(0.5))), lambda: stft(chord(0.5), 10 ** 9),
    lambda: audio_style(chord(0.5), chord(0.5), rounds=-1),
    lambda: next(griffin_lim_steps(-np.ones((5, 4)), 8)), lambda: next(griffin_lim_steps(np.ones((5, 4)), 8, rng="x")),
    lambda: next(griffin_lim_steps(np.ones((5, 4)), 8, start=np.ones(500))), lambda: sound_net(0), lambda: sound_net(rng=-1),
    lambda: next(audio_style_steps(sound_net(4, bins=33), chord(0.5), chord(0.5), style_weight=-1)),
])
def test_wrong_settings_are_told(call):
    with pytest.raises(MinicnnError):
        call()
