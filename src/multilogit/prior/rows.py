"""Passes over the rows for priors on the predictions at b = 0, and their cumulants.

Arrays are laid out row-last: η and π of one block of rows have shape ``(C, m)`` or ``(J, m)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector
from multilogit.prior.base import PriorContext

Array = NDArray[np.float64]

BLOCK_ROWS = 2048
"""Rows worked on at once: what belongs to them stays in the second-level cache."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive rows.

    Attributes
    ----------
    x
        Shape ``(p, m)``: their part of X, transposed. Overwritten by the next block.
    trials
        Shape ``(m,)``: n_i.
    offset
        Shape ``(m,)``, or 0.
    """

    x: Array
    trials: Vector
    offset: Vector | float

    def predictor(self, beta: Vector) -> Array:
        """η = o + Xβ, shape ``(C, m)``."""
        eta: Array = beta.reshape(-1, self.x.shape[0]) @ self.x + self.offset
        return eta


def blocks(context: PriorContext, rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """The rows of the model, some at a time; rows without trials count nothing and stay."""
    n = context.trials.size
    buffer = np.empty((context.p, min(rows, n)))
    for first in range(0, n, rows):
        part = slice(first, min(first + rows, n))
        x = buffer[:, : part.stop - first]
        for k, column in enumerate(context.columns):
            x[k] = column[part]
        offset = 0.0 if context.offset is None else context.offset[part]
        yield Block(x, context.trials[part], offset)


def probabilities(eta: Array) -> tuple[Array, Vector]:
    """π of all J categories, the baseline first, shape ``(J, m)``, and log Σ_j e^η_j."""
    top = np.maximum(eta.max(axis=0), 0.0)
    every = np.empty((eta.shape[0] + 1, eta.shape[1]))
    np.negative(top, out=every[0])
    np.subtract(eta, top, out=every[1:])
    np.exp(every, out=every)
    total = every.sum(axis=0)
    every /= total
    return every, top + np.log(total)


def centred(pi: Array, g: Array) -> Array:
    """α_a = π_a (g_a − Σ_b π_b g_b) = π_a Σ_b π_b (g_a − g_b), a = 1 … C, shape ``(C, m)``.

    ``pi`` and ``g`` have shape ``(J, m)``. The differences keep α accurate where π_a → 1.
    """
    difference = g[1:, None] - g[None, :]
    alpha: Array = pi[1:] * np.einsum("bm,abm->am", pi, difference)
    return alpha


def second_cumulant(pi: Array, a: int, b: int) -> Vector:
    """W_ab = δ_ab π_a − π_a π_b per trial; 1 − π_a is summed from the other categories."""
    rest = -pi[b + 1] if a != b else pi[: a + 1].sum(axis=0) + pi[a + 2 :].sum(axis=0)
    w: Vector = pi[a + 1] * rest
    return w


def contracted(pi: Array, alpha: Array, a: int, b: int) -> Vector:
    """κ₃(e_a, e_b, g) = δ_ab α_a − α_a π_b − π_a α_b per trial, α = ``centred(pi, g)``."""
    kappa: Vector
    if a == b:
        kappa = alpha[a] * (1.0 - 2.0 * pi[a + 1])
    else:
        kappa = -alpha[a] * pi[b + 1] - pi[a + 1] * alpha[b]
    return kappa


def third_cumulant(pi: Array, a: int, b: int, c: int) -> Vector:
    """κ₃(e_a, e_b, e_c) per trial, a ≤ b ≤ c."""
    kappa: Vector
    if b in (a, c):  # at least two are equal: b and one other
        kappa = second_cumulant(pi, a, c) * (1.0 - 2.0 * pi[b + 1])
    else:
        kappa = 2.0 * pi[a + 1] * pi[b + 1] * pi[c + 1]
    return kappa


def add_weighted_gram(to: Matrix, weight: Vector, x: Array, a: int, b: int) -> None:
    """Add X'diag(w)X to the blocks (a, b) and (b, a) of a ``(p C, p C)`` matrix."""
    p = x.shape[0]
    gram = (x * weight) @ x.T
    rows, columns = slice(a * p, (a + 1) * p), slice(b * p, (b + 1) * p)
    to[rows, columns] += gram
    if a != b:
        to[columns, rows] += gram.T
