"""A model at its estimates, as plain arrays: what everything in this room is computed from.

    η_i = x_i'β + o_i + z_i'b_g(i),   b_g ~ N(0, ΛΛ'),   y_i ~ Multinomial(n_i, softmax(0, η_i))

with one or several grouping factors, C = J − 1 logits, and the binomial model for C = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, Response
from multilogit.predict import Matrix, probabilities, random_predictor

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Factor:
    """The random effects of one grouping factor, all its bar terms together.

    Attributes
    ----------
    columns
        q columns of Z, shape ``(n,)`` each: one per effect (a column of a multinomial model
        stands here once per logit).
    logits
        q numbers: the logit that each effect belongs to, from 0.
    codes
        Shape ``(n,)``: level of each row; −1 for a level without a mode.
    Lambda
        Shape ``(q, q)``: Σ = ΛΛ'.
    modes
        Shape ``(n_levels, q)``: conditional modes b̂.
    mode_covariance
        Shape ``(n_levels, q, q)``: conditional covariance of b at the modes.
    """

    columns: tuple[Column, ...]
    logits: tuple[int, ...]
    codes: Codes
    Lambda: Matrix
    modes: Matrix
    mode_covariance: NDArray[np.float64]

    @property
    def Sigma(self) -> Matrix:
        """Covariance of the random effects of a level, shape ``(q, q)``."""
        return np.asarray(self.Lambda @ self.Lambda.T)

    def predictor(self, b: Matrix, n_logits: int) -> Matrix:
        """Z b, shape ``(n, C)``, for effects b of every level, shape ``(n_levels, q)``."""
        out = np.zeros((self.codes.shape[0], n_logits), order="F")
        for c in set(self.logits):
            mine = [k for k, logit in enumerate(self.logits) if logit == c]
            columns = [self.columns[k] for k in mine]
            out[:, c] = random_predictor(columns, self.codes, b[:, mine])
        return out

    def take(self, rows: NDArray[np.int64]) -> Factor:
        """Some rows; the levels stay."""
        columns = tuple(column[rows] for column in self.columns)
        return replace(self, columns=columns, codes=self.codes[rows])


@dataclass(frozen=True, slots=True)
class Model:
    """Response, predictors and random effects of a fitted model.

    Attributes
    ----------
    response
        Counts, trials, frequency weights.
    fixed
        Shape ``(n, C)``: Xβ̂ + offset.
    factors
        One entry per grouping factor; empty for a single-level model.
    """

    response: Response
    fixed: Matrix
    factors: tuple[Factor, ...] = ()

    @property
    def n_logits(self) -> int:
        """C = J − 1."""
        return int(self.fixed.shape[1])

    @property
    def n_categories(self) -> int:
        """J."""
        return self.n_logits + 1

    def eta(self, effects: Sequence[Matrix] | None = None) -> Matrix:
        """η, shape ``(n, C)``, at random effects b of each factor; None: the modes b̂."""
        out = self.fixed.copy(order="F")
        at = [factor.modes for factor in self.factors] if effects is None else effects
        for factor, b in zip(self.factors, at, strict=True):
            out += factor.predictor(b, self.n_logits)
        return out

    def row_derivatives(self) -> tuple[Matrix, NDArray[np.float64]]:
        """r = y − nπ and W = n(diag π − ππ') of every row, weights multiplied in, at b = 0.

        Shapes ``(n, C)`` and ``(n, C, C)``.
        """
        pi = probabilities(self.fixed)[:, 1:]
        counts, trials = self.response.weighted()
        W = -pi[:, :, None] * pi[:, None, :]
        W[:, np.arange(pi.shape[1]), np.arange(pi.shape[1])] += pi
        return counts - trials[:, None] * pi, W * trials[:, None, None]

    def take(self, rows: NDArray[np.int64]) -> Model:
        """Some rows, without their weights; the levels of the factors stay."""
        counts, trials = self.response.counts[rows], self.response.trials[rows]
        response = replace(
            self.response, counts=np.asfortranarray(counts), trials=trials, weights=None
        )
        factors = tuple(factor.take(rows) for factor in self.factors)
        return Model(response, np.asfortranarray(self.fixed[rows]), factors)


def reported_categories(n_categories: int) -> list[int]:
    """Categories that findings are about: of two the second (the successes), otherwise all."""
    return [1] if n_categories == 2 else list(range(n_categories))
