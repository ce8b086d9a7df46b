"""The claims, stated and judged one by one from measures: supported, mixed, refuted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from multilogit.study.measures import LARGEST_LOSS, inside

Verdict = Literal["supported", "mixed", "refuted", "not decided"]

_Z = 2.0
"""Differences beyond so many Monte Carlo standard errors count."""
_FEWEST = 30
"""Claims are not decided where fewer replicates were compared."""
_NOMINAL, _ENOUGH = 0.95, 0.925
_OURS, _ML, _NUTS = "relative-entropy", "ml", "nuts"
_MARGIN = 0.05
"""Errors of probabilities within this part of MCMC's are as good as its."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim and what the study says.

    Attributes
    ----------
    claim
        The sentence.
    verdict
        Of the numbers.
    because
        The numbers, in a sentence.
    table
        Their source, cell by cell.
    """

    claim: str
    verdict: Verdict
    because: str
    table: pd.DataFrame


def judge(measures: pd.DataFrame) -> list[Judged]:
    """All claims that the estimators of a study allow to judge."""
    there = set(measures["estimator"])
    measures = inside(measures)
    return [judged(measures) for needed, judged in CLAIMS if set(needed) <= there]


def degeneracy(measures: pd.DataFrame) -> Judged:
    """Fewer failures and extreme estimates than maximum likelihood."""
    gain = _paired(measures, "usable", _ML)
    table = _signed(gain.assign(value=-gain["value"]))
    ours = _rate(measures, "usable", _OURS)
    ml = _rate(measures, "usable", _ML)
    return Judged(
        "The entropy-regularised estimator converges more often than maximum likelihood, with "
        "fewer extreme estimates.",
        _verdict(table),
        f"Fits that are not usable: at most {1 - ours.min():.1%} in a cell against "
        f"{1 - ml.min():.1%}; {_counted(table)}.",
        table,
    )


def accuracy(measures: pd.DataFrame) -> Judged:
    """Marginal probabilities as accurate as those of MCMC under the same prior."""
    theirs = _of(measures, "probability_rmse", _NUTS)
    table = _signed(_paired(measures, "probability_rmse", _NUTS))
    relative = (table["value"] / theirs.reindex(table.index)).rename("relative")
    table = table.join(relative)
    table["sign"] = table["sign"].where(relative.abs() > _MARGIN, 0)
    return Judged(
        "Its probabilities are as accurate as those of full MCMC under the same prior.",
        _verdict(table, equal_is_enough=True),
        f"The RMSE of marginal probabilities differs by {relative.min():+.1%} to "
        f"{relative.max():+.1%} of MCMC's ({theirs.mean():.3f} on average; {relative.mean():+.1%} "
        f"on average); differences within {_MARGIN:.0%} count as none; {_counted(table)}.",
        table,
    )


def calibration(measures: pd.DataFrame) -> Judged:
    """Coverage as near to 95 % as that of MCMC."""
    kinds = {_OURS: ("wald", "posterior", "profile"), _NUTS: ("posterior",)}
    off = {
        (name, kind): _off_nominal(measures, name, f"coverage_all_{kind}")
        for name, every in kinds.items()
        for kind in every
    }
    nuts = off.pop((_NUTS, "posterior"))
    off = {key: table[table.index.isin(nuts.index)] for key, table in off.items()}
    (_, best), ours = min(off.items(), key=lambda item: item[1]["value"].mean())
    table = _signed(_difference(ours, nuts))
    return Judged(
        "Its intervals are as well calibrated as MCMC's.",
        _verdict(table, equal_is_enough=True),
        f"Coverage misses 95 % by {ours['value'].mean():.3f} on average ({best} intervals; worst "
        f"{ours['value'].max():.3f}), MCMC's by {nuts['value'].mean():.3f} (worst "
        f"{nuts['value'].max():.3f}); {_counted(table)}.",
        table,
    )


def cost(measures: pd.DataFrame) -> Judged:
    """More than a thousand times faster than MCMC."""
    ratio = _of(measures, "seconds_median", _NUTS) / _of(measures, "seconds_median", _OURS)
    ratio = ratio.dropna()
    low, high = ratio.min(), ratio.max()
    verdict: Verdict = "supported" if low >= 1000.0 else "mixed" if high >= 1000.0 else "refuted"
    return Judged(
        "It is more than 1000 times faster than MCMC.",
        verdict,
        f"The ratio of median seconds is {low:,.0f} to {high:,.0f} (geometric mean "
        f"{np.exp(np.log(ratio).mean()):,.0f}); compilation is not counted.",
        ratio.rename("value").to_frame(),
    )


def worse(measures: pd.DataFrame) -> Judged:
    """Where the entropy prior predicts worse than maximum likelihood."""
    table = _signed(_paired(measures, "loss", _ML))
    names = ", ".join(table.index[table["sign"] > 0]) or "none"
    return Judged(
        "It predicts fresh groups no worse than maximum likelihood anywhere.",
        _verdict(table, equal_is_enough=True),
        f"Loss of log score (cut at {LARGEST_LOSS:g}) against maximum likelihood: "
        f"{_counted(table)}; worse in: {names}.",
        table,
    )


def nominal(measures: pd.DataFrame) -> Judged:
    """Default intervals cover 95 % of the time."""
    rows = measures[(measures["estimator"] == _OURS) & (measures["measure"] == "coverage_wald")]
    table = rows.set_index(["cell", "parameter"])[["value", "mcse", "n"]]
    least_error = np.sqrt(_ENOUGH * (1.0 - _ENOUGH) / table["n"])  # a rate of 0 has an error too
    error = np.maximum(table["mcse"], least_error)
    table = _signed(table.assign(value=_ENOUGH - table["value"], mcse=error))
    worst = rows.loc[rows["value"].idxmin()]
    return Judged(
        "Its default (Wald) intervals cover at least 92.5 % of the time, nominally 95 %.",
        _verdict(table, equal_is_enough=True),
        f"Mean coverage {rows['value'].mean():.3f}; least {worst['value']:.3f} "
        f"({worst['parameter']}, {worst['cell']}); below 92.5 % beyond Monte Carlo error in "
        f"{(table['sign'] > 0).sum()} of {len(table)} parameters.",
        table,
    )


CLAIMS: tuple[
    tuple[tuple[str, ...], Callable[[pd.DataFrame], Judged]],
    ...,
] = (
    ((_OURS, _ML), degeneracy),
    ((_OURS, _NUTS), accuracy),
    ((_OURS, _NUTS), calibration),
    ((_OURS, _NUTS), cost),
    ((_OURS,), nominal),
    ((_OURS, _ML), worse),
)
"""Estimators that a claim is about, and its judge."""


def _of(measures: pd.DataFrame, measure: str, estimator: str) -> pd.Series:
    """Values of a measure of whole fits, by cell."""
    chosen = (measures["measure"] == measure) & (measures["estimator"] == estimator)
    return measures[chosen].set_index("cell")["value"]


_rate = _of


def _paired(measures: pd.DataFrame, column: str, other: str) -> pd.DataFrame:
    """Differences of ours from another on the same data: index cells; value, mcse, n."""
    chosen = measures["measure"] == f"{column}_minus_{other}"
    table = measures[chosen & (measures["estimator"] == _OURS)]
    return table.set_index("cell")[["value", "mcse", "n"]]


def _off_nominal(measures: pd.DataFrame, estimator: str, measure: str) -> pd.DataFrame:
    """|coverage − .95| of β and σ, beyond what n replicates explain on average."""
    chosen = (measures["measure"] == measure) & (measures["estimator"] == estimator)
    table = measures[chosen].set_index(["cell", "parameter"])
    noise = np.sqrt(2.0 / np.pi * _NOMINAL * (1.0 - _NOMINAL) / table["n"])
    return table.assign(value=((table["value"] - _NOMINAL).abs() - noise).clip(lower=0.0))


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    both = a.merge(b, left_index=True, right_index=True, suffixes=("_a", "_b"))
    nominal_b = np.sqrt(_NOMINAL * (1.0 - _NOMINAL) / both["n_b"])
    return pd.DataFrame(
        {
            "value": both["value_a"] - both["value_b"],
            "mcse": np.hypot(both["mcse_a"], np.maximum(both["mcse_b"], nominal_b)),
            "n": both["n_b"],
        }
    )


def _signed(table: pd.DataFrame) -> pd.DataFrame:
    """``sign``: 1 where the value is above 0 beyond Monte Carlo error, −1 below, else 0."""
    far = table["value"].abs() > _Z * table["mcse"].fillna(np.inf)
    return table.assign(sign=np.where(far, np.sign(table["value"]), 0.0).astype(int))


def _verdict(table: pd.DataFrame, equal_is_enough: bool = False) -> Verdict:
    """From signs: −1 speaks for the claim, 1 against it."""
    if table.empty or table["n"].min() < _FEWEST:
        return "not decided"
    better, worse = (table["sign"] < 0).any(), (table["sign"] > 0).any()
    if worse:
        return "mixed" if better or (table["sign"] <= 0).mean() >= 0.5 else "refuted"
    return "supported" if better or equal_is_enough else "not decided"


def _counted(table: pd.DataFrame) -> str:
    better, worse = int((table["sign"] < 0).sum()), int((table["sign"] > 0).sum())
    return f"better in {better}, worse in {worse} of {len(table)} comparisons, else equal"
