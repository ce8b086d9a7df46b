"""Wald tests of a fit's coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multilogit.errors import OptionError
from multilogit.inference.hypotheses import Hypotheses, Weights, parse
from multilogit.inference.wald import p_values, z_values
from multilogit.inference.wald_test import (
    LinearTest,
    check_shapes,
    linear_test,
    linear_test_of_many,
)
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import coefficient_names


@dataclass(frozen=True, eq=False, repr=False)
class WaldTest:
    """The joint Wald test of linear hypotheses Rβ = r.

    Attributes
    ----------
    table
        One row per hypothesis: ``estimate`` (Rβ̂ − r), ``std_error``, ``statistic`` (z) and
        ``p_value`` of the row alone.
    statistic, df, p_value
        χ² of all rows together, its degrees of freedom (rows that follow from others do not
        count), and the probability of a larger one.
    """

    table: pd.DataFrame
    statistic: float
    df: int
    p_value: float

    def __repr__(self) -> str:
        """The rows, and the joint test."""
        joint = f"chisq = {self.statistic:.4f}, df = {self.df}, p = {self.p_value:.4g}"
        return f"{self.table.to_string(float_format='{:.4g}'.format)}\n\nJoint Wald test: {joint}"


def covariance_of(fit: Estimates, names: Sequence[str]) -> pd.DataFrame:
    """The matrix that :meth:`multilogit.result.Fit.vcov_of` describes."""
    place = {name: k for k, name in enumerate(coefficient_names(fit.labels))}
    asked = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in asked if name not in place]
    if unknown:
        raise OptionError(f"There is no coefficient {unknown[0]!r}; see fit.coef.")
    chosen = np.array([place[name] for name in asked], dtype=np.intp)
    return pd.DataFrame(fit._covariance_of(chosen), index=asked, columns=asked)


def wald_test(fit: Estimates, hypothesis: object, value: object) -> WaldTest:
    """The test as :meth:`multilogit.result.Fit.test` describes it."""
    asked = _hypotheses(fit, hypothesis, value)
    tested = _tested(fit, asked)
    return WaldTest(_rows(tested, asked), tested.statistic, tested.df, tested.p_value)


def _tested(fit: Estimates, asked: Hypotheses) -> LinearTest:
    """The test; of coefficients of very many levels without their covariance matrix."""
    beta, selected, used = fit.solution.psi, asked.selected, asked.used
    if fit.levels is not None and selected is not None and fit.levels.are_levels(selected):
        own, U, K = fit.levels.arrow(fit._of_others, selected)
        return linear_test_of_many(beta[selected] - asked.r, own, U, K)
    return linear_test(beta[used], fit._covariance_of(used), asked.among(used), asked.r)


def _rows(tested: LinearTest, asked: Hypotheses) -> pd.DataFrame:
    z = z_values(tested.estimate, tested.std_error)
    columns = {"estimate": tested.estimate, "std_error": tested.std_error}
    columns |= {"statistic": z, "p_value": p_values(z)}
    return pd.DataFrame(columns, index=pd.Index(asked.labels, name="hypothesis"))


def _hypotheses(fit: Estimates, hypothesis: object, value: object) -> Hypotheses:
    names = coefficient_names(fit.labels)
    if isinstance(hypothesis, str):
        if value is not None:
            raise OptionError("value= belongs to a matrix; write numbers into the text.")
        return parse(hypothesis, names, terms_of(fit))
    try:
        R = np.atleast_2d(np.asarray(hypothesis, dtype=np.float64))
        r = np.zeros(R.shape[0]) if value is None else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(
            f"The hypothesis {hypothesis!r} is neither text such as 'x = 0' nor a matrix."
        ) from None
    r = np.broadcast_to(r, R.shape[:1]) if r.ndim == 0 else r
    check_shapes(R, r, len(names))
    rows = tuple({k: float(row[k]) for k in np.flatnonzero(row).tolist()} for row in R)
    labels = tuple(_written(row, names, at) for row, at in zip(rows, r.tolist(), strict=True))
    return Hypotheses(rows, r, labels, len(names))


def _written(row: Weights, names: list[str], value: float) -> str:
    """A row of R as people write it."""
    parts = []
    for k, weight in row.items():
        size = "" if abs(weight) == 1.0 else f"{abs(weight):g}*"
        parts.append(f"{'-' if weight < 0 else '+'} {size}{names[k]}")
    return f"{' '.join(parts).removeprefix('+ ')} = {value:g}"


def terms_of(fit: Estimates) -> dict[str, list[int]]:
    """For each term of the formula its coefficients, in all logits."""
    terms = fit.labels.terms
    p = len(terms)
    found: dict[str, list[int]] = {}
    for logit in range(fit.labels.n_logits):
        for k, term in enumerate(terms):
            found.setdefault(term, []).append(logit * p + k)
    return found


def test_terms(fit: Estimates) -> pd.DataFrame:
    """The table as :meth:`multilogit.result.Fit.test_terms` describes it."""
    size = len(coefficient_names(fit.labels))
    rows = {}
    for term, members in terms_of(fit).items():
        zero = np.zeros(len(members))
        tested = _tested(fit, Hypotheses(tuple({k: 1.0} for k in members), zero, (), size))
        rows[term] = {"chisq": tested.statistic, "df": tested.df, "p_value": tested.p_value}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("term").astype({"df": int})
