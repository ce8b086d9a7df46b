"""``infinite="freeze"``: infinite parameters held, the rest converged.

Czepiel, *Maximum likelihood estimation of logistic regression models*, §2.1.4, after PROC CATMOD
of SAS: a parameter counts as infinite when (i) its absolute value exceeds five divided by the
range of its column and (ii) its standard error is at least three times the estimate. It is then
held constant, and the iteration goes on without it.

The rule is a suspicion: a finite estimate of sparse data can meet it, and it stops where the
likelihood is still a little below its supremum. So two steps follow it.

1. The linear programs of :mod:`multilogit.estimate.recession` decide which parameters are
   infinite, with which sign. Where the data overlap, nothing is, and what was held is released.
2. *The limit.* Along the direction of recession the categories that it excludes get probability 0;
   with that written into the offset, the likelihood of what is left has a finite maximum once r
   parameters are held at 0, r the dimension of the cone's span. Finite parameters, their standard
   errors and the supremum of the log-likelihood do not depend on which r are held.

The intercept (any constant column) has range 0; 5/0 exempts it from the rule. Where it is
infinite nevertheless, the linear programs say so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from multilogit.errors import Status
from multilogit.estimate.estimate import Estimate, information_inverse
from multilogit.estimate.options import Options
from multilogit.estimate.recession import Recession, certifies_overlap, find_separation
from multilogit.estimate.single import start_values
from multilogit.evaluation import Evaluation, Matrix, Objective, Vector
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import Solution, maximise

Mask = NDArray[np.bool_]

_RANGES = 5.0
"""(i) |β| beyond this many reciprocal ranges of the column."""
_ERRORS = 3.0
"""(ii) SE at least this multiple of |β|."""
_CERTAIN = 300.0
"""Offset, on the logit scale, of a category that the limit excludes: e^-300 is nothing."""
_FAR = 40.0
"""Margin, on the logit scale, of excluded categories at :attr:`FrozenEstimate.far`."""


@dataclass(frozen=True, slots=True)
class FrozenEstimate:
    """Maximum likelihood of a single-level model, infinite parameters included.

    Attributes
    ----------
    estimate
        ψ̂ with ``inf``, ``-inf``, or NaN (infinite, sign not unique) at infinite parameters,
        which ``boundary`` masks. The value is the supremum of the log-likelihood; gradient and
        Hessian are those of its profile over the infinite parameters, and 0 in their places.
        If nothing is infinite: the ordinary estimate.
    recession
        The cone behind it; None if the iteration gave no reason to look for one.
    suspected
        Shape ``(d,)``: parameters that the rule of §2.1.4 held during the iteration.
    far
        Shape ``(d,)``, finite: ψ̂ moved out along the direction of recession until excluded
        categories have probabilities below e^-40. Use it to predict.
    """

    estimate: Estimate
    recession: Recession | None
    suspected: Mask
    far: Vector

    @property
    def infinite(self) -> Mask:
        """Shape ``(d,)``: parameters that are infinite."""
        return self.estimate.boundary


@dataclass(frozen=True, slots=True)
class Restricted:
    """An objective as a function of its free parameters only.

    Attributes
    ----------
    whole
        The objective.
    values
        Shape ``(d,)``: values of the parameters that are held; the others do not matter.
    free
        Shape ``(d,)``: parameters that are free.
    """

    whole: Objective
    values: Vector
    free: Mask

    def full(self, psi: Vector) -> Vector:
        """All parameters."""
        out = self.values.copy()
        out[self.free] = psi
        return out

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Value; gradient and Hessian in the free parameters."""
        whole = self.whole.evaluate(self.full(psi))
        return replace(
            whole,
            gradient=whole.gradient[self.free],
            hessian=whole.hessian[np.ix_(self.free, self.free)],
        )


def estimate_frozen(likelihood: FixedLikelihood, options: Options) -> FrozenEstimate:
    """Maximum likelihood with infinite parameters frozen (Czepiel §2.1.4).

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length.
    """
    solution, suspected = _climb(likelihood, start_values(likelihood, options), options)
    if solution.status is Status.INTERRUPTED or (solution.converged and not suspected.any()):
        return _plain(solution, None, suspected)
    data = _weighted(likelihood)
    if certifies_overlap(*data, solution.psi, likelihood.offset):
        return _released(likelihood, solution, suspected, None, options)
    recession = find_separation(*data)
    if recession.kind == "overlap":
        return _released(likelihood, solution, suspected, recession, options)
    return _limit(likelihood, solution, suspected, recession, options)


