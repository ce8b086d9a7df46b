"""Quantile residuals are uniform under the model, and not under another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import multilogit as ml
from multilogit.assess.model import Model
from multilogit.assess.p_values import binomial_upper_p, kolmogorov_smirnov, monte_carlo_p
from multilogit.assess.posterior_effects import draw_given_data
from multilogit.assess.residuals import binomial_cdf, deviance_residuals, quantile_residuals
from multilogit.result import Fit
from multilogit.result.arrays.assessment_model import assessment_model

GROUPS, SIZE = 120, 6


def grouped(seed: int, *, trials: int = 1, sd: float = 1.5, row_sd: float = 0.0) -> pd.DataFrame:
    """A random intercept, and an effect of every row where ``row_sd`` is positive."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(GROUPS), SIZE)
    x = rng.standard_normal(g.size)
    b = sd * rng.standard_normal(GROUPS)
    eta = -0.5 + x + b[g] + row_sd * rng.standard_normal(g.size)
    return pd.DataFrame({"y": rng.binomial(trials, expit(eta)), "x": x, "g": g, "n": trials})


def p_of(fit: Fit, test: str, **options: Any) -> float:
    table = fit.residual_tests(**options).table
    return float(table.loc[table["test"] == test, "p_value"].iloc[0])


def spread_of_groups(residuals: list[Any]) -> float:
    """Variance of the means of groups over that of means of independent uniform numbers."""
    means = np.array(residuals).reshape(-1, SIZE).mean(axis=1)
    return float(np.mean((means - 0.5) ** 2) * 12 * SIZE)


# ------------------------------------------------------------------ under the model


def test_drawn_effects_make_residuals_uniform_and_modes_do_not() -> None:
    drawn, at_modes = [], []
    for seed in range(12):
        fit = ml.fit("y ~ x + (1 | g)", grouped(seed), nodes=9)
        drawn.append(fit.residuals("quantile", seed=seed))
        y, pi = fit.frame.response.counts[:, 0], fit.predict().to_numpy()
        uniform = np.random.default_rng(seed).random(y.size)
        at_modes.append(quantile_residuals(y, np.ones_like(y), pi, uniform))
    assert kolmogorov_smirnov(np.concatenate(drawn))[1] > 0.01
    assert spread_of_groups(drawn) == pytest.approx(1.0, abs=0.1)
    assert spread_of_groups(at_modes) < 0.75  # each was fitted to these very data


def test_p_values_are_uniform_under_the_model() -> None:
    found: dict[str, list[float]] = {}
    for seed in range(30):
        fit = ml.fit("y ~ x + (1 | g)", grouped(seed, trials=4), trials="n")
        for level in ("conditional", "marginal"):
            table = fit.residual_tests(level=level, n_simulations=60, seed=seed).table
            for row in table.itertuples():
                found.setdefault(f"{level} {row.test}", []).append(row.p_value)
    assert set(found) == {
        f"{level} {test}"
        for level in ("conditional", "marginal")
        for test in ("uniformity", "outliers", "dispersion", "zeros", "fitted", "random effects")
    } - {"marginal random effects"}
    for name, p_values in found.items():
        assert np.mean(np.array(p_values) < 0.05) <= 0.2, name
        assert np.mean(p_values) > 0.3, name


# ------------------------------------------------------------------ not under another one


def test_overdispersion_is_found() -> None:
    data = grouped(1, trials=8, row_sd=1.2)
    fit = ml.fit("y ~ x + (1 | g)", data, trials="n")
    assert p_of(fit, "uniformity") < 1e-4
    assert p_of(fit, "dispersion") <= 2 / 251
    assert p_of(fit, "outliers") < 1e-4
    assert p_of(fit, "fitted", level="marginal") > 0.01  # on average it is right
    assert p_of(fit, "dispersion", level="marginal") <= 5 / 251
    data["row"] = np.arange(len(data))
    repaired = ml.fit("y ~ x + (1 | g) + (1 | row)", data, trials="n")
    assert p_of(repaired, "uniformity") > 0.01


def test_groups_that_were_left_out_are_found() -> None:
    fit = ml.fit("y ~ x", grouped(2, trials=8), trials="n")
    assert p_of(fit, "uniformity") < 1e-6
    assert p_of(fit, "zeros") <= 2 / 251


def test_a_curved_effect_is_found_by_its_predictor() -> None:
    rng = np.random.default_rng(3)
    data = grouped(3)
    data["y"] = rng.binomial(1, expit(-1 + data["x"] ** 2))
    fit = ml.fit("y ~ x + (1 | g)", data)
    assert p_of(fit, "fitted", by="x") <= 1 / 251
    assert p_of(fit, "fitted", by=data["x"].to_numpy()) <= 1 / 251
    repaired = ml.fit("y ~ x + I(x**2) + (1 | g)", data)
    assert p_of(repaired, "fitted", by="x") > 0.01


