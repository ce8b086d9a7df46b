"""Shannon entropy of the predictions: relative entropy the other way round.

    log π(β) = λ Σ_i n_i H(π_i) − (floor / Σn) Σ_i n_i KL(1/J ‖ π_i),   λ = κ / Σ_i n_i

with H = −Σ_j π_j log π_j at b = 0; up to a constant λΣn H(π_i) is −λ Σ n_i KL(π_i ‖ 1/J), where
:class:`RelativeEntropy` has KL(1/J ‖ π_i). With A = log Σ_j e^η_j, W = diag π − ππ':

    H = A − π'η,    ∂H/∂η = −Wη,    ∂²H/∂η² = −W − κ₃(·, ·, η).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np

from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed
from multilogit.prior.covariance import (
    CovariancePrior,
    CovarianceRelativeEntropy,
    check_covariance,
    with_covariance,
)
from multilogit.prior.options import (
    Strength,
    checked_strength,
    not_negative,
    resolved_strength,
)
from multilogit.prior.rows import (
    Sums,
    centred,
    contracted,
    predictor,
    probabilities,
    second_cumulant,
)
from multilogit.prior.specification import StrengthSpecification


@dataclass(frozen=True, slots=True)
class ShannonEntropy(StrengthSpecification):
    """Predictions of high entropy, random effects near N(0, s²I).

    Parameters
    ----------
    strength
        κ: the entropy of every observation is weighted by λ = κ / Σn. None: p for a binary
        model, pJ/2 with J categories. ``"cv"`` is chosen from the data when the model is
        fitted; ``"auto"`` is not available, the evidence needs a prior whose integral is known.
    floor
        Pseudo-observations at 1/J (a :class:`RelativeEntropy` of that strength) that are added
        to make the prior proper. 0: the entropy alone.
    covariance
        Prior of the random effects' covariance matrices; None: flat.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.

    Notes
    -----
    What entropy alone (``floor=0``) cannot do. H lies between 0 and log J: it is an improper
    prior, and all that it can take from a likelihood is κ log J. Where a coefficient is
    separated, the likelihood rises like −e^−|η| and λH falls like λ|η|e^−|η|: the maximum is at
    |η| ≈ 1/λ = Σn/κ, which is 20 for 80 observations and four coefficients, with a curvature of
    e^−20. With κ of the order of p it is therefore as degenerate as maximum likelihood, in every
    data set that is not tiny. The floor cures that: it falls without bound, and |η| stays near
    log(Σn / floor): farther out than with :class:`RelativeEntropy`. Where one standardised
    covariate separates 160 observations, |β| is 16, and 9 there.

    With or without it, H is not concave where |η| > 1.543 (binary). The objective is concave
    where |η_i| ≤ 1 + 1/λ in all rows; with λ small, no fit leaves that region. With few
    observations per coefficient there may be several maxima.
    """

    strength: Strength = None
    floor: float = 1.0
    covariance: CovariancePrior | None = field(default_factory=CovarianceRelativeEntropy)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", checked_strength(self.strength, ("cv",)))
        object.__setattr__(self, "floor", not_negative(self.floor, "floor"))
        check_covariance(self.covariance)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If the strength is unresolved.
        """
        kappa = resolved_strength(self.strength, context)
        bound = BoundShannonEntropy(context, kappa, self.floor)
        return with_covariance(bound, self.covariance, context)


class BoundShannonEntropy:
    """λ Σ n_i H(π_i) − (floor / Σn) Σ n_i KL(1/J ‖ π_i), of β.

    Parameters
    ----------
    context
        The model.
    kappa, floor
        Pseudo-observations.
    """

    depends_on_order = False

    def __init__(self, context: PriorContext, kappa: float, floor: float) -> None:
        context.need_rows("Shannon's entropy")
        self.context = context
        self.kappa = kappa
        self.floor = floor
        self._sums = Sums(context.columns, context.threads)

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ), its gradient and Hessian."""
        context = self.context
        eta = predictor(context, psi[: context.n_beta])
        pi, log_total = probabilities(eta)
        entropy, floor = np.outer([self.kappa, self.floor], context.trials) / context.total_trials

        value = entropy @ (log_total - (pi[1:] * eta).sum(axis=0))
        value -= floor @ (log_total - eta.sum(axis=0) / len(pi) - math.log(len(pi)))
        alpha = centred(pi, np.concatenate([np.zeros((1, eta.shape[1])), eta]))  # Wη
        score = floor * (1.0 / len(pi) - pi[1:]) - entropy * alpha
        weights = {
            (a, b): -(entropy + floor) * second_cumulant(pi, a, b)
            - entropy * contracted(pi, alpha, a, b)
            for a, b in combinations_with_replacement(range(context.n_logits), 2)
        }
        gradient, hessian = self._sums.derivatives(score, weights)
        finite = math.isfinite(value) and bool(np.isfinite(hessian).all())
        status = Status.OK if finite else Status.NOT_FINITE
        return embed(Evaluation(float(value), gradient, hessian, status), context.size)
