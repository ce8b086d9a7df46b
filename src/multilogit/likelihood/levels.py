"""The binomial log-likelihood with one free intercept for each of very many levels.

η_i = o_i + α_g(i) + x_i'β. At every β each level's α_g is found by itself, so that what remains is
the profile likelihood of β alone,

    ℓ(β) = max_α ℓ(α, β),   ℓ' = X'r,   ℓ″ = −X'WX + Σ_g m_g m_g' / h_g,
    h_g = Σ w_i,   m_g = Σ w_i x_i   (over the rows of level g),

whose Hessian is the Schur complement of the levels in that of (α, β): an arrow, never formed.
Newton steps on it are exact, and −ℓ″ inverted is the covariance of β̂ in the whole model; that of
the intercepts follows, see :class:`LevelModes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.fixed import FixedLikelihood

_RADIX = 65536


@dataclass(frozen=True, slots=True)
class LevelModes:
    """The intercepts of the levels at some β.

    Cov(α̂_g, α̂_l) = 1_{g = l} / h_g + s_g'Cov(β̂)s_l, and Cov(α̂_g, β̂) = Cov(β̂)s_g.

    Attributes
    ----------
    alpha
        Shape ``(levels,)``: α̂_g(β).
    information
        Shape ``(levels,)``: h_g.
    slopes
        Shape ``(levels, p)``: s_g = dα̂_g/dβ = −m_g / h_g.
    """

    alpha: Vector
    information: Vector
    slopes: Matrix


class LevelsLikelihood:
    """The profile log-likelihood of β: a :class:`~multilogit.likelihood.fixed.SingleLevel`.

    Parameters
    ----------
    columns
        p contiguous float64 arrays of shape ``(n,)``, without an intercept; copied, sorted by
        level.
    counts, trials
        Shape ``(n,)``: successes and trials, frequency weights multiplied in. Every level has
        successes and failures: otherwise its intercept is infinite.
    codes
        Shape ``(n,)``, int32, in ``0 .. levels - 1``; every level occurs.
    levels
        Their number.
    offset
        Shape ``(n,)`` or None.
    threads
        At most so many threads; the result does not depend on them.

    Notes
    -----
    The intercepts that one evaluation has found are where the next one starts, so values at the
    same β may differ in the last digits when reached along different ways.
    """

    n_logits = 1

    def __init__(
        self,
        columns: Sequence[Vector],
        counts: Vector,
        trials: Vector,
        codes: NDArray[np.int32],
        levels: int,
        offset: Vector | None = None,
        threads: int = 1,
    ) -> None:
        order = order_of(codes, levels)
        self.first = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=levels))])
        self.offset = None if offset is None else offset[order]
        self.threads = threads
        self._shift = np.zeros((codes.size, 1), order="F")  # o + α: read in place by the rows
        self.rows = FixedLikelihood(
            [np.take(column, order, mode="clip") for column in columns],  # the faster indexing
            counts[order],
            trials[order],
            self._shift,
            threads=threads,
        )
        self._at: tuple[Vector, LevelModes] | None = None

    @property
    def p(self) -> int:
        """Columns of X."""
        return self.rows.p

    @property
    def n_parameters(self) -> int:
        """p: length of ψ = β."""
        return self.rows.p

    @property
    def total_trials(self) -> float:
        """Σ_i n_i."""
        return self.rows.total_trials

    @cached_property
    def at_zero(self) -> Evaluation:
        """The evaluation at β = 0."""
        return self.evaluate(np.zeros(self.p))

    def normal_equations(self) -> tuple[Matrix, Matrix]:
        """X'WX and z'X of a linear regression on the columns."""
        return self.rows.normal_equations()

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ(β), its gradient and Hessian; ``INNER_FAILED`` where intercepts were not found."""
        alpha = self._predicted(psi)
        rows, y = self.rows, self.rows.counts[:, 0]
        information, cross, removed, found = _core.level_modes(
            list(rows.columns), y, rows.trials, self.offset, self.first, psi, alpha,
            self._shift[:, 0], self.threads,
        )  # fmt: skip
        there = rows.evaluate(psi)
        self._at = None
        if not found:
            return Evaluation(there.value, there.gradient, there.hessian, Status.INNER_FAILED)
        self._at = (psi.copy(), LevelModes(alpha, information, -cross / information[:, None]))
        return Evaluation(there.value, there.gradient, there.hessian + removed, there.status)

    def modes(self, psi: Vector) -> LevelModes:
        """The intercepts at β."""
        if self._at is None or not np.array_equal(self._at[0], psi):
            self.evaluate(psi)
        if self._at is None:
            return LevelModes(*(np.full(shape, np.nan) for shape in self._shapes))
        return self._at[1]

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        levels = self.first.size - 1
        return (levels,), (levels,), (levels, self.p)

    def _predicted(self, psi: Vector) -> Vector:
        """Where to look for the intercepts: along the tangent from the last β."""
        if self._at is None:
            return np.zeros(self.first.size - 1)
        before, modes = self._at
        return modes.alpha + modes.slopes @ (psi - before)


def order_of(codes: NDArray[np.int32], levels: int) -> NDArray[np.intp]:
    """Rows sorted by level, in their order within each: 16 bits at a time, which is linear."""
    order = np.argsort((codes % _RADIX).astype(np.uint16), kind="stable")
    if levels > _RADIX:
        order = order[np.argsort((codes[order] // _RADIX).astype(np.uint16), kind="stable")]
    return order
