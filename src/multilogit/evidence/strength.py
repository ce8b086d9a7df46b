"""The strength of a prior, chosen from the data.

Empirical Bayes maximises, over log κ, the marginal likelihood of the data times a vague prior:

    log evidence(κ) = log ∫ exp{ℓ(ψ) + log π_κ(ψ)} dψ − log Z_β(κ) − log Z_θ,
    log κ ~ N(log κ₀, 1),   κ₀ the default strength

(the normalising constant factorises because the entropy penalty is taken at b = 0). Without the
second line κ̂ → 0 under complete separation and κ̂ → ∞ where nothing has an effect. The integral
is Laplace's, one fit per strength. Cross-validation maximises a log score of predictions left
out instead (:mod:`multilogit.evidence.leave_out`).

The search is one-dimensional: a bracket around κ₀, then parabolas through the best three points;
every fit starts from the line through its nearest neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Diagnostic, OptionError
from multilogit.evaluation import Evaluation, Vector
from multilogit.evidence.importance import LogMean

_GAIN = 1e-3
"""Stop where a parabola promises less than this many nats: log κ is then within .05 or so."""
_STEP = 1.0
"""First step in log κ."""
_GROWTH = 1.6
_LONG = 0.8
"""Steps in log κ longer than this are looked into."""
_STEEP = 10.0
"""A fall of more nats than this within a bracket is no parabola: the bracket is halved."""
_CV_GRID = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.5)
"""log κ − log κ₀ of the strengths that cross-validation tries first: its curve may be bumpy."""
_NOISE = 0.25
"""Monte Carlo errors of log Z above this are worth a warning."""


@dataclass(frozen=True, slots=True)
class Mode:
    """A maximum of Q = ℓ + log π_κ.

    Attributes
    ----------
    psi
        Shape ``(d,)``.
    evaluation
        Q there: value, gradient, Hessian. The value without constants that do not depend on κ
        will do.
    free
        Shape ``(d,)``: the parameters that are not on a boundary; None: all.
    converged
        Whether it is a maximum.
    fit
        Whatever the caller wants back with the chosen strength.
    """

    psi: Vector
    evaluation: Evaluation
    free: NDArray[np.bool_] | None = None
    converged: bool = True
    fit: object = None


FitAt = Callable[[float, Vector | None], Mode]
"""The maximum of Q at a strength κ, searched from ψ, shape ``(d,)``, or from the usual start."""


@dataclass(frozen=True, slots=True)
class Score:
    """A criterion and its standard error (Monte Carlo, or over observations)."""

    value: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class EvidenceCurve:
    """What the search for the strength saw.

    Attributes
    ----------
    criterion
        ``"evidence"`` or ``"cv"``.
    kappa
        Shape ``(k,)``, ascending: the strengths that were tried, one fit each.
    score
        Shape ``(k,)``: log evidence, or log score of predictions left out; NaN where the fit
        failed.
    error
        Shape ``(k,)``: Monte Carlo standard error of the log evidence; of a log score, its
        standard error over observations or groups.
    objective
        Shape ``(k,)``: what was maximised, the score plus the log prior of log κ.
    chosen
        The strength with the largest objective.
    bounds
        Range of κ that was allowed.
    status
        ``"interior"``; ``"lower bound"`` or ``"upper bound"`` where the objective rises up to
        it; ``"failed"`` where no fit succeeded.
    design_error
        What the summary of a large design changed in log Z at the chosen strength, and the
        standard error of that; its change along the curve is smaller still.
    """

    criterion: Literal["evidence", "cv"]
    kappa: Vector
    score: Vector
    error: Vector
    objective: Vector
    chosen: float
    bounds: tuple[float, float]
    status: Literal["interior", "lower bound", "upper bound", "failed"]
    design_error: tuple[float, float] = (0.0, 0.0)

    @property
    def n_fits(self) -> int:
        """Number of strengths that were tried."""
        return self.kappa.size

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What a reader of the fit must know about the choice."""
        found = []
        facts = {"strength": self.chosen, "bounds": self.bounds, "criterion": self.criterion}
        if self.status == "failed":
            found.append(
                Diagnostic(
                    "strength-failed",
                    "error",
                    "No fit converged at any strength that was tried.",
                    "Give the strength as a number.",
                    facts,
                )
            )
        elif self.status != "interior":
            found.append(
                Diagnostic(
                    "strength-at-bound",
                    "warning",
                    f"The strength {self.chosen:.3g} chosen by {self.criterion} is at the "
                    f"{self.status} of what was allowed.",
                    "The data do not tell the strength; compare fits at several strengths.",
                    facts,
                )
            )
        at_chosen = int(np.argmin(np.abs(self.kappa - self.chosen)))
        noise = float(np.hypot(self.error[at_chosen], np.abs(self.design_error).max()))
        if self.criterion == "evidence" and noise > _NOISE:
            found.append(
                Diagnostic(
                    "evidence-noisy",
                    "warning",
                    f"The normalising constant of the prior has a Monte Carlo error of {noise:.2g} "
                    "nats: the chosen strength is rough.",
                    "Compare fits at several strengths.",
                    {"error": noise},
                )
            )
        return tuple(found)


