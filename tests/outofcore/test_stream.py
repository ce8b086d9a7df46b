"""Files read in chunks: the same fit as in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.data.parquet import ParquetFiles, parquet_paths
from multilogit.errors import (
    DataError,
    DataNotSavedError,
    FormulaError,
    InputError,
    OptionError,
)
from multilogit.estimate import Estimate
from multilogit.outofcore import memory
from multilogit.outofcore.elsewhere import Streamed
from multilogit.outofcore.memory import Budget, parse_memory
from multilogit.outofcore.model import stream
from multilogit.search_options import search_options

pytest.importorskip("pyarrow")

TINY = 400_000
"""Bytes: chunks of 1000 rows and parts of some hundreds."""


def simulated(n: int = 6_000) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = rng.integers(0, 240, n)
    data = pd.DataFrame(
        {
            "g": [f"s{k:03d}" for k in g],
            "parent": g // 12,
            "x": rng.normal(size=n),
            "k": rng.integers(0, 4, n),
            "f": rng.choice(["a", "b", "c"], n, p=[0.5, 0.499, 0.001]),
            "o": 0.1 * rng.normal(size=n),
            "w": rng.integers(0, 3, n),
            "t": rng.integers(1, 5, n),
            "many": np.arange(n) % 600,
        }
    )
    eta = 0.3 * data.x + 0.4 * (data.f == "b") + rng.normal(size=240)[g] - 0.5
    eta += rng.normal(size=20)[g // 12]
    share = 1.0 / (1.0 + np.exp(-eta))
    data["y"] = (rng.random(n) < share).astype(int)
    data["s"] = rng.binomial(data.t, share)
    data["c"] = np.where(data.y == 1, "z", np.where(rng.random(n) < 0.5, "q", "r"))
    data.loc[[5, 900], "x"] = np.nan
    return data


DATA = simulated()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files; the groups are scattered over all of them."""
    directory = tmp_path_factory.mktemp("files")
    for k in range(3):
        DATA.iloc[2_000 * k : 2_000 * (k + 1)].to_parquet(directory / f"{k}.parquet")
    return directory


def streamed(
    directory: Path,
    formula: str,
    prior: Any = None,
    nodes: Any = 1,
    size: int = TINY,
    **given: Any,
) -> tuple[Streamed, Estimate]:
    options = search_options(prior, nodes, threads=1)
    files = ParquetFiles.opened(parquet_paths(directory) or ())
    model = stream(files, formula, given, options, size)
    return model, model.estimate(options)


def assert_the_same(fit: ml.Fit, model: Streamed, estimate: Estimate) -> None:
    assert estimate.solution.converged
    np.testing.assert_allclose(estimate.solution.psi, fit.solution.psi, atol=1e-9)
    training = model.training()
    loglik = estimate.likelihood.value + training.log_coefficient
    assert loglik == pytest.approx(fit.loglik, abs=1e-8, rel=1e-12)
    full = training.log_coefficient
    assert training.null_loglik + full == pytest.approx(fit.null_loglik, rel=1e-11)
    assert training.saturated_loglik + full == pytest.approx(fit.saturated_loglik, abs=1e-8)
    assert (training.n_obs, training.n_rows) == (fit.n_obs, fit.training.n_rows)
    assert training.n_trials == fit.training.n_trials
    assert training.digest == fit.training.digest
    assert training.labels.columns == fit.labels.columns
    for name, levels in fit.labels.levels.items():
        np.testing.assert_array_equal(training.labels.levels[name], levels)
    np.testing.assert_allclose(estimate.covariance(), fit.covariance, rtol=1e-6, atol=1e-10)
    for one, other in zip(estimate.factors, fit.random, strict=True):
        np.testing.assert_allclose(one.modes, other.modes, atol=1e-8)
        np.testing.assert_allclose(one.covariance, other.mode_covariance, atol=1e-8)
    codes = {d.code for d in model.frame.diagnostics} - {"rows-collapsed"}
    later = {"laplace-accuracy", "aliased-columns", "singular"}  # of the estimate
    assert codes == {d.code for d in fit.diagnostics} - later


