"""Frames and designs: missing values, groups, offsets, new data."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilogit.errors import DataError, FormulaError
from multilogit.formula import Design, Learnt, build_frame, parse

DATA = pd.DataFrame(
    {
        "y": [0, 1, 0, 1, 1, 0],
        "x": [1.0, np.nan, 2.0, 3.0, 5.0, 4.0],
        "f": ["a", "b", None, "b", "a", "c"],
        "g": [1, 1, 2, 2, 3, 3],
        "h": ["u", "v", "u", "v", "u", "v"],
        "o": [0.5, 0.0, 0.0, 1.0, 0.0, 0.25],
        "w": [1, 1, 1, 2, 1, np.nan],
    }
)


def test_rows_with_missing_values_are_dropped_and_reported() -> None:
    frame, _ = build_frame("y ~ x + f + (1 | g)", DATA, weights="w")
    assert frame.rows is not None
    assert frame.rows.tolist() == [0, 3, 4]
    assert frame.n_input_rows == 6
    assert frame.fixed.columns[1].tolist() == [1.0, 3.0, 5.0]
    assert frame.groupings["g"].levels.tolist() == [1, 2, 3]
    (dropped, *rest) = frame.diagnostics
    assert dropped.code == "rows-dropped"
    assert dropped.facts == {"dropped": 3, "rows": 6, "columns": {"x": 1, "f": 1, "weights=": 1}}
    assert "3 of 6 rows" in dropped.message
    assert {d.code for d in rest} == {"unused-levels", "one-row-per-group"}


def test_only_columns_in_use_count() -> None:
    frame, _ = build_frame("y ~ o", DATA)
    assert frame.rows is None
    assert frame.diagnostics == ()


def test_missing_raise_names_column_and_rows() -> None:
    with pytest.raises(DataError, match=r"'x' \(1\).*rows of 'x': 1\."):
        build_frame("y ~ x", DATA, missing="raise")


def test_no_rows_left() -> None:
    with pytest.raises(DataError, match=r"No rows are left.*'x' \(6\)"):
        build_frame("y ~ x", DATA.assign(x=np.nan))


@pytest.mark.parametrize("missing", ["drop", "raise"])
def test_infinite_values_are_errors(missing: str) -> None:
    data = DATA.assign(x=[1, 2, 3, -np.inf, 5, np.nan])
    with pytest.raises(DataError, match="'x' is infinite at row 3"):
        build_frame("y ~ x", data, missing=missing)


def test_huge_but_finite_values_pass() -> None:
    frame, _ = build_frame("y ~ x", DATA.assign(x=1.7e308))
    assert frame.rows is None


@pytest.mark.parametrize("formula", ["y ~ age", "y ~ log(age)", "y ~ 1 + (1 | age)", "age ~ x"])
def test_unknown_columns(formula: str) -> None:
    data = DATA.rename(columns={"o": "ages"})
    with pytest.raises(DataError, match=r"no column 'age'\. Did you mean 'ages'") as caught:
        build_frame(formula, data)
    assert isinstance(caught.value, FormulaError)
    assert caught.value.position == formula.index("age")


def test_columns_are_read_in_place() -> None:
    x = np.linspace(0, 1, 6)
    frame, design = build_frame("y ~ x + (1 + x | g)", {"y": DATA["y"], "x": x, "g": DATA["g"]})
    assert frame.fixed.columns[1] is frame.random[0].columns[1]
    assert np.shares_memory(frame.fixed.columns[1], x)
    assert frame.fixed.columns[0] is frame.random[0].columns[0]
    assert np.shares_memory(design.new_columns({"x": x}, random=False).fixed.columns[1], x)


def test_input_is_not_changed() -> None:
    before = copy.deepcopy(DATA)
    build_frame("y ~ scale(x) * f + poly(o, 2) + (x || g)", DATA, weights="w")
    pd.testing.assert_frame_equal(DATA, before)


# --- random effects --------------------------------------------------------------------------

CLEAN = DATA.assign(x=[1.0, 2.0, 2.5, 3.0, 5.0, 4.0], f=list("abcabc"), w=1)


def test_blocks() -> None:
    frame, _ = build_frame("y ~ 1 + (1 + x + f | g)", CLEAN)
    (block,) = frame.random
    assert (block.group, block.names) == ("g", ("(Intercept)", "x", "fb", "fc"))
    frame, _ = build_frame("y ~ 1 + (1 + x || g)", CLEAN)
    assert [b.names for b in frame.random] == [("(Intercept)",), ("x",)]
    frame, _ = build_frame("y ~ 1 + (1 | g) + (0 + f | g)", CLEAN)
    assert [b.names for b in frame.random] == [("(Intercept)",), ("fa", "fb", "fc")]
    assert list(frame.groupings) == ["g"]


def test_nested_groups() -> None:
    frame, _ = build_frame("y ~ 1 + (1 | g/h)", CLEAN)
    assert [b.group for b in frame.random] == ["g", "g:h"]
    assert frame.groupings["g:h"].levels.tolist() == ["1:u", "1:v", "2:u", "2:v", "3:u", "3:v"]
    assert frame.groupings["g:h"].codes.tolist() == [0, 1, 2, 3, 4, 5]
    assert [d.code for d in frame.diagnostics] == ["one-row-per-group"]


def test_a_group_of_one_level_is_noticed() -> None:
    frame, _ = build_frame("y ~ x + (1 | w)", CLEAN)
    assert "one-level" in [d.code for d in frame.diagnostics]


def test_one_row_per_group_is_fine_for_counts() -> None:
    data = CLEAN.assign(id=range(6), n=5)
    assert build_frame("y ~ x + (1 | id)", data, trials="n")[0].diagnostics == ()
    (warned,) = build_frame("y ~ x + (1 | id)", data)[0].diagnostics
    assert warned.code == "one-row-per-group"
    assert warned.severity == "warning"


# --- offsets ---------------------------------------------------------------------------------


def test_offsets_add_up() -> None:
    frame, _ = build_frame("y ~ x + offset(o) + offset(2 * x)", CLEAN, offset=np.ones(6))
    assert frame.offset is not None
    np.testing.assert_array_equal(frame.offset, CLEAN["o"] + 2 * CLEAN["x"] + 1)
    assert frame.fixed.names == ("(Intercept)", "x")
    assert build_frame("y ~ x", CLEAN)[0].offset is None


@pytest.mark.parametrize("term", ["offset(f)", "offset(log(o))"])
def test_bad_offsets(term: str) -> None:
    with pytest.raises(DataError, match="offset"):
        build_frame(f"y ~ x + {term}", CLEAN)


# --- new data --------------------------------------------------------------------------------

FORMULA = (
    "y ~ f * x + poly(x, 2) + bs(o, df=4) + scale(x) + center(o) + C(h, contr.sum) "
    "+ I(x > 2) + offset(log(x)) + (1 + x | g) + (1 | g:h)"
)


def test_training_data_rebuild_themselves() -> None:
    frame, design = build_frame(FORMULA, CLEAN)
    new = design.new_columns(CLEAN.drop(columns="y"))
    assert new.fixed.names == frame.fixed.names
    np.testing.assert_array_equal(new.fixed.matrix(), frame.fixed.matrix())
    for name, grouping in frame.groupings.items():
        np.testing.assert_array_equal(new.groupings[name].codes, grouping.codes)
    np.testing.assert_array_equal(new.offset, frame.offset)
    assert [b.names for b in new.random] == [b.names for b in frame.random]
    assert new.rows is None
    assert new.n_rows == 6


def test_any_rows_give_the_rows_of_the_training_columns() -> None:
    frame, design = build_frame(FORMULA, CLEAN)
    for rows in ([3], [5, 0], [2, 2, 2]):
        new = design.new_columns(CLEAN.iloc[rows])
        np.testing.assert_allclose(
            new.fixed.matrix(), frame.fixed.matrix()[rows], rtol=1e-14, atol=1e-15
        )


def test_new_data_do_not_change_the_design() -> None:
    _, design = build_frame(FORMULA, CLEAN)
    before = copy.deepcopy(design.learnt.states)
    design.new_columns(CLEAN.assign(x=CLEAN["x"] + 10))
    assert design.learnt.states == before


def test_new_levels() -> None:
    _, design = build_frame("y ~ f + (1 | g)", CLEAN)
    new = design.new_columns({"f": ["c", "a"], "g": [7, 3]})
    assert new.groupings["g"].codes.tolist() == [-1, 2]
    assert new.groupings["g"].labels.tolist() == [7, 3]
    with pytest.raises(DataError, match="Column 'f' has the level 'z'"):
        design.new_columns({"f": ["z", "a"], "g": [1, 1]})
    with pytest.raises(DataError, match="no column 'g'"):
        design.new_columns({"f": ["a"]})
    assert design.new_columns({"f": ["a"]}, random=False).groupings == {}


def test_new_data_of_another_kind() -> None:
    _, design = build_frame("y ~ f + x", CLEAN)
    with pytest.raises(DataError, match="'x' was numeric in training"):
        design.new_columns({"f": ["a"], "x": ["b"]})
    _, design = build_frame("y ~ factor(g)", CLEAN)
    assert design.new_columns({"g": ["2"]}).fixed.matrix().tolist() == [[1, 1, 0]]
    assert design.new_columns({"g": [3.0]}).fixed.matrix().tolist() == [[1, 0, 1]]


def test_missing_values_in_new_data() -> None:
    _, design = build_frame("y ~ f + x", CLEAN)
    new = design.new_columns({"f": ["a", None, "b"], "x": [1.0, 2.0, np.nan]})
    assert new.rows is not None
    assert new.rows.tolist() == [0]
    assert new.n_rows == 3
    nothing = design.new_columns({"f": [None, None], "x": [1.0, np.nan]})
    assert nothing.fixed.matrix().shape == (0, 4)


def test_offset_of_new_data() -> None:
    _, design = build_frame("y ~ x", CLEAN, offset="o")
    np.testing.assert_array_equal(design.new_columns(CLEAN).offset, CLEAN["o"])
    np.testing.assert_array_equal(design.new_columns(CLEAN, offset=np.ones(6)).offset, np.ones(6))
    _, design = build_frame("y ~ x", CLEAN, offset=CLEAN["o"])
    with pytest.raises(DataError, match="pass offset="):
        design.new_columns(CLEAN)


def plain(value: Any) -> bool:
    """Whether JSON can hold a value."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(v) for v in value)
    return value is None or type(value) in (str, float, int, bool)


