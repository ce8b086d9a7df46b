"""Parts of a study's page: what is said, tabled and drawn of its measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from multilogit.extras import require
from multilogit.study.choosing import RULE, candidates, chosen_of
from multilogit.study.judging import judge
from multilogit.study.measures import inside, kind_of
from multilogit.study.summary import Summary
from multilogit.study.tables import (
    compare_published,
    coverages,
    log_slope,
    markdown,
    of_pairs,
    overview,
    overview_in_words,
    short,
    title_of,
    wide,
)

_KS_5 = 1.358
"""√n times the Kolmogorov–Smirnov distance that uniform numbers exceed in 5 % of samples."""
_MOST_SERIES = 7
_FIGURED = (
    ("ml", "wald"),
    ("relative-entropy", "wald"),
    ("relative-entropy", "profile"),
    ("relative-entropy-sampled", "posterior"),
    ("relative-entropy-1", "wald"),
    ("jeffreys", "wald"),
    ("nuts", "posterior"),
)
"""Intervals in the figure of coverage where there are more than seven."""
_WORDS = {"beta": "coefficients", "sd": "standard deviations"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that is yet to be drawn, its file's stem, and what it shows in words."""

    stem: str
    draw: Callable[[], Any]
    text: str


Piece = str | Picture
Section = Callable[[Summary], Iterator[Piece]]


def _claims(summary: Summary) -> Iterator[Piece]:
    yield "## The claims, one by one"
    yield "Differences are between fits of the same data; they count beyond two Monte Carlo errors."
    for judged in judge(summary.measures):
        yield f"### {judged.claim}"
        yield f"**{judged.verdict.capitalize()}.** {judged.because}"
        counted = judged.table.reset_index()
        if "sign" in counted and (counted["sign"] > 0).any():
            against = counted[counted["sign"] > 0].drop(columns="sign")
            yield "Against it:\n\n" + markdown(against.map(short))


def _overview(summary: Summary) -> Iterator[Piece]:
    yield "## Every estimator in one row"
    yield (
        "Fits that are not usable (not converged, or extreme) in percent, mean over cells and "
        "worst; geometric means, over cells and parameters, of RMSE relative to the default's "
        "(of β and σ over usable fits, of marginal probabilities of fresh groups over all; "
        "beside it the median absolute error of β over **all** fits); mean over cells of the "
        "median loss of log score, in thousandths of a nat per row; median seconds. RMSE over the "
        "usable fits flatters whoever fails where it is hard."
    )
    table = overview(summary.measures)
    yield markdown(overview_in_words(table))


def _degeneracy(summary: Summary) -> Iterator[Piece]:
    measures = summary.measures
    yield "## Failures, extreme estimates, boundaries"
    yield (
        "Percent of fits. *Not converged*: the method itself says so. *Extreme*: some |β̂| or "
        f"standard error above {summary.design.extreme:g}, or not finite. *Boundary*: σ̂ = 0 in a "
        "fit that is not extreme, a legitimate estimate. Monte Carlo errors are at most "
        f"{_percent(_worst_mcse(measures, ('converged', 'extreme', 'boundary')))}."
    )
    for measure, title in (
        ("converged", "Not converged"),
        ("extreme", "Extreme"),
        ("boundary", "Boundary"),
    ):
        chosen = _shown(summary, measures[measures["measure"] == measure])
        values = 1.0 - chosen["value"] if measure == "converged" else chosen["value"]
        yield f"### {title}"
        yield of_pairs(wide(chosen.assign(value=100.0 * values)), "{:.1f}")
    chosen = _shown(summary, measures[measures["measure"] == "usable"])
    table = chosen.assign(value=100.0 * (1.0 - chosen["value"]), mcse=100 * chosen["mcse"])
    draw = partial(
        _pictures().dots,
        _named(table),
        "Fits that are not usable",
        "not converged or extreme; bars: two Monte Carlo errors",
        "percent of fits",
    )
    yield Picture("degeneracy", draw, "Fits that are not usable, by cell and estimator")


