"""The multinomial log marginal likelihood in dense algebra: slow, straight from its definition.

    η_ic = x_i'β_c + o_i + Σ_a [logit(a) = c] z_ia b_a,   b = Λu,   u ~ N(0, I)

Import it as ``from likelihood.reference_multinomial import ...``. Shares no code with the package:
modes by dense Newton steps, log|H| by a dense determinant, one integral over all random effects
together. Derivatives are taken by finite differences of this value. Laplace's approximation for
any grouping factors, nested or crossed; adaptive Gauss–Hermite quadrature for one factor.
Binomial models are C = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Factor:
    """One grouping factor.

    Attributes
    ----------
    z
        Shape ``(n, q)``: the column of Z of each effect.
    logits
        The logit of each effect, 0 .. C − 1.
    Lambda
        Shape ``(q, q)``: b = Λu.
    codes
        Shape ``(n,)``: the level of each row.
    """

    z: Array
    logits: Sequence[int]
    Lambda: Array
    codes: Codes

    def effects(self, n_logits: int) -> Array:
        """dη/du of one level, shape ``(n, C, q)``: η_c gets Σ_a [logit(a) = c] z_a (Λu)_a."""
        chosen = np.equal.outer(np.arange(n_logits), np.asarray(self.logits))
        return np.einsum("ia,ca,ab->icb", self.z, chosen.astype(float), self.Lambda)

    def dense(self, n_logits: int) -> Array:
        """dη/du of all levels side by side, shape ``(n, C, levels * q)``."""
        n, q = self.z.shape
        levels = int(self.codes.max()) + 1
        wide = np.zeros((n, levels, n_logits, q))
        wide[np.arange(n), self.codes] = self.effects(n_logits)
        return np.asarray(wide.transpose(0, 2, 1, 3).reshape(n, n_logits, levels * q))


def log_rows(eta: Array, y: Array, n: Array) -> Array:
    """Each row's log-likelihood without its multinomial coefficient, shape ``(rows,)``."""
    top = np.maximum(eta.max(axis=1), 0.0)
    log_sum = top + np.log(np.exp(-top) + np.exp(eta - top[:, None]).sum(axis=1))
    return np.asarray((y * eta).sum(axis=1) - n * log_sum)


def probabilities(eta: Array) -> Array:
    """π of the categories but the baseline, shape ``(rows, C)``."""
    top = np.maximum(eta.max(axis=1, keepdims=True), 0.0)
    e = np.exp(eta - top)
    return np.asarray(e / (np.exp(-top) + e.sum(axis=1, keepdims=True)))


def log_density(u: Array, eta0: Array, A: Array, y: Array, n: Array) -> float:
    """f(u) = Σℓ_i(η⁰ + Au) − ½u'u."""
    eta = eta0 + np.einsum("icq,q->ic", A, u)
    return float(log_rows(eta, y, n).sum() - 0.5 * u @ u)


def mode(eta0: Array, A: Array, y: Array, n: Array) -> tuple[Array, Array]:
    """û and H = I + A'WA there, by Newton steps with halving."""
    u = np.zeros(A.shape[2])
    here = log_density(u, eta0, A, y, n)
    for _ in range(500):
        gradient, H = _slope(u, eta0, A, y, n)
        step = np.linalg.solve(H, gradient)
        t, there = 1.0, log_density(u + step, eta0, A, y, n)
        while not there >= here - 1e-13 * (1.0 + abs(here)) and t > 1e-12:
            t *= 0.5
            there = log_density(u + t * step, eta0, A, y, n)
        u, here = u + t * step, there
        if np.abs(step).max() <= 1e-11 * (1.0 + np.abs(u).max()):  # convergence is quadratic
            break
    else:
        assert np.abs(step).max() < 1e-9, "no mode was found"
    return u, _slope(u, eta0, A, y, n)[1]


