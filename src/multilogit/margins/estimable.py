"""What a design that lacks rank says nothing about.

Let X = [K D] with the columns D dropped because D = K A on the data. They know β only up to the
directions that leave Xβ unchanged, so c'β is estimable if and only if c is a combination of rows
of X, that is if c_D = c_K A (Searle 1971, *Linear Models*, §5.4; R's emmeans, "nonEst").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multilogit.predict.linear import Matrix, Vector

_ROUNDING = 1e-7
"""Part of the terms of c_D − c_K A below which it is rounding."""

Columns = Mapping[str, NDArray[np.float64]]


def relation(kept: Sequence[Vector], dropped: Sequence[Vector]) -> Matrix:
    """A, shape ``(p, r)``: D = K A for the kept and the dropped columns of some data."""
    K = np.column_stack([np.asarray(column, dtype=np.float64) for column in kept])
    D = np.column_stack([np.asarray(column, dtype=np.float64) for column in dropped])
    size, target = np.linalg.norm(K, axis=0), np.linalg.norm(D, axis=0)
    target[target == 0.0] = 1.0
    A = np.linalg.lstsq(K / size, D / target, rcond=None)[0]
    A[np.abs(A) < 1e-9] = 0.0  # in units of the columns: rounding
    return np.asarray(A / size[:, None] * target)


@dataclass(frozen=True, slots=True)
class Excess:
    """How far K functions of β are from what the data determine.

    Attributes
    ----------
    value
        Shape ``(K, r)``: c_D − c_K A of linear functions.
    size
        Shape ``(K, r)``: the sum of its terms without their signs.
    beyond
        Shape ``(K,)``: functions that are not linear and use what is not determined.
    """

    value: Matrix
    size: Matrix
    beyond: NDArray[np.bool_]

    def combined(self, weights: Matrix) -> Excess:
        """Of linear combinations, one per row of ``weights``."""
        beyond = (weights[:, self.beyond] != 0.0).any(axis=1)
        return Excess(weights @ self.value, np.abs(weights) @ self.size, beyond)

    @property
    def estimable(self) -> NDArray[np.bool_]:
        """Shape ``(K,)``."""
        return ~self.beyond & (np.abs(self.value) <= _ROUNDING * self.size).all(axis=1)


@dataclass(frozen=True)
class Aliasing:
    """Which columns were dropped, and what they were combinations of.

    Attributes
    ----------
    kept, dropped
        Names of columns.
    known
        A, shape ``(p, r)``; None where nobody knows it: then everything that uses a dropped
        column counts as not determined.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    known: Matrix | None

    @cached_property
    def relation(self) -> Matrix:
        """A; zero where it is not known."""
        shape = (len(self.kept), len(self.dropped))
        return np.zeros(shape) if self.known is None else self.known

    def of_mean(self, columns: Columns, weights: Vector, K: int) -> Excess:
        """Of the weighted mean of the linear predictor, K times."""
        share = weights / weights.sum()
        value, size = (share @ part for part in self._terms(columns))
        return Excess(np.tile(value, (K, 1)), np.tile(size, (K, 1)), np.zeros(K, dtype=bool))

    def of_rows(self, parts: Sequence[Columns], weights: Vector, K: int) -> Excess:
        """Of averages of functions that are not linear: every row must be determined."""
        beyond = False
        for columns in parts:
            value, size = self._terms(columns)
            rows = (np.abs(value) > _ROUNDING * size).any(axis=1)
            beyond |= bool((rows & (weights > 0.0)).any())
        zero = np.zeros((K, len(self.dropped)))
        return Excess(zero, zero, np.full(K, beyond))

    def _terms(self, columns: Columns) -> tuple[Matrix, Matrix]:
        """x_D − x_K A row by row, and the size of its terms."""
        D = np.column_stack([np.asarray(columns[name], np.float64) for name in self.dropped])
        value, size = D.copy(), np.abs(D)
        for name, row in zip(self.kept, self.relation, strict=True):
            if row.any():
                term = np.multiply.outer(np.asarray(columns[name], np.float64), row)
                value -= term
                size += np.abs(term)
        return value, size


def stacked_excess(parts: Sequence[Excess | None]) -> Excess | None:
    """Several as one; None where the design has full rank."""
    given = [part for part in parts if part is not None]
    if not given:
        return None
    return Excess(
        np.concatenate([part.value for part in given]),
        np.concatenate([part.size for part in given]),
        np.concatenate([part.beyond for part in given]),
    )
