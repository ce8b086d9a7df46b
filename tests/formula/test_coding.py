"""Columns and names as R's model.matrix makes them."""

from __future__ import annotations

import formulaic
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import DataError
from multilogit.formula import build_frame

N = 48
RNG = np.random.default_rng(7)
DATA = pd.DataFrame(
    {
        "y": np.arange(N) % 2,
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 4, size=N),
        "k": np.arange(N) % 3,
        "a": np.array(["p", "q"])[np.arange(N) // 2 % 2],
        "b": np.array(["u", "v", "w"])[np.arange(N) // 4 % 3],
        "t": np.arange(N) % 5 == 0,
    }
)


def names(right: str, data: object = DATA) -> list[str]:
    return list(build_frame(f"y ~ {right}", data)[0].fixed.names)


# What R 4.2 gives: colnames(model.matrix(~ ..., data))
R_NAMES = {
    "x + a": ["(Intercept)", "x", "aq"],
    "a * b": ["(Intercept)", "aq", "bv", "bw", "aq:bv", "aq:bw"],
    "b * a": ["(Intercept)", "bv", "bw", "aq", "bv:aq", "bw:aq"],
    "0 + a": ["ap", "aq"],
    "0 + a + b": ["ap", "aq", "bv", "bw"],
    "0 + x + a": ["x", "ap", "aq"],
    "x:a": ["(Intercept)", "x:ap", "x:aq"],
    "x + x:a": ["(Intercept)", "x", "x:aq"],
    "a + x:a": ["(Intercept)", "aq", "ap:x", "aq:x"],
    "a/x": ["(Intercept)", "aq", "ap:x", "aq:x"],
    "a:b": ["(Intercept)", "ap:bu", "aq:bu", "ap:bv", "aq:bv", "ap:bw", "aq:bw"],
    "a + a:b": ["(Intercept)", "aq", "ap:bv", "aq:bv", "ap:bw", "aq:bw"],
    "b + a:b": ["(Intercept)", "bv", "bw", "bu:aq", "bv:aq", "bw:aq"],
    "0 + a:b": ["ap:bu", "aq:bu", "ap:bv", "aq:bv", "ap:bw", "aq:bw"],
    "t": ["(Intercept)", "tTRUE"],
    "I(x > 0)": ["(Intercept)", "I(x > 0)TRUE"],
    "k": ["(Intercept)", "k"],
    "factor(k)": ["(Intercept)", "factor(k)1", "factor(k)2"],
    "C(b, contr.sum)": ["(Intercept)", "C(b, contr.sum)1", "C(b, contr.sum)2"],
    "C(b, contr.helmert)": ["(Intercept)", "C(b, contr.helmert)1", "C(b, contr.helmert)2"],
    "C(b, contr.poly)": ["(Intercept)", "C(b, contr.poly).L", "C(b, contr.poly).Q"],
    "poly(x, 2)": ["(Intercept)", "poly(x, 2)1", "poly(x, 2)2"],
    "poly(x, 1)": ["(Intercept)", "poly(x, 1)"],
    "poly(x, 2):a": [
        "(Intercept)",
        "poly(x, 2)1:ap",
        "poly(x, 2)2:ap",
        "poly(x, 2)1:aq",
        "poly(x, 2)2:aq",
    ],
    "scale(x)": ["(Intercept)", "scale(x)"],
    "log(z) + I(x^2)": ["(Intercept)", "log(z)", "I(x^2)"],
    "I(x**2)": ["(Intercept)", "I(x**2)"],
    "a:x + a": ["(Intercept)", "aq", "ap:x", "aq:x"],
}


@pytest.mark.parametrize("right", R_NAMES)
def test_names_and_order(right: str) -> None:
    assert names(right) == R_NAMES[right]


def test_terms_of_columns() -> None:
    frame, _ = build_frame("y ~ x * b + poly(z, 2)", DATA)
    assert frame.fixed.terms == (
        *("(Intercept)", "x", "b", "b", "poly(z, 2)", "poly(z, 2)"),
        *("x:b", "x:b"),
    )


def matrix(right: str) -> np.ndarray:
    return build_frame(f"y ~ {right}", DATA)[0].fixed.matrix()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("x + z", "x + z"),
        ("a * b * x", "a * b * x"),
        ("0 + a + b", "0 + a + b"),
        ("C(b, contr.sum) * x", "C(b, contr.sum) * x"),
        ("C(b, contr.helmert)", "C(b, contr.helmert)"),
        ("C(b, contr.poly)", "C(b, contr.poly)"),
        ("C(b, contr.treatment('w'))", "C(b, contr.treatment('w'))"),
        ("C(b, Treatment(reference='v'))", "C(b, contr.treatment('v'))"),
        ("C(b, levels=['w', 'v', 'u'])", "C(b, levels=['w', 'v', 'u'])"),
        (
            "factor(b, ['w', 'v', 'u'], base='v')",
            "C(b, contr.treatment('v'), levels=['w', 'v', 'u'])",
        ),
        ("C(C(b, levels=['v', 'u', 'w']), contr.sum)", "C(b, contr.sum, levels=['v', 'u', 'w'])"),
        ("C(b, contr.diff)", "C(b, contr.diff)"),
        ("C(k, contr.treatment(2))", "C(k, contr.treatment(2))"),
        ("a:x + np.log(Q('z'))", "a:x + np.log(z)"),
        ("I((x > 0) * z) + I((x > 0) + (z > 2))", "I((x > 0) * z) + I(1 * (x > 0) + (z > 2))"),
        ("z + I(x > 0 & z < 2 | !(z > 3)):z", "z + I(1.0*(((x > 0) & (z < 2)) | ~(z > 3))):z"),
        ("bs(x, df=5)", "bs(x, df=5)"),
        ("bs(x, knots=[-0.5, 0.5], degree=2) + z", "bs(x, knots=[-0.5, 0.5], degree=2) + z"),
        ("cr(x, df=4)", "cr(x, df=4)"),
        ("poly(x, 3)", "poly(x, 3)"),
        ("poly(x, degree=2, raw=True)", "poly(x, degree=2, raw=True)"),
        ("scale(x) + center(z)", "scale(x) + center(z)"),
        ("standardize(x)", "standardize(x)"),
        ("np.log(z) + np.exp(x)", "np.log(z) + np.exp(x)"),
        ("I(x * z - 2 / (1 + z))", "I(x * z - 2 / (1 + z))"),
        ("{x + z}", "{x + z}"),
        ("I(-x^2)", "I(-x**2)"),
        ("C(k):x + x", "C(k):x + x"),
    ],
)
def test_columns_agree_with_formulaic(ours: str, theirs: str) -> None:
    expected = np.asarray(formulaic.model_matrix(theirs, DATA), dtype=float)
    made = matrix(ours)
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)


