"""Coordinates in which one quantity of a model is a coordinate of its own.

A profile holds one quantity and maximises over the rest. Fixed effects are coordinates of ψ as
they stand. With the effect that matters first in its block, λ_11 is its standard deviation; and
with a second effect behind it, λ_21 = s sin α and λ_22 = s cos α, so that sin α is their
correlation, whatever s is: one more change of coordinates (:class:`Polar`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Evaluation, Objective, Vector


@dataclass(frozen=True, slots=True)
class Polar:
    """Q as a function of φ: ψ with two elements (x, y) = s (sin α, cos α) replaced by (s, α).

    Attributes
    ----------
    objective
        Q(ψ).
    x, y
        Which elements of ψ; s takes the place of x, α that of y.
    """

    objective: Objective
    x: int
    y: int

    def evaluate(self, phi: Vector, /) -> Evaluation:
        """Q, its gradient and Hessian in φ, by the chain rule."""
        s, alpha = phi[self.x], phi[self.y]
        sine, cosine = math.sin(alpha), math.cos(alpha)
        there = self.objective.evaluate(self.psi(phi))
        pair = [self.x, self.y]
        J = np.array([[sine, s * cosine], [cosine, -s * sine]])  # ∂(x, y)/∂(s, α)
        g = there.gradient[pair]
        gradient, hessian = there.gradient.copy(), there.hessian.copy()
        gradient[pair] = J.T @ g
        hessian[pair] = J.T @ hessian[pair]
        hessian[:, pair] = hessian[:, pair] @ J
        twist = g[0] * cosine - g[1] * sine  # g'∂²(x, y)/∂s∂α
        hessian[self.x, self.y] += twist
        hessian[self.y, self.x] += twist
        hessian[self.y, self.y] -= s * (g[0] * sine + g[1] * cosine)
        return Evaluation(there.value, gradient, hessian, there.status)

    def psi(self, phi: Vector) -> Vector:
        """ψ(φ)."""
        psi = phi.copy()
        psi[self.x] = phi[self.x] * math.sin(phi[self.y])
        psi[self.y] = phi[self.x] * math.cos(phi[self.y])
        return psi

    def phi(self, psi: Vector) -> Vector:
        """φ(ψ), s ≥ 0."""
        phi = psi.copy()
        phi[self.x] = math.hypot(psi[self.x], psi[self.y])
        phi[self.y] = math.atan2(psi[self.x], psi[self.y])
        return phi


class Restricted:
    """An objective in some of its coordinates, the others held; it remembers the whole of it.

    Parameters
    ----------
    objective
        A function of φ.
    phi
        Shape ``(d,)``: where the others are held.
    free
        Indices of the coordinates that vary.
    """

    def __init__(self, objective: Objective, phi: Vector, free: NDArray[np.intp]) -> None:
        self.objective = objective
        self.free = free
        self._phi = phi.copy()
        self._block = np.ix_(free, free)
        self._last: tuple[Vector, Evaluation] | None = None

    def evaluate(self, gamma: Vector, /) -> Evaluation:
        """Value, gradient and Hessian in the free coordinates γ."""
        there = self.objective.evaluate(self.phi(gamma))
        self._last = (gamma.copy(), there)
        return Evaluation(
            there.value, there.gradient[self.free], there.hessian[self._block], there.status
        )

    def whole(self, gamma: Vector) -> Evaluation:
        """The evaluation in all coordinates; for nothing where it was evaluated last."""
        if self._last is not None and np.array_equal(self._last[0], gamma):
            return self._last[1]
        return self.objective.evaluate(self.phi(gamma))

    def phi(self, gamma: Vector) -> Vector:
        """All coordinates."""
        phi = self._phi.copy()
        phi[self.free] = gamma
        return phi
