"""The uncertainty of the conditional modes b̂ = Λ(θ)û(ψ): what predictions for a group inherit.

Given ψ, u has covariance H⁻¹, H = I + A'WA, and b covariance ΛH⁻¹Λ'. As ψ̂ varies, so does b̂:

    Var(b̂ − b) = ΛH⁻¹Λ' + (∂b̂/∂ψ) Cov(ψ̂) (∂b̂/∂ψ)',
    ∂û/∂ψ_k = H⁻¹(Z_k'r − A'W P_k),   ∂b̂/∂ψ_k = Λ ∂û/∂ψ_k + (∂Λ/∂θ_k)û

in the notation of docs/mathematics: P_k = X_k for an element of β, and Z_k u, Z_k = Z ∂Λ/∂θ_k, for
one of θ. One sparse H holds the effects of all grouping factors, nested or crossed; it is
factorised once. (Kass and Steffey 1989, JASA 84, 717–726; Booth and Hobert 1998, JASA 93, 262–272.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column
from multilogit.predict.integrate import Array
from multilogit.predict.linear import Matrix, probabilities

Codes = NDArray[np.int32]

_COLUMNS = 256
"""Columns of H⁻¹ that are solved for at a time."""


@dataclass(frozen=True, slots=True)
class Factor:
    """What was estimated of one grouping factor with q random effects per level.

    Attributes
    ----------
    Lambda
        Shape ``(q, q)``: Σ = ΛΛ'.
    positions
        Row and column in Λ of each of its elements of θ.
    theta
        Where these stand in ψ.
    logits
        The logit of each effect, from 0.
    modes
        Shape ``(n_levels, q)``: b̂.
    covariance
        Shape ``(n_levels, q, q)``: ΛH⁻¹Λ'.
    """

    Lambda: Matrix
    positions: tuple[tuple[int, int], ...]
    theta: slice
    logits: tuple[int, ...]
    modes: Matrix
    covariance: Array

    @property
    def q(self) -> int:
        """Random effects per level."""
        return int(self.Lambda.shape[0])

    @property
    def n_levels(self) -> int:
        """Levels that the fit has seen."""
        return int(self.modes.shape[0])


@dataclass(frozen=True, slots=True)
class FactorRows:
    """One grouping factor at some rows.

    Attributes
    ----------
    columns
        q columns of Z, one per effect.
    codes
        Shape ``(n,)``: level of each row; −1 for one that the fit has not seen.
    """

    columns: tuple[Column, ...]
    codes: Codes

    def by_logit(self, logits: Sequence[int], n_logits: int) -> Array:
        """z, shape ``(n, C, q)``: an effect stands in the row of its logit."""
        out = np.zeros((self.codes.shape[0], n_logits, len(self.columns)))
        for k, (c, column) in enumerate(zip(logits, self.columns, strict=True)):
            out[:, c, k] = column
        return out


@dataclass(frozen=True, eq=False)
class ModeUncertainty:
    """What :func:`mode_uncertainty` finds; plain arrays, so that a model can be saved with it.

    The effects u of all factors stand one after the other: level by level, factor by factor.

    Attributes
    ----------
    rows, columns, values
        The elements of the lower triangle of H.
    derivatives
        Per factor ∂b̂/∂ψ, shape ``(n_levels, q, d)``.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: Matrix
    derivatives: tuple[Array, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Position of the first effect of each factor; the last number is that of all effects."""
        sizes = [d.shape[0] * d.shape[1] for d in self.derivatives]
        return (0, *accumulate(sizes))

    @cached_property
    def _factorised(self) -> Any:
        off = self.rows != self.columns
        rows = np.concatenate([self.rows, self.columns[off]])
        columns = np.concatenate([self.columns, self.rows[off]])
        values = np.concatenate([self.values, self.values[off]])
        return _factorise(_sparse(values, rows, columns, self.starts[-1]))

    def solve(self, right: Matrix) -> Matrix:
        """H⁻¹ times a matrix of as many rows as there are effects."""
        return np.asarray(self._factorised.solve(np.ascontiguousarray(right)))

    def cross(self, f: int, f_levels: Codes, g: int, g_levels: Codes) -> Array:
        """Blocks of H⁻¹, shape ``(k, q_f, q_g)``: levels of factor f against levels of factor g."""
        q_f, q_g = self.derivatives[f].shape[1], self.derivatives[g].shape[1]
        out = np.empty((f_levels.size, q_f, q_g))
        wanted, place = np.unique(g_levels, return_inverse=True)
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(wanted.size + 1))
        step = max(1, _COLUMNS // q_g)
        for first in range(0, wanted.size, step):
            some = wanted[first : first + step]
            columns = self.starts[g] + (some[:, None] * q_g + np.arange(q_g)).ravel()
            right = np.zeros((self.starts[-1], columns.size))
            right[columns, np.arange(columns.size)] = 1.0
            solved = self.solve(right)[self.starts[f] : self.starts[f + 1]]
            blocks = solved.reshape(-1, q_f, some.size, q_g)
            mine = order[ends[first] : ends[min(first + step, wanted.size)]]
            out[mine] = blocks[f_levels[mine], :, place[mine] - first, :]
        return out


def _sparse(values: Matrix, rows: Codes, columns: Codes, n: int) -> Any:
    from scipy.sparse import csc_array

    return csc_array((values, (rows, columns)), shape=(n, n))


def _factorise(H: Any) -> Any:
    from scipy.sparse.linalg import splu

    symmetric = {"SymmetricMode": True}
    return splu(H.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)


def mode_uncertainty(
    x: Sequence[Column],
    factors: Sequence[Factor],
    rows: Sequence[FactorRows],
    counts: Matrix,
    trials: Column,
    eta: Matrix,
    d: int,
) -> ModeUncertainty:
    """H and ∂b̂/∂ψ at the conditional modes.

    Parameters
    ----------
    x
        p columns of X.
    factors, rows
        The grouping factors, estimates and rows.
    counts, trials
        Shapes ``(n, C)``, ``(n,)``: the response, frequency weights multiplied in.
    eta
        Shape ``(n, C)``: the linear predictor at the modes.
    d
        Length of ψ.
    """
    pi = probabilities(eta)[:, 1:]
    r = counts - trials[:, None] * pi
    A = _effects_by_logit(factors, rows, eta.shape[1])
    n_effects = A[0].shape[1]
    each = np.arange(n_effects, dtype=np.int32)
    H = _sparse(np.ones(n_effects), each, each, n_effects)
    for c, A_c in enumerate(A):
        for e, A_e in enumerate(A):
            H = H + (A_c.T @ A_e.multiply(_weight(pi, trials, c, e)[:, None])).tocsc()
    solver = _factorise(H)
    u = sum(A_c.T @ r[:, c] for c, A_c in enumerate(A))  # û = A'r: the modes are stationary
    right = _right_hand_sides(x, factors, rows, A, pi, trials, r, u, d)
    lower = _lower_triangle(H)
    return ModeUncertainty(*lower, _derivatives(factors, solver.solve(right), u))


def _weight(pi: Matrix, trials: Column, c: int, e: int) -> Column:
    """W_ce = n π_c(δ_ce − π_e)."""
    return np.asarray(trials * pi[:, c] * (float(c == e) - pi[:, e]))


def _effects_by_logit(factors: Sequence[Factor], rows: Sequence[FactorRows], C: int) -> list[Any]:
    """A of each logit, sparse: a row holds zΛ of its levels."""
    from scipy.sparse import csr_array

    values, columns, start = [], [], 0
    for factor, mine in zip(factors, rows, strict=True):
        values.append(mine.by_logit(factor.logits, C) @ factor.Lambda)
        first = start + mine.codes * factor.q
        columns.append(first[:, None] + np.arange(factor.q))
        start += factor.n_levels * factor.q
    index, data = np.hstack(columns).astype(np.int32), np.concatenate(values, axis=2)
    n, width = index.shape
    pointer = np.arange(0, n * width + 1, width, dtype=np.int32)
    shape = (n, start)
    return [csr_array((data[:, c].ravel(), index.ravel(), pointer), shape=shape) for c in range(C)]


def _right_hand_sides(
    x: Sequence[Column],
    factors: Sequence[Factor],
    rows: Sequence[FactorRows],
    A: Sequence[Any],
    pi: Matrix,
    trials: Column,
    r: Matrix,
    u: Column,
    d: int,
) -> Matrix:
    """Z_k'r − A'W P_k for all parameters, one column each."""
    out = np.zeros((u.size, d))

    def weighted(P: Column, c: int) -> Column:
        """A'W P for a P that is not 0 in logit c only."""
        found = [A_e.T @ (_weight(pi, trials, e, c) * P) for e, A_e in enumerate(A)]
        return np.asarray(sum(found))

    for c in range(len(A)):
        for j, column in enumerate(x):
            out[:, c * len(x) + j] = -weighted(column, c)
    start = 0
    for factor, mine in zip(factors, rows, strict=True):
        stop = start + factor.n_levels * factor.q
        own = u[start:stop].reshape(-1, factor.q)
        for k, (a, b) in enumerate(factor.positions, factor.theta.start):
            c, z = factor.logits[a], mine.columns[a]
            out[:, k] = -weighted(z * own[mine.codes, b], c)
            out[start:stop, k].reshape(-1, factor.q)[:, b] += np.bincount(
                mine.codes, z * r[:, c], factor.n_levels
            )
        start = stop
    return out


def _derivatives(factors: Sequence[Factor], du: Matrix, u: Column) -> tuple[Array, ...]:
    """∂b̂/∂ψ of every factor from ∂û/∂ψ."""
    found, start = [], 0
    for factor in factors:
        stop = start + factor.n_levels * factor.q
        own = u[start:stop].reshape(-1, factor.q)
        db = np.einsum("ab,gbk->gak", factor.Lambda, du[start:stop].reshape(*own.shape, -1))
        for k, (a, b) in enumerate(factor.positions, factor.theta.start):
            db[:, a, k] += own[:, b]
        found.append(np.ascontiguousarray(db))
        start = stop
    return tuple(found)


def _lower_triangle(H: Any) -> tuple[NDArray[np.int32], NDArray[np.int32], Matrix]:
    full = H.tocoo()
    kept = (full.row >= full.col) & (full.data != 0.0)
    rows, columns = full.row[kept].astype(np.int32), full.col[kept].astype(np.int32)
    return rows, columns, np.ascontiguousarray(full.data[kept])
