"""A design as the normalising constant sees it: the distribution of its rows.

With κ = λΣn and weights w_i = n_i/Σn, the entropy penalty of the coefficients is

    −λ Σ n_i KL(u ‖ π_i) = κ {H(u) + Σ_j u_j (x̄'β_j + ō_j) − S(β)},
    S(β) = Σ_i w_i log(1 + Σ_j e^η_ij),   η_ij = o_ij + x_i'β_j:

one function S of β, whatever κ and u. Equal rows are counted together. Of many different rows
only a sample is kept: drawn with probabilities that mix w_i with the leverages, so that rare
levels stay, and mapped affinely so that the means and covariances of (x, o) are the full
design's. S is then exact to second order around η = const.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.evaluation import Matrix, Vector

MOST_ROWS = 1024
"""Distinct rows that are kept as they are."""
SAMPLED_ROWS = 512
"""Rows of a sample that stands for more than those; 96 per column where that is more."""
_BLOCK = 200_000
"""Elements of a block of η: it fits the cache."""


@dataclass(frozen=True, slots=True)
class Design:
    """A weighted set of rows.

    Attributes
    ----------
    x
        Shape ``(m, p)``.
    weights
        Shape ``(m,)``, sum 1.
    offset
        Shape ``(m, C)`` or None.
    n_logits
        C = J − 1.
    full
        The design that this one summarises; None where all distinct rows are here.
    """

    x: Matrix
    weights: Vector
    offset: Matrix | None
    n_logits: int
    full: Design | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """d = p·C: length of β."""
        return int(self.x.shape[1]) * self.n_logits

    @property
    def mean_x(self) -> Vector:
        """x̄, shape ``(p,)``."""
        return np.asarray(self.weights @ self.x)

    @property
    def mean_offset(self) -> Vector:
        """ō, shape ``(C,)``."""
        if self.offset is None:
            return np.zeros(self.n_logits)
        return np.asarray(self.weights @ self.offset)

    def mean_log_partition(self, points: Matrix) -> Vector:
        """S(β) for each row of ``points``, shape ``(M, d)``, β logit by logit."""
        out = np.empty(len(points))
        step = max(1, _BLOCK // (len(self.weights) * self.n_logits))
        for first in range(0, len(points), step):
            block = slice(first, first + step)
            out[block] = self._mean_log_partition(points[block])
        return out

    def _mean_log_partition(self, points: Matrix) -> Vector:
        beta = points.reshape(len(points), self.n_logits, -1)
        eta = np.array([self.x @ beta[:, j].T for j in range(self.n_logits)])
        if self.offset is not None:
            eta += self.offset.T[:, :, None]
        if self.n_logits == 1:
            eta = eta[0]
            top = np.maximum(eta, 0.0)
            np.negative(np.abs(eta, out=eta), out=eta)
            total = np.exp(eta, out=eta)
            total += 1.0
        else:
            top = np.maximum(eta.max(axis=0), 0.0)
            total = np.exp(eta - top).sum(axis=0)
            total += np.exp(-top)
        log_partition = np.log(total, out=total)  # of 1 + something: log1p would gain nothing
        log_partition += top
        return np.asarray(self.weights @ log_partition)


def summarise(
    columns: Sequence[Vector],
    trials: Vector,
    offset: Vector | Matrix | None = None,
    n_logits: int = 1,
    *,
    seed: int = 0,
) -> Design:
    """The design in few rows.

    Parameters
    ----------
    columns
        p arrays of shape ``(n,)``.
    trials
        Shape ``(n,)``: n_i, frequency weights multiplied in.
    offset
        Shape ``(n,)``, ``(n, C)`` or None.
    n_logits
        C = J − 1.
    seed
        Of the sample that stands for many distinct rows.

    Raises
    ------
    OptionError
        If the columns are linearly dependent: no prior on predictions is proper then.
    """
    x = np.column_stack(list(columns)).astype(np.float64, copy=False)
    o = None if offset is None else _per_logit(offset, n_logits)
    weights = np.asarray(trials, np.float64)
    kept = weights > 0.0
    if not kept.all():
        x, weights, o = x[kept], weights[kept], None if o is None else o[kept]
    full = _collapse(Design(x, weights / weights.sum(), o, n_logits))
    _check_rank(full)
    rows = max(SAMPLED_ROWS, 96 * len(columns))
    while len(full.weights) > max(MOST_ROWS, rows):
        sample = _sample(full, rows, seed)
        if _full_rank(sample):
            return sample
        rows *= 2
    return full


def _per_logit(offset: Vector | Matrix, n_logits: int) -> Matrix:
    offset = np.asarray(offset, dtype=np.float64)
    return np.repeat(offset[:, None], n_logits, axis=1) if offset.ndim == 1 else offset


def _full_rank(design: Design) -> bool:
    gram = (design.weights[:, None] * design.x).T @ design.x
    root = np.sqrt(gram.diagonal())
    if (root == 0.0).any():
        return False
    return bool(np.linalg.eigvalsh(gram / np.outer(root, root))[0] > 1e-13)


def _check_rank(design: Design) -> None:
    if not _full_rank(design):
        raise OptionError(
            "The columns of X are linearly dependent, so that the prior has no normalising "
            "constant; remove the redundant columns."
        )


def _collapse(design: Design) -> Design:
    """Count equal rows together, where a sample promises that this pays."""
    n = len(design.weights)
    key = _key(design)
    if n > MOST_ROWS:
        sample = key[:: max(1, n // (2 * MOST_ROWS))]
        if np.unique(sample).size > 0.5 * sample.size:
            return design
    _, first, population = np.unique(key, return_index=True, return_inverse=True)
    weights: Vector = np.bincount(population, weights=design.weights).astype(np.float64)
    offset = None if design.offset is None else design.offset[first]
    return Design(design.x[first], weights, offset, design.n_logits)


def _key(design: Design) -> Vector:
    """A random linear combination of the columns: equal for equal rows and no others."""
    rng = np.random.default_rng(0)
    arrays = [design.x] if design.offset is None else [design.x, design.offset]
    key = np.zeros(len(design.weights))
    for column in np.concatenate([array.T for array in arrays]):
        key += column * (rng.random() / (float(np.abs(column).max()) or 1.0))
    return key


def _sample(full: Design, rows: int, seed: int) -> Design:
    """``rows`` rows by systematic sampling, with the full design's means and covariances."""
    w, x = full.weights, full.x
    whitened = x @ np.linalg.inv(np.linalg.cholesky((w[:, None] * x).T @ x)).T
    leverage = np.einsum("ij,ij->i", whitened, whitened)  # Σ w_i h_i = p
    share = w * (0.5 + 0.5 * leverage / x.shape[1])
    start = np.random.default_rng(seed).random()
    cumulative = np.cumsum(share)
    at = (start + np.arange(rows)) / rows * cumulative[-1]
    index = np.minimum(np.searchsorted(cumulative, at), len(w) - 1)
    weights = w[index] / share[index]
    weights /= weights.sum()
    every = x if full.offset is None else np.hstack([x, full.offset])
    matched = _match_moments(every[index], weights, every, w)
    p = x.shape[1]
    offset = None if full.offset is None else matched[:, p:]
    return Design(np.ascontiguousarray(matched[:, :p]), weights, offset, full.n_logits, full)


