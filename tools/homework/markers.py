"""The markers of solutions: what stands between `### BEGIN SOLUTION hw1.2` and `### END SOLUTION hw1.2` is cut out for students.

A region stands in a function and is some whole statements. What is cut out becomes a NotImplementedError: in a function that a
task asks for one that says so; elsewhere, in the fast twins of the same answer, one that says why it is gone.
"""
import ast
import re
from dataclasses import dataclass

from minicnn.errors import HomeworkError

MARKER = re.compile(r"^( *)### (BEGIN|END) SOLUTION (hw\d+\.\d+)$")


@dataclass(frozen=True)
class Region:
    """Lines of a file, counted from 1: the markers stand on `first` and `last`."""
    task: str
    first: int
    last: int
    indent: str
    function: str               # in which it stands


def regions(text, path):
    """Return the Regions of a file's text. Raises HomeworkError for markers that do not come in pairs or are misspelt."""
    if "SOLUTION" not in text:
        return []
    found, begun, functions = [], None, _functions(text)
    for number, line in enumerate(text.splitlines(), 1):
        marker = MARKER.match(line)
        if marker is None:
            if re.search(r"(BEGIN|END) SOLUTION", line):
                raise HomeworkError(f"{path}:{number}: {line.strip()!r} is no marker, expected ### BEGIN SOLUTION hw1.2, or END, "
                                    "on a line of its own")
            continue
        indent, what, task = marker.groups()
        if (what == "BEGIN") != (begun is None) or begun and begun[1:] != (task, indent):
            raise HomeworkError(f"{path}:{number}: {line.strip()!r} does not fit what stands before; every BEGIN needs an END of "
                                "the same task and indentation before the next one")
        if begun is None:
            begun = number, task, indent
        else:
            inside = [name for name, first, last in functions if first < begun[0] and number <= last + 1]
            if not inside:
                raise HomeworkError(f"{path}:{begun[0]}: the region of {task} stands in no function")
            found.append(Region(task, begun[0], number, indent, inside[-1]))
            begun = None
    if begun:
        raise HomeworkError(f"{path}:{begun[0]}: the region of {begun[1]} has no end")
    return found


def _functions(text):
    """Return (name, first line, last line) of all functions, inner ones after the outer."""
    return sorted(((node.name, node.lineno, node.end_lineno) for node in ast.walk(ast.parse(text))
                   if isinstance(node, ast.FunctionDef)), key=lambda function: function[1])


def stripped(text, path, tasks, later=()):
    """Return the text without the solutions of `tasks` and of `later` ones, and without all other markers."""
    asked, later, lines = {task.id: task for task in tasks}, {task.id for task in later}, text.splitlines()
    kept, done = [], 0
    for region in regions(text, path):
        body = lines[region.first:region.last - 1]
        kept += lines[done:region.first - 1]
        if region.task in asked:
            body = [region.indent + _stub(region, asked[region.task], body)]
        elif region.task in later:
            body = [f'{region.indent}raise NotImplementedError("{region.task} comes in a later assignment")']
        kept, done = kept + body, region.last
    return "\n".join(kept + lines[done:]) + "\n"


def _stub(region, task, body):
    """Return the line that stands for what was cut out."""
    if region.function in task.functions:
        count = sum(bool(line.strip()) and not line.strip().startswith("#") for line in body)
        return f'raise NotImplementedError("{task.id}: {task.title}, about {count} line{"s" * (count != 1)}")'
    return f'raise NotImplementedError("{task.id}: gone, it gives the answer to {" and ".join(task.functions)}")'
