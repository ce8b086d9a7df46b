"""What leaving observations out does to the estimates: one Newton step without them.

With Q = ℓ + log π at its maximum ψ̂ and ℓ_g the part of ℓ that the observations g add to it,

    ψ̂₋g − ψ̂ ≈ (−Q″ + ℓ_g″)⁻¹ (Q′ − ℓ_g′),

the exact change up to the second order (Pregibon 1981, *Annals of Statistics* 9, 705–724, for
rows of a single-level model). The prior stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Evaluation
from multilogit.predict import Matrix, Vector


@dataclass(frozen=True, slots=True)
class RowInfluence:
    """Leave-one-row-out of a single-level model.

    Attributes
    ----------
    hat
        Shape ``(n,)``: leverage, trace of W_i x_i'(−Q″)⁻¹x_i. Without a prior they add up to the
        number of parameters.
    change
        Shape ``(n, d)``: ψ̂₋i − ψ̂.
    """

    hat: Vector
    change: Matrix


def row_influence(
    X: Matrix, residual: Matrix, weight: NDArray[np.float64], inverse: Matrix
) -> RowInfluence:
    """Leverages and changes of all rows at once.

    By Woodbury's formula, with A_i = I_C ⊗ x_i, V = (−Q″)⁻¹ and G_i = A_i'VA_i,

        ψ̂₋i − ψ̂ = −V A_i (I − W_i G_i)⁻¹ r_i.

    Parameters
    ----------
    X
        Shape ``(n, p)``.
    residual
        Shape ``(n, C)``: r = y − nπ, times the frequency weight.
    weight
        Shape ``(n, C, C)``: W = n(diag π − ππ'), times the frequency weight.
    inverse
        Shape ``(pC, pC)``: V, 0 for parameters that are held.
    """
    C, p = residual.shape[1], X.shape[1]
    V = inverse.reshape(C, p, C, p)
    VA = np.einsum("apcq,nq->napc", V, X, optimize=True)
    G = np.einsum("np,napc->nac", X, VA, optimize=True)
    WG = weight @ G
    identity = np.eye(C)
    solved = np.linalg.solve(_regular(identity - WG), residual[:, :, None])[:, :, 0]
    change = -np.einsum("napc,nc->nap", VA, solved).reshape(-1, C * p)
    return RowInfluence(np.trace(WG, axis1=1, axis2=2), change)


def _regular(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN in place of singular matrices: rows that alone determine a parameter."""
    singular = np.abs(np.linalg.det(matrices)) < 1e-12
    return np.where(singular[:, None, None], np.nan, matrices)


def change_without(Q: Evaluation, part: Evaluation, free: NDArray[np.bool_]) -> Vector:
    """ψ̂₋g − ψ̂, shape ``(d,)``: 0 for parameters that are held, NaN if there is no maximum.

    Parameters
    ----------
    Q
        The objective at ψ̂.
    part
        ℓ_g, what the observations add to it.
    free
        Shape ``(d,)``: parameters that may move.
    """
    step = np.zeros(free.size)
    information = -(Q.hessian - part.hessian)[np.ix_(free, free)]
    gradient = (Q.gradient - part.gradient)[free]
    if not np.isfinite(information).all() or not np.isfinite(gradient).all():
        step[free] = np.nan
        return step
    scale = 1.0 / np.sqrt(np.maximum(np.abs(information.diagonal()), 1e-300))
    try:
        factor = np.linalg.cholesky(information * np.outer(scale, scale))
        step[free] = scale * np.linalg.solve(factor.T, np.linalg.solve(factor, scale * gradient))
    except np.linalg.LinAlgError:
        step[free] = np.nan
    return step


def cooks_distance(change: Matrix, covariance: Matrix) -> Vector:
    """Δ'V⁻¹Δ / p, shape ``(n,)``: Cook's distance (1977) for fixed effects of covariance V.

    Parameters
    ----------
    change
        Shape ``(n, p)``: Δ.
    covariance
        Shape ``(p, p)``: V; parameters whose variance is NaN are left out.
    """
    known = np.isfinite(covariance.diagonal())
    moved = change[:, known]
    if not known.any():
        return np.full(change.shape[0], np.nan)
    solved = np.linalg.solve(covariance[np.ix_(known, known)], moved.T)
    return np.asarray(np.einsum("ni,in->n", moved, solved) / moved.shape[1])
