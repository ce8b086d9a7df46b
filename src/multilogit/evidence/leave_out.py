"""Log scores of predictions left out, from one fit.

ψ̂ maximises Q = ℓ + log π; J = −Q″(ψ̂). Without a part of the data with score s and information
J_s at ψ̂, one Newton step gives

    ψ̂₋ ≈ ψ̂ − (J − J_s)⁻¹ s

(Rad & Maleki 2020, "A scalable estimate of the out-of-sample prediction error via approximate
leave-one-out cross-validation"). For one observation of a single-level model everything happens
in its own C logits and costs one leverage matrix; for a group of a multilevel model s and J_s
come from the group's own marginal likelihood. The prior stays as it is, its design and its
reference included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Matrix, Objective, Vector
from multilogit.evidence.strength import Score
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.newton import maximise

_CHUNK = 1 << 16
"""Rows at a time."""
_INFLUENTIAL = 0.1
"""Squared Newton decrement of leaving a group out above which one step is not enough."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Log scores of what was left out.

    Attributes
    ----------
    scores
        Shape ``(n,)`` or ``(n_groups,)``: log probability of each row's observations (each
        predicted without itself), or of each group's outcomes (predicted without the group).
    reliable
        Same shape: False where J − J_s is not positive definite, so that the data left seem not
        to determine the parameters; J⁻¹ was used there.
    """

    scores: Vector
    reliable: NDArray[np.bool_]

    @property
    def score(self) -> Score:
        """Their sum, and its standard error over rows or groups."""
        n = self.scores.size
        spread = float(self.scores.std(ddof=1)) * np.sqrt(n) if n > 1 else np.inf
        return Score(float(self.scores.sum()), float(spread))


def leave_one_out(
    columns: Sequence[Vector],
    counts: Matrix | Vector,
    trials: Vector,
    beta: Vector,
    information: Matrix,
    *,
    offset: Vector | Matrix | None = None,
    weights: Vector | None = None,
) -> LeftOut:
    """Leave-one-observation-out scores of a single-level model.

    A row of n_i trials is n_i observations: each is predicted from all the others, so that
    aggregated and expanded data score alike. Constant coefficients are left out.

    Parameters
    ----------
    columns
        p arrays of shape ``(n,)``.
    counts
        Shape ``(n, C)`` or ``(n,)``: counts of the categories but the baseline.
    trials
        Shape ``(n,)``.
    beta
        Shape ``(p C,)``: the maximum of Q, logit by logit.
    information
        Shape ``(p C, p C)``: −Q″ there.
    offset
        Shape ``(n,)``, ``(n, C)`` or None.
    weights
        Shape ``(n,)``: frequency weights, or None. Of an observation of weight less than 1 all
        there is of it is left out.
    """
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[:, None] if counts.ndim == 1 else counts
    n, n_logits = counts.shape
    coefficients = beta.reshape(n_logits, -1)
    inverse = _inverse(information).reshape(n_logits, -1, n_logits, coefficients.shape[1])
    scores, reliable = np.empty(n), np.empty(n, dtype=bool)
    for first in range(0, n, _CHUNK):
        rows = slice(first, first + _CHUNK)
        x = np.column_stack([column[rows] for column in columns])
        eta = x @ coefficients.T
        if offset is not None:
            eta += offset[rows] if np.ndim(offset) == 2 else np.asarray(offset)[rows, None]
        w = np.ones(len(x)) if weights is None else weights[rows]
        y = np.column_stack([trials[rows] - counts[rows].sum(axis=1), counts[rows]])
        scores[rows], reliable[rows] = _row_scores(x, eta, y * w[:, None], inverse)
    return LeftOut(scores, reliable)


def _row_scores(
    x: Matrix, eta: Matrix, y: Matrix, inverse: NDArray[np.float64]
) -> tuple[Vector, NDArray[np.bool_]]:
    """Σ_k y_k log π_k(η₋), η₋ = η − A(I − mWA)⁻¹ m(e_k − π), A = X_i J⁻¹ X_i'.

    y, shape ``(n, C + 1)``, the baseline first; m = min(1, Σ y) is what one observation weighs.
    """
    n, n_logits = eta.shape
    pi = np.exp(_log_probabilities(eta))
    m = np.minimum(y.sum(axis=1), 1.0)
    W = -pi[:, 1:, None] * pi[:, None, 1:]
    W[:, np.arange(n_logits), np.arange(n_logits)] += pi[:, 1:]
    half = np.einsum("ia,jakb->ijkb", x, inverse)
    A = np.einsum("ijkb,ib->ijk", half, x)
    left = np.eye(n_logits) - m[:, None, None] * W @ A
    # I − mWA has the determinant of I − m A^½WA^½: positive definite unless some factor is <= 0
    reliable = _eigenvalues(left).min(axis=1) > 1e-10
    left[~reliable] = np.eye(n_logits)
    total = np.zeros(n)
    for k in range(n_logits + 1):
        seen = y[:, k] > 0.0
        if not seen.any():
            continue
        r = -pi[seen, 1:]
        if k:
            r[:, k - 1] += 1.0
        step = _solve(left[seen], m[seen, None] * r)
        without = eta[seen] - np.einsum("ijk,ik->ij", A[seen], step)
        total[seen] += y[seen, k] * _log_probabilities(without)[:, k]
    return total, reliable


def _eigenvalues(matrices: NDArray[np.float64]) -> Matrix:
    one_by_one = matrices.shape[1] == 1
    return np.asarray(matrices[:, :, 0] if one_by_one else np.linalg.eigvals(matrices).real)


def _solve(matrices: NDArray[np.float64], right: Matrix) -> Matrix:
    if matrices.shape[1] == 1:
        return np.asarray(right / matrices[:, :, 0])
    return np.asarray(np.linalg.solve(matrices, right[:, :, None])[:, :, 0])


def _log_probabilities(eta: Matrix) -> Matrix:
    """log π of all categories, the baseline first, shape ``(n, C + 1)``."""
    every = np.column_stack([np.zeros(len(eta)), eta])
    every -= every.max(axis=1, keepdims=True)
    return np.asarray(every - np.log(np.exp(every).sum(axis=1, keepdims=True)))


def _inverse(information: Matrix) -> Matrix:
    root = np.sqrt(np.abs(information.diagonal()))
    scale = np.outer(root, root)
    return np.asarray(np.linalg.inv(information / scale) / scale)


def leave_group_out(
    psi: Vector,
    information: Matrix,
    groups: Iterable[Objective],
    objective: Objective | None = None,
) -> LeftOut:
    """Leave-one-group-out scores of a multilevel model: log p(y_g | ψ̂₋g).

    Parameters
    ----------
    psi
        Shape ``(d,)``: the maximum of Q.
    information
        Shape ``(d, d)``: −Q″ there.
    groups
        The marginal log-likelihood of each group alone, a function of the same ψ, as
        :func:`split_groups` makes them. Two evaluations each.
    objective
        Q. Where it is given, groups that matter too much for one Newton step, s'(J − J_g)⁻¹s
        above .1, or that the others do without only in the step's imagination, are left out by
        a search. With many groups there are none such.
    """
    scores, reliable = [], []
    for group in groups:
        without, sound = _fit_without(psi, information, group, objective)
        there = group.evaluate(without)
        scores.append(there.value if there.status is Status.OK else -np.inf)
        reliable.append(sound)
    return LeftOut(np.array(scores), np.array(reliable))


def _fit_without(
    psi: Vector, information: Matrix, group: Objective, objective: Objective | None
) -> tuple[Vector, bool]:
    here = group.evaluate(psi)
    root = np.sqrt(np.abs(information.diagonal()))
    left = (information + here.hessian) / np.outer(root, root)  # J − J_g, scaled
    sound = bool(np.linalg.eigvalsh(left)[0] > 1e-8)
    if not sound:
        left = information / np.outer(root, root)
    step = np.linalg.solve(left, here.gradient / root) / root
    if objective is not None and not (sound and here.gradient @ step < _INFLUENTIAL):
        solution = maximise(_Without(objective, group), psi)
        if solution.converged:
            return solution.psi, True
    return psi - step, sound


@dataclass(frozen=True, slots=True)
class _Without:
    """Q − ℓ_g."""

    objective: Objective
    group: Objective

    def evaluate(self, psi: Vector, /) -> Evaluation:
        every, group = self.objective.evaluate(psi), self.group.evaluate(psi)
        without = Evaluation(-group.value, -group.gradient, -group.hessian, group.status)
        return every + without


def split_groups(
    x: Sequence[Vector],
    z: Sequence[Vector],
    blocks: Sequence[int],
    y: Vector | Matrix,
    trials: Vector,
    codes: NDArray[np.int32],
    n_groups: int,
    *,
    offset: Vector | None = None,
    nodes: int = 1,
    logits: Sequence[int] | None = None,
) -> list[GroupedLikelihood]:
    """One likelihood per group; parameters as in ``GroupedLikelihood``.

    Groups without rows are left out.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_groups))
    arrays = {id(a): np.ascontiguousarray(a[order]) for a in (*x, *z, trials)}
    sorted_y = y[order]
    sorted_offset = None if offset is None else offset[order]
    out = []
    for first, last in zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True):
        if first == last:
            continue
        rows = slice(first, last)
        out.append(
            GroupedLikelihood(
                [arrays[id(a)][rows] for a in x],
                [arrays[id(a)][rows] for a in z],
                blocks,
                np.asfortranarray(sorted_y[rows]),
                arrays[id(trials)][rows],
                np.zeros(last - first, dtype=np.int32),
                1,
                offset=None if sorted_offset is None else sorted_offset[rows],
                nodes=nodes,
                logits=logits,
            )
        )
    return out
