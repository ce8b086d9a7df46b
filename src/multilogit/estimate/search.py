"""The search for the maximum of a model with random effects.

Newton's steps depend on how Σ = ΛΛ' is written. A small pivot of Λ with elements below it makes a
curved valley: the column can turn around at little cost. With the large pivots first, far fewer
steps are needed; so the effects are reordered during the search, and ψ̂ is stated in the user's
order at its end. A product rule of quadrature lies along the columns of Λ: there the last steps
are taken in the user's order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import CheckpointError, Diagnostic, Status
from multilogit.estimate import boundary
from multilogit.estimate.climb import climb
from multilogit.estimate.estimate import Estimate, FactorEstimate
from multilogit.estimate.options import Options
from multilogit.evaluation import Evaluation, Matrix, Objective, Vector
from multilogit.likelihood.covariance import cholesky
from multilogit.likelihood.mixed import MixedLikelihood, Order, WithInformation
from multilogit.newton import Solution, longest_step
from multilogit.objective import Penalised
from multilogit.prior import BoundPrior, depends_on_order

_LONGEST = 2.0
_GROWTH = 0.25
"""Cap on the change of a standard deviation in one step: 2 on the logit scale, or a quarter. Longer
steps may jump over a maximum at a large one."""
_REORDER = 5.0
"""Reorder when a pivot is exceeded by one that could stand before it by more than this factor."""
_MOST_ESCAPES = 5


@dataclass(frozen=True)
class Target:
    """What is maximised: Q = ℓ + log π.

    Attributes
    ----------
    likelihood
        ℓ, and everything that is known of the random effects.
    prior
        log π; None: maximum likelihood.
    longest
        Shape ``(p,)``: caps on the change of β in one step; None: no caps.
    n_logits
        C = J − 1: β holds so many coefficients of each column.
    """

    likelihood: MixedLikelihood
    prior: BoundPrior | None = None
    longest: Vector | None = None
    n_logits: int = 1

    @cached_property
    def objective(self) -> Objective:
        """Q as one objective."""
        return self.likelihood if self.prior is None else Penalised(self.likelihood, self.prior)

    def likelihood_at(self, psi: Vector, Q: Evaluation) -> Evaluation:
        """ℓ at ψ, where Q has just been evaluated."""
        objective = self.objective
        return objective.likelihood_at(psi) if isinstance(objective, Penalised) else Q

    @property
    def may_reorder(self) -> bool:
        """Whether Q is the same in every order of the effects; a user's prior need not be."""
        if max(self.likelihood.structure.blocks) == 1:
            return False
        return self.prior is None or not depends_on_order(self.prior)

    def forbids(self, psi: Vector) -> bool:
        """Whether log π is −∞ at ψ, as where it keeps variances off 0, however weakly."""
        return self.prior is not None and not np.isfinite(self.prior.evaluate(psi).value)

    @cached_property
    def _within_every_cap(self) -> float:
        """A change of θ that is never too long."""
        return _LONGEST / float(self.likelihood.z_scale.max())

    def longest_step(self, psi: Vector, step: Vector) -> float:
        """How much of a step may be taken: it may change standard deviations by 2, or a quarter."""
        likelihood, p = self.likelihood, self.likelihood.p
        if self.longest is None and max(map(abs, step[p:].tolist())) <= self._within_every_cap:
            return 1.0
        sd = np.sqrt((likelihood.structure.Lambda(psi[p:]) ** 2).sum(axis=1))
        beta = np.full(p, np.inf) if self.longest is None else self.longest
        theta = np.maximum(_GROWTH * sd, _LONGEST / likelihood.scale)[likelihood.structure.rows]
        return longest_step(step, np.concatenate([beta, theta]))

    def permute(self, psi: Vector, order: NDArray[np.intp]) -> Vector:
        """ψ with the effects reordered, and the likelihood with them."""
        self._forget()
        return permute(self.likelihood, psi, order)

    def restore(self, order: Order) -> None:
        """The likelihood in the order of a checkpoint; modes are forgotten.

        Raises
        ------
        CheckpointError
            There is no such order: it may only permute within blocks.
        """
        blocks = self.likelihood.structure.slices()
        if any(sorted(order[c]) != list(range(c.start, c.stop)) for c in blocks):
            raise CheckpointError(
                f"The checkpoint is damaged: {order} is no order of the random effects. Delete it."
            )
        self._forget()
        self.likelihood.reorder(order)

    def _forget(self) -> None:
        if isinstance(self.objective, Penalised):
            self.objective.forget()


