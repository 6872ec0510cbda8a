"""The notebooks that are made from the lectures: all are well-formed, the quick ones are run, and their checks pass."""
import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lectures.contents import lecture_names
from minicnn.errors import SettingError
from tools import make_notebooks

ROOT = Path(__file__).parent.parent
QUICK = ("01_raw_filters", "17_saliency")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("nbformat")
    folder = tmp_path_factory.mktemp("notebooks")
    make_notebooks.main(["--out", str(folder)])
    return folder


def sources(book, kind):
    return [cell.source for cell in book.cells if cell.cell_type == kind]


@pytest.mark.parametrize("name", lecture_names())
def test_notebooks_hold_the_whole_lecture(name, folder):
    import nbformat
    book = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    script = ast.parse((ROOT / "lectures" / f"{name}.py").read_text(encoding="utf-8"))
    code, text = "\n\n".join(sources(book, "code")), sources(book, "markdown")
    kept = {ast.dump(node) for node in ast.parse(code).body}
    for node in script.body[1:]:
        if isinstance(node, ast.ImportFrom) and node.level:
            node.level, node.module = 0, f"lectures.{node.module}"
        told = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in make_notebooks.TEXTS
        assert (ast.dump(node) in kept) != told, ast.unparse(node)[:100]
    order = [code.index(part) for part in ("def compute(", "result = compute(full=False)", "show(draw(result))", "def check(",
                                           "report(checks)")]
    assert order == sorted(order) and "from ." not in code
    assert text[0].startswith("# ") and "$" in text[0] and text[1].startswith("## Look for") and "1. " in text[-1]


def run_notebook(path, monkeypatch, tmp_path):
    """Run a notebook with a kernel of this Python; return all that it printed and the kinds of what it showed."""
    import nbformat
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for place in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):     # nothing is left at home
        monkeypatch.setenv(place, str(tmp_path / place))
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(book, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    return printed, [kind for o in outputs if o.output_type == "display_data" for kind in o.data]


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in lecture_names()])
def test_notebooks_run_and_their_checks_pass(name, folder, monkeypatch, tmp_path):
    printed, shown = run_notebook(folder / f"{name}.ipynb", monkeypatch, tmp_path)
    assert "pass  " in printed and "FAIL" not in printed
    assert "image/png" in shown


def test_what_notebooks_show(monkeypatch, capsys):
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    from lectures.common import Check, panels
    from lectures.notebook import report, show
    show({"a_figure": panels(1, 1)[0], "film": [np.zeros((8, 8, 3), np.uint8)] * 2, "sound": (np.zeros(80), 8000)})
    assert [type(thing).__name__ for thing in shown] == ["Image", "Image", "Audio"]
    assert [thing.data[:4] for thing in shown] == [b"\x89PNG", b"GIF8", b"RIFF"]
    report([Check("one", 1.0, at_least=0), Check("two", 2.0, at_most=1)])
    assert capsys.readouterr().out == "a figure\nfilm\nsound\npass  one: 1 (>= 0)\nFAIL  two: 2 (<= 1)\n"


def test_the_same_script_gives_the_same_notebook(folder, tmp_path, capsys):
    make_notebooks.main(["saliency", "--out", str(tmp_path / "new")])
    assert capsys.readouterr().out == f"{tmp_path / 'new' / '17_saliency.ipynb'}\n"
    assert (tmp_path / "new" / "17_saliency.ipynb").read_bytes() == (folder / "17_saliency.ipynb").read_bytes()


def test_wrong_names_and_folders(tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, message in ((["saliancy"], "did you mean 'saliency'"),
                               (["saliency", "--out", str(tmp_path / "file" / "x")], "cannot be written")):
        with pytest.raises(SystemExit, match=message):
            make_notebooks.main(arguments)


def test_without_nbformat_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(SettingError, match=r'pip install -e "\.\[notebooks\]"'):
        make_notebooks.notebook("17_saliency")


def test_nothing_of_jupyter_is_needed_to_run_lectures():
    code = "import sys, lectures.__main__, tools.make_notebooks; print({'nbformat', 'IPython', 'pygments'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