def test_two_kinds_of_groups_are_not_normal() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(300), 10)
    b = np.where(np.arange(300) % 2, 2.5, -2.5)
    data = {"y": rng.binomial(5, expit(b[g])), "g": g, "n": np.full(g.size, 5)}
    fit = ml.fit("y ~ 1 + (1 | g)", data, trials="n")
    assert p_of(fit, "random effects") < 1e-6
    assert p_of(fit, "uniformity") > 0.01


# ------------------------------------------------------------------ draws given the data


def copies(model: Model, times: int) -> Model:
    """The same data so many times, in groups of their own."""

    def tile(column: np.ndarray) -> np.ndarray:
        return np.asfortranarray(np.tile(column, (times,) + (1,) * (column.ndim - 1)))

    (factor,) = model.factors
    levels = factor.modes.shape[0]
    factor = replace(
        factor,
        columns=tuple(tile(column) for column in factor.columns),
        codes=np.concatenate([factor.codes + levels * k for k in range(times)]),
        modes=tile(factor.modes),
        mode_covariance=tile(factor.mode_covariance),
    )
    response = model.response
    response = replace(response, counts=tile(response.counts), trials=tile(response.trials))
    return Model(response, tile(model.fixed), (factor,))


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 + x || g)"])
def test_draws_have_the_moments_of_the_posterior(formula: str) -> None:
    model = assessment_model(ml.fit(formula, grouped(5).iloc[:120]), "this test")
    (factor,) = model.factors
    levels, q = factor.modes.shape
    (drawn,) = draw_given_data(copies(model, 1000), np.random.default_rng(0))
    draws = drawn.reshape(1000, levels, q)
    t = np.stack(np.meshgrid(*[np.linspace(-4.0, 4.0, 41)] * q, indexing="ij"), axis=-1)
    t = t.reshape(-1, q)
    b = t @ factor.Lambda.T
    eta = model.fixed + np.column_stack(factor.columns) @ b.T
    loglik = model.response.counts * eta - np.logaddexp(0.0, eta)
    for level in range(levels):
        log_p = loglik[factor.codes == level].sum(axis=0) - 0.5 * np.sum(t**2, axis=1)
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        mean = p @ b
        sd = np.sqrt(p @ (b - mean) ** 2)
        assert np.all(np.abs(draws[:, level].mean(axis=0) - mean) < 4 * sd / np.sqrt(1000) + 1e-9)
        np.testing.assert_allclose(draws[:, level].std(axis=0), sd, rtol=0.1, atol=1e-9)


def test_zero_variances_draw_zeros() -> None:
    rng = np.random.default_rng(6)
    data = {"y": rng.binomial(1, 0.5, 200), "g": np.arange(200) % 10, "h": np.arange(200) % 7}
    fit = ml.fit("y ~ 1 + (1 | g) + (1 | h)", data)
    assert (fit.variance_components["sd"] == 0).any()
    table = fit.residual_tests().table
    named = fit.variance_components.loc[fit.variance_components["sd"] == 0, "group"]
    empty = table["of"].isin(named)
    assert table.loc[empty, "statistic"].isna().all()
    assert np.isfinite(table.loc[~empty, "p_value"]).all()


# ------------------------------------------------------------------ identities


def test_residuals_at_every_level_and_their_shapes() -> None:
    fit = ml.fit("y ~ x + (1 | g)", grouped(7, trials=3), trials="n")
    y, n = fit.frame.response.counts[:, 0], fit.frame.response.trials
    for level in ("conditional", "population", "marginal"):
        pi = fit.predict(level=level).to_numpy()  # type: ignore[arg-type]
        actual = fit.residuals("pearson", level=level)  # type: ignore[arg-type]
        np.testing.assert_allclose(actual, (y - n * pi) / np.sqrt(n * pi * (1 - pi)), rtol=1e-10)
    with pytest.raises(ml.OptionError, match="uniform"):
        fit.residuals("quantile", level="population")
    with pytest.raises(ml.OptionError, match="kind"):
        fit.residuals("working")  # type: ignore[arg-type]


def test_deviance_residuals_add_up_to_the_deviance() -> None:
    rng = np.random.default_rng(8)
    data = pd.DataFrame(rng.multinomial(6, [0.2, 0.3, 0.5], 80), columns=list("abc"))
    data["x"] = rng.standard_normal(80)
    fit = ml.fit("cbind(a, b, c) ~ x", data)
    assert np.sum(fit.residuals("deviance") ** 2) == pytest.approx(fit.deviance, rel=1e-10)
    assert list(fit.residuals("pearson").columns) == ["a", "b", "c"]
    assert fit.residuals("quantile").shape == (80, 3)
    assert np.abs(fit.residuals("response").sum(axis=1)).max() < 1e-12


