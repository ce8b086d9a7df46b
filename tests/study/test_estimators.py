"""Every estimator on a small data set: finite, in order, on the scales that it says."""

from __future__ import annotations

import numpy as np
import pytest

import multilogit as ml
from multilogit.study import StudyError
from multilogit.study.designs import Cell, Covariate
from multilogit.study.estimators import ESTIMATORS, Settings, estimator_named, nuts
from multilogit.study.estimators.nuts import effective_size, split_rhat
from multilogit.study.generate import Simulator

CELL = Cell("c", groups=12, group_size=8, covariates=(Covariate("x", beta=0.6),))
SLOPES = Cell(
    "s",
    groups=25,
    group_size=10,
    covariates=(Covariate("x", beta=0.6, slope=True),),
    sd=(1.0, 1.0),
)
SETTINGS = Settings(("wald", "posterior", "profile"))
HEAVY = [name for name, entry in ESTIMATORS.items() if entry.needs]
LIGHT = [name for name, entry in ESTIMATORS.items() if not entry.needs]


@pytest.mark.parametrize("name", LIGHT)
def test_own_estimators(name: str) -> None:
    data = Simulator("d", CELL).draw(1)
    (found,) = estimator_named(name).make(SETTINGS).fit([data], [0])
    assert found.converged
    assert found.seconds > 0.0
    assert np.isfinite(found.estimate).all()
    assert (found.se > 0.0).all()
    bayes = not name.startswith("ml")
    assert set(found.intervals) == {"wald", "profile"} | ({"posterior"} if bayes else set())
    for ends in found.intervals.values():
        assert (ends[:, 0] < found.estimate).all()
        assert (found.estimate < ends[:, 1]).all()
    assert (found.posterior_below is not None) == bayes


def test_values_are_those_of_the_fit() -> None:
    data = Simulator("d", SLOPES).draw(0)
    (found,) = estimator_named("relative-entropy").make(SETTINGS).fit([data], [0])
    fit = ml.fit(data.formula, data.frame, prior=ml.RelativeEntropy(), threads=1)
    wald = fit.confint()
    assert list(data.layout.names) == list(wald.index)
    assert np.allclose(found.intervals["wald"], wald.to_numpy(), rtol=1e-5)
    assert np.allclose(found.estimate[:2], fit.coef)
    components = fit.variance_components
    assert np.allclose(found.estimate[2:4] ** 2, components["variance"])
    assert np.allclose(found.se[2:4], components["log_sd_error"], rtol=1e-5)
    spread = found.intervals["posterior"][:2, 1] - found.estimate[:2]
    assert np.allclose(spread, 1.959964 * fit.posterior_sd.to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["relative-entropy", "relative-entropy-sampled", "ml"])
def test_a_column_that_was_dropped_is_a_result(name: str) -> None:
    data = Simulator("d", CELL).draw(0)
    data.frame["x"] = 1.0
    data.X[:, 1] = 1.0
    (found,) = estimator_named(name).make(Settings()).fit([data], [0])
    assert np.isfinite(found.estimate[0])
    assert np.isnan(found.estimate[1:]).all()


def test_information_in_log_standard_deviations() -> None:
    data = Simulator("d", CELL).draw(0)
    settings = Settings(("wald", "wald-log-sd"))
    (found,) = estimator_named("relative-entropy").make(settings).fit([data], [0])
    fit = ml.fit(data.formula, data.frame, prior=ml.RelativeEntropy(), threads=1)
    sd, gradient, hessian = fit.theta.iloc[0], fit.likelihood.gradient, fit.likelihood.hessian
    J = np.diag([1.0, 1.0, sd])  # dψ/d(β, log σ)
    in_log_sd = J @ hessian @ J + np.diag([0.0, 0.0, sd * gradient[2]])
    se = np.sqrt(np.diag(np.linalg.inv(-in_log_sd)))
    ends = data.layout.working(found.intervals["wald-log-sd"])
    assert np.allclose(ends[:, 1] - ends[:, 0], 2.0 * 1.959963985 * se, rtol=1e-6)
    assert abs(se[2] / found.se[2] - 1.0) > 0.01  # they differ where a prior pulls