def _accuracy(summary: Summary) -> Iterator[Piece]:
    measures = _shown(summary, summary.measures)
    yield "## Accuracy"
    yield (
        "Median absolute error over **all** fits (no estimate counts as infinitely wrong), then "
        "bias and RMSE over the usable ones, whose share is above. In brackets: Monte Carlo error."
    )
    parameters = measures[measures["parameter"] != ""]
    for measure, title in (
        ("median_absolute_error", "Median absolute error"),
        ("bias", "Bias"),
        ("rmse", "RMSE"),
    ):
        yield f"### {title}"
        chosen = parameters[parameters["measure"] == measure]
        label = chosen["cell"] + ": " + chosen["parameter"]
        yield of_pairs(wide(chosen.assign(cell=label)), "{:.2f}", errors=True)
    yield "### Marginal probabilities of fresh groups: RMSE × 100"
    chosen = measures[measures["measure"] == "probability_rmse"]
    scaled = chosen.assign(value=100.0 * chosen["value"], mcse=100.0 * chosen["mcse"])
    yield of_pairs(wide(scaled), "{:.2f}", errors=True)
    draw = partial(
        _pictures().dots,
        _named(scaled),
        "Error of marginal probabilities",
        "RMSE × 100 on fresh groups",
        "RMSE × 100",
    )
    yield Picture("probabilities", draw, "RMSE of marginal probabilities")


def _coverage(summary: Summary) -> Iterator[Piece]:
    yield "## Coverage of 95 % intervals"
    yield (
        "Share of **all** fits whose interval holds the truth; no interval counts as a miss. Over "
        "cells and parameters: mean, worst (with its Monte Carlo error), mean distance from 95 %, "
        "mean of what is missing below 95 %, geometric mean of median widths. `wald`: estimate ± "
        "1.96 standard errors, for standard deviations on the log scale; `wald-log-sd`: the same "
        "with the information taken in log standard deviations; `posterior`: from −Q″, or "
        "quantiles of draws; `profile`: of the objective. A standard deviation that is truly 0 is "
        "left out: no interval for log σ holds it."
    )
    for kind, words in _WORDS.items():
        table = coverages(summary.measures, kind)
        if len(table):
            yield f"### Of {words}"
            yield _coverage_table(table)
            draw = partial(_coverage_figure, summary, kind)
            yield Picture(f"coverage_{kind}", draw, f"Coverage of {words}")


def _coverage_table(table: pd.DataFrame) -> str:
    return markdown(
        pd.DataFrame(
            {
                "estimator": table["estimator"].map(title_of),
                "interval": table["interval"],
                "mean": [f"{x:.3f}" for x in table["mean"]],
                "worst": [
                    f"{x:.3f} ({e:.3f})" for x, e in zip(table["worst"], table["mcse"], strict=True)
                ],
                "where": table["cell"] + ": " + table["parameter"],
                "distance": [f"{x:.3f}" for x in table["miss"]],
                "missing": [f"{x:.3f}" for x in table["shortfall"]],
                "width": [f"{x:.2f}" for x in table["width"]],
            }
        )
    )


def _coverage_figure(summary: Summary, kind: str) -> Any:
    """The parameter covered least in every cell; one series per estimator and interval."""
    measures = inside(_shown(summary, summary.measures))
    measures = measures[measures["parameter"].map(kind_of) == kind]
    chosen = measures[measures["measure"].str.startswith("coverage_all_")]
    interval = chosen["measure"].str.removeprefix("coverage_all_")
    series = chosen["estimator"].map(title_of) + ": " + interval
    pairs = list(zip(chosen["estimator"], interval, strict=True))
    if len(set(pairs)) > _MOST_SERIES:
        kept = [pair in _FIGURED for pair in pairs]
        chosen, series = chosen[kept], series[kept]
    chosen = chosen.assign(estimator=series)
    chosen = chosen[chosen["value"].notna()]
    worst = chosen.loc[chosen.groupby(["cell", "estimator"], sort=False)["value"].idxmin()]
    return _pictures().dots(
        worst,
        f"Coverage of 95 % intervals: {_WORDS[kind]}",
        "the one covered least in each cell; all fits, no interval is a miss; bars: two Monte "
        "Carlo errors",
        "coverage",
        0.95,
    )


