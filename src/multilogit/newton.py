"""Newton–Raphson with ridge augmentation and a line search. No statistics inside.

One iteration, at the point ψ with gradient g and Hessian H:

1. *Direction.* Solve (−H + ρD) p = g by Cholesky. ρ = 0 wherever −H is positive definite;
   elsewhere D = diag|H_kk| and ρ comes from the smallest eigenvalue of D^-½ (−H) D^-½, so
   that neither the test nor the direction depends on the units of the parameters. Where the
   gradient is too weak to leave a saddle, the direction of negative curvature is added.
2. *Line search.* Try ψ + tp at t = 1 and backtrack (step-halving, refined by a quadratic
   interpolation) until Q rises enough (Armijo). Where the predicted rise is below the
   rounding of Q, the gradient along p decides instead (Hager & Zhang 2005, "approximate
   Wolfe").
3. *Stop* on the Newton decrement λ = sqrt(g'(−H)⁻¹g) **and** the gradient; see
   :func:`maximise`.

References: Czepiel, *Maximum likelihood estimation of logistic regression models*, §2.1.3;
Nocedal & Wright (2006), *Numerical optimization*, ch. 3; Moré & Sorensen (1979) for the
directions of negative curvature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import truediv
from typing import NamedTuple

import numpy as np

from multilogit import _core
from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Matrix, Objective, Vector

_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 64.0 * _EPS
"""Changes of Q below this multiple of max(|Q|, 1) are rounding."""
_SINGULAR = 64.0 * _EPS
"""A Cholesky pivot below this multiple of its diagonal element is rounding."""
_ARMIJO = 1e-4
"""Least part of the predicted rise that a step must bring."""
_MIN_RIDGE = 1e-3
"""Least eigenvalue of the scaled −H + ρD, where ρ > 0."""
_MAX_BACKTRACKS = 50
_NEAR = 1e-3
"""Newton decrement, in standard errors, above which noise of Q never excuses a search."""
_NOISE = 1e-9
"""Largest part of max(|Q|, 1) that noise of Q may be."""
_FLAT = 1e-6
"""Newton decrement below which steps that do not shrink lead to infinity."""
_LONG = 1e-3
"""Length of a step, in units of sqrt|H_kk| at the start, below which it has shrunk."""
_SAME = 0.9
"""Part of the length of the step before that a step has at least if steps do not shrink."""
_AGAIN = 3.0
"""Length of a step, in that of the step before, above which it is no step on the way."""
_FLAT_RIDGE = _MIN_RIDGE + 1e-12
"""Largest ridge of a −H that is singular to rounding, not indefinite."""

Recondition = Callable[[Vector], tuple[Objective, Vector] | None]
Caps = Vector | Callable[[Vector, Vector], float] | None


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One Newton iteration: the point it started from and the step it took.

    Attributes
    ----------
    iteration
        0 for the start.
    objective
        Q(ψ) at the point.
    gradient_norm
        max |gradient| at the point.
    decrement
        Newton decrement λ = sqrt(g'(−H)⁻¹g) at the point (with the ridge, where one is used).
    ridge
        Multiple of the scaling matrix that was added to −H to make it positive definite; 0
        almost always.
    step
        Step length t accepted by the line search (1: the full Newton step); NaN in the last
        row, from which no step was taken.
    max_change
        max |Δψ| of the step taken; NaN in the last row.
    """

    iteration: int
    objective: float
    gradient_norm: float
    decrement: float
    ridge: float
    step: float
    max_change: float


@dataclass(frozen=True, slots=True)
class Solution:
    """Where Newton–Raphson ended, how, and along which way.

    Attributes
    ----------
    psi
        Shape ``(d,)``: the last accepted point.
    evaluation
        The objective at exactly ``psi``.
    status
        ``CONVERGED`` or the reason for stopping.
    trace
        One row per iteration.
    n_evaluations
        Calls of ``evaluate``, trial points of the line search included.
    """

    psi: Vector
    evaluation: Evaluation
    status: Status
    trace: tuple[TraceRow, ...]
    n_evaluations: int

    @property
    def converged(self) -> bool:
        """Whether both stopping rules hold."""
        return self.status is Status.CONVERGED


