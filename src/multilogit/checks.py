"""Options that are one of some choices, or a whole number: refused before any work is done."""

from __future__ import annotations

import operator
from collections.abc import Collection

from multilogit.errors import OptionError


def check_choice(option: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises
    ------
    OptionError
        It names the choices.
    """
    if value not in choices:
        named = ", ".join(map(repr, choices))
        raise OptionError(f"{option}={value!r} is not available; choose one of {named}.")


def check_whole(
    option: str, value: object, least: int = 1, most: int | None = None, other: str = ""
) -> int:
    """A whole number from ``least`` to ``most``, NumPy's included; True is none.

    Parameters
    ----------
    option
        Its name.
    value
        What was given.
    least, most
        The range; ``most=None``: it has no end.
    other
        What else may be given, for the message.

    Raises
    ------
    OptionError
        It is no whole number, or not in the range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        span = f"from {least} on" if most is None else f"from {least} to {most}"
        otherwise = f", or {other}" if other else ""
        raise OptionError(f"{option}={value!r}: give a whole number {span}{otherwise}.")
    return number
