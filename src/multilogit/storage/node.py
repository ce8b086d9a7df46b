"""Checked reading of parsed JSON: a value, and where in the document it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from multilogit.errors import ModelFileError

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How JSON texts stand for numbers that JSON does not have."""
MOST = 2**53
"""Counts above this are not counts."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a JSON document that is still to be checked.

    Every method returns the value as what it should be, or raises
    :class:`~multilogit.errors.ModelFileError` with the place of the value in the document.

    Attributes
    ----------
    value
        As :mod:`json` has read it.
    place
        Where it stands, e.g. ``"solution.psi"``.
    """

    value: Any
    place: str = ""

    def fail(self, reason: str) -> NoReturn:
        """Refuse the value: ``reason`` is what is to be said of it."""
        raise ModelFileError(f"{self.place}: {reason}" if self.place else f"It {reason}")

    def child(self, key: str | int, value: Any) -> Node:
        """A part of this value."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.place else key
        return Node(value, self.place + step)

    def record(self, *keys: str, optional: Sequence[str] = ()) -> dict[str, Node]:
        """An object with exactly these keys (those in ``optional`` may be missing)."""
        found = self.mapping()
        missing = [key for key in keys if key not in found]
        unknown = [key for key in found if key not in keys and key not in optional]
        if missing:
            self.fail(f"lacks {', '.join(map(repr, missing))}.")
        if unknown:
            self.fail(f"has {_shown(', '.join(unknown))}, which this version does not know.")
        return found

    def mapping(self) -> dict[str, Node]:
        """An object with any keys."""
        if not isinstance(self.value, dict):
            self.fail(f"must be an object, not {_kind(self.value)}.")
        return {key: self.child(key, item) for key, item in self.value.items()}

    def items(self, length: int | None = None) -> list[Node]:
        """A list, of a given length if there is one."""
        if not isinstance(self.value, list):
            self.fail(f"must be a list, not {_kind(self.value)}.")
        if length is not None and len(self.value) != length:
            self.fail(f"must have {length} entries, not {len(self.value)}.")
        return [self.child(k, item) for k, item in enumerate(self.value)]

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            self.fail(f"must be a text, not {_kind(self.value)}.")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    def choice(self, *words: str) -> str:
        """One of these texts."""
        if self.value not in words:
            self.fail(f"is {_shown(repr(self.value))}; expected {' or '.join(map(repr, words))}.")
        return str(self.value)

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.fail(f"must be true or false, not {_kind(self.value)}.")
        return self.value

    def count(self, least: int = 0, most: int = MOST) -> int:
        """A whole number within a range."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(f"must be a whole number, not {_kind(value)}.")
        if not least <= value <= most:
            self.fail(f"must be from {least} to {most}.")
        return value

    def number(self, *, finite: bool = True, least: float = -math.inf) -> float:
        """A number; unless ``finite``, also the texts of :data:`NOT_FINITE`."""
        value = self.value
        if isinstance(value, str) and not finite and value in NOT_FINITE:
            return NOT_FINITE[value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"must be a number, not {_kind(value)}.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail("must be a finite number.")
        if number < least:
            self.fail(f"must not be less than {least:g}.")
        return number


def _kind(value: object) -> str:
    """What JSON calls a value."""
    if isinstance(value, str) and value in NOT_FINITE:
        return repr(value)
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    names |= {int: "a whole number", float: "a number", type(None): "null"}
    return names[type(value)]


def _shown(text: str) -> str:
    """At most so much of what a stranger wrote."""
    return text if len(text) <= 80 else text[:77] + "..."