def _scores(summary: Summary) -> Iterator[Piece]:
    yield "## Log score of fresh groups"
    yield (
        "Median loss against the truth, in thousandths of a nat per row, over all fits; no "
        "estimate counts as an infinite loss."
    )
    measures = summary.measures
    chosen = _shown(summary, measures[measures["measure"] == "log_score_loss_median"])
    scaled = chosen.assign(value=1000.0 * chosen["value"], mcse=1000.0 * chosen["mcse"])
    yield of_pairs(wide(scaled), "{:.1f}", errors=True)


def _cost(summary: Summary) -> Iterator[Piece]:
    measures = summary.measures
    yield "## Seconds"
    yield "Median seconds of a fit with its standard errors, one thread, no compilation counted."
    chosen = measures[measures["measure"] == "seconds_median"]
    yield of_pairs(wide(_shown(summary, chosen)), "{:.2g}")
    draw = partial(
        _pictures().dots,
        _named(_shown(summary, chosen)),
        "Seconds of a fit",
        "medians, one thread",
        "seconds",
        log=True,
    )
    yield Picture("seconds", draw, "Median seconds of a fit")
    table = chosen.pivot(index="cell", columns="estimator", values="value")
    for name in [name for name in table if name.startswith("nuts")]:
        ratio = table.rdiv(table[name], axis=0).drop(columns=name)
        geometric = np.exp(np.log(ratio).mean())
        shown = ", ".join(f"{title_of(k)} {v:,.0f}" for k, v in geometric.items())
        yield f"{title_of(name)} takes so many times longer (geometric mean over cells): {shown}."


def _choice(summary: Summary) -> Iterator[Piece]:
    yield "## Which default"
    yield RULE
    table = candidates(summary.measures)
    best = chosen_of(table)
    shown = pd.DataFrame(
        {
            "estimator": table["estimator"].map(title_of),
            "interval": table["interval"],
            "missing": [f"{x:.4f}" for x in table["shortfall"]],
            "mean": [f"{x:.3f}" for x in table["mean"]],
            "worst": [f"{x:.3f}" for x in table["worst"]],
            "distance": [f"{x:.3f}" for x in table["miss"]],
            "RMSE": [f"{x:.3f}" for x in table["rmse"]],
            "RMSE probability": [f"{x:.3f}" for x in table["probability"]],
            "width": [f"{x:.2f}" for x in table["width"]],
            "not usable, worst": [f"{100 * x:.1f}" for x in table["unusable"]],
        }
    )
    yield markdown(shown)
    yield f"The rule chooses **{title_of(best['estimator'])}, {best['interval']} intervals**."
    draw = partial(
        _pictures().trade,
        table.assign(estimator=table["estimator"].map(title_of)),
        "Coverage against error, over all cells of the design that chooses",
        "left: less is missing below 95 %; down: smaller error",
    )
    yield Picture("choice", draw, "Missing coverage and RMSE of the candidates")


def _unusable(summary: Summary) -> Iterator[Piece]:
    yield "## Unusable estimates"
    rule = summary.design.unusable
    yield (
        f"Percent of estimates of `{rule['parameter']}` that the publication's rule calls "
        "unusable, in brackets the part of them that is the boundary σ̂ = 0 and nothing else."
    )
    of = dict(iter(summary.measures.groupby("measure")))
    keys = ["cell", "estimator"]
    both = of["unusable"].merge(of["unusable_boundary"], on=keys, suffixes=("", "_boundary"))
    percents = 100.0 * both[["value", "value_boundary"]]
    text = [f"{every:.0f} ({boundary:.0f})" for every, boundary in percents.to_numpy()]
    shown = both.assign(text=text).pivot(index="cell", columns="estimator", values="text")
    order = [cell.name for cell in summary.design.cells if cell.name in shown.index]
    columns = [name for name in summary.design.estimators if name in shown]
    yield markdown(shown.loc[order, columns].rename(columns=title_of).fillna("").reset_index())
    x = f"true {list(summary.design.cells[0].varied)[-1]}"
    draw = partial(_pictures().rates, *_rates(summary, of["unusable"]), rule["parameter"], x)
    yield Picture("unusable", draw, "Unusable estimates, published and here")


