"""A factor of very many levels, kept without columns, against the same model with its columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multilogit as ml
from multilogit.errors import DataError, DataNotSavedError, OptionError
from multilogit.formula import coding
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.levels import LevelsLikelihood, order_of
from multilogit.result.fields import level_effects


@pytest.fixture
def compact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five levels are many."""
    monkeypatch.setattr(coding, "MANY_LEVELS", 5)
    monkeypatch.setattr(coding, "MANY_CELLS", 5)


def simulated(n: int = 900, levels: int = 40, seed: int = 0) -> pd.DataFrame:
    """Rows with successes and failures in every level."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % levels)
    x = rng.standard_normal((n, 2))
    eta = 0.4 * rng.standard_normal(levels)[code] + 0.5 * x[:, 0] - 0.3 * x[:, 1]
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    for level in range(levels):
        rows = np.flatnonzero(code == level)
        y[rows[0]], y[rows[1]] = 0, 1
    return pd.DataFrame(
        {
            "y": y,
            "a": x[:, 0],
            "b": x[:, 1],
            "f": [f"L{k:02d}" for k in code],
            "g": rng.choice(["p", "q", "r"], n),
            "n": rng.integers(1, 4, n),
            "w": rng.integers(0, 3, n).astype(float),
            "o": 0.3 * rng.standard_normal(n),
        }
    )


FORMULAS = (
    "y ~ a + b + f",
    "y ~ a + f + b",
    "y ~ f + g + a",
    "y ~ 0 + f + a",
    "y ~ 0 + f + g",
    "y ~ f",
    "y ~ a + relevel(f, 'L07')",
    "y ~ a + C(f) + offset(b)",
)


def both(formula: str, data: pd.DataFrame, **options: object) -> tuple[ml.Fit, ml.Fit]:
    """The fit without columns, and the one with them."""
    options = {"tolerance": 1e-10, **options}
    without = ml.fit(formula, data, **options)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding, "MANY_LEVELS", 10**9)
        dense = ml.fit(formula, data, **options)  # type: ignore[arg-type]
    assert without.levels is not None
    assert dense.levels is None
    return without, dense


@pytest.mark.usefixtures("compact")
@pytest.mark.parametrize("formula", FORMULAS)
def test_same_as_with_columns(formula: str) -> None:
    without, dense = both(formula, simulated())
    assert without.converged
    assert list(without.coef.index) == list(dense.coef.index)
    assert list(without.labels.terms) == list(dense.labels.terms)
    np.testing.assert_allclose(without.coef, dense.coef, rtol=0, atol=1e-9)
    np.testing.assert_allclose(without.se, dense.se, rtol=1e-8)
    np.testing.assert_allclose(without.vcov, dense.vcov, rtol=0, atol=1e-9)
    for name in ("loglik", "null_loglik", "deviance", "aic", "bic"):
        assert getattr(without, name) == pytest.approx(getattr(dense, name), rel=1e-11)
    for name in ("n_obs", "n_parameters", "df_residual", "df_null"):
        assert getattr(without, name) == getattr(dense, name)


@pytest.mark.usefixtures("compact")
@pytest.mark.parametrize(
    "options",
    [{"weights": "w"}, {"offset": "o"}, {"trials": "n"}, {"threads": 1}, {"infinite": "freeze"}],
)
def test_options(options: dict[str, object]) -> None:
    without, dense = both("y ~ a + b + f", simulated(), **options)
    np.testing.assert_allclose(without.coef, dense.coef, rtol=0, atol=1e-9)
    np.testing.assert_allclose(without.se, dense.se, rtol=1e-8)
    assert without.loglik == pytest.approx(dense.loglik, rel=1e-12)


@pytest.mark.usefixtures("compact")
def test_predictions_tables_and_files(tmp_path: Path) -> None:
    data = simulated()
    without, dense = both("y ~ a + f + b", data)
    new = data.head(70)
    for options in ({}, {"kind": "link", "interval": 0.9}, {"se": True, "level": "population"}):
        np.testing.assert_allclose(
            without.predict(new, **options), dense.predict(new, **options), rtol=1e-7, atol=1e-9
        )
    columns = ["estimate", "std_error", "conf_low", "p_value"]
    np.testing.assert_allclose(without.tidy()[columns], dense.tidy()[columns], rtol=1e-6, atol=1e-9)
    assert without.test("a = 0").p_value == pytest.approx(dense.test("a = 0").p_value)
    pd.testing.assert_frame_equal(without.test_terms(), dense.test_terms(), rtol=1e-7)
    text = str(without.summary())
    assert "fL01" not in text
    assert "(Intercept)" in text
    without.save(tmp_path / "fit.json")
    again = ml.load(tmp_path / "fit.json")
    pd.testing.assert_series_equal(again.coef, without.coef)
    pd.testing.assert_series_equal(again.se, without.se)
    pd.testing.assert_series_equal(again.predict(new), without.predict(new))
    assert str(again.summary()) == text


@pytest.mark.usefixtures("compact")
@pytest.mark.parametrize("formula", ["y ~ a + f + b", "y ~ 0 + f + a + b"])
def test_wald_tests_from_the_block_structure(formula: str) -> None:
    without, dense = both(formula, simulated())
    R = np.random.default_rng(0).normal(size=(3, len(dense.coef)))
    asked: list[tuple[Any, ...]] = [("f = 0",), ("f = 0.5",), ("a = 0, fL05 = fL07",), (R, 0.1)]
    asked += [("f = 0, a = b",), ("fL03 = 0, fL11 = 0",), ("fL03, b = 0",)]
    for hypothesis in asked:
        found, expected = without.test(*hypothesis), dense.test(*hypothesis)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-6)
        assert found.df == expected.df
        pd.testing.assert_frame_equal(found.table, expected.table, rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(without.test_terms(), dense.test_terms(), rtol=1e-7)
    names = ["b", "fL07", "a", "fL02"]
    pd.testing.assert_frame_equal(without.vcov_of(names), dense.vcov.loc[names, names], rtol=1e-6)
    pd.testing.assert_frame_equal(dense.vcov_of(names), dense.vcov.loc[names, names])
    with pytest.raises(OptionError, match="no coefficient 'zz'"):
        without.vcov_of(["a", "zz"])


@pytest.mark.usefixtures("compact")
def test_a_covariance_matrix_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = ml.fit("y ~ a + b + f", simulated())
    monkeypatch.setattr(level_effects, "MOST_TOGETHER", 10)
    with pytest.raises(OptionError, match=r"matrix of 42 coefficients .* vcov_of\(\["):
        _ = fit.vcov
    assert fit.test("f = 0").df == 39
    assert fit.test_terms().loc["f", "df"] == 39
    assert np.isfinite(fit.confint()).all(axis=None)
    with pytest.raises(OptionError, match="41 coefficients"):
        fit.test("f = 0, a = b")


@pytest.mark.usefixtures("compact")
@pytest.mark.parametrize("options", [{}, {"weights": "w", "offset": "o"}, {"trials": "n"}])
def test_what_needs_rows_alone_has_them(options: dict[str, str]) -> None:
    data = simulated()
    without, dense = both("y ~ a + f + b", data, **options)
    uses: list[Callable[[ml.Fit], Any]] = [
        lambda fit: fit.predict(se=True),
        lambda fit: fit.residuals("response"),
        lambda fit: fit.residuals("deviance"),
        lambda fit: fit.residuals("quantile", seed=3),
        lambda fit: fit.residual_tests(by="a", n_simulations=20, seed=1).table.iloc[:, 2:],
        lambda fit: fit.calibration().table.select_dtypes("number"),
        lambda fit: fit.scores(),
        lambda fit: fit.r2(),
        lambda fit: [fit.auc, fit.brier],
    ]
    for use in uses:
        np.testing.assert_allclose(use(without), use(dense), rtol=1e-6, atol=1e-8)
    pd.testing.assert_frame_equal(without.simulate(3, seed=5), dense.simulate(3, seed=5))
    new = data.head(50).drop(columns="y")
    drawn = [fit.simulate(2, seed=5, new=new) for fit in (without, dense)]
    pd.testing.assert_frame_equal(*drawn)


@pytest.mark.usefixtures("compact")
def test_residuals_where_a_level_has_one_outcome() -> None:
    data = simulated()
    data.loc[data["f"] == "L03", "y"] = 0
    fit = ml.fit("y ~ a + b + f", data, infinite="freeze")
    mine = data["f"] == "L03"
    assert (fit.predict()[mine] == 0.0).all()
    assert (fit.residuals("response")[mine] == 0.0).all()
    assert (fit.residuals("deviance")[mine] == 0.0).all()
    assert (fit.simulate(3, seed=1)[mine] == 0).all(axis=None)
    with pytest.raises(OptionError, match="no finite estimate"):
        fit.test("f = 0")


@pytest.mark.usefixtures("compact")
def test_reports_leave_the_levels_out(tmp_path: Path) -> None:
    fit = ml.fit("y ~ a + b + f", simulated())
    fit.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "but for the 40 levels of" in page
    assert "fL07" not in page


@pytest.mark.usefixtures("compact")
def test_levels_of_one_outcome_are_named() -> None:
    data = simulated()
    data.loc[data["f"] == "L03", "y"] = 0
    data.loc[data["f"] == "L11", "y"] = 1
    fit = ml.fit("y ~ a + b + f", data)
    rest = ml.fit("y ~ a + b + f", data[~data["f"].isin(["L03", "L11"])])
    found = next(d for d in fit.diagnostics if d.code == "separation")
    assert found.facts["infinite"] == {"fL03": "-inf", "fL11": "+inf"}
    assert "2 of the 40 levels of 'f'" in found.message
    assert not fit.converged
    assert fit.coef["fL03"] == -np.inf
    assert fit.coef["fL11"] == np.inf
    assert np.isnan(fit.se[["fL03", "fL11"]]).all()
    np.testing.assert_allclose(fit.coef[rest.coef.index], rest.coef, atol=1e-9)
    np.testing.assert_allclose(fit.se[rest.se.index], rest.se, rtol=1e-8)
    assert fit.loglik == pytest.approx(rest.loglik, rel=1e-12)
    frozen = ml.fit("y ~ a + b + f", data, infinite="freeze")
    assert frozen.converged
    pd.testing.assert_series_equal(frozen.coef, fit.coef)
    predicted = frozen.predict(data[data["f"].isin(["L03", "L11"])])
    assert set(predicted) == {0.0, 1.0}


@pytest.mark.usefixtures("compact")
def test_reference_of_one_outcome() -> None:
    data = simulated()
    data.loc[data["f"] == "L00", "y"] = 0
    fit = ml.fit("y ~ a + f", data)
    found = next(d for d in fit.diagnostics if d.code == "separation")
    assert "relevel(" in found.remedy
    assert fit.coef["(Intercept)"] == -np.inf
    assert ml.fit("y ~ a + relevel(f, 'L01')", data).coef["(Intercept)"] > -5.0


@pytest.mark.usefixtures("compact")
def test_separation_within_levels_is_noticed() -> None:
    data = simulated()
    data["a"] = data["y"] + 0.1 * data["b"]
    fit = ml.fit("y ~ a + f", data)
    assert not fit.converged
    assert "separation" in [d.code for d in fit.diagnostics]


@pytest.mark.usefixtures("compact")
def test_columns_that_levels_determine_are_dropped() -> None:
    data = simulated()
    data["of_level"] = data["f"].str[1:].astype(float)
    data["sum"] = data["a"] + 3.0 * data["of_level"]
    fit = ml.fit("y ~ a + of_level + f + sum", data)
    assert fit.aliased == ("of_level", "sum")
    assert fit.coef["a"] == pytest.approx(ml.fit("y ~ a + f", data).coef["a"], abs=1e-9)
    assert len(fit.predict(data)) == len(data)


@pytest.mark.usefixtures("compact")
def test_what_needs_columns_is_refused() -> None:
    data = simulated()
    fit = ml.fit("y ~ a + f", data)
    with pytest.raises(OptionError, match="40 levels of 'f'"):
        fit.marginal_effects(new=data)
    for needs in (fit.bootstrap, fit.profile, fit.augment, fit.goodness_of_fit):
        with pytest.raises(DataNotSavedError, match="very many levels"):
            needs()
    with pytest.raises(DataError, match="'new'"):
        fit.predict(data.head(1).assign(f="new"))
    with pytest.raises(OptionError, match="start='ols'"):
        ml.fit("y ~ a + f", data, start="ols")
    with pytest.raises(DataError, match="weight or trials 0"):
        ml.fit("y ~ a + f", data, weights=np.where(data["f"] == "L05", 0.0, 1.0))
    with pytest.raises(DataError, match="all outcomes are the same"):
        ml.fit("y ~ a + f", data.assign(y=data["f"] > "L20"))


@pytest.mark.usefixtures("compact")
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ a * f", {}),
        ("y ~ a + C(f, contr.sum)", {}),
        ("y ~ 0 + g + f", {}),
        ("y ~ a + f + (1 | g)", {}),
        ("y ~ a + f", {"prior": ml.RelativeEntropy()}),
        ("g ~ a + f", {}),
    ],
)
def test_models_that_keep_columns(formula: str, options: dict[str, object]) -> None:
    fit = ml.fit(formula, simulated(n=300, levels=6), **options)  # type: ignore[arg-type]
    assert fit.levels is None
    assert fit.has_data


def test_few_levels_keep_columns() -> None:
    assert ml.fit("y ~ a + f", simulated()).levels is None


@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 12), p=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_profile_of_the_likelihood(seed: int, levels: int, p: int) -> None:
    """Value, gradient and Hessian are those of (α, β) with α̂(β), the Hessian a Schur complement."""
    rng = np.random.default_rng(seed)
    n = levels * int(rng.integers(2, 30)) + 5
    codes = np.append(np.tile(np.arange(levels), 2), rng.integers(levels, size=n - 2 * levels))
    codes = codes.astype(np.int32)
    trials = rng.integers(1, 4, n).astype(float)
    y = np.floor(trials * rng.random(n))
    y[:levels], y[levels : 2 * levels] = 0.0, trials[levels : 2 * levels]
    x = [rng.standard_normal(n) for _ in range(p)]
    offset = rng.standard_normal(n)
    beta = rng.standard_normal(p)
    profile = LevelsLikelihood(x, y, trials, codes, levels, offset, threads=2)
    profile.evaluate(rng.standard_normal(p))  # the modes are found from elsewhere
    there = profile.evaluate(beta)
    alpha = profile.modes(beta).alpha
    indicators = [(codes == g).astype(float) for g in range(levels)]
    full = FixedLikelihood([*indicators, *x], y, trials, offset).evaluate(np.append(alpha, beta))
    np.testing.assert_allclose(full.gradient[:levels], 0.0, atol=1e-8)
    assert there.value == pytest.approx(full.value, rel=1e-12)
    np.testing.assert_allclose(there.gradient, full.gradient[levels:], atol=1e-8)
    H = full.hessian
    schur = H[levels:, levels:] - H[levels:, :levels] @ np.linalg.solve(
        H[:levels, :levels], H[:levels, levels:]
    )
    np.testing.assert_allclose(there.hessian, schur, rtol=1e-8, atol=1e-8)


@given(levels=st.sampled_from([1, 7, 70_000, 200_000]), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_order_of_levels(levels: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(levels, size=300).astype(np.int32)
    np.testing.assert_array_equal(order_of(codes, levels), np.argsort(codes, kind="stable"))
