"""What README says of the project is so: the table from slides to homework, and the commands."""
import importlib.util
import re
from pathlib import Path

import pytest

from homework.tasks import ASSIGNMENTS, tasks_of
from lectures.__main__ import lecture_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TASKS = {task.id: task for name in ASSIGNMENTS for task in tasks_of(name)}


def rows():
    """Return (slide, lecture, files, tests, tasks) of each row of the table."""
    table = README.split("| slide | lecture | technique | tests | homework |\n")[1].split("\n\n")[0].splitlines()[1:]
    found = []
    for line in table:
        slide, lecture, technique, tests, homework = (cell.strip() for cell in line.strip("|").split("|"))
        files, folder = [], ""
        for name in re.findall(r"`([^`]+)`", technique):
            folder = name.rpartition("/")[0] or folder
            files.append(f"{folder}/{name.rpartition('/')[2]}")
        wanted = [task for task in homework.split(", ") if task]
        tasks = [t for t in TASKS if any(t == w or t.startswith(w + ".") for w in wanted)]
        assert all(any(t == w or t.startswith(w + ".") for t in TASKS) for w in wanted), homework
        found.append((slide, lecture.strip("`"), files, re.findall(r"`([^`]+)`", tests), tasks))
    return found


def test_every_lecture_is_in_the_table_in_deck_order():
    named = [lecture for _, lecture, *_ in rows() if lecture and "." not in lecture]
    assert named == [name[3:] for name in lecture_names()]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1] or row[0])
def test_a_row_of_the_table(row):
    slide, lecture, files, tests, tasks = row
    assert slide and files and tests
    for file in files:
        assert (ROOT / file).exists(), file
    for test in tests:
        sources = [test, "op_cases.py"] if test == "test_ops.py" else [test]        # the rows that it goes through
        text = "".join((ROOT / "tests" / source).read_text(encoding="utf-8") for source in sources)
        assert any(re.search(rf"\b{Path(file).stem}\b", text) for file in files), f"{test} knows none of {files}"
    for task in tasks:
        assert TASKS[task].file in files, f"{task} asks for {TASKS[task].file}"


def test_every_homework_task_is_in_the_table():
    assert sorted(task for *_, tasks in rows() for task in tasks) == sorted(TASKS)


def test_commands_exist():
    for module in set(re.findall(r"python -m ([\w.]+)", README)):
        assert importlib.util.find_spec(module.rstrip(".")), module


def test_pictures_and_files_exist():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    files = re.findall(r"`((?:minicnn|weights|lectures|tools|tests|homework)/[a-z0-9_/.]+\.\w+)`", README)
    assert len(pictures) > 10 and len(files) > 40
    for path in pictures + files:
        assert (ROOT / path).exists(), path