def laplace_evidence(evaluation: Evaluation, free: NDArray[np.bool_] | None = None) -> float:
    """log ∫ exp Q dψ by Laplace: Q(ψ̂) + (d/2) log 2π − ½ log|−Q″|.

    Parameters
    ----------
    evaluation
        Q at its maximum.
    free
        The parameters to integrate over; those on a boundary stay where they are. None: all.

    Returns
    -------
    float
        NaN where −Q″ is not positive definite.
    """
    information = -evaluation.hessian
    if free is not None:
        information = information[np.ix_(free, free)]
    if not (math.isfinite(evaluation.value) and np.isfinite(information).all()):
        return math.nan
    root = np.sqrt(np.abs(information.diagonal()))
    if (root == 0.0).any():
        return math.nan
    try:
        factor = np.linalg.cholesky(information / np.outer(root, root))
    except np.linalg.LinAlgError:
        return math.nan
    half_log_determinant = float(np.log(factor.diagonal()).sum() + np.log(root).sum())
    return evaluation.value + 0.5 * root.size * math.log(2.0 * math.pi) - half_log_determinant


def choose_strength(
    fit_at: FitAt,
    log_normaliser: Callable[[float], LogMean],
    *,
    centre: float,
    bounds: tuple[float, float],
    log_constant: float = 0.0,
    design_error: Callable[[float], tuple[float, float]] | None = None,
    max_fits: int = 10,
) -> tuple[EvidenceCurve, Mode]:
    """The strength of greatest evidence times the prior log κ ~ N(log centre, 1).

    Parameters
    ----------
    fit_at
        Maximum of Q at κ. The entropy penalty must be −λ Σ n KL(u ‖ π) itself, with nothing
        left out that depends on κ.
    log_normaliser
        log Z_β(κ), as :meth:`multilogit.evidence.normaliser.BetaNormaliser.at`.
    centre
        κ₀, the default strength: p, or p J / 2 with J categories.
    bounds
        Least and greatest κ allowed; κ₀/10 and the number of observations.
    log_constant
        log Z_θ, which does not depend on κ; subtracted.
    design_error
        As :meth:`multilogit.evidence.normaliser.BetaNormaliser.design_error`; asked once, at
        the chosen strength. None: 0.
    max_fits
        Calls of ``fit_at`` at most.

    Returns
    -------
    EvidenceCurve, Mode
        The curve, and the fit at ``curve.chosen``.

    Raises
    ------
    OptionError
        If the bounds are not positive and ascending.
    """
    log_centre = math.log(centre) if centre > 0.0 else math.nan

    def score(kappa: float, mode: Mode) -> Score:
        constant = log_normaliser(kappa)
        numerator = laplace_evidence(mode.evaluation, mode.free)
        return Score(numerator - constant.value - log_constant, constant.error)

    def log_prior(x: float) -> float:
        return -0.5 * (x - log_centre) ** 2 - 0.5 * math.log(2.0 * math.pi)

    search = _Search(fit_at, score, log_prior, _log_bounds(bounds, centre), max_fits)
    search.try_all([log_centre, log_centre + _STEP])
    search.refine()
    curve, mode = search.curve("evidence", bounds)
    if design_error is not None:
        curve = replace(curve, design_error=design_error(curve.chosen))
    return curve, mode


def choose_strength_cv(
    fit_at: FitAt,
    log_score: Callable[[Mode], Score],
    *,
    centre: float,
    bounds: tuple[float, float],
    max_fits: int = 10,
) -> tuple[EvidenceCurve, Mode]:
    """The strength whose predictions of what is left out have the greatest log score.

    Parameters
    ----------
    fit_at, centre, bounds, max_fits
        As in :func:`choose_strength`.
    log_score
        Score of a fit, from :func:`~multilogit.evidence.leave_out.leave_one_out` or
        :func:`~multilogit.evidence.leave_out.leave_group_out`.

    Returns
    -------
    EvidenceCurve, Mode
        The curve, and the fit at ``curve.chosen``.

    Raises
    ------
    OptionError
        If the bounds are not positive and ascending.
    """
    search = _Search(
        fit_at,
        lambda _, mode: log_score(mode),
        lambda _: 0.0,
        _log_bounds(bounds, centre),
        max_fits,
    )
    search.try_all([math.log(centre) + step for step in _CV_GRID])
    search.refine()
    return search.curve("cv", bounds)


def _log_bounds(bounds: tuple[float, float], centre: float) -> tuple[float, float]:
    low, high = bounds
    if not (0.0 < low < high < math.inf and 0.0 < centre < math.inf):
        raise OptionError(
            f"The strength needs 0 < least < greatest and a positive centre; got bounds={bounds} "
            f"and centre={centre}."
        )
    return math.log(low), math.log(high)


@dataclass(frozen=True, slots=True)
class _Point:
    mode: Mode
    score: Score
    objective: float  # -inf where the fit failed


