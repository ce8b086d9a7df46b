"""The Laplace log marginal likelihood once more: dense, slow, straight from its definition.

Shares no code with the package. Derivatives are taken by finite differences of this value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softplus(eta: Array) -> Array:
    return np.logaddexp(0.0, eta)


def laplace_group(eta0: Array, A: Array, y: Array, n: Array) -> float:
    """log of the Laplace approximation to ∫ exp(Σ l_i(eta0 + A u)) N(u; 0, I) du."""

    def f(u: Array) -> float:
        eta = eta0 + A @ u
        return float(y @ eta - n @ softplus(eta) - 0.5 * u @ u)

    u = np.zeros(A.shape[1])
    for _ in range(200):
        pi = 1.0 / (1.0 + np.exp(-(eta0 + A @ u)))
        gradient = A.T @ (y - n * pi) - u
        H = np.eye(A.shape[1]) + A.T @ ((n * pi * (1.0 - pi))[:, None] * A)
        step = np.linalg.solve(H, gradient)
        t = 1.0
        while f(u + t * step) < f(u) - 1e-14 * abs(f(u)) and t > 1e-10:
            t /= 2.0
        u = u + t * step
        if np.abs(step).max() < 1e-15:
            break
    pi = 1.0 / (1.0 + np.exp(-(eta0 + A @ u)))
    H = np.eye(A.shape[1]) + A.T @ ((n * pi * (1.0 - pi))[:, None] * A)
    return f(u) - 0.5 * float(np.linalg.slogdet(H)[1])


def laplace(
    X: Array,
    Z: Array,
    y: Array,
    n: Array,
    offset: Array,
    codes: NDArray[np.int32],
    beta: Array,
    Lambda: Array,
) -> float:
    """Σ_g of :func:`laplace_group`, without binomial coefficients."""
    eta0 = X @ beta + offset
    A = Z @ Lambda
    return sum(
        laplace_group(eta0[codes == g], A[codes == g], y[codes == g], n[codes == g])
        for g in np.unique(codes)
    )


def laplace_factors(
    X: Array,
    factors: list[tuple[Array, NDArray[np.int32], Array]],
    y: Array,
    n: Array,
    offset: Array,
    beta: Array,
) -> float:
    """Any number of grouping factors, nested or crossed: (Z, codes, Λ) of each.

    One integral over all random effects together, in dense algebra.
    """
    A = []
    for Z, codes, Lambda in factors:
        groups, q = int(codes.max()) + 1, Lambda.shape[0]
        wide = np.zeros((y.size, groups, q))
        wide[np.arange(y.size), codes] = Z @ Lambda
        A.append(wide.reshape(y.size, groups * q))
    return laplace_group(X @ beta + offset, np.hstack(A), y, n)


def central_differences(
    function: Callable[[Array], float | Array], point: Array, step: float = 1e-3
) -> Array:
    """Sixth-order central differences of a scalar or array function; derivative index first."""
    rows = []
    for k in range(point.size):
        e = np.zeros_like(point)
        e[k] = step
        differences = [
            weight * (np.asarray(function(point + m * e)) - np.asarray(function(point - m * e)))
            for m, weight in ((1, 45.0), (2, -9.0), (3, 1.0))
        ]
        rows.append(np.sum(differences, axis=0) / (60.0 * step))
    return np.array(rows)
