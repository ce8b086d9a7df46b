"""The maximum softly-penalised likelihood of Sterzinger & Kosmidis (2023).

    log π = c {½ log det(X'WX) + Σ_j D(log l_jj) + Σ_{i>j} D(l_ij)},   c = 2 √(p / n)

with W at b = 0, Λ the Cholesky factor of the random effects' covariance, and the negative Huber
loss D(x) = −x²/2 for |x| ≤ 1, ½ − |x| beyond. c → 0 as n grows, so the estimator has the limits of
maximum likelihood; it is always finite, with l_jj off 0 and infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed, impossible
from multilogit.prior.jeffreys import BoundJeffreys
from multilogit.prior.specification import BoundSum, Specification


@dataclass(frozen=True, slots=True)
class SoftPenalty(Specification):
    """Soft penalty that keeps every parameter inside the parameter space.

    Notes
    -----
    n is the number of observations (trials), p that of the fixed effects of all logits. For
    correlated effects the penalty depends on their order, through Λ.

    References
    ----------
    Sterzinger, P. & Kosmidis, I. (2023), Maximum softly-penalized likelihood for mixed effects
    logistic regression, Statistics and Computing 33.
    """

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The penalty for one model.

        Raises
        ------
        OptionError
            If X does not have full column rank.
        """
        c = 2.0 * math.sqrt(context.n_beta / context.total_trials)
        fixed = BoundJeffreys(context, 0.5 * c)
        return BoundSum((fixed, BoundHuber(context, c))) if context.m else fixed


class BoundHuber:
    """c {Σ_j D(log|l_jj|) + Σ_{i>j} D(l_ij)}, of θ.

    Parameters
    ----------
    context
        The model.
    c
        Multiplies the penalty.
    """

    def __init__(self, context: PriorContext, c: float) -> None:
        self.size = context.size
        self.first = context.n_beta
        self.diagonal = context.diagonal
        self.c = c

    @property
    def depends_on_order(self) -> bool:
        """Whether there are correlated effects, and so elements below the diagonal."""
        return not bool(self.diagonal.all())

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """The penalty; −∞ where an element of the diagonal is 0."""
        theta = psi[self.first :]
        if not theta[self.diagonal].all():
            return embed(impossible(theta.size), self.size, self.first)
        l = np.where(self.diagonal, theta, 1.0)  # noqa: E741  # the letter of the equation
        x = np.where(self.diagonal, np.log(np.abs(l)), theta)
        inside = np.abs(x) <= 1.0
        value = np.where(inside, -0.5 * x * x, 0.5 - np.abs(x)).sum()
        slope = np.where(inside, -x, -np.sign(x))
        bend = np.where(inside, -1.0, 0.0)
        # x = log l on the diagonal: dx/dl = 1/l, d²x/dl² = −1/l²
        curvature = np.where(self.diagonal, (bend - slope) / l**2, bend)
        evaluation = Evaluation(
            self.c * float(value), self.c * slope / l, np.diag(self.c * curvature)
        )
        return embed(evaluation, self.size, self.first)
