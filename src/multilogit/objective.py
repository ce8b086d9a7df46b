"""Q(ψ) = ℓ(ψ) + log π(ψ): the objective is a sum of parts that can each be evaluated.

A part is a likelihood, a prior, or the likelihood of one chunk of the data; where it lives is
its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


class Penalised:
    """Q = ℓ + log π, which remembers ℓ where it was last evaluated.

    Standard errors and the reported log-likelihood need ℓ by itself at the maximum of Q, which
    is where the search evaluated last.

    Parameters
    ----------
    likelihood, prior
        Functions of the same ψ.
    """

    def __init__(self, likelihood: Objective, prior: Objective) -> None:
        self.likelihood = likelihood
        self.prior = prior
        self._last: tuple[Vector, Evaluation] | None = None

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Q, its gradient and Hessian."""
        likelihood = self.likelihood.evaluate(psi)
        self._last = (psi.copy(), likelihood)
        return likelihood + self.prior.evaluate(psi)

    def likelihood_at(self, psi: Vector) -> Evaluation:
        """ℓ, its gradient and Hessian; for free where Q was evaluated last."""
        if self._last is not None and np.array_equal(self._last[0], psi):
            return self._last[1]
        return self.likelihood.evaluate(psi)

    def forget(self) -> None:
        """ψ is about to mean something else."""
        self._last = None