@dataclass(frozen=True, slots=True)
class Iterate:
    """A point on the way, with all that the search must know to go on from there.

    Attributes
    ----------
    psi
        Shape ``(d,)``: the last accepted point.
    trace
        One row per step taken.
    n_evaluations
        Calls of ``evaluate`` so far.
    unit
        Shape ``(d,)``: sqrt|H_kk| at the start, the metric in which steps are compared.
    last_change
        Length of the last step in that metric; infinite before the first one.
    at_floor
        Whether the last step met the rounding of the gradient.
    """

    psi: Vector
    trace: tuple[TraceRow, ...]
    n_evaluations: int
    unit: Vector
    last_change: float
    at_floor: bool


def maximise(
    objective: Objective,
    start: Vector | Iterate,
    *,
    max_iterations: int = 100,
    tolerance: float = 1e-8,
    gradient_tolerance: float = 1e-6,
    max_change: Caps = None,
    recondition: Recondition | None = None,
    callback: Callable[[TraceRow], None] | None = None,
    keep: Callable[[Iterate], None] | None = None,
    first: Evaluation | None = None,
) -> Solution:
    """Maximise ``objective`` by Newton–Raphson from ``start``.

    Stopping. λ² is twice the rise of Q that the quadratic model still promises, and
    |g_k| ≤ λ sqrt(−H_kk), so ``λ <= tolerance`` bounds the gradient in units of every
    parameter at once, whatever those units are. It does not bound the bare gradient of a
    parameter whose column is large; so from the first point with ``λ <= tolerance`` full
    Newton steps go on while max |g| ≥ ``gradient_tolerance`` and each at least halves it.
    What they cannot halve is rounding, and the point counts as converged: a column of size
    10⁶ cannot prevent convergence, one of size 200 does not loosen it. A point where a ridge
    was needed never counts: a saddle is not a maximum.

    Parameters
    ----------
    objective
        Anything with ``evaluate(psi) -> Evaluation``. A trial point with a status other than
        OK, or with numbers that are not finite, is a step too long.
    start
        Shape ``(d,)``, not modified; or an iterate that an earlier search has handed to
        ``keep``: the search goes on from there as if it had never stopped.
    max_iterations
        Newton steps at most.
    tolerance
        Largest Newton decrement λ of a converged point (dimensionless; where Q is a
        log-likelihood, λ is the distance to the maximum in standard errors).
    gradient_tolerance
        max |g| below which no more steps are taken once ``λ <= tolerance``.
    max_change
        Shape ``(d,)``: caps on |Δψ_k| of one step (``inf``: none). The step is shortened,
        not bent. A function is called with ψ and p before every step, and returns the longest t.
    recondition
        Called with ψ after every accepted step. It may state the same objective in better
        coordinates by returning ``(objective, psi)``; then, and only then, it is evaluated
        anew.
    callback
        Called with every row of the trace as soon as it is known.
    keep
        Called with the start and with every iterate.
    first
        The objective at ``start``, if it has been evaluated already.

    Returns
    -------
    Solution
        With status

        * ``CONVERGED``: as above; or no step improves Q, and λ² is below the rounding of Q or,
          with λ ≤ 10⁻³, of the size of the noise that Q shows on ever shorter steps (columns
          far from zero: each η is then a small difference of large numbers);
        * ``DIVERGING``: λ is small (10⁻⁶, or 10⁻³ where −H has become singular to rounding),
          but the Newton steps do not shrink: Q approaches a supremum at infinity;
        * ``MAX_ITERATIONS``;
        * ``LINE_SEARCH_FAILED``: no step improves Q, and rounding does not explain it;
        * ``NOT_FINITE``, ``INNER_FAILED``: ``start`` (or the restated point) cannot be
          evaluated; ``INNER_FAILED`` also if the evaluation fails however short the step;
        * ``INTERRUPTED``: KeyboardInterrupt; ψ is the last accepted point.

    Raises
    ------
    OptionError
        If ``start`` is not a finite vector, or a cap is not positive.
    KeyboardInterrupt
        If it arrives before the first evaluation is complete.
    """
    earlier = start if isinstance(start, Iterate) else None
    psi = _checked_start(start.psi if isinstance(start, Iterate) else start)
    climb = _Climb(objective, psi, _checked_caps(max_change, psi.size), tolerance, first)
    if earlier is not None:
        climb.take_up(earlier)
    climb.gradient_tolerance = gradient_tolerance
    climb.max_iterations = max_iterations
    climb.recondition, climb.callback, climb.keep = recondition, callback, keep
    try:
        status = climb.run()
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
        climb.close_trace()
    return Solution(*climb.point, status, tuple(climb.trace), climb.n_evaluations)


