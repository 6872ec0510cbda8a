"""Listings of the code that a lecture teaches: definitions found in the source files, and whole files, highlighted."""
import ast
import html
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from minicnn.errors import unknown_name

ROOT = Path(__file__).parent.parent
MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")        # of the homework: no part of what is taught


@dataclass(frozen=True)
class Definition:
    """A function or class of a source file, `path` relative to the project: its name, its first and last line."""
    path: str
    name: str
    first: int
    last: int

    @property
    def length(self):
        return self.last - self.first + 1


def definitions(code):
    """Return the Definitions that a lecture's CODE names: {"minicnn/ops/relu.py": "relu_guided_ref Relu.backward"}."""
    return [_definition(path, name) for path, names in code.items() for name in names.split()]


@cache
def _definition(path, name):
    node = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for part in name.split("."):
        inner = {n.name: n for n in node.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        if part not in inner:
            raise unknown_name(f"definition in {path}", name, inner)
        node = inner[part]
    return Definition(path, name, min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno)


def listing(path, first=1, last=None, anchors=False):
    """Return lines first ... last of a source file as a <pre>, each with its number; anchors: line 12 is to be found as #L12."""
    lines = [f'<span class="line" data-line="{number}"' + (f' id="L{number}"' if anchors else "") + f">{line}\n</span>"
             for number, line in highlighted(path)[first - 1:last] if line is not None]
    return f'<pre class="code"><code>{"".join(lines)}</code></pre>\n'


@cache
def highlighted(path):
    """Return (number, HTML) of each line of a source file; a homework's marker has None in place of the HTML."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer
    text = (ROOT / path).read_text(encoding="utf-8")
    # PythonLexer would drop empty lines at both ends, and the numbers with them
    lines = highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).split("\n")
    return [(number, None if plain.strip().startswith(MARKERS) else line)
            for number, (plain, line) in enumerate(zip(text.splitlines(), lines), start=1)]


def page_of(path):
    """Return the name of the page of the book that shows a whole source file."""
    return "source/" + path.removesuffix(".py").replace("/", ".") + ".html"


def link_to(definition, text):
    """Return a link from a page of the book to the line where a Definition begins."""
    return f'<a href="{page_of(definition.path)}#L{definition.first}">{html.escape(text)}</a>'
