"""The command line of the techniques that paint: every command, going on, and what it says when something is wrong."""
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn.art.audio import read_wav, write_wav
from tools.paint import main
from tools.train_super_resolution import main as train_super_resolution

PICTURE, PAINTING = "lectures/images/chelsea.jpg", "lectures/images/starry_night.jpg"


def opened(path):
    with Image.open(path) as picture:
        return picture.size


def test_every_command_paints(tmp_path, capsys):
    dream, style, texture = (str(tmp_path / name) for name in ("dream.png", "style.jpg", "texture.png"))
    assert main(["dream", PICTURE, "--size", "70", "--octaves", "2", "--steps", "6", "--layer", "fire2/concat", "fire3/concat",
                 "--pre-relu", "--guide", PAINTING, "--out", dream, "--animation", str(tmp_path / "dream.gif")]) == 0
    assert max(opened(dream)) == 70 and opened(tmp_path / "dream.gif") == opened(dream)
    assert main(["style", PICTURE, PAINTING, PICTURE, "--mix", "2", "1", "--size", "64", "--steps", "3", "--stages", "2",
                 "--colours", "--out", style]) == 0
    assert max(opened(style)) == 64
    assert main(["texture", PAINTING, "--size", "48", "--steps", "3", "--out", texture]) == 0
    assert opened(texture) == (48, 48)
    net = minicnn.build("transform", width=2, norm="conditional", styles=2)
    net.classes = ["a", "b"]
    minicnn.save(net, tmp_path / "two.h5")
    for more in ([], ["--which", "b"], ["--weights", "1", "3"]):
        assert main(["fast", PICTURE, "--style", str(tmp_path / "two.h5"), "--size", "50", "--out", dream, *more]) == 0
        assert max(opened(dream)) == 50
    assert "50 x" in capsys.readouterr().out


def test_sounds_are_painted(tmp_path, monkeypatch):
    from minicnn.art import audio
    small = audio.sound_net(64)
    monkeypatch.setattr(audio, "sound_net", lambda rng: small)
    t = np.arange(8000) / 22050
    for name, pitch in (("a.wav", 220), ("b.wav", 660)):
        write_wav(tmp_path / name, 0.5 * np.sin(2 * np.pi * pitch * t))
    out = str(tmp_path / "out.wav")
    assert main(["sound", str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), "--steps", "5", "--out", out]) == 0
    assert len(read_wav(out)[0]) == 8000
    write_wav(tmp_path / "c.wav", t, 8000)
    assert main(["sound", str(tmp_path / "a.wav"), str(tmp_path / "c.wav"), "--out", out]) == 1


def test_a_stopped_run_keeps_its_picture_and_goes_on_to_the_same_number_of_steps(tmp_path):
    command = [sys.executable, "-m", "tools.paint", "texture", PAINTING, "--size", "64", "--out", str(tmp_path / "a.png")]
    process = subprocess.Popen([*command, "--steps", "100000"], stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))     # a job's may be ignored
    kept = tmp_path / "a.png.run.npz"
    while not kept.exists() or np.load(kept)["step"] < 10:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "--resume" in process.communicate(timeout=60)[1] and process.returncode == 130
    reached = int(np.load(kept)["step"])
    assert opened(tmp_path / "a.png") == (64, 64) and reached >= 10
    assert subprocess.run([*command, "--steps", str(reached + 7), "--resume"], capture_output=True).returncode == 0
    assert np.load(kept)["step"] == reached + 7
    other = subprocess.run([*command[:4], PICTURE, *command[5:], "--resume"], capture_output=True, text=True)
    assert other.returncode == 1 and "another run, picture was ['starry_night.jpg']" in other.stderr


def test_an_animation_is_not_overwritten_by_what_comes_after_it(tmp_path, capsys):
    settings = ["texture", PAINTING, "--size", "48", "--out", str(tmp_path / "a.png"), "--animation", str(tmp_path / "a.gif")]
    assert main([*settings, "--steps", "2"]) == 0
    assert main([*settings, "--steps", "4", "--resume"]) == 1 and "another name" in capsys.readouterr().err
    assert main([*settings[:-1], str(tmp_path / "b.gif"), "--steps", "4", "--resume"]) == 0


@pytest.mark.parametrize("arguments", [
    ["dream", "nowhere.jpg"], ["dream", PICTURE, "--layer", "fire2/concatt"], ["dream", PICTURE, "--octaves", "0"],
    ["dream", PICTURE, "--out", "nowhere/a.png"], ["dream", PICTURE, "--out", "a.foo"], ["dream", PICTURE, "--resume"],
    ["dream", PICTURE, "--animation", "a.mp4"], ["dream", PICTURE, "--net", "nowhere"], ["style", PICTURE, "nowhere.jpg"],
    ["style", PICTURE, PAINTING, "--mix", "1", "2"], ["style", PICTURE, PAINTING, "--start", "nowhere.png"],
    ["style", PICTURE, PAINTING, "--optimizer", "sgd"], ["style", PICTURE, PAINTING, "--stages", "2", "--resume"],
    ["fast", PICTURE, "--style", "squeezenet1_1"], ["texture", PAINTING, "--size", "3"], ["sound", PICTURE, PICTURE],
    ["sound", "nowhere.wav", "nowhere.wav"], ["style", PICTURE, PAINTING, "--steps", "-3"], ["dream", PICTURE, "--size", "0"],
    ["style", PICTURE, PAINTING, "--stages", "0"], ["style", PICTURE, PAINTING, "--stages", "2000000"],
    ["fast", PICTURE, "--style", "five_styles", "--which", "gravel", "--weights", "1", "0", "0", "0", "0"],
    ["dream", PICTURE, "--steps", str(10 ** 30)], ["dream", PICTURE, "--jitter", str(10 ** 30)], ["dream", PICTURE, "--out", "/"],
], ids=" ".join)
def test_what_is_wrong_is_told_in_a_sentence(tmp_path, capsys, monkeypatch, arguments):
    if "--out" not in arguments:
        arguments = [*arguments, "--out", str(tmp_path / ("a.wav" if arguments[0] == "sound" else "a.png"))]
    assert main(arguments) == 1
    assert 20 < len(capsys.readouterr().err) < 600 and not (tmp_path / "a.png").exists()


def test_enlarging_is_trained_from_the_command_line(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for k in range(4):
        picture = minicnn.images.resize(minicnn.images.load_image(PICTURE), (36, 40 + k))
        minicnn.images.save_image(tmp_path / "in" / f"{k}.png", picture)
    settings = ["--images", str(tmp_path / "in"), "--size", "32", "--photo-size", "36", "--epochs", "1", "--batch", "3",
                "--net", "squeezenet1_1"]
    for loss in ("pixel", "feature"):
        assert train_super_resolution([*settings, "--loss", loss, "--out", str(tmp_path / f"{loss}.h5")]) == 0
    assert minicnn.load(tmp_path / "feature.h5").architecture == "super_resolution"
    started = ["--start", str(tmp_path / "pixel.h5"), "--out", str(tmp_path / "c.h5")]
    assert train_super_resolution([*settings, *started]) == 0
    assert train_super_resolution([*settings, "--size", "34", "--out", str(tmp_path / "d.h5")]) == 1
    assert "multiples of 4" in capsys.readouterr().err
