"""Paint from the command line: `python -m tools.paint {dream,style,fast,texture,sound} ...`, the techniques of minicnn/art.

    python -m tools.paint dream PICTURE --layer fire8/concat --out dream.png --animation dream.gif
    python -m tools.paint style PHOTOGRAPH PAINTING [PAINTING ...] --size 512 --colours --out style.png
    python -m tools.paint fast PHOTOGRAPH --style starry_night --out fast.png
    python -m tools.paint texture PAINTING --out texture.png
    python -m tools.paint sound CONTENT.wav STYLE.wav --out sound.wav

Ctrl-C writes what there is. Beside it lies OUT.run.npz, from which the same command with --resume goes on, or with more --steps.
"""
import argparse
import math
import sys
from pathlib import Path

import minicnn
from minicnn import images, loop
from minicnn.art import audio, deepdream, neural_style
from minicnn.art.fast_style import stylize
from minicnn.art.texture import texture_steps
from minicnn.checks import whole_number
from minicnn.errors import MinicnnError, SettingError

EVERY = 10          # steps between two checkpoints, and between two pictures of an animation
ROUNDS = 100        # of looking for a sound's phases


def watched(steps, states, given, start=None):
    """Return the last of so many states, or the one that Ctrl-C left; show progress, keep checkpoints and the animation.

    start: the state that --resume goes on from, whose steps count.
    """
    steps, kept, goes_on = max(0, steps - getattr(start, "step", 0)), [], getattr(given, "stages", 1) == 1
    states = loop.take(steps, states)
    if goes_on:
        states = loop.checkpoint(states, run_file(given), vars, EVERY, what_it_is(given))
    states = loop.progress(states, steps + 1, lambda state: "" if math.isnan(state.loss) else f"loss {state.loss:.4g}")

    def noting():
        for state in states:
            kept[:] = [state]
            yield state
    try:
        loop.last(loop.animate(loop.every(EVERY, noting()), given.animation, lambda state: state.image)
                  if given.animation else noting())
    except loop.Interrupted:
        if not kept:
            raise
        given.stopped = True
        print(f"stopped; the same command with --resume goes on from {run_file(given)}" if goes_on else
              "stopped; a run in --stages does not go on", file=sys.stderr)
    return kept[0]


def run_file(given):
    """Return where a run is kept, beside what it makes."""
    return given.out + ".run.npz"


def what_it_is(given):
    """Return what a run is of, option -> value: only the same goes on. Of files the names count."""
    later = {"work", "out", "animation", "resume", "seed", "start", "colours", "stages", "stopped"}
    later |= set() if given.work is dream else {"steps"}
    files = {key: [Path(name).name for name in ([value] if isinstance(value, str) else value or [])]
             for key, value in vars(given).items() if key in ("picture", "paintings", "guide")}
    return {key: value for key, value in vars(given).items() if key not in later} | files


def started(given, kind, otherwise=None):
    """Return the state with which --resume goes on."""
    if given.resume and given.animation and Path(given.animation).exists():
        raise SettingError(f"--animation {given.animation!r} is there, and holds the run up to now; give another name for what "
                           "comes after")
    return loop.resume(run_file(given), kind, what_it_is(given)) if given.resume else otherwise


def dream(given):
    """Dream with a layer, or with several."""
    layer = dict.fromkeys(given.layer, 1.0)
    picture = images.load_image(given.picture)
    picture = images.resize_longer(picture, given.size) if given.size else picture
    start = started(given, deepdream.DreamState)
    states = deepdream.deepdream_steps(minicnn.load(given.net), picture, layer, octaves=given.octaves, steps=given.steps,
                                       jitter=given.jitter, pre_relu=given.pre_relu, guide=given.guide, tile=given.tile,
                                       start=start, rng=given.seed)
    save(given, watched(given.octaves * given.steps, states, given, start).image)


def style(given):
    """Paint a photograph in the style of paintings, by neural style."""
    start = started(given, neural_style.StyleState, given.start)
    whole_number("style", "--stages", given.stages, 1)
    settings = dict(size=given.size, style_weight=given.style_weight, mix=given.mix, style_scale=given.style_scale,
                    optimizer=given.optimizer, start=start, rng=given.seed)
    if given.stages > 1 and given.resume:
        raise SettingError("style: --resume goes on at one size; give it without --stages")
    if given.stages > 1:
        settings |= dict(stages=given.stages, steps=given.steps)
    run = neural_style.coarse_to_fine_steps if given.stages > 1 else neural_style.neural_style_steps
    states = run(minicnn.load(given.net), given.picture, given.paintings, **settings)
    made = watched(given.steps * given.stages, states, given, start).image
    save(given, neural_style.with_colours_of(made, images.resize(images.load_image(given.picture), made.shape[:2]))
         if given.colours else made)


def fast(given):
    """Paint a photograph in one pass."""
    if given.weights and given.which:
        raise SettingError("fast: both --which and --weights are given, expected one of them")
    save(given, stylize(minicnn.load(given.style), given.picture, style=given.weights or given.which, size=given.size))


def texture(given):
    """Paint a painting's texture."""
    start = started(given, neural_style.StyleState)
    states = texture_steps(minicnn.load(given.net), given.picture, size=given.size, start=start, rng=given.seed)
    save(given, watched(given.steps, states, given, start).image)


