"""Priors through ``fit``: published numbers, identities, and what a penalised fit reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_reference import MIXED_MODELS, close

import multilogit as ml
from multilogit.evaluation import Evaluation
from multilogit.result import Fit

ENDOMETRIAL = "HG ~ NV + PI + EH"
CULCITA = "predation ~ ttt + (1 | block)"


@pytest.fixture(scope="module")
def endometrial(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "endometrial.csv")


@pytest.fixture(scope="module")
def culcita(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "culcita.csv")


# -- endometrial ---------------------------------------------------------------------------------


def test_maximum_likelihood_names_what_is_infinite(endometrial: pd.DataFrame) -> None:
    fit = ml.fit(ENDOMETRIAL, endometrial)
    assert not fit.converged
    (found,) = fit.diagnostics
    assert found.severity == "error"
    assert "Quasi-complete" in found.message
    assert "'NV' (+inf)" in found.message
    assert "ml.RelativeEntropy()" in found.remedy


PUBLISHED = {  # intercept, NV, PI, EH and standard errors
    # Rigon & Aliverti (2023): Diaconis–Ylvisaker with κ = p, Clogg et al. (1991), Firth (1993)
    "uniform": ([3.579, 3.431, -0.034, -2.458], [1.459, 1.893, 0.040, 0.748]),
    "marginal": ([3.622, 3.223, -0.034, -2.511], [1.471, 1.722, 0.040, 0.761]),
    "jeffreys": ([3.775, 2.929, -0.035, -2.604], [1.489, 1.551, 0.040, 0.776]),
}
PRIORS: dict[str, Any] = {
    "uniform": ml.RelativeEntropy(reference="uniform"),
    "marginal": ml.RelativeEntropy(reference="marginal"),
    "jeffreys": ml.Jeffreys(),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_endometrial_as_published(endometrial: pd.DataFrame, name: str) -> None:
    fit = ml.fit(ENDOMETRIAL, endometrial, prior=PRIORS[name])
    assert fit.converged
    assert fit.se_source == "likelihood"
    close(fit.coef, PUBLISHED[name][0], 5.1e-4)
    close(fit.se, PUBLISHED[name][1], 5.1e-4)


def test_endometrial_by_default(endometrial: pd.DataFrame) -> None:
    fit = ml.fit(ENDOMETRIAL, endometrial, prior=ml.RelativeEntropy())
    close([fit.coef["NV"], fit.se["NV"], fit.posterior_sd["NV"]], [3.271, 1.760, 1.717], 5.1e-4)


@pytest.mark.parametrize(
    ("name", "sd"), [("uniform", 1.847), ("marginal", 1.680), ("jeffreys", 1.536)]
)
def test_posterior_sd_of_endometrial(endometrial: pd.DataFrame, name: str, sd: float) -> None:
    fit = ml.fit(ENDOMETRIAL, endometrial, prior=PRIORS[name])
    assert fit.posterior_sd["NV"] == pytest.approx(sd, abs=5.1e-4)


def test_jeffreys_equals_brglm2(endometrial: pd.DataFrame) -> None:
    # brglm2 0.9, type = "MPL_Jeffreys", epsilon = 1e-12
    fit = ml.fit(ENDOMETRIAL, endometrial, prior=ml.Jeffreys())
    close(fit.coef, [3.77455971364703, 2.92927335319709, -0.0347517598704338, -2.60416392529365],
          1e-6)  # fmt: skip
    close(fit.se, [1.48869166343565, 1.55076372945304, 0.0395781473477631, 0.776017642501561],
          1e-6)  # fmt: skip
    assert fit.loglik == pytest.approx(-28.287697325521, abs=1e-6)


# -- culcita: Sterzinger & Kosmidis (2023), table 2 and supplement, table S1 ----------------------

MSPL = {  # by quadrature with 100 nodes: (rows, reference category) → coefficients, log sd
    (80, "none"): ([4.23, -3.40, -3.93, -4.95], 1.13),
    (79, "none"): ([8.05, -6.90, -7.87, -9.64], 1.72),
    (79, "both"): ([-1.59, 9.63, 2.74, 1.77], 1.72),
}


def culcita_of(data: pd.DataFrame, rows: int, reference: str) -> pd.DataFrame:
    """All 80 rows, or those without the atypical one; the levels in the order of the tables."""
    others = [level for level in ("none", "crabs", "shrimp", "both") if level != reference]
    data = data.drop(index=19) if rows == 79 else data
    return data.assign(ttt=pd.Categorical(data["ttt"], [reference, *others]))


@pytest.mark.parametrize(("rows", "reference"), MSPL)
def test_soft_penalty_as_published(culcita: pd.DataFrame, rows: int, reference: str) -> None:
    data = culcita_of(culcita, rows, reference)
    fit = ml.fit(CULCITA, data, prior=ml.SoftPenalty(), nodes=30)
    assert fit.converged
    beta, log_sd = MSPL[rows, reference]
    close(fit.coef, beta, 0.0105)  # published to two digits, by optimisers with finite differences
    close(np.log(fit.theta), [log_sd], 5.1e-3)


def test_soft_penalty_by_laplace(culcita: pd.DataFrame) -> None:
    # n = 79 by a polished optimiser: 7.987 −6.909 −7.835 −9.565, log sd 1.728
    fit = ml.fit(CULCITA, culcita_of(culcita, 79, "none"), prior=ml.SoftPenalty())
    close(fit.coef, [7.987, -6.909, -7.835, -9.565], 5.1e-4)
    close(np.log(fit.theta), [1.728], 5.1e-4)


@pytest.mark.parametrize("rows", [80, 79])
@pytest.mark.parametrize("nodes", [1, 30])
def test_the_coding_does_not_matter(culcita: pd.DataFrame, rows: int, nodes: int) -> None:
    none, both = (
        ml.fit(
            CULCITA,
            culcita_of(culcita, rows, reference),
            prior=ml.SoftPenalty(),
            nodes=nodes,
            tolerance=1e-10,
        )
        for reference in ("none", "both")
    )
    effect = none.coef["tttboth"]
    expected = {
        "(Intercept)": none.coef["(Intercept)"] + effect,
        "tttnone": -effect,
        "tttcrabs": none.coef["tttcrabs"] - effect,
        "tttshrimp": none.coef["tttshrimp"] - effect,
    }
    close(both.coef[list(expected)], list(expected.values()), 1e-8)
    close(both.theta, none.theta, 1e-8)


# -- rare events, pseudo-observations, strength to zero --------------------------------------------


@pytest.mark.parametrize(
    ("prior", "share"),
    [
        (ml.RelativeEntropy(50, "uniform"), 0.0333),
        (ml.RelativeEntropy(50, "marginal"), 0.0100),
        (ml.ShannonEntropy(50, floor=0.0), 0.0127),
    ],
    ids=["uniform", "marginal", "shannon"],
)
def test_rare_events(prior: Any, share: float) -> None:
    """1 % of 1000, λ = .05, by brute force."""
    data = pd.DataFrame({"event": [10], "n": [1000]})
    fit = ml.fit("event ~ 1", data, trials="n", prior=prior)
    assert fit.predict()[0] == pytest.approx(share, abs=5.1e-5)


def categories(seed: int, levels: str, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    utility = 0.8 * np.outer(x, np.arange(len(levels))) + rng.gumbel(size=(n, len(levels)))
    y = np.array(list(levels))[utility.argmax(axis=1)]
    return pd.DataFrame({"y": y, "x": x, "z": z, "w": rng.integers(1, 4, n).astype(float)})


@pytest.mark.parametrize(("levels", "kappa"), [("ab", 3.0), ("ab", 0.4), ("abc", 5.0)])
@pytest.mark.parametrize("reference", ["tempered", "marginal", "uniform"])
def test_it_is_augmented_data(levels: str, kappa: float, reference: Any) -> None:
    """κ pseudo-observations with shares u, spread over the rows: maximum likelihood of both."""
    data = categories(1, levels)
    prior = ml.RelativeEntropy(kappa, reference)
    options: dict[str, Any] = {"weights": "w", "tolerance": 1e-10}
    penalised = ml.fit("y ~ x + z", data, prior=prior, **options)
    total = data["w"].sum()
    share = {level: data.loc[data["y"] == level, "w"].sum() / total for level in levels}
    flat = {"tempered": min(kappa, 1.0) / kappa, "marginal": 0.0, "uniform": 1.0}[reference]
    u = {level: flat / len(levels) + (1.0 - flat) * share[level] for level in levels}
    pseudo = [data.assign(y=level, w=kappa * u[level] * data["w"] / total) for level in levels]
    same = ml.fit("y ~ x + z", pd.concat([data, *pseudo]), **options)
    assert penalised.converged
    close(penalised.coef, same.coef, 1e-9)
    close(penalised.posterior_sd, same.se, 1e-9)


@pytest.mark.parametrize("levels", ["ab", "abc"])
def test_weak_priors_approach_maximum_likelihood(levels: str) -> None:
    data = categories(2, levels)
    likely = ml.fit("y ~ x + z", data)
    for kappa, least, most in ((1e-2, 1e-6, 1e-2), (1e-6, 0.0, 1e-6)):
        for prior in (ml.RelativeEntropy(kappa), ml.ShannonEntropy(kappa, floor=0.0)):
            distance = (ml.fit("y ~ x + z", data, prior=prior).coef - likely.coef).abs().max()
            assert least < distance < most


def test_weak_priors_approach_maximum_likelihood_of_mixed_models() -> None:
    formula, data = MIXED_MODELS["contraception__slope"]
    likely = ml.fit(formula, data())
    weak = ml.fit(formula, data(), prior=ml.RelativeEntropy(1e-6, covariance=None))
    close(weak.coef, likely.coef, 1e-6)
    close(weak.theta, likely.theta, 1e-6)
    close(weak.se, likely.se, 1e-6)
    close(weak.posterior_sd, likely.se, 1e-6)
    assert weak.effective_df == pytest.approx(likely.n_parameters, abs=1e-5)


# -- what a penalised fit reports ------------------------------------------------------------------


def test_blme_by_fit() -> None:
    """Priors of R's blme; the posterior mode by TMB."""
    oracles = json.loads((Path(__file__).parent / "prior/oracles/map.json").read_text())
    expected = oracles["contraception__slope__TMB_MAP_wishart_fixef"]
    formula, data = MIXED_MODELS["contraception__slope"]
    fit = ml.fit(formula, data(), prior=ml.Wishart() + ml.Normal(2.5, intercept=10))
    assert fit.converged
    close(fit.coef, expected["beta"], 1e-7)
    (effects,) = fit.random
    close(effects.Lambda @ effects.Lambda.T, expected["covariance"], 1e-7)


