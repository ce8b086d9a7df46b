"""Do fixed and random effects together predict every row? The cone of [X, Z].

Overlap of X keeps β finite at any fixed Σ. But as Σ grows, group g contributes the probability
that its random effects satisfy all its rows, x̄_i'δ + z̄_i'u_g > 0 with x̄ = (2y − 1)x and z̄
alike (several grouping factors: the u of all of them). Where a common δ makes that possible, the
likelihood does not vanish as β = σδ and Σ = σ²S grow together: (β, Σ) may run off, or be very
large. It need not: the limit can be lower than the maximum. So this is a warning, not a proof.

With J categories, row i of category y has the J − 1 vectors x̄ = x_i ⊗ (e_y − e_k), k ≠ y, and
z̄ alike: random effects are on every logit.

A group with equal rows and opposite outcomes forbids it, and so does any set of groups without
such a δ: a few hundred rows of the largest groups settle most data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multilogit.estimate.recession import observed_categories
from multilogit.evaluation import Matrix, Vector

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SLACK = 1e-7
"""Least margin, of columns with entries of at most 1, that counts as separation."""
_FIRST_ROWS = 400
_GROWTH = 5
_MOST_ROWS = 20_000
_MOST_UNKNOWNS = 5_000


Factor = tuple[Sequence[Vector], NDArray[np.int32]]
"""Columns of Z of one logit and the group of each row, from 0: all of shape ``(n,)``."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """x̄, and Z̄ of all random effects, sparse, of the rows that one linear program looks at."""

    x: Matrix
    z: csr_array
    strict: NDArray[np.bool_]


def jointly_separated(
    columns: Sequence[Vector],
    factors: Sequence[Factor],
    counts: Vector | Matrix,
    trials: Vector,
) -> bool | None:
    """Whether fixed and random effects together predict every row without error.

    Parameters
    ----------
    columns
        p columns of X, each of shape ``(n,)``.
    factors
        Columns of Z and groups of each grouping factor.
    counts
        Shape ``(n,)`` or ``(n, C)``: counts of the categories but the baseline.
    trials
        Shape ``(n,)``; rows without trials say nothing.

    Returns
    -------
    bool or None
        True: β and Σ may run off together. False: they cannot. None: the groups that were
        looked at are separated, and all of them are too many to look at.
    """
    X = _scaled(columns)
    scaled = [(_scaled(z), codes) for z, codes in factors]
    effective: NDArray[np.bool_] = np.any([Z.any(axis=1) for Z, _ in scaled], axis=0)
    observed = observed_categories(counts, trials)
    several = observed.sum(axis=1) > 1
    if (several & effective).any():
        return False
    informative = observed.any(axis=1)
    n_logits = observed.shape[1] - 1
    first, codes = scaled[0]
    size = n_logits * np.bincount(codes, informative).astype(np.float64)
    equal = _contrasts(X, _ties(observed, several))
    for groups in _larger_and_larger(size, n_logits * first.shape[1]):
        rows = np.flatnonzero(informative & np.isin(codes, groups))
        margins = _margins(observed, rows)
        Z = _sparse([(_contrasts(z, margins), c[margins.row]) for z, c in scaled])
        if Z.shape[1] > _MOST_UNKNOWNS:
            return None
        part = _Rows(_contrasts(X, margins), Z, effective[margins.row])
        if not _margin(part, equal) > _SLACK:
            return False
        if groups.size == np.count_nonzero(size):
            return True
    return None


@dataclass(frozen=True, slots=True)
class _Margins:
    """Pairs of categories of rows, and e_y − e_k of each, shape ``(m, C)``."""

    row: NDArray[np.intp]
    sign: Matrix


def _margins(observed: NDArray[np.bool_], rows: NDArray[np.intp]) -> _Margins:
    """Every observed category y of the rows against every k that was not observed."""
    seen = observed[rows]
    at, y, k = np.nonzero(seen[:, :, None] & ~seen[:, None, :])
    return _Margins(rows[at], _differences(y, k, observed.shape[1]))


def _ties(observed: NDArray[np.bool_], several: NDArray[np.bool_]) -> _Margins:
    """The first observed category of rows that have several against the others."""
    rows = np.flatnonzero(several)
    first = observed[rows].argmax(axis=1)
    at, k = np.nonzero(observed[rows])
    other = k != first[at]
    at, k = at[other], k[other]
    return _Margins(rows[at], _differences(first[at], k, observed.shape[1]))


def _differences(y: NDArray[np.intp], k: NDArray[np.intp], n_categories: int) -> Matrix:
    unit = np.eye(n_categories)[:, 1:]
    return np.asarray(unit[y] - unit[k])


def _contrasts(matrix: Matrix, margins: _Margins) -> Matrix:
    """(e_y − e_k) ⊗ x_i, logit by logit, shape ``(m, p C)``."""
    wide = margins.sign[:, :, None] * matrix[margins.row][:, None, :]
    m, n_logits, p = wide.shape
    return np.asarray(wide.reshape(m, n_logits * p))


def _sparse(factors: Sequence[tuple[Matrix, NDArray[np.int32]]]) -> csr_array:
    """Z: rows z_i' of each factor in the columns of their group."""
    from scipy.sparse import csr_array, hstack

    parts = []
    for z, codes in factors:
        n, q = z.shape
        levels, group = np.unique(codes, return_inverse=True)
        at = (np.repeat(np.arange(n), q), (group[:, None] * q + np.arange(q)).ravel())
        parts.append(csr_array((z.ravel(), at), shape=(n, levels.size * q)))
    return hstack(parts, format="csr")


def _scaled(columns: Sequence[Vector]) -> Matrix:
    matrix = np.column_stack(columns)
    largest = np.abs(matrix).max(axis=0)
    largest[largest == 0.0] = 1.0
    scaled: Matrix = matrix / largest
    return scaled


def _larger_and_larger(size: Vector, q: int) -> list[NDArray[np.intp]]:
    """Sets of groups, the largest groups first, each about five times the one before."""
    order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    total = np.cumsum(size[order])
    sets: list[NDArray[np.intp]] = []
    wanted = _FIRST_ROWS
    while True:
        n_groups = min(int(np.searchsorted(total, wanted)) + 1, order.size)
        if total[n_groups - 1] > _MOST_ROWS or n_groups * q > _MOST_UNKNOWNS:
            return sets
        sets.append(order[:n_groups])
        if n_groups == order.size:
            return sets
        wanted *= _GROWTH


def _margin(rows: _Rows, equal: Matrix) -> float:
    """max t: x̄'δ + z̄'u ≥ t on rows that Z touches, ≥ 0 on others, x'δ = 0 on ``equal``."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    n, p = rows.x.shape
    t = rows.strict.astype(np.float64)[:, None]
    A = hstack([csr_array(-rows.x), -rows.z, csr_array(t)], format="csr")
    objective = np.zeros(A.shape[1])
    objective[-1] = -1.0
    wide = np.zeros((equal.shape[0], A.shape[1]))
    wide[:, :p] = equal
    solution = linprog(
        objective,
        A_ub=A,
        b_ub=np.zeros(n),
        A_eq=csr_array(wide) if equal.size else None,
        b_eq=np.zeros(equal.shape[0]) if equal.size else None,
        bounds=(-1.0, 1.0),
        method="highs",
    )
    return 0.0 if solution.x is None else float(solution.x[-1])
