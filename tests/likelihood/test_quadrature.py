"""Adaptive Gauss–Hermite quadrature: derivatives, limits, identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laplace_reference import softplus
from likelihood.problems import assert_derivatives
from numpy.typing import NDArray

from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import GroupedLikelihood, product_rule

Array = NDArray[np.float64]


def make(
    seed: int, blocks: tuple[int, ...], nodes: int, *, groups: int = 5, largest: int = 8
) -> tuple[GroupedLikelihood, Array, tuple[Array, ...]]:
    """A likelihood, a point, and the data behind: x, z, y, trials, codes."""
    rng = np.random.default_rng(seed)
    q = sum(blocks)
    codes = np.repeat(np.arange(groups, dtype=np.int32), rng.integers(1, largest + 1, groups))
    n = codes.size
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    z = np.column_stack([x, rng.normal(size=(n, q))])[:, :q]
    trials = rng.integers(1, 4, n).astype(float)
    y = rng.binomial(trials.astype(int), 0.4).astype(float)
    likelihood = GroupedLikelihood(
        [np.ascontiguousarray(column) for column in x.T],
        [np.ascontiguousarray(column) for column in z.T],
        blocks,
        y,
        trials,
        codes,
        groups,
        nodes=nodes,
    )
    m = CovarianceStructure.of_blocks(blocks).m
    psi = np.concatenate([rng.normal(size=2) / 2, rng.normal(size=m)])
    return likelihood, psi, (x, z, y, trials, codes)


@pytest.mark.parametrize(
    ("blocks", "nodes"),
    [((1,), 2), ((1,), 7), ((2,), 2), ((2,), 5), ((1, 1), 4), ((3,), 3), ((2, 1), 3), ((4,), 2)],
)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_gradient_and_hessian_are_the_derivatives_of_the_computed_value(
    blocks: tuple[int, ...], nodes: int, seed: int
) -> None:
    likelihood, psi, _ = make(seed, blocks, nodes)
    at = likelihood.evaluate(psi)
    assert_derivatives(at, likelihood, psi)


@pytest.mark.parametrize("blocks", [(1,), (2,), (2, 1)])
def test_one_node_is_laplace(blocks: tuple[int, ...]) -> None:
    likelihood, psi, _ = make(3, blocks, 1)
    laplace = likelihood.evaluate(psi)
    points, log_weights = product_rule(1, sum(blocks))
    likelihood._data.set_nodes(points, log_weights)  # the general code, with one node
    node = likelihood.evaluate(psi)
    assert node.value == pytest.approx(laplace.value, rel=1e-14)
    np.testing.assert_allclose(node.gradient, laplace.gradient, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(node.hessian, laplace.hessian, rtol=1e-11, atol=1e-11)


def brute_force(psi: Array, blocks: tuple[int, ...], data: tuple[Array, ...]) -> float:
    """Σ_g log ∫ exp(Σ l_i) N(u; 0, I) du on a grid that knows nothing of modes (q = 1, 2)."""
    x, z, y, trials, codes = data
    q = sum(blocks)
    Lambda = CovarianceStructure.of_blocks(blocks).Lambda(psi[2:])
    line = np.linspace(-9.0, 9.0, 1201 if q == 1 else 301)
    points = np.stack([g.ravel() for g in np.meshgrid(*[line] * q)], axis=1)
    cell = (line[1] - line[0]) ** q
    total = 0.0
    for g in np.unique(codes):
        mine = codes == g
        eta = (x[mine] @ psi[:2])[:, None] + z[mine] @ Lambda @ points.T
        log_integrand = y[mine] @ eta - trials[mine] @ softplus(eta)
        log_integrand += -0.5 * (points**2).sum(axis=1) - 0.5 * q * np.log(2 * np.pi)
        top = log_integrand.max()
        total += top + np.log(np.exp(log_integrand - top).sum() * cell)
    return total


@pytest.mark.parametrize("blocks", [(1,), (2,), (1, 1)])
def test_converges_to_the_integral(blocks: tuple[int, ...]) -> None:
    errors = []
    for nodes in (1, 5, 15, 45):
        likelihood, psi, data = make(12, blocks, nodes)
        errors.append(abs(likelihood.evaluate(psi).value - brute_force(psi, blocks, data)))
    assert errors[0] > 1e-3, "the test needs a model that Laplace's approximation gets wrong"
    assert errors[1] < errors[0]
    assert errors[2] < errors[1]
    assert errors[3] < 1e-8


def test_product_rule_integrates_polynomials() -> None:
    points, log_weights = product_rule(5, 2)
    weights = np.exp(log_weights)
    assert points.shape == (25, 2)
    assert weights.sum() == pytest.approx(1.0, rel=1e-14)
    # E x² y⁴ = 3, E x⁸ = 105 for the standard normal
    assert weights @ (points[:, 0] ** 2 * points[:, 1] ** 4) == pytest.approx(3.0, rel=1e-12)
    assert weights @ points[:, 0] ** 8 == pytest.approx(105.0, rel=1e-12)


def test_many_nodes_with_extreme_weights_stay_finite() -> None:
    likelihood, psi, _ = make(5, (1,), 151)
    at = likelihood.evaluate(psi * 4)
    assert np.isfinite(at.value)
    assert np.isfinite(at.hessian).all()