def sound(given):
    """Give a sound another one's timbre."""
    (content, rate), (other, other_rate) = audio.read_wav(given.picture), audio.read_wav(given.paintings[0])
    if rate != other_rate:
        raise SettingError(f"sound: the clips have {rate} and {other_rate} samples a second, expected the same; convert one")
    start = started(given, audio.AudioState)
    states = audio.audio_style_steps(audio.sound_net(rng=given.seed), content, other, rng=given.seed, start=start)
    state = watched(given.steps, states, given, start)
    phases = loop.take(ROUNDS, audio.griffin_lim_steps(audio.magnitude_of(state.x), len(content), rng=given.seed))
    try:
        found = loop.last(loop.progress(phases, ROUNDS + 1, lambda state: f"phases, error {state.error:.3f}"))
    except loop.Interrupted as interrupted:
        found, given.stopped = interrupted.state, True
        if found is None:
            raise
    audio.write_wav(given.out, found.samples, rate)
    print(f"{given.out}: {len(content) / rate:.1f} seconds")


def save(given, picture):
    """Write the picture that was asked for, and say so."""
    images.save_image(given.out, picture)
    print(f"{given.out}: {picture.shape[1]} x {picture.shape[0]}")


def parser():
    """Return the ArgumentParser of all five commands."""
    top = argparse.ArgumentParser(description="Dreams, styles, textures and sounds.")
    commands = top.add_subparsers(dest="command", required=True)
    for work, first, steps in ((dream, "PICTURE", 10), (style, "PHOTOGRAPH", 200), (fast, "PHOTOGRAPH", 0),
                               (texture, "PAINTING", 200), (sound, "CONTENT.wav", 200)):
        command = commands.add_parser(work.__name__, help=work.__doc__.splitlines()[0])
        command.set_defaults(work=work, animation=None, stopped=False)
        command.add_argument("picture", metavar=first)
        if work in (style, sound):
            command.add_argument("paintings", nargs="+" if work is style else 1,
                                 metavar="PAINTING" if work is style else "STYLE.wav")
        command.add_argument("--out", default=f"{work.__name__}.{'wav' if work is sound else 'png'}", help="default %(default)s")
        if work is not sound:
            command.add_argument("--size", type=int, default=None if work in (dream, fast) else 256, help="of the longer side")
        if work is fast:
            command.add_argument("--style", default="starry_night", help="a transform network, default %(default)s")
            command.add_argument("--which", help="of a network of several styles: the name of one")
            command.add_argument("--weights", type=float, nargs="+", help="... or how much of each")
            continue
        command.add_argument("--steps", type=int, default=steps, help="default %(default)s" + " an octave" * (work is dream))
        command.add_argument("--seed", type=int, default=0, help="default %(default)s")
        command.add_argument("--resume", action="store_true", help="go on from OUT.run.npz, which the same command has left")
        if work is not sound:
            command.add_argument("--net", default="squeezenet1_1", help="default %(default)s")
            command.add_argument("--animation", metavar="FILE.gif", help=f"a picture of every {EVERY} steps")
        extra_options(command, work)
    return top


def extra_options(command, work):
    """Add the options that only dreams have, or only styles."""
    if work is dream:
        command.add_argument("--layer", nargs="+", default=["fire8/concat"], help="one or more, default fire8/concat")
        command.add_argument("--octaves", type=int, default=4, help="default %(default)s")
        command.add_argument("--jitter", type=int, default=16, help="pixels, default %(default)s")
        command.add_argument("--pre-relu", action="store_true", help="dream with the activations before their ReLU")
        command.add_argument("--guide", metavar="PICTURE", help="what to dream of")
        command.add_argument("--tile", type=int, default=768, help="pixels of pieces of large pictures, default %(default)s")
    if work is style:
        command.add_argument("--style-weight", type=float, help="default: what looked best with that network")
        command.add_argument("--style-scale", type=float, default=1.0, help="size of the strokes, default %(default)s")
        command.add_argument("--mix", type=float, nargs="+", help="how much of each painting")
        command.add_argument("--start", help="noise, content or a picture, default: what looked best with that network")
        command.add_argument("--stages", type=int, default=1, help="sizes, each twice the one before, that are painted in turn")
        command.add_argument("--optimizer", default="lbfgs", help="lbfgs or adam")
        command.add_argument("--colours", action="store_true", help="keep the photograph's colours")


def main(arguments=None):
    """Do what the command line says; return the exit status."""
    given = parser().parse_args(arguments)
    try:
        endings = (".wav",) if given.work is sound else (".png", ".jpg", ".jpeg")
        if not Path(given.out).absolute().parent.is_dir() or Path(given.out).suffix.lower() not in endings or \
                Path(given.out).is_dir():
            raise SettingError(f"--out {given.out!r}: expected a file in an existing folder that ends in {' or '.join(endings)}")
        for name, least in (("steps", 1), ("size", 8)):
            if getattr(given, name, None) is not None and given.work is not fast:
                whole_number(given.command, f"--{name}", getattr(given, name), least)
        given.work(given)
        return 130 if given.stopped else 0
    except MinicnnError as error:
        print(f"paint: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("paint: stopped before there was anything to write", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
