"""Music: the timbre of a whale on the notes of a dance, and what a network of photographs dreams into a spectrogram."""
import numpy as np

import minicnn
from minicnn.art.audio import (audio_style_steps, dream_of_sound, griffin_lim_steps, magnitude_of, picture_of, read_wav,
                               sound_net, stft)
from minicnn.loop import take

from .common import AUDIO, Check, panels

TITLE = "CNN for arts (how about music?)"
FORMULA = r"""$S_{kt} = \sum_n h_n \, x_{t \cdot \text{hop} + n - n_\text{fft} / 2} \, e^{-2 \pi i \, k n / n_\text{fft}}$, the
    short-time Fourier transform;
    a network sees $\log(1 + |S|)$, its frequencies as channels
$\mathcal{L} = \alpha \, \frac{\lVert F - P \rVert^2}{\lVert P \rVert^2} + \frac{\lVert G - A \rVert^2}{\lVert A \rVert^2}$,
    as for pictures
Griffin and Lim: $S \leftarrow M \, e^{i \, \angle \operatorname{STFT}(\operatorname{ISTFT}(S))}, \qquad M$: the magnitudes
    wanted, back to a sound"""
LOOK_FOR = """Time runs to the right, high notes are above. The Gram matrix of one layer of random filters knows which frequencies
sound together, and not when: so the dance keeps its beat and takes on the voice of the whale. A network that has seen photographs
only takes the spectrogram for one, and paints strokes and eyes into it, which can be heard."""
CODE = {"minicnn/art/audio.py": "stft istft griffin_lim_steps audio_style_steps"}
TRY = """Why do the frequencies have to be channels, and not rows of a picture? What would a filter 3 × 3 mean that is moved
up an octave?

Play the painted sound after 1 round of Griffin and Lim and after 40. What do wrong phases sound like?

Turn the roles round: a whale that sings in the voice of the dance (`CONTENT`, `STYLE`).

Your own sounds: `python -m tools.paint sound CONTENT.wav STYLE.wav`. Which pairs work, speech on music or music on speech?"""
CONTENT, STYLE = "brahms.wav", "humpback.wav"


def compute(full):
    (content, rate), (style, _) = (read_wav(AUDIO / name) for name in (CONTENT, STYLE))
    content, style = (x[:rate * (8 if full else 3)] for x in (content, style))
    states = list(take(120 if full else 50, audio_style_steps(sound_net(), content, style, content_weight=0.1)))
    rounds = list(take(100 if full else 40, griffin_lim_steps(magnitude_of(states[-1].x), len(content))))
    dream, picture = dream_of_sound(minicnn.load("squeezenet1_1"), content, "fire6/concat", octaves=2, steps=12, jitter=8,
                                    step_size=2.0, rounds=len(rounds) - 1)
    kept = np.array([s.error for s in take(20, griffin_lim_steps(np.abs(stft(content)), len(content)))])
    return {"sounds": {"content": content, "style": style, "painted": rounds[-1].samples, "dreamt": dream}, "rate": rate,
            "dream": picture, "styles": np.array([s.style for s in states]), "errors": np.array([s.error for s in rounds]),
            "kept": kept}


def draw(result):
    figure, axes = panels(2, 2, width=5.0, height=3.0)
    titles = {"content": "a Hungarian dance", "style": "a humpback whale", "painted": "the dance in the whale's voice",
              "dreamt": "the dance as SqueezeNet dreams it"}
    for ax, (name, sound) in zip(axes.flat, result["sounds"].items()):
        picture = picture_of(sound)[0] if name != "dreamt" else result["dream"]
        ax.imshow(picture[-300:].mean(axis=2), cmap="magma", aspect="auto", interpolation="nearest")
        ax.set_title(titles[name])
    curves, ((left, right),) = panels(1, 2, width=4.6, height=3.2)
    left.semilogy(result["styles"])
    left.set_title("style part of L, L-BFGS steps")
    right.plot(result["errors"])
    right.set_title("Griffin and Lim: ‖|STFT(x)| - M‖ / ‖M‖")
    for ax in (left, right):
        ax.set_xticks(range(0, len(ax.lines[0].get_ydata()), 20))
        ax.spines[["left", "bottom"]].set_visible(True)
    left.set_yticks([1, 0.1, 0.01, 0.001])
    right.set_yticks([0, 0.2, 0.4, 0.6])
    return {"music": figure, "curves": curves, **{name: (sound, result["rate"]) for name, sound in result["sounds"].items()}}


def check(result):
    return [Check("style part of the loss, start / end", result["styles"][0] / result["styles"][-1], at_least=100),
            Check("Griffin and Lim, largest growth of the error in a round",
                  max(float(np.diff(errors).max()) for errors in (result["errors"], result["kept"])), at_most=1e-9),
            Check("... of the dance's own magnitudes after 20 rounds", result["kept"][-1], at_most=0.2)]
