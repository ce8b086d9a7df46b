"""Standard deviations and correlations of the random effects, with standard errors.

With Σ = ΛΛ' and λ_i the rows of Λ, σ_i = |λ_i| and ρ_ij = e_i'e_j where e_i = λ_i/σ_i, so

    ∂σ_i/∂λ_i = e_i,    ∂ρ_ij/∂λ_i = (e_j − ρ_ij e_i)/σ_i,    ∂ρ_ij/∂λ_j = (e_i − ρ_ij e_j)/σ_j,

and the delta method turns the covariance of θ, the free elements of Λ, into standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

PERFECT = 1.0 - 1e-9
"""A correlation beyond this lies on the edge of its range: it has no standard error."""


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Σ of one grouping factor on the scale that people read.

    Attributes
    ----------
    sd, sd_error
        Shape ``(q,)``: standard deviations, and their standard errors (NaN where sd is 0).
    correlation, correlation_error
        Shape ``(q, q)``: lower triangles; NaN on and above the diagonal, between independent
        blocks and where a standard deviation is 0. The error is NaN at correlations ±1.
    """

    sd: Vector
    sd_error: Vector
    correlation: Matrix
    correlation_error: Matrix

    @property
    def log_sd_error(self) -> Vector:
        """Standard errors of log sd, shape ``(q,)``: SE(sd)/sd."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.sd_error / self.sd


def positions(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """Where the elements of θ stand in Λ: ``(row, column)`` per element, in the order of θ.

    ``blocks`` are the sizes of the diagonal blocks of Λ; each holds a full lower triangle,
    column by column.
    """
    out = []
    start = 0
    for size in blocks:
        stop = start + size
        out += [(i, j) for j in range(start, stop) for i in range(j, stop)]
        start = stop
    return out


def delta_error(gradient: Vector, covariance: Matrix) -> float:
    """Standard error sqrt(g'Vg) of a function of θ with gradient g, shape ``(m,)``.

    Parameters on their boundary have NaN in V; they count only where g is not 0 there.
    Returns NaN if g vanishes (no first-order variation) or if g'Vg is not positive and finite.
    """
    used = np.flatnonzero(gradient)
    g = gradient[used]
    with np.errstate(over="ignore", invalid="ignore"):  # a fit that ran away
        variance = float(g @ covariance[np.ix_(used, used)] @ g) if used.size else np.nan
    return float(np.sqrt(variance)) if 0.0 < variance < np.inf else np.nan


def variance_components(
    Lambda: Matrix, blocks: Sequence[int], covariance: Matrix
) -> VarianceComponents:
    """Standard deviations and correlations by the delta method.

    Parameters
    ----------
    Lambda
        Shape ``(q, q)``, lower-triangular: Σ = ΛΛ'.
    blocks
        Sizes of the independent blocks; they add up to q.
    covariance
        Shape ``(m, m)``: covariance of θ in the order of :func:`positions`.
    """
    q = Lambda.shape[0]
    rows, cols = np.array(positions(blocks), dtype=int).reshape(-1, 2).T
    block_of = np.repeat(np.arange(len(blocks)), blocks)
    sd = np.sqrt(np.sum(Lambda**2, axis=1))
    unit = np.divide(Lambda, sd[:, None], out=np.zeros_like(Lambda), where=sd[:, None] > 0.0)

    def theta_gradient(by_row: dict[int, Vector]) -> Vector:
        """Gradient in θ of a function whose derivative in row i of Λ is ``by_row[i]``."""
        full = np.zeros((q, q))
        for i, derivative in by_row.items():
            full[i] = derivative
        return np.asarray(full[rows, cols])

    sd_error = np.array([delta_error(theta_gradient({i: unit[i]}), covariance) for i in range(q)])
    rho, rho_error = np.full((q, q), np.nan), np.full((q, q), np.nan)
    for i in range(q):
        for j in range(i):
            if block_of[i] != block_of[j] or sd[i] == 0.0 or sd[j] == 0.0:
                continue
            r = rho[i, j] = min(1.0, max(-1.0, float(unit[i] @ unit[j])))
            if abs(r) < PERFECT:
                d_i, d_j = (unit[j] - r * unit[i]) / sd[i], (unit[i] - r * unit[j]) / sd[j]
                rho_error[i, j] = delta_error(theta_gradient({i: d_i, j: d_j}), covariance)
    return VarianceComponents(sd, sd_error, rho, rho_error)
