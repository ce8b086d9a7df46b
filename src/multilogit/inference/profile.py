"""Profile likelihood: hold one coordinate, maximise over the rest, follow the maximum.

With φ_k held at c, Q_p(c) = max Q(φ), and the signed root

    ζ(c) = sign(c − ĉ) √(2 {Q(φ̂) − Q_p(c)})

is compared with the standard normal distribution: the interval of level 1 − α is
{c : |ζ(c)| ≤ z}, z the quantile of 1 − α/2. At the held maximum the gradient in the other
coordinates γ vanishes, and so

    Q_p′ = g_k,    Q_p″ = H_kk − H_kγ H_γγ⁻¹ H_γk,    dγ/dc = −H_γγ⁻¹ H_γk

are exact and cost nothing: one step of a root search solves the parabola, and the next maximum is
sought from where the tangent predicts it (Venzon & Moolgavkar 1988, Applied Statistics 37, who
solve both at once). Two or three held maxima, of two evaluations each, give an end of an interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Matrix, Objective, Vector
from multilogit.inference.coordinates import Restricted
from multilogit.newton import is_level, maximise

End = Literal["reached", "boundary", "infinite", "higher", "failed", "interrupted", "undefined"]
"""Why a side ends where it does: see :class:`Curve`."""

_TOLERANCE = 1e-6
"""Newton decrement of a held maximum: Q_p is then accurate to its square."""
_ROOT = 1e-7
"""Accuracy of ζ at the end of an interval."""
_HIGHER = 1e-5
"""A point of the profile that is higher than the maximum by this, and by |Q| / 10⁸, is one of
another maximum."""
_CROWDED = 0.05
"""Points nearer to a root than this, in ζ, tell nothing new."""
_MOST_ESCAPES = 3
_MOST_POINTS = 60
_MOST_RETREATS = 12
_FLAT = 1e-3
_LONG = 100.0
_FAR = 30.0
"""A profile of less slope than this, so far from the estimate, whose next crossing is so far away,
in logits, never ends."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A coordinate to profile.

    Attributes
    ----------
    objective
        Q(φ).
    phi
        Shape ``(d,)``: φ̂, the maximum.
    top
        Q(φ̂).
    hessian
        Q″(φ̂), shape ``(d, d)``.
    k
        The coordinate.
    unit
        A step of φ_k that moves a linear predictor by about one logit.
    caps
        Shape ``(d,)``: longest change of each coordinate in one Newton step.
    bounds
        Ends of the range of φ_k, which belong to it where they are finite.
    at_bound
        Q_p at a finite bound, where the coordinates do not cover it; None: they do.
    leave_saddle
        Given φ, a point that is higher with the same φ_k, or None.
    same_sign
        Two coordinates whose product must not be negative.
    """

    objective: Objective
    phi: Vector
    top: float
    hessian: Matrix
    k: int
    unit: float
    caps: Vector
    bounds: tuple[float, float] = (-math.inf, math.inf)
    at_bound: Callable[[float], float] | None = None
    leave_saddle: Callable[[Vector], Vector | None] | None = None
    same_sign: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A held maximum.

    Attributes
    ----------
    c
        φ_k.
    phi
        Shape ``(d,)``: all coordinates.
    value, slope, curvature
        Q_p, Q_p′ and Q_p″; the last two NaN where only the value is known.
    tangent
        Shape ``(d,)``: dφ/dc.
    """

    c: float
    phi: Vector
    value: float
    slope: float
    curvature: float
    tangent: Vector


@dataclass(frozen=True, slots=True)
class Curve:
    """The profile of one coordinate.

    Attributes
    ----------
    c
        Shape ``(m,)``, ascending: values of the coordinate, the estimate among them.
    zeta
        Shape ``(m,)``: signed roots.
    slope
        Shape ``(m,)``: dζ/dc; NaN where it is not known.
    ends
        Why the profile ends below and above: ``"reached"``: the largest ζ asked for was
        reached; ``"boundary"``: the range of the parameter ends first, and its end belongs to
        the interval; ``"infinite"``: ζ stays below what was asked for however far; ``"higher"``:
        a point higher than the maximum was met; ``"failed"``: the held maxima were not found;
        ``"interrupted"``; ``"undefined"``: the parameter has no value at the estimate.
    """

    c: Vector
    zeta: Vector
    slope: Vector
    ends: tuple[End, End]


