"""Standard errors and intervals of predictions by the delta method.

    Var = g_ψ' Cov(ψ̂) g_ψ + g_b' Cov(b | ψ̂) g_b

with the derivatives of :mod:`.tangent`: g_ψ moves the modes along with ψ, so that the covariance
of b̂ with β̂ and θ̂ is in it (as glmmTMB's ``se.fit``; lme4 leaves θ out). A level that the fit has
not seen has b ~ N(0, Σ), independent of everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from multilogit.predict.integrate import Array
from multilogit.predict.linear import Level, Matrix
from multilogit.predict.modes import Codes
from multilogit.predict.tangent import Model, Rows, Scale, Tangent, chunks, predicted


@dataclass(frozen=True, slots=True)
class ParameterCovariance:
    """Cov(ψ̂), ready for the delta method.

    Attributes
    ----------
    matrix
        Shape ``(d, d)``; 0 where a parameter does not vary or has no covariance.
    undefined
        Shape ``(d,)``: the parameters that have none; what depends on them has no standard error.
    """

    matrix: Matrix
    undefined: NDArray[np.bool_]

    @classmethod
    def of(cls, covariance: Matrix, n_beta: int) -> ParameterCovariance:
        """From a covariance with NaN for fixed parameters.

        A standard deviation on its boundary is held at 0; a coefficient without a covariance
        is infinite, or not identified.
        """
        missing = np.isnan(covariance.diagonal())
        undefined = missing & (np.arange(missing.size) < n_beta)
        return cls(np.nan_to_num(covariance), undefined)

    def variance(self, gradient: Array) -> Array:
        """g'Vg along the last axis."""
        return np.asarray(np.einsum("...d,...d->...", gradient @ self.matrix, gradient))

    def touches(self, rows: Rows) -> NDArray[np.bool_]:
        """The rows whose η depends on a parameter that has no covariance, shape ``(n,)``."""
        out = np.zeros(rows.n, dtype=bool)
        for k in np.flatnonzero(self.undefined):
            out |= rows.x[k % len(rows.x)] != 0.0
        return out


def standard_errors(
    model: Model, rows: Rows, level: Level, scale: Scale, covariance: ParameterCovariance
) -> tuple[Matrix, Matrix]:
    """Predictions and their standard errors, both of shape ``(n, K)``."""
    K = model.n_logits + (scale == "response")
    values, errors = [np.empty((0, K))], [np.empty((0, K))]  # there may be no rows
    cross = _cross_blocks(model, rows) if level == "conditional" else {}
    for start, stop in chunks(model, rows):
        part = rows.part(start, stop)
        made = predicted(model, part, level, scale)
        variance = covariance.variance(made.by_psi)
        if made.by_modes:
            here = {pair: block[start:stop] for pair, block in cross.items()}
            variance = variance + _mode_variance(model, part, made, here)
        variance[covariance.touches(part)] = np.nan
        values.append(made.value)
        errors.append(np.sqrt(np.maximum(variance, 0.0)))
    return np.concatenate(values), np.concatenate(errors)


def _mode_variance(
    model: Model, rows: Rows, made: Tangent, cross: dict[tuple[int, int], Array]
) -> Matrix:
    """g_b' Cov(b | ψ̂) g_b."""
    total = np.zeros_like(made.value)
    for factor, mine, g in zip(model.factors, rows.factors, made.by_modes, strict=True):
        Sigma = factor.Lambda @ factor.Lambda.T
        of_row = np.concatenate([factor.covariance, Sigma[None]])[mine.codes]  # −1: the last
        total += np.einsum("nkq,nqr,nkr->nk", g, of_row, g, optimize=True)
    for (f, h), block in cross.items():
        g_f, g_h = made.by_modes[f], made.by_modes[h]
        total += 2.0 * np.einsum("nkq,nqr,nkr->nk", g_f, block, g_h, optimize=True)
    return total


def _cross_blocks(model: Model, rows: Rows) -> dict[tuple[int, int], Array]:
    """Cov(b_f, b_h | ψ̂) of the rows' levels of two factors, shape ``(n, q_f, q_h)``."""
    found = {}
    for pair in combinations(range(len(model.factors)), 2):
        # Solve for the factor with fewer levels among the rows.
        f, h = sorted(pair, key=lambda k: -np.unique(rows.factors[k].codes).size)
        codes = np.column_stack([rows.factors[f].codes, rows.factors[h].codes])
        different, place = np.unique(codes, axis=0, return_inverse=True)
        found[f, h] = _blocks_of(model, f, h, different)[place.ravel()]
    return found


def _blocks_of(model: Model, f: int, h: int, pairs: Codes) -> Array:
    """Λ_f (H⁻¹)_fh Λ_h' for pairs of levels; 0 where one of them was not seen."""
    assert model.modes is not None
    left, right = model.factors[f].Lambda, model.factors[h].Lambda
    seen = (pairs >= 0).all(axis=1)
    out = np.zeros((len(pairs), left.shape[0], right.shape[0]))
    out[seen] = left @ model.modes.cross(f, pairs[seen, 0], h, pairs[seen, 1]) @ right.T
    return out


def interval(value: Matrix, error: Matrix, z: float, scale: Scale) -> tuple[Matrix, Matrix]:
    """Lower and upper limits; those of probabilities are symmetric in logit p, and inside (0, 1).

    For two categories and b known or at its mode, that is the interval of η, transformed.
    """
    if scale == "link":
        return value - z * error, value + z * error
    rest = _complement(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.log(value) - np.log(rest)
        half = z * error / (value * rest)
    certain = (error == 0.0) | ~np.isfinite(centre)
    half = np.where(certain & ~np.isnan(error), 0.0, half)
    return expit(centre - half), expit(centre + half)


def _complement(value: Matrix) -> Matrix:
    """1 − p without cancellation: the other categories added up."""
    if value.shape[1] == 1:
        return 1.0 - value
    J = value.shape[1]
    return np.asarray(value @ (np.ones((J, J)) - np.eye(J)))
