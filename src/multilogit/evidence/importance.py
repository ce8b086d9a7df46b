"""Adaptive importance sampling of log-concave-like densities: a pool of weighted points.

Points are drawn from multivariate t distributions, one after the other, each fitted to the
target by the points before it. All points count, whatever they were drawn for: with n_k points
from q_k, M in all, the weight of β is target(β) / Σ_k (n_k / M) q_k(β), the *deterministic
mixture* of Owen & Zhou (2000) and Cornuet et al. (2012, "Adaptive multiple importance sampling").
One pool therefore serves a whole family of targets, smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from multilogit.evaluation import Matrix, Vector

_NU = 6.0
"""Degrees of freedom of the proposals: tails heavier than any target's, little waste inside."""
_SHRINK = 1e-10
"""Least eigenvalue of a fitted scale matrix, relative to its diagonal."""


@dataclass(frozen=True, slots=True)
class StudentT:
    """A multivariate t distribution.

    Attributes
    ----------
    mean
        Shape ``(d,)``.
    root
        Shape ``(d, d)``: lower Cholesky factor of the scale matrix.
    nu
        Degrees of freedom.
    """

    mean: Vector
    root: Matrix
    nu: float = _NU

    @classmethod
    def with_moments(cls, mean: Vector, covariance: Matrix, nu: float = _NU) -> StudentT:
        """The one whose scale matrix is ``covariance``, made positive definite if need be."""
        sd = np.sqrt(np.maximum(covariance.diagonal(), np.finfo(np.float64).tiny))
        values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
        half = sd[:, None] * vectors * np.sqrt(np.maximum(values, _SHRINK))
        root = np.asarray(np.linalg.qr(half.T, mode="r")).T
        return cls(mean, root * np.sign(root.diagonal()), nu)

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """n points, shape ``(n, d)``."""
        d = self.mean.size
        z = rng.standard_normal((n, d))
        z /= np.sqrt(rng.chisquare(self.nu, (n, 1)) / self.nu)
        return self.mean + z @ self.root.T

    def log_density(self, points: Matrix) -> Vector:
        """log q of each row of ``points``."""
        d, nu = self.mean.size, self.nu
        # The inverse once, not a solve with many right-hand sides: that is slow where the BLAS
        # is threaded, and the factor is well scaled by construction.
        z = np.linalg.inv(self.root) @ (points - self.mean).T
        constant = gammaln(0.5 * (nu + d)) - gammaln(0.5 * nu) - 0.5 * d * np.log(nu * np.pi)
        constant -= np.log(self.root.diagonal()).sum()
        out: Vector = constant - 0.5 * (nu + d) * np.log1p(np.einsum("ij,ij->j", z, z) / nu)
        return out


class Pool:
    """Points from several proposals, and the density of their mixture at each.

    Attributes
    ----------
    points
        Shape ``(M, d)``.
    """

    def __init__(self, d: int) -> None:
        self.points: Matrix = np.empty((0, d))
        self._components: list[StudentT] = []
        self._counts: list[int] = []
        self._log_q: Matrix = np.empty((0, 0))  # components x points

    @property
    def size(self) -> int:
        """M."""
        return len(self.points)

    def log_density(self) -> Vector:
        """log Σ_k (n_k / M) q_k at every point."""
        log_share = np.log(np.array(self._counts) / self.size)
        return np.asarray(logsumexp(self._log_q + log_share[:, None], axis=0))

    def draw(self, component: StudentT, n: int, rng: np.random.Generator) -> Matrix:
        """Add n points of ``component``; returns them."""
        known = next((k for k, q in enumerate(self._components) if q is component), None)
        if known is None:
            known = len(self._components)
            self._components.append(component)
            self._counts.append(0)
            row = component.log_density(self.points)[None]
            self._log_q = np.concatenate([self._log_q, row]) if known else row
        self._counts[known] += n
        new = component.sample(rng, n)
        self.points = np.concatenate([self.points, new])
        log_q = np.array([q.log_density(new) for q in self._components])
        self._log_q = np.concatenate([self._log_q, log_q], axis=1)
        return new


@dataclass(frozen=True, slots=True)
class LogMean:
    """The logarithm of an average of importance weights.

    Attributes
    ----------
    value
        log (1/M) Σ w.
    error
        Its Monte Carlo standard error, sqrt(1/ESS − 1/M); meaningless where ESS is a few.
    ess
        Effective sample size (Σw)² / Σw² (Kong 1992).
    """

    value: float
    error: float
    ess: float


