"""Plain values of any kind: options, levels, facts.

Texts, whole numbers, finite numbers, truth values and null stand for themselves, and so do lists
of them. Everything else is an object with one key that says what it is::

    {"number": "NaN"}    {"time": "2026-11-22T00:00:00"}    {"mapping": {...}}
    {"array": ...}       {"left out": 1934}                 {"text": "..."}
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.node import Node

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,18}([+-][0-9:]{5,8})?")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Stands for an array that a saved model does not contain, since it is data.

    Attributes
    ----------
    size
        Its number of elements.
    """

    size: int

    def __repr__(self) -> str:
        return f"<{self.size} values>"


def write_value(value: Any) -> Any:
    """Any value as JSON can hold it; what has no form of its own becomes its text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        written = write_number(value)
        return {"number": written} if isinstance(written, str) else written
    if isinstance(value, Mapping):
        return {"mapping": {str(key): write_value(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [write_value(item) for item in value]
    if isinstance(value, LeftOut):
        return {"left out": value.size}
    if isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim <= 2:
        return {"array": write_array(value)}
    if isinstance(value, np.ndarray):
        return write_value(value.tolist())
    if isinstance(value, datetime.datetime) and not pd.isna(value):
        return {"time": value.isoformat()}
    return {"text": str(value)}


def read_value(node: Node) -> Any:
    """A value that :func:`write_value` has written."""
    value = node.value
    if isinstance(value, list):
        return [read_value(item) for item in node.items()]
    if isinstance(value, dict):
        return _read_tagged(node)
    return node.number() if isinstance(value, float) else value


def _read_tagged(node: Node) -> Any:
    parts = node.mapping()
    if len(parts) != 1:
        node.fail("must be an object with one key.")
    ((tag, inner),) = parts.items()
    if tag not in _TAGGED:
        node.fail(f"is of the unknown kind {tag[:40]!r}.")
    return _TAGGED[tag](inner)


def _read_mapping(node: Node) -> dict[str, Any]:
    return {key: read_value(item) for key, item in node.mapping().items()}


def _shape_of(node: Node) -> tuple[None, ...]:
    """One or two dimensions: any lengths."""
    if isinstance(node.value, dict):
        return (None,) * len(node.record("dtype", "shape", "base64")["shape"].items())
    first = node.items()[:1]
    return (None, None) if first and isinstance(first[0].value, list) else (None,)


def _read_time(node: Node) -> pd.Timestamp:
    if not _TIME.fullmatch(node.text()):
        node.fail("is not a time.")
    try:
        return pd.Timestamp(node.value)
    except ValueError:
        node.fail("is not a time.")


_TAGGED: dict[str, Callable[[Node], Any]] = {
    "array": lambda node: read_array(node, *_shape_of(node), finite=False),
    "left out": lambda node: LeftOut(node.count()),
    "mapping": _read_mapping,
    "number": lambda node: node.number(finite=False),
    "text": Node.text,
    "time": _read_time,
}
