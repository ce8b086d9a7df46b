"""Priors, chosen strengths and separation in multinomial models with random effects."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from categorical_data import simulate
from laplace_reference import central_differences
from likelihood.reference_multinomial import Factor, grouped
from numpy.typing import NDArray

import multilogit as ml
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.sensitivity_analysis import prior_strength

Array = NDArray[np.float64]
BETA = [[0.3, 0.5], [-0.2, -0.6]]
SIGMA = [[1.0, 0.4], [0.4, 0.7]]
FORMULA = "y ~ x + (1 | g)"


@cache
def data() -> pd.DataFrame:
    return simulate(3, BETA, SIGMA, groups=40, size=10)


def codes(fit: ml.Fit) -> dict[str, str]:
    return {noticed.code: noticed.message for noticed in fit.diagnostics}


# -- what the priors are ---------------------------------------------------------------------


def test_relative_entropy_is_data_at_the_centre_of_the_random_effects() -> None:
    kappa, u = 5.0, np.array([0.2, 0.5, 0.3])
    prior = ml.RelativeEntropy(kappa, tuple(u), covariance=None)
    fit = ml.fit(FORMULA, data(), prior=prior)
    real = data().assign(w=1.0, z=1.0)
    pseudo = [
        real.assign(y=c, w=kappa * share / len(real), z=0.0)
        for c, share in zip("abc", u, strict=True)
    ]
    augmented = pd.concat([real, *pseudo])
    again = ml.fit("y ~ x + (0 + z | g)", augmented, weights="w")
    np.testing.assert_allclose(fit.coef, again.coef, atol=1e-7)
    np.testing.assert_allclose(fit.theta, again.theta, atol=1e-6)
    np.testing.assert_allclose(fit.posterior_covariance, again.covariance, atol=1e-7)


def test_the_gradient_of_an_independent_objective_vanishes() -> None:
    # −κ_b KL(N(0, Σ) ‖ N(0, s²R)), R_bc = ½, written out; the likelihood in dense algebra.
    small = simulate(2, BETA, SIGMA, groups=8, size=6)
    fit = ml.fit(FORMULA, small, prior=ml.CovarianceRelativeEntropy(2.0, 3.0))
    X = np.column_stack([np.ones(len(small)), small["x"]])
    y = np.asarray(pd.get_dummies(small["y"]), dtype=float)[:, 1:]
    reference = 9.0 * np.array([[1.0, 0.5], [0.5, 1.0]])
    structure = CovarianceStructure.of_blocks((2,))

    def objective(psi: Array) -> float:
        Lambda = structure.Lambda(psi[4:])
        group = small["g"].to_numpy(np.int32)
        factor = Factor(np.ones((len(small), 2)), (0, 1), Lambda, group)
        ratio = np.linalg.solve(reference, Lambda @ Lambda.T)
        divergence = 0.5 * (np.trace(ratio) - 2.0 - np.linalg.slogdet(ratio)[1])
        return grouped(X, factor, y, np.ones(len(small)), psi[:4]) - 2.0 * divergence

    close = fit.loglik + fit.log_prior
    assert objective(fit.solution.psi) == pytest.approx(close, abs=1e-9)
    gradient = central_differences(objective, fit.solution.psi)
    assert np.abs(gradient).max() < 1e-6


def test_the_default_strength_has_jeffreys_amount_of_information() -> None:
    fit = ml.fit(FORMULA, data(), prior=ml.RelativeEntropy())
    assert prior_strength(fit) == 2 * 3 / 2


@pytest.mark.parametrize(
    "prior",
    [
        ml.ShannonEntropy(),
        ml.Normal(2.5, covariance=ml.Wishart()),
        ml.StudentT(4.0),
        ml.Cauchy(),
        ml.Jeffreys(),
        ml.SoftPenalty(),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_every_prior_has_its_maximum(prior: Any) -> None:
    fit = ml.fit(FORMULA, data(), prior=prior)
    free = ml.fit(FORMULA, data())
    assert fit.converged
    assert fit.solution.n_evaluations <= 10
    # All are weak here: estimates move, but by less than a standard error.
    assert 1e-6 < np.abs((fit.coef - free.coef) / free.se).max() < 1.0
    assert fit.loglik < free.loglik


@pytest.mark.parametrize("strength", ["auto", "cv"])
def test_the_strength_is_chosen_from_the_data(strength: Any) -> None:
    fit = ml.fit(FORMULA, data(), prior=ml.RelativeEntropy(strength))
    assert fit.converged
    assert fit.evidence is not None
    assert fit.evidence.status == "interior"
    low, high = fit.evidence.bounds
    assert low < fit.evidence.chosen < high
    assert prior_strength(fit) == fit.evidence.chosen
    fixed = ml.fit(FORMULA, data(), prior=ml.RelativeEntropy(fit.evidence.chosen))
    np.testing.assert_allclose(fit.coef, fixed.coef, atol=1e-6)


def test_the_chosen_strength_does_not_depend_on_the_baseline() -> None:
    prior = ml.RelativeEntropy("cv")
    one, other = (ml.fit(FORMULA, data(), prior=prior, baseline=c).evidence for c in "ab")
    assert one is not None
    assert other is not None
    assert one.chosen == pytest.approx(other.chosen, rel=0.05)


# -- categories that are absent, rare or separated ---------------------------------------------


def finite(frame: pd.DataFrame) -> ml.Fit:
    """The same data with the entropy prior: everything is finite and believable."""
    fit = ml.fit(FORMULA, frame, prior=ml.RelativeEntropy())
    assert fit.converged
    assert np.isfinite(fit.se).all()
    assert fit.coef.abs().max() < 30.0
    assert fit.variance_components["sd"].max() < 15.0
    return fit


def test_an_absent_category() -> None:
    declared = data().assign(y=pd.Categorical(data()["y"], list("abcz")))
    for fit in (ml.fit(FORMULA, declared), finite(declared)):
        assert "'z'" in codes(fit)["unused-categories"]
        assert list(fit.predict().columns) == ["a", "b", "c"]
        assert fit.converged


def test_a_category_seen_once() -> None:
    once = data().copy()
    once.loc[17, "y"] = "d"
    assert "'d'" in codes(ml.fit(FORMULA, once))["rare-category"]
    fit = finite(once)
    assert "'d'" in codes(fit)["rare-category"]
    assert 0.0 < fit.predict()["d"].mean() < 0.02


def test_a_category_that_a_predictor_separates() -> None:
    separated = data().copy()
    separated.loc[separated["x"] > 1.2, "y"] = "d"
    fit = ml.fit(FORMULA, separated)
    assert not fit.converged
    (error,) = [noticed for noticed in fit.diagnostics if noticed.severity == "error"]
    assert error.code == "separation"
    assert error.facts["infinite"] == {"logit[d] (Intercept)": "-inf", "logit[d] x": "+inf"}
    assert "ml.RelativeEntropy()" in error.remedy
    shown = finite(separated).predict(pd.DataFrame({"x": [0.0, 2.0]}), level="population")
    assert shown["d"][0] < 0.01
    assert shown["d"][1] > 0.9


def test_a_category_that_belongs_to_some_groups() -> None:
    grouping = data().copy()
    grouping.loc[grouping["g"] < 8, "y"] = "d"
    fit = ml.fit(FORMULA, grouping)
    assert not fit.converged
    assert "which rows are 'd'" in codes(fit)["joint-separation"]
    finite(grouping)
