"""Options with one value per coefficient: a number, an array, or a mapping from names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from multilogit.errors import OptionError
from multilogit.evaluation import Vector
from multilogit.prior.base import PriorContext
from multilogit.prior.options import positive, real

PerCoefficient = float | tuple[float, ...] | dict[str, float]
Intercept = bool | float

INTERCEPT = "(Intercept)"


def checked_scales(value: object) -> PerCoefficient:
    """Scales: every one positive; inf leaves a coefficient free."""
    return _checked(value, "scale", must_be_positive=True)


def checked_means(value: object) -> PerCoefficient:
    """Means: every one finite."""
    return _checked(value, "mean", must_be_positive=False)


def checked_intercept(value: object) -> Intercept:
    """True, False, or a positive scale."""
    return value if isinstance(value, bool) else positive(value, "intercept", infinite=True)


def scales(scale: PerCoefficient, intercept: Intercept, context: PriorContext) -> Vector:
    """Shape ``(p C,)``: the scale of every coefficient; inf: free.

    A coefficient that a mapping does not name is free. ``intercept`` True leaves the intercept
    what ``scale`` says, False frees it, a number is its scale.
    """
    out = expand(scale, context, "scale", missing=math.inf)
    if intercept is not True:
        is_intercept = np.array([name == INTERCEPT for name in context.names], dtype=bool)
        out[np.tile(is_intercept, context.n_logits)] = intercept or math.inf
    return out


def expand(value: PerCoefficient, context: PriorContext, what: str, *, missing: float) -> Vector:
    """Shape ``(p C,)``: one number for each coefficient, logit by logit.

    Raises
    ------
    OptionError
        If an array has neither p nor pC elements, or a mapping names an unknown coefficient.
    """
    p, n_beta = context.p, context.n_beta
    if isinstance(value, float):
        return np.full(n_beta, value)
    if isinstance(value, dict):
        if unknown := [name for name in value if name not in context.names]:
            raise OptionError(
                f"{what}= names {', '.join(map(repr, unknown))}, but the fixed effects are "
                f"{', '.join(map(repr, context.names))}."
            )
        each = np.array([value.get(name, missing) for name in context.names])
        return np.tile(each, context.n_logits)
    if len(value) not in (p, n_beta):
        raise OptionError(
            f"{what}= has {len(value)} values; give {p}, one per column"
            + (f", or {n_beta}, logit by logit." if n_beta > p else ".")
        )
    return np.tile(np.array(value), n_beta // len(value))


def _checked(value: object, what: str, *, must_be_positive: bool) -> PerCoefficient:
    def one(number: object) -> float:
        if must_be_positive:
            return positive(number, what, infinite=True)
        return real(number, what)

    if isinstance(value, Mapping):
        return {str(name): one(number) for name, number in value.items()}
    numbers = _sequence(value)
    return one(value) if numbers is None else tuple(map(one, numbers))


def _sequence(value: object) -> list[object] | None:
    """The elements of a one-dimensional array or sequence; None for anything else."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return None
    array = np.asarray(value)
    elements: list[object] = array.tolist() if array.ndim == 1 else [value]
    return elements
