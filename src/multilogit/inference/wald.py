"""Wald inference: everything that follows from an estimate and its standard error.

z = estimate / SE is compared with the standard normal distribution. Intervals are symmetric on
a scale on which the normal approximation is good: the parameter itself for β, its logarithm for
a standard deviation, Fisher's z = atanh ρ for a correlation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multilogit.errors import OptionError
from multilogit.lazy import special

Vector = NDArray[np.float64]
ScaleName = Literal["identity", "log", "fisher"]

_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone transformation g on which an interval is symmetric.

    Attributes
    ----------
    forward, inverse
        g and g⁻¹.
    derivative
        g′, which carries a standard error over: SE(g(x)) = |g′(x)| SE(x).
    """

    forward: Callable[[Vector], Vector]
    inverse: Callable[[Vector], Vector]
    derivative: Callable[[Vector], Vector]


SCALES: dict[ScaleName, Scale] = {
    "identity": Scale(lambda x: x, lambda x: x, np.ones_like),
    "log": Scale(np.log, np.exp, lambda x: 1.0 / x),
    "fisher": Scale(np.arctanh, np.tanh, lambda x: 1.0 / ((1.0 - x) * (1.0 + x))),
}


def z_values(estimate: ArrayLike, std_error: ArrayLike) -> Vector:
    """Wald statistics z = estimate / SE, elementwise; NaN where the SE is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(np.asarray(estimate, np.float64), np.asarray(std_error, np.float64))


def p_values(z: ArrayLike) -> Vector:
    """Two-sided p-values 2Φ(−|z|) = erfc(|z|/√2), accurate far into the tails."""
    return np.asarray(_erfc(np.abs(np.asarray(z, float)) / math.sqrt(2.0)), float)


def critical_value(level: float) -> float:
    """Normal quantile of (1 + level)/2, e.g. 1.96 for ``level=0.95``.

    Raises
    ------
    OptionError
        If ``level`` is not strictly between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise OptionError(
            f"The confidence level is {level!r}; give a number between 0 and 1, such as 0.95."
        )
    return float(-special.ndtri((1.0 - level) / 2.0))


def interval(
    estimate: ArrayLike, std_error: ArrayLike, level: float = 0.95, scale: ScaleName = "identity"
) -> tuple[Vector, Vector]:
    """Wald interval g⁻¹(g(x) ± z·|g′(x)|·SE), elementwise.

    Parameters
    ----------
    estimate, std_error
        Estimates x and their standard errors.
    level
        Confidence level.
    scale
        g: ``"identity"``, ``"log"`` (standard deviations) or ``"fisher"`` (correlations).

    Returns
    -------
    low, high
        NaN where the standard error is NaN or the estimate lies on the edge of its range.

    Raises
    ------
    OptionError
        If ``level`` is not strictly between 0 and 1.
    """
    x, se = np.asarray(estimate, float), np.asarray(std_error, float)
    g = SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = g.forward(x)
        half = critical_value(level) * np.abs(g.derivative(x)) * se
        low, high = g.inverse(centre - half), g.inverse(centre + half)
    undefined = ~(np.isfinite(centre) & np.isfinite(half))
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