@dataclass(slots=True)
class _Search:
    """Maximisation over x = log κ; every point costs one fit."""

    fit_at: FitAt
    score: Callable[[float, Mode], Score]
    log_prior: Callable[[float], float]
    bounds: tuple[float, float]
    max_fits: int
    points: dict[float, _Point] = field(default_factory=dict)

    def at(self, x: float) -> float:
        """The objective at x, moved inside the bounds."""
        x = min(max(x, self.bounds[0]), self.bounds[1])
        if x not in self.points:
            kappa = math.exp(x)
            mode = self.fit_at(kappa, self._start(x))
            score = self.score(kappa, mode)
            usable = mode.converged and math.isfinite(score.value)
            objective = score.value + self.log_prior(x) if usable else -math.inf
            self.points[x] = _Point(mode, score, objective)
        return self.points[x].objective

    def try_all(self, xs: list[float]) -> None:
        """Evaluate at all of ``xs``, from the first to the last."""
        for x in xs:
            if len(self.points) < self.max_fits:
                self.at(x)

    def refine(self) -> None:
        """Walk uphill to a bracket or a bound; then parabolas until they promise no more."""
        while len(self.points) < self.max_fits:
            xs, best = self._sorted()
            if len(xs) < 2 or not math.isfinite(self.points[xs[best]].objective):
                return
            at_end = best in (0, len(xs) - 1)
            x = self._beyond(xs, best) if at_end else self._vertex(*xs[best - 1 : best + 2])
            if x is None:
                return
            self.at(x)

    def _beyond(self, xs: list[float], best: int) -> float | None:
        """Further on, in growing steps; at a bound, the vertex of the last three points."""
        end, neighbour, *inside = xs if best == 0 else xs[::-1]
        step = end - neighbour
        if end not in self.bounds:
            return end + _GROWTH * step
        if abs(step) > _LONG or not inside:
            return end - 0.5 * step if abs(step) > _LONG else None
        x, _ = self._parabola(inside[0], neighbour, end)
        return x if 0.0 < (end - x) / step < 1.0 else None

    def _vertex(self, a: float, b: float, c: float) -> float | None:
        """Where the parabola through three points, b the highest, is highest; None: at b."""
        falls = {end: self.points[b].objective - self.points[end].objective for end in (a, c)}
        end = max(falls, key=falls.__getitem__)
        if falls[end] > _STEEP and abs(end - b) > 0.5 * _LONG:  # no parabola, or a failed fit
            return 0.5 * (end + b)
        x, gain = self._parabola(a, b, c)
        if not math.isfinite(x):
            return None  # flat
        if gain < _GAIN:
            near = min(b - a, c - b) < 0.5 * _LONG
            return None if near else b + math.copysign(0.25 * _LONG, x - b)
        return min(max(x, a + 0.1 * (b - a)), c - 0.1 * (c - b))

    def _parabola(self, a: float, b: float, c: float) -> tuple[float, float]:
        """The vertex of the parabola through three points, and how far it is above b."""
        fa, fb, fc = (self.points[x].objective for x in (a, b, c))
        left, right = (b - a) * (fb - fc), (c - b) * (fb - fa)
        if not math.isfinite(left + right) or (left + right) / (c - a) <= 0.0:
            return math.nan, 0.0
        x = b + 0.5 * ((c - b) * right - (b - a) * left) / (left + right)
        return x, (left + right) / ((b - a) * (c - b) * (c - a)) * (x - b) ** 2

    def _sorted(self) -> tuple[list[float], int]:
        xs = sorted(self.points)
        return xs, max(range(len(xs)), key=lambda i: self.points[xs[i]].objective)

    def _start(self, x: float) -> Vector | None:
        """ψ at x on the line through the two nearest fits; the nearest one's; or None."""
        near = [z for z in sorted(self.points, key=lambda z: abs(z - x)) if self._usable(z)][:2]
        if not near:
            return None
        psi = [self.points[z].mode.psi for z in near]
        if len(near) == 1:
            return psi[0]
        t = (x - near[0]) / (near[1] - near[0])
        t = min(max(t, -1.0), 1.0)
        return np.asarray(psi[0] + t * (psi[1] - psi[0]))

    def _usable(self, x: float) -> bool:
        return math.isfinite(self.points[x].objective)

    def curve(
        self, criterion: Literal["evidence", "cv"], bounds: tuple[float, float]
    ) -> tuple[EvidenceCurve, Mode]:
        """What was seen, and the best fit."""
        xs, best = self._sorted()
        points = [self.points[x] for x in xs]
        status: Literal["interior", "lower bound", "upper bound", "failed"] = "interior"
        if not math.isfinite(points[best].objective):
            status = "failed"
        elif xs[best] in self.bounds:
            status = "lower bound" if xs[best] == self.bounds[0] else "upper bound"
        failed = [not math.isfinite(point.objective) for point in points]
        curve = EvidenceCurve(
            criterion=criterion,
            kappa=np.exp(xs),
            score=np.where(failed, np.nan, [point.score.value for point in points]),
            error=np.where(failed, np.nan, [point.score.error for point in points]),
            objective=np.where(failed, np.nan, [point.objective for point in points]),
            chosen=math.exp(xs[best]),
            bounds=bounds,
            status=status,
        )
        return curve, points[best].mode
