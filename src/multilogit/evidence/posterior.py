"""The posterior beyond its mode: evidence and draws by importance sampling.

Proposals are multivariate t distributions: first around the mode with the curvature there, then,
where these do not suffice, with the moments of the weighted points. The points that are reported
are fresh ones, weighed by proposals that were not fitted to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.errors import Diagnostic, OptionError, Status
from multilogit.evaluation import Matrix, Objective, Vector
from multilogit.evidence.importance import (
    LogMean,
    Pool,
    StudentT,
    effective_sample_size,
    fit_moments,
    log_mean,
    smooth_tail,
)

_ROUNDS = 8
_GOOD = 0.4
"""Share of effective points above which a proposal needs no better one."""
_POOR = 100.0
"""Effective draws below which averages are rough."""
_UNRELIABLE = 0.7
"""Tail shape above which averages over the draws cannot be trusted."""


@dataclass(frozen=True, slots=True, repr=False)
class PosteriorSample:
    """Weighted draws from exp Q.

    Attributes
    ----------
    draws
        Shape ``(n, d)``: ψ.
    weights
        Shape ``(n,)``, sum 1: importance weights, their tail smoothed.
    ess
        Effective sample size of the draws.
    pareto_k
        Shape of the tail of the weights: below .5 good, above .7 not to be trusted.
    log_evidence
        log ∫ exp Q, from the same draws (weights not smoothed).
    diagnostics
        A warning where the sample is poor.
    names
        Of the d parameters: fixed effects as in ``fit.coef``, then those of ``fit.theta``.
    """

    draws: Matrix
    weights: Vector
    ess: float
    pareto_k: float
    log_evidence: LogMean
    diagnostics: tuple[Diagnostic, ...] = ()
    names: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Means, standard deviations and quantiles: a row per parameter."""
        quantiles = self.quantile(np.array([0.025, 0.5, 0.975]))
        columns = dict(zip(("2.5%", "50%", "97.5%"), quantiles, strict=True))
        sd = np.sqrt(self.covariance.diagonal())
        names = self.names or range(self.draws.shape[1])
        return pd.DataFrame({"mean": self.mean, "sd": sd, **columns}, index=list(names))

    def __repr__(self) -> str:
        """How many draws, what they are worth, and the table."""
        worth = f"worth {self.ess:.0f}, pareto_k = {self.pareto_k:.2f}"
        head = f"Posterior sample: {self.weights.size} weighted draws, {worth}"
        return f"{head}\n{self.table().to_string(float_format='{:.4g}'.format)}"

    @property
    def mean(self) -> Vector:
        """Posterior means, shape ``(d,)``."""
        return np.asarray(self.weights @ self.draws)

    @property
    def covariance(self) -> Matrix:
        """Posterior covariance matrix, shape ``(d, d)``."""
        centred = self.draws - self.mean
        return np.asarray((self.weights[:, None] * centred).T @ centred)

    def quantile(self, probabilities: Vector | float) -> NDArray[np.float64]:
        """Weighted quantiles of every parameter, shape ``(len(probabilities), d)``."""
        probabilities = np.atleast_1d(np.asarray(probabilities, dtype=np.float64))
        out = np.empty((probabilities.size, self.draws.shape[1]))
        for k, column in enumerate(self.draws.T):
            order = np.argsort(column, kind="stable")
            middle = np.cumsum(self.weights[order]) - 0.5 * self.weights[order]
            out[:, k] = np.interp(probabilities, middle, column[order])
        return out

    def resample(self, n: int, seed: int = 0) -> Matrix:
        """n draws of equal weight (systematic resampling), shape ``(n, d)``."""
        rng = np.random.default_rng(seed)
        cumulative = np.cumsum(self.weights)
        at = (rng.random() + np.arange(n)) / n * cumulative[-1]
        index = np.minimum(np.searchsorted(cumulative, at), self.weights.size - 1)
        return np.asarray(self.draws[rng.permutation(index)])


def posterior_sample(
    objective: Objective,
    mode: Vector,
    hessian: Matrix,
    n: int = 1000,
    seed: int = 0,
    *,
    positive: NDArray[np.bool_] | None = None,
    free: NDArray[np.bool_] | None = None,
) -> PosteriorSample:
    """Weighted draws from the posterior density exp Q(ψ).

    Parameters
    ----------
    objective
        Q. Points where its value is not finite, or its status not OK, get weight 0.
    mode
        Shape ``(d,)``: ψ̂.
    hessian
        Shape ``(d, d)``: Q″ there, negative definite.
    n
        Number of draws; each costs one evaluation, and finding good proposals up to as many.
    seed
        The result is a function of the arguments alone.
    positive
        Shape ``(d,)``: parameters whose density lives on (0, ∞): the diagonal of Λ, in which Q
        is even.
    free
        Shape ``(d,)``: parameters to draw; the others stay at the mode. None: all.

    Raises
    ------
    OptionError
        If n is less than 2, or −Q″ is not positive definite.
    """
    sampler = _Sampler(objective, mode, hessian, positive, free)
    return sampler.sample(n, np.random.default_rng(seed))


