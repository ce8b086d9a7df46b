"""What all specifications share: they bind, and they add."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import BoundPrior, Prior, PriorContext, depends_on_order
from multilogit.prior.options import Strength


class Specification(ABC):
    """A prior that does not know its model yet. ``a + b`` is the product of two densities."""

    __slots__ = ()

    @abstractmethod
    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density for one model."""

    @property
    def needs_strength(self) -> bool:
        """Whether a strength must be chosen from the data (``with_strength``) before binding."""
        return False

    def with_strength(self, kappa: float) -> Specification:
        """The same prior with the strength ``kappa``.

        Raises
        ------
        OptionError
            If this prior has no strength.
        """
        raise OptionError(f"{type(self).__name__} has no strength that could be set to {kappa}.")

    def __add__(self, other: Prior | BoundPrior) -> SumPrior:
        if not isinstance(other, Prior | BoundPrior):
            return NotImplemented
        return SumPrior((*_parts(self), *_parts(other)))

    def __radd__(self, other: Prior | BoundPrior) -> SumPrior:
        if not isinstance(other, Prior | BoundPrior):
            return NotImplemented
        return SumPrior((*_parts(other), *_parts(self)))


class StrengthSpecification(Specification):
    """A prior with a strength, which may be the name of a rule that chooses it from the data."""

    __slots__ = ()

    strength: Strength

    @property
    def needs_strength(self) -> bool:
        """Whether the strength is the name of a rule."""
        return isinstance(self.strength, str)

    def with_strength(self, kappa: float) -> Self:
        """The same prior worth ``kappa`` pseudo-observations; all else stays."""
        return replace(self, strength=kappa)  # type: ignore[type-var]  # those below are dataclasses


@dataclass(frozen=True, slots=True)
class SumPrior(Specification):
    """The sum of log densities.

    Parameters
    ----------
    parts
        At least one specification, or object with ``evaluate``.

    Raises
    ------
    OptionError
        If there are no parts, or one is no prior.
    """

    parts: tuple[Prior | BoundPrior, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise OptionError("A sum of priors needs at least one part.")
        for part in self.parts:
            check_prior(part)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The sum of the bound parts."""
        return BoundSum(tuple(bind(part, context) for part in self.parts))

    @property
    def needs_strength(self) -> bool:
        """Whether the strength of a part must be chosen from the data."""
        return any(map(needs_strength, self.parts))

    def with_strength(self, kappa: float) -> SumPrior:
        """The same sum with ``kappa`` in the one part whose strength is open.

        Raises
        ------
        OptionError
            If that is not exactly one part.
        """
        if sum(map(needs_strength, self.parts)) != 1:
            raise OptionError(f"The strength of exactly one part of {self!r} must be open.")
        return SumPrior(
            tuple(
                part.with_strength(kappa)
                if isinstance(part, Specification) and part.needs_strength
                else part
                for part in self.parts
            )
        )


@dataclass(frozen=True, slots=True)
class BoundSum:
    """The sum of bound priors."""

    parts: tuple[BoundPrior, ...]

    @property
    def depends_on_order(self) -> bool:
        """Whether any part does."""
        return any(map(depends_on_order, self.parts))

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Σ log π, its gradient and Hessian."""
        total = self.parts[0].evaluate(psi)
        for part in self.parts[1:]:
            total = total + part.evaluate(psi)
        return total


@dataclass(frozen=True, slots=True)
class UserPrior:
    """A user's own ``evaluate``, its answers checked: a wrong shape would be broadcast.

    Attributes
    ----------
    prior
        The user's object.
    size
        Length of ψ.
    """

    prior: BoundPrior
    size: int

    @property
    def depends_on_order(self) -> bool:
        """What the user's object says; True where it says nothing."""
        return depends_on_order(self.prior)

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """The user's evaluation.

        Raises
        ------
        OptionError
            If it is no ``Evaluation``, or its gradient or Hessian has the wrong shape.
        """
        evaluation = self.prior.evaluate(psi)
        name = type(self.prior).__name__
        if not isinstance(evaluation, Evaluation):
            raise OptionError(f"{name}.evaluate must return a multilogit.evaluation.Evaluation.")
        shapes = (evaluation.gradient.shape, evaluation.hessian.shape)
        if shapes != ((self.size,), (self.size, self.size)):
            raise OptionError(
                f"{name}.evaluate returned a gradient of shape {shapes[0]} and a Hessian of shape "
                f"{shapes[1]}; ψ has {self.size} elements: fixed effects logit by logit, then θ."
            )
        return evaluation


def bind(prior: Prior | BoundPrior, context: PriorContext) -> BoundPrior:
    """The log density of any prior, a user's own included, for one model.

    Raises
    ------
    OptionError
        If ``prior`` is no prior, or does not fit the model.
    """
    check_prior(prior)
    return prior.bind(context) if isinstance(prior, Prior) else UserPrior(prior, context.size)


def check_prior(prior: object) -> None:
    """Raise ``OptionError`` unless ``prior`` is a specification or has ``evaluate``."""
    if isinstance(prior, type) or not isinstance(prior, Prior | BoundPrior):
        shown = f"the class {prior.__name__}" if isinstance(prior, type) else repr(prior)
        raise OptionError(
            f"prior={shown}: give a prior such as RelativeEntropy(), a sum of priors, or an "
            "object with evaluate(psi)."
        )


def _parts(prior: Prior | BoundPrior) -> tuple[Prior | BoundPrior, ...]:
    return prior.parts if isinstance(prior, SumPrior) else (prior,)


def needs_strength(prior: Prior | BoundPrior | None) -> bool:
    return isinstance(prior, Specification) and prior.needs_strength
