"""Start values of models with random effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.estimate.options import Options
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.covariance import cholesky
from multilogit.likelihood.crossed import CrossedLaplace
from multilogit.likelihood.fixed import SingleLevel, start_ols
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.newton import maximise, newton_direction

_LEAST_START = 0.1
_LARGEST_START = 3.0
"""Range of the standard deviations to start from, on the logit scale."""
_NEARLY_DEPENDENT = 0.3
"""Of a column of unit length, the length of what the columns before it do not explain."""
_MOST_WEIGHT = 0.25
"""Of π(1 − π). Moments find more where Z is large in rows of many trials: it is scaled by rows."""
_LARGEST_T = 2.0
"""Largest t of :func:`growth`: κ = 2."""
_LEAST_SHARE = 0.25
"""Least part of the variance of a factor that is its own, not that of the one it is nested in."""
_SHRUNK = 0.5
"""Part of the decrement before that is less than what separation leaves, which is .6."""
_FEW_ERRORS = 10.0
"""Distance to the maximum, in standard errors, that the last step may have to go."""


def start_values(likelihood: MixedLikelihood, fixed: SingleLevel, options: Options) -> Vector:
    """ψ to start from: the user's, or the single-level fit and a moment estimate of Σ, grown."""
    p, structure = likelihood.p, likelihood.structure
    start = options.start
    if isinstance(start, np.ndarray) and start.shape == (p + structure.m,):
        return start
    beta = _start_beta(fixed, start, structure.m)
    found = _moment_covariance(likelihood, beta, fixed.total_trials)
    of_beta, of_Sigma = growth(found.variance / fixed.n_logits, min(found.weight, _MOST_WEIGHT))
    if start is None:
        beta = of_beta * beta
    Lambda = cholesky(of_Sigma * found.Sigma) / likelihood.z_scale[:, None]
    return np.concatenate([beta, Lambda[structure.rows, structure.columns]])


def growth(variance: float, weight: float) -> tuple[float, float]:
    """Factors for β and Σ: how much larger they are given b than averaged over the population.

    Let η_m = logit E π(η + b), b ~ N(0, σ²), and w its π(1 − π). A population-averaged fit sees
    slopes β/κ, κ = dη/dη_m = w / E w(η + b), and the variance V = Var π(η + b) / w². With
    t = 4wV

        κ² ≈ (1 + t/6) / (1 − t/3),      σ² ≈ κ²V / {1 + ½(1 − 4w)V / (1 + 0.3V)}.

    The first order in V is exact, the rest fitted to quadrature: within 4 % for κ and σ up to
    σ = 2, at every probability.

    Parameters
    ----------
    variance
        V, on the logit scale.
    weight
        w, at most ¼.
    """
    t = min(4.0 * weight * variance, _LARGEST_T)
    squared = (1.0 + t / 6.0) / (1.0 - t / 3.0)
    skewed = 0.5 * (1.0 - 4.0 * weight) * variance / (1.0 + 0.3 * variance)
    of_Sigma = squared / (1.0 + skewed)
    return math.sqrt(squared), min(of_Sigma, max(1.0, _LARGEST_START**2 / variance))


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
    return _single_level(fixed)


def _single_level(fixed: SingleLevel) -> Vector:
    """β near the maximum of the single-level likelihood, where it has one.

    Two steps bring nearly all; where data are separated, more would lead astray. Where the steps
    shrink as they do on the way to a maximum, a third one needs no evaluation; rare events need
    a few more.
    """
    climb = maximise(
        fixed, np.zeros(fixed.n_parameters), max_iterations=2, tolerance=0.1, first=fixed.at_zero
    )
    before, last = climb.trace[-2:] if len(climb.trace) > 1 else (None, climb.trace[-1])
    if before is None or last.ridge > 0.0 or last.decrement > _SHRUNK * before.decrement:
        return climb.psi
    if last.decrement > _FEW_ERRORS:
        climb = maximise(
            fixed,
            climb.psi,
            max_iterations=3,
            tolerance=_FEW_ERRORS,
            gradient_tolerance=math.inf,
            first=climb.evaluation,
        )
    there = climb.evaluation
    return climb.psi + newton_direction(there.gradient, there.hessian).p