def _match_moments(sample: Matrix, weights: Vector, full: Matrix, full_weights: Vector) -> Matrix:
    """Affine map x̄ + A(x − x̄ₛ) of the sample, A = V^½ Vₛ^−½: moments as in the full design."""
    mean, covariance = _moments(full, full_weights)
    sample_mean, sample_covariance = _moments(sample, weights)
    scale = np.sqrt(covariance.diagonal())
    scale[scale <= 1e-8 * np.abs(mean)] = 1.0  # constants
    units = np.outer(scale, scale)
    A = _power(covariance / units, 0.5) @ _power(sample_covariance / units, -0.5)
    centred = (sample - sample_mean) / scale
    return np.asarray(mean + (centred @ A.T) * scale)


def _moments(x: Matrix, weights: Vector) -> tuple[Vector, Matrix]:
    mean = weights @ x
    centred = x - mean
    return mean, (weights[:, None] * centred).T @ centred


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """Symmetric power over the range of the matrix; 0 on its null space."""
    values, vectors = np.linalg.eigh(matrix)
    kept: NDArray[np.bool_] = values > 1e-10 * max(float(values[-1]), 1e-300)
    powers = np.where(kept, np.where(kept, values, 1.0) ** exponent, 0.0)
    return np.asarray((vectors * powers) @ vectors.T)
