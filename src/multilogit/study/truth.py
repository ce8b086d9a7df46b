"""The parameters of a model with one grouping factor, in the order that all estimators use.

β (intercept first), the standard deviations of the random effects, their correlations. The
working scale, on which errors are normal and intervals symmetric, is β, log σ, atanh ρ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector


@dataclass(frozen=True, slots=True)
class Layout:
    """Which element of a parameter vector is what.

    Attributes
    ----------
    beta
        Names of the fixed effects.
    effects
        Names of the random effects' columns; empty: a model without random effects.
    """

    beta: tuple[str, ...]
    effects: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (a, b), a > b, of random effects, as their correlations are ordered."""
        q = len(self.effects)
        return tuple((a, b) for b in range(q) for a in range(b + 1, q))

    @property
    def names(self) -> tuple[str, ...]:
        """Names as in ``fit.confint``: ``"x"``, ``"sd_x|g"``, ``"cor_x.(Intercept)|g"``."""
        sds = tuple(f"sd_{name}|g" for name in self.effects)
        cors = tuple(f"cor_{self.effects[a]}.{self.effects[b]}|g" for a, b in self.pairs)
        return self.beta + sds + cors

    @property
    def kinds(self) -> tuple[str, ...]:
        """``"beta"``, ``"sd"`` or ``"cor"`` for every parameter."""
        counts = (("beta", len(self.beta)), ("sd", len(self.effects)), ("cor", len(self.pairs)))
        return tuple(kind for kind, n in counts for _ in range(n))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.kinds)

    def split(self, values: Vector) -> tuple[Vector, Vector, Vector]:
        """β, standard deviations, correlations."""
        p, q = len(self.beta), len(self.effects)
        return values[:p], values[p : p + q], values[p + q :]

    def covariance(self, values: Vector) -> Matrix:
        """Σ, shape ``(q, q)``."""
        _, sd, cor = self.split(values)
        R = np.eye(sd.size)
        for (a, b), rho in zip(self.pairs, cor, strict=True):
            R[a, b] = R[b, a] = rho
        return np.asarray(sd[:, None] * R * sd)

    def psi(self, values: Vector) -> Vector:
        """ψ = (β, θ) of the likelihoods: θ the column-major lower triangle of Λ, ΛΛ' = Σ."""
        beta = self.split(values)[0]
        Lambda = cholesky_of_singular(self.covariance(values))
        columns = [Lambda[a:, a] for a in range(len(self.effects))]
        return np.concatenate([beta, *columns])

    def working(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(β, log σ, atanh ρ) of values along the first axis; ±inf at the boundary."""
        return self._mapped(values, np.log, np.arctanh)

    def natural(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of :meth:`working`."""
        return self._mapped(values, np.exp, np.tanh)

    def _mapped(self, values: NDArray[np.float64], sd: np.ufunc, cor: np.ufunc) -> Matrix:
        out = np.array(values, dtype=np.float64)
        kinds = np.array(self.kinds)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            out[kinds == "sd"] = sd(out[kinds == "sd"])
            out[kinds == "cor"] = cor(out[kinds == "cor"])
        return out


def cholesky_of_singular(S: Matrix) -> Matrix:
    """Lower-triangular Λ with ΛΛ' = S for a positive semi-definite S, column by column."""
    Lambda = np.zeros_like(S)
    for a in range(len(S)):
        left = S[a:, a] - Lambda[a:, :a] @ Lambda[a, :a]
        if left[0] > 1e-14 * max(S[a, a], 1e-300):
            Lambda[a:, a] = left / np.sqrt(left[0])
    return Lambda
