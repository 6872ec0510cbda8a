"""Grading: the submission answers cases that it has not seen, and its answers, which are numbers, are compared here.

Nothing that is right or wrong is where a submission could reach it: neither the expected answers nor whoever compares them are in
its process, and results are written after that is gone. From what was handed in only the files are taken in which the answers
stand; everything else is the grader's own.
"""
import json
import os
import stat
import tempfile
import time
import zipfile
from pathlib import Path

from homework.cases import cases_of
from homework.tasks import differences, line_of, numbers, tasks_of, unpacked
from minicnn.checks import number, whole_number
from minicnn.errors import HomeworkError
from minicnn.files import replacing

from . import sandbox
from .make import ROOT, checked_name, files_of, write_engine

MOST_SOURCE = 2 ** 19           # bytes of a file that is handed in


def grade(submission, name, *, seed=1, seconds=60):
    """Return what Gradescope reads of a submission, a folder or a .zip: points and messages for each task.

    seed: of the cases. seconds: for each task. Raises HomeworkError, UnknownNameError.
    """
    start, tasks = time.monotonic(), tasks_of(checked_name(name))
    seed, seconds = whole_number("grade", "seed", seed, 0), number("grade", "seconds", seconds, above=0)
    files, missing = handed_in(submission, name)
    sandbox.isolation()
    cases = cases_of(name, seed)
    expected = answers(ROOT, cases, 600, trusted=True)[0]
    if not all(isinstance(right, dict) for right in expected):
        raise HomeworkError(f"the reference itself fails: {[right for right in expected if not isinstance(right, dict)][:3]}")
    results = []
    with tempfile.TemporaryDirectory(prefix="homework-") as folder:
        lay_out(name, files, Path(folder))
        for task in tasks:
            mine = [k for k, case in enumerate(cases) if case.task == task.id]
            found, why = answers(folder, [cases[k] for k in mine], seconds)
            results.append(judged(task, [(cases[k], expected[k], answer) for k, answer in zip(mine, found)], why))
    said = f"Not handed in: {', '.join(missing)}." if missing else ""
    return {"score": round(sum(r["score"] for r in results), 2), "output": said, "stdout_visibility": "hidden",
            "execution_time": round(time.monotonic() - start), "tests": results}


def handed_in(submission, name):
    """Return (path -> text of the files with answers, the paths that are missing). Raises HomeworkError if there is nothing."""
    paths, submission = files_of(name), Path(submission)
    if submission.is_dir():
        inner = [folder for folder in sorted(submission.iterdir()) if (folder / "minicnn").is_dir() and not folder.is_symlink()]
        folder = submission if (submission / "minicnn").is_dir() or len(inner) != 1 else inner[0]
        found = {path: _from_folder(folder, path) for path in paths}
    elif submission.is_file() and zipfile.is_zipfile(submission):
        try:
            with zipfile.ZipFile(submission) as archive:
                found = {path: _from_zip(archive, path) for path in paths}
        except Exception as error:              # of a damaged file nearly anything
            raise HomeworkError(f"{str(submission)!r} is no .zip that can be read ({error}); ask for it once more") from None
    else:
        raise HomeworkError(f"{str(submission)!r} is neither a folder nor a .zip; give a student's folder, or what was handed in")
    return {path: text for path, text in found.items() if text is not None}, [p for p, text in found.items() if text is None]


def _from_folder(folder, path):
    """Return a file's text, None if there is none; links are not followed, they could lead to the solutions."""
    place = folder
    for part in path.split("/"):
        place = place / part
        try:
            mode = place.lstat().st_mode
        except OSError:
            return None
        if stat.S_ISLNK(mode):
            return None
    if not stat.S_ISREG(mode) or place.stat().st_size > MOST_SOURCE:
        return None
    return place.read_bytes().decode("utf-8", "replace")


def _from_zip(archive, path):
    """Return a file's text, None if there is none; it may stand in a folder of the archive."""
    names = [name for name in archive.namelist() if ("/" + name.replace("\\", "/")).endswith("/" + path)]
    if not names:
        return None
    try:
        with archive.open(min(names, key=len)) as file:
            data = file.read(MOST_SOURCE + 1)
    except Exception:                           # decoders of damaged files raise nearly anything
        return None
    return data.decode("utf-8", "replace") if len(data) <= MOST_SOURCE else None


def lay_out(name, files, folder):
    """Write the engine without the solutions, with what was handed in, for the submission's user alone to read."""
    write_engine(name, folder)
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    for place in [folder, *folder.rglob("*")]:
        place.chmod(0o750 if place.is_dir() else 0o440)
        if os.geteuid() == 0:                   # and for root's group: it begins as root, without root's powers
            os.chown(place, sandbox.user(), 0)


def answers(folder, cases, seconds, trusted=False):
    """Return (a dict name -> array, or a sentence why there is none, for each case; why the process ended too early, or "")."""
    text = "".join(f"{place} {line_of(case)}\n" for place, case in enumerate(cases))
    outcome, found = sandbox.run(folder, text, seconds, trusted), {}
    for line in outcome.output.split(b"\n", 2 * len(cases))[:2 * len(cases)]:         # a flood of lines takes no time
        place, answer = _read(line)
        if place in range(len(cases)):
            found[place] = answer
    return [found.get(place, "") for place in range(len(cases))], outcome.why


def _read(line):
    """Return (the number of a case, its answer) of a line from a submission; (None, None) for a line that is none."""
    try:
        said = json.loads(line)
        if "error" in said:
            return said["case"], "".join(c if c.isprintable() else " " for c in str(said["error"])[:600])
        return said["case"], {str(name): numbers(name, value) for name, value in unpacked(said["found"]).items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, None


def judged(task, answered, why):
    """Return the points and messages of a task, as Gradescope has them: the part of the cases that are right."""
    said, right = [], 0
    for case, expected, answer in answered:
        if isinstance(answer, dict):
            wrong = differences(expected, answer, task.tolerance, tell=False)           # it could be copied next time
        else:
            wrong = answer or f"no answer: {why or 'it ended early'}"
        right += not wrong
        said.append(f"{'wrong' if wrong else 'right'}: {case.label}" + (f"\n{wrong}" if wrong else ""))
    built = ""
    if task.builds_on and right < len(answered):
        built = f"\nThis task builds on {', '.join(task.builds_on)}, to be solved before."
    return {"name": f"{task.id} {task.title}", "number": task.id[2:], "score": round(task.points * right / len(answered), 2),
            "max_score": task.points, "status": "passed" if right == len(answered) else "failed", "output_format": "text",
            "output": "\n".join(said) + built}


def write_results(results, path):
    """Write results as JSON, all of it or nothing."""
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.chmod(path, 0o644)
