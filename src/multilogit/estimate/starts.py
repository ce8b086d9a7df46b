"""Start values of models with random effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.estimate.options import Options
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.covariance import cholesky
from multilogit.likelihood.fixed import SingleLevel, start_ols
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.newton import maximise

_LEAST_START = 0.1
_LARGEST_START = 3.0
"""Range of the standard deviations to start from, on the logit scale."""
_NEARLY_DEPENDENT = 0.3
"""Of a column of unit length, the length of what the columns before it do not explain."""


def start_values(likelihood: MixedLikelihood, fixed: SingleLevel, options: Options) -> Vector:
    """ψ to start from: the user's, or the single-level fit and a moment estimate of Σ."""
    p, structure = likelihood.p, likelihood.structure
    start = options.start
    if isinstance(start, np.ndarray) and start.shape == (p + structure.m,):
        return start
    beta = _start_beta(fixed, start, structure.m)
    Sigma, variance = _moment_covariance(likelihood, beta)
    if start is None:
        beta = beta * inflation(variance, fixed.n_logits)
    Lambda = cholesky(Sigma) / likelihood.z_scale[:, None]
    return np.concatenate([beta, Lambda[structure.rows, structure.columns]])


def inflation(variance: float, n_logits: int) -> float:
    """By how much conditional effects exceed population-averaged ones (Zeger et al. 1988).

    ``variance``: of Zb, averaged over rows, and summed over logits.
    """
    return float(np.sqrt(1.0 + 0.346 * variance / n_logits))


def _start_beta(fixed: SingleLevel, start: Vector | str | None, m: int) -> Vector:
    p = fixed.n_parameters
    if isinstance(start, np.ndarray):
        if start.shape != (p,):
            raise OptionError(
                f"start has {start.size} values; give {p} fixed effects, or {p + m} values: "
                "fixed effects and theta."
            )
        return start
    if start == "ols":
        return start_ols(fixed)
    # The first steps bring nearly all; where data are separated, more would lead astray.
    climb = maximise(fixed, np.zeros(p), max_iterations=2, tolerance=0.1, first=fixed.at_zero)
    return climb.psi


def _moment_covariance(likelihood: MixedLikelihood, beta: Vector) -> tuple[Matrix, float]:
    """Σ on the logit scale (columns of Z scaled to mean square 1), by moments; the variance of Zb.

    At the single-level fit the group score s = Z'r has E ss' = W + WΣW, W = Z'wZ, if the other
    factors are left out. So Σ solves Σ_g W_g Σ W_g = Σ_g (s_g s_g' − W_g), least squares over
    the blocks; its eigenvalues are then brought into the range of start values. That range means
    nothing where columns nearly depend on each other, as a year and the intercept, which is that
    of the year 0; they are made orthogonal.
    """
    structure, scale = likelihood.structure, likelihood.z_scale
    Sigma, variance = np.zeros((structure.q, structure.q)), 0.0
    for factor, (s, W) in zip(likelihood.factors(), likelihood.moments(beta), strict=True):
        inside = [
            slice(c.start - factor.start, c.stop - factor.start)
            for c in structure.slices()
            if factor.start <= c.start < factor.stop
        ]
        s = s / scale[factor]
        W = W / np.outer(scale[factor], scale[factor])
        T = _orthogonal(W.sum(axis=0), inside)
        if np.count_nonzero(T) > T.shape[0]:  # seldom; it costs more than the rest together
            s, W = s @ T, T.T @ W @ T
        found = _solved(s, W, inside)
        Sigma[factor, factor] = T @ found @ T.T
        variance += float(found.trace())
    return Sigma, variance


def _orthogonal(gram: Matrix, blocks: Sequence[slice]) -> Matrix:
    """T: where columns of Z nearly depend on those before them in their block, ZT is orthogonal.

    Mean squares stay. ``gram`` is Z'wZ.
    """
    T = np.eye(gram.shape[0])
    for block in blocks:
        root = np.sqrt(gram[block, block].diagonal())
        if (root > 0.0).all():
            L = cholesky(gram[block, block] / np.outer(root, root))
            if 0.0 < L.diagonal().min() < _NEARLY_DEPENDENT:
                T[block, block] = np.linalg.inv(L).T * root / root[:, None]
    return T


def _solved(s: Matrix, W: NDArray[np.float64], blocks: Sequence[slice]) -> Matrix:
    """Σ of one factor from the scores and information of its levels."""
    Sigma = np.zeros((s.shape[1], s.shape[1]))
    a, b = np.array([(a, b) for c in blocks for a in _range(c) for b in _range(c)]).T
    left = np.einsum("gij,gij->ij", W[:, a][:, :, a], W[:, b][:, :, b])
    right = s[:, a] * s[:, b] - W[:, a, b]
    Sigma[a, b] = np.linalg.lstsq(left, right.sum(axis=0), rcond=None)[0]
    for block in blocks:
        values, vectors = np.linalg.eigh(Sigma[block, block])
        values = np.clip(values, _LEAST_START**2, _LARGEST_START**2)
        Sigma[block, block] = (vectors * values) @ vectors.T
    return Sigma


def _range(block: slice) -> range:
    return range(block.start, block.stop)
