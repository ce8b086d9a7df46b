"""Pools of weighted points, their effective sizes and tails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

from multilogit.evidence.importance import (
    Pool,
    StudentT,
    effective_sample_size,
    fit_moments,
    flatten,
    log_mean,
    smooth_tail,
)


def test_student_density_integrates_to_one_and_has_its_scale():
    q = StudentT.with_moments(np.array([1.0]), np.array([[4.0]]), nu=6.0)
    grid = np.linspace(-4000.0, 4000.0, 2_000_001)
    density = np.exp(q.log_density(grid[:, None]))
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1.0, abs=1e-8)
    at_mean = np.exp(gammaln(3.5) - gammaln(3.0)) / np.sqrt(6.0 * np.pi) / 2.0
    assert q.log_density(np.array([[1.0]]))[0] == pytest.approx(np.log(at_mean), abs=1e-12)


def test_a_pool_integrates_a_gaussian_whatever_its_components():
    d, rng = 3, np.random.default_rng(0)
    covariance = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, 0.3], [0.0, 0.3, 0.5]])
    pool = Pool(d)
    wide = StudentT.with_moments(np.zeros(d), 9.0 * np.eye(d))
    for component in (wide, StudentT.with_moments(np.ones(d), np.eye(d)), wide):
        pool.draw(component, 4000, rng)
    precision = np.linalg.inv(covariance)
    log_target = -0.5 * np.einsum("ij,jk,ik->i", pool.points, precision, pool.points)
    log_weights = log_target - pool.log_density()
    estimate = log_mean(log_weights)
    exact = 0.5 * d * np.log(2.0 * np.pi) + 0.5 * np.linalg.slogdet(covariance)[1]
    assert abs(estimate.value - exact) < 4.0 * estimate.error < 0.2
    fitted = fit_moments(pool.points, log_weights, 30.0)
    np.testing.assert_allclose(fitted.root @ fitted.root.T, covariance, atol=0.15)


def test_components_drawn_twice_equal_components_drawn_at_once():
    q = StudentT.with_moments(np.zeros(2), np.eye(2))
    other = StudentT.with_moments(np.ones(2), 2.0 * np.eye(2))
    pool = Pool(2)
    rng = np.random.default_rng(1)
    for component, n in ((q, 10), (other, 20), (q, 10)):
        pool.draw(component, n, rng)
    mixture = 0.5 * np.exp(q.log_density(pool.points))
    mixture += 0.5 * np.exp(other.log_density(pool.points))
    np.testing.assert_allclose(pool.log_density(), np.log(mixture), rtol=1e-12)


@given(st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=30))
def test_effective_size_is_between_one_and_n_and_ignores_scale(values):
    log_w = np.array(values)
    ess = effective_sample_size(log_w)
    assert 1.0 - 1e-9 <= ess <= log_w.size + 1e-9
    assert effective_sample_size(log_w + 700.0) == pytest.approx(ess)
    assert effective_sample_size(np.append(log_w, -np.inf)) == pytest.approx(ess)


def test_no_weight_at_all():
    assert effective_sample_size(np.full(5, -np.inf)) == 0.0
    assert log_mean(np.full(5, -np.inf)).error == np.inf


def test_flattening_reaches_the_size_asked_for_and_keeps_zeros():
    log_w = np.append(np.linspace(0.0, -200.0, 100), -np.inf)
    flat = flatten(log_w, 40.0)
    assert effective_sample_size(flat) == pytest.approx(40.0, rel=1e-3)
    assert flat[-1] == -np.inf
    assert flatten(log_w, 1.0) is log_w


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_the_tail_shape_of_pareto_weights_is_found(k):
    u = np.random.default_rng(3).random(40_000)
    _, found = smooth_tail(-k * np.log(u))
    assert found == pytest.approx(k, abs=0.12)


def test_smoothing_keeps_the_order_the_maximum_and_the_bulk():
    log_w = 1.5 * np.random.default_rng(4).standard_normal(2000)
    smoothed, _ = smooth_tail(log_w)
    order = np.argsort(log_w)
    assert (np.diff(smoothed[order]) >= -1e-12).all()
    assert smoothed.max() <= log_w.max()
    bulk = order[: -int(np.ceil(3.0 * np.sqrt(2000)))]
    np.testing.assert_array_equal(smoothed[bulk], log_w[bulk])


def test_equal_weights_have_no_tail():
    smoothed, k = smooth_tail(np.zeros(1000))
    assert k == -np.inf
    assert (smoothed == 0.0).all()
