"""Measures against hand computations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multilogit.study import Results, judging, load_design, summarise
from multilogit.study import measures as m
from multilogit.study.choosing import chosen_of
from multilogit.study.judging import judge
from multilogit.study.tables import compare_published, coverages, log_slope, overview

INF, NAN = np.inf, np.nan


def made(estimates: list[float], errors: list[float], converged: list[bool]) -> Results:
    """One cell, one estimator, one coefficient with truth 1 and a standard deviation of 2."""
    n = len(estimates)
    who = pd.DataFrame({"cell": "c", "estimator": "ml", "replicate": range(n)})
    fits = who.assign(
        status="", converged=converged, seconds=np.arange(1.0, n + 1.0), notes="",
        log_score=-0.6, log_score_truth=-0.5, probability_rmse=0.1, rhat=NAN, ess=NAN,
    )  # fmt: skip
    estimate, se = np.array(estimates), np.array(errors)
    beta = who.assign(
        parameter="x", kind="beta", truth=1.0, estimate=estimate, se=se, posterior_below=NAN,
        wald_lower=estimate - 2 * se, wald_upper=estimate + 2 * se,
    )  # fmt: skip
    sd = beta.assign(
        parameter="sd_(Intercept)|g", kind="sd", truth=2.0, estimate=[0.0] + [2.0] * (n - 1)
    )
    return Results(load_design("small"), fits, pd.concat([beta, sd], ignore_index=True))


def test_of_one_coefficient() -> None:
    results = made([1.5, 0.0, 2.0, 40.0, NAN], [0.5, 0.4, 0.1, 90.0, NAN], [True] * 3 + [False] * 2)
    table = summarise(results).set_index(["measure", "parameter"])
    value = table["value"]
    assert value["converged", ""] == 0.6
    assert table.loc[("converged", ""), "mcse"] == pytest.approx(np.sqrt(0.6 * 0.4 / 5))
    assert value["extreme", ""] == 0.4
    assert value["boundary", ""] == 0.2
    assert value["usable", ""] == 0.6
    errors = np.array([0.5, -1.0, 1.0])
    assert value["bias", "x"] == pytest.approx(errors.mean())
    assert table.loc[("bias", "x"), "mcse"] == pytest.approx(errors.std(ddof=1) / np.sqrt(3))
    assert value["rmse", "x"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert value["empirical_se", "x"] == pytest.approx(errors.std(ddof=1))
    assert table.loc[("rmse", "x"), "n"] == 3
    assert value["median_absolute_error", "x"] == 1.0  # of .5, 1, 1, 39, ∞
    assert value["median_error", "x"] == 1.0
    assert value["model_se", "x"] == pytest.approx((0.5 + 0.4 + 0.1) / 3)
    assert value["coverage_wald", "x"] == pytest.approx(1 / 3)  # 1.5 ± 1 only
    assert value["coverage_all_wald", "x"] == pytest.approx(2 / 5)  # and 40 ± 180
    assert value["width_wald", "x"] == pytest.approx(1.6)
    assert value["seconds_median", ""] == 3.0
    assert value["log_score_loss", ""] == pytest.approx(0.1)


def test_rmse_error_by_simulation() -> None:
    rng = np.random.default_rng(0)
    found = [m.root_mean_square(rng.standard_normal(200))[:2] for _ in range(2000)]
    values, errors = np.array(found).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.06)


def test_median_error_by_simulation() -> None:
    rng = np.random.default_rng(0)
    found = [m.median(rng.standard_normal(400))[:2] for _ in range(2000)]
    values, errors = np.array(found).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)
    assert m.median(np.array([0.0, 1.0, INF, INF, INF]))[0] == INF


def test_nothing_to_measure() -> None:
    for measure in (m.rate, m.mean, m.median, m.root_mean_square, m.spread):
        value, _, n = measure(np.empty(0))
        assert np.isnan(value)
        assert n == 0


def test_uniformity() -> None:
    n = 100
    best = (np.arange(n) + 0.5) / n
    assert m.uniformity(best)[0] == pytest.approx(0.005)
    assert m.uniformity(best**3)[0] == pytest.approx(np.abs(best ** (1 / 3) - best).max(), abs=0.01)


def test_differences_are_paired(results: Results) -> None:
    found = m.paired(m.label(results), "log_score", "relative-entropy", "ml")
    wide = results.fits.pivot(index=["cell", "replicate"], columns="estimator", values="log_score")
    by_hand = (wide["relative-entropy"] - wide["ml"]).groupby(level=0)
    for cell, difference in by_hand:
        assert found.loc[cell, "value"] == pytest.approx(difference.mean())
        assert found.loc[cell, "mcse"] == pytest.approx(difference.std() / np.sqrt(6))


def test_claims_are_judged_by_numbers(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = summarise(results)
    judged = judge(measures)
    assert len(judged) == 3  # those about MCMC need MCMC
    assert {each.verdict for each in judged} == {"not decided"}  # six replicates are too few
    monkeypatch.setattr(judging, "_FEWEST", 1)
    judged = judge(measures)
    swapped = {"ml": "relative-entropy", "relative-entropy": "ml"}
    fits = results.fits.assign(estimator=results.fits["estimator"].map(swapped))
    parameters = results.parameters.assign(estimator=results.parameters["estimator"].map(swapped))
    other = Results(results.design, fits, parameters)
    first, against = judged[0], judge(summarise(other))[0]
    assert (first.table["value"] == -against.table["value"]).all()
    assert first.verdict == "supported"  # half of the data sets of the second cell are separated
    assert against.verdict != "supported"


def test_a_true_zero_is_in_no_interval() -> None:
    results = made([1.5, 0.0, 2.0], [0.5, 0.4, 0.1], [True] * 3)
    sd = results.parameters["kind"] == "sd"
    at_zero = results.parameters.assign(truth=results.parameters["truth"].mask(sd, 0.0))
    zero = Results(results.design, results.fits, at_zero)
    assert set(m.inside(summarise(results))["parameter"]) == {"", "x", "sd_(Intercept)|g"}
    assert set(m.inside(summarise(zero))["parameter"]) == {"", "x"}


def test_differences_are_among_the_measures(results: Results) -> None:
    table = summarise(results).set_index(["measure", "estimator", "cell"])
    labelled = m.label(results)
    by_hand = m.paired(labelled, "usable", "relative-entropy", "ml")["value"]
    assert (by_hand > 0.0).any()  # half of the data sets of the second cell are separated
    for cell, value in by_hand.items():
        assert table.loc[("usable_minus_ml", "relative-entropy", cell), "value"] == value
    assert labelled["loss"].max() <= m.LARGEST_LOSS


def test_overview_and_coverages(results: Results) -> None:
    measures = summarise(results)
    table = overview(measures)
    failed = 1.0 - m.label(results).groupby(["estimator", "cell"])["usable"].mean()
    assert table.loc["ml", "worst"] == pytest.approx(failed["ml"].max())
    assert table.loc["relative-entropy", "beta"] == 1.0
    covered = coverages(measures, "beta").set_index(["estimator", "interval"])
    ours = measures[measures["parameter"].map(m.kind_of) == "beta"]
    own = ours.query("measure == 'coverage_all_wald' and estimator == 'ml'")["value"]
    row = covered.loc[("ml", "wald")]
    assert row["mean"] == pytest.approx(own.mean())
    assert row["worst"] == own.min()
    assert row["shortfall"] == pytest.approx(np.maximum(0.95 - own, 0.0).mean())


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [("x", "beta"), ("sd_x|g", "sd"), ("cor_x.(Intercept)|g", "cor"), ("sd_x", "beta")],
)
def test_kinds_of_parameters(parameter: str, kind: str) -> None:
    assert m.kind_of(parameter) == kind


def test_ranks_of_the_truth() -> None:
    values = np.array([0.0, 0.04, 0.051, 0.5, 0.99, 1.0])
    found = {
        name: value for name, value, *_ in m._of_ranks(pd.DataFrame({"posterior_below": values}))
    }
    assert found["below_00"] == pytest.approx(2 / 6)
    assert found["below_01"] == found["below_10"] == pytest.approx(1 / 6)
    assert found["below_19"] == pytest.approx(2 / 6)
    assert found["ks"] == pytest.approx(m.uniformity(values)[1])


def test_the_rule_chooses_coverage_before_error() -> None:
    table = pd.DataFrame(
        {
            "estimator": ["a", "b", "c", "d"],
            "shortfall": [0.004, 0.0045, 0.02, 0.0],
            "rmse": [1.0, 0.9, 0.5, 0.1],
            "unusable": [0.0, 0.0, 0.0, 0.2],
        }
    )
    assert chosen_of(table)["estimator"] == "b"


def test_published_rates_are_compared_with_both_errors() -> None:
    keys = {"cell": "c", "estimator": "ml", "measure": "unusable", "parameter": "x"}
    published = pd.DataFrame([keys | {"value": 0.4, "n": 100, "digit": 0.01, "source": "s"}])
    ours = pd.DataFrame([keys | {"value": 0.5, "mcse": 0.05, "n": 100}])
    z = compare_published(published, ours)["z"].iloc[0]
    assert z == pytest.approx(0.1 / np.hypot(np.sqrt(0.45 * 0.55 * 0.02), 0.01 / np.sqrt(12)))


def test_slope_of_errors() -> None:
    x = np.array([10.0, 100.0, 1000.0])
    table = pd.DataFrame({"x": x, "value": 3.0 / np.sqrt(x), "mcse": 0.03 / np.sqrt(x)})
    slope, error = log_slope(table)
    assert slope == pytest.approx(-0.5)
    assert error == pytest.approx(0.01 / (np.log(10.0) * np.sqrt(2.0)))
