"""The page of a study: every number comes from the stored results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multilogit.extras import require
from multilogit.study.designs import INTERVALS, StudyError
from multilogit.study.estimators import ESTIMATORS
from multilogit.study.judging import judge
from multilogit.study.measures import inside, summarise, uniformity, unusable
from multilogit.study.store import Results, Store

_KS_5 = 1.358
"""√n times the Kolmogorov–Smirnov distance that uniform numbers exceed in 5 % of samples."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure and its file's stem."""

    stem: str
    figure: Any
    text: str


Piece = str | Picture
Section = Callable[[Results, pd.DataFrame], Iterator[Piece]]


def write_report(store: str | Path | Store, output: str | Path) -> Path:
    """Write the page of a study: Markdown, with figures beside it.

    Parameters
    ----------
    store
        Directory of results.
    output
        The Markdown file; its figures go into the directory of the same name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StudyError
        If there are no results, or the page cannot be written.
    MissingExtraError
        Without matplotlib or pyarrow.
    """
    results = (store if isinstance(store, Store) else Store(Path(store))).results()
    measures = summarise(results)
    page = Path(output)
    pieces: list[Piece] = [*_head(results)]
    for name in results.design.report or ("degeneracy", "accuracy", "coverage", "cost"):
        if name not in SECTIONS:
            raise StudyError(f"[run] report: no section {name!r}; available: {list(SECTIONS)}.")
        pieces += SECTIONS[name](results, measures)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join(_written(piece, page) for piece in pieces)
        beside = page.with_suffix(".tmp")
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, page)
    except OSError as error:
        raise StudyError(f"{str(page)!r} cannot be written: {error.strerror}.") from None
    return page


def _written(piece: Piece, page: Path) -> str:
    if isinstance(piece, str):
        return piece
    directory = page.with_suffix("")
    directory.mkdir(exist_ok=True)
    piece.figure.savefig(directory / f"{piece.stem}.png", dpi=130)
    return f"![{piece.text}]({directory.name}/{piece.stem}.png)"


def _head(results: Results) -> Iterator[str]:
    design, fits = results.design, results.fits
    yield f"# {design.title}"
    asked = {name: design.replicates_for(name) for name in design.estimators}
    done = fits.groupby(["cell", "estimator"]).size()
    yield (
        f"{len(design.cells)} cells, {fits['estimator'].nunique()} estimators, "
        f"{len(fits):,} fits. Written by `multilogit study report` from stored results; seeds "
        "belong to design, cell and replicate, so that anyone gets the same data."
    )
    short = [
        f"{cell}: {_title(name)} has {done.get((cell, name), 0)} of {n} replicates"
        for name, n in asked.items()
        for cell in [c.name for c in design.cells_for(name)]
        if done.get((cell, name), 0) < n
    ]
    if short:
        shown = "; ".join(short[:5])
        yield f"**Not complete**: {len(short)} combinations, among them {shown}."
    for key, text in design.ademp.items():
        yield f"**{key.capitalize()}.** {text}"