def _slope(u: Array, eta0: Array, A: Array, y: Array, n: Array) -> tuple[Array, Array]:
    pi = probabilities(eta0 + np.einsum("icq,q->ic", A, u))
    W = n[:, None, None] * (np.einsum("ic,cd->icd", pi, np.eye(pi.shape[1])) - _outer(pi))
    gradient = np.einsum("icq,ic->q", A, y - n[:, None] * pi) - u
    WA = np.einsum("icd,idr->icr", W, A)  # einsum wakes no threads of the BLAS
    return gradient, np.eye(u.size) + np.einsum("icq,icr->qr", A, WA)


def _outer(pi: Array) -> Array:
    return np.asarray(pi[:, :, None] * pi[:, None, :])


def laplace_integral(eta0: Array, A: Array, y: Array, n: Array) -> float:
    """log of Laplace's approximation to ∫ exp f(u) (2π)^(−q/2) du."""
    u, H = mode(eta0, A, y, n)
    return log_density(u, eta0, A, y, n) - 0.5 * float(np.linalg.slogdet(H)[1])


def quadrature_integral(eta0: Array, A: Array, y: Array, n: Array, nodes: int) -> float:
    """The same by K^q nodes at û + L⁻ᵀx, H = LL'."""
    u, H = mode(eta0, A, y, n)
    L = np.linalg.cholesky(H)
    terms = []
    for x, log_weight in normal_nodes(nodes, u.size):
        at = u + np.linalg.solve(L.T, x)
        terms.append(log_density(at, eta0, A, y, n) + 0.5 * float(x @ x) + log_weight)
    return _log_sum(terms) - float(np.log(L.diagonal()).sum())


def normal_nodes(nodes: int, q: int) -> list[tuple[Array, float]]:
    """Product rule of ∫ φ(x) g(x) dx: points of shape ``(q,)`` and log weights."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    log_weights = np.log(weights / weights.sum())
    return [
        (points[list(index)], float(log_weights[list(index)].sum()))
        for index in product(range(nodes), repeat=q)
    ]


def _log_sum(terms: Sequence[float]) -> float:
    return float(np.logaddexp.reduce(terms))


def fixed_predictor(X: Array, beta: Array, offset: Array | None, n_logits: int) -> Array:
    """x_i'β_c + o_i, shape ``(n, C)``; β logit by logit."""
    eta = X @ np.asarray(beta).reshape(n_logits, -1).T
    return eta if offset is None else eta + offset[:, None]


def grouped(
    X: Array,
    factor: Factor,
    y: Array,
    n: Array,
    beta: Array,
    offset: Array | None = None,
    nodes: int = 1,
) -> float:
    """ℓ(ψ) with one grouping factor, without multinomial coefficients.

    Parameters
    ----------
    X
        Shape ``(n, p)``.
    factor
        The grouping factor; its ``Lambda`` is Λ(θ).
    y, n
        Shape ``(n, C)``: counts of the categories but the baseline; ``(n,)``: trials.
    beta
        Shape ``(p C,)``, logit by logit.
    offset
        Shape ``(n,)`` or None; added to every logit.
    nodes
        1: Laplace's approximation.
    """
    eta0, A = fixed_predictor(X, beta, offset, y.shape[1]), factor.effects(y.shape[1])
    total = 0.0
    for level in np.unique(factor.codes):
        rows = factor.codes == level
        part = eta0[rows], A[rows], y[rows], n[rows]
        total += laplace_integral(*part) if nodes == 1 else quadrature_integral(*part, nodes)
    return total


def laplace(
    X: Array,
    factors: Sequence[Factor],
    y: Array,
    n: Array,
    beta: Array,
    offset: Array | None = None,
) -> float:
    """ℓ(ψ) with any grouping factors, nested or crossed; arguments as :func:`grouped`."""
    eta0 = fixed_predictor(X, beta, offset, y.shape[1])
    A = np.concatenate([factor.dense(y.shape[1]) for factor in factors], axis=2)
    return laplace_integral(eta0, A, y, n)
