"""Derivatives of design columns, against finite differences and known formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilogit.data.columns import Numeric
from multilogit.errors import DataError
from multilogit.formula import Design, Variables, build_frame
from multilogit.formula.dual import _ONE, _TWO, Dual
from multilogit.formula.functions import ARITHMETIC, ARITY

EXPRESSIONS = [
    "x",
    "I(x**2) + x",
    "log(x)*f",
    "x:f + x:w",
    "I(x*w) + sqrt(x + w**2)",
    "exp(-x/3) + np.tanh(x - 2)",
    "poly(x, 3)",
    "poly(x, 2, raw=True):f",
    "bs(x, df=6)",
    "bs(log(x), df=5)",
    "ns(x, df=5)",
    "cr(x, df=5)",
    "cc(x, df=5)",
    "scale(x) + I(scale(log(x))**2)",
    "bs(scale(x), df=5):center(w)",
    "pmax(x, 4) + abs(x - 5) + ifelse(x > 3, x**2, w)",
    "floor(x) + round(x) + w",
    "I(2**x) + expit(x) + logit(x/10) + np.power(x, w)",
    "I(x > 3) + C(g)*x + 0",
]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "x": rng.uniform(1.0, 9.0, n),
            "w": rng.uniform(0.5, 2.0, n),
            "f": rng.choice(["a", "b", "c"], n),
            "g": rng.integers(1, 4, n),
            "y": rng.integers(0, 2, n),
        }
    )


def made(formula: str, data: Any) -> tuple[Design, Variables]:
    frame, design = build_frame(formula, data)
    return design, frame.variables


@pytest.mark.parametrize("terms", EXPRESSIONS)
def test_against_differences(terms: str, data: pd.DataFrame) -> None:
    design, variables = made(f"y ~ {terms} + (1 + {terms.split(' + ')[0]} | g)", data)
    # Within the range that splines know, and away from kinks.
    inner = np.flatnonzero((data["x"] > data["x"].min()) & (data["x"] < data["x"].max()))
    variables = variables.take(inner)
    x = variables.columns["x"].floats()  # type: ignore[union-attr]

    def at(step: float) -> list[np.ndarray]:
        new = design.columns(variables.with_columns({"x": Numeric(x + step)}))
        return [*new.fixed.columns, *(c for block in new.random for c in block.columns)]

    h = 1e-5
    numeric = [(a - b) / (2 * h) for a, b in zip(at(h), at(-h), strict=True)]
    exact, plain = design.slopes(variables, "x"), design.columns(variables)
    assert exact.fixed.names == plain.fixed.names
    assert exact.fixed.terms == plain.fixed.terms
    assert [b.names for b in exact.random] == [b.names for b in plain.random]
    found = [*exact.fixed.columns, *(c for block in exact.random for c in block.columns)]
    for one, other in zip(found, numeric, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=2e-8)


def test_polynomials_are_exact(data: pd.DataFrame) -> None:
    design, variables = made("y ~ x + I(x**3) + poly(x, 4, raw=True)", data)
    x = data["x"].to_numpy()
    fixed = design.slopes(variables, "x").fixed
    expected = [0 * x, 0 * x + 1, 3 * x**2, 0 * x + 1, 2 * x, 3 * x**2, 4 * x**3]
    for name, found, exact in zip(fixed.names, fixed.columns, expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-12, err_msg=name)


def test_splines_at_their_knots_and_ends(data: pd.DataFrame) -> None:
    """Cubic splines have continuous derivatives; B-splines are not defined beyond their ends."""
    design, variables = made("y ~ bs(x, df=6)", data)
    knots = np.unique(design.learnt.states["bs(x, df=6)"]["knots"])
    at = variables.take(np.zeros(knots.size, dtype=np.int64))
    here = design.slopes(at.with_columns({"x": Numeric(knots)}), "x").fixed.columns
    inside = np.clip(knots, knots[0] + 1e-7, knots[-1] - 1e-7)
    near = design.slopes(at.with_columns({"x": Numeric(inside)}), "x").fixed.columns
    for one, other in zip(here, near, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(np.sum(here[1:], axis=0)[1:], 0.0, atol=1e-10)  # they add up to 1


def test_offsets_and_columns_that_do_not_matter(data: pd.DataFrame) -> None:
    design, variables = made("y ~ w + offset(log(x)) + (1 | g)", data)
    slopes = design.slopes(variables, "x")
    np.testing.assert_allclose(slopes.offset, 1.0 / data["x"])  # type: ignore[arg-type]
    assert not any(column.any() for column in slopes.fixed.columns)
    assert not slopes.random[0].columns[0].any()


def test_an_infinite_derivative_is_refused(data: pd.DataFrame) -> None:
    design, variables = made("y ~ sqrt(x)", data)
    few = variables.take(np.arange(2)).with_columns({"x": Numeric(np.array([1.0, 0.0]))})
    with pytest.raises(DataError, match=r"derivative of 'sqrt\(x\)' in 'x' is inf at row 1"):
        design.slopes(few, "x")


def test_every_function_of_formulas_is_differentiated() -> None:
    x = np.array([0.3, 0.7])
    for name, function in ARITHMETIC.items():
        assert isinstance(function(*[Dual(x, 1.0)] * ARITY[name]), Dual), name
    for function, derivative in _ONE.items():
        h = 1e-6
        numeric = (function(x + h) - function(x - h)) / (2 * h)
        np.testing.assert_allclose(derivative(x, function(x)) + 0 * x, numeric, atol=1e-8)
    for function in _TWO:
        a, b = np.array([0.9, 2.3]), np.array([1.1, 0.7])
        for k in range(2):
            shift = [h * (k == 0), h * (k == 1)]
            up, down = function(a + shift[0], b + shift[1]), function(a - shift[0], b - shift[1])
            found = function(Dual(a, float(k == 0)), Dual(b, float(k == 1)))
            np.testing.assert_allclose(found.tangent + 0 * a, (up - down) / (2 * h), atol=1e-8)
