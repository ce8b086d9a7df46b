"""Residuals of counts at given category probabilities.

With y_j of n trials in category j, whose probability is π_j:

    response   y_j/n − π_j
    Pearson    (y_j − nπ_j) / √(nπ_j(1 − π_j))
    deviance   sign(y − nπ) √(2 Σ_j y_j log(y_j / nπ_j))
    quantile   F(y_j − 1) + U·Pr(y_j),   U uniform on (0, 1), F binomial

The last one is uniform on (0, 1) if the probabilities are right (Dunn & Smyth 1996, *Journal of
Computational and Graphical Statistics* 5, 236–244), however few trials there are; the others
have mean 0, and the Pearson residual variance 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, xlogy

from multilogit.data.model_frame import Response
from multilogit.predict import Matrix, Vector


def all_counts(response: Response, *, weighted: bool = False) -> Matrix:
    """Counts of every category, the baseline first, shape ``(n, J)``; times the weights or not."""
    counts, trials = response.weighted() if weighted else (response.counts, response.trials)
    return np.column_stack([trials - counts.sum(axis=1), counts])


def response_residuals(counts: Matrix, pi: Matrix) -> Matrix:
    """y_j/n − π_j, shape ``(n, J)``; 0 where there are no trials."""
    trials = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, trials, out=np.array(pi), where=trials > 0.0)
    return np.asarray(share - pi)


def pearson_residuals(counts: Matrix, pi: Matrix) -> Matrix:
    """(y_j − nπ_j)/√(nπ_j(1 − π_j)), shape ``(n, J)``; 0 where nothing is random."""
    expected = counts.sum(axis=1, keepdims=True) * pi
    variance = expected * (1.0 - pi)
    sd = np.sqrt(variance)
    difference = counts - expected
    # A count with probability 0 or 1 is as expected, or infinitely far from it.
    certain = np.where(np.abs(difference) < 1e-12, 0.0, np.copysign(np.inf, difference))
    return np.asarray(np.divide(difference, sd, out=certain, where=variance > 0.0))


def deviance_residuals(counts: Matrix, pi: Matrix) -> Vector:
    """√(2 Σ_j y_j log(y_j/nπ_j)), shape ``(n,)``; with two categories signed as y − nπ.

    Their squares add up to the deviance: 2(ℓ_saturated − ℓ) at these probabilities.
    """
    trials = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, trials, out=np.array(pi), where=trials > 0.0)
    with np.errstate(divide="ignore"):
        parts = xlogy(counts, share) - xlogy(counts, pi)
    size = np.sqrt(2.0 * np.maximum(parts.sum(axis=1), 0.0))
    if counts.shape[1] > 2:
        return np.asarray(size)
    return np.asarray(np.where(share[:, 1] >= pi[:, 1], size, -size))


def quantile_residuals(counts: Vector, trials: Vector, pi: Vector, uniform: Vector) -> Vector:
    """F(y − 1) + U Pr(y) for y ~ Binomial(n, π), shape ``(n,)``.

    Parameters
    ----------
    counts, trials, pi
        Shape ``(n,)``.
    uniform
        Shape ``(n,)``: U, uniform random numbers.
    """
    below = binomial_cdf(counts - 1.0, trials, pi)
    return np.asarray(below + uniform * (binomial_cdf(counts, trials, pi) - below))


def binomial_cdf(y: NDArray[np.float64], n: Vector, pi: NDArray[np.float64]) -> Matrix:
    """Pr(Y ≤ y), Y ~ Binomial(n, π); 0 below 0."""
    y, n, pi = np.broadcast_arrays(y, n, pi)
    if bool((n <= 1.0).all()):  # no special function is needed
        return np.where(y < 0.0, 0.0, np.where(y >= n, 1.0, 1.0 - pi))
    inside = np.clip(y, 0.0, n)
    return np.asarray(np.where(y < 0.0, 0.0, bdtr(inside, n.astype(np.int64), pi)))
