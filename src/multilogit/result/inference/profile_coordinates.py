"""Profiles of a fit: in which coordinates each parameter of a model is held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError, Status
from multilogit.estimate import boundary
from multilogit.estimate.search import permute
from multilogit.evaluation import Vector
from multilogit.inference.coordinates import Polar
from multilogit.inference.profile import Coordinate, Curve, climb, profile
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.newton import maximise
from multilogit.prior import depends_on_order
from multilogit.result.fields.measures import Measures
from multilogit.result.inference.objective import FittedObjective, objective_of
from multilogit.result.inference.parameters import Parameter

_FREE_STEP = 10.0
"""Cap on the change of a coefficient in one Newton step: logits in the row it moves most."""
_FREE_SD = 2.0
"""The same for a standard deviation, on the logit scale."""


def curves(
    fit: Measures,
    parameters: Sequence[Parameter],
    targets: Sequence[float],
    tick: Callable[[str], None] = lambda label: None,
) -> dict[str, Curve]:
    """The profile of each parameter on the scale that people read.

    ``tick`` is called with the label of each parameter before it is profiled. Those that follow
    an interrupted one are left out.

    Raises
    ------
    OptionError
        If the fit has no maximum to profile around, or its prior depends on the order of the
        random effects.
    """
    if not fit.status.at_supremum:
        raise OptionError(
            f"The fit did not converge ({fit.status.value}): there is no maximum to profile "
            "around. Look at fit.diagnostics."
        )
    model = objective_of(fit, "A profile")
    found: dict[str, Curve] = {}
    try:
        for parameter in parameters:
            tick(parameter.label)
            curve = found[parameter.label] = _curve(fit, model, parameter, targets)
            if "interrupted" in curve.ends:
                break
    except KeyboardInterrupt:
        if not found:
            raise
    return found


def _curve(
    fit: Measures, model: FittedObjective, parameter: Parameter, targets: Sequence[float]
) -> Curve:
    psi = fit.solution.psi if fit.far is None else _finite(model, fit)
    units = _units(fit)
    if not parameter.effects:
        if model.mixed is not None:
            model.mixed.restart()
        return profile(_coefficient(model, psi, parameter.k, units), targets)
    if len(parameter.effects) == 1:
        return profile(_sd(model, psi, parameter.effects[0], units), targets)
    if math.isnan(parameter.estimate):
        nowhere = np.full(1, np.nan)
        return Curve(nowhere, np.zeros(1), nowhere, ("undefined", "undefined"))
    curve = profile(_correlation(model, psi, parameter.effects, units), targets)
    with np.errstate(divide="ignore"):
        slope = curve.slope / np.cos(curve.c)
    return replace(curve, c=np.sin(curve.c), slope=slope)


def _finite(model: FittedObjective, fit: Measures) -> Vector:
    """A point as high as one with infinite coefficients, from which profiles can start."""
    return maximise(model.Q, np.zeros_like(fit.solution.psi)).psi


def _units(fit: Measures) -> Vector:
    """For each coefficient the change that moves some row's logit by one."""
    largest = [float(np.abs(column).max(initial=0.0)) or 1.0 for column in fit.frame.fixed.columns]
    return np.tile(1.0 / np.array(largest), fit.labels.n_logits)


# ---------------------------------------------------------------------- coordinates


def _coefficient(model: FittedObjective, psi: Vector, k: int, units: Vector) -> Coordinate:
    """A fixed effect: a coordinate of ψ as it stands."""
    there = model.evaluate(psi)
    return Coordinate(
        objective=model.Q,
        phi=psi,
        top=there.value,
        hessian=there.hessian,
        k=k,
        unit=float(units[k]),
        caps=_caps(model, units),
        leave_saddle=_leave(model, np.zeros(psi.size, dtype=bool)),
    )


def _sd(model: FittedObjective, psi: Vector, effect: int, units: Vector) -> Coordinate:
    """A standard deviation: λ_11 once the effect stands first in its block."""
    mixed = _mixed(model)
    order = _order(mixed, (effect,))
    psi = _ordered(model, psi, order)
    at = order.index(effect)
    k = _element(mixed, at, at)
    block = _block(mixed, effect)
    alone = block.stop - block.start == 1
    there = model.evaluate(psi)
    return Coordinate(
        objective=model.Q,
        phi=psi,
        top=there.value,
        hessian=there.hessian,
        k=k,
        unit=1.0 / float(mixed.z_scale[effect]),
        caps=_caps(model, units),
        bounds=(0.0, math.inf),
        at_bound=None if alone else _Without(model, psi, effect, order, units),
        leave_saddle=_leave(model, _only(psi.size, k)),
    )