def is_level(solution: Solution) -> bool:
    """Whether Q is level to rounding where a search ended: −H singular, not indefinite, λ ≤ 10⁻⁶.

    So it is if the search began far on the way to infinity; Q is then its supremum, to rounding.
    """
    if solution.status is not Status.LINE_SEARCH_FAILED or not solution.trace:
        return False
    last = solution.trace[-1]
    return 0.0 < last.ridge <= _FLAT_RIDGE and last.decrement <= _FLAT


def _checked_start(start: Vector) -> Vector:
    psi = np.array(start, dtype=np.float64)
    if psi.ndim != 1 or not np.isfinite(psi).all():
        raise OptionError("start must be a vector of finite numbers; replace NaN and inf.")
    return psi


def _checked_caps(max_change: Caps, size: int) -> Caps:
    if max_change is None or callable(max_change):
        return max_change
    caps = np.asarray(max_change, dtype=np.float64)
    if caps.shape != (size,) or not (caps > 0).all():
        raise OptionError(f"max_change must hold {size} positive caps (inf for none).")
    return caps


class Direction(NamedTuple):
    """An ascent direction p at one point.

    ``slope`` is g'p, ``curvature`` max(p'Hp, 0): positive only where −H is indefinite.
    ``decrement`` is λ, with the ridge where there is one.
    """

    p: Vector
    slope: float
    decrement: float
    ridge: float
    curvature: float


def longest_step(p: Vector, caps: Vector) -> float:
    """1, or the t at which tp meets the first of the caps on |Δψ_k|."""
    return 1.0 / max(1.0, _max_abs(p / caps))


def newton_direction(gradient: Vector, hessian: Matrix) -> Direction:
    """Solve (−H + ρD) p = g, with ρ = 0 where −H is positive definite to rounding.

    The test is Cholesky's own, with pivots compared with the diagonal elements that they
    come from (1 − R² of a column on the ones before it): scaling a parameter changes nothing.
    """
    if gradient.size == 0:
        return Direction(gradient.copy(), 0.0, 0.0, 0.0, 0.0)
    negative = -hessian
    solved = _core.solve_positive(negative, gradient)
    if solved is not None and _well_above_rounding(solved[1], negative):
        p = solved[0]
        slope = float(gradient.dot(p))
        return Direction(p, slope, math.sqrt(max(slope, 0.0)), 0.0, 0.0)
    return _ridge_direction(gradient, negative)


def _well_above_rounding(pivots: Vector, matrix: Matrix) -> bool:
    """Whether the squared pivots of a Cholesky factor are more than what rounding leaves."""
    left = map(truediv, pivots.tolist(), matrix.diagonal().tolist())
    return bool(min(left) > _SINGULAR)


def _ridge_direction(gradient: Vector, negative: Matrix) -> Direction:
    """The direction where −H is indefinite or singular.

    ρ = 2|a| for the smallest eigenvalue a < 0 of the scaled −H, so that the step along its
    eigenvector has the length g/|a| that it would have at a maximum of the same curvature.
    """
    root = np.sqrt(_scaling(negative))
    values, vectors = np.linalg.eigh(negative / np.outer(root, root))
    lowest = float(values[0])
    ridge = max(-2.0 * lowest, _MIN_RIDGE - lowest)
    slopes = vectors.T @ (gradient / root)
    steps = slopes / (values + ridge)
    decrement = math.sqrt(float(slopes @ steps))
    if lowest < -_SINGULAR and decrement**2 < -1e-2 * lowest and abs(steps[0]) < 1.0:
        # The gradient leads nowhere, the curvature does: one unit of D along it.
        steps[0] = math.copysign(1.0, steps[0])
    curvature = -float(steps @ (values * steps))
    p = (vectors @ steps) / root
    return Direction(p, float(slopes @ steps), decrement, ridge, max(curvature, 0.0))


