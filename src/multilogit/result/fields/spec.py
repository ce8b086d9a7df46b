"""What a user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user asked for, as plain values: enough to repeat the call.

    Attributes
    ----------
    formula
        As given.
    options
        The other keywords of :func:`multilogit.fit` that differ from their defaults.
    """

    formula: str
    options: dict[str, Any]
