"""What was fitted, and on what."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from multilogit.assess.residuals import all_counts
from multilogit.page.document import Block, Facts, Section
from multilogit.report.content import Content
from multilogit.result.reporting.cells import code, column, count, percent, table, typeset
from multilogit.result.reporting.reporter import Reporter


def model_section(report: Reporter, content: Content) -> Section:
    """The model and the data."""
    return Section("What was fitted, on what", (_facts(report, content), *_responses(report)))


def _facts(report: Reporter, content: Content) -> Facts:
    fit = report.fit
    baseline, *others = map(code, fit.labels.categories)
    modelled = f"log odds of {', '.join(others)} against {baseline}"
    pairs = [
        ("Model", content.title.replace("Gauss-Hermite", "Gauss–Hermite")),
        ("Formula", code(fit.spec.formula)),
        ("Modelled", modelled),
        (
            "Prior",
            "none: maximum likelihood"
            if fit.options.prior is None
            else code(repr(fit.options.prior)),
        ),
        ("Observations", _observations(report)),
        *((f"Groups: {name}", text) for name, text in _groups(report)),
        ("Parameters", _parameters(report)),
        ("Standard errors", _errors(content)),
        (
            "Fit",
            "; ".join(f"{label} {typeset(value)}" for label, value in content.criteria),
        ),
    ]
    if fit.aliased:
        dropped = ", ".join(map(code, fit.aliased))
        pairs.append(("Dropped columns", f"{dropped}: they depend on earlier ones"))
    return Facts(tuple(pairs))


def _observations(report: Reporter) -> str:
    fit = report.fit
    text = f"{count(fit.n_obs)} rows"
    if fit.training.n_trials != fit.n_obs:
        text += f", {count(fit.training.n_trials)} trials"
    dropped = [d for d in fit.diagnostics if d.code == "rows-dropped"]
    return "; ".join([text, *(d.message for d in dropped)])


def _groups(report: Reporter) -> Iterator[tuple[str, str]]:
    fit = report.fit
    for name, n in fit.n_groups.items():
        text = f"{count(n)} levels"
        if fit.has_data:
            sizes = np.bincount(fit.frame.groupings[name].codes, minlength=n)
            low, middle, high = np.quantile(sizes, [0.0, 0.5, 1.0])
            text += f", of {low:g} to {high:g} rows (median {middle:g})"
        yield name, text


def _parameters(report: Reporter) -> str:
    fit = report.fit
    m = sum(effects.theta.stop - effects.theta.start for effects in fit.random)
    text = f"{fit.n_parameters - m} coefficients"
    return f"{text}, {m} variance parameters" if m else text


def _errors(content: Content) -> str:
    named = dict(content.call).get("Std. errors")
    return f"{named}" if named else "from the exact Hessian of the log-likelihood"


def _responses(report: Reporter) -> Iterator[Block]:
    """How often every category occurs."""
    fit = report.fit
    if not fit.has_data:
        return
    total = all_counts(fit.frame.response, weighted=True).sum(axis=0)
    yield table(
        ["category of the response", "how often", "share"],
        [list(fit.labels.categories), column(total), [percent(x / total.sum()) for x in total]],
    )
