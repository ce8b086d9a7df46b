"""Numbers and arrays in JSON, without loss.

Small arrays are (nested) lists of numbers; larger ones are objects with the bytes of a
little-endian C-ordered array::

    {"dtype": "float64", "shape": [60, 2, 2], "base64": "..."}
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.storage.node import Node

_LARGE = 64
"""Arrays of more elements are written in base64."""
_DTYPES = {"float64": "<f8", "int32": "<i4", "int64": "<i8", "bool": "|b1"}


def write_number(value: float) -> float | str:
    """A float; the texts ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` where JSON has none."""
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0.0 else "-Infinity"


def write_array(array: NDArray[Any]) -> Any:
    """An array of float64, int32, int64 or bool."""
    if 0 < array.size <= _LARGE:
        return _nested(array.tolist())
    name = array.dtype.name
    raw = np.ascontiguousarray(array, dtype=_DTYPES[name]).tobytes()
    return {
        "dtype": name,
        "shape": list(array.shape),
        "base64": base64.b64encode(raw).decode("ascii"),
    }


def _nested(value: Any) -> Any:
    if isinstance(value, list):
        return [_nested(item) for item in value]
    return write_number(value) if isinstance(value, float) else value


def read_array(
    node: Node, *shape: int | None, dtype: str = "float64", finite: bool = True
) -> NDArray[Any]:
    """An array that :func:`write_array` has written.

    Parameters
    ----------
    node
        Where it is.
    shape
        Expected lengths; None for any.
    dtype
        Its type: ``"float64"``, ``"int32"``, ``"int64"`` or ``"bool"``.
    finite
        Whether NaN and infinities are refused.

    Raises
    ------
    ModelFileError
        Another type or shape, a wrong number of bytes, values that are not finite.
    """
    array = _from_base64(node, dtype) if isinstance(node.value, dict) else _from_list(node, dtype)
    agrees = array.ndim == len(shape) and all(
        expected in (None, found) for expected, found in zip(shape, array.shape, strict=True)
    )
    if not agrees:
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        node.fail(f"has the shape {' x '.join(map(str, array.shape))}; expected {wanted}.")
    if finite and dtype == "float64" and not np.isfinite(array).all():
        node.fail("must be finite.")
    return array


def _from_base64(node: Node, dtype: str) -> NDArray[Any]:
    parts = node.record("dtype", "shape", "base64")
    parts["dtype"].choice(dtype)
    shape = [length.count() for length in parts["shape"].items()]
    if len(shape) > 4:
        parts["shape"].fail("has too many dimensions.")
    code = np.dtype(_DTYPES[dtype])
    try:
        raw = base64.b64decode(parts["base64"].text(), validate=True)
    except (binascii.Error, ValueError):
        parts["base64"].fail("is not base64.")
    expected = code.itemsize * math.prod(shape)
    if len(raw) != expected:
        node.fail(f"has {len(raw)} bytes; its shape needs {expected}.")
    if dtype == "bool" and raw.strip(b"\0\1"):
        node.fail("must be true or false.")
    return np.frombuffer(raw, dtype=code).astype(dtype).reshape(shape)


def _from_list(node: Node, dtype: str) -> NDArray[Any]:
    """A nested list, every element checked."""
    if len(node.items()) > _LARGE:
        node.fail(f"has more than {_LARGE} entries: larger arrays are in base64.")
    shape: list[int] = []
    level = [node]
    while level and isinstance(level[0].value, list):
        length = len(level[0].value)
        shape.append(length)
        level = [item for row in level for item in row.items(length)]
        if len(level) > _LARGE or len(shape) > 4:
            node.fail("is too large to be a list.")
    values = [_element(item, dtype) for item in level]
    return np.array(values, dtype=dtype).reshape(shape)


def _element(node: Node, dtype: str) -> float | int | bool:
    if dtype == "bool":
        return node.flag()
    if dtype == "float64":
        return node.number(finite=False)
    most = int(np.iinfo(dtype).max)
    return node.count(-most - 1, most)
