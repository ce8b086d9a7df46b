"""Rows are those of the user's data: what is per row goes back into the rows it came from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilogit as ml


@pytest.fixture(scope="module")
def women() -> pd.DataFrame:
    """Two hundred rows whose labels are neither sorted nor without gaps; two lack a value."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 200),
            "x": rng.normal(size=200),
            "g": rng.integers(0, 12, 200),
            "w": rng.integers(1, 4, 200),
        },
        index=rng.permutation(np.arange(1000, 1400, 2)),
    )
    frame.iloc[[5, 17], 1] = np.nan
    return frame


@pytest.fixture(scope="module")
def fit(women: pd.DataFrame) -> ml.Fit:
    return ml.fit("y ~ x + (1 | g)", women)


def test_what_is_per_row_has_the_index_of_the_data(fit: ml.Fit, women: pd.DataFrame) -> None:
    used = women.index[women["x"].notna()]
    for made in (fit.predict(), fit.residuals("pearson"), fit.augment(), fit.simulate(2)):
        pd.testing.assert_index_equal(made.index, used)


def test_predictions_assigned_as_a_column_are_in_their_rows(
    fit: ml.Fit, women: pd.DataFrame
) -> None:
    with_column = women.assign(p=fit.predict())
    np.testing.assert_allclose(with_column["p"], fit.predict(women), rtol=1e-14)
    assert with_column["p"].isna().sum() == 2


def test_influence_names_rows_by_their_labels(women: pd.DataFrame) -> None:
    single = ml.fit("y ~ x", women)
    assert set(single.influence().table["level"]) == set(women.index[women["x"].notna()])


def test_series_in_another_order_are_refused(fit: ml.Fit, women: pd.DataFrame) -> None:
    turned = women.iloc[::-1]
    single = ml.fit("y ~ x", women)
    formula = "y ~ x + (1 | g)"
    for what, call in {
        "weights=": lambda: ml.fit(formula, women, weights=turned["w"]),
        "offset=": lambda: fit.predict(women, offset=turned["w"]),
        "Column 'x'": lambda: ml.fit("y ~ x", {"y": women["y"], "x": turned["x"]}),
        "groups=": lambda: single.with_vcov("cluster", groups=turned["g"]),
        "group=": lambda: fit.influence(turned["w"]),
        "by=": lambda: fit.residual_tests(by=turned["w"]),
        "y=": lambda: fit.roc(women, turned["y"]),
    }.items():
        with pytest.raises(ml.DataError, match=f"{what} has another index than the data"):
            call()


def test_series_of_the_data_or_of_the_rows_used_are_taken(women: pd.DataFrame) -> None:
    single = ml.fit("y ~ x", women)
    complete = women["x"].notna()
    for groups in (women["g"], women["g"][complete], women["g"].to_numpy()):
        robust = single.with_vcov("cluster", groups=groups)
        np.testing.assert_array_equal(robust.se, single.with_vcov("cluster", groups=women["g"]).se)
    weighted = ml.fit("y ~ x", women, weights=women["w"])
    assert weighted.loglik == ml.fit("y ~ x", women, weights="w").loglik
