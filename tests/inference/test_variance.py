"""Standard errors of standard deviations and correlations by the delta method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.inference.variance import delta_error, positions, variance_components

# Contraception, (1 + urban | district), glmmTMB 1.1.5 polished: (log sd, log sd, t) and their
# covariance, with correlation t / sqrt(1 + t²).
TMB = np.array([-0.477365519079627, -0.306973345685439, -1.30123990402536])
TMB_COVARIANCE = np.array(
    [
        [0.0272845130250735, 0.0202336517178303, -0.0392943257712699],
        [0.0202336517178303, 0.0706610673917021, -0.039129579529371],
        [-0.0392943257712699, -0.039129579529371, 0.284791445079465],
    ]
)


def cholesky_of(tmb: np.ndarray) -> np.ndarray:
    """(θ11, θ21, θ22) from glmmTMB's parameters."""
    s1, s2 = np.exp(tmb[:2])
    rho = tmb[2] / np.hypot(1.0, tmb[2])
    return np.array([s1, s2 * rho, s2 * np.sqrt(1.0 - rho * rho)])


def jacobian(function, x: np.ndarray, h: float = 1e-5) -> np.ndarray:  # type: ignore[no-untyped-def]
    columns = [(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(len(x))]
    return np.array(columns).T


def test_agrees_with_glmmtmb_in_another_parametrisation() -> None:
    J = jacobian(cholesky_of, TMB)
    theta = cholesky_of(TMB)
    Lambda = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
    parts = variance_components(Lambda, (2,), J @ TMB_COVARIANCE @ J.T)
    np.testing.assert_allclose(parts.sd, [0.620415714062525, 0.735670209431102], rtol=1e-12)
    np.testing.assert_allclose(parts.log_sd_error**2, np.diag(TMB_COVARIANCE)[:2], rtol=1e-8)
    assert parts.correlation[1, 0] == pytest.approx(-0.792904771186452, rel=1e-12)
    slope = (1.0 + TMB[2] ** 2) ** -1.5  # d rho / d t
    expected = slope * np.sqrt(TMB_COVARIANCE[2, 2])
    assert parts.correlation_error[1, 0] == pytest.approx(expected, rel=1e-8)


def test_positions_run_down_the_columns_of_each_block() -> None:
    assert positions((2, 1)) == [(0, 0), (1, 0), (1, 1), (2, 2)]
    assert positions((3,)) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_errors_match_finite_differences(blocks: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = sum(blocks)
    where = positions(blocks)
    m = len(where)
    theta = rng.uniform(0.3, 1.5, m) * rng.choice([-1.0, 1.0], m)
    V = np.cov(rng.normal(size=(m, 4 * m + 4))).reshape(m, m)

    def Lambda_of(theta: np.ndarray) -> np.ndarray:
        Lambda = np.zeros((q, q))
        for (i, j), value in zip(where, theta, strict=True):
            Lambda[i, j] = abs(value) if i == j else value
        return Lambda

    theta = np.array([Lambda_of(theta)[i, j] for i, j in where])

    def natural(theta: np.ndarray) -> np.ndarray:
        Sigma = Lambda_of(theta) @ Lambda_of(theta).T
        sd = np.sqrt(np.diag(Sigma))
        R = Sigma / np.outer(sd, sd)
        return np.concatenate([sd, R[np.tril_indices(q, -1)]])

    parts = variance_components(Lambda_of(theta), blocks, V)
    J = jacobian(natural, theta)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", J, V, J))
    np.testing.assert_allclose(parts.sd_error, expected[:q], rtol=1e-6)
    found = parts.correlation_error[np.tril_indices(q, -1)]
    inside = ~np.isnan(found)
    assert inside.sum() == sum(k * (k - 1) // 2 for k in blocks)
    np.testing.assert_allclose(found[inside], expected[q:][inside], rtol=1e-5)


def test_zero_variance_has_no_standard_error() -> None:
    covariance = np.array([[0.04, np.nan, np.nan], [np.nan] * 3, [np.nan] * 3])
    parts = variance_components(np.array([[0.8, 0.0], [0.0, 0.0]]), (2,), covariance)
    assert parts.sd_error[0] == pytest.approx(0.2)
    assert np.isnan(parts.sd_error[1])
    assert np.isnan(parts.correlation[1, 0])


def test_perfect_correlation_has_no_standard_error() -> None:
    covariance = np.array([[0.04, 0.0, np.nan], [0.0, 0.09, np.nan], [np.nan] * 3])
    parts = variance_components(np.array([[0.8, 0.0], [-0.5, 0.0]]), (2,), covariance)
    np.testing.assert_allclose(parts.sd_error, [0.2, 0.3])
    assert parts.correlation[1, 0] == -1.0
    assert np.isnan(parts.correlation_error[1, 0])


def test_a_covariance_beyond_the_range_of_numbers_has_no_error() -> None:
    assert np.isnan(delta_error(np.array([1e200, 1e200]), np.full((2, 2), 1e300)))