def search(target: Target, start: Vector, options: Options) -> Estimate:
    """Maximise from ``start``; leave saddles at zero variances; return to the user's order."""
    solution = _climb(target, start, options)
    psi = solution.psi
    for _ in range(_MOST_ESCAPES):
        if not solution.converged:
            break
        psi = boundary.snap(target.likelihood, solution.psi)
        if psi is solution.psi or target.forbids(psi):
            psi = solution.psi
            break
        escaped = boundary.escape(target.likelihood, target.objective, psi)
        if escaped is None:
            break
        solution = _joined(solution, _climb(target, escaped, options))
        psi = solution.psi
    return _finish(target, solution, psi)


def _climb(target: Target, start: Vector, options: Options) -> Solution:
    """Newton–Raphson from ``start``, in the order of the effects that suits it best."""
    solution = _steps(target, start, options, target.may_reorder)
    likelihood = target.likelihood
    if not (likelihood.depends_on_order and solution.converged) or _in_users_order(likelihood):
        return solution
    back = target.permute(solution.psi, np.argsort(likelihood.order))
    return _joined(solution, _steps(target, back, options, reorder=False))


def _in_users_order(likelihood: MixedLikelihood) -> bool:
    return likelihood.order == tuple(range(likelihood.structure.q))


def _joined(first: Solution, then: Solution) -> Solution:
    """Two searches, the second from where the first led, as one."""
    return replace(
        then,
        trace=first.trace + then.trace,
        n_evaluations=first.n_evaluations + then.n_evaluations,
    )


def _steps(target: Target, start: Vector, options: Options, reorder: bool) -> Solution:
    return climb(
        target.objective,
        start,
        options,
        max_change=target.longest_step,
        recondition=_Coordinates(target).recondition if reorder else None,
        order=lambda: target.likelihood.order,
        restore=target.restore,
    )


@dataclass(frozen=True, slots=True)
class _Coordinates:
    """The order of the effects within their blocks, large pivots first."""

    target: Target

    def recondition(self, psi: Vector) -> tuple[Objective, Vector] | None:
        """The same point with the effects in a better order, or None."""
        order = self._better_order(psi)
        if order is None:
            return None
        return self.target.objective, self.target.permute(psi, order)

    def _better_order(self, psi: Vector) -> NDArray[np.intp] | None:
        likelihood = self.target.likelihood
        Lambda = likelihood.structure.Lambda(psi[likelihood.p :]) * likelihood.scale[:, None]
        blocks = likelihood.structure.slices()
        order = np.concatenate([c.start + pivot_order(Lambda[c, c]) for c in blocks])
        return None if np.array_equal(order, np.arange(order.size)) else order


def pivot_order(Lambda: Matrix) -> NDArray[np.intp]:
    """An order of the effects in which no small pivot of Λ stands before a large one.

    The pivot of an effect is its variance given the effects before it. One that is exceeded by
    that of a later effect more than :data:`_REORDER` times makes room for the largest.
    """
    rest = Lambda @ Lambda.T
    left = list(range(len(rest)))
    order = []
    while left:
        pivots = rest.diagonal()[left]
        first = int(pivots.argmax()) if pivots.max() > _REORDER * max(pivots[0], 0.0) else 0
        k = left.pop(first)
        order.append(k)
        if rest[k, k] > 0.0:
            rest = rest - np.outer(rest[:, k], rest[k]) / rest[k, k]
    return np.array(order, dtype=np.intp)