def test_effective_degrees_of_freedom_fall_with_the_strength() -> None:
    data = categories(3, "ab")
    fits = [ml.fit("y ~ x + z", data, prior=ml.RelativeEntropy(k)) for k in (0.01, 1.0, 10.0, 1e4)]
    df = [fit.effective_df for fit in fits]
    assert 3.0 > df[0] > df[1] > df[2] > df[3] > 0.0
    assert df[0] == pytest.approx(3.0, abs=1e-2)
    for fit in fits:
        assert fit.aic == pytest.approx(-2.0 * fit.loglik + 2.0 * fit.effective_df)
        assert fit.log_prior < 0.0
    assert fits[-1].coef.drop("(Intercept)").abs().max() < 0.01


def test_errors_come_from_the_posterior_where_the_likelihood_is_not_concave() -> None:
    """A standard deviation held near 0, where ℓ is convex in it: −ℓ″ is indefinite."""
    formula, data = MIXED_MODELS["cbpp__herd"]
    fit = ml.fit(formula, data(), prior=ml.CovarianceRelativeEntropy(1e4, 0.05))
    assert fit.converged
    assert fit.se_source == "posterior"
    close(fit.se, fit.posterior_sd, 0.0)
    assert "the posterior" in str(fit.summary())
    likely = ml.fit(formula, data(), prior=ml.RelativeEntropy())
    assert likely.se_source == "likelihood"


