"""Types of the compiled core (core/module.cpp)."""

import numpy as np
from numpy.typing import NDArray

LEVEL: str
"""Instruction level that was loaded: ``"v2"``, ``"v3"``, ``"v4"`` or ``"generic"``."""

LANES: int
"""Doubles per vector register at that level."""

def _choose(supported: list[str], wanted: str | None) -> str: ...
def solve_positive(
    A: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """x with Ax = b for a positive definite A, and the squared pivots of its Cholesky factor."""

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

def level_modes(
    columns: list[NDArray[np.float64]],
    counts: NDArray[np.float64],
    trials: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
    first: NDArray[np.int64],
    beta: NDArray[np.float64],
    alpha: NDArray[np.float64],
    shift: NDArray[np.float64],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], bool]:
    """Intercepts of levels (core/levels.hpp): h, ``(levels,)``; m, ``(levels, p)``; Σ mm'/h; found.

    Rows are sorted: level g has ``first[g]:first[g + 1]``. ``alpha`` and ``shift`` are written.
    """

class GroupedData:
    """Rows of one grouping factor in tiles, and their likelihood (core/grouped.hpp)."""

    def __init__(
        self,
        columns: list[NDArray[np.float64]],
        x_columns: int,
        y: NDArray[np.float64],
        n: NDArray[np.float64],
        offset: NDArray[np.float64] | None,
        codes: NDArray[np.int32],
        groups: int,
        categorical: bool,
        scratch: str,
        threads: int = 1,
    ) -> None:
        """The first columns are X, y has shape ``(n, C)``, F-ordered; all are copied.

        scratch: the copies are in files in this directory; empty: in memory.
        """

    @property
    def bytes(self) -> int:
        """What the copies take."""

    def release(self) -> None:
        """Copies in files take no memory until they are used again."""

    def prefetch(self) -> None:
        """Begin to read them."""

    def set_structure(
        self, z: list[int], logit: list[int], row: list[int], column: list[int]
    ) -> None:
        """Effect a: column ``z[a]``, logit ``logit[a]``; theta_k: ``Lambda[row[k], column[k]]``."""

    def set_nodes(self, nodes: NDArray[np.float64], log_weights: NDArray[np.float64]) -> None:
        """Quadrature by these nodes, ``(k, q)``, and log weights, ``(k,)``."""

    def set_response(self, y: NDArray[np.float64], n: NDArray[np.float64]) -> None:
        """Replace successes and trials."""

    def set_modes(self, u: NDArray[np.float64]) -> None:
        """Start the next evaluation from u, shape ``(groups, q)``."""

    def modes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """u, ``(groups, q)``, and Lambda H^-1 Lambda', packed, ``(groups, q (q + 1) / 2)``."""

    def moments(self, beta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Z'r, ``(groups, q)``, and Z'WZ, packed, ``(groups, q (q + 1) / 2)``, at b = 0."""

    def evaluate(
        self, psi: NDArray[np.float64], threads: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], bool, int]:
        """Value, gradient, Hessian, whether all modes were found, inner iterations."""

class NestedData:
    """Rows of nested grouping factors in tiles, and their marginal likelihood (core/nested.hpp).

    Lists by level go from the leaves to the roots.
    """

    def __init__(
        self,
        columns: list[NDArray[np.float64]],
        p: int,
        categorical: bool,
        y: list[NDArray[np.float64]],
        n: NDArray[np.float64],
        offset: NDArray[np.float64] | None,
        codes: list[NDArray[np.int32]],
        groups: list[int],
        scratch: str,
    ) -> None:
        """The first p columns are X; codes of level d lie in 0 .. groups[d] - 1; all are copied.

        y: successes, or, categorical, the counts of every category but the baseline.
        scratch: the copies are in files in this directory; empty: in memory.
        """

    @property
    def most_leaves(self) -> int:
        """Leaves that are looked at together: those of whole trees."""

    @property
    def bytes(self) -> int:
        """What the copies take."""

    def release(self) -> None:
        """Copies in files take no memory until they are used again."""

    def prefetch(self) -> None:
        """Begin to read them."""

    def set_structure(
        self,
        z: list[int],
        logits: list[int],
        effects: list[int],
        row: list[int],
        column: list[int],
    ) -> None:
        """Level d has effects[d] effects; effect a has column z[a] of the data, logit logits[a];
        theta_k is ``Lambda[row[k], column[k]]``.
        """

    def set_nodes(
        self, nodes: list[NDArray[np.float64]], log_weights: list[NDArray[np.float64]]
    ) -> None:
        """Quadrature by the nodes of each level, shape ``(count, q_d)``; no lists: Laplace."""

    def set_response(self, y: list[NDArray[np.float64]], n: NDArray[np.float64]) -> None:
        """Replace counts and trials."""

    def set_modes(self, u: list[NDArray[np.float64]]) -> None:
        """Start the next evaluation from u, for each level of shape ``(groups, q_d)``."""

    def modes(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """By level: u, ``(groups, q_d)``, and the packed covariances of b = Lambda u."""

    def moments(
        self, beta: NDArray[np.float64]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """By level: Z'r, ``(groups, q_d)``, and Z'WZ, packed, at b = 0."""

    def evaluate(
        self, psi: NDArray[np.float64], threads: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], bool, int]:
        """Value, gradient, Hessian, whether all modes were found, inner iterations."""

def crossed_plan(
    x_columns: int,
    logits: int,
    codes: list[NDArray[np.int32]],
    levels: list[int],
    effects: list[int],
    memory: float,
) -> tuple[float, bool]:
    """Bytes that crossed factors take, and whether the remainder is kept sparse."""

class CrossedData:
    """Rows of crossed grouping factors and their Laplace likelihood (core/crossed.hpp)."""

    def __init__(
        self,
        x: list[NDArray[np.float64]],
        z: list[NDArray[np.float64]],
        logit: list[int],
        y: NDArray[np.float64],
        n: NDArray[np.float64],
        offset: NDArray[np.float64] | None,
        codes: list[NDArray[np.int32]],
        levels: list[int],
        effects: list[int],
        categorical: bool,
        memory: float,
        keep: str,
    ) -> None:
        """Columns of z factor by factor, ``effects[f]`` of each, and their logits.

        y: ``(n, C)``, F-ordered: successes (C = 1), or counts of the categories but the baseline
        where ``categorical``. Everything is copied.

        keep: the remainder ``"dense"``, ``"sparse"`` or as is ``"best"`` in ``memory`` bytes.
        """

    @property
    def bytes(self) -> float:
        """Memory that `set_structure` and what follows take."""

    @property
    def sparse(self) -> bool:
        """Whether the remainder is kept sparse."""

    def set_structure(self, z: list[int], row: list[int], column: list[int]) -> None:
        """Effect a is column ``z[a]``; theta_k is ``Lambda[row[k], column[k]]``; modes from 0."""

    def turn(self, z: list[int], turn: NDArray[np.float64]) -> None:
        """Effect a is column ``z[a]``; the modes become turn u, shape ``(q, q)``."""

    def set_response(self, y: NDArray[np.float64], n: NDArray[np.float64]) -> None:
        """Replace successes and trials."""

    def modes(self, factor: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """u, ``(levels, q_f)``, and Lambda H^-1 Lambda', ``(levels, q_f, q_f)``."""

    def moments(
        self, beta: NDArray[np.float64], factor: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Z'r, ``(levels, q_f)``, and Z'WZ, ``(levels, q_f, q_f)``, at b = 0."""

    def evaluate(
        self, psi: NDArray[np.float64], full: bool, threads: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], bool, bool, int]:
        """Value, gradient, Hessian, modes found, whether the Hessian is whole, inner iterations."""

    def correction(self, psi: NDArray[np.float64], threads: int) -> float:
        """What the next term of Laplace's expansion adds to the value; NaN without modes."""
