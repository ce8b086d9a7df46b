"""Start values of models with random effects."""

from __future__ import annotations

import numpy as np

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


def start_values(likelihood: MixedLikelihood, fixed: SingleLevel, options: Options) -> Vector:
    """ψ to start from: the user's, or the single-level fit and a moment estimate of Σ."""
    p, structure = likelihood.p, likelihood.structure
    start = options.start
    if isinstance(start, np.ndarray) and start.shape == (p + structure.m,):
        return start
    beta = _start_beta(fixed, start, structure.m)
    Sigma = _moment_covariance(likelihood, beta)
    if start is None:
        beta = beta * inflation(np.sqrt(Sigma.diagonal()), fixed.n_logits)
    Lambda = cholesky(Sigma) / likelihood.z_scale[:, None]
    return np.concatenate([beta, Lambda[structure.rows, structure.columns]])


def inflation(sd: Vector, n_logits: int) -> float:
    """By how much conditional effects exceed population-averaged ones (Zeger et al. 1988).

    ``sd``: standard deviations on the logit scale; they give the average variance of Zb, over
    rows and logits.
    """
    return float(np.sqrt(1.0 + 0.346 * (sd**2).sum() / n_logits))


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


def _moment_covariance(likelihood: MixedLikelihood, beta: Vector) -> Matrix:
    """Σ on the logit scale (columns of Z scaled to mean square 1), by moments.

    At the single-level fit the group score s = Z'r has E ss' = W + WΣW, W = Z'wZ, if the other
    factors are left out. So Σ solves Σ_g W_g Σ W_g = Σ_g (s_g s_g' − W_g), least squares over
    the blocks; its eigenvalues are then brought into the range of start values.
    """
    structure, scale = likelihood.structure, likelihood.z_scale
    Sigma = np.zeros((structure.q, structure.q))
    for factor, (s, W) in zip(likelihood.factors(), likelihood.moments(beta), strict=True):
        s = s / scale[factor]
        W = W / np.outer(scale[factor], scale[factor])
        inside = [c for c in structure.slices() if factor.start <= c.start < factor.stop]
        pairs = [(a, b) for c in inside for a in _range(c) for b in _range(c)]
        a, b = np.array(pairs).T - factor.start
        left = np.einsum("gij,gij->ij", W[:, a][:, :, a], W[:, b][:, :, b])
        right = s[:, a] * s[:, b] - W[:, a, b]
        solved = np.linalg.lstsq(left, right.sum(axis=0), rcond=None)[0]
        Sigma[a + factor.start, b + factor.start] = solved
    for block in structure.slices():
        values, vectors = np.linalg.eigh(Sigma[block, block])
        values = np.clip(values, _LEAST_START**2, _LARGEST_START**2)
        Sigma[block, block] = (vectors * values) @ vectors.T
    return Sigma


def _range(block: slice) -> range:
    return range(block.start, block.stop)
