"""Tables of a page, and what they are computed from: measures in, Markdown out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multilogit.study.estimators import ESTIMATORS
from multilogit.study.measures import inside, kind_of


def title_of(name: str) -> str:
    """What pages call an estimator."""
    return ESTIMATORS[name].title if name in ESTIMATORS else name


def wide(chosen: pd.DataFrame) -> pd.DataFrame:
    """Cells down, estimators across; (value, mcse) in every field."""
    pairs = list(zip(chosen["value"], chosen["mcse"], strict=True))
    table = chosen.assign(pair=pairs).pivot(index="cell", columns="estimator", values="pair")
    order = list(dict.fromkeys(chosen["estimator"]))
    return table.loc[list(dict.fromkeys(chosen["cell"])), order]


def of_pairs(table: pd.DataFrame, form: str, errors: bool = False) -> str:
    """Markdown of a table of (value, mcse), with the Monte Carlo errors in brackets or without."""

    def shown(pair: Any) -> str:
        if not isinstance(pair, tuple) or np.isnan(pair[0]):
            return ""
        text = form.format(pair[0])
        return f"{text} ({form.format(pair[1])})" if errors and np.isfinite(pair[1]) else text

    return markdown(table.map(shown).rename(columns=title_of).reset_index())


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [table.columns.astype(str).tolist(), ["---"] * table.shape[1]]
    lines += [[str(value).replace("|", "\\|") for value in row] for row in table.to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(value: object) -> object:
    """Three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else value


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


def overview(measures: pd.DataFrame, reference: str = "relative-entropy") -> pd.DataFrame:
    """One row per estimator: what it does over all cells, against a reference.

    Returns
    -------
    DataFrame
        Index: estimators. ``unusable``: mean and ``worst`` share of fits over cells; ``beta``,
        ``sd``, ``probability``: geometric mean over cells and parameters of the RMSE (usable
        fits; of marginal probabilities: all) relative to the reference's; ``median``: the same of
        the median absolute error of β over all fits; ``loss``: mean of the median loss of log
        score in thousandths of a nat.
    """
    of = dict(iter(measures.groupby("measure")))
    failed = 1.0 - of["usable"].pivot(index="cell", columns="estimator", values="value")
    kinds = measures["parameter"].map(kind_of)
    rmse = measures[(measures["measure"] == "rmse") & (measures["value"] > 0.0)]
    absolute = measures[(measures["measure"] == "median_absolute_error") & (kinds == "beta")]
    loss = of["log_score_loss_median"].pivot(index="cell", columns="estimator", values="value")
    return pd.DataFrame(
        {
            "unusable": failed.mean(),
            "worst": failed.max(),
            "beta": _relative(rmse[kinds[rmse.index] == "beta"], reference),
            "median": _relative(absolute, reference),
            "sd": _relative(rmse[kinds[rmse.index] == "sd"], reference),
            "probability": _relative(of["probability_rmse"], reference),
            "loss": 1000.0 * loss.replace(np.inf, np.nan).mean(),
            "seconds": of["seconds_median"].groupby("estimator")["value"].median(),
        }
    ).loc[list(dict.fromkeys(measures["estimator"]))]


def overview_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`overview` with titles and digits as they are printed."""
    return pd.DataFrame(
        {
            "estimator": [title_of(name) for name in table.index],
            "not usable": [f"{100 * x:.1f}" for x in table["unusable"]],
            "worst": [f"{100 * x:.1f}" for x in table["worst"]],
            "RMSE β": [f"{x:.2f}" for x in table["beta"]],
            "median β": [f"{x:.2f}" for x in table["median"]],
            "RMSE σ": [f"{x:.2f}" for x in table["sd"]],
            "RMSE probability": [f"{x:.3f}" for x in table["probability"]],
            "loss": [f"{x:.1f}" for x in table["loss"]],
            "seconds": [f"{x:.2g}" for x in table["seconds"]],
        }
    )


def _relative(chosen: pd.DataFrame, reference: str) -> pd.Series:
    """Geometric mean over cells and parameters of ratios to the reference."""
    table = chosen.pivot(index=["cell", "parameter"], columns="estimator", values="value")
    ratio = table.div(table[reference], axis=0).replace(np.inf, np.nan)
    return np.exp(np.log(ratio).mean())


def coverages(measures: pd.DataFrame, kind: str | None = None) -> pd.DataFrame:
    """Coverage of every estimator and kind of interval over cells and parameters.

    Returns
    -------
    DataFrame
        Columns ``estimator``, ``interval``, ``mean``, ``worst`` (and its ``mcse``, ``cell``,
        ``parameter``), ``miss`` (mean |coverage − .95|), ``shortfall`` (mean of what is missing
        below .95), ``width`` (geometric mean of median widths); over β and standard deviations,
        or one ``kind`` of them. No interval is a miss.
    """
    measures = inside(measures)
    kinds = measures["parameter"].map(kind_of)
    measures = measures[kinds.isin(["beta", "sd"] if kind is None else [kind])]
    widths = measures[measures["measure"].str.startswith("width_")]
    widths = widths.assign(interval=widths["measure"].str.removeprefix("width_"))
    widths = widths.assign(log=np.log(widths["value"]))
    width = np.exp(widths.groupby(["estimator", "interval"])["log"].mean())
    chosen = measures[measures["measure"].str.startswith("coverage_all_")]
    chosen = chosen.assign(interval=chosen["measure"].str.removeprefix("coverage_all_"))
    rows = []
    for (name, interval), table in chosen.groupby(["estimator", "interval"], sort=False):
        worst = table.loc[table["value"].idxmin()]
        off = 0.95 - table["value"]
        rows.append(
            {
                "estimator": name,
                "interval": interval,
                "mean": table["value"].mean(),
                "worst": worst["value"],
                "mcse": worst["mcse"],
                "cell": worst["cell"],
                "parameter": worst["parameter"],
                "miss": off.abs().mean(),
                "shortfall": off.clip(lower=0.0).mean(),
                "width": width.get((name, interval), np.nan),
            }
        )
    return pd.DataFrame(rows)


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