MODELS: list[tuple[str, dict[str, Any]]] = [
    ("y ~ x + f + (1 | g)", {}),
    ("y ~ scale(x) + f + (1 + x | g)", {"offset": "o"}),
    ("y ~ x + f + (1 + x || g)", {"weights": "w"}),
    ("y ~ x + (1 | parent/g)", {}),
    ("c ~ x + (1 | g)", {"baseline": "r"}),
    ("s ~ x + f + (1 | g)", {"trials": "t"}),
    ("cbind(s, t - s) ~ x + (1 | g)", {}),
    ("c ~ x + (1 | parent/g)", {}),
    ("y ~ x + (1 | g)", {"nodes": 5}),
    ("s ~ x + (1 | g)", {"trials": "t", "prior": ml.StudentT(2.5) + ml.Wishart()}),
    ("y ~ x + f", {"weights": "w", "offset": "o"}),
    ("c ~ C(k) + x", {}),
    ("y ~ 0 + x + f", {"offset": "o"}),
    ("y ~ x + (1 | g)", {"prior": ml.RelativeEntropy(), "offset": "o"}),
    ("y ~ x + (1 | g)", {"prior": ml.Normal(1.0)}),
    ("y ~ x + (1 | g)", {"prior": ml.StudentT(2.5)}),
    ("y ~ bs(x, knots=[-0.5, 0.5]) + (1 | g)", {}),
    ("c ~ x + f", {"prior": ml.RelativeEntropy() + ml.Normal(1.0), "weights": "w"}),
    ("y ~ f + x + I(2 * x) + (1 + x | g) + (0 + I(3 * x) | g)", {}),
]


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_the_same_as_in_memory(directory: Path, formula: str, options: dict[str, Any]) -> None:
    fit = ml.fit(formula, DATA, threads=1, **options)
    model, estimate = streamed(directory, formula, **options)
    assert_the_same(fit, model, estimate)
    assert model.aliased == fit.aliased
    parts = (model.mixed or model.single).parts  # type: ignore[union-attr]
    assert len(parts.likelihoods) > 4


def test_rows_that_are_equal_within_a_group_are_collapsed(directory: Path) -> None:
    fit = ml.fit("y ~ f + (1 | parent)", DATA, threads=1)
    model, estimate = streamed(directory, "y ~ f + (1 | parent)", size=2_000_000)
    assert_the_same(fit, model, estimate)
    (noticed,) = [d for d in model.frame.diagnostics if d.code == "rows-collapsed"]
    kept = DATA.groupby(["parent", "f"]).size().size
    assert noticed.facts == {"rows": 6_000, "kept": kept, "ratio": 6_000 / kept}


def test_a_whole_fit(directory: Path, tmp_path: Path) -> None:
    formula = "y ~ x + f + (1 | g)"
    small = ml.fit(formula, directory / "*.parquet", threads=1)
    fit = ml.fit(formula, str(directory), memory="500MB", threads=1)
    assert small.has_data
    assert not fit.has_data
    pd.testing.assert_frame_equal(fit.confint(), small.confint(), atol=1e-8, rtol=1e-6)
    pd.testing.assert_frame_equal(fit.tidy(), small.tidy(), atol=1e-8, rtol=1e-6)
    assert str(fit.summary()).split("Converged")[0] == str(small.summary()).split("Converged")[0]
    np.testing.assert_allclose(fit.predict(DATA), small.predict(DATA), atol=1e-9)
    smaller = ml.fit("y ~ x + (1 | g)", DATA.dropna(), threads=1)
    table, expected = (ml.compare(smaller, larger).table for larger in (fit, small))
    pd.testing.assert_frame_equal(table, expected, rtol=1e-9)
    fit.save(tmp_path / "fit.json")
    again = ml.load(tmp_path / "fit.json")
    np.testing.assert_array_equal(again.predict(DATA), fit.predict(DATA))
    for fitted in (fit, again):
        with pytest.raises(DataNotSavedError, match=r"in parts.*without memory= and client="):
            fitted.residuals()
        with pytest.raises(DataNotSavedError, match=r"level='population' and level='marginal'"):
            fitted.predict(DATA, se=True)
        for level in ("population", "marginal"):
            expected = small.predict(DATA, se=True, level=level)
            found = fitted.predict(DATA, se=True, level=level)
            pd.testing.assert_frame_equal(found, expected, atol=1e-8, rtol=1e-6)


