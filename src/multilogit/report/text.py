"""The summary as plain text, laid out like R's ``summary(glm)`` and ``summary(glmer)``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from multilogit.errors import Diagnostic
from multilogit.report import numbers
from multilogit.report.content import Content, Equation, RandomRow

WIDTH = 88


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of a text table; the first ``left`` columns are left-aligned, the others right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = []
    for row in cells:
        shown = [
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(" ".join(shown).rstrip())
    return lines


def equation_cells(equation: Equation) -> list[list[str]]:
    """Rows of a coefficient table as text: name, estimate, SE, z, p, stars."""
    estimate, std_error = numbers.estimates(equation.estimate, equation.std_error)
    z, p = numbers.statistics(equation.z), numbers.p_values(equation.p)
    codes = [numbers.stars(value) for value in equation.p]
    return [list(row) for row in zip(equation.names, estimate, std_error, z, p, codes, strict=True)]


def random_cells(rows: Sequence[RandomRow]) -> list[list[str]]:
    """Rows of the random-effects table as text: group, name, variance, sd, its SE, Corr."""
    variance = numbers.column([row.variance for row in rows])
    sd = numbers.column([row.sd for row in rows])
    error = numbers.column([row.sd_error for row in rows])
    widest = max((len(row.correlations) for row in rows), default=0)
    out = []
    for k, row in enumerate(rows):
        corr = ["NA" if r != r else f"{r:.2f}" for r in row.correlations]
        corr += [""] * (widest - len(corr))
        out.append([row.group, row.name, variance[k], sd[k], error[k], *corr])
    return out


def random_header(cells: Sequence[Sequence[str]]) -> list[str]:
    """Header that fits :func:`random_cells`."""
    n_corr = len(cells[0]) - 5
    return [
        "Groups",
        "Name",
        "Variance",
        "Std.Dev.",
        "SE(Std.Dev.)",
        *["Corr", *[""] * n_corr][:n_corr],
    ]


def _head(content: Content) -> list[str]:
    width = max((len(label) for label, _ in content.call), default=0) + 2
    indent = " " * width
    lines = [content.title]
    for label, value in content.call:
        lines += textwrap.wrap(
            value, WIDTH, initial_indent=f"{label}:".ljust(width), subsequent_indent=indent
        )
    return lines


def _criteria(content: Content) -> list[str]:
    labels = [label for label, _ in content.criteria]
    return table(labels, [[value for _, value in content.criteria]], left=0)


def _random(content: Content) -> list[str]:
    cells = random_cells(content.random)
    return ["Random effects:", *(" " + line for line in table(random_header(cells), cells, 2))]


def _equations(content: Content) -> list[str]:
    lines: list[str] = []
    header = ["", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""]
    any_star = False
    for equation in content.equations:
        cells = equation_cells(equation)
        any_star = any_star or any(row[-1] for row in cells)
        stars_left = [[*row[:-1], row[-1].ljust(3)] for row in cells]
        lines += [equation.heading, *table(header, stars_left), ""]
    lines.pop()
    if content.aliased:
        named = ", ".join(content.aliased)
        lines.append(f"({len(content.aliased)} not defined because of singularities: {named})")
    return [*lines, "---", numbers.STARS_LEGEND] if any_star else lines


def _deviances(content: Content) -> list[str]:
    width = max(len(label) for label, _, _ in content.deviances)
    values = [numbers.significant(value) for _, value, _ in content.deviances]
    wide = max(map(len, values))
    return [
        f"{label.rjust(width)}: {value.rjust(wide)}  on {df} degrees of freedom"
        for (label, _, df), value in zip(content.deviances, values, strict=True)
    ]


def diagnostic_lines(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Diagnostics, most severe first, wrapped."""
    order = {"error": 0, "warning": 1, "info": 2}
    lines = []
    for diagnostic in sorted(diagnostics, key=lambda d: order[d.severity]):
        label = {"error": "ERROR", "warning": "Warning", "info": "Note"}[diagnostic.severity]
        lines += textwrap.wrap(
            f"{label}: {diagnostic}", WIDTH, subsequent_indent="  ", break_on_hyphens=False
        )
    return lines


def render_text(content: Content) -> str:
    """The whole summary."""
    parts = [_head(content)]
    if content.random:
        parts += [_criteria(content), [*_random(content), content.counts]]
    parts.append(_equations(content))
    if content.deviances:
        parts.append(_deviances(content))
    if not content.random:
        parts.append([*_criteria(content), content.counts])
    parts.append([content.convergence])
    if content.diagnostics:
        parts.append(diagnostic_lines(content.diagnostics))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"
