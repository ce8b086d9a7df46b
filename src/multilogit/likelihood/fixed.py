"""Single-level binomial and multinomial log-likelihood: no random effects.

With J categories, the baseline first, row i has counts y_ij out of n_i trials and

    η_ij = o_ij + x_i'β_j,   π_ij = e^η_ij / (1 + Σ_k e^η_ik),   j = 1 … J − 1.

ψ holds β logit by logit: all p columns of category 1, then of category 2, and so on. J = 2 is
the binomial model, on the same path.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from multilogit import _core
from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Matrix, Vector


class SingleLevel(Protocol):
    """What estimation needs of a likelihood without random effects, wherever its rows are."""

    @property
    def p(self) -> int:
        """Columns of X."""

    @property
    def n_logits(self) -> int:
        """J − 1: logits, that is categories other than the baseline."""

    @property
    def n_parameters(self) -> int:
        """p (J − 1): length of ψ."""

    @property
    def total_trials(self) -> float:
        """Σ_i w_i n_i."""

    @property
    def at_zero(self) -> Evaluation:
        """The evaluation at β = 0."""

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ, its gradient and Hessian at ψ = β."""
        ...

    def normal_equations(self) -> tuple[Matrix, Matrix]:
        """X'WX and z'X of the regressions that :func:`start_ols` solves."""
        ...


class FixedLikelihood:
    """ℓ(β) = Σ_i w_i [Σ_j y_ij η_ij − n_i log(1 + Σ_j e^η_ij)], gradient and Hessian.

    Czepiel, *Maximum likelihood estimation of logistic regression models*, eqs 31 (value,
    without the binomial or multinomial coefficients, which do not depend on β), 32 and 37.

    Parameters
    ----------
    columns
        p contiguous float64 arrays of shape ``(n,)``: X, read in place at every evaluation,
        never copied and never written to.
    counts
        Shape ``(n, J - 1)``: counts of the categories other than the baseline; for J = 2
        also ``(n,)``. Copied unless float64 and F-ordered.
    trials
        Shape ``(n,)``: n_i.
    offset
        Shape ``(n,)``: the same for every logit, or ``(n, J - 1)``; ``None``: 0.
    weights
        Shape ``(n,)``: frequency weights, which multiply counts and trials; ``None``: 1.
    threads
        At most so many threads. The result is bitwise the same for every number.

    Raises
    ------
    OptionError
        If the lengths do not agree.
    """

    def __init__(
        self,
        columns: Sequence[Vector],
        counts: Matrix | Vector,
        trials: Vector,
        offset: Vector | Matrix | None = None,
        weights: Vector | None = None,
        threads: int = 1,
    ) -> None:
        self.columns = tuple(columns)
        self.counts = _two_dimensional(counts)
        self.trials = np.ascontiguousarray(trials, dtype=np.float64)
        self.offset = None if offset is None else _per_logit(offset, self.counts.shape[1])
        self.weights = None if weights is None else np.ascontiguousarray(weights, np.float64)
        self.threads = threads
        try:
            self._data = _core.FixedData(
                list(self.columns), self.counts, self.trials, self.offset, self.weights
            )
        except ValueError as error:
            raise OptionError(f"{error}.") from None

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.columns)

    @cached_property
    def total_trials(self) -> float:
        """Σ_i w_i n_i."""
        weights = self.weights
        return float(self.trials.sum() if weights is None else (self.trials * weights).sum())

    @property
    def n_logits(self) -> int:
        """J − 1: logits, that is categories other than the baseline."""
        return int(self.counts.shape[1])

    @property
    def n_parameters(self) -> int:
        """p (J − 1): length of ψ."""
        return len(self.columns) * self.n_logits

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ, its gradient and Hessian at ψ = β, shape ``(p (J - 1),)``."""
        value, gradient, hessian, finite = self._data.evaluate(psi, self.threads)
        return Evaluation(value, gradient, hessian, Status.OK if finite else Status.NOT_FINITE)

    @cached_property
    def at_zero(self) -> Evaluation:
        """The evaluation at β = 0, where −H shows the rank of X and most searches start."""
        return self.evaluate(np.zeros(self.n_parameters))

    def with_response(self, counts: Matrix | Vector, trials: Vector) -> FixedLikelihood:
        """The same columns, offset and weights with a new response."""
        return FixedLikelihood(
            self.columns, counts, trials, self.offset, self.weights, self.threads
        )

    def regression(self, z: Matrix, weights: Vector) -> tuple[Matrix, Matrix]:
        """The normal equations of weighted linear regressions on the columns.

        Parameters
        ----------
        z
            Shape ``(n, k)``, F-ordered: ``weights`` times each of k responses.
        weights
            Shape ``(n,)``.

        Returns
        -------
        gram, cross
            X'WX, shape ``(p, p)``, and z'X, shape ``(k, p)``. They add over rows.
        """
        return self._data.regression(weights, z, self.threads)

    def normal_equations(self) -> tuple[Matrix, Matrix]:
        """X'WX and z'X of the regressions that :func:`start_ols` solves."""
        trials, counts = self.trials, self.counts
        weights = trials if self.weights is None else trials * self.weights
        if self.n_logits == 1:
            z = counts if self.weights is None else counts * self.weights[:, None]
        else:
            baseline = trials - counts.sum(axis=1)
            z = np.log((counts + 0.5) / (baseline + 0.5)[:, None])
            if self.offset is not None:
                z -= self.offset
            z *= weights[:, None]
        return self.regression(np.asfortranarray(z), weights)


def solve_normal(gram: Matrix, cross: Matrix) -> Matrix:
    """Coefficients (X'WX)⁻¹X'z, shape ``(k, p)``; of least norm where X'WX is singular."""
    root = np.sqrt(gram.diagonal())
    root[root == 0.0] = 1.0  # a column of zeros gets the coefficient 0
    scaled = np.linalg.lstsq(gram / np.outer(root, root), (cross / root).T, rcond=None)[0]
    coefficients: Matrix = scaled.T / root
    return coefficients


def start_ols(likelihood: SingleLevel) -> Vector:
    """Start values for Newton–Raphson from a linear regression, weighted by n_i.

    Two categories: the proportions y_i / n_i on X, so b = (X'X)⁻¹X'y for a 0/1 response; an
    offset, which is on another scale, is left out. More: the empirical logits
    log((y_ij + ½) / (y_i0 + ½)) − o_ij on X, for each j; the ½ keeps empty categories finite
    (Czepiel §2.3 suggests a regression of log(π_ij / π_iJ)).

    Returns
    -------
    Vector
        Shape ``(p (J - 1),)``.
    """
    return solve_normal(*likelihood.normal_equations()).ravel()


def _two_dimensional(counts: Matrix | Vector) -> Matrix:
    counts = np.asarray(counts, dtype=np.float64)
    return np.asfortranarray(counts[:, None] if counts.ndim == 1 else counts)


def _per_logit(offset: Vector | Matrix, n_logits: int) -> Matrix:
    offset = np.asarray(offset, dtype=np.float64)
    if offset.ndim == 1:
        offset = np.repeat(offset[:, None], n_logits, axis=1)
    return np.asfortranarray(offset)
