"""What estimation hands over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Diagnostic
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.newton import Solution


@dataclass(frozen=True, slots=True)
class FactorEstimate:
    """Conditional modes of one grouping factor.

    Attributes
    ----------
    effects
        Its effects: a slice of the rows of Λ.
    modes
        b̂ = Λû, shape ``(levels, q_f)``.
    covariance
        ΛH⁻¹Λ' at the modes, shape ``(levels, q_f, q_f)``.
    scale
        Shape ``(q_f,)``: root mean square of the columns of Z.
    """

    effects: slice
    modes: Matrix
    covariance: NDArray[np.float64]
    scale: Vector


@dataclass(frozen=True, slots=True)
class Estimate:
    """A maximum of Q = ℓ + log π.

    Attributes
    ----------
    solution
        ψ̂ = (β̂, θ̂) in the order of the model; Q there, its gradient and Hessian; status and
        trace of the search.
    likelihood
        ℓ(ψ̂), its gradient and Hessian, without binomial coefficients; the same object as
        ``solution.evaluation`` where there is no prior.
    boundary
        Shape ``(d,)``: the elements of θ that belong to zero variances. The likelihood is
        even in them: their gradient is 0 and they are not correlated with any other.
    Lambda
        Λ̂, shape ``(q, q)``; None without random effects.
    factors
        The random effects of each grouping factor.
    nodes
        Quadrature nodes per random effect that were used.
    far
        ψ̂ with its infinite elements replaced by numbers so large that predictions have reached
        their limits; None where ψ̂ is finite.
    diagnostics
        What was noticed.
    """

    solution: Solution
    likelihood: Evaluation
    boundary: NDArray[np.bool_]
    Lambda: Matrix | None = None
    factors: tuple[FactorEstimate, ...] = ()
    nodes: int = 1
    far: Vector | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def covariance(self) -> Matrix:
        """(−ℓ″)⁻¹ of the parameters inside the boundary; NaN for those on it."""
        return information_inverse(self.likelihood.hessian, ~self.boundary)


def information_inverse(hessian: Matrix, free: NDArray[np.bool_]) -> Matrix:
    """Inverse of −H over the free parameters, NaN elsewhere.

    NaN everywhere if −H is not positive definite: then there is no maximum to speak of.
    """
    if not free.all():
        index = np.flatnonzero(free)
        out = np.full(hessian.shape, np.nan)
        inside = np.ix_(index, index)
        out[inside] = information_inverse(hessian[inside], free[index])
        return out
    information, nothing = -hessian, np.full(hessian.shape, np.nan)
    if not free.size or not np.isfinite(information).all():
        return nothing
    root = np.sqrt(np.abs(information.diagonal()))
    root[root == 0.0] = 1.0
    try:
        inverse_root = np.linalg.inv(np.linalg.cholesky(information / np.outer(root, root)))
    except np.linalg.LinAlgError:
        return nothing
    inverse: Matrix = inverse_root.T @ inverse_root / np.outer(root, root)
    return inverse
