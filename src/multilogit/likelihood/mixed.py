"""What estimation needs of the likelihood of a model with random effects."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.covariance import CovarianceStructure

Column = NDArray[np.float64]
Order = tuple[int, ...]


class MixedLikelihood(Protocol):
    """ℓ(ψ), ψ = (β, θ), and the conditional modes that it finds on the way.

    Attributes
    ----------
    p
        Number of fixed effects.
    structure
        Λ of all effects of all grouping factors; the effects of a factor stand together.
    order
        Row a of Λ belongs to effect ``order[a]`` of the user at present.
    z_scale
        Shape ``(q,)``: root mean square of each column of Z, in the user's order.
    depends_on_order
        Whether ℓ changes, if only by the error of a rule, when effects are reordered.
    whole_hessian
        Whether ``evaluate`` returns all of the Hessian; if not, it is a
        :class:`WithInformation`.
    """

    p: int
    structure: CovarianceStructure
    order: Order
    z_scale: Vector
    depends_on_order: bool
    whole_hessian: bool

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ, gradient, Hessian; the modes found are where the next evaluation starts."""
        ...

    @property
    def scale(self) -> Vector:
        """``z_scale`` in the present order."""
        ...

    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        """Change the order within blocks; û becomes ``turn @ û``, or is forgotten."""
        ...

    def restart(self) -> None:
        """Forget modes and reordering: what comes next depends on nothing before."""
        ...

    def set_response(self, y: Column, trials: Column) -> None:
        """Replace successes and trials."""
        ...

    def factors(self) -> tuple[slice, ...]:
        """The effects of each grouping factor."""
        ...

    def modes(self) -> tuple[Matrix, ...]:
        """û of the last evaluation: per factor, shape ``(levels, q_f)``."""
        ...

    def mode_covariance(self) -> tuple[NDArray[np.float64], ...]:
        """ΛH⁻¹Λ' at the modes: per factor its diagonal blocks, shape ``(levels, q_f, q_f)``."""
        ...

    def moments(self, beta: Vector) -> tuple[tuple[Matrix, NDArray[np.float64]], ...]:
        """Per factor Z'r, shape ``(levels, q_f)``, and Z'WZ, ``(levels, q_f, q_f)``, at b = 0."""
        ...


@runtime_checkable
class WithQuadrature(Protocol):
    """A likelihood that can take its integrals by adaptive Gauss–Hermite quadrature."""

    def set_nodes(self, nodes: int) -> None:
        """Nodes per effect from now on; 1: Laplace's approximation."""
        ...


@runtime_checkable
class WithInformation(Protocol):
    """A likelihood whose ``evaluate`` leaves out parts of the Hessian that are costly."""

    def information(self, psi: Vector, /) -> Evaluation:
        """The evaluation with the whole Hessian, for standard errors at the end."""
        ...
