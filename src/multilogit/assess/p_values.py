"""P-values of statistics whose distribution is known, or can be simulated."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtrc, chdtrc, kolmogorov

from multilogit.predict import Vector


def kolmogorov_smirnov(u: Vector) -> tuple[float, float]:
    """Distance D of the empirical distribution from the uniform one, and its p-value.

    The p-value is Kolmogorov's limit with the correction of Stephens (1970, *Journal of the
    Royal Statistical Society B* 32, 115–122), good from 5 values on. NaN without values.
    """
    n = u.size
    if not n:
        return np.nan, np.nan
    ordered = np.sort(u)
    steps = np.arange(n + 1) / n
    D = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    root = np.sqrt(n)
    return D, float(kolmogorov((root + 0.12 + 0.11 / root) * D))


def monte_carlo_p(observed: float, simulated: Vector, *, upper: bool = False) -> float:
    """p-value of an observed statistic among simulated ones, two-sided unless ``upper``.

    With S simulated values the smallest p-value is 1/(S + 1), or twice that two-sided. Exact
    where observed and simulated ones are exchangeable (Besag & Clifford 1989).
    """
    S = simulated.size
    above = (1 + np.count_nonzero(simulated >= observed)) / (S + 1)
    below = (1 + np.count_nonzero(simulated <= observed)) / (S + 1)
    return float(above if upper else min(1.0, 2.0 * min(above, below)))


def chi_square_p(statistic: float, df: float) -> float:
    """Upper tail of the χ² distribution; NaN without degrees of freedom."""
    return float(chdtrc(df, statistic)) if df > 0 and statistic >= 0 else np.nan


def binomial_upper_p(count: int, n: int, probability: float) -> float:
    """Pr(Y ≥ count), Y ~ Binomial(n, probability)."""
    return 1.0 if count <= 0 else float(bdtrc(count - 1, n, probability))
