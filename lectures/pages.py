"""The HTML of the book's pages: nothing here computes, reads results or writes files."""
import html
from pathlib import Path

from .formula import formula_to_html, to_html
from .listing import definitions, link_to, listing, page_of

FOLDED = 30             # a definition of more lines than that is folded at first
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{root}book.css">
<script src="{root}book.js"></script>
{links}</head>
<body>
"""
THEME = '<button type="button" id="theme">light or dark</button>'


def contents_page(parts, heading):
    """Return the page of contents; parts: title -> Sections."""
    sections = [s for some in parts.values() for s in some]
    cards = "".join(f"<section>\n<h2>{_text(part)}</h2>\n<ol class=\"cards\">\n{''.join(map(_card, some))}</ol>\n</section>\n"
                    for part, some in parts.items())
    first = f'<a rel="next" href="{sections[0].name}.html">{_text(sections[0].title)} →</a>'
    return (_head("minicnn: Visualizing CNN")
            + '<nav aria-label="pages"><span></span>\n<span class="small">keys: <kbd>→</kbd> first page</span>\n'
              f'{THEME}\n{first}</nav>\n'
              f'<main>\n<h1>Visualizing CNN</h1>\n<p class="small">{_text(heading)}</p>\n{cards}</main>\n</body>\n</html>\n')


def _card(section):
    image = f'<img src="{thumbnail(section)}" alt="">' if first_picture(section) else '<span class="blank"></span>'
    return (f'<li><a href="{section.name}.html">{image}{_text(section.title)}</a> '
            f'<span class="{section.mark.replace(" ", "-")}">{section.mark}</span></li>\n')


def lecture_page(section, part, before, after):
    """Return a lecture's page; before, after: the Sections of its neighbours, or None."""
    links = "".join(f'<link rel="{rel}" href="{s.name}.html">\n' for rel, s in (("prev", before), ("next", after)) if s)
    return (_head(f"{section.title}: minicnn", links=links) + _navigation(before, after)
            + f'<main>\n<p class="small part">{_text(part)}</p>\n<h1>{_text(section.title)}</h1>\n'
            + formula_to_html(section.formula) + _in_the_code(section)
            + f'<section>\n<h2>Look for</h2>\n<p class="look-for">{to_html(section.look_for)}</p>\n'
            + f"{_pictures(section)}</section>\n"
            + _checks(section) + _questions(section) + _code(section) + "</main>\n</body>\n</html>\n")


def source_page(path, sections):
    """Return the page of a whole source file; sections: the lectures that show it."""
    used = ", ".join(f'<a href="../{s.name}.html">{_text(s.title)}</a>' for s in sections)
    return (_head(path, root="../")
            + f'<nav aria-label="pages"><a rel="contents" href="../index.html">contents</a>\n{THEME}</nav>\n'
              f"<main>\n<h1><code>{_text(path)}</code></h1>\n<p>Shown in: {used}</p>\n{listing(path, anchors=True)}</main>\n"
              "</body>\n</html>\n")


def first_picture(section):
    """Return the name of a lecture's first picture, or None; a sound is none."""
    return next((p for p in section.pictures if not p.endswith(".wav")), None)


def thumbnail(section):
    """Return the name of the small picture that stands for a lecture in the contents."""
    return f"thumbnails/{section.name}.jpg"


def _head(title, root="", links=""):
    return HEAD.format(title=_text(title), root=root, links=links)


def _navigation(before, after):
    """Return the row of links on top; before the first page come the contents."""
    back = (before.name, before.title) if before else ("index", "contents")
    forth = f'<a rel="next" href="{after.name}.html">{_text(after.title)} →</a>' if after else "<span>the end</span>"
    return (f'<nav aria-label="pages"><a rel="prev" href="{back[0]}.html">← {_text(back[1])}</a>\n'
            '<span class="small">keys: <kbd>←</kbd> <kbd>→</kbd> pages, <kbd>c</kbd> '
            f'<a rel="contents" href="index.html">contents</a></span>\n{THEME}\n{forth}</nav>\n')


def _in_the_code(section):
    """Return links from the formula to the lines that implement it."""
    links = ", ".join(link_to(d, d.name) for d in definitions(section.code))
    return f'<p class="jump">In the code: {links}</p>\n' if links else ""


def _pictures(section):
    if section.seconds is None:
        return (f'<p class="not-run">Not run yet: <code>python -m lectures {section.name[3:]}</code> puts the pictures and the '
                "checked numbers here.</p>\n")
    error = f'<p class="fail">{_text(section.error)}</p>\n' if section.error else ""
    return "".join(_picture(section, p) for p in section.pictures) + error


def _picture(section, file):
    """Return a picture, an animation or a sound with a caption: what its name says beyond the lecture's, if anything."""
    caption = _text(Path(file).stem.removeprefix(section.name).strip("_").replace("_", " "))
    about = _text(section.title) + (f": {caption}" if caption else "")
    shown = (f'<audio controls src="{file}" aria-label="{about}"></audio>' if file.endswith(".wav") else
             f'<a href="{file}"><img src="{file}" alt="{about}"></a>')
    return f"<figure>\n{shown}\n" + (f"<figcaption>{caption}</figcaption>\n" if caption else "") + "</figure>\n"


def _checks(section):
    """Return the table of the numbers that the lecture checks."""
    rows = "".join(f'<tr><td class="{_mark(c)}">{_mark(c).upper()}</td><td>{_text(c.what)}</td>'
                   f'<td class="number">{c.value:.4g}</td><td>{_text(c.bar)}</td></tr>\n' for c in section.checks)
    if not rows:
        return ""
    how = f"{section.seconds:.1f} s" + (", full settings" if section.full else "")
    return ('<section>\n<h2>Checked numbers</h2>\n<table>\n<thead><tr><th></th><th>checked</th><th class="number">measured</th>'
            f"<th>expected</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
            f'<p class="small">measured when the lecture ran, {how}</p>\n</section>\n')


def _questions(section):
    items = "".join(f"<li>{to_html(question)}</li>\n" for question in section.questions)
    return f'<section class="try">\n<h2>Try this</h2>\n<ol>\n{items}</ol>\n</section>\n' if items else ""


def _code(section):
    """Return the definitions that the lecture teaches, under their files, and a link to its own script."""
    parts = []
    for path, names in section.code.items():
        parts.append(f'<h3><a href="{page_of(path)}"><code>{_text(path)}</code></a></h3>\n')
        for d in definitions({path: names}):
            opened = " open" if d.length <= FOLDED else ""
            parts.append(f'<details{opened}>\n<summary><code>{_text(d.name)}</code> '
                         f'<span class="small">lines {d.first} to {d.last}</span></summary>\n'
                         f"{listing(path, d.first, d.last)}</details>\n")
    script = f"lectures/{section.name}.py"
    parts.append(f'<p>All of this page: <a href="{page_of(script)}"><code>{script}</code></a></p>\n')
    return f'<section>\n<h2>The code</h2>\n{"".join(parts)}</section>\n'


def _mark(check):
    """Return "pass" or "fail" for a Check."""
    return "pass" if check.passed else "fail"


def _text(text):
    return html.escape(str(text))
