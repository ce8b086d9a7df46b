"""How good a set of estimates is at predicting: marginal probabilities, log score.

Both are taken at the estimate, with normal random effects, whatever made it: the same functional
for all estimators. True probabilities are those of the true distribution of the random effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

from multilogit.errors import MultilogitError
from multilogit.evaluation import Vector
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.study.generate import Dataset, effect_quantiles
from multilogit.study.truth import cholesky_of_singular

_NODES = 15
_POINTS = {1: 400, 2: 40}
"""Quantiles per random effect, for one effect and for several."""
_X, _W = hermegauss(61)
_WEIGHTS = _W / _W.sum()


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one set of parameters on fresh data.

    Attributes
    ----------
    log_score
        Mean log-likelihood per row of fresh groups, integrated over their effects.
    probability_rmse
        Root mean squared difference between marginal probabilities at the estimate and at the
        truth, over the fresh rows.
    """

    log_score: float
    probability_rmse: float


def score(fresh: Dataset, values: Vector) -> Scores:
    """Scores of parameters in the order of the layout; NaN where they are not finite."""
    if not np.isfinite(values).all():
        return Scores(np.nan, np.nan)
    difference = marginal_probabilities(fresh, values) - true_probabilities(fresh)
    return Scores(log_score(fresh, values), float(np.sqrt(np.mean(difference**2))))


def true_probabilities(data: Dataset) -> Vector:
    """Marginal probabilities of the data's own truth, whatever the effects' distribution."""
    q = len(data.layout.effects)
    if data.effects == "normal" or not q:
        return marginal_probabilities(data, data.truth)
    points = np.meshgrid(*[effect_quantiles(data.effects, _POINTS[min(q, 2)])] * q)
    u = np.stack([grid.ravel() for grid in points], axis=1)
    Lambda = cholesky_of_singular(data.layout.covariance(data.truth))
    eta = data.X @ data.layout.split(data.truth)[0]
    return np.asarray(expit(eta[:, None] + data.Z @ Lambda @ u.T).mean(axis=1))


def marginal_probabilities(data: Dataset, values: Vector) -> Vector:
    """∫ logit⁻¹(x'β + z'b) φ(b; Σ) db of every row, by Gauss–Hermite quadrature of z'b."""
    eta = data.X @ data.layout.split(values)[0]
    if not data.layout.effects:
        return np.asarray(expit(eta))
    spread = np.sqrt(np.einsum("ia,ab,ib->i", data.Z, data.layout.covariance(values), data.Z))
    return np.asarray(expit(eta[:, None] + spread[:, None] * _X) @ _WEIGHTS)


def log_score(data: Dataset, values: Vector) -> float:
    """Log-likelihood per row, by adaptive quadrature with 15 nodes per effect."""
    X = [np.ascontiguousarray(column) for column in data.X.T]
    ones = np.ones(data.y.size)
    psi = np.ascontiguousarray(data.layout.psi(values))
    try:
        if not data.layout.effects:
            value = FixedLikelihood(X, data.y, ones).evaluate(psi).value
        else:
            Z = [np.ascontiguousarray(column) for column in data.Z.T]
            groups = int(data.codes.max()) + 1
            likelihood = GroupedLikelihood(
                X, Z, (len(Z),), data.y, ones, data.codes, groups, nodes=_NODES
            )
            value = likelihood.evaluate(psi).value
    except (MultilogitError, ValueError):
        return float("nan")
    return float(value) / data.y.size
