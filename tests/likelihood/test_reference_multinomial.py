"""The dense multinomial reference against the binary one and against itself."""

from __future__ import annotations

import numpy as np
import pytest
from laplace_reference import laplace as binary_laplace
from laplace_reference import laplace_factors as binary_factors
from likelihood.reference_multinomial import Factor, grouped, laplace
from numpy.typing import NDArray
from scipy.integrate import dblquad
from scipy.special import log_softmax

Array = NDArray[np.float64]


def design(seed: int, n_logits: int) -> tuple[Array, Array, Array, Array, NDArray[np.int32]]:
    """X, counts, trials, offset and groups of 40 rows."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(40), rng.normal(size=40)])
    trials = rng.integers(1, 4, 40)
    share = np.full(n_logits + 1, 1.0 / (n_logits + 1))
    counts = np.array([rng.multinomial(m, share)[1:] for m in trials], dtype=float)
    return X, counts, trials.astype(float), rng.normal(size=40), rng.integers(0, 5, 40, np.int32)


def test_one_logit_is_the_binary_reference() -> None:
    X, y, n, offset, codes = design(1, 1)
    Lambda = np.array([[0.9, 0.0], [0.3, 0.5]])
    beta = np.array([0.2, -0.4])
    one = Factor(X, (0, 0), Lambda, codes)
    expected = binary_laplace(X, X, y[:, 0], n, offset, codes, beta, Lambda)
    assert grouped(X, one, y, n, beta, offset) == pytest.approx(expected, rel=1e-13)
    other = np.arange(40, dtype=np.int32) % 3
    two = Factor(X[:, :1], (0,), np.array([[0.7]]), other)
    factors = [(X, codes, Lambda), (X[:, :1], other, np.array([[0.7]]))]
    expected = binary_factors(X, factors, y[:, 0], n, offset, beta)
    assert laplace(X, [one, two], y, n, beta, offset) == pytest.approx(expected, rel=1e-13)


def test_all_levels_together_are_the_sum_of_the_levels() -> None:
    X, y, n, offset, codes = design(2, 3)
    rng = np.random.default_rng(3)
    Lambda = np.tril(rng.normal(size=(6, 6))) / 2
    factor = Factor(np.tile(X, 3), (0, 0, 1, 1, 2, 2), Lambda, codes)
    beta = rng.normal(size=6)
    assert laplace(X, [factor], y, n, beta, offset) == pytest.approx(
        grouped(X, factor, y, n, beta, offset), rel=1e-13
    )


def test_many_nodes_are_the_integral() -> None:
    X, y, n, offset, codes = design(4, 2)
    rows = codes == 0
    Lambda = np.array([[0.8, 0.0], [-0.4, 0.6]])
    beta = np.array([0.3, -0.2, 0.1, 0.5])
    part = Factor(np.ones((int(rows.sum()), 2)), (0, 1), Lambda, np.zeros(rows.sum(), np.int32))
    found = grouped(X[rows], part, y[rows], n[rows], beta, offset[rows], nodes=25)
    eta0 = X[rows] @ beta.reshape(2, 2).T + offset[rows, None]
    every = np.column_stack([n[rows] - y[rows].sum(axis=1), y[rows]])

    def integrand(v: float, u: float) -> float:
        eta = eta0 + Lambda @ np.array([u, v])
        rows = log_softmax(np.column_stack([np.zeros(len(eta)), eta]), axis=1)
        return float(np.exp((every * rows).sum() - 0.5 * (u * u + v * v)) / (2.0 * np.pi))

    expected, _ = dblquad(integrand, -7.0, 7.0, -7.0, 7.0, epsabs=0.0, epsrel=1e-5)
    assert found == pytest.approx(np.log(expected), abs=1e-6)
