"""Settings of variables."""

from __future__ import annotations

import numpy as np
import pytest

from multilogit.data.columns import Factor, Numeric
from multilogit.errors import OptionError
from multilogit.formula import build_frame
from multilogit.margins.grid import (
    levels_in,
    reference_grid,
    settings,
    varies_smoothly,
    with_setting,
)

DATA = {
    "y": [0, 1, 0, 1, 1, 0],
    "x": [1.0, 2.0, 3.0, 4.0, 5.0, 9.0],
    "f": ["b", "a", "a", "c", "a", "b"],
    "t": np.array([True, False, False, True, False, False]),
    "k": [1, 2, 2, 1, 2, 1],
    "g": [1, 1, 2, 2, 3, 3],
}
FORMULA = "y ~ x + relevel(f, 'b') + t + C(k) + I(x > 2) + (1 | g)"


def made():
    frame, design = build_frame(FORMULA, DATA)
    return design, frame.variables


def test_levels_are_those_of_the_model() -> None:
    design, variables = made()
    assert levels_in(design, variables, "f") == ["b", "a", "c"]
    assert levels_in(design, variables, "t") == ["FALSE", "TRUE"]
    assert levels_in(design, variables, "k") == ["1", "2"]
    assert levels_in(design, variables, "x") is None
    assert varies_smoothly(design, "x")
    assert not varies_smoothly(*build_frame("y ~ I(x > 2)", DATA)[1:], "x")


def test_a_setting_keeps_the_kind_of_a_column() -> None:
    design, variables = made()
    changed = with_setting(design, variables, {"x": 7, "f": "c", "t": True, "k": 2, "g": 3})
    kinds = {name: type(column) for name, column in variables.columns.items()}
    assert {name: type(column) for name, column in changed.columns.items()} == kinds
    columns = design.columns(changed)
    row = dict(zip(columns.fixed.names, (c[0] for c in columns.fixed.columns), strict=True))
    assert row["x"] == 7.0
    assert row["relevel(f, 'b')c"] == row["tTRUE"] == row["C(k)2"] == 1.0
    assert set(columns.groupings["g"].codes) == {2}


def test_grids_vary_the_first_variable_slowest() -> None:
    design, variables = made()
    cells = settings(design, variables, {"x": [1, 2], "f": None})
    assert [cell["x"] for cell in cells] == [1, 1, 1, 2, 2, 2]
    assert [cell["f"] for cell in cells] == ["b", "a", "c"] * 2
    assert settings(design, variables, None) == [{}]
    assert settings(design, variables, "t") == [{"t": "FALSE"}, {"t": "TRUE"}]


def test_typical_and_balanced_rows() -> None:
    design, variables = made()
    weights = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 5.0])
    typical, one = reference_grid(design, variables, weights, [], "typical")
    assert typical.n == 1
    assert one.tolist() == [1.0]
    x, f = typical.columns["x"], typical.columns["f"]
    assert isinstance(x, Numeric)
    assert x.values.tolist() == [6.0]  # (1 + 2 + 3 + 4 + 5 + 5 * 9) / 10
    assert isinstance(f, Factor)
    assert f.levels[f.codes[0]] == "b"  # 6 of 10
    balanced, _ = reference_grid(design, variables, weights, ["k"], "balanced")
    assert balanced.n == 3 * 2
    assert "g" not in balanced.columns


def test_a_grid_that_is_too_large_is_refused() -> None:
    names = [f"v{k}" for k in range(17)]
    data = {"y": [0, 1] * 10} | {name: [False, True] * 10 for name in names}
    frame, design = build_frame("y ~ " + " + ".join(names), data)
    with pytest.raises(OptionError, match="131,072 combinations of levels"):
        reference_grid(design, frame.variables, np.ones(20), [], "balanced")
