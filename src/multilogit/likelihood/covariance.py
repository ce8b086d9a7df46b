"""Λ(θ): which elements of the Cholesky factor of Σ are free, and the factor of a singular Σ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector


@dataclass(frozen=True, slots=True)
class CovarianceStructure:
    """Which elements of Λ are free: one lower triangle per block.

    Attributes
    ----------
    blocks
        Sizes of the blocks of correlated effects; they add up to q.
    rows, columns
        Element k of θ is ``Lambda[rows[k], columns[k]]``: block by block, each block's lower
        triangle column by column.
    """

    blocks: tuple[int, ...]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def of_blocks(cls, blocks: Sequence[int]) -> CovarianceStructure:
        """The structure with blocks of these sizes."""
        pairs = []
        first = 0
        for size in blocks:
            block = range(first, first + size)
            pairs += [(row, column) for column in block for row in block if row >= column]
            first += size
        rows, columns = np.array(pairs, dtype=np.intp).T
        return cls(tuple(blocks), rows, columns)

    def slices(self) -> list[slice]:
        """The effects of each block."""
        ends = np.cumsum(self.blocks).tolist()
        return [slice(end - size, end) for size, end in zip(self.blocks, ends, strict=True)]

    @property
    def q(self) -> int:
        """Random effects per group."""
        return sum(self.blocks)

    @property
    def m(self) -> int:
        """Length of θ."""
        return len(self.rows)

    @property
    def diagonal(self) -> NDArray[np.bool_]:
        """Which elements of θ are on the diagonal of Λ."""
        return np.equal(self.rows, self.columns)

    def Lambda(self, theta: Vector) -> Matrix:
        """Λ(θ), shape ``(q, q)``."""
        out = np.zeros((self.q, self.q))
        out[self.rows, self.columns] = theta
        return out


def cholesky(Sigma: Matrix, floor: float = 0.0) -> Matrix:
    """The lower-triangular Λ ≥ 0 on the diagonal with ΛΛ' = Σ, also for singular Σ.

    A column whose pivot is rounding (below 1e-14 of its variance), or at most ``floor``,
    becomes zero.
    """
    q = Sigma.shape[0]
    Lambda = np.zeros((q, q))
    for k in range(q):
        row = Lambda[k, :k]
        pivot = Sigma[k, k] - row @ row
        if pivot > max(1e-14 * Sigma[k, k], floor):
            Lambda[k, k] = np.sqrt(pivot)
            Lambda[k + 1 :, k] = (Sigma[k + 1 :, k] - Lambda[k + 1 :, :k] @ row) / Lambda[k, k]
    return Lambda
