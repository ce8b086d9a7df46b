"""Types of the compiled core (core/module.cpp)."""

LEVEL: str
"""Instruction level that was loaded: ``"v2"``, ``"v3"``, ``"v4"`` or ``"generic"``."""

LANES: int
"""Doubles per vector register at that level."""

def _choose(supported: list[str], wanted: str | None) -> str: ...
