"""One Newton step without a row or a group: what it is, and that it is near a refit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import multilogit as ml
from multilogit.assess.influence import change_without, row_influence
from multilogit.evaluation import Evaluation
from multilogit.result import Fit


def crossed_data(seed: int = 0, n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 20, n), rng.integers(0, 12, n)
    x = rng.standard_normal(n)
    eta = 0.4 + x + rng.standard_normal(20)[g] + 0.7 * rng.standard_normal(12)[h]
    return pd.DataFrame({"y": rng.binomial(1, expit(eta)), "x": x, "g": g, "h": h, "top": g // 2})


def refits(formula: str, data: pd.DataFrame, fit: Fit, group: str, **options: Any) -> pd.DataFrame:
    """Estimates minus those without each level."""
    rows = []
    for level in sorted(data[group].unique()):
        other = ml.fit(formula, data[data[group] != level], **options)
        rows.append(np.concatenate([fit.coef - other.coef, sds(fit) - sds(other)]))
    return pd.DataFrame(rows)


def sds(fit: Fit) -> np.ndarray:
    return fit.variance_components["sd"].to_numpy(float)


@pytest.mark.parametrize(
    ("formula", "group", "options"),
    [
        ("y ~ x + (1 + x | g)", "g", {}),
        ("y ~ x + (1 | g)", "g", {"nodes": 9}),
        ("y ~ x + (1 | g)", "g", {"prior": ml.Normal(scale=1.0)}),
        ("y ~ x + (1 | top/g)", "top", {}),
        ("y ~ x + (1 | g) + (1 | h)", "h", {}),
    ],
)
def test_near_true_refits(formula: str, group: str, options: dict[str, Any]) -> None:
    data = crossed_data()
    fit = ml.fit(formula, data, **options)
    found = fit.influence(group)
    expected = refits(formula, data, fit, group, **options).to_numpy()
    actual = found.dfbeta.to_numpy()
    error = np.linalg.norm(actual - expected, axis=1)
    near = error < 0.1 * np.linalg.norm(expected, axis=1) + 0.005
    assert near.mean() >= 0.7  # all but the groups that change most
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.88
    assert np.abs(actual).sum(axis=1).argmax() == np.abs(expected).sum(axis=1).argmax()
    assert found.of == group
    assert list(found.table["level"]) == sorted(data[group].unique())
    assert found.table["rows"].sum() == len(data)


def test_a_nested_group_leaves_its_siblings() -> None:
    data = crossed_data(1)
    data["leaf"] = data["top"].astype(str) + ":" + data["g"].astype(str)
    fit = ml.fit("y ~ x + (1 | top) + (1 | leaf)", data)
    actual = fit.influence("leaf").dfbeta.iloc[:4, :2].to_numpy()
    levels = fit.influence("leaf").table["level"][:4]
    for level, row in zip(levels, actual, strict=True):
        other = ml.fit("y ~ x + (1 | top) + (1 | leaf)", data[data["leaf"] != level])
        np.testing.assert_allclose(row, fit.coef - other.coef, atol=0.02)


def test_categories_and_their_groups() -> None:
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(30), 12), rng.standard_normal(360)
    eta = np.column_stack([np.zeros(360), x + rng.standard_normal(30)[g], 0.5 - x])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    y = np.array(["a", "b", "c"])[(rng.random(360)[:, None] > p.cumsum(axis=1)).sum(axis=1)]
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    single = ml.fit("y ~ x", data)
    rows = single.influence()
    assert rows.table["hat"].sum() == pytest.approx(4.0)
    other = ml.fit("y ~ x", data.drop(index=17))
    np.testing.assert_allclose(rows.dfbeta.loc[17], single.coef - other.coef, atol=1e-4)
    assert np.abs(rows.dfbeta.loc[17]).max() > 1e-3
    mixed = ml.fit("y ~ x + (1 | g)", data)
    other = ml.fit("y ~ x + (1 | g)", data[data["g"] != 3])
    found = mixed.influence().dfbeta.loc[3, list(mixed.coef.index)]
    np.testing.assert_allclose(found, mixed.coef - other.coef, atol=0.02)


def test_rows_one_by_one_are_rows_all_at_once() -> None:
    data = crossed_data(3).iloc[:80]
    for options in ({}, {"prior": ml.Normal(scale=1.0)}, {"weights": 1.0 + np.arange(80) % 3}):
        fit = ml.fit("y ~ x", data, tolerance=1e-13, **options)  # type: ignore[arg-type]
        together, single = fit.influence(), fit.influence(np.arange(80))
        np.testing.assert_allclose(together.dfbeta, single.dfbeta, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(
            together.table["cooks_distance"], single.table["cooks_distance"], rtol=1e-8
        )


def test_labels_group_the_rows_of_a_single_level_model() -> None:
    data = crossed_data(4)
    fit = ml.fit("y ~ x", data)
    found = fit.influence(data["top"].to_numpy())
    expected = refits("y ~ x", data, fit, "top").to_numpy()
    np.testing.assert_allclose(found.dfbeta, expected, atol=0.1 * np.abs(expected).max())
    assert "hat" not in found.table


def test_a_row_that_alone_determines_a_coefficient() -> None:
    data = {"y": [0, 1, 0, 1, 1, 0, 1, 1], "n": [3] * 8, "a": [0] * 7 + [1]}
    fit = ml.fit("y ~ a", data, trials="n")
    table = fit.influence().table
    assert table["hat"].iloc[7] == pytest.approx(1.0)
    assert np.isnan(table["cooks_distance"].iloc[7])
    assert np.isfinite(table["cooks_distance"].iloc[:7]).all()


def test_zero_variances_stay() -> None:
    rng = np.random.default_rng(6)
    data = {"y": rng.binomial(1, 0.5, 200), "g": np.arange(200) % 10}
    fit = ml.fit("y ~ 1 + (1 | g)", data)
    assert sds(fit)[0] == 0.0
    found = fit.influence()
    assert (found.dfbeta["sd_(Intercept)|g"] == 0.0).all()
    assert np.isfinite(found.table["cooks_distance"]).all()


def test_no_maximum_without_the_rows() -> None:
    Q = Evaluation(0.0, np.zeros(2), -np.eye(2))
    part = Evaluation(0.0, np.ones(2), np.diag([-0.5, -1.5]))
    assert np.isnan(change_without(Q, part, np.array([True, True]))).all()
    held = change_without(Q, part, np.array([True, False]))
    np.testing.assert_allclose(held, [-1.0 / 0.5, 0.0])


def test_woodbury() -> None:
    rng = np.random.default_rng(7)
    X, C, n, p = rng.standard_normal((9, 2)), 2, 9, 2
    root = rng.standard_normal((n, C, C))
    W = 0.05 * root @ np.swapaxes(root, 1, 2)
    A = np.stack([np.kron(np.eye(C), x[:, None]) for x in X])
    H = np.einsum("nac,ncd,nbd->ab", A, W, A) + np.eye(p * C)
    r = rng.standard_normal((n, C))
    found = row_influence(X, r, W, np.linalg.inv(H))
    for i in range(n):
        without = H - A[i] @ W[i] @ A[i].T
        np.testing.assert_allclose(found.change[i], -np.linalg.solve(without, A[i] @ r[i]))


def test_progress_is_reported() -> None:
    steps: list[tuple[int, int]] = []
    data = crossed_data(8).iloc[:100]
    ml.fit("y ~ x", data).influence(
        data["g"].to_numpy(), progress=lambda done, total: steps.append((done, total))
    )
    G = data["g"].nunique()
    assert steps == [(k + 1, G) for k in range(G)]


def test_what_to_leave_out_is_checked() -> None:
    data = crossed_data(5)
    fit = ml.fit("y ~ x + (1 | g) + (1 | h)", data)
    with pytest.raises(ml.OptionError, match="Name one grouping factor"):
        fit.influence()
    with pytest.raises(ml.OptionError, match="'z'"):
        fit.influence("z")
    with pytest.raises(ml.DataError, match="one label for each of the 600 rows"):
        fit.influence([1, 2, 3])
    with pytest.raises(ml.DataError, match="no label in row 3"):
        fit.influence(np.where(np.arange(600) == 3, np.nan, 1.0))


def test_labels_of_all_rows_of_the_data_will_do() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.integers(0, 2, 90), "x": rng.normal(size=90)})
    data["g"] = np.arange(90) // 9
    data.loc[[4, 50], "x"] = np.nan
    fit = ml.fit("y ~ x", data)
    used = data["x"].notna()
    whole, part = fit.influence(data["g"]), fit.influence(data["g"][used])
    pd.testing.assert_frame_equal(whole.table, part.table)
    z = data["g"] * 1.0
    whole_tests, part_tests = fit.residual_tests(by=z), fit.residual_tests(by=z[used])
    pd.testing.assert_frame_equal(whole_tests.table, part_tests.table)
    with pytest.raises(ml.DataError, match=r"group=.*(90 rows|index)"):
        fit.influence(data["g"][:80])
