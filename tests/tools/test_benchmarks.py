"""The benchmarks' own logic: what is remembered, what counts, which engines go on."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """Imports a script of the benchmarks by its name."""
    before = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path[:] = before[0]
    for name in set(sys.modules) - before[1]:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def fill(log: Any, case: str, engine: str, seconds: list[float], loglik: float) -> None:
    for number, cpu in enumerate(seconds):
        run = {"cpu": cpu, "wall": cpu, "peak_mib": 9.0, "added_mib": 1.0}
        log.add(case, engine, number, {**run, "beta": [1.0], "covariance": {}})
    log.add(case, engine, -1, {"loglik": loglik, "gradient": 1e-8})


def test_a_log_goes_on_where_it_stopped(scripts: Any, tmp_path: Path) -> None:
    Log = scripts("log").Log
    path = tmp_path / "log.jsonl"
    fill(Log(path), "a", "glmm", [1.0, 2.0], -5.0)
    again = Log(path)
    assert again.get("a", "glmm", 1)["cpu"] == 2.0
    assert again.get("a", "glmm", 2) is None
    assert again.unjudged("a") == {}
    again.forget("a", ["glmm"])
    assert Log(path).rounds("a") == {}


def test_medians_and_who_counts(scripts: Any, tmp_path: Path) -> None:
    log, report = scripts("log").Log(tmp_path / "log.jsonl"), scripts("report")
    case = next(case for case in scripts("cases").CASES if case.name == "grouped_200k_5k")
    fill(log, case.name, "multilogit", [0.1, 0.3, 0.2], -10.0)
    fill(log, case.name, "glmm", [2.0], -10.0 - 5e-7)
    fill(log, case.name, "lme4", [9.0], -10.1)
    found = report.results_of(case, log)
    assert found["multilogit"]["cpu"] == 0.2
    assert [report.counts(found[engine]) for engine in found] == [True, True, False]
    assert report.ratio(found, case.targets[0]) == pytest.approx(10.0)
    assert [row["met"] for row in report.targets_of(case, found)] == [True, False]
    assert not report.print_case(case, found)  # lme4's target is 400 times


def test_an_engine_leaves_a_ladder_before_a_step_that_is_too_long(
    scripts: Any, tmp_path: Path
) -> None:
    log, run = scripts("log").Log(tmp_path / "log.jsonl"), scripts("run")
    steps = {case.name: case for case in scripts("cases").CASES}
    fill(log, "rows_1000", "lme4", [0.1], -1.0)
    fill(log, "rows_100000", "lme4", [20.0], -1.0)
    assert not run.too_long("lme4", steps["rows_10000"], log)
    assert run.too_long("lme4", steps["rows_1000000"], log)
    assert not run.too_long("glmm", steps["rows_1000000"], log)


def test_formulas_are_taken_apart(scripts: Any) -> None:
    cases = scripts("cases")
    formula = "y ~ x1 + x2 + (1 + x1 | g) + (1 | h)"
    assert cases.bars(formula) == [(["1", "x1"], "g"), (["1"], "h")]
    assert cases.predictors(formula) == ["x1", "x2"]


def test_the_judge_agrees_with_the_fit(scripts: Any, tmp_path: Path) -> None:
    """Log-likelihood and gradient at multilogit's own estimates are the fit's."""
    import multilogit as ml

    cases, make = scripts("cases"), scripts("data")
    case = cases.Case("small", "y ~ x1 + x2 + (1 + x1 | g)", lambda: make.slopes(600, 30, 2, 2, 1))
    path = case.data_file(tmp_path)
    data = make.read(path)
    estimates = scripts("engines").multilogit(case)(data)()
    verdict = scripts("judge").Judge(case, path)(vars(estimates))
    fit = ml.fit(case.formula, data)
    assert verdict["loglik"] == pytest.approx(fit.loglik, abs=1e-9)
    assert verdict["gradient"] < 1e-4
    worse = {**vars(estimates), "beta": [b + 0.1 for b in estimates.beta]}
    assert scripts("judge").Judge(case, path)(worse)["loglik"] < fit.loglik - 1e-3
