"""Goodness of fit of single-level models.

Pearson's χ² and the deviance compare the data with the saturated model; their χ² distribution
needs large expected counts in every row. Where rows have few trials, use tests that do not:
Hosmer and Lemeshow's of binned counts, Osius and Rojek's normal approximation of Pearson's χ²,
Stukel's of the logistic link.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import erfc, expit

from multilogit.assess.bins import equal_parts
from multilogit.assess.p_values import chi_square_p
from multilogit.assess.residuals import all_counts, deviance_residuals
from multilogit.data.model_frame import Response
from multilogit.predict import Matrix, Vector

ENOUGH = 5.0
"""Expected counts above which the χ² distribution is good (Cochran 1954)."""
SHARE = 0.8
"""Share of the cells that must reach it."""


@dataclass(frozen=True, slots=True)
class GoodnessTest:
    """One test.

    Attributes
    ----------
    test
        ``"pearson"``, ``"deviance"``, ``"hosmer-lemeshow"``, ``"osius-rojek"``, ``"stukel"``.
    statistic
        χ², or z for Osius–Rojek.
    df
        Degrees of freedom; NaN for z.
    p_value
        NaN where the distribution of the statistic is not known.
    """

    test: str
    statistic: float
    df: float
    p_value: float


def saturated_tests(response: Response, pi: Matrix, n_parameters: int) -> Iterator[GoodnessTest]:
    """Pearson's χ² = Σ(y − nπ)²/nπ over all categories, and the deviance.

    p-values only where 80 % of the expected counts are at least 5.

    Parameters
    ----------
    response
        One row per covariate pattern, without weights.
    pi
        Shape ``(n, J)``.
    n_parameters
        Estimated parameters.
    """
    counts = all_counts(response)
    expected = response.trials[:, None] * pi
    positive = expected > 0.0
    cells = np.divide((counts - expected) ** 2, expected, out=np.zeros_like(pi), where=positive)
    df = float(np.count_nonzero(response.trials) * (pi.shape[1] - 1) - n_parameters)
    filled = float(np.mean(expected[response.trials > 0] >= ENOUGH)) >= SHARE
    deviance = float(np.sum(deviance_residuals(counts, pi) ** 2))
    for name, value in (("pearson", float(cells.sum())), ("deviance", deviance)):
        yield GoodnessTest(name, value, df, chi_square_p(value, df) if filled else np.nan)


def hosmer_lemeshow(
    response: Response, pi: Matrix, parts: int
) -> tuple[GoodnessTest, pd.DataFrame]:
    """Observed and expected counts in bins of the fitted probability.

    Σ (O − E)²/E over bins and categories, χ² with (g − 2)(J − 1) degrees of freedom (Hosmer &
    Lemeshow 1980; for J > 2 Fagerland, Hosmer & Bofin 2008, *Statistics in Medicine* 27,
    4238–4253, who bin by 1 − π of the baseline).

    Parameters
    ----------
    response
        Counts, trials and frequency weights.
    pi
        Shape ``(n, J)``.
    parts
        Bins, g; fewer where fitted probabilities coincide.

    Returns
    -------
    test, table
        The table has columns ``bin``, ``category``, ``trials``, ``observed``, ``expected``.
    """
    _, size = response.weighted()
    bins = equal_parts(1.0 - pi[:, 0], parts, size)
    g, J = int(bins.max(initial=0)) + 1, pi.shape[1]
    observed = _sums(bins, all_counts(response, weighted=True), g)
    expected = _sums(bins, size[:, None] * pi, g)
    cells = np.divide(
        (observed - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0.0
    )
    value, df = float(cells.sum()), float((g - 2) * (J - 1))
    table = pd.DataFrame(
        {
            "bin": np.repeat(np.arange(1, g + 1), J),
            "category": np.tile(np.array(response.categories, dtype=object), g),
            "trials": np.repeat(np.bincount(bins, size, g), J),
            "observed": observed.ravel(),
            "expected": expected.ravel(),
        }
    )
    return GoodnessTest("hosmer-lemeshow", value, df, chi_square_p(value, df)), table


def _sums(bins: NDArray[np.intp], values: Matrix, g: int) -> Matrix:
    return np.column_stack([np.bincount(bins, column, g) for column in values.T])


def osius_rojek(response: Response, pi: Vector, X: Matrix) -> GoodnessTest:
    """Pearson's χ² of a binary response, standardised by its moments given the estimates.

    z = (X² − (N − p)) / √(A + RSS), A = 2(N − Σ1/n_i), and RSS is that of the weighted
    regression of (1 − 2π)/v on X, v = nπ(1 − π) (Osius & Rojek 1992; Hosmer & Lemeshow 2000,
    p. 153). Good for sparse data as well.

    Parameters
    ----------
    response
        One row per covariate pattern, without weights.
    pi
        Shape ``(n,)``: probabilities of a success.
    X
        Shape ``(n, p)``.
    """
    v = response.trials * pi * (1.0 - pi)
    kept = v > 0.0  # what is certain has no variance, and says nothing
    n, pi, X, v = response.trials[kept], pi[kept], X[kept], v[kept]
    y = response.counts[kept, 0]
    statistic = float(np.sum((y - n * pi) ** 2 / v))
    root = np.sqrt(v)
    c = (1.0 - 2.0 * pi) / v
    fitted = np.linalg.lstsq(X * root[:, None], c * root, rcond=None)[0]
    rss = float(np.sum(v * (c - X @ fitted) ** 2))
    variance = 2.0 * float(n.size - np.sum(1.0 / n)) + rss
    df = n.size - X.shape[1]
    z = (statistic - df) / np.sqrt(variance) if df > 0 and variance > 0.0 else np.nan
    return GoodnessTest("osius-rojek", float(z), np.nan, float(erfc(abs(z) / np.sqrt(2.0))))


def stukel(response: Response, eta: Vector, X: Matrix) -> GoodnessTest:
    """Score test for tails heavier or lighter than the logistic's: χ² with 2 degrees of freedom.

    The model is extended by ½η²[η ≥ 0] and −½η²[η < 0] (Stukel 1988, *JASA* 83, 426–431). The
    score is taken orthogonal to X, so that it may be used with any prior.

    Parameters
    ----------
    response
        Counts, trials and frequency weights of a binary response.
    eta
        Shape ``(n,)``: the linear predictor.
    X
        Shape ``(n, p)``.
    """
    counts, trials = response.weighted()
    pi = expit(eta)
    r, v = counts[:, 0] - trials * pi, trials * pi * (1.0 - pi)
    Z = 0.5 * np.column_stack([np.where(eta >= 0, eta**2, 0.0), np.where(eta < 0, -(eta**2), 0.0)])
    root = np.sqrt(v)[:, None]
    size = np.linalg.norm(Z * root, axis=0)
    Z = Z - X @ np.linalg.lstsq(X * root, Z * root, rcond=None)[0]
    Z = Z[:, np.linalg.norm(Z * root, axis=0) > 1e-8 * size]  # what X does not hold already
    score, information = Z.T @ r, Z.T @ (Z * v[:, None])
    value = float(score @ np.linalg.lstsq(information, score, rcond=1e-10)[0])
    df = float(Z.shape[1])
    return GoodnessTest("stukel", value if df else np.nan, df, chi_square_p(value, df))
