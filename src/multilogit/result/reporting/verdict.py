"""Whether to trust the fit: the verdict, and the reasons for it in plain words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from multilogit.errors import Diagnostic
from multilogit.page.document import Block, Finding, Text, Tone
from multilogit.result.reporting.cells import count
from multilogit.result.reporting.reporter import Reporter

_ALARM = 0.05
_EVENTS = 10.0
"""Events per coefficient below which maximum likelihood is noticeably biased (Peduzzi et al. 1996,
*J. Clin. Epidemiol.* 49, 1373–1379)."""
_GROUPS = 10
_TONES: dict[str, Tone] = {"error": "bad", "warning": "care", "info": "note"}
_NAMES = {"error": "Error", "warning": "Warning", "info": "Note"}


def verdict(report: Reporter) -> tuple[Finding, tuple[Block, ...]]:
    """The verdict and its reasons, the worst first."""
    fit = report.fit
    order = {"error": 0, "warning": 1, "info": 2}
    noticed = sorted(fit.diagnostics, key=lambda d: order[d.severity])
    findings = [*map(_diagnostic, noticed), *_doubts(report)]
    care = [finding for finding in findings if finding.tone in ("bad", "care")]
    if not fit.converged:
        first = Finding("bad", "Not to be trusted", f"{_search(report)} {_consequence(report)}")
    elif care:
        first = Finding("care", "Usable, with care", f"{_search(report)} {_number(care)}")
    else:
        text = f"{_search(report)} {_no_doubt(report)}"
        first = Finding("good", "Nothing speaks against this fit", text)
    limits = Text(
        "This is about the numbers: whether they are what the model and the data imply. Whether "
        "the model asks the right question, and whether the data can answer it, no program knows."
    )
    return first, (*findings, limits)


def _search(report: Reporter) -> str:
    """How the search ended, in a sentence."""
    fit = report.fit
    if not fit.solution.converged:
        ending = fit.status.value.replace("_", " ")
        return f"The search for the maximum did not converge ({ending})."
    gradient = float(np.abs(fit.solution.evaluation.gradient).max(initial=0.0))
    return (
        f"The search found a maximum in {fit.n_iterations} Newton iterations, with exact "
        f"derivatives: the largest gradient left is {gradient:.0e}."
    )


def _consequence(report: Reporter) -> str:
    errors = sum(d.severity == "error" for d in report.fit.diagnostics)
    if not errors:
        return "The estimates below are where it stopped, and no more."
    return "Below is what is wrong, and what to do; estimates that are named there mean nothing."


def _number(findings: list[Finding]) -> str:
    n = len(findings)
    return "One thing needs a look:" if n == 1 else f"{n} things need a look:"


def _no_doubt(report: Reporter) -> str:
    if report.tests is None:
        return "No diagnostic was raised."
    return (
        f"No diagnostic was raised, and {len(report.tests.table)} tests of the residuals find no "
        "deviation of the data from the model."
    )


def _diagnostic(noticed: Diagnostic) -> Finding:
    title = f"{_NAMES[noticed.severity]}: {noticed.code.replace('-', ' ')}"
    return Finding(_TONES[noticed.severity], title, noticed.message, noticed.remedy)


def _doubts(report: Reporter) -> Iterator[Finding]:
    """What no diagnostic says, but a careful reader would ask."""
    yield from _residuals(report)
    yield from _few_events(report)
    yield from _few_groups(report)


def _residuals(report: Reporter) -> Iterator[Finding]:
    if report.tests is None:
        return
    known = report.tests.table.dropna(subset=["p_value"])
    found = known[known["p_value"] * len(known) < _ALARM]
    if not len(found):
        return
    named = ", ".join(
        f"{row.test} of {row.of} (p = {row.p_value:.2g})" for row in found.itertuples()
    )
    yield Finding(
        "care",
        "The data deviate from the model",
        f"Tests of the quantile residuals that stand out among {len(known)}: {named}.",
        "Look at the picture of the residuals below: a curve over the predictions asks for another "
        "form of a predictor; overdispersion for a random effect of the rows or groups. In large "
        "data small deviations, too, are found: look how large they are.",
    )


def _few_events(report: Reporter) -> Iterator[Finding]:
    """Few events per coefficient: maximum likelihood estimates are too far from 0."""
    fit = report.fit
    if not fit.has_data or fit.penalised:
        return
    counts, trials = fit.frame.response.weighted()
    totals = counts.sum(axis=0)
    rest = trials.sum() - totals.sum()
    rarest = min(float(totals.min()), rest if rest > 0 else np.inf)
    columns = len([name for name in fit.labels.columns if name != "(Intercept)"])
    if columns and rarest < _EVENTS * columns:
        yield Finding(
            "care",
            "Few observations for so many coefficients",
            f"The rarest category occurs {count(rarest)} times: {rarest / columns:.1f} for each "
            f"of {columns} coefficients. Below {_EVENTS:g} or so, maximum likelihood estimates are "
            "too far from 0 on average, and standard errors less reliable.",
            "Use fewer predictors, or `prior=ml.RelativeEntropy()`.",
        )


def _few_groups(report: Reporter) -> Iterator[Finding]:
    for name, n in report.fit.n_groups.items():
        if n < _GROUPS:
            yield Finding(
                "care",
                f"Few levels of {name}",
                f"A variance between {n} groups is known only roughly, and standard errors of what "
                "differs between groups are too small.",
                'Use profile intervals, `fit.confint("profile")`, for the standard deviation.',
            )
