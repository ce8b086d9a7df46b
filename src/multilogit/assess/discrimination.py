"""How well probabilities tell categories apart: ROC curve and area under it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from multilogit.assess.clusters import Clusters, clustered_variance
from multilogit.predict import Matrix, Vector


@dataclass(frozen=True, slots=True)
class RocCurve:
    """The ROC curve of one category against all others.

    Attributes
    ----------
    threshold
        Shape ``(k,)``, falling, first infinite: an observation is called positive if its
        probability is at least this.
    sensitivity, specificity
        Shape ``(k,)``: shares of the positives and negatives that are called right.
    auc, se
        Area under the curve and its standard error (DeLong, DeLong & Clarke-Pearson 1988,
        *Biometrics* 44, 837–845): all trials are independent.
    """

    threshold: Vector
    sensitivity: Vector
    specificity: Vector
    auc: float
    se: float


def roc_curve(
    score: Vector,
    positive: Vector,
    negative: Vector,
    clusters: Clusters | None = None,
) -> RocCurve:
    """The curve from counts of positive and negative trials at every score.

    Parameters
    ----------
    score
        Shape ``(n,)``: probabilities, or anything that orders as they do.
    positive, negative
        Shape ``(n,)``: trials of either kind in each row, frequency weights multiplied in.
    clusters
        Trials without a common level are independent (Obuchowski 1997, *Biometrics* 53,
        567–578, for one factor); None: all trials are.
    """
    values, place = np.unique(score, return_inverse=True)
    n1 = _counted(place, positive, values.size)
    n0 = _counted(place, negative, values.size)
    m1, m0 = n1.sum(), n0.sum()
    if m1 == 0.0 or m0 == 0.0:
        empty = np.empty(0)
        return RocCurve(empty, empty, empty, np.nan, np.nan)
    V10 = (np.cumsum(n0) - 0.5 * n0) / m0  # share of the negatives below, ties one half
    V01 = 1.0 - (np.cumsum(n1) - 0.5 * n1) / m1
    auc = float(n1 @ V10 / m1)
    above1, above0 = np.cumsum(n1[::-1]), np.cumsum(n0[::-1])
    if clusters is None:
        variance = _mean_variance(V10, n1, auc) + _mean_variance(V01, n0, auc)
    else:
        share = positive * (V10[place] - auc) / m1 + negative * (V01[place] - auc) / m0
        variance = clustered_variance(share, clusters)
    return RocCurve(
        threshold=np.concatenate([[np.inf], values[::-1]]),
        sensitivity=np.concatenate([[0.0], above1 / m1]),
        specificity=np.concatenate([[1.0], 1.0 - above0 / m0]),
        auc=auc,
        se=float(np.sqrt(variance)),
    )


def _mean_variance(values: Vector, counts: Vector, mean: float) -> float:
    """Variance of a mean of counted values, estimated from the values."""
    m = float(counts.sum())
    return float(counts @ (values - mean) ** 2) / (m - 1.0) / m if m > 1.0 else np.nan


def _counted(place: NDArray[np.intp], weights: Vector, size: int) -> Vector:
    return np.asarray(np.bincount(place, weights, size), dtype=np.float64)


def hand_till(pi: Matrix, counts: Matrix) -> float:
    """Area under the curve for several categories: Hand & Till (2001), *Machine Learning* 45.

    The mean over pairs of categories of {A(i|j) + A(j|i)}/2, A(i|j) being the probability that
    a random trial of category i has the higher π_i than one of category j. NaN where a
    category does not occur.

    Parameters
    ----------
    pi, counts
        Shape ``(n, J)``: probabilities; trials of each category, weights multiplied in.
    """
    areas = [
        0.5 * (_area(pi[:, i], counts, i, j) + _area(pi[:, j], counts, j, i))
        for i, j in combinations(range(pi.shape[1]), 2)
    ]
    return float(np.mean(areas))


def _area(score: Vector, counts: Matrix, i: int, j: int) -> float:
    return roc_curve(score, counts[:, i], counts[:, j]).auc


def auc_interval(auc: float, se: float, z: float) -> tuple[float, float]:
    """Interval on the logit scale, which stays within (0, 1); NaN where the area is 0 or 1."""
    if not 0.0 < auc < 1.0 or not np.isfinite(se):
        return np.nan, np.nan
    centre, half = np.log(auc / (1.0 - auc)), z * se / (auc * (1.0 - auc))
    low, high = (1.0 / (1.0 + np.exp(-(centre + sign * half))) for sign in (-1.0, 1.0))
    return float(low), float(high)


def tjur(pi: Matrix, counts: Matrix) -> NDArray[np.float64]:
    """Tjur's coefficient of discrimination of every category, shape ``(J,)``.

    Mean π_j of the trials of category j minus its mean over all others (Tjur 2009, *The
    American Statistician* 63, 366–372).
    """
    others = counts.sum(axis=1, keepdims=True) - counts
    with np.errstate(invalid="ignore"):
        inside = np.sum(pi * counts, axis=0) / counts.sum(axis=0)
        outside = np.sum(pi * others, axis=0) / others.sum(axis=0)
    return np.asarray(inside - outside)
