"""Wald tests of linear hypotheses Rβ = r: (Rβ̂ − r)'(RVR')⁻¹(Rβ̂ − r) against χ²."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multilogit.errors import OptionError
from multilogit.evaluation import Matrix, Vector
from multilogit.inference.likelihood_ratio import chi2_tail

_REDUNDANT = 1e-10
"""Part of its length that a row of R leaves on the rows before it: below, it follows from them."""


@dataclass(frozen=True, slots=True)
class LinearTest:
    """The test of Rβ = r.

    Attributes
    ----------
    estimate, std_error
        Shape ``(m,)``: Rβ̂ − r and its standard errors, row by row.
    statistic
        χ² of all rows together.
    df
        Rank of R: rows that follow from others do not count.
    p_value
        P(χ²_df ≥ statistic).
    """

    estimate: Vector
    std_error: Vector
    statistic: float
    df: int
    p_value: float


def linear_test(beta: Vector, covariance: Matrix, R: Matrix, r: Vector) -> LinearTest:
    """Test Rβ = r.

    Parameters
    ----------
    beta, covariance
        Shapes ``(k,)`` and ``(k, k)``.
    R, r
        Shapes ``(m, k)`` and ``(m,)``.

    Raises
    ------
    OptionError
        If shapes do not agree, a row is 0, rows contradict each other, or a coefficient that
        takes part has no standard error.
    """
    _check(beta, R, r)
    used = R.any(axis=0)
    b, V, A = beta[used], covariance[np.ix_(used, used)], R[:, used]
    if not (np.isfinite(b).all() and np.isfinite(V).all()):
        raise OptionError(
            "A coefficient of the hypothesis has no finite estimate or standard error; see "
            "fit.diagnostics."
        )
    estimate = A @ b - r
    spread = A @ V @ A.T
    rows = _independent_rows(A, r)
    d, S = estimate[rows], spread[np.ix_(rows, rows)]
    root = np.sqrt(S.diagonal())
    statistic = float((d / root) @ np.linalg.solve(S / np.outer(root, root), d / root))
    p_value = chi2_tail(statistic, len(rows))
    return LinearTest(estimate, np.sqrt(spread.diagonal()), statistic, len(rows), p_value)


def _check(beta: Vector, R: Matrix, r: Vector) -> None:
    if R.ndim != 2 or R.shape[1] != beta.size or r.shape != (R.shape[0],) or not R.size:
        raise OptionError(
            f"A hypothesis matrix of shape {R.shape} with right-hand sides of shape {r.shape} "
            f"does not fit {beta.size} coefficients: give shapes (m, {beta.size}) and (m,)."
        )
    if not (np.isfinite(R).all() and np.isfinite(r).all()):
        raise OptionError("The hypothesis contains NaN or infinite numbers.")
    empty = np.flatnonzero(~R.any(axis=1))
    if empty.size:
        raise OptionError(f"Row {empty[0]} of the hypothesis matrix is all zero; leave it out.")


def _independent_rows(R: Matrix, r: Vector) -> list[int]:
    """Rows that do not follow from earlier ones (Gram–Schmidt, twice)."""
    basis: list[Vector] = []
    values: list[float] = []
    kept = []
    for k, row in enumerate(R):
        length = float(np.linalg.norm(row))
        rest, value = row / length, float(r[k]) / length
        for _ in range(2):
            for direction, known in zip(basis, values, strict=True):
                share = float(direction @ rest)
                rest, value = rest - share * direction, value - share * known
        left = float(np.linalg.norm(rest))
        if left > _REDUNDANT:
            basis.append(rest / left)
            values.append(value / left)
            kept.append(k)
        elif abs(value) > 1e-8 * (1.0 + abs(float(r[k]) / length)):
            raise OptionError(f"Hypothesis {k} (from 0) contradicts the ones before it.")
    return kept
