"""Adjustment of p-values and intervals for the number of comparisons.

Bonferroni (1936), Holm (1979, Scand. J. Statist. 6, 65–70), and Tukey's method for all pairwise
differences of k means: √2|z| is compared with the range of k independent standard normal
variables, whose distribution is

    P(Q ≤ q) = k ∫ φ(t) [Φ(t) − Φ(t − q)]^(k−1) dt .
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.special import ndtr

from multilogit.inference.wald import critical_value, p_values
from multilogit.predict.linear import Vector

Adjustment = Literal["none", "bonferroni", "holm", "tukey"]


def adjusted_p_values(z: Vector, method: Adjustment, n_means: int) -> Vector:
    """Two-sided p-values of a family of comparisons.

    Parameters
    ----------
    z
        Shape ``(m,)``: Wald statistics; NaN where there is none.
    method
        How they are adjusted.
    n_means
        Number of means that are compared, for Tukey's method.
    """
    p = p_values(z)
    m = int(np.count_nonzero(~np.isnan(p)))
    if method == "bonferroni":
        return np.minimum(m * p, 1.0)
    if method == "holm":
        return _holm(p, m)
    if method == "tukey":
        return np.array([range_tail(math.sqrt(2.0) * abs(x), n_means) for x in z])
    return p


def _holm(p: Vector, m: int) -> Vector:
    """max over the smaller p-values of (m − rank) p."""
    out = np.full(p.shape, np.nan)
    order = np.argsort(p)[:m]  # NaN last
    steps = (m - np.arange(m)) * p[order]
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def critical_values(level: float, method: Adjustment, n_means: int, m: int) -> float:
    """Half-width of simultaneous intervals in standard errors.

    Holm's method has no intervals of its own: Bonferroni's are used.

    Parameters
    ----------
    level
        Confidence level of the family.
    method, n_means
        As in :func:`adjusted_p_values`.
    m
        Number of comparisons.
    """
    single = critical_value(level)
    if method in ("bonferroni", "holm") and m > 1:
        return critical_value(1.0 - (1.0 - level) / m)
    if method == "tukey":
        return range_quantile(1.0 - level, n_means) / math.sqrt(2.0)
    return single


def range_tail(q: float, k: int) -> float:
    """P(Q > q) for the range Q of k independent standard normal variables.

    As k ∫ φ(t) {Φ(t)^(k−1) − [Φ(t) − Φ(t − q)]^(k−1)} dt, which keeps its digits in the tail: the
    trapezoidal rule is exact to rounding (the integrand is entire).
    """
    if math.isnan(q):
        return math.nan
    t = np.arange(-12.0, 12.0 + q, 0.0625)
    density = np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
    upper, below = ndtr(t), ndtr(t - q)
    # a^n − (a − b)^n = −a^n expm1(n log1p(−b/a))
    with np.errstate(divide="ignore"):
        inner = -(upper ** (k - 1)) * np.expm1((k - 1) * np.log1p(-below / upper))
    inside = np.where(upper > below, inner, upper ** (k - 1))
    return float(min(1.0, 0.0625 * k * np.sum(density * inside)))


def range_quantile(tail: float, k: int) -> float:
    """q with P(Q > q) = tail, by bisection to rounding."""
    low, high = 0.0, 4.0
    while range_tail(high, k) > tail:
        high *= 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if range_tail(middle, k) > tail else (low, middle)
    return 0.5 * (low + high)