def permute(likelihood: MixedLikelihood, psi: Vector, order: NDArray[np.intp]) -> Vector:
    """Reorder the effects: row a of the new Λ is row ``order[a]`` of the old; b̂ stays.

    With ΛΛ' = Σ, the new Λ is the Cholesky factor of the permuted Σ, and û turns with it.
    """
    p, structure = likelihood.p, likelihood.structure
    old = structure.Lambda(psi[p:])[order]
    new = cholesky(old @ old.T)
    turn = np.asarray(np.linalg.lstsq(new, old, rcond=None)[0], dtype=np.float64)
    likelihood.reorder(tuple(np.array(likelihood.order)[order].tolist()), turn)
    return np.concatenate([psi[:p], new[structure.rows, structure.columns]])


def _finish(target: Target, solution: Solution, psi: Vector) -> Estimate:
    """Restate the solution at ``psi``, which is it but for invisible variances that are zero.

    Effects in the user's order, diagonal of Λ not negative.
    """
    likelihood = target.likelihood
    p, structure = likelihood.p, likelihood.structure
    moved = psi is not solution.psi
    if not _in_users_order(likelihood):
        psi = target.permute(psi, np.argsort(likelihood.order))
        moved = True
    evaluation = target.objective.evaluate(psi) if moved else solution.evaluation
    likelihood_there = target.likelihood_at(psi, evaluation)
    if not likelihood.whole_hessian:
        assert isinstance(likelihood, WithInformation)
        exact = likelihood.information(psi)
        correction = exact.hessian - likelihood_there.hessian
        evaluation = replace(evaluation, hessian=evaluation.hessian + correction)
        likelihood_there = replace(likelihood_there, hessian=exact.hessian)
    Lambda = structure.Lambda(psi[p:])
    factors = _factor_estimates(likelihood, Lambda)
    pivots = Lambda.diagonal().tolist()
    if min(pivots) < 0.0:
        sign = np.where(Lambda.diagonal() < 0.0, -1.0, 1.0)
        flip = np.concatenate([np.ones(p), sign[structure.columns]])
        psi, Lambda = psi * flip, Lambda * sign
        evaluation, likelihood_there = _flipped(evaluation, flip), _flipped(likelihood_there, flip)
    on_boundary = np.zeros(psi.size, dtype=bool)
    if not all(pivots):
        on_boundary[p:] = np.count_nonzero(Lambda, axis=0)[structure.columns] == 0
    return Estimate(
        Solution(psi, evaluation, solution.status, solution.trace, solution.n_evaluations + moved),
        likelihood_there,
        on_boundary,
        Lambda=Lambda,
        factors=factors,
        diagnostics=_diagnose(solution.status, Lambda),
    )


def _factor_estimates(likelihood: MixedLikelihood, Lambda: Matrix) -> tuple[FactorEstimate, ...]:
    """b̂ = Λû and its conditional covariance, factor by factor."""
    parts = zip(likelihood.factors(), likelihood.modes(), likelihood.mode_covariance(), strict=True)
    return tuple(
        FactorEstimate(
            effects, u @ Lambda[effects, effects].T, covariance, likelihood.z_scale[effects]
        )
        for effects, u, covariance in parts
    )


def _flipped(evaluation: Evaluation, flip: Vector) -> Evaluation:
    """The evaluation with the signs of some parameters changed."""
    return Evaluation(
        evaluation.value,
        evaluation.gradient * flip,
        evaluation.hessian * np.outer(flip, flip),
        evaluation.status,
    )


def _diagnose(status: Status, Lambda: Matrix) -> tuple[Diagnostic, ...]:
    """A singular Σ is worth knowing."""
    if status is not Status.CONVERGED or all(Lambda.diagonal().tolist()):
        return ()
    rank = int(np.count_nonzero(Lambda.any(axis=0)))
    q = Lambda.shape[0]
    if rank == q:
        return ()
    return (
        Diagnostic(
            "singular",
            "info",
            f"The random-effects covariance is singular (rank {rank} of {q}): the likelihood is "
            "largest on the boundary of the parameter space.",
            "Estimates stand; consider a simpler random-effects structure.",
            {"rank": rank, "zero_effects": np.flatnonzero(~Lambda.any(axis=1)).tolist()},
        ),
    )
