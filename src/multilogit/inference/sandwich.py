"""Sandwich covariances: what standard errors are when the rows are not what the model says.

With scores s_g = ∂ℓ_g/∂ψ of independent pieces g and B = (−Q″)⁻¹,

    V = B (c Σ_g s_g s_g') B.

HC: the pieces are rows, which may have other variances (White 1980; MacKinnon & White 1985, for
HC1 to HC3). CR: they are clusters, within which rows may depend on each other in any way (Liang
& Zeger 1986). Where a prior keeps Σ s_g off 0, the scores are taken around their mean.
"""

from __future__ import annotations

import numpy as np

from multilogit.evaluation import Matrix, Vector

HETEROSKEDASTIC = ("HC0", "HC1", "HC2", "HC3")
CLUSTERED = ("CR0", "CR1", "CR1S")


def clustered(scores: Matrix, bread: Matrix, kind: str, n_rows: float) -> Matrix:
    """Cluster-robust covariance.

    Parameters
    ----------
    scores
        Shape ``(G, d)``: one row per cluster.
    bread
        Shape ``(d, d)``: B.
    kind
        ``"CR0"``: c = 1; ``"CR1"``: c = G/(G − 1); ``"CR1S"``: c = G/(G − 1) (n − 1)/(n − d), as
        Stata and statsmodels.
    n_rows
        n.
    """
    G, d = scores.shape
    factor = 1.0 if kind == "CR0" else G / (G - 1.0)
    if kind == "CR1S":
        factor *= (n_rows - 1.0) / (n_rows - d)
    once = np.ones(G)
    return _sandwich(bread, factor * _squares(_around_mean(scores, once), once))


def heteroskedastic(
    scores: Matrix, leverage: Vector | None, frequency: Vector, bread: Matrix, kind: str
) -> Matrix:
    """Covariance that allows for rows of other variances.

    Parameters
    ----------
    scores
        Shape ``(n, d)``: of one row each; a row of frequency 2 stands for two of them.
    leverage
        Shape ``(n,)``: h of one row each; needed by ``"HC2"`` and ``"HC3"`` only.
    frequency
        Shape ``(n,)``: frequency weights.
    bread
        Shape ``(d, d)``: B.
    kind
        ``"HC0"``; ``"HC1"``: times n/(n − d); ``"HC2"``: each row over 1 − h; ``"HC3"``: over
        (1 − h)².
    """
    scores = _around_mean(scores, frequency)
    if kind in ("HC2", "HC3"):
        assert leverage is not None
        power = 0.5 if kind == "HC2" else 1.0
        scores = scores / ((1.0 - leverage) ** power)[:, None]
    meat = _squares(scores, frequency)
    if kind == "HC1":
        n = frequency.sum()
        meat *= n / (n - scores.shape[1])
    return _sandwich(bread, meat)


def _around_mean(scores: Matrix, frequency: Vector) -> Matrix:
    """s − s̄: s itself at the maximum of a likelihood."""
    return np.asarray(scores - (frequency @ scores) / frequency.sum())


def _squares(scores: Matrix, frequency: Vector) -> Matrix:
    """Σ f ss'."""
    return np.asarray((scores * frequency[:, None]).T @ scores)


def _sandwich(bread: Matrix, meat: Matrix) -> Matrix:
    V = bread @ meat @ bread
    return 0.5 * (V + V.T)