@pytest.mark.parametrize("bar", ["(1 | g)", "(x | g)"])
def test_a_prior_that_forbids_zero_keeps_the_smallest_standard_deviation(bar: str) -> None:
    """The data say 0, where log|Σ| is −∞: however weak the prior, that is no maximum."""
    x = np.random.default_rng(1).normal(size=1200)
    data = {"y": np.tile([0, 1], 600), "x": x, "g": np.repeat(np.arange(60), 20)}
    weak = ml.RelativeEntropy(covariance=ml.CovarianceRelativeEntropy(strength=1e-7))
    fit = ml.fit(f"y ~ x + {bar}", data, prior=weak)
    assert fit.converged
    assert np.isfinite(fit.solution.evaluation.value)
    assert 0.0 < np.linalg.svd(fit.random[0].Lambda, compute_uv=False)[-1] < 1e-3
    assert "singular" not in [noticed.code for noticed in fit.diagnostics]


class Ridge:
    """A user's own prior."""

    def evaluate(self, psi: Any) -> Evaluation:
        return Evaluation(-0.5 * float(psi @ psi), -psi, -np.eye(psi.size))


@pytest.mark.parametrize("levels", ["ab", "abc"])
def test_a_users_own_prior(levels: str) -> None:
    data = categories(4, levels)
    own = ml.fit("y ~ x + z", data, prior=Ridge())
    normal = ml.fit("y ~ x + z", data, prior=ml.Normal(1.0))
    close(own.coef, normal.coef, 1e-10)
    close(own.se, normal.se, 1e-10)


