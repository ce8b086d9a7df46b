"""The objective of a fit, built anew from its data: what profiles and posterior draws evaluate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from multilogit.data.populations import collapse, collapse_pays
from multilogit.estimate import fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.estimate.priors import bind_prior
from multilogit.evaluation import Evaluation, Objective, Vector
from multilogit.likelihood.mixed import MixedLikelihood, WithInformation
from multilogit.objective import Penalised
from multilogit.prior import BoundPrior
from multilogit.result.fields.measures import Measures


@dataclass(frozen=True, slots=True)
class FittedObjective:
    """Q = ℓ + log π of a fit, as a function of ψ.

    Attributes
    ----------
    Q
        The objective.
    prior
        log π; None: maximum likelihood.
    mixed
        ℓ of a model with random effects; None for single-level models.
    same_in_every_order
        Whether ℓ does not depend on the order of correlated effects, but for rounding. Product
        rules of quadrature do, as much as they err.
    """

    Q: Objective
    prior: BoundPrior | None
    mixed: MixedLikelihood | None
    same_in_every_order: bool = True

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Q, its gradient and its whole Hessian, also where a search does without parts of it."""
        there = self.Q.evaluate(psi)
        if isinstance(self.mixed, WithInformation):
            cheap = self.Q.likelihood_at(psi) if isinstance(self.Q, Penalised) else there
            whole = self.mixed.information(psi)
            return replace(there, hessian=there.hessian + (whole.hessian - cheap.hessian))
        return there


def objective_of(fit: Measures, what: str) -> FittedObjective:
    """Q of a fit; ``what`` needs it.

    Raises
    ------
    DataNotSavedError
        If the fit was loaded from a file.
    """
    data = fit._frame_for(what)
    frame = collapse(data)[0] if collapse_pays(data) else data
    mixed = mixed_likelihood(frame, fit.options) if frame.random else None
    prior = bind_prior(fit.options.prior, frame, mixed, fit.options)
    likelihood = mixed or fixed_likelihood(frame, fit.options.threads)
    Q = likelihood if prior is None else Penalised(likelihood, prior)
    return FittedObjective(Q, prior, mixed, fit.options.nodes == 1)