def profile(coordinate: Coordinate, targets: Sequence[float]) -> Curve:
    """Follow the profile of a coordinate to both sides.

    Parameters
    ----------
    coordinate
        What to hold.
    targets
        Values of |ζ| to find, ascending: exact points of the curve.

    Returns
    -------
    Curve
        Every held maximum that was found on the way.
    """
    estimate = _estimate(coordinate)
    below = _Side(coordinate, estimate, -1.0).follow(targets)
    above: tuple[list[tuple[float, float, float]], End] = ([], "interrupted")
    if below[1] != "interrupted":
        above = _Side(coordinate, estimate, 1.0).follow(targets)
    middle = (estimate.c, 0.0, math.sqrt(max(-estimate.curvature, 0.0)) or math.nan)
    c, zeta, slope = np.array(sorted([*below[0], middle, *above[0]], key=itemgetter(0))).T
    return Curve(c, zeta, slope, (below[1], above[1]))


def _estimate(coordinate: Coordinate) -> Point:
    """The maximum itself as a point of the profile."""
    phi, k = coordinate.phi, coordinate.k
    there = Evaluation(coordinate.top, np.zeros_like(phi), coordinate.hessian)
    return _point(k, phi, there, np.delete(np.arange(phi.size), k))


def held_maximum(coordinate: Coordinate, start: Vector) -> Point | Status:
    """The maximum with φ_k held where ``start`` has it; the status if it was not found."""
    found = _held(coordinate, start, [coordinate.k])
    if isinstance(found, Status) or coordinate.same_sign is None:
        return found
    i, j = coordinate.same_sign
    if found.phi[i] * found.phi[j] >= 0.0:
        return found
    on_edge = []
    for zero in (i, j):  # the maximum lies on the edge of what is possible
        phi = found.phi.copy()
        phi[zero] = 0.0
        edge = _held(coordinate, phi, [coordinate.k, zero])
        if isinstance(edge, Status):
            return edge
        on_edge.append(edge)
    return max(on_edge, key=lambda point: point.value)


def _held(coordinate: Coordinate, start: Vector, held: list[int]) -> Point | Status:
    found = climb(coordinate.objective, start, held, coordinate.caps, coordinate.leave_saddle)
    if isinstance(found, Status):
        return found
    return _point(coordinate.k, *found, np.delete(np.arange(start.size), held))


def climb(
    objective: Objective,
    start: Vector,
    held: Sequence[int],
    caps: Vector,
    leave_saddle: Callable[[Vector], Vector | None] | None,
) -> tuple[Vector, Evaluation] | Status:
    """The maximum with some coordinates held: where, and the evaluation there.

    Arguments as in :class:`Coordinate`. The status of the search if it failed.
    """
    free = np.delete(np.arange(start.size), held)
    phi = start
    for _ in range(_MOST_ESCAPES):
        part = Restricted(objective, phi, free)
        solution = maximise(
            part,
            phi[free],
            tolerance=_TOLERANCE,
            gradient_tolerance=math.inf,
            max_change=caps[free],
        )
        if not (solution.status.at_supremum or is_level(solution)):
            return solution.status  # where others diverge, the value is their supremum
        phi = part.phi(solution.psi)
        higher = leave_saddle(phi) if leave_saddle else None
        if higher is None:
            break
        phi = higher
    return part.phi(solution.psi), part.whole(solution.psi)


def _point(k: int, phi: Vector, there: Evaluation, free: NDArray[np.intp]) -> Point:
    """What an evaluation at a held maximum says of the profile around it."""
    cross = there.hessian[free, k]
    tangent = np.zeros_like(phi)
    tangent[k] = 1.0
    if free.size:
        tangent[free] = _solve(-there.hessian[np.ix_(free, free)], cross)
    curvature = float(there.hessian[k, k] + cross @ tangent[free])
    return Point(float(phi[k]), phi, there.value, float(there.gradient[k]), curvature, tangent)


def _solve(information: Matrix, b: Vector) -> Vector:
    """−H⁻¹b, or 0 (predict no change) where −H is not positive definite."""
    solved = _core.solve_positive(np.ascontiguousarray(information), np.ascontiguousarray(b))
    if solved is None or not np.isfinite(solved[0]).all():
        return np.zeros_like(b)
    return solved[0]


