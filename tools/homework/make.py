"""Making a student's folder: the engine without the solutions of an assignment, its tests, and a README."""
import inspect
import json
import shutil
from configparser import ConfigParser
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from homework.tasks import ASSIGNMENTS, tasks_of
from minicnn.errors import HomeworkError, unknown_name

from .markers import regions, stripped

ROOT = Path(__file__).parent.parent.parent
SETTINGS = "[tool:pytest]\ntestpaths = tests\npythonpath = .\nmarkers =\n    slow: takes minutes\n    cuda: needs a GPU\n"
ASKING = ("homework/__init__.py", "homework/tasks.py", "homework/networks.py", "homework/answer.py")
UNCHANGED = ("tests/conftest.py", "tests/test_tasks.py", "LICENSE")


def checked_name(name):
    """Return the name of an assignment. Raises UnknownNameError."""
    if name not in ASSIGNMENTS:
        raise unknown_name("assignment", name, ASSIGNMENTS)
    return name


def sources():
    """Return the paths of the engine's Python files, relative to the project."""
    return sorted(str(path.relative_to(ROOT).as_posix()) for path in (ROOT / "minicnn").rglob("*.py"))


def check_markers():
    """Raise HomeworkError unless every region belongs to a task, and every function asked for has one."""
    found = {path: regions((ROOT / path).read_text(encoding="utf-8"), path) for path in sources()}
    tasks = {task.id: task for name in ASSIGNMENTS for task in tasks_of(name)}
    for path, inside in found.items():
        for region in inside:
            if region.task not in tasks:
                raise HomeworkError(f"{path}:{region.first}: there is no task {region.task}")
    for task in tasks.values():
        files = {path: {region.function for region in inside if region.task == task.id} for path, inside in found.items()}
        asked = set().union(*files.values()) & set(task.functions)
        missing = set(task.functions) - asked
        if missing or not files[task.file]:
            raise HomeworkError(f"{task.id} asks for {', '.join(sorted(missing)) or task.file}, which has no region of it")


@lru_cache(maxsize=None)
def files_of(name):
    """Return the paths of the files in which the answers to an assignment stand: what a student hands in."""
    asked, found = {(task.id, function) for task in tasks_of(name) for function in task.functions}, []
    for path in sources():
        inside = regions((ROOT / path).read_text(encoding="utf-8"), path)
        if any((region.task, region.function) in asked for region in inside):
            found.append(path)
    return found


@lru_cache(maxsize=None)
def engine(name):
    """Return path -> text of minicnn without the solutions of an assignment, and of those that come after it."""
    later = [task for other in ASSIGNMENTS[ASSIGNMENTS.index(checked_name(name)) + 1:] for task in tasks_of(other)]
    return {path: stripped((ROOT / path).read_text(encoding="utf-8"), path, tasks_of(name), later) for path in sources()}


def write_engine(name, folder):
    """Write minicnn without the solutions of an assignment, and what asks it, to a folder."""
    for path, text in engine(name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    tables = [p.relative_to(ROOT).as_posix() for p in (ROOT / "minicnn" / "nets").glob("*.json")]
    for path in [*tables, *ASKING, f"homework/{name}.py"]:
        _copy(path, folder)


def make(name, folder, notebook=False):
    """Write the student's folder of an assignment; return the paths of the files to hand in. Raises HomeworkError, OSError."""
    folder, module = Path(folder), import_module(f"homework.{checked_name(name)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HomeworkError(f"{str(folder)!r} is there and not empty; give a new folder as --out, so that nobody's work is lost")
    check_markers()
    write_engine(name, folder)
    lectures = [path for ending in ("py", "css", "js") for path in (ROOT / "lectures").glob(f"*.{ending}")
                if not path.name[0].isdigit() or path.stem[3:] in module.LECTURES]
    weights = [f"weights/{file}" for file in ("registry.json", *(f"{net}.h5" for net in module.WEIGHTS))]
    lectures = [path.relative_to(ROOT).as_posix() for path in lectures]
    for path in [*UNCHANGED, f"homework/goldens/{name}.jsonl", *weights, *lectures]:
        _copy(path, folder)
    for inside in ("lectures/images", "lectures/data"):
        shutil.copytree(ROOT / inside, folder / inside)
    (folder / "setup.cfg").write_text(SETTINGS)
    libraries = [*_libraries(), "pytest>=7", *(["notebook"] if notebook else [])]
    (folder / "requirements.txt").write_text("\n".join(libraries) + "\n")
    (folder / "README.md").write_text(readme(name), encoding="utf-8")
    if notebook:
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook_of(name), indent=1), encoding="utf-8")
    return files_of(name)


def _copy(path, folder):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / path, folder / path)


def _libraries():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config["options"]["install_requires"].split()


def readme(name):
    """Return the README of a student's folder: the handout, and what is the same for all assignments."""
    handout, common = ((ROOT / "homework" / "handouts" / f"{which}.md").read_text(encoding="utf-8") for which in (name, "common"))
    rows = [f"| {t.id} | {t.title} | {', '.join(f'`{function}`' for function in t.functions)} | `{t.file}` | {t.points} |"
            for t in tasks_of(name)]
    table = "\n".join(["| task | what | functions | file | points |", "|---|---|---|---|---|", *rows])
    text = f"# {name}: {import_module(f'homework.{name}').TITLE}\n\n{handout}\n{common}"
    hand_in = "\n".join(f"- `{path}`" for path in files_of(name))
    return text.replace("@TASKS@", table).replace("@NAME@", name).replace("@FILES@", hand_in)


def notebook_of(name):
    """Return the notebook of an assignment: for each task the formula, a case to try, and its tests."""
    cells = [_markdown(readme(name)), _code(
        "import os\nos.environ.update(NUMBA_DISABLE_JIT=\"1\", MINICNN_BACKEND=\"ref\")      # plain Python, to step through\n"
        "%load_ext autoreload\n%autoreload 2\n"
        "from homework.tasks import answered, differences, public_cases, tasks_of\n"
        f"tasks = {{task.id: task for task in tasks_of(\"{name}\")}}\ncases = public_cases(\"{name}\")")]
    for task in tasks_of(name):
        module = import_module(task.file[:-3].replace("/", "."))
        cells += [_markdown(f"## {task.id}: {task.title} ({task.points} points)\n\nIn `{task.file}`: "
                            f"{', '.join(task.functions)}.\n\n```text\n{inspect.getdoc(module)}\n```"),
                  _code(f"task = tasks[\"{task.id}\"]\ncase = next(case for case in cases if case.task == task.id)\n"
                        "print(case)\nprint(case.inputs)\nprint(\"expected:\", case.expected)"),
                  _code("found = answered(task, case)\nprint(found)\n"
                        "print(differences(case.expected, found, task.tolerance) or \"right\")"),
                  _code(f"!python -m pytest -q --task {task.id}")]
    return {"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
            "nbformat": 4, "nbformat_minor": 4}


def _markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text):
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
