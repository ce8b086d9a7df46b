"""Linear hypotheses: what is read, and how errors point at the token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import FormulaError, OptionError
from multilogit.inference.hypotheses import parse
from multilogit.inference.wald_test import linear_test

NAMES = ["(Intercept)", "a", "ab", "a:b", "I(a**2)", "f1", "f2", "f3+", "poly(x, 2)1"]
TERMS = {"(Intercept)": [0], "a": [1], "f": [5, 6, 7], "b": [2]}


def matrix(*rows: dict[str, float]) -> list[list[float]]:
    return [[each.get(name, 0.0) for name in NAMES] for each in rows]


@pytest.mark.parametrize(
    ("text", "rows", "values"),
    [
        ("a = 0", [{"a": 1}], [0]),
        ("a", [{"a": 1}], [0]),
        ("a == 2", [{"a": 1}], [2]),
        ("ab = 0", [{"ab": 1}], [0]),
        ("a = ab", [{"a": 1, "ab": -1}], [0]),
        ("a:b = 0; a", [{"a:b": 1}, {"a": 1}], [0, 0]),
        ("(Intercept) = -1.5", [{"(Intercept)": 1}], [-1.5]),
        ("I(a**2) = 1e-3", [{"I(a**2)": 1}], [1e-3]),
        ("f1 = f2 = f3+", [{"f1": 1, "f2": -1}, {"f2": 1, "f3+": -1}], [0, 0]),
        ("f3++f1 = 0", [{"f3+": 1, "f1": 1}], [0]),
        ("`f3+` - `f1`", [{"f3+": 1, "f1": -1}], [0]),
        ("(f1 + f2)/2 - a*3 = .5", [{"f1": 0.5, "f2": 0.5, "a": -3}], [0.5]),
        ("2*(f1 - 1) = f1", [{"f1": 1}], [2]),
        ("-a = +ab - -f1", [{"a": -1, "ab": -1, "f1": -1}], [0]),
        ("f = 0", [{"f1": 1}, {"f2": 1}, {"f3+": 1}], [0, 0, 0]),
        ("f = 1, a = 0", [{"f1": 1}, {"f2": 1}, {"f3+": 1}, {"a": 1}], [1, 1, 1, 0]),
        ("b = a", [{"ab": 1, "a": -1}], [0]),
        ("poly(x, 2)1 = 0, f1 = 0", [{"poly(x, 2)1": 1}, {"f1": 1}], [0, 0]),
    ],
)
def test_reads(text: str, rows: list[dict[str, float]], values: list[float]) -> None:
    found = parse(text, NAMES, TERMS)
    np.testing.assert_allclose(found.R, matrix(*rows))
    np.testing.assert_allclose(found.r, values)
    assert len(found.labels) == len(rows)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("zz = 0", 0, "no coefficient 'zz'"),
        ("a + abc = 0", 4, "no coefficient 'abc'"),
        ("a = ", 4, "missing"),
        ("", 0, "missing"),
        ("a ab = 0", 2, "comma or the end"),
        ("a*ab = 0", 1, "not linear"),
        ("1/a = 0", 1, "divide by a number"),
        ("a/0 = 0", 1, "divide by a number"),
        ("(a + ab = 0", 8, "not closed"),
        ("`a = 0", 0, "backtick is not closed"),
        ("a = `q`", 4, "no coefficient 'q'"),
        ("a - f = 0", 4, "only stand alone"),
        ("2*f = 0", 3, "only stand alone"),
        ("f = a", 0, "compared with a number"),
        ("1 = 2", 0, "no coefficient is left"),
        ("a = a", 0, "no coefficient is left"),
    ],
)
def test_points_at_what_cannot_be_read(text: str, position: int, words: str) -> None:
    with pytest.raises(FormulaError, match=words) as raised:
        parse(text, NAMES, TERMS)
    assert raised.value.position == position
    assert raised.value.formula == text


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.integers(0, 1000))
def test_the_statistic_does_not_depend_on_how_rows_are_written(
    weights: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(4, 6))
    V = A.T @ A + np.eye(6)
    beta = rng.normal(size=6)
    R = np.array([[1.0, -1, 0, 0, 0, 0], [0, 0, 1, 2, 0, 0]])
    r = np.array([0.3, -0.1])
    first = linear_test(beta, V, R, r)
    expected = (R @ beta - r) @ np.linalg.solve(R @ V @ R.T, R @ beta - r)
    assert first.statistic == pytest.approx(expected, rel=1e-9)
    mixed = np.array([[1.0, weights[0]], [weights[1], -1.0]])
    if abs(np.linalg.det(mixed)) > 0.1:
        other = linear_test(beta, V, mixed @ R, mixed @ r)
        assert other.statistic == pytest.approx(first.statistic, rel=1e-6)
    redundant = linear_test(beta, V, np.vstack([R, R[0] + R[1]]), np.append(r, r.sum()))
    assert redundant.df == 2
    assert redundant.statistic == pytest.approx(first.statistic, rel=1e-9)


def test_one_row_is_the_square_of_z() -> None:
    found = linear_test(np.array([2.0]), np.array([[4.0]]), np.array([[3.0]]), np.array([0.0]))
    assert found.statistic == pytest.approx(1.0)
    assert found.p_value == pytest.approx(0.31731050786291415)  # R: 2 * pnorm(-1)


@pytest.mark.parametrize(
    ("R", "r", "words"),
    [
        ([[1.0]], [0.0], r"shape \(1, 1\)"),
        ([[1.0, 0.0]], [0.0, 1.0], r"\(2,\)"),
        ([[0.0, 0.0]], [0.0], "all zero"),
        ([[1.0, 0.0], [2.0, 0.0]], [0.0, 1.0], "contradicts"),
        ([[1.0, np.nan]], [0.0], "NaN"),
        ([[0.0, 1.0]], [0.0], "no finite estimate"),
    ],
)
def test_hypotheses_that_make_no_sense(R: list[list[float]], r: list[float], words: str) -> None:
    covariance = np.array([[1.0, np.nan], [np.nan, np.nan]])
    with pytest.raises(OptionError, match=words):
        linear_test(np.array([1.0, 2.0]), covariance, np.array(R), np.array(r))
