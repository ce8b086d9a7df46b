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
    check_shapes(R, r, beta.size)
    used = R.any(axis=0)
    b, V, A = beta[used], covariance[np.ix_(used, used)], R[:, used]
    _refuse_infinite(b, V)
    estimate = A @ b - r
    spread = A @ V @ A.T
    rows = _independent_rows(A, r)
    d, S = estimate[rows], spread[np.ix_(rows, rows)]
    root = np.sqrt(S.diagonal())
    statistic = float((d / root) @ np.linalg.solve(S / np.outer(root, root), d / root))
    p_value = chi2_tail(statistic, len(rows))
    return LinearTest(estimate, np.sqrt(spread.diagonal()), statistic, len(rows), p_value)


def linear_test_of_many(estimate: Vector, own: Vector, U: Matrix, K: Matrix) -> LinearTest:
    """Test that many parameters are 0, whose covariance is diag(own) + UKU'.

    By Woodbury's identity, with D = diag(own), in time and memory linear in their number m:

        V⁻¹ = D⁻¹ − D⁻¹U (I + KU'D⁻¹U)⁻¹ KU'D⁻¹

    Parameters
    ----------
    estimate, own
        Shape ``(m,)``; ``own`` positive.
    U, K
        Shapes ``(m, k)`` and ``(k, k)``.

    Raises
    ------
    OptionError
        If a parameter has no finite estimate or standard error.
    """
    _refuse_infinite(estimate, own, K)
    scaled = U / own[:, None]
    projected = scaled.T @ estimate
    inner = np.eye(len(K)) + K @ (U.T @ scaled)
    statistic = float(
        estimate @ (estimate / own) - projected @ np.linalg.solve(inner, K @ projected)
    )
    variance = own + np.einsum("gk,gk->g", U @ K, U)
    m = estimate.size
    return LinearTest(estimate, np.sqrt(variance), statistic, m, chi2_tail(statistic, m))


def _refuse_infinite(*needed: Matrix | Vector) -> None:
    if not all(np.isfinite(values).all() for values in needed):
        raise OptionError(
            "A coefficient of the hypothesis has no finite estimate or standard error; see "
            "fit.diagnostics."
        )


def check_shapes(R: Matrix, r: Vector, size: int) -> None:
    """Refuse what is no hypothesis on ``size`` coefficients.

    Raises
    ------
    OptionError
        See :func:`linear_test`.
    """
    if R.ndim != 2 or R.shape[1] != size or r.shape != (R.shape[0],) or not R.size:
        raise OptionError(
            f"A hypothesis matrix of shape {R.shape} with right-hand sides of shape {r.shape} "
            f"does not fit {size} coefficients: give shapes (m, {size}) and (m,)."
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
