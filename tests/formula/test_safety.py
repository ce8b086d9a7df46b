"""A formula from a stranger does nothing but describe a model, and is refused at once."""

from __future__ import annotations

import ast
import contextlib
import time
from pathlib import Path

import formulaic  # noqa: F401  its import is not what is timed
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import DataError, FormulaError, InputError
from multilogit.formula import build_frame, parse
from multilogit.formula.functions import ARITY, FACTORS, FUNCTIONS, LEARNING, signature

DATA = {"y": [0, 1, 0, 1], "x": [1.0, 2.0, 3.0, 5.0], "z": [0.5, 0.1, 0.2, 0.9]}
SECONDS = 0.25

HOSTILE = [
    "y ~ {{__import__('os').system('touch {marker}')}}",
    "y ~ __import__('os').system('touch {marker}')",
    "y ~ I(__import__('os').system('touch {marker}'))",
    "y ~ I(open('{marker}', 'w'))",
    'y ~ eval(\'open("{marker}", "w")\')',
    "y ~ exec(x)",
    "y ~ np.load('{marker}')",
    "y ~ np.lib.npyio.DataSource('{marker}')",
    "y ~ np.fromfile(x)",
    "y ~ I(x.__class__.__mro__)",
    "y ~ I(().__class__)",
    "y ~ I(x[0])",
    "y ~ I([v for v in x])",
    "y ~ I(lambda: x)",
    "y ~ I(x if x else z)",
    "y ~ I((y := x))",
    "y ~ C(x, __import__('os'))",
    "y ~ bs(x, df=__import__('os').getpid())",
    "y ~ bs(x, knots=[x])",
    "y ~ x + `__import__('os').system('touch {marker}')`",
    "y ~ x + `x); __import__('os'); (`",
    "y ~ Q('__import__(\"os\")')",
    "y ~ poly(x, 10**10)",
    "y ~ bs(x, df=1e9)",
    "y ~ poly(x, 100000)",
    "__import__('os').getpid() ~ x",
    "cbind(open('{marker}'), x) ~ x",
    "y ~ x + (1 | __import__('os'))",
    "y ~ x + (open('{marker}') | z)",
    "y ~ offset(open('{marker}'))",
    "y ~ 'a'*10**20",
    "y ~ I('a'*10**20)",
    "y ~ I(x + 'a')",
    "y ~ I(x * 10**10**10**10)",
    "y ~ I(x ** 9**9**9**9)",
    "y ~ (x1+x2+x3+x4+x5+x6+x7)**7",
    "y ~ (x1+x2)**100000000",
    "y ~ (x + z)^-1",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_refused_at_once(template: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    formula = template.format(marker=marker)
    start = time.process_time()
    with pytest.raises(InputError):
        build_frame(formula, DATA)
    assert time.process_time() - start < SECONDS
    assert not marker.exists()


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ " + "+".join(f"x{k}" for k in range(200_000)),
        "y ~ " + "a" * 1_000_000,
        "y ~ " + "(" * 20_000 + "x",
        "y ~ " + "-" * 20_000 + "x",
        "y ~ " + "x^" * 20_000 + "x",
        "y ~ " + "x:" * 20_000 + "x",
        "y ~ I(" + "!" * 20_000 + "x)",
        "y ~ " + "log(" * 10_000 + "x",
        "y ~ " + "*".join(f"x{k}" for k in range(40)),
        "y ~ " + "*".join(f"(a{k} + b{k} + c{k})" for k in range(40)),
        "y ~ (" + "+".join(f"x{k}" for k in range(1_000)) + ")^5",
        "y ~ (" + "+".join(f"x{k}" for k in range(1_000)) + ")*(x1 + x2 + x3 + x4 + x5 + x6)",
        "y ~ ((x1+x2+x3+x4+x5+x6+x7+x8+x9)^5)^5" + "*x10*x11*x12*x13*x14",
        "y ~ C(x, levels=[" + "1," * 40_000 + "1])",
    ],
)
def test_size_is_bounded_in_time(formula: str) -> None:
    start = time.process_time()
    with pytest.raises(FormulaError):
        parse(formula)
    assert time.process_time() - start < 4 * SECONDS


