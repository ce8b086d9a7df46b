"""Intraclass correlations, R², median odds ratios, odds ratios, augmented rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, ndtri

import multilogit as ml
from multilogit.inference.variance import positions
from multilogit.result import Fit


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g, h = rng.integers(0, 40, 900), rng.integers(0, 15, 900)
    x = rng.standard_normal(900)
    b = rng.standard_normal((40, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])
    eta = 0.3 + x + b[g, 0] + b[g, 1] * x + 0.8 * rng.standard_normal(15)[h]
    y = rng.binomial(3, expit(eta))
    return pd.DataFrame({"y": y, "n": 3, "x": x, "g": g, "h": h})


@pytest.fixture(scope="module")
def slopes(data: pd.DataFrame) -> Fit:
    return ml.fit("y ~ x + (1 + x | g) + (1 | h)", data, trials="n")


def moved(fit: Fit, theta: np.ndarray) -> Fit:
    """The fit with another Λ(θ)."""
    random = []
    for effects in fit.random:
        Lambda = np.zeros_like(effects.Lambda)
        Lambda[tuple(np.array(positions(effects.blocks)).T)] = theta[effects.theta]
        random.append(replace(effects, Lambda=Lambda))
    return replace(fit, random=tuple(random))


def test_shares_of_variance(slopes: Fit, data: pd.DataFrame) -> None:
    table = slopes.icc().set_index("group")
    z = np.column_stack([np.ones(900), data["x"]])
    by_g = np.mean(np.sum((z @ slopes.random[0].Lambda) ** 2, axis=1))
    by_h = slopes.random[1].Lambda[0, 0] ** 2
    assert table.loc["g", "variance"] == pytest.approx(by_g)
    assert table.loc["h", "icc"] == pytest.approx(by_h / (by_g + by_h + np.pi**2 / 3))
    assert table.loc["(all)", "icc"] == pytest.approx(table["icc"].iloc[:2].sum())
    fixed = np.var(np.repeat(slopes.predict(kind="link", level="population"), 3), ddof=1)
    total = by_g + by_h + np.pi**2 / 3 + fixed
    assert table.loc["g", "icc_conditional"] == pytest.approx(by_g / total)
    r2 = slopes.r2()
    assert r2["marginal"] == pytest.approx(fixed / total)
    assert r2["conditional"] == pytest.approx((fixed + by_g + by_h) / total)
    p = data["y"].sum() / data["n"].sum()
    delta = total - np.pi**2 / 3 + 1 / (p * (1 - p))
    assert r2["marginal_delta"] == pytest.approx(fixed / delta)


def test_standard_errors_are_those_of_the_delta_method(slopes: Fit) -> None:
    theta, step = slopes.solution.psi.copy(), 1e-5
    free = range(2, theta.size)
    gradient = np.zeros((3, theta.size))
    for k in free:
        up, down = theta.copy(), theta.copy()
        up[k] += step
        down[k] -= step
        difference = moved(slopes, up).icc()["icc"] - moved(slopes, down).icc()["icc"]
        gradient[:, k] = difference / (2 * step)
    expected = np.sqrt(np.diag(gradient @ slopes.covariance @ gradient.T))
    table = slopes.icc()
    np.testing.assert_allclose(table["se"], expected, rtol=1e-6)
    assert ((table["lower"] < table["icc"]) & (table["icc"] < table["upper"])).all()
    narrow = slopes.icc(0.5)
    assert (narrow["upper"] < table["upper"]).all()


def test_rows_of_several_trials_are_so_many_rows(slopes: Fit, data: pd.DataFrame) -> None:
    long = data.loc[data.index.repeat(3)].copy()
    long["y"] = [float(k < y) for y in data["y"] for k in range(3)]
    rows = ml.fit("y ~ x + (1 + x | g) + (1 | h)", long)
    pd.testing.assert_frame_equal(rows.icc(), slopes.icc(), rtol=1e-6)
    pd.testing.assert_series_equal(rows.r2(), slopes.r2(), rtol=1e-6)
    weighted = data.assign(w=1 + np.arange(900) % 2)
    once = ml.fit("y ~ x", weighted, trials="n", weights="w")
    twice = ml.fit("y ~ x", weighted.loc[weighted.index.repeat(weighted["w"])], trials="n")
    pd.testing.assert_series_equal(once.r2(), twice.r2(), rtol=1e-6)


def test_median_odds_ratio(slopes: Fit) -> None:
    table = slopes.median_odds_ratio().set_index("group")
    interval = slopes.confint(parm="theta_")
    for group in ("g", "h"):
        sd, limits = slopes.confint(parm=f"sd_(Intercept)|{group}"), table.loc[group]
        expected = np.exp(np.sqrt(2) * sd.to_numpy()[0] * ndtri(0.75))
        np.testing.assert_allclose(limits[["lower", "upper"]].astype(float), expected)
    assert len(interval) == 4
    rng = np.random.default_rng(1)
    sd = slopes.random[1].Lambda[0, 0]
    b = sd * rng.standard_normal((2, 400_000))
    simulated = np.median(np.exp(np.abs(b[0] - b[1])))
    assert table.loc["h", "median_odds_ratio"] == pytest.approx(simulated, rel=0.01)


def test_zero_variances_have_no_interval() -> None:
    rng = np.random.default_rng(6)
    flat = {"y": rng.binomial(1, 0.5, 200), "g": np.arange(200) % 10}
    fit = ml.fit("y ~ 1 + (1 | g)", flat)
    icc, mor = fit.icc().iloc[0], fit.median_odds_ratio().iloc[0]
    assert (icc["icc"], mor["median_odds_ratio"]) == (0.0, 1.0)
    assert np.isnan([icc["lower"], icc["upper"], mor["lower"], mor["upper"]]).all()
    assert fit.r2()["conditional"] == fit.r2()["marginal"] == pytest.approx(0.0)


def test_categories_have_shares_of_their_own() -> None:
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(40), 15), rng.standard_normal(600)
    b = rng.standard_normal((40, 2)) * [1.2, 0.6]
    eta = np.column_stack([np.zeros(600), x + b[g, 0], 0.3 + b[g, 1]])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    y = np.array(["a", "b", "c"])[(rng.random(600)[:, None] > p.cumsum(axis=1)).sum(axis=1)]
    fit = ml.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": g})
    variance = fit.variance_components["variance"].to_numpy()
    table = fit.icc()
    assert list(table["y_level"]) == ["b", "c"]
    np.testing.assert_allclose(table["variance"], variance)
    np.testing.assert_allclose(table["icc"], variance / (variance + np.pi**2 / 3))
    assert list(fit.r2().columns) == ["marginal", "conditional"]
    assert fit.r2().loc["b", "marginal"] > fit.r2().loc["c", "marginal"]
    assert list(fit.median_odds_ratio()["y_level"]) == ["b", "c"]
    assert list(fit.odds_ratios().index) == list(fit.coef.index)
    augmented = fit.augment()
    np.testing.assert_allclose(augmented[[".mu[a]", ".mu[b]", ".mu[c]"]], fit.predict(), rtol=1e-12)
    np.testing.assert_allclose(augmented[".fixed[b]"], fit.predict(kind="link",
        level="population").iloc[:, 0])  # fmt: skip


def test_what_needs_random_effects_says_so(data: pd.DataFrame) -> None:
    single = ml.fit("y ~ x", data, trials="n")
    for method in (single.icc, single.median_odds_ratio):
        with pytest.raises(ml.OptionError, match="single-level"):
            method()
    no_intercept = ml.fit("y ~ x + (0 + x | g)", data, trials="n")
    with pytest.raises(ml.OptionError, match="random intercepts"):
        no_intercept.median_odds_ratio()
    assert no_intercept.icc()["variance"][0] > 0


def test_odds_ratios(slopes: Fit) -> None:
    table = slopes.odds_ratios(0.9)
    np.testing.assert_allclose(np.log(table["odds_ratio"]), slopes.coef)
    np.testing.assert_allclose(
        np.log(table[["lower", "upper"]]), slopes.confint(level=0.9, parm="beta_")
    )


# ------------------------------------------------------------------ rows


def test_augmented_rows(slopes: Fit, data: pd.DataFrame) -> None:
    table = slopes.augment()
    assert list(table.columns) == ["failure", "success", ".trials", "g", "h", ".fixed", ".fitted",
                                   ".mu", ".resid", ".pearson"]  # fmt: skip
    np.testing.assert_array_equal(table["success"], data["y"])
    np.testing.assert_array_equal(table["g"], data["g"])
    np.testing.assert_allclose(table[".fitted"], slopes.predict(kind="link"))
    np.testing.assert_allclose(table[".mu"], slopes.predict())
    np.testing.assert_allclose(table[".resid"], slopes.residuals("deviance"))


def test_augmented_rows_carry_the_numbers_of_the_data() -> None:
    data = pd.DataFrame({"y": ["no", "yes", "no", "yes", "yes"], "x": [1.0, 2, np.nan, 3, 0]})
    table = ml.fit("y ~ x", data, prior=ml.Normal(scale=2.0)).augment()
    assert list(table.index) == [0, 1, 3, 4]
    assert list(table["y"]) == ["no", "yes", "yes", "yes"]
    assert {".hat", ".cooksd"} <= set(table.columns)


def test_augmented_columns_do_not_hide_each_other() -> None:
    rng = np.random.default_rng(9)
    data = {"y": rng.choice(["f", "g", "h"], 60), "g": np.arange(60) % 6}
    table = ml.fit("y ~ 1 + (1 | g)", data, prior=ml.RelativeEntropy()).augment()
    np.testing.assert_array_equal(table["g"], np.asarray(data["y"]) == "g")
    np.testing.assert_array_equal(table["g (group)"], data["g"])


def test_a_loaded_model_says_what_it_lacks(slopes: Fit, tmp_path: object) -> None:
    path = f"{tmp_path}/fit.json"
    slopes.save(path)
    loaded = ml.load(path)
    pd.testing.assert_frame_equal(loaded.median_odds_ratio(), slopes.median_odds_ratio())
    pd.testing.assert_frame_equal(loaded.odds_ratios(), slopes.odds_ratios())
    new = pd.DataFrame({"x": [0.0, 1.0, 2.0], "g": ["a", "b", "c"], "h": ["d"] * 3, "y": [0, 1, 1]})
    pd.testing.assert_frame_equal(
        loaded.simulate(3, new=new, trials=2), slopes.simulate(3, new=new, trials=2)
    )
    assert loaded.roc(new, "y", level="marginal").auc == slopes.roc(new, "y", level="marginal").auc
    for method in (loaded.simulate, loaded.residuals, loaded.residual_tests, loaded.augment,
                   loaded.influence, loaded.roc, loaded.calibration, loaded.scores, loaded.icc,
                   loaded.r2):  # fmt: skip
        with pytest.raises(ml.DataError, match=rf"{method.__name__}\(\) needs the data"):
            method()
