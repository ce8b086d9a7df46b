"""Zero variances: a maximum on the boundary, or a saddle that Newton must leave.

The likelihood is even in every zero column of Λ, so its gradient vanishes there whatever the
data say, and Newton–Raphson may stop happily at a zero variance that is not the maximum. The
curvature decides. Let column c be the first zero column of Λ in its block, and e a vector of
its elements Λ[c:, c]: moving to t·e adds t²ee' to Σ, so

    d²ℓ/dt² = 2 e'Ge,   G = ∂ℓ/∂Σ.

Where ℓ is stationary in the other columns, G vanishes on the range of Σ, and these e reach all
of its null space (a null vector with zeros from row c on is zero). So the Hessian block of
column c, which the core returns, tells everything: if it has no positive eigenvalue, no small
change of Σ does better, and the zero variance is a maximum on the boundary.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Status
from multilogit.evaluation import Objective, Vector
from multilogit.likelihood.covariance import cholesky
from multilogit.likelihood.mixed import MixedLikelihood

_ZERO_SD = 1e-4
"""A standard deviation below this, on the logit scale, is zero: ℓ is even in it, so it changes
ℓ by less than its rounding."""
_POSITIVE = 1e-5
"""Curvature by a standard deviation on the logit scale that is worth following: below, the rise
of ℓ (of the order of its square) is not visible."""
_FIRST_STEP = 0.5
"""First standard deviation to try on the way out, on the logit scale."""
_MOST_HALVINGS = 12


def snap(likelihood: MixedLikelihood, psi: Vector) -> Vector:
    """ψ with invisible variances exactly zero; the same object if there are none.

    What is invisible are eigenvalues of Σ, block by block, on the logit scale (columns of Z
    scaled to mean square 1).
    """
    p, structure = likelihood.p, likelihood.structure
    scale = likelihood.scale
    if max(structure.blocks) == 1:
        visible = np.abs(psi[p:]) * scale >= _ZERO_SD
        if visible.all():
            return psi
        return np.concatenate([psi[:p], np.where(visible, psi[p:], 0.0)])
    Lambda = structure.Lambda(psi[p:])
    scaled = (Lambda @ Lambda.T) * np.outer(scale, scale)
    rounded = False
    for block in structure.slices():
        values, vectors = np.linalg.eigh(scaled[block, block])
        invisible = values < _ZERO_SD**2
        if invisible.any():
            values[invisible] = 0.0
            scaled[block, block] = (vectors * values) @ vectors.T
            rounded = True
    if not rounded:
        return psi
    Lambda = cholesky(scaled, floor=0.5 * _ZERO_SD**2) / scale[:, None]
    return np.concatenate([psi[:p], Lambda[structure.rows, structure.columns]])


def leave(
    likelihood: MixedLikelihood, objective: Objective, psi: Vector, held: NDArray[np.bool_]
) -> Vector | None:
    """A point that is higher than ψ, where columns of Λ have shrunk to nothing, or None.

    As :func:`snap` and :func:`escape`, with some elements of ψ held where they are.
    """
    p, structure = likelihood.p, likelihood.structure
    Lambda = structure.Lambda(psi[p:])
    invisible = np.abs(Lambda * likelihood.scale[:, None]).max(axis=0) < _ZERO_SD
    if not invisible.any():
        return None
    rounded = np.concatenate([np.zeros(p, dtype=bool), invisible[structure.columns]]) & ~held
    return escape(likelihood, objective, np.where(rounded, 0.0, psi), held)


def escape(
    likelihood: MixedLikelihood,
    objective: Objective,
    saddle: Vector,
    held: NDArray[np.bool_] | None = None,
) -> Vector | None:
    """A point that is higher than a stationary ψ with zero variances, or None.

    ``objective`` is the likelihood, or its sum with a prior; ``held``: elements of ψ to keep.

    None: every zero variance is a maximum on the boundary, or a prior forbids it.
    """
    zero = _first_zero_columns(likelihood, saddle, held)
    evaluation = objective.evaluate(saddle)
    if evaluation.status is not Status.OK:
        return None
    scale = likelihood.scale[likelihood.structure.rows]
    for elements in zero:
        index = likelihood.p + elements
        units = 1.0 / scale[elements]
        curvature, directions = np.linalg.eigh(
            evaluation.hessian[np.ix_(index, index)] * np.outer(units, units)
        )
        if curvature[-1] > _POSITIVE:
            return _climb_out(objective, saddle, index, directions[:, -1] * units)
    return None


def _climb_out(
    objective: Objective, saddle: Vector, index: NDArray[np.intp], direction: Vector
) -> Vector | None:
    """The first of the steps ½, ¼, … along ``direction`` that is higher than the saddle."""
    level = objective.evaluate(saddle).value
    step = _FIRST_STEP
    for _ in range(_MOST_HALVINGS):
        trial = saddle.copy()
        trial[index] = step * direction
        if objective.evaluate(trial).value > level:
            return trial
        step *= 0.5
    return None


def _first_zero_columns(
    likelihood: MixedLikelihood, psi: Vector, held: NDArray[np.bool_] | None
) -> list[NDArray[np.intp]]:
    """For each block with one, the elements of θ in its first zero column of Λ, if not held."""
    structure = likelihood.structure
    free = np.ones(structure.m, dtype=bool) if held is None else ~held[likelihood.p :]
    Lambda = structure.Lambda(psi[likelihood.p :])
    found = []
    for block in structure.slices():
        zero = np.flatnonzero(~Lambda[block, block].any(axis=0))
        if zero.size:
            elements = np.flatnonzero((structure.columns == block.start + zero[0]) & free)
            found += [elements] if elements.size else []
    return found
