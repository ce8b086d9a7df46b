"""Numbers and arrays come back to the last bit; wrong ones are refused with their place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from multilogit.errors import ModelFileError
from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.node import Node


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@given(arrays(np.float64, array_shapes(max_dims=3, max_side=6, min_side=0)))
def test_floats_come_back(array: np.ndarray) -> None:
    node = Node(through_json(write_array(array)), "array")
    back = read_array(node, *array.shape, finite=False)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array, strict=True)
    not_nan = ~np.isnan(array)
    assert back[not_nan].tobytes() == array[not_nan].tobytes()  # also the sign of zero


@given(arrays(np.int32, array_shapes(max_dims=2, max_side=12)))
def test_whole_numbers_come_back(array: np.ndarray) -> None:
    back = read_array(Node(through_json(write_array(array))), *array.shape, dtype="int32")
    np.testing.assert_array_equal(back, array, strict=True)


@given(arrays(np.bool_, st.integers(0, 100)))
def test_truth_values_come_back(array: np.ndarray) -> None:
    back = read_array(Node(through_json(write_array(array))), None, dtype="bool")
    np.testing.assert_array_equal(back, array, strict=True)


def test_small_arrays_are_lists_and_large_ones_are_not() -> None:
    assert write_array(np.array([[1.5, np.nan], [-np.inf, 0.0]])) == [
        [1.5, "NaN"],
        ["-Infinity", 0.0],
    ]
    large = write_array(np.zeros((40, 2), order="F"))
    assert large["shape"] == [40, 2]
    assert large["dtype"] == "float64"


@given(st.floats())
def test_numbers_come_back(value: float) -> None:
    back = Node(through_json(write_number(value))).number(finite=False)
    assert np.float64(back).tobytes() == np.float64(value).tobytes() or value != value


GOOD = write_array(np.arange(80.0))
BAD: dict[str, Any] = {
    "a text": "1.0",
    "null": None,
    "ragged": [[1.0, 2.0], [3.0]],
    "mixed": [[1.0], 2.0],
    "flags": [True] * 80,
    "texts": ["1.0"] * 4,
    "objects": [{}],
    "deep": [[[[[[1.0]]]]]],
    "long list": [0.0] * 1000,
    "wide list": [[0.0] * 65],
    "infinite": [1e999] * 4,
    "huge": [10**400],
    "not finite": ["NaN"] * 4,
    "other type": GOOD | {"dtype": "int64"},
    "code": GOOD | {"dtype": "O"},
    "no type": GOOD | {"dtype": None},
    "unhashable type": GOOD | {"dtype": ["<f8"]},
    "not base64": GOOD | {"base64": "!" * 8},
    "no text": GOOD | {"base64": 7},
    "other letters": GOOD | {"base64": "ä" * 8},
    "padding": GOOD | {"base64": GOOD["base64"][:-1]},
    "cut off": GOOD | {"base64": GOOD["base64"][:-4]},
    "other shape": GOOD | {"shape": [81]},
    "huge shape": GOOD | {"shape": [2**40, 2**40]},
    "negative shape": GOOD | {"shape": [-1]},
    "shape of floats": GOOD | {"shape": [80.0]},
    "many dimensions": GOOD | {"shape": [1] * 79 + [80]},
    "other key": GOOD | {"pickle": ""},
    "missing key": {"dtype": "float64", "shape": [80]},
}


@pytest.mark.parametrize("name", BAD)
def test_other_arrays_are_refused(name: str) -> None:
    with pytest.raises(ModelFileError, match=r"^psi[:.\[]"):
        read_array(Node(BAD[name], "psi"), None)


def test_shapes_are_checked() -> None:
    node = Node(GOOD, "psi")
    assert read_array(node, 80).shape == (80,)
    with pytest.raises(ModelFileError, match="psi: has the shape 80; expected 79"):
        read_array(node, 79)
    with pytest.raises(ModelFileError, match="has the shape 80; expected any x 2"):
        read_array(node, None, 2)


def test_bytes_of_truth_values_are_checked() -> None:
    flags = write_array(np.ones(80, dtype=bool))
    wrong = flags | {"base64": "Av" + flags["base64"][2:]}
    with pytest.raises(ModelFileError, match="true or false"):
        read_array(Node(wrong, "boundary"), 80, dtype="bool")
