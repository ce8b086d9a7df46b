"""Designs that lack rank: what their data do not determine is NaN, and the rest is right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.errors import NotEstimableWarning

RNG = np.random.default_rng(4)
ROWS = 240
DATA = pd.DataFrame(
    {
        "x": RNG.normal(size=ROWS),
        "a": RNG.choice(["a1", "a2"], ROWS),
        "b": RNG.choice(["b1", "b2", "b3"], ROWS),
        "k": RNG.choice(["p", "q", "r"], ROWS),
    }
).assign(
    twice=lambda d: 2.0 * d["x"],
    b=lambda d: d["b"].where((d["a"] != "a2") | (d["b"] != "b3"), "b2"),  # no (a2, b3)
    y=lambda d: (RNG.random(ROWS) < 1.0 / (1.0 + np.exp(-d["x"] - (d["a"] == "a2")))) * 1,
)


@pytest.fixture(scope="module", params=["fresh", "loaded"])
def cells(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ml.Fit:
    return given(ml.fit("y ~ a * b", DATA), request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=["fresh", "loaded"])
def doubled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ml.Fit:
    return given(ml.fit("y ~ x + twice + a", DATA), request.param, tmp_path_factory)


def given(fit: ml.Fit, how: str, folder: pytest.TempPathFactory) -> ml.Fit:
    if how == "fresh":
        return fit
    path = folder.mktemp("models") / "fit.json"
    fit.save(path)
    return ml.load(path)


def test_an_empty_cell_has_no_prediction(cells: ml.Fit) -> None:
    assert cells.aliased == ("aa2:bb3",)
    with pytest.warns(NotEstimableWarning, match=r"1 of the estimates is NaN.*'aa2:bb3'"):
        table = cells.adjusted_predictions(["a", "b"], new=DATA)
    table = table.set_index(["a", "b"])["estimate"]
    shares = DATA.groupby(["a", "b"])["y"].mean()  # a saturated model
    assert np.isnan(table.pop(("a2", "b3")))
    np.testing.assert_allclose(table[shares.index], shares, atol=1e-7)


@pytest.mark.parametrize("scale", ["link", "response"])
def test_balanced_contrasts_over_empty_cells_are_not_determined(cells: ml.Fit, scale: str) -> None:
    """As emmeans: a2 − a1 and all means of a2 and b3 are "nonEst"; b2 − b1 is determined."""
    options = {"new": DATA, "others": "balanced", "scale": scale, "adjust": "none"}
    with pytest.warns(NotEstimableWarning):
        found = cells.contrasts("a", **options)
    assert found[["estimate", "se", "p_value", "lower", "upper"]].isna().all(axis=None)
    with pytest.warns(NotEstimableWarning):
        found = cells.contrasts("b", **options).set_index("contrast")
    assert found["estimate"].isna().to_dict() == {
        "b2 - b1": False,
        "b3 - b1": True,
        "b3 - b2": True,
    }
    assert np.isfinite(found.loc["b2 - b1"]).all()


def test_slopes_of_columns_that_go_together_are_not_determined(doubled: ml.Fit) -> None:
    assert doubled.aliased == ("twice",)
    for scale in ("link", "response"):
        with pytest.warns(NotEstimableWarning, match=r"2 of the estimates are NaN.*'twice'"):
            found = doubled.marginal_effects(new=DATA, scale=scale)
        table = found.set_index("variable")
        assert table.loc[["x", "twice"], ["estimate", "se", "lower", "upper"]].isna().all(axis=None)
        alone = ml.fit("y ~ x + a", DATA).marginal_effects("a", scale=scale)
        for name in ("estimate", "se"):
            assert table.loc["a", name] == pytest.approx(alone[name].item(), rel=1e-6)


def test_on_the_link_a_difference_may_be_determined_where_its_means_are_not(
    doubled: ml.Fit,
) -> None:
    with pytest.warns(NotEstimableWarning):
        means = doubled.adjusted_predictions({"a": ["a1", "a2"], "twice": 5.0}, new=DATA)
    assert means["estimate"].isna().all()
    found = doubled.contrasts("a", at={"twice": 5.0}, new=DATA, scale="link")
    assert found["estimate"].item() == pytest.approx(doubled.coef["aa2"])
    both = doubled.adjusted_predictions({"x": 1.0, "twice": 2.0}, new=DATA)  # as in the data
    expected = ml.fit("y ~ x + a", DATA).adjusted_predictions({"x": 1.0})
    np.testing.assert_allclose(both[["estimate", "se"]], expected[["estimate", "se"]], rtol=1e-6)


def test_units_change_nothing() -> None:
    """Sizes of columns, far from 1 and from each other."""
    data = DATA.assign(x=1e7 * DATA["x"] + 3e8, twice=lambda d: 1e-12 * d["x"] - 1e-5)
    fit = ml.fit("y ~ x + twice + k", data)
    assert fit.aliased == ("twice",)
    assert np.isfinite(fit.adjusted_predictions("k")["estimate"]).all()
    with pytest.warns(NotEstimableWarning):
        assert np.isnan(fit.marginal_effects("twice")["estimate"].item())


def test_of_a_model_without_its_relation_what_uses_a_dropped_column_is_nan(tmp_path: Path) -> None:
    """Files that older versions have written."""
    ml.fit("y ~ x + twice + a", DATA).save(tmp_path / "fit.json")
    document = json.loads((tmp_path / "fit.json").read_text())
    assert np.allclose(document.pop("relation"), [[0.0], [2.0], [0.0]], atol=1e-9)
    (tmp_path / "old.json").write_text(json.dumps(document))
    old = ml.load(tmp_path / "old.json")
    with pytest.warns(NotEstimableWarning):
        assert old.adjusted_predictions("a", new=DATA)["estimate"].isna().all()
    found = old.contrasts("a", new=DATA, scale="link")
    assert found["estimate"].item() == pytest.approx(old.coef["aa2"])
