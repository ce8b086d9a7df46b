"""Separation in data of which only sums are known.

Along a direction δ of recession every observed category gains, or loses nothing, in every row: the
log-likelihood never falls. Where one row loses ε per unit of δ, it falls by Tε less what that row
is ahead by, on the way of T units. So one evaluation far out tells that no row loses more than
5e-5 of what the others gain; the linear programs that need all rows
(:mod:`multilogit.estimate.recession`) say it to 1e-8. Nothing is claimed where it fails.

The direction is the Newton step where the information has died: on separated rows it is as if
every step gained 1 on the logit scale, for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import eigh

from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.fixed import SingleLevel
from multilogit.newton import maximise

_MOST_ITERATIONS = 100
_DYING, _DEAD = 1e-4, 1e-9
"""Information in a direction, of what it was at 0."""
_OUT = 60.0
"""So far out, in Newton steps, separated rows have no information left to 1e-20."""
_FAR = 1e6
"""So far out, in Newton steps, a row that loses 5e-5 in each is 50 behind."""
_FALL = 1.0
"""Of the log-likelihood on the way: more than rounding, less than one such row."""
_NOTHING = 1e-6
"""Part of the largest element of a direction, in units of η, that counts as 0."""


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction in which a single-level log-likelihood never falls.

    Attributes
    ----------
    kind
        ``"complete"``: every row gains; ``"quasi-complete"``: some do.
    delta
        Shape ``(p (J − 1),)``; exactly 0 where a coefficient takes no part.
    """

    kind: Literal["complete", "quasi-complete"]
    delta: Vector


def recession_direction(single: SingleLevel) -> Direction | None:
    """A direction that separates the responses; None where none was found.

    Parameters
    ----------
    single
        The likelihood without random effects; it is evaluated some dozens of times.
    """
    start = np.zeros(single.n_parameters)
    beta = maximise(single, start, max_iterations=_MOST_ITERATIONS, first=single.at_zero).psi
    if single.evaluate(_FAR * beta).value >= -_FALL:  # it predicts every row
        return Direction("complete", beta / np.abs(beta).max())
    metric = -single.at_zero.hessian
    there = single.evaluate(beta)
    dying = _directions(-there.hessian, metric, _DYING)
    if not dying.shape[1]:
        return None
    step = dying @ np.linalg.solve(-dying.T @ there.hessian @ dying, dying.T @ there.gradient)
    out = single.evaluate(beta + _OUT * step)
    dead = _directions(-out.hessian, metric, _DEAD)
    delta = dead @ (dead.T @ (metric @ step))
    far = single.evaluate(beta + _FAR * delta)
    if not dead.shape[1] or not far.value >= there.value - _FALL:
        return None
    size = np.abs(delta) * np.sqrt(metric.diagonal())
    delta = np.where(size > _NOTHING * size.max(), delta, 0.0)
    kind: Literal["complete", "quasi-complete"] = (
        "complete" if dead.shape[1] == delta.size else "quasi-complete"
    )
    return Direction(kind, delta / np.abs(delta).max())


def _directions(information: Matrix, metric: Matrix, most: float) -> Matrix:
    """Directions of least information, at most ``most``; orthonormal in the metric."""
    try:
        values, vectors = eigh(information, metric)
    except (ValueError, np.linalg.LinAlgError):  # not finite; columns almost dependent
        return np.zeros((metric.shape[0], 0))
    return np.asarray(vectors[:, values < most])
