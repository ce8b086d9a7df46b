"""What all likelihoods of mixed models do with columns of X and Z, and with the core's answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.mixed import Column


def share_columns(x: Sequence[Column], z: Sequence[Column]) -> tuple[list[Column], list[int]]:
    """Each column once: those of X, followed by those of Z that are not among them.

    Returns
    -------
    columns, index
        ``columns[index[a]]`` is column a of Z.
    """
    columns, index = list(x), []
    for column in z:
        known = next((k for k, other in enumerate(columns) if _same(other, column)), None)
        if known is None:
            known = len(columns)
            columns.append(column)
        index.append(known)
    return columns, index


def _same(a: Column, b: Column) -> bool:
    if a is b:
        return True
    return bool(a[0] == b[0] and a[-1] == b[-1] and np.array_equal(a, b))


def response_matrix(y: Column | Matrix) -> Matrix:
    """A response of shape ``(n,)`` or ``(n, C)``, with a contiguous column for every logit."""
    return y[:, None] if y.ndim == 1 else np.asfortranarray(y)


def response_columns(y: Column | Matrix) -> list[Column]:
    """One contiguous column for every logit of a response, of shape ``(n,)`` or ``(n, C)``."""
    columns = [y] if y.ndim == 1 else list(y.T)
    return [np.ascontiguousarray(column) for column in columns]


def root_mean_square(column: Column) -> float:
    """The root mean square of a column; 1 for a column of zeros, so that it can be divided by."""
    # einsum, not dot: on long vectors dot wakes every thread of the BLAS
    return float(np.sqrt(np.einsum("i,i->", column, column) / column.size)) or 1.0


def unpack_symmetric(packed: Matrix, q: int) -> NDArray[np.float64]:
    """Symmetric matrices, shape ``(k, q, q)``, from lower triangles, ``(k, q (q + 1) / 2)``.

    The triangles are packed row by row.
    """
    return packed[:, :, None] if q == 1 else packed[:, _packed_index(q)]


@cache
def _packed_index(q: int) -> NDArray[np.intp]:
    """Where element (i, j) of a symmetric matrix stands in its lower triangle, row by row."""
    index = np.zeros((q, q), dtype=np.intp)
    index[np.tril_indices(q)] = np.arange(q * (q + 1) // 2)
    return np.maximum(index, index.T)


def x_log(x: Vector, y: Vector) -> Vector:
    """x log y, and 0 where y is not positive: the limit at x = y = 0."""
    return x * np.log(np.where(y > 0.0, y, 1.0))
