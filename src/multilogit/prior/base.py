"""What a prior is: a specification, and the objective it becomes once it knows the model.

A specification (``RelativeEntropy()``, ``Normal(2.5)``) holds the user's options only.
``specification.bind(context)`` makes it a function of ψ for one model: an object with
``evaluate(psi) -> Evaluation``, like every other part of the objective. An object that has
``evaluate`` and no ``bind`` is taken as it is: that is how users bring their own priors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Evaluation, Vector


@dataclass(frozen=True, slots=True)
class PriorContext:
    """The plain arrays of a model that priors may depend on.

    Attributes
    ----------
    columns
        p columns of X, each contiguous float64 of shape ``(n,)``; never written to.
    names
        Their names.
    trials
        Shape ``(n,)``: n_i, frequency weights multiplied in.
    offset
        Shape ``(n,)`` or None.
    mean
        Shape ``(C,)``: observed share ȳ of each non-baseline category.
    theta_rows, theta_columns
        Shape ``(m,)``: θ_k is ``Lambda[theta_rows[k], theta_columns[k]]``; empty without
        random effects. ψ = (β logit by logit, θ).
    blocks
        Sizes of the blocks of correlated random effects.
    """

    columns: tuple[NDArray[np.float64], ...]
    names: tuple[str, ...]
    trials: NDArray[np.float64]
    offset: NDArray[np.float64] | None
    mean: Vector
    theta_rows: NDArray[np.intp]
    theta_columns: NDArray[np.intp]
    blocks: tuple[int, ...] = ()

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.columns)

    @property
    def n_logits(self) -> int:
        """C = J − 1."""
        return self.mean.size

    @property
    def n_beta(self) -> int:
        """Fixed effects of all logits: p·C."""
        return self.p * self.n_logits

    @property
    def m(self) -> int:
        """Length of θ."""
        return self.theta_rows.size

    @property
    def size(self) -> int:
        """Length of ψ."""
        return self.n_beta + self.m


@runtime_checkable
class BoundPrior(Protocol):
    """log π as a function of ψ."""

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ), gradient and Hessian, all of size ``context.size``."""
        ...


@runtime_checkable
class Prior(Protocol):
    """A specification."""

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density for one model."""
        ...
