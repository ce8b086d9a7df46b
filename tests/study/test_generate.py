"""Data sets: their own seeds, and the distributions that they claim."""

from __future__ import annotations

import numpy as np
import pytest

from multilogit.study.designs import Cell, Covariate, StudyError
from multilogit.study.generate import Simulator, effect_quantiles, standardised_effects
from multilogit.study.prior_draws import draw_prior, log_prior_beta
from multilogit.study.scoring import log_score, marginal_probabilities, score, true_probabilities
from multilogit.study.truth import Layout, cholesky_of_singular

X = Covariate("x", beta=0.7, slope=True)
Z = Covariate("z", "bernoulli", beta=-0.4, probability=0.2, between=True)
SLOPES = Cell("slopes", groups=12, group_size=7, covariates=(X, Z), sd=(1.0, 0.5), correlation=0.3)


def test_replicates_depend_on_their_own_number_only() -> None:
    first = Simulator("d", SLOPES)
    later = [first.draw(k) for k in range(3)][2]
    alone = Simulator("d", SLOPES).draw(2)
    assert later.frame.equals(alone.frame)
    assert not alone.frame.equals(first.draw(1).frame)
    assert not alone.frame.equals(Simulator("e", SLOPES).draw(2).frame)


def test_covariates_between_groups_and_fixed_ones() -> None:
    data = Simulator("d", SLOPES).draw(0)
    assert (data.frame.groupby("g")["z"].nunique() == 1).all()
    assert data.formula == "y ~ 1 + x + z + (1 + x | g)"
    fixed = Cell("fixed", covariates=(Covariate("x"),), fixed=True)
    a, b = (Simulator("d", fixed).draw(k).frame for k in range(2))
    assert a["x"].equals(b["x"])
    assert not a["y"].equals(b["y"])


def test_a_constant_covariate_is_drawn_again() -> None:
    cell = Cell("few", groups=3, group_size=4, covariates=(Covariate("x"), Z))
    simulator = Simulator("d", cell)
    data = [simulator.draw(k) for k in range(30)]  # z is constant in half of first draws
    assert all(np.linalg.matrix_rank(one.X) == 3 for one in data)
    never = Cell("never", groups=1, group_size=4, covariates=(Z,))
    with pytest.raises(StudyError, match="constant"):
        Simulator("d", never).draw(0)


def test_group_sizes() -> None:
    cell = Cell("skewed", groups=30, group_size=12, sizes="skewed")
    sizes = np.bincount(Simulator("d", cell).draw(0).codes)
    assert sizes.size == 30
    assert sizes.sum() == 360
    assert sizes.min() >= 1
    assert sizes.max() > 20 * sizes.min()


def test_prevalence_is_solved_for() -> None:
    cell = Cell("rare", groups=4000, covariates=(X,), sd=(2.0, 1.0), intercept=None, prevalence=0.1)
    simulator = Simulator("d", cell)
    assert abs(simulator.draw(0).y.mean() - 0.1) < 0.01


@pytest.mark.parametrize("kind", ["normal", "t", "skewed", "bimodal"])
def test_effects_have_mean_0_and_variance_1(kind: str) -> None:
    draws = standardised_effects(np.random.default_rng(1), kind, (200_000, 1))
    assert abs(draws.mean()) < 0.02
    assert abs(draws.std() - 1.0) < (0.2 if kind == "t" else 0.02)  # t has no fourth moment
    few = effect_quantiles(kind, 400)
    assert abs(few.mean()) < 0.01
    inner = np.quantile(draws, [0.1, 0.5, 0.9])
    assert np.abs(np.quantile(few, [0.1, 0.5, 0.9]) - inner).max() < 0.03


