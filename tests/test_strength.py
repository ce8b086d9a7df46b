"""The strength of the prior chosen by ``fit``: bounds, curves, what is reported and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln
from test_reference import MIXED_MODELS, close

import multilogit as ml
from multilogit.evidence.strength import EvidenceCurve
from multilogit.result import Fit


def curve_of(fit: Fit) -> EvidenceCurve:
    assert fit.evidence is not None
    return fit.evidence


def simulated(seed: int, slope: float, n: int = 120, groups: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    g = np.arange(n) % groups
    eta = slope * x + 0.5 * rng.normal(size=groups)[g]
    y = (rng.uniform(size=n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


MODELS = ["y ~ x + z", "y ~ x + z + (1 | g)"]
BOUNDS = (0.3, 120.0)


def check_choice(fit: Fit, bounds: tuple[float, float]) -> None:
    """A trustworthy fit at the strength with the largest objective, inside the bounds."""
    curve = curve_of(fit)
    assert fit.converged
    assert curve.bounds == pytest.approx(bounds)
    assert bounds[0] <= curve.chosen <= bounds[1]
    assert curve.kappa[np.nanargmax(curve.objective)] == pytest.approx(curve.chosen)
    assert (np.diff(curve.kappa) > 0.0).all()
    assert curve.n_fits <= 10
    assert fit.options.prior.strength == curve.chosen  # type: ignore[union-attr]


# -- empirical Bayes -----------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["tempered", "marginal", "uniform"])
def test_endometrial_strength_is_between_two_and_eight(
    reference_data: Path, reference: Any
) -> None:
    data = pd.read_csv(reference_data / "endometrial.csv")
    prior = ml.RelativeEntropy("auto", reference=reference)
    fit = ml.fit("HG ~ NV + PI + EH", data, prior=prior)
    check_choice(fit, (0.4, 79.0))
    assert 2.0 < curve_of(fit).chosen < 8.0
    assert curve_of(fit).status == "interior"
    assert fit.coef["NV"] < 5.0


def separated(seed: int) -> pd.DataFrame:
    data = simulated(seed, 0.0)
    return data.assign(y=(data["x"] > 0.0).astype(float))


@pytest.mark.parametrize("seed", range(3))
def test_complete_separation_does_not_send_the_strength_to_zero(seed: int) -> None:
    fit = ml.fit("y ~ x + z", separated(seed), prior=ml.RelativeEntropy("auto"))
    check_choice(fit, BOUNDS)
    assert curve_of(fit).status == "interior"
    assert curve_of(fit).chosen < 3.0  # weaker than the default: x does have an effect
    assert not fit.diagnostics


@pytest.mark.parametrize("seed", range(3))
def test_complete_separation_of_clusters_ends_at_the_bound_and_says_so(seed: int) -> None:
    fit = ml.fit(MODELS[1], separated(seed), prior=ml.RelativeEntropy("auto"))
    check_choice(fit, BOUNDS)
    assert curve_of(fit).chosen == pytest.approx(0.3)
    (found,) = fit.diagnostics
    assert found.code == "strength-at-bound"


@pytest.mark.parametrize("formula", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_null_effects_do_not_send_the_strength_to_infinity(formula: str, seed: int) -> None:
    fit = ml.fit(formula, simulated(seed, 0.0), prior=ml.RelativeEntropy("auto"))
    check_choice(fit, BOUNDS)
    assert curve_of(fit).status == "interior"
    assert curve_of(fit).chosen > 3.0  # stronger than the default


def test_more_effect_means_less_strength() -> None:
    chosen = [
        curve_of(ml.fit("y ~ x + z", simulated(7, slope), prior=ml.RelativeEntropy("auto"))).chosen
        for slope in (0.0, 1.0, 3.0)
    ]
    assert chosen[0] > chosen[1] > chosen[2]


@pytest.mark.parametrize("strength", ["auto", "cv"])
@pytest.mark.parametrize("formula", MODELS)
def test_the_fit_is_the_one_at_the_chosen_strength(formula: str, strength: Any) -> None:
    data = simulated(4, 1.0)
    found = ml.fit(formula, data, prior=ml.RelativeEntropy(strength))
    check_choice(found, BOUNDS)
    assert curve_of(found).criterion == {"auto": "evidence", "cv": "cv"}[strength]
    again = ml.fit(formula, data, prior=ml.RelativeEntropy(curve_of(found).chosen))
    assert again.evidence is None
    close(found.coef, again.coef, 1e-6)
    close(found.theta, again.theta, 1e-6)
    close(found.se, again.se, 1e-6)


def test_the_evidence_of_an_intercept_is_a_ratio_of_beta_functions() -> None:
    """∫ e^ℓ dπ = B(y + κ/2, n − y + κ/2) / B(κ/2, κ/2): Laplace errs in the numerator only."""
    data = pd.DataFrame({"y": [70], "n": [200]})
    fit = ml.fit("y ~ 1", data, trials="n", prior=ml.RelativeEntropy("auto", reference="uniform"))
    curve = curve_of(fit)
    half = 0.5 * curve.kappa
    exact = betaln(70.0 + half, 130.0 + half) - betaln(half, half)
    np.testing.assert_allclose(curve.score, exact, rtol=0, atol=0.01)
    numerator = fit.posterior_sample(4000, seed=2).log_evidence
    kappa = curve.chosen
    at = np.argmin(np.abs(curve.kappa - kappa))
    constant = kappa * np.log(2.0) + betaln(0.5 * kappa, 0.5 * kappa)
    assert numerator.value - constant == pytest.approx(exact[at], abs=4.0 * numerator.error)


def test_nodes_and_starts_are_those_asked_for() -> None:
    data = simulated(6, 1.0)
    prior = ml.RelativeEntropy("auto")
    fit = ml.fit(MODELS[1], data, prior=prior, nodes="auto", starts=2)
    assert fit.options.nodes > 1  # type: ignore[operator]
    assert "nodes" in [diagnostic.code for diagnostic in fit.diagnostics]
    check_choice(fit, BOUNDS)


def test_three_categories() -> None:
    rng = np.random.default_rng(8)
    data = simulated(8, 1.0).assign(y=rng.choice(list("abc"), 120))
    fit = ml.fit("y ~ x + z", data, prior=ml.RelativeEntropy("auto"))
    check_choice(fit, (0.45, 120.0))  # p J / 2 = 4.5 by default
    assert curve_of(fit).chosen > 4.5


def test_correlated_slopes() -> None:
    formula, data = MIXED_MODELS["contraception__slope"]
    fit = ml.fit(formula, data(), prior=ml.RelativeEntropy("auto"))
    check_choice(fit, (0.7, 1934.0))
    assert (curve_of(fit).error < 0.1).all()


# -- cross-validation ----------------------------------------------------------------------------


def test_shannon_entropy_by_cross_validation() -> None:
    fit = ml.fit("y ~ x + z", simulated(9, 0.5), prior=ml.ShannonEntropy("cv"))
    check_choice(fit, BOUNDS)
    assert isinstance(fit.options.prior, ml.ShannonEntropy)


def test_the_log_score_is_that_of_refits_without_each_row() -> None:
    data = simulated(10, 1.0, n=60)
    fit = ml.fit("y ~ x", data, prior=ml.RelativeEntropy("cv", reference="uniform"))
    curve = curve_of(fit)
    score = 0.0
    for row in data.index:
        # λ = κ/Σn is the same for all rows: without one of them κ is smaller by as much
        prior = ml.RelativeEntropy(curve.chosen * (1.0 - 1.0 / 60.0), reference="uniform")
        left = ml.fit("y ~ x", data.drop(index=row), prior=prior)
        pi = left.predict(data.loc[[row]]).iloc[0]
        score += np.log(pi if data["y"][row] == 1.0 else 1.0 - pi)
    assert curve.score[curve.kappa == curve.chosen][0] == pytest.approx(score, abs=0.05)


def test_a_sum_with_one_open_strength() -> None:
    data = simulated(11, 1.0)
    prior = ml.RelativeEntropy("cv", covariance=None) + ml.Wishart()
    fit = ml.fit(MODELS[1], data, prior=prior)
    assert fit.converged
    assert curve_of(fit).criterion == "cv"
    assert fit.theta.iloc[0] > 0.0


# -- what is refused, and shown --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "named"),
    [
        (ml.RelativeEntropy("auto") + ml.Normal(2.5), "only prior"),
        (ml.RelativeEntropy("cv") + ml.RelativeEntropy("cv"), "exactly one"),
    ],
    ids=["auto-beside-another", "two-open"],
)
def test_what_cannot_be_chosen_is_refused(prior: Any, named: str) -> None:
    with pytest.raises(ml.OptionError, match=named):
        ml.fit("y ~ x", simulated(12, 1.0), prior=prior)


def test_the_curve_is_plotted(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data = simulated(13, 1.0)
    fit = ml.fit("y ~ x", data, prior=ml.RelativeEntropy("auto"))
    path = tmp_path / "evidence.png"
    figure = fit.plot.evidence(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert f"chosen: {curve_of(fit).chosen:.3g}" in labels
    with pytest.raises(ml.OptionError, match="strength='auto'"):
        ml.fit("y ~ x", data).plot.evidence()
