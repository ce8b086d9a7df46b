"""What a prior is: a specification, and the objective it becomes once it knows the model.

A specification (``RelativeEntropy()``, ``Normal(2.5)``) holds the user's options only.
``specification.bind(context)`` makes it a function of ψ for one model: an object with
``evaluate(psi) -> Evaluation``, like every other part of the objective. An object that has
``evaluate`` and no ``bind`` is taken as it is: that is how users bring their own priors.

A bound prior may say ``depends_on_order = False``: its value does not change when the random
effects of a block are reordered (Σ permuted, Λ its new Cholesky factor), so that estimation
may use the order in which Newton's steps are best. Without that word it is taken to depend.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.fixed import SingleLevel


@dataclass(frozen=True, slots=True)
class RowsElsewhere:
    """What priors may know of rows that are not in memory: sums over them.

    Attributes
    ----------
    single
        The likelihood without random effects; frequency weights multiplied in.
    total_counts
        Σ y, shape ``(C,)``.
    trials, counts
        X'n, shape ``(p,)``, and X'y, shape ``(p, C)``.
    trials_offset, counts_offset
        o'n, and o'y, shape ``(C,)``, for the offset o.
    """

    single: SingleLevel
    total_counts: Vector
    trials: Vector
    counts: Matrix
    trials_offset: float
    counts_offset: Vector


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
    threads
        Threads that an evaluation may use.
    effect_logits
        The logit of each random effect, in the user's order; empty: all are on one logit.
    order
        Says which effect of the user each row of Λ belongs to at present; None: they are in the
        user's order.
    elsewhere
        Where the rows are not in memory: what is known of them; then columns, trials and offset
        are empty.
    """

    columns: tuple[NDArray[np.float64], ...]
    names: tuple[str, ...]
    trials: NDArray[np.float64]
    offset: NDArray[np.float64] | None
    mean: Vector
    theta_rows: NDArray[np.intp]
    theta_columns: NDArray[np.intp]
    blocks: tuple[int, ...] = ()
    threads: int = 1
    effect_logits: tuple[int, ...] = ()
    order: Callable[[], tuple[int, ...]] | None = None
    elsewhere: RowsElsewhere | None = None

    def need_rows(self, prior: str) -> None:
        """Refuse a prior that looks at every row where the rows are not in memory.

        Raises
        ------
        OptionError
            If they are not.
        """
        if self.elsewhere is not None:
            raise OptionError(
                f"{prior} looks at every row, and the data are not in memory: use "
                "prior=ml.RelativeEntropy() or ml.Normal(), or fit in memory."
            )

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.names)

    @property
    def n_logits(self) -> int:
        """C = J − 1."""
        return self.mean.size

    @property
    def n_categories(self) -> int:
        """J."""
        return self.n_logits + 1

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

    @property
    def total_trials(self) -> float:
        """Σ_i n_i."""
        if self.elsewhere is not None:
            return self.elsewhere.single.total_trials
        return float(self.trials.sum())

    @property
    def shares(self) -> Vector:
        """Shape ``(J,)``: observed share of every category, the baseline first."""
        return np.concatenate([[max(1.0 - float(self.mean.sum()), 0.0)], self.mean])

    @property
    def diagonal(self) -> NDArray[np.bool_]:
        """Shape ``(m,)``: which elements of θ are on the diagonal of Λ."""
        diagonal: NDArray[np.bool_] = self.theta_rows == self.theta_columns
        return diagonal


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


def depends_on_order(bound: BoundPrior) -> bool:
    """Whether log π may change when random effects are reordered within their blocks.

    True for an object that does not say: a user's own function of ψ means the user's order.
    """
    return bool(getattr(bound, "depends_on_order", True))


def impossible(size: int) -> Evaluation:
    """What a log prior is where it is −∞."""
    nowhere = np.full(size, np.nan)
    return Evaluation(-math.inf, nowhere, np.diag(nowhere), Status.NOT_FINITE)


def embed(evaluation: Evaluation, size: int, first: int = 0) -> Evaluation:
    """The same function of a part of ψ, from element ``first`` on, as a function of all of ψ."""
    part = slice(first, first + evaluation.gradient.size)
    if part == slice(0, size):
        return evaluation
    gradient = np.zeros(size)
    hessian = np.zeros((size, size))
    gradient[part] = evaluation.gradient
    hessian[part, part] = evaluation.hessian
    return Evaluation(evaluation.value, gradient, hessian, evaluation.status)
