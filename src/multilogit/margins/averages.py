"""Averages of predictions over rows, with their joint covariance by the delta method.

    m = Σ_i w_i g_i(ψ, b) / Σ_i w_i,   Cov(m) = M_ψ Cov(ψ̂) M_ψ' + M_b Cov(b | ψ̂) M_b'

with the averaged derivatives M. Differences of averages, and every other linear combination, keep
the derivatives, so that their covariance is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.margins.estimable import Excess, stacked_excess
from multilogit.predict.delta import ParameterCovariance
from multilogit.predict.integrate import Array
from multilogit.predict.linear import Level, Matrix, Vector
from multilogit.predict.tangent import (
    Model,
    Rows,
    Scale,
    Tangent,
    chunks,
    predicted,
    predicted_slope,
)


@dataclass(frozen=True, slots=True)
class Averages:
    """K functions of everything that is estimated.

    Attributes
    ----------
    value
        Shape ``(K,)``.
    by_psi
        Shape ``(K, d)``: derivatives in ψ.
    by_modes
        Per factor, shape ``(K, n_levels, q)``: derivatives in b of every level; empty unless
        the level is conditional.
    undefined
        Shape ``(K,)``: whether a parameter without covariance is in it.
    excess
        How far they are from what a design with dropped columns determines; None: it has full
        rank.
    """

    value: Vector
    by_psi: Matrix
    by_modes: tuple[Array, ...]
    undefined: NDArray[np.bool_]
    excess: Excess | None = None

    def combined(self, weights: Matrix) -> Averages:
        """Linear combinations, one per row of ``weights``, shape ``(M, K)``."""
        return Averages(
            weights @ self.value,
            weights @ self.by_psi,
            tuple(np.tensordot(weights, part, axes=1) for part in self.by_modes),
            (weights[:, self.undefined] != 0.0).any(axis=1),
            None if self.excess is None else self.excess.combined(weights),
        )

    def covariance(self, model: Model, parameters: ParameterCovariance) -> Matrix:
        """Joint covariance, shape ``(K, K)``; NaN where it is not defined."""
        total = self.by_psi @ parameters.matrix @ self.by_psi.T
        if self.by_modes:
            assert model.modes is not None
            u = [
                (part @ factor.Lambda).reshape(self.value.size, -1)
                for part, factor in zip(self.by_modes, model.factors, strict=True)
            ]
            by_u = np.hstack(u)
            total = total + by_u @ model.modes.solve(by_u.T)
        total[self.undefined] = np.nan
        total[:, self.undefined] = np.nan
        return np.asarray(total)


def stacked(parts: Sequence[Averages]) -> Averages:
    """Several as one."""
    return Averages(
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.by_psi for part in parts]),
        tuple(np.concatenate(same) for same in zip(*(p.by_modes for p in parts), strict=True)),
        np.concatenate([part.undefined for part in parts]),
        stacked_excess([part.excess for part in parts]),
    )


def average(
    model: Model,
    rows: Rows,
    weights: Vector,
    level: Level,
    scale: Scale,
    parameters: ParameterCovariance,
    slope: Rows | None = None,
) -> Averages:
    """Weighted means over the rows of predictions or, given ∂X/∂x and ∂Z/∂x, of their slopes.

    One per category (``"response"``) or per logit (``"link"``).

    Parameters
    ----------
    weights
        Shape ``(n,)``, not negative; they need not add up to 1.
    parameters
        Says which parameters have no covariance.
    slope
        The derivatives of the columns of ``rows`` in a variable.
    """
    K = model.n_logits + (scale == "response")
    share = weights / weights.sum()
    value, by_psi = np.zeros(K), np.zeros((K, model.size))
    conditional = level == "conditional"
    by_modes = [np.zeros((K, f.n_levels, f.q)) for f in model.factors if conditional]
    for start, stop in chunks(model, rows):
        part, w = rows.part(start, stop), share[start:stop]
        if slope is None:
            made = predicted(model, part, level, scale)
        else:
            made = predicted_slope(model, part, slope.part(start, stop), level, scale)
        value += w @ made.value
        by_psi += np.einsum("n,nkd->kd", w, made.by_psi)
        if conditional:
            _scatter(by_modes, made, part, w)
    touched = parameters.touches(rows)
    if slope is not None:
        touched |= parameters.touches(slope)
    undefined = np.full(K, bool((touched & (share > 0.0)).any()))
    return Averages(value, by_psi, tuple(by_modes), undefined)


def _scatter(totals: Sequence[Array], made: Tangent, rows: Rows, w: Vector) -> None:
    """Add derivatives in b to the levels that they belong to."""
    for total, g, mine in zip(totals, made.by_modes, rows.factors, strict=True):
        for k in range(total.shape[0]):
            for a in range(total.shape[2]):
                total[k, :, a] += np.bincount(mine.codes, w * g[:, k, a], total.shape[1])
