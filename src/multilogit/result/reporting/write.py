"""The report as a whole: made section by section, written as one file."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike

from multilogit._version import __version__
from multilogit.inference.wald import critical_value
from multilogit.page.document import Page, Section
from multilogit.page.html import render
from multilogit.paths import as_target, writing
from multilogit.progress import Progress, Show
from multilogit.result.description.summary_content import content_of
from multilogit.result.methods import Methods
from multilogit.result.prediction.marginal_effects import fixed_variables
from multilogit.result.reporting.checks_section import checks_section
from multilogit.result.reporting.estimates_section import (
    effects_section,
    estimates_section,
    random_section,
)
from multilogit.result.reporting.model_section import model_section
from multilogit.result.reporting.reporter import Reporter, plot_module
from multilogit.result.reporting.search_section import again_section, search_section
from multilogit.result.reporting.verdict import verdict


def write_report(
    fit: Methods,
    path: str | PathLike[str],
    *,
    title: str | None = None,
    new: object = None,
    level: float = 0.95,
    profile: bool = False,
    seed: int = 0,
    progress: Show = False,
) -> None:
    """Write the report as :meth:`multilogit.Fit.report` describes it."""
    critical_value(level)  # what would fail after the work
    plot_module()
    target = as_target(path)
    report = Reporter(fit, new, level, seed, profile)
    text = render(page_of(report, title, progress))
    with writing(target):
        target.write_text(text, encoding="utf-8", newline="\n")


def page_of(report: Reporter, title: str | None, progress: Show) -> Page:
    """All sections; the verdict is made last, since it rests on the checks, and shown first."""
    fit = report.fit
    content = content_of(fit)
    parts: list[Callable[[], Section]] = [
        lambda: model_section(report, content),
        lambda: estimates_section(report),
        *([lambda: effects_section(report)] if fixed_variables(fit.design) else []),
        *([lambda: random_section(report)] if fit.random else []),
        lambda: checks_section(report),
        lambda: search_section(report),
        lambda: again_section(report),
    ]
    sections = []
    with Progress("Report", len(parts) + 1, progress) as bar:
        if fit.has_data:
            report.attempt("tests of the residuals", lambda: _tests(report))
        bar.advance()
        for make in parts:
            sections.append(make())
            bar.advance()
    first, reasons = verdict(report)
    footer = f"Made by multilogit {__version__}. The page contains no data but what it shows."
    heading = title or content.title
    return Page(heading, fit.spec.formula, first, reasons, tuple(sections), footer)


def _tests(report: Reporter) -> tuple[()]:
    """Test the residuals; the verdict and the checks both need them."""
    report.test_residuals()
    return ()
