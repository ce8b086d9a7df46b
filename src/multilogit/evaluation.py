"""The seam of the house: ``evaluate(psi) -> Evaluation``.

Likelihoods, priors, chunks on disk and remote workers all speak it; the optimiser needs
nothing else; evaluations add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Status

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Value, gradient and Hessian of a function at one point.

    Attributes
    ----------
    value
        The function, a log density; ``-inf`` or NaN where it is not defined.
    gradient
        Shape ``(d,)``: first derivatives in ψ.
    hessian
        Shape ``(d, d)``, symmetric: second derivatives in ψ.
    status
        ``Status.OK``, or why the numbers cannot be trusted.
    """

    value: float
    gradient: Vector
    hessian: Matrix
    status: Status = Status.OK

    def __add__(self, other: Evaluation) -> Evaluation:
        """The evaluation of the sum of two functions: evaluations add."""
        return Evaluation(
            self.value + other.value,
            self.gradient + other.gradient,
            self.hessian + other.hessian,
            self.status if self.status is not Status.OK else other.status,
        )


class Objective(Protocol):
    """Anything that Newton–Raphson can maximise."""

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Value, gradient and Hessian at ``psi``, shape ``(d,)``."""
        ...
