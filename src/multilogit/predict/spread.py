"""R with RR' = Ω, the covariance of a row's logits over the random effects, and its derivatives.

    Ω = Σ_f A_f A_f',   A_f = z_f Λ_f                       (one row: C × q)
    dR = RΦ(M),   M = R⁻¹ dΩ R⁻ᵀ                            Φ: lower triangle, half the diagonal

A column of R whose pivot is 0 (no variance in that direction) stays 0: the parameters of zero
variances are on their boundary, and the others do not leave the range of Ω.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.predict.integrate import Array
from multilogit.predict.linear import Matrix

_ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class Spread:
    """Square root of Ω at every row.

    Attributes
    ----------
    R
        Shape ``(n, C, C)``, lower-triangular.
    full
        R with 1 where a pivot is 0.
    pivots
        Shape ``(n, C)``: whether a column of R is not 0.
    """

    R: Array
    full: Array
    pivots: NDArray[np.bool_]

    def tangent(self, d_omega: Array) -> Array:
        """dR for a derivative dΩ, shape ``(n, C, C)``."""
        return self._masked(self.full @ half(self.whiten(d_omega)))

    def second(self, dx: Array, dk: Array, omega_x: Array, omega_xk: Array) -> Array:
        """∂²R/∂x∂k from ∂R/∂x, ∂R/∂k, ∂Ω/∂x and ∂²Ω/∂x∂k."""
        M = self.whiten(omega_x)
        F = np.linalg.solve(self.full, dk)
        turned = F @ M
        M_k = self.whiten(omega_xk) - turned - np.swapaxes(turned, 1, 2)
        return self._masked(dk @ half(M) + self.full @ half(M_k))

    def whiten(self, d_omega: Array) -> Array:
        """M = R⁻¹ dΩ R⁻ᵀ."""
        once = np.linalg.solve(self.full, d_omega)
        return np.asarray(np.linalg.solve(self.full, np.swapaxes(once, 1, 2)))

    def _masked(self, dR: Array) -> Array:
        return dR * self.pivots[:, None, :]


def half(M: Array) -> Array:
    """Φ: the lower triangle with half the diagonal."""
    C = M.shape[-1]
    return M * (np.tri(C, k=-1) + 0.5 * np.eye(C))


def spread_of(omega: Array) -> Spread:
    """The Cholesky factor of every Ω, shape ``(n, C, C)``, also of singular ones."""
    n, C = omega.shape[:2]
    R, full = np.zeros((n, C, C)), np.zeros((n, C, C))
    pivots = np.zeros((n, C), dtype=bool)
    for k in range(C):
        column = omega[:, :, k] - np.einsum("nij,nj->ni", R[:, :, :k], R[:, k, :k])
        pivots[:, k] = column[:, k] > _ROUNDING * omega[:, k, k]
        root = np.sqrt(np.where(pivots[:, k], column[:, k], 1.0))
        full[:, k:, k] = column[:, k:] / root[:, None]
        full[:, k, k] = root
        full[:, k + 1 :, k] *= pivots[:, k, None]
        R[:, :, k] = full[:, :, k] * pivots[:, k, None]
    return Spread(R, full, pivots)


def omega_of(left: Sequence[Array], right: Sequence[Array], n: int, C: int) -> Array:
    """Σ_f (A_f B_f' + B_f A_f')/2 for A, B of shape ``(n, C, q_f)``: Ω where B = A."""
    total = np.zeros((n, C, C))
    for A, B in zip(left, right, strict=True):
        total += np.einsum("ncq,ndq->ncd", A, B)
    return 0.5 * (total + np.swapaxes(total, 1, 2))


def theta_tangents(z: Array, A: Array, positions: Sequence[tuple[int, int]]) -> Iterator[Array]:
    """∂Ω/∂θ_k = z_a A_b' + A_b z_a' for every free element θ_k = Λ_ab of one factor.

    Parameters
    ----------
    z, A
        Shape ``(n, C, q)``: z and zΛ.
    positions
        Row and column in Λ of each element.
    """
    for a, b in positions:
        outer = z[:, :, None, a] * A[:, None, :, b]
        yield outer + np.swapaxes(outer, 1, 2)


def contract(moment: Array, dR: Array) -> Matrix:
    """Σ_cl E[t_l ∂g_j/∂η_c] dR_cl, shape ``(n, J)``.

    Parameters
    ----------
    moment
        Shape ``(C, n, J, C)``: l first.
    dR
        Shape ``(n, C, C)``.
    """
    return np.asarray(np.einsum("lnjc,ncl->nj", moment, dR))
