"""Draws from the posterior and evidence by importance sampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln, digamma, polygamma

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation
from multilogit.evidence.normaliser import log_normaliser_beta
from multilogit.evidence.posterior import importance_evidence, posterior_sample
from multilogit.newton import maximise
from multilogit.prior import CovarianceRelativeEntropy, PriorContext

# log evidence of RelativeEntropy(reference="uniform") on endometrial. From reference/README.md,
# but for the first two: there the README says −37.82 and −36.43; tensor quadrature (trapezoid
# rule, 4 dimensions, steps .1 and .15) gives −26.1313 − 11.8166 and −27.0848 − 9.2755.
ENDOMETRIAL = {
    0.005: -37.9479,
    0.01: -36.3603,
    0.02: -35.19,
    4.0 / 79.0: -34.66,
    0.1: -35.40,
    0.2: -37.34,
    0.5: -41.54,
}


@pytest.mark.parametrize("lam", ENDOMETRIAL)
def test_endometrial_evidence(endometrial, make_model, lam):
    x, y = endometrial
    mode = make_model(x, y, reference="uniform").fit_at(79.0 * lam)
    numerator = importance_evidence(mode.fit, mode.psi, mode.evaluation.hessian, n=12_000)
    constant = log_normaliser_beta(x.T, np.ones(79), None, 0.5, 79.0 * lam, seed=1)
    assert np.hypot(numerator.error, constant.error) < 0.04
    assert numerator.value - constant.value == pytest.approx(ENDOMETRIAL[lam], abs=0.05)


def test_an_intercept_has_a_beta_posterior(make_model):
    """logit⁻¹ β ~ Beta(a, b), a = y + κu, b = n − y + κ(1 − u)."""
    y = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    model = make_model(np.ones((6, 1)), y, reference="uniform")
    mode = model.fit_at(1.0)
    sample = posterior_sample(mode.fit, mode.psi, mode.evaluation.hessian, n=20_000)
    a, b = 1.5, 5.5
    evidence = np.log(2.0) + betaln(a, b)
    assert abs(sample.log_evidence.value - evidence) < 4.0 * sample.log_evidence.error < 0.05
    assert sample.mean[0] == pytest.approx(digamma(a) - digamma(b), abs=0.04)
    variance = polygamma(1, a) + polygamma(1, b)
    assert sample.covariance[0, 0] == pytest.approx(variance, rel=0.05)
    share = 1.0 / (1.0 + np.exp(-sample.resample(20_000, seed=2)[:, 0]))
    assert share.mean() == pytest.approx(a / (a + b), abs=0.005)
    low, middle, high = sample.quantile([0.025, 0.5, 0.975])[:, 0]
    assert low < middle < high
    assert middle < sample.draws[:, 0].max()
    assert sample.pareto_k < 0.7
    assert sample.diagnostics == ()


def test_standard_deviations_live_on_the_positive_half_line():
    """∫ of the covariance prior over l > 0 is its known constant, mirror image left out."""
    empty = np.array([], dtype=float)
    context = PriorContext(
        (), (), np.ones(3), None, np.array([0.5]), np.array([0]), np.array([0]), (1,)
    )
    prior = CovarianceRelativeEntropy().bind(context)
    solution = maximise(prior, np.append(empty, 1.0))
    found = importance_evidence(
        prior, solution.psi, solution.evaluation.hessian, n=20_000, positive=np.array([True])
    )
    assert abs(found.value - prior.log_normaliser()) < 4.0 * found.error < 0.1
    sample = posterior_sample(
        prior, solution.psi, solution.evaluation.hessian, positive=np.array([True])
    )
    assert sample.resample(500).min() > 0.0


def test_same_seed_same_draws_and_fixed_parameters_stay(make_model):
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(40), rng.standard_normal((40, 2))])
    mode = make_model(x, rng.random(40) < 0.4).fit_at(3.0)
    arguments = (mode.fit, mode.psi, mode.evaluation.hessian)
    first, again = (posterior_sample(*arguments, n=200, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.draws, again.draws)
    assert (posterior_sample(*arguments, n=200, seed=6).draws != first.draws).any()
    assert first.draws.shape == (200, 3)
    assert first.weights.sum() == pytest.approx(1.0)
    held = posterior_sample(*arguments, n=200, free=np.array([True, False, True]))
    assert (held.draws[:, 1] == mode.psi[1]).all()
    assert np.ptp(held.draws[:, 0]) > 0.0


class Ridge:
    """A density that its mode knows nothing of: N(0, 1e-4) with a little N(0, 1) around."""

    def evaluate(self, psi):
        inside = np.exp(-0.5e4 * float(psi @ psi))
        wide = 1e-12 * np.exp(-0.5e-6 * float(psi @ psi))
        return Evaluation(float(np.log(inside + wide)), np.zeros(psi.size), -1e4 * np.eye(psi.size))


def test_a_poor_sample_says_so():
    sample = posterior_sample(Ridge(), np.zeros(3), -1e4 * np.eye(3), n=60)
    assert [d.code for d in sample.diagnostics] == ["posterior-sample-poor"]
    assert sample.ess < 100.0


class Nowhere:
    def evaluate(self, psi):
        return Evaluation(0.0, np.zeros(1), -np.eye(1), Status.NOT_FINITE)


def test_draws_without_any_weight_are_equal_and_worthless():
    sample = posterior_sample(Nowhere(), np.zeros(1), -np.eye(1), n=50)
    assert sample.ess == 0.0
    assert sample.log_evidence.value == -np.inf
    assert sample.weights.sum() == pytest.approx(1.0)
    assert sample.diagnostics


@pytest.mark.parametrize(
    ("hessian", "n", "message"),
    [
        (np.diag([-1.0, 1.0]), 100, "not negative definite"),
        (np.diag([-1.0, 0.0]), 100, "singular"),
        (-np.eye(2), 1, "at least 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make_model, hessian, n, message):
    objective = make_model(np.eye(4)[:, :2], np.array([1.0, 0, 1, 0])).objective(2.0)
    with pytest.raises(OptionError, match=message):
        posterior_sample(objective, np.zeros(2), hessian, n)
