"""log Z of the entropy prior: exact cases, brute force, invariances, summaries, errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln, xlogy

from multilogit.errors import OptionError
from multilogit.evidence.design import Design, summarise
from multilogit.evidence.normaliser import BetaNormaliser, log_normaliser_beta


def entropy(u):
    return -float(xlogy(u, u).sum())


def log_dirichlet(a):
    return float(gammaln(a).sum() - gammaln(a.sum()))


def penalty(x, trials, beta, u, kappa):
    """−λ Σ n KL(u ‖ π), straight from its definition; beta: (M, p)."""
    log_p = -np.logaddexp(0.0, -(x @ beta.T))
    log_q = -np.logaddexp(0.0, x @ beta.T)
    kl = u * (np.log(u) - log_p) + (1.0 - u) * (np.log(1.0 - u) - log_q)
    return -kappa / trials.sum() * (trials @ kl)


@pytest.mark.parametrize(("u", "kappa"), [(0.5, 1.0), (0.02, 0.7), (0.9, 30.0)])
def test_one_column_is_a_beta_function(u, kappa):
    found = log_normaliser_beta([np.ones(7)], np.arange(1.0, 8.0), None, u, kappa)
    shares = np.array([1.0 - u, u])
    exact = kappa * entropy(shares) + log_dirichlet(kappa * shares)
    assert found.value == pytest.approx(exact, abs=1e-10)
    assert found.error == 0.0


def test_an_intercept_with_four_categories_is_a_dirichlet_function():
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    found = log_normaliser_beta([np.ones(5)], np.ones(5), None, shares[1:], 6.0)
    exact = 6.0 * entropy(shares) + log_dirichlet(6.0 * shares)
    assert found.value == pytest.approx(exact, abs=1e-10)


def nearly_saturated(x):
    """One row more, not equal to any other: the sampler runs, and the integral is the same."""
    return np.vstack([x, x[-1] * (1.0 + 1e-9)])


@pytest.mark.parametrize(
    ("p", "shares", "kappa"),
    [
        (1, [0.98, 0.02], 0.1),
        (3, [0.9, 0.1], 3.0),
        (3, [0.9, 0.1], 200.0),
        (6, [0.7, 0.3], 0.6),
        (6, [0.7, 0.3], 6.0),
        (2, [0.5, 0.3, 0.2], 1.0),
        (10, [0.5, 0.5], 20.0),
    ],
)
def test_sampled_constants_agree_with_saturated_designs(p, shares, kappa):
    shares = np.array(shares)
    rng = np.random.default_rng(p)
    x = np.eye(p)
    x[:, 0] = 1.0
    trials = rng.integers(2, 9, p).astype(float)
    exact = kappa * entropy(shares) - (shares.size - 1) * np.linalg.slogdet(x)[1]
    exact += sum(log_dirichlet(kappa * w * shares) for w in trials / trials.sum())
    assert log_normaliser_beta(x.T, trials, None, shares[1:], kappa).value == pytest.approx(exact)
    more = np.append(trials, 1.0) - np.append(np.zeros(p - 1), [1.0, 0.0])
    found = log_normaliser_beta(nearly_saturated(x).T, more, None, shares[1:], kappa)
    assert 0.0 < found.error < 0.06
    assert abs(found.value - exact) < 4.0 * found.error


@pytest.mark.parametrize("kappa", [0.3, 2.0, 40.0])
@pytest.mark.parametrize("u", [0.5, 0.05])
def test_two_columns_agree_with_a_grid(u, kappa):
    rng = np.random.default_rng(8)
    x = np.column_stack([np.ones(40), rng.exponential(1.0, 40)])
    trials = rng.integers(1, 4, 40).astype(float)
    t = np.linspace(-9.0, 9.0, 361)
    stretch, log_width = np.sinh(t), np.log(np.cosh(t) * (t[1] - t[0]))
    beta = np.array([(np.log(u / (1 - u)) + a, b) for a in stretch for b in stretch])
    log_f = np.concatenate([penalty(x, trials, part, u, kappa) for part in np.split(beta, 361)])
    log_f = log_f + np.add.outer(log_width, log_width).ravel()
    exact = np.log(np.exp(log_f - log_f.max()).sum()) + log_f.max()
    found = log_normaliser_beta(x.T, trials, None, u, kappa)
    assert abs(found.value - exact) < 4.0 * found.error < 0.25


def test_offsets_that_are_linear_in_x_do_not_matter():
    rng = np.random.default_rng(5)
    x = np.column_stack([np.ones(60), rng.standard_normal((60, 2))])
    plain = log_normaliser_beta(x.T, np.ones(60), None, 0.3, 3.0)
    shifted = log_normaliser_beta(x.T, np.ones(60), x @ [0.5, -1.0, 2.0], 0.3, 3.0)
    assert abs(plain.value - shifted.value) < 4.0 * np.hypot(plain.error, shifted.error)


def test_a_linear_map_of_the_columns_shifts_log_z_by_its_determinant():
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(50), rng.standard_normal((50, 2))])
    A = np.array([[1.0, 2.0, -3.0], [0.0, 10.0, 1.0], [0.0, 0.0, 0.1]])
    plain = log_normaliser_beta(x.T, np.ones(50), None, [0.2, 0.3], 5.0)
    mapped = log_normaliser_beta((x @ A).T, np.ones(50), None, [0.2, 0.3], 5.0)
    shift = -2.0 * np.linalg.slogdet(A)[1]
    error = 4.0 * np.hypot(plain.error, mapped.error)
    assert abs(mapped.value - plain.value - shift) < error < 0.4


def test_the_limit_at_zero_strength_is_finite_and_the_curve_smooth(make_model):
    rng = np.random.default_rng(7)
    x = np.column_stack([np.ones(80), rng.standard_normal((80, 3))])
    model = make_model(x, rng.random(80) < 0.1, reference="marginal")
    normaliser = model.normaliser((0.001, 100.0))
    kappa = np.geomspace(0.001, 0.01, 6)
    scaled = [normaliser.at(k).value + 4.0 * np.log(k) for k in kappa]
    assert np.ptp(scaled) < 0.15
    normaliser = model.normaliser((0.4, 80.0))
    curve = np.array([normaliser.at(k).value for k in np.geomspace(0.4, 80.0, 200)])
    assert np.abs(np.diff(curve, 2)).max() < 1e-3  # one set of points for all strengths


def test_same_seed_same_number(make_model):
    rng = np.random.default_rng(9)
    model = make_model(rng.standard_normal((30, 2)), rng.random(30) < 0.5)
    first, again = (model.normaliser((0.2, 30.0), seed=3).at(2.0) for _ in range(2))
    assert first == again
    assert model.normaliser((0.2, 30.0), seed=4).at(2.0) != first


def test_equal_rows_count_together():
    rng = np.random.default_rng(10)
    x = np.column_stack([np.ones(6), rng.standard_normal((6, 2))])
    trials = np.arange(1.0, 7.0)
    index = np.repeat(np.arange(6), trials.astype(int))
    together = summarise(x.T, trials)
    apart = summarise(x[index].T, np.ones(index.size))
    np.testing.assert_allclose(apart.weights.sum(), 1.0)
    points = rng.standard_normal((9, 3))
    np.testing.assert_allclose(
        together.mean_log_partition(points), apart.mean_log_partition(points), rtol=1e-13
    )


def large_design(n=6000):
    rng = np.random.default_rng(11)
    rare = (np.arange(n) % 1500 == 7).astype(float)  # 4 rows of 6000
    return np.column_stack([np.ones(n), rng.standard_normal(n), rng.exponential(1.0, n), rare])


def test_a_summary_keeps_moments_rank_and_the_constant():
    x = large_design()
    summary = summarise(x.T, np.ones(len(x)))
    assert summary.full is not None
    assert len(summary.weights) < 1000
    np.testing.assert_allclose(summary.mean_x, x.mean(axis=0), rtol=1e-10)
    weighted = (summary.weights[:, None] * summary.x).T @ summary.x
    np.testing.assert_allclose(weighted, x.T @ x / len(x), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(summary.x[:, 0], 1.0, rtol=1e-10)


@pytest.mark.parametrize("u", [0.4, 0.03])
def test_the_summary_of_a_large_design_costs_little_and_says_how_much(u):
    x = large_design()
    bounds, reference = (0.4, 400.0), lambda kappa: np.array([u])
    full = Design(x, np.full(len(x), 1.0 / len(x)), None, 1)
    exact = BetaNormaliser(full, reference, bounds)
    summary = BetaNormaliser(summarise(x.T, np.ones(len(x))), reference, bounds)
    assert exact.design_error(4.0) == (0.0, 0.0)
    for kappa in (0.4, 4.0, 40.0):
        difference, error = summary.design_error(kappa)
        truth, estimate = exact.at(kappa), summary.at(kappa)
        noise = float(np.hypot(np.hypot(truth.error, estimate.error), error))
        assert abs(estimate.value + difference - truth.value) < 4.0 * noise
        assert abs(difference) < 0.2


def test_offsets_and_logits_survive_a_summary():
    x = large_design()
    offset = np.column_stack([np.sin(x[:, 1]), 0.1 * x[:, 2] ** 2])
    summary = summarise(x.T, np.ones(len(x)), offset, 2)
    assert summary.full is not None
    points = np.random.default_rng(0).standard_normal((20, 8))
    eta = np.stack([x @ points[:, 4 * j : 4 * j + 4].T + offset[:, [j]] for j in range(2)])
    exact = np.log1p(np.exp(eta).sum(axis=0)).mean(axis=0)
    np.testing.assert_allclose(summary.full.mean_log_partition(points), exact, rtol=1e-12)
    np.testing.assert_allclose(summary.mean_log_partition(points), exact, rtol=0.03)


def test_endometrial_constants_agree_with_tensor_quadrature(endometrial):
    """u = ½; trapezoid rule on 4-dimensional whitened, sinh-stretched coordinates."""
    x, _ = endometrial
    for kappa, exact in ((0.395, 11.8166), (0.79, 9.2755), (4.0, 4.0581)):
        found = log_normaliser_beta(x.T, np.ones(79), None, 0.5, kappa)
        assert abs(found.value - exact) < 4.0 * found.error < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [np.ones(9), np.ones(9)]}, "linearly dependent"),
        ({"u": 0.0}, "probabilities"),
        ({"u": [0.5, 0.5]}, "leave something to the baseline"),
        ({"kappa": 0.0}, "positive"),
        ({"kappa": np.inf}, "positive and finite"),
    ],
)
def test_what_has_no_integral_is_refused(change, message):
    arguments = {
        "columns": [np.ones(9), np.arange(9.0)],
        "trials": np.ones(9),
        "offset": None,
        "u": 0.5,
        "kappa": 2.0,
    }
    with pytest.raises(OptionError, match=message):
        log_normaliser_beta(**(arguments | change))


def test_strengths_out_of_bounds_are_refused(make_model):
    model = make_model(np.ones((4, 1)), np.array([1.0, 0.0, 0.0, 1.0]))
    with pytest.raises(OptionError, match="outside"):
        model.normaliser((0.5, 4.0)).at(5.0)
