"""Whether events of probability π happen in a share π of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from multilogit.assess.bins import equal_parts
from multilogit.assess.clusters import Clusters, clustered_variance
from multilogit.assess.model import reported_categories
from multilogit.estimate import information_inverse
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise
from multilogit.predict import Matrix, Vector

_CERTAIN = 1e-12


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Logistic recalibration: logit Pr(y) = a + b logit(π) (Cox 1958, *Biometrika* 45, 562–565).

    Attributes
    ----------
    intercept, slope
        a and b: 0 and 1 where predictions are right. A slope below 1: predictions too extreme.
    in_the_large
        a with b held at 1: 0 where predictions are right on average.
    intercept_se, slope_se, in_the_large_se
        Their standard errors.
    """

    intercept: float
    slope: float
    in_the_large: float
    intercept_se: float
    slope_se: float
    in_the_large_se: float


def recalibrate(
    pi: Vector, y: Vector, trials: Vector, clusters: Clusters | None = None
) -> Recalibration:
    """Maximum likelihood of a and b; NaN where there is none.

    Parameters
    ----------
    pi, y, trials
        Shape ``(n,)``: probabilities, successes and trials, frequency weights multiplied in.
    clusters
        Trials without a common level are independent, and standard errors are those of the
        sandwich; None: all trials are independent.
    """
    score = logit(np.clip(pi, _CERTAIN, 1.0 - _CERTAIN))
    one = np.ones_like(score)
    (a, b), (a_se, b_se) = _fit([one, score], y, trials, None, clusters)
    (large,), (large_se,) = _fit([one], y, trials, score, clusters)
    return Recalibration(*map(float, (a, b, large, a_se, b_se, large_se)))


def _fit(
    columns: list[Vector],
    y: Vector,
    trials: Vector,
    offset: Vector | None,
    clusters: Clusters | None,
) -> tuple[Vector, Vector]:
    """Estimates and standard errors of a logistic regression."""
    likelihood = FixedLikelihood(columns, y, trials, offset)
    size = likelihood.n_parameters
    solution = maximise(likelihood, np.zeros(size))
    if not solution.converged:
        return np.full(size, np.nan), np.full(size, np.nan)
    bread = information_inverse(solution.evaluation.hessian, np.ones(size, dtype=bool))
    if clusters is None:
        return solution.psi, np.sqrt(bread.diagonal())
    X = np.column_stack(columns)
    eta = X @ solution.psi + (0.0 if offset is None else offset)
    influence = (X * (y - trials * expit(eta))[:, None]) @ bread
    variance = [clustered_variance(column, clusters) for column in influence.T]
    return solution.psi, np.sqrt(variance)


def calibration_table(
    pi: Vector,
    y: Vector,
    trials: Vector,
    bins: int,
    z: float,
    clusters: Clusters | None = None,
) -> pd.DataFrame:
    """Mean probability and observed share in bins of about equally many trials.

    Parameters
    ----------
    pi, y, trials, clusters
        As in :func:`recalibrate`.
    bins
        At most so many; equal probabilities share one.
    z
        Normal quantile of the intervals (Wilson 1927), 1.96 for 95 %.

    Returns
    -------
    DataFrame
        ``bin``, ``trials``, ``predicted`` (mean π), ``observed`` (share), ``lower``, ``upper``.
    """
    kept = trials > 0.0
    pi, y, trials = pi[kept], y[kept], trials[kept]
    place = equal_parts(pi, bins, trials)
    n = np.asarray(np.bincount(place, trials), dtype=np.float64)
    predicted = np.bincount(place, trials * pi) / n
    observed = np.bincount(place, y) / n
    worth = n
    if clusters is not None:
        errors = (y - trials * observed[place]) / n[place]
        worth = _worth(observed, n, errors, place, tuple(codes[kept] for codes in clusters))
    lower, upper = wilson(observed, worth, z)
    columns = {"trials": n, "predicted": predicted, "observed": observed}
    columns |= {"lower": lower, "upper": upper}
    return pd.DataFrame({"bin": np.arange(1, n.size + 1)} | columns)


def _worth(
    share: Vector, n: Vector, errors: Vector, place: NDArray[np.intp], clusters: Clusters
) -> Vector:
    """Independent trials that a share of n clustered ones is worth, at most n: s(1 − s)/variance.

    ``errors`` of the rows of a bin add up to that of its share.
    """
    variance = np.array(
        [clustered_variance(np.where(place == k, errors, 0.0), clusters) for k in range(n.size)]
    )
    known = variance > 0.0
    worth = np.divide(share * (1.0 - share), variance, out=n.copy(), where=known)
    return np.asarray(np.minimum(worth, n))


def wilson(share: Vector, n: Vector, z: float) -> tuple[Vector, Vector]:
    """Wilson's score interval of a share of n independent trials."""
    centre = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    return centre - half, centre + half


@dataclass(frozen=True, slots=True)
class Brier:
    """Mean squared error of probabilities, and its parts.

    Attributes
    ----------
    score
        Binary: mean (π − y)² over trials. J > 2: mean Σ_j (π_j − y_j)² (Brier 1950).
    reliability, resolution, uncertainty
        score = reliability − resolution + uncertainty, exact (Murphy 1973, *Journal of Applied
        Meteorology* 12, 595–600): forecasts are grouped by equal probabilities, or by bins, and
        then resolution contains the parts within bins (Stephenson et al. 2008).
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float

    @property
    def skill(self) -> float:
        """1 − score / uncertainty: 0 for the overall share as prediction, 1 if perfect."""
        return 1.0 - self.score / self.uncertainty if self.uncertainty > 0.0 else np.nan


def brier(pi: Matrix, counts: Matrix, bins: int) -> Brier:
    """Brier score and its decomposition.

    Parameters
    ----------
    pi, counts
        Shape ``(n, J)``: probabilities; trials of each category, weights multiplied in.
    bins
        Bins of the probabilities behind reliability.
    """
    kept = reported_categories(pi.shape[1])
    trials = counts.sum(axis=1)
    parts = np.array([_brier_parts(pi[:, j], counts[:, j], trials, bins) for j in kept])
    return Brier(*parts.sum(axis=0).tolist())


def _brier_parts(pi: Vector, y: Vector, trials: Vector, bins: int) -> tuple[float, ...]:
    """Score, reliability, resolution and uncertainty of one category."""
    N = trials.sum()
    mean = y.sum() / N
    score = float(np.sum(y * (1.0 - pi) ** 2 + (trials - y) * pi**2) / N)
    place = equal_parts(pi, bins, trials)
    n = np.bincount(place, trials)
    used = n > 0.0
    n = n[used]
    forecast = np.bincount(place, trials * pi)[used] / n
    observed = np.bincount(place, y)[used] / n
    reliability = float(n @ (forecast - observed) ** 2 / N)
    uncertainty = float(mean * (1.0 - mean))
    return score, reliability, reliability + uncertainty - score, uncertainty