def _rates(summary: Summary, chosen: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Own and published rates with the panel and the number that each cell stands for."""
    places = {
        cell.name: (str(cell.varied.get("rows", "")), list(cell.varied.values())[-1])
        for cell in summary.design.cells
    }

    def placed(table: pd.DataFrame) -> pd.DataFrame:
        where = table["cell"].map(places)
        named = table["estimator"].map(title_of)
        x = where.str[1].astype(float)
        return table.assign(panel=where.str[0], x=x, estimator=named)

    published = pd.DataFrame(list(summary.design.published))
    published = published[published["measure"] == "unusable"]
    return placed(_shown(summary, chosen)), placed(_shown(summary, published))


def _published(summary: Summary) -> Iterator[Piece]:
    yield "## Against the published values"
    published = summary.design.published
    if not published:
        return
    table = compare_published(pd.DataFrame(list(published)), summary.measures)
    off, size = int((table["z"].abs() > 3.0).sum()), np.sqrt((table["z"] ** 2).mean())
    yield (
        f"{len(table)} published values. z is the difference in Monte Carlo errors of both sides "
        f"together; beyond 3: {off}. Root mean square of z: {size:.2f}."
    )
    shown = table.assign(estimator=table["estimator"].map(title_of))
    yield markdown(shown.map(short))
    yield f"Source: {'; '.join(dict.fromkeys(entry['source'] for entry in published))}."


def _calibration(summary: Summary) -> Iterator[Piece]:
    yield "## Posterior probabilities below the truth"
    yield (
        "Uniform where the posterior is right. √n × Kolmogorov–Smirnov distance; above "
        f"{_KS_5} in 5 % of samples even then."
    )
    measures = summary.measures
    distances = measures[measures["measure"] == "ks"]
    label = distances["cell"] + ": " + distances["parameter"]
    yield of_pairs(wide(distances.assign(cell=label)), "{:.2f}")
    counts = measures[measures["measure"].str.startswith("below_")]
    for name in dict.fromkeys(counts["estimator"]):
        own = counts[counts["estimator"] == name]
        found = [
            (parameter, cell, table["value"].to_numpy(), int(table["n"].iloc[0]))
            for (cell, parameter), table in own.groupby(["cell", "parameter"], sort=False)
        ]
        title = f"{title_of(name)}: posterior probabilities below the truth"
        words = "uniform where the posterior is right; band: two errors of uniform counts"
        draw = partial(_pictures().histograms, found, title, words)
        yield Picture(f"calibration_{name}", draw, f"Histograms of {title_of(name)}")


def _consistency(summary: Summary) -> Iterator[Piece]:
    yield "## Errors and the number of groups"
    sizes = {cell.name: cell.groups for cell in summary.design.cells}
    chosen = summary.measures[summary.measures["measure"] == "rmse"]
    table = chosen.assign(x=chosen["cell"].map(sizes))
    rows = []
    for (name, parameter), group in table.groupby(["estimator", "parameter"], sort=False):
        for least, words in ((0, "all sizes"), (100, "100 groups and more")):
            large = group[group["x"] >= least]
            if len(large) > 1:
                rows.append((title_of(name), parameter, words, *log_slope(large)))
    columns = ["estimator", "parameter", "of", "slope", "its error"]
    yield markdown(pd.DataFrame(rows, columns=columns).map(short))
    names = ("groups", "RMSE against the number of groups", "dashed: slope −½")
    draw = partial(_pictures().decline, _named(table), *names)
    yield Picture("consistency", draw, "RMSE against the number of groups")


SECTIONS: dict[str, Section] = {
    "claims": _claims,
    "overview": _overview,
    "degeneracy": _degeneracy,
    "accuracy": _accuracy,
    "coverage": _coverage,
    "scores": _scores,
    "cost": _cost,
    "choice": _choice,
    "unusable": _unusable,
    "published": _published,
    "calibration": _calibration,
    "consistency": _consistency,
}
"""Parts of a page that designs may ask for."""


def _pictures() -> Any:
    return require(
        "multilogit.study.pictures", needs="matplotlib", extra="plot", purpose="Reports of studies"
    )


def _shown(summary: Summary, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the estimators that figures and long tables show."""
    names = summary.design.shown
    return table[table["estimator"].isin(names)] if names else table


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(estimator=table["estimator"].map(title_of))


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f} points"


def _worst_mcse(measures: pd.DataFrame, names: tuple[str, ...]) -> float:
    return float(measures.loc[measures["measure"].isin(names), "mcse"].max())
