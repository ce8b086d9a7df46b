"""``strength="auto"`` and ``strength="cv"``: the strength of a prior, resolved for one model.

:mod:`multilogit.evidence` knows how to search and to score; here it meets the model. Every trial
strength is one fit, warm-started; the data stay in the layout of the compiled core.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from multilogit import evidence
from multilogit.data.model_frame import ModelFrame
from multilogit.errors import OptionError, Status
from multilogit.estimate import Estimate, Options, estimate_mixed, estimate_single
from multilogit.estimate.effects import factor_effects
from multilogit.estimate.mixed import counts_and_trials, mixed_likelihood
from multilogit.estimate.priors import bind_prior, prior_context
from multilogit.estimate.search import Target, search
from multilogit.estimate.single import longest_steps
from multilogit.estimate.starts import start_values
from multilogit.evaluation import Objective, Vector
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.prior import (
    CovarianceRelativeEntropy,
    PriorContext,
    RelativeEntropy,
    ShannonEntropy,
    Specification,
    SumPrior,
)
from multilogit.prior.options import default_strength
from multilogit.prior.relative_entropy import reference_shares

if TYPE_CHECKING:
    from multilogit.evidence.strength import EvidenceCurve, Mode, Score

_WIDTH = 10.0
"""The least strength tried is the default one divided by this."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A prior whose strength has been chosen.

    Attributes
    ----------
    options
        The options of the fit, with the resolved prior.
    estimate
        The fit at the chosen strength.
    curve
        What the search saw; None if the user stopped it.
    """

    options: Options
    estimate: Estimate
    curve: EvidenceCurve | None


def resolve_strength(frame: ModelFrame, fixed: FixedLikelihood, options: Options) -> Resolved:
    """Choose the strength of ``options.prior`` by empirical Bayes or cross-validation.

    ``fixed`` is the likelihood of ``frame`` without its random effects.

    Raises
    ------
    OptionError
        If the criterion is the evidence and another prior on the fixed effects stands beside
        the entropy prior: their normalising constant is not known. If it is cross-validation
        and there are several grouping factors: no rows are independent of all others.
    """
    prior = options.prior
    assert isinstance(prior, Specification)
    part = _open_part(prior)
    if part.strength == "cv":
        _check_one_factor(frame)
    likelihood = mixed_likelihood(frame, _searching(options)) if frame.random else None
    context = prior_context(frame, likelihood, options)
    fit_at = _fit_at(frame, fixed, likelihood, prior, options)
    centre = default_strength(context)
    bounds = (centre / _WIDTH, max(context.total_trials, 2.0 * centre))
    try:
        if part.strength == "cv":
            score = _scorer(frame, likelihood is not None)
            curve, mode = evidence.strength.choose_strength_cv(
                fit_at, score, centre=centre, bounds=bounds
            )
        else:
            assert isinstance(part, RelativeEntropy)
            curve, mode = _by_evidence(fit_at, part, context, centre, bounds)
    except _Interrupted as stop:
        there = replace(options, prior=prior.with_strength(stop.kappa))
        return Resolved(there, stop.estimate, None)
    chosen = replace(options, prior=prior.with_strength(curve.chosen))
    assert isinstance(mode.fit, _Fitted)
    estimate = mode.fit.estimate
    if likelihood is not None:  # with the nodes and starts asked for, and all checks
        estimate = estimate_mixed(frame, fixed, replace(chosen, start=mode.psi))
    noticed = (*estimate.diagnostics, *curve.diagnostics())
    return Resolved(chosen, replace(estimate, diagnostics=noticed), curve)


class _Interrupted(Exception):
    """The user stopped a fit on the way."""

    def __init__(self, kappa: float, estimate: Estimate) -> None:
        super().__init__(kappa)
        self.kappa, self.estimate = kappa, estimate


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A fit on the way, and the Q that it maximises."""

    estimate: Estimate
    objective: Objective


def _searching(options: Options) -> Options:
    """Options of the fits on the way: no ladder of nodes, one start."""
    nodes = 1 if options.nodes == "auto" else options.nodes
    return replace(options, nodes=nodes, starts=1)