def _degeneracy(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Failures, extreme estimates, boundaries"
    yield (
        "Percent of fits. *Not converged*: the method itself says so. *Extreme*: some |β̂| or "
        f"standard error above {results.design.extreme:g}, or not finite. *Boundary*: σ̂ = 0 in a "
        "fit that is not extreme, a legitimate estimate. Monte Carlo errors are at most "
        f"{_percent(_worst_mcse(measures, ('converged', 'extreme', 'boundary')))}."
    )
    for measure, title in (
        ("converged", "Not converged"), ("extreme", "Extreme"), ("boundary", "Boundary"),
    ):  # fmt: skip
        chosen = measures[measures["measure"] == measure]
        values = 1.0 - chosen["value"] if measure == "converged" else chosen["value"]
        yield f"### {title}"
        yield _table(_wide(chosen.assign(value=100.0 * values)), "{:.1f}")
    chosen = measures[measures["measure"] == "usable"]
    table = _named(chosen.assign(value=100.0 * (1.0 - chosen["value"]), mcse=100 * chosen["mcse"]))
    figure = _pictures().dots(
        table, "Fits that are not usable", "not converged or extreme; bars: two Monte Carlo errors",
        "percent",
    )  # fmt: skip
    yield Picture("degeneracy", figure, "Fits that are not usable, by cell and estimator")


def _accuracy(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Accuracy"
    yield (
        "Median absolute error over **all** fits (no estimate counts as infinitely wrong), then "
        "bias and RMSE over the usable ones, whose share is above. In brackets: Monte Carlo error."
    )
    parameters = measures[measures["parameter"] != ""]
    for measure, title in (
        ("median_absolute_error", "Median absolute error"), ("bias", "Bias"), ("rmse", "RMSE"),
    ):  # fmt: skip
        yield f"### {title}"
        chosen = parameters[parameters["measure"] == measure]
        label = chosen["cell"] + ": " + chosen["parameter"]
        yield _table(_wide(chosen.assign(cell=label)), "{:.2f}", errors=True)
    yield "### Marginal probabilities of fresh groups: RMSE × 100"
    chosen = measures[measures["measure"] == "probability_rmse"]
    scaled = chosen.assign(value=100.0 * chosen["value"], mcse=100.0 * chosen["mcse"])
    yield _table(_wide(scaled), "{:.2f}", errors=True)
    figure = _pictures().dots(
        _named(scaled),
        "Error of marginal probabilities",
        "RMSE × 100 on fresh groups",
        "RMSE × 100",
    )
    yield Picture("probabilities", figure, "RMSE of marginal probabilities")


def _coverage(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Coverage of 95 % intervals"
    yield (
        "Share of **all** fits whose interval holds the truth; no interval counts as a miss. Mean "
        "and worst over cells, for coefficients and standard deviations, and median widths. A "
        "standard deviation that is truly 0 is left out: no interval for log σ holds it."
    )
    measures = inside(results, measures)
    kinds = results.parameters[["parameter", "kind"]].drop_duplicates("parameter")
    rows = []
    for interval in INTERVALS:
        for measure in (f"coverage_all_{interval}", f"coverage_{interval}", f"width_{interval}"):
            chosen = measures[measures["measure"] == measure].merge(kinds, on="parameter")
            for (name, kind), group in chosen.groupby(["estimator", "kind"], sort=False):
                key = {"estimator": _title(name), "interval": interval, "of": kind}
                worst = group.loc[group["value"].idxmin()] if group["value"].notna().any() else None
                rows.append((key, measure, group["value"].mean(), worst))
    yield _coverage_table(rows)
    for kind in ("beta", "sd"):
        for interval in INTERVALS:
            measure = f"coverage_all_{interval}"
            chosen = measures[measures["measure"] == measure].merge(kinds, on="parameter")
            chosen = chosen[chosen["kind"] == kind]
            if chosen.empty:
                continue
            worst = chosen.loc[chosen.groupby(["cell", "estimator"])["value"].idxmin()]
            what = "coefficient" if kind == "beta" else "standard deviation"
            figure = _pictures().dots(
                _named(worst, chosen["cell"]), f"Coverage of {interval} intervals",
                f"of the {what} that is covered least in each cell", "coverage", 0.95,
            )  # fmt: skip
            yield Picture(f"coverage_{interval}_{kind}", figure, f"Coverage, {interval}, {what}")


def _coverage_table(rows: list[tuple[dict[str, str], str, float, Any]]) -> str:
    table: dict[tuple[str, ...], dict[str, str]] = {}
    for key, measure, average, worst in rows:
        line = table.setdefault(tuple(key.values()), dict(key))
        if measure.startswith("coverage_all"):
            line["mean"] = f"{average:.3f}"
            if worst is not None:
                line["worst"] = f"{worst['value']:.3f} ({worst['mcse']:.3f})"
                line["where"] = f"{worst['cell']}: {worst['parameter']}"
        elif measure.startswith("coverage"):
            line["mean, usable fits"] = f"{average:.3f}"
        else:
            line["width"] = f"{average:.2f}"
    return _markdown(pd.DataFrame(list(table.values())).fillna(""))


def _scores(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Log score of fresh groups"
    yield (
        "Median loss against the truth, in thousandths of a nat per row, over all fits; no "
        "estimate counts as an infinite loss."
    )
    chosen = measures[measures["measure"] == "log_score_loss_median"]
    scaled = chosen.assign(value=1000.0 * chosen["value"], mcse=1000.0 * chosen["mcse"])
    yield _table(_wide(scaled), "{:.1f}", errors=True)


def _cost(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Seconds"
    yield "Median seconds of a fit with its standard errors, one thread, no compilation counted."
    chosen = measures[measures["measure"] == "seconds_median"]
    yield _table(_wide(chosen), "{:.2g}")
    wide = chosen.pivot(index="cell", columns="estimator", values="value")
    slow = [name for name in wide if name.startswith("nuts")]
    for name in slow:
        ratio = wide.rdiv(wide[name], axis=0).drop(columns=name)
        geometric = np.exp(np.log(ratio).mean())
        shown = ", ".join(f"{_title(k)} {v:,.0f}" for k, v in geometric.items())
        yield f"{_title(name)} takes so many times longer (geometric mean over cells): {shown}."


def _claims(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## The claims, one by one"
    yield "Differences are between fits of the same data; they count beyond two Monte Carlo errors."
    for judged in judge(results, measures):
        yield f"### {judged.claim}"
        yield f"**{judged.verdict.capitalize()}.** {judged.because}"
        counted = judged.table.reset_index()
        if "sign" in counted and (counted["sign"] > 0).any():
            against = counted[counted["sign"] > 0].drop(columns="sign")
            yield "Against it:\n\n" + _markdown(against.map(_shown))


def _unusable(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Unusable estimates"
    rule = results.design.unusable
    yield (
        f"Percent of estimates of `{rule['parameter']}` that the publication's rule calls "
        "unusable, in brackets the part of them that is the boundary σ̂ = 0 and nothing else."
    )
    table = unusable(results)
    percents = 100.0 * table[["value", "boundary"]]
    text = [f"{every:.0f} ({boundary:.0f})" for every, boundary in percents.to_numpy()]
    shown = table.assign(text=text).pivot(index="cell", columns="estimator", values="text")
    order = [cell.name for cell in results.design.cells if cell.name in shown.index]
    yield _markdown(shown.loc[order].rename(columns=_title).reset_index())


def _published(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Against the published values"
    if not results.design.published:
        return
    ours = measures
    if results.design.unusable:
        rule = results.design.unusable["parameter"]
        extra = unusable(results).assign(measure="unusable", parameter=rule)
        ours = pd.concat([measures, extra.drop(columns="boundary")], ignore_index=True)
    table = compare_published(pd.DataFrame(list(results.design.published)), ours)
    off, size = int((table["z"].abs() > 3.0).sum()), np.sqrt((table["z"] ** 2).mean())
    yield (
        f"{len(table)} published values. z is the difference in Monte Carlo errors of both sides "
        f"together; beyond 3: {off}. Root mean square of z: {size:.2f}."
    )
    shown = table.assign(estimator=table["estimator"].map(_title))
    yield _markdown(shown.map(_shown))
    yield f"Source: {'; '.join(dict.fromkeys(e['source'] for e in results.design.published))}."


def compare_published(published: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Published and own values of the same measures, with z of their difference.

    The published side's Monte Carlo error is taken from its own number of replicates: for shares
    √(p(1 − p)/n), pooled; for others our error scaled to it; and half its last digit.
    """
    keys = ["cell", "estimator", "measure", "parameter"]
    table = published.drop(columns="source").merge(ours, on=keys, suffixes=("_published", ""))
    n_p, n = table["n_published"], table["n"]
    pooled = (table["value"] * n + table["value_published"] * n_p) / (n + n_p)
    rates = table["measure"] == "unusable"
    of_rate = np.sqrt((pooled * (1.0 - pooled)).clip(lower=0.0) * (1.0 / n + 1.0 / n_p))
    of_other = table["mcse"] * np.sqrt(1.0 + n / n_p)
    rounding = table["digit"] / np.sqrt(12.0)
    error = np.hypot(np.where(rates, of_rate, of_other), rounding)
    z = (table["value"] - table["value_published"]) / error
    return table.assign(z=z)[[*keys, "value_published", "value", "mcse", "n", "z"]]


def _calibration(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Posterior probabilities below the truth"
    yield (
        "Uniform where the posterior is right. √n × Kolmogorov–Smirnov distance; above "
        f"{_KS_5} in 5 % of samples even then."
    )
    table = results.parameters.dropna(subset="posterior_below")
    rows, found = [], []
    for (name, cell, parameter), group in table.groupby(
        ["estimator", "cell", "parameter"], sort=False
    ):
        values = group["posterior_below"].to_numpy()
        distance, scaled = uniformity(values)
        rows.append((_title(name), cell, parameter, values.size, distance, scaled))
        found.append((name, parameter, cell, values))
    columns = ["estimator", "cell", "parameter", "n", "distance", "√n × distance"]
    yield _markdown(pd.DataFrame(rows, columns=columns).map(_shown))
    for name in dict.fromkeys(each[0] for each in found):
        chosen = [each[1:] for each in found if each[0] == name]
        figure = _pictures().histograms(chosen, _title(name), "band: two errors of uniform counts")
        yield Picture(f"calibration_{name}", figure, f"Histograms of {_title(name)}")


def _consistency(results: Results, measures: pd.DataFrame) -> Iterator[Piece]:
    yield "## Errors and the number of groups"
    sizes = {cell.name: cell.groups for cell in results.design.cells}
    chosen = measures[measures["measure"] == "rmse"]
    table = chosen.assign(x=chosen["cell"].map(sizes))
    rows = []
    for (name, parameter), group in table.groupby(["estimator", "parameter"], sort=False):
        slope, error = log_slope(group)
        rows.append((_title(name), parameter, slope, error))
    yield _markdown(
        pd.DataFrame(rows, columns=["estimator", "parameter", "slope", "its error"]).map(_shown)
    )
    figure = _pictures().decline(
        _named(table), "groups", "RMSE against the number of groups", "dashed: slope −½"
    )
    yield Picture("consistency", figure, "RMSE against the number of groups")


def log_slope(table: pd.DataFrame) -> tuple[float, float]:
    """Slope of log RMSE on log x, weighted by Monte Carlo errors, and its standard error."""
    usable = table[(table["value"] > 0.0) & (table["mcse"] > 0.0)]
    x, y = np.log(usable["x"].to_numpy(dtype=float)), np.log(usable["value"].to_numpy())
    w = (usable["value"] / usable["mcse"]).to_numpy() ** 2
    if x.size < 2:
        return float("nan"), float("nan")
    centred = x - np.average(x, weights=w)
    information = float(w @ centred**2)
    return float(w @ (centred * y)) / information, float(1.0 / np.sqrt(information))


SECTIONS: dict[str, Section] = {
    "degeneracy": _degeneracy,
    "accuracy": _accuracy,
    "coverage": _coverage,
    "scores": _scores,
    "cost": _cost,
    "claims": _claims,
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


def _title(name: str) -> str:
    return ESTIMATORS[name].title if name in ESTIMATORS else name


def _named(table: pd.DataFrame, order: pd.Series | None = None) -> pd.DataFrame:
    """With titles of estimators; cells in the order of ``order``."""
    if order is not None:
        rank = {cell: k for k, cell in enumerate(dict.fromkeys(order))}
        table = table.sort_values("cell", key=lambda cells: cells.map(rank), kind="stable")
    return table.assign(estimator=table["estimator"].map(_title))


def _wide(chosen: pd.DataFrame) -> pd.DataFrame:
    """Cells down, estimators across; (value, mcse) in every field."""
    pairs = list(zip(chosen["value"], chosen["mcse"], strict=True))
    wide = chosen.assign(pair=pairs).pivot(index="cell", columns="estimator", values="pair")
    order = list(dict.fromkeys(chosen["estimator"]))
    return wide.loc[list(dict.fromkeys(chosen["cell"])), order]


def _table(wide: pd.DataFrame, form: str, errors: bool = False) -> str:
    def shown(pair: Any) -> str:
        if not isinstance(pair, tuple) or np.isnan(pair[0]):
            return ""
        text = form.format(pair[0])
        return f"{text} ({form.format(pair[1])})" if errors and np.isfinite(pair[1]) else text

    return _markdown(wide.map(shown).rename(columns=_title).reset_index())


def _markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [table.columns.astype(str).tolist(), ["---"] * table.shape[1]]
    lines += [[str(value).replace("|", "\\|") for value in row] for row in table.to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: object) -> object:
    return f"{value:.3g}" if isinstance(value, float) else value


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f} points"


def _worst_mcse(measures: pd.DataFrame, names: tuple[str, ...]) -> float:
    return float(measures.loc[measures["measure"].isin(names), "mcse"].max())
