"""The lectures at their default setting, all of them, and the page that they leave."""
import re

import pytest

from lectures import book
from lectures.__main__ import find, lecture_names, main, run
from lectures.common import Check
from minicnn.errors import UnknownNameError


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
    page = (tmp_path / "index.html").read_text()
    for picture in re.findall(r'<img src="([^"]+)"', page):
        assert (tmp_path / picture).exists()
    assert "Visualize the filters/kernels (raw weights)" in page and "pass" in page


def test_the_page_shows_failures_and_escapes_text(tmp_path):
    section = book.Section("01_x", "a < b", "f > 0", "&", checks=[Check("much", 3.0, at_most=2)], error="broken <here>")
    page = book.write(tmp_path, [section], "heading").read_text()
    assert "FAIL" in page and "a &lt; b" in page and "broken &lt;here&gt;" in page and not section.passed


def test_check_bars():
    assert Check("", 1, at_least=1, at_most=1).passed and not Check("", 0.99, at_least=1).passed
    assert not Check("", float("nan"), at_least=0).passed
    assert Check("", 1, 0.5, 2).bar == ">= 0.5 and <= 2"


def test_list_and_wrong_names(capsys, tmp_path):
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(lecture_names())
    assert find("occlusion") == "05_occlusion" and find("05_occlusion") == "05_occlusion"
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

    def interrupted(name, folder, full):
        if name == "05_occlusion":
            raise KeyboardInterrupt
        return run(name, folder, full)

    monkeypatch.setattr(program, "run", interrupted)
    assert main(["raw_filters", "occlusion", "saliency", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "stopped by Ctrl-C" in printed.err and "1 of 3 lectures, 0 failed" in printed.out
    page = (tmp_path / "index.html").read_text()
    assert "01_raw_filters" in page and "occlusion" not in page
    assert main(["occlusion", "--out", str(tmp_path / "new")]) == 1
    assert "no page was written" in capsys.readouterr().out and not (tmp_path / "new" / "index.html").exists()
