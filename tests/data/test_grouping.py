"""Grouping factors: codes, levels, combinations, new data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.data.columns import Factor, Numeric, factor_of, factorize
from multilogit.data.grouping import group, match_levels


@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(-5, 5), min_size=1, max_size=50))
def test_integer_levels_are_sorted_and_exact(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    grouping, _ = group("g", ["g"], [Numeric(array)])
    assert grouping.levels.tolist() == sorted(set(values))
    assert grouping.levels[grouping.codes].tolist() == values


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint64])
def test_integer_types(dtype: type) -> None:
    info = np.iinfo(dtype)
    array = np.array([info.max, info.min, info.max], dtype=dtype)
    factor = factor_of(Numeric(array))
    assert factor.levels == (int(info.min), int(info.max))
    assert factor.codes.tolist() == [1, 0, 1]


def test_whole_floats_become_integers() -> None:
    grouping, _ = group("g", ["g"], [Numeric(np.array([2.0, 1.0, 2.0]))])
    assert grouping.levels.tolist() == [1, 2]


def test_unused_levels_are_left_out() -> None:
    grouping, _ = group("g", ["g"], [Factor(np.array([2, 0], dtype=np.int32), ("a", "b", "c"))])
    assert grouping.levels.tolist() == ["a", "c"]
    assert grouping.codes.tolist() == [1, 0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), min_size=1, max_size=40))
def test_combinations(pairs: list[tuple[str, int]]) -> None:
    a = factorize(np.array([p[0] for p in pairs], dtype=object))
    b = Numeric(np.array([p[1] for p in pairs]))
    grouping, levels = group("a:b", ["a", "b"], [a, b])
    assert grouping.levels.tolist() == [f"{x}:{y}" for x, y in sorted(set(pairs))]
    assert grouping.levels[grouping.codes].tolist() == [f"{x}:{y}" for x, y in pairs]
    again = match_levels("a:b", levels, [a, b])
    assert again.codes.tolist() == grouping.codes.tolist()
    assert again.labels.tolist() == grouping.levels[grouping.codes].tolist()


def test_new_levels_have_code_minus_one() -> None:
    _, levels = group("g", ["g"], [Numeric(np.array([3, 1, 7]))])
    new = match_levels("g", levels, [Numeric(np.array([7, 2, 1]))])
    assert new.codes.tolist() == [2, -1, 0]
    assert new.labels.tolist() == [7, 2, 1]
    text = match_levels("g", levels, [factorize(np.array(["7", "x"], dtype=object))])
    assert text.codes.tolist() == [2, -1]


def test_new_combination_of_known_parts() -> None:
    columns = [Numeric(np.array([1, 1, 2])), Numeric(np.array([1, 2, 2]))]
    _, levels = group("a:b", ["a", "b"], columns)
    new = [Numeric(np.array([2, 2, 9])), Numeric(np.array([1, 2, 1]))]
    assert match_levels("a:b", levels, new).codes.tolist() == [-1, 2, -1]