def test_priors_add() -> None:
    data = categories(5, "ab")
    both = ml.fit("y ~ x", data, prior=ml.Normal(1.0) + ml.Normal(1.0))
    one = ml.fit("y ~ x", data, prior=ml.Normal(np.sqrt(0.5)))
    close(both.coef, one.coef, 1e-10)


def test_infinite_estimates_are_frozen_without_a_prior_only() -> None:
    with pytest.raises(ml.OptionError, match="maximum likelihood"):
        ml.fit("y ~ x", categories(6, "ab"), prior=ml.Normal(), infinite="freeze")


@pytest.mark.parametrize("name", ["contraception__slope", "cbpp__herd"])
def test_a_penalised_fit_takes_no_more_evaluations(name: str) -> None:
    formula, data = MIXED_MODELS[name]
    likely = ml.fit(formula, data())
    penalised = ml.fit(formula, data(), prior=ml.RelativeEntropy())
    assert penalised.solution.n_evaluations <= likely.solution.n_evaluations + 1


def draws_of(fit: Fit) -> Any:
    return fit.posterior_sample(4000, seed=1)


def test_posterior_draws_see_the_skewness_that_the_gaussian_does_not(
    endometrial: pd.DataFrame,
) -> None:
    fit = ml.fit(ENDOMETRIAL, endometrial, prior=ml.RelativeEntropy())
    sample = draws_of(fit)
    assert sample.ess > 1000.0
    assert sample.mean[1] > fit.coef["NV"] + 0.5  # NV is separated: its posterior leans outwards
    spread = np.sqrt(sample.covariance.diagonal())
    close(spread[2:] / fit.posterior_sd.iloc[2:], [1.0, 1.0], 0.15)


def test_posterior_draws_of_mixed_models_keep_standard_deviations_positive() -> None:
    formula, data = MIXED_MODELS["cbpp__herd"]
    fit = ml.fit(formula, data(), prior=ml.RelativeEntropy())
    sample = draws_of(fit)
    assert sample.ess > 500.0
    assert sample.weights[sample.draws[:, -1] <= 0.0].sum() == 0.0
    assert sample.quantile(0.001)[0, -1] > 0.0
    close(sample.mean[:4], fit.coef, 0.2)


def test_posterior_draws_are_shown_by_name() -> None:
    rng = np.random.default_rng(1)
    data = {"y": rng.integers(0, 2, 90), "x": rng.normal(size=90), "g": np.repeat(range(9), 10)}
    sample = ml.fit("y ~ x + (1 | g)", data, prior=ml.RelativeEntropy()).posterior_sample(200)
    table = sample.table()
    assert table.index.tolist() == ["(Intercept)", "x", "g.(Intercept)"]
    np.testing.assert_array_equal(table["mean"], sample.mean)
    np.testing.assert_array_equal(table["50%"], sample.quantile(0.5)[0])
    head, columns, *rows = repr(sample).splitlines()
    assert head.startswith("Posterior sample: 200 weighted draws, worth")
    assert columns.split() == table.columns.tolist()
    assert [row.split()[0] for row in rows] == table.index.tolist()
