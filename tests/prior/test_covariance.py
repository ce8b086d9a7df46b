"""Priors of covariance matrices: the definition in Σ, invariance, the normalising constant."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prior.models import Array, check_derivatives, point, random_context
from scipy.integrate import dblquad, quad

from multilogit.errors import Status
from multilogit.likelihood.covariance import CovarianceStructure, cholesky
from multilogit.prior import CovarianceRelativeEntropy, PriorContext, RelativeEntropy, Wishart
from multilogit.prior.covariance import reference_correlation

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


# -- several logits ------------------------------------------------------------------------


def categorical(n_logits: int, columns: int, **options: Any) -> PriorContext:
    """A block of ``columns`` effects on each of the logits, logit by logit."""
    model = random_context(0, n_logits=n_logits, blocks=(columns * n_logits,))
    logits = tuple(c for c in range(n_logits) for _ in range(columns))
    return replace(model, effect_logits=logits, **options)


def test_the_reference_is_that_of_independent_effects_of_all_categories() -> None:
    s, columns, n_logits = 3.0, 2, 3
    every = 0.5 * s**2 * np.eye((n_logits + 1) * columns)  # of variance s²/2, baseline first
    differences = np.kron(np.hstack([-np.ones((n_logits, 1)), np.eye(n_logits)]), np.eye(columns))
    expected = differences @ every @ differences.T
    R = reference_correlation(categorical(n_logits, columns))
    np.testing.assert_allclose(s**2 * R, expected, rtol=1e-14)


@given(seed=seeds, baseline=st.integers(1, 3), columns=st.integers(1, 2))
def test_no_category_is_special(seed: int, baseline: int, columns: int) -> None:
    model = categorical(3, columns)
    structure = CovarianceStructure.of_blocks(model.blocks)
    psi = point(model, seed)
    (Sigma,) = covariances(model.blocks, psi[model.n_beta :])
    rest = [c for c in range(4) if c != baseline]
    against = np.array([[float(c == k) - float(k == baseline) for k in range(4)] for c in rest])
    change = np.kron(against[:, 1:], np.eye(columns))  # logits against the new baseline
    there = cholesky(change @ Sigma @ change.T)[structure.rows, structure.columns]
    for prior in (CovarianceRelativeEntropy(1.3, 2.0), Wishart(9.5, 2.0), Wishart()):
        bound = prior.bind(model)
        again = bound.evaluate(np.concatenate([psi[: model.n_beta], there]))
        assert again.value == pytest.approx(bound.evaluate(psi).value, rel=1e-9, abs=1e-9)


def test_independent_effects_have_independent_references() -> None:
    model = replace(random_context(0, n_logits=2, blocks=(1, 1)), effect_logits=(0, 1))
    np.testing.assert_array_equal(reference_correlation(model), np.eye(2))


@given(seed=seeds)
def test_follows_the_present_order_of_the_effects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = tuple(rng.permutation(4).tolist())
    model = categorical(2, 2)
    structure = CovarianceStructure.of_blocks(model.blocks)
    psi = point(model, seed)
    (Sigma,) = covariances(model.blocks, psi[model.n_beta :])
    permuted = cholesky(Sigma[np.ix_(order, order)])[structure.rows, structure.columns]
    there = np.concatenate([psi[: model.n_beta], permuted])
    moved = replace(model, order=lambda: order)
    for prior in (CovarianceRelativeEntropy(), Wishart(scale=2.0)):
        value = prior.bind(moved).evaluate(there).value
        assert value == pytest.approx(prior.bind(model).evaluate(psi).value, rel=1e-9, abs=1e-9)
    check_derivatives(CovarianceRelativeEntropy().bind(moved), psi)


def test_normalising_constant_of_correlated_references() -> None:
    model = categorical(2, 1)
    bound = CovarianceRelativeEntropy(1.4, 1.1).bind(model)

    def density(l11: float, l21: float, l22: float) -> float:
        theta = np.array([l11, l21, l22])
        return math.exp(bound.evaluate(np.append(np.zeros(model.n_beta), theta)).value)

    plane, _ = dblquad(lambda a, b: density(a, b, 1.0), -12.0, 12.0, 1e-300, 12.0)
    line, _ = quad(lambda x: density(1.0, 0.3, x), 1e-300, math.inf)  # l_22 separates
    total = plane * line / density(1.0, 0.3, 1.0)
    assert bound.log_normaliser() == pytest.approx(math.log(total), abs=1e-7)
