"""Every form of response, and every broken one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilogit.data.model_frame import Response
from multilogit.errors import DataError, InputError, OptionError
from multilogit.formula import build_frame


def response(left: str, data: Any, **options: Any) -> Response:
    return build_frame(f"{left} ~ 1", data, **options)[0].response


BINARY = {
    "0/1": ([0, 1, 1], ("0", "1")),
    "floats": ([0.0, 1.0, 1.0], ("0", "1")),
    "truth values": ([False, True, True], ("False", "True")),
    "text": (["no", "yes", "yes"], ("no", "yes")),
    "categories": (pd.Categorical(["z", "a", "a"], categories=["z", "a"]), ("z", "a")),
}


@pytest.mark.parametrize("form", BINARY)
def test_binary(form: str) -> None:
    values, categories = BINARY[form]
    made = response("y", {"y": values})
    assert made.family == "binomial"
    assert made.categories == categories
    assert made.counts.tolist() == [[0.0], [1.0], [1.0]]
    assert made.trials.tolist() == [1.0, 1.0, 1.0]
    assert made.weights is None


@pytest.mark.parametrize("baseline", ["yes", "1", 1])
def test_baseline_of_a_binary_response(baseline: object) -> None:
    values = ["no", "yes", "yes"] if baseline == "yes" else [0, 1, 1]
    made = response("y", {"y": values}, baseline=baseline)
    assert made.categories[0] == str(baseline)
    assert made.counts[:, 0].tolist() == [1.0, 0.0, 0.0]


def test_expression_as_response() -> None:
    made = response("I(x > 2)", {"x": [1, 2, 3]})
    assert made.counts[:, 0].tolist() == [0, 0, 1]
    assert response("x == 'b'", {"x": ["a", "b", "c"]}).counts[:, 0].tolist() == [0, 1, 0]
    assert response("C(x)", {"x": [1, 2, 2]}).categories == ("1", "2")


def test_multinomial() -> None:
    data = {"y": ["c", "a", "b", "a"]}
    made = response("y", data)
    assert made.family == "multinomial"
    assert made.categories == ("a", "b", "c")
    assert made.counts.tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert made.counts.flags.f_contiguous
    other = response("y", data, baseline="b")
    assert other.categories == ("b", "a", "c")
    assert other.counts.tolist() == [[0, 1], [1, 0], [0, 0], [1, 0]]


COUNTS = pd.DataFrame({"s": [1, 0, 3], "n": [4, 2, 3], "c": [0, 5, 1]})


def test_cbind_of_two() -> None:
    made = response("cbind(s, n - s)", COUNTS)
    assert made.family == "binomial"
    assert made.name == "cbind(s, n - s)"
    assert made.categories == ("n - s", "s")
    assert made.counts[:, 0].tolist() == [1, 0, 3]
    assert made.trials.tolist() == [4, 2, 3]


def test_cbind_of_three() -> None:
    made = response("cbind(s, n, c)", COUNTS)
    assert made.family == "multinomial"
    assert made.categories == ("s", "n", "c")
    assert made.counts.tolist() == [[4, 0], [2, 5], [3, 1]]
    assert made.trials.tolist() == [5, 7, 7]
    assert response("cbind(s, n, c)", COUNTS, baseline="c").categories == ("c", "s", "n")


@pytest.mark.parametrize("trials", ["n", [4, 2, 3], np.array([4.0, 2.0, 3.0])])
def test_trials(trials: object) -> None:
    made = response("s", COUNTS, trials=trials)
    same = response("cbind(s, n - s)", COUNTS)
    assert made.categories == ("failure", "success")
    np.testing.assert_array_equal(made.counts, same.counts)
    np.testing.assert_array_equal(made.trials, same.trials)


def test_weights() -> None:
    made = response("y", {"y": [0, 1], "w": [2, 3]}, weights="w")
    assert made.weights is not None
    assert made.weights.tolist() == [2.0, 3.0]


def test_categories_that_never_occur_are_left_out_and_reported() -> None:
    data = {"y": ["a", "b", "c", "c"], "w": [1, 1, 0, 0]}
    frame, _ = build_frame("y ~ 1", data, weights="w")
    assert frame.response.categories == ("a", "b")
    assert frame.response.family == "binomial"
    assert [d.code for d in frame.diagnostics] == ["unused-categories"]


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("y", {"y": [1, 1]}, {}, "only one class"),
    ("y", {"y": ["a", "a"]}, {}, "only one class"),
    ("y", {"y": [True, True]}, {}, "only one class"),
    ("y", {"y": [3, 3]}, {}, "only one class"),
    ("cbind(a, b)", {"a": [1, 2], "b": [0, 0]}, {}, "only one class"),
    ("cbind(a, b)", {"a": [0, 0], "b": [0, 0]}, {}, "all counts are zero"),
    ("y", {"y": [0, 1], "w": [0, 1]}, {"weights": "w"}, "only one class"),
    ("y", {"y": [0, 1, 2]}, {}, r"3 distinct values \(0, 1, 2\).*trials="),
    ("y", {"y": [1, 2, 1]}, {}, r"2 distinct values \(1, 2\).*C\(y\)"),
    ("y", {"y": [0.25, 0.5]}, {}, "Proportions"),
    ("y", {"y": [0, -1]}, {}, "distinct values"),
    ("y", {"y": [-1, 2]}, {"trials": [3, 3]}, "cannot be negative"),
    ("y", {"y": [0.5, 1]}, {"trials": [2, 2]}, "'y' is 0.5 at row 0.*must be whole"),
    ("y", {"y": [3, 1]}, {"trials": [2, 2]}, "3 at row 0, more than its 2 trials"),
    ("y", {"y": [1, 1]}, {"trials": [2.5, 2]}, "trials"),
    ("y", {"y": [0, 0]}, {"trials": [0, 0]}, "zero in every row"),
    ("y", {"y": ["a", "b"]}, {"trials": [1, 1]}, "categorical"),
    ("y", {"y": ["a", "b", "c"]}, {"trials": [1, 1, 1]}, "categorical"),
    ("y", {"y": [0, 1]}, {"trials": [1]}, "trials= has 1 values.*2 rows"),
    ("y", {"y": [0, 1]}, {"trials": "no"}, "no such column"),
    ("cbind(a, b - a)", {"a": [3, 1], "b": [2, 2]}, {}, "'b - a' is -1 at row 0"),
    ("cbind(a, b)", {"a": ["u", "v"], "b": [2, 2]}, {}, "not numeric"),
    ("y", {"y": [0, 1]}, {"weights": [-1, 1]}, "negative"),
    ("y", {"y": [0, 1]}, {"weights": [1, 1e16]}, r"1e\+16 at row 1, and at most 1e15"),
    ("y", {"y": [0, 1]}, {"trials": [1, 1e16]}, "'trials' is|trials= is .*at most 1e15"),
    ("y", {"y": [0, 1]}, {"weights": [1]}, "weights= has 1 values.*2 rows"),
    ("y", {"y": [0, 1]}, {"weights": ["a", "b"]}, "not numeric"),
    ("y", {"y": [0, 1]}, {"weights": b"2"}, "one number per row"),
    ("y", {"y": [0, 1]}, {"weights": [0, 0]}, "weights are all zero"),
    ("y", {"y": [0, 1]}, {"weights": [np.inf, 0]}, "infinite at row 0"),
    ("y", {"y": [0, 1]}, {"offset": "of"}, "no such column"),
    ("no", {"y": [0, 1]}, {}, "no column 'no'"),
    ("log(y)", {"y": [0, 1]}, {}, "-inf at row 0"),
]


@pytest.mark.parametrize(("left", "data", "options", "message"), BAD)
def test_bad_responses(
    left: str, data: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        response(left, data, **options)


def test_bad_options() -> None:
    with pytest.raises(OptionError, match="not a category"):
        response("y", {"y": ["a", "b"]}, baseline="c")
    with pytest.raises(OptionError, match="not both"):
        response("cbind(s, c)", COUNTS, trials="n")
    with pytest.raises(OptionError, match="missing="):
        response("y", {"y": [0, 1]}, missing="ignore")
    with pytest.raises(InputError, match="must be a text"):
        build_frame(3, {"y": [0, 1]})  # type: ignore[arg-type]


# --- categories that are absent or rare --------------------------------------------------------


def test_a_declared_category_that_is_absent_is_named() -> None:
    y = pd.Categorical(["a", "b", "c", "a", "b", "c"], categories=["z", "a", "b", "c"])
    frame, _ = build_frame("y ~ 1", {"y": y})
    assert frame.response.categories == ("a", "b", "c")
    (noticed,) = frame.diagnostics
    assert noticed.code == "unused-categories"
    assert noticed.facts["categories"] == ["z"]
    assert "merge" in noticed.remedy
    with pytest.raises(OptionError, match="'z' never occurs in the data; choose one of 'a'"):
        build_frame("y ~ 1", {"y": y}, baseline="z")


def test_a_category_seen_once_is_named() -> None:
    data = {"y": ["a"] * 5 + ["b"] * 5 + ["c"], "x": np.arange(11.0)}
    (noticed,) = build_frame("y ~ x", data)[0].diagnostics
    assert (noticed.code, noticed.severity) == ("rare-category", "warning")
    assert "category 'c' of 'y' was observed once" in noticed.message
    (noticed,) = build_frame("y ~ x", data, baseline="c")[0].diagnostics
    assert "baseline category 'c'" in noticed.message
    assert build_frame("y ~ x", data | {"w": [1.0] * 10 + [2.0]}, weights="w")[0].diagnostics == ()


def test_a_category_with_fewer_observations_than_coefficients_is_named() -> None:
    counts = {"a": [4, 5, 6], "b": [9, 2, 3], "c": [1, 1, 0], "x": [0.0, 1.0, 4.0]}
    assert build_frame("cbind(a, b, c) ~ x", counts)[0].diagnostics == ()
    (noticed,) = build_frame("cbind(a, b, c) ~ x + I(x**2)", counts)[0].diagnostics
    assert noticed.facts == {"category": "c", "observations": 2.0, "coefficients": 3}
