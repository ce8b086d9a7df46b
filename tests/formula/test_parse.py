"""The language: terms expand as formulaic (and R) expand them, bars and offsets are found."""

from __future__ import annotations

import formulaic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import FormulaError
from multilogit.formula.parse import FormulaSpec, parse


def terms(right: str) -> list[str]:
    spec = parse(f"y ~ {right}")
    return ["1"] * spec.fixed.intercept + list(spec.fixed.names())


def by_formulaic(right: str) -> list[frozenset[str]]:
    parsed = formulaic.Formula(right)
    return [frozenset(map(str, term.factors)) - {"1"} for term in parsed]


EXPANSIONS = {
    "1": ["1"],
    "a": ["1", "a"],
    "0 + a": ["a"],
    "a - 1": ["a"],
    "-1 + a": ["a"],
    "a*b": ["1", "a", "b", "a:b"],
    "a:b + c": ["1", "c", "a:b"],
    "a/b": ["1", "a", "a:b"],
    "(a + b)/c": ["1", "a", "b", "a:b:c"],
    "a/(b + c)": ["1", "a", "a:b", "a:c"],
    "b %in% a": ["1", "b:a"],
    "(a + b + c)^2": ["1", "a", "b", "c", "a:b", "a:c", "b:c"],
    "(a + b)**2": ["1", "a", "b", "a:b"],
    "a*b*c - a:b:c": ["1", "a", "b", "c", "a:b", "a:c", "b:c"],
    "a*b - a": ["1", "b", "a:b"],
    "a + a:a": ["1", "a"],
    "a + b + b:a": ["1", "a", "b", "a:b"],
    "b:a": ["1", "b:a"],
    "I(x^2) + I(x ** 2)": ["1", "I(x^2)"],
    "log(a):b": ["1", "log(a):b"],
    "`my x` + np.log(a)": ["1", "my x", "np.log(a)"],
    "{a + b}": ["1", "{a + b}"],
    "age.years": ["1", "age.years"],
}


@pytest.mark.parametrize("right", EXPANSIONS)
def test_expansion(right: str) -> None:
    assert terms(right) == EXPANSIONS[right]


def formulas() -> st.SearchStrategy[str]:
    names = st.sampled_from(["a", "b", "c", "d"])
    return st.recursive(
        names,
        lambda inner: (
            st.builds(lambda x, op, y: f"({x} {op} {y})", inner, st.sampled_from("+*:/"), inner)
            | st.builds(lambda x, k: f"({x})^{k}", inner, st.integers(1, 3))
        ),
        max_leaves=6,
    )


@given(formulas())
def test_expansion_agrees_with_formulaic(right: str) -> None:
    ours = [frozenset() if t == "1" else frozenset(t.split(":")) for t in terms(right)]
    assert set(ours) == set(by_formulaic(right))
    assert len(set(ours)) == len(ours)
    assert [len(t) for t in ours] == sorted(len(t) for t in ours)


# --- bars ------------------------------------------------------------------------------------


def bars(right: str) -> list[tuple[list[str], str, bool]]:
    spec = parse(f"y ~ {right}")
    return [
        (["1"] * bar.terms.intercept + list(bar.terms.names()), bar.group.name, bar.correlated)
        for bar in spec.bars
    ]


BARS = {
    "(1 | g)": [(["1"], "g", True)],
    "(x | g)": [(["1", "x"], "g", True)],
    "(1 + x | g)": [(["1", "x"], "g", True)],
    "(0 + x | g)": [(["x"], "g", True)],
    "(x - 1 | g)": [(["x"], "g", True)],
    "(1 + x || g)": [(["1", "x"], "g", False)],
    "(x * z | g)": [(["1", "x", "z", "x:z"], "g", True)],
    "(1 | g) + (0 + x | g)": [(["1"], "g", True), (["x"], "g", True)],
    "a + (1 | g) + b + (1 | h)": [(["1"], "g", True), (["1"], "h", True)],
    "(1 | a:b)": [(["1"], "a:b", True)],
    "(1 | a/b)": [(["1"], "a", True), (["1"], "a:b", True)],
    "(1 | a/b/c)": [(["1"], "a", True), (["1"], "a:b", True), (["1"], "a:b:c", True)],
    "(1 | factor(g))": [(["1"], "g", True)],
    "(1 | `my g`)": [(["1"], "my g", True)],
    "((1 | g))": [(["1"], "g", True)],
}


@pytest.mark.parametrize("right", BARS)
def test_bars(right: str) -> None:
    assert bars(right) == BARS[right]


def test_bars_leave_the_fixed_terms_alone() -> None:
    spec = parse("y ~ a + (1 + b | g) + c + offset(log(t)) - 1")
    assert spec.fixed.names() == ("a", "c")
    assert not spec.fixed.intercept
    assert [v.name for v in spec.offsets] == ["log(t)"]
    assert {c.text for c in spec.right_columns()} == {"a", "b", "c", "t"}
    assert [c.text for c in spec.group_columns()] == ["g"]