def _correlation(
    model: FittedObjective, psi: Vector, effects: tuple[int, ...], units: Vector
) -> Coordinate:
    """A correlation: sin α, with its two effects first in their block."""
    mixed = _mixed(model)
    order = _order(mixed, effects)
    psi = _ordered(model, psi, order)
    first = order.index(effects[0])
    x, y = _element(mixed, first + 1, first), _element(mixed, first + 1, first + 1)
    polar = Polar(model.Q, x, y)
    phi = polar.phi(psi)
    there = Polar(model, x, y).evaluate(phi)
    leave = _leave(model, _only(psi.size, x, y))

    def leave_saddle(phi: Vector) -> Vector | None:
        higher = leave(polar.psi(phi))
        if higher is not None:
            higher[[x, y]] = phi[[x, y]]
        return higher

    caps = _caps(model, units)
    caps[y] = math.inf
    return Coordinate(
        objective=polar,
        phi=phi,
        top=there.value,
        hessian=there.hessian,
        k=y,
        unit=1.0,
        caps=caps,
        bounds=(-0.5 * math.pi, 0.5 * math.pi),
        leave_saddle=leave_saddle,
        same_sign=(_element(mixed, first, first), x),
    )


@dataclass(frozen=True, slots=True)
class _Without:
    """Q_p where a standard deviation is 0: the effect, put last in its block, has no row in Λ."""

    model: FittedObjective
    psi: Vector
    effect: int
    order: tuple[int, ...]
    units: Vector

    def __call__(self, c: float) -> float:
        mixed = _mixed(self.model)
        block = _block(mixed, self.effect)
        rest = [a for a in self.order[block] if a != self.effect]
        last = (*self.order[: block.start], *rest, self.effect, *self.order[block.stop :])
        try:
            return self._value(mixed, last, block)
        finally:
            mixed.reorder(self.order)

    def _value(self, mixed: MixedLikelihood, last: tuple[int, ...], block: slice) -> float:
        psi = permute(mixed, self.psi, np.array([self.order.index(a) for a in last]))
        rows = mixed.structure.rows == block.stop - 1
        held = np.concatenate([np.zeros(mixed.p, dtype=bool), rows])
        psi[held] = 0.0
        leave = _leave(self.model, held)
        found = climb(
            self.model.Q, psi, np.flatnonzero(held).tolist(), _caps(self.model, self.units), leave
        )
        return math.nan if isinstance(found, Status) else found[1].value


def _mixed(model: FittedObjective) -> MixedLikelihood:
    assert model.mixed is not None
    return model.mixed


def _block(mixed: MixedLikelihood, effect: int) -> slice:
    """The block of correlated effects that an effect belongs to."""
    return next(block for block in mixed.structure.slices() if effect < block.stop)


def _order(mixed: MixedLikelihood, effects: tuple[int, ...]) -> tuple[int, ...]:
    """All effects, these first in their block."""
    block = _block(mixed, effects[0])
    others = [a for a in range(block.start, block.stop) if a not in effects]
    return (*range(block.start), *effects, *others, *range(block.stop, mixed.structure.q))


def _ordered(model: FittedObjective, psi: Vector, order: tuple[int, ...]) -> Vector:
    """ψ with the effects in this order; the likelihood follows."""
    mixed = _mixed(model)
    mixed.restart()
    if order == tuple(range(len(order))):
        return psi
    if model.prior is not None and depends_on_order(model.prior):
        raise OptionError(
            "The prior depends on the order of the random effects: only the standard deviation "
            "that stands first in its bar term, and the correlation of the first two, can be "
            "profiled. Put what matters first in the formula, or profile fit.coef.index alone."
        )
    psi = permute(mixed, psi, np.array(order))
    return psi if model.same_in_every_order else maximise(model.Q, psi).psi


def _element(mixed: MixedLikelihood, row: int, column: int) -> int:
    """Where ``Lambda[row, column]`` stands in ψ."""
    structure = mixed.structure
    there = (structure.rows == row) & (structure.columns == column)
    return mixed.p + int(np.flatnonzero(there)[0])


def _only(size: int, *elements: int) -> NDArray[np.bool_]:
    held = np.zeros(size, dtype=bool)
    held[list(elements)] = True
    return held


def _caps(model: FittedObjective, units: Vector) -> Vector:
    """Longest change of each element of ψ in one Newton step."""
    caps = _FREE_STEP * units
    if model.mixed is None:
        return caps
    return np.concatenate([caps, _FREE_SD / model.mixed.scale[model.mixed.structure.rows]])


def _leave(model: FittedObjective, held: NDArray[np.bool_]) -> Callable[[Vector], Vector | None]:
    """How to leave a saddle at zero variances; nothing to leave without random effects."""
    mixed = model.mixed
    if mixed is None:
        return lambda psi: None
    return lambda psi: boundary.leave(mixed, model.Q, psi, held)
