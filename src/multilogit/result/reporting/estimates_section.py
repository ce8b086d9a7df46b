"""What was found: coefficients, odds ratios, effects on probabilities, random effects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from multilogit.page.document import Block, Section, Table, Text
from multilogit.report import numbers
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.reporting.cells import (
    code,
    column,
    limits,
    p_values,
    table,
    texts,
    typeset,
    with_error,
)
from multilogit.result.reporting.reporter import Reporter, picture


def estimates_section(report: Reporter) -> Section:
    """Coefficients and odds ratios."""
    tables = list(_coefficients(report))
    shown = report.attempt(
        "coefficients",
        lambda: [
            picture(
                report.plot.coefficients(level=report.level, odds_ratios=True),
                "Forest plot of the odds ratios with confidence intervals.",
            )
        ],
    )
    return Section("Estimates and odds ratios", (*tables, *_example(report), *shown))


def _coefficients(report: Reporter) -> Iterator[Table]:
    fit = report.fit
    made = fit.tidy(report.level)
    if "effect" in made:
        made = made[made["effect"] == "fixed"]
    with np.errstate(over="ignore"):
        ratios = np.exp(made[["estimate", "conf_low", "conf_high"]])
    header = ["", "estimate", "std. error", "p", "odds ratio", report.interval]
    first = fit.labels.categories[0]
    for logit in logit_names(fit.labels):
        rows = made.index if not logit else made.index[made["y_level"] == logit]
        if fit.levels is not None:
            rows = rows[fit.levels.shown]
        part, ratio = made.loc[rows], ratios.loc[rows]
        estimate, error = numbers.estimates(part["estimate"].tolist(), part["std_error"].tolist())
        columns = [
            texts(part["term"]),
            list(map(typeset, estimate)),
            list(map(typeset, error)),
            p_values(part["p_value"]),
            [_short(x) for x in ratio["estimate"]],
            [_range(low, high) for low, high in ratio[["conf_low", "conf_high"]].to_numpy()],
        ]
        of = logit or fit.labels.categories[1]
        caption = f"Log odds of {code(of)} against {code(first)}"
        if fit.levels is not None:
            left = f"{fit.levels.places.size:,} levels of {code(fit.levels.term)}"
            caption += f", but for the {left}, which are in the model"
        yield table(header, columns, caption=caption)


def _short(x: float) -> str:
    """An odds ratio to three digits."""
    if not np.isfinite(x):
        return "–" if np.isnan(x) else "∞"
    return f"{x:#.3g}".rstrip(".") if 0.001 <= x < 1000 else f"{x:.1e}"


def _range(low: float, high: float) -> str:
    return "–" if np.isnan(low) or np.isnan(high) else f"{_short(low)} to {_short(high)}"


def _example(report: Reporter) -> Iterator[Text]:
    """How to read a row, with the one that is furthest from no effect."""
    fit = report.fit
    z = (fit.coef / fit.se).abs().replace([np.inf, -np.inf], np.nan)
    z = z[[_simple(term) for _ in logit_names(fit.labels) for term in fit.labels.columns]].dropna()
    if not len(z) or not fit.converged:
        return
    name = str(z.idxmax())
    row = fit.odds_ratios(report.level).loc[name]
    same = ", within the same " + " and ".join(map(code, fit.n_groups)) if fit.random else ""
    of = fit.labels.categories[1]
    if fit.labels.family == "multinomial":
        of = name[name.index("[") + 1 : name.index("]")] if name.startswith("logit[") else of
    yield Text(
        f"How to read it: one unit more of {code(name)} (for a level: that level instead of the "
        f"reference) multiplies the odds of {code(of)} by {_short(row['odds_ratio'])}, all else "
        f"equal{same}; values from {_short(row['lower'])} to {_short(row['upper'])} agree with "
        f"the data at the {100 * report.level:g} % level. Odds ratios of a number are per unit."
    )


def _simple(term: str) -> bool:
    """Whether a coefficient is that of a variable itself, no transformation or interaction."""
    return not any(character in term for character in "(:*[")


def effects_section(report: Reporter) -> Section:
    """What the variables do to the probabilities."""
    drawn = report.attempt("predictions over the variables", lambda: _predictions(report))
    listed = report.attempt("marginal effects", lambda: [_marginal_effects(report)])
    intro = Text(
        "The same in probabilities: predictions over each variable, and the average change of the "
        "probability with it."
    )
    return Section("Effects on probabilities", (intro, *drawn, *listed))


def _predictions(report: Reporter) -> Iterator[Block]:
    figure = report.plot.adjusted_predictions(interval=report.level, new=report.new)
    yield picture(figure, "Predicted probabilities over each variable, with intervals.")


def _marginal_effects(report: Reporter) -> Table:
    made = report.fit.marginal_effects(interval=report.level, new=report.new)
    names = ["variable", "change"]
    columns = [texts(made["variable"]), [_change(text) for text in made["contrast"]]]
    if "outcome" in made:
        names.append("probability of")
        columns.append(texts(made["outcome"]))
    columns += [*with_error(made), p_values(made["p_value"])]
    header = [*names, "effect", "std. error", report.interval, "p"]
    return table(header, columns, len(names), "Average marginal effects on the probability")


def _change(contrast: object) -> str:
    return "per unit (average slope)" if contrast == "dY/dX" else str(contrast)


def random_section(report: Reporter) -> Section:
    """How much groups differ, and which."""
    blocks: list[Block] = [
        Text(
            "Groups differ in what the predictors do not explain; the standard deviation is on the "
            "scale of log odds."
        ),
        _variances(report),
        *report.attempt("the median odds ratio", lambda: [_median_odds_ratio(report)]),
        *report.attempt("intraclass correlations", lambda: [_icc(report)]),
    ]
    for group in report.fit.n_groups:
        blocks += report.attempt(
            f"random effects of {group}",
            lambda group=group: [  # type: ignore[misc]
                picture(
                    report.plot.random_effects(group=group, level=report.level),
                    f"Random effects of {group}, sorted, with intervals.",
                )
            ],
        )
    return Section("Differences between groups", tuple(blocks))


def _variances(report: Reporter) -> Table:
    made = report.fit.tidy(report.level)
    made = made[made["effect"] == "ran_pars"]
    kinds = {"sd": "standard deviation", "cor": "correlation"}
    parts = [term.split("__", 1) for term in made["term"]]
    columns = [
        texts(made["group"]),
        [f"{kinds[kind]} of {name}" for kind, name in parts],
        column(made["estimate"]),
        column(made["std_error"], 3),
        limits(made, "conf_low", "conf_high"),
    ]
    header = ["group", "", "estimate", "std. error", report.interval]
    return table(header, columns, 2)


def _median_odds_ratio(report: Reporter) -> Table:
    made = report.fit.median_odds_ratio(report.level)
    caption = (
        "Median odds ratio: two like observations from two groups, the one of higher odds "
        "against the other"
    )
    return _by_group(report, made, "median_odds_ratio", "median odds ratio", caption)


def _icc(report: Reporter) -> Table:
    made = report.fit.icc(report.level)
    caption = "Intraclass correlation: the share of the latent variance that lies between groups"
    return _by_group(report, made, "icc", "ICC", caption)


def _by_group(report: Reporter, made: pd.DataFrame, name: str, label: str, caption: str) -> Table:
    several = "y_level" in made
    names = ["group", "log odds of"] if several else ["group"]
    columns = [texts(made[key]) for key in (["group", "y_level"] if several else ["group"])]
    columns += [column(made[name], 3), limits(made)]
    return table([*names, label, report.interval], columns, len(names), caption)
