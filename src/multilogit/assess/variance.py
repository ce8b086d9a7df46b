"""How much of the variance of the latent scale belongs to what: ICC, R², median odds ratio.

A logistic model is a linear one for a latent variable whose error has the standard logistic
distribution, of variance π²/3. On that scale

    σ²_f = mean_i z_i'Σ_f z_i        variance that a grouping factor contributes (Johnson 2014)
    σ²_x = var_i(x_i'β + o_i)        variance that the fixed effects (and offset) contribute

and everything here is a ratio of them. Σ_f z_i'Σ_f z_i is tr(S_f Σ_f) with S_f = mean_i z_i z_i'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from multilogit.assess.model import Factor, Model
from multilogit.predict import Matrix, Vector

LATENT = np.pi**2 / 3.0
"""Variance of the standard logistic distribution."""
MEDIAN = float(np.sqrt(2.0) * ndtri(0.75))
"""Median of |b₁ − b₂| for independent b ~ N(0, 1)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Variances on the latent scale of one logit.

    Attributes
    ----------
    fixed
        σ²_x.
    random
        Shape ``(F,)``: σ²_f of every grouping factor.
    gradients
        For every factor dσ²_f/dΛ, shape ``(q, q)``: 2S_fΛ.
    residual
        Variance of the latent error.
    """

    fixed: float
    random: Vector
    gradients: tuple[Matrix, ...]
    residual: float

    @property
    def total(self) -> float:
        """All of it, fixed effects included."""
        return self.fixed + float(self.random.sum()) + self.residual


def observations(model: Model) -> Vector:
    """Observations behind each row: trials times frequency weight, shape ``(n,)``."""
    return np.asarray(model.response.weighted()[1])


def shares(model: Model, logit: int, residual: float = LATENT) -> Shares:
    """Variances on the latent scale of one logit, every observation (trial) counting once."""
    weights = observations(model)
    eta, N = model.fixed[:, logit], weights.sum()
    mean = float(weights @ eta / N)
    fixed = float(weights @ (eta - mean) ** 2 / (N - 1.0)) if N > 1.0 else 0.0
    second = [_second_moment(factor, logit, weights) for factor in model.factors]
    random = [float(np.sum(S * f.Sigma)) for S, f in zip(second, model.factors, strict=True)]
    gradients = tuple(2.0 * S @ f.Lambda for S, f in zip(second, model.factors, strict=True))
    return Shares(fixed, np.array(random), gradients, residual)


def _second_moment(factor: Factor, logit: int, weights: Vector) -> Matrix:
    """S = mean z z' over the observations, shape ``(q, q)``; 0 for effects on other logits."""
    Z = np.column_stack(
        [
            column if c == logit else np.zeros_like(column)
            for column, c in zip(factor.columns, factor.logits, strict=True)
        ]
    )
    return np.asarray(Z.T @ (Z * weights[:, None]) / weights.sum())


def observation_variance(mean: float) -> float:
    """1/(p(1 − p)): variance of the logit of one trial by the delta method, at p = ``mean``.

    Nakagawa, Johnson & Schielzeth (2017), *Journal of the Royal Society Interface* 14, take
    p from the model without predictors; that is the observed share.
    """
    return 1.0 / (mean * (1.0 - mean))


def median_odds_ratio(variance: Vector) -> Vector:
    """exp(√(2σ²) Φ⁻¹(¾)) (Larsen & Merlo 2005, *American Journal of Epidemiology* 161, 81–88)."""
    with np.errstate(over="ignore"):  # the upper limit of a variance may be huge
        return np.asarray(np.exp(MEDIAN * np.sqrt(variance)))


def pseudo_r2(loglik: float, null_loglik: float, n: float, d: float) -> dict[str, float]:
    """R² of likelihoods of single-level models.

    Parameters
    ----------
    loglik, null_loglik
        Of the model and of its intercept alone, without coefficients of the counts.
    n
        Observations (trials).
    d
        Parameters beyond the intercepts.
    """
    gain = 2.0 * (loglik - null_loglik)
    cox_snell = -np.expm1(-gain / n)
    return {
        "mcfadden": 1.0 - loglik / null_loglik,
        "mcfadden_adjusted": 1.0 - (loglik - d) / null_loglik,
        "cox_snell": float(cox_snell),
        "nagelkerke": float(cox_snell / -np.expm1(2.0 * null_loglik / n)),
    }