def _open_part(prior: Specification) -> RelativeEntropy | ShannonEntropy:
    """The part of the prior whose strength is open; ``"auto"`` belongs to relative entropy."""
    parts = prior.parts if isinstance(prior, SumPrior) else (prior,)
    for part in parts:
        if isinstance(part, RelativeEntropy | ShannonEntropy) and part.needs_strength:
            if len(parts) > 1 and part.strength == "auto":
                raise OptionError(
                    "strength='auto' needs RelativeEntropy to be the only prior; give the "
                    "strength as a number, or use strength='cv'."
                )
            return part
    raise OptionError(f"The strength of {prior!r} cannot be chosen from the data; give a number.")


def _check_one_factor(frame: ModelFrame) -> None:
    """Whole groups are left out: that needs groups that share no random effect."""
    factors = list(frame.groupings)
    if len(factors) > 1:
        raise OptionError(
            f"strength='cv' leaves out one group after the other, but random effects are grouped "
            f"by {', '.join(map(repr, factors))}; use strength='auto', or a number."
        )


def _fit_at(
    frame: ModelFrame,
    fixed: FixedLikelihood,
    likelihood: MixedLikelihood | None,
    prior: Specification,
    options: Options,
) -> Callable[[float, Vector | None], Mode]:
    """One fit at a strength."""
    searching = _searching(options)

    def fit_at(kappa: float, start: Vector | None) -> Mode:
        here = replace(searching, prior=prior.with_strength(kappa))
        if start is not None:
            here = replace(here, start=start)
        fitted = _fit(frame, fixed, likelihood, here)
        if fitted.estimate.solution.status is Status.INTERRUPTED:
            raise _Interrupted(kappa, fitted.estimate)
        solution = fitted.estimate.solution
        free = ~fitted.estimate.boundary
        return evidence.strength.Mode(
            solution.psi, solution.evaluation, free, solution.converged, fitted
        )

    return fit_at


def _fit(
    frame: ModelFrame,
    fixed: FixedLikelihood,
    likelihood: MixedLikelihood | None,
    options: Options,
) -> _Fitted:
    if likelihood is None:
        return _Fitted(estimate_single(frame, fixed, options), fixed)
    likelihood.restart()
    bound = bind_prior(options.prior, frame, likelihood, options)
    target = Target(likelihood, bound, longest_steps(fixed))
    estimate = search(target, start_values(likelihood, fixed, options), options)
    return _Fitted(estimate, target.objective)


def _by_evidence(
    fit_at: Callable[[float, Vector | None], Mode],
    part: RelativeEntropy,
    context: PriorContext,
    centre: float,
    bounds: tuple[float, float],
) -> tuple[EvidenceCurve, Mode]:
    design = evidence.design.summarise(
        context.columns, context.trials, context.offset, context.n_logits
    )
    normaliser = evidence.normaliser.BetaNormaliser(
        design, lambda kappa: reference_shares(part.reference, kappa, context.shares)[1:], bounds
    )
    constant = 0.0
    if context.m and isinstance(part.covariance, CovarianceRelativeEntropy):
        constant = part.covariance.bind(context).log_normaliser()
    return evidence.strength.choose_strength(
        fit_at,
        normaliser.at,
        centre=centre,
        bounds=bounds,
        log_constant=constant if math.isfinite(constant) else 0.0,
        design_error=normaliser.design_error,
    )


def _scorer(frame: ModelFrame, mixed: bool) -> Callable[[Mode], Score]:
    """The log score of rows, or of whole groups, each predicted from the others."""
    response = frame.response
    if not mixed:
        return lambda mode: (
            evidence.leave_out.leave_one_out(
                frame.fixed.columns,
                response.counts,
                response.trials,
                mode.psi,
                -mode.evaluation.hessian,
                offset=frame.offset,
                weights=response.weights,
            ).score
        )
    (factor,) = factor_effects(frame)
    groups = evidence.leave_out.split_groups(
        frame.fixed.columns,
        factor.columns,
        factor.blocks,
        *counts_and_trials(response),
        factor.codes,
        factor.n_levels,
        offset=frame.offset,
        logits=None if response.family == "binomial" else factor.logits,
    )

    def score(mode: Mode) -> Score:
        assert isinstance(mode.fit, _Fitted)
        information = -mode.evaluation.hessian
        return evidence.leave_out.leave_group_out(
            mode.psi, information, groups, mode.fit.objective
        ).score

    return score