class _Moments(NamedTuple):
    """What group scores at a population-averaged fit tell of the random effects.

    ``Sigma``: on the logit scale (columns of Z scaled to mean square 1). ``variance``: of Zb,
    averaged over rows, and summed over logits. ``weight``: π(1 − π), averaged over trials.
    """

    Sigma: Matrix
    variance: float
    weight: float


def _moment_covariance(likelihood: MixedLikelihood, beta: Vector, trials: float) -> _Moments:
    """Σ of a population-averaged model, by moments.

    At the single-level fit the group score s = Z'r has E ss' = W + WΣW, W = Z'wZ, if the other
    factors are left out. So Σ solves Σ_g W_g Σ W_g = Σ_g (s_g s_g' − W_g), least squares over
    the blocks; its eigenvalues are then brought into the range of start values. That range means
    nothing where columns nearly depend on each other, as a year and the intercept, which is that
    of the year 0; they are made orthogonal. Of a factor nested in another the variance of that one
    is taken away.
    """
    structure, scale = likelihood.structure, likelihood.z_scale
    Sigma = np.zeros((structure.q, structure.q))
    factors, variances, weights = likelihood.factors(), [], []
    for factor, (s, W) in zip(factors, likelihood.moments(beta), strict=True):
        inside = [
            slice(c.start - factor.start, c.stop - factor.start)
            for c in structure.slices()
            if factor.start <= c.start < factor.stop
        ]
        solve = _of_one_effect if s.shape[1] == 1 else _of_factor
        found = solve(s, W, scale[factor], inside, trials)
        Sigma[factor, factor] = found.Sigma
        variances.append(found.variance)
        weights.append(found.weight)
    if not isinstance(likelihood, CrossedLaplace):
        for k, (factor, above) in enumerate(zip(factors, variances[1:], strict=False)):
            own = max(1.0 - above / variances[k], _LEAST_SHARE)
            Sigma[factor, factor] *= own
            variances[k] *= own
    return _Moments(Sigma, sum(variances), sum(weights) / len(weights))


def _of_factor(
    s: Matrix, W: NDArray[np.float64], scale: Vector, blocks: Sequence[slice], trials: float
) -> _Moments:
    """Those of one factor, from the scores and information of its levels."""
    s = s / scale
    W = W / np.outer(scale, scale)
    gram = W.sum(axis=0)
    weight = float(gram.trace()) / (trials * len(gram))
    T = _orthogonal(gram, blocks)
    if np.count_nonzero(T) > T.shape[0]:  # seldom; it costs more than the rest together
        s, W = s @ T, T.T @ W @ T
    diagonal = np.einsum("gaa->ga", W)
    pairs = float(np.square(diagonal).sum())
    found = _solved(s, W, blocks) * _same_trial(float(diagonal.sum()), pairs, weight)
    return _Moments(T @ found @ T.T, float(found.trace()), weight)


def _of_one_effect(
    s: Matrix, W: NDArray[np.float64], scale: Vector, _blocks: Sequence[slice], trials: float
) -> _Moments:
    """The same where all matrices are numbers, of which there may be very many."""
    s, W = s / scale, W / scale / scale
    total = float(W.sum())
    pairs = float(np.einsum("gij,gij->", W, W))
    scores = float(np.einsum("gi,gi->", s, s))
    weight = total / trials
    solved = (scores - total) / pairs if pairs > 0.0 else 0.0
    variance = min(max(solved, _LEAST_START**2), _LARGEST_START**2)
    variance *= _same_trial(total, pairs, weight)
    return _Moments(np.array([[variance]]), variance, weight)


def _same_trial(total: float, pairs: float, weight: float) -> float:
    """By how much Σ is too small because a trial does not vary with itself.

    ``pairs`` = Σ_g W_g² counts pairs of trials of a group; the scores vary by those of different
    trials alone, without Σ w_i² ≈ w W_g, which is the part r of it (of groups of two a half):
    ``total`` = Σ_g W_g. Less is made up for where r is large, because Laplace's maximum is too
    small there.
    """
    r = min(weight * total / pairs, 1.0) if pairs > 0.0 else 0.0
    return 1.0 / (1.0 - r * (1.0 - r))


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
