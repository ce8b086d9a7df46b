"""Discrimination, calibration and scores of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit

import multilogit as ml
from multilogit.assess.bins import equal_parts
from multilogit.assess.calibration import brier, calibration_table, recalibrate, wilson
from multilogit.assess.clusters import clustered_variance, outermost
from multilogit.assess.discrimination import auc_interval, hand_till, roc_curve
from multilogit.result import Fit

scores_and_outcomes = arrays(np.int64, (12, 3), elements=st.integers(0, 4))


# ------------------------------------------------------------------ ROC


@given(scores_and_outcomes)
def test_area_is_the_probability_of_the_right_order(rows: np.ndarray) -> None:
    score, positive, negative = rows.T.astype(float)
    curve = roc_curve(score, positive, negative)
    pairs = positive[:, None] * negative[None, :]
    if pairs.sum() == 0:
        assert np.isnan(curve.auc)
        return
    order = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    assert curve.auc == pytest.approx((pairs * order).sum() / pairs.sum())
    width = -np.diff(curve.specificity)
    height = 0.5 * (curve.sensitivity[1:] + curve.sensitivity[:-1])
    assert curve.auc == pytest.approx(width @ height)


def test_a_count_is_so_many_trials() -> None:
    rng = np.random.default_rng(0)
    score, y, n = rng.random(50).round(1), rng.integers(0, 4, 50), np.full(50, 3)
    together = roc_curve(score, y.astype(float), (n - y).astype(float))
    single = np.repeat(score, 3)
    hit = np.concatenate([[1.0] * a + [0.0] * (3 - a) for a in y])
    apart = roc_curve(single, hit, 1.0 - hit)
    assert (together.auc, together.se) == pytest.approx((apart.auc, apart.se))


def test_standard_error_of_the_area() -> None:
    rng = np.random.default_rng(1)
    areas, errors, clustered = [], [], []
    for _ in range(400):
        g = np.repeat(np.arange(30), 6)
        b = rng.standard_normal(30)[g]
        x = b + rng.standard_normal(g.size)  # scores are clustered, and so are outcomes
        y = rng.binomial(1, expit(2.0 * b)).astype(float)
        areas.append(roc_curve(x, y, 1.0 - y).auc)
        errors.append(roc_curve(x, y, 1.0 - y).se)
        clustered.append(roc_curve(x, y, 1.0 - y, (g,)).se)
    assert np.mean(clustered) == pytest.approx(np.std(areas), rel=0.12)
    assert np.mean(errors) < 0.8 * np.std(areas)


def test_crossed_factors() -> None:
    rng = np.random.default_rng(8)
    areas, errors = [], []
    g, h = np.divmod(np.arange(600), 20)
    for _ in range(300):
        b, c = rng.standard_normal(30)[g], rng.standard_normal(20)[h]
        x = b + c + rng.standard_normal(600)
        y = rng.binomial(1, expit(b + c)).astype(float)
        areas.append(roc_curve(x, y, 1.0 - y).auc)
        errors.append(roc_curve(x, y, 1.0 - y, (g, h)).se)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)
    parts = rng.standard_normal(600)
    both = clustered_variance(parts, (g, h))
    one = [clustered_variance(parts, (codes,)) for codes in (g, h, np.arange(600))]
    assert both == pytest.approx(one[0] + one[1] - one[2])
    checked = (-1.0) ** (g + h) + 0.1 * parts  # nothing is left of it in the sums
    alone = [clustered_variance(checked, (codes,)) for codes in (g, h)]
    assert clustered_variance(checked, (g, h)) == max(alone)
    assert np.isnan(clustered_variance(parts, (0 * g,)))  # one cluster tells nothing


def test_factors_that_are_nested_do_not_count() -> None:
    h = np.arange(60) % 5
    g, top = np.arange(60) // 6, np.arange(60) // 12
    found = outermost([g.astype(np.int32), h.astype(np.int32), top.astype(np.int32)])
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], h)
    np.testing.assert_array_equal(found[1], top)


def test_single_clusters_are_delong() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(4000)
    y = rng.binomial(1, expit(x)).astype(float)
    rows = roc_curve(x, y, 1.0 - y, (np.arange(4000),))
    assert rows.se == pytest.approx(roc_curve(x, y, 1.0 - y).se, rel=1e-3)


def test_hand_till_of_two_categories_is_the_area() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(60)
    y = rng.binomial(1, p).astype(float)
    pair = np.column_stack([1 - p, p]), np.column_stack([1 - y, y])
    assert hand_till(*pair) == pytest.approx(roc_curve(p, y, 1 - y).auc)


def test_interval_of_the_area() -> None:
    low, high = auc_interval(0.9, 0.05, 1.96)
    assert logit(low) + logit(high) == pytest.approx(2 * logit(0.9))
    assert np.isnan(auc_interval(1.0, 0.0, 1.96)).all()


# ------------------------------------------------------------------ calibration


def test_wilson_interval() -> None:
    low, high = wilson(np.array([0.1]), np.array([100.0]), 1.959963984540054)
    # R: prop.test(10, 100, correct = FALSE)
    np.testing.assert_allclose(
        [low[0], high[0]], [0.0552291370606751, 0.1743656615049134], rtol=1e-8
    )


@given(arrays(np.int64, 40, elements=st.integers(0, 9)), st.integers(2, 12))
def test_bins_lie_between_quantiles(x: np.ndarray, parts: int) -> None:
    inner = np.unique(np.quantile(x, np.linspace(0, 1, parts + 1)[1:-1]))
    expected = np.unique(np.searchsorted(inner + 1e-9, x), return_inverse=True)[1]
    np.testing.assert_array_equal(equal_parts(x.astype(float), parts), expected)


def test_bins_count_observations() -> None:
    x, times = np.array([3.0, 1.0, 2.0, 5.0]), np.array([2, 5, 1, 4])
    repeated = equal_parts(np.repeat(x, times), 3)
    np.testing.assert_array_equal(
        np.repeat(equal_parts(x, 3, times.astype(float)), times), repeated
    )


def test_recalibration_undoes_a_distortion() -> None:
    rng = np.random.default_rng(4)
    eta = rng.standard_normal(200_000)
    y = rng.binomial(1, expit(eta)).astype(float)
    found = recalibrate(expit(0.5 + 2.0 * eta), y, np.ones_like(y))
    assert found.slope == pytest.approx(0.5, abs=4 * found.slope_se)
    assert found.intercept == pytest.approx(-0.25, abs=4 * found.intercept_se)
    assert found.slope_se < 0.01


def test_clusters_widen_intervals() -> None:
    rng = np.random.default_rng(5)
    shares, lines, naive = [], [], []
    g = np.repeat(np.arange(40), 10)
    x = np.tile(rng.standard_normal(10), 40)
    for _ in range(300):
        y = rng.binomial(1, expit(x + 1.5 * rng.standard_normal(40)[g])).astype(float)
        pi, one = expit(0.75 * x), np.ones(g.size)
        lines.append(recalibrate(pi, y, one, (g,)))
        naive.append(recalibrate(pi, y, one).in_the_large_se)
        table = calibration_table(pi, y, one, 2, 1.96, (g,))
        shares.append(table.loc[0, ["observed", "lower", "upper"]].astype(float))
    for name in ("in_the_large", "slope"):
        spread = np.std([getattr(line, name) for line in lines])
        assert np.mean([getattr(line, f"{name}_se") for line in lines]) == pytest.approx(
            spread, rel=0.15
        )
    assert np.mean(naive) < 0.7 * np.std([line.in_the_large for line in lines])
    found = pd.DataFrame(shares)
    truth = found["observed"].mean()
    covered = (found["lower"] < truth) & (truth < found["upper"])
    assert 0.90 < covered.mean() < 0.98


@given(scores_and_outcomes)
def test_brier_score_and_its_parts(rows: np.ndarray) -> None:
    score, y, other = rows.T.astype(float)
    pi, trials = (score + 0.5) / 5.0, y + other
    if trials.sum() == 0:
        return
    found = brier(np.column_stack([1 - pi, pi]), np.column_stack([other, y]), 5)
    expected = (y @ (1 - pi) ** 2 + other @ pi**2) / trials.sum()
    assert found.score == pytest.approx(expected)
    parts = found.reliability - found.resolution + found.uncertainty
    assert parts == pytest.approx(found.score)
    # Murphy's resolution, where a bin holds one probability
    kept = trials > 0
    one_each = brier(np.column_stack([1 - pi, pi])[kept], np.column_stack([other, y])[kept], 400)
    values = np.unique(pi[kept])
    n = np.array([trials[pi == v].sum() for v in values])
    shares = np.array([y[pi == v].sum() for v in values]) / n
    overall = y.sum() / trials.sum()
    assert one_each.resolution == pytest.approx(n @ (shares - overall) ** 2 / n.sum(), abs=1e-12)


# ------------------------------------------------------------------ of fits


def visits(seed: int, groups: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), 8)
    x = rng.standard_normal(g.size)
    eta = -0.4 + x + 1.2 * rng.standard_normal(groups)[g]
    return pd.DataFrame({"y": rng.binomial(1, expit(eta)), "x": x, "g": g})


@pytest.fixture(scope="module")
def fit() -> Fit:
    return ml.fit("y ~ x + (1 | g)", visits(0))


def test_levels_of_prediction(fit: Fit) -> None:
    y = fit.frame.response.counts[:, 0]
    for level in ("conditional", "population", "marginal"):
        pi = fit.predict(level=level).to_numpy()  # type: ignore[arg-type]
        roc = fit.roc(level=level)  # type: ignore[arg-type]
        assert roc.auc == pytest.approx(roc_curve(pi, y, 1 - y).auc)
        score = fit.scores(level=level)["brier"]  # type: ignore[arg-type]
        assert score == pytest.approx(np.mean((y - pi) ** 2))
    assert fit.auc == fit.roc(level="conditional").auc > fit.roc(level="marginal").auc
    assert fit.brier == fit.scores()["brier"]


def test_averaged_probabilities_are_calibrated_and_those_at_modes_too_cautious(fit: Fit) -> None:
    line = fit.calibration().line.set_index("parameter")
    assert line.loc["slope", "lower"] < 1.0 < line.loc["slope", "upper"]
    assert line.loc["in_the_large", "lower"] < 0.0 < line.loc["in_the_large", "upper"]
    at_modes = fit.calibration(level="conditional").line.set_index("parameter")
    assert at_modes.loc["slope", "lower"] > 1.0
    population = fit.calibration(level="population").line.set_index("parameter")
    assert population.loc["slope", "estimate"] < line.loc["slope", "estimate"]


def test_new_data(fit: Fit) -> None:
    new = visits(1)
    new["g"] += 1000
    options: dict[str, Any] = {"level": "marginal", "new_groups": "population"}
    pi = fit.predict(new, level="marginal").to_numpy()
    y = new["y"].to_numpy(float)
    expected = roc_curve(pi, y, 1 - y)
    for given_y in ("y", new["y"], np.array(["0", "1"])[new["y"]]):
        assert fit.roc(new, given_y, **options).auc == pytest.approx(expected.auc)
    roc = fit.roc(new, "y", **options)
    assert roc.areas["se"][0] == pytest.approx(
        roc_curve(pi, y, 1 - y, (new["g"].to_numpy() - 1000,)).se
    )
    without = fit.roc(new.drop(columns="g"), "y", **options)
    assert without.areas["se"][0] == pytest.approx(expected.se)
    assert fit.scores(new, "y", **options)["brier"] == pytest.approx(np.mean((y - pi) ** 2))
    line = fit.calibration(new, "y", bins=4).line
    assert line["estimate"][1] == pytest.approx(1.0, abs=0.4)
    new.loc[3, "x"] = np.nan
    kept = np.arange(len(new)) != 3
    assert fit.roc(new, "y", **options).auc == pytest.approx(
        roc_curve(pi[kept], y[kept], 1 - y[kept]).auc
    )
    thrice = fit.scores(new, 3 * new["y"], trials=3, **options)
    assert thrice["brier"] == pytest.approx(fit.scores(new, "y", **options)["brier"])


def test_new_data_of_several_categories() -> None:
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"y": rng.choice(["a", "b", "c"], 90), "x": rng.standard_normal(90)})
    fit = ml.fit("y ~ x", data)
    pd.testing.assert_series_equal(fit.scores(data, "y"), fit.scores())
    pd.testing.assert_frame_equal(fit.roc(data, data["y"]).areas, fit.roc().areas)
    data.loc[0, "y"] = None
    assert fit.calibration(data, "y").table.groupby("category")["trials"].sum().eq(89).all()
    with pytest.raises(ml.DataError, match="'d'"):
        fit.roc(data, np.where(np.arange(90) == 4, "d", "a"))
    with pytest.raises(ml.OptionError, match="successes"):
        fit.roc(data, "y", trials=2)


@pytest.mark.parametrize("baseline", [None, 1])
def test_new_responses_are_categories_of_the_fit_whichever_is_the_baseline(baseline: Any) -> None:
    data = visits(3).iloc[:200]
    codings: dict[str, Any] = {
        "numbers": data["y"],
        "booleans": data["y"] == 1,
        "other numbers": pd.Categorical(data["y"] + 1),
        "reversed": pd.Categorical(data["y"].astype(str), categories=["1", "0"]),
    }
    for name, y in codings.items():
        coded = data.assign(y=y)
        chosen = {"booleans": True, "other numbers": 2}.get(name, 1) if baseline else None
        fit = ml.fit("y ~ x", coded, baseline=chosen)
        new = coded.assign(y=coded["y"].astype(int) if name in ("numbers", "reversed") else y)
        assert fit.roc(new, "y").auc == pytest.approx(fit.auc)
        assert fit.scores(new, "y")["brier"] == pytest.approx(fit.brier)
        assert fit.calibration(new, "y").line["estimate"][1] == pytest.approx(1.0, abs=1e-5)


def test_new_counts_are_those_of_the_column_that_is_named() -> None:
    data = pd.DataFrame({"a": [1, 4, 3, 9], "n": [10, 9, 12, 11], "x": [0.0, 1.0, 2.0, 3.0]})
    for baseline in (None, "a"):
        fit = ml.fit("cbind(a, n - a) ~ x", data, baseline=baseline)
        assert fit.roc(data, "a", trials="n").auc == pytest.approx(fit.auc)


def test_new_responses_that_cannot_be_judged(fit: Fit) -> None:
    new = visits(4).iloc[:20]
    with pytest.raises(ml.DataError, match="or 0 and 1"):
        fit.roc(new, np.full(20, 0.5))
    with pytest.raises(ml.DataError, match="between 0 and trials"):
        fit.roc(new, np.full(20, 3.0), trials=2)
    with pytest.raises(ml.DataError, match="y= has 3 values"):
        fit.roc(new, [0, 1, 2], trials=2)
    with pytest.raises(ml.DataError, match="No row"):
        fit.scores(new.assign(x=np.nan), "y")


def test_rows_without_weight_are_no_clusters() -> None:
    data = visits(5).assign(h=np.tile(np.arange(8), 60))
    data["w"] = np.random.default_rng(1).integers(0, 3, len(data))
    formula = "y ~ x + (1 | g) + (1 | h)"
    weighted = ml.fit(formula, data, weights="w", tolerance=1e-12)
    rows = ml.fit(formula, data.loc[data.index.repeat(data["w"])], tolerance=1e-12)
    one, other = weighted.calibration().line, rows.calibration().line
    pd.testing.assert_frame_equal(one, other, rtol=1e-7)
    pd.testing.assert_frame_equal(
        weighted.roc(level="marginal").areas, rows.roc(level="marginal").areas
    )


def test_certain_rows_say_nothing_of_the_fit() -> None:
    separated = {"dose": [0, 0, 1, 1, 2, 2, 3, 3], "dead": [0, 0, 0, 0, 1, 1, 1, 1]}
    table = ml.fit("dead ~ dose", separated).goodness_of_fit().table.set_index("test")
    assert table.loc["pearson", "statistic"] == pytest.approx(0.0, abs=1e-6)


def test_weights_and_trials_are_rows() -> None:
    data = visits(2).iloc[:100].copy()
    data["w"] = np.arange(100) % 3
    weighted = ml.fit("y ~ x", data, weights="w", tolerance=1e-13)
    rows = ml.fit("y ~ x", data.loc[data.index.repeat(data["w"])], tolerance=1e-13)
    pd.testing.assert_series_equal(weighted.scores(), rows.scores())
    pd.testing.assert_frame_equal(weighted.roc().areas, rows.roc().areas)
    one, other = weighted.calibration(bins=5), rows.calibration(bins=5)
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.line, other.line, atol=1e-8)
    pd.testing.assert_frame_equal(weighted.goodness_of_fit().table, rows.goodness_of_fit().table)


def test_a_saturated_model_fits() -> None:
    data = pd.DataFrame({"y": [3, 8, 6], "n": [10, 20, 15], "f": ["a", "b", "c"]})
    fit = ml.fit("y ~ f", data, trials="n")
    table = fit.goodness_of_fit().table.set_index("test")
    assert table.loc[["pearson", "deviance"], "statistic"].abs().max() < 1e-8
    assert table["p_value"].drop("hosmer-lemeshow").isna().all()


def test_wrong_links_and_lacking_curves_are_found() -> None:
    rng = np.random.default_rng(7)
    x = rng.uniform(-3, 3, 4000)
    heavy = 0.5 + np.arctan(2 * x) / np.pi
    data = {"y": rng.binomial(1, heavy), "z": rng.binomial(1, expit(x)), "x": x}
    wrong = ml.fit("y ~ x", data).goodness_of_fit().table.set_index("test")["p_value"]
    right = ml.fit("z ~ x", data).goodness_of_fit().table.set_index("test")["p_value"]
    assert wrong["stukel"] < 1e-6
    assert right[["stukel", "osius-rojek", "hosmer-lemeshow"]].min() > 0.01
    assert wrong["hosmer-lemeshow"] < 1e-3


def test_what_is_asked_for_is_checked(fit: Fit) -> None:
    with pytest.raises(ml.OptionError, match="residual_tests"):
        fit.goodness_of_fit()
    with pytest.raises(ml.OptionError, match="y= is needed"):
        fit.roc(visits(1))
    with pytest.raises(ml.OptionError, match="new"):
        fit.roc(y="y")
    with pytest.raises(ml.DataError, match="no such column"):
        fit.roc(visits(0), "z")
    with pytest.raises(ml.DataError, match="rows"):
        fit.scores(visits(0), [0, 1])
    with pytest.raises(ml.DataError, match="between"):
        fit.scores(visits(0), np.full(480, 2))
    with pytest.raises(ml.OptionError, match="bins"):
        fit.calibration(bins=1)
    with pytest.raises(ml.OptionError, match="level"):
        fit.roc(level="typical")  # type: ignore[arg-type]
    with pytest.raises(ml.OptionError, match="confidence"):
        fit.roc(interval=95)


def test_intervals_have_the_level_that_was_asked_for(fit: Fit) -> None:
    """Wald's, on the scale of log odds for the area: their lengths are as normal quantiles."""
    wide, narrow = fit.roc(interval=0.99).areas, fit.roc(interval=0.8).areas
    lengths = [
        np.diff(logit(areas[["lower", "upper"]].to_numpy())).item() for areas in (wide, narrow)
    ]
    assert lengths[0] / lengths[1] == pytest.approx(2.5758293 / 1.2815516, rel=1e-6)
    wide, narrow = fit.calibration(interval=0.99).line, fit.calibration(interval=0.8).line
    ratio = (wide["upper"] - wide["lower"]) / (narrow["upper"] - narrow["lower"])
    np.testing.assert_allclose(ratio, 2.5758293 / 1.2815516, rtol=1e-6)


def test_results_print_themselves(fit: Fit) -> None:
    assert "0.8" in repr(fit.roc())
    assert "in_the_large" in repr(fit.calibration())
    assert "of g" in repr(fit.influence())
    assert "uniformity" in repr(fit.residual_tests())
    assert "stukel" in repr(ml.fit("y ~ x", visits(0)).goodness_of_fit())
