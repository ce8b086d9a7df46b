"""Priors of covariance matrices: the definition in Σ, invariance, the normalising constant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prior.models import Array, point, random_context
from scipy.integrate import dblquad, quad

from multilogit.errors import Status
from multilogit.likelihood.covariance import CovarianceStructure, cholesky
from multilogit.prior import CovarianceRelativeEntropy, RelativeEntropy, Wishart

seeds = st.integers(0, 2**32 - 1)
positive = st.floats(0.2, 10.0)


def covariances(blocks: tuple[int, ...], theta: Array) -> list[Array]:
    structure = CovarianceStructure.of_blocks(blocks)
    Lambda = structure.Lambda(theta)
    return [Lambda[part, part] @ Lambda[part, part].T for part in structure.slices()]


def divergence(Sigma: Array, scale: float) -> float:
    """KL(N(0, Σ) ‖ N(0, s²I)), from its definition."""
    ratio = Sigma / scale**2
    return 0.5 * float(np.trace(ratio) - len(ratio) - np.linalg.slogdet(ratio)[1])


@given(seed=seeds, kappa=positive, scale=positive, blocks=st.sampled_from([(1,), (3,), (2, 1)]))
def test_relative_entropy_is_the_divergence(
    seed: int, kappa: float, scale: float, blocks: tuple[int, ...]
) -> None:
    model = random_context(0, blocks=blocks)
    psi = point(model, seed)
    expected = -kappa * sum(divergence(S, scale) for S in covariances(blocks, psi[model.n_beta :]))
    value = CovarianceRelativeEntropy(kappa, scale).bind(model).evaluate(psi).value
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(seed=seeds, df=st.floats(4.1, 20), scale=st.one_of(positive, st.just(math.inf)))
def test_wishart_is_the_kernel_of_its_density(seed: int, df: float, scale: float) -> None:
    model = random_context(0, blocks=(3, 1))
    psi = point(model, seed)
    expected = 0.0
    for S in covariances((3, 1), psi[model.n_beta :]):
        expected += 0.5 * (df - len(S) - 1) * np.linalg.slogdet(S)[1]
        expected -= 0.5 * np.trace(S) / scale**2
    value = Wishart(df, scale).bind(model).evaluate(psi).value
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(seed=seeds, kappa=positive, scale=positive)
def test_relative_entropy_is_a_wishart(seed: int, kappa: float, scale: float) -> None:
    q = 2
    model = random_context(0, blocks=(q,))
    ours = CovarianceRelativeEntropy(kappa, scale).bind(model)
    wishart = Wishart(q + 1 + kappa, scale / math.sqrt(kappa)).bind(model)
    psi, other = point(model, seed), point(model, seed + 1)
    difference = ours.evaluate(psi).value - ours.evaluate(other).value
    expected = wishart.evaluate(psi).value - wishart.evaluate(other).value
    assert difference == pytest.approx(expected, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(
        ours.evaluate(psi).hessian, wishart.evaluate(psi).hessian, rtol=1e-12
    )


@given(seed=seeds)
def test_the_order_of_the_effects_does_not_matter(seed: int) -> None:
    model = random_context(0, blocks=(3,))
    psi = point(model, seed)
    structure = CovarianceStructure.of_blocks((3,))
    (Sigma,) = covariances((3,), psi[model.n_beta :])
    order = np.random.default_rng(seed).permutation(3)
    permuted = cholesky(Sigma[np.ix_(order, order)])[structure.rows, structure.columns]
    for prior in (CovarianceRelativeEntropy(), Wishart(scale=2.0)):
        bound = prior.bind(model)
        again = bound.evaluate(np.concatenate([psi[: model.n_beta], permuted]))
        assert again.value == pytest.approx(bound.evaluate(psi).value, rel=1e-9, abs=1e-9)


@given(seed=seeds)
def test_even_in_every_column_of_lambda(seed: int) -> None:
    model = random_context(0, blocks=(2,))
    psi = point(model, seed)
    bound = CovarianceRelativeEntropy().bind(model)
    flip = np.where(np.append(np.zeros(model.n_beta), model.theta_columns + 1) == 1, -1.0, 1.0)
    one, two = bound.evaluate(psi), bound.evaluate(psi * flip)
    assert one.value == two.value
    np.testing.assert_array_equal(two.gradient, flip * one.gradient)
    np.testing.assert_array_equal(two.hessian, flip[:, None] * one.hessian * flip)


def test_minus_infinity_at_zero() -> None:
    model = random_context(0, blocks=(1, 1))
    psi = np.append(np.zeros(model.n_beta), [1.0, 0.0])
    for prior in (CovarianceRelativeEntropy(), Wishart(), RelativeEntropy()):
        evaluation = prior.bind(model).evaluate(psi)
        assert evaluation.value == -math.inf
        assert evaluation.status is Status.NOT_FINITE


def test_the_mode_is_the_reference() -> None:
    model = random_context(0, blocks=(2,))
    psi = np.append(np.zeros(model.n_beta), [3.0, 0.0, 3.0])
    evaluation = CovarianceRelativeEntropy(1.7, scale=3.0).bind(model).evaluate(psi)
    assert evaluation.value == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(evaluation.gradient, 0.0, atol=1e-14)


@pytest.mark.parametrize(("kappa", "scale"), [(1.0, 5.0), (2.3, 0.7)])
def test_normalising_constant_by_quadrature(kappa: float, scale: float) -> None:
    model = random_context(0, p=1, blocks=(1,))
    bound = CovarianceRelativeEntropy(kappa, scale).bind(model)
    total, _ = quad(lambda x: math.exp(bound.evaluate(np.array([0.0, x])).value), 1e-300, math.inf)
    assert bound.log_normaliser() == pytest.approx(math.log(total), abs=1e-8)


def test_normalising_constant_of_correlated_effects() -> None:
    # l_11 separates; integrate over (l_21, l_22) and divide by its share.
    model = random_context(0, p=1, blocks=(2,))
    bound = CovarianceRelativeEntropy(1.4, 1.1).bind(model)

    def density(l11: float, l21: float, l22: float) -> float:
        return math.exp(bound.evaluate(np.array([0.0, l11, l21, l22])).value)

    plane, _ = dblquad(lambda a, b: density(1.0, a, b), 1e-300, 12.0, -12.0, 12.0)
    line, _ = quad(lambda x: density(x, 0.0, 1.0), 1e-300, math.inf)
    total = plane * line / density(1.0, 0.0, 1.0)
    assert bound.log_normaliser() == pytest.approx(math.log(total), abs=1e-7)


def test_normalising_constant_of_several_blocks_and_of_none() -> None:
    prior = CovarianceRelativeEntropy(1.3, 2.0)
    two, one = (prior.bind(random_context(0, blocks=b)).log_normaliser() for b in ((2,), (1,)))
    both = prior.bind(random_context(0, blocks=(2, 1)))
    assert both.log_normaliser() == pytest.approx(two + one, rel=1e-13)
    assert prior.bind(random_context(0)).log_normaliser() == 0.0
    assert Wishart().bind(random_context(0, blocks=(1,))).log_normaliser() == math.inf
