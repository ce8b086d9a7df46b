"""Parameters drawn from the proper entropy prior with a fixed reference, for calibration.

    π(β) ∝ exp{−λ Σ_i KL(½ ‖ π_i)},  λ = p/n;      π(σ) ∝ σ exp{−σ²/(2s²)}

which is ``RelativeEntropy(reference=0.5)`` with ``CovarianceRelativeEntropy(scale=s)`` as a
density of (β, σ), one random effect. β is resampled from a pool of multivariate t proposals with
the prior's own scale; the pool is fresh for every replicate.
"""

from __future__ import annotations

import numpy as np

from multilogit.evaluation import Matrix, Vector
from multilogit.study.designs import StudyError
from multilogit.study.truth import Layout

_POOL = 1000
_DF = 5.0
_INFLATE = 1.3
"""Proposals are so much wider than the prior's curvature at its mode says."""


def draw_prior(rng: np.random.Generator, X: Matrix, layout: Layout, scale: float) -> Vector:
    """(β, σ) from the prior.

    Raises
    ------
    StudyError
        If there is more than one random effect.
    """
    if len(layout.effects) > 1:
        raise StudyError("truth = 'prior' is for models with at most one random effect.")
    beta = _draw_beta(rng, X)
    sigma = scale * np.sqrt(rng.chisquare(2.0, size=len(layout.effects)))  # Rayleigh
    return np.concatenate([beta, sigma])


def log_prior_beta(X: Matrix, beta: Matrix) -> Vector:
    """−λ Σ_i KL(½ ‖ π_i) of rows of ``beta``, λ = p/n: −λ Σ log cosh(η_i / 2)."""
    n, p = X.shape
    half = 0.5 * np.abs(beta @ X.T)
    return np.asarray(-(p / n) * (half + np.log1p(np.exp(-2.0 * half)) - np.log(2.0)).sum(axis=1))


def _draw_beta(rng: np.random.Generator, X: Matrix) -> Vector:
    n, p = X.shape
    # −∇² log π at 0 is (λ/4) X'X
    L = np.linalg.cholesky(np.linalg.inv(0.25 * (p / n) * (X.T @ X)))
    z = rng.standard_normal((_POOL, p)) / np.sqrt(rng.chisquare(_DF, (_POOL, 1)) / _DF)
    proposals = _INFLATE * z @ L.T
    log_proposal = -0.5 * (_DF + p) * np.log1p((z**2).sum(axis=1) / _DF)
    log_weight = log_prior_beta(X, proposals) - log_proposal
    weights = np.exp(log_weight - log_weight.max())
    return np.asarray(proposals[rng.choice(_POOL, p=weights / weights.sum())])
