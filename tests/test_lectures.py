"""The lectures at their default setting, all of them, and the page that they leave."""
import gzip
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lectures import book, pages
from lectures.__main__ import find, lecture_names, main, run, save_picture, takes_images
from lectures.common import IMAGES, Check, all_digits, digits
from lectures.maps import middle, neighbour_accuracy, separation
from minicnn.data import IDX_FILES
from minicnn.errors import DataError, UnknownNameError


@pytest.mark.parametrize("name", lecture_names())
def test_lecture_passes_its_own_checks(name, tmp_path):
    section = run(name, tmp_path, full=False)
    assert section.error == "" and section.checks and section.pictures
    assert [c for c in section.checks if not c.passed] == []
    for picture in section.pictures:
        assert (tmp_path / picture).stat().st_size > 5000
    assert section.title and section.formula and section.look_for


def test_the_page(tmp_path, capsys):
    assert main(["raw_filters", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "01_raw_filters.html").read_text()
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert pictures and all((tmp_path / picture).exists() for picture in pictures)
    assert "Visualize the filters/kernels (raw weights)" in page and "PASS" in page
    contents = (tmp_path / "index.html").read_text()
    assert 'href="01_raw_filters.html"' in contents and contents.count(">pass<") == 1 and "1 of 1 lectures" in contents


def test_the_page_shows_failures_and_escapes_text():
    section = book.Section("01_x", "a < b", "f > 0", "&", checks=[Check("much", 3.0, at_most=2)], seconds=1.0,
                           error="broken <here>")
    page = pages.lecture_page(section, "part", None, None)
    assert "FAIL" in page and "a &lt; b" in page and "broken &lt;here&gt;" in page and not section.passed
    assert "f &gt; 0" in page and "&amp;" in page


def test_check_bars():
    assert Check("", 1, at_least=1, at_most=1).passed and not Check("", 0.99, at_least=1).passed
    assert not Check("", float("nan"), at_least=0).passed
    assert Check("", 1, 0.5, 2).bar == ">= 0.5 and <= 2"


def test_list_and_wrong_names(capsys, tmp_path):
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(lecture_names())
    assert find("occlusion") == "08_occlusion" and find("08_occlusion") == "08_occlusion"
    with pytest.raises(UnknownNameError, match="did you mean 'occlusion'"):
        find("oclusion")
    assert main(["oclusion", "--out", str(tmp_path)]) == 2
    assert "did you mean" in capsys.readouterr().err and not (tmp_path / "index.html").exists()


def test_an_out_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["raw_filters", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "lectures:" in capsys.readouterr().err


def test_ctrl_c_keeps_the_lectures_that_are_done_and_nothing_else(tmp_path, capsys, monkeypatch):
    import lectures.__main__ as program

    def interrupted(name, folder, full, images=None):
        if name == "08_occlusion":
            raise KeyboardInterrupt
        return run(name, folder, full)

    monkeypatch.setattr(program, "run", interrupted)
    assert main(["raw_filters", "occlusion", "saliency", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "stopped by Ctrl-C" in printed.err and "1 of 3 lectures, 0 failed" in printed.out
    assert (tmp_path / "index.html").read_text().count(">pass<") == 1
    assert "Not run yet" in (tmp_path / "08_occlusion.html").read_text()
    assert main(["occlusion", "--out", str(tmp_path / "new")]) == 1
    assert "no page was written" in capsys.readouterr().out and not (tmp_path / "new" / "index.html").exists()


# --- your own pictures: --images ---
@pytest.fixture
def folder(tmp_path):
    """Two good pictures, a file that is cut short, one that is none, a hidden one and a folder."""
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for name in ("coffee.jpg", "chelsea.jpg"):
        shutil.copy(IMAGES / name, folder)
    (folder / "broken.jpg").write_bytes((IMAGES / "coffee.jpg").read_bytes()[:2000])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("")
    return folder


def test_images_of_a_folder_are_shown_and_bad_ones_skipped(folder, tmp_path, capsys):
    assert main(["cnn_codes", "--images", str(folder), "--out", str(tmp_path / "out")]) == 0
    skipped = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "skipped: " in line]
    assert len(skipped) == 2 and "broken.jpg" in skipped[0] and "notes.txt" in skipped[1]
    pictures = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
    assert pictures == ["06_cnn_codes.png", "06_cnn_codes_grid.png", "06_cnn_codes_seams.png"]


def test_images_too_large_are_skipped(folder, tmp_path, capsys):
    Image.new("1", (8001, 8001)).save(folder / "large.png")
    assert run("06_cnn_codes", tmp_path, False, folder).error == ""
    assert "large.png' is 8001 x 8001 pixels" in capsys.readouterr().err


def test_images_that_are_all_the_same(tmp_path):
    for name in "abc":
        shutil.copy(IMAGES / "coffee.jpg", tmp_path / f"{name}.jpg")
    section = run("06_cnn_codes", tmp_path, False, tmp_path)
    assert section.passed and len(section.checks) == 2


def test_a_folder_without_enough_pictures(folder, tmp_path, capsys):
    (folder / "chelsea.jpg").unlink()
    assert main(["cnn_codes", "--images", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "1 readable picture, expected two" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "holds no pictures"), ("nowhere", "there is no folder")):
        assert main(["cnn_codes", "--images", str(tmp_path / name), "--out", str(tmp_path / "new")]) == 2
        error = capsys.readouterr().err
        assert message in error and name in error and error.count("\n") == 1 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name, figures", [("16_top_crops", 2), ("20_patches", 2), ("24_multifaceted", 1)])
def test_the_other_lectures_show_your_own_pictures(name, figures, folder, tmp_path, capsys):
    photograph = Image.open(IMAGES / "astronaut.jpg")
    for k in range(5):
        photograph.crop((40 * k, 0, 40 * k + 330, 330)).save(folder / "inner" / f"{k}.png")
    section = run(name, tmp_path, False, folder)
    assert section.error == "" and len(section.pictures) == figures
    assert capsys.readouterr().err.count("skipped: ") == 2


def test_images_for_lectures_that_show_none(folder, tmp_path, capsys):
    able = ["06_cnn_codes", "16_top_crops", "20_patches", "24_multifaceted"]
    assert [name for name in lecture_names() if takes_images(name)] == able
    assert main(["raw_filters", "--images", str(folder), "--out", str(tmp_path / "out")]) == 2
    says = "raw_filters none shows your own pictures; these do: cnn_codes, top_crops, patches, multifaceted"
    assert says in capsys.readouterr().err


# --- animations ---
def test_a_list_of_frames_images_becomes_a_gif(tmp_path):
    frames = [np.full((20, 30, 3), grey, np.uint8) for grey in (0, 100, 200, 200)]
    path = save_picture(frames, tmp_path / "09_x_film")
    assert path.name == "09_x_film.gif" and [p.name for p in tmp_path.iterdir()] == [path.name]
    with Image.open(path) as film:
        assert film.size == (30, 20) and film.n_frames == 3             # equal frames are one, shown for longer
        shown = []
        for k in range(3):
            film.seek(k)
            shown.append((film.convert("RGB").getpixel((5, 5))[0], film.info["duration"]))
    assert shown == [(0, 80), (100, 80), (200, 160)]


# --- digits ---
def test_digits_shipped():
    images, labels = digits()
    assert images.shape == (5000, 28, 28) and images.dtype == np.uint8 and np.bincount(labels).tolist() == [500] * 10
    assert 30 < images.mean() < 36 and len(digits(100)[1]) == 100


def test_digits_all_of_them_or_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("minicnn.data.__file__", str(tmp_path / "a" / "b" / "data.py"))
    with pytest.raises(DataError, match="train-images-idx3-ubyte.*download.*MINICNN_DATA.*leave out --full"):
        all_digits()
    section = run("05_digits", tmp_path, full=True)
    assert "leave out --full" in section.error and not section.pictures
    (tmp_path / "mnist").mkdir()
    for name, count in zip([f"{file}.gz" for file in IDX_FILES], (3, 3, 2, 2)):
        shape = (count, 28, 28) if "images" in name else (count,)
        head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (tmp_path / "mnist" / name).write_bytes(gzip.compress(head + bytes([count] * int(np.prod(shape)))))
    images, labels = all_digits()
    assert images.shape == (5, 28, 28) and labels.tolist() == [3, 3, 3, 2, 2]
    for content in (b"", b"no gzip", gzip.compress(head)[:-4], gzip.compress(b"\0\0"), gzip.compress(head)):
        (tmp_path / "mnist" / f"{IDX_FILES[3]}.gz").write_bytes(content)
        with pytest.raises(DataError, match="t10k-labels.*download it again"):
            all_digits()


def test_numbers_of_maps_digits():
    Y, labels = np.array([[0, 0], [0, 1], [1, 0], [9, 0], [9, 1], [10, 0.0]]), np.array([0, 0, 0, 1, 1, 1])
    assert neighbour_accuracy(Y, labels, k=2) == 1 and neighbour_accuracy(Y, np.array([0, 1, 0, 1, 0, 1]), k=2) < 1
    assert separation(Y, labels) > 5 * separation(Y, np.array([0, 1, 0, 1, 0, 1]))
    assert middle(Y[:3]).tolist() == [0, 0]
