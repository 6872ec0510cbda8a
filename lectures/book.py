"""The page that `python -m lectures` leaves: one section per lecture, written anew after each, so that it can be watched."""
import html
from dataclasses import dataclass, field
from pathlib import Path

from minicnn.files import replacing

STYLE = """
:root { color-scheme: light dark; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { border-top: 1px solid #8886; padding-top: 1.2em; font-size: 1.3em; }
pre { background: #8882; padding: .7em 1em; border-radius: 6px; white-space: pre-wrap; font-size: .95em; }
img { max-width: 100%; background: white; border-radius: 4px; }
table { border-collapse: collapse; margin: .6em 0; } td, th { text-align: left; padding: .15em 1em .15em 0; }
.pass { color: #2a8f3c; } .fail { color: #d33; font-weight: bold; } .small { color: #888; font-size: .85em; }
"""


@dataclass
class Section:
    """What one lecture left: its texts, the names of its picture files, its checks and how long it took."""
    name: str
    title: str
    formula: str
    look_for: str
    pictures: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    @property
    def passed(self):
        return not self.error and all(c.passed for c in self.checks)


def write(folder, sections, heading):
    """Write `folder`/index.html, all of it or nothing; return its path."""
    path = Path(folder) / "index.html"
    contents = "".join(f'<li><a href="#{s.name}">{_text(s.title)}</a> <span class="{_mark(s)}">{_mark(s)}</span></li>\n'
                       for s in sections)
    page = (f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>minicnn: Visualizing CNN</title>\n<style>{STYLE}</style>\n<h1>Visualizing CNN</h1>\n"
            f'<p class="small">{_text(heading)}</p>\n<ol>\n{contents}</ol>\n'
            + "\n".join(_section(s) for s in sections) + "</html>\n")
    with replacing(path) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")
    return path


def _section(s):
    pictures = "".join(f'<p>{_text(Path(p).stem)}<br><audio controls src="{p}"></audio></p>\n' if p.endswith(".wav") else
                       f'<p><a href="{p}"><img src="{p}" alt="{_text(s.title)}: {_text(Path(p).stem)}"></a></p>\n'
                       for p in s.pictures)
    rows = "".join(f'<tr><td class="{_mark(c)}">{_mark(c).upper()}</td><td>{_text(c.what)}</td>'
                   f"<td>{c.value:.4g}</td><td>{_text(c.bar)}</td></tr>\n" for c in s.checks)
    table = f"<table><tr><th></th><th>checked</th><th>measured</th><th>bar</th></tr>\n{rows}</table>\n" if rows else ""
    error = f'<p class="fail">{_text(s.error)}</p>\n' if s.error else ""
    return (f'<h2 id="{s.name}">{_text(s.title)}</h2>\n<pre>{_text(s.formula)}</pre>\n<p>{_text(s.look_for)}</p>\n'
            f'{pictures}{error}{table}<p class="small">lectures/{s.name}.py, {s.seconds:.1f} s</p>\n')


def _mark(judged):
    """Return "pass" or "fail" for a Section or a Check."""
    return "pass" if judged.passed else "fail"


def _text(text):
    return html.escape(str(text))
