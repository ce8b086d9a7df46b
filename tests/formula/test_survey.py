"""What is learnt part by part is what is learnt from all rows at once."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilogit.data.ingest import read_table
from multilogit.errors import DataError, FormulaError, OptionError
from multilogit.formula import build_frame
from multilogit.formula.layout import Question
from multilogit.formula.learning import Moments
from multilogit.formula.survey import survey


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "size": rng.integers(1, 9, n),
            "x": rng.normal(size=n),
            "k": rng.integers(1, 5, n),
            "colour": rng.choice(["red", "green", "blue"], n, p=[0.9, 0.09, 0.01]),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], n), ["low", "mid", "high", "top"]
            ),
            "yes": rng.integers(0, 2, n).astype(bool),
            "mode": rng.choice(["walk", "bus", "car", "tram"], n, p=[0.5, 0.3, 0.19, 0.01]),
            "w": rng.integers(0, 3, n),
            "off": rng.normal(size=n),
            "g": rng.integers(0, 30, n),
            "school": rng.choice([f"s{k}" for k in range(9)], n),
        }
    )
    frame["hits"] = rng.binomial(frame["size"], 0.4)
    frame["misses"] = frame["size"] - frame["hits"]
    return frame.sort_values("x").reset_index(drop=True)  # parts differ in everything


def _in_parts(formula, data, n_parts=5, **options):
    baseline, missing = options.pop("baseline", None), options.pop("missing", "drop")
    tables = [
        read_table(data.iloc[rows].reset_index(drop=True))
        for rows in np.array_split(np.arange(len(data)), n_parts)
    ]
    question = Question.of(formula, tables[0], **options)
    layout = reduce(add, [survey(table, question) for table in tables]).learn(baseline, missing)
    return layout, [made for made in map(layout.frame, tables) if made is not None]


def _same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


FORMULAS = {
    "numbers": ("y ~ x + I(x^2) + log(k)", {}),
    "factors": ("y ~ colour * grade + yes", {}),
    "factor of numbers": ("y ~ C(k) + factor(round(x))", {}),
    "contrasts": ("y ~ 0 + C(colour, contr.sum) + relevel(grade, 'mid')", {}),
    "scaled": ("y ~ scale(x) + center(log(k)) + standardize(x * k, center=False)", {}),
    "scaled to numbers": ("y ~ scale(x, center=0.5, scale=False) + scale(k, scale=2)", {}),
    "splines": ("y ~ bs(x, knots=[-0.5, 0.5]) + cr(x * 2, knots=[-1, 0, 1])", {}),
    "natural splines": ("y ~ ns(x, knots=[-0.5, 0.5])", {}),
    "raw polynomial": ("y ~ poly(x, 2, raw=True)", {}),
    "offsets": ("y ~ x + offset(0.1 * k)", {"offset": "off"}),
    "weights": ("y ~ x", {"weights": "w"}),
    "trials": ("hits ~ x", {"trials": "size"}),
    "bound": ("cbind(hits, misses) ~ x", {}),
    "counts of three": ("cbind(k, hits, misses) ~ x", {}),
    "boolean": ("yes ~ x", {}),
    "categories": ("mode ~ x", {"baseline": "car"}),
    "declared categories": ("grade ~ x", {}),
    "comparison": ("I(x > 0.3) ~ k", {}),
    "bars": ("y ~ x + (1 + scale(x) | g) + (0 + yes || school)", {}),
    "combined groups": ("y ~ x + (1 | school/g)", {}),
    "all columns": ("y ~ . - w - mode", {"weights": "w"}),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_frames_of_parts_are_parts_of_the_frame(name, data):
    formula, options = FORMULAS[name]
    whole, design = build_frame(formula, data, **options)
    layout, parts = _in_parts(formula, data, **options)
    frames = [frame for frame, _ in parts]
    assert layout.shown.fixed.names == whole.fixed.names
    assert layout.shown.response.categories == whole.response.categories
    assert layout.shown.response.family == whole.response.family
    assert layout.design.spec == design.spec
    assert layout.design.offset == design.offset
    noticed = {found.code: found.message for found in layout.shown.diagnostics}
    assert noticed.items() <= {found.code: found.message for found in whole.diagnostics}.items()
    for k, column in enumerate(whole.fixed.columns):
        _same(np.concatenate([frame.fixed.columns[k] for frame in frames]), column)
    for b, block in enumerate(whole.random):
        assert {frame.random[b].names for frame in frames} == {block.names}
        for k, column in enumerate(block.columns):
            _same(np.concatenate([frame.random[b].columns[k] for frame in frames]), column)
    _same(np.concatenate([f.response.counts for f in frames]), whole.response.counts)
    _same(np.concatenate([f.response.trials for f in frames]), whole.response.trials)
    if whole.response.weights is not None:
        _same(np.concatenate([f.response.weights for f in frames]), whole.response.weights)
    if whole.offset is not None:
        _same(np.concatenate([frame.offset for frame in frames]), whole.offset)
    for factor, grouping in whole.groupings.items():
        own = [frame.groupings[factor] for frame in frames]
        labels = np.concatenate([part.levels[part.codes] for part in own])
        assert labels.tolist() == grouping.levels[grouping.codes].tolist()


def test_states_are_those_of_all_rows(data):
    formula = "y ~ scale(x) + C(k) + bs(x, knots=[0])"
    _, design = build_frame(formula, data)
    layout, _ = _in_parts(formula, data)
    expected, found = design.learnt.states, layout.design.learnt.states
    assert found.keys() == expected.keys()
    assert found["C(k)"] == expected["C(k)"]
    for call in ("scale(x)", "bs(x, knots=[0])"):
        for key, value in expected[call].items():
            _same(found[call][key], value)


def test_missing_values_are_counted_over_all_parts(data):
    data = data.copy()
    data.loc[:99, "colour"] = None  # all of the first part
    data.loc[390:, "x"] = np.nan
    whole, _ = build_frame("y ~ x + colour", data)
    layout, parts = _in_parts("y ~ x + colour", data)
    assert layout.shown.diagnostics[0] == whole.diagnostics[0]
    assert len(parts) == 4
    assert sum(frame.response.trials.size for frame, _ in parts) == 290
    with pytest.raises(DataError, match="110 of 400 rows have missing values"):
        _in_parts("y ~ x + colour", data, missing="raise")
    data["x"] = np.nan
    with pytest.raises(DataError, match="No rows are left"):
        _in_parts("y ~ x + colour", data)


@pytest.mark.parametrize(
    ("formula", "remedy"),
    [
        ("y ~ poly(x, 2)", "raw=True"),
        ("y ~ bs(x, df=4)", r"knots=\[...\]"),
        ("y ~ cr(x, df=4)", r"knots=\[...\]"),
        ("y ~ scale(scale(x))", "all rows at once"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(formula, remedy, data):
    with pytest.raises(FormulaError, match=remedy):
        _in_parts(formula, data)


def test_errors_are_those_of_all_rows(data):
    with pytest.raises(DataError, match="only one class"):
        _in_parts("y ~ x", data.assign(y=1))
    with pytest.raises(DataError, match="distinct values"):
        _in_parts("y ~ x", data.assign(y=np.arange(400) % 3))
    with pytest.raises(DataError, match="only one level"):
        _in_parts("y ~ colour", data.assign(colour="red"))
    with pytest.raises(OptionError, match="is not a category"):
        _in_parts("mode ~ x", data, baseline="plane")
    with pytest.raises(DataError, match="all zero"):
        _in_parts("y ~ x", data.assign(w=0), weights="w")


def test_types_and_categories_must_agree_between_parts(data):
    first, second = data.iloc[:200], data.iloc[200:]
    question = Question.of("y ~ colour + grade", read_table(data))
    numeric = second.assign(colour=np.arange(200) % 3)
    with pytest.raises(DataError, match="numeric in one part"):
        survey(read_table(first), question) + survey(read_table(numeric), question)
    order = pd.Categorical(second["grade"].astype(str), ["top", "low", "mid", "high"])
    with pytest.raises(DataError, match="differ between parts"):
        survey(read_table(first), question) + survey(
            read_table(second.assign(grade=order)), question
        )


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    st.integers(1, 29),
)
@settings(max_examples=50, deadline=None)
def test_moments_add(values, cut):
    values = np.array(values)
    cut = min(cut, values.size - 1)
    both = Moments.of(values[:cut]) + Moments.of(values[cut:])
    assert both.n == values.size
    assert both.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-6)
    squares = ((values - values.mean()) ** 2).sum()
    assert both.squares == pytest.approx(squares, rel=1e-9, abs=1e-3)
