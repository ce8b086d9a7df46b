"""Q(ψ) = ℓ(ψ) + log π(ψ): the objective is a sum of parts that can each be evaluated.

A part is a likelihood, a prior, or the likelihood of one chunk of the data; where it lives is
its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation, Objective, Vector


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of objectives, always added up in the order given.

    Attributes
    ----------
    parts
        At least one; all functions of the same ψ.

    Raises
    ------
    OptionError
        If there are no parts.
    """

    parts: tuple[Objective, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise OptionError("A sum of objectives needs at least one part.")

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Value, gradient and Hessian of Σ parts; the first status that is not OK wins."""
        total = self.parts[0].evaluate(psi)
        for part in self.parts[1:]:
            total = total + part.evaluate(psi)
        return total