def importance_evidence(
    objective: Objective,
    mode: Vector,
    hessian: Matrix,
    n: int = 4000,
    seed: int = 0,
    *,
    positive: NDArray[np.bool_] | None = None,
    free: NDArray[np.bool_] | None = None,
) -> LogMean:
    """log ∫ exp Q(ψ) dψ, its Monte Carlo standard error and effective sample size.

    Parameters and exceptions as in :func:`posterior_sample`; Laplace's approximation of the
    same number is :func:`~multilogit.evidence.strength.laplace_evidence`.
    """
    sample = posterior_sample(objective, mode, hessian, n, seed, positive=positive, free=free)
    return sample.log_evidence


class _Sampler:
    def __init__(
        self,
        objective: Objective,
        mode: Vector,
        hessian: Matrix,
        positive: NDArray[np.bool_] | None,
        free: NDArray[np.bool_] | None,
    ) -> None:
        self.objective = objective
        self.mode = np.asarray(mode, dtype=np.float64)
        d = self.mode.size
        self.free = np.ones(d, dtype=bool) if free is None else free
        every = np.zeros(d, dtype=bool) if positive is None else positive
        self.positive = every[self.free]
        self.start = _gaussian(self.mode[self.free], hessian[np.ix_(self.free, self.free)])

    def log_target(self, points: Matrix) -> Vector:
        """Q at every point; −inf where it is not defined."""
        out = np.full(len(points), -np.inf)
        psi = self.mode.copy()
        for i in np.flatnonzero((points[:, self.positive] > 0.0).all(axis=1)):
            psi[self.free] = points[i]
            evaluation = self.objective.evaluate(psi)
            if evaluation.status is Status.OK and np.isfinite(evaluation.value):
                out[i] = evaluation.value
        return out

    def sample(self, n: int, rng: np.random.Generator) -> PosteriorSample:
        if n < 2:
            raise OptionError(f"n={n}: give the number of draws, at least 2.")
        proposals = self._proposals(n, rng)
        pool = Pool(self.start.mean.size)
        for k, proposal in enumerate(proposals):
            share = n // len(proposals) + (k < n % len(proposals))
            if share:
                pool.draw(proposal, share, rng)
        log_w = self.log_target(pool.points) - pool.log_density()
        return self._report(pool.points, log_w)

    def _proposals(self, n: int, rng: np.random.Generator) -> list[StudentT]:
        """The mode's t distribution if it is good enough; else also one with better moments."""
        d = self.start.mean.size
        each = max(n // _ROUNDS, min(20 * d, n), 2)
        pool, log_target = Pool(d), np.empty(0)
        proposal = self.start
        for k in range(_ROUNDS):
            new = pool.draw(proposal, each, rng)
            log_target = np.append(log_target, self.log_target(new))
            log_w = log_target - pool.log_density()
            ess = effective_sample_size(log_w)
            if ess >= _GOOD * pool.size and k == 0:
                return [self.start]
            if ess == 0.0:
                return [self.start]
            proposal = fit_moments(pool.points, log_w, 5.0 * d)
        return [proposal, proposal, proposal, self.start]

    def _report(self, points: Matrix, log_w: Vector) -> PosteriorSample:
        smoothed, k = smooth_tail(log_w)
        ess = effective_sample_size(smoothed)
        draws = np.tile(self.mode, (len(points), 1))
        draws[:, self.free] = points
        weights = np.full(len(points), 1.0 / len(points))
        if ess > 0.0:
            weights = np.exp(smoothed - smoothed.max())
            weights /= weights.sum()
        return PosteriorSample(draws, weights, ess, k, log_mean(log_w), _poor(ess, k))


def _gaussian(mode: Vector, hessian: Matrix) -> StudentT:
    information = -hessian
    root = np.sqrt(np.abs(information.diagonal()))
    if not np.isfinite(information).all() or (root == 0.0).any():
        raise OptionError(
            "The Hessian at the mode is singular or not finite: no posterior to draw."
        )
    try:
        factor = np.linalg.cholesky(information / np.outer(root, root))
    except np.linalg.LinAlgError:
        raise OptionError(
            "The Hessian is not negative definite: this point is not a maximum; fit again, or "
            "hold the parameters on the boundary fixed."
        ) from None
    inverse = np.linalg.inv(factor) / root
    return StudentT.with_moments(mode, inverse.T @ inverse)


def _poor(ess: float, k: float) -> tuple[Diagnostic, ...]:
    if ess >= _POOR and k <= _UNRELIABLE:
        return ()
    return (
        Diagnostic(
            "posterior-sample-poor",
            "warning",
            f"The posterior draws are worth {ess:.0f} independent ones (tail shape k = {k:.2f}): "
            "the posterior is far from Gaussian.",
            "Draw more, or use a stronger prior; trust intervals from the profile rather than "
            "standard deviations.",
            {"ess": ess, "pareto_k": k},
        ),
    )