def test_a_row_of_weight_three_is_three_rows() -> None:
    data = grouped(9).iloc[:60].copy()
    data["w"] = np.arange(60) % 4
    weighted = ml.fit("y ~ x", data, weights="w")
    written_out = ml.fit("y ~ x", data.loc[data.index.repeat(data["w"])])
    one, other = weighted.residual_tests(), written_out.residual_tests()
    assert len(one.residuals) == data["w"].sum()
    np.testing.assert_allclose(one.residuals["u"], other.residuals["u"], atol=1e-8)
    np.testing.assert_allclose(one.table["statistic"], other.table["statistic"], rtol=1e-6)
    with pytest.raises(ml.OptionError, match="not whole"):
        ml.fit("y ~ x", data, weights=np.full(60, 0.5)).residual_tests()


@pytest.mark.parametrize("level", ["conditional", "marginal"])
def test_what_is_tested_is_what_is_handed_out(level: Any) -> None:
    fit = ml.fit("y ~ x + (1 | g)", grouped(10).iloc[:90])
    tested = fit.residual_tests(level=level, seed=4).residuals
    np.testing.assert_array_equal(tested["u"], fit.residuals("quantile", level=level, seed=4))
    other = fit.residuals("quantile", level=level, seed=5)
    assert not np.array_equal(tested["u"], other)


def test_priors_offsets_nodes_and_limits() -> None:
    data = grouped(11).assign(o=0.5)
    penalised = ml.fit("y ~ x + (1 | g)", data, prior=ml.RelativeEntropy(), offset="o", nodes=9)
    assert penalised.residual_tests().table["p_value"].min() > 0.001
    separated = {
        "y": [0, 0, 0, 1, 1, 1, 0, 1],
        "x": [1, 2, 3, 4, 5, 6, 3.5, 3.4],
        "z": [0] * 6 + [1, 1],
    }
    frozen = ml.fit("y ~ x * z", separated, infinite="freeze")
    assert np.isinf(frozen.coef).any()
    u = frozen.residuals("quantile")
    assert ((u > 0) & (u < 1)).all()
    assert np.isfinite(frozen.residuals("deviance")).all()
    assert frozen.simulate(20).eq(separated["y"], axis=0).all(axis=None)


def test_rows_without_trials_say_nothing() -> None:
    data = grouped(12, trials=2).iloc[:100].copy()
    fit = ml.fit("y ~ x + (1 | g)", data, trials="n")
    more = pd.concat([data, data.iloc[:50].assign(y=0, n=0)], ignore_index=True)
    other = ml.fit("y ~ x + (1 | g)", more, trials="n")
    one, two = fit.residual_tests(), other.residual_tests()
    assert len(two.residuals) == 100
    np.testing.assert_allclose(one.residuals["u"], two.residuals["u"], atol=1e-6)


def test_binomial_distribution_function() -> None:
    y = np.array([-1.0, 0.0, 1.0, 2.0, 3.0])
    expected = [0.0, 0.7**3, 0.7**3 + 3 * 0.3 * 0.49, 1 - 0.3**3, 1.0]
    np.testing.assert_allclose(binomial_cdf(y, np.full(5, 3.0), np.full(5, 0.3)), expected)
    single = binomial_cdf(y[:3], np.ones(3), np.full(3, 0.3))
    np.testing.assert_allclose(single, [0.0, 0.7, 1.0])


def test_certain_outcomes() -> None:
    counts, pi = np.array([[0.0, 2.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert deviance_residuals(counts, pi).tolist() == [0.0, -np.inf]


def test_kolmogorov_smirnov_against_exact_values() -> None:
    # n = 2: Pr(D > d) = 1 − 2(2d − ½)² for ¼ ≤ d ≤ ½, and 2(1 − d)² beyond
    distance, p_value = kolmogorov_smirnov(np.array([0.05, 0.15]))
    assert distance == pytest.approx(0.85)
    assert p_value == pytest.approx(2 * 0.15**2, abs=0.03)
    rng = np.random.default_rng(0)
    p_values = [kolmogorov_smirnov(rng.random(25))[1] for _ in range(2000)]
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.02)
    assert np.isnan(kolmogorov_smirnov(np.empty(0))[1])


def test_monte_carlo_and_binomial_p_values() -> None:
    drawn = np.arange(99.0)
    assert monte_carlo_p(98.5, drawn, upper=True) == 0.01
    assert monte_carlo_p(-1.0, drawn) == 0.02
    assert monte_carlo_p(49.0, drawn) == 1.0
    assert binomial_upper_p(0, 10, 0.1) == 1.0
    assert binomial_upper_p(2, 3, 0.5) == pytest.approx(0.5)


def test_options_are_checked() -> None:
    fit = ml.fit("y ~ x", grouped(0).iloc[:50])
    with pytest.raises(ml.OptionError, match="level"):
        fit.residual_tests(level="population")  # type: ignore[arg-type]
    with pytest.raises(ml.OptionError, match="n_simulations"):
        fit.residual_tests(n_simulations=0)
    for by in ("z", [1.0, 2.0], np.full(50, np.nan), object()):
        with pytest.raises(ml.OptionError, match="by="):
            fit.residual_tests(by=by)