def test_what_was_learnt_is_plain() -> None:
    _, design = build_frame(FORMULA + " + cr(x, df=3, constraints='center')", CLEAN)
    assert plain(design.learnt.states)
    assert set(design.learnt.states) == {
        *("poly(x, degree=2)", "bs(o, df=4)", "scale(x)", "center(o)"),
        *("cr(x, df=3, constraints='center')", "f", "C(h)", "x > 2"),
    }
    assert design.learnt.states["f"] == {"levels": ["a", "b", "c"]}
    assert design.formula.startswith("y ~ f * x")


def test_a_design_survives_json() -> None:
    formula = FORMULA + " + I(scale(o)^2) + cr(x, df=3, constraints='center') + I(o > 0):h"
    formula += " + ns(x, df=3)"
    frame, design = build_frame(formula, CLEAN)
    states = json.loads(json.dumps(design.learnt.states))
    revived = Design(parse(design.formula), Learnt(states, design.learnt.groups))
    new = revived.new_columns(CLEAN)
    assert new.fixed.names == frame.fixed.names
    np.testing.assert_array_equal(new.fixed.matrix(), frame.fixed.matrix())
    np.testing.assert_array_equal(
        revived.new_columns(CLEAN.iloc[[4]]).fixed.matrix(),
        design.new_columns(CLEAN.iloc[[4]]).fixed.matrix(),
    )


