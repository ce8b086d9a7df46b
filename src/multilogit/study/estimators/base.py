"""What an estimator is: data sets in, estimates out, however it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from multilogit.evaluation import Matrix, Vector
from multilogit.study.generate import Dataset
from multilogit.study.truth import Layout

FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a design asks of every estimator.

    Attributes
    ----------
    intervals
        Kinds of intervals.
    level
        Their level.
    prior_scale
        s of the covariance part of ``relative-entropy-fixed``.
    """

    intervals: tuple[str, ...] = ("wald", "posterior")
    level: float = 0.95
    prior_scale: float = 5.0


@dataclass(frozen=True, slots=True)
class Estimated:
    """Estimates of one data set. All vectors are in the order of the layout.

    Attributes
    ----------
    status
        How it ended, e.g. ``"converged"``, ``"diverging"``, ``"failed"``.
    converged
        Whether the method itself says that the estimate may be trusted.
    seconds
        Of the estimate and its standard errors; intervals that need more work not counted.
    estimate
        β, standard deviations, correlations; NaN where there is none.
    se
        On the working scale: of β, log σ, atanh ρ.
    intervals
        Kind → shape ``(d, 2)``, natural scale; NaN where there is none.
    posterior_below
        Posterior probability that the parameter is below its true value, shape ``(d,)``.
    notes
        Codes of diagnostics, or the message of a failure.
    numbers
        Other facts, e.g. R̂ and effective sample size.
    """

    status: str
    converged: bool
    seconds: float
    estimate: Vector
    se: Vector
    intervals: Mapping[str, Matrix] = field(default_factory=dict)
    posterior_below: Vector | None = None
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


class Estimator(Protocol):
    """Fits data sets of one cell, one after the other."""

    def fit(self, data: Sequence[Dataset], seeds: Sequence[int]) -> list[Estimated]:
        """One result per data set; a failure is a result, not an exception."""


def failed(layout: Layout, message: str, seconds: float = np.nan) -> Estimated:
    """The result of a fit that gave nothing."""
    nothing = np.full(layout.size, np.nan)
    return Estimated(FAILED, False, seconds, nothing, nothing, notes=(message,))


def symmetric_intervals(layout: Layout, estimate: Vector, se: Vector, z: float) -> Matrix:
    """estimate ± z·se on the working scale, as natural values, shape ``(d, 2)``."""
    at = layout.working(estimate)
    with np.errstate(invalid="ignore"):
        ends = np.stack([at - z * se, at + z * se], axis=1)
    ends[~np.isfinite(at) | ~np.isfinite(se)] = np.nan
    return layout.natural(ends)
