"""The assignments: made from the reference, and proved: the reference gets all points, the skeleton none, wrong solutions lose
points on the right task, a right solution written in another way gets all."""
import ast
import io
import json
import keyword
import textwrap
import tokenize

import pytest

from homework.cases import cases_of
from homework.tasks import ASSIGNMENTS, tasks_of
from homework_other import OTHER
from homework_wrong import WRONG
from tools.homework import grade as grading
from tools.homework.__main__ import main
from tools.homework.make import ROOT, files_of, make
from tools.homework.markers import regions, stripped

SOLUTIONS = {path: (ROOT / path).read_text(encoding="utf-8") for name in ASSIGNMENTS for path in files_of(name)}


@pytest.fixture(scope="session")
def expected():
    """The reference's answers to each assignment's hidden cases, asked for once."""
    known = {}

    def of(name):
        if name not in known:
            cases = cases_of(name, 1)
            known[name] = cases, grading.answers(ROOT, cases, 600, trusted=True)[0]
        return known[name]
    return of


@pytest.fixture(scope="session")
def skeleton(tmp_path_factory):
    """The student's folder of each assignment, made once."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = tmp_path_factory.mktemp("made") / name
            make(name, known[name])
        return known[name]
    return of


def points(name, files, folder, expected):
    """Return {task: part of its cases that are right} of files, all tasks in one process and without a sandbox: ours are safe."""
    folder.mkdir()
    grading.lay_out(name, files, folder)
    cases, right = expected(name)
    found, why = grading.answers(folder, cases, 300, trusted=True)
    results = {}
    for task in tasks_of(name):
        mine = [k for k, case in enumerate(cases) if case.task == task.id]
        judged = grading.judged(task, [(cases[k], right[k], found[k]) for k in mine], why)
        results[task.id] = judged["score"] / task.points
    return results


def function_of(text, name):
    """Return the first line, counted from 0, and the last of a function in a file's text."""
    node = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == name)
    return node.lineno - 1, node.end_lineno


def changed(path, function, old, new):
    """Return a file of the reference with a change in one function."""
    lines = SOLUTIONS[path].splitlines(keepends=True)
    first, last = function_of(SOLUTIONS[path], function)
    source = "".join(lines[first:last])
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {function}"
    return "".join(lines[:first]) + source.replace(old, new) + "".join(lines[last:])


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_wrong_solutions_lose_points_on_the_right_task(name, tmp_path, expected):
    tasks = {task.id: task for task in tasks_of(name)}
    assert len(WRONG[name]) >= 8 and {task for task, *_ in WRONG[name]} == set(tasks)
    for number, (task, path, function, old, new, what) in enumerate(WRONG[name]):
        files = {p: SOLUTIONS[p] for p in files_of(name)}
        files[path] = changed(path, function, old, new)
        results = points(name, files, tmp_path / str(number), expected)
        assert results[task] < 1, f"{task}: {what}: full points"
        others = {t for t, part in results.items() if part < 1} - {task}
        assert all(task in tasks[t].builds_on for t in others), f"{task}: {what}: loses points in {others} too"


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_a_right_solution_written_in_another_way_gets_all_points(name, tmp_path, expected, skeleton):
    files = {path: (skeleton(name) / path).read_text(encoding="utf-8") for path in files_of(name)}
    for path, sources in OTHER[name].items():
        for source in sources:
            function = ast.parse(source.strip()).body[0].name
            first, last = function_of(files[path], function)
            lines = files[path].splitlines(keepends=True)
            indent = lines[first][:len(lines[first]) - len(lines[first].lstrip())]
            body = "".join(indent + line if line.strip() else line for line in source.strip().splitlines(keepends=True))
            files[path] = "".join(lines[:first]) + body + "\n" + "".join(lines[last:])
    assert not any("NotImplementedError" in line for text in files.values() for line in _asked(name, text))
    assert points(name, files, tmp_path / "other", expected) == {task.id: 1 for task in tasks_of(name)}


def _asked(name, text):
    """Yield the lines of the functions that are asked for in a file."""
    for function in {f for task in tasks_of(name) for f in task.functions}:
        if any(isinstance(n, ast.FunctionDef) and n.name == function for n in ast.walk(ast.parse(text))):
            first, last = function_of(text, function)
            yield from text.splitlines()[first:last]


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_a_task_needs_no_more_than_it_builds_on(name, tmp_path, expected):
    for task in tasks_of(name):
        missing = [t for t in tasks_of(name) if t.id not in (task.id, *task.builds_on)]
        files = {path: stripped(SOLUTIONS[path], path, missing) for path in files_of(name)}
        assert points(name, files, tmp_path / task.id, expected)[task.id] == 1, task.id


def shingles(source):
    """Return all runs of 12 tokens of a piece of code, without comments, all names alike."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
                plain = token.type != tokenize.NAME or keyword.iskeyword(token.string)
                found.append(token.string if plain else "name")
    except (tokenize.TokenError, IndentationError):         # a piece may end in the middle of an indentation
        pass
    return {tuple(found[k:k + 12]) for k in range(len(found) - 11)}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_no_answer_stands_elsewhere_in_a_students_folder(name, skeleton):
    """Whatever its names, no code in the folder reads like one that was cut out of what is asked for."""
    asked = {(task.id, function) for task in tasks_of(name) for function in task.functions}
    left = {path.relative_to(skeleton(name)).as_posix(): shingles(path.read_text(encoding="utf-8"))
            for path in skeleton(name).rglob("*.py")}
    for path in files_of(name):
        for region in regions(SOLUTIONS[path], path):
            answer = shingles(textwrap.dedent("\n".join(SOLUTIONS[path].splitlines()[region.first:region.last - 1])))
            if (region.task, region.function) in asked and len(answer) > 30:
                for other, there in left.items():
                    part = len(answer & there) / len(answer)
                    assert part < 0.6, f"{part:.0%} of the answer {region.task}, {region.function}, stands in {other}"


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_the_reference_gets_all_points_and_the_skeleton_none(name, tmp_path, skeleton):
    for submission, score in ((ROOT, 100), (skeleton(name), 0)):
        assert main(["grade", str(submission), "--task", name, "--json", str(tmp_path / "results.json")]) == 0
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["score"] == score and sum(test["max_score"] for test in results["tests"]) == 100
        assert {test["status"] for test in results["tests"]} == {"passed" if score else "failed"}
        if not score:
            for test in results["tests"]:
                lines = test["output"].splitlines()
                says = [line for line in lines if not line.startswith(("wrong: ", "This task builds on"))]
                assert says and all(line.startswith(f"NotImplementedError: {name}.") for line in says if line), test["output"]
