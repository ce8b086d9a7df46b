"""Newton–Raphson with ridge augmentation and a line search. No statistics inside."""

from __future__ import annotations

from dataclasses import dataclass

from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Vector


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One Newton iteration: the point it started from and the step it took.

    Attributes
    ----------
    iteration
        0 for the start.
    objective
        Q(ψ) at the point.
    gradient_norm
        max |gradient| at the point.
    decrement
        Newton decrement λ = sqrt(g'(−H)⁻¹g) at the point (with the ridge, where one is used).
    ridge
        Multiple of the scaling matrix that was added to −H to make it positive definite; 0
        almost always.
    step
        Step length t accepted by the line search (1: the full Newton step); NaN in the last
        row, from which no step was taken.
    max_change
        max |Δψ| of the step taken; NaN in the last row.
    """

    iteration: int
    objective: float
    gradient_norm: float
    decrement: float
    ridge: float
    step: float
    max_change: float


@dataclass(frozen=True, slots=True)
class Solution:
    """Where Newton–Raphson ended, how, and along which way.

    Attributes
    ----------
    psi
        Shape ``(d,)``: the last accepted point.
    evaluation
        The objective at exactly ``psi``.
    status
        ``CONVERGED`` or the reason for stopping.
    trace
        One row per iteration.
    n_evaluations
        Calls of ``evaluate``, trial points of the line search included.
    """

    psi: Vector
    evaluation: Evaluation
    status: Status
    trace: tuple[TraceRow, ...]
    n_evaluations: int

    @property
    def converged(self) -> bool:
        """Whether both stopping rules hold."""
        return self.status is Status.CONVERGED
