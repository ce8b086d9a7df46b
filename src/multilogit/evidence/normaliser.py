"""Normalising constants of the entropy prior on β.

    Z_β(κ) = ∫ exp{−λ Σ n_i KL(u ‖ π_i(β))} dβ,   λ = κ / Σn

log Z + d log κ has a finite limit at κ → 0, and Z is Gaussian at κ → ∞; between, Laplace's
approximation is nats away. Here Z is integrated by adaptive importance sampling along a ladder
of strengths: proposals are fitted rung by rung, from the strongest prior, which is nearly
Gaussian, down; then fresh points are drawn from all of them at once, so that the estimate is
free of the bias of proposals fitted to the very points they weigh. The same points serve every
strength between the rungs: the estimate is smooth in κ, and so are its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlogy

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Matrix, Vector
from multilogit.evidence.design import Design, summarise
from multilogit.evidence.importance import (
    LogMean,
    Pool,
    StudentT,
    effective_sample_size,
    fit_moments,
    log_mean,
)
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise

Reference = Callable[[float], Vector]
"""u as a function of κ: the reference probabilities of the categories but the baseline."""

_RATIO = 5.0
"""Ratio of the strengths of neighbouring rungs."""
_SEGMENT = 1000.0
"""Ratio of the strengths that one set of points serves."""
_MOST_ROUNDS = 12
_MOST_POINTS = 100_000
_DESIGN_POINTS = 16
"""Points at which a summarised design is compared with the full one."""
TARGET_ESS = 1000.0
"""Effective sample size to aim for at every rung: a standard error of .03 nats."""


def log_normaliser_beta(
    columns: Sequence[Vector],
    trials: Vector,
    offset: Vector | Matrix | None,
    u: Vector | float,
    kappa: float,
    *,
    seed: int = 0,
) -> LogMean:
    """log ∫ exp{−λ Σ n_i KL(u ‖ π_i(β))} dβ over the coefficients of all logits.

    Parameters
    ----------
    columns
        p arrays of shape ``(n,)``, linearly independent.
    trials
        Shape ``(n,)``: n_i.
    offset
        Shape ``(n,)``, ``(n, C)`` or None.
    u
        Reference probabilities of the categories but the baseline, shape ``(C,)``, or one
        number for two categories.
    kappa
        Strength κ = λΣn, in pseudo-observations.
    seed
        Of the Monte Carlo sample; the result is a function of the arguments alone.

    Returns
    -------
    LogMean
        The integral's logarithm, its Monte Carlo standard error and effective sample size.

    Raises
    ------
    OptionError
        If u, κ or the design leave the integral infinite.
    """
    u = np.atleast_1d(np.asarray(u, dtype=np.float64))
    design = summarise(columns, trials, offset, u.size, seed=seed)
    return BetaNormaliser(design, lambda _: u, (kappa, kappa), seed=seed).at(kappa)


class BetaNormaliser:
    """log Z_β as a function of κ for one design.

    Parameters
    ----------
    design
        From :func:`~multilogit.evidence.design.summarise`.
    reference
        u(κ), each of shape ``(C,)``.
    bounds
        Least and largest κ that will be asked for; κ beyond them raises.
    seed
        Of all random numbers.
    target_ess
        Effective sample size to aim for at every rung; at least half of it is reached unless
        ``_MOST_POINTS`` come first.

    Notes
    -----
    Points are drawn when first needed, for a thousandfold range of κ at a time.
    """

    def __init__(
        self,
        design: Design,
        reference: Reference,
        bounds: tuple[float, float],
        *,
        seed: int = 0,
        target_ess: float = TARGET_ESS,
    ) -> None:
        if not 0.0 < bounds[0] <= bounds[1] < np.inf:
            raise OptionError(f"The strength must be positive and finite; got {bounds}.")
        self.design, self.reference, self.bounds = design, reference, bounds
        self.seed, self.target_ess = seed, target_ess
        self._saturated = _is_saturated(design)
        self._segments: dict[int, _Segment] = {}

    def at(self, kappa: float) -> LogMean:
        """log Z_β(κ); the sample of a summarised design is taken for the design itself.

        Raises
        ------
        OptionError
            If κ is outside the bounds.
        """
        low, high = self.bounds
        if not low * (1 - 1e-9) <= kappa <= high * (1 + 1e-9):
            raise OptionError(f"The strength {kappa:g} is outside [{low:g}, {high:g}].")
        if self._saturated:
            return LogMean(_log_saturated(self.design, self._u(kappa), kappa), 0.0, np.inf)
        return log_mean(self._segment(kappa).log_weights(kappa))

    def design_error(self, kappa: float) -> tuple[float, float]:
        """What the summary of the design costs at κ: log Z of the full design less log Z here.

        Returns
        -------
        difference, error
            The estimate from a few points of the posterior of β, and its standard error; 0, 0
            where the design is not summarised.
        """
        full = self.design.full
        if full is None:
            return 0.0, 0.0
        segment = self._segment(kappa)
        log_w = segment.log_weights(kappa)
        cumulative = np.cumsum(np.exp(log_w - log_w.max()))
        at = (np.arange(_DESIGN_POINTS) + 0.5) / _DESIGN_POINTS * cumulative[-1]
        index = np.searchsorted(cumulative, at)
        S = full.mean_log_partition(segment.points[index])
        difference = log_mean(kappa * (segment.S[index] - S))
        return difference.value, difference.error

    def _u(self, kappa: float) -> Vector:
        return _checked_reference(self.reference(kappa), self.design.n_logits)

    def _segment(self, kappa: float) -> _Segment:
        low, high = self.bounds
        number = int(np.log(max(kappa / low, 1.0)) / np.log(_SEGMENT))
        if number not in self._segments:
            first = low * _SEGMENT**number
            rungs = _rungs(first, min(max(first, high), first * _SEGMENT))
            self._segments[number] = _climb_down(
                _Family(self.design, self._u), rungs, self.target_ess, self.seed + number
            )
        return self._segments[number]


def _rungs(low: float, high: float) -> Vector:
    """Strengths from the strongest down; neighbours differ by a factor of about 5."""
    n = max(1, 1 + int(np.ceil(np.log(high / low) / np.log(_RATIO))))
    return np.geomspace(high, low, n)


def _checked_reference(u: Vector, n_logits: int) -> Vector:
    u = np.atleast_1d(np.asarray(u, dtype=np.float64))
    if u.shape != (n_logits,) or not ((u > 0.0).all() and u.sum() < 1.0):
        raise OptionError(
            f"The reference must hold {n_logits} probabilities between 0 and 1, one for each "
            f"category but the baseline, and leave something to the baseline; got {u}."
        )
    return u


def _entropy(u: Vector) -> float:
    every = np.append(u, 1.0 - u.sum())
    return -float(xlogy(every, every).sum())


@dataclass(frozen=True, slots=True)
class _Family:
    """The penalties of all strengths, exp of which is integrated."""

    design: Design
    reference: Reference

    def log_penalty(self, points: Matrix, S: Vector, kappa: float) -> Vector:
        """κ {H(u) + Σ u_j (x̄'β_j + ō_j) − S(β)} for each point."""
        u, design = self.reference(kappa), self.design
        slope = np.outer(u, design.mean_x).ravel()
        constant = _entropy(u) + float(u @ design.mean_offset)
        out: Vector = kappa * (constant + points @ slope - S)
        return out

    def gaussian(self, kappa: float) -> StudentT:
        """Mode and curvature of the penalty: the likelihood of κ pseudo-observations."""
        design, u = self.design, self.reference(kappa)
        trials = kappa * design.weights
        likelihood = FixedLikelihood(
            [np.ascontiguousarray(column) for column in design.x.T],
            np.outer(trials, u),
            trials,
            design.offset,
        )
        solution = maximise(likelihood, np.zeros(design.size))
        if solution.status is not Status.CONVERGED:
            raise OptionError(
                f"The prior of strength {kappa:g} has no mode ({solution.status.value}); choose "
                "a reference further from 0 and 1, or rescale the columns."
            )
        covariance = np.linalg.inv(-solution.evaluation.hessian)
        return StudentT.with_moments(solution.psi, np.asarray(covariance))


@dataclass(frozen=True, slots=True)
class _Segment:
    """Points that serve a range of strengths, and S at each."""

    family: _Family
    points: Matrix
    log_density: Vector
    S: Vector

    def log_weights(self, kappa: float) -> Vector:
        return np.asarray(self.family.log_penalty(self.points, self.S, kappa) - self.log_density)


def _climb_down(family: _Family, rungs: Vector, target_ess: float, seed: int) -> _Segment:
    """Fit one proposal per rung, then draw fresh points from all of them.

    Where they do not suffice, the points serve to fit better proposals, and twice as many fresh
    ones are drawn; points are never weighed by proposals that were fitted to them.
    """
    rng = np.random.default_rng(seed)
    proposals = _fit_proposals(family, rungs, target_ess, rng)
    least, each = 10.0 * family.design.size, max(500, int(1.2 * target_ess))
    while True:
        segment = _draw(family, proposals, each, rng)
        weights = [segment.log_weights(kappa) for kappa in rungs]
        enough = min(map(effective_sample_size, weights)) >= 0.5 * target_ess
        each *= 2
        if enough or each * len(rungs) > _MOST_POINTS:
            return segment
        proposals = [fit_moments(segment.points, log_w, least) for log_w in weights]


def _draw(
    family: _Family, proposals: list[StudentT], each: int, rng: np.random.Generator
) -> _Segment:
    """``each`` points from every proposal."""
    pool = Pool(family.design.size)
    for proposal in proposals:
        pool.draw(proposal, each, rng)
    S = family.design.mean_log_partition(pool.points)
    return _Segment(family, pool.points, pool.log_density(), S)


def _fit_proposals(
    family: _Family, rungs: Vector, target_ess: float, rng: np.random.Generator
) -> list[StudentT]:
    """For each rung a t distribution with the moments of exp(penalty), found in a few rounds."""
    d = family.design.size
    enough = max(0.5 * target_ess, 20.0 * d)
    each = int(max(500, 50 * d))
    pool, S = Pool(d), np.empty(0)
    proposals = []
    for kappa in rungs:
        for attempt in range(_MOST_ROUNDS):
            if pool.size == 0:
                proposal = family.gaussian(kappa)
            else:
                log_w = family.log_penalty(pool.points, S, kappa) - pool.log_density()
                proposal = fit_moments(pool.points, log_w, 10.0 * d)
                if attempt and effective_sample_size(log_w) >= enough:
                    break
            S = np.append(S, family.design.mean_log_partition(pool.draw(proposal, each, rng)))
        proposals.append(proposal)
    return proposals


# --- designs with as many distinct rows as columns: every row has probabilities of its own -----


def _is_saturated(design: Design) -> bool:
    return design.full is None and len(design.weights) == design.x.shape[1]


def _log_saturated(design: Design, u: Vector, kappa: float) -> float:
    """Z = |det X|^−C e^κH(u) Π_g Π_j Γ(κ w_g u_j) / Γ(κ w_g), j = 0 … C: exact.

    The logits of the p populations are a linear map of β, and each population's integral is
    Dirichlet's; with X = 1 it is e^κH(u) B(κu, κ(1 − u)).
    """
    every = np.append(u, 1.0 - u.sum())
    strength = kappa * design.weights
    log_dirichlet = gammaln(np.outer(strength, every)).sum() - gammaln(strength).sum()
    log_determinant = float(np.linalg.slogdet(design.x)[1])
    return float(kappa * _entropy(u) + log_dirichlet - u.size * log_determinant)