def _worth_keeping(zeta: float, targets: Sequence[float]) -> bool:
    """Whether a point is a root, or not just a step of the search for one."""
    distance = min(abs(zeta - target) for target in targets)
    return distance <= _ROOT or distance > _CROWDED


class _Side:
    """One side of a profile: from the estimate outwards."""

    def __init__(self, coordinate: Coordinate, estimate: Point, direction: float) -> None:
        self.coordinate = coordinate
        self.estimate = estimate
        self.direction = direction
        self.bound = coordinate.bounds[1 if direction > 0 else 0]
        self.points = [estimate]  # ordered outwards
        self.longest = 8.0 * coordinate.unit

    def follow(self, targets: Sequence[float]) -> tuple[list[tuple[float, float, float]], End]:
        """Rows (c, ζ, dζ/dc) of all points, and why it ended."""
        end: End = "reached"
        for target in targets:
            end = self._find(target)
            if end != "reached":
                break
        rows = [self._row(point) for point in self.points[1:]]
        inside = [row for row in rows[:-1] if _worth_keeping(abs(row[1]), targets)]
        return inside + rows[-1:], end

    # -- one target ----------------------------------------------------------------------

    def _find(self, target: float) -> End:
        """Add points until one has |ζ| = target."""
        level = self.coordinate.top - 0.5 * target**2
        retreats = 0
        for _ in range(_MOST_POINTS):
            inner, outer = self._bracket(level)
            if self._hit(inner, target) or (outer is not None and self._hit(outer, target)):
                return "reached"
            if inner.c == self.bound:
                return "boundary"
            c = self._proposal(inner, outer, level)
            if c is None:
                return "infinite"
            found = self._at(inner, outer, c)
            while isinstance(found, Status):
                retreats += 1
                if found is Status.INTERRUPTED:
                    return "interrupted"
                if retreats > _MOST_RETREATS:
                    return "failed"
                c = 0.5 * (c + inner.c)
                self.longest = max(abs(c - inner.c), 1e-3 * self.coordinate.unit)
                found = self._at(inner, None, c)
            if found.value > self.coordinate.top + max(_HIGHER, 1e-8 * abs(self.coordinate.top)):
                return "higher"
            self._insert(found)
        return "failed"

    def _bracket(self, level: float) -> tuple[Point, Point | None]:
        """The last point before the first crossing of ``level``, and the first one behind it."""
        for inner, outer in zip(self.points, self.points[1:], strict=False):
            if outer.value <= level:
                return inner, outer
        return self.points[-1], None

    def _hit(self, point: Point, target: float) -> bool:
        return point is not self.estimate and abs(abs(self._zeta(point)) - target) <= _ROOT

    def _proposal(self, inner: Point, outer: Point | None, level: float) -> float | None:
        """Where to hold the coordinate next; None: the level is not reached at any distance."""
        near = inner
        if outer is not None and not math.isnan(outer.slope):
            near = min(inner, outer, key=lambda point: abs(point.value - level))
        step = self._parabola(near, level)
        if outer is None:
            if self._out_of_reach(near, step):
                return None
            if step is None or step > self.longest:
                step, self.longest = self.longest, 1.5 * self.longest
            c = inner.c + self.direction * step
            return self.direction * min(self.direction * c, self.direction * self.bound)
        width = abs(outer.c - inner.c)
        c = math.nan if step is None else near.c + self.direction * step
        inside = self.direction * (c - inner.c)
        if 1e-3 * width < inside < (1.0 - 1e-3) * width or self._accurate(
            near, level, c, inner, outer
        ):
            return c
        return self._secant(inner, outer, level)

    def _accurate(self, near: Point, level: float, c: float, inner: Point, outer: Point) -> bool:
        """Whether a proposal at the very edge of a bracket is the root all the same."""
        inside = min(inner.c, outer.c) < c < max(inner.c, outer.c)
        return inside and abs(near.value - level) < 1e-3

    def _secant(self, inner: Point, outer: Point, level: float) -> float:
        """Linear interpolation of ζ, kept off the ends of the bracket."""
        top = self.coordinate.top
        goal = math.sqrt(max(2.0 * (top - level), 0.0))
        a, b = abs(self._zeta(inner)), abs(self._zeta(outer))
        share = min(max((goal - a) / (b - a), 0.05), 0.95) if b > a else 0.5
        return inner.c + share * (outer.c - inner.c)

    def _parabola(self, near: Point, level: float) -> float | None:
        """Signed distance outwards to where the parabola at ``near`` meets the level."""
        f, b, a = near.value - level, self.direction * near.slope, 0.5 * near.curvature
        discriminant = b * b - 4.0 * a * f
        below = -b + math.sqrt(discriminant) if discriminant >= 0.0 else -b
        return 2.0 * f / below if below > 0.0 else None

    def _out_of_reach(self, near: Point, step: float | None) -> bool:
        """Whether no distance is enough: the profile is flat, and rises or levels off.

        A supremum at infinity is approached from below. Coming from there, a profile falls, and
        ever faster.
        """
        unit = self.coordinate.unit
        if near is self.estimate or abs(near.slope) * unit > _FLAT or math.isfinite(self.bound):
            return False
        rises = self.direction * near.slope >= 0.0
        level = near.curvature >= 0.0 and abs(near.c - self.estimate.c) > _LONG * unit
        return (rises or level) and (step is None or step > _FAR * unit)

    # -- points --------------------------------------------------------------------------

    def _at(self, inner: Point, outer: Point | None, c: float) -> Point | Status:
        """The held maximum at c, sought from where the nearest point's tangent leads."""
        if c == self.bound and self.coordinate.at_bound is not None:
            value = self.coordinate.at_bound(c)
            if not math.isfinite(value):
                return Status.NOT_FINITE
            return replace(inner, c=c, value=value, slope=math.nan, curvature=math.nan)
        near = inner
        if outer is not None and not math.isnan(outer.slope):
            near = min(inner, outer, key=lambda point: abs(point.c - c))
        start = near.phi + (c - near.c) * near.tangent
        start[self.coordinate.k] = c
        found = held_maximum(self.coordinate, start)
        if isinstance(found, Status) and found is not Status.INTERRUPTED:
            start = near.phi.copy()
            start[self.coordinate.k] = c
            found = held_maximum(self.coordinate, start)
        return found

    def _insert(self, point: Point) -> None:
        self.points.append(point)
        self.points.sort(key=lambda p: self.direction * p.c)

    def _zeta(self, point: Point) -> float:
        return self.direction * math.sqrt(max(2.0 * (self.coordinate.top - point.value), 0.0))

    def _row(self, point: Point) -> tuple[float, float, float]:
        zeta = self._zeta(point)
        slope = -point.slope / zeta if zeta != 0.0 else math.nan
        return point.c, zeta, slope