def test_separation_is_a_result() -> None:
    data = Simulator("d", CELL).draw(0)
    data.frame["y"] = (data.frame["x"] > 0).astype(float)
    (found,) = estimator_named("ml").make(SETTINGS).fit([data], [0])
    assert not found.converged
    assert found.status != "converged"
    (penalised,) = estimator_named("relative-entropy").make(SETTINGS).fit([data], [0])
    assert penalised.converged
    assert np.abs(penalised.estimate).max() < 30.0


def test_an_estimator_that_raises_is_a_failure_not_an_exception() -> None:
    data = Simulator("d", CELL).draw(0)
    data.frame["y"] = 2.5
    (found,) = estimator_named("ml").make(SETTINGS).fit([data], [0])
    assert found.status == "failed"
    assert "DataError" in found.notes[0]
    assert np.isnan(found.estimate).all()


def test_unknown_estimators_are_named() -> None:
    with pytest.raises(StudyError, match="'mle'"):
        estimator_named("mle")


@pytest.mark.skipif(not ESTIMATORS["lme4"].available(), reason="R with lme4 is not installed")
def test_lme4_agrees_with_maximum_likelihood() -> None:
    data = [Simulator("d", CELL).draw(k) for k in (1, 2)]
    ours = estimator_named("ml").make(SETTINGS).fit(data, [0, 0])
    theirs = estimator_named("lme4").make(SETTINGS).fit(data, [0, 0])
    for mine, other in zip(ours, theirs, strict=True):
        assert other.converged
        assert np.allclose(mine.estimate, other.estimate, atol=2e-3)
        assert np.allclose(mine.se[:2], other.se[:2], rtol=0.02)
        assert np.isnan(other.intervals["wald"][2]).all()


@pytest.mark.skipif(not ESTIMATORS["nuts"].available(), reason="NumPyro is not installed")
def test_nuts_agrees_with_importance_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marginal posterior by two ways that share nothing but the model."""
    monkeypatch.setattr(nuts, "WARMUP", 300)
    monkeypatch.setattr(nuts, "DRAWS", 400)
    cell = Cell("n", groups=8, group_size=10, covariates=(Covariate("x", beta=0.6),))
    data = Simulator("d", cell).draw(3)
    (found,) = estimator_named("nuts").make(SETTINGS).fit([data], [7])
    assert found.converged
    fit = ml.fit(data.formula, data.frame, prior=ml.RelativeEntropy(), nodes=25, threads=1)
    sample = fit.posterior_sample(4000, seed=1)
    assert sample.ess > 500
    medians = np.abs(sample.quantile(0.5)[0])
    spread = np.sqrt(np.diag(sample.covariance))
    assert (np.abs(found.estimate - medians) < 0.25 * spread).all()
    assert found.numbers["rhat"] <= 1.01


def test_diagnostics_of_chains() -> None:
    rng = np.random.default_rng(0)
    independent = rng.standard_normal((4, 1000))
    assert abs(split_rhat(independent) - 1.0) < 0.01
    assert 3000 < effective_size(independent) < 5500
    apart = independent + np.array([[0.0], [0.0], [0.0], [3.0]])
    assert split_rhat(apart) > 1.3
    walk = np.zeros((4, 4000))
    noise = rng.standard_normal(walk.shape)
    for k in range(1, 4000):  # AR(1) with ρ = .9: n (1 − ρ)/(1 + ρ)
        walk[:, k] = 0.9 * walk[:, k - 1] + noise[:, k]
    assert 0.6 < effective_size(walk) / (16000 * 0.1 / 1.9) < 1.6
    assert split_rhat(np.ones((4, 10))) == np.inf
