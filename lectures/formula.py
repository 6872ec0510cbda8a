"""Formulas: lines of text with LaTeX between dollars, as MathML for a page and as Markdown for a notebook.

    SNE: $q_{j|i} \\propto \\exp(-\\lVert y_i - y_j \\rVert^2)$

What stands before a colon and the first dollar is the line's label; an indented line goes on with the one above it. The same
marks, and `code` between backticks, may stand in any text of a lecture.
"""
import html
import re
from functools import cache

TIDY = (        # what the converter leaves to the browser's guess
    (r"<mo>([A-Za-z]{2,})</mo>", r"<mi>\1</mi>"),                           # exp is a name, no operator with room around it
    (r'<mo(?: stretchy="false")?>(&#x0007C;|&#x02016;)', r'<mo stretchy="false" lspace="0em" rspace="0em">\1'),    # |x|, p_{j|i}
    (r"(&#x00028;|&#x0003D;|&#x02190;)</mo><mo>&#x02212;", r'\1</mo><mo form="prefix">&#x02212;'))      # a sign, no difference
MARKS = re.compile(r"\$([^$]+)\$|`([^`]+)`")


def lines_of(formula):
    """Return a pair (label, text) for each line of a formula; the label may be empty."""
    pairs = []
    for line in re.sub(r"\n +", " ", formula.strip()).splitlines():
        found = re.match(r"([^$`:]+): +(.+)", line)
        pairs.append(found.groups() if found else ("", line))
    return pairs


def questions_of(text):
    """Return the questions of a lecture's TRY, which an empty line parts."""
    return tuple(" ".join(question.split()) for question in text.split("\n\n"))


@cache
def mathml(latex):
    """Return LaTeX as a <math> element that stands in a line of text, with its fractions and sums as large as in a display."""
    from latex2mathml.converter import convert
    math = convert(latex, display="block").replace('display="block"', 'display="inline" displaystyle="true"', 1)
    for pattern, better in TIDY:
        math = re.sub(pattern, better, math)
    return math


def to_html(text):
    """Return a text for a page: formulas as MathML, code marked, all else escaped."""
    parts, end = [], 0
    for found in MARKS.finditer(text):
        parts.append(html.escape(text[end:found.start()]))
        latex, code = found.groups()
        parts.append(mathml(latex) if latex else f"<code>{html.escape(code)}</code>")
        end = found.end()
    return "".join(parts) + html.escape(text[end:])


def formula_to_html(formula):
    """Return a formula as a block, a row for each line, labels in a column of their own."""
    rows = "".join(f'<div class="label">{to_html(label)}</div><div class="math">{to_html(text)}</div>\n'
                   for label, text in lines_of(formula))
    labelled = any(label for label, _ in lines_of(formula))
    return f'<div class="formula{" labelled" if labelled else ""}">\n{rows}</div>\n'


def formula_to_markdown(formula):
    """Return a formula as Markdown, a paragraph for each line."""
    return "\n\n".join((f"{label}: " if label else "") + re.sub(r"\$([^$]+)\$", r"$\\displaystyle \1$", text)
                       for label, text in lines_of(formula))