def test_wide_but_honest_formulas_pass() -> None:
    spec = parse("y ~ " + " + ".join(f"x{k}" for k in range(1_000)))
    assert len(spec.fixed.terms) == 1_000


@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    with contextlib.suppress(FormulaError):
        parse(text)


@given(
    st.lists(
        st.sampled_from(
            [
                *"xyz01()+-*/:^|~,=[]{}<>!&%",
                "**",
                "||",
                "I(",
                "log(",
                "np.log(",
                "C(",
                "'a'",
                "`b c`",
            ]
        ),
        max_size=20,
    )
)
def test_any_row_of_tokens_is_a_formula_or_an_error(tokens: list[str]) -> None:
    with contextlib.suppress(FormulaError, DataError):
        build_frame("y ~ " + "".join(tokens), DATA)


def test_every_listed_function_takes_no_code() -> None:
    """Options are literals: no listed function ever receives anything callable."""
    for name in (*LEARNING, *FACTORS):
        for option in list(signature(name).parameters)[1:]:
            with pytest.raises(FormulaError):
                parse(f"y ~ {name}(x, {option}=x)")
    for name, arity in ARITY.items():
        for option in ("out", "where", "dtype"):
            with pytest.raises(FormulaError, match="no options"):
                parse(f"y ~ {name}({', '.join(['x'] * arity)}, {option}=x)")


@pytest.mark.parametrize("name", LEARNING)
def test_what_formulaic_passes_to_its_transforms_is_not_an_option(name: str) -> None:
    for option in ("_state", "_spec", "_context", "_metadata"):
        with pytest.raises(FormulaError):
            parse(f"y ~ {name}(x, {option}=None)")


NAMES = st.sampled_from(
    [
        *("x", "z", "y.", "__import__", "os", "np.log", "np.load", "np.lib.x", "I", "C", "poly"),
        *("scale", "lambda", "for", "in", "if", "contr.sum", "Q", "eval", "x.__class__"),
    ]
)


@given(
    st.recursive(
        NAMES | st.sampled_from(["1", "9", "'a'", "`x`", "[x]", "()"]),
        lambda inner: (
            st.builds("{}({})".format, NAMES, inner)
            | st.builds("{}({}, {})".format, NAMES, inner, inner)
            | st.builds(
                "({} {} {})".format, inner, st.sampled_from(["+", "**", "==", "&", ","]), inner
            )
            | st.builds("{}[{}]".format, inner, inner)
            | st.builds("{}.{}".format, inner, NAMES)
        ),
        max_leaves=8,
    )
)
def test_checked_expressions_hold_only_what_is_listed(text: str) -> None:
    with contextlib.suppress(FormulaError):
        (variable,) = parse(f"y ~ I({text})").fixed.variables
        for node in ast.walk(ast.parse(variable.expression)):
            if isinstance(node, ast.Attribute):
                assert isinstance(node.value, ast.Name)
                assert node.value.id in ("np", "contr")
            assert not isinstance(node, ast.Subscript | ast.Lambda | ast.comprehension)
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called in FUNCTIONS or called.startswith("np.logical_")


def test_columns_never_shadow_functions() -> None:
    names = ["log", "np", "C", "I", "poly", "contr", "coded", "lambda", "Treatment", "_v0", "_x"]
    rng = np.random.default_rng(1)
    data = {name: rng.uniform(1, 2, size=40) for name in names} | {"y": np.arange(40) % 2}
    data["f"] = np.array(["a", "b"])[np.arange(40) // 2 % 2]
    terms = [f"log({name})" for name in names] + [f"f:{name}" for name in names]
    frame, design = build_frame(f"y ~ {' + '.join(terms)} + C(f, contr.sum)", data)
    for name, column in zip(names, frame.fixed.columns[1:], strict=False):
        np.testing.assert_array_equal(column, np.log(data[name]))
    np.testing.assert_array_equal(design.new_columns(data).fixed.matrix(), frame.fixed.matrix())


def test_a_factor_with_too_many_combinations_is_refused() -> None:
    data = {
        "y": [k % 2 for k in range(600)],
        "a": [f"a{k}" for k in range(600)],
        "b": [f"b{k}" for k in range(600)],
    }
    with pytest.raises(DataError, match="360,000 columns"):
        build_frame("y ~ a * b", data)
