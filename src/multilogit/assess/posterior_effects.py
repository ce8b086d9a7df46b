"""One draw of the random effects from their conditional distribution given the data.

Residuals at the modes b̂ are too small: b̂ was chosen for these data. At a draw b* ~ p(b | y)
they are right, because (b*, y) is distributed as (b, y) is under the model, so that given b* the
responses are independent with probabilities π(b*) (Waagepetersen 2006, *Scandinavian Journal of
Statistics* 33, 721–731). Exact but for the uncertainty of the parameters.

The draw is the end of a short Metropolis chain that starts from the Gaussian approximation
N(b̂, ΛH⁻¹Λ'), hence close to its target. Levels of one factor are independent given the effects
of the others, so they all move at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.assess.model import Factor, Model
from multilogit.predict import Matrix, Vector

SWEEPS = 60
"""Moves of every effect. The Gaussian start is within a few percent of the target already."""
_RANDOM_WALK = 2.4
"""Step of a random walk in q dimensions: 2.4/√q posterior standard deviations."""


def draw_given_data(
    model: Model, rng: np.random.Generator, sweeps: int = SWEEPS
) -> tuple[Matrix, ...]:
    """b* ~ p(b | y) of every factor, shapes ``(n_levels, q)``.

    Parameters
    ----------
    model
        A model whose factors have modes and their covariance; frequency weights count.
    rng
        Random numbers.
    sweeps
        Moves of every effect.
    """
    chains = [_Chain.of(factor, rng) for factor in model.factors]
    if not chains:
        return ()
    contributions = [
        f.predictor(c.b, model.n_logits) for f, c in zip(model.factors, chains, strict=True)
    ]
    eta = model.fixed + np.sum(contributions, axis=0)
    counts, trials = model.response.weighted()
    value = _loglik(eta, counts, trials)
    for sweep in range(sweeps):
        for k, (factor, chain) in enumerate(zip(model.factors, chains, strict=True)):
            proposal = chain.walk(rng) if sweep % 2 else chain.jump(rng)
            contribution = factor.predictor(proposal.b, model.n_logits)
            eta_new = eta - contributions[k] + contribution
            value_new = _loglik(eta_new, counts, trials)
            gain = np.bincount(factor.codes, value_new - value, chain.t.shape[0])
            accept = np.log(rng.random(gain.size)) < gain + proposal.log_ratio
            chains[k] = chain = chain.moved(proposal, accept)
            rows = accept[factor.codes]
            eta[rows], value[rows] = eta_new[rows], value_new[rows]
            contributions[k][rows] = contribution[rows]
    return tuple(chain.b for chain in chains)


def _loglik(eta: Matrix, counts: Matrix, trials: Vector) -> Vector:
    """Σ_j y_j η_j − n log(1 + Σ_j e^η_j) of every row, without coefficients."""
    top = np.maximum(eta.max(axis=1), 0.0)
    log_sum = top + np.log(np.exp(-top) + np.exp(eta - top[:, None]).sum(axis=1))
    return np.asarray(np.einsum("ij,ij->i", counts, eta) - trials * log_sum)


def standardised(factor: Factor, b: Matrix) -> Matrix:
    """t = B⁻¹b, which is N(0, I) where b ~ N(0, Σ = BB'): shape ``(n_levels, rank Σ)``."""
    return np.asarray(b @ _square_root(factor)[1].T)


def _square_root(factor: Factor) -> tuple[Matrix, Matrix]:
    """B of full column rank with BB' = Σ, shape ``(q, r)``, and its left inverse."""
    U, s, _ = np.linalg.svd(factor.Lambda)
    rank = int(np.count_nonzero(s > 1e-10 * s.max(initial=0.0)))
    return U[:, :rank] * s[:rank], (U[:, :rank] / s[:rank]).T


@dataclass(frozen=True, slots=True)
class _Proposal:
    t: Matrix
    b: Matrix
    log_ratio: Vector
    """Log prior and proposal densities, new minus old, shape ``(n_levels,)``."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """The effects of one factor, b = Bt with t ~ N(0, I_r), r the rank of Σ = BB'.

    Attributes
    ----------
    B
        Shape ``(q, r)``.
    mean, root
        Of the Gaussian approximation of t given the data: shapes ``(n_levels, r)`` and
        ``(n_levels, r, r)``, lower-triangular.
    t
        Where the chain is, shape ``(n_levels, r)``.
    """

    B: Matrix
    mean: Matrix
    root: NDArray[np.float64]
    t: Matrix

    @classmethod
    def of(cls, factor: Factor, rng: np.random.Generator) -> _Chain:
        """At a draw from the Gaussian approximation."""
        B, inverse = _square_root(factor)
        rank = B.shape[1]
        covariance = np.einsum("ai,gij,bj->gab", inverse, factor.mode_covariance, inverse)
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(rank))
        start = cls(B, factor.modes @ inverse.T, root, np.zeros((factor.modes.shape[0], rank)))
        return cls(B, start.mean, root, start._step(start.mean, 1.0, rng)[0])

    @property
    def b(self) -> Matrix:
        """The random effects."""
        return np.asarray(self.t @ self.B.T)

    def jump(self, rng: np.random.Generator) -> _Proposal:
        """A proposal from the Gaussian approximation, wherever the chain is."""
        t, z = self._step(self.mean, 1.0, rng)
        z_old = np.linalg.solve(self.root, (self.t - self.mean)[:, :, None])[:, :, 0]
        return self._proposal(t, 0.5 * (np.sum(z**2, axis=1) - np.sum(z_old**2, axis=1)))

    def walk(self, rng: np.random.Generator) -> _Proposal:
        """A proposal around where the chain is."""
        scale = _RANDOM_WALK / np.sqrt(max(self.t.shape[1], 1))
        return self._proposal(self._step(self.t, scale, rng)[0], 0.0)

    def moved(self, proposal: _Proposal, accept: NDArray[np.bool_]) -> _Chain:
        """At the proposal where it was accepted."""
        return _Chain(self.B, self.mean, self.root, np.where(accept[:, None], proposal.t, self.t))

    def _step(
        self, centre: Matrix, scale: float, rng: np.random.Generator
    ) -> tuple[Matrix, Matrix]:
        z = rng.standard_normal(centre.shape)
        return centre + scale * np.einsum("gab,gb->ga", self.root, z), z

    def _proposal(self, t: Matrix, log_proposal: Vector | float) -> _Proposal:
        log_prior = -0.5 * (np.sum(t**2, axis=1) - np.sum(self.t**2, axis=1))
        return _Proposal(t, np.asarray(t @ self.B.T), log_prior + log_proposal)
