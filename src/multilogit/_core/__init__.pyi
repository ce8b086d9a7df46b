"""Types of the compiled core (core/module.cpp)."""

import numpy as np
from numpy.typing import NDArray

LEVEL: str
"""Instruction level that was loaded: ``"v2"``, ``"v3"``, ``"v4"`` or ``"generic"``."""

LANES: int
"""Doubles per vector register at that level."""

def _choose(supported: list[str], wanted: str | None) -> str: ...

class FixedData:
    """Columns, response and weights of a single-level model, read in place (core/fixed.hpp)."""

    def __init__(
        self,
        columns: list[NDArray[np.float64]],
        counts: NDArray[np.float64],
        trials: NDArray[np.float64],
        offset: NDArray[np.float64] | None,
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Counts and offset: ``(n, J - 1)``, F-ordered; the others ``(n,)``, contiguous."""

    def set_response(self, counts: NDArray[np.float64], trials: NDArray[np.float64]) -> None:
        """Replace counts and trials; shapes as before."""

    def evaluate(
        self, beta: NDArray[np.float64], threads: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], bool]:
        """Value, gradient, Hessian, and whether all of them are finite."""

    def regression(
        self, w: NDArray[np.float64] | None, z: NDArray[np.float64], threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X'diag(w)X, shape ``(p, p)``, and z'X, shape ``(k, p)``, for z ``(n, k)``, F-ordered."""
