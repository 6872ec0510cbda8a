"""python -m tools.make_notebooks [--out DIR] [NAME ...]: a notebook of each lecture, made from its script, to step through."""
import argparse
import ast
import re
import sys
from pathlib import Path

from lectures import book
from lectures.__main__ import find
from lectures.contents import lecture_names
from lectures.formula import formula_to_markdown
from minicnn.errors import MinicnnError, SettingError
from minicnn.files import replacing

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ("TITLE", "FORMULA", "LOOK_FOR", "CODE", "TRY")         # become cells of text
CALLS = {
    "compute": ("Compute", "`full=True` is larger, finer and slower. What comes out is a dict: look into it.",
                "result = compute(full=False)\nprint(*result, sep=', ')"),
    "draw": ("Draw", "", "show(draw(result))"),
    "check": ("Check", "Numbers that prove that the pictures show what they claim.", "checks = check(result)\nreport(checks)"),
}


def split(source):
    """Split a lecture's source. Return (docstring, setup, {"compute": [function, ...], "draw": ..., "check": ...}).

    setup: the imports and constants, without the texts. Of each stage come first the functions that it needs and no earlier
    stage had, then its own, in the order of the script.
    """
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    lines, stages, used = source.splitlines(), {}, set()
    setup = {True: [], False: []}                   # imports, and constants
    for node in tree.body[1:]:
        text = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in TEXTS
        if not text and node not in functions.values():
            setup[isinstance(node, (ast.Import, ast.ImportFrom))].append(_text(lines, node))
    for stage in CALLS:
        wanted = _needed(stage, functions) - used
        used |= wanted
        stages[stage] = [_text(lines, node) for name, node in functions.items() if name in wanted]
    imports = [re.sub(r"^from \.", "from lectures.", line) for line in setup[True]]
    return ast.get_docstring(tree), "\n".join([*imports, "from lectures.notebook import report, show", "", *setup[False]]), stages


def _needed(name, functions):
    """Return the names of the functions that a function uses, directly or through others, and its own."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [n.id for n in ast.walk(functions[name]) if isinstance(n, ast.Name) and n.id in functions]
    return found


def _text(lines, node):
    """Return the source of a statement, with the comments right above it and the one behind it."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first:node.end_lineno])


def notebook(name):
    """Return a lecture as a notebook (nbformat). Raises SettingError where nbformat is not installed."""
    try:
        from nbformat import v4
    except ImportError:
        raise SettingError('notebooks need nbformat, which is not installed; pip install -e ".[notebooks]"') from None
    section = book.section_of(name)
    about, setup, stages = split((ROOT / "lectures" / f"{name}.py").read_text(encoding="utf-8"))
    cells = [v4.new_markdown_cell(f"# {section.title}\n\n{about}\n\n{formula_to_markdown(section.formula)}"),
             v4.new_markdown_cell(f"## Look for\n\n{section.look_for}"),
             v4.new_code_cell(f"import sys\n\nsys.path.insert(0, {str(ROOT)!r})\n\n{setup}")]
    for stage, (title, text, call) in CALLS.items():
        cells.append(v4.new_markdown_cell(f"## {title}\n\n{text}".strip()))
        cells += [v4.new_code_cell(function) for function in (*stages[stage], call)]
    questions = "\n".join(f"{number}. {question}" for number, question in enumerate(section.questions, start=1))
    cells.append(v4.new_markdown_cell(f"## Try this\n\n{questions}"))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"               # not by chance: the same script gives the same file
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def write(name, folder):
    """Write a lecture's notebook into a folder; return its path."""
    from nbformat import writes
    path, text = Path(folder) / f"{name}.ipynb", writes(notebook(name))
    with replacing(path) as temporary:
        Path(temporary).write_text(text + "\n", encoding="utf-8")
    return path


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.make_notebooks", description="Make a notebook of each lecture.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="lectures, with or without number; default all")
    parser.add_argument("--out", default="notebooks", metavar="DIR", help="folder for the notebooks (default: notebooks)")
    options = parser.parse_args(arguments)
    try:
        names = [find(name) for name in options.names] or lecture_names()
        notebook(names[0])                          # before the folder is made
        Path(options.out).mkdir(parents=True, exist_ok=True)
        for name in names:
            print(write(name, options.out))
    except MinicnnError as error:
        sys.exit(f"make_notebooks: {error}")
    except OSError as error:
        sys.exit(f"make_notebooks: the folder {options.out!r} cannot be written ({error.strerror}); give another as --out")


if __name__ == "__main__":
    main()