# -- the iteration with the rule -------------------------------------------------------------


class _Rule:
    """Freezes parameters during the iteration; the state between its steps."""

    def __init__(self, likelihood: FixedLikelihood) -> None:
        ranges = np.array([np.ptp(column) for column in likelihood.columns])
        with np.errstate(divide="ignore"):
            self.bound = np.tile(_RANGES / ranges, likelihood.n_logits)
        size = likelihood.n_parameters
        self.likelihood = likelihood
        self.restricted = Restricted(self, np.zeros(size), np.ones(size, dtype=bool))
        self.last: tuple[Vector, Evaluation] | None = None

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """The likelihood; the last point is kept, where the standard errors come from."""
        self.last = (psi, self.likelihood.evaluate(psi))
        return self.last[1]

    def __call__(self, psi: Vector) -> tuple[Objective, Vector] | None:
        """After a step: the restricted objective, if a parameter is to be held from now on."""
        full, free = self.restricted.full(psi), self.restricted.free
        if self.last is None or not np.array_equal(self.last[0], full):
            self.evaluate(full)
        assert self.last is not None
        if not (free & (np.abs(full) > self.bound)).any():
            return None
        infinite = free & meets_rule(full, self.last[1].hessian, self.bound, free)
        if not infinite.any():
            return None
        free = free & ~infinite
        self.restricted = Restricted(self, full, free)
        return self.restricted, full[free]


def meets_rule(beta: Vector, hessian: Matrix, bound: Vector, free: Mask) -> Mask:
    """Czepiel §2.1.4: |β| > 5/range and SE ≥ 3|β|.

    ``bound`` is 5/range. The information may be singular to rounding on the way to infinity;
    standard errors are then taken as infinite.
    """
    variance = np.diag(information_inverse(hessian, free))
    se = np.sqrt(np.where(np.isnan(variance), np.inf, variance))
    met: Mask = (np.abs(beta) > bound) & (se >= _ERRORS * np.abs(beta))
    return met


def _climb(likelihood: FixedLikelihood, start: Vector, options: Options) -> tuple[Solution, Mask]:
    """Newton–Raphson under the rule: where it ended, all parameters; which ones were held."""
    rule = _Rule(likelihood)
    solution = maximise(
        rule.restricted,
        start,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        recondition=rule,
        callback=options.callback,
        first=None if start.any() else likelihood.at_zero,
    )
    psi = rule.restricted.full(solution.psi)
    whole = replace(solution, psi=psi, evaluation=likelihood.evaluate(psi))
    return whole, ~rule.restricted.free


# -- after the verdict -----------------------------------------------------------------------


def _plain(solution: Solution, recession: Recession | None, suspected: Mask) -> FrozenEstimate:
    none = np.zeros(solution.psi.size, dtype=bool)
    estimate = Estimate(solution=solution, likelihood=solution.evaluation, boundary=none)
    return FrozenEstimate(estimate, recession, suspected, solution.psi)


def _released(
    likelihood: FixedLikelihood,
    solution: Solution,
    suspected: Mask,
    recession: Recession | None,
    options: Options,
) -> FrozenEstimate:
    """The data overlap: go on with all parameters free."""
    if suspected.any():
        solution = _go_on(likelihood, solution, solution.psi, options)
    return _plain(solution, recession, suspected)


def _go_on(objective: Objective, before: Solution, start: Vector, options: Options) -> Solution:
    """Maximise from where another search ended; the traces are one."""
    done = sum(1 for row in before.trace if np.isfinite(row.step))
    after = maximise(
        objective,
        start,
        max_iterations=max(options.max_iterations - done, 0),
        tolerance=options.tolerance,
        callback=options.callback,
    )
    kept = tuple(row for row in before.trace if np.isfinite(row.step))
    shifted = tuple(replace(row, iteration=row.iteration + len(kept)) for row in after.trace)
    return replace(
        after, trace=kept + shifted, n_evaluations=before.n_evaluations + after.n_evaluations
    )


