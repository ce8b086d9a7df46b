"""Checks of options that several priors share."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

from multilogit.errors import OptionError
from multilogit.prior.base import PriorContext

Strength = float | Literal["auto", "cv"] | None
"""κ in pseudo-observations; a rule that chooses it from the data; None: the default."""


def positive(value: object, what: str, *, infinite: bool = False) -> float:
    """``value`` as a float > 0, finite unless ``infinite`` is allowed."""
    number = real(value, what)
    if not number > 0.0 or (math.isinf(number) and not infinite):
        allowed = "a positive number or inf" if infinite else "a positive finite number"
        raise OptionError(f"{what}={value!r}: give {allowed}.")
    return number


def not_negative(value: object, what: str) -> float:
    """``value`` as a finite float ≥ 0."""
    number = real(value, what)
    if not 0.0 <= number < math.inf:
        raise OptionError(f"{what}={value!r}: give a finite number from 0 on.")
    return number


def real(value: object, what: str) -> float:
    """``value`` as a float; not a bool, not text, not NaN."""
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(float(value)):
        raise OptionError(f"{what}={value!r}: give a number.")
    return float(value)


def checked_strength(value: object, rules: tuple[str, ...]) -> Strength:
    """A strength: None, a positive number, or one of ``rules``."""
    if value is None:
        return None
    if isinstance(value, str):
        if value in rules:
            return value  # type: ignore[return-value]  # one of the two literals
        named = " or ".join(map(repr, rules))
        raise OptionError(f"strength={value!r}: give a positive number, {named}, or None.")
    return positive(value, "strength")


def resolved_strength(strength: Strength, context: PriorContext) -> float:
    """κ for one model.

    Raises
    ------
    OptionError
        If the strength is still to be chosen from the data.
    """
    if strength is None:
        return default_strength(context)
    if isinstance(strength, str):
        raise OptionError(
            f"strength={strength!r} must be resolved before the prior is used; call "
            "with_strength(kappa) with a number of pseudo-observations."
        )
    return strength


def default_strength(context: PriorContext) -> float:
    """κ = pJ/2 pseudo-observations: one per fixed effect of a binary model.

    Jeffreys' prior of a saturated model adds ½ to each of the J counts of its p cells, pJ/2 in
    all: the same amount of information.
    """
    return strength_by_size(context.p, context.n_categories)


def strength_by_size(p: int, n_categories: int) -> float:
    """The same, for p columns and J categories."""
    return 0.5 * p * n_categories