def log_mean(log_weights: Vector) -> LogMean:
    """The estimate of log ∫target that a pool's weights make."""
    n = log_weights.size
    ess = effective_sample_size(log_weights)
    value = float(logsumexp(log_weights)) - np.log(n)
    error = float(np.sqrt(max(1.0 / ess - 1.0 / n, 0.0))) if ess > 0.0 else np.inf
    return LogMean(value, error, ess)


def effective_sample_size(log_weights: Vector) -> float:
    """(Σw)² / Σw²: between 1 and the number of points; 0 where no weight is positive."""
    top = log_weights.max(initial=-np.inf)
    if not np.isfinite(top):
        return 0.0
    w = np.exp(log_weights - top)
    return float(w.sum() ** 2 / (w @ w))


def fit_moments(points: Matrix, log_weights: Vector, least: float) -> StudentT:
    """The t distribution with the target's mean and covariance, as far as they are known.

    The weights are flattened to w^γ, γ ≤ 1 as large as leaves an effective sample size of
    ``least``: a pool far from its target then moves there in several rounds.
    """
    log_w = flatten(log_weights, min(least, 0.5 * log_weights.size))
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    mean = w @ points
    centred = points - mean
    return StudentT.with_moments(mean, (w[:, None] * centred).T @ centred)


def flatten(log_weights: Vector, least: float) -> Vector:
    """log w^γ with the largest γ ≤ 1 whose effective sample size reaches ``least``.

    Weights of zero stay zero; where too few are positive, those become equal.
    """
    if effective_sample_size(log_weights) >= least:
        return log_weights
    positive = np.isfinite(log_weights)
    finite = np.where(positive, log_weights, 0.0)
    low, high = 0.0, 1.0
    for _ in range(30):
        gamma = 0.5 * (low + high)
        enough = effective_sample_size(np.where(positive, gamma * finite, -np.inf)) >= least
        low, high = (gamma, high) if enough else (low, gamma)
    return np.where(positive, low * finite, -np.inf)


def smooth_tail(log_weights: Vector) -> tuple[Vector, float]:
    """Pareto-smoothed weights, and the shape k of their tail.

    The largest min(M/5, 3√M) weights are replaced by the quantiles of the generalised Pareto
    distribution fitted to them. k < .5: the weights have a variance and the effective sample
    size can be believed; k > .7: averages over the sample cannot be trusted (Vehtari, Simpson,
    Gelman, Yao & Gabry 2024, "Pareto smoothed importance sampling"; the fit is Zhang &
    Stephens's, 2009, with their weak prior k = ½).

    Returns
    -------
    log_weights
        Smoothed, shape as before, none above the largest before.
    k
        inf where the tail is too short or too degenerate to tell.
    """
    n = log_weights.size
    top = float(log_weights.max(initial=-np.inf))
    count = int(np.ceil(min(0.2 * n, 3.0 * np.sqrt(n))))
    if count < 5 or not np.isfinite(top):
        return log_weights, np.inf
    order = np.argsort(log_weights, kind="stable")
    tail, cut = order[-count:], log_weights[order[-count - 1]]
    threshold = np.exp(cut - top)
    excess = np.exp(log_weights[tail] - top) - threshold
    if not excess[0] >= 0.0 or excess[count // 4] <= 0.0:
        return log_weights, -np.inf if excess[-1] <= 1e-12 else np.inf
    k, sigma = _fit_pareto(excess)
    quantile = (np.arange(count) + 0.5) / count
    smoothed = sigma * (np.expm1(-k * np.log1p(-quantile)) / k if k else -np.log1p(-quantile))
    out = log_weights.copy()
    out[tail] = top + np.minimum(np.log(threshold + smoothed), 0.0)
    return out, k


def _fit_pareto(excess: Vector) -> tuple[float, float]:
    """k and σ of a generalised Pareto sample in ascending order (Zhang & Stephens 2009)."""
    n = excess.size
    m = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    b = 1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))
    b = b / (3.0 * quartile) + 1.0 / excess[-1]
    k = np.log1p(-b[:, None] * excess).mean(axis=1)
    log_likelihood = n * (np.log(-b / k) - k - 1.0)
    weight = np.exp(log_likelihood - logsumexp(log_likelihood))
    b_mean = float(weight @ b)
    k_mean = float(np.log1p(-b_mean * excess).mean())
    sigma = -k_mean / b_mean
    return (n * k_mean + 10.0 * 0.5) / (n + 10.0), sigma
