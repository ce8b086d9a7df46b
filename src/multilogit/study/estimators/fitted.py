"""This package's own fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from multilogit.errors import MultilogitError
from multilogit.estimate import information_inverse
from multilogit.evaluation import Matrix, Vector
from multilogit.fitting import fit
from multilogit.prior import Prior
from multilogit.result import Fit
from multilogit.study.estimators.base import Estimated, Settings, failed, symmetric_intervals
from multilogit.study.generate import Dataset
from multilogit.study.truth import Layout


@dataclass(frozen=True, slots=True)
class FittedEstimator:
    """``ml.fit`` with a prior and a number of nodes.

    Attributes
    ----------
    settings
        What the design asks for.
    prior
        Makes the prior; None: maximum likelihood.
    nodes
        Quadrature nodes; 1: Laplace.
    draws
        0: the posterior is normal around its mode. Else so many draws by importance sampling,
        from which posterior intervals and probabilities come.
    """

    settings: Settings
    prior: Callable[[Settings], Prior] | None = None
    nodes: int = 1
    draws: int = 0

    def fit(self, data: Sequence[Dataset], seeds: Sequence[int]) -> list[Estimated]:
        """One fit per data set; only draws from the posterior are random."""
        return [self._one(dataset, seed) for dataset, seed in zip(data, seeds, strict=True)]

    def _one(self, data: Dataset, seed: int) -> Estimated:
        prior = None if self.prior is None else self.prior(self.settings)
        nodes = self.nodes if data.layout.effects else 1
        began = time.perf_counter()
        try:
            found = fit(data.formula, data.frame, prior=prior, nodes=nodes, threads=1)
            estimate, se = values_of(found, data.layout)
        except (MultilogitError, np.linalg.LinAlgError) as error:
            seconds = time.perf_counter() - began
            return failed(data.layout, f"{type(error).__name__}: {error}", seconds)
        seconds = time.perf_counter() - began
        spread = None if prior is None else posterior_spread(found, data.layout)
        intervals = self._intervals(found, data.layout, estimate, se, spread)
        below = None if spread is None else _below(data, estimate, spread)
        if self.draws and found.converged and len(found.coef) == len(data.layout.beta):
            intervals["posterior"], below = self._sampled(found, data, seed)
            seconds = time.perf_counter() - began
        return Estimated(
            status=found.status.value,
            converged=found.converged,
            seconds=seconds,
            estimate=estimate,
            se=se,
            intervals=intervals,
            posterior_below=below,
            notes=tuple(sorted({d.code for d in found.diagnostics if d.severity != "info"})),
        )

    def _sampled(self, found: Fit, data: Dataset, seed: int) -> tuple[Matrix, Vector]:
        """Quantiles, and probabilities below the truth, of draws from the posterior."""
        sample = found.posterior_sample(self.draws, seed=seed)
        values = natural_of_draws(data.layout, sample.draws)
        tail = 0.5 * (1.0 - self.settings.level)
        drawn = replace(sample, draws=values)
        below = sample.weights @ (values < data.truth)
        return drawn.quantile(np.array([tail, 1.0 - tail])).T, np.asarray(below)

    def _intervals(
        self, found: Fit, layout: Layout, estimate: Vector, se: Vector, spread: Vector | None
    ) -> dict[str, Matrix]:
        z = float(ndtri(0.5 + 0.5 * self.settings.level))
        made = {}
        if "wald" in self.settings.intervals:
            made["wald"] = symmetric_intervals(layout, estimate, se, z)
        if "wald-log-sd" in self.settings.intervals and spread is not None:
            spread_log = spread_in_log_sd(found, layout)
            made["wald-log-sd"] = symmetric_intervals(layout, estimate, spread_log, z)
        if "posterior" in self.settings.intervals and spread is not None:
            made["posterior"] = symmetric_intervals(layout, estimate, spread, z)
        if "profile" in self.settings.intervals:
            made["profile"] = _profile(found, layout, self.settings.level)
        return made


def values_of(found: Fit, layout: Layout) -> tuple[Vector, Vector]:
    """Estimates on the natural scale, standard errors on the working scale, as in ``layout``.

    Coefficients of columns that were dropped are NaN, and so is then everything behind them.
    """
    beta = found.coef.reindex(list(layout.beta)).to_numpy()
    estimate = np.full(layout.size, np.nan)
    estimate[: beta.size] = beta
    se = np.full(layout.size, np.nan)
    if len(found.coef) == beta.size:
        psi = _psi(found)
        estimate = layout.natural(working_of_psi(layout, psi))
        se = spread_of(layout, psi, found.covariance)
    se[: beta.size] = found.se.reindex(list(layout.beta)).to_numpy()
    return estimate, se


def posterior_spread(found: Fit, layout: Layout) -> Vector:
    """Posterior standard deviations on the working scale, from −Q″ at the mode (delta method)."""
    if len(found.coef) < len(layout.beta):
        return np.full(layout.size, np.nan)
    return spread_of(layout, _psi(found), found.posterior_covariance)


def spread_in_log_sd(found: Fit, layout: Layout) -> Vector:
    """Standard errors on the working scale from −ℓ″ in the coordinates (β, log l_jj, l_ij).

    Away from the maximum of ℓ, where a prior holds ψ̂, the information depends on the
    coordinates: on the diagonal of Λ it is l²ℓ″ + lℓ′, restated here in units of θ. From −Q″
    where it is not positive definite.
    """
    if len(found.coef) < len(layout.beta):
        return np.full(layout.size, np.nan)
    psi, p, q = _psi(found), len(layout.beta), len(layout.effects)
    hessian = found.likelihood.hessian.copy()
    columns, rows = np.triu_indices(q)
    for k in p + np.flatnonzero(rows == columns):
        if psi[k] > 0.0:
            hessian[k, k] += found.likelihood.gradient[k] / psi[k]
    free = ~found.boundary
    covariance = information_inverse(hessian, free)
    if not np.isfinite(covariance[np.ix_(free, free)]).all():
        covariance = found.posterior_covariance
    return spread_of(layout, psi, covariance)


def spread_of(layout: Layout, psi: Vector, C: Matrix) -> Vector:
    """Standard deviations on the working scale where C is the covariance of ψ."""
    J = working_jacobian(layout, psi)
    p = len(layout.beta)
    out = np.full(layout.size, np.nan)
    with np.errstate(invalid="ignore"):
        out[:p] = np.sqrt(np.diag(C)[:p])  # also where θ is at its boundary and J is not finite
        out[p:] = np.sqrt(np.einsum("ki,ij,kj->k", J[p:, p:], C[p:, p:], J[p:, p:]))
    return out


def _psi(found: Fit) -> Vector:
    return np.concatenate([found.coef.to_numpy(), found.theta.to_numpy()])


def natural_of_draws(layout: Layout, draws: Matrix) -> Matrix:
    """β, σ, ρ of draws of ψ, shape ``(n, d)``."""
    working = np.stack([working_of_psi(layout, psi) for psi in draws], axis=1)
    return layout.natural(working).T


def working_jacobian(layout: Layout, psi: Vector, step: float = 1e-6) -> Matrix:
    """∂(β, log σ, atanh ρ)/∂ψ by central differences, shape ``(d, d)``."""
    J = np.empty((layout.size, psi.size))
    for k in range(psi.size):
        h = np.zeros(psi.size)
        h[k] = step * max(1.0, abs(psi[k]))
        with np.errstate(invalid="ignore"):
            change = working_of_psi(layout, psi + h) - working_of_psi(layout, psi - h)
        J[:, k] = change / (2.0 * h[k])
    return J


def working_of_psi(layout: Layout, psi: Vector) -> Vector:
    """(β, log σ, atanh ρ) of ψ = (β, θ)."""
    p, q = len(layout.beta), len(layout.effects)
    Lambda = np.zeros((q, q))
    Lambda.T[np.triu_indices(q)] = psi[p:]
    S = Lambda @ Lambda.T
    sd = np.sqrt(np.diag(S))
    with np.errstate(divide="ignore", invalid="ignore"):
        cor = np.array([S[a, b] / (sd[a] * sd[b]) for a, b in layout.pairs])
    return layout.working(np.concatenate([psi[:p], sd, cor]))


def _below(data: Dataset, estimate: Vector, spread: Vector) -> Vector:
    """Gaussian posterior probability of values below the truth, on the working scale."""
    layout = data.layout
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(ndtr((layout.working(data.truth) - layout.working(estimate)) / spread))


def _profile(found: Fit, layout: Layout, level: float) -> Matrix:
    """Profile intervals; NaN where the profile cannot be had."""
    out = np.full((layout.size, 2), np.nan)
    try:
        table = found.confint("profile", level=level)
    except (MultilogitError, np.linalg.LinAlgError):
        return out
    order = table.index.get_indexer(list(layout.names))
    out[order >= 0] = table[["lower", "upper"]].to_numpy(dtype=np.float64)[order[order >= 0]]
    return out