@given(
    st.permutations(["a", "b", "x", "k"]), st.lists(st.sampled_from("+*:"), min_size=3, max_size=3)
)
def test_column_space_agrees_with_formulaic(variables: list[str], operators: list[str]) -> None:
    right = variables[0] + "".join(
        f" {o} {v}" for o, v in zip(operators, variables[1:], strict=True)
    )
    ours = matrix(right)
    theirs = np.asarray(formulaic.model_matrix(right, DATA), dtype=float)
    both = np.linalg.matrix_rank(np.hstack([ours, theirs]))
    assert np.linalg.matrix_rank(ours) == np.linalg.matrix_rank(theirs) == both


def test_orthogonal_polynomial_of_r() -> None:
    """poly(1:5, 2) of R 4.2."""
    data = {"y": [0, 1, 0, 1, 0], "x": [1, 2, 3, 4, 5]}
    made = build_frame("y ~ poly(x, 2)", data)[0].fixed
    np.testing.assert_allclose(
        made.columns[1], [-0.63245553, -0.31622777, 0, 0.31622777, 0.63245553], atol=1e-8
    )
    np.testing.assert_allclose(
        made.columns[2], [0.53452248, -0.26726124, -0.53452248, -0.26726124, 0.53452248], atol=1e-8
    )


def test_contrasts_of_r() -> None:
    data = {"y": [0, 1, 0], "b": ["u", "v", "w"]}
    helmert = build_frame("y ~ C(b, contr.helmert)", data)[0].fixed.matrix()[:, 1:]
    np.testing.assert_array_equal(helmert, [[-1, -1], [1, -1], [0, 2]])
    total = build_frame("y ~ C(b, contr.sum)", data)[0].fixed.matrix()[:, 1:]
    np.testing.assert_array_equal(total, [[1, 0], [0, 1], [-1, -1]])


def test_relevel_and_category_order() -> None:
    assert names("relevel(b, ref='w')")[1:] == ["relevel(b, ref='w')u", "relevel(b, ref='w')v"]
    data = DATA.assign(b=pd.Categorical(DATA["b"], categories=["w", "none", "u", "v"]))
    frame, _ = build_frame("y ~ b", data)
    assert frame.fixed.names == ("(Intercept)", "bu", "bv")
    assert [d.code for d in frame.diagnostics] == ["unused-levels"]


def test_dot_is_every_other_column() -> None:
    frame, _ = build_frame("y ~ . - z + (1 | k)", DATA)
    assert frame.fixed.names == ("(Intercept)", "x", "aq", "bv", "bw", "tTRUE")


def test_names_with_spaces() -> None:
    data = {"my y": [0, 1, 0, 1], "my x": [1.0, 2.0, 4.0, 3.0], "a:b": ["u", "v", "u", "u"]}
    frame, design = build_frame("`my y` ~ `my x` + log(`my x`) + Q('a:b')", data)
    assert frame.fixed.names == ("(Intercept)", "my x", "log(`my x`)", "a:bv")
    np.testing.assert_array_equal(frame.fixed.columns[2], np.log(data["my x"]))
    assert design.new_columns(data).fixed.names == frame.fixed.names


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("I(a + 1)", "'a' is categorical"),
        ("log(b)", "'b' is categorical"),
        ("log(x)", r"'log\(x\)' is nan at row \d+ \(x = -"),
        ("I(1 / (x - x))", "is inf at row 0"),
        ("C(b, contr.treatment('no'))", "'no'.*is not among the provided levels"),
        ("C(b, levels=['u', 'v'])", "the level 'w', which levels= lacks"),
        ("I(b == 'no')", r"only one level \('FALSE'\)"),
        ("bs(x, df=2)", "cannot be computed"),
        ("poly(k, 3)", "more than 3 distinct"),
        ("relevel(b, 'no')", "not a level"),
    ],
)
def test_bad_expressions(right: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        matrix(right)


def test_a_factor_of_one_level_is_refused() -> None:
    with pytest.raises(DataError, match="'b' has only one level"):
        build_frame("y ~ b", DATA.assign(b="u"))