def _scaling(negative: Matrix) -> Vector:
    """The diagonal of D: |H_kk|, or where that vanishes the largest |H_ij|, or 1."""
    diagonal = np.abs(negative.diagonal())
    largest = float(np.abs(negative).max()) or 1.0
    return np.where(diagonal > 1e-20 * largest, diagonal, largest)


class _Point(NamedTuple):
    psi: Vector
    evaluation: Evaluation


def _usable(evaluation: Evaluation) -> bool:
    """Whether status is OK and all numbers are finite (then so are their sums)."""
    return (
        evaluation.status is Status.OK
        and math.isfinite(evaluation.value)
        and math.isfinite(sum(evaluation.gradient.tolist()))
        and math.isfinite(np.add.reduce(evaluation.hessian, axis=None))
    )


def _why_unusable(evaluation: Evaluation) -> Status:
    return Status.NOT_FINITE if evaluation.status is Status.OK else evaluation.status


def _backtrack(promised: float, rise: float) -> float:
    """The factor for t: vertex of the parabola with slope and rise, within [0.1, 0.5]."""
    missing = promised - rise
    return min(max(0.5 * promised / missing, 0.1), 0.5) if missing > 0.0 else 0.5


def _max_abs(vector: Vector) -> float:
    return max(map(abs, vector.tolist()), default=0.0)  # for short vectors faster than NumPy


