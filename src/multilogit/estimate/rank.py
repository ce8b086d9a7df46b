"""Columns of X and Z that depend on earlier ones: found, named, dropped, as R does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, FixedColumns
from multilogit.errors import DataError
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.levels import LevelsLikelihood

_SUSPECT = 1e-9
"""Part of a column's sum of squares that earlier columns leave: below, look closely."""
_ALIASED = 1e-10
"""Part of its norm that is left: below, the column depends on the earlier ones."""
_SMALLEST, _LARGEST = 1e-100, 1e100
"""Bounds of what a column may be, where its sum of squares looks odd."""

_FEW_ROWS = 1000
"""Rows that show the independence of most columns."""


def split_aliased(likelihood: FixedLikelihood, fixed: FixedColumns) -> tuple[list[int], list[int]]:
    """Indices of the columns to keep and of those that depend on earlier ones.

    A column whose residual on the earlier kept ones has less than 1e-10 of its norm is
    aliased. The information X'WX at β = 0, which the first Newton step needs anyway, settles
    it for healthy designs; only a suspicious one is orthogonalised in full precision.

    Raises
    ------
    DataError
        If what is suspicious is a column whose squares are not numbers.
    """
    p = len(fixed.columns)
    if _independent(-likelihood.at_zero.hessian[:p, :p]):
        return list(range(p)), []
    check_sizes(fixed.columns, fixed.names)
    return _orthogonalise(fixed.columns)


def check_sizes(columns: Sequence[Column], names: Sequence[str]) -> None:
    """Refuse columns whose squares, or the squares of these, overflow or vanish.

    Raises
    ------
    DataError
        If one is beyond 1e±100.
    """
    for name, column in zip(names, columns, strict=True):
        largest = float(np.abs(column).max(initial=0.0))
        if largest != 0.0 and not _SMALLEST < largest < _LARGEST:
            raise DataError(
                f"The largest value of column {name!r} is {largest:.3g}, and powers of such "
                f"numbers are out of range. Divide the column by {largest:.0e}."
            )


def split_dependent(
    columns: Sequence[Column], names: Sequence[str] = ()
) -> tuple[list[int], list[int]]:
    """The same for columns without a likelihood: those that are zero count as dependent.

    Columns that are independent on some of the rows are independent on all of them.

    Parameters
    ----------
    columns
        Each of shape ``(n,)``.
    names
        Of columns of Z: derivatives by their variances hold fourth powers of them.

    Raises
    ------
    DataError
        With ``names``: if a column is beyond 1e±100.
    """
    step = max(1, columns[0].size // _FEW_ROWS)
    some = np.array([column[::step] for column in columns])
    with np.errstate(over="ignore", invalid="ignore"):  # found by what follows
        gram = some @ some.T
    independent = _independent(gram)
    if names and not (independent and _in_range(gram.diagonal())):
        check_sizes(columns, names)
    if independent:
        return list(range(len(columns))), []
    return _orthogonalise(columns)


def _in_range(squares: Vector) -> bool:
    """Whether sums of squares say that their columns are within 1e±100."""
    return bool(((squares > _SMALLEST**2) & (squares < _LARGEST**2)).all())


def split_within(
    likelihood: LevelsLikelihood,
    columns: Sequence[Column],
    trials: Column,
    codes: NDArray[np.int32],
) -> list[int]:
    """Indices of the columns that levels and earlier columns do not determine.

    As :func:`split_aliased`, of what is left of each column within the levels of a factor.
    """
    if not columns:
        return []
    squares = np.array([trials @ np.square(column) for column in columns])
    root = 0.5 * np.sqrt(squares)  # W is at most a quarter of the trials
    information = -likelihood.at_zero.hessian
    within = information.diagonal() > _SUSPECT * root**2
    if within.all() and _independent(information):
        return list(range(len(columns)))
    totals = np.bincount(codes, trials)
    centred = []
    for column in columns:
        rest = column - (np.bincount(codes, trials * column) / totals)[codes]
        varies = float(np.linalg.norm(rest)) > _ALIASED * float(np.linalg.norm(column))
        centred.append(rest if varies else np.zeros_like(rest))
    return _orthogonalise(centred)[0]


def _independent(gram: Matrix) -> bool:
    """Whether every column leaves more than ``_SUSPECT`` on the ones before it."""
    diagonal = gram.diagonal()
    if not ((diagonal > _SMALLEST**3) & (diagonal < np.inf)).all():  # below, digits are lost
        return False
    root = np.sqrt(diagonal)
    try:
        pivots = np.linalg.cholesky(gram / np.outer(root, root)).diagonal()
    except np.linalg.LinAlgError:
        return False
    return bool((pivots**2 > _SUSPECT).all())


def _orthogonalise(columns: Sequence[Column]) -> tuple[list[int], list[int]]:
    """Gram–Schmidt, each column twice ("twice is enough": Giraud et al. 2005)."""
    basis: list[np.ndarray] = []
    keep, aliased = [], []
    for k, column in enumerate(columns):
        with np.errstate(over="ignore"):  # an infinite norm leaves nothing: see check_sizes
            norm = float(np.linalg.norm(column))
        rest = column / norm if norm > 0 else column.copy()
        for _ in range(2):
            for direction in basis:
                rest = rest - direction * direction.dot(rest)
        left = float(np.linalg.norm(rest))
        if left > _ALIASED:
            basis.append(rest / left)
            keep.append(k)
        else:
            aliased.append(k)
    return keep, aliased
