"""Collapsed rows: the same likelihood up to the coefficients, and exactly the equal rows."""

from __future__ import annotations

from math import comb, factorial, log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.data import collapse, collapse_pays, log_coefficient
from multilogit.data.model_frame import FixedColumns, ModelFrame, Response
from multilogit.formula import build_frame


def example(seed: int, n: int = 60, weights: bool = True) -> ModelFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "y": rng.choice(["a", "b", "c"], n),
            "f": rng.choice(["u", "v"], n),
            "x": rng.integers(0, 3, n).astype(float),
            "g": rng.integers(0, 4, n),
            "o": rng.integers(0, 2, n) / 2,
            "w": rng.integers(1, 4, n),
        }
    )
    formula = "y ~ f * x + offset(o) + (1 + x | g)"
    return build_frame(formula, data, weights="w" if weights else None)[0]


def loglik_without_constant(frame: ModelFrame, beta: np.ndarray, b: np.ndarray) -> float:
    """Σ w [Σ_j y_j η_j − n log(1 + Σ_j exp η_j)], written out."""
    assert frame.offset is not None
    base = frame.offset + b[frame.groupings["g"].codes]
    eta = frame.fixed.matrix() @ beta + base[:, None]
    rows = (frame.response.counts * eta).sum(axis=1)
    rows = rows - frame.response.trials * np.log1p(np.exp(eta).sum(axis=1))
    weights = frame.response.weights
    return float(rows.sum() if weights is None else rows @ weights)


@given(st.integers(0, 10_000))
def test_likelihood_is_kept(seed: int) -> None:
    frame = example(seed)
    collapsed, population = collapse(frame)
    rng = np.random.default_rng(seed)
    beta = rng.normal(size=(len(frame.fixed.columns), 2))
    b = rng.normal(size=4)
    assert loglik_without_constant(collapsed, beta, b) == pytest.approx(
        loglik_without_constant(frame, beta, b), rel=1e-12
    )
    np.testing.assert_array_equal(collapsed.fixed.matrix()[population], frame.fixed.matrix())
    rows = {tuple(row) for row in rows_of(frame)}
    assert collapsed.response.trials.shape[0] == len(rows)


def rows_of(frame: ModelFrame) -> np.ndarray:
    assert frame.offset is not None
    return np.column_stack([frame.fixed.matrix(), frame.groupings["g"].codes, frame.offset])


def test_order_and_row_numbers() -> None:
    data = {"y": [1, 0, 1, 0, 1], "x": [2.0, -0.0, 2.0, 0.0, np.nan]}
    frame, _ = build_frame("y ~ x", data)
    collapsed, population = collapse(frame)
    assert population.tolist() == [0, 1, 0, 1]
    assert collapsed.rows is not None
    assert collapsed.rows.tolist() == [0, 1]
    assert collapsed.response.counts[:, 0].tolist() == [2, 0]
    assert collapsed.response.trials.tolist() == [2, 2]


def test_equal_hashes_do_not_merge_different_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = example(1)
    expected, _ = collapse(frame)
    n = frame.response.trials.shape[0]
    monkeypatch.setattr(
        "multilogit.data.populations._hash", lambda *_: np.zeros(n, dtype=np.uint64)
    )
    collapsed, population = collapse(frame)
    assert collapsed.response.trials.shape == expected.response.trials.shape
    np.testing.assert_array_equal(collapsed.fixed.matrix()[population], frame.fixed.matrix())


def simple(columns: list[np.ndarray]) -> ModelFrame:
    n = columns[0].shape[0]
    names = tuple(f"x{k}" for k in range(len(columns)))
    y = np.zeros((n, 1))
    return ModelFrame(
        Response("binomial", "y", ("0", "1"), y, np.ones(n)),
        FixedColumns(tuple(columns), names, names),
    )


@pytest.mark.parametrize(
    ("levels", "n", "pays"),
    [(20, 100, False), (50, 2_000, True), (100, 100_000, True), (10_000, 100_000, True)],
)
def test_pays_for_few_populations(levels: int, n: int, pays: bool) -> None:
    rng = np.random.default_rng(0)
    assert collapse_pays(simple([rng.integers(0, levels, n).astype(float)])) is pays


def test_does_not_pay_for_continuous_columns() -> None:
    rng = np.random.default_rng(0)
    for n in (2_000, 50_000):
        assert not collapse_pays(simple([rng.normal(size=n)]))
        assert not collapse_pays(simple([rng.integers(0, 2 * n, n).astype(float)]))


def test_log_coefficient_against_factorials() -> None:
    counts = np.array([[2.0, 1.0], [0.0, 4.0]])
    response = Response(
        "multinomial", "y", ("a", "b", "c"), counts, np.array([5.0, 4.0]), np.array([1.0, 3.0])
    )
    first = factorial(5) // (factorial(2) * factorial(2) * factorial(1))
    assert log_coefficient(response) == pytest.approx(log(first), rel=1e-14)
    binomial = Response("binomial", "y", ("0", "1"), counts[:, :1], np.array([5.0, 4.0]))
    assert log_coefficient(binomial) == pytest.approx(log(comb(5, 2)), rel=1e-14)


def test_log_coefficient_of_single_trials_is_zero() -> None:
    response = Response("binomial", "y", ("0", "1"), np.array([[1.0], [0.0]]), np.ones(2))
    assert log_coefficient(response) == 0.0