class _Climb:
    """The state of one maximisation."""

    gradient_tolerance = 1e-6
    max_iterations = 100
    recondition: Recondition | None = None
    callback: Callable[[TraceRow], None] | None = None
    keep: Callable[[Iterate], None] | None = None

    def __init__(
        self,
        objective: Objective,
        psi: Vector,
        caps: Caps,
        tolerance: float,
        first: Evaluation | None,
    ) -> None:
        self.objective = objective
        self.caps = caps
        self.tolerance = tolerance
        self.trace: list[TraceRow] = []
        self.n_evaluations = 0 if first is None else 1
        self.point = self._evaluate(psi) if first is None else _Point(psi, first)
        self.unit = self._unit()
        self.last_change = math.inf  # of the step before, in the metric of `unit`
        self.at_floor = False  # the last polishing step met the rounding of the gradient

    def take_up(self, earlier: Iterate) -> None:
        """Go on from an iterate of an earlier search: the point where this one has begun."""
        self.trace = list(earlier.trace)
        self.n_evaluations += earlier.n_evaluations
        self.unit, self.last_change = earlier.unit, earlier.last_change
        self.at_floor = earlier.at_floor

    def run(self) -> Status:
        """Iterate until something ends it."""
        self._keep()
        if not _usable(self.point.evaluation):
            return _why_unusable(self.point.evaluation)
        done = min(len(self.trace), self.max_iterations)
        for iteration in range(done, self.max_iterations + 1):
            evaluation = self.point.evaluation
            direction = newton_direction(evaluation.gradient, evaluation.hessian)
            norm = _max_abs(evaluation.gradient)
            settled = direction.ridge == 0.0 and direction.decrement <= self.tolerance
            flat = direction.ridge == 0.0 and direction.decrement <= _FLAT
            if (flat and self._runs_away(direction)) or self._ran_away(direction):
                return self._end(direction, Status.DIVERGING)
            if settled and (norm < self.gradient_tolerance or self.at_floor):
                return self._end(direction, self._settled_status(direction))
            if iteration == self.max_iterations:
                return self._end(direction, Status.MAX_ITERATIONS)
            found = self._polish(direction, norm) if settled else self._line_search(direction)
            if isinstance(found, Status):
                return self._end(direction, found)
            self._accept(direction, norm, *found)
            if self.recondition is not None and (status := self._restate(self.recondition)):
                return status
            self._keep()
        raise AssertionError("unreachable: the loop ends at max_iterations")

    def close_trace(self) -> None:
        """After an interrupt: the row of the point where it ended, without a step."""
        evaluation = self.point.evaluation
        self.callback = None
        closed = bool(self.trace) and math.isnan(self.trace[-1].step)
        if _usable(evaluation) and not closed:
            self._record(newton_direction(evaluation.gradient, evaluation.hessian))

    # -- steps ---------------------------------------------------------------------------

    def _line_search(self, direction: Direction) -> tuple[float, _Point] | Status:
        """Backtrack from the longest step allowed; the status if nothing is accepted."""
        psi, evaluation = self.point
        p, slope, _, _, curvature = direction
        t = self._longest(p)
        seen: list[tuple[float, float]] = []
        for _ in range(_MAX_BACKTRACKS):
            trial = self._evaluate(psi + t * p)
            if not _usable(trial.evaluation):
                t *= 0.5
                continue
            rise = trial.evaluation.value - evaluation.value
            predicted = t * slope + 0.5 * t * t * curvature
            visible = direction.ridge > 0.0 or predicted > self._rounding()
            if visible and rise >= _ARMIJO * predicted and rise > 0.0:
                return t, trial
            if self._rounding_accepts(direction, trial.evaluation, rise, predicted):
                return t, trial
            seen.append((predicted, rise))
            if predicted <= 0.01 * self._rounding():
                break  # shorter steps can only be less visible
            t *= _backtrack(slope * t, rise)
        return self._why_stuck(direction, trial.evaluation, seen)

    def _rounding_accepts(
        self, direction: Direction, trial: Evaluation, rise: float, predicted: float
    ) -> bool:
        """Approximate Wolfe: Q cannot tell, but the gradient along p has fallen.

        Next to a maximum (λ ≤ 10⁻³) Q may also fall by as much as its noise, if the gradient
        falls tenfold: its rounding, and no noise of Q, then decides when the search ends.
        """
        left = abs(float(trial.gradient.dot(direction.p)))
        if predicted <= self._rounding() and rise >= -self._rounding():
            return left < 0.9 * direction.slope
        near = direction.ridge == 0.0 and direction.decrement <= _NEAR
        noise = _NOISE * max(abs(self.point.evaluation.value), 1.0)
        return near and abs(rise) <= noise and left < 0.1 * direction.slope

    def _polish(self, direction: Direction, norm: float) -> tuple[float, _Point] | Status:
        """One full step at a point that has converged but for max |g|; never backtracks."""
        psi, evaluation = self.point
        t = self._longest(direction.p)
        trial = self._evaluate(psi + t * direction.p)
        if _usable(trial.evaluation):
            new = _max_abs(trial.evaluation.gradient)
            falls = trial.evaluation.value < evaluation.value - self._rounding()
            if new < norm and not falls:
                self.at_floor = new > 0.5 * norm
                return t, trial
        return self._settled_status(direction)

    def _accept(self, direction: Direction, norm: float, t: float, trial: _Point) -> None:
        """Move to ``trial`` and write the row of the point that is left."""
        self.last_change = t * _max_abs(direction.p * self.unit)
        left, self.point = self.point, trial
        self._row(left.evaluation.value, norm, direction, t, t * _max_abs(direction.p))

    def _restate(self, recondition: Recondition) -> Status | None:
        """Let the caller change coordinates. The status, if that ends the run."""
        restated = recondition(self.point.psi)
        if restated is None:
            return None
        self.objective, psi = restated
        status = None
        try:
            self.point = self._evaluate(psi)
        except KeyboardInterrupt:  # the old point means nothing in the new coordinates
            self.point = self._evaluate(psi)
            status = Status.INTERRUPTED
        if not _usable(self.point.evaluation):
            return _why_unusable(self.point.evaluation)
        self.unit, self.last_change = self._unit(), math.inf
        if status:
            self.close_trace()
        return status

    # -- verdicts ------------------------------------------------------------------------

    def _settled_status(self, direction: Direction) -> Status:
        """Where λ is small: a maximum, or the way to infinity."""
        return Status.DIVERGING if self._runs_away(direction) else Status.CONVERGED

    def _runs_away(self, direction: Direction) -> bool:
        """Whether, λ being small, Newton's steps are as long as ever.

        At a maximum the steps shrink (to 0.9 of the one before at least, even at a
        degenerate one like −x⁸). Towards a supremum at infinity, as of −e^−x, λ → 0 while
        the steps stay what they were in the units of the start. A step that is long again after
        they have shrunk is rounding, along a direction in which the objective is level.
        """
        pending = _max_abs(direction.p * self.unit)
        whole = self.last_change / (self.trace[-1].step if self.trace else 1.0)  # uncapped
        return pending > _LONG and _SAME * self.last_change <= pending <= _AGAIN * whole

    def _ran_away(self, direction: Direction) -> bool:
        """Whether the last steps did so, until −H became singular to rounding.

        Information dies along the way to infinity; where that of other parameters stays, λ is
        still above 10⁻⁶ when a part 64ε of theirs is more than what is left.
        """
        if not 0.0 < direction.ridge <= _FLAT_RIDGE or len(self.trace) < 2:
            return False
        before, last = self.trace[-2:]
        full = before.ridge == last.ridge == 0.0 and before.step == last.step == 1.0
        same = last.max_change >= _SAME * before.max_change and self.last_change > _LONG
        return full and same and max(last.decrement, direction.decrement) <= _NEAR

    def _why_stuck(
        self, direction: Direction, trial: Evaluation, seen: list[tuple[float, float]]
    ) -> Status:
        """No step was accepted: rounding, or a failure."""
        if direction.ridge == 0.0 and direction.slope <= self._rounding():
            return self._settled_status(direction)
        if direction.ridge == 0.0 and self._below_noise(direction, seen):
            return Status.CONVERGED
        if trial.status is Status.INNER_FAILED:
            return Status.INNER_FAILED
        return Status.LINE_SEARCH_FAILED

    def _below_noise(self, direction: Direction, seen: list[tuple[float, float]]) -> bool:
        """Whether the rise that is left is about what Q changes by without reason.

        Of a smooth Q the change goes to 0 with the step, as the prediction does; changes a
        hundred times as large as predicted, however short the step, are noise.
        """
        noise = [abs(rise) for predicted, rise in seen if abs(rise) > 100.0 * predicted]
        if direction.decrement > _NEAR or len(noise) < 3:
            return False
        if self._runs_away(direction) and self._falls(direction) and not self._shortened():
            return False
        within = max(noise) <= _NOISE * max(abs(self.point.evaluation.value), 1.0)
        return within and direction.slope <= 16.0 * max(noise)

    def _falls(self, direction: Direction) -> bool:
        """Whether λ is less than at the point before, as it is all the way to infinity."""
        return not self.trace or direction.decrement < self.trace[-1].decrement

    def _shortened(self) -> bool:
        """Whether the last step was so short that its length says nothing."""
        return bool(self.trace) and self.trace[-1].step < 0.5

    # -- small things --------------------------------------------------------------------

    def _evaluate(self, psi: Vector) -> _Point:
        self.n_evaluations += 1
        return _Point(psi, self.objective.evaluate(psi))

    def _rounding(self) -> float:
        return _ROUNDING * max(abs(self.point.evaluation.value), 1.0)

    def _longest(self, p: Vector) -> float:
        """1, or the t at which the first cap is met."""
        if self.caps is None:
            return 1.0
        if callable(self.caps):
            return self.caps(self.point.psi, p)
        return longest_step(p, self.caps)

    def _unit(self) -> Vector:
        """sqrt|H_kk|: the fixed metric in which lengths of steps are compared."""
        return np.sqrt(np.abs(self.point.evaluation.hessian.diagonal()))

    def _keep(self) -> None:
        if self.keep is None:
            return
        compared = (self.unit, self.last_change, self.at_floor)
        self.keep(Iterate(self.point.psi, tuple(self.trace), self.n_evaluations, *compared))

    def _end(self, direction: Direction, status: Status) -> Status:
        self._record(direction)
        return status

    def _record(self, direction: Direction) -> None:
        evaluation = self.point.evaluation
        norm = _max_abs(evaluation.gradient)
        self._row(evaluation.value, norm, direction, math.nan, math.nan)

    def _row(
        self, value: float, norm: float, direction: Direction, t: float, change: float
    ) -> None:
        row = TraceRow(
            len(self.trace), value, norm, direction.decrement, direction.ridge, t, change
        )
        self.trace.append(row)
        if self.callback is not None:
            self.callback(row)
