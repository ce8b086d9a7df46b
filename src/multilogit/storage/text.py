"""JSON text: strict reading, readable writing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from multilogit.errors import ModelFileError


def read_json(content: bytes) -> Any:
    """Parse JSON as the standard has it: UTF-8, no NaN, no key twice.

    Raises
    ------
    ModelFileError
        It is not JSON, ends too early, or is nested too deeply.
    """
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_different
        )
    except UnicodeDecodeError:
        raise ModelFileError("It is not a JSON text in UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ModelFileError(f"It is not JSON, or is cut off ({error.msg}: {place}).") from None
    except RecursionError:
        raise ModelFileError("It is nested too deeply.") from None
    except ValueError as error:  # whole numbers of thousands of digits
        raise ModelFileError(f"It has a value that cannot be read ({error}).") from None


def _refuse(constant: str) -> NoReturn:
    raise ModelFileError(f"{constant} is not JSON.")


def _different(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ModelFileError(f"The key {twice[:80]!r} occurs twice.")
    return found


def write_json(document: Any) -> bytes:
    """JSON with one line per entry; lists of plain values, and what fits, on one line."""
    text = "\n".join(_lines(document, "")) + "\n"
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair in a name
        return json.dumps(document, allow_nan=False).encode("ascii")


_WIDTH = 100


def _lines(value: Any, indent: str) -> list[str]:
    inline = _dumped(value)
    nested = isinstance(value, dict | list) and any(
        isinstance(item, dict | list)
        for item in (value.values() if isinstance(value, dict) else value)
    )
    flat = not isinstance(value, dict) and not nested
    if flat or not value or (len(inline) + len(indent) <= _WIDTH and len(indent) > 0):
        return [inline]
    inner = indent + "  "
    keyed = isinstance(value, dict)
    entries = value.items() if keyed else ((None, item) for item in value)
    lines = ["{" if keyed else "["]
    for k, (key, item) in enumerate(entries):
        first, *rest = _lines(item, inner)
        lines.append(inner + (f"{_dumped(key)}: " if keyed else "") + first)
        lines += rest
        lines[-1] += "," if k < len(value) - 1 else ""
    return [*lines, indent + ("}" if keyed else "]")]


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
