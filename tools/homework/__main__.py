"""python -m tools.homework {list,make,grade}: assignments made from the reference, and graded."""
import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from homework.tasks import ASSIGNMENTS, tasks_of
from minicnn.errors import HomeworkError, MinicnnError

from .grade import grade, write_results
from .make import make


def parser():
    """Return the parser of the command line."""
    main = argparse.ArgumentParser(prog="python -m tools.homework", description="Make and grade assignments.")
    commands = main.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the assignments and their tasks")
    making = commands.add_parser("make", help="write the folder that students get")
    making.add_argument("name", help=", ".join(ASSIGNMENTS))
    making.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    making.add_argument("--notebook", action="store_true", help="with a notebook")
    grading = commands.add_parser("grade", help="grade what was handed in")
    grading.add_argument("submission", metavar="SUBMISSION", help="a student's folder, or a .zip of it")
    grading.add_argument("--task", required=True, metavar="NAME", help=f"the assignment: {', '.join(ASSIGNMENTS)}")
    grading.add_argument("--json", metavar="FILE", help="write the results there, as Gradescope reads them")
    grading.add_argument("--seed", type=int, default=1, help="of the inputs that submissions are tried with (default: 1)")
    grading.add_argument("--seconds", type=float, default=60, help="for each task (default: 60)")
    return main


def list_assignments():
    """Print the assignments and their tasks."""
    for name in ASSIGNMENTS:
        print(f"{name}  {import_module(f'homework.{name}').TITLE}")
        for task in tasks_of(name):
            print(f"    {task.id}  {task.title} ({task.points} points): {', '.join(task.functions)} in {task.file}")


def check_file(path):
    """Raise HomeworkError if no file of this name can be written."""
    if not path or Path(path).is_dir() or not os.access(Path(path).absolute().parent, os.W_OK):
        raise HomeworkError(f"--json: {path!r} cannot be written; give a file in a folder that is there")


def print_results(results):
    """Print points and messages."""
    for test in results["tests"]:
        print(f"{test['name']}: {test['score']:g} of {test['max_score']}")
        if test["status"] == "failed":
            print("    " + test["output"].replace("\n", "\n    "))
    print("\n".join(filter(None, [results["output"], f"{results['score']:g} of 100 points"])))


def main(arguments=None):
    options = parser().parse_args(arguments)
    try:
        if options.command == "list":
            list_assignments()
        elif options.command == "make":
            files = make(options.name, options.out, options.notebook)
            print(f"{options.out}: {options.name}, {len(tasks_of(options.name))} tasks; students hand in {', '.join(files)}")
        else:
            if options.json is not None:
                check_file(options.json)
            results = grade(options.submission, options.task, seed=options.seed, seconds=options.seconds)
            if options.json is not None:
                write_results(results, Path(options.json))
            print_results(results)
    except (MinicnnError, OSError) as error:
        print(f"homework: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