def test_a_checkpoint(directory: Path, tmp_path: Path) -> None:
    formula, path = "y ~ x + (1 | g)", tmp_path / "checkpoint"
    options = {"memory": "500MB", "checkpoint": path, "threads": 1}
    first = ml.fit(formula, directory, max_iterations=2, **options)  # type: ignore[arg-type]
    assert not first.converged
    then = ml.fit(formula, directory, resume=True, **options)  # type: ignore[arg-type]
    whole = ml.fit(formula, DATA, threads=1)
    np.testing.assert_allclose(then.solution.psi, whole.solution.psi, atol=1e-9)
    assert "resumed" in {d.code for d in then.diagnostics}


def test_a_column_of_files_that_is_not_there(directory: Path) -> None:
    with pytest.raises(FormulaError, match="no column 'xx'"):
        streamed(directory, "y ~ xx")


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x + (1 | g) + (1 | k)", {}, "'g' and 'k' are crossed"),
        ("y ~ poly(x, 2)", {}, "all rows are needed at once"),
        ("y ~ x", {"weights": np.ones(6_000)}, "must name a column"),
        ("y ~ x", {"missing": "raise"}, "missing values"),
        ("y ~ x", {"missing": "no"}, "use 'drop' or 'raise'"),
        ("y ~ x", {"prior": ml.Jeffreys()}, "looks at every row"),
        ("y ~ x", {"prior": ml.ShannonEntropy()}, "looks at every row"),
        ("y ~ x", {"prior": ml.Normal(1.0) + ml.SoftPenalty()}, "SoftPenalty looks at every row"),
        ("y ~ x", {"prior": ml.RelativeEntropy("auto")}, "strength='auto' .* give a number"),
        ("y ~ x", {"infinite": "freeze"}, "needs the data in memory"),
        ("y ~ x + (1 | g)", {"start": "ols"}, "needs the data in memory"),
    ],
)
def test_what_is_refused(
    directory: Path, formula: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ml.fit(formula, directory, memory="500MB", threads=1, **options)


def test_groups_that_leave_no_memory(directory: Path) -> None:
    files = ParquetFiles.opened(parquet_paths(directory) or ())
    with pytest.raises(OptionError, match=r"240 groups alone .* give at least memory="):
        stream(files, "y ~ x + (1 | g)", {}, search_options(), 20_000)


def test_rows_that_are_all_missing(tmp_path: Path) -> None:
    pd.DataFrame({"y": [0.0, 1.0], "x": [np.nan, np.nan]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="No rows are left"):
        ml.fit("y ~ x", tmp_path, memory="500MB")


@pytest.mark.parametrize(
    ("text", "number"),
    [("2GB", 2e9), ("1.5 GiB", 1.5 * 2**30), ("800MB", 8e8), (10**9, 1e9), ("1T", 1e12)],
)
def test_sizes(text: object, number: float) -> None:
    assert parse_memory(text) == number


@pytest.mark.parametrize("text", ["much", "2 PB", True, "1.2.3GB", "100MB", -5])
def test_no_sizes(text: object) -> None:
    with pytest.raises(OptionError, match="memory="):
        parse_memory(text)


def test_memory_is_for_files() -> None:
    with pytest.raises(OptionError, match="memory= is for data in files"):
        ml.fit("y ~ x", DATA, memory="2GB")


def test_files_larger_than_half_of_the_memory_are_read_in_chunks(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multilogit.outofcore.choice.physical_memory", lambda: 2_000_000)
    fit = ml.fit("y ~ x + (1 | g)", directory, threads=1)
    assert not fit.has_data
    assert fit.n_obs == 5_998


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files are large, parts are small."""
    monkeypatch.setattr("multilogit.outofcore.choice._LARGE", 0)
    monkeypatch.setattr("multilogit.outofcore.memory._CHUNK", 100_000)
    monkeypatch.setattr("multilogit.outofcore.memory._PART", 50_000)


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_files_that_go_straight_into_parts(
    directory: Path, large: None, formula: str, options: dict[str, Any]
) -> None:
    fit = ml.fit(formula, directory, threads=1, **options)
    whole = ml.fit(formula, DATA, threads=1, **options)
    np.testing.assert_allclose(fit.solution.psi, whole.solution.psi, atol=1e-9)
    assert fit.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert fit.training.digest == whole.training.digest
    assert fit.has_data
    assert "frame" not in vars(fit.training)  # nothing was read again so far
    pd.testing.assert_series_equal(fit.residuals(), whole.residuals(), atol=1e-8)
    assert [b.names for b in fit.frame.random] == [b.names for b in whole.frame.random]


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ poly(x, 2)", {}),
        ("y ~ x + (1 | g) + (1 | k)", {}),
        ("y ~ x", {"prior": ml.Jeffreys()}),
        ("y ~ x", {"weights": np.ones(6_000)}),
        ("y ~ x + (1 | g)", {"start": "ols"}),
        ("y ~ C(many)", {}),
    ],
)
def test_what_needs_columns_gets_them(
    directory: Path, large: None, formula: str, options: dict[str, Any]
) -> None:
    fit = ml.fit(formula, directory, threads=1, **options)
    whole = ml.fit(formula, DATA, threads=1, **options)
    np.testing.assert_allclose(fit.solution.psi, whole.solution.psi, atol=1e-9)


def test_separation_in_large_files_is_looked_into(tmp_path: Path, large: None) -> None:
    data = DATA.dropna().assign(z=lambda d: d.y + 0.1 * d.k)
    data.to_parquet(tmp_path / "a.parquet")
    (found,) = [d for d in ml.fit("y ~ z", tmp_path).diagnostics if d.severity == "error"]
    (expected,) = [d for d in ml.fit("y ~ z", data).diagnostics if d.severity == "error"]
    assert found.code == "separation"
    assert found.message == expected.message


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ scale(x) + f + (1 | g)", {"offset": "o"}),
        ("c ~ x + ok", {"weights": "w"}),
        ("cbind(s, t - s) ~ x + (1 | parent/g)", {}),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_csv_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    separator: str,
    formula: str,
    options: dict[str, Any],
) -> None:
    """In chunks as in memory; a budget of memory, or a file that is large."""
    file, decimal = tmp_path / "a.csv", "," if separator == ";" else "."
    data = DATA.assign(ok=DATA.k > 1)
    data.to_csv(file, index=False, sep=separator, decimal=decimal)
    whole = ml.fit(formula, file, threads=1, **options)
    fit = ml.fit(formula, file, memory="500MB", threads=1, **options)
    monkeypatch.setattr("multilogit.outofcore.choice._LARGE", 0)
    monkeypatch.setattr("multilogit.outofcore.choice._LARGE_CSV", 0)
    large = ml.fit(formula, str(file), threads=1, **options)
    for each in (fit, large):
        np.testing.assert_allclose(each.solution.psi, whole.solution.psi, atol=1e-9)
        assert each.loglik == pytest.approx(whole.loglik, rel=1e-11)
        assert each.training.digest == whole.training.digest
        np.testing.assert_allclose(each.predict(data), whole.predict(data), atol=1e-9)
    assert not fit.has_data
    np.testing.assert_allclose(large.residuals(), whole.residuals(), atol=1e-7)


def test_a_csv_file_whose_values_change_their_kind(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    lines = [f"{k % 2},{k % 7},{'ab'[k % 3 == 0]}" for k in range(20_000)]
    for line, column, shown in (("1,oh,a", "x", "'oh'"), ("many,1,b", "y", "'many'")):
        changed = [*lines[:15_000], line, *lines[15_001:]]
        file.write_text("\n".join(["y,x,f", *changed]), encoding="utf-8")
        message = (
            f"column '{column}' holds numbers in its first 10000 rows, and {shown} in row 15000"
        )
        with pytest.raises(DataError, match=message):
            ml.fit("y ~ x + f", file, memory="500MB")
    file.write_text("\n".join(["y,x,f", *lines[:15_000], "1,2,7,8"]), encoding="utf-8")
    with pytest.raises(DataError, match="line 15002: 4 fields"):
        ml.fit("y ~ x + f", file, memory="500MB")


def test_separation_in_chunks_is_proved(tmp_path: Path) -> None:
    data = DATA.dropna().assign(z=lambda d: d.y * (d.k == 0))
    data.to_parquet(tmp_path / "a.parquet")
    for formula in ("y ~ x + z", "y ~ x + z + (1 | parent)"):
        fit = ml.fit(formula, tmp_path, memory="500MB", threads=1)
        (found,) = [d for d in fit.diagnostics if d.severity == "error"]
        assert (found.code, found.facts["infinite"]) == ("separation", ["z"])
        assert found.facts["kind"] == "quasi-complete"


def test_large_files_that_have_changed(tmp_path: Path, large: None) -> None:
    file = tmp_path / "a.parquet"
    DATA.to_parquet(file)
    fit = ml.fit("y ~ x + (1 | g)", file)
    DATA.assign(y=1 - DATA.y).to_parquet(file)
    with pytest.raises(DataError, match="changed since the fit"):
        fit.residuals()


def test_the_machine_says_how_much_memory_it_has() -> None:
    found = memory.physical_memory()
    assert found is None or found > 10**8
    budget = Budget.of(10**9)
    assert budget.chunk + budget.part + budget.waiting + budget.resident < 10**9 / 2


@pytest.mark.parametrize("level", ["conditional", "population", "marginal"])
def test_predictions_of_files(directory: Path, level: Any) -> None:
    fit = ml.fit("y ~ x + f + (1 | g)", DATA, threads=1, offset="o")
    expected = fit.predict(DATA, level=level)
    made = fit.predict(directory, level=level)
    np.testing.assert_array_equal(made, expected)
    assert made.isna().sum() == 2
    pattern = str(directory / "*.parquet")
    uncertain = fit.predict(pattern, level=level, interval=0.9, trials="t", offset=np.zeros(6_000))
    pd.testing.assert_frame_equal(
        uncertain, fit.predict(DATA, level=level, interval=0.9, trials="t", offset=np.zeros(6_000))
    )


def test_one_file(tmp_path: Path) -> None:
    """By itself, in its directory, by a pattern, in a list."""
    file = tmp_path / "a.parquet"
    DATA[["y", "x"]].to_parquet(file)
    expected = ml.fit("y ~ x", DATA).coef
    for data in (file, str(file), tmp_path, f"{tmp_path}/*.parquet", [file]):
        fit = ml.fit("y ~ x", data)
        assert fit.has_data
        pd.testing.assert_series_equal(fit.coef, expected)
    pd.testing.assert_series_equal(ml.fit("y ~ x", file, memory="500MB").coef, expected)


def test_all_other_columns(tmp_path: Path) -> None:
    """An index of pandas without a name is no predictor."""
    data = DATA[["y", "x", "o"]].iloc[::2]
    for k in range(2):
        data.iloc[1_500 * k : 1_500 * (k + 1)].to_parquet(tmp_path / f"{k}.parquet")
    for budget in (None, "500MB"):
        fit = ml.fit("y ~ .", tmp_path, memory=budget, threads=1)
        assert list(fit.coef.index) == ["(Intercept)", "x", "o"]
