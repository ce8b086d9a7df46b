"""What happens in every row of priors on the predictions at b = 0: probabilities, cumulants.

Arrays are laid out row-last: η and π have shape ``(C, n)`` and ``(J, n)``. Sums over rows,
X'diag(w)X and X'r, are left to the compiled core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.evaluation import Matrix, Vector
from multilogit.prior.base import PriorContext

Array = NDArray[np.float64]

BLOCK_ROWS = 2048
"""Rows worked on at once: what belongs to them stays in the second-level cache."""


def predictor(context: PriorContext, beta: Vector) -> Array:
    """η = o + Xβ, shape ``(C, n)``."""
    beta = beta.reshape(context.n_logits, context.p)
    eta = np.empty((context.n_logits, context.trials.size))
    for part, x in blocks(context.columns):
        np.einsum("jk,km->jm", beta, x, out=eta[:, part])
    if context.offset is not None:
        eta += context.offset
    return eta


def blocks(columns: Sequence[Vector]) -> Iterator[tuple[slice, Array]]:
    """The rows, some at a time: which, and X' of shape ``(p, m)``, overwritten by the next.

    What is done with it should be a sum over rows by ``einsum``: a BLAS product per block would
    wake all threads of the BLAS every time.
    """
    n = columns[0].size
    buffer = np.empty((len(columns), min(BLOCK_ROWS, n)))
    for first in range(0, n, BLOCK_ROWS):
        part = slice(first, min(first + BLOCK_ROWS, n))
        x = buffer[:, : part.stop - first]
        for k, column in enumerate(columns):
            x[k] = column[part]
        yield part, x


def probabilities(eta: Array) -> tuple[Array, Vector]:
    """π of all J categories, the baseline first, shape ``(J, n)``, and log Σ_j e^η_j."""
    top = np.maximum(eta.max(axis=0), 0.0)
    every = np.empty((eta.shape[0] + 1, eta.shape[1]))
    np.negative(top, out=every[0])
    np.subtract(eta, top, out=every[1:])
    np.exp(every, out=every)
    total = every.sum(axis=0)
    every /= total
    return every, top + np.log(total)


def centred(pi: Array, g: Array) -> Array:
    """α_a = π_a (g_a − Σ_b π_b g_b) = π_a Σ_b π_b (g_a − g_b), a = 1 … C, shape ``(C, n)``.

    ``pi`` and ``g`` have shape ``(J, n)``. The differences keep α accurate where π_a → 1.
    """
    difference = g[1:, None] - g[None, :]
    alpha: Array = pi[1:] * np.einsum("bn,abn->an", pi, difference)
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


class Sums:
    """Sums over rows, X'diag(w)X and X'r, by the compiled core.

    Parameters
    ----------
    columns
        p columns of X, read in place.
    threads
        At most so many threads.
    """

    def __init__(self, columns: Sequence[Vector], threads: int) -> None:
        n = columns[0].size
        unused = np.zeros(n)
        self._data = _core.FixedData(list(columns), unused[:, None], unused, None, None)
        self._no_sides = np.empty((n, 0), order="F")
        self._threads = threads

    def gram(self, weight: Vector) -> Matrix:
        """X'diag(w)X, shape ``(p, p)``."""
        return self._data.regression(weight, self._no_sides, self._threads)[0]

    def derivatives(
        self, score: Array, weights: Mapping[tuple[int, int], Vector]
    ) -> tuple[Vector, Matrix]:
        """Gradient and Hessian in β of a function of η.

        Parameters
        ----------
        score
            Shape ``(C, n)``: first derivatives in η.
        weights
            Second derivatives in (η_a, η_b), a ≤ b, shape ``(n,)`` each.

        Returns
        -------
        gradient, hessian
            Shapes ``(p C,)`` and ``(p C, p C)``.
        """
        first, *others = weights
        gram, gradient = self._data.regression(
            weights[first], np.asfortranarray(score.T), self._threads
        )
        grams = {first: gram} | {pair: self.gram(weights[pair]) for pair in others}
        p, d = gram.shape[0], gradient.size
        hessian = np.empty((d, d))
        for (a, b), block in grams.items():
            rows, columns = slice(a * p, (a + 1) * p), slice(b * p, (b + 1) * p)
            hessian[rows, columns] = hessian[columns, rows] = block
        return gradient.ravel(), hessian