def test_response() -> None:
    spec = parse("cbind(incidence, size - incidence) ~ 1")
    assert spec.response.bound
    assert spec.response.name == "cbind(incidence, size - incidence)"
    assert [part.name for part in spec.response.parts] == ["incidence", "size - incidence"]
    assert parse("`my y` ~ 1").response.name == "my y"


def test_parsing_is_cached() -> None:
    assert parse("y ~ a + b") is parse("y ~ a + b")
    assert isinstance(parse("y ~ a"), FormulaSpec)


# --- errors point at the token ---------------------------------------------------------------

ERRORS = [
    ("", None, "empty"),
    ("y", 1, "Expected '~'"),
    ("~ x", 0, "left-hand side is missing"),
    ("y ~", 3, "A term is expected"),
    ("y ~ a +", 6, "A term is missing"),
    ("y ~ a + * b", 8, "A term is missing"),
    ("y ~ (a + b", 10, r"Expected '\)'"),
    ("y ~ a) + b", 5, r"Unexpected '\)'"),
    ("y ~ a b", 4, "Missing operator between `a` and `b`"),
    ("y ~ a ~ b", 6, "Unexpected '~'"),
    ("y ~ a $ b", 6, "no meaning"),
    ("y ~ `a", 4, "never closed"),
    ("y ~ a + 'b'", 8, "A text is not a term"),
    ("y ~ a + 2", 8, "only the numbers 0 and 1"),
    ("y ~ a > 2", 6, "wrap arithmetic in I"),
    ("y ~ a + 1 | g", 4, "parentheses"),
    ("y ~ a - (1 | g)", 8, "not taken away"),
    ("y ~ a * (1 | g)", 11, "term of its own"),
    ("y ~ (1 | g + h)", 9, "grouping factor"),
    ("y ~ (1 | C(log(g)))", 9, "grouping factor"),
    ("y ~ (0 | g)", 5, "no effects"),
    ("y ~ (1 | g) + (x | g)", 15, "two bars"),
    ("y ~ 0", 4, "no fixed effects"),
    ("y ~ foo(x)", 4, "Unknown function 'foo'"),
    ("y ~ a + lgo(x)", 8, "Did you mean 'log'"),
    ("y ~ x + diag(1 + x | g)", 8, r"Write \(1 \+ x \|\| g\)"),
    ("y ~ as.factor(x)", 4, r"'as.factor'. Write factor\(x\)"),
    ("y ~ log()", 4, "needs 1 argument"),
    ("y ~ log(x, 2)", 4, "needs 1 argument"),
    ("y ~ bs(x, dff=3)", 4, "unexpected keyword argument 'dff'"),
    ("y ~ bs(x, df=3, df=4)", 4, "given twice"),
    ("y ~ bs(x, df=101)", 13, "from 1 to 100"),
    ("y ~ C(x, sum)", 9, "An option must be"),
    ("y ~ C(x, 'sum')", 9, "not a contrast"),
    ("y ~ log(poly(x, 2))", 8, "a term of its own"),
    ("y ~ I(0 < x < 1)", 6, "cannot be chained"),
    ("y ~ I(x * 9^999)", 10, "may be large"),
    ("y ~ I(x[0])", 6, "make sense"),
    ("y ~ I(a b)", 6, "not an expression"),
    ("y ~ offset(scale(x))", 11, "must be among the terms"),
    ("y ~ 0:x", 4, "only the numbers 0 and 1"),
    ("y ~ bs(x, df=z)", 13, "An option must be"),
    ("y ~ I('a')", 6, "A text has no meaning"),
    ("y ~ cbind(a, b)", 4, "left-hand side"),
    ("y ~ log(offset(x))", 8, "term of its own"),
    ("y ~ I(1)", 4, "at least one column"),
    ("y ~ y + x", 4, "both sides"),
    ("y ~ x + (y | g)", 9, "both sides"),
    ("y ~ x + (1 | y)", 13, "grouping factor 'y' is the response itself"),
    ("y ~ x + (1 | g/y)", 15, "grouping factor 'y' is the response itself"),
    ("cbind(a) ~ x", 0, "two or more"),
    ("(1 | g) ~ x", 0, "belong on the right-hand side"),
    ("y + (0 + x || g) ~ x", 4, "belong on the right-hand side"),
    ("y ~ (a + b)^1.5", 12, "integer from 1"),
    ("y ~ (a + b)^a", 12, "integer from 1"),
    ("y ~ (a + b)^-1", 12, "integer from 1"),
    ("y ~ I(a : b)", 8, "no meaning inside"),
]


@pytest.mark.parametrize(("formula", "position", "message"), ERRORS)
def test_errors_point_at_the_token(formula: str, position: int | None, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse(formula)
    assert caught.value.position == position
    if position is not None:
        assert str(caught.value).splitlines()[-1] == "  " + " " * position + "^"
