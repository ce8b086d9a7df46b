"""The summary as HTML for notebooks: the same content and the same numbers as the text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from multilogit.report import numbers
from multilogit.report.content import Content
from multilogit.report.text import equation_cells, random_cells, random_header

STYLE = """<style scoped>
.multilogit { font-family: system-ui, sans-serif; font-size: 0.92em; line-height: 1.45; }
.multilogit table { border-collapse: collapse; margin: 0.5em 0 0.9em 0; }
.multilogit caption { caption-side: top; text-align: left; font-weight: 600; padding: 0.2em 0; }
.multilogit th, .multilogit td { padding: 0.15em 0.7em; text-align: right; border: none;
  font-variant-numeric: tabular-nums; }
.multilogit thead th { border-bottom: 1px solid currentColor; font-weight: 600; }
.multilogit .left { text-align: left; }
.multilogit .title { font-weight: 600; font-size: 1.1em; }
.multilogit .error { color: #b3261e; font-weight: 600; }
.multilogit .warning { color: #a15c00; }
.multilogit code { font-size: 0.95em; }
</style>"""


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, caption: str = ""
) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="left">{escape(text)}</{tag}>'
            if k < left
            else f"<{tag}>{escape(text)}</{tag}>"
            for k, text in enumerate(row)
        )

    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table>{title}<thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody></table>"
    )


def _head(content: Content) -> str:
    lines = [f'<div class="title">{escape(content.title)}</div>']
    lines += [
        f"<div>{escape(label)}: <code>{escape(value)}</code></div>" for label, value in content.call
    ]
    return "".join(lines)


def _random(content: Content) -> str:
    cells = random_cells(content.random)
    return _table(random_header(cells), cells, left=2, caption="Random effects")


def _equations(content: Content) -> str:
    header = ["", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""]
    out = [
        _table(header, equation_cells(equation), caption=equation.heading.rstrip(":"))
        for equation in content.equations
    ]
    if content.aliased:
        named = ", ".join(content.aliased)
        out.append(f"<div>Not defined because of singularities: {escape(named)}</div>")
    return "".join(out)


def _statistics(content: Content) -> str:
    labels = [label for label, _ in content.criteria]
    out = [_table(labels, [[value for _, value in content.criteria]], left=0)]
    out += [
        f"<div>{escape(label)}: {numbers.significant(value)} on {df} degrees of freedom</div>"
        for label, value, df in content.deviances
    ]
    return "".join([*out, f"<div>{escape(content.counts)}</div>"])


def _notes(content: Content) -> str:
    lines = [f"<div>{escape(content.convergence)}</div>"]
    lines += [
        f'<div class="{diagnostic.severity}">{escape(str(diagnostic))}</div>'
        for diagnostic in content.diagnostics
    ]
    return "".join(lines)


def render_html(content: Content) -> str:
    """The whole summary as one self-contained ``<div>``; every label is escaped."""
    parts = [_head(content)]
    if content.random:
        parts.append(_random(content))
    parts += [_equations(content), _statistics(content), _notes(content)]
    return f'{STYLE}<div class="multilogit">{"".join(parts)}</div>'