def test_layout_and_cholesky() -> None:
    layout = Layout(("(Intercept)", "x"), ("(Intercept)", "x"))
    assert layout.names[2:] == ("sd_(Intercept)|g", "sd_x|g", "cor_x.(Intercept)|g")
    values = np.array([0.1, 0.2, 2.0, 0.5, -0.6])
    S = layout.covariance(values)
    assert np.allclose(S, [[4.0, -0.6], [-0.6, 0.25]])
    theta = layout.psi(values)[2:]
    Lambda = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
    assert np.allclose(Lambda @ Lambda.T, S)
    assert np.allclose(layout.natural(layout.working(values)), values)
    assert np.array_equal(cholesky_of_singular(np.zeros((2, 2))), np.zeros((2, 2)))


def test_marginal_probabilities_against_brute_force() -> None:
    data = Simulator("d", SLOPES).draw(0)
    rng = np.random.default_rng(3)
    sd, rho = np.array([1.0, 0.5]), 0.3
    L = np.linalg.cholesky(np.array([[1.0, rho], [rho, 1.0]]))
    b = (rng.standard_normal((200_000, 2)) @ L.T) * sd
    eta = data.X[0] @ data.truth[:3] + b @ data.Z[0]
    exact = marginal_probabilities(data, data.truth)[0]
    assert abs(exact - np.mean(1.0 / (1.0 + np.exp(-eta)))) < 4e-3


def test_true_probabilities_of_other_effects() -> None:
    cell = Cell("t", groups=3, group_size=2, covariates=(X,), sd=(2.0, 0.7), effects="skewed")
    data = Simulator("d", cell).draw(0)
    u = standardised_effects(np.random.default_rng(4), "skewed", (200_000, 2))
    eta = data.X[0] @ data.truth[:2] + (u * [2.0, 0.7]) @ data.Z[0]
    assert abs(true_probabilities(data)[0] - np.mean(1.0 / (1.0 + np.exp(-eta)))) < 0.01


def test_log_score_of_no_effects_is_the_plain_one() -> None:
    data = Simulator("d", Cell("plain", covariates=(Covariate("x", beta=1.0),), sd=())).draw(0)
    eta = data.X @ data.truth
    by_hand = np.mean(data.y * eta - np.log1p(np.exp(eta)))
    assert np.isclose(log_score(data, data.truth), by_hand, rtol=1e-12)
    nothing = score(data, np.full(2, np.nan))
    assert np.isnan(nothing.log_score)
    assert score(data, data.truth).probability_rmse == 0.0


def test_log_score_at_zero_variance_is_the_limit() -> None:
    data = Simulator("d", SLOPES).draw(0)
    zero, small = data.truth.copy(), data.truth.copy()
    zero[3:] = 0.0
    small[3:5], small[5] = 1e-5, 0.0
    assert np.isclose(log_score(data, zero), log_score(data, small), rtol=1e-8)


def test_draws_from_the_prior() -> None:
    """One column: π(β) ∝ B-type density of p = logit⁻¹β; u = ½, κ = 1: p ~ Beta(½, ½)."""
    rng = np.random.default_rng(5)
    ones = np.ones((8, 1))
    layout = Layout(("(Intercept)",), ("(Intercept)",))
    draws = np.array([draw_prior(rng, ones, layout, 2.0) for _ in range(600)])
    share = 1.0 / (1.0 + np.exp(-draws[:, 0]))
    beta_cdf = 2.0 / np.pi * np.arcsin(np.sqrt(share))
    assert abs(beta_cdf.mean() - 0.5) < 4 * 0.289 / np.sqrt(600)
    assert abs(np.mean(beta_cdf < 0.1) - 0.1) < 4 * 0.3 / np.sqrt(600)
    rayleigh_cdf = 1.0 - np.exp(-0.5 * (draws[:, 1] / 2.0) ** 2)
    assert abs(rayleigh_cdf.mean() - 0.5) < 4 * 0.289 / np.sqrt(600)
    assert np.isclose(log_prior_beta(ones, np.zeros((1, 1)))[0], 0.0)