# --- cost ------------------------------------------------------------------------------------


def test_small_data_take_no_time() -> None:
    """Far from a benchmark: it fails where somebody imports or copies on every call."""
    formula = "y ~ x + f + (1 | g)"
    build_frame(formula, CLEAN)
    times = []
    for _ in range(20):
        start = time.process_time()
        build_frame(formula, CLEAN)
        times.append(time.process_time() - start)
    assert min(times) < 4e-3


def test_plain_columns_need_no_formulaic() -> None:
    program = """
import sys
from multilogit.formula import build_frame
data = {"y": [0, 1, 0, 1], "n": [2, 2, 2, 2], "x": [1.0, 2, 4, 3], "g": [1, 1, 2, 2]}
data["f"] = ["a", "b", "c", "b"]
for formula in ("y ~ x - 1", "cbind(y, n - y) ~ x + (1 + x || g) + offset(log(x))", "y ~ . - g",
                "y ~ I(x > 2)", "y ~ f - 1", "y ~ factor(g) + f + (0 + f | g)"):
    build_frame(formula, data)[1].new_columns(data)
assert "formulaic" not in sys.modules
build_frame("y ~ f:x", data)
assert "formulaic" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("formula", ["y ~ {}", "y ~ {} - 1", "y ~ x + {}", "y ~ h + {} - 1"])
def test_factors_are_coded_as_formulaic_codes_them(formula: str) -> None:
    data = {"y": [0, 1, 0, 1], "x": [1.0, 2, 4, 3], "f": list("bacb"), "h": list("uvuv")}
    own, _ = build_frame(formula.format("f"), data)
    theirs, _ = build_frame(formula.format("C(f, contr.treatment)"), data)
    assert np.array_equal(own.fixed.matrix(), theirs.fixed.matrix())
    assert [name.replace("C(f, contr.treatment)", "f") for name in theirs.fixed.names] == list(
        own.fixed.names
    )


def test_wide_formulas_take_no_time() -> None:
    rng = np.random.default_rng(3)
    data = {f"x{k}": rng.normal(size=20) for k in range(500)} | {"y": np.arange(20) % 2}
    start = time.process_time()
    frame, _ = build_frame("y ~ . + log(x1^2) + x2:x3", data)
    assert time.process_time() - start < 2
    assert len(frame.fixed.names) == 503
    assert np.shares_memory(frame.fixed.columns[1], data["x0"])


def test_new_data_need_not_hold_the_reference_level() -> None:
    data = {"y": [0, 1, 1, 0], "f": ["a", "b", "c", "b"]}
    _, design = build_frame("y ~ relevel(f, 'b')", data)
    for level, row in (("b", [0.0, 0.0]), ("a", [1.0, 0.0]), ("c", [0.0, 1.0])):
        made = design.new_columns({"f": [level]}).fixed
        assert [column[0] for column in made.columns[1:]] == row


def test_one_number_is_for_all_rows() -> None:
    data = {"y": [1, 2, 0, 3], "x": [1.0, 2.0, 3.0, 5.0]}
    for option in ("trials", "weights", "offset"):
        given = {"trials": 4} | {option: 3}
        one, _ = build_frame("y ~ x", data, **given)
        each, _ = build_frame("y ~ x", data, **given | {option: [3, 3, 3, 3]})
        for made in (one, each):
            assert made.response.trials.tolist() == [given["trials"]] * 4
        np.testing.assert_array_equal(one.response.weighted()[0], each.response.weighted()[0])
        np.testing.assert_array_equal(one.offset, each.offset)


def test_numbers_that_one_text_made_categories_are_pointed_out() -> None:
    numbers: list[object] = [f"{k / 4}" for k in range(40)]
    typed = {"y": [0, 1] * 20, "x": [*numbers[:30], "n/a", *numbers[31:]]}

    def codes(formula: str, data: dict[str, Any]) -> list[str]:
        return [d.code for d in build_frame(formula, data)[0].diagnostics]

    frame, _ = build_frame("y ~ x + (x | g)", {**typed, "g": [1, 2] * 20})
    (found,) = frame.diagnostics
    assert found.code == "numbers-as-text"
    assert found.facts == {"column": "x", "texts": ["n/a"], "row": 30}
    assert codes("y ~ C(x)", typed) == []  # categories are meant
    assert codes("y ~ x", {**typed, "x": numbers}) == []  # such as post codes
    assert codes("y ~ x", {**typed, "x": ["0", "1", "2", "3+"] * 10}) == []


def test_missing_rows_are_counted_where_numbers_are_text() -> None:
    data = {"y": [0, 1] * 20, "x": [None, *map(str, range(38)), "?"]}
    frame, _ = build_frame("y ~ x", data)
    assert frame.diagnostics[1].facts["row"] == 39


def test_splines_say_what_to_do_beyond_their_range() -> None:
    _, design = build_frame("y ~ bs(x, df=4)", {"y": [0, 1] * 10, "x": np.arange(20.0)})
    with pytest.raises(DataError, match='Write extrapolation="clip"'):
        design.new_columns({"x": [25.0]})


def test_truth_values_stand_for_zeros_and_ones_of_training() -> None:
    rng = np.random.default_rng(2)
    data = {"y": [0, 1] * 10, "z": rng.integers(0, 2, 20), "x": rng.normal(size=20)}
    _, design = build_frame("y ~ z * x + I(z^2) + poly(x, 2):z", data)
    expected = design.new_columns(data).fixed.matrix()
    made = design.new_columns(data | {"z": data["z"] == 1}).fixed.matrix()
    np.testing.assert_array_equal(made, expected)
