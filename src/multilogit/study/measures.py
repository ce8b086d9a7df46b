"""Performance measures with their Monte Carlo standard errors (Morris et al. 2019, table 6).

Nothing is dropped in silence: measures that can only be had from some of the fits (bias, RMSE)
stand beside the share of fits that they are from, and beside medians over all fits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from multilogit.assess.p_values import kolmogorov_smirnov
from multilogit.evaluation import Vector
from multilogit.study.designs import INTERVALS
from multilogit.study.store import Results

BOUNDARY = 1e-4
"""A standard deviation below this is on the boundary."""

LARGEST_LOSS = 1.0
"""Losses of log score, in nats per row, are cut here."""
BINS = 20
"""Of the histograms of posterior probabilities."""
AGAINST = ("ml", "nuts")
"""Estimators that the others are compared with on the same data."""
_COMPARED = ("usable", "probability_rmse", "loss")

COLUMNS = ("cell", "estimator", "measure", "parameter", "value", "mcse", "n")
_WHOLE = ""
"""The parameter of measures that belong to the whole fit."""


def summarise(results: Results) -> pd.DataFrame:
    """Every measure of every cell and estimator, one row each.

    Returns
    -------
    DataFrame
        Columns ``cell``, ``estimator``, ``measure``, ``parameter`` (empty: the whole fit),
        ``value``, ``mcse`` (Monte Carlo standard error), ``n`` (fits behind the value).

    Notes
    -----
    ``converged``: the method trusts its estimate. ``extreme``: some |β̂| or its standard error
    is above the design's limit (30), or not finite. ``boundary``: some σ̂ is 0 in a fit that is
    not extreme. ``usable``: converged and not extreme. ``bias``, ``rmse``, ``empirical_se``: over
    usable fits; ``median_error``, ``median_absolute_error``: over all fits, no estimate counting
    as infinitely wrong. ``coverage_…``: over usable fits with an interval; ``coverage_all_…``:
    over all fits, no interval counting as a miss; ``width_…``: median. ``truth``: its mean.

    ``usable_minus_ml`` and the like: mean differences from another estimator on the same data
    (columns ``usable``, ``probability_rmse``, ``loss``; others ``ml``, ``nuts``). ``unusable``:
    by the rule of a publication, ``unusable_boundary`` the part of it that is σ̂ = 0 and nothing
    else. Where truth is drawn from the prior, ``below_00`` … ``below_19``: shares of the
    posterior probabilities below the truth in twentieths of (0, 1), and ``ks``: √n times their
    Kolmogorov–Smirnov distance from uniform.
    """
    labelled = label(results)
    rows: list[dict[str, object]] = []
    by = ["cell", "estimator"]
    for (cell, estimator), fits in labelled.groupby(by, sort=False):
        for measure, value, mcse, n in _of_fits(fits):
            rows.append(_row(cell, estimator, measure, _WHOLE, value, mcse, n))
    joined = results.parameters.merge(labelled[[*by, "replicate", "usable"]], on=[*by, "replicate"])
    drawn = {cell.name for cell in results.design.cells if cell.truth == "prior"}
    for (cell, estimator, parameter), table in joined.groupby([*by, "parameter"], sort=False):
        found = [*_of_parameter(table), *(_of_ranks(table) if cell in drawn else ())]
        for measure, value, mcse, n in found:
            rows.append(_row(cell, estimator, measure, parameter, value, mcse, n))
    rows += _differences(labelled)
    if results.design.unusable:
        rows += _unusable(results, labelled)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def label(results: Results) -> pd.DataFrame:
    """``results.fits`` with the columns ``extreme``, ``boundary``, ``usable`` and ``loss``.

    ``loss`` is that of log score on fresh groups, at most 1: failures count as much and no more.
    """
    fits, parameters, most = results.fits, results.parameters, results.design.extreme
    by = ["cell", "estimator", "replicate"]
    beta = parameters[parameters["kind"] == "beta"]
    sane = beta["estimate"].abs().le(most) & beta["se"].le(most)  # NaN is not sane
    sd = parameters[parameters["kind"] == "sd"]
    at_zero = sd["estimate"].lt(BOUNDARY)
    keys = fits.set_index(by).index
    extreme = ~_by_fit(sane, beta, by, "all").reindex(keys, fill_value=True).to_numpy()
    boundary = _by_fit(at_zero, sd, by, "any").reindex(keys, fill_value=False).to_numpy() & ~extreme
    usable = fits["converged"].to_numpy(dtype=bool) & ~extreme
    loss = (fits["log_score_truth"] - fits["log_score"]).fillna(LARGEST_LOSS)
    loss = loss.clip(upper=LARGEST_LOSS)
    return fits.assign(extreme=extreme, boundary=boundary, usable=usable, loss=loss)


def _by_fit(flags: pd.Series, of: pd.DataFrame, by: list[str], how: str) -> pd.Series:
    return flags.groupby([of[name] for name in by]).agg(how).astype(bool)


def _row(*values: object) -> dict[str, object]:
    return dict(zip(COLUMNS, values, strict=True))


Measured = tuple[str, float, float, int]
"""Name, value, Monte Carlo standard error, number of fits."""


def _of_fits(fits: pd.DataFrame) -> Iterator[Measured]:
    """Measures of whole fits."""
    for name in ("converged", "extreme", "boundary", "usable"):
        yield (name, *rate(fits[name].to_numpy(dtype=float)))
    yield ("seconds_mean", *mean(fits["seconds"].to_numpy()))
    yield ("seconds_median", *median(fits["seconds"].to_numpy()))
    regret = (fits["log_score_truth"] - fits["log_score"]).fillna(np.inf).to_numpy()
    yield ("log_score_loss_median", *median(regret))
    yield ("log_score_loss", *mean(regret[fits["usable"].to_numpy()]))
    error = fits["probability_rmse"].to_numpy()
    yield ("probability_rmse", *mean(error[np.isfinite(error)]))
    for name in ("rhat", "ess"):
        if fits[name].notna().any():
            yield (f"{name}_median", *median(fits[name].dropna().to_numpy()))


def _of_parameter(table: pd.DataFrame) -> Iterator[Measured]:
    """Measures of one parameter in one cell."""
    yield ("truth", *mean(table["truth"].to_numpy()))
    usable = table["usable"].to_numpy(dtype=bool)
    error = (table["estimate"] - table["truth"]).to_numpy()
    good = error[usable & np.isfinite(error)]
    yield ("bias", *mean(good))
    yield ("rmse", *root_mean_square(good))
    yield ("empirical_se", *spread(good))
    yield ("median_error", *median(np.where(np.isnan(error), np.inf, error)))
    yield ("median_absolute_error", *median(np.where(np.isnan(error), np.inf, np.abs(error))))
    se = table["se"].to_numpy()
    yield ("model_se", *mean(se[usable & np.isfinite(se)]))
    for kind in INTERVALS:
        if f"{kind}_lower" in table:
            yield from _of_intervals(table, kind, usable)


def _of_intervals(table: pd.DataFrame, kind: str, usable: np.ndarray) -> Iterator[Measured]:
    lower, upper = table[f"{kind}_lower"].to_numpy(), table[f"{kind}_upper"].to_numpy()
    truth = table["truth"].to_numpy()
    there = ~(np.isnan(lower) | np.isnan(upper))
    if not there.any():
        return
    covers = there & (lower <= truth) & (truth <= upper)
    yield (f"coverage_{kind}", *rate(covers[usable & there].astype(float)))
    yield (f"coverage_all_{kind}", *rate(covers.astype(float)))
    yield (f"width_{kind}", *median((upper - lower)[usable & there]))


def _of_ranks(table: pd.DataFrame) -> Iterator[Measured]:
    """Histogram and uniformity of posterior probabilities below the truth."""
    values = table["posterior_below"].dropna().to_numpy()
    if not values.size:
        return
    bins = np.minimum((values * BINS).astype(int), BINS - 1)
    for k in range(BINS):
        yield (f"below_{k:02d}", *rate((bins == k).astype(float)))
    yield ("ks", uniformity(values)[1], np.nan, values.size)


def _differences(labelled: pd.DataFrame) -> list[dict[str, object]]:
    """Every estimator against those of ``AGAINST``, on the same data."""
    rows = []
    names = list(dict.fromkeys(labelled["estimator"]))
    for other in set(AGAINST) & set(names):
        for estimator in names:
            for column in _COMPARED if estimator != other else ():
                for found in paired(labelled, column, estimator, other).itertuples():
                    name = f"{column}_minus_{other}"
                    values = (found.value, found.mcse, found.n)
                    rows.append(_row(found.Index, estimator, name, _WHOLE, *values))
    return rows


def kind_of(parameter: str) -> str:
    """``"beta"``, ``"sd"`` or ``"cor"``, from a name as in ``fit.confint``."""
    grouped = parameter.endswith("|g")
    return parameter.split("_")[0] if grouped else "beta"


def inside(measures: pd.DataFrame) -> pd.DataFrame:
    """``measures`` without standard deviations whose truth is 0, which no interval is to cover.

    An interval for log σ holds no 0, nor does a posterior quantile interval.
    """
    truth = measures[(measures["measure"] == "truth") & (measures["value"] == 0.0)]
    at_zero = truth[truth["parameter"].map(kind_of) == "sd"]
    zero = set(zip(at_zero["cell"], at_zero["parameter"], strict=True))
    pairs = zip(measures["cell"], measures["parameter"], strict=True)
    return measures[[pair not in zero for pair in pairs]]


def rate(hits: Vector) -> tuple[float, float, int]:
    """A share p, √(p(1 − p)/n), n."""
    if not hits.size:
        return np.nan, np.nan, 0
    p = float(hits.mean())
    return p, float(np.sqrt(p * (1.0 - p) / hits.size)), hits.size


def mean(values: Vector) -> tuple[float, float, int]:
    """Mean, sd/√n, n."""
    if not values.size:
        return np.nan, np.nan, 0
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else np.nan
    return float(values.mean()), error, values.size


def spread(values: Vector) -> tuple[float, float, int]:
    """Standard deviation s, s/√(2(n − 1)), n."""
    if values.size < 2:
        return np.nan, np.nan, values.size
    s = float(values.std(ddof=1))
    return s, s / np.sqrt(2.0 * (values.size - 1)), values.size


def root_mean_square(values: Vector) -> tuple[float, float, int]:
    """√(mean e²), by the delta method sd(e²)/(2 RMSE √n), n."""
    square, error, n = mean(values**2)
    root = float(np.sqrt(square))
    return root, error / (2.0 * root) if root > 0.0 else 0.0, n


def median(values: Vector) -> tuple[float, float, int]:
    """Median, half the distance of the order statistics at n/2 ± √n/2, n; infinities count."""
    n = values.size
    if not n:
        return np.nan, np.nan, 0
    ordered = np.sort(values)
    half = 0.5 * np.sqrt(n)
    low, high = int(max(0, np.floor(n / 2 - half))), int(min(n - 1, np.ceil(n / 2 + half)))
    with np.errstate(invalid="ignore"):
        return float(np.median(ordered)), float(0.5 * (ordered[high] - ordered[low])), n


def _unusable(results: Results, labelled: pd.DataFrame) -> list[dict[str, object]]:
    """Shares of estimates that are unusable by the rule of a publication."""
    rule = results.design.unusable
    by = ["cell", "estimator", "replicate"]
    name = rule["parameter"]
    table = results.parameters[results.parameters["parameter"] == name].merge(labelled, on=by)
    size = table["estimate"].abs()
    bad = ~size.between(rule.get("least", 0.0), rule["most"]) | ~table["converged"]
    bad |= table["se"] > rule["most_se"]
    only_boundary = bad & table["converged"] & table["boundary"]
    rows = []
    for who, flags in bad.groupby([table["cell"], table["estimator"]], sort=False):
        rows.append(_row(*who, "unusable", name, *rate(flags.to_numpy(dtype=float))))
        boundary = only_boundary[flags.index].to_numpy(dtype=float)
        rows.append(_row(*who, "unusable_boundary", name, *rate(boundary)))
    return rows


def paired(labelled: pd.DataFrame, column: str, estimator: str, other: str) -> pd.DataFrame:
    """Mean differences of a column between two estimators on the same replicates.

    Parameters
    ----------
    labelled
        Of :func:`label`.

    Returns
    -------
    DataFrame
        Index: cells. Columns ``value``, ``mcse``, ``n``.
    """
    wide = labelled[labelled["estimator"].isin([estimator, other])].pivot(
        index=["cell", "replicate"], columns="estimator", values=column
    )
    difference = (wide[estimator].astype(float) - wide[other].astype(float)).dropna()
    found = {
        cell: mean(values.to_numpy())
        for cell, values in difference.groupby(level="cell", sort=False)
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=["value", "mcse", "n"])


def uniformity(values: Vector) -> tuple[float, float]:
    """Kolmogorov–Smirnov distance of probabilities from uniform, and √n times it."""
    distance, _ = kolmogorov_smirnov(values)
    return distance, distance * float(np.sqrt(values.size))