def interval(curve: Curve, z: float) -> tuple[float, float]:
    """{c : |ζ(c)| ≤ z} between the points of a curve.

    Returns
    -------
    low, high
        The end of the parameter's range where the profile stays within it, ±inf where it is
        not left at any distance, NaN where the profile does not get so far.
    """
    return _side_end(curve, -z, 0), _side_end(curve, z, 1)


def _side_end(curve: Curve, z: float, side: int) -> float:
    last = -1 if side else 0
    if abs(z) <= abs(curve.zeta[last]) + 2.0 * _ROOT:
        return value_at(curve, z)
    if curve.ends[side] == "boundary":
        return float(curve.c[last])
    if curve.ends[side] == "infinite":
        return math.inf if side else -math.inf
    return math.nan


def value_at(curve: Curve, z: float) -> float:
    """c with ζ(c) = z: cubic Hermite interpolation of c as a function of ζ.

    Between points whose slope is not known, and where the cubic would leave the interval of its
    two points, linear interpolation.
    """
    zeta, c = curve.zeta, curve.c
    k = int(np.clip(np.searchsorted(zeta, z) - 1, 0, zeta.size - 2))
    width = float(zeta[k + 1] - zeta[k])
    if width <= 0.0:
        return float(c[k])
    t = min(max((z - float(zeta[k])) / width, 0.0), 1.0)
    rise = float(c[k + 1] - c[k])
    linear = float(c[k]) + t * rise
    with np.errstate(divide="ignore"):
        first, second = (width / curve.slope[k : k + 2]).tolist()
    if not (math.isfinite(first) and math.isfinite(second)):
        return linear
    bend = (1.0 - t) * (first - rise) - t * (second - rise)
    cubic = linear + t * (1.0 - t) * bend
    return cubic if min(c[k], c[k + 1]) <= cubic <= max(c[k], c[k + 1]) else linear