def _limit(
    likelihood: FixedLikelihood,
    solution: Solution,
    suspected: Mask,
    recession: Recession,
    options: Options,
) -> FrozenEstimate:
    """The maximum of what is left in the limit along the direction of recession."""
    limiting = _limiting_likelihood(likelihood, recession.excluded)
    held = _gauge(recession.span, likelihood)
    psi = _move_to_zero(solution.psi, recession.span, held)
    restricted = Restricted(limiting, np.where(held, 0.0, psi), ~held)
    solution = _go_on(restricted, solution, psi[~held], options)
    finite_part = restricted.full(solution.psi)
    infinite = recession.infinite
    limits = np.choose(recession.signs + 1, (-np.inf, np.nan, np.inf))
    profile = _profile(limiting.evaluate(finite_part), held, infinite)
    reported = replace(solution, psi=np.where(infinite, limits, finite_part), evaluation=profile)
    estimate = Estimate(solution=reported, likelihood=profile, boundary=infinite.copy())
    far = _far_out(likelihood, finite_part, recession)
    return FrozenEstimate(estimate, recession, suspected, far)


def _limiting_likelihood(likelihood: FixedLikelihood, excluded: Mask) -> FixedLikelihood:
    """The likelihood with excluded categories at probability 0, by the offset."""
    shift = _CERTAIN * (excluded[:, :1].astype(float) - excluded[:, 1:])
    offset = shift if likelihood.offset is None else likelihood.offset + shift
    return FixedLikelihood(
        likelihood.columns,
        likelihood.counts,
        likelihood.trials,
        offset,
        likelihood.weights,
        likelihood.threads,
    )


def _gauge(span: Matrix, likelihood: FixedLikelihood) -> Mask:
    """r parameters that, held, leave no direction of the span: QR with pivoting."""
    scale = np.tile([np.linalg.norm(x) for x in likelihood.columns], likelihood.n_logits)
    r = span.shape[1]
    _, _, order = qr((span * scale[:, None]).T, mode="economic", pivoting=True)
    held = np.zeros(span.shape[0], dtype=bool)
    held[order[:r]] = True
    return held


def _move_to_zero(psi: Vector, span: Matrix, held: Mask) -> Vector:
    """The point that equals ψ on all boundary rows and is 0 where parameters are held."""
    moved: Vector = psi - span @ np.linalg.solve(span[held], psi[held])
    return moved


def _profile(evaluation: Evaluation, held: Mask, infinite: Mask) -> Evaluation:
    """Gradient and Hessian in the finite parameters, the other free ones profiled out."""
    finite, nuisance = np.flatnonzero(~infinite), np.flatnonzero(infinite & ~held)
    H = evaluation.hessian
    cross = H[np.ix_(finite, nuisance)]
    block = H[np.ix_(finite, finite)]
    if nuisance.size:
        block = block - cross @ np.linalg.solve(H[np.ix_(nuisance, nuisance)], cross.T)
    hessian = np.zeros_like(H)
    hessian[np.ix_(finite, finite)] = 0.5 * (block + block.T)
    gradient = np.where(infinite, 0.0, evaluation.gradient)
    return replace(evaluation, gradient=gradient, hessian=hessian)


def _far_out(likelihood: FixedLikelihood, psi: Vector, recession: Recession) -> Vector:
    """ψ + t d with t so large that every excluded category is at least 40 logits away."""
    X = np.column_stack(likelihood.columns)
    base = _eta(X, psi, likelihood.n_logits)
    if likelihood.offset is not None:
        base[:, 1:] += likelihood.offset
    ahead = _eta(X, recession.direction, likelihood.n_logits)
    rows, categories = np.nonzero(recession.excluded)
    best = ahead.argmax(axis=1)[rows]
    gain = ahead[rows, best] - ahead[rows, categories]
    missing = _FAR - (base[rows, best] - base[rows, categories])
    visible = gain > 0.0  # rounding in the user's units may hide a gap
    t = max(float((missing[visible] / gain[visible]).max(initial=0.0)), 0.0)
    far: Vector = psi + t * recession.direction
    return far


def _eta(X: Matrix, psi: Vector, n_logits: int) -> Matrix:
    """η of all J categories, the baseline first."""
    out = np.zeros((X.shape[0], n_logits + 1))
    out[:, 1:] = X @ psi.reshape(n_logits, -1).T
    return out


def _weighted(likelihood: FixedLikelihood) -> tuple[tuple[Vector, ...], Matrix, Vector]:
    """Columns, counts and trials with the frequency weights multiplied in."""
    w = likelihood.weights
    if w is None:
        return likelihood.columns, likelihood.counts, likelihood.trials
    return likelihood.columns, likelihood.counts * w[:, None], likelihood.trials * w
